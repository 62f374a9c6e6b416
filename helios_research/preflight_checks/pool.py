"""Many recordings checked at once: in worker processes of this machine, or by an executor of the caller."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import suppress
from functools import partial
from typing import Self

from helios_research._util.screen import ProgressLine
from helios_research._util.text import duration
from helios_research.codes import HeliosCode
from helios_research.columns import Verdict
from helios_research.errors import RecordingUnavailableError
from helios_research.preflight_checks.check import (
    Check,
    CheckCache,
    check_recording,
    identified,
    rules_key,
    unchecked,
    unreadable,
)
from helios_research.preflight_checks.rules import DEFAULT_THRESHOLDS, Thresholds
from helios_research.preflight_checks.worker import (
    WorkerCrashedError,
    WorkerHungError,
    WorkerPool,
    WorkerStartError,
)
from helios_research.recording import Stamp, is_remote, stamp_of, without_secrets

ProgressCallback = Callable[[int, int], None]
"""Called with the number of recordings done and the number of all."""

_WINDOW = 256
"""Recordings given to an executor at once: enough for a cluster, few enough to stop quickly."""
_STORED_AT_ONCE = 100
_MOST_ALIKE = 50
# Which task hangs is not known in an executor of the caller, so it gets twice the time of one task.
_STALL_FACTOR = 2


class CheckPool:
    """Checks recordings, here or in an executor; use it in a ``with`` statement."""

    def __init__(
        self,
        *,
        thresholds: Thresholds = DEFAULT_THRESHOLDS,
        full_speech: bool = False,
        executor: Executor | None = None,
        cache: CheckCache | None = None,
        workers: int | None = None,
        store_every: int = _STORED_AT_ONCE,
    ) -> None:
        self._thresholds = thresholds
        self._full_speech = full_speech
        self._executor = executor
        self._workers = workers
        self._own: WorkerPool | None = None
        self._known = _KnownChecks(
            cache, rules_key(thresholds, full_speech=full_speech), store_every
        )
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(abandon=kind is not None)

    def close(self, *, abandon: bool = False) -> None:
        """End the processes and store what has not been stored yet."""
        if self._own is not None:
            self._own.shutdown(cancel_futures=abandon)
        self._known.flush()

    def check(self, location: str) -> Future[Check]:
        """Start the check of one recording, without waiting for it."""
        answer: Future[Check] = Future()
        if recalled := self._known.recall(location):
            answer.set_result(recalled)
        else:
            self._start(location, answer, self._executor or self._own_pool())
        return answer

    def identify(self, location: str, check: Check) -> Future[Check]:
        """Identify a recording that could not be checked, in a worker process.

        A recording that hangs its check, as on a lost network drive, may hang every reader.
        """
        answer: Future[Check] = Future()
        task = self._own_pool().submit(identified, location, check)
        task.add_done_callback(partial(_pass_on, answer, partial(_identity, location)))
        return answer

    def check_many(self, locations: Iterable[str]) -> Iterator[tuple[str, Check]]:
        """Check recordings, each once, a bounded number at a time."""
        pending: dict[Future[Check], str] = {}
        try:
            for location in dict.fromkeys(locations):
                pending[self.check(location)] = location
                if len(pending) >= _WINDOW:
                    yield from self._finished(pending)
            while pending:
                yield from self._finished(pending)
        finally:
            for future in pending:
                future.cancel()

    def _finished(self, pending: dict[Future[Check], str]) -> Iterator[tuple[str, Check]]:
        limit_s = None if self._executor is None else _STALL_FACTOR * self._thresholds.time_limit_s
        done, _ = wait(pending, timeout=limit_s, return_when=FIRST_COMPLETED)
        for future in done:
            yield pending.pop(future), future.result()
        if not done:
            why = f"the executor returned nothing for {limit_s:g} s"
            for future in list(pending):
                future.cancel()
                yield pending.pop(future), unchecked(why)

    def _start(self, location: str, answer: Future[Check], executor: Executor) -> None:
        arguments = (location, self._thresholds, self._full_speech, *self._known.hints(location))
        try:
            task = executor.submit(check_recording, *arguments)
        except BrokenExecutor:
            self._start(location, answer, self._own_pool())
        else:
            task.add_done_callback(partial(self._settle, location, answer))

    def _settle(self, location: str, answer: Future[Check], task: Future[Check]) -> None:
        # A pool of another kind breaks as a whole. Ours finds the recording that caused it.
        if not task.cancelled() and isinstance(task.exception(), BrokenExecutor):
            self._start(location, answer, self._own_pool())
        else:
            _pass_on(answer, partial(self._kept, location), task)

    def _kept(self, location: str, task: Future[Check]) -> Check:
        check = _outcome(task)
        self._known.keep(location, check)
        return check

    def _own_pool(self) -> WorkerPool:
        with self._lock:
            if self._own is None:
                limit_s = self._thresholds.time_limit_s
                self._own = WorkerPool(self._workers, time_limit_s=limit_s)
            return self._own


def _pass_on(
    answer: Future[Check], read: Callable[[Future[Check]], Check], task: Future[Check]
) -> None:
    if task.cancelled():
        answer.cancel()
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(read(task))
    except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
        answer.set_exception(error)


def _identity(location: str, task: Future[Check]) -> Check:
    try:
        return task.result()
    except WorkerHungError as error:
        reason, remedy = f"cannot be read ({error})", "check its drive or the network"
        stuck = RecordingUnavailableError(without_secrets(location), reason, remedy, may_pass=True)
        return unreadable(stuck)


def _outcome(task: Future[Check]) -> Check:
    error = task.exception()
    if error is None or isinstance(error, WorkerStartError):
        return task.result()
    if isinstance(error, WorkerCrashedError):
        reason = f"Not a recording that can be decoded: {error}."
        return Check(Verdict.FAIL, HeliosCode.INVALID_FORMAT.value, reason)
    return unchecked(str(error) or type(error).__name__)


class _KnownChecks:
    """Earlier checks, and new ones that are not stored yet. Safe to use from several threads."""

    def __init__(self, cache: CheckCache | None, rules: str, store_every: int) -> None:
        self._cache = cache
        self._rules = rules
        self._store_every = store_every
        self._checks = dict(cache.load(rules)) if cache is not None else {}
        self._by_size: defaultdict[int, list[Check]] = defaultdict(list)
        self._fresh: dict[str, Check] = {}
        self._lock = threading.Lock()
        for check in self._checks.values():
            self._by_size[check.size_bytes or 0].append(check)

    def recall(self, location: str) -> Check | None:
        """Find the check of a local recording that is unchanged."""
        check = self._checks.get(location)
        is_same = check and check.stamp and check.stamp == _local_stamp(location)
        return check if is_same else None

    def hints(self, location: str) -> tuple[Check | None, list[Check]]:
        """Find the check of a remote recording, whose stamp takes a request to look up.

        Of a local one, find checks of recordings that may hold the same bytes.
        """
        stamp = _local_stamp(location) if self._checks else None
        if stamp is None:
            return self._checks.get(location) if is_remote(location) else None, []
        distinct = {check.sha256: check for check in self._by_size.get(stamp.size_bytes or 0, [])}
        # Recordings of a fixed length all have the same size: decoding again is then cheaper than
        # sending all their checks to the worker.
        return None, list(distinct.values()) if len(distinct) <= _MOST_ALIKE else []

    def keep(self, location: str, check: Check) -> None:
        if self._cache is None or not check.can_be_recalled:
            return
        with self._lock:
            self._checks[location] = self._fresh[location] = check
            is_due = len(self._fresh) >= self._store_every
        if is_due:
            self.flush()

    def flush(self) -> None:
        with self._lock:
            if self._cache is not None and self._fresh:
                self._cache.store(self._rules, self._fresh)
                self._fresh = {}


def _local_stamp(location: str) -> Stamp | None:
    with suppress(RecordingUnavailableError):
        return None if is_remote(location) else stamp_of(location)
    return None


def progress_callback(progress: bool | ProgressCallback) -> ProgressCallback:  # noqa: FBT001 - the public argument
    """Turn the public ``progress`` argument into a function."""
    if callable(progress):
        return progress
    if not progress:
        return lambda _done, _total: None
    line, began = ProgressLine(), time.monotonic()

    def show(done: int, total: int) -> None:
        took_s = max(time.monotonic() - began, 1e-3)
        left_s = took_s * (total - done) / max(1, done)
        news = f"took {duration(took_s)}" if done >= total else f"{duration(left_s)} left"
        text = f"{done:,}/{total:,} · {news} · {60 * done / took_s:,.0f}/min · checking recordings"
        line(text, shares=[(done / max(1, total), None)], is_last=done >= total)

    return show
