"""One writer per study, held by a lock that the system frees when the process dies."""

import json
import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from helios_research.errors import StudyLockedError, StudyStorageError, local_time

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
    that has to be cleared. Who holds it stands in a second file, which is only ever read when
    the lock is refused: what a killed process left there is overwritten by the next holder.
    """

    def __init__(self, folder: Path, now: datetime) -> None:
        self._holder = folder / HOLDER_NAME
        # On the few file systems without flock, filelock warns and uses a marker file instead.
        self._lock = FileLock(folder / LOCK_NAME, timeout=0, mode=0o600, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise _refusal(folder, self._holder) from None
        except OSError as error:
            raise StudyStorageError.from_system(folder, error) from error
        try:
            self._sign(now)
        except OSError as error:
            self._lock.release()
            raise StudyStorageError.from_system(folder, error) from error

    def _sign(self, now: datetime) -> None:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now.isoformat()}
        draft = self._holder.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(holder, file)
        draft.replace(self._holder)

    def release(self) -> None:
        """Give the right back; safe to call twice."""
        if self._lock.is_locked:
            # Where the folder has become read-only the name stays; it is only ever believed while
            # its process lives, and the next holder writes its own.
            with suppress(OSError):
                self._holder.unlink(missing_ok=True)
            self._lock.release()


def holder_of(folder: Path) -> Holder | None:
    """Tell who seems to be writing to a study, without touching the lock.

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
    since = local_time(holder.since)
    return StudyLockedError(folder, pid=holder.pid, host=holder.host, since=since)
