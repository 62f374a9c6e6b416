"""How a submission holds up under load: many runs in flight, two studies at once, a large study.

Each case drives real submissions, every one in a process of its own, against a sandbox in another,
and ends only when the sandbox's log agrees that every recording was processed exactly once.

``flight``: 5,000 runs in flight at 200 requests a second, which is more than the client itself
looks for. ``shared``: two studies with one key, under one limit, each given the whole rate, and
each having to find it. ``study``: 100,000 recordings to the end, at the speed of the machine;
memory, open files and the ledger's size over time go to ``benchmarks/figures/study.csv``, from
which ``benchmarks/load_figure.py`` draws.

Run ``python benchmarks/load.py flight``, ``shared`` or ``study [--recordings 100000]``.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kill_and_resume import write_recordings
from support.memory import memory_mb, peak_memory_mb
from support.remote_sandbox import RemoteSandbox, remote_sandbox

import helios_research as hr
from helios_research.sandbox import SandboxSettings

FIGURES = Path(__file__).parent / "figures"
SIZE_BYTES = 144
"""Bytes of a recording: a WAV header and a tenth of a kilobyte of its own."""
RATE = 200.0
IN_FLIGHT = 5_000
SHARED_RATE = 20.0


# --- one submission, in a process of its own --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment of a submission."""

    seconds: float
    scored: int
    in_flight: int
    cpu_s: float
    memory_mb: int
    open_files: int
    ledger_mb: float
    rate_per_s: float


def take(run: Any, study: Path, began: float) -> Sample:
    """Look at a submission, and at the process that makes it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    ledger = sum(path.stat().st_size for path in study.glob("helios.sqlite*") if path.is_file())
    return Sample(
        seconds=round(time.perf_counter() - began, 1),
        scored=run.progress.outcomes.get("scored", 0),
        in_flight=run.progress.in_flight,
        cpu_s=round(used.ru_utime + used.ru_stime, 2),
        memory_mb=memory_mb(),
        open_files=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - names are not needed
        ledger_mb=round(ledger / 1e6, 2),
        rate_per_s=round(run.progress.rate or 0.0, 1),
    )


def submit(manifest: Path, samples_file: Path, every_s: float, options: dict[str, Any]) -> None:
    """Submit a manifest, writing a sample down now and then, and print what came of it."""
    study = manifest.parent / "study"
    cohort = hr.read_cohort(manifest)
    began, cpu_began = time.perf_counter(), time.process_time()
    run = hr.Study(study).start(cohort, preflight=False, **options)
    with samples_file.open("w", newline="") as file:
        table = csv.DictWriter(file, Sample.__annotations__)
        table.writeheader()
        due = began
        while run.is_running:
            if time.perf_counter() >= due:
                table.writerow(asdict(take(run, study, began)))
                file.flush()
                due += every_s
            time.sleep(0.1)
        table.writerow(asdict(take(run, study, began)))
    results = run.wait()
    outcome = {
        "recordings": len(cohort),
        "scored": int((results["outcome"] == "scored").sum()),
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_s": round(time.process_time() - cpu_began, 1),
        "peak_mb": peak_memory_mb(),
    }
    print(json.dumps(outcome))


@dataclass(frozen=True, slots=True)
class Client:
    """A submission in another process."""

    process: subprocess.Popen[str]
    samples_file: Path

    def outcome(self) -> dict[str, Any]:
        """Wait for its end."""
        said, _ = self.process.communicate()
        if self.process.returncode:
            raise RuntimeError(f"a client ended with status {self.process.returncode}")
        found: dict[str, Any] = json.loads(said)
        return found

    def samples(self) -> list[Sample]:
        """Read what it wrote down."""
        with self.samples_file.open(newline="") as file:
            return [
                Sample(**{name: kind(row[name]) for name, kind in Sample.__annotations__.items()})
                for row in csv.DictReader(file)
            ]


def start_client(
    manifest: Path, sandbox: RemoteSandbox, every_s: float, **options: object
) -> Client:
    """StartAttempt a submission in a fresh process."""
    samples_file = manifest.parent / "samples.csv"
    arguments = [str(manifest), str(samples_file), str(every_s), json.dumps(options)]
    process = subprocess.Popen(
        [sys.executable, __file__, "--client", *arguments],
        env=os.environ | sandbox.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    return Client(process, samples_file)


def prove(sandbox: RemoteSandbox, recordings: int, outcomes: Sequence[dict[str, Any]]) -> None:
    """Hold the sandbox's log against what the clients say: nothing lost, nothing twice."""
    counts = sandbox.counts()
    scored = sum(outcome["scored"] for outcome in outcomes)
    if not recordings == scored == counts["audio"] == counts["processed"] or counts["violations"]:
        raise RuntimeError(f"{scored} of {recordings} recordings were scored; the log: {counts}")


# --- the cases --------------------------------------------------------------------------------------


def measure_flight(folder: Path, recordings: int) -> None:
    """Keep 5,000 runs in flight at 200 requests a second, and measure what that takes."""
    settings = SandboxSettings(rate_per_s=RATE, burst=20, processing_s=45.0, processing_spread=0.1)
    manifest = write_recordings(folder / "flight", recordings, SIZE_BYTES)
    with remote_sandbox(settings) as sandbox:
        client = start_client(manifest, sandbox, 1.0, rate=RATE, max_in_flight=IN_FLIGHT)
        outcome = client.outcome()
        counts, server_s, busiest = sandbox.counts(), sandbox.cpu_s(), sandbox.busiest_per_s()
        prove(sandbox, recordings, [outcome])
    samples = client.samples()
    requests = counts["create"] + counts["poll"] + counts["account"]
    print(outcome)
    print(
        f"{requests / recordings:.2f} requests each, {counts['refused'] / requests:.2%} refused; "
        f"{requests / outcome['seconds']:.0f} requests/s over all, {busiest:.0f}/s in the busiest "
        f"minute, of {RATE:g}; most in flight {max(s.in_flight for s in samples):,}; "
        f"CPU: client {outcome['cpu_s'] / requests * 1e3:.1f} ms per request, "
        f"server {server_s / requests * 1e3:.1f} ms; open files {max(s.open_files for s in samples)}"
    )


def measure_shared(folder: Path, recordings: int, later_s: float, *, knows_rate: bool) -> None:
    """Submit two studies with one key at once, and measure how they shared the limit."""
    options = {"rate": SHARED_RATE} if knows_rate else {}
    settings = SandboxSettings(rate_per_s=SHARED_RATE, burst=5, processing_s=5.0)
    with remote_sandbox(settings) as sandbox:
        clients = []
        for number in range(2):
            # Recordings of another length are other recordings.
            home = folder / f"shared-{'known' if knows_rate else 'unknown'}-{number}"
            manifest = write_recordings(home, recordings, SIZE_BYTES + 2 * number)
            clients.append(start_client(manifest, sandbox, 0.5, **options))
            time.sleep(0 if number else later_s)
        outcomes = [client.outcome() for client in clients]
        counts = sandbox.counts()
        prove(sandbox, 2 * recordings, outcomes)
    requests = counts["create"] + counts["poll"] + counts["account"]
    first, second = (client.samples() for client in clients)
    print(
        f"rate {'known' if knows_rate else 'unknown'}, second {later_s:g} s later: ended after "
        f"{[outcome['seconds'] for outcome in outcomes]} s; the second had "
        f"{second_share(first, second, later_s):.0%} of the scores that came while both were at "
        f"work; {requests / recordings / 2:.2f} requests each, {counts['refused'] / requests:.2%} "
        f"refused, {(requests - counts['refused']) / max(s.seconds for s in (*first, *second)):.1f} "
        f"of {SHARED_RATE:g} requests/s used",
        flush=True,
    )


def second_share(first: Sequence[Sample], second: Sequence[Sample], later_s: float) -> float:
    """Tell which share of the scores that came while both were at work the second study had."""
    end_s = min(last_score_s(first), later_s + last_score_s(second))
    ours = scored_by(first, end_s) - scored_by(first, later_s)
    theirs = scored_by(second, end_s - later_s)
    return theirs / (ours + theirs)


def last_score_s(samples: Sequence[Sample]) -> float:
    """Tell when the last score came, in seconds."""
    return next(s.seconds for s in samples if s.scored == samples[-1].scored)


def scored_by(samples: Sequence[Sample], moment_s: float) -> int:
    """Count the scores that had come by a moment."""
    return max((s.scored for s in samples if s.seconds <= moment_s), default=0)


def measure_study(folder: Path, recordings: int, rate: float) -> None:
    """Drive a large study to its end, and keep what was seen on the way."""
    manifest = write_recordings(folder / f"study{recordings}", recordings, SIZE_BYTES)
    every_s = max(1.0, recordings / 20_000)
    # Runs are done before they can be asked for, so that the machine alone sets the speed.
    with remote_sandbox(SandboxSettings(pickup_s=0.0, processing_s=0.1)) as sandbox:
        client = start_client(manifest, sandbox, every_s, rate=rate, poll_floor_s=0.5)
        outcome = client.outcome()
        prove(sandbox, recordings, [outcome])
        server_s = sandbox.cpu_s()
    samples = client.samples()
    print(
        f"{outcome}\nCPU each: client {outcome['cpu_s'] / recordings * 1e3:.1f} ms, "
        f"server {server_s / recordings * 1e3:.1f} ms; most open files "
        f"{max(s.open_files for s in samples)}; ledger {samples[-1].ledger_mb:g} MB",
        flush=True,
    )
    FIGURES.mkdir(exist_ok=True)
    kept = FIGURES / "study.csv"
    kept.write_text(client.samples_file.read_text())
    print(f"samples: {kept}")


def main() -> None:
    """Measure one case, or submit for one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="?", choices=["flight", "shared", "study"])
    parser.add_argument("--recordings", type=int)
    parser.add_argument("--rate", type=float, default=RATE, help="of the large study")
    parser.add_argument("--later", type=float, default=0.0, help="begin of the second, in seconds")
    parser.add_argument("--client", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        manifest, samples_file, every_s, options = arguments.client
        submit(Path(manifest), Path(samples_file), float(every_s), json.loads(options))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.case == "flight":
            measure_flight(folder, arguments.recordings or 20_000)
        elif arguments.case == "shared":
            for knows_rate in (True, False):
                measure_shared(
                    folder, arguments.recordings or 300, arguments.later, knows_rate=knows_rate
                )
        elif arguments.case == "study":
            measure_study(folder, arguments.recordings or 100_000, arguments.rate)
        else:
            parser.error("name a case")


if __name__ == "__main__":
    main()
