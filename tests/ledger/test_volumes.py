"""Where a study is: local or shared, in a sync folder, or in two places at once."""

import json
import re
import shutil
import socket
import subprocess
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path, PureWindowsPath
from typing import Any, cast

import pytest

from helios_research.errors import StudyLockedError, StudyMismatchError, StudyStorageError
from helios_research.ledger import Ledger, NewAttempt, storage, volumes
from helios_research.ledger.storage import HOLDER_NAME, LOCK_NAME
from helios_research.ledger.volumes import volume_of

Start = Callable[..., subprocess.Popen[str]]

LINUX = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
28 27 0:25 / /tmp rw,relatime shared:4 master:1 - tmpfs tmpfs rw,size=4k,mode=755
29 27 0:26 / /home rw,relatime - nfs4 server:/home rw,vers=4.2
30 27 0:27 / /mnt/lab\040data rw,relatime - cifs //server/data rw,vers=3.1.1
31 29 8:17 / /home/anna/usb rw,relatime - exfat /dev/sdb1 rw
32 27 0:28 / /scratch rw,relatime - lustre 10.0.0.1@tcp:/scratch rw
33 27 254:16 / /scratch rw,relatime - ext4 /dev/vdb rw
34 27 0:29 / /fancy rw,relatime - somethingnew fancy rw
35 27 0:30 / /remote rw,relatime - fuse.sshfs anna@server:/data rw,user_id=1000
36 27 0:31 / /mnt/c rw,noatime - 9p C:\134 rw,aname=drvfs;path=C:\
37 27 0:32 / /host rw,relatime - virtiofs work rw
"""
MACOS = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse, protect)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
//anna@server/lab%20data on /Volumes/lab data (smbfs, nodev, nosuid, mounted by anna)
/dev/disk4s1 on /Volumes/stick (on the go) (exfat, local, nodev, nosuid, noowners)
"""
LOCAL, SHARE, UNKNOWN = (True, False), (False, True), (False, False)


def table_of(path: Path, text: str, patch: pytest.MonkeyPatch) -> None:
    """Let the machine have other mounts than it has."""
    path.write_text(text)
    patch.setattr(volumes, "_MOUNTS", path)


@pytest.mark.parametrize(
    ("table", "path", "expected"),
    [
        (LINUX, "/work/study", LOCAL),
        (LINUX, "/tmp/study", LOCAL),  # noqa: S108 - a name in a table of mounts
        (LINUX, "/home/anna/study", SHARE),
        (LINUX, "/home/anna/usb/study", LOCAL),
        (LINUX, "/homestead/study", LOCAL),
        (LINUX, "/mnt/lab data/study", SHARE),
        (LINUX, "/scratch/study", LOCAL),
        (LINUX, "/fancy/study", UNKNOWN),
        (LINUX, "/remote/study", SHARE),
        (LINUX, "/mnt/c/study", SHARE),
        (LINUX, "/host/study", SHARE),
        (MACOS, "/Users/anna/study", LOCAL),
        (MACOS, "/Volumes/lab data/study", SHARE),
        (MACOS, "/Volumes/stick (on the go)/study", LOCAL),
        (LINUX.replace(" / / ", " / /usr "), "/work/study", UNKNOWN),
        ("", "/work/study", UNKNOWN),
    ],
)
def test_a_volume_is_local_only_where_it_is_known_to_be(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    path: str,
    expected: tuple[bool, bool],
) -> None:
    table_of(tmp_path / "mounts", table, monkeypatch)
    found = volume_of(Path(path))
    assert (found.is_local, "is on a network share" in found.caution) == expected


def test_without_a_table_of_mounts_no_volume_is_known_to_be_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes, "_MOUNTS", tmp_path / "none")
    assert not volume_of(tmp_path).is_local


@pytest.mark.parametrize(
    ("path", "is_local"),
    [(r"C:\Users\anna\study", True), (r"\\server\lab data\study", False)],
)
def test_windows_names_the_server_of_a_share(path: str, is_local: bool) -> None:
    folder = cast("Any", PureWindowsPath(path))
    assert (volumes._file_system(folder)[0] in volumes._LOCAL_FILE_SYSTEMS) == is_local


@pytest.mark.parametrize(
    "name",
    [
        *("OneDrive", "OneDrive - Charité", "Dropbox", "Dropbox (Lab)", "Google Drive", "My Drive"),
        *("GoogleDrive-anna@lab.org", "iCloudDrive", "Library/Mobile Documents", "Nextcloud"),
        "Library/CloudStorage/Box-Box",
    ],
)
def test_a_sync_folder_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "voice" / "study"
    found = volume_of(folder)
    assert not found.is_local
    assert str(tmp_path / name.split("/Box")[0]) in found.caution


@pytest.mark.parametrize("name", ["dropbox_export", "Box 12", "onedrive", "My Drives", "Dropboxes"])
def test_a_folder_that_is_only_called_alike_is_none(tmp_path: Path, name: str) -> None:
    assert volume_of(tmp_path / name / "study").caution == ""


def test_a_folder_of_syncthing_is_known_by_its_marker(tmp_path: Path) -> None:
    (tmp_path / ".stfolder").mkdir()
    assert f"is in {tmp_path}, which" in volume_of(tmp_path / "study").caution


def test_a_share_and_a_sync_folder_are_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table_of(tmp_path / "mounts", f"1 1 0:1 / {tmp_path} rw - cifs //srv/x rw", monkeypatch)
    for folder, words in (
        (tmp_path / "study", r"is on a network share, or on another system's drive \(cifs\)"),
        (tmp_path / "Dropbox" / "study", "which a program synchronises with a server"),
    ):
        with Ledger.open(folder) as ledger, pytest.warns(UserWarning, match=words):
            ledger.settle()
        with Ledger.open(folder) as ledger, warnings.catch_warnings():
            warnings.simplefilter("error")
            ledger.settle()
            assert not (folder / "helios.sqlite-wal").exists()


def test_sqlite_takes_the_name_of_a_ledger_on_a_windows_share(tmp_path: Path) -> None:
    """Two slashes begin such a name; elsewhere they mean the same as one."""
    Ledger.open(tmp_path).close()
    with Ledger.read(Path(f"/{tmp_path}")) as reader:
        assert reader.attempts() == []


# --- two machines -------------------------------------------------------------------------------

HOLD_ON_ANOTHER_MACHINE = """
    import asyncio, socket, sys
    from datetime import UTC, datetime, timedelta
    from pathlib import Path
    from helios_research.errors import StudyLockedError
    from helios_research.ledger import Ledger, NewAttempt, volumes
    socket.gethostname = lambda: "lab-pc"
    volumes._MOUNTS = Path(sys.argv[2])
    later = timedelta(minutes=float(sys.argv[3]))
    ledger = Ledger.open(Path(sys.argv[1]), clock=lambda: datetime.now(UTC) + later)
    print("open", flush=True)
    for line in sys.stdin:
        new = NewAttempt(line, "b", {}, 1, "audio/wav", 5, None, False, "sandbox")
        print(asyncio.run(ledger.begin(new)).attempt_id, flush=True)
    ledger.close()
    """


def said(process: subprocess.Popen[str], line: str = "") -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    if line:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of mounts in which the study is on a share."""
    table_of(tmp_path / "mounts", f"1 1 0:1 / {tmp_path} rw - nfs4 srv:/x rw", monkeypatch)
    return tmp_path / "mounts"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "study"


@pytest.fixture
def start_on_another_machine(
    start_python: Start, folder: Path, mounts: Path
) -> Callable[..., subprocess.Popen[str]]:
    """Open the study from another machine, over a share that passes no lock on."""

    def start(minutes_later: float = 0.0) -> subprocess.Popen[str]:
        (folder / LOCK_NAME).unlink(missing_ok=True)
        process = start_python(HOLD_ON_ANOTHER_MACHINE, folder, mounts, minutes_later)
        assert said(process) == "open"
        (folder / LOCK_NAME).unlink()
        return process

    return start


def test_another_machine_on_the_same_share_is_named(
    folder: Path, start_on_another_machine: Start
) -> None:
    other = start_on_another_machine()
    words = (
        rf"The study {folder} is in use by process {other.pid} on lab-pc since [-\d]+ [\d:]+: wait "
        r"for it, or stop it first \(if that machine has crashed, run the same command again in "
        r"ten minutes\)\. `helios-research status` shows its progress\."
    )
    for _ in range(2):
        with pytest.raises(StudyLockedError) as caught:
            Ledger.open(folder)
        assert re.fullmatch(words, str(caught.value)), caught.value
    assert said(other, "still there") == "1"


def test_the_lease_of_a_machine_that_has_finished_is_over_at_once(
    folder: Path, start_on_another_machine: Start
) -> None:
    other = start_on_another_machine()
    assert said(other, "first") == "1"
    other.communicate()
    with Ledger.open(folder) as ledger:
        assert len(ledger.attempts()) == 1


@pytest.mark.parametrize(("minutes", "is_over"), [(9.0, False), (11.0, True)])
def test_the_lease_of_a_machine_that_crashed_is_over_after_ten_minutes(
    folder: Path, start_on_another_machine: Start, minutes: float, is_over: bool
) -> None:
    other = start_on_another_machine(-minutes)
    other.kill()
    other.wait()
    if is_over:
        Ledger.open(folder).close()
        assert not (folder / HOLDER_NAME).exists()
    else:
        with pytest.raises(StudyLockedError, match="on lab-pc"):
            Ledger.open(folder)


def test_a_killed_process_of_this_machine_is_not_waited_for(
    folder: Path, mounts: Path, start_python: Start
) -> None:
    script = HOLD_ON_ANOTHER_MACHINE.replace('"lab-pc"', repr(socket.gethostname()))
    process = start_python(script, folder, mounts, 0)
    assert said(process) == "open"
    process.kill()
    process.wait()
    assert (folder / HOLDER_NAME).exists()
    Ledger.open(folder).close()


class Wall:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.asleep = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.asleep


async def test_a_machine_that_slept_stops_where_another_has_taken_the_study_over(
    folder: Path,
    start_on_another_machine: Start,
    new_attempt: Callable[..., NewAttempt],
    mounts: Path,
) -> None:
    wall = Wall()
    ledger = Ledger.open(folder, clock=wall)
    await ledger.begin(new_attempt(1))
    other = start_on_another_machine(11.0)
    wall.asleep = timedelta(minutes=11)
    for _ in range(2):
        with pytest.raises(StudyLockedError, match=f"process {other.pid} on lab-pc"):
            await ledger.begin(new_attempt(2))
    assert said(other, "second") == "2"
    ledger.close()
    signed = json.loads((folder / HOLDER_NAME).read_text())
    assert (signed["host"], signed["pid"]) == ("lab-pc", other.pid)
    other.communicate()
    assert not (folder / HOLDER_NAME).exists()
    with Ledger.open(folder) as again:
        assert len(again.attempts()) == 2


async def test_a_machine_that_slept_stops_where_another_has_been_and_gone(
    folder: Path, new_attempt: Callable[..., NewAttempt], mounts: Path
) -> None:
    wall = Wall()
    with Ledger.open(folder, clock=wall) as ledger:
        (folder / HOLDER_NAME).unlink()
        await ledger.begin(new_attempt(1))
        wall.asleep = timedelta(minutes=11)
        with pytest.raises(StudyLockedError, match="is in use by another process"):
            await ledger.begin(new_attempt(2))


def test_a_lease_is_renewed_while_nothing_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mounts: Path
) -> None:
    def seen() -> datetime:
        return datetime.fromisoformat(json.loads((folder / HOLDER_NAME).read_text())["seen"])

    monkeypatch.setattr(storage, "RENEW_S", 0.05)
    with Ledger.open(folder):
        first = seen()
        for _ in range(200):
            if seen() > first:
                return
            time.sleep(0.05)
    pytest.fail("never renewed")


@pytest.mark.usefixtures("local_volume")
def test_the_lease_of_a_local_volume_is_not_asked(folder: Path) -> None:
    """There the lock is enough; a container that was killed had another name."""
    now = str(datetime.now(UTC))
    folder.mkdir(mode=0o700)
    signed = {"pid": 1, "host": "container-7", "since": now, "seen": now}
    (folder / HOLDER_NAME).write_text(json.dumps(signed))
    Ledger.open(folder).close()


# --- copies -------------------------------------------------------------------------------------


def settle(folder: Path) -> None:
    with Ledger.open(folder) as ledger:
        ledger.settle()


def test_a_copied_study_is_named_once_and_then_taken(folder: Path, tmp_path: Path) -> None:
    settle(folder)
    shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(StudyMismatchError) as caught:
        settle(tmp_path / "copy")
    assert str(caught.value) == (
        f"The study {tmp_path}/copy seems to be a copy: it was last submitted in {folder} on "
        f"{socket.gethostname()}. What is sent there after it was copied is not known here, and "
        "would be paid for twice. Continue with only one of the two: to take this one, run the same "
        "command again. Nothing was sent."
    )
    settle(tmp_path / "copy")
    settle(folder)


def test_a_moved_study_and_a_link_to_it_are_no_copies(folder: Path, tmp_path: Path) -> None:
    settle(folder)
    folder.rename(tmp_path / "moved")
    settle(tmp_path / "moved")
    (tmp_path / "link").symlink_to(tmp_path / "moved")
    settle(tmp_path / "link")
    shutil.copytree(tmp_path / "moved", tmp_path / "other disk")
    shutil.rmtree(tmp_path / "moved")
    settle(tmp_path / "other disk")


@pytest.mark.usefixtures("local_volume")
def test_on_another_machine_only_a_share_or_the_same_file_is_no_copy(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(folder)
    monkeypatch.setattr(socket, "gethostname", lambda: "container-7")
    settle(folder)
    shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.setattr(socket, "gethostname", lambda: "lab-pc")
    with pytest.raises(StudyMismatchError, match=rf"submitted in {folder} on container-7"):
        settle(tmp_path / "copy")
    table_of(tmp_path / "mounts", f"1 1 0:1 / {tmp_path} rw - nfs4 srv:/x rw", monkeypatch)
    with Ledger.open(tmp_path / "share") as ledger, pytest.warns(UserWarning, match="share"):
        ledger.settle()
    monkeypatch.setattr(socket, "gethostname", lambda: "container-8")
    with Ledger.open(tmp_path / "share") as ledger, pytest.warns(UserWarning, match="share"):
        ledger.settle()


# --- a ledger that another program holds -------------------------------------------------------------

HOLD_THE_LEDGER = """
    import sqlite3, sys
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    print("held", flush=True)
    sys.stdin.read()
    """


def test_a_ledger_that_another_program_holds_is_not_a_full_disk(
    folder: Path, start_python: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_BUSY_S", 0.1)
    Ledger.open(folder).close()
    browser = start_python(HOLD_THE_LEDGER, folder / "helios.sqlite")
    assert said(browser) == "held"
    with pytest.raises(StudyStorageError) as caught:
        Ledger.open(folder)
    assert str(caught.value) == (
        f"Cannot write to {folder}/helios.sqlite: another program is holding it (SQLITE_BUSY). "
        "Close that program (a database browser or a backup, perhaps); everything recorded so far "
        "is kept, and running the same command again continues from there."
    )
    browser.communicate()
    Ledger.open(folder).close()
