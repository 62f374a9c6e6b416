"""Scores are synthetic, repeatable and plausible."""

from hashlib import sha256
from statistics import fmean

import numpy as np
import pytest

from helios_research.sandbox import TRANSCRIPT_MARK, expected_scores
from helios_research.sandbox.app import LEVELS, level_of, transcript

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
