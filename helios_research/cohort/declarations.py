"""Columns, values, dates and order as a researcher declares them, and the line that declares a column.

Nothing is guessed: a form that is not declared is refused, and its issue has the line to paste.
"""

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import date
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from helios_research._util.text import literal
from helios_research.cohort.cells import as_text, cell_text, stripped_text
from helios_research.cohort.issues import Issues, Problem
from helios_research.cohort.validators import birth_sex, language, latest_now, unclear_sex
from helios_research.columns import BIRTH_SEX_SPELLINGS, Severity
from helios_research.errors import ColumnsError

Wide = Sequence[str] | Mapping[str, Sequence[str]]
"""The columns of several recordings in a row; with others of as many columns, by their new names."""

FillWithin = str | Mapping[str, Sequence[str]]
"""The field of the participant, alone or with columns to be filled besides the demographics."""

TIMES = ("sleep_time", "wake_time", "recording_time")
"""Times of a row, in the order in which they must have happened."""
DATE_FIELDS = ("date_of_birth", *TIMES)

FORMS = {
    "day first": "day.month.year",
    "month first": "month.day.year",
    "excel": "Excel's count of days",
    "excel 1904": "Excel's count of days since 1904",
}
"""Forms of dates that have a name; others are strptime's."""

# Excel takes 1900 for a leap year, so that its count from March 1900 on has this origin.
_ORIGINS = {"excel": "1899-12-30", "excel 1904": "1904-01-01"}
_COUNT = re.compile(r"([0-9]{2})[.,']?([0-9]{3}(?:[.,][0-9]+)?)")

# Forms that are recognised, but only to be offered.
_DAYS = (
    *("%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%d", "%Y%m%d", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y"),
    *("%d %b %Y", "%d-%b-%Y", "%d%b%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p")
_LOOKED_AT_FIRST = 20
_MOST_ADDED = 12

_NUMERIC = re.compile(
    r"([0-9]{1,2})([./-]) ?([0-9]{1,2})\2 ?([0-9]{4})"
    r"(?:(?:T|,? +)([0-9]{1,2})((?::[0-9]{2}){1,2}(?:\.[0-9]+)?)(?: ?([AaPp])\.?[Mm]\.?)?)?"
)
_LIKE_ISO = re.compile(r"[0-9]{4}(-[0-9]{2}){0,2}(?![0-9/.-])")
_MIDNIGHT = re.compile(r"[T ]00:00(:00(\.0+)?)?$")


def clean_values(given: Mapping[str, Mapping[Any, Any]] | None) -> dict[str, dict[str, str]]:
    """Take declared values as they come; a meaning of None or "" is a blank cell."""
    clean = {
        field: {_clean(code): _clean(meaning) for code, meaning in meanings.items()}
        for field, meanings in (given or {}).items()
    }
    for code, meaning in clean.get("birth_sex", {}).items():
        clean["birth_sex"][code] = BIRTH_SEX_SPELLINGS.get(meaning.upper(), meaning)
    return clean


def _clean(cell: object) -> str:
    return (cell_text(cell) or "").strip()


def clean_date_format(given: str | Mapping[str, str] | None) -> dict[str, str]:
    """Take a declared form of dates as it comes, for all fields or for each."""
    forms = dict.fromkeys(DATE_FIELDS, given) if isinstance(given, str) else dict(given or {})
    names = {name.replace(" ", "-"): name for name in FORMS}
    return {field: names.get(form, form) for field, form in forms.items()}


def clean_order(given: Mapping[Hashable, Iterable[Any]] | None) -> dict[str, list[str]]:
    """Take the declared order of a column's values as it comes."""
    return {
        str(name): [*dict.fromkeys(map(_clean, levels))] for name, levels in (given or {}).items()
    }


def clean_columns(given: Mapping[str, Hashable] | None) -> dict[str, str]:
    """Take the columns of the fields as they come."""
    recordings: Any = (given or {}).get("recording")
    if isinstance(recordings, list):
        what = f"columns= names {len(recordings)} columns for 'recording'"
        remedy = f"For one row per recording, declare wide={literal(recordings)} in place of it."
        raise ColumnsError.mapping("the table", what, remedy)
    return {field: str(column) for field, column in (given or {}).items()}


def clean_wide(given: Wide | None) -> dict[str, list[str]]:
    """Take the columns of several recordings as they come, alone or with those of other fields."""
    several = given if isinstance(given, Mapping) else {"recording": given} if given else {}
    return {name: [*map(str, names)] for name, names in several.items()}


def clean_fill_within(given: FillWithin | None, columns: Mapping[str, str]) -> Sequence[str] | None:
    """Give the columns that are filled besides the demographics; None where nothing is filled."""
    if given is None:
        return None
    people = {given: ()} if isinstance(given, str) else dict(given)
    if not people.keys() <= {"user_label", columns.get("user_label")} or len(people) != 1:
        what = f"fill_within= names {', '.join(map(repr, people))}, and cells are filled within participants"
        raise ColumnsError.mapping("the table", what, 'Write fill_within="user_label".')
    (further,) = people.values()
    return [further] if isinstance(further, str) else [*further]


def is_date_format(form: str) -> bool:
    """Whether a form shows day, month and year."""
    sample = date(2003, 2, 1)
    try:
        return form in FORMS or pd.to_datetime(f"{sample:{form}}", format=form).date() == sample
    except ValueError:
        return False


def short_wide(wide: Mapping[str, Sequence[str]]) -> Wide:
    """Write the columns of several recordings as a person would: a list where there are no others."""
    return list(wide["recording"]) if wide.keys() == {"recording"} else dict(wide)


def short_date_format(forms: Mapping[str, str]) -> str | dict[str, str]:
    """Write the forms as a person would: one for all, or one for each field."""
    different = set(forms.values())
    return different.pop() if len(different) == 1 < len(forms) else dict(forms)


def as_declared(
    cells: "pd.Series[str]", field: str, values: Mapping[str, str], form: str | None
) -> "pd.Series[str]":
    """Put the declared meaning, and dates in ISO 8601, in place of each cell that has one."""
    distinct = cells.dropna().unique().tolist()
    read: dict[str, str | None] = {}
    if field == "date_of_birth":
        # Programs write a date as its midnight.
        moments = [cell for cell in distinct if _LIKE_ISO.match(cell) and _MIDNIGHT.search(cell)]
        read |= {cell: _MIDNIGHT.sub("", cell) for cell in moments}
    read |= {cell: values[cell] or None for cell in distinct if cell in values}
    if form:
        read |= _read_dates([cell for cell in distinct if cell not in read], field, form)
    return cells.map(read).astype("str").where(cells.isin(list(read)), cells) if read else cells


def _read_dates(cells: Sequence[str], field: str, form: str) -> dict[str, str]:
    """Read the cells that have a form."""
    if form in FORMS:
        read_one = _counted if form in _ORIGINS else _in_order
        texts: Sequence[str | None] = [read_one(cell, form) for cell in cells]
    else:
        moments = pd.to_datetime(pd.Series(cells, dtype="str"), format=form, errors="coerce")
        if "%y" in form:
            # strptime reads 68 as 2068.
            moments = moments.mask(moments > latest_now(), moments - pd.DateOffset(years=100))
        texts = as_text(moments, as_dates="%H" not in form and "%I" not in form).tolist()
    read = {cell: text for cell, text in zip(cells, texts, strict=True) if isinstance(text, str)}
    if field == "date_of_birth":
        return {cell: _MIDNIGHT.sub("", text) for cell, text in read.items()}
    return read


def _in_order(cell: str, order: str) -> str | None:
    found = _NUMERIC.fullmatch(cell)
    if found is None:
        return None
    first, _, second, year, hour, rest, half = found.groups()
    day, month = (first, second) if order == "day first" else (second, first)
    if int(month) > 12 or int(day) > 31:
        return None
    written = f"{year}-{int(month):02}-{int(day):02}"
    if hour is None:
        return written
    hours = int(hour) % 12 + 12 * (half in "Pp") if half else int(hour)
    return f"{written}T{hours:02}{rest}"


def put_in_order(
    frame: pd.DataFrame, order: Mapping[str, Sequence[str]], issues: Issues
) -> pd.DataFrame:
    """Make ordered categories of the columns whose order is declared; other values come last."""
    columns = {}
    for name, levels in order.items():
        texts = stripped_text(as_text(frame[name]))
        wrong = texts.notna() & ~texts.isin(levels)
        whole = [*levels, *texts[wrong].unique()]
        columns[name] = pd.Categorical(texts, whole, ordered=True)
        line = literal({**order, name: whole[: len(levels) + _MOST_ADDED]})
        problem = Problem(
            "It is not in the declared order, so it comes last.",
            f"Correct it, or declare order={line}.",
            Severity.WARNING,
        )
        issues.add(np.flatnonzero(wrong), name, texts[wrong], problem)
    return frame.assign(**columns)


def _counted(cell: str, form: str) -> str | None:
    """Read a number of days, with the time as a fraction; one in the future is no date."""
    found = _COUNT.fullmatch(cell)
    if found is None:
        return None
    days = f"{found[1]}{found[2]}".replace(",", ".")
    moment = (pd.Timestamp(_ORIGINS[form]) + pd.Timedelta(days=float(days))).round("s")
    if moment > latest_now():
        return None
    return moment.isoformat() if "." in days else f"{moment:%Y-%m-%d}"


# --- what is not declared -------------------------------------------------------------------------


_ALL_CELLS = "all cells that are not year-month-day"


def undeclared(
    given: pd.DataFrame, read: pd.DataFrame, date_format: Mapping[str, str]
) -> dict[str, dict[str, Problem]]:
    """Say what is wrong with cells whose form shows only in the whole column, by field and cell."""
    unread = {field: not_iso(read[field]) for field in DATE_FIELDS}
    held = {field: not_iso(given[field]) for field in DATE_FIELDS if unread[field]}
    fitting = {field: _fitting(field, cells) for field, cells in held.items()}
    offered = {field: list(forms) for field, forms in fitting.items() if forms}
    problems = {"birth_sex": _ambiguous_letters(given["birth_sex"], read["birth_sex"])}
    for field, forms in fitting.items():
        lines = [_date_line(field, form, date_format, offered) for form in forms]
        words, fits_all = _words(forms), all(len(fit) == len(held[field]) for fit in forms.values())
        if field not in date_format:
            fit = set().union(*forms.values()) & {*unread[field]}
            found = dict.fromkeys(fit, _date_problem(words, lines, fits_all=fits_all))
        elif forms and fits_all:
            # The declaration is wrong, so what fits it by chance is, too.
            cells = read[field][given[field].isin(held[field])].unique()
            what = f"Declared is {date_format[field]!r}, but only {words} fits {_ALL_CELLS}."
            remedy = f"Declare {' or '.join(lines)}, or correct the cells that are otherwise."
            found = dict.fromkeys(cells, Problem(what, remedy))
        else:
            problem = f"It does not fit the declared {date_format[field]!r}."
            found = dict.fromkeys(unread[field], Problem(problem, "Correct it."))
        problems[field] = found
    return problems


def not_iso(cells: "pd.Series[str]") -> list[str]:
    """List the different cells that are not year-month-day."""
    return [cell for cell in cells.dropna().unique().tolist() if not _LIKE_ISO.match(cell)]


def date_readings(field: str, cells: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read the cells of a column in each form that some of the first of them have."""
    first = cells[:_LOOKED_AT_FIRST]
    strict = ("".join(parts) for parts in product(_DAYS, _CLOCKS))
    likely = [form for form in (*FORMS, *strict) if _read_dates(first, field, form)]
    return {form: _read_dates(cells, field, form) for form in likely}


def understood(field: str, cells: Sequence[str]) -> dict[str, str]:
    """Give what those cells of birth_sex or language mean that need no declaration."""
    if field == "language":
        return {cell: cell for cell in cells if not language(cell)}
    column = pd.Series(cells, dtype="str")
    unclear = _ambiguous_letters(column, column)
    clear = [cell for cell in cells if not (birth_sex(cell) or cell in unclear)]
    return {cell: BIRTH_SEX_SPELLINGS[cell.upper()] for cell in clear}


def _fitting(field: str, cells: list[str]) -> dict[str, set[str]]:
    """Find the forms that fit most cells of a column, and more than half, with the cells."""
    fits = {form: set(read) for form, read in date_readings(field, cells).items()}
    most = max((len(fit) for fit in fits.values()), default=0)
    return {form: fit for form, fit in fits.items() if len(fit) == most > len(cells) / 2}


def _date_line(
    field: str, form: str, declared: Mapping[str, str], offered: Mapping[str, list[str]]
) -> str:
    clear = {name: forms[0] for name, forms in offered.items() if len(forms) == 1}
    is_for_all = form in FORMS and all(form in forms for forms in offered.values())
    whole: Any = form if is_for_all else {**declared, **clear, field: form}
    return f"date_format={literal(whole)}"


def _words(forms: Mapping[str, set[str]]) -> str:
    """Word forms, and for a number what it would stand for."""
    words = {form: FORMS.get(form, form) for form in forms}
    for form in forms.keys() & _ORIGINS.keys():
        cell = min(forms[form])
        words[form] += f" ({cell} is {_counted(cell, form)})"
    return " or ".join(words.values())


def _date_problem(words: str, lines: list[str], *, fits_all: bool) -> Problem:
    if len(lines) > 1:
        all_ = "all fit" if len(lines) > 2 else "both fit"
        cells = _ALL_CELLS if fits_all else "most of the column"
        problem = f"This looks like {words}; {all_} {cells}."
        return Problem(problem, f"Find out which is right, and declare {' or '.join(lines)}.")
    case = f"and no other form fits {_ALL_CELLS}" if fits_all else "as most of the column does"
    return Problem(f"This looks like {words}, {case}.", f"Declare {''.join(lines)}.")


def _ambiguous_letters(given: "pd.Series[str]", read: "pd.Series[str]") -> dict[str, Problem]:
    """Refuse M beside H (hombre, mujer) or V (varón, mujer; man, vrouw): it may be either sex."""
    if not given.isin(["H", "h", "V", "v"]).any():
        return {}
    return {cell: unclear_sex(cell) for cell in ("M", "m") if (read == cell).any()}
