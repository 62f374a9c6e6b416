"""Time that counts a suspended machine's sleep, and time that jumps instead of waiting."""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from helios_research.submission import LONGEST_NAP_S, Clock
from support.virtual_clock import VirtualClock


class SuspendedClock(Clock):
    """A machine that is suspended for two hours after it has been awake for 20 s."""

    def __init__(self, awake: VirtualClock) -> None:
        super().__init__()
        self._awake = awake

    def monotonic(self) -> float:
        awake_s = self._awake.monotonic()
        return awake_s if awake_s < 20 else awake_s + 7200


def test_the_system_clock_tells_aware_utc() -> None:
    now = Clock().now()
    assert now.utcoffset() == timedelta(0)
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_system_clock_counts_the_time_awake_by_the_clock_that_stands_still_in_sleep() -> None:
    before = time.monotonic()
    assert before <= Clock().awake() <= time.monotonic()


@pytest.mark.skipif(sys.platform != "linux", reason="CLOCK_BOOTTIME is Linux's")
def test_the_system_clock_counts_the_time_a_machine_was_suspended() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    counted = Clock().monotonic()
    after = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= counted <= after


def test_the_system_clock_falls_back_where_no_clock_counts_sleep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    before = time.monotonic()
    assert before <= Clock().monotonic() <= time.monotonic()


@pytest.mark.parametrize("seconds", [0.0, 0.5, 4.0, 12.0])
def test_the_system_clock_waits_as_long_as_it_is_told(seconds: float) -> None:
    awake = VirtualClock()
    clock = Clock()
    clock.monotonic = awake.monotonic  # type: ignore[method-assign]  # time under our control
    awake.run(clock.sleep(seconds))
    assert awake.monotonic() == pytest.approx(seconds)


def test_what_came_due_while_the_machine_slept_is_due_soon_after_it_wakes() -> None:
    awake = VirtualClock()
    awake.run(SuspendedClock(awake).sleep(120))
    assert 20 <= awake.monotonic() <= 20 + LONGEST_NAP_S


def test_virtual_time_passes_without_waiting() -> None:
    clock = VirtualClock()
    began = time.monotonic()
    clock.run(clock.sleep(1e6))
    assert clock.monotonic() == pytest.approx(1e6)
    assert time.monotonic() - began < 1e6


def test_virtual_time_of_day_follows_and_is_utc() -> None:
    start = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    clock = VirtualClock(start)
    clock.run(clock.sleep(90))
    assert clock.now() == start + timedelta(seconds=90)
    assert clock.now().utcoffset() == timedelta(0)


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    clock = VirtualClock()
    woken: list[tuple[float, int]] = []

    async def sleeper(number: int, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((round(clock.monotonic(), 6), number))

    async def main() -> None:
        await asyncio.gather(*(sleeper(i, s) for i, s in enumerate([3.0, 1.0, 2.0, 0.0])))

    clock.run(main())
    assert woken == [(0.0, 3), (1.0, 1), (2.0, 2), (3.0, 0)]


def test_time_outs_are_virtual_too() -> None:
    clock = VirtualClock()

    async def main() -> None:
        async with asyncio.timeout(3600):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        clock.run(main())
    assert clock.monotonic() == pytest.approx(3600)


@pytest.mark.parametrize("since", [0.0, 1e6, 1e8])
def test_waiting_for_the_rest_of_a_rounding_error_ends(since: float) -> None:
    clock = VirtualClock()
    clock.elapsed_s = since

    async def main() -> None:
        due = clock.monotonic() + 1e-9
        while clock.monotonic() < due:
            await clock.sleep(1e-12)

    clock.run(main())
    assert since <= clock.monotonic() < since + 1e-5


def test_virtual_time_stands_still_for_threads_within_the_grace() -> None:
    clock = VirtualClock(grace_s=30)

    async def main() -> float:
        sleeping = asyncio.create_task(clock.sleep(5))
        await asyncio.to_thread(time.sleep, 0.01)
        done_at = clock.monotonic()
        sleeping.cancel()
        return done_at

    assert clock.run(main()) == 0.0


def test_a_loop_without_timers_waits_for_threads() -> None:
    clock = VirtualClock()
    assert clock.run(asyncio.to_thread(lambda: 7)) == 7


def test_both_are_clocks() -> None:
    members = {name for name in vars(Clock) if not name.startswith("_")}
    assert members <= set(dir(VirtualClock))
    assert all(isinstance(clock.now(), datetime) for clock in (Clock(), VirtualClock()))
