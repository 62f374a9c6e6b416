"""Migrations: an older ledger is brought up to date whole, a newer one is left alone."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from helios_research.errors import StudyDamagedError, StudyVersionError
from helios_research.ledger import Ledger, NewAttempt, State, schema
from helios_research.ledger.schema import MIGRATIONS, migrate, version_of
from helios_research.ledger.storage import connect_writer

NEXT = "ALTER TABLE attempts ADD COLUMN device TEXT; CREATE TABLE devices (name TEXT) STRICT"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "helios.sqlite"


def connected(path: Path) -> closing[sqlite3.Connection]:
    return closing(connect_writer(path))


def tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in rows}


def test_an_empty_file_gets_the_whole_schema(path: Path) -> None:
    with connected(path) as connection:
        migrate(connection, path)
        assert version_of(connection, path) == len(MIGRATIONS)
        assert {"attempts", "transitions", "answers", "settings", "checks"} <= tables(connection)


def test_a_second_migration_changes_nothing(path: Path) -> None:
    with connected(path) as connection:
        migrate(connection, path)
        before = list(connection.iterdump())
        migrate(connection, path)
        assert list(connection.iterdump()) == before


async def test_an_older_ledger_is_migrated_with_what_is_in_it(
    tmp_path: Path, new_attempt: Callable[..., NewAttempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(tmp_path) as ledger:
        before = await ledger.begin(new_attempt())
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, NEXT))
    with Ledger.open(tmp_path) as ledger:
        assert ledger.attempts() == [before]
    with connected(tmp_path / "helios.sqlite") as connection:
        assert version_of(connection, tmp_path) == len(MIGRATIONS) + 1
        assert "devices" in tables(connection)


async def test_an_older_ledger_is_migrated_before_it_is_only_read(
    tmp_path: Path, new_attempt: Callable[..., NewAttempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(tmp_path) as ledger:
        await ledger.begin(new_attempt())
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, NEXT))
    with Ledger.read(tmp_path) as reader:
        assert [attempt.state for attempt in reader.attempts()] == [State.CREATING]
    with connected(tmp_path / "helios.sqlite") as connection:
        assert version_of(connection, tmp_path) == len(MIGRATIONS) + 1


def test_a_migration_that_fails_half_way_leaves_the_version_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "CREATE TABLE devices (name TEXT) STRICT; INSERT INTO nowhere VALUES (1)"
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, broken))
    with connected(path) as connection:
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            migrate(connection, path)
        assert version_of(connection, path) == len(MIGRATIONS)
        assert "devices" not in tables(connection)
        assert not connection.in_transaction


@pytest.mark.parametrize("act", [Ledger.open, Ledger.read])
def test_a_newer_ledger_is_refused_and_not_touched(
    tmp_path: Path, act: Callable[[Path], Ledger]
) -> None:
    Ledger.open(tmp_path).close()
    path = tmp_path / "helios.sqlite"
    with connected(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA user_version = 99")
        before = list(connection.iterdump())
    with pytest.raises(StudyVersionError, match=rf"schema 99; .* up to {len(MIGRATIONS)}\)"):
        act(tmp_path)
    with connected(path) as connection:
        assert list(connection.iterdump()) == before


@pytest.mark.parametrize("act", [Ledger.open, Ledger.read])
def test_a_database_of_another_program_is_refused_and_not_touched(
    tmp_path: Path, act: Callable[[Path], Ledger]
) -> None:
    path = tmp_path / "helios.sqlite"
    with connected(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(StudyDamagedError, match="it is a database of another program"):
        act(tmp_path)
    with connected(path) as connection:
        assert tables(connection) == {"recipes"}
