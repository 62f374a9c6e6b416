"""How long ``import helios_research`` and ``helios-research --help`` take, and what they load.

Run it with ``python benchmarks/start.py``. Each runs in a fresh interpreter; for the import, the
interpreter's own start is not counted. The best of several runs is taken.
"""

import os
import subprocess
import sys

RUNS = 7
TARGET_S = 0.15
HELP_TARGET_S = 0.4
SPARED = ("matplotlib", "scipy", "httpx", "av", "pandas", "numpy", "ipywidgets", "statsmodels")

IMPORT = f"""
import sys, time
start, worked = time.perf_counter(), time.process_time()
import helios_research
taken = time.perf_counter() - start, time.process_time() - worked
print(*taken, *[name for name in {SPARED} if name in sys.modules])
"""


def imported() -> tuple[float, float, list[str]]:
    """Import the package in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True
    )
    seconds, worked, *loaded = done.stdout.split()
    return float(seconds), float(worked), loaded


def helped() -> float:
    """Ask the command line for help; the processor time of its process, in seconds."""
    command = [sys.executable, "-m", "helios_research", "--help"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the best times, whether the targets are met, and what was loaded."""
    seconds, worked, loaded = min(imported() for _ in range(RUNS))
    met = seconds <= TARGET_S and not loaded
    print(f"{seconds:.3f} s  ({worked:.3f} s of processor time); target {TARGET_S} s met: {met}")
    print(f"of {', '.join(SPARED)} it loads: {', '.join(loaded) or 'none'}")
    # 1.7 s before each command imported what it needs.
    help_s = min(helped() for _ in range(RUNS))
    met = help_s <= HELP_TARGET_S
    print(f"--help: {help_s:.2f} s of processor time; target {HELP_TARGET_S} s met: {met}")


if __name__ == "__main__":
    main()
