"""Tables from files: which encoding, delimiter and cells; text stays text."""

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from helios_research.cohort.cells import (
    RawTable,
    as_text,
    cell_text,
    check_extent,
    from_arrow,
    from_dataframe,
    from_frame,
    from_records,
    import_extra,
    padded,
    text_column,
)
from helios_research.cohort.issues import Issues, Problem, shortened
from helios_research.cohort.workbook import WORKBOOK_SUFFIXES, XLSX_SUFFIXES, read_workbook
from helios_research.columns import STANDARD_FIELDS, Severity
from helios_research.errors import CohortError, UnreadableTableError

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")
READERS = {".sav": "read_sav", ".zsav": "read_sav", ".por": "read_por", ".dta": "read_dta"}
"""The function of pyreadstat for each ending."""
_SUFFIXES = (*TEXT_SUFFIXES, *WORKBOOK_SUFFIXES, *PARQUET_SUFFIXES, *READERS)
# The first bytes of a file decide, not the ending of its name.
_MAGIC = (
    (b"PK\x03\x04", (*XLSX_SUFFIXES, ".xlsb", ".ods")),
    (b"\xd0\xcf\x11\xe0", (".xls", *XLSX_SUFFIXES)),  # Excel with a password, too
    (b"PAR1", PARQUET_SUFFIXES),
    (b"$FL", (".sav", ".zsav")),
    (b"<stata_d", (".dta",)),
)

DELIMITERS = (",", ";", "\t", "|")
_WINDOWS_ENCODING = "cp1252"
# Byte order marks, the longer first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# SPSS's restricted numbers, and Stata's formats that begin with 0: the number 7 is shown as 007.
_ZEROS = re.compile(r"(?:N|%0)([0-9]+)(?:\.0[fg])?")
_SAVE_AS_UTF8 = "Save it as 'CSV UTF-8' (in Excel: Save As, file type CSV UTF-8)."


def raw_table(table: object, sheet: str | None, expected: Iterable[str]) -> RawTable:
    """Take what a cohort can be made from: the path of a table, or a DataFrame of any library."""
    if isinstance(table, str | os.PathLike):
        return read_table(Path(table).expanduser(), sheet=sheet, expected=expected)
    if sheet is not None:
        raise CohortError.superfluous("sheet")
    return from_frame(table)


def read_table(path: Path, *, sheet: str | None, expected: Iterable[str]) -> RawTable:
    """Read a table, with every text as it is in the file."""
    suffix = _checked_suffix(path)
    if sheet is not None and suffix not in WORKBOOK_SUFFIXES:
        raise UnreadableTableError(path, "only workbooks have sheets", "Leave out sheet=.")
    try:
        if suffix in WORKBOOK_SUFFIXES:
            table = read_workbook(path, sheet)
        elif suffix in PARQUET_SUFFIXES:
            table = _read_parquet(path)
        elif suffix in READERS:
            table = read_statistics(path)
        else:
            table = read_delimited(path, expected)
    except OSError as error:
        raise UnreadableTableError(
            path, error.strerror or str(error), "Check that you may read the file."
        ) from error
    if table.frame.empty:
        raise UnreadableTableError(path, "it has no rows below its header", "Add the recordings.")
    return table


def _checked_suffix(path: Path) -> str:
    if not path.exists():
        remedy = f"Check its name; relative paths are taken from {Path.cwd()}."
        raise UnreadableTableError(path, "there is no such file", remedy)
    if path.is_dir():
        raise UnreadableTableError(path, "it is a folder", "Name the table inside it.")
    if path.stat().st_size == 0:
        raise UnreadableTableError(path, "the file is empty", "Choose another file.")
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        remedy = f"Use one of {', '.join(_SUFFIXES)}, or pass a DataFrame to Cohort.from_frame."
        raise UnreadableTableError(path, f"{suffix or 'no ending'} is not a known format", remedy)
    with path.open("rb") as file:
        start = file.read(8)
    for magic, fitting in _MAGIC:
        if start.startswith(magic) and suffix not in fitting:
            reason = f"its name ends in {suffix}, but its content is a {fitting[0]} file"
            raise UnreadableTableError(path, reason, "Correct the ending of its name.")
    return suffix


def _read_parquet(path: Path) -> RawTable:
    try:
        extent = pq.read_metadata(path)
        check_extent(path, extent.num_rows, extent.num_columns)
        return from_arrow(pq.read_table(path), path.name, first_row=2)
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise UnreadableTableError(
            path, f"it is not a complete Parquet file ({error})", "Write the file again."
        ) from error


def read_delimited(path: Path, expected: Iterable[str]) -> RawTable:
    """Read a CSV or TSV file."""
    content = path.read_bytes()
    encoding, text = _decoded(path, content)
    if encoding == _WINDOWS_ENCODING and "\0" in text:
        raise UnreadableTableError(path, "it is not a text file", "Choose the table itself.")
    delimiter, text = _find_delimiter(text, {*STANDARD_FIELDS, *expected})
    header, numbered = _records(path, text, delimiter)
    check_extent(path, len(numbered), len(header))
    issues = Issues()
    records = _align(numbered, len(header), issues)
    objects = from_records(header, records, issues)
    frame = pd.DataFrame({name: text_column(objects[name]) for name in objects.columns})
    rows = np.array([number for number, _ in numbered], dtype=np.int64)
    if encoding == _WINDOWS_ENCODING:
        _warn_of_guess(frame, issues)
    return RawTable(path.name, frame, frame, rows, 1, issues)


def _decoded(path: Path, content: bytes) -> tuple[str, str]:
    """Find out how a text file is encoded, and read it."""
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    candidates = [marked] if marked else ["utf-8", _WINDOWS_ENCODING]
    if not marked and content[:2000].count(0) * 3 > len(content[:2000]):
        # Text without accents in UTF-16 is half NULs; which half shows the byte order.
        candidates = ["utf-16-le" if content[1:2] == b"\x00" else "utf-16-be"]
    for encoding in candidates:
        with suppress(UnicodeDecodeError):
            return encoding, content.decode(encoding)
    tried = " nor ".join(candidates)
    raise UnreadableTableError(path, f"its text is not encoded as {tried}", _SAVE_AS_UTF8)


def _find_delimiter(text: str, known: set[str]) -> tuple[str, str]:
    first, _, rest = text.partition("\n")
    hint = first.strip().casefold()
    # Excel writes and hides such a line; it does not count as a row.
    if hint.startswith("sep=") and len(hint) == len("sep=") + 1:
        return hint[-1], rest
    header = text[:100_000]

    def recognised(delimiter: str) -> tuple[int, int]:
        reader = csv.reader(io.StringIO(header, newline=""), delimiter=delimiter)
        cells = next(reader, [])
        return len({cell.strip() for cell in cells} & known), len(cells)

    return max(DELIMITERS, key=recognised), text


def _records(
    path: Path, text: str, delimiter: str
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    # A cell may hold a whole recording in base64. The limit is one of the process, and only raised.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    # Strict, because a quote that is never closed would otherwise swallow rows silently.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    numbered: list[tuple[int, list[str]]] = []
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            if "".join(cells).strip():
                numbered.append((number, cells))
    except csv.Error as error:
        raise UnreadableTableError(
            path,
            f"row {number + 1} cannot be split into cells ({error})",
            "Look there for a quotation mark that is not closed or not doubled.",
        ) from error
    if not numbered or numbered[0][0] != 1:
        raise UnreadableTableError(path, "row 1 has no column names", "Put them into row 1.")
    header = numbered[0][1]
    return header, numbered[1:]


def _align(
    numbered: list[tuple[int, list[str]]], width: int, issues: Issues
) -> list[Sequence[str | None]]:
    records: list[Sequence[str | None]] = [cells for _, cells in numbered]
    ragged = [position for position, cells in enumerate(records) if len(cells) != width]
    for position in ragged:
        cells = numbered[position][1]
        extra = ", ".join(filter(None, cells[width:]))
        records[position] = padded(cells, width)
        what = f"The row has {len(cells)} cells where the header has {width}"
        problem = Problem(
            f"{what}, so cells may be in the wrong column.",
            "Put quotation marks around cells that contain the delimiter.",
        )
        if len(cells) < width:
            problem = Problem(
                f"{what}; the rest is taken as blank.",
                "Check that no delimiter is missing in the row.",
                Severity.WARNING,
            )
        if extra or len(cells) < width:
            issues.add([position], "row", [extra or None], problem)
    return records


def _warn_of_guess(frame: pd.DataFrame, issues: Issues) -> None:
    """Warn once of all columns in which the encoding matters; their cells may name a participant."""
    columns = [
        name
        for name, cells in frame.items()
        if not (str(name).isascii() and cells.dropna().str.isascii().all())
    ]
    if columns:
        what = f"letters beyond ASCII in {', '.join(map(str, columns))} were read as Windows-1252."
        remedy = f"Check that they are right. {_SAVE_AS_UTF8}"
        issues.warn(str(columns[0]), f"The file is not UTF-8, so {what}", remedy)


# --- SPSS and Stata -------------------------------------------------------------------------------


def read_statistics(path: Path) -> RawTable:
    """Read a file as its program shows it, with rows that count from 1, as they do there."""
    package = import_extra(path, "SPSS and Stata files", "pyreadstat", "spss")
    read = getattr(package, READERS[path.suffix.lower()])
    try:
        extent = read(path, metadataonly=True)[1]
        check_extent(path, extent.number_rows or 0, len(extent.column_names))
        frame, about = read(path)
    except UnreadableTableError:
        raise
    except Exception as error:  # pyreadstat raises many kinds of errors
        reason = f"pyreadstat finds a fault ({shortened(str(error))})"
        remedy = "Save it again in the program that made it, or as CSV UTF-8."
        raise UnreadableTableError(path, reason, remedy) from error
    labels, forms = about.variable_value_labels, about.original_variable_types
    shown = {
        name: _shown(frame[name], labels.get(name, {}), forms.get(name) or "") for name in frame
    }
    return from_dataframe(pd.DataFrame(shown), path.name, first_row=1)


def _shown(values: "pd.Series[Any]", labels: Mapping[Any, str], form: str) -> "pd.Series[Any]":
    if values.dtype == "float64":
        with suppress(TypeError, ValueError):  # fractions, or beyond 64 bits
            values = values.astype("Int64")
    if values.dtype != "str" and (zeros := _ZEROS.fullmatch(form)):
        return as_text(values).str.zfill(int(zeros[1]))
    named = {code: label for code, label in sorted(labels.items()) if label.strip()}
    return _labelled(values, named) if named else values


def _labelled(values: "pd.Series[Any]", labels: Mapping[Any, str]) -> "pd.Series[Any]":
    """Put labels in place of codes: as ordered categories, if each code has one."""
    codes = as_text(values)
    texts = codes.map({cell_text(code): label for code, label in labels.items()})
    if (texts.isna() & codes.notna()).any():
        return texts.fillna(codes).astype("str")
    used = [label for label in dict.fromkeys(labels.values()) if (texts == label).any()]
    return texts.astype(pd.CategoricalDtype(used, ordered=True))
