"""The queue that all requests go through, and the search for the rate that the service allows."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_research.sandbox.core import TokenBucket
from helios_research.submission.rate_limiter import (
    CUT,
    DEEPEST_CUT,
    HIGHEST_RATE,
    KIND_WEIGHTS,
    LONGEST_OWN_PAUSE_S,
    LOWEST_RATE,
    START_RATE,
    AdaptiveRate,
    RateLimiter,
    RequestKind,
)
from support.virtual_clock import VirtualClock

SLACK_S = 1e-4
# Every request goes as soon as its turn has come, for tests of what the turns are.
NEVER_LATE: Callable[[], float] = float


class Bench:
    """A limiter on virtual time, with a record of its grants."""

    def __init__(self, rate: float | None = 10.0, burst: int = 2, **known: Any) -> None:
        self.clock = VirtualClock()
        self.limiter = RateLimiter(rate, clock=self.clock, burst=burst, **known)
        self.grants: list[tuple[float, str]] = []

    @property
    def times(self) -> list[float]:
        return [moment for moment, _ in self.grants]

    async def take(
        self, name: str = "", kind: RequestKind = RequestKind.CREATE, after_s: float = 0.0
    ) -> None:
        if after_s:
            await self.clock.sleep(after_s)
        await self.limiter.slot(kind)
        self.grants.append((self.clock.monotonic(), name))

    def run(self, *coroutines: Coroutine[Any, Any, None]) -> None:
        async def main() -> None:
            await asyncio.gather(*coroutines)

        self.clock.run(main())


def most_in_any_window(times: list[float], rate: float) -> float:
    """Return the largest excess of grants over rate · time in any closed window."""
    return max(
        (last - first + 1) - rate * (times[last] - times[first])
        for first in range(len(times))
        for last in range(first, len(times))
    )


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.2, 200),
    st.integers(1, 5),
    st.lists(st.floats(0, 5), min_size=1, max_size=40),
)
def test_never_more_than_rate_times_time_plus_burst_in_any_window(
    rate: float, burst: int, arrivals: list[float]
) -> None:
    bench = Bench(rate, burst)
    bench.run(*(bench.take(after_s=arrival) for arrival in arrivals))
    assert len(bench.times) == len(arrivals)
    assert most_in_any_window(bench.times, rate) <= burst + SLACK_S * rate


def test_a_full_queue_uses_all_of_the_rate() -> None:
    bench = Bench(20.0, random=NEVER_LATE)
    bench.run(*(bench.take() for _ in range(401)))
    assert bench.times[-1] == pytest.approx((401 - 2) / 20, abs=0.01)


def test_within_a_lane_the_first_to_come_is_the_first_to_go() -> None:
    bench = Bench(50.0)
    bench.run(*(bench.take(str(number)) for number in range(60)))
    assert [name for _, name in bench.grants] == [str(number) for number in range(60)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.floats(0.0, 3.0))
def test_cancelled_waiters_take_nothing_with_them(cancelled: list[bool], after_s: float) -> None:
    bench = Bench(10.0)

    async def main() -> None:
        kinds = list(RequestKind)
        tasks = [
            asyncio.create_task(bench.take(str(number), kinds[number % 2]))
            for number in range(len(cancelled))
        ]
        await bench.clock.sleep(after_s)
        for task, is_cancelled in zip(tasks, cancelled, strict=True):
            if is_cancelled:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await bench.limiter.slot()

    bench.clock.run(main())
    granted = len(bench.grants)
    assert bench.limiter.waiting == 0
    # One more slot than was granted, and no time lost on those that were given up.
    assert bench.clock.monotonic() <= max(after_s, (granted + 1 - 2) / 10) + 0.1 + SLACK_S


def test_a_contested_budget_is_shared_between_creating_and_asking() -> None:
    bench = Bench(10.0)
    bench.run(
        *(bench.take("create", RequestKind.CREATE) for _ in range(200)),
        *(bench.take("ask", RequestKind.POLL) for _ in range(200)),
    )
    first = [name for _, name in bench.grants[:90]]
    share = KIND_WEIGHTS[RequestKind.POLL] / sum(KIND_WEIGHTS.values())
    assert first.count("ask") == pytest.approx(share * 90, abs=3)


def test_a_lane_that_is_alone_has_the_whole_budget() -> None:
    bench = Bench(10.0, random=NEVER_LATE)
    bench.run(*(bench.take("ask", RequestKind.POLL) for _ in range(102)))
    assert bench.times[-1] == pytest.approx(10.0, abs=0.01)


def test_nothing_goes_during_a_pause_and_no_two_at_once_after_it() -> None:
    bench = Bench(10.0)
    bench.limiter.refused(7.0)
    bench.run(*(bench.take() for _ in range(5)))
    gaps = [later - earlier for earlier, later in pairwise(bench.times)]
    assert bench.times[0] >= 7.0
    assert min(gaps) >= 1 / 10 - SLACK_S


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(0.0, 30.0)), max_size=6))
def test_every_pause_is_respected_by_all(pauses: list[tuple[float, float]]) -> None:
    bench = Bench(5.0)

    async def pause(at_s: float, for_s: float) -> None:
        if at_s:
            await bench.clock.sleep(at_s)
        bench.limiter.pause_until(bench.clock.monotonic() + for_s)

    bench.run(
        *(pause(*each) for each in pauses),
        *(bench.take(after_s=number / 3 + 0.01) for number in range(60)),
    )
    for at_s, for_s in pauses:
        inside = [time for time in bench.times if at_s + SLACK_S < time < at_s + for_s - SLACK_S]
        assert not inside


def test_a_shorter_pause_does_not_shorten_a_longer_one() -> None:
    bench = Bench()
    bench.limiter.pause_until(9.0)
    bench.limiter.pause_until(3.0)
    bench.run(bench.take())
    assert bench.times[0] == pytest.approx(9.0)


def test_a_pause_lasts_as_long_as_the_server_says() -> None:
    bench = Bench()
    bench.limiter.refused(90.0)
    bench.run(bench.take())
    assert bench.times[0] == pytest.approx(90.0, abs=1.0)


def test_a_server_that_says_nothing_is_left_alone_longer_each_time() -> None:
    bench = Bench()
    pauses = []

    async def storm() -> None:
        for _ in range(12):
            await bench.limiter.slot()
            began = bench.clock.monotonic()
            bench.limiter.refused()
            bench.limiter.refused()
            await bench.limiter.slot()
            pauses.append(bench.clock.monotonic() - began)

    bench.run(storm())
    assert pauses[0] <= 1.0
    assert sum(pauses[6:]) / 6 > 2 * pauses[0]
    assert max(pauses) <= LONGEST_OWN_PAUSE_S + 1 / bench.limiter.rate


def test_an_answer_after_the_storm_ends_the_doubling() -> None:
    bench = Bench()

    async def main() -> float:
        for _ in range(6):
            await bench.limiter.slot()
            bench.limiter.refused()
        await bench.limiter.slot()
        bench.limiter.accepted()
        began = bench.clock.monotonic()
        bench.limiter.refused()
        while "paused" in bench.limiter.limited_by:
            await bench.clock.sleep(0.01)
        return bench.clock.monotonic() - began

    assert bench.clock.run(main()) <= 0.52


def test_answers_that_come_in_during_a_pause_do_not_end_the_storm() -> None:
    bench = Bench()
    bench.limiter.refused(5.0)
    bench.limiter.accepted()
    bench.run(bench.take())
    assert bench.times[0] >= 5.0
    assert (bench.limiter.accepted_requests, bench.limiter.refused_requests) == (1, 1)


async def strict_server(bench: Bench, limit: float, seconds: float) -> None:
    """Let a token bucket of 5 answer as many requests as the limiter lets through."""
    tokens, counted_s = 5.0, 0.0
    while (now_s := bench.clock.monotonic()) < seconds:
        await bench.limiter.slot()
        now_s = bench.clock.monotonic()
        tokens = min(5.0, tokens + (now_s - counted_s) * limit)
        counted_s = now_s
        if tokens >= 1:
            tokens -= 1
            bench.limiter.accepted()
        else:
            bench.limiter.refused(1.0)


@pytest.mark.parametrize("limit", [5.0, 10.0, 50.0])
def test_an_unknown_limit_is_found_filled_and_rarely_exceeded(limit: float) -> None:
    bench = Bench(rate=None, random=NEVER_LATE)
    bench.run(strict_server(bench, limit, 200.0))
    accepted, refused = bench.limiter.accepted_requests, bench.limiter.refused_requests
    assert accepted >= 0.85 * limit * 200
    assert refused <= 0.03 * (accepted + refused)
    assert bench.limiter.rate == pytest.approx(limit, rel=0.2)


def test_a_known_rate_is_filled_without_a_refusal() -> None:
    bench = Bench(rate=10.0)
    bench.run(strict_server(bench, 10.0, 100.0))
    assert bench.limiter.refused_requests == 0
    assert bench.limiter.accepted_requests >= 1_000


def test_a_given_rate_above_the_limit_is_cut_to_it() -> None:
    bench = Bench(rate=40.0)
    bench.run(strict_server(bench, 10.0, 200.0))
    assert bench.limiter.rate == pytest.approx(10.0, rel=0.2)
    assert bench.limiter.accepted_requests >= 0.85 * 10 * 200


TOGETHER_S = 300.0


async def share_a_limit(
    clock: VirtualClock, bucket: TokenBucket, limiter: RateLimiter, begins_s: float
) -> None:
    """Send as much as a limiter lets through to a limit that another client has as well."""
    await clock.sleep(begins_s)
    while clock.monotonic() < TOGETHER_S:
        await limiter.slot()
        refused_for_s = bucket.wait_s(clock.monotonic())
        await clock.sleep(0.02)
        if refused_for_s:
            limiter.refused(math.ceil(refused_for_s))
        else:
            limiter.accepted()


@pytest.mark.parametrize("begins_s", [0.0, 30.0])
@pytest.mark.parametrize("knows_rate", [True, False])
@pytest.mark.parametrize(("limit", "most_refused"), [(2.0, 0.1), (10.0, 0.03), (50.0, 0.01)])
def test_two_studies_with_one_key_both_get_on_and_are_seldom_refused(
    limit: float, most_refused: float, knows_rate: bool, begins_s: float
) -> None:
    clock, bucket = VirtualClock(), TokenBucket(limit, burst=5)
    rate = limit if knows_rate else None
    limiters = [RateLimiter(rate, clock=clock, random=Random(seed).random) for seed in range(2)]

    async def both() -> None:
        begins = (0.0, begins_s)
        await asyncio.gather(
            *(
                share_a_limit(clock, bucket, limiter, begin_s)
                for limiter, begin_s in zip(limiters, begins, strict=True)
                for _ in range(6)
            )
        )

    clock.run(both())
    accepted = [limiter.accepted_requests for limiter in limiters]
    refused = sum(limiter.refused_requests for limiter in limiters)
    assert min(accepted) >= 0.2 * sum(accepted)
    assert sum(accepted) >= 0.8 * limit * TOGETHER_S
    # The slower the limit, the fewer requests lie between two cautious looks above it.
    assert refused <= most_refused * sum(accepted)


def test_what_one_pacer_learned_another_starts_from() -> None:
    first = Bench(rate=None)
    first.run(strict_server(first, 10.0, 120.0))
    second = Bench(rate=None, learned=first.limiter.rate)
    second.run(strict_server(second, 10.0, 20.0))
    assert second.limiter.accepted_requests >= 0.85 * 10 * 20


def test_an_idle_rate_is_not_raised_because_it_was_not_tried() -> None:
    bench = Bench(rate=None)
    start = bench.limiter.rate
    bench.run(*(bench.take(after_s=number * 2.0) for number in range(50)))
    assert bench.limiter.rate == start


def test_spare_tells_an_idle_budget_from_a_contested_one() -> None:
    bench = Bench(10.0)
    seen = {"idle": bench.limiter.spare}

    async def watch() -> None:
        await bench.clock.sleep(15.0)
        seen["contested"] = bench.limiter.spare
        await bench.clock.sleep(300.0)
        seen["over"] = bench.limiter.spare

    bench.run(watch(), *(bench.take() for _ in range(200)))
    bench.limiter.pause_until(math.inf)
    assert seen["idle"] == 1.0
    assert seen["contested"] == 0.0
    assert seen["over"] > 0.99
    assert bench.limiter.spare == 0.0


def test_the_backlog_is_how_long_a_question_waits() -> None:
    bench = Bench(10.0)
    expected: list[float] = []

    async def ask() -> None:
        await bench.clock.sleep(1.05)
        expected.append(bench.limiter.backlog_s)
        await bench.take("probe", RequestKind.POLL)

    bench.run(
        *(bench.take("", RequestKind.POLL) for _ in range(50)),
        *(bench.take("", RequestKind.CREATE) for _ in range(50)),
        ask(),
    )
    waited = next(moment for moment, name in bench.grants if name == "probe") - 1.05
    assert expected[0] == pytest.approx(waited, rel=0.15)


def test_what_limits_is_told_in_words() -> None:
    bench = Bench(10.0)
    said = [bench.limiter.limited_by]

    async def look() -> None:
        await bench.clock.sleep(0.55)
        said.append(bench.limiter.limited_by)

    bench.run(look(), *(bench.take() for _ in range(20)))
    bench.limiter.pause_until(bench.clock.monotonic() + 60)
    said.append(bench.limiter.limited_by)
    assert said[:2] == ["", "the request rate (10/s)"]
    assert said[2].startswith("paused by the server until ")
    assert said[2].count(":") == 2


# --- the search for the rate ------------------------------------------------------------------


def sending(search: AdaptiveRate, seconds: float, step_s: float = 0.1) -> None:
    for _ in range(round(seconds / step_s)):
        search.sent(step_s)


def accept_evenly(search: AdaptiveRate, rate: float, until_s: float) -> None:
    for number in range(int(until_s * rate)):
        search.accepted((number + 1) / rate)


@pytest.mark.parametrize("hours", [2, 1_000])
def test_a_computer_that_slept_for_hours_finds_the_ceiling_and_no_overflow(hours: int) -> None:
    search = AdaptiveRate(rate=20.0, learned=5.0)
    search.sent(hours * 3600.0)
    assert search.rate == 20.0


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
