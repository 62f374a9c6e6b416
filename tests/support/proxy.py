"""A proxy as institutions have one: opens tunnels for others, or answers with a status instead."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Self

_BLOCK_BYTES = 65_536


class ConnectProxy:
    """Listens on a port of this machine, to which every known host leads, whatever its own port.

    Attributes
    ----------
    heads
        The requests that came to it, as they came.
    status
        The answer in place of a tunnel; 0 where tunnels are opened.
    """

    def __init__(
        self,
        ports: Mapping[str, int],
        *,
        tls: ssl.SSLContext | None = None,
        credentials: str = "",
    ) -> None:
        self.heads: list[str] = []
        self.status = 0
        self.port = 0
        self._ports = ports
        self._tls = tls
        self._needed = b64encode(credentials.encode()).decode() if credentials else ""
        self._server: asyncio.Server | None = None
        self._tunnels: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shut()
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """Its address, as HTTPS_PROXY has it."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Listen, at the port of before where there was one."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def shut(self) -> None:
        """Refuse connections from now on; tunnels that are open stay open."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _cut(self) -> None:
        for tunnel in self._tunnels:
            tunnel.cancel()
        await asyncio.gather(*self._tunnels, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tunnels.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._answer(reader, writer)
        finally:
            self._tunnels.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(1)
        if not first.isalpha():  # TLS, of which this port knows nothing
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await _end(writer)
            return
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if self.status or f"Basic {self._needed}" not in head + "Basic " * (not self._needed):
            writer.write(f"HTTP/1.1 {self.status or 407} No\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        host = head.split(" ")[1].rpartition(":")[0]
        onward = await asyncio.open_connection("127.0.0.1", self._ports[host])
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        ways = [_pass_on(reader, onward[1]), _pass_on(onward[0], writer)]
        both = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in both:
                way.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            await _end(writer)
            onward[1].close()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while block := await source.read(_BLOCK_BYTES):
        target.write(block)
        await target.drain()


async def _end(writer: asyncio.StreamWriter) -> None:
    """Close a connection once all that was written to it has left."""
    writer.close()
    with suppress(OSError):
        await asyncio.wait_for(writer.wait_closed(), 1.0)
