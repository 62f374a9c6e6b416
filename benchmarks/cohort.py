"""How long it takes to read and check a cohort of 100,000 real files.

Run: python benchmarks/cohort.py [ROWS]
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from helios_research.cohort import Cohort, duplicate_audio_issues, read_cohort

T = TypeVar("T")
TAGS = ["arm", "visit", "site"]


def make_manifest(folder: Path, rows: int) -> Path:
    """Write a manifest of as many small files, with mistakes in one row of a hundred."""
    generator = np.random.default_rng(7)
    people = np.arange(rows) // 10
    for block in range(0, rows, 1_000):
        (folder / f"site{block // 1_000:03d}").mkdir()
    names = [f"site{n // 1_000:03d}/recording_{n:06d}.wav" for n in range(rows)]
    for name in names:
        (folder / name).write_bytes(b"RIFF")
    day = pd.Timestamp("2026-01-05T22:30:00") + pd.to_timedelta(np.arange(rows) % 200, unit="D")
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(people % 15_000, unit="D")
    table = pd.DataFrame(
        {
            "recording": names,
            "user_label": [f"P{person:06d}" for person in people],
            "date_of_birth": born.strftime("%Y-%m-%d"),
            "birth_sex": np.where(people % 2, "F", "male"),
            "language": "en-GB",
            "sleep_time": day.strftime("%Y-%m-%dT%H:%M:%S"),
            "wake_time": (day + pd.Timedelta("7h30min")).strftime("%Y-%m-%dT%H:%M:%S"),
            "recording_time": (
                day + pd.to_timedelta(10 * 3600 + np.arange(rows) % 3600, unit="s")
            ).strftime("%Y-%m-%dT%H:%M:%S"),
            "arm": np.where(people % 2, "control", "active"),
            "visit": np.arange(rows) % 10 + 1,
            "site": people % 7,
            "note": "carried along",
        }
    )
    table.loc[generator.choice(rows, rows // 100, replace=False), "date_of_birth"] = "31/03/1985"
    path = folder / "manifest.csv"
    table.to_csv(path, index=False)
    return path


def timed(label: str, act: Callable[[], T]) -> T:
    """Report the best of three runs: seconds on the clock, and of the processor."""
    elapsed, used = [], []
    for _ in range(3):
        start, start_used = time.perf_counter(), time.process_time()
        result = act()
        elapsed.append(time.perf_counter() - start)
        used.append(time.process_time() - start_used)
    print(f"{label:<40} {min(elapsed):6.2f} s   (processor {min(used):5.2f} s)")
    return result


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = make_manifest(folder, rows)
        cohort = timed("read_cohort, CSV", lambda: read_cohort(manifest, tags=TAGS))
        frame = pd.read_csv(manifest, parse_dates=["sleep_time", "wake_time", "recording_time"])
        timed(
            "Cohort.from_frame, real times and numbers",
            lambda: Cohort.from_frame(frame, tags=TAGS, root=folder),
        )
        workbook, table = folder / "manifest.xlsx", folder / "manifest.parquet"
        frame.head(rows // 10).to_excel(workbook, index=False)
        frame.to_parquet(table)
        timed("read_cohort, Excel, a tenth of the rows", lambda: read_cohort(workbook, tags=TAGS))
        timed("read_cohort, Parquet", lambda: read_cohort(table, tags=TAGS))
        hashes = pd.Series([f"{n:064x}" for n in range(rows)])
        timed("duplicate_audio_issues", lambda: duplicate_audio_issues(cohort, hashes))
        timed("issues and rejections", lambda: (cohort.issues, cohort.rejections()))
        wrong = frame.assign(birth_sex="woman", language="en_GB", wake_time="31.3.2026 7:00")
        wrong_cohort = timed(
            "from_frame, 3 errors in every row",
            lambda: Cohort.from_frame(wrong, tags=TAGS, root=folder),
        )
        timed("its issues and rejections", lambda: (wrong_cohort.issues, wrong_cohort.rejections()))
        saved = folder / "cohort.parquet"
        timed("save", lambda: cohort.save(saved))
        timed("load", lambda: Cohort.load(saved))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{rows:,} rows, {len(cohort.issues):,} issues, {saved.stat().st_size / 1e6:.1f} MB "
            f"saved, peak memory {peak:.0f} MB"
        )


if __name__ == "__main__":
    main()
