"""Answers that look right and belong to another request: none is taken for this recording's."""

import re
from urllib.parse import quote

import pytest

from support.faults import Fault, Faults, Rule, Step

REPEATS = "an answer of another request"
OF_ANOTHER = "An answer was about {place}, so it was not used."
FIND_THE_CACHE = (
    "Submit again if rows are left `pending`. If they stay so, find out whether a proxy or a cache "
    "repeats old answers."
)


def asked_again(step: str, happens: str) -> object:
    """Give a cell in which an answer is not believed and asked for again."""
    return pytest.mark.fault(
        step=step,
        fault=REPEATS,
        ending="tried again",
        happens=happens,
        code="ANSWER_MIXED_UP",
        sees=OF_ANOTHER,
        do=FIND_THE_CACHE,
    )


@asked_again(
    "create",
    "A run, and an upload URL, belong to one recording. One that the study has already is refused, and "
    "the run is asked for again.",
)
def test_a_run_of_an_earlier_recording_is_refused(prove_by_sandbox) -> None:
    prove_by_sandbox(Rule(Fault.REPEAT, on=Step.CREATE))


@asked_again(
    "poll",
    "An answer that names another run or another participant is never used; the question is asked "
    "again.",
)
@pytest.mark.parametrize(
    "rule",
    [
        Rule(Fault.REPEAT, on=Step.POLL),
        Rule(Fault.CHANGE, on=Step.POLL, change=lambda run: run | {"id": "another"}),
        Rule(Fault.CHANGE, on=Step.POLL, change=lambda run: run | {"userLabel": "another"}),
    ],
    ids=["repeated", "another run", "another participant"],
)
def test_scores_of_another_run_or_participant_are_refused(prove_by_sandbox, rule) -> None:
    prove_by_sandbox(rule)


@pytest.mark.parametrize("name", ["id", "recordingUploadUrl"])
def test_neither_half_of_an_earlier_answer_is_taken_for_a_new_run(trial, name) -> None:
    first: dict[str, str] = {}

    def repeat(created: dict[str, str]) -> dict[str, str]:
        first.setdefault(name, created[name])
        return created | first

    trial.sandbox.faults = Faults(
        rules=(Rule(Fault.CHANGE, on=Step.CREATE, change=repeat, times=6),)
    )
    results = trial.submit(6)
    assert set(results["outcome"]) == {"scored"}
    assert results["model_run_id"].is_unique


@pytest.mark.parametrize("mark", [":", "/", "?", " "])
def test_a_run_id_may_have_any_form(trial, relay, mark) -> None:
    def rename(exchange) -> None:
        exchange.head = exchange.head.replace(quote(mark, safe="").encode(), b"-")
        answer = exchange.ask_the_service()
        id_there = re.compile(rb'"id": ?"[^"]*"')
        exchange.send(id_there.sub(lambda found: found[0].replace(b"-", mark.encode()), answer))

    relay.play("create", rename)
    relay.play("poll", rename)
    results = trial.start().wait()
    assert results["outcome"].tolist() == ["scored"] * 3
    assert all(mark in run_id for run_id in results["model_run_id"])
    assert trial.sandbox.log.count(Step.CREATE) == 3
