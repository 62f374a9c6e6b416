"""Values in a ledger that nobody can have written: damage that SQLite itself does not notice."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

_UNREADABLE = re.compile("decode to UTF-8|malformed JSON")

NO_SENSE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What understanding a value raises that is not what is only ever written in its place."""


class DamagedValueError(sqlite3.DatabaseError):
    """A value makes no sense; `study_error` words it like SQLite's own finding of damage."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    def __init__(self) -> None:
        super().__init__("a value in it makes no sense")


@contextmanager
def making_sense() -> Iterator[None]:
    """Take values that cannot be understood for damage to the file.

    Yields
    ------
    None
        Nothing; the block is run.

    Raises
    ------
    DamagedValueError
        In place of what understanding them raises.
    """
    try:
        yield
    except NO_SENSE as error:
        raise DamagedValueError from error


def is_unreadable_text(error: Exception) -> bool:
    """Tell whether SQLite could not read some text.

    Parameters
    ----------
    error
        What a piece of work raised.

    Returns
    -------
    bool
        True for what the sqlite3 module and SQLite's JSON functions say without a code of its own.
    """
    is_sqlites = isinstance(error, sqlite3.OperationalError)
    return is_sqlites and _UNREADABLE.search(str(error)) is not None
