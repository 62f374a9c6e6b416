"""Excel workbooks: which sheet, and each cell as the spreadsheet shows it."""

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import openpyxl
import pandas as pd

from helios_research.cohort.cells import RawTable, as_text, check_extent, from_records, padded
from helios_research.cohort.validators import Issues, Problem, shortened
from helios_research.errors import UnreadableTableError

_ZEROS = re.compile("0{2,}")
_OLE_MARK = b"\xd0\xcf\x11\xe0"

_MOST_ROWS = 1_048_576
"""Rows that a sheet may have: Excel's own limit."""

_MOST_UNPACKED_BYTES = 1024**3
"""Size to which a workbook's parts may unpack (our choice): a few MB may hold terabytes. A sheet of
100,000 rows and 50 columns unpacks to about 250 MB."""

_MOST_CELLS = 10_000_000
"""Cells that a sheet may span, blank ones included (our choice): 100,000 rows of 100 columns."""

_SAVE_AS_CSV = "Check that it is the right file and, if so, save the sheet as CSV UTF-8."
_BLOCK_BYTES = 1_048_576

Row = tuple[int, list[Any]]
"""Number of a row and its cells."""

_NOT_COMPUTED = Problem(
    "The cell holds a formula whose result was not saved.",
    "Open the workbook in Excel and save it, or write the value itself.",
)


class _Formula(str):
    """A formula in place of its result."""

    __slots__ = ()


def read_workbook(path: Path, sheet: str | None) -> RawTable:
    """Read one sheet of an Excel workbook."""
    name, rows = _choose(path, _sheets(path), sheet)
    source = f"{path.name} (sheet {name!r})"
    number, header = rows[0]
    if number != 1:
        remedy = "Put the column names into row 1."
        raise UnreadableTableError(path, f"row 1 of sheet {name!r} has no column names", remedy)
    width = max(len(cells) for _, cells in rows)
    check_extent(path, len(rows), width)
    records = [padded(cells, width) for _, cells in rows[1:]]
    cells = from_records(source, [str(cell or "") for cell in padded(header, width)], records)
    frame = pd.DataFrame({column: as_text(cells[column]) for column in cells.columns})
    numbers = np.array([number for number, _ in rows[1:]], dtype=np.int64)
    issues = Issues()
    _note_formulas(cells, issues)
    return RawTable(source, frame, cells, numbers, 1, issues)


def _sheets(path: Path) -> dict[str, list[Row]]:
    # Opened here, because openpyxl leaves damaged files open.
    with path.open("rb") as file:
        if file.read(len(_OLE_MARK)) == _OLE_MARK:
            reason = "it is protected by a password, or in the format of Excel 97 to 2003"
            raise UnreadableTableError(path, reason, "Save it as .xlsx without a password.")
        try:
            return _read_sheets(path, file)
        except UnreadableTableError:
            raise
        except Exception as error:  # openpyxl raises many kinds of errors
            reason = f"it is not a complete Excel workbook ({shortened(str(error))})"
            raise UnreadableTableError(
                path, reason, "Open it in Excel and save it again."
            ) from error


def _read_sheets(path: Path, file: BinaryIO) -> dict[str, list[Row]]:
    with zipfile.ZipFile(file) as parts:
        size_bytes = sum(part.file_size for part in parts.infolist())
        if size_bytes > _MOST_UNPACKED_BYTES:
            reason = f"it unpacks to {size_bytes // 2**20:,} MB, which is too large"
            raise UnreadableTableError(path, reason, _SAVE_AS_CSV)
        has_formulas = _has_formulas(parts)
    with warnings.catch_warnings():
        # It warns of drop-down lists and colours that it does not keep; nor do we.
        warnings.simplefilter("ignore", UserWarning)
        sheets = _load(path, file, data_only=True)
        return _with_lost_formulas(path, file, sheets) if has_formulas else sheets


def _load(path: Path, file: BinaryIO, *, data_only: bool) -> dict[str, list[Row]]:
    workbook = openpyxl.load_workbook(file, read_only=True, data_only=data_only)
    try:
        return {sheet.title: _rows(path, sheet) for sheet in workbook.worksheets}
    finally:
        workbook.close()


def _rows(path: Path, sheet: Any) -> list[Row]:
    # Some programs write a wrong extent into the file, which openpyxl would believe.
    sheet.reset_dimensions()
    rows: list[Row] = []
    spanned = 0
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        # A lone cell far down or far right makes openpyxl go through all that lie before it.
        spanned += len(cells)
        if number > _MOST_ROWS or spanned > _MOST_CELLS:
            reason = f"sheet {sheet.title!r} spans more than {_MOST_CELLS:,} cells or {_MOST_ROWS:,} rows"
            raise UnreadableTableError(path, reason, _SAVE_AS_CSV)
        values = _without_blank_end([_value(cell) for cell in cells])
        if values:
            rows.append((number, values))
    return rows


def _has_formulas(parts: zipfile.ZipFile) -> bool:
    sheets = [name for name in parts.namelist() if name.startswith("xl/worksheets/")]
    return any(_holds_formula(parts, name) for name in sheets)


def _holds_formula(parts: zipfile.ZipFile, name: str) -> bool:
    with parts.open(name) as part:
        end = b""
        while block := part.read(_BLOCK_BYTES):
            # A mark of three bytes may lie across two blocks.
            if re.search(b"<f[ >]", end + block):
                return True
            end = block[-2:]
    return False


def _with_lost_formulas(
    path: Path, file: BinaryIO, sheets: dict[str, list[Row]]
) -> dict[str, list[Row]]:
    """Put the formula itself where its result was never saved, as by programs without Excel."""
    results = {name: dict(rows) for name, rows in sheets.items()}
    return {
        name: [_with_formulas(row, results[name]) for row in rows]
        for name, rows in _load(path, file, data_only=False).items()
    }


def _with_formulas(written: Row, results: dict[int, list[Any]]) -> Row:
    number, cells = written
    known = padded(results.get(number, []), len(cells))
    return number, [
        _Formula(cell) if result is None and str(cell).startswith("=") else result
        for cell, result in zip(cells, known, strict=True)
    ]


def _note_formulas(frame: pd.DataFrame, issues: Issues) -> None:
    for name in frame.columns:
        lost = [isinstance(cell, _Formula) for cell in frame[name].tolist()]
        positions = np.flatnonzero(np.array(lost, dtype=bool))
        issues.add(positions, name, frame[name].iloc[positions], _NOT_COMPUTED, "INVALID_ROW")


def _value(cell: Any) -> Any:
    value = cell.value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int) and _ZEROS.fullmatch(cell.number_format or ""):
        # The number 7 in the format 000 is an id: 007 is what the researcher sees.
        return str(value).zfill(len(cell.number_format))
    return value


def _choose(path: Path, sheets: dict[str, list[Row]], wanted: str | None) -> tuple[str, list[Row]]:
    names = ", ".join(map(repr, sheets))
    if wanted is not None and wanted not in sheets:
        remedy = f"Its sheets are {names}."
        raise UnreadableTableError(path, f"it has no sheet named {wanted!r}", remedy)
    filled = {name: rows for name, rows in sheets.items() if rows}
    chosen = [wanted] if wanted is not None else list(filled)
    if len(chosen) > 1:
        remedy = f"Choose the sheet with the recordings, as in sheet={chosen[0]!r}."
        reason = f"it has several sheets ({', '.join(map(repr, filled))})"
        raise UnreadableTableError(path, reason, remedy)
    if not chosen or chosen[0] not in filled:
        raise UnreadableTableError(path, "it contains no cells", "Choose another file or sheet.")
    return chosen[0], filled[chosen[0]]


def _without_blank_end(cells: list[Any]) -> list[Any]:
    end = len(cells)
    while end and (cells[end - 1] is None or str(cells[end - 1]).strip() == ""):
        end -= 1
    return cells[:end]
