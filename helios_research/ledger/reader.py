"""Values in a ledger that nobody can have written: damage that SQLite itself does not notice."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

import pandas as pd
from pydantic_core import from_json

from helios_research.ledger.attempts import Attempt, SecretUrl, State, Transition, to_moment
from helios_research.ledger.storage import (
    NO_SENSE,
    ROWS_IN_A_BLOCK,
    Connected,
    DamagedValueError,
    making_sense,
    sqlite_errors,
)
from helios_research.ledger.withdrawals import Withdrawn, load_runs, load_withdrawn


class CheckReader(Connected):
    """The part of a ledger that knows recordings by their locations.

    Opened with the path of the ledger's file.
    """

    def cached_checks(self, settings: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Read what earlier checks found out about recordings, in constant memory."""
        for place, stamp, facts in self._checks(settings, "facts"):
            yield place, stamp, self._read(facts)

    def cached_fact(self, settings: str, path: str) -> Iterator[tuple[str, str, Any]]:
        """Read one of the facts about each recording, in constant memory and without the rest."""
        return self._checks(settings, "facts ->> ?", path)

    def checks_at(
        self, settings: str, locations: Iterable[str]
    ) -> dict[str, tuple[str, dict[str, Any]]]:
        """Read what earlier checks found out about some recordings."""
        found = self._checks_at(settings, "facts", locations)
        # Once around all of them: around each it would take as long as reading them.
        with sqlite_errors(self._path), making_sense():
            return {place: (stamp, from_json(facts)) for place, stamp, facts in found}

    def fact_at(self, settings: str, path: str, locations: Iterable[str]) -> dict[str, Any]:
        """Read one of the facts about some recordings, without the rest."""
        found = self._checks_at(settings, "facts ->> ?", locations, path)
        return {place: fact for place, _, fact in found}

    def _read(self, facts: str) -> dict[str, Any]:
        with sqlite_errors(self._path), making_sense():
            found: dict[str, Any] = from_json(facts)
            return found

    def _checks_at(
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
            with self._connected() as connection:
                rows = connection.execute(query, (*values, settings, *block)).fetchall()
            for place, stamp, value in rows:
                yield os.fsdecode(place), stamp, value

    def _checks(self, settings: str, what: str, *values: str) -> Iterator[tuple[str, str, Any]]:
        last = b""
        query = (
            f"SELECT location, stamp, {what} FROM checks WHERE settings = ? AND location > ? "  # noqa: S608 - words of ours
            "ORDER BY location LIMIT ?"
        )
        while True:
            with self._connected() as connection:
                rows = connection.execute(
                    query, (*values, settings, last, ROWS_IN_A_BLOCK)
                ).fetchall()
            if not rows:
                return
            for place, stamp, value in rows:
                yield os.fsdecode(place), stamp, value
            last = rows[-1][0]


_TEXT = (
    "sha256",
    "request_digest",
    "media_type",
    "source",
    "state",
    "model_run_id",
    "error_code",
    "error_reason",
)
_MOMENTS = (
    "begun_at",
    "created_at",
    "upload_began_at",
    "uploaded_at",
    "run_at",
    "completed_at",
)
_TYPES: dict[str, str] = dict.fromkeys(_TEXT, "str") | {
    "attempt_id": "int64",
    "number": "int64",
    "size_bytes": "int64",
    "duration_s": "float64",
    "delete_data": "bool",
}
_COLUMNS = [field.name for field in fields(Attempt)]
_FRAME_COLUMNS = [name for name in _COLUMNS if name not in ("request_text", "upload_url")]
_FLAG = _COLUMNS.index("delete_data")
_STATE = _COLUMNS.index("state")
_URL = _COLUMNS.index("upload_url")
_MOMENT_PLACES = [_COLUMNS.index(name) for name in _MOMENTS]

_ATTEMPTS = f"SELECT {', '.join(_COLUMNS)} FROM attempts LEFT JOIN upload_urls USING (attempt_id)"  # noqa: S608 - column names of ours

_STATES = {state.value: state for state in State}


def load_attempt(connection: sqlite3.Connection, attempt_id: int) -> Attempt:
    """Read one attempt on a given connection."""
    row = connection.execute(f"{_ATTEMPTS} WHERE attempt_id = ?", (attempt_id,)).fetchone()
    if row is None:
        raise KeyError(attempt_id)
    return _to_attempt(row)


class LedgerReader(CheckReader):
    """What can be asked of a ledger; every call sees all that was committed before it.

    In WAL mode readers and the writer do not wait for each other, whatever process they are in:
    that is why the writer takes SQLite's ordinary locks and keeps others from writing by a lock
    of its own, instead of SQLite's exclusive mode, under which a monitor would see nothing.

    Opened with the path of the ledger's file. May be used from several threads.
    """

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
        query = f"{_ATTEMPTS} WHERE sha256 = ? ORDER BY attempt_id"
        with self._connected() as connection:
            rows = connection.execute(query, (sha256,)).fetchall()
            return [_to_attempt(row) for row in rows]

    def attempts_with(self, recordings: Iterable[str]) -> list[Attempt]:
        """Read all attempts with some recordings, oldest first."""
        among = "SELECT value FROM json_each(?)"
        query = f"{_ATTEMPTS} WHERE sha256 IN ({among}) ORDER BY attempt_id"
        with self._connected() as connection:
            rows = connection.execute(query, (json.dumps(list(recordings)),)).fetchall()
            return [_to_attempt(row) for row in rows]

    def attempts_frame(self) -> pd.DataFrame:
        """Read all attempts as a table, without their requests and upload URLs."""
        query = f"SELECT {', '.join(_FRAME_COLUMNS)} FROM attempts ORDER BY attempt_id"  # noqa: S608 - column names of ours
        with self._connected() as connection:
            rows = connection.execute(query).fetchall()
        frame = pd.DataFrame.from_records(rows, columns=_FRAME_COLUMNS)
        moments = {
            name: pd.to_datetime(frame[name].astype("Int64"), unit="us", utc=True).astype(
                "datetime64[us, UTC]"
            )
            for name in _MOMENTS
        }
        return frame.assign(**moments).astype(_TYPES)

    def answers(self) -> Iterator[tuple[int, str]]:
        """Read the raw final answers, oldest attempt first, in constant memory."""
        last = -1
        query = (
            "SELECT attempt_id, body FROM answers WHERE attempt_id > ? ORDER BY attempt_id LIMIT ?"
        )
        while True:
            with self._connected() as connection:
                rows = connection.execute(query, (last, ROWS_IN_A_BLOCK)).fetchall()
            if not rows:
                return
            yield from rows
            last = rows[-1][0]

    def answers_to(self, attempt_ids: Iterable[int]) -> dict[int, str]:
        """Read the raw final answers to some attempts."""
        query = (
            "SELECT attempt_id, body FROM answers "
            "WHERE attempt_id IN (SELECT value FROM json_each(?))"
        )
        with self._connected() as connection:
            return dict(connection.execute(query, (json.dumps(list(attempt_ids)),)).fetchall())

    def answer(self, attempt_id: int) -> dict[str, Any] | None:
        """Read the raw final answer to one attempt."""
        query = "SELECT body FROM answers WHERE attempt_id = ?"
        with self._connected() as connection:
            row = connection.execute(query, (attempt_id,)).fetchone()
            with making_sense():
                return None if row is None else json.loads(row[0])

    def transitions(self, attempt_id: int | None = None, *, after: int = 0) -> list[Transition]:
        """Read the audit trail, oldest entry first."""
        query = (
            "SELECT transition_id, attempt_id, state, at, note FROM transitions "
            "WHERE transition_id > :after AND (:attempt IS NULL OR attempt_id = :attempt) "
            "ORDER BY transition_id"
        )
        with self._connected() as connection:
            rows = connection.execute(query, {"after": after, "attempt": attempt_id}).fetchall()
            with making_sense():
                return [
                    Transition(
                        key, attempt, _STATES[state], to_moment(at), json.loads(note or "{}")
                    )
                    for key, attempt, state, at, note in rows
                ]

    def newest_transition(self) -> int:
        """Tell how far the audit trail goes, to read only what comes after it later."""
        query = "SELECT coalesce(max(transition_id), 0) FROM transitions"
        with self._connected() as connection:
            return int(connection.execute(query).fetchone()[0])

    def counts(self) -> dict[State, int]:
        """Count recordings by the state of their latest attempt."""
        # SQLite takes the bare column from the row that holds the maximum.
        query = (
            "SELECT state, count(*) FROM (SELECT state, max(attempt_id) FROM attempts "
            "GROUP BY sha256, request_digest, source) GROUP BY state"
        )
        with self._connected() as connection:
            found = dict(connection.execute(query).fetchall())
        return {state: found[state.value] for state in State if state.value in found}

    def get_setting(self, name: str, default: Any = None) -> Any:
        """Read a setting of the study."""
        query = "SELECT value FROM settings WHERE name = ?"
        with self._connected() as connection:
            row = connection.execute(query, (name,)).fetchone()
            with making_sense():
                return default if row is None else json.loads(row[0])

    def withdrawn(self) -> Withdrawn:
        """Tell who has withdrawn from the study, as far as it may know."""
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
    # Not `making_sense`, which costs as much again, for each of 100,000 attempts.
    try:
        values[_STATE] = _STATES[values[_STATE]]
        for place in _MOMENT_PLACES:
            if values[place] is not None:
                values[place] = to_moment(values[place])
    except NO_SENSE as error:
        raise DamagedValueError from error
    return Attempt(*values)
