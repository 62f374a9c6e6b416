"""What an exported file holds: one value per cell, one row per recording or one per score."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from helios_research._util.text import counted
from helios_research.cohort.cells import as_text, text_column
from helios_research.columns import (
    BIOMARKERS,
    MANIFEST,
    RECORDING_ID,
    RESULTS,
    RESULTS_BY_NAME,
    Column,
    Kind,
)
from helios_research.errors import ResultsError, UnknownColumnError

_SEPARATOR = " | "

# Whole numbers beyond it are rounded by everything that stores numbers as doubles: Excel, SPSS,
# Stata. They are keys rather than quantities, so they become text.
_LARGEST_EXACT = 2**53

# Control characters other than tab and line breaks, and two code points that are not characters:
# illegal in Excel's XML (XML 1.0, 2.2). NUL also ends the text in SPSS and Stata.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REPLACEMENT = "\ufffd"

_BY_NAME: Mapping[str, Column] = {column.name: column for column in (*MANIFEST, *RESULTS)}
_OURS = "helios_research"
_KINDS = {"b": Kind.FLAG, "i": Kind.COUNT, "u": Kind.COUNT, "f": Kind.NUMBER}


@dataclass(frozen=True, slots=True)
class Variable:
    """One column of a file; ``in_file`` is its name there, None where it is the same."""

    name: str
    origin: str
    type: str
    meaning: str
    unit: str | None = None
    labels: Mapping[str | float, str] = field(default_factory=dict)
    in_file: str | None = None


@dataclass(frozen=True, slots=True)
class ExportTable:
    """What goes into a file: the cells, what each column is, and sentences for the README."""

    frame: pd.DataFrame
    variables: Mapping[str, Variable]
    notes: tuple[str, ...] = ()

    def noting(self, *notes: str) -> "ExportTable":
        """Add sentences for the README."""
        return replace(self, notes=(*self.notes, *notes))

    def change_text(
        self, change: Callable[["pd.Series[str]"], "pd.Series[str]"], note: str
    ) -> "ExportTable":
        """Change all columns of text; the note may have the number of changed {cells} or {texts}."""
        frame, changed = self.frame.copy(), 0
        for name in frame.columns[frame.dtypes == "str"]:
            before = frame[name]
            frame[name] = change(before)
            changed += int((before.notna() & (frame[name] != before)).sum())
        numbers = {"cells": counted(changed, "cell"), "texts": counted(changed, "text")}
        table = replace(self, frame=frame)
        return table.noting(note.format(**numbers)) if changed else table


def describe_results(results: pd.DataFrame, tags: Sequence[str] = ()) -> ExportTable:
    """Describe the columns of a results table."""
    frame = results.reset_index(drop=True)
    frame.columns = frame.columns.map(str)
    for name in (RECORDING_ID.name, "outcome", *tags):
        if name not in frame.columns:
            raise UnknownColumnError(name, frame.columns)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        message = f"The results have several columns named {twice[0]!r}: rename all but one."
        raise ResultsError(message)
    return ExportTable(frame, {name: _variable(frame[name], tags) for name in frame.columns})


def _variable(values: "pd.Series[Any]", tags: Collection[str]) -> Variable:
    name = str(values.name)
    origin = _OURS if name in RESULTS_BY_NAME else "yours"
    if name in tags:
        origin = "yours, sent as a tag"
    if name in _BY_NAME:
        return _described(_BY_NAME[name], origin)
    return Variable(name, origin, _type_of(values), "Your own column, unchanged.")


def _described(column: Column, origin: str = _OURS) -> Variable:
    return Variable(
        column.name, origin, column.kind.value, column.meaning, column.unit, column.labels
    )


def _type_of(values: "pd.Series[Any]") -> str:
    if values.dtype.kind == "M":
        # Formats without zones hold it in UTC.
        has_zone = isinstance(values.dtype, pd.DatetimeTZDtype)
        return Kind.MOMENT.value if has_zone else "date and time"
    return _KINDS.get(values.dtype.kind, Kind.TEXT).value


def _rename_own(table: ExportTable, added: Iterable[str]) -> ExportTable:
    """Rename the researcher's columns that have the name of a column that is added."""
    new_names = {}
    for name in table.variables.keys() & {*added}:
        new_names[name] = _unused(f"{name}_own", table.variables, "_own")
    notes = (f"Your column {old} is called {new} here." for old, new in new_names.items())
    return _renamed(table, new_names).noting(*notes)


def _rename_unwritable(table: ExportTable) -> ExportTable:
    """Rename columns whose names hold control characters, which no format can hold."""
    new_names: dict[str, str] = {}
    for name in filter(_CONTROL.search, table.variables):
        clean = _CONTROL.sub(_REPLACEMENT, name)
        new_names[name] = _unused(clean, {*table.variables, *new_names.values()}, "_")
    number = counted(len(new_names), "column")
    note = f"Control characters in the names of {number} are replaced by U+FFFD ({_REPLACEMENT})."
    return _renamed(table, new_names).noting(note) if new_names else table


def _unused(name: str, taken: Collection[str], ending: str) -> str:
    while name in taken:
        name += ending
    return name


def _renamed(table: ExportTable, new_names: Mapping[str, str]) -> ExportTable:
    variables = {
        new_names.get(name, name): replace(variable, name=new_names.get(name, name))
        for name, variable in table.variables.items()
    }
    return ExportTable(table.frame.rename(columns=new_names), variables, table.notes)


def flatten(table: ExportTable) -> ExportTable:
    """Give every cell one value, for formats without lists."""
    table = _rename_unwritable(table)
    flat = {name: _flat(table.frame[name]) for name in table.frame.columns}
    table = replace(table, frame=pd.DataFrame(flat, index=table.frame.index))
    return table.change_text(
        lambda text: text.str.replace(_CONTROL.pattern, _REPLACEMENT, regex=True),
        f"Control characters in {{cells}} are replaced by U+FFFD ({_REPLACEMENT}).",
    )


def _flat(values: "pd.Series[Any]") -> "pd.Series[Any]":
    kind, stored = getattr(_BY_NAME.get(str(values.name)), "kind", None), values.dtype.kind
    if kind is Kind.TEXT_LIST:
        return text_column(map(_joined, values), values.index)
    if kind is Kind.SECTIONS:
        return text_column(map(_as_json, values), values.index)
    if kind is Kind.COUNT or stored in "iu":
        has_keys = (values.abs() > _LARGEST_EXACT).any()
        return as_text(values) if has_keys else values.astype("Int64")
    if stored in "bf":
        return values.astype("boolean" if stored == "b" else "float64")
    if stored == "M":
        return values
    if values.dtype == object:
        nested = (list, tuple, dict, set, np.ndarray)
        values = values.map(lambda cell: _as_json(cell) if isinstance(cell, nested) else cell)
    return as_text(values)


def _joined(cell: Any) -> str | None:
    if isinstance(cell, str) or not hasattr(cell, "__iter__"):
        return cell if isinstance(cell, str) else None
    return _SEPARATOR.join(map(str, cell)) or None


def _as_json(cell: Any) -> str | None:
    if cell is None or cell is pd.NA or isinstance(cell, float):
        return None
    items = cell.tolist() if hasattr(cell, "tolist") else cell
    return json.dumps(items, ensure_ascii=False, default=str) if items else None


def without_zone(moments: "pd.Series[Any]") -> "pd.Series[Any]":
    """Give times with a zone in UTC, for formats that hold no zone."""
    has_zone = isinstance(moments.dtype, pd.DatetimeTZDtype)
    return moments.dt.tz_convert("UTC").dt.tz_localize(None) if has_zone else moments


# --- ages instead of dates of birth ---------------------------------------------------------------

# Completed years: from an age with decimals and the recording's date, the date of birth follows.
_AGE = Column(
    "age_at_recording",
    Kind.COUNT,
    "Completed years at the recording; where its time is not known, at its submission.",
    "years",
)
_BORN = "date_of_birth"
_REMOVED = "[date of birth]"
_ISO_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
# At most three numbers, and one word for the month.
_DATE_ALONE = re.compile(r"\W*(\d{1,8}\W*){0,2}([^\W\d]+\W*)?(\d{1,8}\W*){0,2}")
_ANY_DATE = re.compile(r"\b\d{1,4}([-./])\d{1,2}\1\d{1,4}\b")
# In a copy of a column, single cells may have been corrected.
_SAME_IF_SHARE = 0.5


def with_ages(table: ExportTable) -> ExportTable:
    """Replace dates of birth by ages at the recordings.

    Copies of the date of birth under other names are left out too, and so is the date where
    ``error_reason`` quotes it.
    """
    if _BORN not in table.frame.columns:
        raise UnknownColumnError(_BORN, table.frame.columns)
    table = _rename_own(table, [_AGE.name])
    frame = table.frame.copy()
    born = as_text(frame[_BORN]).str.strip()
    copies = [name for name in _own(table) if name != _BORN and _is_copy(frame[name], born)]
    frame[_BORN] = _completed_years(born, _recorded(frame))
    if "error_reason" in frame.columns:
        cells = zip(as_text(frame["error_reason"]), born, strict=True)
        hidden = (_hidden(cell, date) for cell, date in cells)
        frame["error_reason"] = text_column(hidden, frame.index)
    kept = {name: one for name, one in table.variables.items() if name not in copies}
    table = _renamed(ExportTable(frame.drop(columns=copies), kept, table.notes), {_BORN: _AGE.name})
    variables = {**table.variables, _AGE.name: _described(_AGE)}
    return replace(table, variables=variables).noting(
        "Dates of birth are replaced by ages in completed years (age_at_recording).",
        *(f"The column {name} held the dates of birth too and is left out." for name in copies),
        *_remaining_dates(table.frame, born),
    )


def _own(table: ExportTable) -> list[str]:
    return [name for name in table.variables if name not in RESULTS_BY_NAME]


def _recorded(frame: pd.DataFrame) -> "pd.Series[Any]":
    """Find the date of each recording, else that of its submission."""
    found = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us]")
    for name in ("recording_time", "created_at"):
        if name in frame.columns:
            # The first ten characters of ISO 8601, so that no zone moves the date.
            found = found.fillna(_dates(as_text(frame[name], as_dates=False)))
    return found


def _dates(text: "pd.Series[str]") -> "pd.Series[Any]":
    moments = pd.to_datetime(text.str.strip().str[:10], format="%Y-%m-%d", errors="coerce")
    return moments.astype("datetime64[us]")


def _completed_years(born: "pd.Series[str]", recorded: "pd.Series[Any]") -> "pd.Series[Any]":
    birth = _dates(born)
    month_and_day = recorded.dt.month * 100 + recorded.dt.day
    before_birthday = month_and_day < birth.dt.month * 100 + birth.dt.day
    years = recorded.dt.year - birth.dt.year - before_birthday
    known: pd.Series[Any] = years.where(recorded >= birth).astype("Int64")
    return known


def _is_copy(values: "pd.Series[Any]", born: "pd.Series[str]") -> bool:
    text = as_text(values).str.strip()
    both = text.notna() & born.notna()
    same = [_is_date(*pair) for pair in zip(text[both], born[both], strict=True)]
    return bool(same and np.mean(same) >= _SAME_IF_SHARE)


def _is_date(cell: str, date: str) -> bool:
    """Whether a cell is this ISO date: in any order, with any signs, or the month as a word."""
    parts = _ISO_DATE.fullmatch(date)
    if parts is None or _DATE_ALONE.fullmatch(cell[:40]) is None:
        return cell == date
    year, month, day = parts.groups()
    together = re.sub(r"\D", "", cell) in {
        year + month + day,
        day + month + year,
        month + day + year,
    }
    numbers = sorted(int(number) for number in re.findall(r"\d+", cell))
    apart = ([int(one) for one in form] for form in ((year, month, day), (year, day)))
    short = sorted([int(year) % 100, int(month), int(day)])
    return together or numbers == short or any(numbers == sorted(form) for form in apart)


def _hidden(cell: object, date: object) -> object:
    """Remove a row's date of birth from a sentence, and all dates from one about dates of birth."""
    if not isinstance(cell, str):
        return cell
    shown = cell.replace(date, _REMOVED) if isinstance(date, str) and date else cell
    return _ANY_DATE.sub(_REMOVED, shown) if "birth" in shown else shown


def _holds(cell: object, date: object) -> bool:
    return isinstance(cell, str) and isinstance(date, str) and date in cell


def _remaining_dates(frame: pd.DataFrame, born: "pd.Series[str]") -> list[str]:
    rows = {
        name: sum(map(_holds, frame[name], born)) for name in frame.columns[frame.dtypes == "str"]
    }
    return [
        f"The column {name} still holds the participant's date of birth in {counted(number, 'row')}: "
        "delete it there before you share the file."
        for name, number in rows.items()
        if number
    ]


# --- one row per score ----------------------------------------------------------------------------

_BIOMARKER = Column("biomarker", Kind.TEXT, "The biomarker that the value belongs to.")
_KIND = Column(
    "kind",
    Kind.TEXT,
    "Whether the biomarker is continuous or takes four ordered levels.",
    labels={"continuous": "0 to 1", "bucketed": "0, 0.33, 0.66 or 1: ordinal, do not average"},
)
_VALUE = Column("value", Kind.NUMBER, "The score. Higher is more.")


def to_long(table: ExportTable) -> ExportTable:
    """Give each score of a recording a row of its own."""
    added = {column.name: _described(column) for column in (_BIOMARKER, _KIND, _VALUE)}
    table = _rename_own(table, added)
    frame = table.frame
    markers = [marker for marker in BIOMARKERS if marker.name in frame.columns]
    if not markers:
        raise UnknownColumnError(BIOMARKERS[0].name, frame.columns)
    ours = [name for name in ("outcome", "error_code") if name in frame.columns]
    kept = list(dict.fromkeys([RECORDING_ID.name, *_own(table), *ours]))
    source = [name for name in ["source"] if name in frame.columns]
    rows = frame.loc[frame.index.repeat(len(markers)), kept + source].reset_index(drop=True)
    names = [marker.name for marker in markers]
    kinds = ["bucketed" if marker.bucketed else "continuous" for marker in markers]
    rows[_BIOMARKER.name] = pd.Series(np.tile(names, len(frame)), dtype="str")
    rows[_KIND.name] = pd.Series(np.tile(kinds, len(frame)), dtype="str")
    rows[_VALUE.name] = frame[names].to_numpy(dtype=np.float64, na_value=np.nan).ravel()
    order = [*kept, *added, *source]
    variables = {name: added.get(name) or table.variables[name] for name in order}
    return replace(table, frame=rows[order], variables=variables)
