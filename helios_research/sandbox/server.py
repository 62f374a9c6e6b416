"""The sandbox as something to start and stop: two real HTTP servers on this machine."""

import asyncio
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO, cast
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from helios_research.recording import examine as examine_recording
from helios_research.sandbox.app import make_api
from helios_research.sandbox.core import Clock, Core, SandboxSettings
from helios_research.sandbox.storage import Examine, make_storage

if TYPE_CHECKING:
    from helios_research.api.client import Client

HOST = "127.0.0.1"
START_TIMEOUT_S = 30.0

# Of the event loop, from accepting a connection to its protocol: two by asyncio's source.
_TURNS_TO_JOIN = 5


class Sandbox:
    """A local stand-in for Helios: the same HTTP interface, synthetic scores.

    It listens on this machine only, on one port for the API and another for uploads, in a thread
    of its own, so it works in scripts, tests and notebooks. It examines audio as Helios would:
    format, length and speech decide between scores, warnings and the documented error codes. The
    scores themselves are computed from the audio's hash and the speaker's label (see
    ``helios_research.sandbox.app``), and every answer says so.

    Use it as a context manager.

    Parameters
    ----------
    settings
        How it behaves; without it the defaults of `SandboxSettings`.
    clock
        Gives the time in seconds since the epoch. States, expiry, deletion and the rate limit use
        it, so that hours pass in a test without waiting; latency takes real time.
    examine
        Finds out what a file contains; runs in a thread of its own.

    Examples
    --------
    >>> with Sandbox() as sandbox:  # doctest: +SKIP
    ...     study = Study("studies/trial", client=sandbox.client())
    """

    def __init__(
        self,
        settings: SandboxSettings | None = None,
        *,
        clock: Clock = time.time,
        examine: Examine = examine_recording,
    ) -> None:
        self.settings = settings or SandboxSettings()
        self._clock = clock
        self._examine = examine
        self._core: Core | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cleanup = ExitStack()

    def __repr__(self) -> str:
        state = f"at {self.base_url}" if self._core is not None else "not started"
        return f"<{type(self).__name__} {state}>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return self._running.api_url

    @property
    def upload_url(self) -> str:
        """Where the upload host is."""
        return self._running.upload_url

    @property
    def api_key(self) -> str:
        """The key that it accepts."""
        return self.settings.api_key

    def client(self) -> "Client":
        """Make a client for it.

        Returns
        -------
        Client
            Has the address and the key.
        """
        from helios_research.api.client import Client

        return Client(api_key=self.api_key, base_url=self.base_url)

    def complete(self, link: str, recording: str | PathLike[str]) -> None:
        """Do in an activity what its participant does, with a recording in place of a microphone.

        Returns when the recording is being processed.

        Parameters
        ----------
        link
            The link of an invitation to this sandbox; see `Study.invite`.
        recording
            An audio file.

        Raises
        ------
        ValueError
            The link is not one of this sandbox, or was used already.
        """
        parts = urlsplit(link)
        with closing(HTTPConnection(urlsplit(self.upload_url).netloc)) as connection:
            audio = Path(recording).read_bytes()
            connection.request("PUT", f"{parts.path}?{parts.query}", audio)
            status = connection.getresponse().status
        if status != HTTPStatus.OK:
            raise ValueError(
                "The link is not one of this sandbox, or a recording was made there already."
            )
        time.sleep(self.settings.pickup_s)

    def start(self) -> Self:
        """Start the servers; returns when they answer.

        Raises
        ------
        RuntimeError
            It was started before.
        OSError
            Another program uses a port that the settings name.
        """
        if self._core is not None:
            raise RuntimeError("A sandbox starts once only: make a new Sandbox().")
        with ExitStack() as undo:
            log_file = None
            if self.settings.log_file is not None:
                log_file = undo.enter_context(self.settings.log_file.open("a", encoding="utf-8"))
            folder = undo.enter_context(tempfile.TemporaryDirectory(prefix="helios-sandbox-"))
            core = self._make_core(log_file)
            self._launch(core, Path(folder), undo)
            self._core = core
            self._cleanup = undo.pop_all()
        return self

    def stop(self) -> None:
        """Stop the servers and delete their files, except for the log file."""
        self._cleanup.close()

    def _make_core(self, log_file: TextIO | None) -> Core:
        """Make what the hosts share; a subclass can give a core that watches or disturbs them."""
        return Core(self.settings, self._clock, log_file)

    def _launch(self, core: Core, folder: Path, undo: ExitStack) -> None:
        executor = ThreadPoolExecutor(1, "helios-sandbox-audio")
        undo.callback(executor.shutdown, wait=True, cancel_futures=True)
        sockets = [_bind(self.settings.port), _bind(0)]
        core.api_url, core.upload_url = (f"http://{HOST}:{s.getsockname()[1]}" for s in sockets)
        apps = [make_api(core), make_storage(core, self._examine, executor, folder)]
        ready: Future[asyncio.AbstractEventLoop] = Future()
        thread = threading.Thread(
            target=lambda: asyncio.run(_serve(apps, sockets, core.stopping, ready)),
            name="helios-sandbox",
            daemon=True,
        )
        thread.start()
        self._loop = ready.result(START_TIMEOUT_S)
        undo.callback(thread.join)
        undo.callback(self._loop.call_soon_threadsafe, core.stopping.set)

    @property
    def _running(self) -> Core:
        if self._core is None:
            raise RuntimeError("The sandbox is not started: use `with Sandbox() as sandbox:`.")
        return self._core


def serve_forever(
    settings: SandboxSettings, *, announce: Callable[[Sandbox], None] | None = None
) -> None:
    """Run a sandbox until Ctrl-C or SIGTERM; for the main thread of a process."""
    finished = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: finished.set())
    try:
        with suppress(KeyboardInterrupt), Sandbox(settings) as sandbox:
            if announce is not None:
                announce(sandbox)
            finished.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


class _Server(uvicorn.Server):
    """A server of uvicorn's that stops at once, whatever its clients still wait for."""

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
            cast(H11Protocol, connection).transport.abort()
        # Requests that wait for a body or in a pause notice now, and end.
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks)


async def _serve(
    apps: list[ASGIApp],
    sockets: list[socket.socket],
    stopping: asyncio.Event,
    ready: "Future[asyncio.AbstractEventLoop]",
) -> None:
    """Serve each application on its socket until `stopping` is set."""
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
        http=H11Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=None,
        access_log=False,
        timeout_keep_alive=60,
    )


def _bind(port: int) -> socket.socket:
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
