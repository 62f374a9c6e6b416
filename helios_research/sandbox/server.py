"""The sandbox as something to start and stop: two real HTTP servers on this machine."""

import asyncio
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from helios_research.recording import examine as examine_recording
from helios_research.sandbox.app import make_api
from helios_research.sandbox.core import Analyst, Clock, Core, Examine
from helios_research.sandbox.faults import Faults
from helios_research.sandbox.hosting import HOST, bind, serve
from helios_research.sandbox.limits import TokenBucket
from helios_research.sandbox.log import SandboxLog
from helios_research.sandbox.runs import Scores, expected_scores
from helios_research.sandbox.settings import SandboxSettings
from helios_research.sandbox.storage import make_storage

if TYPE_CHECKING:
    from helios_research.api.client import Client

START_TIMEOUT_S = 30.0
_CALL_TIMEOUT_S = 10.0

T = TypeVar("T")


class Sandbox:
    """A local stand-in for Helios: the same HTTP interface, synthetic scores.

    It listens on this machine only, on one port for the API and another for uploads, in a thread
    of its own, so it works in scripts, tests and notebooks. Audio is really examined: format,
    length and speech decide between scores, warnings and the documented error codes. The scores
    themselves are made up from the audio's hash and the speaker's label (see
    ``helios_research.sandbox.runs``), and every answer says so.

    Use it as a context manager.

    Parameters
    ----------
    settings
        How it behaves; without it the defaults of `SandboxSettings`.
    faults
        What goes wrong from the start.
    clock
        Tells the time in seconds since the epoch. States, expiry, deletion and the rate limit go
        by it, so that hours pass in a test without waiting; latency and late answers take real
        time.
    examine
        Tells what a file holds; runs in the executor.
    executor
        Where audio is examined; by default threads of its own, as many as the settings say.

    Examples
    --------
    >>> with Sandbox() as sandbox:  # doctest: +SKIP
    ...     study = Study("studies/trial", client=sandbox.client())
    """

    def __init__(
        self,
        settings: SandboxSettings | None = None,
        *,
        faults: Faults | None = None,
        clock: Clock = time.time,
        examine: Examine = examine_recording,
        executor: Executor | None = None,
    ) -> None:
        self.settings = settings or SandboxSettings()
        self._clock = clock
        self._examine = examine
        self._executor = executor
        self._faults = faults or Faults()
        self._core: Core | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cleanup = ExitStack()

    def __repr__(self) -> str:
        state = f"at {self.base_url}" if self._core is not None else "not started"
        return f"<{type(self).__name__} {state}>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Where the API is.

        Returns
        -------
        str
            Its origin.
        """
        return self._running.api_url

    @property
    def upload_url(self) -> str:
        """Where the upload host is.

        Returns
        -------
        str
            Its origin.
        """
        return self._running.upload_url

    @property
    def api_key(self) -> str:
        """The key that opens it.

        Returns
        -------
        str
            The key.
        """
        return self.settings.api_key

    @property
    def log(self) -> SandboxLog:
        """What arrived.

        Returns
        -------
        SandboxLog
            Readable at any time, also after the sandbox has stopped.
        """
        return self._running.log

    @property
    def faults(self) -> Faults:
        """What goes wrong; assign other faults at any time.

        Returns
        -------
        Faults
            The faults of the moment.
        """
        return self._running.plan.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        """Let other things go wrong from now on; counts begin anew.

        Parameters
        ----------
        faults
            What is to go wrong.
        """
        core = self._running
        self._on_loop(lambda: core.set_faults(faults))

    def set_rate(self, rate_per_s: float | None, *, burst: int | None = None) -> None:
        """Change the rate limit.

        Parameters
        ----------
        rate_per_s
            API requests per second; None lifts the limit.
        burst
            Requests that may come at once; by default as before.
        """
        core = self._running
        bucket = TokenBucket(rate_per_s, core.bucket.burst if burst is None else burst)
        self._on_loop(lambda: setattr(core, "bucket", bucket))

    def completions(self) -> dict[str, datetime]:
        """List the runs that are complete.

        Returns
        -------
        dict[str, datetime]
            When each completed by the sandbox's own clock, UTC, by run id.
        """
        ends = self._running.book.completions()
        return {run_id: datetime.fromtimestamp(at, UTC) for run_id, at in ends.items()}

    def error_codes(self) -> dict[str, str | None]:
        """Tell how the runs ended that are complete.

        Returns
        -------
        dict[str, str | None]
            The error code by run id, None for a run with scores; deleted runs included.
        """
        return self._running.book.error_codes()

    def expected_scores(self, sha256: str, user_label: str, *, section: int = 0) -> Scores:
        """Compute the scores that some audio gets.

        Parameters
        ----------
        sha256
            SHA-256 of the recording's bytes, in lower-case hexadecimal.
        user_label
            The speaker's label.
        section
            Position of the section within the recording, from 0.

        Returns
        -------
        Scores
            The synthetic scores, by the names that results give them.
        """
        return expected_scores(sha256, user_label, section=section)

    def client(self) -> "Client":
        """Make a client for it.

        Returns
        -------
        Client
            Knows the address and the key.
        """
        from helios_research.api.client import Client

        return Client(api_key=self.api_key, base_url=self.base_url)

    def start(self) -> Self:
        """Start the servers; returns when they answer.

        Returns
        -------
        Self
            The sandbox.

        Raises
        ------
        RuntimeError
            It was started before.
        OSError
            A port that was asked for is taken.
        """
        if self._core is not None:
            raise RuntimeError("A sandbox starts once only: make a new Sandbox().")
        with ExitStack() as undo:
            lines = None
            if self.settings.log_file is not None:
                lines = undo.enter_context(self.settings.log_file.open("a", encoding="utf-8"))
            folder = undo.enter_context(tempfile.TemporaryDirectory(prefix="helios-sandbox-"))
            core = Core(self.settings, self._clock, self._faults, lines)
            self._launch(core, Path(folder), undo)
            self._core = core
            self._cleanup = undo.pop_all()
        return self

    def stop(self) -> None:
        """Stop the servers and delete what they left on disk; the log stays readable."""
        self._cleanup.close()

    def _launch(self, core: Core, folder: Path, undo: ExitStack) -> None:
        executor = self._executor
        if executor is None:
            executor = ThreadPoolExecutor(self.settings.workers, "helios-sandbox-audio")
            undo.callback(executor.shutdown, wait=True, cancel_futures=True)
        analyst = Analyst(self._examine, executor, core.book.judged)
        sockets = [bind(self.settings.port), bind(self.settings.upload_port)]
        core.api_url, core.upload_url = (f"http://{HOST}:{s.getsockname()[1]}" for s in sockets)
        apps = [make_api(core), make_storage(core, analyst, folder)]
        ready: Future[asyncio.AbstractEventLoop] = Future()
        thread = threading.Thread(
            target=lambda: asyncio.run(serve(apps, sockets, core.stopping, ready)),
            name="helios-sandbox",
            daemon=True,
        )
        thread.start()
        loop = ready.result(START_TIMEOUT_S)
        self._loop = loop
        undo.callback(thread.join)
        undo.callback(loop.call_soon_threadsafe, core.stopping.set)

    @property
    def _running(self) -> Core:
        if self._core is None:
            raise RuntimeError("The sandbox is not started: use `with Sandbox() as sandbox:`.")
        return self._core

    def _on_loop(self, act: Callable[[], T]) -> T:
        async def acting() -> T:
            return act()

        if self._loop is None or self._loop.is_closed():
            raise RuntimeError("The sandbox has stopped.")
        return asyncio.run_coroutine_threadsafe(acting(), self._loop).result(_CALL_TIMEOUT_S)


def serve_forever(
    settings: SandboxSettings,
    *,
    faults: Faults | None = None,
    announce: Callable[[Sandbox], None] | None = None,
) -> None:
    """Run a sandbox until Ctrl-C or SIGTERM; for the main thread of a process."""
    finished = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: finished.set())
    try:
        with suppress(KeyboardInterrupt), Sandbox(settings, faults=faults) as sandbox:
            if announce is not None:
                announce(sandbox)
            finished.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
