"""A slow line: what goes through it to a port of this machine moves at so many bytes a second."""

import asyncio
import socket
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Self

# Small, so that what a client was allowed to write has mostly arrived too, as on a real slow line.
_BUFFER_BYTES = 4096
_BLOCK_BYTES = 2048


class SlowLine:
    """Passes connections on; all of them together share one speed, as behind one router.

    Attributes
    ----------
    bytes_per_s
        The speed; may be changed at any time. With 0 nothing moves.
    open_now, most_open
        Connections that carry something at present, and the most that did at once.
    uploads
        The request lines of the requests that came, of each connection the first.
    """

    def __init__(self, port: int, bytes_per_s: float) -> None:
        self.bytes_per_s = bytes_per_s
        self.open_now = self.most_open = 0
        self.uploads: list[str] = []
        self.port = 0
        self._onward = port
        self._turn = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="slow line", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._server = await asyncio.start_server(self._pass_on, sock=listener, limit=_BLOCK_BYTES)
        self.port = listener.getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = await asyncio.open_connection("127.0.0.1", self._onward)
        back = asyncio.create_task(self._answers(onward[0], writer))
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._requests(reader, onward[1])
        finally:
            back.cancel()
            onward[1].close()
            writer.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_first = True
        while block := await reader.read(_BLOCK_BYTES):
            if is_first:
                self.uploads.append(block.partition(b"?")[0].decode())
                is_first = False
            self.open_now += 1
            self.most_open = max(self.most_open, self.open_now)
            try:
                await self._wait_for(len(block))
            finally:
                self.open_now -= 1
            writer.write(block)
            await writer.drain()

    async def _wait_for(self, n_bytes: int) -> None:
        async with self._turn:
            while not self.bytes_per_s:  # noqa: ASYNC110 - set from another thread
                await asyncio.sleep(0.02)
            await asyncio.sleep(n_bytes / self.bytes_per_s)

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while block := await reader.read(_BLOCK_BYTES):
                writer.write(block)
                await writer.drain()
