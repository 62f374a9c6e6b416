"""Stable pseudonyms for participants, made with a key that stays with the researcher.

A label is the beginning of HMAC-SHA256 of the participant's name or id in the table. Without the
key no one can find out who has which label, not even by trying every name; with it the same labels
can be made again, in another table and in another year.
"""

import base64
import hashlib
import hmac
import os
import re
import secrets
import shlex
import warnings
from collections.abc import Hashable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from helios_research._util.files import is_open_to_others
from helios_research._util.text import system_reason
from helios_research.cohort.cells import as_text, text_column
from helios_research.errors import PseudonymsError
from helios_research.ledger.storage import DATABASE_NAME

Table = TypeVar("Table", pd.DataFrame, "pd.Series[Any]")

# Crockford's alphabet (https://www.crockford.com/base32.html): no I, L, O or U, which are easily
# misread or spell something.
_STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_READABLE = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TO_READABLE = str.maketrans(_STANDARD, _READABLE)

# Characters of five bits each behind the prefix, in groups of four.
_CHARACTERS = 12
_GROUP = 4

# Says what the key is used for, so that the same key elsewhere gives other values.
_PURPOSE = b"helios_research participant\0"

# A key of 32 random bytes is written as 64 hexadecimal digits; half of that is more
# than anyone could ever try.
_KEY_BYTES = 32
_SHORTEST_KEY = 32
# More than this is a document that was named by mistake, and would change one day.
_LONGEST_KEY = 1024

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,15}", re.ASCII)
# A label of ours: with a letter behind the prefix, since ids of digits in groups are common.
_LABEL = rf"[A-Za-z][A-Za-z0-9_]{{0,15}}(?=[-0-9]*[A-Z])(?:-[{_READABLE}]{{4}}){{3}}"


def pseudonymize(
    table: Table,
    column: Hashable = None,
    *,
    key_file: str | os.PathLike[str],
    prefix: str = "P",
) -> Table:
    """Replace participants by labels that only the key can make again.

    The same person gets the same label, in every table and at any time, as long as the key is the
    same. A label such as ``P-7K2M-Q9XD-4RTA`` holds 60 bits: among 100,000 participants the chance
    that any two get the same one is 1 in 200 million. It is checked all the same.

    Parameters
    ----------
    table
        A table with a column that identifies participants, or that column itself.
    column
        The column of the table, whose labels take its place. Other columns are not changed: check
        whether they contain names too, as the names of files may.
    key_file
        File of the key. Where there is none, one is made, readable for its owner alone, and a
        warning says so; one that is there is never written to. Keep it in a different place than
        the study, and keep a copy: with it a label can be traced to its participant.
    prefix
        What labels begin with: a letter, then at most 15 letters, digits or ``_``.

    Returns
    -------
    DataFrame or Series
        A copy of what was given, with labels as text. What is blank is missing.

    Raises
    ------
    PseudonymsError
        The column is not there or holds labels already, or two participants got the same label.
        The key file cannot be read or made, is not a key, is in a study folder or can be read by
        other users of this machine.
    ValueError
        The prefix cannot be used.

    Notes
    -----
    A cell is read as a cohort reads it: ``007`` and ``7`` are different people, and so are upper
    and lower case; 7, 7.0 and ``"7"`` are the same person. White space at both ends does not count,
    nor how an accent is encoded (Unicode's normal form NFC). HMAC is defined in RFC 2104.

    Examples
    --------
    >>> table = pseudonymize(table, "participant", key_file="keys/night.key")  # doctest: +SKIP
    >>> cohort = Cohort.from_frame(table, columns={"user_label": "participant"})  # doctest: +SKIP
    """
    if not _PREFIX.fullmatch(prefix):
        message = f"The prefix {prefix!r} has to be a letter and at most 15 letters, digits or _."
        raise ValueError(message)
    given = table if isinstance(table, pd.Series) else _column_of(table, column)
    identities = _identities(given)
    labels = _labels(identities, _key_in(Path(key_file).expanduser()), prefix)
    if isinstance(table, pd.Series):
        return labels
    copied = table.copy()
    copied[column] = labels
    return copied


def _column_of(table: pd.DataFrame, column: Hashable) -> "pd.Series[Any]":
    places = [place for place, name in enumerate(table.columns) if name == column]
    if len(places) == 1:
        return table.iloc[:, places[0]]
    names = ", ".join(map(str, table.columns[:30])) or "no columns"
    remedy, problem = f"The table has: {names}.", "several columns have that name"
    if not places:
        problem = "the table has no such column"
    if not places and column in table.index.names:
        problem, remedy = "it is the table's index", "Make it a column with table.reset_index()."
    raise PseudonymsError.column(column, problem, remedy)


def _identities(given: "pd.Series[Any]") -> "pd.Series[str]":
    """Give each participant one spelling, so that what looks the same is the same; missing where blank."""
    composed = as_text(given).str.normalize("NFC").str.strip()
    identities = composed.where(composed != "")
    again = identities.str.fullmatch(_LABEL).fillna(value=False)
    if again.any():
        problem = (
            f"it holds labels already, such as {identities[again].iloc[0]}, and labels of labels match "
            "no other table"
        )
        remedy = "Begin again with the table as it came."
        raise PseudonymsError.column(given.name, problem, remedy)
    return identities


def _labels(identities: "pd.Series[str]", key: bytes, prefix: str) -> "pd.Series[str]":
    places, people = pd.factorize(identities)
    labels = [_label(person, key, prefix) for person in people]
    if len(set(labels)) < len(labels):
        raise PseudonymsError.column(
            identities.name,
            "two participants got the same label, which is next to impossible",
            "Use another key file for this study.",
        )
    # A missing value has the place -1, which picks what is appended at the end.
    chosen = np.array([*labels, None], dtype=object)[places]
    column = text_column(chosen, identities.index)
    column.name = identities.name
    return column


def _label(person: str, key: bytes, prefix: str) -> str:
    digest = hmac.digest(key, _PURPOSE + person.encode(), hashlib.sha256)
    characters = base64.b32encode(digest).decode().translate(_TO_READABLE)[:_CHARACTERS]
    groups = (characters[first : first + _GROUP] for first in range(0, _CHARACTERS, _GROUP))
    return "-".join([prefix, *groups])


# --- the key's file ------------------------------------------------------------------------------


def _key_in(path: Path) -> bytes:
    _refuse_study_folder(path)
    try:
        path.lstat()
    except FileNotFoundError:
        _make_key(path)
    except OSError as error:
        raise PseudonymsError.key_file(path, system_reason(error), "Name another file.") from None
    return _read_key(path)


def _refuse_study_folder(path: Path) -> None:
    for folder in {*path.absolute().parents, *path.resolve().parents}:
        if (folder / DATABASE_NAME).exists():
            raise PseudonymsError.key_file(
                path,
                f"it is in the study {folder}, so a copy of the study would identify its participants",
                "Keep the key in a different place.",
            )


def _make_key(path: Path) -> None:
    refuse = partial(PseudonymsError.key_file, path)
    if not path.parent.is_dir():
        # A folder is not made: it may be a drive that is not connected, with the key on it.
        remedy = "Connect the drive that it is on, or make the folder first."
        raise refuse(f"there is no folder {path.parent}", remedy)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{secrets.token_hex(_KEY_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise refuse(system_reason(error), "Choose a folder that you may write to.") from None
    if is_open_to_others(path):
        path.unlink()
        remedy = "Choose a folder on a drive of this machine."
        raise refuse("its drive does not keep files from other users", remedy)
    warnings.warn(
        f"A new key was made in {path}. Keep a copy of it in a different place than the study: "
        "without it no one can make the same labels again. If you have used a key before, name its "
        "file instead.",
        stacklevel=4,
    )


def _read_key(path: Path) -> bytes:
    refuse = partial(PseudonymsError.key_file, path)
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_KEY + 1)
    except OSError as error:
        remedy = "Name the file of the key, and make sure that you may read it."
        raise refuse(system_reason(error), remedy) from None
    # Editors put invisible marks and line breaks around the key.
    key = content.removeprefix(_BYTE_ORDER_MARK).strip()
    if len(key) < _SHORTEST_KEY:
        reason = f"it is shorter than {_SHORTEST_KEY} characters" if key else "it is empty"
        remedy = (
            "Put the file back from your copy, or delete it to have a new key made (all labels "
        )
        raise refuse(reason, f"{remedy}will differ).")
    if len(content) > _LONGEST_KEY:
        remedy = "Name a file of its own for the key; where there is none, one is made."
        raise refuse(f"it is longer than {_LONGEST_KEY:,} bytes, so it is not a key", remedy)
    if is_open_to_others(path):
        remedy = f"Keep it to yourself with: chmod 600 {shlex.quote(str(path))}"
        raise refuse("other users of this machine can read or change it", remedy)
    return key
