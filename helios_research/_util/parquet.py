"""Parquet files in which no damaged byte passes for a value.

Parquet's own checksums are of its pages. The footer, which names the columns and their types, has none:
ours is in front of it, where no reader looks, and where a program that writes the table anew leaves none.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq

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
    """Read a Parquet file; raise OSError if one of its checksums does not fit.

    A file of another program, or of an earlier version, may have none.
    """
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
