"""Which participants are still in the study at each visit, of those who were expected."""

import numpy as np
import pandas as pd
from scipy import stats

from helios_research._util.text import counted
from helios_research.analysis.levels import EVERYONE, NOT_GIVEN, Levels, levels_of
from helios_research.analysis.missingness import UNEQUAL_BELOW, p_in_words
from helios_research.analysis.prepared import Codes, Flags, PreparedResults, Results, prepare
from helios_research.columns import Outcome
from helios_research.errors import ResultsError, UnknownColumnError

Expected = int | pd.DataFrame | None
"""A number of recordings for each participant, or a table of them."""


def attrition(
    results: Results, over: str, *, by: str | None = None, expected: Expected = None
) -> pd.DataFrame:
    """Count the participants who are still in the study at each visit.

    Who has not come to a visit yet counts as gone: while a study runs, give ``expected`` a table of
    the visits that are due.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    over
        The visit, or another column whose levels are in the order of time.
    by
        The arm. A participant at several levels is counted at that of most of their recordings.
    expected
        How many visits each participant should have, or a table of them: ``user_label``, the
        column given as ``over`` and, for participants without any recording, that given as ``by``.

    Returns
    -------
    DataFrame
        A row per arm (``by``; "all participants" without one) and ``level`` of ``over``:
        ``participants`` who are expected at this level or later; those ``expected`` at this level;
        ``still_in``, with a valid recording at this level or later; ``recorded`` and ``scored`` at
        this level; and ``share_still_in``. ``attrs["warnings"]`` says how many left, and whether
        arms differ in it.

    Raises
    ------
    ResultsError
        If a column is missing, or what was expected does not fit the results.

    Examples
    --------
    >>> table = attrition("datasets/shift_study_results.parquet", "visit", by="arm")
    >>> table[table["level"] == "14"].set_index("by")["still_in"].to_dict()
    {'night_shift': 55, 'day_shift': 47}
    """
    prepared = prepare(results, [by, over], biomarkers=())
    rows = listed_recordings(prepared, by, over)
    wanted = expected_recordings(prepared, 1 if expected is None else expected, by, over)
    warnings = put_in_one_arm(rows, wanted, by)
    levels = _levels_with(prepared.levels[over], wanted, expected)
    people = pd.concat([rows, wanted]).query("person >= 0").drop_duplicates("person")
    arms = people.sort_values("person")["group"].to_numpy(dtype=object)
    valid = (prepared.frame["outcome"] != Outcome.INVALID).to_numpy(dtype=bool)
    recorded, scored, due = (
        _presence(part, len(arms), levels) for part in (rows[valid], rows[prepared.counts], wanted)
    )
    if not isinstance(expected, pd.DataFrame):
        due[:] = np.arange(len(levels)) < (expected or len(levels))
    still_in = _or_later(recorded)
    each = {"participants": _or_later(due) | still_in, "expected": due, "still_in": still_in}
    each |= {"recorded": recorded, "scored": scored}
    groups = list(dict.fromkeys([*(prepared.levels[by].labels if by else ()), *arms]))
    made = pd.DataFrame({"by": np.repeat(groups, len(levels)), "level": levels * len(groups)})
    for name, marks in each.items():
        made[name] = [n for group in groups for n in marks[arms == group].sum(axis=0)]
    made["share_still_in"] = made["still_in"] / made["participants"].where(made["participants"] > 0)
    when = f"the last {over} expected of each participant"
    if not isinstance(expected, pd.DataFrame):
        when = " ".join([over, *levels[:expected][-1:]])
    # Who is still in at a level was so at all before it, so one gap is enough.
    asked, left = (np.asarray(marks.any(axis=1)) for marks in (due, due & ~still_in))
    counts = pd.crosstab(arms[asked], left[asked])
    counts = counts.reindex(index=groups, columns=[False, True], fill_value=0)
    return prepared.finish(made, _RISK_METHOD, [*_who_left(counts, by, when), *warnings])


_RISK_METHOD = (
    "A participant is still in at a level where they have a recording at it or at a later one "
    "whose row is valid; visits missed in between do not count as having left."
)


def _levels_with(levels: Levels, wanted: pd.DataFrame, expected: Expected) -> list[str]:
    """Give the levels of the results, and in their places those that are only expected."""
    known = [label for label in levels.labels if label != NOT_GIVEN]
    if not isinstance(expected, pd.DataFrame):
        return [*known, *(f"no. {place + 1}" for place in range(len(known), expected or 0))]
    every = list(dict.fromkeys([*known, *wanted["level"]]))
    if len(every) == len(known) or levels.ordered_by == "its categories":
        return every
    nowhere = np.full(len(every), np.nan)
    people = np.zeros(len(every), dtype=np.intp)
    return list(levels_of(pd.Series(every), people, lambda: nowhere).labels)


def _presence(rows: pd.DataFrame, n_people: int, levels: list[str]) -> Flags:
    """Mark at which levels each participant has a row."""
    marks = np.zeros((n_people, len(levels)), dtype=bool)
    person = rows["person"].to_numpy()
    level = pd.Index(levels).get_indexer(pd.Index(rows["level"]))
    known = (person >= 0) & (level >= 0)
    marks[person[known], level[known]] = True
    return marks


def _or_later(marks: Flags) -> Flags:
    """Mark the levels that are marked themselves or have a later one that is."""
    return np.logical_or.accumulate(marks[:, ::-1], axis=1)[:, ::-1]


def _who_left(counts: pd.DataFrame, by: str | None, when: str) -> list[str]:
    """Say how many stayed (False) and left (True) in each arm, and whether arms differ in it."""
    if not counts[True].any():
        return []
    # A word is between each level and the numbers after it, also for scripts from right to left.
    listing = ", and ".join(
        f"{stayed:,} of {stayed + left:,} participants" + (f" where {by} is {arm}" if by else "")
        for arm, stayed, left in counts.itertuples(name=None)
    )
    sentence = (
        f"At {when} the study still has {listing}. A line of means over visits then mixes change "
        "with who stayed; compare_change uses each participant's own change."
    )
    compared = counts[counts.any(axis=1) & (counts.index != NOT_GIVEN)]
    name, p = _equal_shares(compared.to_numpy())
    if p < UNEQUAL_BELOW:
        sentence += (
            f" More left in one arm than in another ({name}, {p_in_words(p)}), so that a "
            "difference between arms at later visits may be one of who stayed."
        )
    return [sentence]


def _equal_shares(counts: Codes) -> tuple[str, float]:
    """Test whether the shares of the two columns are the same in all rows."""
    if len(counts) < 2 or (counts.sum(axis=0) == 0).any():
        return "", np.nan
    if len(counts) == 2:
        return "Fisher's exact test", float(stats.fisher_exact(counts).pvalue)
    return "chi-square test", float(stats.chi2_contingency(counts, correction=False).pvalue)


# --- which recordings were expected: visits that never happened have no row in the results ---------


def listed_recordings(prepared: PreparedResults, by: str | None, over: str | None) -> pd.DataFrame:
    """Give a row per recording: its ``person``, the ``level`` of ``over``, and the ``group``."""
    rows = pd.DataFrame({"person": prepared.people, "level": "", "group": EVERYONE})
    for name, column in (("level", over), ("group", by)):
        if column is not None:
            levels = prepared.levels[column]
            rows[name] = np.array([*levels.labels, ""], dtype=object)[levels.codes]
    return rows


def expected_recordings(
    prepared: PreparedResults, expected: int | pd.DataFrame, by: str | None, over: str | None
) -> pd.DataFrame:
    """Give a row per expected recording; participants of the schedule alone have later numbers."""
    unknown = EVERYONE if by is None else NOT_GIVEN
    labels = pd.factorize(prepared.frame["user_label"], sort=True)[1].astype("str")
    if not isinstance(expected, pd.DataFrame):
        if isinstance(expected, bool) or not isinstance(expected, int | np.integer) or expected < 1:
            message = (
                f"expected is {expected!r}: give a number of visits for each participant, at least "
                "1, or a table with user_label and the visit column."
            )
            raise ResultsError(message)
        person = np.repeat(np.arange(len(labels)), expected)
        return pd.DataFrame({"person": person, "level": "", "group": unknown})
    for name in ("user_label", str(over)):
        if name not in expected.columns:
            raise UnknownColumnError(name, expected.columns, what="expected visits")
    arm = by if by in expected.columns else None
    schedule = prepare(expected.assign(outcome=None), [arm, over], biomarkers=())
    wanted = listed_recordings(schedule, arm, over)
    wanted["group"] = unknown if arm is None else wanted["group"]
    if (wanted["level"] == NOT_GIVEN).any() or (wanted["person"] < 0).any():
        message = f"The table of expected visits has rows without user_label or {over}: fill them."
        raise ResultsError(message)
    names = expected["user_label"].astype("str").str.strip()
    if len(labels) and not names.isin(labels).any():
        message = (
            "No participant of the expected visits is in the results: write user_label in both as "
            f"in the results, such as {labels[0]!r}."
        )
        raise ResultsError(message)
    everyone = labels.append(pd.Index(names.unique()).difference(labels))
    return wanted.assign(person=everyone.get_indexer(pd.Index(names)))


def put_in_one_arm(listed: pd.DataFrame, wanted: pd.DataFrame, by: str | None) -> list[str]:
    """Put every participant at the level of ``by`` of most of their recordings, with all of them."""
    known = listed[(listed["person"] >= 0) & (listed["group"] != NOT_GIVEN)]
    each = known.value_counts(["person", "group"], sort=False).reset_index()
    each = each.sort_values(["person", "count"], ascending=[True, False], kind="stable")
    several = int((each["person"].value_counts() > 1).sum())
    if 2 * several > each["person"].nunique():
        message = (
            f"Most participants are at several levels of {by!r}: choose a column that divides "
            "participants, such as the arm."
        )
        raise ResultsError(message)
    given = pd.concat([each, wanted[wanted["group"] != NOT_GIVEN]])
    arms = given.drop_duplicates("person").set_index("person")["group"]
    for table in (listed, wanted):
        table["group"] = table["person"].map(arms).astype("str").fillna(table["group"])
    who = f"{counted(several, 'participant')} with recordings at several levels of {by}"
    return [f"{who}: counted at the level of most of them."] if several else []
