"""A connection to a ledger that several threads may read through."""

import errno
import os
import re
import shlex
import sqlite3
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from helios_research.errors import (
    StudyDamagedError,
    StudyError,
    StudyMissingError,
    StudyStorageError,
)
from helios_research.ledger.attempts import SecretUrl

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


ROWS_IN_A_BLOCK = 2_000
"""Enough to make reading one block cheap against parsing it, and little enough to hold in memory."""


class Connected:
    """A ledger that is open for reading; its methods are those of `LedgerReader`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = Lock()
        self._is_closed = False
        with sqlite_errors(path):
            self._connection = connect_reader(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """The study folder, with links resolved."""
        return self._path.parent

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        with self._reading:
            self._is_closed = True
            self._connection.close()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._reading, sqlite_errors(self._path):
            if self._is_closed:
                raise ValueError(f"The ledger {self._path} is closed: open the study again.")
            yield self._connection


DATABASE_NAME = "helios.sqlite"
DATABASE_FILES = tuple(f"{DATABASE_NAME}{suffix}" for suffix in ("", "-wal", "-shm", "-journal"))
"""The ledger's file, and what SQLite keeps beside it while it is in use."""

# For a lock that a reader or a checkpoint holds for a moment; also the longest that closing waits
# for somebody's database browser.
_BUSY_S = 10.0

# WAL needs memory that all processes on a file share, which network and cluster file systems do
# not give (https://www.sqlite.org/wal.html). Only those known to give it are listed, so that an
# unknown one costs speed and not the study.
_FILE_SYSTEMS_FOR_WAL = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "reiserfs", "tmpfs"}
    | {"overlay", "ramfs", "vfat", "exfat", "ntfs3"}
)
_MOUNTS = Path("/proc/self/mounts")

# In words, and as the system's number for what can be done about it.
_STORAGE_FAILURES = {
    sqlite3.SQLITE_FULL: ("the disk is full", errno.ENOSPC),
    sqlite3.SQLITE_READONLY: ("it is read-only", errno.EACCES),
    sqlite3.SQLITE_IOERR: ("the disk reported an error", None),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", None),
    sqlite3.SQLITE_PERM: ("access to it is denied", errno.EACCES),
    sqlite3.SQLITE_BUSY: ("another program is holding it", None),
    sqlite3.SQLITE_LOCKED: ("another program is holding it", None),
    sqlite3.SQLITE_PROTOCOL: ("its locks do not work on this file system", errno.EEXIST),
    sqlite3.SQLITE_NOLFS: ("it has outgrown this file system", errno.ENOSPC),
}


def prepare_folder(folder: Path) -> Path:
    """Make the study folder, readable by its owner only, unless it is there already."""
    folder = folder.expanduser()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder.resolve(strict=True)
    except (FileExistsError, NotADirectoryError):
        reason = "there is a file, or a broken link, in its place"
        raise StudyStorageError(folder, reason, errno.EEXIST) from None
    except OSError as error:
        raise StudyStorageError.from_system(folder, error) from error


def warn_if_open_to_others(folder: Path) -> None:
    """Warn where other users of this machine may look into a study.

    What this package writes is for its owner alone, but a folder that was made before, or files
    that were copied there, need not be.
    """
    # Into a closed folder nobody reaches, whatever its files allow. Windows has permissions of
    # another kind, which this number does not tell.
    if sys.platform != "win32" and folder.stat().st_mode & 0o077:
        warnings.warn(
            f"Other users of this machine can look into the study {folder}. To keep it to "
            f"yourself: chmod -R go= {shlex.quote(str(folder))} (on a drive that knows no "
            "permissions, move the study to another).",
            stacklevel=3,
        )


def prepare_database(folder: Path) -> Path:
    """Make the ledger's file, readable by its owner only, unless it is there already."""
    path = folder / DATABASE_NAME
    if path.is_symlink():
        reason = "it is a link, so two studies could share one ledger"
        raise StudyStorageError(path, reason, errno.EEXIST)
    try:
        # SQLite gives its side files the mode of this one. A file that exists must not be opened
        # here: closing it would drop the locks that SQLite holds on it in this process.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise StudyStorageError(path, "it is a folder, not a file", errno.EISDIR) from None
        if not os.access(path, os.W_OK):
            raise StudyStorageError(path, "it is read-only", errno.EACCES) from None
    except OSError as error:
        raise StudyStorageError.from_system(path, error) from error
    return path


def existing_database(folder: Path) -> Path:
    """Find the ledger of a study that must exist."""
    path = folder.expanduser().absolute() / DATABASE_NAME
    try:
        if path.is_file() and path.stat().st_size > 0:
            return path.resolve()
    except OSError as error:
        raise StudyStorageError.from_system(path, error) from error
    raise StudyMissingError.folder(folder)


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the ledger for writing, durable and with deleted content overwritten."""
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA journal_mode = {journal_mode(path)}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the ledger for reading beside a process that writes to it."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?{_reading_mode(path)}",
        uri=True,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only = ON")
    return connection


def _reading_mode(path: Path) -> str:
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        # Not `ro`: whoever reads first after a kill must take back the transaction that was cut.
        return "mode=rw"
    # A closed ledger that may not be written to (an archive, a snapshot) has no side files, SQLite
    # cannot make them, and nobody else can be writing: only then may it be taken as immutable.
    is_alone = not path.with_name(f"{path.name}-wal").exists()
    return "mode=ro&immutable=1" if is_alone else "mode=ro"


def tidy(connection: sqlite3.Connection) -> None:
    """Leave one small file in which no erased upload URL can be found.

    The table of upload URLs is emptied, which zeroes all of its pages, and what still lives is
    put back; then the WAL, in which erased URLs linger, is copied into the file and cut to
    nothing. Cheap, because only a few uploads are ever open.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        rows = connection.execute("SELECT attempt_id, upload_url FROM upload_urls")
        living = [(attempt_id, SecretUrl(url)) for attempt_id, url in rows]
        # Without WHERE: this is the form of DELETE that clears pages instead of rows.
        connection.execute("DELETE FROM upload_urls")
        connection.executemany("INSERT INTO upload_urls VALUES (?, ?)", living)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    empty_wal(connection)


def rewrite(connection: sqlite3.Connection) -> bool:
    """Write the whole file anew, so that nothing of what was deleted is left in it or its WAL."""
    # Otherwise a copy of the whole ledger would lie in the system's folder for temporary files.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("VACUUM")
    return empty_wal(connection)


def empty_wal(connection: sqlite3.Connection) -> bool:
    """Copy the WAL into the file and cut it to nothing."""
    ((busy, *_),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return not busy


def journal_mode(path: Path, mounts: Path = _MOUNTS) -> str:
    r"""Choose how SQLite keeps transactions whole on the file system of a path."""
    if str(path).startswith("\\\\"):
        return "DELETE"
    try:
        table = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return "WAL"
    return "WAL" if _file_system(path, table) in _FILE_SYSTEMS_FOR_WAL else "DELETE"


def _file_system(path: Path, table: str) -> str:
    found, length = "", -1
    for line in table.splitlines():
        _, mount_point, kind, *_ = line.split(" ")
        # The kernel writes blanks in names as octal escapes.
        mounted = Path(mount_point.replace("\\040", " ").replace("\\011", "\t"))
        # Of two mounts at one place the later one is seen.
        if path.is_relative_to(mounted) and len(mounted.parts) >= length:
            found, length = kind, len(mounted.parts)
    return found


def study_error(error: Exception, path: Path) -> StudyError | None:
    """Put a failure of the disk or of the file into the words of a study."""
    # Extended codes refine the primary one in their lowest byte (https://sqlite.org/rescode.html).
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    if is_damage_without_code(error) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StudyDamagedError(path, str(error))
    if code in _STORAGE_FAILURES:
        name = getattr(error, "sqlite_errorname", "")
        words, number = _STORAGE_FAILURES[code]
        return StudyStorageError(path, f"{words} ({name})", number)
    return None


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises inside the block into a `StudyError`."""
    try:
        yield
    except sqlite3.Error as error:
        worded = study_error(error, path)
        if worded is None:
            raise
        raise worded from error


def in_words(error: OSError) -> str:
    """Name what the system refused, for use in a sentence."""
    return (error.strerror or type(error).__name__).lower()
