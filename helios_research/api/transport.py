"""Connections, bodies and failures of transport, without any HTTP library."""

import asyncio
import hashlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar

from helios_research.errors import HeliosResearchError


class Closable(Protocol):
    """Something with an end."""

    async def aclose(self) -> None:
        """Let go of everything it holds."""


L = TypeVar("L", bound=Closable)


class ClientPool(Generic[L]):
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


class TransportError(Enum):
    """Why no answer came, in words for a sentence about the server."""

    TIMED_OUT = "no complete answer came in time"
    UNREACHABLE = "no connection could be made"
    BROKEN_OFF = "the connection broke off before the answer was complete"
    UNTRUSTED = "the server does not prove who it is"
    PROXY = "the proxy refuses to pass the request on"


def distrust(problem: BaseException) -> str | None:
    """Say why a server was not trusted, if that is what happened."""
    for cause in causes(problem):
        # OpenSSL sets these attributes; on an error that Python itself raised they are missing.
        if isinstance(cause, ssl.SSLCertVerificationError):
            return str(getattr(cause, "verify_message", "certificate not valid"))
        if getattr(cause, "reason", None) == "WRONG_VERSION_NUMBER":
            return "it does not speak TLS"
    return None


def system_words(problem: BaseException) -> str:
    """Find the operating system's words for what happened."""
    known = (_words(cause) for cause in causes(problem) if isinstance(cause, OSError))
    return next((words for words in known if words), "")


def _words(problem: OSError) -> str:
    if isinstance(problem, socket.gaierror | ssl.SSLError):
        return problem.strerror or ""
    # Not its own text: asyncio puts the address there instead.
    return os.strerror(problem.errno) if problem.errno else ""


def settings_words(problem: Exception) -> str:
    """Say what is wrong with the proxy or the certificates that the environment names."""
    if isinstance(problem, ImportError):
        return "a SOCKS proxy needs the package socksio (`pip install httpx[socks]`)"
    if isinstance(problem, OSError):
        return "the file of certificates cannot be read"
    return "the address of the proxy is not an http, https or socks5 URL"


def causes(problem: BaseException | None) -> Iterator[BaseException]:
    """Walk through an exception, what is behind it, and the members of groups."""
    while problem is not None:
        yield problem
        if isinstance(problem, BaseExceptionGroup):
            for member in problem.exceptions:
                yield from causes(member)
        problem = problem.__cause__ or problem.__context__


FALLBACK_MEDIA_TYPE = "application/octet-stream"

_DIFFERENT = (
    "The file is not what it was when it was checked, so it was not sent: make sure that nothing "
    "writes to it, then submit again."
)


class RecordingChangedError(Exception):
    """The bytes cannot be read or are not the expected ones.

    Raised inside an upload, before the last of its bytes is given out.
    """


@dataclass(frozen=True, slots=True)
class UploadBody:
    """The bytes to upload, opened again for each attempt."""

    size_bytes: int
    media_type: str | None
    sha256: str
    open: Callable[[], Iterator[bytes]]

    def checked_blocks(self) -> Generator[bytes, None, None]:
        """Give the bytes, but the last block only when all of them are the expected ones.

        An upload whose last block never comes is never completed by the upload host, so a
        file that changed since it was hashed cannot be scored in place of the one intended.
        """
        digest, seen, held = hashlib.sha256(), 0, b""
        for block in self._blocks():
            seen += len(block)
            if seen > self.size_bytes:
                raise RecordingChangedError(_DIFFERENT)
            digest.update(block)
            if held:
                yield held
            held = block
        if seen != self.size_bytes or digest.hexdigest() != self.sha256.lower():
            raise RecordingChangedError(_DIFFERENT)
        if held:
            yield held

    def _blocks(self) -> Iterator[bytes]:
        try:
            yield from filter(None, self.open())
        except (OSError, HeliosResearchError) as problem:
            message = f"The recording cannot be read any more, so it was not sent. {problem}"
            raise RecordingChangedError(message) from problem
