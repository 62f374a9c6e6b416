"""Worker processes, in which a crash or a hang costs one task: tasks in one pipe, answers in another."""

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar, cast

from helios_research.errors import HeliosResearchError

_LOOK_AGAIN_S = 1.0
"""Seconds between two looks at the parent during a task. Between tasks, its pipe shows its end."""

_START_LIMIT_S = 60.0
_END_LIMIT_S = 5.0
_READY = "ready"
_CLOSED = "the pool was closed"

P = ParamSpec("P")
T = TypeVar("T")


def main() -> None:
    """Answer tasks until the other end of the pipe is closed."""
    # An interrupt at the keyboard reaches every process of the terminal, and a scheduler's SIGTERM
    # every process of a job; the parent decides what happens.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=[os.getppid()], daemon=True).start()
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a library prints must not get between the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if settings := pickle.load(requests):  # noqa: S301 - our own parent wrote it
        from fsspec.config import conf

        conf.update(settings)
    answers.write(pickle.dumps(_READY))
    answers.flush()
    while True:
        try:
            task = pickle.load(requests)  # noqa: S301 - as above
        except EOFError:
            return
        answers.write(_outcome(task))
        answers.flush()


def _end_with_parent(parent: int) -> None:
    """End this process during a task when its parent has ended."""
    while os.getppid() == parent:
        time.sleep(_LOOK_AGAIN_S)
    os._exit(1)


def _outcome(task: bytes) -> bytes:
    try:
        function, args, kwargs = pickle.loads(task)  # noqa: S301 - as above
        return pickle.dumps(("returned", function(*args, **kwargs)))
    # Sent to the caller as text, because not every error can be pickled.
    except Exception as error:  # noqa: BLE001
        return pickle.dumps(("raised", RuntimeError(f"{type(error).__name__}: {error}")))


class WorkerStartError(HeliosResearchError):
    """No worker process can be started on this machine."""

    def __init__(self, reason: object) -> None:
        super().__init__(
            f"No process for checking recordings could be started with {sys.executable} "
            f"({reason}): pass executor=concurrent.futures.ThreadPoolExecutor() to check within "
            "this process."
        )


class WorkerCrashedError(HeliosResearchError):
    """The process died on this task, and a fresh one did too."""


class WorkerHungError(HeliosResearchError):
    """The task was given up after its time limit."""


class WorkerPool(ThreadPoolExecutor):
    """An executor over processes where a crash or a hang costs one task."""

    def __init__(self, max_workers: int | None = None, *, time_limit_s: float) -> None:
        super().__init__(max_workers or usable_cores(), thread_name_prefix="helios-check")
        self._time_limit_s = time_limit_s
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._all: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function in one of the processes."""
        return super().submit(self._supervise, pickle.dumps((fn, args, kwargs)))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as in Executor
        """End the pool and its processes."""
        if cancel_futures:
            super().shutdown(wait=False, cancel_futures=True)
            self._end_all()
        super().shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait:
            self._end_all()

    def _supervise(self, task: bytes) -> Any:
        # A crash counts when it happens twice: the first may be the system, which ends processes when
        # memory runs out.
        try:
            return self._run(task)
        except WorkerCrashedError:
            return self._run(task)

    def _run(self, task: bytes) -> Any:
        worker = self._take()
        try:
            outcome, value = worker.run(task, self._time_limit_s)
        except BaseException:
            worker.is_spent = True
            raise
        finally:
            if worker.is_spent:
                self._discard(worker)
            else:
                self._idle.put(worker)
        if outcome == "raised":
            raise value
        return value

    def _take(self) -> "_Worker":
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            worker = _Worker()
        with self._lock:
            self._all.add(worker)
            if not self._closed:
                return worker
        self._discard(worker)
        raise WorkerCrashedError(_CLOSED)

    def _discard(self, worker: "_Worker") -> None:
        with self._lock:
            self._all.discard(worker)
        worker.end()

    def _end_all(self) -> None:
        with self._lock:
            self._closed = True
            workers, self._all = self._all, set()
        for worker in workers:
            worker.end()


class _Worker:
    """One process, which works on at most one task."""

    def __init__(self) -> None:
        self.is_spent = False
        # The worker imports this same package, from the same place.
        paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            # -P: a file of the researcher's that is called random.py must not be imported.
            [sys.executable, "-P", "-m", "helios_research.preflight_checks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        self._requests = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)
        try:
            answer = self._ask(pickle.dumps(_remote_settings()), _START_LIMIT_S)
        except HeliosResearchError as error:
            answer = error
        if answer != _READY:
            self.end()
            raise WorkerStartError(answer)

    def run(self, task: bytes, limit_s: float) -> tuple[str, Any]:
        """Run one pickled task; return ("returned" or "raised", the value)."""
        # Pickled twice, so that a task that cannot be unpickled there does not upset the pipe.
        outcome: tuple[str, Any] = self._ask(pickle.dumps(task), limit_s)
        return outcome

    def _ask(self, message: bytes, limit_s: float) -> Any:
        watch = threading.Timer(limit_s, self._give_up)
        watch.daemon = True
        watch.start()
        try:
            self._requests.write(message)
            self._requests.flush()
            return pickle.load(self._answers)  # noqa: S301 - our own process wrote it
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            if self.is_spent:
                raise WorkerHungError(f"it took longer than {limit_s:g} s") from error
            words = f"the process that decoded it crashed, exit status {self._process.wait()}"
            raise WorkerCrashedError(words) from error
        finally:
            watch.cancel()
            watch.join()

    def _give_up(self) -> None:
        self.is_spent = True
        self._process.kill()

    def end(self) -> None:
        self._process.kill()
        # A process that waits for a lost network drive cannot be ended before the drive is back.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_LIMIT_S)
        self._answers.close()
        # What was left in the buffer no longer has a reader; nothing is lost.
        with suppress(BrokenPipeError):
            self._requests.close()


def usable_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _remote_settings() -> dict[str, Any]:
    """Read the researcher's settings for remote recordings in ``fsspec.config.conf``."""
    if "fsspec" not in sys.modules:
        return {}
    from fsspec.config import conf

    return dict(conf)


if __name__ == "__main__":
    main()
