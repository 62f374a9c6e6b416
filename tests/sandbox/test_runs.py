"""Scores are synthetic, repeatable and plausible; audio decides between them and the errors."""

from dataclasses import replace
from hashlib import sha256
from statistics import fmean

import numpy as np
import pytest

from helios_research.recording import AudioFacts, Stamp
from helios_research.sandbox import TRANSCRIPT_MARK, expected_scores
from helios_research.sandbox.runs import LEVELS, assess, level_of, transcript

CONTINUOUS = [name for name in expected_scores("", "") if name.startswith("uniform_")]


def audio(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


@pytest.fixture(scope="module")
def cohort() -> dict[str, np.ndarray]:
    """Scores of 400 participants with 5 recordings each, by name: arrays of shape (400, 5)."""
    scores = [
        [expected_scores(audio(5 * person + visit), f"P{person}") for visit in range(5)]
        for person in range(400)
    ]
    return {
        name: np.array([[visit[name] for visit in visits] for visits in scores])
        for name in scores[0][0]
    }


def test_the_same_audio_and_speaker_give_the_same_scores_for_ever():
    assert expected_scores("ab" * 32, "P01") == {
        "mental_strain": 0.6562,
        "distress": 0.33,
        "stress": 1.0,
        "exhaustion": 0.66,
        "sleep_propensity": 0.66,
        "low_self_esteem": 0.66,
        "uniform_distress": 0.4772,
        "uniform_stress": 0.8871,
        "uniform_exhaustion": 0.699,
        "uniform_sleep_propensity": 0.6708,
        "uniform_low_self_esteem": 0.5467,
    }


def test_scores_change_with_the_audio_the_speaker_and_the_section():
    scores = {
        tuple(expected_scores(audio(1), "P01").values()),
        tuple(expected_scores(audio(2), "P01").values()),
        tuple(expected_scores(audio(1), "P02").values()),
        tuple(expected_scores(audio(1), "P01", section=1).values()),
    }
    assert len(scores) == 4


def test_joining_audio_and_label_differently_is_another_cause():
    assert expected_scores("ab", "c") != expected_scores("a", "bc")


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_scores_are_uniform_over_a_population(cohort, name):
    one_each = cohort[name][:, 0]
    counts, _ = np.histogram(one_each, bins=10, range=(0, 1))
    # 40 are expected in each tenth, with a standard deviation of 6.
    assert counts.min() >= 20
    assert counts.max() <= 60


@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_bucketed_score_is_the_level_of_its_continuous_one(cohort, name):
    buckets = cohort[name.removeprefix("uniform_")]
    assert set(np.unique(buckets)) == set(LEVELS)
    assert (buckets == np.vectorize(level_of)(cohort[name])).all()


@pytest.mark.parametrize(
    ("uniform", "level"),
    [(0.0, 0.0), (0.2499, 0.0), (0.25, 0.33), (0.5, 0.66), (0.75, 1.0), (1.0, 1.0)],
)
def test_levels_are_quarters(uniform, level):
    assert level_of(uniform) == level


def test_mental_strain_is_continuous_and_the_mean_of_the_dimensions(cohort):
    mean = np.mean([cohort[name] for name in CONTINUOUS], axis=0)
    assert np.abs(cohort["mental_strain"] - mean).max() <= 1e-4
    assert len(np.unique(cohort["mental_strain"])) > 1_000


@pytest.mark.parametrize("name", [*CONTINUOUS, "mental_strain"])
def test_participants_differ_more_than_their_recordings_do(cohort, name):
    values = cohort[name]
    within = values.var(axis=1, ddof=1).mean()
    between = values.mean(axis=1).var(ddof=1) - within / values.shape[1]
    assert between > 1.5 * within


def test_dimensions_of_one_recording_are_related_but_not_the_same(cohort):
    table = np.corrcoef([cohort[name][:, 0] for name in CONTINUOUS])
    related = table[np.triu_indices(len(CONTINUOUS), 1)]
    assert 0.25 < fmean(related) < 0.55


def test_a_transcript_says_that_it_is_none():
    text = transcript("ab" * 32, 12.345)
    assert text.startswith(f"[{TRANSCRIPT_MARK} of audio abababababab: 12.3 s")
    assert "does not write down what was said" in text


# --- what audio leads to ----------------------------------------------------------------------------


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
