"""Migrations: an older ledger is brought up to date whole, a newer one is left alone."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from helios_research.errors import StudyDamagedError, StudyVersionError
from helios_research.ledger import Ledger, NewAttempt, State, checksums, invitation_to, schema
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


async def test_a_run_that_two_recordings_were_put_to_is_scored_for_neither(
    tmp_path: Path, new_attempt: Callable[..., NewAttempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before run ids were unique, a repeated answer could give two recordings the same one."""
    monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS[:2])
    monkeypatch.setattr(checksums, "repair", lambda _connection: [])
    with Ledger.open(tmp_path) as ledger:
        for number, run in enumerate(["own", "shared", "shared"], start=1):
            key = (await ledger.begin(new_attempt(number))).attempt_id
            await ledger.advance(key, State.CREATED, model_run_id=run)
            await ledger.advance(key, State.SCORED, answer={"id": run})
    monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS)
    with Ledger.open(tmp_path) as ledger:
        own, *others = ledger.attempts()
        assert (own.state, own.error_code) == (State.SCORED, None)
        assert [other.model_run_id for other in others] == ["shared", None]
        for other in others:
            assert (other.state, other.error_code) == (State.FAILED, "ANSWER_MIXED_UP")
            assert other.error_reason == (
                "Helios gave the run shared to several recordings, so its scores are not used."
            )
            assert ledger.transitions(other.attempt_id)[-1].state is State.FAILED
        assert len(dict(ledger.answers())) == 3


async def test_a_ledger_from_before_invitations_takes_them_and_no_state_that_there_is_not(
    tmp_path: Path, new_attempt: Callable[..., NewAttempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS[:4])
    with Ledger.open(tmp_path) as ledger:
        before = await ledger.begin(new_attempt())
    monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS)
    with Ledger.open(tmp_path) as ledger:
        assert ledger.attempts() == [before]
        invited = await ledger.begin(new_attempt(sha256=invitation_to("P07")))
        assert invited.state is State.INVITING
    with connected(tmp_path / "helios.sqlite") as connection:
        with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
            connection.execute("UPDATE attempts SET state = 'lent'")
        connection.rollback()
        assert not checksums.is_damaged(connection)


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
