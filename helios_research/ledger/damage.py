"""Values in a ledger that nobody can have written: damage that SQLite itself does not notice."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

# Our statements fit every ledger of the version that it says, unless what it says was damaged.
_DAMAGE = re.compile(
    "decode to UTF-8|malformed JSON|unsupported file format|no such (table|column)|already exists"
)

NO_SENSE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What understanding a value raises that is not what is only ever written in its place."""


class DamagedValueError(sqlite3.DatabaseError):
    """A value makes no sense; `study_error` words it like SQLite's own finding of damage."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    def __init__(self) -> None:
        super().__init__("a value in it makes no sense")


@contextmanager
def making_sense() -> Iterator[None]:
    """Take values that cannot be understood for damage to the file."""
    try:
        yield
    except NO_SENSE as error:
        raise DamagedValueError from error


def is_damage_without_code(error: Exception) -> bool:
    """Tell whether SQLite found damage to which it gives no code of its own."""
    is_sqlites = isinstance(error, sqlite3.OperationalError)
    return is_sqlites and _DAMAGE.search(str(error)) is not None
