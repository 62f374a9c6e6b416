"""From bytes to samples: the container, the declared duration and the decoded sound."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.recording import examine
from helios_research.recording.decoding import (
    DECODED_AT_MOST_S,
    WAV,
    Decoding,
    sniff,
)

MEDIA_TYPES = {
    "wav/pcm": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "mp4/aac": "audio/mp4",
    "ogg/opus": "audio/ogg",
    "ogg/vorbis": "audio/ogg",
    "webm/opus": "audio/webm",
}


@pytest.mark.parametrize("audio_format", MEDIA_TYPES)
def test_each_listed_format_is_found_with_its_media_type(files, audio_format):
    container = sniff(io.BytesIO(files[audio_format]))
    assert container.media_type is not None
    assert container.name == audio_format.partition("/")[0]
    assert container.media_type == MEDIA_TYPES[audio_format]


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"FORM\0\0\0\0AIFF", "aiff"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "wma"),
        (b".snd\0\0\0\x18", "au"),
        (b"caff\0\1\0\0", "caf"),
        (b"#!AMR\n", "amr"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"NIST_1A\n   1024\n", "nist sphere"),
        (b"\x02dss\0\0", "dss"),
        (b"\x03ds2\0\0", "ds2"),
        (b"\x07ds2\0\0", "ds2"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "heif"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", "matroska"),
    ],
)
def test_other_containers_are_named_and_never_opened(head, name):
    container = sniff(io.BytesIO(head + bytes(64)))
    assert container is not None
    assert (container.name, container.demuxer, container.media_type) == (name, None, None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"R",
        b"RIFF",
        b"RIFF\0\0\0\0",
        b"ID3",
        b"\x1a\x45\xdf\xa3",
        b"\xff\xfb\x90\x00",
        b"%PDF-1.7",
    ],
)
def test_bytes_of_no_container_are_none(data):
    assert sniff(io.BytesIO(data)) is None


def test_an_mp3_is_found_behind_large_cover_art(files):
    tag = b"ID3\x04\0\0" + bytes([0, 0x10, 0, 0]) + bytes(0x10 << 14)
    container = sniff(io.BytesIO(tag + files["mp3"]))
    assert container is not None
    assert container.name == "mp3"


def test_a_flac_behind_an_id3_tag_is_a_flac(files):
    tag = b"ID3\x04\0\0\0\0\0\x20" + bytes(32)
    container = sniff(io.BytesIO(tag + files["flac"]))
    assert container is not None
    assert container.name == "flac"


def test_an_mp3_may_begin_with_silence_instead_of_a_frame(files):
    container = sniff(io.BytesIO(bytes(2000) + files["mp3"]))
    assert container is not None
    assert container.name == "mp3"


def test_raw_aac_is_known_but_not_listed(encoder, speech):
    container = sniff(io.BytesIO(encoder(speech.first(1), "adts", "aac")))
    assert container is not None
    assert (container.name, container.media_type) == ("adts", None)


@given(st.binary(max_size=300))
def test_no_bytes_at_all_make_it_stumble(data):
    container = sniff(io.BytesIO(data))
    assert container is None or container.name


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
    data[4:8] = struct.pack("<I", min(size + 36, 0xFFFFFFFF))
    assert examine(io.BytesIO(bytes(data))).missing_s == 0


@pytest.mark.parametrize("xing", ["0", "1"])
def test_an_mp3_with_and_without_a_count_of_its_frames_misses_nothing(speech, encoder, xing):
    data = encoder(speech, "mp3", "libmp3lame", write_xing=xing)
    facts = examine(io.BytesIO(data + b"TAG" + bytes(125)))
    assert facts.missing_s == 0


@pytest.mark.parametrize(
    "after", [b"OggS\0\4" + bytes(20) + b"\0", bytes(70_000), b"TAG" + bytes(125)]
)
def test_what_follows_a_whole_ogg_does_not_make_it_cut_off(files, after):
    """A last page may be empty, and some programs append tags of their own."""
    data = files["ogg/opus"]
    assert examine(io.BytesIO(data + after)).missing_s == 0
    assert examine(io.BytesIO(data[:-1])).missing_s == np.inf


def test_chunks_of_other_kinds_are_passed_over(files):
    data = bytearray(files["wav/pcm"])
    at = data.index(b"data")
    data[at:at] = b"LIST" + struct.pack("<I", 5) + b"hello" + b"\0"
    data[4:8] = struct.pack("<I", len(data) - 8)
    assert examine(io.BytesIO(bytes(data))).missing_s == 0
    assert examine(io.BytesIO(bytes(data[:-32_000]))).missing_s == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("length", [0, 4, 11, 12, 19, 20, 30, 43])
@pytest.mark.parametrize("audio_format", ["wav/pcm", "flac"])
def test_headers_that_end_early_declare_nothing(files, audio_format, length):
    assert examine(io.BytesIO(files[audio_format][:length])).missing_s == 0


def decoded(data):
    decoding = Decoding(io.BytesIO(data), sniff(io.BytesIO(data)))
    blocks = list(decoding.blocks())
    return decoding, blocks


@pytest.mark.parametrize(
    ("audio_format", "codec"),
    [
        ("wav/pcm", "pcm_s16le"),
        ("flac", "flac"),
        ("mp3", "mp3"),
        ("mp4/aac", "aac"),
        ("ogg/opus", "opus"),
        ("ogg/vorbis", "vorbis"),
        ("webm/opus", "opus"),
    ],
)
def test_each_format_is_decoded_to_its_true_length(files, speech, audio_format, codec):
    decoding, blocks = decoded(files[audio_format])
    assert decoding.problem is None
    assert decoding.codec == codec
    assert decoding.duration_s == pytest.approx(speech.samples.size / speech.rate, abs=0.1)
    total = sum(block.samples.shape[1] for block in blocks)
    assert total / blocks[0].sample_rate_hz == pytest.approx(decoding.duration_s, abs=0.01)


def test_samples_come_out_as_they_went_in(speech, wav_writer):
    _, blocks = decoded(wav_writer(speech))
    samples = np.concatenate([block.samples for block in blocks], axis=1)
    assert np.abs(samples - speech.samples).max() < 1e-4


def test_channels_stay_apart(speech, wav_writer, sound_type):
    both = np.concatenate([speech.samples, 0 * speech.samples])
    _, blocks = decoded(wav_writer(sound_type(both, speech.rate)))
    assert all(block.samples.shape[0] == 2 for block in blocks)
    assert max(np.abs(block.samples[1]).max() for block in blocks) == 0


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 10**9])
def test_a_streamed_wav_header_does_not_matter(speech, wav_writer, size):
    decoding, _ = decoded(wav_writer(speech, size=size))
    assert decoding.duration_s == pytest.approx(speech.samples.size / speech.rate)


def test_a_webm_from_a_browser_without_duration_is_decoded_to_its_length(speech, encoder):
    data = encoder(speech, "webm", "libopus", 48_000, live="1")
    decoding, _ = decoded(data)
    assert decoding.duration_s == pytest.approx(speech.samples.size / speech.rate, abs=0.05)


def test_chained_ogg_is_decoded_to_its_end(speech, encoder):
    """Streaming servers write one Ogg stream after the other into the same file."""
    first = encoder(speech.first(2), "ogg", "libopus", 48_000)
    second = encoder(speech.first(3), "ogg", "libopus", 48_000)
    decoding, blocks = decoded(first + second)
    assert decoding.duration_s == pytest.approx(5, abs=0.1)
    samples = sum(block.samples.shape[1] for block in blocks)
    assert samples / 48_000 == pytest.approx(5, abs=0.1)


def test_a_rate_and_channels_that_change_half_way_are_taken_in(speech, encoder, sound_type):
    both = sound_type(np.concatenate([speech.samples, speech.samples]), speech.rate)
    first = encoder(speech.first(3), "mp3", "libmp3lame", 16_000, write_xing="0")
    second = encoder(both.first(3), "mp3", "libmp3lame", 24_000, write_xing="0", id3v2_version="0")
    decoding, blocks = decoded(first + second)
    assert decoding.problem is None
    assert decoding.duration_s == pytest.approx(6, abs=0.3)
    shapes = {(block.samples.shape[0], block.sample_rate_hz) for block in blocks}
    assert shapes >= {(1, 16_000), (2, 24_000)}


@pytest.mark.parametrize(("channels", "rate"), [(3, 16_000), (8, 192_000), (32, 192_000)])
def test_many_channels_at_a_high_rate_are_decoded(wav_writer, sound_type, channels, rate):
    ramp = np.linspace(-0.5, 0.5, channels)[:, np.newaxis] * np.ones(rate // 2)
    decoding, blocks = decoded(wav_writer(sound_type(ramp, rate)))
    assert decoding.problem is None
    assert (decoding.channels, decoding.sample_rate_hz) == (channels, rate)
    assert np.allclose(blocks[0].samples[:, 100], ramp[:, 0], atol=1e-4)


def test_a_long_recording_is_measured_but_not_decoded_to_its_end(wav_writer, sound_type):
    silence = sound_type(np.zeros((1, 8_000 * 600), np.float32), 8_000)
    decoding, blocks = decoded(wav_writer(silence))
    assert decoding.duration_s == pytest.approx(600)
    samples = sum(block.samples.shape[1] for block in blocks)
    assert DECODED_AT_MOST_S <= samples / 8_000 < DECODED_AT_MOST_S + 20


@pytest.mark.parametrize("rate", [1, 100, 3_000_000])
def test_a_sample_rate_that_cannot_be_is_refused(speech, wav_writer, rate):
    decoding, blocks = decoded(wav_writer(speech.first(1), rate=rate))
    assert decoding.problem == f"its header gives a sample rate of {rate} Hz"
    assert not blocks


def test_moving_pictures_without_sound_hold_no_audio():
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as opened:
        stream = opened.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            opened.mux(stream.encode(frame))
        opened.mux(stream.encode(None))
    decoding, blocks = decoded(file.getvalue())
    assert decoding.has_video
    assert decoding.problem == "it contains no audio"
    assert not blocks


def test_a_playlist_that_names_other_files_is_never_followed():
    playlist = b"ffconcat version 1.0\nfile /etc/passwd\n" * 10
    assert sniff(io.BytesIO(playlist)) is None
    decoding = Decoding(io.BytesIO(playlist), WAV)
    assert not list(decoding.blocks())
    assert decoding.problem == (
        "it cannot be decoded: it was not finished, not copied whole or is damaged "
        "(Invalid data found when processing input). Copy it again"
    )


def test_damage_in_the_middle_costs_a_part_only(files):
    data = bytearray(files["mp4/aac"])
    middle = len(data) // 2
    data[middle : middle + 2_000] = b"\xff" * 2_000
    decoding, blocks = decoded(bytes(data))
    assert decoding.damaged_packets > 0
    assert decoding.problem is None
    assert decoding.duration_s > 15
    assert blocks
