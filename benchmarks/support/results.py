"""Results of any number of recordings, and how long it takes to do something with them."""

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"


def many_results(rows: int) -> pd.DataFrame:
    """Repeat the synthetic shift study with new participants and recordings."""
    study = pd.read_parquet(STUDY)
    copies = [
        study.assign(
            user_label=study["user_label"] + f"_{copy}",
            recording_id=study["recording_id"] + f"_{copy}",
        )
        for copy in range(rows // len(study) + 1)
    ]
    return pd.concat(copies, ignore_index=True).head(rows)


def seconds(act: Callable[[], object], runs: int = 3) -> tuple[float, float]:
    """Take the best of several runs, by the clock and in processor time of all threads."""
    taken = []
    for _ in range(runs):
        start, worked = time.perf_counter(), time.process_time()
        act()
        taken.append((time.perf_counter() - start, time.process_time() - worked))
    return min(taken)
