"""Where the recordings of a cohort are, and which of them are in several rows."""

import errno
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd

from helios_research import codes
from helios_research.cohort.mapping import ColumnMapping
from helios_research.cohort.storage import CohortTables
from helios_research.cohort.validators import Issues, Problem
from helios_research.columns import RECORDING_ID, Severity

_CLOUD = {"abfs", "abfss", "adl", "az", "gcs", "gs", "oci", "s3", "s3a"}
_SERVER = {"ftp", "hdfs", "http", "https", "sftp", "smb", "ssh"}
SCHEMES = frozenset({*_CLOUD, *_SERVER, "file", "memory"})
"""Kinds of URL that recordings may have; fsspec reads them with the researcher's credentials."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")

_MOST_NAMED = 5


def resolve(cell: str, root: str) -> str:
    """Make a path or URL of the table absolute."""
    url = _SCHEME.match(cell) if "://" in cell else None
    if url is not None:
        return _local_path(cell) if url[1].lower() == "file" else cell
    if "://" in root:
        return f"{root.rstrip('/')}/{cell}"
    return os.path.normpath(os.path.join(root, cell))  # noqa: PTH118  # pathlib takes 10 times as long for 100,000 rows


def resolve_root(root: str | os.PathLike[str] | None, default: Path) -> str:
    """Make a root absolute."""
    text = os.fspath(default if root is None else root)
    url = _SCHEME.match(text)
    if url is None:
        return str(Path(text).expanduser().absolute())
    return _local_path(text) if url[1].lower() == "file" else text


def look(location: str) -> tuple[str, Problem | None]:
    """Look at a recording without opening it."""
    url = _SCHEME.match(location) if "://" in location else None
    if url is not None:
        return location, _scheme_problem(url[1])
    try:
        found = os.stat(location)  # noqa: PTH116  # as above
    except (OSError, ValueError) as error:
        return location, _missing(location, error)
    return f"{found.st_dev}:{found.st_ino}", _file_problem(location, found)


def _file_problem(location: str, found: os.stat_result) -> Problem | None:
    if stat.S_ISDIR(found.st_mode):
        return Problem("This is a folder, not a recording.", "Name the file inside it.")
    if not stat.S_ISREG(found.st_mode):
        return Problem("This is not an ordinary file.", "Name a file that holds a recording.")
    if found.st_size == 0:
        return Problem("The file is empty.", "Copy the recording again, or remove the row.")
    if not os.access(location, os.R_OK):
        return _forbidden()
    return None


def _missing(location: str, error: OSError | ValueError) -> Problem:
    if isinstance(error, PermissionError):
        return _forbidden()
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Problem(f"There is no file {location}.", _remedy_for_missing(location))
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return Problem("This is a link to itself.", "Correct the link.")
    reason = error.strerror if isinstance(error, OSError) else None
    return Problem(
        f"No file can have this name ({reason or error}).", "Correct the path or the URL."
    )


def _remedy_for_missing(location: str) -> str:
    slashed = location.replace("\\", "/")
    if slashed != location and Path(slashed).exists():
        return "Write / instead of \\ between folders."
    folder = Path(location).parent
    if not folder.is_dir():
        return f"The folder {folder} does not exist either. Check the path, and whether its drive is connected."
    return "Check the spelling and the folder."


def _forbidden() -> Problem:
    return Problem("You do not have permission to read the file.", "Ask its owner for permission.")


def _scheme_problem(scheme: str) -> Problem | None:
    if scheme.lower() in SCHEMES:
        return None
    return Problem(
        f"URLs that begin with {scheme}:// cannot be read.",
        f"Use a local path, or one of {', '.join(sorted(SCHEMES))}.",
    )


def _local_path(url: str) -> str:
    return url2pathname(urlsplit(url).path)


def unique_ids(given: "pd.Series[str]", recordings: "pd.Series[str]") -> "pd.Series[str]":
    """Give every row a different key."""
    wanted = given.fillna(recordings).fillna("row").tolist()
    taken = set(wanted)
    seen: dict[str, int] = {}
    keys = []
    for key in wanted:
        number = seen.get(key, 0) + 1
        unique = key if number == 1 else f"{key}#{number}"
        while number > 1 and unique in taken:
            number += 1
            unique = f"{key}#{number}"
        seen[key] = number
        taken.add(unique)
        keys.append(unique)
    return pd.Series(keys, index=given.index, dtype="str")


def check_ids(
    keys: "pd.Series[str]",
    repeats: "pd.Series[bool]",
    mapping: ColumnMapping,
    row_numbers: "pd.Series[int]",
    issues: Issues,
) -> None:
    """Check that no key is in two rows."""
    column = mapping.name_of(RECORDING_ID.name)
    for members in _groups(keys.where(~repeats)):
        problem = Problem(
            f"The same recording_id is in rows {_listed(row_numbers.iloc[members].tolist())}.",
            "Give every recording a different id.",
        )
        issues.add(
            members, column, [keys[members[0]]] * len(members), problem, "INVALID_RECORDING_ID"
        )


def check_shared_audio(
    tables: CohortTables, identities: "pd.Series[str]", shown_as: "pd.Series[str]"
) -> tuple[Issues, "pd.Series[bool]"]:
    """Check rows that have the same audio."""
    issues, repeats = Issues(), np.zeros(len(identities), dtype=bool)
    column = tables.mapping.name_of("recording")
    rows, values = tables.row_numbers.to_numpy(), shown_as.to_numpy()
    groups = _groups(identities)
    for members, differing in zip(groups, _differing(groups, tables.sent), strict=True):
        concerned = members if differing else members[1:]
        repeats[concerned] = not differing
        listed = _listed(rows[members].tolist())
        problem = _conflicting(listed, differing) if differing else _repeating(listed)
        issues.add(concerned, column, values[concerned], problem, codes.DUPLICATE_AUDIO)
    return issues, pd.Series(repeats, index=identities.index, dtype=bool)


def _differing(groups: list[list[int]], sent: pd.DataFrame) -> list[list[str]]:
    """Name the columns in which the members of each group differ, for all groups at once."""
    sizes = [len(members) for members in groups]
    positions = [position for members in groups for position in members]
    group_of = np.repeat(np.arange(len(groups)), sizes)
    firsts = np.repeat([members[0] for members in groups], sizes).astype(np.int64)
    differing: list[list[str]] = [[] for _ in groups]
    for name in sent.columns:
        labels = pd.factorize(sent[name])[0]
        unlike = labels[positions] != labels[firsts]
        for group in np.unique(group_of[unlike]).tolist():
            differing[group].append(str(name))
    return differing


def _conflicting(rows: str, differing: Sequence[str]) -> Problem:
    return Problem(
        f"The same audio is in rows {rows} with different {', '.join(differing)}.",
        "Find out whose recording it is, and remove the other rows.",
    )


def _repeating(rows: str) -> Problem:
    return Problem(
        f"The same audio is in rows {rows} with the same metadata.",
        "No change is needed: the rows share one run. Remove rows that are there by mistake.",
        Severity.WARNING,
    )


def _groups(keys: "pd.Series[str]") -> list[list[int]]:
    shared = keys[keys.notna() & keys.duplicated(keep=False)]
    return [members.tolist() for members in shared.groupby(shared).groups.values()]


def _listed(rows: Sequence[int]) -> str:
    named = ", ".join(map(str, rows[:_MOST_NAMED]))
    rest = len(rows) - _MOST_NAMED
    return f"{named} and {rest} more" if rest > 0 else named
