"""A recording on its way, checked as it goes."""

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.api.transport import RecordingChangedError, UploadBody
from helios_research.errors import RecordingUnavailableError

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
