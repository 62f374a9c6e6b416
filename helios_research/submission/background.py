"""A submission that runs in the background: the handle to it, and its line of progress."""

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401 - see _end_with_the_interpreter
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pandas as pd

from helios_research._util.screen import in_notebook, summary_html
from helios_research.errors import SubmissionInterrupt
from helios_research.state.status import Progress

REFRESH_S = 0.2
"""Seconds between two reports of progress: at most 5 a second, which no front end drops."""

# On exit what is in flight gets this long to be answered (`DRAIN_S` at most) and written down.
# Nothing is lost after it either: the next submission settles whatever was left.
_EXIT_S = 20.0

Work = Callable[[asyncio.Event, Callable[[Progress], None]], Awaitable[None]]


class Submission:
    """A submission that runs in the background.

    Parameters
    ----------
    engine
        Carries the submission out; gets an event that asks it to stop, and a function to report
        progress to.
    initial
        The progress before it begins.
    conclude
        Called in the background when the engine has ended, however it ended; gives what `wait`
        returns.

    Attributes
    ----------
    progress
        How far it has come; a new record several times a second.
    """

    def __init__(
        self, engine: Work, initial: Progress, conclude: Callable[[], pd.DataFrame]
    ) -> None:
        self.progress = initial
        self._engine: Work | None = engine
        self._conclude = conclude
        self._result = pd.DataFrame()
        self._error: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        # Not the thread's own end: Python 3.11 takes a thread for dead once `join` on it was
        # interrupted (https://github.com/python/cpython/issues/90882).
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="helios-submission", daemon=True)
        self._thread.start()
        _end_with_the_interpreter(weakref.ref(self))

    def __repr__(self) -> str:
        state = "running" if self.is_running else "over"
        return f"<Submission {state}: {self.progress}>"

    def _repr_html_(self) -> str:
        now = self.progress
        if self.is_running:
            what_next = "`.wait()` waits for the results, `.stop()` stops it; nothing is lost."
        elif self._error is not None:
            what_next = str(self._error)
        else:
            what_next = "`.wait()` gives the results."
        return summary_html("Submission", [f"{now}.", what_next], done=now.done, total=now.total)

    @property
    def is_running(self) -> bool:
        """Whether it is still running."""
        return not self._over.is_set()

    def stop(self) -> None:
        """Ask it to stop: nothing new is begun, what is in flight is kept. Does not wait."""
        # The loop is closed once the submission is over, and then there is nothing to stop.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)

    def wait(
        self, timeout_s: float | None = None, *, watch: Callable[[Progress], None] | None = None
    ) -> pd.DataFrame:
        """Wait until it is over.

        Parameters
        ----------
        timeout_s
            How long to wait at most, in seconds.
        watch
            Called with the progress while waiting, at most 5 times a second.

        Returns
        -------
        DataFrame
            The results, one row per recording.

        Raises
        ------
        TimeoutError
            It was not over in time; it continues.
        HeliosResearchError
            It could not continue; what was done is kept.
        KeyboardInterrupt
            Interrupted by the user, after it has stopped cleanly.
        """
        try:
            self._watch(timeout_s, watch)
        except KeyboardInterrupt:
            self.stop()
            # A second interrupt does not wait for that.
            with suppress(KeyboardInterrupt):
                self._watch(None, watch)
            # In a script a class of our own would change the exit status.
            kind = SubmissionInterrupt if in_notebook() else KeyboardInterrupt
            raise kind(_interrupted(self.progress.left)) from None
        if self._error is not None:
            raise self._error
        return self._result

    def _watch(self, timeout_s: float | None, watch: Callable[[Progress], None] | None) -> None:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self.is_running:
            if watch is not None:
                watch(self.progress)
            if deadline is not None and time.monotonic() > deadline:
                message = f"The submission is not over after {timeout_s:g} s; it continues."
                raise TimeoutError(message)
            self._over.wait(REFRESH_S)
        if watch is not None:
            watch(self.progress)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._main())
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._error = error
        try:
            self._result = self._conclude()
        except BaseException as error:  # noqa: BLE001 - as above; the first error is the cause
            self._error = self._error or error
        # Also where an error or an interrupt ended it: the progress line closes.
        self.progress = replace(self.progress, is_over=True, limited_by="", outage="")
        self._over.set()

    async def _main(self) -> None:
        def report(progress: Progress) -> None:
            self.progress = progress

        # Released when it has ended: what it knows of every recording would otherwise be in memory
        # twice while the results are made.
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine(self._stop, report)


def _interrupted(left: int) -> str:
    if not left:
        return "Interrupted, but all recordings are finished."
    again = "the cell" if in_notebook() else "the same program"
    return (
        f"Interrupted: {left:,} {'recording is' if left == 1 else 'recordings are'} left, and nothing "
        f"is lost; run {again} again to continue."
    )


def _end_with_the_interpreter(known: weakref.ref[Submission]) -> None:
    """Stop a submission while the threads that it works with still accept work.

    ``atexit`` is too late: before it, ``concurrent.futures`` ends its threads, by a list of
    ``threading``'s that is called from its end. The list is private, and exists since Python 3.9;
    nothing can be removed from it, so that it gets no more than a weak reference.
    """

    def end() -> None:
        submission = known()
        if submission is not None:
            submission.stop()
            submission._over.wait(_EXIT_S)

    getattr(threading, "_register_atexit", atexit.register)(end)
