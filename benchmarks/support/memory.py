"""The memory that a process holds, and the most that it has held."""

import re
from pathlib import Path


def memory_mb() -> int:
    """Tell the memory that this process holds now, in MB. Linux alone says it."""
    return _status_mb("VmRSS")


def peak_memory_mb() -> int:
    """Tell the most memory that this process has held at once, in MB.

    Linux alone says it. ``getrusage`` also counts what the parent held when it started this
    process.
    """
    return _status_mb("VmHWM")


def _status_mb(field: str) -> int:
    found = re.search(rf"{field}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise RuntimeError("this system does not say how much memory a process holds")
    return round(int(found[1]) / 1024)
