"""CSV and Excel files in which text stays text, whatever it looks like."""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from helios_research._util.text import counted
from helios_research.columns import Kind
from helios_research.errors import ResultsError
from helios_research.results.shapes import ExportTable

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet._write_only import WriteOnlyWorksheet

# What makes a spreadsheet run a cell, after OWASP's "CSV Injection"; plain numbers are no danger.
_RUNS = "=+@\\-\\t\\r\\n\uff1d\uff0b\uff20\uff0d"
# Apostrophes that go on like that get one more, so that it can be taken away again.
_RUN_BY_SPREADSHEETS = f"^'*[{_RUNS}]"
GUARD = f"^'(?='*[{_RUNS}])"
"""The regular expression of the apostrophe that ``guarded`` adds: replace it by nothing."""
_PLAIN_NUMBER = r"^[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$"

# Excel opens UTF-8 as what it is only behind a byte order mark; pandas, polars, DuckDB and readr
# skip it.
CSV_ENCODING = "utf-8-sig"

EXCEL_ROWS, EXCEL_COLUMNS = 1_048_576, 16_384
EXCEL_CHARACTERS = 32_767
_TIME_FORMAT = 'yyyy-mm-dd hh:mm:ss "UTC"'
_LOCAL_TIME_FORMAT = "yyyy-mm-dd hh:mm:ss"
_WIDEST, _NARROWEST = 40, 9


def guarded(values: "pd.Series[str]") -> "pd.Series[str]":
    """Put an apostrophe before text that a spreadsheet would run as a formula.

    Undone by replacing the regular expression ``GUARD`` by nothing.
    """
    runs = values.str.contains(_RUN_BY_SPREADSHEETS, na=False)
    if not runs.any():
        return values
    runs &= ~values.str.fullmatch(_PLAIN_NUMBER, na=False)
    return values.mask(runs, "'" + values)


def prepared_for_csv(content: ExportTable) -> ExportTable:
    """Make a table harmless and plain enough for CSV."""
    table = content.table.copy()
    changed = 0
    for name in table.columns:
        if pd.api.types.is_datetime64_any_dtype(table[name].dtype):
            table[name] = _iso_text(table[name])
        elif table[name].dtype == "str":
            safe = guarded(table[name])
            changed += int((safe.notna() & (safe != table[name])).sum())
            table[name] = safe
    found = replace(content, table=table)
    if changed:
        return found.noting(
            f"An apostrophe stands in front of {counted(changed, 'cell')} beginning with a character "
            "that makes a spreadsheet run a formula; it can be taken away again (see above)."
        )
    return found


def _iso_text(values: "pd.Series[Any]") -> "pd.Series[str]":
    is_utc = isinstance(values.dtype, pd.DatetimeTZDtype)
    plain = values.dt.tz_convert("UTC").dt.tz_localize(None) if is_utc else values
    moments = plain.to_numpy(dtype="datetime64[us]")
    text = np.datetime_as_string(moments).astype(object) + ("Z" if is_utc else "")
    text[np.isnat(moments)] = None
    return pd.Series(text, index=values.index, dtype="str")


def write_csv(content: ExportTable, path: Path) -> None:
    """Write a table that ``prepared_for_csv`` gave."""
    header = guarded(pd.Series(content.table.columns, dtype="str"))
    content.table.to_csv(
        path,
        index=False,
        header=list(header),
        encoding=CSV_ENCODING,
        lineterminator="\r\n",
        quoting=csv.QUOTE_MINIMAL,
    )


def prepared_for_excel(content: ExportTable) -> ExportTable:
    """Fit a table into what an Excel sheet can hold."""
    rows, columns = content.table.shape
    if rows >= EXCEL_ROWS or columns > EXCEL_COLUMNS:
        message = (
            f"An Excel sheet holds {EXCEL_ROWS - 1:,} rows and {EXCEL_COLUMNS:,} columns below its "
            f"header, but there are {rows:,} rows and {columns:,} columns: write a .parquet or .csv "
            "file instead."
        )
        raise ResultsError(message)
    cut = 0
    table = content.table.copy()
    for name in table.columns[table.dtypes == "str"]:
        too_long = table[name].str.len() > EXCEL_CHARACTERS
        if too_long.any():
            cut += int(too_long.sum())
            table[name] = table[name].mask(too_long, table[name].str[: EXCEL_CHARACTERS - 1] + "…")
    found = replace(content, table=table)
    if cut:
        return found.noting(
            f"Cut at {EXCEL_CHARACTERS:,} characters, the most that an Excel cell holds: "
            f"{counted(cut, 'text')}; a .csv or .parquet file has the whole of it."
        )
    return found


def write_excel(content: ExportTable, book: pd.DataFrame, readme: str, path: Path) -> None:
    """Write a workbook with the sheets "results", "codebook" and "about"."""
    from openpyxl import Workbook

    workbook = Workbook(write_only=True)
    _add_sheet(workbook, "results", content.table, is_utc=_moments(content))
    _add_sheet(workbook, "codebook", book, is_utc=frozenset())
    about = workbook.create_sheet("about")
    about.column_dimensions["A"].width = 120
    for line in readme.splitlines():
        about.append([_cell_of(about, line)])
    # Saved through an open file: openpyxl would refuse a path that does not end in .xlsx.
    with path.open("wb") as file:
        workbook.save(file)


def _moments(content: ExportTable) -> frozenset[str]:
    return frozenset(
        name
        for name, variable in content.variables.items()
        if variable.type == Kind.MOMENT.value
        or isinstance(content.table[name].dtype, pd.DatetimeTZDtype)
    )


def _add_sheet(
    workbook: "Workbook", title: str, table: pd.DataFrame, *, is_utc: frozenset[str]
) -> None:
    sheet = workbook.create_sheet(title)
    sheet.freeze_panes = "B2"
    # openpyxl writes the widths before the rows, so they come from a look at the first ones.
    for place, name in enumerate(table.columns, start=1):
        seen = [name, *(str(cell) for cell in table[name].head(50))]
        width = min(_WIDEST, max(_NARROWEST, *(len(text) + 2 for text in seen)))
        sheet.column_dimensions[_letter(place)].width = width
    sheet.auto_filter.ref = f"A1:{_letter(table.shape[1])}{len(table) + 1}"
    sheet.append([_cell_of(sheet, name) for name in table.columns])
    columns = [list(_cells(sheet, table[name], utc=name in is_utc)) for name in table.columns]
    for row in zip(*columns, strict=True):
        sheet.append(row)


def _letter(place: int) -> str:
    from openpyxl.utils import get_column_letter

    return get_column_letter(place)


def _cells(sheet: "WriteOnlyWorksheet", values: "pd.Series[Any]", *, utc: bool) -> Iterator[Any]:
    """Give the cells of one column, each in the type that Excel is to see."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        moments = values.dt.tz_convert("UTC").dt.tz_localize(None) if utc else values
        form = _TIME_FORMAT if utc else _LOCAL_TIME_FORMAT
        return (_time_cell(sheet, moment, form) for moment in moments.dt.to_pydatetime())
    plain: Iterable[Any] = values.astype(object).where(values.notna(), None)
    if values.dtype == "str":
        # openpyxl takes text that begins with "=" for a formula, and "#N/A" for an error.
        return (_cell_of(sheet, cell) if cell and cell[0] in "=#" else cell for cell in plain)
    return (
        str(cell) if isinstance(cell, float) and not math.isfinite(cell) else cell for cell in plain
    )


def _cell_of(sheet: "WriteOnlyWorksheet", text: str) -> Any:
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"
    # Excel would run it once somebody edits the cell.
    cell.quotePrefix = text.startswith("=")
    return cell


def _time_cell(sheet: "WriteOnlyWorksheet", moment: Any, form: str) -> Any:
    from openpyxl.cell import WriteOnlyCell

    if moment is pd.NaT:
        return None
    cell = WriteOnlyCell(sheet, moment)
    cell.number_format = form
    return cell
