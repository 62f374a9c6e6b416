"""What can be asked of a ledger, also while another process writes to it."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any, Self, TypeVar

from helios_research.codes import UNKNOWN_STATUS
from helios_research.ledger.records import (
    Attempt,
    SecretUrl,
    State,
    Transition,
    Withdrawn,
    invitation_to,
    load_runs,
    load_withdrawn,
    to_moment,
)
from helios_research.ledger.storage import connect_reader, corrupt_if_unreadable, sqlite_errors

T = TypeVar("T")

ROWS_IN_A_BLOCK = 2_000
"""Enough to make reading one block cheap against parsing it, and little enough to hold in memory."""

_COLUMNS = [field.name for field in fields(Attempt)]
_FLAG = _COLUMNS.index("delete_data")
_STATE = _COLUMNS.index("state")
_URL = _COLUMNS.index("upload_url")
_MOMENTS = [place for place, name in enumerate(_COLUMNS) if name.endswith("_at")]

_ATTEMPTS = f"SELECT {', '.join(_COLUMNS)} FROM attempts LEFT JOIN upload_urls USING (attempt_id)"  # noqa: S608 - column names of ours

_STATES = {state.value: state for state in State}


def load_attempt(connection: sqlite3.Connection, attempt_id: int) -> Attempt:
    """Read one attempt on a given connection."""
    row = connection.execute(f"{_ATTEMPTS} WHERE attempt_id = ?", (attempt_id,)).fetchone()
    if row is None:
        raise KeyError(attempt_id)
    with corrupt_if_unreadable():
        return _to_attempt(row)


class LedgerReader:
    """What can be asked of a ledger, from any thread; every call sees all that was committed before it.

    In WAL mode readers and the writer do not wait for each other. So the writer keeps others from
    writing by a lock of its own; under SQLite's exclusive mode a monitor would see nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = Lock()
        self._is_closed = False
        with sqlite_errors(path):
            self._connection = connect_reader(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """The study folder, with links resolved."""
        return self._path.parent

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        with self._reading:
            self._is_closed = True
            self._connection.close()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._reading, sqlite_errors(self._path):
            if self._is_closed:
                raise ValueError(f"The ledger {self._path} is closed: open the study again.")
            yield self._connection

    def _read(self, convert: Callable[[Any], T], query: str, *values: Any) -> list[T]:
        with self._connected() as connection:
            rows = connection.execute(query, values)
            # Once around all of them: around each it would take as long as reading them.
            with corrupt_if_unreadable():
                return [convert(row) for row in rows]

    def attempt(self, attempt_id: int) -> Attempt:
        """Read one attempt."""
        with self._connected() as connection:
            return load_attempt(connection, attempt_id)

    def attempts(self) -> list[Attempt]:
        """Read all attempts, oldest first."""
        return self._read(_to_attempt, f"{_ATTEMPTS} ORDER BY attempt_id")

    def attempts_of(self, sha256: str) -> list[Attempt]:
        """Read all attempts with one recording, oldest first."""
        return self.attempts_with([sha256])

    def attempts_with(self, recordings: Iterable[str]) -> list[Attempt]:
        """Read all attempts with some recordings, oldest first."""
        among = "SELECT value FROM json_each(?)"
        query = f"{_ATTEMPTS} WHERE sha256 IN ({among}) ORDER BY attempt_id"
        return self._read(_to_attempt, query, json.dumps(list(recordings)))

    def invitations(self) -> list[Attempt]:
        """Read all attempts that are invitations, oldest first."""
        first, beyond = invitation_to(""), invitation_to("\U0010ffff")
        query = f"{_ATTEMPTS} WHERE sha256 BETWEEN ? AND ? ORDER BY attempt_id"
        return self._read(_to_attempt, query, first, beyond)

    def columns_of_attempts(self, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Read some columns of all attempts as they are stored, oldest first, in constant memory."""
        query = f"SELECT attempt_id, {', '.join(names)} FROM attempts"  # noqa: S608 - column names of ours
        return (row[1:] for row in self._by_attempt(query))

    def answers(self) -> Iterator[tuple[int, str]]:
        """Read the raw final answers to attempts, by key, in constant memory."""
        return self._by_attempt("SELECT attempt_id, body FROM answers")

    def _by_attempt(self, query: str) -> Iterator[Any]:
        last, query = 0, f"{query} WHERE attempt_id > ? ORDER BY attempt_id LIMIT ?"
        while rows := self._read(tuple, query, last, ROWS_IN_A_BLOCK):
            yield from rows
            last = rows[-1][0]

    def transitions(self, attempt_id: int | None = None, *, after: int = 0) -> list[Transition]:
        """Read the audit trail, oldest entry first."""
        query = (
            "SELECT transition_id, attempt_id, state, at, note FROM transitions WHERE "
            "transition_id > ?1 AND (?2 IS NULL OR attempt_id = ?2) ORDER BY transition_id"
        )
        return self._read(_to_transition, query, after, attempt_id)

    def last_asked(self) -> dict[int, datetime]:
        """Read when each invitation was made, or last asked about with an answer, by its attempt."""
        query = (
            "SELECT attempt_id, max(at) FROM transitions WHERE state = ?1 "
            "AND coalesce(note ->> 'error_code', ?2) = ?2 GROUP BY attempt_id"
        )
        pairs = self._read(tuple, query, State.INVITED, UNKNOWN_STATUS)
        return {attempt_id: to_moment(at) for attempt_id, at in pairs}

    def newest_transition(self) -> int:
        """Give the key of the newest entry of the audit trail, to read later only what follows."""
        query = "SELECT coalesce(max(transition_id), 0) FROM transitions"
        return int(self._read(tuple, query)[0][0])

    def all_checks(self, settings: str, path: str | None = None) -> Iterator[tuple[str, str, Any]]:
        """Read location, stamp and facts of all checks, in constant memory.

        Facts are JSON text; with the path of one fact its value is read in place of them.
        """
        last = b""
        where = "location > ? ORDER BY location LIMIT ?"
        while rows := self._checks(path, where, settings, last, ROWS_IN_A_BLOCK):
            yield from rows
            last = os.fsencode(rows[-1][0])

    def checks_at(self, settings: str, locations: Iterable[str]) -> Iterator[tuple[str, str, str]]:
        """Read the checks of some recordings, as `all_checks` gives them."""
        places = [os.fsencode(location) for location in locations]
        for first in range(0, len(places), ROWS_IN_A_BLOCK):
            block = places[first : first + ROWS_IN_A_BLOCK]
            marks = ",".join("?" * len(block))
            yield from self._checks(None, f"location IN ({marks})", settings, *block)

    def _checks(self, path: str | None, where: str, *values: Any) -> list[tuple[str, str, Any]]:
        what = "facts" if path is None else "facts ->> ?"
        query = f"SELECT location, stamp, {what} FROM checks WHERE settings = ? AND {where}"  # noqa: S608 - words of ours
        given = [] if path is None else [path]
        return self._read(lambda row: (os.fsdecode(row[0]), *row[1:]), query, *given, *values)

    def get_setting(self, name: str, default: Any = None) -> Any:
        """Read a setting of the study; its name is one of `Setting`."""
        query = "SELECT value FROM settings WHERE name = ?"
        found = self._read(lambda row: json.loads(row[0]), query, name)
        return found[0] if found else default

    def withdrawn(self) -> Withdrawn:
        """Read who has withdrawn from the study, as far as it may know."""
        with self._connected() as connection:
            return load_withdrawn(connection)

    def withdrawn_runs(self, label: str) -> list[dict[str, Any]]:
        """Read the runs of a participant who has withdrawn, until they are handed over."""
        with self._connected() as connection:
            return load_runs(connection, label)


def _to_attempt(row: tuple[Any, ...]) -> Attempt:
    values = list(row)
    values[_FLAG] = bool(values[_FLAG])
    if values[_URL] is not None:
        values[_URL] = SecretUrl(values[_URL])
    values[_STATE] = _STATES[values[_STATE]]
    for place in _MOMENTS:
        if values[place] is not None:
            values[place] = to_moment(values[place])
    return Attempt(*values)


def _to_transition(row: tuple[int, int, str, int, str | None]) -> Transition:
    key, attempt, state, at, note = row
    return Transition(key, attempt, _STATES[state], to_moment(at), json.loads(note or "{}"))
