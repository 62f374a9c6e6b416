"""The place of a study: whether its locks can be trusted there, and whether it is a copy."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# WAL needs memory that all processes on a file share, which network and cluster file systems do
# not give (https://www.sqlite.org/wal.html). Only those known to give it are listed, so that an
# unknown one costs speed and not the study.
_LOCAL_FILE_SYSTEMS = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "reiserfs", "tmpfs"}
    | {"overlay", "ramfs", "vfat", "exfat", "ntfs3", "apfs", "hfs", "msdos", "ntfs"}
)
# Shares whose source names no server; the others are known by it, as `df --local` does
# (https://git.savannah.gnu.org/cgit/gnulib.git/tree/lib/mountlist.c).
_SHARES = frozenset(
    {"9p", "afs", "auristorfs", "beegfs", "coda", "fakeowner", "fuse.gvfsd-fuse", "gfs2", "gpfs"}
    | {"fuse.vmhgfs-fuse", "ocfs2", "prl_fs", "vboxsf", "virtiofs"}
)
_SYNCHRONISED = re.compile(
    r"(OneDrive|Dropbox|Google ?Drive|i[cC]loud ?Drive|Nextcloud|ownCloud|Seafile)( ?[-(].*)?"
    r"|My Drive|Mobile Documents|CloudStorage"
)
# One line of Linux's table, or of what `mount` says on macOS.
_MOUNT = re.compile(
    r"^\d+ \d+ \S+ \S+ (\S+) .*? - (\S+) (\S*)|^(.+?) on (/.*) \((\w+)", re.MULTILINE
)
_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Volume:
    """What a study's folder is on: ``is_local`` where SQLite's WAL and the system's locks hold."""

    is_local: bool
    caution: str = ""


def volume_of(folder: Path) -> Volume:
    """Find out what a resolved folder is on; Windows resolves a mapped drive to its share."""
    for outer in (folder, *folder.parents):
        if _SYNCHRONISED.fullmatch(outer.name) or (outer / ".stfolder").exists():
            return Volume(is_local=False, caution=_SYNC_FOLDER.format(folder, outer))
    kind, source = _file_system(folder)
    if kind in _LOCAL_FILE_SYSTEMS:
        return Volume(is_local=True)
    is_share = kind in _SHARES or ":" in source or source.startswith(("//", "\\\\"))
    return Volume(is_local=False, caution=_SHARE.format(folder, kind) if is_share else "")


_SHARE = (
    "The study {} is on a network share, or on another system's drive ({}). It is slower there, and "
    "a lost connection stops a submission: keep it on a disk of this machine, and copy results to "
    "the share. Submit from one machine at a time."
)
_SYNC_FOLDER = (
    "The study {} is in {}, which a program synchronises with a server and other machines. It may "
    "put an older ledger back, so that recordings are paid for again, and what is known of "
    "participants leaves this machine: move the study out of there, and copy only results into it."
)


def _file_system(folder: Path) -> tuple[str, str]:
    """Give the kind and the source of the file system of a folder, empty where not known."""
    if folder.drive:
        is_share = folder.drive.startswith("\\\\")
        return ("Windows share", folder.drive) if is_share else ("ntfs", folder.drive)
    found, length = ("", ""), -1
    for line in _MOUNT.finditer(_mounts()):
        point, kind, source = line.group(1, 2, 3) if line[1] else line.group(5, 6, 4)
        # The kernel writes blanks in names as octal escapes.
        mounted = Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), point))
        # Of two mounts at one place the later one is seen.
        if folder.is_relative_to(mounted) and len(mounted.parts) >= length:
            found, length = (kind, source), len(mounted.parts)
    return found


def _mounts() -> str:
    try:
        if sys.platform == "darwin":
            return subprocess.check_output(["/sbin/mount"], text=True, errors="surrogateescape")
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, subprocess.SubprocessError):
        return ""


def home_of(database: Path) -> dict[str, Any]:
    """Describe where a ledger is, to know later whether it was copied."""
    # Shares number their files as they like; there only the name of the place counts.
    inode = database.stat().st_ino if volume_of(database.parent).is_local else 0
    return {"host": socket.gethostname(), "path": str(database), "inode": inode}


def is_copy(known: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether a ledger that knows one home, and is in another, may be in both of them."""
    if known["host"] == here["host"]:
        before = Path(known["path"])
        # Not `Path.exists`: that raises where a folder above is closed to us.
        return os.access(before, os.F_OK) and not before.samefile(here["path"])
    # A container has a new name each time, and a share is the same from two machines.
    return bool(known["inode"] != here["inode"])
