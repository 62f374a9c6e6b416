"""How far two levels are apart."""

import numpy as np
import pytest
from scipy import stats

from helios_research.analysis.bootstrap import Bootstrap
from helios_research.plots.difference_axis import differences


def test_the_interval_agrees_with_scipys_bootstrap_of_independent_samples() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.4, 0.1, 60), rng.normal(0.5, 0.1, 60)
    scores = {"mental_strain": np.concatenate([first, second])}
    found = differences(scores, np.repeat([0, 1], 60), np.arange(120), Bootstrap(resamples=8000))[
        "mental_strain"
    ]
    expected = stats.bootstrap(
        (second, first),
        lambda a, b: a.mean() - b.mean(),
        n_resamples=8000,
        method="percentile",
        vectorized=False,
        rng=0,
    ).confidence_interval
    assert found.value[0] == pytest.approx(second.mean() - first.mean(), abs=1e-6)
    assert found.low[0] == pytest.approx(expected.low, abs=0.004)
    assert found.high[0] == pytest.approx(expected.high, abs=0.004)


def test_participants_with_both_levels_are_drawn_with_both() -> None:
    """What they have in common cancels out, however much they differ from each other."""
    own = np.linspace(0, 1, 40)
    scores = {"mental_strain": np.concatenate([own, own + 0.1])}
    people = np.tile(np.arange(40), 2)
    found = differences(scores, np.repeat([0, 1], 40), people, Bootstrap(500))["mental_strain"]
    assert np.allclose([found.low[0], found.value[0], found.high[0]], 0.1, atol=1e-5)


def test_a_bucketed_biomarker_has_a_difference_at_each_level_and_they_cancel() -> None:
    stress = np.array([0.0, 0.0, 0.33, 1.0, 1.0, 1.0, 0.66, 0.33])
    levels = np.repeat([0, 1], 4)
    found = differences({"stress": stress}, levels, np.arange(8), Bootstrap(200))["stress"]
    assert np.allclose(found.value, [-0.5, 0, 0.25, 0.25])


def test_a_side_with_one_participant_has_no_difference() -> None:
    scores = {"mental_strain": np.array([0.1, 0.2, 0.3])}
    people = np.array([0, 1, 2])
    assert differences(scores, np.array([0, 0, 1]), people, Bootstrap(10)) == {}
