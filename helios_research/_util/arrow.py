"""Arrow's tables: rows, and JSON texts in them, as columns; and Parquet files that show damage."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from zlib import crc32

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

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


# --- Parquet files in which no damaged byte passes for a value --------------------------------------

# Parquet's own checksums are of its pages. The footer, which names the columns and their types, has
# none: ours is in front of it, where no reader looks, and where a program that writes the table anew
# leaves none.
_CHECKSUM = re.compile(rb"footer-crc32=([0-9a-f]{8})")
_CHECKSUM_BYTES = 21
# The length of the footer, and the letters PAR1.
_TAIL_BYTES = 8


@contextmanager
def parquet_writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Give a writer for tables of one schema; the file is complete when the block ends."""
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        yield writer
    with path.open("r+b") as file:
        _, footer = _ending(file)
        tail = file.read(_TAIL_BYTES)
        file.seek(-len(footer) - _TAIL_BYTES, 2)
        file.write(b"footer-crc32=%08x" % crc32(footer) + footer + tail)


def read_parquet(path: Path) -> pa.Table:
    """Read a Parquet file; raise OSError if a checksum does not fit (other programs write none)."""
    with path.open("rb") as file:
        before, footer = _ending(file)
    written = _CHECKSUM.fullmatch(before)
    if written is not None and int(written[1], 16) != crc32(footer):
        message = "the checksum of its footer does not fit"
        raise OSError(message)
    table = pq.read_table(path, page_checksum_verification=True)
    # Text that is not UTF-8 would show only when it is used.
    table.validate(full=True)
    return table


def _ending(file: BinaryIO) -> tuple[bytes, bytes]:
    """Read the footer, and what may be the checksum in front of it; the tail comes next."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _TAIL_BYTES))
    length = int.from_bytes(file.read(4), "little")
    start = max(0, size - _TAIL_BYTES - length - _CHECKSUM_BYTES)
    file.seek(start)
    ending = file.read(max(0, size - _TAIL_BYTES - start))
    return ending[:_CHECKSUM_BYTES], ending[_CHECKSUM_BYTES:]
