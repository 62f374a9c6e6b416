"""What can be asked of a ledger, also while another process writes to it."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from pydantic_core import from_json

from helios_research.ledger.attempts import Attempt, SecretUrl, State, Transition, to_moment
from helios_research.ledger.storage import (
    UNREADABLE,
    CorruptValueError,
    connect_reader,
    corrupt_if_unreadable,
    sqlite_errors,
)
from helios_research.ledger.withdrawals import Withdrawn, load_runs, load_withdrawn

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
    return _to_attempt(row)


class LedgerReader:
    """What can be asked of a ledger; every call sees all that was committed before it.

    In WAL mode readers and the writer do not wait for each other, whatever process they are in:
    that is why the writer takes SQLite's ordinary locks and keeps others from writing by a lock
    of its own, instead of SQLite's exclusive mode, under which a monitor would see nothing.

    Opened with the path of the ledger's file. May be used from several threads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = Lock()
        self._is_closed = False
        with sqlite_errors(path):
            self._connection = connect_reader(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._connected() as connection:
            return connection.execute(query, values).fetchall()

    # --- attempts ---------------------------------------------------------------------------------

    def attempt(self, attempt_id: int) -> Attempt:
        """Read one attempt."""
        with self._connected() as connection:
            return load_attempt(connection, attempt_id)

    def attempts(self) -> list[Attempt]:
        """Read all attempts, oldest first."""
        with self._connected() as connection:
            rows = connection.execute(f"{_ATTEMPTS} ORDER BY attempt_id")
            return [_to_attempt(row) for row in rows]

    def attempts_of(self, sha256: str) -> list[Attempt]:
        """Read all attempts with one recording, oldest first."""
        return self.attempts_with([sha256])

    def attempts_with(self, recordings: Iterable[str]) -> list[Attempt]:
        """Read all attempts with some recordings, oldest first."""
        among = "SELECT value FROM json_each(?)"
        query = f"{_ATTEMPTS} WHERE sha256 IN ({among}) ORDER BY attempt_id"
        with self._connected() as connection:
            rows = connection.execute(query, (json.dumps(list(recordings)),)).fetchall()
            return [_to_attempt(row) for row in rows]

    def answers_to(self, attempt_ids: Iterable[int]) -> dict[int, str]:
        """Read the raw final answers to some attempts."""
        query = (
            "SELECT attempt_id, body FROM answers "
            "WHERE attempt_id IN (SELECT value FROM json_each(?))"
        )
        return dict(self._rows(query, json.dumps(list(attempt_ids))))

    def transitions(self, attempt_id: int | None = None, *, after: int = 0) -> list[Transition]:
        """Read the audit trail, oldest entry first."""
        query = (
            "SELECT transition_id, attempt_id, state, at, note FROM transitions "
            "WHERE transition_id > :after AND (:attempt IS NULL OR attempt_id = :attempt) "
            "ORDER BY transition_id"
        )
        with self._connected() as connection:
            rows = connection.execute(query, {"after": after, "attempt": attempt_id}).fetchall()
            with corrupt_if_unreadable():
                return [
                    Transition(
                        key, attempt, _STATES[state], to_moment(at), json.loads(note or "{}")
                    )
                    for key, attempt, state, at, note in rows
                ]

    def newest_transition(self) -> int:
        """Give the key of the newest entry of the audit trail, to read later only what follows."""
        query = "SELECT coalesce(max(transition_id), 0) FROM transitions"
        return int(self._rows(query)[0][0])

    # --- checks, which are known by the locations of recordings -----------------------------------

    def cached_checks(self, settings: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Read what earlier checks found out about recordings, in constant memory."""
        for place, stamp, facts in self._all_checks(settings, "facts"):
            with sqlite_errors(self._path), corrupt_if_unreadable():
                found: dict[str, Any] = from_json(facts)
            yield place, stamp, found

    def cached_fact(self, settings: str, path: str) -> Iterator[tuple[str, str, Any]]:
        """Read one of the facts about each recording, in constant memory and without the rest."""
        return self._all_checks(settings, "facts ->> ?", path)

    def checks_at(
        self, settings: str, locations: Iterable[str]
    ) -> dict[str, tuple[str, dict[str, Any]]]:
        """Read what earlier checks found out about some recordings."""
        found = self._some_checks(settings, "facts", locations)
        # Once around all of them: around each it would take as long as reading them.
        with sqlite_errors(self._path), corrupt_if_unreadable():
            return {place: (stamp, from_json(facts)) for place, stamp, facts in found}

    def fact_at(self, settings: str, path: str, locations: Iterable[str]) -> dict[str, Any]:
        """Read one of the facts about some recordings, without the rest."""
        found = self._some_checks(settings, "facts ->> ?", locations, path)
        return {place: fact for place, _, fact in found}

    def _some_checks(
        self, settings: str, what: str, locations: Iterable[str], *values: str
    ) -> Iterator[tuple[str, str, Any]]:
        places = [os.fsencode(location) for location in locations]
        for first in range(0, len(places), ROWS_IN_A_BLOCK):
            block = places[first : first + ROWS_IN_A_BLOCK]
            marks = ",".join("?" * len(block))
            query = (
                f"SELECT location, stamp, {what} FROM checks "  # noqa: S608 - words of ours
                f"WHERE settings = ? AND location IN ({marks})"
            )
            for place, stamp, value in self._rows(query, *values, settings, *block):
                yield os.fsdecode(place), stamp, value

    def _all_checks(self, settings: str, what: str, *values: str) -> Iterator[tuple[str, str, Any]]:
        last = b""
        query = (
            f"SELECT location, stamp, {what} FROM checks WHERE settings = ? AND location > ? "  # noqa: S608 - words of ours
            "ORDER BY location LIMIT ?"
        )
        while rows := self._rows(query, *values, settings, last, ROWS_IN_A_BLOCK):
            for place, stamp, value in rows:
                yield os.fsdecode(place), stamp, value
            last = rows[-1][0]

    # --- the study --------------------------------------------------------------------------------

    def get_setting(self, name: str, default: Any = None) -> Any:
        """Read a setting of the study; its name is one of `Setting`."""
        with self._connected() as connection:
            query = "SELECT value FROM settings WHERE name = ?"
            row = connection.execute(query, (name,)).fetchone()
            with corrupt_if_unreadable():
                return default if row is None else json.loads(row[0])

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
    # Not `corrupt_if_unreadable`, which costs as much again, for each of 100,000 attempts.
    try:
        values[_STATE] = _STATES[values[_STATE]]
        for place in _MOMENTS:
            if values[place] is not None:
                values[place] = to_moment(values[place])
    except UNREADABLE as error:
        raise CorruptValueError from error
    return Attempt(*values)
