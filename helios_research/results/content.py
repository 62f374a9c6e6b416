"""What a file is to hold: a table in which every cell is one value, and what each column is."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import pandas as pd

from helios_research.cohort.text import as_text, text_column
from helios_research.columns import (
    MANIFEST,
    RECORDING_ID,
    RESULTS_BY_NAME,
    Column,
    Kind,
)
from helios_research.errors import ResultsError, UnknownColumnError
from helios_research.wording import counted

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
class Content:
    """What goes into a file."""

    table: pd.DataFrame
    variables: Mapping[str, Variable]
    notes: tuple[str, ...] = ()

    def noting(self, *notes: str) -> "Content":
        """Add sentences for the reader."""
        return replace(self, notes=(*self.notes, *notes))


def content_of(results: pd.DataFrame, tags: Sequence[str] = ()) -> Content:
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
    return Content(table, {name: _variable(table[name], name in tags) for name in table.columns})


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


def make_room(content: Content, names: Sequence[str]) -> Content:
    """Rename the researcher's columns that bear the name of one that is to be added."""
    new_names: dict[str, str] = {}
    for name in names:
        if name in content.variables:
            new_names[name] = f"{name}_own"
            while new_names[name] in content.variables:
                new_names[name] += "_own"
    notes = (f"Your column {old} is called {new} here." for old, new in new_names.items())
    return _renamed(content, new_names).noting(*notes)


def _in_writable_letters(content: Content) -> Content:
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


def _renamed(content: Content, new_names: Mapping[str, str]) -> Content:
    variables = {
        new_names.get(name, name): replace(variable, name=new_names.get(name, name))
        for name, variable in content.variables.items()
    }
    table = content.table.rename(columns=new_names)
    return Content(table, variables, content.notes)


def flattened(content: Content) -> Content:
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
