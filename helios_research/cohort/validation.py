"""The checks of a cohort's rows: field by field, and within one row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from helios_research._util.text import as_seen, literal
from helios_research.cohort.cells import RawTable, as_text, stripped_text
from helios_research.cohort.consistency import shared_birth
from helios_research.cohort.declarations import TIMES, short_wide, undeclared
from helios_research.cohort.guessing import guess_wide
from helios_research.cohort.issues import Issues, Problem, Validator, code_of
from helios_research.cohort.mapping import OF_A_PERSON, ColumnMapping
from helios_research.cohort.recordings import look, resolve
from helios_research.cohort.validators import (
    HIDDEN,
    birth_sex,
    date_of_birth,
    field_text,
    language,
    latest_now,
    local_time,
    personal_label,
    personal_tag,
    tag_text,
    user_label,
    values_line,
)
from helios_research.columns import REQUIRED_FIELDS, STANDARD_FIELDS, Severity

IDS = ("recording_id", "user_label")


@dataclass(slots=True)
class Draft:
    """A cohort that is being checked: its cells as given, without spaces, and as declared.

    ``good`` says which values have no error.
    """

    mapping: ColumnMapping
    given: pd.DataFrame
    stripped: pd.DataFrame
    fields: pd.DataFrame
    tag_values: pd.DataFrame
    issues: Issues
    good: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def of(cls, raw: RawTable, mapping: ColumnMapping, root: str) -> "Draft":
        """Read the cells of a table as they are declared."""
        index, names = raw.cells.index, STANDARD_FIELDS
        given = pd.DataFrame({name: _given(raw.cells, mapping, name) for name in names}, index)
        stripped = pd.DataFrame({name: stripped_text(given[name]) for name in names}, index)
        fields = {name: mapping.read(stripped[name], name) for name in names}
        recordings = stripped["recording"].tolist()
        places = [resolve(cell, root) if isinstance(cell, str) else None for cell in recordings]
        fields["recording"] = pd.Series(places, index, dtype="str")
        tags = {name: stripped_text(as_text(raw.cells[name])) for name in mapping.tags}
        return cls(
            mapping,
            given,
            stripped,
            pd.DataFrame(fields),
            pd.DataFrame(tags, index, pd.Index(mapping.tags, dtype="str")),
            Issues([*raw.issues.rows]),
        )

    def note(self, name: str, wrong: Any, problem: Problem) -> None:
        """Note the same problem for several rows of one field."""
        positions = np.flatnonzero(wrong)
        values = self.given[name].iloc[positions]
        self.issues.add(positions, self.mapping.name_of(name), values, problem, code_of(name))

    def check(self, name: str, validator: Validator) -> "pd.Series[bool]":
        """Check every value of a field; return which values have no error."""
        own, shown = self.mapping.name_of(name), self.stripped[name]
        values = shown if name == "recording" else self.fields[name]
        return self.issues.check(values, own, code_of(name), validator, shown)


def _given(cells: pd.DataFrame, mapping: ColumnMapping, name: str) -> "pd.Series[str]":
    as_dates = name == "date_of_birth" if name in ("date_of_birth", *TIMES) else None
    if name in mapping.columns:
        return as_text(cells[mapping.columns[name]], as_dates=as_dates)
    constant = as_text(pd.Series([mapping.constants.get(name)], dtype=object), as_dates=as_dates)
    return pd.Series(constant.iloc[0], index=cells.index, dtype="str")


def cells_of(cells: pd.DataFrame, mapping: ColumnMapping, name: str) -> "pd.Series[str]":
    """Give the cells of a field as text, without the spaces around them."""
    return stripped_text(_given(cells, mapping, name))


def check_values(draft: Draft) -> None:
    """Check every field of every row by itself, and the order of times within a row."""
    now = latest_now()
    validator_of: dict[str, Validator] = {
        "user_label": user_label,
        "date_of_birth": date_of_birth(now, draft.mapping.date_format.get("date_of_birth")),
        "birth_sex": birth_sex,
        "language": language,
        **{name: local_time(now, draft.mapping.name_of(name)) for name in TIMES},
    }
    known = undeclared(draft.stripped, draft.fields, draft.mapping.date_format)
    shared = shared_birth(draft.fields, validator_of["date_of_birth"])
    known["date_of_birth"] = shared | known.get("date_of_birth", {})
    for name in STANDARD_FIELDS:
        _check_blank(draft, name)
        validator = _in_turn(name, known.get(name, {}), validator_of.get(name, field_text))
        draft.good[name] = draft.check(name, validator)
    _check_declared(draft)
    _check_order(draft)
    _check_privacy(draft)
    for tag, values in draft.tag_values.items():
        for validator in (tag_text, personal_tag):
            draft.issues.check(values, str(tag), "INVALID_TAG", validator)


def _in_turn(name: str, known: Mapping[str, Problem], validator: Validator) -> Validator:
    """Put problems that show only in the whole column, and what cannot be seen, first."""

    def validate(value: str) -> Problem | None:
        problem = known.get(value) or field_text(value) or validator(value)
        if problem is None or name == "user_label":
            return problem
        seen = as_seen(value)
        if seen == value or validator(seen):
            return problem
        what = f"It has {HIDDEN}, so that it is not {seen!r}."
        return Problem(what, f"Type it again, or declare {values_line(name, value, seen)}.")

    return validate


def _check_declared(draft: Draft) -> None:
    """Warn of declared values that no cell has."""
    for name, meanings in draft.mapping.meanings.items():
        unseen = ", ".join(repr(code) for code in meanings.keys() - {*draft.stripped[name]})
        if unseen:
            what = f"No cell has {unseen}, which values= declares for {name}."
            remedy = "Check the spelling, or leave it out."
            draft.issues.warn(draft.mapping.name_of(name), what, remedy)


def check_files(draft: Draft) -> "pd.Series[str]":
    """Look at every local recording whose cell has no error; give what identifies each."""
    name = draft.mapping.name_of("recording")
    recordings = draft.fields["recording"].where(draft.good["recording"])
    looked = {place: look(place, name) for place in recordings.dropna().unique().tolist()}
    each = [looked.get(location, (None, None)) for location in recordings]
    found = pd.Series([problem for _, problem in each], dtype=object).dropna()
    values = draft.given["recording"][found.index]
    draft.issues.add(found.index, name, values, found, code_of("recording"))
    return pd.Series([identity for identity, _ in each], dtype="str")


def check_header(draft: Draft, names: list[str]) -> None:
    """Warn of columns that look like a field but are not sent, and of other recordings in a row."""
    mapping = draft.mapping
    used, known = {*mapping.columns.values(), *mapping.tags}, {*mapping.columns, *mapping.constants}
    absent = {name.replace("_", ""): name for name in STANDARD_FIELDS if name not in known}
    for name in names:
        meant = absent.get("".join(filter(str.isalnum, name.casefold())))
        if meant and name not in used:
            what = f"The column looks like {meant}, but it is not sent."
            remedy = f'If it is meant, rename it to {meant} or use columns={{"{meant}": "{name}"}}.'
            draft.issues.warn(name, what, remedy, name)
    column = mapping.name_of("recording")
    wide = guess_wide(name for name in names if name not in mapping.tags)
    if column in (several := wide.get("recording", [])):
        others = ", ".join(name for name in several if name != column)
        what = f"Each row seems to have other recordings, which are not sent: {others}."
        remedy = f"If they are, declare wide={literal(short_wide(wide))} in place of the column."
        draft.issues.warn(column, what, remedy)


def _check_blank(draft: Draft, name: str) -> None:
    blank = draft.fields[name].isna()
    is_needed = name in REQUIRED_FIELDS or (name in IDS and name in draft.mapping.columns)
    if is_needed and blank.any():
        positions = np.flatnonzero(blank)
        problem = Problem("The cell is blank.", _remedy_for_blank(draft, name, blank))
        nothing = draft.fields[name].iloc[positions]
        draft.issues.add(positions, draft.mapping.name_of(name), nothing, problem, code_of(name))
    if name in IDS:
        problem = Problem(
            "There are spaces around the value; they are removed.",
            "Remove them from the table, so that it can be joined by this column.",
            Severity.WARNING,
        )
        draft.note(name, ~blank & (draft.given[name] != draft.fields[name]), problem)


def _remedy_for_blank(draft: Draft, name: str, blank: "pd.Series[bool]") -> str:
    words, line = name.replace("_", " "), 'declare fill_within="user_label"'
    labels, is_declared = draft.fields["user_label"], draft.mapping.fill_within is not None
    if name == "user_label":
        return "Fill in the user label, in each row that was merged with others too."
    if name == "recording" and not is_declared:
        invite = "or let the participant record: study.invite"
        return f"Fill in the recording, or {line}, which leaves out rows without one, {invite}."
    is_elsewhere = not {*labels[blank].dropna()}.isdisjoint(labels[~blank])
    if name in OF_A_PERSON and is_elsewhere and not is_declared:
        return f"Fill in the {words}, or {line}, which takes it from the participant's other rows."
    return f"Fill in the {words}."


def _check_order(draft: Draft) -> None:
    moments = {
        name: pd.to_datetime(draft.fields[name].where(draft.good[name]), format="ISO8601")
        for name in ("date_of_birth", *TIMES)
    }
    for earlier, before, later in (
        ("sleep_time", moments["sleep_time"], "wake_time"),
        ("wake_time", moments["wake_time"], "recording_time"),
        # Where there is a waking time, the two lines above have said it already.
        ("sleep_time", moments["sleep_time"].where(~draft.good["wake_time"]), "recording_time"),
        ("date_of_birth", moments["date_of_birth"], "recording_time"),
    ):
        problem = Problem(
            f"This is before {draft.mapping.name_of(earlier)}.",
            "Correct one of them: birth, falling asleep, waking up and recording come in this order.",
        )
        draft.note(later, before > moments[later], problem)


def _check_privacy(draft: Draft) -> None:
    """Warn of labels that identify the participant, as by the participant's own date of birth."""
    draft.check("user_label", personal_label)
    both = draft.fields[["user_label", "date_of_birth"]]
    people = both.dropna().drop_duplicates().itertuples(index=False, name=None)
    revealing = [person for person in people if _contains_date(*person)]
    problem = Problem(
        "The label contains the date of birth, and it would be sent.",
        "Use a pseudonym that cannot be traced to the person.",
        Severity.WARNING,
    )
    if revealing:
        draft.note("user_label", pd.MultiIndex.from_frame(both).isin(revealing), problem)


def _contains_date(label: str, date_of_birth: str) -> bool:
    digits = "".join(filter(str.isdecimal, label))
    born = date_of_birth.replace("-", "")
    if len(born) != len("YYYYMMDD") or len(digits) < len("YYMMDD"):
        return False
    year, month, day = born[:4], born[4:6], born[6:]
    spellings = [year + month + day, day + month + year, month + day + year]
    spellings += [born[2:], day + month + born[2:4]]
    return any(spelling in digits for spelling in spellings)
