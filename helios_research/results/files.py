"""Results as Parquet: typed, described in its footer, and never half-written."""

import json
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from helios_research._util.files import replaced
from helios_research._version import __version__
from helios_research.columns import (
    RESULTS_BY_NAME,
    RESULTS_SCHEMA_VERSION,
    SCORES,
    Kind,
)
from helios_research.errors import ResultsError, storage_errors

FOOTER_KEY = b"helios_research"

_SECTION_TYPE = pa.struct(
    [
        ("start_secs", pa.float64()),
        ("finish_secs", pa.float64()),
        ("transcript", pa.string()),
        *((column.name, pa.float64()) for column in SCORES),
    ]
)
_ARROW_TYPES: Mapping[Kind, pa.DataType] = {
    Kind.TEXT: pa.string(),
    Kind.TEXT_LIST: pa.list_(pa.string()),
    Kind.CATEGORY: pa.dictionary(pa.int32(), pa.string()),
    Kind.NUMBER: pa.float64(),
    Kind.COUNT: pa.int64(),
    Kind.FLAG: pa.bool_(),
    Kind.MOMENT: pa.timestamp("us", tz="UTC"),
    Kind.SECTIONS: pa.list_(_SECTION_TYPE),
}


def write_parquet(
    parts: Iterable[pd.DataFrame],
    path: Path,
    *,
    own: pd.DataFrame,
    provenance: Mapping[str, Any],
) -> None:
    """Write results, part by part, so that a table larger than memory can be written.

    The file is written beside its place and moved there when it is complete.
    """
    types = _types_of(own)
    with storage_errors(path), replaced(path) as unfinished:
        writer: pq.ParquetWriter | None = None
        try:
            for part in parts:
                storable = _storable(part, types)
                if writer is None:
                    schema = _schema(storable, types, provenance)
                    writer = pq.ParquetWriter(unfinished, schema, compression="zstd")
                writer.write_table(pa.Table.from_pandas(storable, schema, preserve_index=False))
        finally:
            if writer is not None:
                writer.close()


def read_results(path: str | PathLike[str]) -> pd.DataFrame:
    """Read results that `write_parquet` wrote.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    DataFrame
        The same table, lists as Python lists.

    Raises
    ------
    ResultsError
        There is no such file, or it is not Parquet.
    """
    if Path(path).is_dir():
        # Taken for a table in many parts, it would be one without rows.
        message = f"{path} is a folder: give the Parquet file in it, such as its results.parquet."
        raise ResultsError(message)
    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowInvalid) as error:
        message = f"No results could be read from {path}: {error}. Is it a Parquet file?"
        raise ResultsError(message) from None
    lists = [
        name
        for name in table.columns
        if name in RESULTS_BY_NAME and RESULTS_BY_NAME[name].kind in {Kind.TEXT_LIST, Kind.SECTIONS}
    ]
    for name in lists:
        table[name] = pd.Series([_as_list(value) for value in table[name]], dtype="object")
    return table


def _as_list(value: Any) -> Any:
    # Another program may have put something else there, which is not ours to change.
    return value.tolist() if isinstance(value, np.ndarray) else value


def read_footer(path: Path) -> dict[str, Any]:
    """Read what a results file says of itself."""
    metadata = pq.read_schema(path).metadata or {}
    footer = json.loads(metadata.get(FOOTER_KEY, b"{}"))
    return {name: value for name, value in footer.items() if name != "columns"}


def _types_of(own: pd.DataFrame) -> dict[str, pa.DataType | None]:
    """Tell how to store the researcher's own columns; None for one that only text can hold."""
    types: dict[str, pa.DataType | None] = {}
    for name in own.columns:
        try:
            found = pa.Array.from_pandas(own[name]).type
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            types[name] = None
        else:
            types[name] = pa.string() if pa.types.is_null(found) else found
    return types


def _storable(part: pd.DataFrame, types: Mapping[str, pa.DataType | None]) -> pd.DataFrame:
    """Turn columns that mix types, as a spreadsheet's may, into text."""
    mixed = [name for name, found in types.items() if found is None]
    return part.assign(
        **{name: part[name].map(str, na_action="ignore").astype("str") for name in mixed}
    )


def _schema(
    table: pd.DataFrame, types: Mapping[str, pa.DataType | None], provenance: Mapping[str, Any]
) -> pa.Schema:
    inferred = pa.Schema.from_pandas(table, preserve_index=False)
    fields = [
        pa.field(field.name, _ARROW_TYPES[RESULTS_BY_NAME[field.name].kind])
        if field.name in RESULTS_BY_NAME
        else field.with_type(types.get(field.name) or pa.string())
        for field in inferred
    ]
    footer = {
        "schema_version": RESULTS_SCHEMA_VERSION,
        "package_version": __version__,
        "columns": {
            column.name: {"meaning": column.meaning, "unit": column.unit}
            for column in RESULTS_BY_NAME.values()
        },
        **provenance,
    }
    metadata = dict(inferred.metadata or {}) | {FOOTER_KEY: json.dumps(footer).encode()}
    return pa.schema(fields, metadata=metadata)
