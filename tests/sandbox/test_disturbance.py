"""Each fault is what a client meets on the wire."""

import hashlib
import json

import httpx
import pytest

from support.faults import Fault, Faults, Rule, Step

BODY = json.dumps(
    {
        "user": {"userLabel": "P01", "dateOfBirth": "1990-01-31", "birthSex": "FEMALE"},
        "language": "en-GB",
    }
).encode()


def faulty(*rules: Rule, **others: object) -> Faults:
    return Faults(rules=rules, **others)


def create_request(key: str) -> bytes:
    head = (
        "POST /v1/models/mental-wellness HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"x-api-key: {key}\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    return head.encode() + BODY


@pytest.mark.parametrize(("fault", "is_reset"), [(Fault.RESET, True), (Fault.CLOSE, False)])
@pytest.mark.parametrize("after_work", [False, True])
def test_a_dropped_connection_carries_no_byte_of_an_answer(start, fault, is_reset, after_work):
    caller = start(faults=faulty(Rule(fault, after_work=after_work)))
    received, reset = caller.raw(create_request(caller.sandbox.api_key))
    assert (received, reset) == (b"", is_reset)
    assert len(caller.sandbox.log.puts) == int(after_work)
    (request,) = caller.sandbox.log.requests
    assert (request.step, request.status, request.fault) == (Step.CREATE, None, fault)


def test_dropped_connections_leave_no_complaint_in_the_server_s_log(start, caplog):
    caller = start(faults=faulty(Rule(Fault.RESET), Rule(Fault.CLOSE)))
    for fault in (Fault.RESET, Fault.CLOSE, Fault.CUT):
        caller.sandbox.faults = faulty(Rule(fault))
        with pytest.raises(httpx.TransportError):
            caller.create()
    caller.sandbox.faults = Faults()
    caller.create()
    assert [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []


def test_an_answer_that_breaks_off_promises_more_than_it_holds(start):
    caller = start(faults=faulty(Rule(Fault.CUT)))
    received, reset = caller.raw(create_request(caller.sandbox.api_key))
    head, _, body = received.partition(b"\r\n\r\n")
    (length,) = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.startswith(b"content-length")
    ]
    assert head.startswith(b"HTTP/1.1 200 ")
    assert len(body) == length // 2
    assert not reset
    assert len(caller.sandbox.log.puts) == 1


def test_half_a_json_body_arrives_complete_but_does_not_parse(start):
    caller = start(faults=faulty(Rule(Fault.HALF_JSON)))
    answer = caller.api.get("/v1/account")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.text.startswith('{"id":"sandbox-')
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_login_page_comes_with_status_200(start):
    caller = start(faults=faulty(Rule(Fault.HTML)))
    answer = caller.api.get("/v1/account")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "Sign in" in answer.text


@pytest.mark.parametrize("status", [500, 502, 503, 504, 404, 408, 599])
@pytest.mark.parametrize("retry_after", [None, "7"])
def test_an_error_status_comes_with_or_without_retry_after(start, status, retry_after):
    caller = start(faults=faulty(Rule(Fault.STATUS, status=status, retry_after=retry_after)))
    answer = caller.api.get("/v1/account")
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == retry_after
    assert answer.json()["detail"]


def test_an_error_of_the_upload_host_is_xml(start, audio):
    caller = start(faults=faulty(Rule(Fault.STATUS, on=Step.UPLOAD, status=503)))
    answer = caller.put(caller.create()["recordingUploadUrl"], audio())
    assert answer.status_code == 503
    assert "<Code>ServiceUnavailable</Code>" in answer.text


def test_a_redirect_leads_to_the_other_host_which_tells_on_a_key(start):
    caller = start(faults=faulty(Rule(Fault.REDIRECT, on=Step.ACCOUNT)))
    answer = caller.api.get("/v1/account")
    assert answer.status_code == 307
    assert answer.headers["location"] == f"{caller.sandbox.upload_url}/v1/account"
    caller.api.get(answer.headers["location"])
    assert [violation.what for violation in caller.sandbox.log.violations] == [
        "API key sent to the upload host"
    ]


def test_a_redirect_can_lead_anywhere_with_any_redirect_status(start):
    rule = Rule(Fault.REDIRECT, status=302, location="https://example.org/")
    answer = start(faults=faulty(rule)).api.get("/v1/account")
    assert (answer.status_code, answer.headers["location"]) == (302, "https://example.org/")


@pytest.mark.parametrize("after_work", [False, True])
def test_a_slow_answer_outlasts_the_client_s_patience(start, after_work):
    rule = Rule(Fault.SLOW, delay_s=60.0, after_work=after_work)
    caller = start(faults=faulty(rule))
    with pytest.raises(httpx.ReadTimeout):
        caller.api.post(
            "/v1/models/mental-wellness",
            content=BODY,
            headers={"content-type": "application/json"},
            timeout=0.3,
        )
    assert len(caller.sandbox.log.puts) == int(after_work)


def test_a_slow_answer_is_the_true_one(start):
    caller = start(faults=faulty(Rule(Fault.SLOW, delay_s=0.05, after_work=True)))
    assert caller.api.get("/v1/account").json()["id"].startswith("sandbox-")


def test_an_upload_whose_answer_is_lost_has_arrived(start, clock, audio):
    caller = start(clock=clock, faults=faulty(Rule(Fault.RESET, on=Step.UPLOAD, after_work=True)))
    created = caller.create()
    with pytest.raises(httpx.TransportError):
        caller.put(created["recordingUploadUrl"], audio())
    assert caller.settle(created["id"])["status"] == "COMPLETE_OK"
    sha256 = hashlib.sha256(audio()).hexdigest()
    assert caller.sandbox.log.runs_by_audio == {sha256: [created["id"]]}


def test_an_upload_that_is_reset_before_the_work_has_not_arrived(start, clock):
    caller = start(clock=clock, faults=faulty(Rule(Fault.RESET, on=Step.UPLOAD, times=1)))
    created = caller.create()
    with pytest.raises(httpx.TransportError):
        caller.put(created["recordingUploadUrl"], b"x" * 10_000_000)
    clock.advance(100)
    assert caller.state(created["id"])["status"] == "CREATED"


def test_the_first_runs_of_an_audio_end_in_err_internal(start, clock, audio):
    caller = start(clock=clock, faults=faulty(failing_first=2))
    codes = [caller.settle(caller.submit(audio()))["errorCode"] for _ in range(3)]
    assert codes == ["ERR_INTERNAL", "ERR_INTERNAL", None]


def test_stuck_runs_stay_running_until_the_faults_are_lifted(start, clock, audio):
    caller = start(clock=clock, faults=faulty(stuck_first=1))
    run_id = caller.submit(audio())
    clock.advance(100_000)
    assert caller.state(run_id)["status"] == "RUNNING"
    assert caller.settle(caller.submit(audio()))["status"] == "COMPLETE_OK"
    lifted_at = clock.now
    caller.sandbox.faults = Faults()
    assert caller.settle(run_id)["status"] == "COMPLETE_OK"
    assert caller.sandbox.completions()[run_id].timestamp() >= lifted_at


def test_faults_are_counted(start):
    caller = start(faults=faulty(Rule(Fault.HTML, times=3)))
    for _ in range(5):
        caller.api.get("/v1/account")
    log = caller.sandbox.log
    assert log.faults_struck(Fault.HTML) == log.faults_struck(step=Step.ACCOUNT) == 3
    assert log.faults_struck(Fault.RESET) == 0


def test_a_hostile_service_still_loses_no_connection_slot(start, audio):
    caller = start(faults=Faults.hostile(0.6, seed=3))
    for _ in range(150):
        try:
            caller.api.get("/v1/account")
        except httpx.TransportError:
            continue
    caller.sandbox.faults = Faults()
    assert caller.api.get("/v1/account").status_code == 200
    assert caller.sandbox.log.count() == 151
