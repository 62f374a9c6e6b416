"""The cluster bootstrap gives the intervals of the ordinary one, and wider ones for clusters."""

import numpy as np
import pytest
from scipy import stats

from helios_research.analysis.bootstrap import (
    Bootstrap,
    Ratios,
    bound_certainty,
    draw_weights,
    ratio_intervals,
    sum_clusters,
)
from helios_research.errors import ResultsError


def mean_interval(scores, people, groups=None, bootstrap=None):
    groups = np.zeros(len(scores), dtype=int) if groups is None else groups
    ratios = Ratios(scores[:, None], np.ones((len(scores), 1)), np.array([0]))
    sums = sum_clusters(people, groups, ratios)
    return ratio_intervals(sums, int(groups.max(initial=0)) + 1, bootstrap or Bootstrap())


def test_with_one_recording_each_it_agrees_with_scipy():
    scores = np.random.default_rng(1).beta(2, 3, 80)
    low, high = mean_interval(scores, np.arange(80), bootstrap=Bootstrap(20_000))
    theirs = stats.bootstrap(
        (scores,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert low[0, 0] == pytest.approx(theirs.low, abs=0.03 * width)
    assert high[0, 0] == pytest.approx(theirs.high, abs=0.03 * width)


def test_with_repeated_recordings_it_agrees_with_scipy_on_participants():
    rng = np.random.default_rng(3)
    n = rng.integers(1, 9, 60)
    people = np.repeat(np.arange(60), n)
    scores = rng.normal(size=60)[people] + rng.normal(size=len(people))
    low, high = mean_interval(scores, people, bootstrap=Bootstrap(20_000))
    totals = np.bincount(people, scores)
    theirs = stats.bootstrap(
        (totals, n.astype(float)),
        lambda total, count, axis: total.sum(axis=axis) / count.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(4),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert low[0, 0] == pytest.approx(theirs.low, abs=0.03 * width)
    assert high[0, 0] == pytest.approx(theirs.high, abs=0.03 * width)


def test_recordings_of_the_same_person_do_not_count_as_independent():
    rng = np.random.default_rng(5)
    people = np.repeat(np.arange(30), 20)
    scores = rng.normal(size=30)[people] + 0.1 * rng.normal(size=600)
    clustered = np.ptp(np.hstack(mean_interval(scores, people)))
    independent = np.ptp(np.hstack(mean_interval(scores, np.arange(600))))
    assert clustered > 3 * independent


def test_the_interval_covers_as_often_as_it_claims():
    rng = np.random.default_rng(6)
    n_studies, covered = 200, 0
    for _ in range(n_studies):
        people = np.repeat(np.arange(40), 3)
        scores = rng.normal(size=40)[people] + rng.normal(size=120)
        low, high = mean_interval(scores, people, bootstrap=Bootstrap(400))
        covered += low[0, 0] <= 0 <= high[0, 0]
    assert 0.90 <= covered / n_studies <= 0.98


def test_a_group_has_its_interval_whether_its_people_are_in_others_or_not():
    rng = np.random.default_rng(7)
    scores = rng.normal(size=400)
    people, visit = np.repeat(np.arange(100), 4), np.tile(np.arange(4), 100)
    within = mean_interval(scores, people, visit, Bootstrap(8000))
    alone = mean_interval(scores[visit == 2], np.arange(100), bootstrap=Bootstrap(8000))
    np.testing.assert_allclose(np.hstack(within)[2], np.hstack(alone)[0], atol=0.015)


def test_groups_without_two_participants_have_no_interval():
    low, high = mean_interval(np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1]), np.array([0, 0, 2]))
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_nobody_at_all_gives_no_interval():
    low, high = mean_interval(np.empty(0), np.empty(0, dtype=int))
    assert np.isnan([low, high]).all()


def test_the_same_seed_gives_the_same_interval():
    scores = np.random.default_rng(8).normal(size=50)
    first, again, other = (
        np.hstack(mean_interval(scores, np.arange(50), bootstrap=Bootstrap(seed=seed)))
        for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_each_resample_holds_as_many_participants_as_there_are():
    weights = np.vstack(list(draw_weights(7, Bootstrap(50))))
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()


def test_chunks_of_resamples_add_up_for_many_participants():
    chunks = list(draw_weights(900_000, Bootstrap(5)))
    assert [len(chunk) for chunk in chunks] == [2, 2, 1]


def test_a_proportion_of_0_or_1_has_the_exact_binomial_interval():
    proportion, people = np.array([0.0, 1.0, 0.5, 0.0]), np.array([20.0, 20.0, 20.0, 1.0])
    low, high = bound_certainty(
        proportion, np.array([0.0, 1, 0.3, np.nan]), np.array([0.0, 1, 0.7, np.nan]), people, 0.95
    )
    none, every = (stats.binomtest(hits, 20).proportion_ci(0.95, "exact") for hits in (0, 20))
    np.testing.assert_allclose(low, [none.low, every.low, 0.3, np.nan])
    np.testing.assert_allclose(high, [none.high, every.high, 0.7, np.nan])


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_a_confidence_that_is_no_share_is_refused(confidence):
    with pytest.raises(ResultsError, match=f"confidence is {confidence}, .* between 0 and 1"):
        Bootstrap(confidence=confidence)


def test_no_resamples_are_refused():
    with pytest.raises(ResultsError, match="at least one resample, not 0"):
        Bootstrap(resamples=0)
