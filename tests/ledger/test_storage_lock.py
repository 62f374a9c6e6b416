"""The lock: one writer per study, told who it is, and nothing to clear up after a kill."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from helios_research._util.text import in_local_time
from helios_research.errors import StudyDamagedError, StudyLockedError
from helios_research.ledger import Ledger, NewAttempt, State
from helios_research.ledger.storage import HOLDER_NAME, StudyLock, holder_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOLD = """
    import asyncio, sys
    from pathlib import Path
    from helios_research.ledger import Ledger, NewAttempt
    ledger = Ledger.open(Path(sys.argv[1]))
    print("open", flush=True)
    for line in sys.stdin:
        new = NewAttempt(line, "b", {}, 1, "audio/wav", 5, None, False, "sandbox")
        print(asyncio.run(ledger.begin(new)).attempt_id, flush=True)
    """


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def holder(start_python: Start, tmp_path: Path) -> subprocess.Popen[str]:
    """Start another process that has the study open and writes an attempt for each line."""
    process = start_python(HOLD, tmp_path)
    assert said(process) == "open"
    return process


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return said(process)


def test_a_second_process_is_told_who_holds_the_study_and_since_when(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(StudyLockedError) as caught:
        Ledger.open(tmp_path)
    assert re.fullmatch(
        rf"The study {tmp_path} is in use by process {holder.pid} on \S+ since "
        r"\d{4}-\d\d-\d\d \d\d:\d\d: wait for it, or stop it first\. "
        r"`helios-research status` shows its progress\.",
        str(caught.value),
    )


def test_a_second_process_reads_each_commit_while_the_first_writes(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with Ledger.read(tmp_path) as reader:
        assert reader.attempts() == []
        assert tell(holder, "first") == "1"
        assert [attempt.state for attempt in reader.attempts()] == [State.CREATING]
        assert tell(holder, "second") == "2"
        assert [attempt.state for attempt in reader.attempts()] == [State.CREATING] * 2


def test_a_refused_process_leaves_the_first_one_working(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(StudyLockedError):
        Ledger.open(tmp_path)
    assert tell(holder, "still there") == "1"


def test_the_lock_of_a_killed_process_heals_itself(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert tell(holder, "first") == "1"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / HOLDER_NAME).exists()
    with Ledger.open(tmp_path) as ledger:
        assert [attempt.state for attempt in ledger.attempts()] == [State.CREATING]
        signed = json.loads((tmp_path / HOLDER_NAME).read_text())
        assert signed["pid"] == os.getpid()
    assert not (tmp_path / HOLDER_NAME).exists()


def test_a_worker_that_outlives_its_killed_parent_does_not_hold_the_study(
    start_python: Start, tmp_path: Path
) -> None:
    script = """
        import os, sys, time
        from pathlib import Path
        from helios_research.ledger import Ledger
        ledger = Ledger.open(Path(sys.argv[1]))
        if os.fork() == 0:
            print(os.getpid(), flush=True)
        time.sleep(60)
        """
    parent = start_python(script, tmp_path)
    worker = int(said(parent))
    try:
        parent.kill()
        parent.wait()
        Ledger.open(tmp_path).close()
    finally:
        os.kill(worker, signal.SIGKILL)


def test_the_same_process_cannot_open_a_study_twice(ledger: Ledger) -> None:
    expected = (
        rf"The study {ledger.folder} is in use by this Python session since [-\d: ]+: let what "
        r"uses it finish, or stop that first \(in a notebook: restart the kernel\)\."
    )
    with pytest.raises(StudyLockedError, match=expected):
        Ledger.open(ledger.folder)
    with ThreadPoolExecutor(1) as other_thread, pytest.raises(StudyLockedError, match=expected):
        other_thread.submit(Ledger.open, ledger.folder).result()


@pytest.mark.usefixtures("local_volume")
async def test_a_refused_second_opening_does_not_disturb_the_first(
    ledger: Ledger, new_attempt: Callable[..., NewAttempt], start_python: Start
) -> None:
    await ledger.begin(new_attempt(1))
    with pytest.raises(StudyLockedError):
        Ledger.open(ledger.folder)
    # SQLite's own locks are lost when a process closes another handle on the file. A second
    # process would then take itself for the last user, and delete the WAL under the first one.
    reader = start_python(
        "import sys; from pathlib import Path; from helios_research.ledger import Ledger\n"
        "with Ledger.read(Path(sys.argv[1])) as reader: print(len(reader.attempts()))",
        ledger.folder,
    )
    assert said(reader) == "1"
    reader.wait()
    assert (ledger.folder / "helios.sqlite-wal").exists()
    await ledger.begin(new_attempt(2))
    with Ledger.read(ledger.folder) as again:
        assert len(again.attempts()) == 2


def test_a_link_to_the_folder_is_the_same_study(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(ledger.folder)
    with pytest.raises(StudyLockedError):
        Ledger.open(tmp_path / "alias")


def test_a_study_can_be_opened_again_after_it_was_closed(tmp_path: Path) -> None:
    for _ in range(3):
        Ledger.open(tmp_path).close()


def test_an_opening_that_fails_gives_the_lock_back(tmp_path: Path) -> None:
    (tmp_path / "helios.sqlite").write_bytes(b"not a database " * 300)
    for _ in range(2):
        with pytest.raises(StudyDamagedError):
            Ledger.open(tmp_path)


@pytest.mark.parametrize("left", ["", "{", "[]", '{"pid": "x", "host": "h", "since": "never"}'])
def test_an_unreadable_note_about_the_holder_still_refuses(tmp_path: Path, left: str) -> None:
    lock = StudyLock(tmp_path, lambda: NOW)
    (tmp_path / HOLDER_NAME).write_text(left)
    with pytest.raises(StudyLockedError, match="is in use by another process: wait for it"):
        StudyLock(tmp_path, lambda: NOW)
    lock.release()
    StudyLock(tmp_path, lambda: NOW).release()


def test_the_holder_s_time_is_shown_on_the_reader_s_clock(tmp_path: Path) -> None:
    lock = StudyLock(tmp_path, lambda: NOW)
    with pytest.raises(StudyLockedError, match=f"since {in_local_time(NOW)}:"):
        StudyLock(tmp_path, lambda: NOW)
    lock.release()
    lock.release()


def test_who_writes_to_a_study_can_be_asked_without_taking_the_lock(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    known = holder_of(tmp_path)
    assert known is not None
    assert known.pid == holder.pid
    assert tell(holder, "still there") == "1"


def test_a_killed_process_does_not_seem_to_write(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    holder.kill()
    holder.wait()
    assert (tmp_path / HOLDER_NAME).exists()
    assert holder_of(tmp_path) is None


def test_another_machine_s_process_may_well_be_alive(tmp_path: Path) -> None:
    signed = {"pid": 1, "host": "elsewhere.example", "since": str(NOW), "seen": str(NOW)}
    (tmp_path / HOLDER_NAME).write_text(json.dumps(signed))
    known = holder_of(tmp_path)
    assert known is not None
    assert (known.host, known.since) == ("elsewhere.example", NOW)


def test_nobody_writes_to_a_study_that_is_closed(tmp_path: Path) -> None:
    Ledger.open(tmp_path).close()
    assert holder_of(tmp_path) is None
