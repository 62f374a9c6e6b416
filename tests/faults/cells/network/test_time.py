"""Clocks that are set while a study runs, laptops that sleep, and uploads that were swallowed."""

from datetime import timedelta

import pytest

from helios_research.ledger import Ledger, State
from helios_research.state.status import UPLOAD_URL_LIFETIME
from support.faults import Step

THREE_HOURS = timedelta(hours=3)
SHIFTS = {
    "the clock jumps forwards": THREE_HOURS,
    "the clock jumps backwards": -THREE_HOURS,
}


def continues(step: str, fault: str, happens: str, *values: object) -> object:
    """Give the parameters of a cell of which nothing is to be seen."""
    mark = pytest.mark.fault(step=step, fault=fault, ending="continues", happens=happens)
    return pytest.param(step, *values, id=f"{step}, {fault}", marks=mark)


WHILE = {
    "create": "At worst an upload URL looks expired, and a run without audio is replaced by another.",
    "upload": "Whether it arrived is found out by asking, and not by the clock.",
    "poll": "The waiting time for a run is measured by a clock that cannot be set.",
}


@pytest.mark.parametrize(
    ("step", "shift"),
    [
        continues(step, fault, happens, shift)
        for fault, shift in SHIFTS.items()
        for step, happens in WHILE.items()
    ],
)
def test_a_clock_that_is_set_during_a_request_changes_nothing(
    trial, relay, clock, step, shift
) -> None:
    def set_clock(exchange) -> None:
        answer = exchange.ask_the_service()
        clock.set_by(shift)
        exchange.send(answer)

    relay.play(step, set_clock, 1)
    results = trial.submit()
    assert results["outcome"].tolist() == ["scored"] * 3
    assert relay.played == [step]
    trial.heal()


def show_as_created(exchange) -> None:
    """Answer as the service does for a moment after an upload."""
    run_id = exchange.head.split(b" ")[1].rpartition(b"/")[2]
    exchange.answer(200, b'{"id": "%s", "status": "CREATED"}' % run_id)


@pytest.mark.parametrize("is_answered", [True, False], ids=["answered", "answer lost"])
@pytest.mark.parametrize("shift", SHIFTS.values(), ids=SHIFTS)
def test_a_clock_that_is_set_before_a_run_shows_its_audio_pays_nothing_twice(
    trial, relay, clock, shift, is_answered
) -> None:
    """By the clock the upload URL has expired, and the run looks as if nothing had arrived."""

    def take_and_set_the_clock(exchange) -> None:
        answer = exchange.ask_the_service()
        clock.set_by(shift)
        if is_answered:
            exchange.send(answer)

    relay.play("upload", take_and_set_the_clock, 1)
    relay.play("poll", show_as_created, 1)
    results = trial.submit(1)
    assert results["outcome"].tolist() == ["scored"]
    assert results["attempts"].tolist() == [1]


@pytest.mark.parametrize(
    ("step", "shift"),
    [
        continues(
            "ledger write",
            fault,
            "The order of what was done is kept by number, its times as the clock showed them.",
            shift,
        )
        for fault, shift in SHIFTS.items()
    ],
)
@pytest.mark.parametrize("state", ["create", "upload", "poll"])
def test_a_clock_that_is_set_between_two_submissions_changes_nothing(
    trial, relay, clock, step, shift, state
) -> None:
    relay.play(state, lambda exchange: exchange.body())
    assert set(trial.submit(patience=1.0)["outcome"]) == {"pending"}
    clock.set_by(shift)
    relay.calm()
    results = trial.heal()
    with Ledger.read(trial.folder) as ledger:
        states = [attempt.state for attempt in ledger.attempts()]
    assert states.count(State.SCORED) == 3
    assert results["completed_at"].notna().all()


# --- a laptop that is closed -------------------------------------------------------------------------

TWO_HOURS_S = 7200.0
ASLEEP = {
    "create": ("continues", "The connection is dead after the sleep; the run is requested again."),
    "upload": (
        "new run",
        "The connection is dead on waking, and the upload URL has expired. The run is asked: it "
        "has no audio, so another one takes its place.",
    ),
    "poll": ("continues", "The connection is dead after the sleep; the request is made again."),
}


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(
            step,
            id=step,
            marks=pytest.mark.fault(
                step=step, fault="two hours of sleep", ending=ending, happens=happens
            ),
        )
        for step, (ending, happens) in ASLEEP.items()
    ],
)
def test_a_laptop_that_sleeps_during_its_requests_goes_on_when_it_wakes(
    trial, relay, clock, step
) -> None:
    asleep = []

    def fall_asleep(exchange) -> None:
        if not asleep:
            asleep.append(step)
            clock.suspend(TWO_HOURS_S)
        # In the middle of a request: no byte of the answer, and the half of an upload.

    relay.play(step, fall_asleep, 3)
    # One alone: another's run could be without its recording yet, and its URL expires meanwhile.
    results = trial.submit(1)
    assert results["outcome"].tolist() == ["scored"], results["error_reason"].tolist()
    if step != "upload":
        assert results["attempts"].tolist() == [1]
    trial.heal()


def test_an_upload_that_arrived_before_the_laptop_slept_is_not_made_again(
    trial, relay, clock
) -> None:
    def arrive_and_fall_asleep(exchange) -> None:
        exchange.ask_the_service()
        clock.suspend(TWO_HOURS_S)

    relay.play("upload", arrive_and_fall_asleep, 1)
    results = trial.submit(1)
    assert results["outcome"].tolist() == ["scored"]
    assert results["attempts"].tolist() == [1]
    assert trial.sandbox.log.count(Step.UPLOAD) == 1


# --- uploads that something on the way took ----------------------------------------------------------


@pytest.mark.fault(
    step="upload",
    fault="HTML instead of JSON",
    ending="new run",
    happens="The upload counts as done, since the status says so. The run shows that it has no "
    "audio: after a minute the recording is sent again, to the same run and at most three times; once "
    "the upload URL has expired, another run takes its place.",
    code="TIMED_OUT",
    sees="The run was still CREATED after {place} of waiting; the next submission asks for it again.",
    do="Log in to the network, and submit again if rows are left `pending`.",
)
def test_an_upload_that_a_login_page_took_is_made_again_in_another_run(
    trial, relay, clock, cell
) -> None:
    relay.play("upload", lambda exchange: exchange.answer(200, b"<html>Please sign in</html>"))
    results = trial.submit(deadline_s=10.0)
    assert results["outcome"].tolist() == ["pending"] * 3
    assert results["error_code"].tolist() == [cell.code] * 3
    begin, _, end = cell.sees.partition("{place}")
    assert all(r.startswith(begin) and r.endswith(end) for r in results["error_reason"])
    relay.calm()
    clock.suspend(UPLOAD_URL_LIFETIME.total_seconds())
    healed = trial.heal()
    assert healed["attempts"].tolist() == [2] * 3


def swallow(exchange) -> None:
    exchange.answer(200, b"")


def test_an_upload_that_was_taken_and_never_came_is_made_again_to_the_same_run(
    trial, relay
) -> None:
    relay.play("upload", swallow, 2)
    results = trial.submit()
    assert results["outcome"].tolist() == ["scored"] * 3
    assert results["attempts"].tolist() == [1] * 3
    assert trial.sandbox.log.count(Step.UPLOAD) == 3


def test_uploads_that_are_always_taken_and_never_come_are_made_four_times_and_no_more(
    trial, relay
) -> None:
    relay.play("upload", swallow)
    results = trial.submit(1, deadline_s=600.0)
    assert results["outcome"].tolist() == ["pending"]
    assert relay.played.count("upload") == 4
    relay.calm()
    assert trial.heal(1)["attempts"].tolist() == [1]
