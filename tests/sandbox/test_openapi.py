"""Schemathesis holds the sandbox to the API's contract."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.generation.case import Case

from helios_research.sandbox import Sandbox, SandboxSettings

CONTRACT = Path(__file__).parents[1] / "openapi.yaml"
LOCAL_TIMES = ("recordingTime", "sleepTime", "wakeTime")

schema = schemathesis.openapi.from_path(CONTRACT)


def keep_to_the_words(body: Any) -> Any:
    """Keep to the rules that the contract has only in words: local times, unique tag names."""
    if not isinstance(body, dict):
        return body
    fit = {
        name: "2026-01-31T07:30:00" if name in LOCAL_TIMES and isinstance(value, str) else value
        for name, value in body.items()
    }
    if isinstance(fit.get("tags"), list):
        fit["tags"] = [numbered(tag, position) for position, tag in enumerate(fit["tags"])]
    return fit


def numbered(tag: Any, position: int) -> Any:
    named = isinstance(tag, dict) and isinstance(tag.get("name"), str) and tag["name"]
    return tag | {"name": f"{position} {tag['name']}"} if named else tag


@pytest.fixture(scope="module")
def open_sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxSettings()) as sandbox:
        yield sandbox


@schema.parametrize()
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_answer_fits_the_contract(open_sandbox: Sandbox, case: Case):
    case.body = keep_to_the_words(case.body)
    case.call_and_validate(
        base_url=open_sandbox.base_url, headers={"x-api-key": open_sandbox.api_key}
    )


def test_the_answers_of_a_run_s_whole_life_fit_the_contract(
    start: Callable[..., Any], clock: Any, audio: Any
):
    caller = start(clock=clock)
    operation = schema["/v1/models/mental-wellness/{model_run_id}"]["GET"]
    statuses = []
    for recording in (audio(), audio(speech_s=10.5), audio(speech_s=3.0)):
        run_id = caller.create()["id"]
        operation.validate_response(caller.fetch(run_id))
        run_id = caller.submit(recording)
        clock.advance(0.5)
        operation.validate_response(caller.fetch(run_id))
        statuses.append(caller.settle(run_id)["status"])
        operation.validate_response(caller.fetch(run_id))
    assert statuses == ["COMPLETE_OK", "COMPLETE_OK", "COMPLETE_ERROR"]
