"""How long each figure takes on 100,000 results, from the call to the PNG, against its target.

Run it with ``python benchmarks/figures.py``. The results are the synthetic shift study, repeated
with new participants until there are enough.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from helios_research import plots
from helios_research.analysis import Baseline

STUDY = Path(__file__).parents[1] / "datasets" / "shift_study_results.parquet"
ROWS = 100_000
RUNS = 3
TARGET_S = 1.5


def many_results(rows: int = ROWS) -> pd.DataFrame:
    """Repeat the study with new participants."""
    study = pd.read_parquet(STUDY)
    copies = [
        study.assign(user_label=study["user_label"] + f"_{copy}")
        for copy in range(rows // len(study) + 1)
    ]
    return pd.concat(copies, ignore_index=True).head(rows)


def seconds(draw: Callable[[], object]) -> tuple[float, float]:
    """Take the best of several runs, by the clock and in processor time of all threads."""
    taken = []
    for _ in range(RUNS):
        start, worked = time.perf_counter(), time.process_time()
        axes = np.ravel(np.asarray(draw(), dtype=object))[0]
        assert isinstance(axes, Axes)
        axes.figure.savefig(io.BytesIO(), format="png")
        taken.append((time.perf_counter() - start, time.process_time() - worked))
    return min(taken)


def main() -> None:
    """Print a line per figure: seconds, what, whether the target is met."""
    table = many_results()
    fifty = table.assign(ward=[f"ward {number % 50}" for number in range(len(table))])
    print(
        f"{len(table):,} results of {table['user_label'].nunique():,} participants; best of {RUNS}"
    )
    draws: dict[str, Callable[[], object]] = {
        "scores_by_tag, arm": lambda: plots.scores_by_tag(table, "arm"),
        "scores_by_tag, arm, bucketed": lambda: plots.scores_by_tag(table, "arm", "stress"),
        "scores_by_tag, arm, all biomarkers": lambda: plots.scores_by_tag(table, "arm", None),
        "scores_by_tag, site, coloured by arm": lambda: plots.scores_by_tag(
            table, "site", colour="arm"
        ),
        "scores_by_tag, 50 levels": lambda: plots.scores_by_tag(fifty, "ward"),
        "score_over_time, visit, coloured by arm": lambda: plots.score_over_time(
            table, by="visit", colour="arm"
        ),
        "score_over_time, date, usual range": lambda: plots.score_over_time(
            table, usual=Baseline()
        ),
        "score_over_time, visit, bucketed": lambda: plots.score_over_time(
            table, "stress", by="visit", colour="arm"
        ),
        "awake_hours": lambda: plots.awake_hours(table),
        "biomarker_correlations": lambda: plots.biomarker_correlations(table),
        "outcomes_by_tag, site": lambda: plots.outcomes_by_tag(table, "site"),
        "outcomes_by_tag, 50 levels": lambda: plots.outcomes_by_tag(fifty, "ward"),
        "flow_diagram": lambda: plots.flow_diagram(table),
    }
    for name, draw in draws.items():
        taken, worked = seconds(draw)
        met = taken <= TARGET_S
        print(f"{taken:6.2f} s  ({worked:5.2f} s of processor time)  {name}  met: {met}")


if __name__ == "__main__":
    main()
