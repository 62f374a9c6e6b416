"""What a submission costs the machine that makes it: memory, processor time and open files.

Real files, each of its own bytes, to a sandbox in a process of its own; each size in a fresh
process, since a process remembers its peak. The preflight is left out, which
``benchmarks/preflight.py`` measures, and the rate is the highest that the client looks for.

Run ``python benchmarks/submission.py [--recordings 1000 10000] [--rate 100]``.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from kill_and_resume import write_recordings
from support.memory import peak_memory_mb
from support.remote_sandbox import remote_sandbox

import helios_research as hr
from helios_research.sandbox import SandboxSettings
from helios_research.submission.rate_limiter import HIGHEST_RATE

SIZE_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What one submission took, in its own process."""

    recordings: int
    scored: int
    seconds: float
    cpu_ms_per_recording: float
    system_share: float
    memory_before_mb: float
    peak_memory_mb: float
    most_files_open: int


def submit(manifest: Path, study: Path, rate: float) -> Cost:
    """Submit, and measure this process."""
    cohort = hr.read_cohort(manifest)
    before, memory_mb, began = _cpu_s(), peak_memory_mb(), time.perf_counter()
    with _counting_files() as open_files:
        results = hr.Study(study).submit(cohort, progress=False, preflight=False, rate=rate)
    seconds = time.perf_counter() - began
    user_s, system_s = (after - then for after, then in zip(_cpu_s(), before, strict=True))
    return Cost(
        recordings=len(cohort),
        scored=int((results["outcome"] == "scored").sum()),
        seconds=round(seconds, 1),
        cpu_ms_per_recording=round(1_000 * (user_s + system_s) / len(cohort), 2),
        system_share=round(system_s / (user_s + system_s), 2),
        memory_before_mb=memory_mb,
        peak_memory_mb=peak_memory_mb(),
        most_files_open=max(open_files),
    )


def _cpu_s() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime, used.ru_stime


@contextmanager
def _counting_files() -> Iterator[list[int]]:
    counts: list[int] = []
    over = threading.Event()

    def count() -> None:
        while not over.wait(0.5):
            counts.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - names are not needed

    counting = threading.Thread(target=count)
    counting.start()
    try:
        yield counts
    finally:
        over.set()
        counting.join()


def measure(folder: Path, recordings: int, rate: float) -> Cost:
    """Submit as many recordings from a process of their own."""
    manifest = write_recordings(folder / f"recordings{recordings}", recordings, SIZE_BYTES)
    with remote_sandbox(SandboxSettings()) as sandbox:
        environment = os.environ | sandbox.environment()
        command = [sys.executable, __file__, "--client", str(manifest), "--rate", str(rate)]
        child = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        counts = sandbox.counts()
    if counts["audio"] != recordings or counts["violations"]:
        raise RuntimeError(f"not every recording was processed once: {counts}")
    return Cost(**json.loads(child.stdout))


def main() -> None:
    """Measure each size, and compare the largest with the smallest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--rate", type=float, default=HIGHEST_RATE)
    parser.add_argument("--client", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        study = arguments.client.parent / "study"
        print(json.dumps(asdict(submit(arguments.client, study, arguments.rate))))
        return
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for recordings in arguments.recordings:
            cost = measure(Path(folder), recordings, arguments.rate)
            peaks.append(cost.peak_memory_mb)
            print(cost, flush=True)
    print(f"peak memory, last to first: {peaks[-1] / peaks[0]:.2f}")


if __name__ == "__main__":
    main()
