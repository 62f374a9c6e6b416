"""Studies on shares and in sync folders, on two machines, in two copies, or held by a program."""

import re
import shutil
import subprocess
import sys
import textwrap

import pytest

from helios_research.errors import StudyError, StudyLockedError
from helios_research.ledger import storage, volumes
from helios_research.ledger.storage import LOCK_NAME

GOES_ON = (
    "; everything recorded so far is kept, and running the same command again continues from there."
)


@pytest.fixture
def is_said(cell):
    """Hold that a sentence is the cell's."""

    def check(sentence: object) -> None:
        wanted = re.escape(cell.sees).replace(r"\{place\}", ".*")
        assert re.fullmatch(wanted, str(sentence)), str(sentence)

    return check


@pytest.fixture
def elsewhere():
    """Run a script in another process that waits after its first line, until `end` is called."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.communicate()


@pytest.fixture
def share(tmp_path, monkeypatch):
    """Let the study be on a share, and give the table of mounts that says so."""
    table = tmp_path / "mounts"
    table.write_text(f"1 1 0:1 / {tmp_path} rw - cifs //server/data rw")
    monkeypatch.setattr(volumes, "_MOUNTS", table)
    return table


# --- shares and sync folders ------------------------------------------------------------------------


@pytest.mark.fault(
    step="ledger write",
    fault="a network share",
    ending="continues",
    happens="The ledger is kept without what a share cannot give (SQLite's WAL); said once.",
    sees="The study {place}study is on a network share, or on another system's drive (cifs). It is "
    "slower there, and a lost connection stops a submission: keep it on a disk of this machine, "
    "and copy results to the share. Submit from one machine at a time.",
    do="Move the study to a disk of this machine.",
)
@pytest.mark.usefixtures("share")
def test_a_share_is_said_once(trial, is_said) -> None:
    with pytest.warns(UserWarning, match="on a network share") as caught:
        trial.submit(2)
    (warning,) = caught
    is_said(warning.message)
    trial.heal()


class TestInASyncFolder:
    @pytest.fixture
    def folder(self, tmp_path):
        return tmp_path / "OneDrive - University" / "study"

    @pytest.mark.fault(
        step="ledger write",
        fault="a sync folder",
        ending="continues",
        happens="The same holds in a folder that a program synchronises; said once.",
        sees="The study {place}study is in {place}OneDrive - University, which a program "
        "synchronises with a server and other machines. It may put an older ledger back, so that "
        "recordings are paid for again, and what is known of participants leaves this machine: "
        "move the study out of there, and copy only results into it.",
        do="Move the study out of the folder.",
    )
    def test_a_sync_folder_is_said_once(self, trial, is_said) -> None:
        with pytest.warns(UserWarning, match="synchronises") as caught:
            trial.submit(2)
        (warning,) = caught
        is_said(warning.message)
        trial.heal()


# --- two machines -----------------------------------------------------------------------------------

ON_ANOTHER_MACHINE = """
    import socket, sys
    from datetime import UTC, datetime, timedelta
    from pathlib import Path
    from helios_research.ledger import Ledger, volumes
    socket.gethostname = lambda: "lab-pc"
    volumes._MOUNTS = Path(sys.argv[2])
    later = timedelta(minutes=float(sys.argv[3]))
    with Ledger.open(Path(sys.argv[1]), clock=lambda: datetime.now(UTC) + later):
        print("ready", flush=True)
        sys.stdin.read()
    """


@pytest.fixture
def open_on_another_machine(trial, share, elsewhere):
    """Open the study from another machine, over a share that passes no lock on."""

    def start(minutes_later: float = 0.0) -> subprocess.Popen[str]:
        (trial.folder / LOCK_NAME).unlink(missing_ok=True)
        process = elsewhere(ON_ANOTHER_MACHINE, trial.folder, share, minutes_later)
        (trial.folder / LOCK_NAME).unlink()
        return process

    return start


IN_USE = (
    "The study {place}study is in use by process {place} on lab-pc since {place}: wait for it, or "
    "stop it first (if that machine has crashed, run the same command again in ten minutes). "
    "`helios-research status` shows its progress."
)


@pytest.mark.filterwarnings("ignore:The study .* is on a network share")
class TestOnTwoMachines:
    @pytest.mark.fault(
        step="ledger write",
        fault="a second machine",
        ending="stops",
        happens="Where locks may not reach the other machine, a lease in the study's folder does: "
        "nothing is sent while another machine has shown itself in the last ten minutes.",
        sees=IN_USE,
        do="Submit from one machine.",
    )
    def test_a_second_machine_sends_nothing(self, trial, open_on_another_machine, is_said) -> None:
        other = open_on_another_machine()
        with pytest.raises(StudyLockedError) as caught:
            trial.submit()
        is_said(caught.value)
        assert trial.sandbox.log.count() == 0
        other.communicate()
        trial.heal()

    @pytest.mark.fault(
        step="poll",
        fault="a second machine",
        ending="stops",
        happens="A machine that slept finds that another one has taken the study over, and stops.",
        sees=IN_USE,
        do="Let the other machine finish.",
    )
    def test_a_machine_that_slept_leaves_the_study_to_the_one_that_took_it_over(
        self, trial, relay, open_on_another_machine, is_said
    ) -> None:
        others = []

        def sleep(exchange) -> None:
            answer = exchange.ask_the_service()
            others.append(open_on_another_machine(20))
            trial.clock.suspend(900)
            exchange.send(answer)

        relay.play("poll", sleep, 1)
        with pytest.raises(StudyLockedError) as caught:
            trial.submit()
        is_said(caught.value)
        others[0].communicate()
        trial.heal()


# --- two copies -------------------------------------------------------------------------------------


@pytest.mark.fault(
    step="ledger write",
    fault="a copied study",
    ending="stops",
    happens="The copy says once what it cannot know, and sends nothing; the next submission takes it.",
    sees="The study {place}copy seems to be a copy: it was last submitted in {place}study on {place}. "
    "What is sent there after it was copied is not known here, and would be paid for twice. "
    "Continue with only one of the two: to take this one, run the same command again. "
    "Nothing was sent.",
    do="Continue with only one of them.",
)
def test_a_copy_says_what_it_cannot_know(trial, tmp_path, is_said) -> None:
    trial.submit(1)
    requests = trial.sandbox.log.count()
    original, trial.folder = trial.folder, tmp_path / "copy"
    shutil.copytree(original, trial.folder)
    with pytest.raises(StudyError) as caught:
        trial.submit()
    is_said(caught.value)
    assert trial.sandbox.log.count() == requests
    trial.heal()


# --- a ledger that another program holds ------------------------------------------------------------

HOLD = """
    import sqlite3, sys
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    print("ready", flush=True)
    sys.stdin.read()
    """
HELD = (
    "Cannot write to {place}helios.sqlite: another program is holding it (SQLITE_BUSY). Close that "
    "program (a database browser or a backup, perhaps)" + GOES_ON
)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(
            step,
            marks=pytest.mark.fault(
                step=step,
                fault="a held ledger",
                ending="stops",
                happens=happens,
                sees=HELD,
                do="Close that program, then submit again.",
            ),
        )
        for step, happens in {
            "create": "A run was created that could not be written down. It has no audio, and so no "
            "effect; the next submission creates another.",
            "upload": "That the upload began was written before. The next submission asks the run "
            "whether it arrived.",
            "poll": "The scores could not be written down; the next submission asks again.",
        }.items()
    ],
)
def test_a_program_that_holds_the_ledger_neither_loses_nor_repeats_what_was_done(
    trial, relay, elsewhere, monkeypatch, is_said, step
) -> None:
    monkeypatch.setattr(storage, "_BUSY_S", 0.2)
    browsers = []

    def hold(exchange) -> None:
        answer = exchange.ask_the_service()
        browsers.append(elsewhere(HOLD, trial.folder / "helios.sqlite"))
        exchange.send(answer)

    relay.play(step, hold, 1)
    with pytest.raises(StudyError) as caught:
        trial.submit()
    is_said(caught.value)
    browsers[0].communicate()
    trial.heal()


@pytest.mark.fault(
    step="ledger write",
    fault="a held ledger",
    ending="stops",
    happens="Nothing is sent that cannot be written down first.",
    sees=HELD,
    do="Close that program, then submit again.",
)
def test_nothing_is_sent_while_a_program_holds_the_ledger(
    trial, elsewhere, monkeypatch, is_said
) -> None:
    monkeypatch.setattr(storage, "_BUSY_S", 0.2)
    browser = elsewhere(HOLD, trial.folder / "helios.sqlite")
    with pytest.raises(StudyError) as caught:
        trial.submit()
    is_said(caught.value)
    assert trial.sandbox.log.count() == 0
    browser.communicate()
    trial.heal()
