"""The rate limit is a strict token bucket."""

import pytest

from helios_research.sandbox.limits import TokenBucket


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
