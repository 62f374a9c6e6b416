"""One thread that writes, many waiters: what comes in together is committed together.

A commit waits for the disk; done once for all that is waiting, and off the event loop, it is
both the fastest and the only way that does not make the loop stand still.
"""

import asyncio
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from helios_research.ledger.storage import study_error

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
