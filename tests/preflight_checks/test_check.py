"""The check of one recording, and checks that are kept."""

import json
import os
import pickle

import pytest

from helios_research.preflight_checks.check import (
    Check,
    check_recording,
    rules_key,
    unchecked,
)
from helios_research.preflight_checks.rules import Thresholds


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
