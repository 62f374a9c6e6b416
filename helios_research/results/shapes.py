"""What an exported file holds: a table in which every cell is one value, in the shape asked for."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from helios_research._util.text import counted
from helios_research.cohort.text import as_text, text_column
from helios_research.columns import (
    BIOMARKERS,
    MANIFEST,
    RECORDING_ID,
    RESULTS_BY_NAME,
    Column,
    Kind,
)
from helios_research.errors import ResultsError, UnknownColumnError

WARNINGS_JOINED_BY = " | "

# Whole numbers beyond it are rounded by everything that stores numbers as doubles: Excel, SPSS,
# Stata. They are keys rather than quantities, so they become text.
_LARGEST_EXACT = 2**53

# Control characters other than tab and line breaks, and two numbers that are no characters: illegal
# in Excel's XML (XML 1.0, 2.2). NUL also is the end of the text for SPSS and Stata.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REPLACEMENT = "\ufffd"

_BY_NAME: Mapping[str, Column] = MappingProxyType(
    {column.name: column for column in MANIFEST} | dict(RESULTS_BY_NAME)
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One column of a file."""

    name: str
    origin: str
    type: str
    meaning: str
    unit: str | None = None
    labels: Mapping[str | float, str] = field(default_factory=lambda: MappingProxyType({}))
    in_file: str | None = None


@dataclass(frozen=True, slots=True)
class ExportTable:
    """What goes into a file."""

    table: pd.DataFrame
    variables: Mapping[str, Variable]
    notes: tuple[str, ...] = ()

    def noting(self, *notes: str) -> "ExportTable":
        """Add sentences for the reader."""
        return replace(self, notes=(*self.notes, *notes))


def describe_results(results: pd.DataFrame, tags: Sequence[str] = ()) -> ExportTable:
    """Describe a results table."""
    table = results.reset_index(drop=True)
    table.columns = table.columns.map(str)
    for name in (RECORDING_ID.name, "outcome", *tags):
        if name not in table.columns:
            raise UnknownColumnError(name, table.columns)
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        message = f"The results have several columns named {twice[0]!r}: rename all but one."
        raise ResultsError(message)
    return ExportTable(
        table, {name: _variable(table[name], name in tags) for name in table.columns}
    )


def _variable(values: "pd.Series[Any]", is_tag: bool) -> Variable:  # noqa: FBT001  # private
    name = str(values.name)
    known = _BY_NAME.get(name)
    origin = "helios_research" if name in RESULTS_BY_NAME else "yours"
    if is_tag:
        origin = "yours, sent as a tag"
    if known is not None:
        return Variable(name, origin, known.kind.value, known.meaning, known.unit, known.labels)
    return Variable(name, origin, _type_of(values), "Your own column, unchanged.")


def _type_of(values: "pd.Series[Any]") -> str:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        # Formats without zones hold it in UTC.
        return Kind.MOMENT.value
    for test, words in (
        (pd.api.types.is_bool_dtype, Kind.FLAG.value),
        (pd.api.types.is_integer_dtype, Kind.COUNT.value),
        (pd.api.types.is_numeric_dtype, Kind.NUMBER.value),
        (pd.api.types.is_datetime64_any_dtype, "date and time"),
    ):
        if test(values.dtype):
            return words
    return Kind.TEXT.value


def variable_of(column: Column) -> Variable:
    """Describe a column that an export adds."""
    return Variable(
        column.name,
        "helios_research",
        column.kind.value,
        column.meaning,
        column.unit,
        column.labels,
    )


def make_room(content: ExportTable, names: Sequence[str]) -> ExportTable:
    """Rename the researcher's columns that bear the name of one that is to be added."""
    new_names: dict[str, str] = {}
    for name in names:
        if name in content.variables:
            new_names[name] = f"{name}_own"
            while new_names[name] in content.variables:
                new_names[name] += "_own"
    notes = (f"Your column {old} is called {new} here." for old, new in new_names.items())
    return _renamed(content, new_names).noting(*notes)


def _in_writable_letters(content: ExportTable) -> ExportTable:
    """Rename columns whose names hold control characters, which no format can carry."""
    new_names: dict[str, str] = {}
    for name in content.variables:
        if _CONTROL.search(name):
            new_names[name] = _CONTROL.sub(_REPLACEMENT, name)
            while new_names[name] in {*content.variables, *list(new_names.values())[:-1]}:
                new_names[name] += "_"
    if not new_names:
        return content
    return _renamed(content, new_names).noting(
        f"Control characters in the names of {counted(len(new_names), 'column')} are replaced by "
        f"U+FFFD ({_REPLACEMENT})."
    )


def _renamed(content: ExportTable, new_names: Mapping[str, str]) -> ExportTable:
    variables = {
        new_names.get(name, name): replace(variable, name=new_names.get(name, name))
        for name, variable in content.variables.items()
    }
    table = content.table.rename(columns=new_names)
    return ExportTable(table, variables, content.notes)


def flattened(content: ExportTable) -> ExportTable:
    """Give every cell one value, for formats that know no lists."""
    content = _in_writable_letters(content)
    flat = {name: _flat(content.table[name]) for name in content.table.columns}
    cleaned = 0
    for name, values in flat.items():
        if values.dtype == "str":
            dirty = values.str.contains(_CONTROL.pattern, na=False, regex=True)
            if dirty.any():
                cleaned += int(dirty.sum())
                flat[name] = values.str.replace(_CONTROL.pattern, _REPLACEMENT, regex=True)
    table = pd.DataFrame(flat, index=content.table.index)
    found = replace(content, table=table)
    if cleaned:
        return found.noting(
            f"Control characters in {counted(cleaned, 'cell')} are replaced by U+FFFD (\ufffd)."
        )
    return found


def _flat(values: "pd.Series[Any]") -> "pd.Series[Any]":
    kind = _BY_NAME[str(values.name)].kind if values.name in _BY_NAME else None
    if kind is Kind.TEXT_LIST:
        return text_column(map(_joined, values), values.index)
    if kind is Kind.SECTIONS:
        return text_column(map(_as_json, values), values.index)
    if kind is Kind.COUNT or pd.api.types.is_integer_dtype(values.dtype):
        return _whole_numbers(values)
    if pd.api.types.is_bool_dtype(values.dtype):
        return values.astype("boolean")
    if pd.api.types.is_float_dtype(values.dtype):
        return values.astype("float64")
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values
    if values.dtype == object:
        values = values.map(lambda cell: _as_json(cell) if _is_nested(cell) else cell)
    return as_text(values)


def _whole_numbers(values: "pd.Series[Any]") -> "pd.Series[Any]":
    if (values.abs() > _LARGEST_EXACT).any():
        return as_text(values)
    return values.astype("Int64")


def _is_nested(cell: object) -> bool:
    return isinstance(cell, list | tuple | dict | set) or hasattr(cell, "tolist")


def _joined(cell: object) -> str | None:
    if not hasattr(cell, "__iter__") or isinstance(cell, str):
        return cell if isinstance(cell, str) else None
    return WARNINGS_JOINED_BY.join(map(str, cell)) or None


def _as_json(cell: Any) -> str | None:
    if cell is None or cell is pd.NA or isinstance(cell, float):
        return None
    items = cell.tolist() if hasattr(cell, "tolist") else cell
    return json.dumps(items, ensure_ascii=False, default=str) if items else None


# Completed years, because a decimal age and a recording's date give the date of birth away again.
AGE = Column(
    "age_at_recording",
    Kind.COUNT,
    "Completed years at the recording; where its time is not known, at its submission.",
    "years",
)
BIOMARKER = Column("biomarker", Kind.TEXT, "Which biomarker the value is of.")
KIND = Column(
    "kind",
    Kind.TEXT,
    "Whether the biomarker is continuous or takes four ordered levels.",
    labels={"continuous": "0 to 1", "bucketed": "0, 0.33, 0.66 or 1: ordinal, not to be averaged"},
)
VALUE = Column("value", Kind.NUMBER, "The score. Higher is more.")

REMOVED = "[date of birth]"
_BORN = "date_of_birth"
_KEPT_OF_RESULTS = ("outcome", "error_code")
# A copy of a column may have been corrected here and there.
_SAME_IF_SHARE = 0.5


def with_ages(content: ExportTable) -> ExportTable:
    """Put ages at the recordings in place of dates of birth.

    Copies of the date of birth under other names are left out too, and so is the date where
    ``error_reason`` quotes it.
    """
    if _BORN not in content.table.columns:
        raise UnknownColumnError(_BORN, content.table.columns)
    content = make_room(content, [AGE.name])
    table, variables = content.table.copy(), dict(content.variables)
    born = as_text(table[_BORN]).str.strip()
    ages = _completed_years(born, _recorded(table))
    copies = [name for name in _own(content) if name != _BORN and _is_copy(table[name], born)]
    table = table.assign(**{_BORN: ages}).rename(columns={_BORN: AGE.name}).drop(columns=copies)
    if "error_reason" in table.columns:
        table["error_reason"] = _without(as_text(table["error_reason"]), born)
    variables = {
        AGE.name if name == _BORN else name: variable_of(AGE) if name == _BORN else variable
        for name, variable in variables.items()
        if name not in copies
    }
    notes = [
        "Dates of birth are replaced by ages in completed years (age_at_recording).",
        *(f"The column {name} held the dates of birth too and is left out." for name in copies),
        *_still_there(table, born),
    ]
    return ExportTable(table, variables, content.notes).noting(*notes)


def _own(content: ExportTable) -> list[str]:
    names = content.variables
    return [name for name in names if name not in RESULTS_BY_NAME]


def _recorded(table: pd.DataFrame) -> "pd.Series[Any]":
    """Find the date of each recording, else that of its submission."""
    found = pd.Series(pd.NaT, index=table.index, dtype="datetime64[us]")
    for name in ("recording_time", "created_at"):
        if name in table.columns:
            # The first ten characters of ISO 8601, so that no zone moves the date.
            found = found.fillna(_dates(as_text(table[name], as_dates=False)))
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
    there = text.notna() & born.notna()
    return bool(there.any() and (text == born)[there].mean() >= _SAME_IF_SHARE)


def _without(text: "pd.Series[str]", born: "pd.Series[str]") -> "pd.Series[str]":
    cells = [
        cell.replace(date, REMOVED) if isinstance(cell, str) and isinstance(date, str) else cell
        for cell, date in zip(text, born, strict=True)
    ]
    return pd.Series(cells, index=text.index, dtype="str")


def _still_there(table: pd.DataFrame, born: "pd.Series[str]") -> list[str]:
    notes = []
    for name in table.columns[table.dtypes == "str"]:
        rows = sum(
            isinstance(cell, str) and isinstance(date, str) and date in cell
            for cell, date in zip(table[name], born, strict=True)
        )
        if rows:
            notes.append(
                f"The column {name} still holds the participant's date of birth in {rows:,} rows: "
                "take it out before you pass the file on."
            )
    return notes


def long_table(content: ExportTable) -> ExportTable:
    """Turn the scores of each recording into rows of their own."""
    content = make_room(content, [BIOMARKER.name, KIND.name, VALUE.name])
    table = content.table
    markers = [marker for marker in BIOMARKERS if marker.name in table.columns]
    if not markers:
        raise UnknownColumnError(BIOMARKERS[0].name, table.columns)
    kept = _kept(content)
    rows = table[kept].loc[table.index.repeat(len(markers))].reset_index(drop=True)
    names = [marker.name for marker in markers]
    kinds = ["bucketed" if marker.bucketed else "continuous" for marker in markers]
    rows[BIOMARKER.name] = pd.Series(np.tile(names, len(table)), dtype="str")
    rows[KIND.name] = pd.Series(np.tile(kinds, len(table)), dtype="str")
    rows[VALUE.name] = table[names].to_numpy(dtype=np.float64, na_value=np.nan).ravel()
    added = {column.name: variable_of(column) for column in (BIOMARKER, KIND, VALUE)}
    order = [*kept, *added]
    if "source" in table.columns:
        rows["source"] = table["source"].repeat(len(markers)).array
        order.append("source")
    variables = {name: added.get(name) or content.variables[name] for name in order}
    return replace(content, table=rows[order], variables=variables)


def _kept(content: ExportTable) -> Sequence[str]:
    own = [name for name in _own(content) if name != RECORDING_ID.name]
    of_results = [name for name in _KEPT_OF_RESULTS if name in content.table.columns]
    return [RECORDING_ID.name, *own, *of_results]
