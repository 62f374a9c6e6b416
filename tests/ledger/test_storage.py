"""The study folder: made for its owner only, and every way it cannot be used is a sentence."""

import os
import random
import re
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from helios_research.errors import StudyDamagedError, StudyMissingError, StudyStorageError
from helios_research.ledger import Ledger, NewAttempt, State, volumes
from helios_research.ledger.schema import migrate
from helios_research.ledger.storage import (
    checkpoint,
    connect_writer,
    prepare_database,
    study_error,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("local_volume")
async def test_only_the_owner_can_read_the_study(
    tmp_path: Path, new_attempt: Callable[..., NewAttempt]
) -> None:
    before = os.umask(0)
    try:
        with Ledger.open(tmp_path / "deep" / "study") as ledger:
            await ledger.begin(new_attempt())
            modes = {path.name: mode(path) for path in ledger.folder.iterdir()}
            assert mode(ledger.folder) == 0o700
    finally:
        os.umask(before)
    assert {"helios.sqlite", "helios.sqlite-wal", "helios.lock"} <= modes.keys()
    assert set(modes.values()) == {0o600}


@pytest.mark.usefixtures("local_volume")
@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_every_file_of_a_ledger_is_for_its_owner_alone_while_it_is_written(
    tmp_path: Path, mask: int
) -> None:
    before = os.umask(mask)
    try:
        with Ledger.open(tmp_path / "study") as ledger:
            ledger.put_setting_blocking("a", 1)
            modes = {path.name: mode(path) for path in (tmp_path / "study").iterdir()}
    finally:
        os.umask(before)
    assert mode(tmp_path / "study") == 0o700
    assert {"helios.sqlite", "helios.sqlite-wal", "helios.sqlite-shm", "helios.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}, modes


def test_a_folder_that_is_there_already_keeps_its_mode(tmp_path: Path) -> None:
    """It may be shared on purpose; whoever opens it is told, and how to close it."""
    tmp_path.chmod(0o750)
    with pytest.warns(UserWarning, match=f"chmod -R go= {tmp_path}"):
        Ledger.open(tmp_path).close()
    assert mode(tmp_path) == 0o750


@pytest.mark.parametrize("name", ["plain", "with blank", "per%cent", "what?", "ha#sh", "日本"])
def test_any_name_does_for_a_folder(tmp_path: Path, name: str) -> None:
    Ledger.open(tmp_path / name).close()
    with Ledger.read(tmp_path / name) as reader:
        assert reader.attempts() == []


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "study"
    path.write_text("notes")
    words = f"{path}: there is a file, or a broken link, in its place. Choose another folder"
    with pytest.raises(StudyStorageError, match=re.escape(words)):
        Ledger.open(path)
    assert path.read_text() == "notes"


def test_a_file_in_place_of_a_parent_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("")
    with pytest.raises(StudyStorageError, match="there is a file"):
        Ledger.open(tmp_path / "notes" / "study")


def test_a_broken_link_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "study").symlink_to(tmp_path / "gone")
    with pytest.raises(StudyStorageError, match="a broken link, in its place"):
        Ledger.open(tmp_path / "study")


def test_a_folder_in_place_of_the_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "helios.sqlite").mkdir()
    with pytest.raises(StudyStorageError, match="it is a folder, not a file"):
        Ledger.open(tmp_path)


def test_a_ledger_that_is_a_link_is_refused(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "one").close()
    (tmp_path / "two").mkdir(mode=0o700)
    (tmp_path / "two" / "helios.sqlite").symlink_to(tmp_path / "one" / "helios.sqlite")
    with pytest.raises(StudyStorageError, match="it is a link, so two studies could share"):
        Ledger.open(tmp_path / "two")


@pytest.mark.parametrize("act", [Ledger.open, Ledger.read])
def test_a_file_that_is_no_database_is_refused_and_not_touched(
    tmp_path: Path, act: Callable[[Path], Ledger]
) -> None:
    path = tmp_path / "helios.sqlite"
    path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(StudyDamagedError) as caught:
        act(tmp_path)
    assert str(caught.value) == (
        f"The ledger {path} cannot be used: file is not a database. Put back a copy of the whole "
        "study folder from a backup, or choose another folder for the study. Nothing was sent."
    )
    assert path.read_bytes() == b"Dear diary, " * 1000


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [(44, 2**31 - 1, "unsupported file format"), (60, 0, "table attempts already exists")],
    ids=["schema format", "version of the schema"],
)
def test_a_ledger_with_a_damaged_head_is_said_to_be_damaged(
    tmp_path: Path, place: int, value: int, why: str
) -> None:
    Ledger.open(tmp_path).close()
    path = tmp_path / "helios.sqlite"
    content = bytearray(path.read_bytes())
    # Places in the file are those of https://sqlite.org/fileformat.html, section 1.3.
    content[place : place + 4] = value.to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(StudyDamagedError, match=f"cannot be used: {why}"):
        Ledger.open(tmp_path)


async def test_damage_in_the_middle_of_a_ledger_is_named_when_it_is_read(
    tmp_path: Path, new_attempt: Callable[..., NewAttempt]
) -> None:
    with Ledger.open(tmp_path) as ledger:
        for number in range(50):
            await ledger.begin(new_attempt(number))
    path = tmp_path / "helios.sqlite"
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    for way in (lambda: Ledger.read(tmp_path, verify=True), lambda: Ledger.open(tmp_path)):
        with pytest.raises(StudyDamagedError, match="malformed"):
            way()


def test_reading_a_study_that_is_not_there_says_how_to_begin_one(tmp_path: Path) -> None:
    with pytest.raises(StudyMissingError) as caught:
        Ledger.read(tmp_path / "typo")
    assert str(caught.value) == (
        f"There is no study in {tmp_path / 'typo'}: check the path, or begin one with "
        f"`helios-research submit MANIFEST --study {tmp_path / 'typo'}`."
    )
    assert not (tmp_path / "typo").exists()


def test_a_kill_before_the_schema_was_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "helios.sqlite").touch()
    with pytest.raises(StudyMissingError):
        Ledger.read(tmp_path)
    with Ledger.open(tmp_path) as ledger:
        assert ledger.attempts() == []


BEGIN_ONE = """
    ledger = hl.Ledger.open(Path(sys.argv[1]))
    new = hl.NewAttempt("a", "b", {}, 1, "audio/wav", 5, None, False, "sandbox")
    asyncio.run(ledger.begin(new))
    if sys.argv[2] == "close":
        ledger.close()
    os._exit(0)
    """
READ_AND_OPEN = """
    with hl.Ledger.read(Path(sys.argv[1])) as reader:
        print(len(reader.attempts()))
    try:
        hl.Ledger.open(Path(sys.argv[1]))
    except Exception as error:
        print(error)
    """


@pytest.mark.parametrize("ending", ["close", "die"])
def test_a_read_only_study_can_be_read_but_not_opened(
    open_folder: Path, run_unprivileged: Callable[..., str], ending: str
) -> None:
    run_unprivileged(BEGIN_ONE, open_folder, ending)
    for path in open_folder.iterdir():
        path.chmod(0o444)
    open_folder.chmod(0o555)
    output = run_unprivileged(READ_AND_OPEN, open_folder)
    rows, sentence = output.splitlines()
    assert rows == "1"
    assert re.match(
        rf"Cannot write to {open_folder}\S*: (permission denied|it is read-only)\. ", sentence
    )


def test_a_folder_that_may_not_be_written_to_is_named(
    open_folder: Path, run_unprivileged: Callable[..., str]
) -> None:
    open_folder.chmod(0o555)
    script = """
        try:
            hl.Ledger.open(Path(sys.argv[1]))
        except Exception as error:
            print(type(error).__name__, error)
        """
    for folder in (open_folder, open_folder / "new"):
        output = run_unprivileged(script, folder)
        assert output.startswith(f"StudyStorageError Cannot write to {folder}: permission denied.")


async def test_without_shared_memory_a_study_is_written_and_read_all_the_same(
    tmp_path: Path, new_attempt: Callable[..., NewAttempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(tmp_path) as ledger:
        await ledger.begin(new_attempt(1))
    monkeypatch.setattr(volumes, "_MOUNTS", tmp_path / "none")
    with Ledger.open(tmp_path) as ledger, Ledger.read(tmp_path) as reader:
        attempt = await ledger.begin(new_attempt(2))
        await ledger.advance(attempt.attempt_id, State.CREATED)
        states = [attempt.state for attempt in reader.attempts()]
        assert states == [State.CREATING, State.CREATED]
        assert not (tmp_path / "helios.sqlite-wal").exists()


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_rows_that_sqlite_moved_between_pages_leave_no_upload_url_behind(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    path = prepare_database(tmp_path)
    with closing(connect_writer(path)) as connection:
        migrate(connection, path)
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("BEGIN")
        alive: list[int] = []
        for number in range(1000):
            row = (number, f"SECRET{number:05}" + "k" * chance.randint(200, 1500))
            connection.execute(
                "INSERT INTO upload_urls (attempt_id, upload_url) VALUES (?, ?)", row
            )
            alive.append(number)
            if len(alive) > 300:
                settled = alive.pop(chance.randrange(len(alive)))
                connection.execute("DELETE FROM upload_urls WHERE attempt_id = ?", (settled,))
        connection.execute("COMMIT")
        checkpoint(connection)
        kept = connection.execute("SELECT attempt_id FROM upload_urls").fetchall()
    assert [number for (number,) in kept] == alive
    found = {int(number) for number in re.findall(rb"SECRET(\d{5})", path.read_bytes())}
    assert found == set(alive)


@pytest.mark.parametrize(
    ("code", "name", "words"),
    [
        (sqlite3.SQLITE_FULL, "SQLITE_FULL", "the disk is full (SQLITE_FULL)"),
        (sqlite3.SQLITE_READONLY, "SQLITE_READONLY", "it is read-only (SQLITE_READONLY)"),
        (
            sqlite3.SQLITE_IOERR_FSYNC,
            "SQLITE_IOERR_FSYNC",
            "the disk reported an error (SQLITE_IOERR_FSYNC)",
        ),
        (sqlite3.SQLITE_BUSY, "SQLITE_BUSY", "another program is holding it (SQLITE_BUSY)"),
    ],
)
def test_what_the_disk_refuses_is_put_into_words(code: int, name: str, words: str) -> None:
    error = sqlite3.OperationalError("whatever")
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    worded = study_error(error, Path("/studies/x/helios.sqlite"))
    assert isinstance(worded, StudyStorageError)
    assert f"Cannot write to /studies/x/helios.sqlite: {words}. " in str(worded)


def test_a_mistake_in_the_work_is_not_blamed_on_the_disk() -> None:
    error = sqlite3.IntegrityError("NOT NULL constraint failed")
    error.sqlite_errorcode = sqlite3.SQLITE_CONSTRAINT_NOTNULL
    assert study_error(error, Path("x")) is None
    assert study_error(ValueError("x"), Path("x")) is None
