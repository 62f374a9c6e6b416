"""A table as it came, each cell as the text that a person would have typed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from helios_research.cohort.text import as_text, cell_text, text_column
from helios_research.cohort.validators import Issues, Positions
from helios_research.errors import ColumnsError, UnreadableTableError

MOST_COLUMNS = 20_000
"""Columns that a table in a file may have: more than Excel's 16,384, and so more than is meant."""

MOST_CELLS = 50_000_000
"""Cells that a table in a file may span, blank ones included: 100,000 rows of 500 columns (our
choice). As Python objects, which is how text and workbooks are read, they take a few GB."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table as it came."""

    source: str
    frame: pd.DataFrame
    cells: pd.DataFrame
    row_numbers: Positions
    header_row: int
    issues: Issues = field(default_factory=Issues)


def from_records(
    source: str, header: Sequence[str], records: Sequence[Sequence[object]]
) -> pd.DataFrame:
    """Put the records of a text file or a sheet together, all of them as long as the header."""
    names = column_names(header)
    twice = sorted(_repeated(names))
    if twice:
        places = [number for number, name in enumerate(names, start=1) if name == twice[0]]
        where = " and ".join(map(str, places))
        raise ColumnsError.names(
            source,
            f"has more than one column named {twice[0]!r} (columns {where})",
            "Give every column a name of its own.",
        )
    columns = zip(*records, strict=True) if records else ([] for _ in names)
    data = {
        name: pd.Series(list(cells), dtype=object)
        for name, cells in zip(names, columns, strict=True)
    }
    # Spreadsheets often save columns in which nothing stands, not even a name.
    idle = [
        name
        for name, heading in zip(names, header, strict=True)
        if not heading.strip() and not any(cell and str(cell).strip() for cell in data[name])
    ]
    frame = pd.DataFrame(data, index=pd.RangeIndex(len(records)))
    return frame.drop(columns=idle)


def check_extent(path: Path, rows: int, columns: int) -> None:
    """Refuse a table that would take the memory of this machine, before it does.

    A file of a few MB may span millions of blank cells.
    """
    if columns <= MOST_COLUMNS and rows * columns <= MOST_CELLS:
        return
    raise UnreadableTableError(
        path,
        f"it spans {rows:,} rows and {columns:,} columns; a table may have {MOST_COLUMNS:,} columns "
        f"and {MOST_CELLS:,} cells",
        "Check that it is the right file and, if so, keep only the columns that the study needs.",
    )


def column_names(header: Sequence[object]) -> list[str]:
    """Name the columns, also those whose header cell is blank."""
    named = ["" if cell is None else str(cell).strip() for cell in header]
    taken = set(named)
    for place, name in enumerate(named):
        if not name:
            candidate = f"unnamed_{place + 1}"
            while candidate in taken:
                candidate += "_"
            taken.add(candidate)
            named[place] = candidate
    return named


def from_dataframe(frame: pd.DataFrame, source: str, *, first_row: int) -> RawTable:
    """Take a DataFrame as it is, with its named index levels as columns."""
    if isinstance(frame.columns, pd.MultiIndex):
        raise ColumnsError.names(
            source,
            f"has {frame.columns.nlevels} levels of column names",
            "Flatten them first, for example with "
            "df.columns = ['_'.join(map(str, names)) for names in df.columns].",
        )
    cells = _with_named_index(frame)
    names = column_names([_text_name(name) for name in cells.columns])
    twice = _repeated(names)
    if twice:
        what = f"has more than one column named {', '.join(map(repr, twice))}"
        raise ColumnsError.names(source, what, "Give every column a name of its own.")
    cells.columns = pd.Index(names, dtype="str")
    carried = {name: storable(cells[name]) for name in names}
    rows = np.arange(first_row, first_row + len(cells), dtype=np.int64)
    return RawTable(source, pd.DataFrame(carried, index=cells.index), cells, rows, first_row - 1)


def storable(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Keep a column as it is if Parquet can give it back, else as text."""
    if column.dtype == object and pd.api.types.infer_dtype(column) in {"string", "empty"}:
        return as_text(column)
    try:
        array = pa.array(column, from_pandas=True)
    except (pa.ArrowException, OverflowError, UnicodeError, TypeError, ValueError):
        return as_text(column)
    return column if column.dtype != object or _comes_back(column, array) else as_text(column)


def _comes_back(column: "pd.Series[Any]", array: pa.Array) -> bool:
    """Tell whether objects stay what they are: text among bytes does not, nor times among dates."""
    if pa.types.is_nested(array.type):
        return True
    both = zip(column, array.to_pylist(), strict=True)
    return all(after is None or before == after for before, after in both)


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _with_named_index(frame: pd.DataFrame) -> pd.DataFrame:
    own = list(frame.index.names)
    new = [level for level in own if level is not None and level not in frame.columns]
    levels = {level: frame.index.get_level_values(own.index(level)) for level in new}
    cells = frame.reset_index(drop=True)
    for place, (level, values) in enumerate(levels.items()):
        cells.insert(place, level, values.to_series(index=cells.index))
    return cells


def _text_name(name: object) -> str:
    if isinstance(name, str):
        return text_column([name]).iloc[0]
    return cell_text(name) or ""
