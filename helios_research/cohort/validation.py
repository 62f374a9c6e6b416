"""The checks of a cohort's rows: field by field, and within one row."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helios_research._util.text import as_seen, literal
from helios_research.cohort.consistency import shared_birth
from helios_research.cohort.declarations import TIMES, undeclared
from helios_research.cohort.guessing import guess_wide
from helios_research.cohort.mapping import OF_A_PERSON, ColumnMapping, short_wide
from helios_research.cohort.recordings import look
from helios_research.cohort.validators import (
    HEADER,
    HIDDEN,
    Issues,
    Problem,
    Validator,
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


@dataclass(frozen=True, slots=True)
class Draft:
    """A cohort that is being checked: its cells as given, without spaces, and as declared."""

    given: pd.DataFrame
    stripped: pd.DataFrame
    fields: pd.DataFrame
    tag_values: pd.DataFrame
    mapping: ColumnMapping

    def note(self, issues: Issues, field: str, wrong: "pd.Series[bool]", problem: Problem) -> None:
        """Note the same problem for several rows of one field."""
        positions = np.flatnonzero(wrong)
        values = self.given[field].iloc[positions]
        issues.add(positions, self.mapping.name_of(field), values, problem, code_of(field))

    def check(self, issues: Issues, field: str, validator: Validator) -> "pd.Series[bool]":
        """Check every value of a field; return which values have no error."""
        name = self.mapping.name_of(field)
        shown = self.stripped[field]
        values = shown if field == "recording" else self.fields[field]
        return issues.check(values, name, code_of(field), validator, shown)


def code_of(field: str) -> str:
    """Name the error code of a row with an error in a field."""
    return f"INVALID_{field.upper()}"


def check_values(draft: Draft, issues: Issues) -> pd.DataFrame:
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
    good = pd.DataFrame(index=draft.fields.index)
    for field in STANDARD_FIELDS:
        _check_blank(draft, issues, field)
        validator = _in_turn(field, known.get(field, {}), validator_of.get(field, field_text))
        good[field] = draft.check(issues, field, validator)
    _check_declared(draft, issues)
    _check_order(draft, issues, good)
    _check_privacy(draft, issues)
    for tag in draft.tag_values.columns:
        issues.check(draft.tag_values[tag], tag, "INVALID_TAG", tag_text)
        issues.check(draft.tag_values[tag], tag, "INVALID_TAG", personal_tag)
    return good


def _in_turn(field: str, known: Mapping[str, Problem], validator: Validator) -> Validator:
    """Put problems that show only in the whole column, and what cannot be seen, first."""

    def validate(value: str) -> Problem | None:
        problem = known.get(value) or field_text(value) or validator(value)
        if problem is None or field == "user_label":
            return problem
        seen = as_seen(value)
        if seen == value or validator(seen):
            return problem
        what = f"It has {HIDDEN}, so that it is not {seen!r}."
        return Problem(what, f"Type it again, or declare {values_line(field, value, seen)}.")

    return validate


def _check_declared(draft: Draft, issues: Issues) -> None:
    """Warn of declared values that no cell has."""
    for field, meanings in draft.mapping.meanings.items():
        unseen = ", ".join(repr(code) for code in meanings.keys() - {*draft.stripped[field]})
        if unseen:
            column = draft.mapping.name_of(field)
            what = f"No cell has {unseen}, which values= declares for {field}."
            problem = Problem(what, "Check the spelling, or leave it out.", Severity.WARNING)
            issues.add([HEADER], column, [None], problem, code_of(field))


def check_files(draft: Draft, good: pd.DataFrame, issues: Issues) -> "pd.Series[str]":
    """Look at every local recording whose cell has no error."""
    name = draft.mapping.name_of("recording")
    recordings = draft.fields["recording"].where(good["recording"])
    looked = {place: look(place, name) for place in recordings.dropna().unique().tolist()}
    each = [looked.get(location, (None, None)) for location in recordings]
    found = pd.Series([problem for _, problem in each], dtype=object).dropna()
    values = draft.given["recording"][found.index]
    issues.add(found.index, name, values, found, code_of("recording"))
    return pd.Series([identity for identity, _ in each], dtype="str")


def check_header(source_columns: list[str], mapping: ColumnMapping, issues: Issues) -> None:
    """Warn of columns that look like a field but are not sent."""
    used = {*mapping.columns.values(), *mapping.tags}
    absent = {
        field.replace("_", ""): field
        for field in STANDARD_FIELDS
        if field not in mapping.columns and field not in mapping.constants
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
        issues.add([HEADER], name, [name], problem, "INVALID_ROW")
    _check_other_recordings(source_columns, mapping, issues)


def _check_other_recordings(
    source_columns: list[str], mapping: ColumnMapping, issues: Issues
) -> None:
    """Warn where only one of several recordings of a row is sent."""
    column = mapping.name_of("recording")
    wide = guess_wide(name for name in source_columns if name not in mapping.tags)
    others = [name for name in wide.get("recording", []) if name != column]
    if column in wide.get("recording", []):
        what = f"Each row seems to have other recordings, which are not sent: {', '.join(others)}."
        remedy = f"If they are, declare wide={literal(short_wide(wide))} in place of the column."
        problem = Problem(what, remedy, Severity.WARNING)
        issues.add([HEADER], column, [None], problem, code_of("recording"))


def _check_blank(draft: Draft, issues: Issues, field: str) -> None:
    stripped = draft.given[field].notna() & (draft.given[field] != draft.fields[field])
    blank = draft.fields[field].isna()
    is_needed = field in REQUIRED_FIELDS or (field in IDS and field in draft.mapping.columns)
    if is_needed and blank.any():
        problem = Problem("The cell is blank.", _remedy_for_blank(draft, field, blank))
        positions = np.flatnonzero(blank)
        nothing = draft.fields[field].iloc[positions]
        issues.add(positions, draft.mapping.name_of(field), nothing, problem, code_of(field))
    if field in IDS:
        problem = Problem(
            "There are spaces around the value; they are removed.",
            "Remove them from the table, so that it can be joined by this column.",
            Severity.WARNING,
        )
        draft.note(issues, field, stripped & ~blank, problem)


def _remedy_for_blank(draft: Draft, field: str, blank: "pd.Series[bool]") -> str:
    words, line = field.replace("_", " "), 'declare fill_within="user_label"'
    labels = draft.fields["user_label"]
    if field == "user_label":
        return "Fill in the user label, in each row that was merged with others too."
    if draft.mapping.fill_within is None and field == "recording":
        invite = "or let the participant record: study.invite"
        return f"Fill in the recording, or {line}, which leaves out rows without one, {invite}."
    is_elsewhere = not {*labels[blank].dropna()}.isdisjoint(labels[~blank])
    if draft.mapping.fill_within is None and field in OF_A_PERSON and is_elsewhere:
        return f"Fill in the {words}, or {line}, which takes it from the participant's other rows."
    return f"Fill in the {words}."


def _check_order(draft: Draft, issues: Issues, good: pd.DataFrame) -> None:
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
            f"This is before {draft.mapping.name_of(earlier)}.",
            "Correct one of them: birth, falling asleep, waking up and recording come in this "
            "order.",
        )
        draft.note(issues, later, before > moments[later], problem)


def _check_privacy(draft: Draft, issues: Issues) -> None:
    """Warn of labels that identify the participant, as by the participant's own date of birth."""
    draft.check(issues, "user_label", personal_label)
    known = draft.fields[["user_label", "date_of_birth"]].dropna()
    people = known.drop_duplicates()
    is_revealed = [_contains_date(*person) for person in people.itertuples(index=False)]
    revealing = people[np.array(is_revealed, dtype=bool)]
    problem = Problem(
        "The label contains the date of birth, and it would be sent.",
        "Use a pseudonym that cannot be traced to the person.",
        Severity.WARNING,
    )
    found = known.reset_index(names="position").merge(revealing)
    column = draft.mapping.name_of("user_label")
    issues.add(found["position"], column, found["user_label"], problem, code_of("user_label"))


def _contains_date(label: str, date_of_birth: str) -> bool:
    digits = "".join(filter(str.isdecimal, label))
    born = date_of_birth.replace("-", "")
    if len(born) != len("YYYYMMDD") or len(digits) < len("YYMMDD"):
        return False
    year, month, day = born[:4], born[4:6], born[6:]
    spellings = (
        year + month + day,
        day + month + year,
        month + day + year,
        year[2:] + month + day,
        day + month + year[2:],
    )
    return any(spelling in digits for spelling in spellings)
