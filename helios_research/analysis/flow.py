"""Which recordings were excluded, and where recordings and participants were lost on the way."""

from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helios_research._util.text import counted
from helios_research.analysis.attrition import (
    Expected,
    expected_recordings,
    listed_recordings,
    put_in_one_arm,
)
from helios_research.analysis.frames import ages
from helios_research.analysis.levels import EVERYONE, canonical_sex
from helios_research.analysis.prepared import (
    EXCLUDED,
    Flags,
    PreparedResults,
    Results,
    column_of,
    count_reasons,
    has_warning,
    prepare,
)
from helios_research.analysis.table_one import mean_difference, proportion_difference
from helios_research.columns import Outcome
from helios_research.errors import ResultsError
from helios_research.results.files import read_footer

_STEPS = (
    *("expected", "listed", "valid", "passed preflight", "sent", "scored", "included"),
    "without warning",
)
_FLOW_COLUMNS = (
    *("group", "step", "kind", "reason", "recordings", "participants"),
    *("smd_age", "smd_birth_sex"),
)
WITH_WARNING = "scored with a warning"
NOT_RECORDED = "not recorded"


def exclude(
    results: pd.DataFrame, mask: "pd.Series[bool] | NDArray[np.bool_]", reason: str
) -> pd.DataFrame:
    """Exclude recordings from every analysis, and keep them in the results, flow and report.

    It can be called again for another reason; where both apply, the first one stays.

    Parameters
    ----------
    results
        One row per recording.
    mask
        True for each recording to exclude: a Series with the index of the results, or an array.
    reason
        The reason in a few words, which the flow shows.

    Returns
    -------
    DataFrame
        The results with the text column ``excluded_because``: the reason, null where there is none.

    Raises
    ------
    ResultsError
        If the mask is not true or false for every recording, or the reason is empty.

    Examples
    --------
    >>> import pandas as pd
    >>> results = pd.read_parquet("datasets/shift_study_results.parquet")
    >>> kept = exclude(results, results["speech_s"] < 15, "less than 15 s of speech")
    >>> int(kept["excluded_because"].count())
    93
    """
    if not isinstance(reason, str) or not reason.strip():
        message = 'The reason of an exclusion is empty: give it in words, such as "ill that day".'
        raise ResultsError(message)
    rows, text = _mask_of(results, mask), column_of(results, EXCLUDED).astype("str")
    return results.assign(**{EXCLUDED: text.mask(text.isna() & rows, reason.strip())})


def _mask_of(results: pd.DataFrame, mask: "pd.Series[bool] | NDArray[np.bool_]") -> Flags:
    values = pd.Series(mask)
    rows, missing = (counted(n, "recording") for n in (len(results), int(values.isna().sum())))
    problem = None
    if len(values) != len(results):
        problem = f"has {len(values):,} values for {rows}: give one for each"
    elif isinstance(mask, pd.Series) and not mask.index.equals(results.index):
        problem = "has another index than the results: make it from these results"
    elif values.hasnans:
        problem = f"is neither true nor false for {missing}: decide, as with mask.fillna(False)"
    elif len(values) and pd.api.types.infer_dtype(values) != "boolean":
        problem = 'is not of true and false: give a comparison, such as results["speech_s"] < 15'
    if problem:
        message = f"The mask of exclusions {problem}."
        raise ResultsError(message)
    return values.to_numpy(dtype=bool)


def flow(results: Results, *, by: str | None = None, expected: Expected = None) -> pd.DataFrame:
    """Follow recordings and participants from the manifest to scores without warning.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    by
        The arm, or another column by which to split the flow.
    expected
        How many recordings each participant should have, or a table of them with one visit column,
        as for ``attrition``. The flow then begins with the step "expected".

    Returns
    -------
    DataFrame
        For each ``group`` (the levels of ``by``, or "all participants") and step a row of kind
        "remaining"; before it one of kind "lost" for each reason (an error code, the outcome where
        there is none, "excluded: …"), and one of kind "added" for recordings that were not
        expected. ``participants`` of a "lost" row are those none of whose recordings reached the
        step, counted once, at the most frequent reason. ``smd_age`` and ``smd_birth_sex`` are
        standardized differences between participants lost at the step and those who remain (above
        0 where the lost are older; without a sign for sex), null where either are fewer than two.

    Raises
    ------
    ResultsError
        If a column is missing, or what was expected does not fit the results.

    Examples
    --------
    >>> flow("datasets/shift_study_results.parquet").query("kind == 'remaining'")["step"].tolist()
    ['listed', 'valid', 'passed preflight', 'sent', 'scored', 'without warning']
    """
    over = _visit_column(expected, by) if isinstance(expected, pd.DataFrame) else None
    prepared = prepare(results, [by, over], biomarkers=())
    rows = _with_fate(listed_recordings(prepared, by, over), prepared)
    warnings = _withdrawn(results)
    steps = [step for step in _STEPS if step != "included" or prepared.excluded.notna().any()]
    if expected is None:
        steps.remove("expected")
    else:
        wanted = expected_recordings(prepared, expected, by, over)
        warnings += put_in_one_arm(rows, wanted, by)
        rows = _with_expected(rows, wanted)
    people = _demographics(prepared)
    groups = () if by is None else prepared.levels[by].labels
    found = [
        row
        for group in dict.fromkeys([*groups, *rows["group"]]) or [EVERYONE]
        for row in _follow(rows[rows["group"] == group], steps, people, group)
    ]
    made = pd.DataFrame(found, columns=_FLOW_COLUMNS).astype({"reason": "str"})
    if unfinished := prepared.not_ended:
        warnings.append(f"{unfinished}.")
    return prepared.finish(made, f"{_METHOD} {_CHECKED[adds_up(made)]}", warnings)


def _visit_column(expected: pd.DataFrame, by: str | None) -> str:
    """Find the column of a schedule that says what is expected."""
    others = [str(name) for name in expected.columns if name not in ("user_label", by)]
    if len(others) != 1:
        message = (
            f"The table of expected visits has the columns {', '.join(map(str, expected.columns))}: "
            "leave user_label, one named as the visit column of the results, and the one given as by."
        )
        raise ResultsError(message)
    return others[0]


_METHOD = (
    "Each recording is lost at the first step that it did not reach; a participant is lost where "
    "none of their recordings goes on. A recording counts as sent once Helios had its audio."
)
_CHECKED = {
    True: "Checked: at each step, what remains and what is lost are what was there before.",
    False: "The numbers of the steps do not add up: please report this as a mistake.",
}


def adds_up(flow: pd.DataFrame) -> bool:
    """Check that each step of a flow accounts for all recordings and participants before it."""
    numbers, steps = ["recordings", "participants"], ["group", "step"]
    signs = flow["kind"].map({"remaining": 1, "lost": 1, "added": -1})
    found = flow[numbers].mul(signs, axis="index").groupby([flow[name] for name in steps]).sum()
    remaining = flow[flow["kind"] == "remaining"].set_index(steps)[numbers]
    before = remaining.groupby(level="group", sort=False).shift()
    return bool((before.isna() | (before == found.reindex(before.index))).all(axis=None))


def _with_fate(rows: pd.DataFrame, prepared: PreparedResults) -> pd.DataFrame:
    """Add how far each recording came, as a place in ``_STEPS``, and why no further."""
    table, excluded = prepared.frame, prepared.excluded.notna()
    outcome = table["outcome"].astype("str")
    scored, had_audio = outcome == Outcome.SCORED, outcome.isin([Outcome.FAILED, Outcome.LOST])
    if "uploaded_at" in table.columns:
        had_audio = table["uploaded_at"].notna() | (outcome == Outcome.LOST)
    reached = np.full(len(table), _STEPS.index("passed preflight"))
    for step, own in (
        ("sent", had_audio),
        ("listed", outcome == Outcome.INVALID),
        ("valid", outcome == Outcome.SKIPPED),
        ("scored", scored),
        ("included", scored & ~excluded),
        ("without warning", scored & ~excluded & ~has_warning(table)),
    ):
        reached[own.to_numpy(dtype=bool)] = _STEPS.index(step)
    reasons = prepared.missing_reasons(np.ones(len(table), dtype=bool))
    reasons = reasons.mask(scored & ~excluded, WITH_WARNING)
    return rows.assign(reached=reached, reason=reasons.to_numpy(), expected=True)


def _with_expected(rows: pd.DataFrame, wanted: pd.DataFrame) -> pd.DataFrame:
    """Add the expected recordings that were never listed, and mark those listed but not expected."""
    # The second recording of a visit is expected where the schedule has the visit twice.
    keys = ["person", "level"]
    have, want = (
        pd.MultiIndex.from_frame(table[keys].assign(number=table.groupby(keys).cumcount()))
        for table in (rows, wanted)
    )
    never = wanted[~want.isin(have)].assign(reached=0, reason=NOT_RECORDED, expected=True)
    known = rows.assign(expected=have.isin(want) & (rows["person"] >= 0))
    return pd.concat([known, never], ignore_index=True)


def _demographics(prepared: PreparedResults) -> pd.DataFrame:
    """Give the age and sex of each participant."""
    sex = canonical_sex(column_of(prepared.frame, "birth_sex"))
    facts = pd.DataFrame({"person": prepared.people, "age": ages(prepared), "sex": sex})
    return facts.groupby("person").agg({"age": "min", "sex": "first"})


def _follow(
    rows: pd.DataFrame, steps: list[str], people: pd.DataFrame, group: str
) -> list[tuple[object, ...]]:
    """Count at each step what is lost and what remains."""
    known = rows[rows["person"] >= 0]
    furthest = known.groupby("person")["reached"].max()
    found: list[tuple[object, ...]] = []
    for step in steps:
        place = _STEPS.index(step)
        gone, stay = (furthest.index[at] for at in (furthest == place - 1, furthest >= place))
        changes = _losses(rows[rows["reached"] == place - 1], gone)
        if step == "listed" and not rows["expected"].all():
            new = known[~known["person"].isin(rows.loc[rows["expected"], "person"])]
            extra = int((~rows["expected"]).sum()), new["person"].nunique()
            changes.append(("added", "not expected", *extra))
        found += [(group, step, *change, np.nan, np.nan) for change in changes]
        here = rows[rows["expected"] if step == "expected" else rows["reached"] >= place]
        numbers = len(here), here.loc[here["person"] >= 0, "person"].nunique()
        apart = _apart(people.reindex(stay), people.reindex(gone))
        found.append((group, step, "remaining", None, *numbers, *apart))
    return found


def _losses(lost: pd.DataFrame, gone: pd.Index) -> list[tuple[str, str, int, int]]:
    reasons = count_reasons(lost["reason"])
    places = lost["reason"].map({reason: place for place, reason in enumerate(reasons)})
    last = lost["person"].isin(gone)
    people = places[last].groupby(lost["person"][last]).min().value_counts()
    return [
        ("lost", reason, count, int(people.get(place, 0)))
        for place, (reason, count) in enumerate(reasons.items())
    ]


def _apart(stay: pd.DataFrame, gone: pd.DataFrame) -> tuple[float, float]:
    """Give the standardized differences in age and sex of those who are lost to those who stay."""
    age = mean_difference(*(part["age"].to_numpy(np.float64) for part in (stay, gone)))
    sexes = [part["sex"].value_counts() for part in (stay, gone)]
    counts = pd.concat(sexes, axis=1).sort_index().fillna(0).to_numpy(np.float64).T
    few = counts.sum(axis=1).min() < 2
    return age, np.nan if few else proportion_difference(*counts)


def _withdrawn(results: Results) -> list[str]:
    """Count the withdrawn participants, of whom only the footer of a results file knows."""
    if not isinstance(results, str | PathLike):
        return []
    number = int(read_footer(Path(results)).get("withdrawn") or 0)
    return [f"Not counted: {counted(number, 'participant')} who withdrew."] if number else []
