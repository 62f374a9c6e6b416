"""Where the recordings of a cohort are, and which of them are in several rows."""

import errno
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd

from helios_research import codes
from helios_research._util.text import as_seen
from helios_research.cohort.issues import Issues, Problem, code_of
from helios_research.cohort.storage import CohortTables
from helios_research.columns import RECORDING_ID, Severity

SCHEMES = frozenset(
    {*("abfs", "abfss", "adl", "az", "gcs", "gs", "oci", "s3", "s3a", "file", "memory")}
    | {*("ftp", "hdfs", "http", "https", "sftp", "smb", "ssh")}
)
"""Kinds of URL that recordings may have; fsspec reads them with the researcher's credentials."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# A drive or a share of Windows, elsewhere than on Windows, behind the folder of relative paths.
_DRIVE = re.compile(r"(?:^|/)([A-Za-z]:(?=[\\/])|\\\\[^\\/]+\\[^\\/]+)")

_MOST_NAMED = 5
LONGEST_PATH = 4_096
"""Characters of a path that any system takes; what is longer is no path."""
# Windows' FILE_ATTRIBUTE_OFFLINE and FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS, and macOS' SF_DATALESS.
_IN_CLOUD_ATTRIBUTES, _IN_CLOUD_FLAG = 0x1000 | 0x40_0000, 0x4000_0000

_FORBIDDEN = Problem(
    "You do not have permission to read the file.", "Ask its owner for permission."
)
_IN_CLOUD = Problem(
    "The file is in the cloud and not downloaded yet.",
    "Download it to this computer, for example by 'Always keep on this device' (OneDrive) or "
    "'Download Now' (iCloud).",
)


def resolve(cell: str, root: str) -> str:
    """Make a path or URL of the table absolute."""
    url = _SCHEME.match(cell) if "://" in cell else None
    if url is not None:
        return url2pathname(urlsplit(cell).path) if url[1].lower() == "file" else cell
    if "://" in root:
        return f"{root.rstrip('/')}/{cell}"
    return os.path.normpath(os.path.join(root, cell))  # noqa: PTH118  # pathlib takes 10 times as long for 100,000 rows


def resolve_root(root: str | os.PathLike[str] | None, default: Path) -> str:
    """Make a root absolute."""
    text = os.path.expanduser(default if root is None else root)  # noqa: PTH111  # may be a URL
    return resolve(text, str(Path.cwd()))


def look(location: str, column: str = "recording") -> tuple[str, Problem | None]:
    """Look at a recording without opening it."""
    url = _SCHEME.match(location) if "://" in location else None
    if url is not None:
        return location, None if url[1].lower() in SCHEMES else _unknown_scheme(url[1])
    if len(location) > LONGEST_PATH or ";base64," in location:
        return location, _in_a_cell(column)
    try:
        found = os.stat(location)  # noqa: PTH116  # as above
    except (OSError, ValueError) as error:
        drive = None if os.name == "nt" else _DRIVE.search(location)
        return location, _of_windows(drive[1], column) if drive else _missing(location, error)
    return f"{found.st_dev}:{found.st_ino}", _file_problem(location, found)


def _file_problem(location: str, found: os.stat_result) -> Problem | None:
    if stat.S_ISDIR(found.st_mode):
        return Problem("This is a folder, not a recording.", "Name the file inside it.")
    if not stat.S_ISREG(found.st_mode):
        return Problem("This is not an ordinary file.", "Name a file that holds a recording.")
    in_cloud = getattr(found, "st_file_attributes", 0) & _IN_CLOUD_ATTRIBUTES
    if in_cloud or getattr(found, "st_flags", 0) & _IN_CLOUD_FLAG or location.endswith(".icloud"):
        return _IN_CLOUD
    if found.st_size == 0:
        return Problem(
            "The file is empty, or not downloaded yet from its cloud.",
            "Download or copy the recording again, or remove the row.",
        )
    if not os.access(location, os.R_OK):
        return _FORBIDDEN
    if "/._" in location.replace(os.sep, "/") and _is_companion(Path(location)):
        return Problem(
            "This is a companion that macOS writes beside a file, not a recording.",
            "Remove the row, and all others whose file names begin with ._.",
        )
    return None


def _is_companion(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return path.name.startswith("._") and file.read(4) == b"\0\x05\x16\x07"
    return False


def _missing(location: str, error: OSError | ValueError) -> Problem:
    if isinstance(error, PermissionError):
        return _FORBIDDEN
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        folder, name = os.path.split(location)
        if os.path.exists(f"{folder}/.{name}.icloud"):  # noqa: PTH110  # a name may be too long
            return _IN_CLOUD
        return Problem(f"There is no file '{location}'.", _remedy_for_missing(location))
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
    likely = _likely(location)
    if likely is not None:
        return (
            f"The likely file is {likely!r}, whose name differs in case, spaces, dashes, invisible characters "
            "or how accents are stored: rename it, or copy its name."
        )
    folder = Path(location).parent
    if not folder.is_dir():
        return f"The folder {folder} does not exist either. Check the path, and whether its drive is connected."
    return "Check the spelling and the folder."


def _likely(location: str) -> str | None:
    """Find what differs from a missing file only in ways that a person hardly sees."""
    folder, name = os.path.split(location)
    if not name:
        return None
    place = folder if Path(folder).is_dir() else _likely(folder)
    if not place:
        return None
    found = _names_in(place, Path(place).stat().st_mtime_ns).get(_seen(name))
    return found and str(Path(place, found))


@lru_cache(maxsize=8)
def _names_in(folder: str, _: int) -> dict[str, str]:
    """List a folder as it was when it changed last."""
    with suppress(OSError):
        return {_seen(name): name for name in os.listdir(folder)}  # noqa: PTH208  # as above
    return {}


def _seen(name: str) -> str:
    """Write a name as a person sees it, in small letters."""
    return as_seen(unicodedata.normalize("NFKC", name).casefold())


def _in_a_cell(column: str) -> Problem:
    cells = f"df.loc[df[{column!r}].str.len() > {LONGEST_PATH}, {column!r}]"
    names = "cells.index.map('{}.audio'.format)"
    return Problem(
        "The cell holds the recording itself, not the name of a file.",
        "Write the recordings to files, with these lines, where df is the table: import base64, "
        f"pathlib; cells = {cells}; names = {names}; [pathlib.Path(name).write_bytes("
        "base64.b64decode(cell.rpartition(',')[2])) for name, cell in zip(names, cells)]; "
        f"df.loc[cells.index, {column!r}] = names",
    )


def _of_windows(drive: str, column: str) -> Problem:
    cells = f"df[{column!r}]"
    return Problem(
        f"This is a path of Windows, and this computer has no {drive}.",
        "Write the folder that it is on this computer in place of …, here or in the table: "
        f"{cells} = {cells}.str.replace({drive!r}, '…').str.replace({chr(92)!r}, '/')",
    )


def _unknown_scheme(scheme: str) -> Problem:
    return Problem(
        f"URLs that begin with {scheme}:// cannot be read.",
        f"Use a local path, or one of {', '.join(sorted(SCHEMES))}.",
    )


def unique_ids(given: "pd.Series[str]", recordings: "pd.Series[str]") -> "pd.Series[str]":
    """Give every row a different key."""
    wanted = given.fillna(recordings).fillna("row").tolist()
    taken, keys, numbers = {*wanted}, [], Counter[str]()
    for key in wanted:
        numbers[key] += 1
        unique = key
        while numbers[key] > 1 and unique in taken:
            unique = f"{key}#{numbers[key]}"
            numbers[key] += unique in taken
        taken.add(unique)
        keys.append(unique)
    return pd.Series(keys, index=given.index, dtype="str")


def check_ids(tables: CohortTables, keys: "pd.Series[str]", issues: Issues) -> None:
    """Check that no key is in two rows."""
    column, rows = tables.mapping.name_of(RECORDING_ID.name), tables.row_numbers
    for members in _groups(keys):
        listed = listed_rows(rows.iloc[members].tolist())
        what = f"The same recording_id is in rows {listed}."
        problem = Problem(what, "Give every recording a different id.")
        issues.add(members, column, keys.iloc[members], problem, code_of(RECORDING_ID.name))


def check_shared_audio(
    tables: CohortTables, identities: "pd.Series[str]", shown_as: "pd.Series[str]"
) -> tuple[Issues, "pd.Series[bool]"]:
    """Check rows that have the same audio; give the issues, and which rows repeat another one."""
    issues, repeats = Issues(), np.zeros(len(identities), dtype=bool)
    column = tables.mapping.name_of("recording")
    rows, values = tables.row_numbers.to_numpy(), shown_as.to_numpy()
    groups = _groups(identities)
    for members, differing in zip(groups, _differing(groups, tables.sent), strict=True):
        same = f"The same audio is in rows {listed_rows(rows[members].tolist())} with"
        concerned = members if differing else members[1:]
        repeats[concerned] = not differing
        problem = Problem(
            f"{same} different {', '.join(differing)}.",
            "Find out whose recording it is, and remove the other rows.",
        )
        if not differing:
            problem = Problem(
                f"{same} the same metadata.",
                "No change is needed: the rows share one run. Remove rows that are there by mistake.",
                Severity.WARNING,
            )
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


def _groups(keys: "pd.Series[str]") -> list[list[int]]:
    shared = keys[keys.notna() & keys.duplicated(keep=False)]
    return [members.tolist() for members in shared.groupby(shared).groups.values()]


def listed_rows(rows: Sequence[object]) -> str:
    """Name the first of some rows, and count the others."""
    named = ", ".join(map(str, rows[:_MOST_NAMED]))
    rest = len(rows) - _MOST_NAMED
    return f"{named} and {rest} more" if rest > 0 else named
