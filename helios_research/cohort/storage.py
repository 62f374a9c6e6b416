"""A cohort as one Parquet file, without loss, and without rows that were removed."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

from helios_research._util.arrow import parquet_writer, read_parquet
from helios_research._util.files import replaced
from helios_research.cohort.cells import as_text, cell_text, stripped_text
from helios_research.cohort.issues import COLUMNS, HEADER, shortened, typed
from helios_research.cohort.mapping import ColumnMapping
from helios_research.columns import STANDARD_FIELDS
from helios_research.errors import UnreadableTableError, storage_errors

VERSION = 1
_KEY = b"helios_research_cohort"
_OWN, _FIELD, _TAG = "own.", "field.", "tag."
_ROW, _ISSUES_KEY = "row", "findings"


@dataclass(frozen=True, slots=True)
class CohortTables:
    """The tables of a cohort, with the same rows in the same order."""

    source: str
    mapping: ColumnMapping
    frame: pd.DataFrame
    fields: pd.DataFrame
    tag_values: pd.DataFrame
    row_numbers: "pd.Series[int]"
    header_row: int
    issues: pd.DataFrame

    @property
    def sent(self) -> pd.DataFrame:
        """The metadata that are sent with each recording, under the table's own names."""
        names = [name for name in STANDARD_FIELDS if name not in {"recording_id", "recording"}]
        own = {name: self.mapping.name_of(name) for name in names}
        return pd.concat([self.fields[names].rename(columns=own), self.tag_values], axis=1)


def remove_rows(tables: CohortTables, gone: NDArray[np.bool_]) -> CohortTables:
    """Remove rows from a cohort, with the categories and the issues that name only these rows.

    The other rows keep their issues and their row numbers.
    """
    lost = _lost(tables.fields["user_label"], gone)
    frame = _kept(tables.frame, gone)
    for name, values in tables.frame.items():
        if isinstance(values.dtype, pd.CategoricalDtype):
            frame[name] = frame[name].cat.remove_categories([*_lost(values, gone)])
    order = {
        name: [level for level in levels if level in frame[name].cat.categories]
        for name, levels in tables.mapping.order.items()
    }
    # Constants apply to the rows that stay, if any do.
    constants = {} if gone.all() else tables.mapping.constants
    meanings = _kept_meanings(tables, gone)
    return replace(
        tables,
        mapping=replace(tables.mapping, constants=constants, meanings=meanings, order=order),
        frame=frame,
        fields=_kept(tables.fields, gone),
        tag_values=_kept(tables.tag_values, gone),
        row_numbers=tables.row_numbers[~gone].reset_index(drop=True),
        issues=_kept_issues(tables.issues, gone, lost),
    )


def _kept(table: pd.DataFrame, gone: NDArray[np.bool_]) -> pd.DataFrame:
    return table[~gone].reset_index(drop=True)


def _lost(values: "pd.Series[Any]", gone: NDArray[np.bool_]) -> set[Any]:
    """Find the values that only the removed rows have."""
    return {*values[gone].dropna()} - {*values[~gone].dropna()}


def _kept_meanings(tables: CohortTables, gone: NDArray[np.bool_]) -> dict[str, dict[str, str]]:
    """Keep the declared values but for those that only the removed rows have."""
    kept = {}
    for field, meanings in tables.mapping.meanings.items():
        # A constant has no column.
        own = tables.frame.get(tables.mapping.name_of(field), pd.Series(dtype="str"))
        lost = _lost(stripped_text(as_text(own)).reindex(tables.frame.index), gone)
        kept[field] = {code: meaning for code, meaning in meanings.items() if code not in lost}
    return kept


def _kept_issues(issues: pd.DataFrame, gone: NDArray[np.bool_], lost: set[str]) -> pd.DataFrame:
    """Keep the issues of the table and of the rows that stay, unless they name a lost label."""
    words = [repr(shortened(label)) for label in lost]
    naming = [one for one in issues["problem"].unique() if any(word in one for word in words)]
    new_position = dict(zip(np.flatnonzero(~gone).tolist(), range(len(gone)), strict=False))
    moved = issues["position"].map({HEADER: HEADER} | new_position)
    stays = moved.notna() & ~issues["problem"].isin(naming)
    kept: pd.DataFrame = issues.assign(position=moved)[stays].reset_index(drop=True)
    return kept.astype({"position": "int64"})


def write(tables: CohortTables, path: Path) -> None:
    """Write a cohort beside its place and move it there."""
    table = _to_table(tables)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as unfinished, parquet_writer(unfinished, table.schema) as writer:
            writer.write_table(table)


def read(path: Path) -> CohortTables:
    """Read a cohort that was written here."""
    try:
        table = read_parquet(path)
        described = json.loads((table.schema.metadata or {})[_KEY])
        is_newer = described["version"] > VERSION
    except (OSError, pa.ArrowException, LookupError, TypeError, ValueError) as error:
        raise UnreadableTableError(
            path, "it is not a saved cohort", "Use read_cohort for tables of recordings."
        ) from error
    if is_newer:
        remedy = "Upgrade with `pip install -U helios-research`."
        raise UnreadableTableError(path, "a newer version of helios_research wrote it", remedy)
    try:
        return _from_table(table, described)
    except (pa.ArrowException, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        remedy = "Put back a copy of it from a backup, or submit the cohort again."
        raise UnreadableTableError(path, "the saved cohort in it is damaged", remedy) from None


def _to_table(tables: CohortTables) -> pa.Table:
    parts = {_OWN: tables.frame, _FIELD: tables.fields, _TAG: tables.tag_values}
    columns = [part.add_prefix(prefix) for prefix, part in parts.items()]
    whole = pd.concat([*columns, tables.row_numbers], axis=1)
    table = pa.Table.from_pandas(whole, preserve_index=False)
    table = table.append_column(_ISSUES_KEY, _nested(tables.issues, len(whole)))
    mapping = asdict(tables.mapping)
    described = {
        "version": VERSION,
        "source": tables.source,
        "header_row": tables.header_row,
        "values": mapping.pop("meanings"),
        **mapping,
        "constants": {name: cell_text(value) for name, value in tables.mapping.constants.items()},
        "categories": _categories(tables.frame),
        "findings": tables.issues[tables.issues["position"] == HEADER].to_dict("records"),
    }
    return table.replace_schema_metadata(
        {**table.schema.metadata, _KEY: json.dumps(described).encode()}
    )


def _from_table(table: pa.Table, described: Mapping[str, Any]) -> CohortTables:
    whole = table.drop_columns([_ISSUES_KEY]).to_pandas()
    frame, texts, tags = (_part(whole, prefix) for prefix in (_OWN, _FIELD, _TAG))
    for name, kept in described["categories"].items():
        frame[name] = pd.Categorical(frame[name], _unpacked(kept["values"]), kept["ordered"])
    given = {**described, "meanings": described.get("values", {})}
    mapping = TypeAdapter(ColumnMapping).validate_python(
        {one.name: given[one.name] for one in fields(ColumnMapping) if one.name in given}
    )
    lacking = {*mapping.columns.values()} - {*frame.columns}
    if lacking:
        raise KeyError(*lacking)
    return CohortTables(
        source=str(described["source"]),
        mapping=mapping,
        frame=frame,
        fields=texts[list(STANDARD_FIELDS)].astype("str"),
        tag_values=tags[list(mapping.tags)].astype("str"),
        row_numbers=whole[_ROW],
        header_row=int(described["header_row"]),
        issues=_flat(table.column(_ISSUES_KEY), described["findings"]),
    )


def _part(whole: pd.DataFrame, prefix: str) -> pd.DataFrame:
    names = [name for name in whole.columns if name.startswith(prefix)]
    return whole[names].rename(columns=lambda name: name.removeprefix(prefix))


def _categories(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Note all categories, since Parquet keeps only those that occur, and only of text."""
    return {
        str(name): {"values": _packed(dtype.categories), "ordered": bool(dtype.ordered)}
        for name, dtype in frame.dtypes.items()
        if isinstance(dtype, pd.CategoricalDtype)
    }


def _packed(values: pd.Index) -> str:
    table = pa.Table.from_pandas(pd.DataFrame({"values": values}), preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


def _unpacked(packed: str) -> pd.Index:
    with pa.ipc.open_stream(base64.b64decode(packed)) as reader:
        values: pd.Index = pd.Index(reader.read_pandas()["values"].array)
    return values


def _nested(issues: pd.DataFrame, rows: int) -> pa.Array:
    within = issues[issues["position"] != HEADER]
    offsets = np.searchsorted(within["position"].to_numpy(), np.arange(rows + 1))
    # Text that was put together from parts comes as a chunked array, which no struct can hold.
    texts = within.astype("object")
    names = [name for name in COLUMNS if name != "position"]
    arrays = [pa.array(texts[name], pa.string(), from_pandas=True) for name in names]
    items = pa.StructArray.from_arrays(arrays, names=names)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items)


def _flat(nested: pa.ChunkedArray, header: list[dict[str, Any]]) -> pd.DataFrame:
    lists = nested.combine_chunks()
    items = lists.flatten()
    frame = pd.DataFrame({field.name: items.field(field.name).to_pandas() for field in items.type})
    counts = lists.value_lengths().to_numpy(zero_copy_only=False)
    frame["position"] = np.repeat(np.arange(len(lists)), counts)
    return typed(pd.concat([pd.DataFrame(header, columns=frame.columns), frame], ignore_index=True))
