"""Requests and answers that get lost, and refusals that pass: each made again, none paid twice."""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus

import pytest

from support.faults import Fault, Faults, Rule, Step

STEPS = {"create": Step.CREATE, "upload": Step.UPLOAD, "poll": Step.POLL}

# What a request that is made again means at each step.
AGAIN = {
    "create": "The run is asked for again. One that was created without our knowing has no audio, "
    "and so no effect.",
    "upload": "The run is asked whether the recording arrived; only if not, it is sent again, to "
    "the same run.",
    "poll": "The question is asked again.",
}
BROKEN_OFF = {
    "code": "UNREACHABLE",
    "sees": "The connection broke off before the answer was complete{place}.",
}


def tried_again(fault: str, step: str, *values: object, **words: str) -> object:
    """Give the parameters of a cell in which a request is made again."""
    mark = pytest.mark.fault(
        step=step,
        fault=fault,
        ending="tried again",
        happens=AGAIN[step],
        do="Submit again if rows are left `pending`.",
        **words,
    )
    return pytest.param(step, *values, id=f"{step}, {fault}", marks=mark)


@pytest.mark.parametrize(
    "step", [tried_again("reset before the server acted", step, **BROKEN_OFF) for step in STEPS]
)
def test_a_request_that_gets_lost_is_made_again(prove_by_sandbox, step) -> None:
    prove_by_sandbox(Rule(Fault.RESET, on=STEPS[step]))


@pytest.mark.parametrize(
    "step",
    [
        tried_again("reset after the server acted", step, **BROKEN_OFF)
        for step in ("create", "poll")
    ],
)
def test_a_request_whose_answer_gets_lost_is_made_again(prove_by_sandbox, step) -> None:
    prove_by_sandbox(Rule(Fault.RESET, on=STEPS[step], after_work=True))


@pytest.mark.fault(
    step="upload",
    fault="reset after the server acted",
    ending="continues",
    happens="The run is asked whether the recording arrived. It did, so it is not sent again.",
)
@pytest.mark.parametrize("fault", [Fault.RESET, Fault.CLOSE])
def test_an_upload_whose_answer_gets_lost_is_not_made_again(trial, fault) -> None:
    trial.sandbox.faults = Faults(rules=(Rule(fault, on=Step.UPLOAD, after_work=True),))
    assert trial.submit()["outcome"].tolist() == ["scored"] * 3
    assert trial.sandbox.log.count(Step.UPLOAD) == 3
    assert trial.sandbox.log.faults_struck(fault) == 3


def refusals() -> list[object]:
    """Give the cells of refusals that pass: status, and how they say when to come back."""
    kinds = [("HTTP 429, Retry-After in seconds", 429, "seconds")]
    kinds += [("HTTP 429, Retry-After as a date", 429, "date")]
    kinds += [("HTTP 429 without Retry-After", 429, None)]
    kinds += [(f"HTTP {status}", status, None) for status in (500, 502, 503, 504)]
    found = []
    for fault, status, wait in kinds:
        phrase = HTTPStatus(status).phrase
        for step in STEPS:
            said = "asks to slow down" if status == 429 else "could not answer"
            sees = f"Helios {said}. It says: {phrase}"
            if step == "upload":
                sees = f"The upload host did not take the recording ({phrase.replace(' ', '')})."
            code = f"HTTP_{status}"
            found.append(tried_again(fault, step, status, wait, code=code, sees=sees))
    return found


@pytest.mark.parametrize(("step", "status", "wait"), refusals())
def test_a_refusal_that_may_pass_is_waited_for(prove_by_sandbox, step, status, wait) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    says = {"seconds": "1", "date": soon, None: None}[wait]
    prove_by_sandbox(Rule(Fault.STATUS, on=STEPS[step], status=status, retry_after=says))


@pytest.mark.parametrize(
    "step",
    [
        tried_again(
            "HTML instead of JSON",
            step,
            code="UNREADABLE_ANSWER",
            sees="An answer came that could not be read: HTTP 200 with a web page.",
        )
        for step in ("create", "poll")
    ],
)
def test_a_web_page_in_place_of_an_answer_is_not_believed(prove_by_sandbox, step) -> None:
    prove_by_sandbox(Rule(Fault.HTML, on=STEPS[step]))


@pytest.mark.parametrize(
    "step",
    [
        tried_again(
            "half a JSON",
            step,
            code="UNREADABLE_ANSWER",
            sees="An answer came that could not be read: HTTP 200 with {place} bytes of type "
            "application/json.",
        )
        for step in ("create", "poll")
    ],
)
def test_half_an_answer_is_not_believed(prove_by_sandbox, step) -> None:
    prove_by_sandbox(Rule(Fault.HALF_JSON, on=STEPS[step]))


def test_half_an_answer_to_the_first_question_is_asked_again(trial) -> None:
    trial.sandbox.faults = Faults(rules=(Rule(Fault.HALF_JSON, on=Step.ACCOUNT, times=2),))
    assert trial.submit()["outcome"].tolist() == ["scored"] * 3


@pytest.mark.parametrize("step", STEPS.values())
def test_an_answer_that_is_lost_in_any_other_way_is_asked_for_again(trial, step) -> None:
    spoiled = [
        Rule(Fault.CLOSE, on=step, times=1),
        Rule(Fault.CLOSE, on=step, times=1, after_work=True),
        Rule(Fault.CUT, on=step, times=1),
        # A gateway's errors and pages may hide that the service acted.
        Rule(Fault.STATUS, on=step, times=1, after_work=True, status=502),
        Rule(Fault.HTML, on=step, times=1, after_work=True),
    ]
    trial.sandbox.faults = Faults(rules=tuple(spoiled))
    assert trial.submit(6)["outcome"].tolist() == ["scored"] * 6
    assert trial.sandbox.log.faults_struck(step=step) == len(spoiled)


def test_an_upload_host_that_says_when_to_come_back_is_left_alone_until_then(
    trial, relay, clock
) -> None:
    asked_at: list[float] = []

    def refuse(exchange) -> None:
        asked_at.append(clock.monotonic())
        exchange.body()
        exchange.send(b"HTTP/1.1 503 Slow Down\r\nRetry-After: 40\r\nContent-Length: 0\r\n\r\n")

    relay.play("upload", refuse, 2)
    assert trial.submit(1, uploads=1)["outcome"].tolist() == ["scored"]
    first, second = asked_at
    assert second - first >= 40


@pytest.mark.parametrize(("status", "retry_after"), [(429, None), (429, "1"), (503, None)])
def test_where_most_requests_are_refused_all_goes_on_slowly_and_says_so(
    trial, status: int, retry_after: str | None
) -> None:
    rule = Rule(Fault.STATUS, status=status, retry_after=retry_after, rate=0.9)
    refused = [replace(rule, on=step) for step in (Step.ACCOUNT, Step.CREATE, Step.POLL)]
    trial.sandbox.faults = Faults(rules=tuple(refused), seed=4)
    submission = trial.start(3, rate=None)
    said = set()
    while submission.is_running:
        said.add(submission.progress.limited_by)
        time.sleep(0.02)
    results = submission.wait()
    trial.hold(results)
    assert results["outcome"].tolist() == ["scored"] * 3
    assert any(
        re.fullmatch(
            r"Helios refuses most requests: \d+ of \d+ got through in the last minute", words
        )
        for words in said
    ), said
