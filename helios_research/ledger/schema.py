"""The ledger's schema, how an older ledger gets it, and the statements that write to it."""

import json
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

from helios_research.errors import (
    RepeatedAttemptError,
    RepeatedRunError,
    StudyDamagedError,
    StudyVersionError,
)
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

# "HELR" in ASCII: distinguishes a ledger from any other SQLite file.
APPLICATION_ID = 0x48454C52

# The index on live attempts is the last line of defence against processing a recording's audio
# twice: while one attempt is in progress or has scores, SQLite refuses another with the same bytes,
# the same request and the same service.
#
# Locations are bytes, because a file's name need not be valid text.
#
# Upload URLs live in a table of their own, because it is small enough to be rewritten whole:
# `secure_delete` zeroes what is deleted, but not the copies that stay behind in the unused part
# of a page when SQLite moves rows between pages.
_FIRST = f"""
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
    state TEXT NOT NULL CHECK (state IN ('creating', 'created', 'uploading', 'uploaded',
        'scored', 'failed', 'rejected', 'lost', 'abandoned')),
    model_run_id TEXT,
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
    WHERE state IN ('creating', 'created', 'uploading', 'uploaded', 'scored');

CREATE INDEX attempts_by_recording ON attempts (sha256);

CREATE TABLE upload_urls (
    attempt_id INTEGER PRIMARY KEY REFERENCES attempts,
    upload_url TEXT NOT NULL
) STRICT;

CREATE TABLE transitions (
    transition_id INTEGER PRIMARY KEY,
    attempt_id INTEGER NOT NULL REFERENCES attempts,
    state TEXT NOT NULL,
    at INTEGER NOT NULL,
    note TEXT
) STRICT;

CREATE TABLE answers (
    attempt_id INTEGER PRIMARY KEY REFERENCES attempts,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE checks (
    location BLOB NOT NULL,
    settings TEXT NOT NULL,
    stamp TEXT NOT NULL,
    facts TEXT NOT NULL,
    PRIMARY KEY (location, settings)
) STRICT, WITHOUT ROWID;

PRAGMA application_id = {APPLICATION_ID};
"""

# Of a participant who has withdrawn, only marks are kept: salted hashes of the label and of the
# audio, so that neither is sent again. Only the label itself shows which mark is its own.
# The run ids stay only until they have been handed over to the user who asked for the withdrawal.
_SECOND = """
CREATE TABLE withdrawals (
    withdrawal_id INTEGER PRIMARY KEY,
    label_mark TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE withdrawn_audio (
    audio_mark TEXT PRIMARY KEY,
    withdrawal_id INTEGER NOT NULL REFERENCES withdrawals
) STRICT, WITHOUT ROWID;

CREATE TABLE withdrawn_runs (
    withdrawal_id INTEGER NOT NULL REFERENCES withdrawals,
    facts TEXT NOT NULL
) STRICT;
"""

# A run belongs to one attempt: something on the way may repeat an earlier answer, and two recordings
# that are put to one run get each other's scores. Where a ledger has such a run already, no one can
# tell whose scores they are, so they are nobody's; the answers themselves stay.
_THIRD = """
CREATE TEMPORARY TABLE shared AS SELECT attempt_id, min(attempt_id) OVER (
    PARTITION BY model_run_id) AS first_id FROM attempts WHERE model_run_id IN (
    SELECT model_run_id FROM attempts GROUP BY model_run_id HAVING count(*) > 1);

UPDATE attempts SET state = 'failed', error_code = 'ANSWER_MIXED_UP', error_reason =
    'Helios gave the run ' || model_run_id || ' to several recordings, so its scores are not used.'
    WHERE attempt_id IN (SELECT attempt_id FROM shared);
UPDATE attempts SET model_run_id = NULL
    WHERE attempt_id IN (SELECT attempt_id FROM shared WHERE attempt_id != first_id);
DELETE FROM upload_urls WHERE attempt_id IN (SELECT attempt_id FROM shared);
INSERT INTO transitions (attempt_id, state, at, note)
    SELECT attempt_id, 'failed', unixepoch() * 1000000, json_object('error_code', error_code)
    FROM attempts WHERE attempt_id IN (SELECT attempt_id FROM shared);
DROP TABLE shared;

CREATE UNIQUE INDEX one_attempt_per_run ON attempts (model_run_id);
"""

# A column that is added later has to be in the checksum, which that migration then renews.
_FOURTH = "".join(map(sealing, SEALED))

# Invitations have two states of their own. A CHECK is changed in the schema's text: a table that others
# refer to cannot be dropped in a transaction (https://sqlite.org/lang_altertable.html#otheralter).
_FIFTH = """
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '''abandoned''', '''abandoned'', ''inviting'', ''invited''')
    WHERE name = 'attempts';
PRAGMA writable_schema = RESET;

DROP INDEX one_live_attempt;
CREATE UNIQUE INDEX one_live_attempt ON attempts (sha256, request_digest, source) WHERE state IN
    ('creating', 'inviting', 'created', 'invited', 'uploading', 'uploaded', 'scored');
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH)
"""SQL that takes a ledger from version 0 to 1, from 1 to 2, and so on; never edited once released."""


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Read the schema version of a ledger; refuse another file, or a newer package's ledger."""
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if application != APPLICATION_ID and not (is_empty and application == version == 0):
        raise StudyDamagedError(path, "it is a database of another program")
    if version > len(MIGRATIONS):
        raise StudyVersionError(path.parent, found=version, supported=len(MIGRATIONS))
    return version


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a ledger to the newest schema.

    Each migration and the record that it was done are one transaction, so a kill or a full disk
    in between leaves the ledger at the version before.
    """
    version = version_of(connection, path)
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE; {statements}; PRAGMA user_version = {number}; COMMIT;"
            )
        except BaseException:
            connection.rollback()
            raise


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
    state = (State.INVITING if is_invitation(new.sha256) else State.CREATING).value
    row = (
        *(new.sha256, new.request_digest, request, new.number, new.media_type, new.size_bytes),
        *(new.duration_s, new.delete_data, new.source, state, begun),
    )
    try:
        ((attempt_id,),) = connection.execute(_INSERT, row).fetchall()
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname != "SQLITE_CONSTRAINT_UNIQUE":
            raise
        raise RepeatedAttemptError(new.sha256) from error
    connection.execute(_TRANSITION, (attempt_id, state, begun, None))
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
    try:
        connection.execute(_UPDATE, row)
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname != "SQLITE_CONSTRAINT_UNIQUE":
            raise
        raise RepeatedRunError from error
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
        return
    # No index: it would hold further copies of what has to be erased, and the table is small.
    others = "SELECT 1 FROM upload_urls WHERE upload_url = ? AND attempt_id != ?"
    if connection.execute(others, (url, attempt_id)).fetchone():
        raise RepeatedRunError
    connection.execute(
        "INSERT OR REPLACE INTO upload_urls (attempt_id, upload_url) VALUES (?, ?)",
        (attempt_id, url),
    )


def put_setting(name: str, value: str, connection: sqlite3.Connection) -> None:
    """Keep a setting in place of what it was."""
    connection.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, value))


def store_checks(rows: list[tuple[bytes, str, str, str]], connection: sqlite3.Connection) -> None:
    """Keep checks in place of what was known of the same recordings."""
    connection.executemany(
        "INSERT OR REPLACE INTO checks (location, settings, stamp, facts) VALUES (?, ?, ?, ?)", rows
    )
