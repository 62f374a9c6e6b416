"""Connections that are lent to one request at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """Something with an end."""

    async def aclose(self) -> None:
        """Let go of everything it holds."""


L = TypeVar("L", bound=Closable)


class Lanes(Generic[L]):
    """A fixed number of HTTP clients with one connection each; further requests wait here.

    A pool of connections that many tasks share is corrupted when a request in it is cancelled
    (after some thousands of cancellations, healthy requests fail). Here a request that does not
    end well takes its own connection with it and touches no other.
    """

    def __init__(self, make: Callable[[], L], count: int) -> None:
        self._make = make
        # One is made at once, so that settings that cannot work show at once.
        self._idle = [make()]
        self._free = asyncio.Semaphore(count)
        self._is_closed = False

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[L]:
        """Lend a client, the one used last first, since its connection is the warmest."""
        async with self._free:
            client = self._idle.pop() if self._idle else self._make()
            is_sound = False
            try:
                yield client
                is_sound = not self._is_closed
            finally:
                if is_sound:
                    self._idle.append(client)
                else:
                    await client.aclose()

    async def aclose(self) -> None:
        """Close the clients that are here; those that are lent close when they come back."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().aclose()
