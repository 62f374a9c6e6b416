"""Which request is made, and what every possible answer means."""

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from helios_research.api import protocol
from helios_research.api.models import RunRequest
from helios_research.api.transport import (
    MAX_RESPONSE_BYTES,
    Failure,
    FailureKind,
    Response,
    Result,
    Success,
)

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
BASE_URL = "https://api.thymia.ai"
RUN_ID = "6f0f7a0e-2f5c-4b8e-9d55-0d9d8b1c1d11"
UPLOAD_URL = "https://bucket.example/recordings/1?X-Amz-Signature=s3cret"
REQUEST = RunRequest(
    user_label="P07",
    date_of_birth="1990-01-31",
    birth_sex="FEMALE",
    language="en-GB",
    tags={"arm": "night"},
)
HTML = b"<html><body>Please log in</body></html>"
EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"

READERS: dict[str, Callable[[Response], Result[Any]]] = {
    "account": protocol.read_account,
    "create": lambda reply: protocol.read_created(reply, REQUEST, BASE_URL),
    "invite": lambda reply: protocol.read_invited(reply, REQUEST, BASE_URL),
    "fetch": lambda reply: protocol.read_run(reply, RUN_ID, "P07"),
    "upload": protocol.read_upload,
}


def reply(status: int, body: object = b"", **headers: str) -> Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(
        status, {name.replace("_", "-"): text for name, text in headers.items()}, data, came_at=NOW
    )


def failure(answer: Result[Any]) -> Failure:
    assert isinstance(answer, Failure)
    return answer


# --- requests -----------------------------------------------------------------------------------


def test_the_body_of_a_new_run_fits_the_contract() -> None:
    contract = yaml.safe_load(Path("tests/openapi.yaml").read_text())
    schema = {"$ref": "#/components/schemas/ModelRunRequest", **contract}
    call = protocol.create_request(REQUEST, delete_data=True)
    body = json.loads(call.content or b"")
    jsonschema.validate(body, schema)
    assert (call.method, call.path) == ("POST", "/v1/models/mental-wellness")
    assert body["deleteData"] is True
    assert "deleteData" not in json.loads(protocol.create_request(REQUEST).content or b"")


def test_a_run_is_asked_for_by_its_id_and_the_id_cannot_lead_elsewhere() -> None:
    assert protocol.fetch_request(RUN_ID).path == f"/v1/models/mental-wellness/{RUN_ID}"
    assert protocol.fetch_request("a/../b?c").path == "/v1/models/mental-wellness/a%2F..%2Fb%3Fc"
    assert protocol.fetch_request("run:7").path == "/v1/models/mental-wellness/run%3A7"
    assert protocol.fetch_request("..").path == "/v1/models/mental-wellness/%2E%2E"


def test_only_a_request_with_a_body_declares_its_type() -> None:
    assert "Content-Type" not in protocol.account_request().headers
    assert protocol.create_request(REQUEST).headers["Content-Type"] == "application/json"


# --- what a status means ------------------------------------------------------------------------

SAME_EVERYWHERE = [
    (401, FailureKind.ACCOUNT),
    (402, FailureKind.REFUSED),
    (403, FailureKind.ACCOUNT),
    (408, FailureKind.RETRY),
    (425, FailureKind.RETRY),
    (429, FailureKind.RATE_LIMITED),
    (500, FailureKind.RETRY),
    (501, FailureKind.RETRY),
    (502, FailureKind.RETRY),
    (503, FailureKind.RETRY),
    (599, FailureKind.RETRY),
    (301, FailureKind.NOT_HELIOS),
    (302, FailureKind.NOT_HELIOS),
    (307, FailureKind.NOT_HELIOS),
    (308, FailureKind.NOT_HELIOS),
    (407, FailureKind.NOT_HELIOS),
]
ITS_OWN = {
    "account": [(400, "NOT_HELIOS"), (404, "NOT_HELIOS"), (405, "NOT_HELIOS"), (418, "NOT_HELIOS")],
    "create": [(400, "ROW"), (413, "ROW"), (422, "ROW"), (404, "NOT_HELIOS"), (405, "NOT_HELIOS")],
    "invite": [(400, "ROW"), (413, "ROW"), (422, "ROW"), (404, "NOT_HELIOS")],
    "fetch": [(404, "GONE"), (410, "GONE"), (422, "RETRY"), (400, "RETRY"), (418, "RETRY")],
}


@pytest.mark.parametrize("call", ["account", "create", "invite", "fetch"])
@pytest.mark.parametrize(("status", "kind"), SAME_EVERYWHERE)
def test_a_status_of_the_api_has_one_meaning(call: str, status: int, kind: FailureKind) -> None:
    answer = failure(READERS[call](reply(status, {"detail": "words"})))
    assert (answer.kind, answer.code, answer.status) == (kind, f"HTTP_{status}", status)


@pytest.mark.parametrize(
    ("call", "status", "kind"),
    [(call, status, kind) for call, cases in ITS_OWN.items() for status, kind in cases],
)
def test_a_status_that_depends_on_the_question(call: str, status: int, kind: str) -> None:
    assert failure(READERS[call](reply(status, {"detail": "words"}))).kind.name == kind


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, {"message": "Forbidden"}, FailureKind.ACCOUNT),
        (403, HTML, FailureKind.RETRY),
        (429, {"message": "Limit Exceeded"}, FailureKind.REFUSED),
        (429, {"detail": "Your monthly quota is used up"}, FailureKind.REFUSED),
        (429, {"message": "Too Many Requests"}, FailureKind.RATE_LIMITED),
        (429, {"detail": "Rate limit exceeded"}, FailureKind.RATE_LIMITED),
        (504, {"message": "Endpoint request timed out"}, FailureKind.RETRY),
    ],
)
@pytest.mark.parametrize("call", ["account", "create", "fetch"])
def test_the_words_of_a_gateway_decide_what_its_status_means(
    call: str, status: int, body: object, kind: FailureKind
) -> None:
    assert failure(READERS[call](reply(status, body))).kind is kind


def test_an_answer_says_for_how_long_no_more_are_given() -> None:
    fields = {"ratelimit_remaining": "0", "ratelimit_reset": "30"}
    answer = READERS["fetch"](reply(200, {"id": RUN_ID, "status": "RUNNING"}, **fields))
    assert isinstance(answer, Success)
    assert answer.pause_s == 30.0


@pytest.mark.parametrize("status", [429, 503])
def test_how_long_to_wait_is_passed_on(status: int) -> None:
    answer = failure(READERS["fetch"](reply(status, retry_after="7")))
    assert answer.retry_after_s == 7.0


@given(
    call=st.sampled_from(list(READERS)),
    status=st.integers(100, 999),
    body=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["id", "status", "detail", "loc", "msg", "recordingUploadUrl"]),
                    inner,
                )
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    ),
    headers=st.dictionaries(
        st.sampled_from(["content-type", "retry-after", "location", "date"]), st.text()
    ),
    is_whole=st.booleans(),
)
def test_every_answer_that_there_can_be_is_a_success_or_a_failure(
    call: str, status: int, body: bytes, headers: dict[str, str], is_whole: bool
) -> None:
    answer = READERS[call](Response(status, headers, body, is_whole=is_whole))
    if isinstance(answer, Failure):
        assert answer.reason
        assert answer.status == status
    else:
        assert 200 <= status < 300
        assert answer.status == status


@given(st.integers(200, 299), st.binary())
def test_a_success_can_always_be_kept(status: int, filling: bytes) -> None:
    """Whatever text a server sends, a raw answer that counts as read fits into SQLite."""
    body = b'{"id": "%s", "status": "RUNNING", "x": "%s"}' % (RUN_ID.encode(), filling)
    answer = READERS["fetch"](Response(status, {}, body))
    if isinstance(answer, Success):
        with sqlite3.connect(":memory:") as ledger:
            kept = ledger.execute("SELECT ?", (json.dumps(answer.raw, ensure_ascii=False),))
            assert json.loads(kept.fetchone()[0]) == answer.raw
        ledger.close()


OF_A_GATEWAY = (HTML, b"", {"message": "Not Found"})

# --- what a body means --------------------------------------------------------------------------

UNREADABLE_BODIES = {
    "nothing": b"",
    "half of it": b'{"id": "6f0f7a0e',
    "a web page": HTML,
    "not text": b"\xff\xfe\x00",
    "a list": b"[]",
    "an empty object": b"{}",
    "half a character": b'{"id": "\\ud800", "status": "RUNNING"}',
    "nested to the limit": b"[" * 100_000,
}


@pytest.mark.parametrize("call", ["create", "fetch"])
@pytest.mark.parametrize("body", UNREADABLE_BODIES.values(), ids=UNREADABLE_BODIES)
def test_a_success_that_cannot_be_read_is_tried_again(call: str, body: bytes) -> None:
    answer = failure(READERS[call](reply(200, body)))
    assert (answer.kind, answer.code) == (FailureKind.RETRY, "UNREADABLE_ANSWER")
    assert answer.reason.startswith("An answer came that could not be read: ")


@pytest.mark.parametrize("body", UNREADABLE_BODIES.values(), ids=UNREADABLE_BODIES)
def test_the_first_answer_tells_whether_this_is_helios_at_all(body: bytes) -> None:
    half = body == UNREADABLE_BODIES["half of it"]
    expected = FailureKind.RETRY if half else FailureKind.NOT_HELIOS
    assert failure(READERS["account"](reply(200, body))).kind is expected


def test_what_was_found_instead_of_helios_is_said() -> None:
    assert failure(READERS["account"](reply(200, HTML))).reason == "HTTP 200 with a web page"
    moved = reply(302, location="https://login.uni.example/?next=s3cret")
    assert failure(READERS["account"](moved)).reason == "it redirects to https://login.uni.example"


def test_an_answer_that_was_cut_at_the_limit_is_not_read() -> None:
    whole = json.dumps({"id": RUN_ID, "status": "RUNNING"}).encode()
    answer = failure(READERS["fetch"](Response(200, {}, whole, is_whole=False)))
    assert answer.reason == "An answer came that could not be read: it is longer than 16 MB."
    assert MAX_RESPONSE_BYTES == 16 * 2**20


@pytest.mark.parametrize(
    ("call", "changes", "about"),
    [
        ("fetch", {"id": RUN_ID.replace("6", "7")}, "another model run"),
        ("fetch", {"userLabel": "P08"}, "another participant"),
        ("fetch", {"userLabel": 7}, "another participant"),
        ("fetch", {"userLabel": ["P07"]}, "another participant"),
        ("create", {"userLabel": "P08"}, "another participant"),
    ],
)
def test_an_answer_about_another_run_or_participant_is_not_believed(
    call: str, changes: dict[str, Any], about: str
) -> None:
    whole = {"id": RUN_ID, "status": "COMPLETE_OK", "recordingUploadUrl": UPLOAD_URL}
    answer = failure(READERS[call](reply(200, whole | changes)))
    assert (answer.kind, answer.code) == (FailureKind.RETRY, "ANSWER_MIXED_UP")
    assert answer.reason == f"An answer was about {about}, so it was not used."
    assert str(answer.as_error(BASE_URL)).startswith(
        f"{BASE_URL} does not answer like Helios (An answer was about {about}, so it was not used):"
    )


@pytest.mark.parametrize("changes", [{"id": RUN_ID.upper()}, {"userLabel": "P07"}, {"x": 1}])
def test_an_answer_that_names_the_run_in_another_way_is_believed(changes: dict[str, Any]) -> None:
    raw = {"id": RUN_ID, "status": "RUNNING"} | changes
    assert isinstance(READERS["fetch"](reply(200, raw)), Success)


def test_only_the_letters_of_a_uuid_have_no_case() -> None:
    answer = protocol.read_run(reply(200, {"id": "RUN-a", "status": "X"}), "RUN-A", "P07")
    assert failure(answer).code == "ANSWER_MIXED_UP"


@pytest.mark.parametrize("body", OF_A_GATEWAY)
def test_what_a_gateway_does_not_find_does_not_make_a_result_lost(body: object) -> None:
    """What is in front of Helios does not know what it has; a lost result would be final."""
    assert failure(READERS["fetch"](reply(404, body))).kind is FailureKind.RETRY


def test_a_run_is_read_and_its_raw_answer_keeps_what_we_have_no_place_for() -> None:
    raw = {"id": RUN_ID, "status": "RUNNING", "billing": {"units": 3}}
    answer = READERS["fetch"](reply(200, raw))
    assert isinstance(answer, Success)
    assert answer.value.status == "RUNNING"
    assert answer.raw == raw


def test_a_new_runs_upload_url_is_in_the_value_alone() -> None:
    answer = READERS["create"](reply(200, {"id": RUN_ID, "recordingUploadUrl": UPLOAD_URL, "x": 1}))
    assert isinstance(answer, Success)
    assert answer.value.recording_upload_url == UPLOAD_URL
    assert answer.raw == {"id": RUN_ID, "x": 1}
    assert "s3cret" not in repr(answer)


LINK = "https://activities.example/a/1?token=s3cret"


def test_an_invitation_is_asked_for_with_the_fields_of_a_recording() -> None:
    contract = yaml.safe_load(Path("tests/openapi.yaml").read_text())
    call = protocol.create_request(REQUEST, delete_data=True, path=protocol.ACTIVITY_PATH)
    assert (call.method, call.path) == ("POST", "/v1/models/mental-wellness-activity")
    assert call.content == protocol.create_request(REQUEST, delete_data=True).content
    (media,) = contract["paths"][call.path]["post"]["responses"]["200"]["content"].values()
    schema = {**contract, **media["schema"]}
    jsonschema.validate({"id": RUN_ID, protocol.LINK_FIELD: LINK}, schema)


@pytest.mark.parametrize(
    "body",
    [
        {"activityUrl": LINK},
        {"activityUrl": LINK, "help": "https://help.example/"},
        {"link": LINK, "state": "new"},
        {"url": LINK, "plain": "http://activities.example/a/1"},
    ],
)
def test_the_link_of_an_invitation_is_found_and_is_in_the_value_alone(body: dict[str, str]) -> None:
    answer = READERS["invite"](reply(200, {"id": RUN_ID, **body}))
    assert isinstance(answer, Success)
    assert (answer.value.id, answer.value.link) == (RUN_ID, LINK)
    assert "s3cret" not in repr(answer)
    assert LINK not in answer.raw.values()


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({}, "no link (it has id)"),
        ({"activityUrl": None}, "no link (it has id, activityUrl)"),
        ({"activityUrl": "http://activities.example/1"}, "no link (it has id, activityUrl)"),
        ({"a": LINK, "b": f"{LINK}2"}, "several links (it has id, a, b)"),
    ],
)
def test_an_invitation_without_one_link_is_a_sentence_without_any(
    body: dict[str, Any], what: str
) -> None:
    answer = failure(READERS["invite"](reply(200, {"id": RUN_ID, **body})))
    assert answer.kind is FailureKind.REFUSED
    assert answer.reason == (
        f"Helios created the run {RUN_ID} to invite a participant to, and its answer has {what}. "
        "Report this sentence to thymia, and to the makers of helios_research."
    )


def test_a_link_without_encryption_is_accepted_between_programs_of_this_machine_only() -> None:
    local = "http://127.0.0.1:8765"
    body = reply(200, {"id": RUN_ID, "activityUrl": f"{local}/activity/1"})
    answer = protocol.read_invited(body, REQUEST, local)
    assert isinstance(answer, Success)
    assert answer.value.link == f"{local}/activity/1"
    assert failure(READERS["invite"](body)).kind is FailureKind.REFUSED


def test_rejected_metadata_is_explained_by_column() -> None:
    detail = [
        {"loc": ["body", "user", "dateOfBirth"], "msg": "Input should be a valid date"},
        {"loc": ["body", "tags", 0, "value"], "msg": "Input should be a valid string"},
    ]
    answer = failure(READERS["create"](reply(422, {"detail": detail})))
    assert answer.reason == (
        "Helios did not accept date_of_birth: Input should be a valid date; "
        "arm: Input should be a valid string."
    )


@pytest.mark.parametrize("body", OF_A_GATEWAY)
def test_a_refusal_by_a_gateway_in_between_is_no_verdict_on_the_recording(body: object) -> None:
    assert failure(READERS["create"](reply(400, body))).kind is FailureKind.RETRY


def test_a_rejection_without_field_messages_quotes_what_was_said() -> None:
    answer = failure(READERS["create"](reply(400, {"detail": "Too many tags"})))
    assert answer.reason == "Helios did not accept the request. It says: Too many tags"


# --- the upload host ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b"<Error><Code>ExpiredToken</Code></Error>", FailureKind.URL_EXPIRED),
        (400, b"<Error><Code>RequestTimeout</Code></Error>", FailureKind.RETRY),
        (400, b"<Error><Code>EntityTooLarge</Code></Error>", FailureKind.ROW),
        (400, b"", FailureKind.RETRY),
        (403, EXPIRED, FailureKind.URL_EXPIRED),
        (403, b"", FailureKind.UPLOAD_REFUSED),
        (403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", FailureKind.UPLOAD_REFUSED),
        (403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>", FailureKind.REFUSED),
        (404, b"<Error><Code>NoSuchBucket</Code></Error>", FailureKind.UPLOAD_REFUSED),
        (412, b"<Error><Code>PreconditionFailed</Code></Error>", FailureKind.UPLOAD_REFUSED),
        (413, b"<html>413 Request Entity Too Large</html>", FailureKind.UPLOAD_REFUSED),
        (409, b"", FailureKind.RETRY),
        (411, b"<Error><Code>MissingContentLength</Code></Error>", FailureKind.NOT_HELIOS),
        (413, b"", FailureKind.ROW),
        (429, b"", FailureKind.RETRY),
        (500, b"<Error><Code>InternalError</Code></Error>", FailureKind.RETRY),
        (501, b"<Error><Code>NotImplemented</Code></Error>", FailureKind.NOT_HELIOS),
        (503, b"<Error><Code>SlowDown</Code></Error>", FailureKind.RETRY),
        (307, b"", FailureKind.NOT_HELIOS),
    ],
)
def test_what_the_upload_host_says_is_classified(
    status: int, body: bytes, kind: FailureKind
) -> None:
    answer = failure(READERS["upload"](reply(status, body)))
    assert (answer.kind, answer.code) == (kind, f"HTTP_{status}")


@pytest.mark.parametrize("status", [200, 201, 204])
def test_an_upload_that_was_taken_is_a_success_whatever_the_body(status: int) -> None:
    assert READERS["upload"](reply(status, HTML)) == Success(None, {}, status)


def test_a_refused_upload_names_the_hosts_code_and_nothing_else_of_it() -> None:
    answer = failure(READERS["upload"](reply(403, EXPIRED + b"<Signature>s3cret</Signature>")))
    assert answer.reason == ("The upload host says that its upload URL has expired (AccessDenied).")


def test_a_wrong_clock_is_shown_beside_the_hosts() -> None:
    body = b"<Error><Code>RequestTimeTooSkewed</Code></Error>"
    answer = failure(READERS["upload"](reply(403, body, date="Sun, 22 Nov 2026 13:30:00 GMT")))
    assert str(answer.as_error(BASE_URL)).startswith(
        "This computer's clock is wrong: it shows 2026-11-22 12:00 UTC, and the upload host's "
        "2026-11-22 13:30 UTC. Set its date, time and time zone (RequestTimeTooSkewed)."
    )


# --- upload URLs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "base_url", "problem"),
    [
        ("https://bucket.example/x?sig=1", BASE_URL, None),
        ("https://api.thymia.ai/upload", BASE_URL, None),
        ("http://127.0.0.1:9000/x", "http://127.0.0.1:8000", None),
        ("http://localhost:9000/x", "http://[::1]:8000", None),
        ("http://bucket.example/x", BASE_URL, "is not https"),
        ("http://127.0.0.1:9000/x", BASE_URL, "is not https"),
        ("http://bucket.example/x", "http://127.0.0.1:8000", "is not https"),
        ("ftp://bucket.example/x", BASE_URL, "is not https"),
        ("file:///etc/passwd", BASE_URL, "is not a URL"),
        ("https://user:pass@bucket.example/x", BASE_URL, "holds a password"),
        ("https://bucket.example/a b", BASE_URL, "is not a URL"),
        ("https://bucket.example/a\r\nHost: x", BASE_URL, "is not a URL"),
        ("https://bucket.example:0/x", BASE_URL, "is not a URL"),
        ("https://bucket.example:x/x", BASE_URL, "is not a URL"),
        ("https://[broken/x", BASE_URL, "is not a URL"),
        ("https:///x", BASE_URL, "is not a URL"),
        ("relative/x", BASE_URL, "is not a URL"),
    ],
)
def test_a_recording_only_goes_where_it_is_safe(
    url: str, base_url: str, problem: str | None
) -> None:
    assert protocol.upload_url_problem(url, base_url) == problem


def test_a_run_with_an_unsafe_upload_url_is_not_from_helios() -> None:
    body = {"id": RUN_ID, "recordingUploadUrl": "http://bucket.example/x?sig=s3cret"}
    answer = failure(READERS["create"](reply(200, body)))
    assert (answer.kind, answer.reason) == (
        FailureKind.NOT_HELIOS,
        "its upload URL is not https",
    )


# --- no answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "kind", "code"),
    [
        (protocol.NO_ANSWER, FailureKind.RETRY, "TIMED_OUT"),
        (protocol.NO_CONNECTION, FailureKind.RETRY, "UNREACHABLE"),
        (protocol.BROKEN_OFF, FailureKind.RETRY, "UNREACHABLE"),
    ],
)
def test_an_answer_that_never_came_is_classified_too(
    trouble: str, kind: FailureKind, code: str
) -> None:
    answer = protocol.unanswered(trouble, "why")
    assert (answer.kind, answer.code, answer.status) == (kind, code, None)
    assert "why" in answer.reason
