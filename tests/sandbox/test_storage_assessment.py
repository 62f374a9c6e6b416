"""Audio decides between scores, warnings and errors."""

from dataclasses import replace

import pytest

from helios_research.recording import AudioFacts, Stamp
from helios_research.sandbox.storage import assess


@pytest.fixture
def good() -> AudioFacts:
    return AudioFacts(
        sha256="ab" * 32,
        size_bytes=1_000,
        stamp=Stamp(1_000, "1"),
        media_type="audio/wav",
        audio_format="wav/pcm",
        duration_s=30.0,
        sample_rate_hz=48_000,
        channels=1,
        level_dbfs=-20.0,
        clipped_fraction=0.0,
        noise_floor_dbfs=-60.0,
        speech_s=20.0,
    )


def test_good_audio_is_scored_without_a_warning(good):
    assessment = assess(good)
    assert (assessment.error_code, assessment.warnings, assessment.duration_s) == (None, (), 30.0)


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        (
            {"problem": "no audio stream", "duration_s": None, "speech_s": None},
            "ERR_RECORDING_INVALID_FORMAT",
            "Unsupported recording: no audio stream",
        ),
        (
            {"duration_s": 180.1, "speech_s": 0.0},
            "ERR_RECORDING_TOO_LONG",
            "The recording lasts 180.1 s; at most 180 s are allowed.",
        ),
        (
            {"speech_s": 0.39},
            "ERR_TRANSCRIPTION_FAILED",
            "No speech was found in the recording.",
        ),
        (
            {"speech_s": 9.94},
            "ERR_RECORDING_TOO_SHORT",
            "Only 9.9 s of speech; at least 10 s are needed.",
        ),
    ],
)
def test_each_error_is_decided_from_the_audio_and_says_why(good, changes, code, reason):
    assessment = assess(replace(good, **changes))
    assert (assessment.error_code, assessment.error_reason) == (code, reason)
    assert assessment.warnings == ()


def test_the_least_speech_is_a_setting(good):
    found = replace(good, speech_s=8.5)
    assert assess(found, least_speech_s=8.5).error_code is None
    assert "at least 8.6 s are needed" in (assess(found, least_speech_s=8.6).error_reason or "")


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"speech_s": 10.0}, "Little speech"),
        ({"duration_s": 180.0}, "close to the longest"),
        ({"level_dbfs": -50.0, "noise_floor_dbfs": -80.0}, "very quiet"),
        ({"clipped_fraction": 0.02}, "clipped"),
        ({"noise_floor_dbfs": -25.0}, "noisy"),
        ({"sample_rate_hz": 8_000}, "sample rate is low"),
    ],
)
def test_borderline_audio_is_scored_with_a_warning(good, changes, warning):
    assessment = assess(replace(good, **changes))
    assert assessment.error_code is None
    assert len(assessment.warnings) == 1
    assert warning in assessment.warnings[0]


def test_speech_that_was_not_counted_to_the_end_is_not_called_little(good):
    assert assess(replace(good, speech_s=10.5, speech_counted_to_end=False)).warnings == ()
