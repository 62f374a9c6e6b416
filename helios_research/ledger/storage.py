"""A ledger's files: its database, connections to it, and the lock that lets one process write."""

import errno
import json
import os
import re
import shlex
import socket
import sqlite3
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from helios_research._util.files import is_open_to_others, remove_temporary_files, replaced
from helios_research._util.text import in_local_time
from helios_research.errors import (
    StudyDamagedError,
    StudyError,
    StudyLockedError,
    StudyMissingError,
    StudyStorageError,
    storage_errors,
)
from helios_research.ledger.records import SecretUrl

DATABASE_NAME = "helios.sqlite"
DATABASE_FILES = tuple(f"{DATABASE_NAME}{suffix}" for suffix in ("", "-wal", "-shm", "-journal"))
"""The ledger's file, and what SQLite keeps beside it while it is in use."""

# For a lock that a reader or a checkpoint holds for a moment; also the longest that closing waits
# for a database browser.
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
    """Warn where others may look into a study: a folder that was made before, or copied files."""
    # No one else reaches into a closed folder, whatever its files allow.
    if is_open_to_others(folder):
        warnings.warn(
            f"Other users of this machine can look into the study {folder}. To keep it to "
            f"yourself: chmod -R go= {shlex.quote(str(folder))} (if its drive has no "
            "permissions, move the study to another drive).",
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
        # Not `ro`: the first reader after a kill must take back the transaction that was cut.
        return "mode=rw"
    # A closed ledger that may not be written to (an archive, a snapshot) has no side files, SQLite
    # cannot make them, and no one else can be writing: only then may it be taken as immutable.
    is_alone = not path.with_name(f"{path.name}-wal").exists()
    return "mode=ro&immutable=1" if is_alone else "mode=ro"


def checkpoint(connection: sqlite3.Connection) -> None:
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
    _empty_wal(connection)


def vacuum(connection: sqlite3.Connection) -> bool:
    """Write the whole file anew, so that nothing of what was deleted is left in it or its WAL."""
    # Otherwise a copy of the whole ledger would lie in the system's folder for temporary files.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("VACUUM")
    return _empty_wal(connection)


def _empty_wal(connection: sqlite3.Connection) -> bool:
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


# --- failures ----------------------------------------------------------------------------------

# Our statements fit every ledger of the version that it says, unless what it says was corrupted.
_CORRUPTION = re.compile(
    "decode to UTF-8|malformed JSON|unsupported file format|no such (table|column)|already exists"
)


class CorruptValueError(sqlite3.DatabaseError):
    """A value that this package cannot have written: corruption that SQLite does not notice."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    def __init__(self) -> None:
        super().__init__("a value in it makes no sense")


@contextmanager
def corrupt_if_unreadable() -> Iterator[None]:
    """Take values that cannot be read for corruption of the file."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CorruptValueError from error


def study_error(error: Exception, path: Path) -> StudyError | None:
    """Word a failure of the disk or of the file as the error of a study; None where it is neither."""
    # Extended codes refine the primary one in their lowest byte (https://sqlite.org/rescode.html).
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    is_uncoded = isinstance(error, sqlite3.OperationalError) and _CORRUPTION.search(str(error))
    if is_uncoded or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
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


# --- the lock -------------------------------------------------------------------------------------

LOCK_NAME = "helios.lock"
HOLDER_NAME = "helios.lock.json"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the right to write to a study."""

    pid: int
    host: str
    since: datetime


class StudyLock:
    """The right to write to a study.

    The lock itself is the system's (``flock``), so that a killed process leaves nothing behind
    that has to be cleared. Who holds it is in a second file, which is only ever read when
    the lock is refused: what a killed process left there is overwritten by the next holder.
    """

    def __init__(self, folder: Path, now: datetime) -> None:
        self._holder = folder / HOLDER_NAME
        # On the few file systems without flock, filelock warns and uses a marker file instead.
        self._lock = FileLock(folder / LOCK_NAME, timeout=0, mode=0o600, thread_local=False)
        with storage_errors(folder):
            try:
                self._lock.acquire()
            except Timeout:
                raise _refusal(folder, self._holder) from None
            try:
                self._sign(now)
            except OSError:
                self._lock.release()
                raise

    def _sign(self, now: datetime) -> None:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now.isoformat()}
        # Only the holder of the lock comes here.
        remove_temporary_files(self._holder)
        with replaced(self._holder) as unfinished:
            unfinished.write_text(json.dumps(holder), encoding="utf-8")

    def release(self) -> None:
        """Give the right back; safe to call twice."""
        if self._lock.is_locked:
            # Where the folder has become read-only the name stays; it is only ever believed while
            # its process lives, and the next holder writes its own.
            with suppress(OSError):
                self._holder.unlink(missing_ok=True)
            self._lock.release()


def holder_of(folder: Path) -> Holder | None:
    """Read who seems to be writing to a study, without touching the lock.

    Trying the lock would be exact, but for that moment it would turn away a submission that
    wants to begin.
    """
    holder = _signed(folder / HOLDER_NAME)
    return holder if holder is not None and _may_live(holder) else None


def _signed(path: Path) -> Holder | None:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return Holder(int(known["pid"]), str(known["host"]), datetime.fromisoformat(known["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        # The holder is between taking the lock and signing it, or has just gone.
        return None


def _may_live(holder: Holder) -> bool:
    # On Windows signal 0 is Ctrl-C, not a question.
    if holder.host != socket.gethostname() or sys.platform == "win32":
        return True
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # It is there, and someone else's.
        return True
    return True


def _refusal(folder: Path, path: Path) -> StudyLockedError:
    holder = _signed(path)
    if holder is None:
        return StudyLockedError(folder, pid=None, host=None, since=None)
    since = in_local_time(holder.since)
    return StudyLockedError(folder, pid=holder.pid, host=holder.host, since=since)
