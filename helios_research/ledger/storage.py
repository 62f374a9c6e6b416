"""A ledger's files: its database, connections to it, and the lock that lets one process write."""

import errno
import os
import re
import shlex
import socket
import sqlite3
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout
from pydantic import AwareDatetime, TypeAdapter

from helios_research import errors
from helios_research._util.files import is_open_to_others, remove_temporary_files, replaced
from helios_research._util.text import in_local_time
from helios_research.ledger.checksums import CorruptValueError, register
from helios_research.ledger.records import SecretUrl
from helios_research.ledger.volumes import volume_of

DATABASE_NAME = "helios.sqlite"
DATABASE_FILES = tuple(f"{DATABASE_NAME}{suffix}" for suffix in ("", "-wal", "-shm", "-journal"))
"""The ledger's file, and what SQLite keeps beside it while it is in use."""

# For a lock that a reader or a checkpoint holds for a moment; also the longest that closing waits
# for a database browser.
_BUSY_S = 10.0

# In words, and as the system's number for what can be done about it.
_STORAGE_FAILURES = {
    sqlite3.SQLITE_FULL: ("the disk is full", errno.ENOSPC),
    sqlite3.SQLITE_READONLY: ("it is read-only", errno.EACCES),
    sqlite3.SQLITE_IOERR: ("the disk reported an error", errno.EIO),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", None),
    sqlite3.SQLITE_PERM: ("access to it is denied", errno.EACCES),
    sqlite3.SQLITE_BUSY: ("another program is holding it", errno.EBUSY),
    sqlite3.SQLITE_LOCKED: ("another program is holding it", errno.EBUSY),
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
        raise errors.StudyStorageError(folder, reason, errno.EEXIST) from None
    except OSError as error:
        raise errors.StudyStorageError.from_system(folder, error) from error


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


def warn_of_damage(path: Path, named: Iterable[str]) -> None:
    """Say which rows were damaged, and are right again or will be found out anew."""
    warnings.warn(
        f"The ledger {path} was damaged on the disk, and was put right: {', '.join(named)}. The next "
        "submission finds out again what could not be put back; nothing is sent twice. The disk may be "
        "failing: copy the study to another one.",
        stacklevel=3,
    )


def prepare_database(folder: Path) -> Path:
    """Make the ledger's file, readable by its owner only, unless it is there already."""
    path = folder / DATABASE_NAME
    if path.is_symlink():
        reason = "it is a link, so two studies could share one ledger"
        raise errors.StudyStorageError(path, reason, errno.EEXIST)
    try:
        # SQLite gives its side files the mode of this one. A file that exists must not be opened
        # here: closing it would drop the locks that SQLite holds on it in this process.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise errors.StudyStorageError(
                path, "it is a folder, not a file", errno.EISDIR
            ) from None
        if not os.access(path, os.W_OK):
            raise errors.StudyStorageError(path, "it is read-only", errno.EACCES) from None
    except OSError as error:
        raise errors.StudyStorageError.from_system(path, error) from error
    return path


def existing_database(folder: Path) -> Path:
    """Find the ledger of a study that must exist."""
    path = folder.expanduser().absolute() / DATABASE_NAME
    try:
        if path.is_file() and path.stat().st_size > 0:
            return path.resolve()
    except OSError as error:
        raise errors.StudyStorageError.from_system(path, error) from error
    raise errors.StudyMissingError.folder(folder)


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the ledger for writing, durable and with deleted content overwritten."""
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        register(connection)
        connection.execute("PRAGMA secure_delete = ON")
        is_local = volume_of(path.parent).is_local
        connection.execute(f"PRAGMA journal_mode = {'WAL' if is_local else 'DELETE'}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the ledger for reading beside a process that writes to it."""
    # Not `as_uri`: it makes the server of a Windows share an authority, which SQLite refuses.
    name = quote(os.fsencode(path.as_posix().removeprefix("/")))
    connection = sqlite3.connect(
        f"file:///{name}?{_reading_mode(path)}",
        uri=True,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    register(connection)
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

    Emptying their table zeroes all of its pages, and what still lives is put back; then the WAL, in
    which erased URLs linger, is cut to nothing. Cheap, because only a few uploads are ever open.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        rows = connection.execute("SELECT attempt_id, upload_url FROM upload_urls")
        living = [(attempt_id, SecretUrl(url)) for attempt_id, url in rows]
        # Without WHERE: this is the form of DELETE that clears pages instead of rows.
        connection.execute("DELETE FROM upload_urls")
        put = "INSERT INTO upload_urls (attempt_id, upload_url) VALUES (?, ?)"
        connection.executemany(put, living)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    _empty_wal(connection)


def vacuum(connection: sqlite3.Connection) -> bool:
    """Write the file anew, so that nothing deleted is left in it or its WAL (where no one reads it)."""
    # Otherwise a copy of the whole ledger would lie in the system's folder for temporary files.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("VACUUM")
    return _empty_wal(connection)


def _empty_wal(connection: sqlite3.Connection) -> bool:
    """Copy the WAL into the file and cut it to nothing."""
    ((busy, *_),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return not busy


# --- failures ----------------------------------------------------------------------------------

# Our statements fit every ledger of the version that it says, unless what it says was corrupted.
_CORRUPTION = re.compile(
    "decode to UTF-8|malformed JSON|cannot hold BLOB|unsupported file format|"
    "no such (table|column)|already exists|duplicate column"
)


@contextmanager
def corrupt_if_unreadable() -> Iterator[None]:
    """Take values that cannot be read for corruption of the file."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CorruptValueError from error


def study_error(error: Exception, path: Path) -> errors.StudyError | None:
    """Word a failure of the disk or of the file as the error of a study; None where it is neither."""
    # Extended codes refine the primary one in their lowest byte (https://sqlite.org/rescode.html).
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    is_uncoded = isinstance(error, sqlite3.OperationalError) and _CORRUPTION.search(str(error))
    if is_uncoded or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return errors.StudyDamagedError(path, str(error))
    if code in _STORAGE_FAILURES:
        name = getattr(error, "sqlite_errorname", "")
        words, number = _STORAGE_FAILURES[code]
        return errors.StudyStorageError(path, f"{words} ({name})", number)
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
    # sqlite3 cannot word its own error where a damaged name is in it.
    except UnicodeDecodeError as error:
        raise errors.StudyDamagedError(path, "a name in it makes no sense") from error


# --- the lock -------------------------------------------------------------------------------------

LOCK_NAME = "helios.lock"
HOLDER_NAME = "helios.lock.json"

RENEW_S = 30.0
# Without a sign for so long, another machine's lease is over. Clocks on one share may differ:
# Kerberos, which most shares log in with, allows five minutes.
_LEASE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the right to write to a study; ``seen`` is the last sign of life on a share."""

    pid: int
    host: str
    since: AwareDatetime
    seen: AwareDatetime


_HOLDER = TypeAdapter(Holder)


class StudyLock:
    """The right to write to a study.

    The lock is the system's (``flock``), so that a killed process leaves nothing to clear. A second file
    says who holds it; where locks may not reach other machines, it is a lease that has to be renewed.
    """

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._clock = clock
        self._is_leased = not volume_of(folder).is_local
        now = clock()
        self._me = Holder(os.getpid(), socket.gethostname(), now, now)
        # On the few file systems without flock, filelock warns and uses a marker file instead.
        self._lock = FileLock(folder / LOCK_NAME, timeout=0, mode=0o600, thread_local=False)
        with errors.storage_errors(folder):
            try:
                self._lock.acquire()
            except Timeout:
                raise _refusal(folder, _signed(folder)) from None
            try:
                self._respect_other_machines(_signed(folder))
                self._sign()
            except BaseException:
                self._lock.release()
                raise

    def renew(self) -> None:
        """Show that this process is alive; raise where another machine has taken the study over."""
        if not self._is_leased:
            return
        holder, now = _signed(self._folder), self._clock()
        silence = abs(now - self._me.seen)
        if silence > _LEASE if holder is None else not self._is_mine(holder):
            raise _refusal(self._folder, holder)
        if silence >= timedelta(seconds=RENEW_S):
            self._me = replace(self._me, seen=now)
            with errors.storage_errors(self._folder):
                self._sign()

    def _respect_other_machines(self, holder: Holder | None) -> None:
        if not self._is_leased or holder is None or holder.host == self._me.host:
            return  # on this machine the lock counts, and it is ours now
        if abs(self._me.seen - holder.seen) < _LEASE:
            raise _refusal(self._folder, holder)

    def _is_mine(self, holder: Holder) -> bool:
        return (holder.pid, holder.host) == (self._me.pid, self._me.host)

    def _sign(self) -> None:
        path = self._folder / HOLDER_NAME
        # Only the holder of the lock comes here.
        remove_temporary_files(path)
        with replaced(path) as unfinished:
            unfinished.write_bytes(_HOLDER.dump_json(self._me))

    def release(self) -> None:
        """Give the right back; safe to call twice."""
        if self._lock.is_locked:
            holder = _signed(self._folder)
            if holder is None or self._is_mine(holder):
                # Where the folder has become read-only the name stays; it is only ever believed
                # while its process lives, and the next holder writes its own.
                with suppress(OSError):
                    (self._folder / HOLDER_NAME).unlink(missing_ok=True)
            self._lock.release()


def holder_of(folder: Path) -> Holder | None:
    """Read who seems to be writing to a study; trying the lock would turn a submission away."""
    holder = _signed(folder)
    return holder if holder is not None and _may_live(holder) else None


def _signed(folder: Path) -> Holder | None:
    try:
        return _HOLDER.validate_json((folder / HOLDER_NAME).read_bytes())
    except (OSError, ValueError):
        # The holder is between taking the lock and signing it, or has just gone.
        return None


def _may_live(holder: Holder) -> bool:
    # On Windows signal 0 is Ctrl-C, not a question.
    if holder.host != socket.gethostname() or sys.platform == "win32":
        return True
    try:
        os.kill(holder.pid, 0)
    except OSError as error:
        # Any other means that it is there, and someone else's.
        return not isinstance(error, ProcessLookupError)
    return True


def _refusal(folder: Path, holder: Holder | None) -> errors.StudyLockedError:
    if holder is None:
        return errors.StudyLockedError(folder, pid=None, host=None, since=None)
    since = in_local_time(holder.since)
    return errors.StudyLockedError(folder, pid=holder.pid, host=holder.host, since=since)
