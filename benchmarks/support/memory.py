"""The most memory that a process has held."""

import re
from pathlib import Path


def peak_memory_mb() -> int:
    """Tell the most memory that this process has held at once, in MB.

    Linux alone says it. ``getrusage`` also counts what the parent held when it started this
    process.
    """
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise RuntimeError("this system does not say how much memory a process has held")
    return round(int(found[1]) / 1024)
