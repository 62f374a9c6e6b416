"""Serving ASGI applications on loopback, on an event loop that somebody else owns."""

import asyncio
import socket
from concurrent.futures import Future
from contextlib import suppress
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from helios_research.sandbox.disturbance import Connection

HOST = "127.0.0.1"

# Of the event loop, from accepting a connection to its protocol: two by asyncio's source.
_TURNS_TO_JOIN = 5


class _Server(uvicorn.Server):
    """A server of uvicorn's that ends at once: whoever stops a sandbox is done with it."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        while not self._stopping.is_set():
            await self.on_tick(0)  # renews the Date header
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A server that is closed drops connections that it accepted a moment ago without closing
        # them, so they join the others first.
        loop = asyncio.get_running_loop()
        for listener in [sock for server in self.servers for sock in server.sockets]:
            loop.remove_reader(listener.fileno())
        for _ in range(_TURNS_TO_JOIN):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        for connection in list(self.server_state.connections):
            cast(Connection, connection).transport.abort()
        # Whoever waits for a body or in a pause notices now, and comes to an end.
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks)


async def serve(
    apps: list[ASGIApp],
    sockets: list[socket.socket],
    stopping: asyncio.Event,
    ready: "Future[asyncio.AbstractEventLoop]",
) -> None:
    """Serve until told to stop."""
    servers = [_Server(_config(app), stopping) for app in apps]
    serving = [
        asyncio.create_task(server.serve(sockets=[sock]))
        for server, sock in zip(servers, sockets, strict=True)
    ]
    for server in servers:
        await server.listening.wait()
    ready.set_result(asyncio.get_running_loop())
    await asyncio.gather(*serving)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=None,
        access_log=False,
        timeout_keep_alive=60,
    )


def bind(port: int) -> socket.socket:
    """Take a port of this machine."""
    # Named as TCP, because asyncio turns off Nagle's delay (40 ms an answer) only where it is named.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except OSError as error:
        sock.close()
        message = f"Port {port} of {HOST} cannot be used ({error.strerror}): choose another, or 0."
        raise OSError(error.errno, message) from None
    return sock
