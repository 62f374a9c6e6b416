"""Table 1: who took part, by arm."""

from itertools import combinations

import numpy as np
import pandas as pd

from helios_research._util.text import natural_key
from helios_research.analysis.levels import NOT_GIVEN, Levels, canonical_sex
from helios_research.analysis.prepared import (
    Floats,
    PreparedResults,
    Results,
    prepare,
)
from helios_research.columns import Outcome
from helios_research.errors import ResultsError

OVERALL = "overall"
MOST_GROUPS = 20
DAYS_PER_YEAR = 365.2425

TABLE_ONE_COLUMNS = (
    *("characteristic", "level", "group", "statistic"),
    *("participants", "count", "percent", "mean", "sd", "median", "q1", "q3", "missing", "smd"),
)


# The columns of the table from left to right, ``OVERALL`` last: a participant per row.
_Groups = dict[str, pd.DataFrame]


def table_one(results: Results, by: str) -> pd.DataFrame:
    """Describe the participants of each arm.

    Ages are those at a participant's first recording in the group, in years; where its time is
    not known, at its submission. The standardized mean difference is the difference over the
    root of the mean variance; for sex and language it is the multinomial one of Yang & Dalton
    (2012); with more than two groups it is the largest of all pairs (absolute). Checked against
    scipy and, for two categories, the formula for proportions.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    by
        The arm, or another column. A participant with recordings in several of its levels is
        counted in each.

    Returns
    -------
    DataFrame
        A row per characteristic, level and group (the levels of ``by``, then "overall").
        ``statistic`` says what the row holds: "count" has count and percent of participants
        (for recordings, of recordings); "distribution" has mean, SD, median and quartiles.
        ``missing`` counts participants without the value, who are not in the percentages. See
        ``format_table_one`` for a version to print.

    Raises
    ------
    ResultsError
        If ``by`` is missing or has more than 20 levels.

    Examples
    --------
    >>> described = table_one("datasets/shift_study_results.parquet", "arm")
    >>> described.query("characteristic == 'participants'")["count"].tolist()
    [60.0, 60.0, 120.0]
    """
    prepared = prepare(results, [by], biomarkers=())
    levels = prepared.levels[by]
    if len(levels) > MOST_GROUPS:
        message = (
            f"{by!r} has {len(levels)} levels, more than the {MOST_GROUPS} that a table can hold: "
            "choose the arm or another column with few levels."
        )
        raise ResultsError(message)
    described = _participants(prepared)
    groups = _groups(described, levels, by)
    rows = [*_totals(groups), *_distribution("age at recording, years", "age", groups)]
    rows += _distribution("scored recordings per participant", "scored", groups)
    for name in ("birth_sex", "language"):
        if name in described.columns:
            rows += _proportions(name, groups)
    made = pd.DataFrame(rows).reindex(columns=list(TABLE_ONE_COLUMNS))
    shared = sum(map(len, groups.values())) - 2 * len(groups[OVERALL])
    warnings = [f"{shared} participants are in more than one {by}."] if shared > 0 else []
    return prepared.finish(made, _METHOD, warnings)


_METHOD = (
    "Participants are counted once per group. Ages are those at the first recording (where its "
    "time is not known, at submission). SMD: standardized mean difference, the largest between any "
    "two groups; values above 0.1 are often taken for imbalance (Austin 2009)."
)


def _participants(prepared: PreparedResults) -> pd.DataFrame:
    """Reduce every recording to what Table 1 asks of it."""
    table = prepared.frame
    has_score = table["outcome"] == Outcome.SCORED
    facts = pd.DataFrame(
        {
            "person": prepared.people,
            "age": ages(prepared),
            "scored": has_score.astype(float),
            "missing": ~has_score & (table["outcome"] != Outcome.PENDING),
        }
    )
    if "birth_sex" in table.columns:
        facts["birth_sex"] = canonical_sex(table["birth_sex"])
    if "language" in table.columns:
        facts["language"] = table["language"].astype("str")
    return facts


def ages(prepared: PreparedResults) -> Floats:
    """Give the age at each recording in years; NaN where a time is missing or before birth."""
    recorded = np.full(len(prepared.frame), np.nan)
    if "date_of_birth" not in prepared.frame.columns:
        return recorded
    for name in ("recording_time", "created_at"):
        if name in prepared.frame.columns:
            recorded = np.where(np.isnan(recorded), prepared.days(name), recorded)
    years = (recorded - prepared.days("date_of_birth")) / DAYS_PER_YEAR
    return np.where(years >= 0, years, np.nan)


def _groups(facts: pd.DataFrame, levels: Levels, by: str) -> _Groups:
    groups = {
        f"{by}: {label}" if label == OVERALL else label: _reduce(facts[levels.codes == level])
        for level, label in enumerate(levels.labels)
    }
    return groups | {OVERALL: _reduce(facts)}


def _reduce(facts: pd.DataFrame) -> pd.DataFrame:
    known = facts[facts["person"] >= 0].assign(recordings=1.0)
    ways = {"age": "min", "scored": "sum", "missing": "sum", "recordings": "sum"}
    first = {name: "first" for name in ("birth_sex", "language") if name in facts.columns}
    return known.groupby("person").agg(ways | first)


def _totals(groups: _Groups) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name, column in (
        ("participants", None),
        ("recordings", "recordings"),
        ("recordings scored", "scored"),
        ("recordings ended without scores", "missing"),
    ):
        for group, people in groups.items():
            count = float(people[column].sum()) if column else float(len(people))
            row: dict[str, object] = {**_row(name, group, people), "statistic": "count"}
            if column in ("scored", "missing"):
                recordings = people["recordings"].sum()
                row["percent"] = 100 * count / recordings if recordings else np.nan
            rows.append({**row, "count": count})
    return rows


def _row(name: str, group: str, people: pd.DataFrame) -> dict[str, object]:
    return {"characteristic": name, "level": "", "group": group, "participants": len(people)}


def _distribution(name: str, column: str, groups: _Groups) -> list[dict[str, object]]:
    values = [people[column].to_numpy(dtype=np.float64) for people in groups.values()]
    smd = _largest([mean_difference(*pair) for pair in combinations(values[:-1], 2)])
    rows = []
    for group, people in groups.items():
        known = people[column].dropna()
        q1, median, q3 = known.quantile([0.25, 0.5, 0.75])
        numbers = {"mean": known.mean(), "sd": known.std(), "q1": q1, "median": median, "q3": q3}
        missing = len(people) - len(known)
        row = {**_row(name, group, people), "statistic": "distribution", "smd": smd}
        rows.append({**row, **numbers, "missing": missing})
    return rows


def _proportions(name: str, groups: _Groups) -> list[dict[str, object]]:
    labels = sorted(groups[OVERALL][name].dropna().unique(), key=natural_key)
    counts = {
        group: np.asarray(
            people[name].value_counts().reindex(labels, fill_value=0), dtype=np.float64
        )
        for group, people in groups.items()
    }
    apart = combinations(list(counts.values())[:-1], 2)
    smd = _largest([proportion_difference(*pair) for pair in apart])
    rows: list[dict[str, object]] = []
    for place, label in enumerate(labels):
        for group, people in groups.items():
            count, total = counts[group][place], counts[group].sum()
            row = {**_row(name, group, people), "level": label, "statistic": "count", "smd": smd}
            percent = 100 * count / total if total else np.nan
            missing = int(people[name].isna().sum())
            rows.append({**row, "count": count, "percent": percent, "missing": missing})
    return rows


def mean_difference(first: Floats, second: Floats) -> float:
    """Give the standardized difference of two means."""
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    if min(len(first), len(second)) < 2:
        return np.nan
    spread = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    return float((second.mean() - first.mean()) / spread) if spread > 0 else np.nan


def proportion_difference(first: Floats, second: Floats) -> float:
    """Give the standardized difference of two distributions over categories."""
    if first.sum() == 0 or second.sum() == 0:
        return np.nan
    one, two = first / first.sum(), second / second.sum()
    # The last category follows from the others.
    difference = (two - one)[:-1]
    spread = (np.diag(one) - np.outer(one, one) + np.diag(two) - np.outer(two, two)) / 2
    if not difference.any():
        return 0.0
    return float(
        np.sqrt(difference @ np.linalg.pinv(spread[:-1, :-1], hermitian=True) @ difference)
    )


def _largest(differences: list[float]) -> float:
    known = [difference for difference in differences if not np.isnan(difference)]
    if len(differences) == 1:
        return differences[0]
    return max(map(abs, known), default=np.nan)


def format_table_one(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out Table 1 for print.

    Parameters
    ----------
    table
        What ``table_one`` gave.

    Returns
    -------
    DataFrame
        A row per characteristic and level, a column of text per group ("34.1 (9.8)" for mean and
        SD, "31 (52 %)" for counts), and "SMD".
    """
    groups = list(table["group"].unique())
    rows = []
    described: object = None
    for (name, level), part in table.groupby(["characteristic", "level"], sort=False):
        distribution = part["statistic"].iloc[0] == "distribution"
        cells = dict(zip(part["group"], part.apply(_cell, axis="columns"), strict=True))
        smd = part["smd"].iloc[0]
        row = {
            "characteristic": f"{name}, mean (SD)" if distribution else str(name),
            "level": level,
            **cells,
            "SMD": "" if np.isnan(smd) or name == described else f"{smd:.2f}",
        }
        rows.append(row)
        described = name
    printed = pd.DataFrame(rows, columns=["characteristic", "level", *groups, "SMD"], dtype="str")
    printed.attrs = dict(table.attrs)
    return printed


def _cell(row: "pd.Series[float]") -> str:
    missing = f"; {row['missing']:.0f} missing" if row["missing"] > 0 else ""
    if not np.isnan(row["count"]):
        percent = "" if np.isnan(row["percent"]) else f" ({row['percent']:.0f} %)"
        return f"{row['count']:,.0f}{percent}{missing}"
    if np.isnan(row["mean"]):
        return NOT_GIVEN
    spread = "" if np.isnan(row["sd"]) else f" ({row['sd']:.1f})"
    return f"{row['mean']:.1f}{spread}{missing}"
