"""The ledger of a study: the only truth about what has happened to each recording."""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, Unpack

from helios_research.ledger.attempts import Attempt, Changes, NewAttempt, SecretUrl, State
from helios_research.ledger.reader import LedgerReader
from helios_research.ledger.schema import (
    ANSWER,
    MIGRATIONS,
    check_version,
    insert,
    migrate,
    move,
    put_setting,
    store_checks,
    to_json,
    version_of,
)
from helios_research.ledger.storage import (
    connect_reader,
    connect_writer,
    existing_database,
    prepare_database,
    prepare_folder,
    rewrite,
    sqlite_errors,
    tidy,
    warn_if_open_to_others,
)
from helios_research.ledger.withdrawals import Removal, hand_over_runs, remove, take_back
from helios_research.ledger.writer import GroupWriter, StudyLock

_LOGGER = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger(LedgerReader):
    """A study's ledger, open for writing by this process alone.

    Made by `Ledger.open`; a context manager. Everything that returns has been committed and
    handed to the disk, so a kill at any moment loses nothing that was acknowledged.
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
        self._writer = GroupWriter(connection, path)
        self._is_open = True

    @classmethod
    def open(cls, folder: Path, *, clock: Callable[[], datetime] = _now) -> Self:
        """Open the ledger in a folder, or begin one, and keep others from writing to it."""
        folder = prepare_folder(Path(folder))
        warn_if_open_to_others(folder)
        with ExitStack() as undo:
            lock = StudyLock(folder, clock())
            undo.callback(lock.release)
            path = prepare_database(folder)
            with sqlite_errors(path):
                connection = connect_writer(path)
                undo.callback(connection.close)
                migrate(connection, path, MIGRATIONS)
                tidy(connection)
            ledger = cls(path, connection, lock, clock)
            undo.pop_all()
            return ledger

    @classmethod
    def read(cls, folder: Path) -> LedgerReader:
        """Open the ledger in a folder for reading only, also while another process writes."""
        path = existing_database(Path(folder))
        with sqlite_errors(path):
            connection = connect_reader(path)
            try:
                version = version_of(connection, path)
            finally:
                connection.close()
        check_version(version, path, MIGRATIONS)
        if version < len(MIGRATIONS):
            cls.open(folder).close()
        return LedgerReader(path)

    def close(self) -> None:
        """Finish what is being written, tidy the file and let others write; safe to call twice."""
        self._writer.close()
        super().close()
        if not self._is_open:
            return
        self._is_open = False
        try:
            tidy(self._writing)
        except sqlite3.Error as error:
            # Everything acknowledged is safe in the WAL; the next opening tidies up.
            _LOGGER.warning("The ledger %s could not be tidied: %s", self._path, error)
        finally:
            self._writing.close()
            self._lock.release()

    async def begin(self, new: NewAttempt) -> Attempt:
        """Write down that an attempt is about to be made."""
        work = partial(insert, new, to_json(new.request), self._clock())
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

        ``created_at``, ``upload_began_at`` and ``uploaded_at`` are filled in from the clock where
        they are not given. The upload URL is erased as soon as the upload is settled.
        """
        if changes.get("upload_url"):
            changes["upload_url"] = SecretUrl(changes["upload_url"])
        body = None if answer is None else to_json(answer)
        work = partial(move, attempt_id, state, self._clock(), changes, body)
        return await self._writer.write(work)

    async def keep_answer(self, attempt_id: int, body: Mapping[str, Any]) -> None:
        """Keep a raw answer in place of the one kept before."""
        row = (attempt_id, to_json(body))
        await self._writer.write(lambda connection: connection.execute(ANSWER, row) and None)

    async def put_setting(self, name: str, value: Any) -> None:
        """Keep a setting of the study."""
        await self._writer.write(partial(put_setting, name, to_json(value)))

    def put_setting_blocking(self, name: str, value: Any) -> None:
        """Keep a setting of the study, from code that is not async."""
        self._writer.write_blocking(partial(put_setting, name, to_json(value)))

    def store_checks(
        self, settings: str, checks: Iterable[tuple[str, str, Mapping[str, Any]]]
    ) -> None:
        """Keep what was found out about recordings, in place of what was known of them before.

        Blocks until all of it is on the disk.
        """
        rows = [
            (os.fsencode(location), settings, stamp, to_json(facts))
            for location, stamp, facts in checks
        ]
        self._writer.write_blocking(partial(store_checks, rows))

    def remove(self, removal: Removal) -> bool:
        """Remove a participant for good, and leave marks by which they are known again.

        Blocks until nothing of what was removed can be found in the ledger's files.
        """
        self._writer.write_blocking(partial(remove, removal))
        # The writer's thread has the connection to itself, so it is ended for a moment.
        self._writer.close()
        try:
            with sqlite_errors(self._path):
                return rewrite(self._writing)
        finally:
            self._writer = GroupWriter(self._writing, self._path)

    def hand_over_runs(self, label: str) -> None:
        """Forget the runs of a participant who has withdrawn, for good once the ledger is closed."""
        self._writer.write_blocking(partial(hand_over_runs, label))

    def take_back_withdrawal(self, label: str, code: str) -> bool:
        """Take a withdrawal back, so that what is of the participant may be sent again."""
        return self._writer.write_blocking(partial(take_back, label, code))
