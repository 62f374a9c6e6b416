"""The mixed model is the one that balanced data have in closed form, or says that it failed."""

import numpy as np
import pytest

from helios_research.analysis.effects import fit_random_intercept


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
