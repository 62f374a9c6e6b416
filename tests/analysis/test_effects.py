"""Effects and their tests, and the mixed model, as other packages give them."""

import numpy as np
import pingouin
import pytest
from scipy import stats

from helios_research.analysis import effects
from helios_research.analysis.effects import fit_random_intercept

# Pain scores of 14 and 11 patients after two treatments: Brunner & Munzel 2000, table 1.
PAIN_Y = np.array([1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 1, 1], dtype=float)
PAIN_N = np.array([3, 3, 4, 3, 1, 2, 3, 1, 1, 5, 4], dtype=float)


@pytest.fixture
def two_groups():
    rng = np.random.default_rng(1)
    return rng.normal(0.4, 0.1, 23), rng.normal(0.5, 0.2, 31)


@pytest.fixture
def pairs():
    rng = np.random.default_rng(2)
    before = rng.normal(0.4, 0.1, 26)
    return before, before + rng.normal(0.05, 0.08, 26)


def test_welch_agrees_with_pingouin(two_groups):
    reference, level = two_groups
    ours = effects.compare_means(reference, level, 0.95)
    theirs = pingouin.ttest(level, reference, correction=True).iloc[0]
    assert ours.test == "Welch's t"
    assert ours.statistic == pytest.approx(theirs["T"])
    assert ours.df == pytest.approx(theirs["dof"])
    assert ours.p == pytest.approx(theirs["p_val"])
    assert ours.difference == pytest.approx(level.mean() - reference.mean())
    assert [ours.difference_low, ours.difference_high] == pytest.approx(
        theirs["CI95"], abs=0.005001
    )


def test_hedges_g_and_its_interval_agree_with_pingouin(two_groups):
    reference, level = two_groups
    ours = effects.compare_means(reference, level, 0.95)
    g = pingouin.compute_effsize(level, reference, eftype="hedges")
    assert ours.effect == pytest.approx(g)
    theirs = pingouin.compute_esci(g, len(level), len(reference), decimals=8)
    assert [ours.effect_low, ours.effect_high] == pytest.approx(theirs)


def test_the_paired_test_agrees_with_scipy_and_pingouin(pairs):
    before, after = pairs
    ours = effects.compare_paired_means(before, after, 0.9)
    theirs = stats.ttest_rel(after, before)
    assert (ours.statistic, ours.df, ours.p) == pytest.approx(
        (theirs.statistic, theirs.df, theirs.pvalue)
    )
    interval = theirs.confidence_interval(0.9)
    assert (ours.difference_low, ours.difference_high) == pytest.approx(tuple(interval))
    g = pingouin.compute_effsize(after, before, paired=True, eftype="hedges")
    assert ours.effect == pytest.approx(g)
    esci = pingouin.compute_esci(g, 26, 26, paired=True, confidence=0.9, decimals=8)
    assert [ours.effect_low, ours.effect_high] == pytest.approx(esci)


def test_the_rank_test_gives_the_published_example():
    ours = effects.compare_ranks(PAIN_Y, PAIN_N, 0.95)
    assert ours.statistic == pytest.approx(3.1374674823029505)
    assert ours.p == pytest.approx(0.0057862086661515377)
    # Published as P(Y < N) + P(Y = N) / 2 with its interval; delta is twice that less 1.
    assert (1 + ours.effect) / 2 == pytest.approx(0.788961, abs=5e-7)
    assert (1 + ours.effect_low) / 2 == pytest.approx(0.5952169, abs=5e-7)
    assert (1 + ours.effect_high) / 2 == pytest.approx(0.9827052, abs=5e-7)


def test_cliffs_delta_is_the_share_of_pairs_that_are_higher_less_lower():
    ours = effects.compare_ranks(PAIN_Y, PAIN_N, 0.95)
    assert ours.effect == pytest.approx(np.sign(PAIN_N[:, None] - PAIN_Y).mean())


def test_sides_that_do_not_overlap_have_a_test_and_no_interval():
    ours = effects.compare_ranks(np.array([0.0, 0, 1]), np.array([2.0, 3, 3, 2]), 0.95)
    assert ours.effect == 1
    assert ours.p == pytest.approx(stats.mannwhitneyu([2, 3, 3, 2], [0, 0, 1]).pvalue)
    assert np.isnan(ours.effect_low)
    assert "do not overlap" in ours.sentence


def test_the_signed_rank_test_agrees_with_scipy_and_its_effect_counts_people():
    rng = np.random.default_rng(3)
    before, after = (rng.integers(0, 4, 40).astype(float) for _ in range(2))
    ours = effects.compare_paired_ranks(before, after, 0.95)
    theirs = stats.wilcoxon(after - before, zero_method="pratt", method="approx")
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert ours.effect == pytest.approx(((after > before).sum() - (after < before).sum()) / 40)
    interval = stats.ttest_1samp(np.sign(after - before), 0).confidence_interval()
    assert (ours.effect_low, ours.effect_high) == pytest.approx(tuple(interval))


@pytest.mark.parametrize(
    "compare",
    [
        effects.compare_means,
        effects.compare_paired_means,
        effects.compare_ranks,
        effects.compare_paired_ranks,
    ],
)
def test_too_few_and_constant_scores_give_a_sentence(compare):
    one, same = np.array([0.5]), np.array([0.5, 0.5, 0.5])
    few, constant = compare(one, one, 0.95), compare(same, same, 0.95)
    assert few.sentence.startswith("Fewer than two participants")
    assert constant.sentence.endswith("no test.")
    assert few.test == constant.test == ""
    assert np.isnan([few.p, constant.p]).all()


def balanced(people: int, each: int, person_sd: float, seed: int):
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), each)
    scores = 0.5 + 0.2 * (rng.normal(0, person_sd, people)[person] + rng.normal(size=len(person)))
    return scores, person


def closed_form(scores, people, each, arms):
    """REML of balanced data with as many people in both arms: Searle 1992, section 4.5."""
    table = scores.reshape(people, each)
    mean = table.mean(axis=1)
    within = table.var(axis=1, ddof=1).mean()
    sides = [mean[arms == arm] for arm in (0, 1)]
    between = each * sum(((side - side.mean()) ** 2).sum() for side in sides) / (people - 2)
    if between < within:
        freedom = people * each - 2
        between = (between * (people - 2) + within * people * (each - 1)) / freedom
        within = between
    error = np.sqrt(between / each * 4 / people)
    return sides[1].mean() - sides[0].mean(), error, (between - within) / each, within


@pytest.mark.parametrize("person_sd", [0.0, 0.2, 1.0, 4.0])
@pytest.mark.parametrize("seed", range(3))
def test_balanced_data_have_their_closed_form_even_where_people_do_not_differ(person_sd, seed):
    scores, person = balanced(24, 4, person_sd, seed)
    arms = np.arange(24) % 2
    fit = fit_random_intercept(scores, arms[person], person)
    difference, error, between, within = closed_form(scores, 24, 4, arms)
    assert fit.converged
    assert fit.differences[0] == pytest.approx(difference)
    assert fit.standard_errors[0] == pytest.approx(error, rel=1e-3)
    assert fit.person_variance == pytest.approx(between, rel=5e-3, abs=2e-4 * within)
    assert fit.residual_variance == pytest.approx(within, rel=1e-3)
    assert fit.on_boundary == (between < 1e-6 * within)


def test_several_levels_are_each_compared_with_the_first():
    scores, person = balanced(30, 3, 1.0, 1)
    visit = np.tile(np.arange(3), 30)
    fit = fit_random_intercept(scores, visit, person)
    means = scores.reshape(30, 3).mean(axis=0)
    assert fit.differences == pytest.approx(means[1:] - means[0])


@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_copies_of_the_same_scores_are_not_taken_for_precision(noise):
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(20), 5)
    scores = rng.normal(size=20)[person] + noise * rng.normal(size=100)
    fit = fit_random_intercept(scores, person % 2, person)
    assert not fit.converged
    assert fit.problem


def test_constant_scores_are_reported_not_raised():
    person = np.repeat(np.arange(6), 2)
    fit = fit_random_intercept(np.ones(12), person % 2, person)
    assert not fit.converged
