"""Taking a participant out of a ledger, and knowing them again without knowing who they are."""

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from helios_research._util.text import composed
from helios_research.ledger.attempts import Setting

_SALT_BYTES = 32

# What holds anything about an attempt, in an order that foreign keys allow.
_ABOUT_ATTEMPTS = ("upload_urls", "answers", "transitions", "attempts")


@dataclass(frozen=True)
class Withdrawn:
    """Who has withdrawn from a study, as far as the study may know.

    A mark is HMAC-SHA256 of a label, or of the SHA-256 of a recording, with a random salt of the
    study. A person who has the ledger and guesses a label can find out that it has withdrawn; no
    one can read the label from it, or compare the marks of two studies.
    """

    salt: bytes = b""
    labels: frozenset[str] = frozenset()
    audio: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.labels)

    def has_label(self, label: str) -> bool:
        """Whether a participant has withdrawn."""
        return bool(self) and label_mark(self.salt, label) in self.labels

    def has_audio(self, sha256: str | None) -> bool:
        """Whether a recording is of a participant who has withdrawn."""
        return (
            bool(self.audio)
            and sha256 is not None
            and _mark(self.salt, "audio", sha256) in self.audio
        )


def label_mark(salt: bytes, label: str) -> str:
    """Work out the mark of a label; how a letter with an accent is encoded makes no difference."""
    return _mark(salt, "label", composed(label))


def _mark(salt: bytes, what: str, value: str) -> str:
    content = f"{what}\0{value}".encode("utf-8", "surrogatepass")
    return hmac.digest(salt, content, hashlib.sha256).hex()


def load_withdrawn(connection: sqlite3.Connection) -> Withdrawn:
    """Read who has withdrawn."""
    salt = _salt(connection)
    if salt is None:
        return Withdrawn()
    labels = connection.execute("SELECT label_mark FROM withdrawals")
    audio = connection.execute("SELECT audio_mark FROM withdrawn_audio")
    return Withdrawn(salt, frozenset(mark for (mark,) in labels), frozenset(m for (m,) in audio))


def load_runs(connection: sqlite3.Connection, label: str) -> list[dict[str, Any]]:
    """Read the runs of a participant who has withdrawn, as long as they are known."""
    query = (
        "SELECT facts FROM withdrawn_runs JOIN withdrawals USING (withdrawal_id) "
        "WHERE label_mark = ? ORDER BY withdrawn_runs.rowid"
    )
    rows = connection.execute(query, (label_mark(_salt(connection) or b"", label),))
    return [json.loads(facts) for (facts,) in rows]


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to be removed of a participant."""

    label: str
    attempt_ids: Collection[int]
    runs: Sequence[dict[str, Any]]
    audio: Collection[str]
    locations: Collection[str]


def remove(removal: Removal, connection: sqlite3.Connection) -> None:
    """Remove a participant, and leave marks in their place, in the transaction that is open."""
    salt = _salt(connection)
    if salt is None:
        salt = secrets.token_bytes(_SALT_BYTES)
        connection.execute(
            "INSERT INTO settings VALUES (?, ?)", (Setting.WITHDRAWAL_SALT, json.dumps(salt.hex()))
        )
    mark = label_mark(salt, removal.label)
    connection.execute("INSERT OR IGNORE INTO withdrawals (label_mark) VALUES (?)", (mark,))
    query = "SELECT withdrawal_id FROM withdrawals WHERE label_mark = ?"
    ((key,),) = connection.execute(query, (mark,)).fetchall()
    connection.executemany(
        "INSERT INTO withdrawn_runs VALUES (?, ?)", ((key, json.dumps(run)) for run in removal.runs)
    )
    connection.executemany(
        "INSERT OR REPLACE INTO withdrawn_audio VALUES (?, ?)",
        ((_mark(salt, "audio", sha256), key) for sha256 in removal.audio),
    )
    keys = json.dumps(list(removal.attempt_ids))
    for table in _ABOUT_ATTEMPTS:
        connection.execute(
            f"DELETE FROM {table} WHERE attempt_id IN (SELECT value FROM json_each(?))",  # noqa: S608 - names of ours
            (keys,),
        )
    connection.executemany(
        "DELETE FROM checks WHERE location = ?",
        ((os.fsencode(location),) for location in removal.locations),
    )


def hand_over_runs(label: str, connection: sqlite3.Connection) -> None:
    """Forget the runs of a participant who has withdrawn."""
    query = (
        "SELECT withdrawal_id, facts FROM withdrawn_runs JOIN withdrawals USING (withdrawal_id) "
    )
    mark = label_mark(_salt(connection) or b"", label)
    others = connection.execute(f"{query} WHERE label_mark != ?", (mark,)).fetchall()
    # Without WHERE, as in `storage.checkpoint`: this clears pages instead of rows.
    connection.execute("DELETE FROM withdrawn_runs")
    connection.executemany("INSERT INTO withdrawn_runs VALUES (?, ?)", others)


def take_back(label: str, code: str, connection: sqlite3.Connection) -> bool:
    """Take a withdrawal back, so that what is of the participant may be sent again."""
    mark = label_mark(_salt(connection) or b"", label)
    query = "SELECT withdrawal_id FROM withdrawals WHERE label_mark = ?"
    keys = connection.execute(query, (mark,)).fetchall()
    for table in ("withdrawn_audio", "withdrawn_runs", "withdrawals"):
        connection.executemany(
            f"DELETE FROM {table} WHERE withdrawal_id = ?",  # noqa: S608 - names of ours
            keys,
        )
    if keys:
        query = "DELETE FROM checks WHERE json_extract(facts, '$.check.predicted_error_code') = ?"
        connection.execute(query, (code,))
    return bool(keys)


def _salt(connection: sqlite3.Connection) -> bytes | None:
    query = "SELECT value FROM settings WHERE name = ?"
    row = connection.execute(query, (Setting.WITHDRAWAL_SALT,)).fetchone()
    return None if row is None else bytes.fromhex(json.loads(row[0]))
