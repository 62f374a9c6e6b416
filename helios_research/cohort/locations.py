"""Where recordings are: paths against a root, URLs as they are, and a first look at files."""

import errno
import os
import re
import stat
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from helios_research.cohort.findings import Problem

_CLOUD = {"abfs", "abfss", "adl", "az", "gcs", "gs", "oci", "s3", "s3a"}
_SERVER = {"ftp", "hdfs", "http", "https", "sftp", "smb", "ssh"}
SCHEMES = frozenset({*_CLOUD, *_SERVER, "file", "memory"})
"""Kinds of URL that recordings may have; fsspec reads them with the researcher's credentials."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def resolve(cell: str, root: str) -> str:
    """Resolve what stands in the table."""
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
        return Problem("This is a link that leads back to itself.", "Correct the link.")
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
        return (
            f"There is no folder {folder} either: is it the right one, and is its drive connected?"
        )
    return "Check the spelling, and whether it should lie in this folder."


def _forbidden() -> Problem:
    return Problem("The file may not be read.", "Ask its owner for permission to read it.")


def _scheme_problem(scheme: str) -> Problem | None:
    if scheme.lower() in SCHEMES:
        return None
    return Problem(
        f"URLs that begin with {scheme}:// cannot be read.",
        f"Use a local path, or one of {', '.join(sorted(SCHEMES))}.",
    )


def _local_path(url: str) -> str:
    return url2pathname(urlsplit(url).path)
