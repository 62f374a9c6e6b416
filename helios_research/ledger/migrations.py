"""The ledger's schema, and how a ledger of an older version gets it."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from helios_research.errors import StudyDamagedError, StudyVersionError

# "HELR" in ASCII: tells a ledger from any other SQLite file.
APPLICATION_ID = 0x48454C52

# The index on live attempts is the last line of defence against processing a recording's audio
# twice: while one attempt is under way or has scores, SQLite refuses another with the same bytes,
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
# audio, so that neither is sent again. Nothing tells which label they are of but the label itself.
# The run ids stay only until they have been handed over to whoever asked for the withdrawal.
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

MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND)
"""SQL that takes a ledger from version 0 to 1, from 1 to 2, and so on; never edited once released."""


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Read the schema version of a ledger, and make sure that it is one."""
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if application != APPLICATION_ID and not (is_empty and application == version == 0):
        raise StudyDamagedError(path, "it is a database of another program")
    return version


def check_version(version: int, path: Path, migrations: Sequence[str]) -> None:
    """Refuse a ledger that a newer version of the package wrote."""
    if version > len(migrations):
        raise StudyVersionError(path.parent, found=version, supported=len(migrations))


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    """Bring a ledger to the newest schema.

    Each migration and the record that it was done are one transaction, so a kill or a full disk
    in between leaves the ledger at the version before.
    """
    version = version_of(connection, path)
    check_version(version, path, migrations)
    for number, statements in enumerate(migrations[version:], start=version + 1):
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE; {statements}; PRAGMA user_version = {number}; COMMIT;"
            )
        except BaseException:
            connection.rollback()
            raise
