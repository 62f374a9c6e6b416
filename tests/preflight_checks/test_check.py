"""The check of one recording, and checks that are kept."""

import json
import os
import pickle
import re
import struct

import numpy as np
import pytest

from helios_research.preflight_checks.check import (
    Check,
    check_recording,
    rules_key,
    unchecked,
)
from helios_research.preflight_checks.rules import Thresholds
from support.sound import Sound, demo_speech, encode, sphere, trimmed, wav, with_spatial_track


def test_a_good_recording_is_ok_with_all_its_facts(folder):
    check = check_recording(str(folder / "007_visit1.flac"))
    assert (check.verdict, check.predicted_error_code, check.reason) == ("ok", None, "")
    assert (check.audio_format, check.media_type) == ("flac", "audio/flac")
    assert check.duration_s == pytest.approx(17.38, abs=0.01)
    assert check.speech_s == pytest.approx(12, abs=0.3)
    assert check.speech_counted_to_end is False
    assert check.stamp is not None
    assert check.stamp.size_bytes == check.size_bytes


def test_what_is_no_recording_is_one_failed_check(folder):
    check = check_recording(str(folder / "notes.txt"))
    assert (check.verdict, check.predicted_error_code) == ("fail", "ERR_RECORDING_INVALID_FORMAT")
    assert check.sha256 is not None
    assert check.speech_counted_to_end is None


@pytest.mark.parametrize("name", ["gone.wav", ".", "a\0b.wav"])
def test_what_cannot_be_read_is_one_failed_check_with_our_code(folder, name):
    check = check_recording(f"{folder}/{name}")
    assert (check.verdict, check.predicted_error_code) == ("fail", "INVALID_RECORDING")
    assert check.reason.startswith("The recording ")
    assert check.sha256 is None


def test_the_extension_is_reported_and_not_trusted(folder):
    (folder / "007_visit1.flac").rename(folder / "a.mp3")
    check = check_recording(str(folder / "a.mp3"))
    assert check.verdict == "ok"
    assert check.media_type == "audio/flac"
    assert check.reason == "Its name ends in .mp3, but its bytes are flac."


def test_a_mistake_of_ours_costs_one_row(folder, monkeypatch):
    def fail(*args):
        raise ZeroDivisionError("float division by zero")

    monkeypatch.setattr("helios_research.preflight_checks.check.predict", fail)
    check = check_recording(str(folder / "007_visit1.flac"))
    assert (check.verdict, check.predicted_error_code) == ("warn", None)
    assert check.reason == ("It could not be checked (ZeroDivisionError: float division by zero).")


def test_a_previous_check_holds_while_nothing_was_written(folder):
    location = str(folder / "007_visit1.flac")
    previous = check_recording(location)
    marked = Check.from_dict(previous.to_dict() | {"reason": "from before"})
    assert check_recording(location, previous=marked).reason == "from before"
    os.utime(location, ns=(0, 1))
    assert check_recording(location, previous=marked).reason == ""


def test_the_same_bytes_elsewhere_are_recognized_without_decoding(folder):
    first = check_recording(str(folder / "007_visit1.flac"))
    marked = Check.from_dict(first.to_dict() | {"reason": "from before"})
    moved = folder / "moved.flac"
    (folder / "007_visit1.flac").rename(moved)
    os.utime(moved, ns=(0, 1))
    again = check_recording(str(moved), alike=[marked])
    assert again.reason == "from before"
    assert again.stamp != first.stamp


def test_what_was_said_of_a_name_is_not_said_of_another(folder):
    good, wrong = folder / "007_visit1.flac", folder / "a.mp3"
    from_good = check_recording(str(good))
    good.rename(wrong)
    from_wrong = check_recording(str(wrong), alike=[from_good])
    assert from_wrong.reason == "Its name ends in .mp3, but its bytes are flac."
    wrong.rename(good)
    assert check_recording(str(good), alike=[from_wrong]).reason == ""


def test_a_check_survives_pickling_and_json(folder):
    for name in ("007_visit1.flac", "gone.wav"):
        check = check_recording(str(folder / name))
        assert pickle.loads(pickle.dumps(check)) == check  # noqa: S301 - written just before
        assert Check.from_dict(json.loads(json.dumps(check.to_dict()))) == check


def test_what_could_not_be_checked_is_still_sent():
    check = unchecked("it took longer than 120 s")
    assert check.verdict == "warn"
    assert check.reason == "It could not be checked (it took longer than 120 s)."


def test_rules_differ_by_limits_and_by_full_count():
    keys = {
        rules_key(Thresholds(), full_speech=False),
        rules_key(Thresholds(), full_speech=True),
        rules_key(Thresholds(longest_s=60), full_speech=False),
    }
    assert len(keys) == 3
    assert rules_key(Thresholds(), full_speech=False) in keys


# --- what recorders, phones and accidents leave -----------------------------------------------------


@pytest.fixture(scope="module")
def speech() -> Sound:
    return demo_speech()


@pytest.fixture
def checked(tmp_path):
    """Check some bytes as a file."""

    def check(data: bytes) -> Check:
        (tmp_path / "recording").write_bytes(data)
        return check_recording(str(tmp_path / "recording"))

    return check


_CONVERT = "Convert it to WAV, for example with `ffmpeg -i FILE FILE.wav`."
_DICTATION = "Dictation recorders of Olympus, Philips and Grundig write it. Export it as WAV from their program."
_UNLISTED = "which is not among the formats that Helios lists."


@pytest.mark.parametrize("place", [0, 1])
def test_of_two_tracks_the_one_that_can_be_decoded_is_measured(checked, speech, place):
    check = checked(with_spatial_track(speech, place))
    assert (check.verdict, check.audio_format) == ("warn", "mov/aac")
    assert check.duration_s == pytest.approx(17.4, abs=0.1)
    assert check.speech_s == pytest.approx(12, abs=0.3)
    assert check.reason == (
        f"It is mov/aac, {_UNLISTED} QuickTime, iPhone cameras and spatial Voice Memos write it. "
        "Export it as M4A."
    )


@pytest.mark.parametrize(
    ("codec", "rate", "audio_format"),
    [("aac", 16_000, "3gp/aac"), ("libopencore_amrnb", 8_000, "3gp/amr_nb")],
)
def test_the_sound_in_a_3gp_of_an_android_phone_is_measured(
    checked, speech, codec, rate, audio_format
):
    check = checked(encode(speech, "3gp", codec, rate))
    assert (check.verdict, check.audio_format) == ("warn", audio_format)
    assert check.duration_s == pytest.approx(17.4, abs=0.1)
    assert check.reason == f"It is {audio_format}, {_UNLISTED} Android phones write it. {_CONVERT}"


@pytest.mark.parametrize(
    ("magic", "words"),
    [
        (b"\x02dss", f"it is in DSS format. {_DICTATION}"),
        (b"\x03ds2", f"it is in DS2 format. {_DICTATION}"),
        (b"\x07ds2", f"it is in DS2 format. {_DICTATION}"),
        (b"FORM\0\0\0\0AIFF", f"it is in AIFF format. {_CONVERT}"),
    ],
)
def test_what_is_not_decoded_is_named_with_the_conversion_to_do(checked, magic, words):
    check = checked(magic + bytes(2_000))
    assert (check.verdict, check.predicted_error_code) == ("fail", "ERR_RECORDING_INVALID_FORMAT")
    assert check.reason == f"Not a recording that Helios accepts: {words}"


def test_a_sphere_file_and_a_raw_amr_are_named_with_where_they_come_from(checked, speech):
    assert checked(sphere(speech)).reason == (
        "Not a recording that Helios accepts: it is in NIST SPHERE format. Speech corpora use it. "
        f"{_CONVERT}"
    )
    assert checked(encode(speech, "amr", "libopencore_amrnb", 8_000)).reason == (
        "Not a recording that Helios accepts: it is in AMR format. Older phones and messengers write "
        f"it. {_CONVERT}"
    )


def test_an_m4a_that_was_never_finished_is_to_be_copied_again(checked, speech):
    m4a = encode(speech, "ipod", "aac")
    assert checked(m4a).verdict == "ok"
    assert checked(m4a[: m4a.index(b"moov") - 4]).reason == (
        "Not a recording that Helios accepts: it cannot be decoded: it was not finished, not copied "
        "whole or is damaged (Invalid data found when processing input). Copy it again."
    )


def test_of_a_trimmed_memo_what_is_played_counts_and_what_is_hidden_is_said(checked, speech):
    check = checked(trimmed(encode(speech, "ipod", "aac"), from_s=3, played_s=14))
    assert check.duration_s == pytest.approx(14, abs=0.1)
    assert check.verdict == "warn"
    assert check.reason == (
        "It was trimmed: 14.02 s are played, but 3.45 s more are still in the file and would be sent. "
        "Export it anew to leave them out."
    )
    check = checked(trimmed(encode(speech, "ipod", "aac"), from_s=5, played_s=8))
    assert check.speech_s == pytest.approx(7.8, abs=0.5)
    assert check.predicted_error_code == "ERR_RECORDING_TOO_SHORT"


TORN = "It seems to be cut off: it ends in the middle of a block. Copy it again."


@pytest.mark.parametrize(
    ("container", "codec", "rate", "options"),
    [
        ("webm", "libopus", 48_000, {"live": "1"}),
        ("ogg", "libopus", 48_000, {}),
        ("ogg", "vorbis", 16_000, {}),
        ("mp3", "libmp3lame", 16_000, {}),
        ("mp3", "libmp3lame", 16_000, {"write_xing": "0"}),
        (
            "mp4",
            "aac",
            16_000,
            {"movflags": "frag_keyframe+empty_moov", "frag_duration": "1000000"},
        ),
    ],
)
@pytest.mark.parametrize("more", [0, 11, 23])
def test_what_is_cut_off_without_a_length_in_its_header_is_said(
    checked, speech, container, codec, rate, options, more
):
    data = encode(speech, container, codec, rate, **options)
    assert checked(data).verdict == "ok"
    check = checked(data[: len(data) * 6 // 10 + more])
    assert check.verdict in ("warn", "fail")
    assert check.reason.endswith(TORN), check.reason


def test_what_is_cut_off_with_a_length_in_its_header_is_said_in_seconds(checked, speech):
    webm = encode(speech, "webm", "libopus", 48_000)
    assert checked(webm[: len(webm) * 6 // 10]).reason.endswith(
        "It seems to be cut off: by its own header it is 17.39 s long, but only 10.51 s are there. "
        "Copy it again."
    )
    # As a page writes it that corrects the header of what the browser recorded.
    at = webm.index(b"\x44\x89\x88") + 3
    webm = webm[:at] + struct.pack(">d", 40_000.0) + webm[at + 8 :]
    # Without the 7 ms at the beginning that decoders drop, or with 13 ms in older ones.
    said = r"by its own header it is 39\.9[89] s long, but only 17\.38 s are"
    assert re.search(said, checked(webm).reason)


def test_two_voices_on_two_channels_are_said(checked, speech):
    voice, silence = speech.samples[0], np.zeros_like(speech.samples[0])
    half = voice.size // 2
    first = np.concatenate([voice[:half], silence[half:]])
    second = voice - first
    hum = 0.03 * np.sin(2 * np.pi * 50 * np.arange(voice.size) / speech.rate)

    def reason(left, right):
        return checked(wav(Sound(np.stack([left, right]).astype(np.float32), speech.rate))).reason

    said = (
        "Its two channels hold different speech, as of an interviewer and a participant: send the "
        "participant's channel alone."
    )
    assert reason(first, second) == said
    # Each microphone also hears the other person.
    assert reason(first + 0.1 * second, second + 0.1 * first) == said
    assert reason(voice, voice) == ""
    assert reason(voice, 0.5 * voice) == ""
    assert reason(voice, silence) == ""
    assert reason(silence, voice) == ""
    assert reason(voice, hum) == ""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            b"\xef\xbb\xbf\r\n <!DOCTYPE html><html>Log in</html>",
            "is a web page, not a recording: use the link that downloads the file itself, without a "
            "page or a login before it.",
        ),
        (
            b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(4_000),
            "is a companion that macOS writes beside a file, not a recording: name the file itself, "
            "without ._ before its name.",
        ),
        (b"PK\3\4" + bytes(100), "is a ZIP archive: unpack it, and name the recording in it."),
    ],
)
def test_what_holds_no_audio_has_no_hash_so_it_is_neither_sent_nor_a_duplicate(
    checked, tmp_path, data, words
):
    check = checked(data)
    assert (check.verdict, check.predicted_error_code) == ("fail", "INVALID_RECORDING")
    assert check.sha256 is None
    assert check.reason == f"The recording {tmp_path / 'recording'} {words}"
