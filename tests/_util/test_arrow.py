"""A Parquet file is read as it was written, or not at all."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helios_research._util.arrow import parquet_writer, read_parquet

TABLE = pa.table(
    {
        "name": ["Zoë", None, "x" * 300],
        "score": [0.25, None, 1.0],
        "at": pa.array([1, 2, None], pa.timestamp("us", tz="UTC")),
        "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
        "lists": [[], ["one", "two"], None],
    },
    metadata={b"study": b'{"tags":["arm"]}'},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    with parquet_writer(path, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return path


def content(table: pa.Table) -> tuple[object, ...]:
    return table.to_pydict(), table.schema.types, table.schema.metadata[b"study"]


def test_what_was_written_is_read(path: Path) -> None:
    assert content(read_parquet(path)) == content(pq.read_table(path))
    assert content(read_parquet(path)) == content(TABLE)


def test_one_changed_bit_is_said_or_changes_nothing(path: Path) -> None:
    whole, chance = path.read_bytes(), random.Random(17)
    said = 0
    for _ in range(1_000):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            found = content(read_parquet(path))
        except (OSError, ValueError, pa.ArrowException):
            said += 1
        else:
            assert found == content(TABLE)
    assert said > 700


def test_a_file_that_another_program_wrote_anew_is_read(path: Path) -> None:
    pq.write_table(read_parquet(path).slice(1), path)
    assert read_parquet(path).to_pydict() == TABLE.slice(1).to_pydict()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no Parquet at all"])
def test_what_is_no_parquet_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises((OSError, pa.ArrowInvalid)):
        read_parquet(path)
