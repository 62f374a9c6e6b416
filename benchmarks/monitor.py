"""What watching a submission costs it: recordings a second with a monitor, and without.

Side by side in turns, so that whatever else the machine does meets both: a submission to a sandbox
in a process of its own, as fast as requests are answered, and processor time per recording, which
depends less on the machine's other work. The processor time of the monitor's own thread is read
from its clock: it is all that a monitor can take from a submission in the same process. In the
monitor's rounds every message that a front end would get is encoded and counted.

Run ``python benchmarks/monitor.py [--rounds 5] [--recordings 1500] [--rate 100]``.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from threading import Thread
from threading import enumerate as enumerate_threads
from typing import Any

import ipywidgets
from kill_and_resume import write_recordings
from support.remote_sandbox import RemoteSandbox, remote_sandbox

import helios_research as hr
from helios_research.sandbox import SandboxSettings

WATCHING = "helios-monitor"
"""Name of the monitor's thread."""


@dataclass(frozen=True, slots=True)
class Round:
    """One submission."""

    seconds: float
    cpu_s: float
    watching_cpu_s: float
    messages: int


def submit(
    manifest: Path, folder: Path, sandbox: RemoteSandbox, rate: float, *, watched: bool
) -> Round:
    """Submit a cohort from beginning to end."""
    cohort = hr.read_cohort(manifest)
    study = hr.Study(folder, client=sandbox.client())
    sent = 0

    def count(message: Any, *_: Any, **__: Any) -> None:
        nonlocal sent
        json.dumps(message, default=str)
        sent += 1

    began, cpu_began = time.perf_counter(), time.process_time()
    submission = study.start(cohort, rate=rate, preflight=False, poll_floor_s=0.5, monitor=False)
    monitor = hr.widgets.SubmissionMonitor(study) if watched else None
    if monitor is not None:
        # In place of the front end that a benchmark does not have.
        for widget in _all(monitor.widget):
            widget._send = count
    results = submission.wait()
    watching_s = sum(_cpu_of(thread) for thread in enumerate_threads() if thread.name == WATCHING)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    done = Round(seconds, cpu_s, watching_s, sent)
    assert (results["outcome"] == "scored").all()
    if monitor is not None:
        monitor.close()
    return done


def _cpu_of(thread: Thread) -> float:
    """Read how long a thread has kept a processor busy, in seconds."""
    assert thread.ident is not None
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


def _all(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    inside = [part for child in getattr(widget, "children", ()) for part in _all(child)]
    return [widget, *inside]


def main() -> None:
    """Run the rounds in turns and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--recordings", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=100.0)
    wanted = parser.parse_args()
    settings = SandboxSettings(processing_s=1.0, rate_per_s=None)
    rounds: dict[bool, list[Round]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as home, remote_sandbox(settings) as sandbox:
        for number in range(wanted.rounds):
            # Each round has recordings of its own: the sandbox knows bytes that it has seen.
            for watched in (number % 2 == 0, number % 2 == 1):
                place = Path(home) / f"{number}-{watched}"
                manifest = write_recordings(place, wanted.recordings)
                done = submit(manifest, place / "study", sandbox, wanted.rate, watched=watched)
                rounds[watched].append(done)
                print(f"{'watched' if watched else 'alone':8} {done}", flush=True)
    _print_summary(rounds, wanted.recordings)


def _print_summary(rounds: dict[bool, list[Round]], recordings: int) -> None:
    for watched, name in ((False, "alone"), (True, "watched")):
        done = rounds[watched]
        speed = median(recordings / entry.seconds for entry in done)
        cpu_ms = median(1000 * entry.cpu_s / recordings for entry in done)
        pace = median(entry.messages / entry.seconds for entry in done)
        print(
            f"{name:8} {speed:7.2f} recordings/s {cpu_ms:6.2f} ms CPU each {pace:5.2f} messages/s"
        )
    pairs = zip(rounds[False], rounds[True], strict=True)
    slower = [100 * (watched.seconds / alone.seconds - 1) for alone, watched in pairs]
    print(f"watching costs {median(slower):.2f} % of the throughput (median of pairs)")
    share = [100 * each.watching_cpu_s / each.cpu_s for each in rounds[True]]
    busy = [100 * each.watching_cpu_s / each.seconds for each in rounds[True]]
    print(
        f"the monitor's thread took {median(share):.2f} % of the submission's processor time, "
        f"{median(busy):.2f} % of one core (medians)"
    )


if __name__ == "__main__":
    main()
