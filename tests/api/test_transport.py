"""Connections that are lent, and recordings on their way."""

import asyncio
import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.api.transport import (
    ClientPool,
    RecordingChangedError,
    UploadBody,
)
from helios_research.errors import RecordingUnavailableError


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
def pool() -> ClientPool[Pretended]:
    Pretended.made = 0
    return ClientPool(Pretended, 2)


async def test_the_connection_used_last_is_lent_first(pool: ClientPool[Pretended]) -> None:
    async with pool.lend() as first, pool.lend() as second:
        assert first.number != second.number
    async with pool.lend() as again:
        assert again is first
    assert Pretended.made == 2


async def test_no_more_are_lent_than_there_are(pool: ClientPool[Pretended]) -> None:
    busy = most = 0

    async def use() -> None:
        nonlocal busy, most
        async with pool.lend():
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0)
            busy -= 1

    await asyncio.gather(*(use() for _ in range(50)))
    assert most == 2
    assert Pretended.made == 2


async def test_one_whose_request_failed_is_closed_and_replaced(
    pool: ClientPool[Pretended],
) -> None:
    with pytest.raises(ValueError, match="broken"):
        async with pool.lend() as lent:
            raise ValueError("broken")
    assert lent.is_closed
    async with pool.lend() as other:
        assert other is not lent


async def test_one_whose_request_was_cancelled_is_closed_and_gives_up_its_place(
    pool: ClientPool[Pretended],
) -> None:
    lent: list[Pretended] = []

    async def use() -> None:
        async with pool.lend() as client:
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
    async with pool.lend(), pool.lend():
        pass  # both places are free


async def test_closing_closes_the_idle_ones_now_and_the_lent_ones_when_they_come_back(
    pool: ClientPool[Pretended],
) -> None:
    async with pool.lend() as lent:
        async with pool.lend() as idle:
            pass
        await pool.aclose()
        assert (idle.is_closed, lent.is_closed) == (True, False)
    assert lent.is_closed


DATA = b"RIFF, and then the sound of somebody talking"


def body(blocks: list[bytes], expected: bytes = DATA) -> UploadBody:
    sha256 = hashlib.sha256(expected).hexdigest()
    return UploadBody(len(expected), "audio/wav", sha256, lambda: iter(blocks))


def given_out(upload: UploadBody) -> tuple[list[bytes], str | None]:
    """Collect what comes out, and the reason for an early end."""
    blocks = []
    try:
        for block in upload.checked_blocks():
            blocks.append(block)  # noqa: PERF402 - what came before an exception is wanted
    except RecordingChangedError as changed:
        return blocks, str(changed)
    return blocks, None


@given(st.lists(st.binary(max_size=9), max_size=9))
def test_the_right_bytes_come_out_as_they_went_in(blocks: list[bytes]) -> None:
    upload = body(blocks, b"".join(blocks))
    assert given_out(upload) == ([block for block in blocks if block], None)


@given(st.lists(st.binary(max_size=9), max_size=9), st.binary(max_size=40))
def test_other_bytes_never_come_out_completely(blocks: list[bytes], expected: bytes) -> None:
    found = b"".join(blocks)
    if found == expected:
        return
    came, reason = given_out(body(blocks, expected))
    assert reason is not None
    assert len(b"".join(came)) < len(expected) or not expected


@pytest.mark.parametrize(
    "blocks",
    [
        [DATA[:10], DATA[10:-1]],
        [DATA[:10], DATA[10:], b"more"],
        [DATA[:10], DATA[10:].replace(b"talking", b"singing")],
        [DATA.replace(b"RIFF", b"RIFX")],
        [DATA.replace(b"RIFF", b"RIFX"), b"", b""],
        [],
    ],
    ids=["shorter", "longer", "changed at the end", "changed in one block", "then empty", "empty"],
)
def test_a_file_that_changed_is_said_to_have_changed(blocks: list[bytes]) -> None:
    came, reason = given_out(body(blocks))
    assert reason is not None
    assert reason.startswith("The file is not what it was when it was checked, so it was not sent")
    assert len(b"".join(came)) < len(DATA)


@pytest.mark.parametrize(
    "problem",
    [
        FileNotFoundError(2, "No such file or directory", "night.wav"),
        RecordingUnavailableError("night.wav", "does not exist", "put it back"),
    ],
)
def test_a_recording_that_cannot_be_read_any_more_says_why(problem: Exception) -> None:
    def blocks() -> Iterator[bytes]:
        yield DATA[:5]
        raise problem

    upload = UploadBody(len(DATA), None, hashlib.sha256(DATA).hexdigest(), blocks)
    came, reason = given_out(upload)
    assert came == []
    assert reason == f"The recording cannot be read any more, so it was not sent. {problem}"


def test_each_attempt_reads_the_recording_anew() -> None:
    upload = body([DATA[:7], DATA[7:]])
    assert given_out(upload) == given_out(upload) == ([DATA[:7], DATA[7:]], None)


def test_a_hash_in_upper_case_is_the_same_hash() -> None:
    upload = UploadBody(
        len(DATA), None, hashlib.sha256(DATA).hexdigest().upper(), lambda: iter([DATA])
    )
    assert given_out(upload) == ([DATA], None)


def test_a_defect_in_reading_is_not_taken_for_a_changed_file() -> None:
    def blocks() -> Iterator[bytes]:
        yield DATA[:5]
        raise ZeroDivisionError

    upload = UploadBody(len(DATA), None, "", blocks)
    with pytest.raises(ZeroDivisionError):
        list(upload.checked_blocks())
