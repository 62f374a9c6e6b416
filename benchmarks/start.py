"""How long ``import helios_research`` takes, and which libraries it loads, against its target.

Run it with ``python benchmarks/start.py``. Each import runs in a fresh interpreter, whose own start
is not counted; the best of several runs is taken.
"""

import subprocess
import sys

RUNS = 7
TARGET_S = 0.15
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


def main() -> None:
    """Print the best time, whether the target is met, and what was loaded."""
    seconds, worked, loaded = min(imported() for _ in range(RUNS))
    met = seconds <= TARGET_S and not loaded
    print(f"{seconds:.3f} s  ({worked:.3f} s of processor time); target {TARGET_S} s met: {met}")
    print(f"of {', '.join(SPARED)} it loads: {', '.join(loaded) or 'none'}")


if __name__ == "__main__":
    main()
