"""How long the analysis takes on 100,000 results, against its targets.

Run it with ``python benchmarks/analysis.py``. The results are the synthetic shift study, repeated
with new participants until there are enough.
"""

from collections.abc import Callable

from support.results import many_results, seconds

from helios_research.analysis import (
    attrition,
    baseline,
    compare_by_tag,
    compare_change,
    flow,
    missingness_by_tag,
    reliability,
    summarize_by_tag,
    table_one,
)

ROWS = 100_000


def main() -> None:
    """Print a line per analysis: seconds, what, target."""
    table = many_results(ROWS)
    people = table["user_label"].nunique()
    print(f"{len(table):,} results of {people:,} participants; best of 3 runs")
    acts: dict[str, tuple[Callable[[], object], float | None]] = {
        "summarize_by_tag, arm, 11 biomarkers": (lambda: summarize_by_tag(table, "arm"), 0.3),
        "summarize_by_tag, visit (14 levels)": (lambda: summarize_by_tag(table, "visit"), None),
        "compare_by_tag, arm, 11 biomarkers (Welch)": (lambda: compare_by_tag(table, "arm"), None),
        "compare_by_tag, visit, 11 biomarkers (mixed model)": (
            lambda: compare_by_tag(table, "visit"),
            None,
        ),
        "compare_change, arm over visit": (lambda: compare_change(table, "arm"), None),
        "baseline, 11 biomarkers": (lambda: baseline(table), None),
        "reliability, 11 biomarkers": (lambda: reliability(table), None),
        "missingness_by_tag, site, sex, language": (
            lambda: missingness_by_tag(table, "site"),
            None,
        ),
        "table_one": (lambda: table_one(table, "arm"), None),
        "flow": (lambda: flow(table), None),
        "flow, arm, 14 visits expected": (lambda: flow(table, by="arm", expected=14), None),
        "attrition, arm": (lambda: attrition(table, "visit", by="arm"), None),
    }
    for name, (act, target) in acts.items():
        taken, worked = seconds(act)
        met = "" if target is None else f"  target {target:g} s: {taken <= target}"
        print(f"{taken:7.2f} s  ({worked:5.2f} s of processor time)  {name}{met}")


if __name__ == "__main__":
    main()
