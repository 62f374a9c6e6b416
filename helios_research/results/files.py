"""Results as Parquet, typed and described in its footer, and as CSV and Excel, where text stays text."""

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from helios_research._util.arrow import parquet_writer, read_parquet
from helios_research._util.files import replaced
from helios_research._version import __version__
from helios_research.columns import RESULTS, RESULTS_BY_NAME, RESULTS_SCHEMA_VERSION, SCORES, Kind
from helios_research.errors import ResultsError, storage_errors
from helios_research.results.shapes import ExportTable, flatten, without_zone

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet._write_only import WriteOnlyWorksheet

_FOOTER_KEY = b"helios_research"
_ROWS_IN_A_GROUP = 20_000

_SECTION_TYPE = pa.struct(
    [
        ("start_secs", pa.float64()),
        ("finish_secs", pa.float64()),
        ("transcript", pa.string()),
        *((column.name, pa.float64()) for column in SCORES),
    ]
)
ARROW_TYPES: Mapping[Kind, pa.DataType] = {
    Kind.TEXT: pa.string(),
    Kind.TEXT_LIST: pa.list_(pa.string()),
    Kind.CATEGORY: pa.dictionary(pa.int32(), pa.string()),
    Kind.NUMBER: pa.float64(),
    Kind.COUNT: pa.int64(),
    Kind.FLAG: pa.bool_(),
    Kind.MOMENT: pa.timestamp("us", tz="UTC"),
    Kind.SECTIONS: pa.list_(_SECTION_TYPE),
}


def to_arrow(table: pd.DataFrame) -> pa.Table:
    """Convert a table: results in their own types, and columns that mix types, as text."""
    table, fields = table.copy(deep=False), []
    for name in table.columns:
        if name in RESULTS_BY_NAME:
            kind = ARROW_TYPES[RESULTS_BY_NAME[name].kind]
        else:
            try:
                kind = pa.Array.from_pandas(table[name]).type
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                table[name] = table[name].map(str, na_action="ignore").astype("str")
                kind = pa.string()
        fields.append(pa.field(name, pa.string() if pa.types.is_null(kind) else kind))
    return pa.Table.from_pandas(table, pa.schema(fields), preserve_index=False)


def write_parquet(table: pa.Table, path: Path, provenance: Mapping[str, Any]) -> None:
    """Write results to a file, which is replaced when the new one is complete."""
    footer = {
        "schema_version": RESULTS_SCHEMA_VERSION,
        "package_version": __version__,
        "columns": {
            column.name: {"meaning": column.meaning, "unit": column.unit} for column in RESULTS
        },
        **provenance,
    }
    described = {**(table.schema.metadata or {}), _FOOTER_KEY: json.dumps(footer).encode()}
    schema = table.schema.with_metadata(described)
    with (
        storage_errors(path),
        replaced(path) as unfinished,
        parquet_writer(unfinished, schema) as writer,
    ):
        writer.write_table(table.cast(schema), row_group_size=_ROWS_IN_A_GROUP)


def read_results(path: str | PathLike[str]) -> pd.DataFrame:
    """Read the results of a study from a Parquet file.

    Parameters
    ----------
    path
        A ``results.parquet``, or a file that ``Study.to_parquet`` or ``export`` wrote.

    Returns
    -------
    DataFrame
        One row per recording (``columns.RESULTS`` and the manifest's columns); ``warnings`` and
        ``sections`` hold Python lists.

    Raises
    ------
    ResultsError
        There is no such file, or it is not Parquet.
    """
    path = Path(path)
    if not path.exists():
        message = f"There is no results file at {path}: check the path, or export the study first."
        raise ResultsError(message)
    if path.is_dir():
        # pandas would read a folder as a table in many parts, here one without rows.
        message = f"{path} is a folder: give the Parquet file in it, such as its results.parquet."
        raise ResultsError(message)
    try:
        table: pd.DataFrame = read_parquet(path).to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        message = (
            f"The results cannot be read from {path}: {error}. Is it a Parquet file? If it was damaged, "
            "write it again with Study.to_parquet."
        )
        raise ResultsError(message) from None
    for name, column in RESULTS_BY_NAME.items():
        if name in table.columns and column.kind in {Kind.TEXT_LIST, Kind.SECTIONS}:
            # Another program may have stored a different type, which stays as it is.
            lists = [one.tolist() if isinstance(one, np.ndarray) else one for one in table[name]]
            table[name] = pd.Series(lists, dtype="object")
    return table


def read_footer(path: Path) -> dict[str, Any]:
    """Read what a results file says about its study."""
    metadata = pq.read_schema(path).metadata or {}
    footer = json.loads(metadata.get(_FOOTER_KEY, b"{}"))
    return {name: value for name, value in footer.items() if name != "columns"}


# --- CSV and Excel --------------------------------------------------------------------------------

# What makes a spreadsheet run a cell, after OWASP's "CSV Injection"; plain numbers are no danger.
_RUNS = "=+@\\-\\t\\r\\n\uff1d\uff0b\uff20\uff0d"
# Text that begins with apostrophes before such a character gets one more, so that removing one is safe.
_RUN_BY_SPREADSHEETS = f"^'*[{_RUNS}]"
GUARD = f"^'(?='*[{_RUNS}])"
"""The regular expression of the apostrophe that a CSV file adds: replace it by nothing."""
_PLAIN_NUMBER = r"^[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$"

# Excel recognizes UTF-8 only by a byte order mark; pandas, polars, DuckDB and readr skip it.
CSV_ENCODING = "utf-8-sig"

EXCEL_ROWS, EXCEL_COLUMNS = 1_048_576, 16_384
EXCEL_CHARACTERS = 32_767
_WIDEST, _NARROWEST = 40, 9


def guarded(values: "pd.Series[str]") -> "pd.Series[str]":
    """Put an apostrophe before text that a spreadsheet would run as a formula."""
    runs = values.str.contains(_RUN_BY_SPREADSHEETS, na=False)
    if not runs.any():
        return values
    runs &= ~values.str.fullmatch(_PLAIN_NUMBER, na=False)
    return values.mask(runs, "'" + values)


def prepare_for_csv(table: ExportTable) -> ExportTable:
    """Make a table safe for spreadsheets, with times as ISO 8601."""
    table = flatten(table).change_text(
        guarded,
        "An apostrophe is added in front of {cells} that a spreadsheet would run as a formula; you "
        "can remove it (see above).",
    )
    for name, values in table.frame.items():
        if values.dtype.kind == "M":
            table.frame[name] = _iso_text(values)
    return table


def _iso_text(values: "pd.Series[Any]") -> "pd.Series[str]":
    zone = "Z" if isinstance(values.dtype, pd.DatetimeTZDtype) else ""
    moments = without_zone(values).to_numpy(dtype="datetime64[us]")
    text = pd.Series(np.datetime_as_string(moments), index=values.index, dtype="str") + zone
    return text.mask(values.isna())


def write_csv(table: ExportTable, path: Path) -> None:
    """Write a table that ``prepare_for_csv`` made."""
    header = guarded(pd.Series(table.frame.columns, dtype="str")).tolist()
    table.frame.to_csv(
        path, index=False, header=header, encoding=CSV_ENCODING, lineterminator="\r\n"
    )


def prepare_for_excel(table: ExportTable) -> ExportTable:
    """Fit a table into what an Excel sheet can hold."""
    rows, columns = table.frame.shape
    if rows >= EXCEL_ROWS or columns > EXCEL_COLUMNS:
        message = (
            f"An Excel sheet holds {EXCEL_ROWS - 1:,} rows and {EXCEL_COLUMNS:,} columns below its "
            f"header, but the results have {rows:,} rows and {columns:,} columns: write a .parquet "
            "or .csv file instead."
        )
        raise ResultsError(message)
    return flatten(table).change_text(
        lambda text: text.mask(
            text.str.len() > EXCEL_CHARACTERS, text.str[: EXCEL_CHARACTERS - 1] + "…"
        ),
        f"Cut at {EXCEL_CHARACTERS:,} characters, the maximum of an Excel cell: {{texts}}; a .csv "
        "or .parquet file has the full text.",
    )


def write_sheets(
    sheets: Mapping[str, pd.DataFrame], path: Path, *, utc: Collection[str] = (), about: str = ""
) -> None:
    """Write tables as a workbook, with a sheet of text; times of the columns ``utc`` are in UTC."""
    from openpyxl import Workbook

    workbook = Workbook(write_only=True)
    for title, table in sheets.items():
        _add_sheet(workbook, title, table, utc)
    if about:
        sheet = workbook.create_sheet("about")
        sheet.column_dimensions["A"].width = 120
        for line in about.splitlines():
            sheet.append([_text_cell(sheet, line)])
    # Saved through an open file: openpyxl refuses a path that does not end in .xlsx.
    with path.open("wb") as file:
        workbook.save(file)


def _add_sheet(workbook: "Workbook", title: str, table: pd.DataFrame, utc: Collection[str]) -> None:
    from openpyxl.utils import get_column_letter

    sheet = workbook.create_sheet(title)
    sheet.freeze_panes = "B2"
    # openpyxl writes the widths before the rows, so they come from the first rows.
    for place, name in enumerate(table.columns, start=1):
        seen = [name, *(str(cell) for cell in table[name].head(50))]
        width = min(_WIDEST, max(_NARROWEST, *(len(text) + 2 for text in seen)))
        sheet.column_dimensions[get_column_letter(place)].width = width
    sheet.auto_filter.ref = f"A1:{get_column_letter(table.shape[1])}{len(table) + 1}"
    sheet.append([_text_cell(sheet, name) for name in table.columns])
    columns = [_cells(sheet, table[name], utc=name in utc) for name in table.columns]
    for row in zip(*columns, strict=True):
        sheet.append(row)


def _cells(sheet: "WriteOnlyWorksheet", values: "pd.Series[Any]", *, utc: bool) -> Iterator[Any]:
    """Give the cells of one column in Excel's types."""
    if values.dtype.kind == "M":
        is_utc = utc or isinstance(values.dtype, pd.DatetimeTZDtype)
        form = 'yyyy-mm-dd hh:mm:ss "UTC"' if is_utc else "yyyy-mm-dd hh:mm:ss"
        moments = without_zone(values).dt.to_pydatetime()
        return (
            None if moment is pd.NaT else _cell(sheet, moment, number_format=form)
            for moment in moments
        )
    plain: Iterable[Any] = values.astype(object).where(values.notna(), None)
    if values.dtype == "str":
        # openpyxl would store text that begins with "=" as a formula, and "#N/A" as an error.
        return (_text_cell(sheet, cell) if cell and cell[0] in "=#" else cell for cell in plain)
    return (
        str(cell) if isinstance(cell, float) and not math.isfinite(cell) else cell for cell in plain
    )


def _text_cell(sheet: "WriteOnlyWorksheet", text: str) -> Any:
    # With the prefix, Excel does not run it after an edit of the cell.
    return _cell(sheet, text, data_type="s", quotePrefix=text.startswith("="))


def _cell(sheet: "WriteOnlyWorksheet", value: Any, **attributes: object) -> Any:
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, value)
    for name, attribute in attributes.items():
        setattr(cell, name, attribute)
    return cell
