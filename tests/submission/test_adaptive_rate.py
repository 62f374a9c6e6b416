"""The search for the rate that the service allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.submission.rate_limiter import (
    CUT,
    DEEPEST_CUT,
    HIGHEST_RATE,
    LOWEST_RATE,
    START_RATE,
    AdaptiveRate,
)


def sending(search: AdaptiveRate, seconds: float, step_s: float = 0.1) -> None:
    for _ in range(round(seconds / step_s)):
        search.sent(step_s)


def accept_evenly(search: AdaptiveRate, rate: float, until_s: float) -> None:
    for number in range(int(until_s * rate)):
        search.accepted((number + 1) / rate)


def test_it_starts_gently_and_grows_by_15_percent_a_second() -> None:
    search = AdaptiveRate()
    assert search.rate == START_RATE
    sending(search, 5)
    assert search.rate == pytest.approx(START_RATE * 1.15**5)


def test_it_never_looks_for_more_than_the_highest_rate() -> None:
    search = AdaptiveRate()
    sending(search, 120)
    assert search.rate == HIGHEST_RATE


def test_a_given_rate_is_a_ceiling() -> None:
    search = AdaptiveRate(10)
    sending(search, 60)
    assert search.rate == 10


def test_a_refusal_cuts_to_nine_tenths_of_what_was_accepted() -> None:
    search = AdaptiveRate(10)
    accept_evenly(search, 8, until_s=5)
    search.refused(5.0)
    assert search.rate == pytest.approx(CUT * 8, rel=0.1)


def test_refusals_within_a_second_count_as_one() -> None:
    search = AdaptiveRate(10)
    accept_evenly(search, 10, until_s=5)
    search.refused(5.0)
    once = search.rate
    search.refused(5.4)
    search.refused(5.9)
    assert search.rate == once
    search.refused(6.1)
    assert search.rate < once


def test_a_refusal_soon_after_another_cuts_no_deeper_for_the_pause_between_them() -> None:
    search = AdaptiveRate(10)
    accept_evenly(search, 10, until_s=5)
    search.refused(5.0)
    once = search.rate
    search.refused(7.0)
    assert search.rate == pytest.approx(CUT * once)


def test_one_cut_is_never_deeper_than_its_bound() -> None:
    search = AdaptiveRate(50)
    search.refused(100.0)
    assert search.rate == pytest.approx(50 * DEEPEST_CUT * CUT)


def test_after_a_refusal_a_given_rate_is_reached_again() -> None:
    search = AdaptiveRate(10)
    accept_evenly(search, 10, until_s=5)
    search.refused(5.0)
    assert search.rate < 10
    sending(search, 60)
    assert search.rate == 10


def test_growth_is_slowest_at_the_rate_of_the_last_refusal() -> None:
    search = AdaptiveRate(learned=10)
    growths = []
    for rate in (7.0, 10.0, 13.0):
        search.rate = rate
        search.sent(1.0)
        growths.append(search.rate / rate)
    assert growths[1] < 1.005 < min(growths[0], growths[2])


def test_a_slow_limit_is_approached_more_slowly_so_that_no_larger_share_is_refused() -> None:
    def growth(rate: float) -> float:
        search = AdaptiveRate(learned=rate)
        search.sent(1.0)
        return search.rate / rate - 1

    assert growth(2.0) == pytest.approx(growth(10.0) / 5)
    assert growth(50.0) == pytest.approx(growth(10.0))


def test_a_rate_learned_in_a_bad_hour_does_not_last() -> None:
    search = AdaptiveRate(learned=0.5)
    sending(search, 120)
    assert search.rate > 10


def test_what_was_learned_is_where_it_starts_but_not_above_a_given_rate() -> None:
    assert AdaptiveRate(learned=7.5).rate == 7.5
    assert AdaptiveRate(5, learned=7.5).rate == 5
    assert AdaptiveRate(learned=0.0).rate == LOWEST_RATE


@given(
    st.floats(0.05, 500) | st.none(),
    st.lists(
        st.tuples(st.sampled_from(["sent", "accepted", "refused"]), st.floats(0, 30)), max_size=60
    ),
)
def test_whatever_happens_the_rate_stays_within_its_bounds(
    rate: float | None, events: list[tuple[str, float]]
) -> None:
    search = AdaptiveRate(rate)
    now_s = 0.0
    for event, seconds in events:
        now_s += seconds
        getattr(search, event)(seconds if event == "sent" else now_s)
        ceiling = HIGHEST_RATE if rate is None else rate
        assert min(LOWEST_RATE, ceiling) <= search.rate <= max(ceiling, LOWEST_RATE)
