"""What a ledger knows: the attempts to have a recording scored, and who has withdrawn."""

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypedDict, cast

from helios_research._util.text import composed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class SecretUrl(str):
    """An address that is as good as a password: a traceback that shows variables must not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "(secret URL)"


class Setting(StrEnum):
    """Names of what a study remembers beside its attempts."""

    HOME = "home"
    BASE_URL = "base_url"
    SOURCE = "source"
    ACCOUNT = "account"
    LEARNED_RATE = "learned_rate"
    LEARNED_TIMES = "learned_times"
    LIMITED_BY = "limited_by"
    OUTAGE = "outage"
    PREFLIGHT = "preflight"
    WITHDRAWAL_SALT = "withdrawal_salt"


class State(StrEnum):
    """How far one attempt has come.

    Each act is written down before it is done and after it: ``CREATING``, ``INVITING`` and
    ``UPLOADING`` say that a request may have been sent, ``CREATED``, ``INVITED`` and ``UPLOADED`` that
    it was answered. An invited participant makes the upload, so ``UPLOADED`` follows ``INVITED``.
    """

    CREATING = "creating"
    INVITING = "inviting"
    CREATED = "created"
    INVITED = "invited"
    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    SCORED = "scored"
    FAILED = "failed"
    REJECTED = "rejected"
    LOST = "lost"
    ABANDONED = "abandoned"

    @property
    def is_final(self) -> bool:
        """True when nothing more will happen to the attempt."""
        return self not in _NEXT

    def may_become(self, state: "State") -> bool:
        """Whether an attempt may move from this state to another; nothing follows a final one."""
        return not self.is_final and (state.is_final or state in _NEXT[self])


# An upload can turn out not to have arrived, or be answered and have to be confirmed all the same.
_NEXT = {
    State.CREATING: {State.CREATING, State.CREATED, State.UPLOADING, State.UPLOADED},
    State.CREATED: {State.CREATED, State.UPLOADING, State.UPLOADED},
    State.UPLOADING: {State.CREATED, State.UPLOADING, State.UPLOADED},
    State.INVITING: {State.INVITING, State.INVITED, State.UPLOADED},
    State.INVITED: {State.INVITED, State.UPLOADED},
    State.UPLOADED: {State.UPLOADING, State.UPLOADED},
}


_INVITED = "invited:"


def invitation_to(recording_id: str) -> str:
    """Identify a recording by its row's key, in place of the SHA-256 of bytes that no one has yet."""
    return f"{_INVITED}{recording_id}"


def is_invitation(identity: str | None) -> bool:
    """Whether this identifies a recording that an invited participant makes."""
    return identity is not None and identity.startswith(_INVITED)


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """What is known of an attempt before anything is sent."""

    sha256: str
    request_digest: str
    request: Mapping[str, Any] = field(repr=False)
    number: int
    media_type: str
    size_bytes: int
    duration_s: float | None
    delete_data: bool
    source: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to have a recording scored, as the ledger has it; later ones have larger ids.

    All moments are UTC. ``begun_at``, ``upload_began_at`` (of the last upload) and ``uploaded_at``
    are by this machine's clock, ``run_at`` and ``completed_at`` by the service's, ``created_at``
    by the service's where its answer gives it. The error is why the attempt failed, or what it
    waits for. ``upload_url`` is secret, and None once the run has ended. An invitation has its link
    there, and in ``sha256`` what `invitation_to` gives.
    """

    attempt_id: int
    sha256: str
    request_digest: str
    request_text: str = field(repr=False)
    number: int
    media_type: str
    size_bytes: int
    duration_s: float | None
    delete_data: bool
    source: str
    state: State
    model_run_id: str | None
    error_code: str | None
    error_reason: str | None
    begun_at: datetime
    created_at: datetime | None
    upload_began_at: datetime | None
    uploaded_at: datetime | None
    run_at: datetime | None
    completed_at: datetime | None
    upload_url: SecretUrl | None

    @property
    def request(self) -> dict[str, Any]:
        """The request's JSON body as it was sent."""
        return cast("dict[str, Any]", json.loads(self.request_text))

    @property
    def is_invitation(self) -> bool:
        """Whether the participant makes the recording, at the service."""
        return is_invitation(self.sha256)


@dataclass(frozen=True, slots=True)
class Transition:
    """One entry of the audit trail."""

    transition_id: int
    attempt_id: int
    state: State
    at: datetime
    note: dict[str, Any]


class Changes(TypedDict, total=False):
    """What may be set together with a move to another state."""

    model_run_id: str | None
    upload_url: str | None
    error_code: str | None
    error_reason: str | None
    created_at: datetime | None
    upload_began_at: datetime | None
    uploaded_at: datetime | None
    run_at: datetime | None
    completed_at: datetime | None


def moved(attempt: Attempt, state: State, at: datetime, changes: Changes) -> Attempt:
    """Work out what an attempt looks like after a move; the upload URL goes when the run has ended."""
    if not attempt.state.may_become(state):
        number = attempt.attempt_id
        raise ValueError(f"Attempt {number} is {attempt.state} and cannot become {state}.")
    merged: dict[str, Any] = {"state": state, **_implied(attempt, state, at), **changes}
    if merged.get("error_reason"):
        merged["error_reason"] = _safe(merged["error_reason"], attempt.upload_url)
    if state.is_final:
        merged["upload_url"] = None
    return replace(attempt, **merged)


def _implied(attempt: Attempt, state: State, at: datetime) -> dict[str, Any]:
    if state is State.SCORED:
        return {"error_code": None, "error_reason": None}
    if state is State.UPLOADING:
        return {"upload_began_at": at}  # of the last upload, where one is begun again
    if (attempt.state, state) == (State.CREATING, State.CREATED):
        return {"created_at": at}
    if state is State.UPLOADED and attempt.state is not State.UPLOADED:
        return {"uploaded_at": at}
    return {}


def _safe(reason: str, upload_url: str | None) -> str:
    # A file's name in it need not be valid text, which SQLite refuses.
    reason = reason.encode("utf-8", "backslashreplace").decode("utf-8")
    # An error about a request likes to quote its address, which is a secret.
    return reason.replace(upload_url, "(upload URL)") if upload_url else reason


def to_microseconds(moment: datetime | None) -> int | None:
    """Turn a moment into microseconds since 1970, as the ledger stores it."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError(f"The moment {moment.isoformat()} has no time zone: give it in UTC.")
    return (moment - _EPOCH) // _MICROSECOND


def to_moment(microseconds: int) -> datetime:
    """Turn microseconds since 1970 back into a moment."""
    return _EPOCH + timedelta(0, 0, microseconds)


_SALT_BYTES = 32
_RUN = "INSERT INTO withdrawn_runs (withdrawal_id, facts) VALUES (?, ?)"
# What holds anything about an attempt, in an order that foreign keys allow.
_ABOUT_ATTEMPTS = ("upload_urls", "answers", "transitions", "attempts")


@dataclass(frozen=True)
class Withdrawn:
    """Who has withdrawn from a study, as far as the study may know: marks.

    A mark is HMAC-SHA256 of a label, or of the SHA-256 of a recording, with a random salt of the study.
    With the ledger one can find out whether a label that one guesses has withdrawn, and no more.
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
        if not self.audio or sha256 is None:
            return False
        return _mark(self.salt, "audio", sha256) in self.audio


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
            "INSERT INTO settings (name, value) VALUES (?, ?)",
            (Setting.WITHDRAWAL_SALT, json.dumps(salt.hex())),
        )
    mark = label_mark(salt, removal.label)
    connection.execute("INSERT OR IGNORE INTO withdrawals (label_mark) VALUES (?)", (mark,))
    query = "SELECT withdrawal_id FROM withdrawals WHERE label_mark = ?"
    ((key,),) = connection.execute(query, (mark,)).fetchall()
    connection.executemany(_RUN, ((key, json.dumps(run)) for run in removal.runs))
    connection.executemany(
        "INSERT OR REPLACE INTO withdrawn_audio (audio_mark, withdrawal_id) VALUES (?, ?)",
        ((_mark(salt, "audio", sha256), key) for sha256 in removal.audio),
    )
    keys = json.dumps(list(removal.attempt_ids))
    for table in _ABOUT_ATTEMPTS:
        query = f"DELETE FROM {table} WHERE attempt_id IN (SELECT value FROM json_each(?))"  # noqa: S608 - names of ours
        connection.execute(query, (keys,))
    places = ((os.fsencode(location),) for location in removal.locations)
    connection.executemany("DELETE FROM checks WHERE location = ?", places)


def hand_over_runs(label: str, connection: sqlite3.Connection) -> None:
    """Forget the runs of a participant who has withdrawn."""
    query = (
        "SELECT withdrawal_id, facts FROM withdrawn_runs JOIN withdrawals USING (withdrawal_id) "
        "WHERE label_mark != ?"
    )
    mark = label_mark(_salt(connection) or b"", label)
    others = connection.execute(query, (mark,)).fetchall()
    # Without WHERE, as in `storage.checkpoint`: this clears pages instead of rows.
    connection.execute("DELETE FROM withdrawn_runs")
    connection.executemany(_RUN, others)


def take_back(label: str, code: str, connection: sqlite3.Connection) -> bool:
    """Take a withdrawal back, so that what is of the participant may be sent again."""
    mark = label_mark(_salt(connection) or b"", label)
    query = "SELECT withdrawal_id FROM withdrawals WHERE label_mark = ?"
    keys = connection.execute(query, (mark,)).fetchall()
    for table in ("withdrawn_audio", "withdrawn_runs", "withdrawals"):
        connection.executemany(f"DELETE FROM {table} WHERE withdrawal_id = ?", keys)  # noqa: S608 - names of ours
    if keys:
        query = "DELETE FROM checks WHERE json_extract(facts, '$.check.predicted_error_code') = ?"
        connection.execute(query, (code,))
    return bool(keys)


def _salt(connection: sqlite3.Connection) -> bytes | None:
    query = "SELECT value FROM settings WHERE name = ?"
    row = connection.execute(query, (Setting.WITHDRAWAL_SALT,)).fetchone()
    return None if row is None else bytes.fromhex(json.loads(row[0]))
