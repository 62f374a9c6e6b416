"""How long each figure takes on 100,000 results, from the call to the PNG, against its target.

Run it with ``python benchmarks/figures.py``. The results are the synthetic shift study, repeated
with new participants until there are enough.
"""

import io
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from support.results import many_results, seconds

from helios_research import plots

ROWS = 100_000
TARGET_S = 0.7


def drawn(draw: Callable[[], object]) -> Callable[[], None]:
    """Draw a figure to the last dot of its PNG."""

    def act() -> None:
        axes = np.ravel(np.asarray(draw(), dtype=object))[0]
        assert isinstance(axes, Axes)
        axes.figure.savefig(io.BytesIO(), format="png")

    return act


def main() -> None:
    """Print a line per figure: seconds, what, whether the target is met."""
    table = many_results(ROWS)
    fifty = table.assign(ward=[f"ward {number % 50}" for number in range(len(table))])
    print(f"{len(table):,} results of {table['user_label'].nunique():,} participants; best of 3")
    draws: dict[str, Callable[[], object]] = {
        "scores_by_tag, arm": lambda: plots.scores_by_tag(table, "arm"),
        "scores_by_tag, arm, bucketed": lambda: plots.scores_by_tag(
            table, "arm", biomarkers="stress"
        ),
        "scores_by_tag, arm, all biomarkers": lambda: plots.scores_by_tag(
            table, "arm", biomarkers=None
        ),
        "scores_by_tag, site, coloured by arm": lambda: plots.scores_by_tag(
            table, "site", hue="arm"
        ),
        "scores_by_tag, 50 levels": lambda: plots.scores_by_tag(fifty, "ward"),
        "scores_by_tag, 50 levels, bucketed": lambda: plots.scores_by_tag(
            fifty, "ward", biomarkers="stress"
        ),
        "score_over_time, visit, coloured by arm": lambda: plots.score_over_time(
            table, by="visit", hue="arm"
        ),
        "score_over_time, date, change": lambda: plots.score_over_time(table, change_from=3),
        "score_over_time, visit, bucketed": lambda: plots.score_over_time(
            table, biomarkers="stress", by="visit", hue="arm"
        ),
        "scores_by_hours_awake": lambda: plots.scores_by_hours_awake(table),
        "biomarker_correlations": lambda: plots.biomarker_correlations(table),
        "outcomes_by_tag, site": lambda: plots.outcomes_by_tag(table, "site"),
        "outcomes_by_tag, 50 levels": lambda: plots.outcomes_by_tag(fifty, "ward"),
        "flow_diagram": lambda: plots.flow_diagram(table),
        "flow_diagram, arm, expected": lambda: plots.flow_diagram(table, by="arm", expected=14),
    }
    for name, draw in draws.items():
        taken, worked = seconds(drawn(draw))
        met = taken <= TARGET_S
        print(f"{taken:6.2f} s  ({worked:5.2f} s of processor time)  {name}  met: {met}")


if __name__ == "__main__":
    main()
