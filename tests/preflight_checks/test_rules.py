"""From facts to a verdict, and the limits that decide."""

import dataclasses
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helios_research.preflight_checks.rules import Thresholds, misnamed, predict

THRESHOLDS = Thresholds()
FORMAT, LONG = "ERR_RECORDING_INVALID_FORMAT", "ERR_RECORDING_TOO_LONG"
SHORT, SILENT = "ERR_RECORDING_TOO_SHORT", "ERR_TRANSCRIPTION_FAILED"


def predicted(facts, **changes):
    prediction = predict(replace(facts, **changes), THRESHOLDS)
    return prediction.verdict.value, prediction.code


def test_a_good_recording_is_ok_and_nothing_is_said(good_facts):
    prediction = predict(good_facts, THRESHOLDS, "a.wav")
    assert (prediction.verdict, prediction.code, prediction.reason) == ("ok", None, "")


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (179.75, ("ok", None)),
        (179.76, ("warn", None)),
        (180.0, ("warn", None)),
        (180.01, ("warn", LONG)),
        (180.25, ("warn", LONG)),
        (180.26, ("fail", LONG)),
        (43_200.0, ("fail", LONG)),
    ],
)
def test_length_has_a_borderline_of_a_quarter_second(good_facts, duration_s, expected):
    assert predicted(good_facts, duration_s=duration_s) == expected


@pytest.mark.parametrize(
    ("speech_s", "expected"),
    [
        (0.0, ("fail", SILENT)),
        (0.39, ("fail", SILENT)),
        (0.4, ("fail", SHORT)),
        (8.99, ("fail", SHORT)),
        (9.0, ("warn", SHORT)),
        (9.99, ("warn", SHORT)),
        (10.0, ("warn", None)),
        (10.99, ("warn", None)),
        (11.0, ("ok", None)),
    ],
)
def test_speech_has_a_borderline_of_one_second(good_facts, speech_s, expected):
    assert predicted(good_facts, speech_s=speech_s) == expected


def test_the_first_rule_that_matches_decides(good_facts):
    assert predicted(good_facts, duration_s=500.0, speech_s=0.0) == ("fail", LONG)
    broken = predicted(good_facts, problem="it is empty", duration_s=None, speech_s=None)
    assert broken == ("fail", FORMAT)


def test_the_reason_for_a_refusal_says_what_it_is_and_what_is_needed(good_facts):
    def reason(**changes):
        return predict(replace(good_facts, **changes), THRESHOLDS).reason

    assert reason(problem="it is in 3GP format") == (
        "Not a recording that Helios accepts: it is in 3GP format."
    )
    assert reason(duration_s=211.034) == "It is 211.03 s long, over the limit of 180 s."
    assert reason(duration_s=3_000.0) == "It is 50 minutes long, over the limit of 180 s."
    assert reason(duration_s=43_200.0) == "It is 12.0 hours long, over the limit of 180 s."
    assert reason(duration_s=180.1) == "It is 180.10 s long, close to the limit of 180 s."
    assert reason(speech_s=4.13) == (
        "It contains about 4.1 s of speech, under the 10 s that are needed."
    )
    assert reason(speech_s=9.5) == (
        "It contains about 9.5 s of speech, close to the 10 s that are needed."
    )
    assert reason(speech_s=0.0) == "No speech was found in it."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"audio_format": "mp4/alac"}, "It is mp4/alac, which is not among the formats"),
        ({"audio_format": "wav/adpcm_ms"}, "It is wav/adpcm_ms, which is not among the formats"),
        ({"audio_format": "webm/vorbis"}, "It is webm/vorbis, which is not among the formats"),
        ({"audio_format": "adts/aac", "media_type": None}, "It is adts/aac, which is not among"),
        ({"has_video": True}, "It is a video: only its sound is of use"),
        (
            {"damaged_packets": 3},
            "It is damaged: 3 parts of it could not be decoded and were left out.",
        ),
        (
            {"damaged_packets": 1},
            "It is damaged: a part of it could not be decoded and was left out.",
        ),
        (
            {"missing_s": 20.0, "duration_s": 30.0},
            "It seems to be cut off: by its own header it is 50.00 s long, but only 30.00 s are there. Copy it again.",
        ),
        ({"invalid_samples": 9}, "9 of its samples are not numbers"),
        ({"cancels_out": True}, "Its channels are in opposite phase"),
        ({"level_dbfs": -55.0}, "It is very quiet (-55 dBFS)."),
        ({"noise_floor_dbfs": -28.0}, "It may be noisy: its quietest parts (-28 dBFS)"),
        ({"clipped_fraction": 0.034}, "It is clipped: 3.4% of its samples"),
        ({"sample_rate_hz": 6_000}, "Its sample rate is low (6000 Hz)."),
    ],
)
def test_doubts_are_warnings_with_a_sentence_and_no_code(good_facts, changes, words):
    prediction = predict(replace(good_facts, **changes), THRESHOLDS)
    assert (prediction.verdict.value, prediction.code) == ("warn", None)
    assert prediction.reason.startswith(words)


def test_speech_that_only_the_downmix_loses_is_sent(good_facts):
    assert predicted(good_facts, cancels_out=True, speech_s=0.0) == ("warn", SILENT)


def test_limits_can_be_moved(good_facts):
    strict = Thresholds(least_speech_s=20.0, enough_speech_s=25.0)
    prediction = predict(replace(good_facts, speech_s=15.0), strict)
    assert (prediction.verdict.value, prediction.code) == ("fail", SHORT)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    duration_s=st.floats(0.1, 1_000),
    speech_s=st.floats(0, 200),
    level_dbfs=st.floats(-120, 0),
    noise_floor_dbfs=st.floats(-120, 0),
)
def test_a_fail_has_a_code_and_every_verdict_but_ok_a_reason(good_facts, **measured):
    prediction = predict(replace(good_facts, **measured), THRESHOLDS)
    assert prediction.code is not None or prediction.verdict != "fail"
    assert prediction.reason or prediction.verdict == "ok"
    is_good = measured["speech_s"] >= 10 and measured["duration_s"] <= 180
    assert not (is_good and prediction.verdict == "fail")


@pytest.mark.parametrize(
    ("audio_format", "name", "said"),
    [
        ("wav/pcm", "/data/a.wav", ""),
        ("wav/pcm", "/data/a.WAV", ""),
        ("mp4/aac", "s3://b/a.m4a", ""),
        ("ogg/opus", "/data/a.opus", ""),
        ("wav/pcm", "/data/a", ""),
        ("wav/pcm", "/data/a.v2", ""),
        (None, "/data/a.mp3", ""),
        ("wav/pcm", "/data/a.mp3", "Its name ends in .mp3, but its bytes are wav/pcm."),
        (
            "flac",
            "https://host/a.wav?key=x.flac",
            "Its name ends in .wav, but its bytes are flac.",
        ),
    ],
)
def test_a_name_that_does_not_fit_the_bytes_is_reported(audio_format, name, said):
    assert misnamed(audio_format, name) == said


def test_a_wrong_name_alone_does_not_change_the_verdict(good_facts):
    prediction = predict(good_facts, THRESHOLDS, "a.mp3")
    assert prediction.verdict == "ok"
    assert prediction.reason == "Its name ends in .mp3, but its bytes are wav/pcm."


def test_limits_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Thresholds().longest_s = 60


def test_counting_may_not_stop_before_the_limit_is_clear():
    with pytest.raises(ValueError, match=r"least_speech_s \+ speech_margin_s = 21\.0"):
        Thresholds(least_speech_s=20)
    assert Thresholds(least_speech_s=20, enough_speech_s=22).enough_speech_s == 22


def test_every_limit_has_its_meaning_and_its_source():
    described = Thresholds.__doc__ or ""
    for field in dataclasses.fields(Thresholds):
        entry = re.search(rf"^    {field.name}\n((?:        .*\n)+)", described, re.MULTILINE)
        assert entry is not None, field.name
        assert "Source:" in entry[1], field.name
