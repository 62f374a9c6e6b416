"""Rows, and JSON texts in them, as columns."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.json as pj

T = TypeVar("T")

_ROWS_IN_A_BATCH = 2_000
# Of fewer texts, one of which is unusual, each is read apart.
_FEW = 32


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Divide items into lists that are long enough to make columns of, and short for the memory."""
    left = iter(items)
    while batch := list(islice(left, _ROWS_IN_A_BATCH)):
        yield batch


def json_columns(
    texts: Sequence[str],
    form: pa.DataType,
    lay_out: Callable[[pa.StructArray], pa.Table],
    read_one: Callable[[str], Mapping[str, Any]],
) -> pa.Table:
    """Read JSON texts into a table: at once where all are usual, one by one where they are not.

    ``form`` is what is expected in each; what else is in it is left out. ``lay_out`` makes the table,
    or raises `pyarrow.ArrowInvalid` where something is unusual. ``read_one`` makes the row of one
    text, whatever its form.
    """
    try:
        return lay_out(_read(texts, form))
    except pa.ArrowInvalid:
        if len(texts) > _FEW:
            middle = len(texts) // 2
            halves = (texts[:middle], texts[middle:])
            return pa.concat_tables(json_columns(half, form, lay_out, read_one) for half in halves)
    schema = lay_out(pa.array([], form)).schema
    return pa.Table.from_pylist([dict(read_one(text)) for text in texts], schema)


def _read(texts: Sequence[str], form: pa.DataType) -> pa.StructArray:
    if not texts:
        return pa.array([], form)
    # Each within an object: pyarrow 26 crashes where a line is null.
    lines = ('{"_":' + '}\n{"_":'.join(texts) + "}").encode()
    read = pj.read_json(
        pa.BufferReader(lines),
        # One block, since a line must not lie in two.
        pj.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        pj.ParseOptions(pa.schema([("_", form)]), unexpected_field_behavior="ignore"),
    )
    if len(read) != len(texts):
        raise pa.ArrowInvalid("a text is not one JSON value")
    return read["_"].combine_chunks()
