"""How far the levels of a tag differ from a reference."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helios_research.analysis import compare_by_tag, differences_by_tag
from helios_research.errors import ResultsError


def two_sides(make_results, first, second, **columns):
    """Make a participant of each score, those of the first arm before those of the second."""
    people = [f"p{number:03}" for number in range(len(first) + len(second))]
    arm = ["a"] * len(first) + ["b"] * len(second)
    return make_results(people, mental_strain=np.concatenate([first, second]), arm=arm, **columns)


def test_the_interval_agrees_with_scipys_bootstrap_of_independent_samples(make_results):
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.4, 0.1, 60), rng.normal(0.5, 0.1, 60)
    found = differences_by_tag(two_sides(make_results, first, second), "arm", resamples=8000)
    expected = stats.bootstrap(
        (second, first),
        lambda a, b: a.mean() - b.mean(),
        n_resamples=8000,
        method="percentile",
        vectorized=False,
        rng=0,
    ).confidence_interval
    row = found.iloc[0]
    assert row["difference"] == pytest.approx(second.mean() - first.mean(), abs=1e-6)
    assert row["difference_low"] == pytest.approx(expected.low, abs=0.004)
    assert row["difference_high"] == pytest.approx(expected.high, abs=0.004)


def test_participants_with_both_levels_are_drawn_with_both(make_results):
    """What they have in common cancels out, however much they differ from each other."""
    own = np.linspace(0, 1, 40)
    people = [f"p{number}" for number in range(40)] * 2
    table = make_results(
        people, mental_strain=np.concatenate([own, own + 0.1]), visit=["1"] * 40 + ["2"] * 40
    )
    row = differences_by_tag(table, "visit", resamples=500).iloc[0]
    assert row["participants_both"] == 40
    numbers = row[["difference", "difference_low", "difference_high"]].to_numpy(dtype=float)
    assert np.allclose(numbers, 0.1, atol=1e-5)


def test_a_bucketed_biomarker_has_a_difference_at_each_score_and_they_cancel(make_results):
    table = two_sides(
        make_results, [0.5] * 4, [0.5] * 4, stress=[0.0, 0.0, 0.33, 1.0, 1.0, 1.0, 0.66, 0.33]
    )
    found = differences_by_tag(table, "arm", biomarkers="stress", resamples=200)
    assert found["score"].tolist() == [0.0, 0.33, 0.66, 1.0]
    assert np.allclose(found["difference"], [-0.5, 0, 0.25, 0.25])


def test_a_side_with_one_participant_has_no_difference_and_says_so(make_results):
    found = differences_by_tag(two_sides(make_results, [0.1, 0.2], [0.3]), "arm").iloc[0]
    assert found[["difference", "difference_low", "difference_high"]].isna().all()
    assert found["note"] == "Fewer than two participants on one side."


def test_each_level_is_compared_with_the_reference_as_if_it_were_alone(study):
    found = differences_by_tag(study, "site", biomarkers=["stress", "mental_strain"], resamples=50)
    assert found["biomarker"].tolist() == ["stress"] * 8 + ["mental_strain"] * 2
    assert set(found["reference"]) == {"Girona"}
    alone = differences_by_tag(
        study[study["site"] != "Hamburg"], "site", biomarkers="mental_strain", resamples=50
    )
    pd.testing.assert_frame_equal(found.iloc[[9]].reset_index(drop=True), alone)


def test_the_reference_can_be_chosen_and_turns_the_sign(study):
    forth, back = (
        differences_by_tag(
            study, "arm", biomarkers="mental_strain", reference=reference, resamples=50
        ).iloc[0]
        for reference in (None, "night_shift")
    )
    assert (back["reference"], back["level"]) == (forth["level"], forth["reference"])
    assert back["difference"] == pytest.approx(-forth["difference"])
    assert back["difference_low"] == pytest.approx(-forth["difference_high"])


def test_it_takes_the_same_levels_as_a_comparison_and_warns_alike(repeated):
    table = repeated(20, 3)
    table.loc[:4, "arm"] = None
    assert differences_by_tag(table, "arm").attrs["warnings"] == [
        "5 recordings without a value of 'arm' are left out."
    ]
    for made in (differences_by_tag, compare_by_tag):
        with pytest.raises(ResultsError, match="no level 'c': choose one of a, b"):
            made(table, "arm", reference="c")
