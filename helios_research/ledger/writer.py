"""One writer per study: the lock that the system frees when the process dies, and the thread that writes."""

import asyncio
import json
import logging
import os
import socket
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from helios_research._util.files import remove_temporary_files, replaced
from helios_research._util.text import in_local_time
from helios_research.errors import StudyLockedError, StudyStorageError
from helios_research.ledger.storage import study_error

LOCK_NAME = "helios.lock"
HOLDER_NAME = "helios.lock.json"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the right to write to a study."""

    pid: int
    host: str
    since: datetime


class StudyLock:
    """The right to write to a study.

    The lock itself is the system's (``flock``), so that a killed process leaves nothing behind
    that has to be cleared. Who holds it stands in a second file, which is only ever read when
    the lock is refused: what a killed process left there is overwritten by the next holder.
    """

    def __init__(self, folder: Path, now: datetime) -> None:
        self._holder = folder / HOLDER_NAME
        # On the few file systems without flock, filelock warns and uses a marker file instead.
        self._lock = FileLock(folder / LOCK_NAME, timeout=0, mode=0o600, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise _refusal(folder, self._holder) from None
        except OSError as error:
            raise StudyStorageError.from_system(folder, error) from error
        try:
            self._sign(now)
        except OSError as error:
            self._lock.release()
            raise StudyStorageError.from_system(folder, error) from error

    def _sign(self, now: datetime) -> None:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now.isoformat()}
        # Only the holder of the lock comes here.
        remove_temporary_files(self._holder)
        with replaced(self._holder) as unfinished:
            unfinished.write_text(json.dumps(holder), encoding="utf-8")

    def release(self) -> None:
        """Give the right back; safe to call twice."""
        if self._lock.is_locked:
            # Where the folder has become read-only the name stays; it is only ever believed while
            # its process lives, and the next holder writes its own.
            with suppress(OSError):
                self._holder.unlink(missing_ok=True)
            self._lock.release()


def holder_of(folder: Path) -> Holder | None:
    """Tell who seems to be writing to a study, without touching the lock.

    Trying the lock would be exact, but for that moment it would turn away a submission that
    wants to begin.
    """
    holder = _signed(folder / HOLDER_NAME)
    return holder if holder is not None and _may_live(holder) else None


def _signed(path: Path) -> Holder | None:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return Holder(int(known["pid"]), str(known["host"]), datetime.fromisoformat(known["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        # The holder is between taking the lock and signing it, or has just gone.
        return None


def _may_live(holder: Holder) -> bool:
    # On Windows signal 0 is Ctrl-C, not a question.
    if holder.host != socket.gethostname() or sys.platform == "win32":
        return True
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # It is there, and someone else's.
        return True
    return True


def _refusal(folder: Path, path: Path) -> StudyLockedError:
    holder = _signed(path)
    if holder is None:
        return StudyLockedError(folder, pid=None, host=None, since=None)
    since = in_local_time(holder.since)
    return StudyLockedError(folder, pid=holder.pid, host=holder.host, since=since)


_LOGGER = logging.getLogger(__name__)

Value = TypeVar("Value")

# Bounds the time that the first of a group waits for the last.
_MOST_IN_A_GROUP = 1024


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any] | Future[Any]
    loop: asyncio.AbstractEventLoop | None


@dataclass(frozen=True, slots=True)
class _Outcome:
    job: _Job
    value: Any = None
    error: Exception | None = None


class GroupWriter:
    """Runs pieces of work on one connection, in order, several in one transaction.

    A piece of work is a function of the connection. It may be run again after a group was rolled
    back, so it must do nothing but work on the connection.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._gate = Lock()
        self._is_open = True
        self._thread = Thread(target=self._run, name="helios-ledger", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[sqlite3.Connection], Value]) -> Value:
        """Do a piece of work and wait until it is on the disk.

        Cancelling the wait does not take the work back.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Value] = loop.create_future()
        self._submit(_Job(work, future, loop))
        return await future

    def write_blocking(self, work: Callable[[sqlite3.Connection], Value]) -> Value:
        """Do a piece of work and block this thread until it is on the disk."""
        future: Future[Value] = Future()
        self._submit(_Job(work, future, None))
        return future.result()

    def close(self) -> None:
        """Finish what was submitted and end the thread; safe to call twice."""
        with self._gate:
            if self._is_open:
                self._is_open = False
                self._jobs.put(None)
        self._thread.join()

    def _submit(self, job: _Job) -> None:
        with self._gate:
            if not self._is_open:
                raise ValueError(f"The ledger {self._path} is closed: open the study again.")
            self._jobs.put(job)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            group, is_last = self._gather(job)
            _settle(self._perform(group))
            if is_last:
                return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        group = [first]
        while len(group) < _MOST_IN_A_GROUP:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
            if job is None:
                return group, True
            group.append(job)
        return group, False

    def _perform(self, group: list[_Job]) -> list[_Outcome]:
        try:
            values = self._transact(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiters must hear of it
            self._roll_back()
            if len(group) == 1 or study_error(error, self._path):
                return [_Outcome(job, error=self._worded(error)) for job in group]
            # One of them is at fault: halving finds it in few transactions and keeps the order.
            middle = len(group) // 2
            return self._perform(group[:middle]) + self._perform(group[middle:])
        return [_Outcome(job, value) for job, value in zip(group, values, strict=True)]

    def _transact(self, group: list[_Job]) -> list[Any]:
        self._connection.execute("BEGIN IMMEDIATE")
        values = [job.work(self._connection) for job in group]
        self._connection.execute("COMMIT")
        return values

    def _roll_back(self) -> None:
        try:
            self._connection.rollback()
        except sqlite3.Error as error:
            # The next transaction cannot begin then, and its waiters hear of it.
            _LOGGER.warning("A transaction of %s could not be undone: %s", self._path, error)

    def _worded(self, error: Exception) -> Exception:
        worded = study_error(error, self._path)
        if worded is None:
            return error
        # Each waiter gets one of its own: tracebacks grow in an exception as it is raised.
        worded.__cause__ = error
        return worded


def _settle(outcomes: list[_Outcome]) -> None:
    by_loop: defaultdict[asyncio.AbstractEventLoop | None, list[_Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_loop[outcome.job.loop].append(outcome)
    for loop, group in by_loop.items():
        if loop is None:
            _resolve(group)
        else:
            _resolve_on(loop, group)


def _resolve_on(loop: asyncio.AbstractEventLoop, group: list[_Outcome]) -> None:
    try:
        # One call for the whole group: waking a loop costs more than resolving a future.
        loop.call_soon_threadsafe(_resolve, group)
    except RuntimeError:
        # The loop was closed, and its waiters with it; what they asked for is on the disk.
        _LOGGER.debug("%d writes were not waited for to the end.", len(group))


def _resolve(outcomes: list[_Outcome]) -> None:
    for outcome in outcomes:
        future = outcome.job.future
        if future.done():  # its waiter was cancelled
            continue
        if outcome.error is None:
            future.set_result(outcome.value)
        else:
            future.set_exception(outcome.error)
