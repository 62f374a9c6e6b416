"""The checks of a cohort: field by field, within one row, and across the rows of one participant."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helios_research._util.text import literal
from helios_research.cohort.declarations import TIMES, undeclared
from helios_research.cohort.guessing import guess_wide
from helios_research.cohort.mapping import OF_A_PERSON, ColumnMapping, short_wide
from helios_research.cohort.recordings import look
from helios_research.cohort.validators import (
    HEADER,
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
    shortened,
    tag_text,
    user_label,
)
from helios_research.columns import REQUIRED_FIELDS, STANDARD_FIELDS, Severity

IDS = ("recording_id", "user_label")

_WORDS = {"date_of_birth": "dates of birth", "birth_sex": "birth sexes"}
_UNKNOWN = "UNKNOWN"


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
        values, shown = self.fields[field], self.stripped[field]
        return issues.check(values, name, code_of(field), validator, shown)


def code_of(field: str) -> str:
    """Name the error code of a row with an error in a field."""
    return f"INVALID_{field.upper()}"


def check_values(draft: Draft, issues: Issues) -> pd.DataFrame:
    """Check every field of every row by itself, and the order of times within a row."""
    now = latest_now()
    validator_of: dict[str, Validator] = {
        "user_label": user_label,
        "date_of_birth": date_of_birth(now),
        "birth_sex": birth_sex,
        "language": language,
        **{name: local_time(now, draft.mapping.name_of(name)) for name in TIMES},
    }
    known = undeclared(draft.stripped, draft.fields, draft.mapping.date_format)
    good = pd.DataFrame(index=draft.fields.index)
    for field in STANDARD_FIELDS:
        _check_blank(draft, issues, field)
        good[field] = draft.check(issues, field, field_text)
        if field in validator_of:
            validator = _with_known(validator_of[field], known.get(field, {}))
            good[field] &= draft.check(issues, field, validator)
    _check_declared(draft, issues)
    _check_order(draft, issues, good)
    _check_privacy(draft, issues)
    for tag in draft.tag_values.columns:
        issues.check(draft.tag_values[tag], tag, "INVALID_TAG", tag_text)
        issues.check(draft.tag_values[tag], tag, "INVALID_TAG", personal_tag)
    return good


def _with_known(validator: Validator, known: Mapping[str, Problem]) -> Validator:
    """Put problems that show only in the whole column before those of one cell."""
    return lambda value: known.get(value) or validator(value)


def _check_declared(draft: Draft, issues: Issues) -> None:
    """Warn of declared values that no cell has."""
    for field, meanings in draft.mapping.meanings.items():
        unseen = ", ".join(repr(code) for code in meanings.keys() - {*draft.stripped[field]})
        if unseen:
            column = draft.mapping.name_of(field)
            what = f"No cell has {unseen}, which values= declares for {field}."
            problem = Problem(what, "Check the spelling, or leave it out.", Severity.WARNING)
            issues.add([HEADER], column, [None], problem, code_of(field))


def check_files(draft: Draft, issues: Issues) -> "pd.Series[str]":
    """Look at every local recording."""
    recordings, name = draft.fields["recording"], draft.mapping.name_of("recording")
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
    if field in REQUIRED_FIELDS or (field in IDS and field in draft.mapping.columns):
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
    is_elsewhere = labels[blank].isin(labels[~blank].dropna()).any()
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


def check_speakers(
    fields: pd.DataFrame,
    good: pd.DataFrame,
    mapping: ColumnMapping,
    row_numbers: "pd.Series[int]",
    issues: Issues,
) -> None:
    """Check that each participant is one person throughout."""
    for field in _WORDS:
        usable = fields.loc[good["user_label"] & good[field], ["user_label", field]]
        problem_of = _conflicts(field, usable, row_numbers)
        found = usable["user_label"].map(problem_of).dropna()
        values = usable[field][found.index]
        for position, value, problem in zip(found.index, values, found, strict=True):
            if problem.severity is Severity.ERROR or value == _UNKNOWN:
                issues.add([position], mapping.name_of(field), [value], problem, code_of(field))
    _check_case(fields["user_label"], mapping.name_of("user_label"), row_numbers, issues)


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


def _conflicts(
    field: str, usable: pd.DataFrame, row_numbers: "pd.Series[int]"
) -> dict[str, Problem]:
    first = usable.drop_duplicates()
    contested = first[first["user_label"].duplicated(keep=False)]
    rows_of: dict[str, dict[str, int]] = {}
    for row, label, value in zip(
        row_numbers[contested.index], contested["user_label"], contested[field], strict=True
    ):
        rows_of.setdefault(label, {})[value] = row
    return {label: _conflict(field, rows) for label, rows in rows_of.items()}


def _conflict(field: str, rows: dict[str, int]) -> Problem:
    listed = ", ".join(f"{value} (row {row})" for value, row in rows.items())
    if len(rows.keys() - {_UNKNOWN}) > 1:
        return Problem(
            f"This participant has {len(rows)} {_WORDS[field]}: {listed}.",
            "Correct the wrong rows, or give different people different labels.",
        )
    return Problem(
        f"Elsewhere this participant's sex is known: {listed}.",
        "Write the same sex in all rows, so that all scores have the same benchmark.",
        Severity.WARNING,
    )


def _check_case(
    labels: "pd.Series[str]", column: str, row_numbers: "pd.Series[int]", issues: Issues
) -> None:
    first_of: dict[str, tuple[str, int]] = {}
    first = ~labels.duplicated() & labels.notna()
    for label, row in zip(labels[first].tolist(), row_numbers[first].tolist(), strict=True):
        first_of.setdefault(label.casefold(), (label, row))

    def differs_in_case(label: str) -> Problem | None:
        earlier, row = first_of[label.casefold()]
        if earlier == label:
            return None
        return Problem(
            f"It differs only in upper and lower case from {shortened(earlier)!r} (row {row}), "
            "but counts as another participant.",
            "Write both alike if they are the same person.",
            Severity.WARNING,
        )

    issues.check(labels, column, "INVALID_USER_LABEL", differs_in_case)
