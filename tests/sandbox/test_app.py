"""The API answers as Helios does."""

import hashlib
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

RUNS = "/v1/models/mental-wellness"
PERSON = {"userLabel": "P01", "dateOfBirth": "1990-01-31", "birthSex": "FEMALE"}


@pytest.mark.parametrize("key", [None, "", "wrong", "é"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/account"), ("POST", RUNS), ("GET", f"{RUNS}/x")],
)
def test_without_the_key_nothing_is_answered(caller, method, path, key):
    headers = {} if key is None else {"x-api-key": key.encode()}
    answer = httpx.request(method, caller.sandbox.base_url + path, headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Missing or unknown API key"})


def test_the_account_is_recognisably_a_sandbox(caller):
    account = caller.api.get("/v1/account").json()
    assert account["id"].startswith("sandbox-")
    assert account["features"] == ["mental-wellness"]
    assert caller.sandbox.api_key not in str(account)


def test_a_new_run_is_created_and_waits_for_its_recording(caller, clock):
    created = caller.create()
    assert created["recordingUploadUrl"].startswith(caller.sandbox.upload_url + "/recordings/")
    clock.advance(3_000)
    assert caller.state(created["id"]) == {
        "id": created["id"],
        "createdAt": "2026-11-18T11:06:40Z",
        "status": "CREATED",
        "userLabel": "P01",
        "deleteData": False,
        "runAt": None,
        "completedAt": None,
        "errorCode": None,
        "errorReason": None,
        "warnings": None,
        "results": None,
        "source": "sandbox",
        "synthetic": True,
    }


def test_a_run_with_a_recording_is_created_then_running_then_complete(caller, clock, audio):
    run_id = caller.submit(audio())
    assert caller.state(run_id)["status"] == "CREATED"
    clock.advance(0.2)
    running = caller.state(run_id)
    assert (running["status"], running["completedAt"]) == ("RUNNING", None)
    assert running["results"] is None
    done = caller.settle(run_id)
    assert done["status"] == "COMPLETE_OK"
    assert done["runAt"] == running["runAt"] == "2026-11-18T11:06:40.200000Z"
    assert done["runAt"] < done["completedAt"]


def test_results_hold_the_expected_scores_of_the_bytes_that_arrived(caller, audio):
    recording = audio(salt="one")
    (section,) = caller.settle(caller.submit(recording))["results"]["sections"]
    expected = caller.sandbox.expected_scores(hashlib.sha256(recording).hexdigest(), "P01")
    assert section["mentalStrain"] == {"value": expected["mental_strain"]}
    assert section["sleepPropensity"] == {"value": expected["sleep_propensity"]}
    assert section["uniformLowSelfEsteem"] == {"value": expected["uniform_low_self_esteem"]}
    assert (section["startSecs"], section["finishSecs"]) == (0.0, 30.0)
    assert "SYNTHETIC TRANSCRIPT" in section["transcript"]
    assert len(section) == 3 + 11


def test_tags_and_demographics_do_not_move_scores(caller, audio):
    one = caller.settle(caller.submit(audio()))
    tagged = caller.submit(
        audio(),
        user=PERSON | {"birthSex": "MALE", "dateOfBirth": "1950-01-01"},
        tags=[{"name": "arm", "value": "night"}],
    )
    assert caller.settle(tagged)["results"] == one["results"]


def test_a_result_can_have_several_sections(start, clock, audio):
    caller = start(clock=clock, sections=3)
    sections = caller.settle(caller.submit(audio()))["results"]["sections"]
    assert [(s["startSecs"], s["finishSecs"]) for s in sections] == [(0, 10), (10, 20), (20, 30)]
    assert len({s["mentalStrain"]["value"] for s in sections}) == 3


def test_warnings_come_with_a_result(caller, audio):
    done = caller.settle(caller.submit(audio(speech_s=10.5)))
    assert done["status"] == "COMPLETE_OK"
    assert done["warnings"] == ["Little speech: scores may be unreliable."]


def test_a_failed_run_has_a_code_and_a_reason_but_no_results(caller, audio):
    failed = caller.settle(caller.submit(audio(speech_s=3.0)))
    assert failed["status"] == "COMPLETE_ERROR"
    assert failed["errorCode"] == "ERR_RECORDING_TOO_SHORT"
    assert failed["errorReason"] == "Only 3.0 s of speech; at least 10 s are needed."
    assert failed["results"] is None


def test_processing_times_spread_but_stay_the_same_for_the_same_audio(start, clock, audio):
    def times() -> list[float]:
        caller = start(clock=clock, processing_s=20.0, pickup_s=0.0)
        runs = [caller.submit(audio(salt=str(number))) for number in range(8)]
        began = clock.now
        for run in runs:
            caller.settle(run)
        ends = caller.sandbox.completions()
        clock.now = began
        return [round(ends[run].timestamp() - began, 3) for run in runs]

    first = times()
    assert times() == first
    assert len(set(first)) == 8
    assert min(first) < 20 < max(first)


def test_deleted_data_is_gone_twelve_hours_after_completion(caller, clock, audio):
    kept, deleted = caller.submit(audio()), caller.submit(audio(), deleteData=True)
    caller.settle(kept)
    completed = caller.settle(deleted)
    assert completed["deleteData"] is True
    end = datetime.fromisoformat(completed["completedAt"])
    clock.now = (end + timedelta(hours=12)).timestamp() - 1
    assert caller.fetch(deleted).status_code == 200
    clock.advance(1.001)  # times travel in whole microseconds
    gone = caller.fetch(deleted)
    assert (gone.status_code, gone.json()) == (404, {"detail": "Model run not found"})
    assert caller.fetch(kept).status_code == 200


def test_an_unknown_run_is_404_and_a_malformed_id_422(caller):
    assert caller.fetch("00000000-0000-4000-8000-000000000000").status_code == 404
    malformed = caller.fetch("abc")
    assert malformed.status_code == 422
    assert malformed.json()["detail"] == [
        {
            "type": "uuid_parsing",
            "loc": ["path", "model_run_id"],
            "msg": "Input should be a valid UUID",
            "input": "abc",
        }
    ]


@pytest.mark.parametrize(
    ("changes", "where", "kind"),
    [
        ({"user": None}, ["body", "user"], "model_type"),
        ({"user": PERSON | {"userLabel": ""}}, ["body", "user", "userLabel"], "string_too_short"),
        ({"user": PERSON | {"userLabel": 7}}, ["body", "user", "userLabel"], "string_type"),
        (
            {"user": PERSON | {"userLabel": "x" * 51}},
            ["body", "user", "userLabel"],
            "string_too_long",
        ),
        (
            {"user": PERSON | {"dateOfBirth": "31.01.1990"}},
            ["body", "user", "dateOfBirth"],
            "value_error",
        ),
        (
            {"user": PERSON | {"dateOfBirth": "1990-02-30"}},
            ["body", "user", "dateOfBirth"],
            "value_error",
        ),
        ({"user": PERSON | {"birthSex": "female"}}, ["body", "user", "birthSex"], "literal_error"),
        ({"language": "english"}, ["body", "language"], "string_pattern_mismatch"),
        ({"sleepTime": "2026-01-31T07:30:00Z"}, ["body", "sleepTime"], "value_error"),
        ({"wakeTime": "2026-01-31 07:30"}, ["body", "wakeTime"], "value_error"),
        ({"recordingTime": "2026-13-31T07:30"}, ["body", "recordingTime"], "value_error"),
        ({"tags": [{"name": "", "value": "x"}]}, ["body", "tags", 0, "name"], "string_too_short"),
        ({"tags": [{"name": "arm"}]}, ["body", "tags", 0, "value"], "missing"),
        ({"tags": [{"name": "a", "value": "1"}] * 2}, ["body", "tags"], "value_error"),
        (
            {"tags": [{"name": str(n), "value": ""} for n in range(21)]},
            ["body", "tags"],
            "too_long",
        ),
        ({"deleteData": "true"}, ["body", "deleteData"], "bool_type"),
        ({"dataToDelete": "all"}, ["body", "dataToDelete"], "list_type"),
        ({"accent": 3}, ["body", "accent"], "string_type"),
    ],
)
def test_a_field_that_does_not_fit_is_named(caller, changes, where, kind):
    body = {"user": PERSON, "language": "en-GB", **changes}
    answer = caller.api.post(RUNS, json=body)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert (problem["loc"], problem["type"]) == (where, kind)
    assert problem["msg"]


def test_all_problems_of_a_body_are_named_at_once(caller):
    problems = caller.api.post(RUNS, json={"user": {}}).json()["detail"]
    assert [problem["loc"][-1] for problem in problems] == [
        "userLabel",
        "dateOfBirth",
        "birthSex",
        "language",
    ]


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'{"user": "\xff"}', "application/json"),
        (b'{"language": NaN}', "application/json"),
        (b'{"language": 1e999}', "application/json"),
        (b'{"language": "\\ud800"}', "application/json"),
        (b"{}", "text/plain"),
        (b"{}", ""),
    ],
)
def test_a_body_that_is_no_request_is_refused_in_the_same_shape(caller, body, media_type):
    answer = caller.api.post(RUNS, content=body, headers={"content-type": media_type})
    assert answer.status_code == 422
    assert all({"loc", "msg", "type"} <= set(problem) for problem in answer.json()["detail"])


def test_a_body_of_megabytes_is_refused(caller):
    answer = caller.api.post(RUNS, content=b" " * (1024**2 + 1))
    assert answer.status_code == 413


def test_the_rate_limit_refuses_and_says_when_to_come_back(start, clock):
    caller = start(clock=clock, rate_per_s=0.4, burst=2)
    answers = [caller.api.get("/v1/account") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "3"
    clock.advance(2.5)
    assert caller.api.get("/v1/account").status_code == 200
    assert caller.sandbox.log.refused == 1


def test_retry_after_can_be_a_date_or_absent(start, clock):
    caller = start(clock=clock, rate_per_s=0.1, burst=0, retry_after="date")
    refused = caller.api.get("/v1/account")
    until = parsedate_to_datetime(refused.headers["retry-after"])
    assert until == datetime.fromtimestamp(clock.now + 10, UTC)
    absent = start(clock=clock, rate_per_s=0.1, burst=0, retry_after="absent")
    assert "retry-after" not in absent.api.get("/v1/account").headers


def test_the_rate_can_be_changed_while_it_runs(start, clock):
    caller = start(clock=clock, rate_per_s=1.0, burst=0)
    assert caller.api.get("/v1/account").status_code == 429
    caller.sandbox.set_rate(None)
    assert caller.api.get("/v1/account").status_code == 200


def test_uploads_do_not_count_towards_the_rate(start, clock, audio):
    caller = start(clock=clock, rate_per_s=0.001, burst=1)
    url = caller.create()["recordingUploadUrl"]
    assert [caller.put(url, audio()).status_code for _ in range(5)] == [200] * 5


# --- the activity in which a participant records ----------------------------------------------------


@pytest.fixture
def invited(caller):
    answer = caller.api.post(f"{RUNS}-activity", json={"user": PERSON, "language": "en-GB"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_run_with_an_invitation_waits_until_its_participant_has_recorded(
    caller, clock, audio, invited, tmp_path
):
    assert invited.keys() == {"id", "activityUrl"}
    page = caller.storage.get(invited["activityUrl"])
    assert (page.status_code, 'data-state="open"' in page.text) == (200, True)
    clock.advance(30 * 24 * 3600)
    assert caller.state(invited["id"])["status"] == "CREATED"
    path = tmp_path / "voice.webm"
    path.write_bytes(audio())
    caller.sandbox.complete(invited["activityUrl"], path)
    assert caller.settle(invited["id"])["status"] == "COMPLETE_OK"
    assert caller.sandbox.log.violations == []


def test_an_activity_takes_one_recording(caller, audio, invited, tmp_path):
    path = tmp_path / "voice.webm"
    path.write_bytes(audio())
    caller.sandbox.complete(invited["activityUrl"], path)
    again = caller.storage.get(invited["activityUrl"])
    assert (again.status_code, 'data-state="over"' in again.text) == (410, True)
    path.write_bytes(audio(salt="another"))
    with pytest.raises(ValueError, match="or a recording was made there already"):
        caller.sandbox.complete(invited["activityUrl"], path)
    assert caller.sandbox.log.violations == []


@pytest.mark.parametrize("change", ["another run", "no signature", "too late"])
def test_only_the_link_itself_opens_an_activity(caller, clock, invited, change):
    url = invited["activityUrl"]
    if change == "another run":
        url = url.replace(invited["id"], caller.create()["id"])
    elif change == "no signature":
        url = url.partition("?")[0]
    else:
        clock.advance(61 * 24 * 3600)
    page = caller.storage.get(url)
    assert (page.status_code, 'data-state="invalid"' in page.text) == (403, True)
    assert caller.storage.put(url, content=b"x").status_code == 403
