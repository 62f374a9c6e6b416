"""What a header declares is compared with what is there, and only where headers count exactly."""

import io
import struct

import pytest

from helios_research.recording import examine
from helios_research.recording.decoding import FLAC, WAV, declared_duration_s, sniff


@pytest.mark.parametrize("audio_format", ["wav/pcm", "flac"])
def test_half_a_file_is_missing_its_other_half(files, audio_format):
    data = files[audio_format]
    assert examine(io.BytesIO(data)).missing_s == pytest.approx(0, abs=1e-6)
    half = examine(io.BytesIO(data[: len(data) // 2]))
    # FLAC packs pauses tighter than speech, so half of its bytes are not half of its time.
    assert half.missing_s + half.duration_s == pytest.approx(17.4, abs=0.1)
    assert half.missing_s > 5


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF - 44])
def test_what_was_streamed_declares_nothing(files, size):
    data = bytearray(files["wav/pcm"])
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", size)
    assert declared_duration_s(io.BytesIO(bytes(data)), WAV) is None
    assert examine(io.BytesIO(bytes(data))).missing_s == 0


@pytest.mark.parametrize("audio_format", ["mp3", "mp4/aac", "ogg/opus", "ogg/vorbis", "webm/opus"])
def test_headers_that_only_estimate_are_not_asked(files, audio_format):
    file = io.BytesIO(files[audio_format])
    assert declared_duration_s(file, sniff(file)) is None


def test_chunks_of_other_kinds_are_passed_over(files):
    data = files["wav/pcm"]
    at = data.index(b"data")
    note = b"LIST" + struct.pack("<I", 5) + b"hello" + b"\0"
    declared = declared_duration_s(io.BytesIO(data[:at] + note + data[at:]), WAV)
    assert declared == declared_duration_s(io.BytesIO(data), WAV) == pytest.approx(17.4, abs=0.1)


@pytest.mark.parametrize("length", [0, 4, 11, 12, 19, 20, 30, 43])
def test_headers_that_end_early_declare_nothing(files, length):
    assert declared_duration_s(io.BytesIO(files["wav/pcm"][:length]), WAV) is None
    assert declared_duration_s(io.BytesIO(files["flac"][: min(length, 25)]), FLAC) is None
    assert declared_duration_s(io.BytesIO(b"ID3" + files["flac"]), FLAC) is None
