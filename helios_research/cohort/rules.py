"""The checks of a cohort, field by field and within one row."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from helios_research.cohort import judges, locations, speakers
from helios_research.cohort.findings import HEADER, Findings, Judge, Problem
from helios_research.cohort.layout import Layout
from helios_research.columns import REQUIRED_FIELDS, STANDARD_FIELDS, Severity

TIMES = ("sleep_time", "wake_time", "recording_time")
"""Times of a row, in the order in which they must have happened."""

IDS = ("recording_id", "user_label")


@dataclass(frozen=True, slots=True)
class Draft:
    """A cohort that is being checked."""

    given: pd.DataFrame
    fields: pd.DataFrame
    tag_values: pd.DataFrame
    layout: Layout

    def note(
        self, findings: Findings, field: str, wrong: "pd.Series[bool]", problem: Problem
    ) -> None:
        """Note the same problem for several rows of one field."""
        positions = np.flatnonzero(wrong)
        values = self.given[field].iloc[positions]
        findings.add(positions, self.layout.name_of(field), values, problem, code_of(field))

    def judge(self, findings: Findings, field: str, judge: Judge) -> "pd.Series[bool]":
        """Judge every value of a field."""
        name = self.layout.name_of(field)
        return findings.judge(self.fields[field], name, code_of(field), judge)


def code_of(field: str) -> str:
    """Name the error code of a row with an error in a field."""
    return f"INVALID_{field.upper()}"


def check_values(draft: Draft, findings: Findings) -> pd.DataFrame:
    """Check every field of every row by itself, and the order of times within a row."""
    now = judges.latest_now()
    judge_of: dict[str, Judge] = {
        "user_label": judges.user_label,
        "date_of_birth": judges.date_of_birth(now),
        "birth_sex": judges.birth_sex,
        "language": judges.language,
        **{name: judges.local_time(now) for name in TIMES},
    }
    good = pd.DataFrame(index=draft.fields.index)
    for field in STANDARD_FIELDS:
        _check_blank(draft, findings, field)
        good[field] = draft.judge(findings, field, judges.field_text)
        if field in judge_of:
            good[field] &= draft.judge(findings, field, judge_of[field])
    _check_order(draft, findings, good)
    _check_privacy(draft, findings)
    for tag in draft.tag_values.columns:
        findings.judge(draft.tag_values[tag], tag, "INVALID_TAG", judges.tag_text)
        findings.judge(draft.tag_values[tag], tag, "INVALID_TAG", judges.personal_tag)
    return good


def check_files(draft: Draft, findings: Findings) -> "pd.Series[str]":
    """Look at every local recording."""
    labels, distinct = pd.factorize(draft.fields["recording"])
    looked = [locations.look(location) for location in distinct.tolist()]
    # A missing value has the label -1, which picks the entry appended at the end.
    identities = np.array([identity for identity, _ in looked] + [None], dtype=object)
    problems = np.array([problem for _, problem in looked] + [None], dtype=object)[labels]
    positions = np.flatnonzero(problems != None)  # noqa: E711  # compares element by element
    values = draft.given["recording"].iloc[positions]
    name = draft.layout.name_of("recording")
    findings.add(positions, name, values, problems[positions].tolist(), code_of("recording"))
    return pd.Series(identities[labels], index=draft.fields.index, dtype="str")


def check_header(source_columns: list[str], layout: Layout, findings: Findings) -> None:
    """Point out columns that look like a field but are only carried along."""
    used = {*layout.columns.values(), *layout.tags}
    absent = {
        field.replace("_", ""): field
        for field in STANDARD_FIELDS
        if field not in layout.columns and field not in layout.constants
    }
    for name in source_columns:
        plain = "".join(filter(str.isalnum, name.casefold()))
        if name in used or plain not in absent:
            continue
        field = absent[plain]
        remedy = f'If it is meant, rename it to {field} or use columns={{"{field}": "{name}"}}.'
        problem = Problem(
            f"The column looks like {field}, but it is not sent.", remedy, Severity.WARNING
        )
        findings.add([HEADER], name, [name], problem, "INVALID_ROW")


def _check_blank(draft: Draft, findings: Findings, field: str) -> None:
    stripped = draft.given[field].notna() & (draft.given[field] != draft.fields[field])
    blank = draft.fields[field].isna()
    if field in REQUIRED_FIELDS or (field in IDS and field in draft.layout.columns):
        problem = Problem("The cell is blank.", f"Fill in the {field.replace('_', ' ')}.")
        positions = np.flatnonzero(blank)
        nothing = draft.fields[field].iloc[positions]
        findings.add(positions, draft.layout.name_of(field), nothing, problem, code_of(field))
    if field in IDS:
        problem = Problem(
            "There are spaces around it, which are left out.",
            "Remove them from the table, so that it can be joined by this column.",
            Severity.WARNING,
        )
        draft.note(findings, field, stripped & ~blank, problem)


def _check_order(draft: Draft, findings: Findings, good: pd.DataFrame) -> None:
    names = ("date_of_birth", *TIMES)
    moments = {
        name: pd.to_datetime(draft.fields[name].where(good[name]), format="ISO8601")
        for name in names
    }
    for earlier, before, later in (
        ("sleep_time", moments["sleep_time"], "wake_time"),
        ("wake_time", moments["wake_time"], "recording_time"),
        # Where there is a waking time, the two lines above have said it already.
        ("sleep_time", moments["sleep_time"].where(~good["wake_time"]), "recording_time"),
        ("date_of_birth", moments["date_of_birth"], "recording_time"),
    ):
        problem = Problem(
            f"This is before {draft.layout.name_of(earlier)}.",
            "Correct one of them: birth, falling asleep, waking up and recording come in this "
            "order.",
        )
        draft.note(findings, later, before > moments[later], problem)


def _check_privacy(draft: Draft, findings: Findings) -> None:
    draft.judge(findings, "user_label", judges.personal_label)
    speakers.check_birth_in_label(draft.fields, findings, draft.layout.name_of("user_label"))
