"""How long a study of 100,000 recordings takes to look at and to take up again, and in what memory.

The cohort has as many real files, the ledger as many scored recordings, each with the answer that
the sandbox would give, written through the ledger's own interface. Each step runs in a process of
its own, so that its peak memory is known, at two sizes, so that its growth is known.

Run ``python benchmarks/scale.py [--recordings 10000 100000]``.
"""

import argparse
import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic.alias_generators import to_camel
from support.memory import peak_memory_mb
from support.remote_sandbox import remote_sandbox

import helios_research as hr
from cohort import TAGS, make_manifest
from helios_research.columns import Verdict
from helios_research.ledger import Ledger, NewAttempt, State
from helios_research.preflight_checks.check import Check
from helios_research.recording import stamp_of
from helios_research.sandbox import SandboxSettings, expected_scores
from helios_research.state.loader import LedgerCache, StatusLoader
from helios_research.state.rows import Row, rows_of
from helios_research.withdrawal import COHORT_FILE

PRODUCERS = 64


# --- a study that has everything behind it ----------------------------------------------------------


def fill(manifest: Path, study: Path) -> None:
    """Make the ledger of a study whose every recording that can be sent is scored."""
    cohort = hr.read_cohort(manifest, tags=TAGS)
    sendable = [row for row in rows_of(cohort) if row.rejection is None]
    with Ledger.open(study) as ledger:
        cohort.save(study / COHORT_FILE)
        LedgerCache(ledger).store("benchmark", {row.location or "": seen(row) for row in sendable})
        asyncio.run(_score_all(ledger, sendable))
        ledger.put_setting_blocking("source", "sandbox")


def seen(row: Row) -> Check:
    """Say that a row's file is good speech."""
    stamp = stamp_of(row.location or "")
    return Check(
        Verdict.OK,
        None,
        "",
        sha256=_sha256_of(row),
        audio_format="wav/pcm",
        duration_s=31.5,
        speech_s=12.0,
        sample_rate_hz=48_000,
        channels=1,
        level_dbfs=-23.4,
        clipped_fraction=0.0,
        speech_counted_to_end=False,
        noise_floor_dbfs=-61.2,
        media_type="audio/wav",
        size_bytes=stamp.size_bytes,
        stamp=stamp,
    )


def _sha256_of(row: Row) -> str:
    return hashlib.sha256((row.location or "").encode()).hexdigest()


async def _score_all(ledger: Ledger, rows: Iterable[Row]) -> None:
    left = iter(rows)

    async def producer() -> None:
        for row in left:
            await _score(ledger, row)

    await asyncio.gather(*(producer() for _ in range(PRODUCERS)))


async def _score(ledger: Ledger, row: Row) -> None:
    assert row.request is not None
    new = NewAttempt(
        sha256=_sha256_of(row),
        request_digest=row.digest or "",
        request=row.request.to_record(),
        number=1,
        media_type="audio/wav",
        size_bytes=3_024_044,
        duration_s=31.5,
        delete_data=False,
        source="sandbox",
    )
    key = (await ledger.begin(new)).attempt_id
    url = f"https://uploads.example/{key:0400}"
    await ledger.advance(key, State.CREATED, model_run_id=f"run-{key}", upload_url=url)
    await ledger.advance(key, State.UPLOADING)
    await ledger.advance(key, State.UPLOADED)
    ended = datetime.now(UTC)
    body = answer_about(f"run-{key}", new.sha256, row.request.user_label, ended)
    await ledger.advance(key, State.SCORED, run_at=ended, completed_at=ended, answer=body)


def answer_about(run_id: str, sha256: str, user_label: str, ended: datetime) -> dict[str, Any]:
    """Word Helios' answer about a run that ended well."""
    scores = expected_scores(sha256, user_label)
    section = {"startSecs": 0.0, "finishSecs": 31.5}
    section |= {to_camel(name): {"value": value} for name, value in scores.items()}
    moments = dict.fromkeys(("createdAt", "runAt", "completedAt"), ended.isoformat())
    return {
        "id": run_id,
        "userLabel": user_label,
        "deleteData": False,
        "status": "COMPLETE_OK",
        "errorCode": None,
        "errorReason": None,
        "warnings": [],
        "results": {"sections": [section]},
    } | moments


# --- the steps, each measured in a process of its own ---------------------------------------------


def measure(step: str, manifest: Path, study: Path) -> dict[str, float]:
    """Carry out one step, and say what it took."""
    act = _PREPARED[step](manifest, study)
    before_mb, began, cpu_began = peak_memory_mb(), time.perf_counter(), time.process_time()
    act()
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_s": round(time.process_time() - cpu_began, 1),
        "before_mb": before_mb,
        "peak_mb": peak_memory_mb(),
    }


def _validate(manifest: Path, _study: Path) -> Callable[[], object]:
    table = pd.read_csv(manifest, dtype="str")
    return lambda: hr.Cohort.from_frame(table, tags=TAGS, root=manifest.parent)


def _requests(_manifest: Path, study: Path) -> Callable[[], object]:
    cohort = hr.Study(study).cohort
    return lambda: rows_of(cohort)


def _statuses(_manifest: Path, study: Path) -> Callable[[], object]:
    cohort = hr.Study(study).cohort
    rows = rows_of(cohort)

    def act() -> object:
        with Ledger.read(study) as ledger:
            return list(StatusLoader(ledger, cohort, rows).statuses())

    return act


def _plan(_manifest: Path, study: Path) -> Callable[[], object]:
    return lambda: hr.Study(study).estimate()


def _resume(_manifest: Path, study: Path) -> Callable[[], object]:
    # The client is found through the environment; every recording is scored, so only the account
    # is asked for, and the results are laid out and written.
    return lambda: hr.Study(study).submit(progress=False, preflight=False)


def _results(_manifest: Path, study: Path) -> Callable[[], object]:
    return lambda: hr.Study(study).results()


def _to_parquet(_manifest: Path, study: Path) -> Callable[[], object]:
    return lambda: hr.Study(study).to_parquet(study / "scores.parquet")


_PREPARED = {
    "validate": _validate,
    "requests": _requests,
    "statuses": _statuses,
    "plan": _plan,
    "results": _results,
    "to_parquet": _to_parquet,
    "submit again": _resume,
}


def measure_apart(step: str, manifest: Path, study: Path) -> dict[str, float]:
    """Carry out one step in a fresh process."""
    with remote_sandbox(SandboxSettings()) as sandbox:
        child = subprocess.run(
            [sys.executable, __file__, "--step", step, str(manifest), str(study)],
            env=os.environ | sandbox.environment(),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    measured: dict[str, float] = json.loads(child.stdout)
    return measured


def main() -> None:
    """Measure every step at each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="keep the studies here, and use them again")
    parser.add_argument("--steps", nargs="+", default=list(_PREPARED))
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        step, manifest, study = arguments.step
        print(json.dumps(measure(step, Path(manifest), Path(study))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        for recordings in arguments.recordings:
            home = (arguments.folder or Path(temporary)) / str(recordings)
            if not home.exists():
                home.mkdir(parents=True)
                fill(make_manifest(home, recordings), home / "study")
            for step in arguments.steps:
                measured = measure_apart(step, home / "manifest.csv", home / "study")
                print(f"{recordings:>8,}  {step:<14}{measured}", flush=True)


if __name__ == "__main__":
    main()
