"""A server that behaves as badly as a test wants, and the client's usual material."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr

from helios_research.api.client import Client
from helios_research.api.models import RunRequest
from helios_research.api.transport import UploadBody
from helios_research.config import ConnectionSettings, Parallel, TimeOuts

KEY = "key-that-nobody-may-see"


@dataclass
class Seen:
    """One request as it arrived."""

    line: str
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    body: bytes = b""

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", "0"))

    async def read_body(self) -> bytes:
        self.body = await self.reader.readexactly(self.length)
        return self.body

    def reset(self) -> None:
        """Break the connection off with a reset instead of an orderly end."""
        self.writer.transport.abort()

    async def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self.writer.drain()


Handler = Callable[[Seen], Awaitable[None]]


@dataclass
class Server:
    """A server on a free port of this machine; `handle` decides about each request."""

    handle: Handler
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    url: str = ""

    async def on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        self.open_connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                pairs = (line.split(": ", 1) for line in head[1:] if line)
                request = Seen(
                    head[0], {name.lower(): value for name, value in pairs}, reader, writer
                )
                self.seen.append(request)
                await self.handle(request)
                if writer.is_closing():
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, as some tests make it do
        finally:
            self.open_connections -= 1
            writer.close()


Serve = Callable[..., Awaitable[Server]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers; they stop when the test ends."""
    running: list[asyncio.Server] = []

    async def start(handle: Handler, *, tls: ssl.SSLContext | None = None) -> Server:
        server = Server(handle)
        listening = await asyncio.start_server(server.on_connection, "127.0.0.1", 0, ssl=tls)
        running.append(listening)
        port = listening.sockets[0].getsockname()[1]
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        return server

    yield start
    for listening in running:
        listening.close()


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def connect_to() -> Callable[..., Client]:
    """Make clients with short time-outs."""

    def make(base_url: str, *, parallel: Parallel | None = None, **time_outs: float) -> Client:
        waits = {"connect_s": 2.0, "read_s": 2.0, "write_s": 2.0, "answer_s": 5.0, "upload_s": 20.0}
        client = Client(KEY, base_url="http://127.0.0.1")
        client._connection = ConnectionSettings(
            base_url, SecretStr(KEY), TimeOuts(**(waits | time_outs)), parallel or Parallel()
        )
        return client

    return make


@pytest.fixture
def request_() -> RunRequest:
    return RunRequest(
        user_label="P07",
        date_of_birth="1990-01-31",
        birth_sex="FEMALE",
        language="en-GB",
        tags={"arm": "night", "visit": "2"},
    )


@pytest.fixture
def body_of() -> Callable[..., UploadBody]:
    """Make upload bodies from bytes, by default with the hash that they really have."""

    def make(data: bytes, *, sha256: str | None = None, block: int = 65_536) -> UploadBody:
        def blocks() -> Iterator[bytes]:
            yield from (data[i : i + block] for i in range(0, len(data), block))

        return UploadBody(
            len(data), "audio/wav", sha256 or hashlib.sha256(data).hexdigest(), blocks
        )

    return make
