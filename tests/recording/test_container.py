"""Containers are told from bytes."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.recording.decoding import LISTED, sniff

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
    assert container in LISTED
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
        (b"\0\0\0\x18ftyp3gp4\0\0\0\0isom3gp4", "3gp"),
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
