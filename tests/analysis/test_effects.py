"""Effects and their tests, and the mixed model, as other packages give them."""

from types import SimpleNamespace as Found

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from helios_research.analysis import effects
from helios_research.analysis.effects import fit_random_intercept


def cells_of(values, levels, people):
    return pd.DataFrame({0: values, "group": levels, "person": people})


def two_groups():
    rng = np.random.default_rng(1)
    return rng.normal(0.4, 0.1, 23), rng.normal(0.5, 0.2, 31)


def between(reference, level):
    values = np.concatenate([reference, level])
    return cells_of(values, np.repeat([0, 1], [len(reference), len(level)]), np.arange(len(values)))


def within(before, after):
    n = len(before)
    values = np.concatenate([before, after])
    return cells_of(values, np.repeat([0, 1], n), np.tile(np.arange(n), 2))


def estimate(cells, confidence=0.95):
    return Found(**effects.effect_columns(effects.contrasts(cells, 0, 2)[0], confidence))


def by_rank(contrast):
    return Found(**effects.effect_columns(contrast, 0.95, most_by_rank=1))


def test_welch_agrees_with_scipy_and_pingouin():
    reference, level = two_groups()
    ours = estimate(between(reference, level), 0.9)
    theirs = stats.ttest_ind(level, reference, equal_var=False)
    assert ours.test == "Welch's t"
    assert (ours.statistic, ours.df, ours.p) == pytest.approx(
        (theirs.statistic, theirs.df, theirs.pvalue)
    )
    interval = theirs.confidence_interval(0.9)
    assert (ours.difference_low, ours.difference_high) == pytest.approx(tuple(interval))
    g = pingouin.compute_effsize(level, reference, eftype="hedges")
    assert ours.effect == pytest.approx(g)


def test_two_levels_that_all_have_give_the_paired_t_test():
    rng = np.random.default_rng(2)
    before = rng.normal(0.4, 0.1, 26)
    after = before + rng.normal(0.05, 0.08, 26)
    ours = estimate(within(before, after))
    theirs = stats.ttest_rel(after, before)
    assert ours.test == "mixed model, CR2"
    assert (ours.statistic, ours.df, ours.p) == pytest.approx(
        (theirs.statistic, theirs.df, theirs.pvalue)
    )
    assert (ours.difference_low, ours.difference_high) == pytest.approx(
        tuple(theirs.confidence_interval())
    )


def test_a_change_is_compared_with_zero_as_scipy_does():
    values = np.random.default_rng(3).normal(0.1, 0.2, 15)
    ours = Found(**effects.effect_columns(effects.against_zero(values), 0.95))
    theirs = stats.ttest_1samp(values, 0)
    assert (ours.statistic, ours.df, ours.p) == pytest.approx(
        (theirs.statistic, theirs.df, theirs.pvalue)
    )
    assert ours.effect == pytest.approx(values.mean() / values.std(ddof=1) * (1 - 3 / 55))


def test_twice_the_difference_of_mean_ridits_is_the_share_of_higher_less_lower_pairs():
    rng = np.random.default_rng(4)
    lower, higher = rng.choice(4, 13, p=[0.4, 0.3, 0.2, 0.1]), rng.choice(4, 17)
    shares = np.eye(4)[np.concatenate([lower, higher])]
    ridits = effects.mean_ridits(pd.DataFrame(shares))
    ours = by_rank(effects.contrasts(between(ridits[:13], ridits[13:]), 0, 2)[0])
    assert ours.effect == pytest.approx(np.sign(higher[:, None] - lower).mean())
    assert ours.effect_name == "P(higher) \N{MINUS SIGN} P(lower)"
    ranks = stats.rankdata(np.concatenate([lower, higher]))
    theirs = stats.ttest_ind(ranks[13:], ranks[:13], equal_var=False)
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert np.isnan(ours.difference)


def test_an_interval_of_a_probability_stays_within_its_bounds():
    ridits = effects.mean_ridits(pd.DataFrame(np.eye(4)[[0, 0, 1, 3, 3, 2]]))
    contrast = effects.contrasts(between(ridits[:3], ridits[3:]), 0, 2)[0]
    ours = by_rank(contrast)
    assert (ours.effect, ours.effect_high) == (1, 1)


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5]])
@pytest.mark.parametrize("design", [between, within])
def test_too_few_and_constant_scores_give_a_sentence(values, design):
    values = np.array(values)
    ours = estimate(design(values, values))
    few = "Fewer than 3 participants"
    assert ours.sentence.startswith(few) if len(values) == 1 else ours.sentence.endswith("no test.")
    assert ours.test == ""
    assert np.isnan(ours.p)


@pytest.mark.parametrize("person_sd", [0.6, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_means_and_variances_are_those_of_statsmodels(person_sd, seed):
    """Unbalanced: each participant lacks some of the four levels."""
    rng = np.random.default_rng(seed)
    people, levels = np.nonzero(rng.random((40, 4)) < 0.7)
    values = rng.normal(0, person_sd, 40)[people] + 0.3 * levels + rng.normal(size=len(people))
    ours = fit_random_intercept(values, levels, people)
    design = np.column_stack([np.ones(len(values)), *(levels == level for level in (1, 2, 3))])
    theirs = MixedLM(values, design.astype(float), groups=people).fit(method=["powell"])
    assert ours.differences == pytest.approx(theirs.fe_params[1:], abs=1e-3)
    total = theirs.cov_re[0, 0] + theirs.scale
    assert ours.total_variance == pytest.approx(total, rel=1e-3)
    assert ours.person_share == pytest.approx(theirs.cov_re[0, 0] / total, abs=1e-3)


def test_where_people_do_not_differ_it_is_least_squares():
    values = np.array([0.1, 0.9, 0.8, 0.2, 0.3, 0.6, 0.7, 0.4])
    ours = fit_random_intercept(values, np.tile([0, 1], 4), np.repeat(np.arange(4), 2))
    assert ours.person_share == 0
    assert ours.differences == pytest.approx([values[1::2].mean() - values[::2].mean()])


def test_the_model_takes_its_time_from_patterns_not_from_participants():
    """60,000 participants have three patterns of levels; the matrices are made for each of these."""
    rng = np.random.default_rng(5)
    people, levels = np.nonzero(np.arange(3) <= rng.integers(0, 3, 60_000)[:, None])
    values = rng.normal(size=60_000)[people] + rng.normal(size=len(people))
    ours = fit_random_intercept(values, levels, people)
    assert ours.person_share == pytest.approx(0.5, abs=0.02)
    assert ours.df.min() > 10_000
