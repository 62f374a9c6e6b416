"""Kill a submission at random moments, start it again, and hold the server's log against the ledger.

What must hold, whatever the moment: every recording ends scored, each recording's audio was
under exactly one model run, and the scores are those that the server computed for those bytes.

Run ``python benchmarks/kill_and_resume.py`` for 200 recordings and 30 kills, with ``--hostile``
for a server that also loses answers, resets connections and sends 503s and half a body.
"""

import argparse
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import helios_research as hr
from helios_research.columns import BIOMARKERS
from helios_research.recording import AudioFacts, Stamp
from helios_research.sandbox import SandboxSettings
from support.faults import Faults
from support.sandbox import ObservedSandbox

CHILD = """
import sys
import helios_research as hr
cohort = hr.read_cohort(sys.argv[1], tags=["arm"])
study = hr.Study(sys.argv[2])
print("begun", flush=True)
study.submit(cohort, progress=False, preflight=False, rate=40, poll_floor_s=0.2, patience=60)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it; everything but the counts of kills and seconds has to be 0."""

    kills: int
    not_scored: int
    audio_under_several_runs: int
    audio_never_seen: int
    wrong_scores: int
    violations: int
    seconds: float

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, repeated or mixed up."""
        return not (
            self.not_scored
            or self.audio_under_several_runs
            or self.audio_never_seen
            or self.wrong_scores
            or self.violations
        )


def write_recordings(folder: Path, count: int, size_bytes: int = 40_044) -> Path:
    """Write WAV files, each of its own bytes, and a manifest that lists them."""
    folder.mkdir(parents=True)
    form = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
    for number in range(count):
        samples = random.Random(number).randbytes(size_bytes - 44)
        data = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data"
        data += struct.pack("<I", len(samples)) + samples
        (folder / f"r{number:05}.wav").write_bytes(b"RIFF" + struct.pack("<I", len(data)) + data)
    manifest = folder / "manifest.csv"
    pd.DataFrame(
        {
            "recording": [f"r{number:05}.wav" for number in range(count)],
            "user_label": [f"{number // 5:03}" for number in range(count)],
            "date_of_birth": "1990-05-17",
            "birth_sex": "FEMALE",
            "language": "en-GB",
            "arm": "day",
        }
    ).to_csv(manifest, index=False)
    return manifest


def all_good(path: str) -> AudioFacts:
    """Stand in for decoding, which is not what is measured here: every file is good speech."""
    size = Path(path).stat().st_size
    return AudioFacts(
        sha256="",
        size_bytes=size,
        stamp=Stamp(size, ""),
        media_type="audio/wav",
        audio_format="wav/pcm",
        duration_s=30.0,
        sample_rate_hz=16_000,
        channels=1,
        level_dbfs=-20.0,
        clipped_fraction=0.0,
        noise_floor_dbfs=-60.0,
        speech_s=25.0,
    )


def kill_and_resume(
    folder: Path, recordings: int, kills: int, *, hostile: bool = False, seed: int = 1
) -> Outcome:
    """Submit, kill and resume until all kills are spent, then let it end."""
    chance = random.Random(seed)
    manifest = write_recordings(folder / "recordings", recordings)
    settings = SandboxSettings(processing_s=1.0, pickup_s=0.05)
    faults = Faults.hostile(0.2, seed=seed) if hostile else Faults()
    began = time.monotonic()
    with ObservedSandbox(settings, faults=faults, examine=all_good) as sandbox:
        done = 0
        while done < kills:
            child = _start(manifest, folder / "study", sandbox)
            # After the last recording there is nothing left to interrupt.
            if _killed(child, chance.uniform(0.0, 1.5)):
                done += 1
            elif child.returncode == 0:
                break
        finished = _start(manifest, folder / "study", sandbox)
        finished.communicate(timeout=600)
        return _outcome(folder / "study", sandbox, done, time.monotonic() - began)


def _start(manifest: Path, study: Path, sandbox: ObservedSandbox) -> subprocess.Popen[str]:
    environment = os.environ | {
        "THYMIA_BASE_URL": sandbox.base_url,
        "THYMIA_API_KEY": sandbox.api_key,
    }
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(manifest), str(study)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    return child


def _killed(child: subprocess.Popen[str], after_s: float) -> bool:
    try:
        child.wait(timeout=after_s)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
    child.communicate()
    return child.returncode == -signal.SIGKILL


def _outcome(study: Path, sandbox: ObservedSandbox, kills: int, seconds: float) -> Outcome:
    results = hr.Study(study).results()
    runs = sandbox.log.runs_by_audio
    wrong = sum(
        row[marker.name] != sandbox.expected_scores(row["sha256"], row["user_label"])[marker.name]
        for row in results[results["outcome"] == "scored"].to_dict("records")
        for marker in BIOMARKERS
    )
    return Outcome(
        kills=kills,
        not_scored=int((results["outcome"] != "scored").sum()),
        audio_under_several_runs=sum(len(ids) > 1 for ids in runs.values()),
        audio_never_seen=len(set(results["sha256"].dropna()) - set(runs)),
        wrong_scores=wrong,
        violations=len(sandbox.log.violations),
        seconds=round(seconds, 1),
    )


def main() -> None:
    """Run it at full size and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=200)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--hostile", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = kill_and_resume(
            Path(folder), arguments.recordings, arguments.kills, hostile=arguments.hostile
        )
    print(outcome)
    print("clean" if outcome.is_clean else "NOT CLEAN")
    sys.exit(0 if outcome.is_clean else 1)


if __name__ == "__main__":
    main()
