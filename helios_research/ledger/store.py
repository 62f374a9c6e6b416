"""The ledger of a study: the only truth about what has happened to each recording."""

import asyncio
import logging
import os
import sqlite3
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Self, TypeVar, Unpack

from helios_research.errors import StudyError, StudyMismatchError
from helios_research.ledger import checksums, records, schema, storage, volumes
from helios_research.ledger.reader import LedgerReader
from helios_research.ledger.records import Attempt, Changes, NewAttempt, SecretUrl, Setting, State
from helios_research.ledger.storage import StudyLock, sqlite_errors, study_error

_LOGGER = logging.getLogger(__name__)
_UTC_NOW = partial(datetime.now, UTC)


class Ledger(LedgerReader):
    """A study's ledger, open for writing by this process alone; made by `Ledger.open`.

    Everything that returns has been committed and handed to the disk, so a kill loses nothing of it.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: StudyLock,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(path)
        self._writing = connection
        self._lock = lock
        self._clock = clock
        self._writer = GroupWriter(connection, path, lock.renew)
        self._is_open = True

    @classmethod
    def open(cls, folder: Path, *, clock: Callable[[], datetime] = _UTC_NOW) -> Self:
        """Open the ledger in a folder, or begin one, and keep others from writing to it."""
        folder = storage.prepare_folder(Path(folder))
        storage.warn_if_open_to_others(folder)
        with ExitStack() as undo:
            lock = StudyLock(folder, clock)
            undo.callback(lock.release)
            path = storage.prepare_database(folder)
            with sqlite_errors(path):
                checksums.refuse_damaged_wal(path)
                connection = storage.connect_writer(path)
                undo.callback(connection.close)
                schema.migrate(connection, path)
                if named := checksums.repair(connection):
                    storage.warn_of_damage(path, named)
                storage.checkpoint(connection)
            ledger = cls(path, connection, lock, clock)
            undo.pop_all()
            return ledger

    @classmethod
    def read(cls, folder: Path, *, verify: bool = False) -> LedgerReader:
        """Open a ledger for reading, also while another process writes; ``verify`` its checksums."""
        path = storage.existing_database(Path(folder))
        with sqlite_errors(path):
            if storage.holder_of(path.parent) is None:
                checksums.refuse_damaged_wal(path)
            connection = storage.connect_reader(path)
            try:
                is_ready = schema.version_of(connection, path) == len(schema.MIGRATIONS) and not (
                    verify and checksums.is_damaged(connection)
                )
            finally:
                connection.close()
        if not is_ready:
            cls.open(folder).close()
        return LedgerReader(path)

    def close(self) -> None:
        """Finish what is being written and let others write; safe to call twice."""
        self._writer.close()
        super().close()
        if not self._is_open:
            return
        self._is_open = False
        try:
            storage.checkpoint(self._writing)
        except sqlite3.Error as error:
            # Everything acknowledged is safe in the WAL; the next opening does it.
            _LOGGER.warning("The ledger %s could not be checkpointed: %s", self._path, error)
        finally:
            self._writing.close()
            self._lock.release()

    def settle(self) -> None:
        """Remember where the study lives; warn of a shared place, and refuse a copy, each once."""
        known, here = self.get_setting(Setting.HOME), volumes.home_of(self._path)
        if known == here:
            return
        self.put_setting_blocking(Setting.HOME, here)
        caution = volumes.volume_of(self.folder).caution
        if caution:
            warnings.warn(caution, stacklevel=2)
        if known and volumes.is_copy(known, here):
            raise StudyMismatchError.copy(self.folder, Path(known["path"]).parent, known["host"])

    async def begin(self, new: NewAttempt) -> Attempt:
        """Write down that an attempt is about to be made."""
        work = partial(schema.insert, new, schema.to_json(new.request), self._clock())
        return await self._writer.write(work)

    async def advance(
        self,
        attempt_id: int,
        state: State,
        *,
        answer: Mapping[str, Any] | None = None,
        **changes: Unpack[Changes],
    ) -> Attempt:
        """Write down that an attempt has moved on, in one transaction with all that changed.

        Moments of this machine are filled in where they are not given.
        """
        if changes.get("upload_url"):
            changes["upload_url"] = SecretUrl(changes["upload_url"])
        body = None if answer is None else schema.to_json(answer)
        work = partial(schema.move, attempt_id, state, self._clock(), changes, body)
        return await self._writer.write(work)

    async def put_setting(self, name: str, value: Any) -> None:
        """Keep a setting of the study."""
        await self._writer.write(_storing(schema.SETTING, [(name, schema.to_json(value))]))

    def put_setting_blocking(self, name: str, value: Any) -> None:
        """Keep a setting of the study, from code that is not async."""
        self._writer.write_blocking(_storing(schema.SETTING, [(name, schema.to_json(value))]))

    def store_checks(
        self, settings: str, checks: Iterable[tuple[str, str, Mapping[str, Any]]]
    ) -> None:
        """Keep checks in place of earlier ones; blocks until all of them are on the disk."""
        rows = [
            (os.fsencode(location), settings, stamp, schema.to_json(facts))
            for location, stamp, facts in checks
        ]
        self._writer.write_blocking(_storing(schema.CHECK, rows))

    def remove(self, removal: records.Removal) -> bool:
        """Remove a participant, leaving marks; blocks until the ledger's files hold nothing of it."""
        self._writer.write_blocking(partial(records.remove, removal))
        # The writer's thread has the connection to itself, so it is ended for a moment.
        self._writer.close()
        try:
            with sqlite_errors(self._path):
                return storage.vacuum(self._writing)
        finally:
            self._writer = GroupWriter(self._writing, self._path, self._lock.renew)

    def hand_over_runs(self, label: str) -> None:
        """Forget the runs of a participant who has withdrawn, for good once the ledger is closed."""
        self._writer.write_blocking(partial(records.hand_over_runs, label))

    def take_back_withdrawal(self, label: str, code: str) -> bool:
        """Take a withdrawal back, so that what is of the participant may be sent again."""
        return self._writer.write_blocking(partial(records.take_back, label, code))


Value = TypeVar("Value")


def _storing(statement: str, rows: Sequence[Sequence[Any]]) -> Callable[[sqlite3.Connection], None]:
    def store(connection: sqlite3.Connection) -> None:
        connection.executemany(statement, rows)

    return store


# Bounds the time that the first of a group waits for the last.
_MOST_IN_A_GROUP = 1024


@dataclass(slots=True)
class _Write:
    """A piece of work, who waits for it, and in the end what came of it."""

    work: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any] | Future[Any]
    loop: asyncio.AbstractEventLoop | None
    value: Any = None
    error: Exception | None = None


class GroupWriter:
    """Runs pieces of work on one connection, in order, several in one transaction.

    A piece may be run again after a group was rolled back, so it must do nothing but work on the
    connection. `renew` keeps the right to write, and raises where it is lost.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, renew: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._path = path
        self._renew = renew
        self._queue: SimpleQueue[_Write | None] = SimpleQueue()
        self._submitting = Lock()
        self._is_open = True
        self._thread = Thread(target=self._run, name="helios-ledger", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[sqlite3.Connection], Value]) -> Value:
        """Do a piece of work and wait until it is on the disk; cancelling does not take it back."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Value] = loop.create_future()
        self._submit(_Write(work, future, loop))
        return await future

    def write_blocking(self, work: Callable[[sqlite3.Connection], Value]) -> Value:
        """Do a piece of work and block this thread until it is on the disk."""
        future: Future[Value] = Future()
        self._submit(_Write(work, future, None))
        return future.result()

    def close(self) -> None:
        """Finish what was submitted and end the thread; safe to call twice."""
        with self._submitting:
            if self._is_open:
                self._is_open = False
                self._queue.put(None)
        self._thread.join()

    def _submit(self, write: _Write) -> None:
        with self._submitting:
            if not self._is_open:
                raise ValueError(f"The ledger {self._path} is closed: open the study again.")
            self._queue.put(write)

    def _run(self) -> None:
        is_open = True
        while is_open:
            waiting = [self._next()]
            while len(waiting) < _MOST_IN_A_GROUP and not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            is_open = waiting[-1] is not None
            if group := [write for write in waiting if write is not None]:
                self._perform(group)
                _settle(group)

    def _next(self) -> _Write | None:
        while True:
            try:
                return self._queue.get(timeout=storage.RENEW_S)
            except Empty:
                with suppress(StudyError):  # the next write raises it too
                    self._renew()

    def _perform(self, group: list[_Write]) -> None:
        try:
            self._transact(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiters must hear of it
            self._roll_back()
            if len(group) > 1 and study_error(error, self._path) is None:
                # One of them is at fault: halving finds it in few transactions and keeps the order.
                self._perform(group[: len(group) // 2])
                self._perform(group[len(group) // 2 :])
                return
            for write in group:
                # Each waiter gets one of its own: tracebacks grow in an exception as it is raised.
                write.error = study_error(error, self._path) or error
                if write.error is not error:
                    write.error.__cause__ = error

    def _transact(self, group: list[_Write]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._renew()
        for write in group:
            write.value = write.work(self._connection)
        self._connection.execute("COMMIT")

    def _roll_back(self) -> None:
        try:
            self._connection.rollback()
        except sqlite3.Error as error:
            # The next transaction cannot begin then, and its waiters hear of it.
            _LOGGER.warning("A transaction of %s could not be undone: %s", self._path, error)


def _settle(group: list[_Write]) -> None:
    by_loop = defaultdict[asyncio.AbstractEventLoop | None, list[_Write]](list)
    for write in group:
        by_loop[write.loop].append(write)
    for loop, writes in by_loop.items():
        if loop is None:
            _resolve(writes)
            continue
        try:
            # One call for the whole group: waking a loop costs more than resolving a future.
            loop.call_soon_threadsafe(_resolve, writes)
        except RuntimeError:
            # The loop was closed, and its waiters with it; what they asked for is on the disk.
            _LOGGER.debug("%d writes were not waited for to the end.", len(writes))


def _resolve(writes: list[_Write]) -> None:
    for write in writes:
        if write.future.done():  # its waiter was cancelled
            continue
        if write.error is None:
            write.future.set_result(write.value)
        else:
            write.future.set_exception(write.error)
