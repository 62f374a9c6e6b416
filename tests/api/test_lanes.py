"""Connections that are lent to one request at a time."""

import asyncio

import pytest

from helios_research.api.transport import Lanes


class Pretended:
    """Counts what is made, and remembers whether it was closed."""

    made: int = 0

    def __init__(self) -> None:
        type(self).made += 1
        self.number = type(self).made
        self.is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.fixture
def lanes() -> Lanes[Pretended]:
    Pretended.made = 0
    return Lanes(Pretended, 2)


async def test_the_connection_used_last_is_lent_first(lanes: Lanes[Pretended]) -> None:
    async with lanes.lend() as first, lanes.lend() as second:
        assert first.number != second.number
    async with lanes.lend() as again:
        assert again is first
    assert Pretended.made == 2


async def test_no_more_are_lent_than_there_are(lanes: Lanes[Pretended]) -> None:
    busy = most = 0

    async def use() -> None:
        nonlocal busy, most
        async with lanes.lend():
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0)
            busy -= 1

    await asyncio.gather(*(use() for _ in range(50)))
    assert most == 2
    assert Pretended.made == 2


async def test_one_whose_request_failed_is_closed_and_replaced(lanes: Lanes[Pretended]) -> None:
    with pytest.raises(ValueError, match="broken"):
        async with lanes.lend() as lent:
            raise ValueError("broken")
    assert lent.is_closed
    async with lanes.lend() as other:
        assert other is not lent


async def test_one_whose_request_was_cancelled_is_closed_and_gives_up_its_place(
    lanes: Lanes[Pretended],
) -> None:
    lent: list[Pretended] = []

    async def use() -> None:
        async with lanes.lend() as client:
            lent.append(client)
            await asyncio.Event().wait()

    for _ in range(20):
        task = asyncio.create_task(use())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(lent) == 20
    assert all(client.is_closed for client in lent)
    async with lanes.lend(), lanes.lend():
        pass  # both places are free


async def test_closing_closes_the_idle_ones_now_and_the_lent_ones_when_they_come_back(
    lanes: Lanes[Pretended],
) -> None:
    async with lanes.lend() as lent:
        async with lanes.lend() as idle:
            pass
        await lanes.aclose()
        assert (idle.is_closed, lent.is_closed) == (True, False)
    assert lent.is_closed
