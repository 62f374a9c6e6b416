"""How a file is replaced: the old one or the whole new one is in its place, even after a power cut."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ENDING = ".part"


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a temporary file beside a path to write to, and move it there when the block ends.

    The file is readable by its owner only. If the block raises, the old file stays as it is.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_ENDING)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary, os.O_RDWR)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    # The file is in place by now; some file systems refuse this for folders, and Windows always.
    if sys.platform != "win32":
        with suppress(OSError):
            _sync(path.parent, os.O_RDONLY)


def is_temporary(path: Path) -> bool:
    """Whether `replaced` made this file; it is still there only while its process writes or was killed."""
    return path.name.startswith(".") and path.suffix == _ENDING


def remove_temporary_files(path: Path) -> None:
    """Remove what killed processes left beside a file. No other process may be writing it."""
    for other in path.parent.iterdir():
        if is_temporary(other) and other.name.startswith(f".{path.name}."):
            other.unlink(missing_ok=True)


def is_open_to_others(path: Path) -> bool:
    """Whether other users of this machine may look into a file or folder."""
    # Windows has permissions of another kind, which this number does not show.
    return sys.platform != "win32" and bool(path.stat().st_mode & 0o077)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
