"""A request is tried again for as long as that can help."""

import asyncio
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from helios_research.api.transport import (
    MAX_RETRY_AFTER_S,
    Failure,
    FailureKind,
    Result,
    Success,
)
from helios_research.submission.rate_limiter import RateLimiter, RequestKind
from helios_research.submission.retrying_client import RetryingClient, RetryPolicy
from support.virtual_clock import VirtualClock


@given(
    st.integers(0, 5_000),
    st.floats(0, 1e4),
    st.none() | st.floats(0, MAX_RETRY_AFTER_S),
    st.integers(0, 2**32),
)
def test_no_attempt_begins_after_the_time_for_retries_is_over(
    attempt: int, elapsed_s: float, retry_after_s: float | None, seed: int
) -> None:
    retries = RetryPolicy(max_elapsed_s=600.0)
    delay_s = retries.next_delay(attempt, elapsed_s, retry_after_s, Random(seed).random)
    if delay_s is not None:
        assert elapsed_s + delay_s <= 600.0
        assert 0.0 <= delay_s - (retry_after_s or 0.0) <= 30.0


def test_waits_double_up_to_the_cap_and_are_fully_jittered() -> None:
    retries = RetryPolicy(first_s=1.0, cap_s=8.0)
    longest = [retries.next_delay(attempt, 0.0, random=lambda: 1.0) for attempt in range(6)]
    assert longest == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert retries.next_delay(3, 0.0, random=lambda: 0.0) == 0.0


def test_the_servers_wait_is_kept_to() -> None:
    assert RetryPolicy().next_delay(0, 0.0, 7.0, lambda: 0.0) == 7.0


def test_there_is_no_further_attempt_when_the_wait_would_take_too_long() -> None:
    assert RetryPolicy(max_elapsed_s=60.0).next_delay(0, 55.0, 10.0) is None


def refused_for(seconds: float, *, others_pass: bool) -> bool:
    """Refuse a request for so long, in virtual time; tell whether it is answered in the end."""
    clock = VirtualClock()
    limiter = RateLimiter(50.0, clock=clock, random=Random(1).random)
    client = RetryingClient("https://api.thymia.ai", limiter, clock, RetryPolicy(100.0))
    refusal = Failure(FailureKind.RATE_LIMITED, "HTTP_429", "Helios asks to slow down.", status=429)

    async def refused() -> Result[None]:
        return Success(None) if clock.elapsed_s > seconds else refusal

    async def passed() -> Result[None]:
        return Success(None)

    async def main() -> bool:
        waiting = asyncio.create_task(client.request(RequestKind.CREATE, refused))
        while not waiting.done():
            if others_pass:
                await client.request(RequestKind.POLL, passed)
            await clock.sleep(20.0)
        return waiting.exception() is None

    return clock.run(main())


def test_a_refused_request_is_given_up_only_where_no_other_gets_through() -> None:
    assert refused_for(50.0, others_pass=False)
    assert not refused_for(1000.0, others_pass=False)
    assert refused_for(1000.0, others_pass=True)
