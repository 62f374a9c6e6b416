"""How many uploads are made at once, and how fast their bytes move."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from helios_research.submission import Clock
from helios_research.submission.upload_slots import FIRST_UPLOADS, UploadSlots

MB = 1_000_000


class SetClock(Clock):
    """A clock that tests set."""

    at_s = 0.0

    def awake(self) -> float:
        return self.at_s


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def slots(clock: SetClock) -> UploadSlots:
    return UploadSlots(8, clock)


def upload(slots: UploadSlots, clock: SetClock, size: int, seconds: float) -> None:
    """Let a recording be uploaded alone; this computer takes the first part of it at once."""
    buffered = min(size, 131_072)
    with slots.measured() as take:
        take(buffered)
        for _ in range(50):
            clock.at_s += seconds / 50 * (1 - buffered / size)
            take((size - buffered) // 50)
        clock.at_s += seconds * buffered / size
        slots.arrived(take)


async def most_at_once(slots: UploadSlots, size: int) -> int:
    """Count the uploads of a size that begin before one ends."""
    begun = 0
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(0.05):
                for _ in range(20):
                    await stack.enter_async_context(slots.slot(size))
                    begun += 1
        except TimeoutError:
            return begun
    return begun


async def test_few_begin_and_each_that_arrives_makes_room_for_one_more(slots, clock) -> None:
    assert await most_at_once(slots, MB) == FIRST_UPLOADS
    for arrived in range(1, 10):
        upload(slots, clock, MB, 0.2)
        assert await most_at_once(slots, MB) == min(8, FIRST_UPLOADS + arrived)


@pytest.mark.parametrize(("kb_per_s", "at_once"), [(20, 1), (100, 2), (260, 5), (1000, 8)], ids=str)
async def test_no_more_at_once_than_the_line_carries_in_a_while(
    slots, clock, kb_per_s: int, at_once: int
) -> None:
    for _ in range(12):
        upload(slots, clock, MB, MB / (1000 * kb_per_s))
    assert await most_at_once(slots, MB) == at_once


async def test_a_large_recording_is_uploaded_over_any_line(slots, clock) -> None:
    upload(slots, clock, MB, 1000)
    assert await most_at_once(slots, 100 * MB) == 1


async def test_an_upload_that_fails_counts_by_what_had_surely_moved(slots, clock) -> None:
    for _ in range(12):
        upload(slots, clock, MB, 0.5)
    with slots.measured() as take:
        take(100_000)  # still on this computer
        clock.at_s += 60
    assert await most_at_once(slots, MB) == 1


async def test_whoever_waits_and_gives_up_takes_no_room(slots) -> None:
    async with slots.slot(MB), slots.slot(MB):
        waiting = [asyncio.create_task(most_at_once(slots, MB)) for _ in range(3)]
        await asyncio.sleep(0.01)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert await most_at_once(slots, MB) == FIRST_UPLOADS


@pytest.mark.parametrize(
    ("size", "seconds", "said"),
    [
        (MB, 50, "uploading at 21 kB/s"),
        (MB, 6.4, "uploading at 160 kB/s"),
        (12 * MB, 10, "uploading at 1.2 MB/s"),
        (MB, 2, "uploading"),
    ],
)
def test_the_speed_is_said_where_most_recordings_wait_for_uploads(
    slots, clock, size: int, seconds: float, said: str
) -> None:
    upload(slots, clock, size, seconds)
    with slots.measured():
        assert slots.limited_by(2) == said
        assert slots.limited_by(3) == ""
    assert slots.limited_by(0) == ""
