"""The ledger of a study: the only truth about what has happened to each recording."""

import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, Unpack

from helios_research.errors import RepeatedAttemptError
from helios_research.ledger.attempts import (
    Attempt,
    Changes,
    NewAttempt,
    State,
    moved,
    to_microseconds,
)
from helios_research.ledger.lock import StudyLock
from helios_research.ledger.migrations import MIGRATIONS, check_version, migrate, version_of
from helios_research.ledger.reader import LedgerReader, load_attempt
from helios_research.ledger.storage import (
    connect_reader,
    connect_writer,
    existing_database,
    prepare_database,
    prepare_folder,
    storage_errors,
    tidy,
)
from helios_research.ledger.writer import GroupWriter

_LOGGER = logging.getLogger(__name__)

_INSERT = """
INSERT INTO attempts (sha256, request_digest, request_text, number, media_type, size_bytes,
    duration_s, delete_data, source, state, begun_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
RETURNING attempt_id
"""
_UPDATE = """
UPDATE attempts SET state = ?, model_run_id = ?, error_code = ?, error_reason = ?, created_at = ?,
    upload_began_at = ?, uploaded_at = ?, run_at = ?, completed_at = ?
WHERE attempt_id = ?
"""
_TRANSITION = "INSERT INTO transitions (attempt_id, state, at, note) VALUES (?, ?, ?, ?)"
_ANSWER = "INSERT OR REPLACE INTO answers (attempt_id, body) VALUES (?, ?)"


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger(LedgerReader):
    """A study's ledger, open for writing by this process alone.

    Made by `Ledger.open`; a context manager. Everything that returns has been committed and
    handed to the disk, so a kill at any moment loses nothing that was acknowledged.

    Parameters
    ----------
    path
        The ledger's file.
    connection
        A writing connection to it, migrated to the present schema.
    lock
        The right to write; given back by `close`, as the connection is closed by it.
    clock
        Tells the present moment, UTC.
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
        """Open the ledger in a folder, or begin one, and keep others from writing to it.

        Parameters
        ----------
        folder
            The study folder; made if there is none.
        clock
            Tells the present moment, UTC.

        Returns
        -------
        Ledger
            The open ledger.

        Raises
        ------
        StudyLockedError
            Another process, or this one, has it open.
        StudyVersionError
            A newer version of the package wrote it.
        StudyStorageError
            The folder cannot be written to.
        StudyDamagedError
            What is there is not a ledger.
        """
        folder = prepare_folder(Path(folder))
        with ExitStack() as undo:
            lock = StudyLock(folder, clock())
            undo.callback(lock.release)
            path = prepare_database(folder)
            with storage_errors(path):
                connection = connect_writer(path)
                undo.callback(connection.close)
                migrate(connection, path, MIGRATIONS)
                tidy(connection)
            ledger = cls(path, connection, lock, clock)
            undo.pop_all()
            return ledger

    @classmethod
    def read(cls, folder: Path) -> LedgerReader:
        """Open the ledger in a folder for reading only, also while another process writes.

        Parameters
        ----------
        folder
            The study folder.

        Returns
        -------
        LedgerReader
            The ledger, without anything that writes.

        Raises
        ------
        StudyMissingError
            There is no ledger in the folder.
        StudyVersionError
            A newer version of the package wrote it.
        StudyDamagedError
            What is there is not a ledger.
        """
        path = existing_database(Path(folder))
        with storage_errors(path):
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
        """Write down that an attempt is about to be made.

        Parameters
        ----------
        new
            What is known of it.

        Returns
        -------
        Attempt
            The attempt, in state ``CREATING``.

        Raises
        ------
        RepeatedAttemptError
            The same recording and request is under way already, or has its scores.
        StudyStorageError
            It could not be written; nothing must be sent.
        """
        work = partial(_insert, new, _to_json(new.request), self._clock())
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

        Parameters
        ----------
        attempt_id
            Key of the attempt.
        state
            The state that it moves to; its own again to note something meanwhile.
        answer
            The raw final answer, to be kept.
        **changes
            Attributes of the attempt that change with it.

        Returns
        -------
        Attempt
            The attempt after the move.

        Raises
        ------
        KeyError
            There is no such attempt.
        ValueError
            The state may not follow the attempt's own.
        StudyStorageError
            It could not be written.
        """
        body = None if answer is None else _to_json(answer)
        work = partial(_move, attempt_id, state, self._clock(), changes, body)
        return await self._writer.write(work)

    async def keep_answer(self, attempt_id: int, body: Mapping[str, Any]) -> None:
        """Keep a raw answer in place of the one kept before.

        Parameters
        ----------
        attempt_id
            Key of the attempt.
        body
            The JSON body.
        """
        row = (attempt_id, _to_json(body))
        await self._writer.write(lambda connection: connection.execute(_ANSWER, row) and None)

    async def put_setting(self, name: str, value: Any) -> None:
        """Keep a setting of the study.

        Parameters
        ----------
        name
            Its name.
        value
            A JSON value.
        """
        await self._writer.write(partial(_put_setting, name, _to_json(value)))

    def put_setting_blocking(self, name: str, value: Any) -> None:
        """Keep a setting of the study, from code that is not async.

        Parameters
        ----------
        name
            Its name.
        value
            A JSON value.
        """
        self._writer.write_blocking(partial(_put_setting, name, _to_json(value)))

    def store_checks(
        self, settings: str, checks: Iterable[tuple[str, str, Mapping[str, Any]]]
    ) -> None:
        """Keep what was found out about recordings, in place of what was known of them before.

        Blocks until all of it is on the disk.

        Parameters
        ----------
        settings
            Key of the settings that the checks were made with.
        checks
            Location, stamp and facts (JSON values) of each recording.
        """
        rows = [
            (os.fsencode(location), settings, stamp, _to_json(facts))
            for location, stamp, facts in checks
        ]
        self._writer.write_blocking(partial(_store_checks, rows))


def _to_json(value: Any) -> str:
    # Escaped to ASCII: an answer may hold half a surrogate pair, which SQLite refuses as text.
    return json.dumps(value, separators=(",", ":"))


def _insert(new: NewAttempt, request: str, at: datetime, connection: sqlite3.Connection) -> Attempt:
    begun = to_microseconds(at)
    row = (
        *(new.sha256, new.request_digest, request, new.number, new.media_type, new.size_bytes),
        *(new.duration_s, new.delete_data, new.source, State.CREATING.value, begun),
    )
    try:
        ((attempt_id,),) = connection.execute(_INSERT, row).fetchall()
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname != "SQLITE_CONSTRAINT_UNIQUE":
            raise
        raise RepeatedAttemptError(new.sha256) from error
    connection.execute(_TRANSITION, (attempt_id, State.CREATING.value, begun, None))
    return load_attempt(connection, attempt_id)


def _move(
    attempt_id: int,
    state: State,
    at: datetime,
    changes: Changes,
    body: str | None,
    connection: sqlite3.Connection,
) -> Attempt:
    before = load_attempt(connection, attempt_id)
    after = moved(before, state, at, changes)
    moments = (after.created_at, after.upload_began_at, after.uploaded_at)
    more_moments = (after.run_at, after.completed_at)
    row = (
        *(after.state.value, after.model_run_id, after.error_code, after.error_reason),
        *map(to_microseconds, moments + more_moments),
        attempt_id,
    )
    connection.execute(_UPDATE, row)
    connection.execute(
        _TRANSITION, (attempt_id, state.value, to_microseconds(at), _note(after, changes))
    )
    if after.upload_url != before.upload_url:
        _put_upload_url(connection, attempt_id, after.upload_url)
    if body is not None:
        connection.execute(_ANSWER, (attempt_id, body))
    return after


def _note(after: Attempt, changes: Changes) -> str | None:
    note = {name: getattr(after, name) for name in changes if name != "upload_url"}
    return json.dumps(note, default=datetime.isoformat) if note else None


def _put_upload_url(connection: sqlite3.Connection, attempt_id: int, url: str | None) -> None:
    if url is None:
        connection.execute("DELETE FROM upload_urls WHERE attempt_id = ?", (attempt_id,))
    else:
        connection.execute("INSERT OR REPLACE INTO upload_urls VALUES (?, ?)", (attempt_id, url))


def _put_setting(name: str, value: str, connection: sqlite3.Connection) -> None:
    connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))


def _store_checks(rows: list[tuple[bytes, str, str, str]], connection: sqlite3.Connection) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO checks (location, settings, stamp, facts) VALUES (?, ?, ?, ?)", rows
    )
