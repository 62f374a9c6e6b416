"""A table as it came, and any cell as the text that a person would have typed.

Text stays what it is. A number or a date of a spreadsheet, a Parquet file or a DataFrame is written
the plain way: whole numbers without ``.0``, dates and times in ISO 8601.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import singledispatch
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from helios_research.cohort.issues import Issues
from helios_research.errors import CohortError, ColumnsError, UnreadableTableError

MOST_COLUMNS = 20_000
"""Columns that a table in a file may have: more than Excel's 16,384, and so more than is meant."""

MOST_CELLS = 50_000_000
"""Cells that a table in a file may span, blank ones included: 100,000 rows of 500 columns (our
choice). As Python objects, which is how text and workbooks are read, they take a few GB."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST_BITS = 10_000


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table as it came."""

    source: str
    frame: pd.DataFrame
    cells: pd.DataFrame
    row_numbers: NDArray[np.int64]
    header_row: int
    issues: Issues = field(default_factory=Issues)


def from_records(
    header: Sequence[str], records: Sequence[Sequence[object]], issues: Issues
) -> pd.DataFrame:
    """Make a table of the records of a text file or a sheet, each as long as the header."""
    names = column_names(header, issues)
    columns = [*zip(*records, strict=True)] or [()] * len(names)
    data = {
        name: pd.Series(list(cells), dtype=object)
        for name, heading, cells in zip(names, header, columns, strict=True)
        # Spreadsheets often save columns that are blank, without even a name.
        if heading.strip() or any(cell and str(cell).strip() for cell in cells)
    }
    return pd.DataFrame(data, index=pd.RangeIndex(len(records)))


def check_extent(path: Path, rows: int, columns: int) -> None:
    """Refuse a table that needs too much memory: a file of a few MB may span millions of blank cells."""
    if columns <= MOST_COLUMNS and rows * columns <= MOST_CELLS:
        return
    raise UnreadableTableError(
        path,
        f"it spans {rows:,} rows and {columns:,} columns; a table may have {MOST_COLUMNS:,} columns "
        f"and {MOST_CELLS:,} cells",
        "Check that it is the right file and, if so, keep only the columns that the study needs.",
    )


def import_extra(path: Path, files: str, package: str, extra: str) -> Any:
    """Import a package that reads some kinds of files only."""
    try:
        return import_module(package)
    except ImportError:
        line = f"pip install 'helios-research[{extra}]'"
        remedy = f"Install it with `{line}`, or save the table as .csv."
        raise UnreadableTableError(path, f"{files} need the package {package}", remedy) from None


def padded(cells: Sequence[Any], width: int) -> list[Any]:
    """Cut or fill a row to a number of cells; None is a cell that is not there."""
    return [*cells[:width], *[None] * (width - len(cells))]


def column_names(header: Sequence[object], issues: Issues) -> list[str]:
    """Name the columns, also those whose header cell is blank; number those with the same name."""
    named = ["" if cell is None else str(cell).strip() for cell in header]
    taken = {*named}
    named = [name or _free(f"unnamed_{place}", taken) for place, name in enumerate(named, start=1)]
    for name in [name for name, count in Counter(named).items() if count > 1]:
        places = [place for place, other in enumerate(named) if other == name]
        for number, place in enumerate(places, start=1):
            named[place] = _free(f"{name} ({number})", taken)
        what = (
            f"{len(places)} columns are named {name!r}; they are read as {name!r} with (1), (2) …"
        )
        issues.warn(name, what, "Give them different names, if it matters which is which.")
    return named


def _free(name: str, taken: set[str]) -> str:
    """Add underscores to a name until no other column has it."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


class ArrowFrame(Protocol):
    """A table of polars, DuckDB, pyarrow or any other library that speaks Arrow's interface."""

    def __arrow_c_stream__(self) -> object: ...


def from_frame(frame: object) -> RawTable:
    """Take a DataFrame of any library as it is."""
    source = "The DataFrame"
    if isinstance(frame, pd.DataFrame):
        return from_dataframe(frame, source, first_row=1)
    if not hasattr(frame, "__arrow_c_stream__"):
        raise CohortError.unknown(frame)
    try:
        table = pa.table(frame)
    except (pa.ArrowException, ValueError, TypeError) as error:
        remedy = "Turn the columns of that type into text first."
        raise ColumnsError.names(source, f"is no Arrow table ({error})", remedy) from error
    return from_arrow(table, source, first_row=1)


def from_arrow(table: pa.Table, source: str, *, first_row: int) -> RawTable:
    """Take an Arrow table; whole numbers stay whole beside missing ones."""
    frame = pd.DataFrame(table.to_pandas())
    for place, column in enumerate(table.columns):
        name = table.schema.names[place]
        whole = pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)
        if whole and column.null_count and name in frame.columns:
            # Through float64, as pandas would read it, large whole numbers lose digits.
            frame[name] = column.to_pandas(types_mapper=_nullable).array
    return from_dataframe(frame, source, first_row=first_row)


def _nullable(kind: pa.DataType) -> object:
    # Arrow's bool, int64 and uint64 are boolean, Int64 and UInt64.
    name = str(kind).replace("u", "U").replace("i", "I")
    return pd.api.types.pandas_dtype("boolean" if name == "bool" else name)


def from_dataframe(frame: pd.DataFrame, source: str, *, first_row: int) -> RawTable:
    """Take a DataFrame as it is, with index levels that have a name or hold text as columns."""
    if isinstance(frame.columns, pd.MultiIndex):
        raise ColumnsError.names(
            source,
            f"has {frame.columns.nlevels} levels of column names",
            "Flatten them first, for example with "
            "df.columns = ['_'.join(str(name) for name in names if name != '') for names in df.columns].",
        )
    cells = _with_index(frame, source)
    issues = Issues()
    names = column_names([_text_name(name) for name in cells.columns], issues)
    cells.columns = pd.Index(names, dtype="str")
    carried = {name: storable(cells[name]) for name in names}
    rows = np.arange(first_row, first_row + len(cells), dtype=np.int64)
    own = pd.DataFrame(carried, index=cells.index)
    return RawTable(source, own, cells, rows, first_row - 1, issues)


def storable(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Keep a column as it is where Parquet can return it unchanged, else as text."""
    if column.dtype == object and pd.api.types.infer_dtype(column) in {"string", "empty"}:
        return as_text(column)
    try:
        array = pa.array(column, from_pandas=True)
    except (pa.ArrowException, OverflowError, UnicodeError, TypeError, ValueError):
        return as_text(column)
    return column if column.dtype != object or _comes_back(column, array) else as_text(column)


def _comes_back(column: "pd.Series[Any]", array: pa.Array) -> bool:
    """Whether objects stay what they are: text among bytes does not, nor times among dates."""
    if pa.types.is_nested(array.type):
        return True
    both = zip(column, array.to_pylist(), strict=True)
    return all(after is None or before == after for before, after in both)


def _with_index(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    cells = frame.reset_index(drop=True)
    for number, level in reversed([*enumerate(frame.index.names)]):
        values = frame.index.get_level_values(number).to_series(index=cells.index)
        name = "index" if level is None and pd.api.types.is_string_dtype(values) else level
        if name is None:
            continue
        if name not in cells.columns:
            cells.insert(0, name, values)
        elif level is not None and not as_text(values).equals(as_text(cells[name])):
            remedy = f"Keep one of them: df = df.reset_index(drop=True), or df = df.drop(columns={name!r})."
            what = f"has an index {name!r} and a column {name!r} that differ"
            raise ColumnsError.names(source, what, remedy)
    return cells


def _text_name(name: object) -> str:
    if isinstance(name, str):
        return text_column([name]).iloc[0]
    return cell_text(name) or ""


def as_text(values: "pd.Series[Any]", *, as_dates: bool | None = None) -> "pd.Series[str]":
    """Render a column as text; what is missing stays missing."""
    if isinstance(values.dtype, pd.StringDtype) and values.dtype.storage == "pyarrow":
        return values.astype("str")
    if isinstance(values.dtype, np.dtype) and values.dtype.kind == "M":
        return _moments_as_text(values, as_dates=as_dates)
    if values.dtype != object:
        # Numbers and categories: each different one once.
        labels, distinct = pd.factorize(values)
        texts = np.array([*map(cell_text, distinct), None], dtype=object)
        return text_column(texts[labels], values.index)
    cells = values.tolist()
    if as_dates is None:
        moments = [cell for cell in cells if cell is not pd.NaT and isinstance(cell, datetime)]
        as_dates = all(map(_is_midnight, moments))
    rendered = [
        cell.date().isoformat() if as_dates and _is_midnight(cell) else cell_text(cell)
        for cell in cells
    ]
    return text_column(rendered, values.index)


def text_column(cells: Iterable[Any], index: pd.Index | None = None) -> "pd.Series[str]":
    """Build a column of dtype ``str``, with U+FFFD for what no encoding can write."""
    cells = list(cells)
    try:
        return pd.Series(cells, index=index, dtype="str")
    except UnicodeEncodeError:
        clean = [
            _SURROGATE.sub("\ufffd", cell) if isinstance(cell, str) else cell for cell in cells
        ]
        return pd.Series(clean, index=index, dtype="str")


def stripped_text(values: "pd.Series[str]") -> "pd.Series[str]":
    """Take the spaces around texts away; what is blank then is missing."""
    stripped = values.str.strip()
    return stripped.where(stripped != "")


@singledispatch
def cell_text(cell: Any) -> str | None:
    """Render one cell as text."""
    missing = pd.isna(cell) if pd.api.types.is_scalar(cell) else False
    return None if missing else str(cell)


@cell_text.register
def _(cell: str) -> str:
    return cell


@cell_text.register
def _(cell: int) -> str:
    # Python writes no decimal number of more than some thousand digits.
    return str(cell) if cell.bit_length() < _MOST_BITS else hex(cell)


@cell_text.register
def _(cell: float | np.floating) -> str | None:
    if np.isnan(cell):
        return None
    # The number's own precision: as a Python float, a float32 of 0.1 is 0.10000000149.
    return str(int(cell)) if float(cell).is_integer() else str(cell)


@cell_text.register(date)
@cell_text.register(time)
def _(cell: Any) -> str | None:
    # pandas' NaT is a date by its type.
    return None if pd.isna(cell) else str(cell.isoformat())


@cell_text.register
def _(cell: np.datetime64) -> str | None:
    return None if np.isnat(cell) else pd.Timestamp(cell).isoformat()


@cell_text.register
def _(cell: bytes) -> str:
    return cell.decode("utf-8", errors="replace")


def _moments_as_text(values: "pd.Series[Any]", *, as_dates: bool | None) -> "pd.Series[str]":
    """Render a column of date-times without a zone, all at once."""
    moments = values.to_numpy()
    missing = np.isnat(moments)
    days, seconds = moments.astype("M8[D]"), moments.astype("M8[s]")
    if as_dates is None:
        as_dates = bool(np.all((days == moments) | missing))
    text = np.datetime_as_string(moments).astype(object)
    whole = seconds == moments
    text[whole] = np.datetime_as_string(seconds[whole])
    if as_dates:
        midnight = days == moments
        text[midnight] = np.datetime_as_string(days[midnight])
    text[missing] = None
    return text_column(text, values.index)


def _is_midnight(cell: object) -> bool:
    return (
        cell is not pd.NaT
        and isinstance(cell, datetime)
        and cell.tzinfo is None
        and cell.time() == time.min
    )
