"""Programs that are asked to end, interrupted or killed, at each step of a submission."""

import signal
import time

import pytest

from helios_research.ledger import Ledger, State

SIGKILL, SIGTERM, SIGINT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
INTERRUPTED = "Interrupted. Run the same command again to continue."

SCRIPT = """
import sys
import helios_research as hr
cohort = hr.read_cohort(sys.argv[2], tags=["arm"])
hr.Study(sys.argv[4]).submit(cohort, preflight=False, rate=80, poll_floor_s=0.1)
"""

# What the next submission does after a kill, and what a submission that is asked to end still does.
AFTER_A_KILL = {
    "create": "The next submission creates a run anew; the one before has no audio, and no effect.",
    "upload": "The next submission asks the run whether the recording arrived, and sends it again "
    "only if not.",
    "poll": "The next submission asks for the scores again.",
    "ledger write": "A write is there as a whole or not at all. The next submission continues from "
    "the last one.",
    "results write": "`results.parquet` stays as it was; the next submission writes it.",
}
BEFORE_THE_END = {
    "create": "What is in flight is waited for (10 s at most) and written down; nothing new is "
    "begun.",
    "upload": "What is in flight is waited for (10 s at most) and written down; nothing new is "
    "begun.",
    "poll": "What is in flight is waited for (10 s at most) and written down; nothing new is begun.",
    "ledger write": "What is being written is written to its end.",
    "results write": "The file is written to its end.",
}


def ends(step: str, number: signal.Signals, *values: object) -> object:
    """Give the parameters of a cell in which the program ends."""
    killed = number is SIGKILL
    mark = pytest.mark.fault(
        step=step,
        fault=number.name,
        ending="kept",
        happens=(AFTER_A_KILL if killed else BEFORE_THE_END)[step],
        sees="" if killed else INTERRUPTED,
        do="Submit again.",
    )
    return pytest.param(
        step, number, *values, id=", ".join(map(str, (step, number.name, *values))), marks=mark
    )


def hold_the_end(child, number: signal.Signals, cell) -> None:
    """Hold that a process ended as its signal demands, without a word too much."""
    status = child.end()
    if number is SIGKILL:
        assert status == -SIGKILL
    else:
        assert status == 130, child.err
        assert "Traceback" not in child.err
        assert child.err.splitlines()[-1] == cell.sees


@pytest.mark.parametrize("acted", [False, True], ids=["before", "after the server acted"])
@pytest.mark.parametrize(
    ("step", "number"), [ends(step, SIGKILL) for step in ("create", "upload", "poll")]
)
def test_a_killed_submission_goes_on(
    trial, relay, submit_elsewhere, cell, step, number, acted
) -> None:
    def kill(exchange) -> None:
        if acted:
            exchange.ask_the_service()
        child.signal(number)

    relay.play(step, kill, 1)
    child = submit_elsewhere()
    hold_the_end(child, number, cell)
    trial.heal()


@pytest.mark.parametrize(
    ("step", "number"),
    [ends(step, number) for number in (SIGTERM, SIGINT) for step in ("create", "upload", "poll")],
)
def test_a_submission_that_is_asked_to_end_keeps_what_is_in_flight(
    trial, relay, submit_elsewhere, cell, step, number
) -> None:
    def ask_to_end(exchange) -> None:
        child.signal(number)
        # It has to be on its way out before the answer comes, and must take it all the same.
        time.sleep(0.3)
        exchange.send(exchange.ask_the_service())

    relay.play(step, ask_to_end, 1)
    child = submit_elsewhere()
    hold_the_end(child, number, cell)
    with Ledger.read(trial.folder) as ledger:
        states = {attempt.state for attempt in ledger.attempts()}
    # No upload is left without its answer; where a run was created, its URL was kept.
    assert State.UPLOADING not in states
    trial.heal()


def test_a_script_of_ones_own_ends_at_once_on_sigterm_and_goes_on_the_next_time(
    trial, relay, submit_elsewhere
) -> None:
    def ask_to_end(exchange) -> None:
        child.signal(SIGTERM)

    relay.play("upload", ask_to_end, 1)
    child = submit_elsewhere(command=SCRIPT)
    assert child.end() == -SIGTERM
    trial.heal()


# Strikes within a process: when a group of writes is on the disk before any caller knows of it,
# and when the results are complete but not yet in their place.
AT_A_COMMIT = """
import os
from helios_research.ledger.store import GroupWriter
transact = GroupWriter._transact
commits = 0
def strike(self, group):
    global commits
    values = transact(self, group)
    commits += 1
    if commits == {at}:
        os.kill(os.getpid(), {number})
    return values
GroupWriter._transact = strike
"""
AT_THE_RESULTS = """
import os, sys
def strike(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("results.parquet"):
        os.kill(os.getpid(), {number})
sys.addaudithook(strike)
"""


@pytest.mark.parametrize(
    ("step", "number", "at"),
    [
        ends("ledger write", number, at)
        for number, at in ((SIGKILL, 5), (SIGKILL, 8), (SIGTERM, 6), (SIGINT, 6))
    ],
)
def test_a_write_is_there_as_a_whole_or_not_at_all(
    trial, submit_elsewhere, cell, step, number, at
) -> None:
    trial.base_url = trial.sandbox.base_url
    child = submit_elsewhere(AT_A_COMMIT.format(at=at, number=int(number)))
    hold_the_end(child, number, cell)
    trial.heal()


@pytest.mark.parametrize(
    ("step", "number"), [ends("results write", number) for number in (SIGKILL, SIGTERM, SIGINT)]
)
def test_results_are_there_as_a_whole_or_as_they_were(
    trial, submit_elsewhere, cell, step, number
) -> None:
    trial.base_url = trial.sandbox.base_url
    child = submit_elsewhere(AT_THE_RESULTS.format(number=int(number)))
    hold_the_end(child, number, cell)
    assert (trial.folder / "results.parquet").exists() == (number is not SIGKILL)
    assert trial.study.results()["outcome"].tolist() == ["scored"] * 3
    trial.heal()
    assert not [path.name for path in trial.folder.iterdir() if path.name.endswith(".part")]


def test_an_interrupt_while_the_libraries_load_is_answered_like_any_other(submit_elsewhere) -> None:
    child = submit_elsewhere(
        "import os, sys\n"
        "def strike(event, arguments):\n"
        "    if event == 'import' and arguments[0] == 'pandas':\n"
        f"        os.kill(os.getpid(), {int(SIGINT)})\n"
        "sys.addaudithook(strike)\n"
    )
    assert child.end() == 130, child.err
    assert child.err.splitlines() == [INTERRUPTED]
