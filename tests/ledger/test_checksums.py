"""A damaged row is put back, is found out anew, or is named; it is never another row."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from helios_research.errors import StudyDamagedError
from helios_research.ledger import Ledger, NewAttempt, State
from helios_research.ledger.checksums import SEALED, is_damaged, register
from support.damage import damage


@pytest.fixture
async def database(tmp_path: Path, new_attempt: Callable[..., NewAttempt]) -> Path:
    """A ledger with one scored attempt, one that is being uploaded, and what else a study has."""
    with Ledger.open(tmp_path / "study") as ledger:
        first = (await ledger.begin(new_attempt(1))).attempt_id
        await ledger.advance(first, State.CREATED, model_run_id="run-one", upload_url="https://a/1")
        await ledger.advance(first, State.UPLOADING)
        await ledger.advance(first, State.UPLOADED)
        await ledger.advance(first, State.SCORED, answer={"id": "run-one", "score": 0.25})
        second = (await ledger.begin(new_attempt(2))).attempt_id
        await ledger.advance(
            second, State.CREATED, model_run_id="run-two", upload_url="https://a/2"
        )
        ledger.put_setting_blocking("rate", 7.5)
        ledger.store_checks("latest", [("/data/a.wav", "1", {"sha256": "aa"})])
    return tmp_path / "study" / "helios.sqlite"


def content(database: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(database)) as connection:
        return {
            table: connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
            for table, columns in SEALED.items()
        }


def test_all_that_is_written_fits_its_checksum(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        register(connection)
        assert not is_damaged(connection)
        for table in ("attempts", "upload_urls", "answers", "checks", "settings"):
            (missing,) = connection.execute(
                f"SELECT count(*) FROM {table} WHERE checksum IS NULL"
            ).fetchone()
            assert missing == 0
        connection.execute("UPDATE attempts SET model_run_id = 'another' WHERE attempt_id = 1")
        assert not is_damaged(connection)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("attempts SET model_run_id = 'run-onf' WHERE attempt_id = 1", "attempts 1"),
        ("attempts SET state = 'sbored' WHERE attempt_id = 1", "attempts 1"),
        (
            "attempts SET created_at = (created_at | 65536) - (created_at & 65536) "
            "WHERE attempt_id = 1",
            "attempts 1",
        ),
        (
            "attempts SET request_text = CAST(x'ff' || substr(request_text, 2) AS TEXT) "
            "WHERE attempt_id = 1",
            "attempts 1",
        ),
        ("answers SET body = replace(body, '0.25', '0.95')", "answers 1"),
        ("answers SET checksum = checksum + 256", "answers 1"),
        ("upload_urls SET upload_url = 'https://b/2'", "upload_urls 2"),
        ("settings SET value = '7.6' WHERE name = 'rate'", "settings rate"),
        ("checks SET facts = replace(facts, 'aa', 'ab')", "checks /data/a.wav"),
    ],
)
def test_a_damaged_byte_is_put_back(database: Path, change: str, named: str) -> None:
    before = content(database)
    damage(database, f"UPDATE {change}")
    with pytest.warns(UserWarning, match=f"damaged on the disk, and was put right: {named}"):
        Ledger.read(database.parent, verify=True).close()
    assert content(database) == before
    Ledger.open(database.parent).close()


def test_a_damaged_attempt_that_cannot_be_put_back_is_named(database: Path) -> None:
    damage(database, "UPDATE attempts SET model_run_id = 'no-one' WHERE attempt_id = 1")
    for way in (
        lambda: Ledger.open(database.parent),
        lambda: Ledger.read(database.parent, verify=True),
    ):
        with pytest.raises(StudyDamagedError, match="its attempts 1 does not fit its checksum"):
            way()


def test_a_damaged_answer_that_cannot_be_put_back_is_asked_for_again(database: Path) -> None:
    damage(database, "UPDATE answers SET body = upper(body)")
    with pytest.warns(UserWarning, match="put right: answers 1"):
        Ledger.open(database.parent).close()
    with Ledger.open(database.parent) as ledger:
        assert dict(ledger.answers()) == {}
        assert ledger.attempt(1).state is State.UPLOADED
        assert ledger.attempt(1).model_run_id == "run-one"
        assert ledger.transitions(1)[-1].state is State.UPLOADED


def test_what_can_be_seen_again_is_forgotten_where_it_is_damaged(database: Path) -> None:
    damage(database, "UPDATE checks SET facts = upper(facts)")
    damage(database, "UPDATE upload_urls SET upload_url = upper(upload_url)")
    with pytest.warns(UserWarning, match="put right"):
        Ledger.open(database.parent).close()
    with Ledger.open(database.parent) as ledger:
        assert list(ledger.all_checks("latest")) == []
        assert ledger.attempt(2).upload_url is None


def test_rows_that_are_gone_are_said(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'attempts'"
        ((page,),) = connection.execute(query).fetchall()
    data = bytearray(database.read_bytes())
    # The number of rows in the page, in its third to fifth byte (https://sqlite.org/fileformat.html).
    data[(page - 1) * 4096 + 4] -= 1
    database.write_bytes(data)
    with pytest.raises(StudyDamagedError, match=r"its structure is damaged|malformed"):
        Ledger.read(database.parent, verify=True)


async def test_damage_in_what_a_kill_left_is_never_a_step_of_several_lost(
    local_volume: str, tmp_path: Path, new_attempt: Callable[..., NewAttempt]
) -> None:
    states: list[list[State]] = []
    with Ledger.open(tmp_path / "alive") as ledger:
        for number in range(4):
            key = (await ledger.begin(new_attempt(number))).attempt_id
            states.append([attempt.state for attempt in ledger.attempts()])
            await ledger.advance(key, State.CREATED, model_run_id=f"run-{number}")
            states.append([attempt.state for attempt in ledger.attempts()])
        shutil.copytree(tmp_path / "alive", tmp_path / "killed")
    wal, chance, said = tmp_path / "study" / "helios.sqlite-wal", random.Random(17), 0
    for _ in range(60):
        shutil.rmtree(tmp_path / "study", ignore_errors=True)
        shutil.copytree(tmp_path / "killed", tmp_path / "study")
        data = bytearray(wal.read_bytes())
        data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
        wal.write_bytes(data)
        try:
            with Ledger.open(tmp_path / "study") as ledger:
                found = [attempt.state for attempt in ledger.attempts()]
        except StudyDamagedError:
            said += 1
        else:
            # A kill can have cut the last transaction.
            assert found in states[-2:]
    assert said > 30
