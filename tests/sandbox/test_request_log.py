"""The log of an observed sandbox holds what arrived."""

import threading
from datetime import UTC, datetime

import httpx

from support.faults import Step


def test_requests_are_counted_by_step_status_and_second(caller, clock):
    second = int(clock.now)
    caller.api.get("/v1/account")
    caller.fetch("abc")
    clock.advance(2)
    caller.fetch("abc")
    caller.api.get("/nowhere")
    log = caller.sandbox.log
    assert log.count() == 4
    assert log.count(Step.POLL) == log.count(Step.POLL, 422) == 2
    assert log.count(status=200) == log.count(Step.ACCOUNT) == 1
    assert log.count(Step.OTHER, 404) == 1
    assert log.per_second() == {second: 2, second + 2: 2}
    assert log.per_second(Step.POLL) == {second: 1, second + 2: 1}
    assert [request.step for request in log.requests] == ["account", "poll", "poll", "other"]
    assert log.requests[0].at == datetime.fromtimestamp(second, UTC)


def test_the_bodies_of_requests_for_runs_are_kept(caller):
    run_id = caller.create(tags=[{"name": "arm", "value": "é"}])["id"]
    assert caller.sandbox.log.request_of(run_id)["tags"] == [{"name": "arm", "value": "é"}]


def test_a_run_without_a_recording_has_no_puts_and_costs_nothing(caller):
    run_id = caller.create()["id"]
    assert caller.sandbox.log.puts == {run_id: []}
    assert caller.sandbox.log.runs_by_audio == {}


def test_the_same_audio_under_two_runs_is_seen(caller, audio):
    runs = [caller.submit(audio()) for _ in range(2)]
    (found,) = caller.sandbox.log.runs_by_audio.values()
    assert found == runs


def test_the_most_requests_at_once_are_known(start):
    caller = start(latency_s=0.3)
    url = f"{caller.sandbox.base_url}/v1/account"
    asking = [threading.Thread(target=httpx.get, args=(url,)) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert 2 <= caller.sandbox.log.max_in_flight["api"] <= 4


def test_each_request_names_its_run_and_never_the_signature_of_an_upload(caller, audio):
    run_id = caller.submit(audio())
    caller.fetch(run_id)
    paths = {request.step: request.path for request in caller.sandbox.log.requests}
    assert paths["upload"].endswith(f"/{run_id}")
    assert paths["poll"].endswith(f"/{run_id}")
    assert not any("?" in path for path in paths.values())


def test_how_each_complete_run_ended_is_known(caller, audio):
    scored, failed, waiting = (
        caller.submit(audio()),
        caller.submit(audio(speech_s=1.0)),
        caller.create()["id"],
    )
    assert caller.sandbox.error_codes() == {}
    for run_id in (scored, failed):
        caller.settle(run_id)
    ends = caller.sandbox.error_codes()
    assert ends == {scored: None, failed: "ERR_RECORDING_TOO_SHORT"}
    assert waiting not in ends
