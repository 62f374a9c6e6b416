"""Upload URLs permit one path for a while, the rate limit is strict, and the log file is complete."""

import json
from datetime import datetime
from urllib.parse import parse_qsl

import pytest

from helios_research.sandbox.core import TokenBucket, UrlRefusal, UrlSigner

NOW = 1_795_000_000.0


@pytest.fixture
def signer() -> UrlSigner:
    return UrlSigner(lifetime_s=3_600.0)


def signed(signer: UrlSigner, path: str) -> dict[str, str]:
    return dict(parse_qsl(signer.query(path, NOW)))


def test_a_signature_is_good_for_its_path_until_it_expires(signer):
    query = signed(signer, "/recordings/a")
    assert signer.refusal("/recordings/a", query, NOW) is None
    assert signer.refusal("/recordings/a", query, NOW + 3_599) is None
    assert signer.refusal("/recordings/a", query, NOW + 3_600) is UrlRefusal.EXPIRED


def test_a_lifetime_of_months_is_written_in_plain_seconds(signer):
    assert "X-Amz-Expires=5184000&" in signer.query("/activity/a", NOW, 60 * 24 * 3_600.0)


def test_a_signature_is_no_good_for_another_path(signer):
    assert signer.refusal("/recordings/b", signed(signer, "/recordings/a"), NOW) is UrlRefusal.WRONG


@pytest.mark.parametrize("name", ["X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature"])
def test_no_part_of_it_can_be_changed_or_left_out(signer, name):
    query = signed(signer, "/recordings/a")
    longer = query | {name: query[name].replace("3600", "9999") + "0"}
    assert signer.refusal("/recordings/a", longer, NOW) is UrlRefusal.WRONG
    del query[name]
    assert signer.refusal("/recordings/a", query, NOW) is UrlRefusal.WRONG


def test_another_sandbox_does_not_take_it(signer):
    query = signed(signer, "/recordings/a")
    assert UrlSigner(lifetime_s=3_600.0).refusal("/recordings/a", query, NOW) is UrlRefusal.WRONG


def test_a_signature_that_is_not_ascii_is_refused_like_any_other(signer):
    query = signed(signer, "/recordings/a") | {"X-Amz-Signature": "é"}
    assert signer.refusal("/recordings/a", query, NOW) is UrlRefusal.WRONG


def test_the_secret_is_not_shown(signer):
    assert "secret" not in repr(signer)


# --- the rate limit -------------------------------------------------------------------------------


def test_a_burst_is_let_in_and_the_next_request_told_how_long_to_wait():
    bucket = TokenBucket(rate_per_s=2.0, burst=3)
    assert [bucket.wait_s(100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_refused_requests_cost_nothing():
    bucket = TokenBucket(rate_per_s=2.0, burst=1)
    bucket.wait_s(100.0)
    refused = [bucket.wait_s(100.0) for _ in range(50)]
    assert refused == [0.5] * 50
    assert bucket.wait_s(100.5) == 0.0


def test_over_time_the_rate_is_kept_exactly():
    bucket = TokenBucket(rate_per_s=5.0, burst=2)
    let_in = sum(bucket.wait_s(step / 64) == 0.0 for step in range(64 * 10 + 1))
    assert let_in == 5 * 10 + 2


def test_saved_tokens_never_exceed_the_burst():
    bucket = TokenBucket(rate_per_s=5.0, burst=2)
    bucket.wait_s(0.0)
    assert [bucket.wait_s(1_000.0) == 0.0 for _ in range(3)] == [True, True, False]


def test_a_clock_that_goes_back_gives_no_tokens():
    bucket = TokenBucket(rate_per_s=1.0, burst=1)
    bucket.wait_s(100.0)
    assert bucket.wait_s(50.0) == pytest.approx(1.0)


def test_without_a_rate_everything_is_let_in():
    bucket = TokenBucket(rate_per_s=None, burst=1)
    assert all(bucket.wait_s(0.0) == 0.0 for _ in range(1_000))


# --- the log file ---------------------------------------------------------------------------------


def test_every_event_is_a_line_of_json_in_the_log_file(start, clock, audio, tmp_path):
    caller = start(clock=clock, log_file=tmp_path / "log.jsonl")
    run_id = caller.submit(audio())
    caller.put(caller.create()["recordingUploadUrl"], b"", **{"x-api-key": "k"})
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == [
        "created",
        "request",
        "put",
        "request",
        "created",
        "request",
        "violation",
        "request",
    ]
    assert events[0]["request"]["user"]["userLabel"] == "P01"
    assert (events[2]["run_id"], events[2]["taken"]) == (run_id, True)
    assert datetime.fromisoformat(events[2]["at"]).timestamp() == clock.now
    text = (tmp_path / "log.jsonl").read_text()
    assert caller.sandbox.api_key not in text
    assert "X-Amz-Signature" not in text
