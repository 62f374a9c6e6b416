"""A checksum in each row of a ledger that decides something, so that no damaged byte passes for a value.

It is the CRC-32 of the row's other columns. The database itself writes it, by triggers. One damaged byte is
found by trying: only the true one fits the checksum.
"""

import sqlite3
import struct
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zlib import crc32

SEALED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "attempts": (
            *("attempt_id", "sha256", "request_digest", "request_text", "number", "media_type"),
            *("size_bytes", "duration_s", "delete_data", "source", "state", "model_run_id"),
            *("error_code", "error_reason", "begun_at", "created_at", "upload_began_at"),
            *("uploaded_at", "run_at", "completed_at"),
        ),
        "upload_urls": ("attempt_id", "upload_url"),
        "answers": ("attempt_id", "body"),
        "checks": ("location", "settings", "stamp", "facts"),
        "settings": ("name", "value"),
        "withdrawals": ("withdrawal_id", "label_mark"),
        "withdrawn_audio": ("audio_mark", "withdrawal_id"),
        "withdrawn_runs": ("withdrawal_id", "facts"),
    }
)
"""The tables that have checksums, and the columns that these are of."""

# Their rows are known by their first column, where nothing else is said.
_KEYS = {"checks": ("location", "settings"), "withdrawn_runs": ("rowid",)}

# As they are: within JSON each quotation mark in them would be escaped.
_LONG = ("request_text", "body", "facts", "location")

_MOST_DAMAGED_ROWS = 2
# Trying all bytes of a longer value takes minutes.
_LONGEST_BYTES = 4_096


class CorruptValueError(sqlite3.DatabaseError):
    """A value that this package cannot have written: corruption that SQLite does not notice."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    def __init__(self, what: str = "a value in it makes no sense") -> None:
        super().__init__(what)


def register(connection: sqlite3.Connection) -> None:
    """Teach a connection what the triggers call."""
    connection.create_function("crc32", 1, crc32, deterministic=True)
    connection.execute("PRAGMA trusted_schema = ON")


def sealing(table: str) -> str:
    """Write the statements that give a table its checksums, and keep them up to date."""
    columns = SEALED[table]
    row = " AND ".join(f"{name} = NEW.{name}" for name in _KEYS.get(table, columns[:1]))
    seal = f"UPDATE {table} SET checksum = {_checksum(table)}"  # noqa: S608 - names of ours
    return f"ALTER TABLE {table} ADD COLUMN checksum INTEGER; {seal};" + "".join(
        f"CREATE TRIGGER {table}_{name} AFTER {event} ON {table} BEGIN {seal} WHERE {row}; END;"
        for name, event in (("begun", "INSERT"), ("changed", f"UPDATE OF {', '.join(columns)}"))
    )


def _checksum(table: str, values: Mapping[str, str] = MappingProxyType({})) -> str:
    short = ", ".join(values.get(name, name) for name in SEALED[table] if name not in _LONG)
    long = (values.get(name, name) for name in SEALED[table] if name in _LONG)
    content = " || ".join([f"json_array({short})", *(f"coalesce({each}, '')" for each in long)])
    # Bytes, since what should be text may be none any more.
    return f"crc32(CAST({content} AS BLOB))"


def is_damaged(connection: sqlite3.Connection) -> bool:
    """Whether a row is not as it was written, or may be missing."""
    return bool(_damaged_tables(connection)) or not _is_sound(connection)


def _damaged_tables(connection: sqlite3.Connection) -> list[str]:
    query = "SELECT EXISTS (SELECT 1 FROM {} WHERE checksum IS NOT {})"
    return [
        table
        for table in SEALED
        if connection.execute(query.format(table, _checksum(table))).fetchone() == (1,)
    ]


def _is_sound(connection: sqlite3.Connection) -> bool:
    return connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]


def repair(connection: sqlite3.Connection) -> list[str]:
    """Put damaged bytes back, or have the value found out anew, and name the rows; else raise."""
    if not is_damaged(connection):
        return []
    connection.execute("BEGIN IMMEDIATE")
    try:
        # What is damaged in a table is not in its indexes, which SQLite would take for a fault of theirs.
        connection.execute("REINDEX")
        named = [
            name for table in _damaged_tables(connection) for name in _put_back(table, connection)
        ]
        if _is_sound(connection):
            connection.execute("COMMIT")
            return named
    except sqlite3.IntegrityError as error:
        raise CorruptValueError from error
    finally:
        connection.rollback()
    raise CorruptValueError("its structure is damaged")


def _put_back(table: str, connection: sqlite3.Connection) -> Iterator[str]:
    columns = (*SEALED[table], "checksum")
    is_damaged = f"checksum IS NOT {_checksum(table)}"
    connection.text_factory = bytes
    try:
        query = f"SELECT {', '.join(columns)} FROM {table} WHERE {is_damaged} LIMIT ?"  # noqa: S608 - names of ours
        rows = connection.execute(query, (_MOST_DAMAGED_ROWS + 1,)).fetchall()
    finally:
        connection.text_factory = str
    for row in rows if len(rows) <= _MOST_DAMAGED_ROWS else ():
        if found := _true_value(table, dict(zip(columns, row, strict=True)), connection):
            update = f"UPDATE {table} SET {found[0]} = ? WHERE checksum IS ? AND {is_damaged}"  # noqa: S608 - names of ours
            connection.execute(update, (found[1], row[-1]))
        yield f"{table} {_text(row[0])}"
    left = f"{table} WHERE {is_damaged}"
    if table == "answers":
        connection.execute(_ASK_AGAIN.format(left))
        connection.execute(_NOTE.format(left))
    if table in {"answers", "checks", "upload_urls"}:
        connection.execute(f"DELETE FROM {left}")  # noqa: S608 - names of ours
    elif connection.execute(f"SELECT EXISTS (SELECT 1 FROM {left})").fetchone() == (1,):  # noqa: S608 - names of ours
        raise CorruptValueError(f"its {table} {_text(rows[0][0])} does not fit its checksum")


# The next submission fetches the answer by the id of its run.
_ASK_AGAIN = (
    "UPDATE attempts SET state = 'uploaded', run_at = NULL, completed_at = NULL "
    "WHERE state = 'scored' AND attempt_id IN (SELECT attempt_id FROM {})"
)
_NOTE = (
    "INSERT INTO transitions (attempt_id, state, at) SELECT attempt_id, state, "
    "unixepoch() * 1000000 FROM attempts WHERE state = 'uploaded' "
    "AND attempt_id IN (SELECT attempt_id FROM {})"
)


def _true_value(
    table: str, row: Mapping[str, Any], connection: sqlite3.Connection
) -> tuple[str, Any] | None:
    """Find the column of a row that is damaged, and what it was."""
    places = {name: f"?{number}" for number, name in enumerate(row, start=1)}
    query = f"SELECT {places['checksum']} IS {_checksum(table, places)}"
    whole = {
        name: _text(value) if isinstance(value, bytes) else value for name, value in row.items()
    }
    for name, value in row.items():
        for candidate in _one_byte_off(value):
            values = tuple((whole | {name: candidate}).values())
            if connection.execute(query, values).fetchone() == (1,):
                return name, candidate
    return None


def _one_byte_off(value: Any) -> Iterator[Any]:
    form = {int: ">q", float: ">d"}.get(type(value))
    raw = struct.pack(form, value) if form else value or b""
    for place, byte in product(range(len(raw) if len(raw) <= _LONGEST_BYTES else 0), range(256)):
        changed = raw[:place] + bytes([byte]) + raw[place + 1 :]
        try:
            yield struct.unpack(form, changed)[0] if form else changed.decode()
        except UnicodeDecodeError:
            continue


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# --- SQLite's own checksums, of what a killed process left in the WAL (https://sqlite.org/walformat.html) ---

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_FRAME_BYTES = _FRAME_HEADER_BYTES + 4_096


def refuse_damaged_wal(path: Path) -> None:
    """Refuse a ledger if SQLite would leave out transactions of its WAL, to which no one writes.

    It ends at the first frame that does not fit, without an error. A kill can cut the last transaction,
    which no one was told of; two or more were lost to damage.
    """
    wal = path.with_name(f"{path.name}-wal")
    data = wal.read_bytes() if wal.exists() else b""
    order = "<" if data[3:4] == b"\x82" else ">"
    sums = _summed(data[: _HEADER_BYTES - 8], (0, 0), order)
    is_intact = data[_HEADER_BYTES - 8 : _HEADER_BYTES] == struct.pack(">II", *sums)
    # Frames of an earlier round have other salts.
    salts = data[16:24] if is_intact else data[_HEADER_BYTES + 8 : _HEADER_BYTES + 16]
    left_out = 0
    for start in range(_HEADER_BYTES, len(data), _FRAME_BYTES):
        header = data[start : start + _FRAME_HEADER_BYTES]
        if is_intact:
            page = data[start + _FRAME_HEADER_BYTES : start + _FRAME_BYTES]
            sums = _summed(header[:8] + page, sums, order)
            is_intact = header[8:] == salts + struct.pack(">II", *sums)
        ends_transaction = header[4:8] != bytes(4)
        left_out += not is_intact and ends_transaction and header[8:16] == salts
    if left_out > 1:
        raise CorruptValueError("what was written before an interruption is damaged")


def _summed(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 8 * 2}I", data[: len(data) // 8 * 8])
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second
