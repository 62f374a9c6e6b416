"""Tables from files, by what their names end in."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from helios_research.cohort.delimited import read_delimited
from helios_research.cohort.raw import RawTable, check_extent, from_dataframe
from helios_research.cohort.workbook import read_workbook
from helios_research.errors import UnreadableTableError

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
EXCEL_SUFFIXES = (".xlsx", ".xlsm")
PARQUET_SUFFIXES = (".parquet", ".pq")
_SUFFIXES = (*TEXT_SUFFIXES, *EXCEL_SUFFIXES, *PARQUET_SUFFIXES)

# What the first bytes of a file say, whatever its name ends in.
_MAGIC = ((b"PK\x03\x04", EXCEL_SUFFIXES), (b"PAR1", PARQUET_SUFFIXES))


def read_table(path: Path, *, sheet: str | None, expected: Iterable[str]) -> RawTable:
    """Read a table, with every text as it stands in the file."""
    suffix = _checked_suffix(path)
    if sheet is not None and suffix not in EXCEL_SUFFIXES:
        raise UnreadableTableError(path, "only Excel workbooks have sheets", "Leave out sheet=.")
    try:
        if suffix in EXCEL_SUFFIXES:
            table = read_workbook(path, sheet)
        elif suffix in PARQUET_SUFFIXES:
            table = _read_parquet(path)
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
            reason = f"its name ends in {suffix}, but its content is that of a {fitting[0]} file"
            raise UnreadableTableError(path, reason, "Correct the ending of its name.")
    return suffix


def _read_parquet(path: Path) -> RawTable:
    try:
        extent = pq.read_metadata(path)
        check_extent(path, extent.num_rows, extent.num_columns)
        table = pq.read_table(path)
        frame = table.to_pandas()
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise UnreadableTableError(
            path, f"it is not a whole Parquet file ({error})", "Write the file again."
        ) from error
    for place, column in enumerate(table.columns):
        name = table.schema.names[place]
        whole = pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)
        if whole and column.null_count and name in frame.columns:
            # Through float64, as pandas would read it, large whole numbers lose digits.
            frame[name] = column.to_pandas(types_mapper=_NULLABLE.get).array
    return from_dataframe(pd.DataFrame(frame), path.name, first_row=2)


_NULLABLE = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}
