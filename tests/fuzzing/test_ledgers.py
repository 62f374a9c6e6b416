"""A damaged, foreign, older or newer study folder is read, or one sentence says what is wrong."""

import random
import shutil
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import helios_research as hr
from helios_research.errors import (
    HeliosResearchError,
    StudyDamagedError,
    StudyMissingError,
    StudyVersionError,
)
from helios_research.ledger import Ledger
from helios_research.ledger.checksums import register
from helios_research.ledger.schema import MIGRATIONS
from helios_research.ledger.storage import DATABASE_NAME

PAGE_BYTES = 4_096

lean = settings(
    max_examples=settings().max_examples // 3,
    deadline=None,
    # Shrinking takes minutes; what fails can be read as it is.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def copy_of(finished_study: Path, tmp_path: Path) -> Callable[[], Path]:
    """Copy the study anew, in place of the copy before."""
    folder = tmp_path / "study"

    def copy() -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(finished_study, folder)
        return folder

    return copy


@pytest.fixture
def look(is_a_sentence: Callable[[BaseException], None]) -> Callable[[Path], bool]:
    """Look at a study in every way, and open it for writing; tell whether all of it worked."""

    def looking(folder: Path) -> bool:
        study = hr.Study(folder)

        def write() -> None:
            with Ledger.open(folder) as ledger:
                ledger.put_setting_blocking("looked", 1)

        ways: list[Callable[[], object]] = [
            study.results,
            lambda: study.progress,
            lambda: study.issues,
            study.estimate,
            lambda: study.to_parquet(folder / "scores.parquet"),
            write,
        ]
        worked = [tried(way) for way in ways]
        return all(worked)

    def tried(way: Callable[[], object]) -> bool:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The ledger .* was damaged")
            try:
                way()
            except HeliosResearchError as error:
                is_a_sentence(error)
                return False
        return True

    return looking


def test_a_whole_study_is_read_in_every_way(copy_of, look) -> None:
    assert look(copy_of())


@given(data=st.data())
@lean
def test_spoiled_bytes_are_read_or_said(copy_of, look, mutations, data) -> None:
    folder = copy_of()
    path = folder / DATABASE_NAME
    path.write_bytes(data.draw(mutations(path.read_bytes())))
    look(folder)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.filterwarnings("ignore:The ledger .* was damaged")
def test_a_damaged_byte_is_the_same_result_or_a_sentence(
    copy_of, finished_study, is_a_sentence, seed
) -> None:
    """In any file of a study; and no recording is ever waiting to be sent that was not."""
    chance, whole = random.Random(seed), hr.Study(finished_study).results()
    said = 0
    for name in ["helios.sqlite"] * 60 + ["cohort.parquet"] * 15 + ["results.parquet"] * 15:
        path = copy_of() / name
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
        path.write_bytes(data)
        study = hr.Study(path.parent)
        try:
            found = hr.read_results(path) if name == "results.parquet" else study.results()
            left = study.estimate().recordings
        except HeliosResearchError as error:
            is_a_sentence(error)
            said += 1
        else:
            pd.testing.assert_frame_equal(found, whole)
            assert left == 0
    assert 10 < said < 80


@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.02, 0.1, 0.5]))
@lean
def test_spoiled_pages_are_read_or_said(copy_of, look, seed, share) -> None:
    folder = copy_of()
    path = folder / DATABASE_NAME
    chance = random.Random(seed)
    pages = bytearray(path.read_bytes())
    for start in range(PAGE_BYTES, len(pages), PAGE_BYTES):
        if chance.random() < share:
            pages[start : start + PAGE_BYTES] = chance.randbytes(PAGE_BYTES)
    path.write_bytes(pages)
    look(folder)


# Every column in which something else than what was written could stand, and what could.
TEXTS = ("", "{", "nonsense", "null", "[]", '{"a": 1}', "é", "scored", "9" * 500, "\x00")
NUMBERS = (0, -1, 2**62, -(2**63))


def columns_of(path: Path) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall()
        return sorted(
            (table, name, kind)
            for (table,) in tables
            for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})")
        )


@given(data=st.data())
@settings(parent=lean, max_examples=settings().max_examples // 2)
def test_any_value_in_any_cell_is_read_or_said(copy_of, look, finished_study, data) -> None:
    table, column, kind = data.draw(st.sampled_from(columns_of(finished_study / DATABASE_NAME)))
    values: tuple[str | int | bytes | float, ...] = {"INTEGER": NUMBERS, "TEXT": TEXTS}.get(
        kind, (b"", b"\xff", 1e308)
    )
    value = data.draw(st.sampled_from(values))
    folder = copy_of()
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection:
        # With a checksum that fits.
        register(connection)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        try:
            connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
        except sqlite3.IntegrityError:
            return
        connection.commit()
    look(folder)


def test_a_newer_ledger_is_left_alone_with_a_sentence(copy_of) -> None:
    folder = copy_of()
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = (folder / DATABASE_NAME).read_bytes()
    with pytest.raises(StudyVersionError, match="newer version of helios_research"):
        hr.Study(folder).results()
    assert (folder / DATABASE_NAME).read_bytes() == before


def test_a_database_of_another_program_is_said_and_left_alone(copy_of) -> None:
    folder = copy_of()
    path = folder / DATABASE_NAME
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")
    # SQLite notes in a database's head by what journal it was opened; its content is what counts.
    before = path.read_bytes()[100:]
    for way in (lambda: hr.Study(folder).results(), lambda: Ledger.open(folder)):
        with pytest.raises(StudyDamagedError, match="database of another program"):
            way()
    assert path.read_bytes()[100:] == before


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", StudyMissingError),
        (b"SQLite format 3\x00", StudyDamagedError),
        (b"not a database at all\n" * 500, StudyDamagedError),
        (b"\x00" * 20_000, StudyDamagedError),
    ],
)
def test_a_file_that_is_no_ledger_is_said(copy_of, content, error) -> None:
    folder = copy_of()
    (folder / DATABASE_NAME).write_bytes(content)
    with pytest.raises(error):
        hr.Study(folder).results()


@given(data=st.data())
@lean
def test_a_spoiled_cohort_is_read_or_said(copy_of, look, mutations, data) -> None:
    folder = copy_of()
    path = folder / "cohort.parquet"
    path.write_bytes(data.draw(mutations(path.read_bytes())))
    look(folder)


@given(data=st.data())
@lean
def test_a_spoiled_description_of_a_cohort_is_read_or_said(copy_of, look, data) -> None:
    import json

    import pyarrow.parquet as pq

    folder = copy_of()
    path = folder / "cohort.parquet"
    table = pq.read_table(path)
    (key,) = [name for name in table.schema.metadata if name != b"pandas"]
    described = json.loads(table.schema.metadata[key])
    value = data.draw(st.sampled_from([None, 1, "x", [], {}, [1], {"a": 1}, -5, 10**6, True]))
    name = data.draw(st.sampled_from(sorted(described)))
    dropped = data.draw(st.sampled_from([*table.column_names, None, None]))
    whole = data.draw(st.booleans())
    described = {**described, name: value} if whole else value
    if dropped is not None:
        table = table.drop_columns([dropped])
    kept = {**table.schema.metadata, key: json.dumps(described).encode()}
    pq.write_table(table.replace_schema_metadata(kept), path)
    look(folder)


def test_a_parquet_file_of_another_program_is_no_cohort(copy_of, look) -> None:
    folder = copy_of()
    pd.DataFrame({"a": [1]}).to_parquet(folder / "cohort.parquet")
    assert not look(folder)
