"""Workbooks: which sheet, and each cell as the spreadsheet shows it.

openpyxl reads the number formats, errors and formulas of .xlsx, which python-calamine does not.
"""

import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd

from helios_research.cohort.cells import (
    RawTable,
    as_text,
    check_extent,
    from_records,
    import_extra,
    padded,
)
from helios_research.cohort.issues import Issues, Problem, shortened
from helios_research.errors import UnreadableTableError

XLSX_SUFFIXES = (".xlsx", ".xlsm")
WORKBOOK_SUFFIXES = (*XLSX_SUFFIXES, ".xls", ".xlsb", ".ods")
# How .ods, .xls and .xlsb store that numbers are shown as 007, which python-calamine does not give.
_LEADING_ZEROS = re.compile(
    rb"min-integer-digits=.(?:[2-9]|1[0-9])"
    rb"|\x1e\x04.\x00..[\x02-\x20]\x00[\x00\x01](?:0\x00?){2}"
    rb"|\x2c...[\x02-\x20]\x00\x00\x00(?:0\x00){2}",
    re.DOTALL,
)
_ZEROS = re.compile("0{2,}")
_LAST_SECTOR = 0xFFFFFFFA
_OLE_MARK = b"\xd0\xcf\x11\xe0"

_MOST_ROWS = 1_048_576
"""Rows that a sheet may have: Excel's own limit."""

_MOST_UNPACKED_BYTES = 1024**3
"""Size to which a workbook's parts may unpack (our choice): a few MB may hold terabytes. A sheet of
100,000 rows and 50 columns unpacks to about 250 MB."""

_MOST_CELLS = 10_000_000
"""Cells that a sheet may span, blank ones included (our choice): 100,000 rows of 100 columns."""

_SAVE_AS_CSV = "Check that it is the right file and, if so, save the sheet as CSV UTF-8."

Row = tuple[int, list[Any]]
"""Number of a row and its cells."""

_NOT_COMPUTED = Problem(
    "The cell holds a formula whose result was not saved.",
    "Open the workbook in Excel and save it, or write the value itself.",
)
_WITHOUT_ZEROS = (
    "The workbook shows numbers with leading zeros, such as 007, and they are read without them.",
    "If they are ids, save it as .xlsx.",
)


class _Formula(str):
    """A formula in place of its result."""

    __slots__ = ()


def read_workbook(path: Path, sheet: str | None) -> RawTable:
    """Read one sheet of a workbook."""
    sheets, loses_zeros = _sheets(path)
    name, rows = _choose(path, sheets, sheet)
    source = f"{path.name} (sheet {name!r})"
    number, header = rows[0]
    if number != 1:
        remedy = "Put the column names into row 1."
        raise UnreadableTableError(path, f"row 1 of sheet {name!r} has no column names", remedy)
    width = max(len(cells) for _, cells in rows)
    check_extent(path, len(rows), width)
    records = [padded(cells, width) for _, cells in rows[1:]]
    issues = Issues()
    names = [str(cell or "") for cell in padded(header, width)]
    cells = from_records(names, records, issues)
    frame = pd.DataFrame({column: as_text(cells[column]) for column in cells.columns})
    numbers = np.array([number for number, _ in rows[1:]], dtype=np.int64)
    _note_formulas(cells, issues)
    if loses_zeros:
        issues.warn(str(cells.columns[0]), *_WITHOUT_ZEROS)
    return RawTable(source, frame, cells, numbers, 1, issues)


def _sheets(path: Path) -> tuple[dict[str, list[Row]], bool]:
    """Read all sheets, and whether numbers have leading zeros that are not read."""
    content, read = path.read_bytes(), _other_sheets
    if path.suffix.lower() in XLSX_SUFFIXES:
        read = _xlsx_sheets
        if content.startswith(_OLE_MARK):
            reason = "it is protected by a password, or in the format of Excel 97 to 2003"
            remedy = "Save it as .xlsx without a password, or let an old one's name end in .xls."
            raise UnreadableTableError(path, reason, remedy)
    try:
        return read(path, content)
    except (UnreadableTableError, KeyboardInterrupt):
        raise
    # The packages raise many kinds of errors, and calamine's may be a panic of Rust, no Exception.
    except BaseException as error:
        reason = f"it is not a complete workbook ({shortened(str(error))})"
        remedy = "Open it in its program and save it again, without a password."
        raise UnreadableTableError(path, reason, remedy) from error


def _other_sheets(path: Path, content: bytes) -> tuple[dict[str, list[Row]], bool]:
    calamine = import_extra(path, f"{path.suffix} files", "python_calamine", "spreadsheets")
    _check_sectors(content)
    formats = content
    if zipfile.is_zipfile(BytesIO(content)):
        with zipfile.ZipFile(BytesIO(content)) as parts:
            _check_size(path, parts)
            places = {"content.xml", "xl/styles.bin"}.intersection(parts.namelist())
            formats = b"".join(map(parts.read, places))
    with calamine.load_workbook(BytesIO(content)) as workbook:
        listed = workbook.sheets_metadata
        names = [one.name for one in listed if one.typ == calamine.SheetTypeEnum.WorkSheet]
        sheets = {name: workbook.get_sheet_by_name(name) for name in names}
        found = {name: _rows(path, name, _plain_rows(sheet)) for name, sheet in sheets.items()}
    return found, _LEADING_ZEROS.search(formats) is not None


def _check_sectors(content: bytes) -> None:
    """Refuse an .xls file in which two sectors lead to the same one: python-calamine never ends there."""
    if not content.startswith(_OLE_MARK) or len(content) < 512:
        return
    size = 1 << (content[30] % 16)
    tables = [place for place in np.frombuffer(content[76:512], "<u4") if place < _LAST_SECTOR]
    listed = b"".join(content[(int(place) + 1) * size :][:size] for place in tables)
    following = np.frombuffer(listed, "<u4", len(listed) // 4)[: len(content) // size - 1]
    following = following[following < _LAST_SECTOR]
    if len(np.unique(following)) < len(following):
        raise ValueError("its sectors are not in order")


def _plain_rows(sheet: Any) -> Iterator[list[Any]]:
    before = [None] * (sheet.start or (0, 0))[1]
    return ([*before, *map(_plain, cells)] for cells in sheet.iter_rows())


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).upper()
    # python-calamine gives a moment at midnight as a date.
    return datetime.combine(value, time.min) if type(value) is date else value


def _check_size(path: Path, parts: zipfile.ZipFile) -> None:
    size_bytes = sum(part.file_size for part in parts.infolist())
    if size_bytes > _MOST_UNPACKED_BYTES:
        reason = f"it unpacks to {size_bytes // 2**20:,} MB, which is too large"
        raise UnreadableTableError(path, reason, _SAVE_AS_CSV)


def _xlsx_sheets(path: Path, content: bytes) -> tuple[dict[str, list[Row]], bool]:
    with zipfile.ZipFile(BytesIO(content)) as parts:
        _check_size(path, parts)
        names = [name for name in parts.namelist() if name.startswith("xl/worksheets/")]
        has_formulas = any(re.search(b"<f[ >]", parts.read(name)) for name in names)
    with warnings.catch_warnings():
        # It warns of drop-down lists and colours that it does not keep; nor do we.
        warnings.simplefilter("ignore", UserWarning)
        sheets = _load(path, content, data_only=True)
        if has_formulas:
            sheets = _with_lost_formulas(_load(path, content, data_only=False), sheets)
    return sheets, False


def _load(path: Path, content: bytes, *, data_only: bool) -> dict[str, list[Row]]:
    workbook = openpyxl.load_workbook(BytesIO(content), read_only=True, data_only=data_only)
    try:
        for sheet in workbook.worksheets:
            # Some programs write a wrong extent into the file, which openpyxl would believe.
            sheet.reset_dimensions()
        return {
            sheet.title: _rows(path, sheet.title, (map(_value, row) for row in sheet.iter_rows()))
            for sheet in workbook.worksheets
        }
    finally:
        workbook.close()


def _rows(path: Path, title: str, lines: Iterable[Iterable[Any]]) -> list[Row]:
    rows: list[Row] = []
    spanned = 0
    for number, cells in enumerate(map(list, lines), start=1):
        # A lone cell far down or far right makes openpyxl go through all that lie before it.
        spanned += len(cells)
        if number > _MOST_ROWS or spanned > _MOST_CELLS:
            reason = f"sheet {title!r} spans more than {_MOST_CELLS:,} cells or {_MOST_ROWS:,} rows"
            raise UnreadableTableError(path, reason, _SAVE_AS_CSV)
        while cells and (cells[-1] is None or not str(cells[-1]).strip()):
            cells.pop()
        if cells:
            rows.append((number, cells))
    return rows


def _with_lost_formulas(
    written: dict[str, list[Row]], sheets: dict[str, list[Row]]
) -> dict[str, list[Row]]:
    """Put the formula itself where its result was never saved, as by programs without Excel."""
    for name, rows in written.items():
        results = dict(sheets[name])
        for number, cells in rows:
            known = padded(results.get(number, []), len(cells))
            cells[:] = [
                _Formula(cell) if result is None and str(cell).startswith("=") else result
                for cell, result in zip(cells, known, strict=True)
            ]
    return written


def _note_formulas(frame: pd.DataFrame, issues: Issues) -> None:
    for name in frame.columns:
        lost = [isinstance(cell, _Formula) for cell in frame[name].tolist()]
        positions = np.flatnonzero(np.array(lost, dtype=bool))
        issues.add(positions, name, frame[name].iloc[positions], _NOT_COMPUTED)


def _value(cell: Any) -> Any:
    value = _plain(cell.value)
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
