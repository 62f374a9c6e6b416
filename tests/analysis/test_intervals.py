"""Closed-form intervals, as other packages give them where they have the same."""

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from helios_research.analysis.intervals import (
    cell_means,
    holm,
    mean_interval,
    part_note,
    share_interval,
)


def test_with_one_recording_each_a_share_has_nearly_the_exact_binomial_interval():
    """The effective number differs from the participants only by t against normal quantiles."""
    n, hits = 400, 80
    variance = 0.2 * 0.8 / (n - 1)
    low, high = share_interval(0.2, variance, n, 0.95)
    theirs = stats.binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert (float(low), float(high)) == pytest.approx((theirs.low, theirs.high), abs=0.001)


def test_the_interval_of_a_share_is_that_of_its_effective_sample_size():
    share, variance, n = 0.3, 0.004, 12
    size = 0.3 * 0.7 / 0.004 * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 11)) ** 2
    expected = (
        stats.beta.ppf(0.025, 0.3 * size, 0.7 * size + 1),
        stats.beta.ppf(0.975, 0.3 * size + 1, 0.7 * size),
    )
    assert tuple(map(float, share_interval(share, variance, n, 0.95))) == pytest.approx(expected)


def test_a_share_is_no_better_known_than_from_independent_recordings():
    """One participant with a small share leaves hardly any variance, not hundreds of recordings."""
    low, high = share_interval(0.05, 1e-9, 6, 0.95, most=20)
    theirs = stats.binomtest(1, 20).proportion_ci(0.95, method="exact")
    assert (float(low), float(high)) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize(("share", "hits"), [(0.0, 0), (1.0, 20)])
@pytest.mark.parametrize("interval", [share_interval, mean_interval])
def test_zero_and_one_have_the_exact_interval_of_as_many_participants(interval, share, hits):
    theirs = stats.binomtest(hits, 20).proportion_ci(0.95, method="exact")
    assert tuple(map(float, interval(share, 0.0, 20, 0.95))) == pytest.approx(tuple(theirs))


def test_a_mean_has_a_t_interval_on_the_logit_scale():
    low, high = mean_interval(0.8, 0.1, 9, 0.9)
    half = stats.t.ppf(0.95, 8) * 0.1 / 3 / (0.8 * 0.2)
    assert special.logit(low) == pytest.approx(special.logit(0.8) - half)
    assert special.logit(high) == pytest.approx(special.logit(0.8) + half)


def test_numbers_beyond_zero_and_one_have_the_plain_t_interval():
    values = np.array([1.5, 2.0, 3.5, 1.0])
    expected = stats.t.interval(0.95, 3, values.mean(), values.std(ddof=1) / 2)
    ends = mean_interval(values.mean(), values.std(ddof=1), 4, 0.95)
    assert tuple(map(float, ends)) == pytest.approx(expected)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_participants_have_no_interval(n):
    assert np.isnan([mean_interval(0.5, 0.1, n, 0.95), share_interval(0.5, 0.1, n, 0.95)]).all()


def test_participants_that_are_all_the_same_say_nothing_about_others():
    assert np.isnan(mean_interval(0.5, 0.0, 10, 0.95)).all()


def test_each_participant_is_averaged_in_each_group():
    values = np.array([0.2, 0.4, np.nan, 0.9, 0.5, 0.1])
    people, groups = np.array([0, 0, 0, 1, 1, -1]), np.array([0, 0, 0, 0, 1, 1])
    cells = cell_means(values, people, groups)
    assert cells.to_numpy().tolist() == [
        [0, 0, 2, pytest.approx(0.3)],
        [0, 1, 1, 0.9],
        [1, 1, 1, 0.5],
    ]


def test_a_note_says_where_one_participant_has_more_than_a_fifth_and_twice_an_equal_part():
    notes = list(map(part_note, [0, 2, 6, 6, 30], [0, 0.9, 0.3, 0.4, 0.25]))
    assert notes[:3] == ["No scores.", "Fewer than 3 participants: no interval.", None]
    assert [note[:26] for note in notes[3:]] == [
        "One participant has 40 % o",
        "One participant has 25 % o",
    ]


def test_holms_correction_leaves_out_what_was_not_tested():
    corrected = holm(pd.Series([0.01, np.nan, 0.04, 0.03]))
    assert corrected.to_dict() == pytest.approx({0: 0.03, 3: 0.06, 2: 0.06})
