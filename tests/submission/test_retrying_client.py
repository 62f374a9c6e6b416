"""A request is tried again for as long as that can help."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from helios_research.api.transport import MAX_RETRY_AFTER_S
from helios_research.submission.retrying_client import RetryPolicy


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
