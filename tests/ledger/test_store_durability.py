"""The ledger's files: what was acknowledged stays, and what was erased is gone."""

import asyncio
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from helios_research.ledger import Ledger, NewAttempt, State
from helios_research.ledger.volumes import volume_of

Make = Callable[..., NewAttempt]
URL = "https://uploads.example/"

# --- upload URLs --------------------------------------------------------------------------------


def urls_on_disk(folder: Path) -> set[int]:
    """Search all files of a study, in another process: see the hazard in `prepare_database`."""
    search = ["grep", "--text", "--only-matching", "--no-filename", "--recursive", "SECRET[0-9]*"]
    found = subprocess.run([*search, folder], capture_output=True, text=True, check=False)
    assert found.returncode in (0, 1), found.stderr
    return {int(url.removeprefix("SECRET")) for url in found.stdout.split()}


async def write_urls(ledger: Ledger, new_attempt: Make, count: int) -> list[int]:
    chance = random.Random(5)

    async def create(number: int) -> int:
        key = (await ledger.begin(new_attempt(number))).attempt_id
        url = f"{URL}SECRET{number:05}/" + "k" * chance.randint(200, 1500)
        await ledger.advance(key, State.CREATED, model_run_id=f"r{number}", upload_url=url)
        return key

    return list(await asyncio.gather(*(create(number) for number in range(count))))


async def test_the_upload_url_of_a_run_that_ended_is_in_no_file_of_a_closed_study(
    tmp_path: Path, new_attempt: Make
) -> None:
    chance = random.Random(5)
    with Ledger.open(tmp_path) as ledger:
        keys = dict(enumerate(await write_urls(ledger, new_attempt, 1500)))
        alive = set(chance.sample(sorted(keys), 700))
        ends = [State.SCORED, State.ABANDONED, State.LOST]
        settled = chance.sample(sorted(keys.keys() - alive), 800)
        await asyncio.gather(*(ledger.advance(keys[n], chance.choice(ends)) for n in settled))
    assert urls_on_disk(tmp_path) == alive
    with Ledger.open(tmp_path) as ledger:
        await asyncio.gather(*(ledger.advance(keys[n], State.FAILED) for n in alive))
    assert urls_on_disk(tmp_path) == set()


async def test_an_upload_url_that_lives_is_there_after_reopening(
    tmp_path: Path, new_attempt: Make
) -> None:
    with Ledger.open(tmp_path) as ledger:
        key = (await ledger.begin(new_attempt())).attempt_id
        await ledger.advance(key, State.CREATED, model_run_id="r", upload_url=URL)
    with Ledger.open(tmp_path) as ledger:
        assert ledger.attempt(key).upload_url == URL


def test_the_next_opening_erases_what_a_killed_process_could_not(
    tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    script = """
        import asyncio, os, sys
        from pathlib import Path
        from helios_research.ledger import Ledger, NewAttempt, State
        async def main(ledger):
            new = NewAttempt("a", "b", {}, 1, "audio/wav", 5, None, False, "sandbox")
            key = (await ledger.begin(new)).attempt_id
            await ledger.advance(key, State.CREATED, upload_url="SECRET00001" + "k" * 500)
            await ledger.advance(key, State.SCORED)
        asyncio.run(main(Ledger.open(Path(sys.argv[1]))))
        os.kill(os.getpid(), 9)
        """
    process = start_python(script, tmp_path)
    assert process.wait() == -signal.SIGKILL
    # Only a WAL still holds it; elsewhere the transaction that ended the run has erased it.
    assert urls_on_disk(tmp_path) == ({1} if volume_of(tmp_path).is_local else set())
    with Ledger.open(tmp_path):
        assert urls_on_disk(tmp_path) == set()


# --- kills and full disks -----------------------------------------------------------------------

WRITE_UNTIL_KILLED = """
    import asyncio, os, sys
    from pathlib import Path
    from helios_research.ledger import Ledger, NewAttempt, State

    def acknowledge(attempt):
        os.write(1, f"{attempt.attempt_id} {attempt.state}\\n".encode())
        return attempt.attempt_id

    async def produce(ledger, numbers):
        for number in numbers:
            name = f"{os.getpid()}-{number}"
            new = NewAttempt(name, "d", {}, 1, "audio/wav", 5, None, False, "sandbox")
            key = acknowledge(await ledger.begin(new))
            created = dict(model_run_id=name, upload_url=f"https://up/{name}" + "k" * 300)
            acknowledge(await ledger.advance(key, State.CREATED, **created))
            acknowledge(await ledger.advance(key, State.UPLOADING))
            acknowledge(await ledger.advance(key, State.UPLOADED))
            acknowledge(await ledger.advance(key, State.SCORED, answer={"id": name}))

    async def main(ledger):
        numbers = iter(range(10**9))
        await asyncio.gather(*(produce(ledger, numbers) for _ in range(8)))

    asyncio.run(main(Ledger.open(Path(sys.argv[1]))))
    """


def test_nothing_acknowledged_is_lost_to_kills_at_random_moments(
    tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    chance = random.Random()
    acknowledged: set[tuple[int, str]] = set()
    for _ in range(10):
        process = start_python(WRITE_UNTIL_KILLED, tmp_path)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        rest, _ = process.communicate()
        lines = (first + rest).splitlines(keepends=True)
        complete = [line.split() for line in lines if line.endswith("\n")]
        acknowledged |= {(int(key), state) for key, state in complete}
    with Ledger.open(tmp_path) as ledger:
        kept = {(entry.attempt_id, entry.state.value) for entry in ledger.transitions()}
        answered = {key for key, _ in ledger.answers()}
    assert len(acknowledged) > 50
    assert acknowledged - kept == set()
    assert {key for key, state in acknowledged if state == "scored"} - answered == set()
    with closing(sqlite3.connect(tmp_path / "helios.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


FILL_THE_DISK = """
    import asyncio, os, resource, sys
    from pathlib import Path
    from helios_research.errors import StudyStorageError
    from helios_research.ledger import Ledger, NewAttempt

    async def begin(ledger, number):
        request = {"padding": "x" * 5000}
        new = NewAttempt(str(number), "d", request, 1, "audio/wav", 5, None, False, "sandbox")
        try:
            print("kept", (await ledger.begin(new)).attempt_id)
        except StudyStorageError as error:
            print("error", error)

    async def main(ledger):
        await begin(ledger, 0)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))
        for start in range(1, 200, 20):
            await asyncio.gather(*(begin(ledger, n) for n in range(start, start + 20)))
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        print("room again")
        await begin(ledger, 1000)

    with Ledger.open(Path(sys.argv[1])) as ledger:
        asyncio.run(main(ledger))
    """


def test_a_full_disk_is_reported_and_what_was_acknowledged_stays(
    tmp_path: Path, run_python: Callable[..., str]
) -> None:
    lines = run_python(FILL_THE_DISK, tmp_path).splitlines()
    kept = {int(line.split()[1]) for line in lines if line.startswith("kept")}
    errors = {line for line in lines if line.startswith("error")}
    assert all(
        line.startswith(f"error Cannot write to {tmp_path}/helios.sqlite: the disk ")
        for line in errors
    )
    assert errors
    assert lines[-2] == "room again"
    assert lines[-1].startswith("kept")
    with Ledger.open(tmp_path) as ledger:
        assert {attempt.attempt_id for attempt in ledger.attempts()} == kept


CUT_A_TRANSACTION = """
    import os, sqlite3, sys
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN")
    connection.execute("DELETE FROM settings")
    connection.execute("CREATE TABLE filler AS SELECT zeroblob(500000)")
    os.kill(os.getpid(), 9)
    """


def test_a_transaction_that_was_cut_on_a_network_drive_is_taken_back_by_the_next_reader(
    tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.put_setting_blocking("rate", 1)
    path = tmp_path / "helios.sqlite"
    process = start_python(CUT_A_TRANSACTION, path)
    assert process.wait() == -signal.SIGKILL
    assert path.with_name("helios.sqlite-journal").stat().st_size > 0
    with Ledger.read(tmp_path) as reader:
        assert reader.get_setting("rate") == 1
