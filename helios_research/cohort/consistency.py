"""What shows only across rows: values that look alike, labels of several people, placeholders."""

import re
from collections import Counter

import pandas as pd

from helios_research._util.text import as_seen, literal
from helios_research.cohort.cells import as_text
from helios_research.cohort.issues import Issues, Problem, Validator, code_of, shortened
from helios_research.cohort.recordings import listed_rows
from helios_research.cohort.storage import CohortTables
from helios_research.cohort.validators import HIDDEN
from helios_research.columns import Severity

_WORDS = {"date_of_birth": "dates of birth", "birth_sex": "birth sexes"}
_UNKNOWN = "UNKNOWN"

_FEWEST_PEOPLE = 6
"""Participants from which most may share a date of birth only by mistake: that 4 of 6 people born
within ten years share theirs by chance is less than one in a billion."""

_FEWEST_MIXED = 3
"""People beyond one for each label from which the labels are at fault, not single rows (our choice)."""

_MOST_LEVELS = 50
"""Different values up to which a column that is not sent is taken to form groups (our choice)."""

_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")


def check_lookalikes(tables: CohortTables, issues: Issues) -> None:
    """Check that no two labels, and no two values of a tag or of a grouping column, look alike."""
    label = tables.mapping.name_of("user_label")
    sent = {label: (tables.fields["user_label"], "INVALID_USER_LABEL")}
    sent |= {tag: (tables.tag_values[tag], "INVALID_TAG") for tag in tables.mapping.tags}
    for name, (values, code) in sent.items():
        problems = _hidden(values, name, code) | _alike(values, name, tables.row_numbers)
        issues.check(values, name, code, problems.get)
    for name in _own_columns(tables):
        values = tables.frame[name]
        if isinstance(values.dtype, pd.StringDtype) and values.nunique() <= _MOST_LEVELS:
            issues.check(values, name, "INVALID_ROW", _hidden(values, name, "INVALID_ROW").get)


def _own_columns(tables: CohortTables) -> list[str]:
    used = {*tables.mapping.columns.values(), *tables.mapping.tags}
    return [name for name in tables.frame.columns if name not in used]


def _hidden(values: "pd.Series[str]", column: str, code: str) -> dict[str, Problem]:
    """Find values that are not what they seem; that two of them look the same cannot be meant."""
    seen = {value: as_seen(value) for value in values.dropna().unique().tolist()}
    number = Counter(seen.values())
    is_split = {value: number[right] > 1 or not right for value, right in seen.items()}
    return {
        value: Problem(
            f"It has {HIDDEN}, so that it is not {shortened(right)!r}.",
            f"Type it again {_replacing(column, value, right)}",
            Severity.ERROR if is_split[value] and code != "INVALID_ROW" else Severity.WARNING,
        )
        for value, right in seen.items()
        # Other tables are joined by labels only, and a tag may have several lines.
        if value != right and (is_split[value] or code == "INVALID_USER_LABEL")
    }


def _alike(
    values: "pd.Series[str]", column: str, row_numbers: "pd.Series[int]"
) -> dict[str, Problem]:
    """Find values that look different only at a second glance, which may be meant."""
    first = values[values.notna() & ~values.duplicated()].map(as_seen).drop_duplicates()
    found, keys = {}, {value: value for value in first}
    row_of = dict(zip(first, row_numbers[first.index], strict=True))
    for words in ("upper and lower case", "leading zeros"):
        firsts: dict[str, str] = {}
        for value, key in keys.items():
            plain = key.casefold() if words == "upper and lower case" else _ZEROS.sub("", key)
            other = firsts.setdefault(plain, value)
            if other != value:
                found[value] = Problem(
                    f"It differs only in {words} from {shortened(other)!r} (row {row_of[other]}), "
                    "but counts as another one.",
                    f"If they are the same, write both alike {_replacing(column, value, other)}",
                    Severity.WARNING,
                )
        keys = {value: plain for plain, value in firsts.items()}
    return found


def _replacing(column: str, value: str, right: str) -> str:
    line = f"df = df.replace({literal({column: {shortened(value): shortened(right)}})})"
    return f"in the table, or run this line, where df is the table: {line}."


def check_people(tables: CohortTables, good: pd.DataFrame, issues: Issues) -> None:
    """Check that each participant is one person throughout."""
    mixed = _check_numbering(tables, good, issues)
    fields, mapping = tables.fields, tables.mapping
    for field in _WORDS:
        is_usable = good["user_label"] & good[field] & ~fields["user_label"].isin(mixed)
        usable = fields.loc[is_usable, ["user_label", field]]
        first = usable.drop_duplicates().join(tables.row_numbers)
        contested = first[first["user_label"].duplicated(keep=False)]
        held = contested.groupby("user_label")[[field, "row"]].agg(list)
        problem_of = {
            label: _conflict(field, [*zip(*facts, strict=True)])
            for label, *facts in held.itertuples()
        }
        found = usable["user_label"].map(problem_of).dropna()
        values = usable[field][found.index]
        is_error = found.map(lambda problem: problem.severity is Severity.ERROR)
        shown = is_error.astype(bool) | (values == _UNKNOWN)
        name = mapping.name_of(field)
        issues.add(found.index[shown], name, values[shown], found[shown], code_of(field))


def _conflict(field: str, held: list[tuple[str, int]]) -> Problem:
    listed = listed_rows([f"{value} (row {row})" for value, row in held])
    if len({value for value, _ in held} - {_UNKNOWN}) > 1:
        return Problem(
            f"This participant has {len(held)} {_WORDS[field]}: {listed}.",
            "Correct the wrong rows, or give different people different labels.",
        )
    return Problem(
        f"Elsewhere this participant's sex is known: {listed}.",
        "Write the same sex in all rows, so that all scores have the same benchmark.",
        Severity.WARNING,
    )


def _check_numbering(tables: CohortTables, good: pd.DataFrame, issues: Issues) -> set[str]:
    """Note labels that begin again in each level of another column; return them."""
    names, label = ["user_label", *_WORDS], tables.mapping.name_of("user_label")
    is_known = good[names].all(axis=1) & (tables.fields["birth_sex"] != _UNKNOWN)
    rows = tables.fields.loc[is_known, names]
    people = rows.drop_duplicates()["user_label"].value_counts()
    mixed = {*people.index[people > 1]}
    repeated = int((rows["user_label"].value_counts() > 1).sum())
    is_systematic = (people - 1).sum() >= _FEWEST_MIXED and len(mixed) > repeated / 2
    column = _dividing_column(tables, rows) if is_systematic else None
    if column is None and not (is_systematic and len(people) == 1):
        return set()
    what, remedy = "and all rows have it.", "Give each person a label of their own."
    if column is not None:
        what = f"but not within one {column!r}: the labels may begin again in each."
        both = ' + "-" + '.join(f'df[{literal(name)}].astype("str")' for name in (column, label))
        remedy = "If these are different people, make one label of both, where df is the table: "
        remedy += f"df[{literal(label)}] = {both}."
    what = f"Rows with this label have different dates of birth or sexes, {what}"
    found = tables.fields["user_label"][lambda labels: labels.isin(mixed)]
    issues.add(found.index, label, found, Problem(what, remedy), code_of("user_label"))
    return mixed


def _dividing_column(tables: CohortTables, rows: pd.DataFrame) -> str | None:
    """Find the column of fewest levels within which each label is one person."""
    levels = {}
    for name in [*_own_columns(tables), *tables.mapping.tags]:
        column = as_text(tables.frame[name]).rename("level")[rows.index]
        people = rows.join(column).drop_duplicates()
        if not people.duplicated(["user_label", "level"]).any():
            levels[name] = column.nunique()
    found = min(levels, key=levels.__getitem__, default=None)
    # What is different in each row divides anything.
    return found if found is not None and levels[found] <= len(rows) / 2 else None


def shared_birth(fields: pd.DataFrame, validator: Validator) -> dict[str, Problem]:
    """Warn of a date of birth that most participants have."""
    people = fields[["user_label", "date_of_birth"]].dropna().drop_duplicates()["date_of_birth"]
    day, number = next(iter(people.value_counts().items()), ("", 0))
    found = validator(str(day))
    is_wrong = found is not None and found.severity is Severity.ERROR
    if is_wrong or len(people) < _FEWEST_PEOPLE or number <= len(people) / 2:
        return {}
    problem = Problem(
        f"{number} of {len(people)} participants have this date of birth: it may stand for an unknown one.",
        "Correct it before you send anything: scores are benchmarked by age.",
        Severity.WARNING,
    )
    return {str(day): problem}
