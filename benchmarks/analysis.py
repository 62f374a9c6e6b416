"""How long the analysis takes on 100,000 results, against its targets.

Run it with ``python benchmarks/analysis.py``. The results are the synthetic shift study, repeated
with new participants until there are enough.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from helios_research.analysis import (
    Bootstrap,
    Comparison,
    baseline,
    compare_by_tag,
    flow,
    missingness_by_tag,
    reliability,
    summarize_by_tag,
    table_one,
)

STUDY = Path(__file__).parents[1] / "datasets" / "shift_study_results.parquet"
ROWS = 100_000
RUNS = 3
MEANS = Comparison(repeated="participant means")


def many_results(rows: int = ROWS) -> pd.DataFrame:
    """Repeat the study with new participants."""
    study = pd.read_parquet(STUDY)
    copies = [
        study.assign(user_label=study["user_label"] + f"_{copy}")
        for copy in range(rows // len(study) + 1)
    ]
    return pd.concat(copies, ignore_index=True).head(rows)


def seconds(act: Callable[[], object]) -> tuple[float, float]:
    """Take the best of several runs, by the clock and in processor time of all threads."""
    taken = []
    for _ in range(RUNS):
        start, worked = time.perf_counter(), time.process_time()
        act()
        taken.append((time.perf_counter() - start, time.process_time() - worked))
    return min(taken)


def main() -> None:
    """Print a line per analysis: seconds, what, target."""
    table = many_results()
    people = table["user_label"].nunique()
    print(f"{len(table):,} results of {people:,} participants; best of {RUNS} runs")
    full = Bootstrap(2000)
    acts: dict[str, tuple[Callable[[], object], float | None]] = {
        "summarize_by_tag, arm, 11 biomarkers, 2,000 resamples": (
            lambda: summarize_by_tag(table, "arm", bootstrap=full),
            2.0,
        ),
        "summarize_by_tag, visit (14 levels)": (
            lambda: summarize_by_tag(table, "visit", bootstrap=full),
            None,
        ),
        "compare_by_tag, arm, one biomarker, mixed model": (
            lambda: compare_by_tag(table, "arm", biomarkers="mental_strain"),
            None,
        ),
        "compare_by_tag, arm, 11 biomarkers, participant means": (
            lambda: compare_by_tag(table, "arm", settings=MEANS),
            None,
        ),
        "baseline, 11 biomarkers": (lambda: baseline(table), None),
        "reliability, 11 biomarkers": (lambda: reliability(table), None),
        "missingness_by_tag, site, sex, language": (
            lambda: missingness_by_tag(table, "site"),
            None,
        ),
        "table_one": (lambda: table_one(table, "arm"), None),
        "flow": (lambda: flow(table), None),
    }
    for name, (act, target) in acts.items():
        taken, worked = seconds(act)
        met = "" if target is None else f"  target {target:g} s: {taken <= target}"
        print(f"{taken:7.2f} s  ({worked:5.2f} s of processor time)  {name}{met}")


if __name__ == "__main__":
    main()
