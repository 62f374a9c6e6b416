"""What a response says without trusting it, how it is unpacked, and what a failure becomes."""

import gzip
import json
import tracemalloc
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.api.transport import (
    MAX_RETRY_AFTER_S,
    Failure,
    FailureKind,
    Response,
    Success,
    unpacker,
)
from helios_research.errors import (
    AccountError,
    NetworkError,
    NotHeliosError,
    RefusedError,
    ServiceError,
    UnreachableError,
)

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("120", 120.0),
        ("86400", MAX_RETRY_AFTER_S),
        ("9" * 400, MAX_RETRY_AFTER_S),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 13:00:10 +0100", 10.0),
        ("Sun, 22 Nov 2026 11:59:00 GMT", 0.0),
        ("Sun, 22 Nov 2037 12:00:00 GMT", MAX_RETRY_AFTER_S),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("٣", None),
        ("Sun, 99 Nov 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_capped(
    value: str, expected: float | None
) -> None:
    assert Response(429, {"retry-after": value}, came_at=NOW).retry_after_s == expected


def test_a_server_that_asks_for_nothing_gives_none() -> None:
    assert Response(503, came_at=NOW).retry_after_s is None


def test_a_date_is_compared_with_the_servers_own_clock() -> None:
    an_hour_ahead = {
        "date": "Sun, 22 Nov 2026 13:00:00 GMT",
        "retry-after": "Sun, 22 Nov 2026 13:00:20 GMT",
    }
    assert Response(429, an_hour_ahead, came_at=NOW).retry_after_s == 20.0


@given(st.text(), st.text())
def test_any_header_is_read_without_an_exception(wait: str, date: str) -> None:
    seconds = Response(429, {"retry-after": wait, "date": date}, came_at=NOW).retry_after_s
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_S


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Response(200, {"content-type": "text/html"}, b"<html>"), "HTTP 200 with a web page"),
        (Response(200, {}, b"  <!doctype html>"), "HTTP 200 with a web page"),
        (Response(204), "HTTP 204 with nothing in it"),
        (
            Response(200, {"content-type": "text/plain; charset=x"}, b"ok"),
            "HTTP 200 with 2 bytes of type text/plain",
        ),
        (Response(200, {"content-type": "a b\r\nc"}, b"ok"), "HTTP 200 with 2 bytes"),
    ],
)
def test_an_answer_is_described_without_its_content(reply: Response, expected: str) -> None:
    assert reply.description == expected


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://login.uni.example/sso?token=s3cret#x", "https://login.uni.example"),
        ("/elsewhere?token=s3cret", "another address"),
        ("https://[broken", "another address"),
        ("", "another address"),
    ],
)
def test_a_redirect_is_named_by_its_host_alone(location: str, expected: str) -> None:
    assert Response(302, {"location": location}).redirects_to == expected


def test_an_error_code_of_object_storage_is_found_and_its_details_are_not() -> None:
    body = (
        b"<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code>"
        b"<StringToSign>s3cret</StringToSign></Error>"
    )
    reply = Response(403, {}, body)
    assert reply.storage_code == "SignatureDoesNotMatch"
    assert "s3cret" not in repr(reply)
    assert Response(403, {}, b"<Code>a b</Code>").storage_code == ""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"detail": "Quota  used\nup"}, "Quota used up"),
        ({"message": "Forbidden"}, "Forbidden"),
        ({"detail": [{"msg": "x"}]}, ""),
        ({"detail": "x" * 500}, "x" * 200),
        (["detail"], ""),
    ],
)
def test_the_words_of_an_error_are_one_short_line(body: object, expected: str) -> None:
    assert Response(400, {}, json.dumps(body).encode()).words == expected


@pytest.mark.parametrize(
    ("place", "column"),
    [
        (["body", "user", "dateOfBirth"], "date_of_birth"),
        (["body", "user", "userLabel"], "user_label"),
        (["body", "language"], "language"),
        (["body", "sleepTime"], "sleep_time"),
        (["body", "tags", 1, "value"], "visit"),
        (["body", "tags", 0, "name"], "arm"),
        (["body", "tags", 7], "tags"),
        (["body", "tags", -1], "tags"),
        (["body", "tags"], "tags"),
        (["body", "somethingNew", "inner"], "something_new"),
        (["body"], "the request"),
        (None, "the request"),
    ],
)
def test_a_place_in_the_body_becomes_a_column_of_the_manifest(
    place: list[str | int] | None, column: str
) -> None:
    detail = [{"loc": place, "msg": "Input should be\n different", "type": "x", "input": "1990"}]
    messages = Response(422, {}, json.dumps({"detail": detail}).encode()).field_messages(
        ("arm", "visit")
    )
    assert messages == {column: "Input should be different"}


def test_only_the_first_message_about_a_column_is_kept() -> None:
    detail = [{"loc": ["language"], "msg": "first"}, {"loc": ["language"], "msg": "second"}, "x"]
    reply = Response(422, {}, json.dumps({"detail": detail}).encode())
    assert reply.field_messages(()) == {"language": "first"}


PACKING = {"gzip": gzip.compress, "x-gzip": gzip.compress, "Deflate ": zlib.compress, "": bytes}


@given(
    st.binary(max_size=5_000),
    st.sampled_from(sorted(PACKING)),
    st.integers(1, 400),
    st.integers(1, 9_000),
)
def test_what_fits_is_unpacked_whole_in_whatever_pieces_it_comes(data, encoding, size, most):
    unpack, packed, body = unpacker(encoding), PACKING[encoding](data), b""
    for start in range(0, len(packed), size):
        if len(body) < most:
            body += unpack(packed[start : start + size], most - len(body))
    assert body == data[:most]


def test_a_way_of_packing_that_is_not_known_is_left_as_it_is():
    assert unpacker("br")(b"\x0b\x02\x80", 100) == b"\x0b\x02\x80"


def test_what_is_not_packed_as_it_says_is_an_error():
    with pytest.raises(zlib.error):
        unpacker("gzip")(b'{"id": "lab"}', 100)


def test_a_piece_that_holds_gigabytes_takes_no_more_memory_than_what_is_kept():
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()
    unpack = unpacker("gzip")
    tracemalloc.start()
    body = unpack(piece, 2**20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(body) == 2**20
    assert peak < 8 * 2**20


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        (FailureKind.ACCOUNT, AccountError, "(HTTP 403)"),
        (FailureKind.NOT_HELIOS, NotHeliosError, "(the reason)"),
        (FailureKind.RETRY, UnreachableError, "(the reason)"),
    ],
)
def test_a_failure_becomes_the_error_that_fits(
    kind: FailureKind, error: type[ServiceError], words: str
) -> None:
    found = Failure(kind, "HTTP_403", "the reason", status=403).as_error("https://helios.example")
    assert type(found) is error
    assert words in str(found)
    assert str(found).startswith("https://helios.example")


@pytest.mark.parametrize(
    "kind", [FailureKind.REFUSED, FailureKind.RATE_LIMITED, FailureKind.UPLOAD_REFUSED]
)
def test_what_refuses_everything_is_said_as_it_is(kind: FailureKind) -> None:
    found = Failure(kind, "HTTP_429", "It says: Wait.", status=429).as_error("https://x")
    assert isinstance(found, RefusedError)
    assert str(found).startswith("It says: Wait. No recording was marked as failed")


def test_what_is_wrong_on_the_way_is_the_whole_reason() -> None:
    found = Failure(FailureKind.NETWORK, "UNREACHABLE", "The proxy refuses.").as_error("https://x")
    assert isinstance(found, NetworkError)
    assert str(found).startswith("The proxy refuses. Everything done so far is kept")


@pytest.mark.parametrize(
    ("fields", "left_s"),
    [
        ({"ratelimit-remaining": "0", "ratelimit-reset": "7"}, 7.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "7"}, 7.0),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "7"}, 7.0),
        ({"ratelimit": "limit=10, remaining=0, reset=7"}, 7.0),
        ({"ratelimit": '"default";r=0;t=7', "ratelimit-policy": '"default";q=10;w=60'}, 7.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{NOW.timestamp() + 7:.0f}"}, 7.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "86400"}, MAX_RETRY_AFTER_S),
        ({"ratelimit-remaining": "1", "ratelimit-reset": "7"}, None),
        ({"ratelimit-remaining": "0"}, None),
        ({"ratelimit-remaining": "none", "ratelimit-reset": "soon"}, None),
        ({}, None),
    ],
)
def test_a_budget_that_is_used_up_is_waited_for(
    fields: dict[str, str], left_s: float | None
) -> None:
    assert Response(200, fields, came_at=NOW).used_up_s == left_s


def test_after_a_refusal_the_end_of_the_budget_is_when_to_try_again() -> None:
    fields = {"ratelimit-reset": "7"}
    assert Response(429, fields, came_at=NOW).retry_after_s == 7.0
    assert Response(429, fields | {"retry-after": "3"}, came_at=NOW).retry_after_s == 3.0
    assert Response(500, fields, came_at=NOW).retry_after_s is None


def test_a_raw_answer_is_not_in_the_repr() -> None:
    assert "transcript" not in repr(Success(1, {"transcript": "what was said"}))
