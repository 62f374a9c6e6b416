"""The ledger's schema, how an older ledger gets it, and the statements that write to it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from helios_research import errors
from helios_research.ledger.checksums import SEALED, sealing
from helios_research.ledger.reader import load_attempt
from helios_research.ledger.records import (
    Attempt,
    Changes,
    NewAttempt,
    State,
    is_invitation,
    moved,
    to_microseconds,
)

# "HELI" in ASCII: distinguishes a ledger from any other SQLite file.
APPLICATION_ID = 0x48454C49

# The index on live attempts is the last line of defence against processing a recording's audio
# twice: while one attempt is in progress or has scores, SQLite refuses another with the same bytes,
# the same request and the same service. A run belongs to one attempt: something on the way may repeat
# an earlier answer, and two recordings that are put to one run get each other's scores.
#
# Upload URLs live in a table of their own, because it is small enough to be rewritten whole:
# `secure_delete` zeroes what is deleted, but not the copies that stay behind in the unused part
# of a page when SQLite moves rows between pages. Locations are bytes: a file's name need not be text.
#
# Of a participant who has withdrawn, only marks are kept, so that nothing is sent again (see
# `Withdrawn`), and the run ids until they have been handed over to who asked for the withdrawal.
_SCHEMA = f"""
CREATE TABLE attempts (
    attempt_id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    request_text TEXT NOT NULL,
    number INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    duration_s REAL,
    delete_data INTEGER NOT NULL,
    source TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('creating', 'inviting', 'created', 'invited',
        'uploading', 'uploaded', 'scored', 'failed', 'rejected', 'lost', 'abandoned')),
    model_run_id TEXT UNIQUE,
    error_code TEXT,
    error_reason TEXT,
    begun_at INTEGER NOT NULL,
    created_at INTEGER,
    upload_began_at INTEGER,
    uploaded_at INTEGER,
    run_at INTEGER,
    completed_at INTEGER
) STRICT;

CREATE UNIQUE INDEX one_live_attempt ON attempts (sha256, request_digest, source)
    WHERE state IN ('creating', 'inviting', 'created', 'invited', 'uploading', 'uploaded', 'scored');

CREATE INDEX attempts_by_recording ON attempts (sha256);

CREATE TABLE upload_urls (
    attempt_id INTEGER PRIMARY KEY REFERENCES attempts, upload_url TEXT NOT NULL) STRICT;
CREATE TABLE transitions (
    transition_id INTEGER PRIMARY KEY, attempt_id INTEGER NOT NULL REFERENCES attempts,
    state TEXT NOT NULL, at INTEGER NOT NULL, note TEXT) STRICT;
CREATE TABLE answers (
    attempt_id INTEGER PRIMARY KEY REFERENCES attempts, body TEXT NOT NULL) STRICT;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE checks (
    location BLOB NOT NULL, settings TEXT NOT NULL, stamp TEXT NOT NULL, facts TEXT NOT NULL,
    PRIMARY KEY (location, settings)) STRICT, WITHOUT ROWID;
CREATE TABLE withdrawals (
    withdrawal_id INTEGER PRIMARY KEY, label_mark TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE withdrawn_audio (
    audio_mark TEXT PRIMARY KEY, withdrawal_id INTEGER NOT NULL REFERENCES withdrawals
    ) STRICT, WITHOUT ROWID;
CREATE TABLE withdrawn_runs (
    withdrawal_id INTEGER NOT NULL REFERENCES withdrawals, facts TEXT NOT NULL) STRICT;

{"".join(map(sealing, SEALED))}
PRAGMA application_id = {APPLICATION_ID};
"""

# A column that is added later has to be in the checksum, which that migration then renews.
MIGRATIONS: tuple[str, ...] = (_SCHEMA,)
"""SQL that takes a ledger from version 0 to 1, from 1 to 2, and so on; never edited once released."""


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Read the schema version of a ledger; refuse another file, or a newer package's ledger."""
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if application != APPLICATION_ID and not (is_empty and application == version == 0):
        raise errors.StudyDamagedError(path, "it is a database of another program")
    if version > len(MIGRATIONS):
        raise errors.StudyVersionError(path.parent, found=version, supported=len(MIGRATIONS))
    return version


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a ledger to the newest schema; each migration is one transaction with its record."""
    version = version_of(connection, path)
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE; {statements}; PRAGMA user_version = {number}; COMMIT;"
            )
        except BaseException:
            connection.rollback()
            raise


_BEGUN = (
    *("sha256", "request_digest", "request_text", "number", "media_type", "size_bytes"),
    *("duration_s", "delete_data", "source", "state", "begun_at"),
)
_CHANGED = (
    *("state", "model_run_id", "error_code", "error_reason", "created_at", "upload_began_at"),
    *("uploaded_at", "run_at", "completed_at"),
)
_VALUES = ", ".join("?" * len(_BEGUN))
_INSERT = f"INSERT INTO attempts ({', '.join(_BEGUN)}) VALUES ({_VALUES}) RETURNING attempt_id"  # noqa: S608 - column names of ours
_UPDATE = f"UPDATE attempts SET {' = ?, '.join(_CHANGED)} = ? WHERE attempt_id = ?"  # noqa: S608 - column names of ours
_TRANSITION = "INSERT INTO transitions (attempt_id, state, at, note) VALUES (?, ?, ?, ?)"
ANSWER = "INSERT OR REPLACE INTO answers (attempt_id, body) VALUES (?, ?)"
SETTING = "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)"
CHECK = "INSERT OR REPLACE INTO checks (location, settings, stamp, facts) VALUES (?, ?, ?, ?)"


def to_json(value: Any) -> str:
    """Write a JSON value as the ledger keeps it."""
    # Escaped to ASCII: an answer may hold half a surrogate pair, which SQLite refuses as text.
    return json.dumps(value, separators=(",", ":"))


def insert(new: NewAttempt, request: str, at: datetime, connection: sqlite3.Connection) -> Attempt:
    """Begin an attempt."""
    begun = to_microseconds(at)
    state = (State.INVITING if is_invitation(new.sha256) else State.CREATING).value
    given = {"request_text": request, "state": state, "begun_at": begun}
    row = [given[name] if name in given else getattr(new, name) for name in _BEGUN]
    with _unique_or(errors.RepeatedAttemptError(new.sha256)):
        ((attempt_id,),) = connection.execute(_INSERT, row).fetchall()
    connection.execute(_TRANSITION, (attempt_id, state, begun, None))
    return load_attempt(connection, attempt_id)


@contextmanager
def _unique_or(repeated: errors.StudyError) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname != "SQLITE_CONSTRAINT_UNIQUE":
            raise
        raise repeated from error


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
    values = ((name, getattr(after, name)) for name in _CHANGED)
    row = [to_microseconds(value) if name.endswith("_at") else value for name, value in values]
    with _unique_or(errors.RepeatedRunError()):
        connection.execute(_UPDATE, (*row, attempt_id))
    note = {name: getattr(after, name) for name in changes if name != "upload_url"}
    text = json.dumps(note, default=datetime.isoformat) if note else None
    connection.execute(_TRANSITION, (attempt_id, state.value, to_microseconds(at), text))
    if after.upload_url != before.upload_url:
        _put_upload_url(connection, attempt_id, after.upload_url)
    if body is not None:
        connection.execute(ANSWER, (attempt_id, body))
    return after


def _put_upload_url(connection: sqlite3.Connection, attempt_id: int, url: str | None) -> None:
    if url is None:
        connection.execute("DELETE FROM upload_urls WHERE attempt_id = ?", (attempt_id,))
        return
    # No index: it would hold further copies of what has to be erased, and the table is small.
    others = "SELECT 1 FROM upload_urls WHERE upload_url = ? AND attempt_id != ?"
    if connection.execute(others, (url, attempt_id)).fetchone():
        raise errors.RepeatedRunError
    put = "INSERT OR REPLACE INTO upload_urls (attempt_id, upload_url) VALUES (?, ?)"
    connection.execute(put, (attempt_id, url))
