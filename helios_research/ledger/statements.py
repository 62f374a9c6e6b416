"""What each kind of entry does to the ledger's tables, inside a transaction that is open."""

import json
import sqlite3
from datetime import datetime
from typing import Any

from helios_research.errors import RepeatedAttemptError
from helios_research.ledger.attempts import (
    Attempt,
    Changes,
    NewAttempt,
    State,
    moved,
    to_microseconds,
)
from helios_research.ledger.reader import load_attempt

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
ANSWER = "INSERT OR REPLACE INTO answers (attempt_id, body) VALUES (?, ?)"


def to_json(value: Any) -> str:
    """Write a JSON value as the ledger keeps it."""
    # Escaped to ASCII: an answer may hold half a surrogate pair, which SQLite refuses as text.
    return json.dumps(value, separators=(",", ":"))


def insert(new: NewAttempt, request: str, at: datetime, connection: sqlite3.Connection) -> Attempt:
    """Begin an attempt."""
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


def move(
    attempt_id: int,
    state: State,
    at: datetime,
    changes: Changes,
    body: str | None,
    connection: sqlite3.Connection,
) -> Attempt:
    """Move an attempt to a state, with all that changes with it."""
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
        connection.execute(ANSWER, (attempt_id, body))
    return after


def _note(after: Attempt, changes: Changes) -> str | None:
    note = {name: getattr(after, name) for name in changes if name != "upload_url"}
    return json.dumps(note, default=datetime.isoformat) if note else None


def _put_upload_url(connection: sqlite3.Connection, attempt_id: int, url: str | None) -> None:
    if url is None:
        connection.execute("DELETE FROM upload_urls WHERE attempt_id = ?", (attempt_id,))
    else:
        connection.execute("INSERT OR REPLACE INTO upload_urls VALUES (?, ?)", (attempt_id, url))


def put_setting(name: str, value: str, connection: sqlite3.Connection) -> None:
    """Keep a setting in place of what it was."""
    connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))


def store_checks(rows: list[tuple[bytes, str, str, str]], connection: sqlite3.Connection) -> None:
    """Keep checks in place of what was known of the same recordings."""
    connection.executemany(
        "INSERT OR REPLACE INTO checks (location, settings, stamp, facts) VALUES (?, ?, ?, ?)", rows
    )
