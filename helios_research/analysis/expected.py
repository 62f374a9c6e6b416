"""Which recordings were expected: visits that never happened have no row in the results."""

import numpy as np
import pandas as pd

from helios_research._util.text import counted
from helios_research.analysis.levels import EVERYONE, NOT_GIVEN
from helios_research.analysis.prepared import PreparedResults, prepare
from helios_research.errors import ResultsError, UnknownColumnError

Expected = int | pd.DataFrame | None
"""A number of recordings for each participant, or a table of them."""


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


def visit_column(expected: pd.DataFrame, by: str | None) -> str:
    """Find the column of a schedule that says what is expected."""
    others = [str(name) for name in expected.columns if name not in ("user_label", by)]
    if len(others) != 1:
        message = (
            f"The table of expected visits has the columns {', '.join(map(str, expected.columns))}: "
            "leave user_label, one named as the visit column of the results, and the one given as by."
        )
        raise ResultsError(message)
    return others[0]


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
