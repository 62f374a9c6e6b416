"""Biomarkers against a questionnaire."""

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats

from helios_research.analysis import agreement
from helios_research.errors import ResultsError, UnknownColumnError


@pytest.fixture
def questionnaire(make_results):
    """Give a maker of results with a PHQ-9 as text, correlated between and within participants."""

    def make(n, seed=0):
        rng = np.random.default_rng(seed)
        person = np.repeat(np.arange(len(n)), n)
        level, noise = rng.normal(size=len(n))[person], rng.normal(size=len(person))
        strain = 0.5 + 0.1 * level + 0.1 * noise
        phq9 = 10 + 2 * level + 2 * noise + 3 * rng.normal(size=len(person))
        return make_results(
            [f"p{number}" for number in person],
            mental_strain=strain.clip(0, 1),
            stress=np.array([0, 0.33, 0.66, 1])[np.searchsorted([0.4, 0.5, 0.6], strain)],
            phq9=pd.Series(phq9.round().clip(0, 27).astype(int)).astype("str"),
        )

    return make


@pytest.mark.filterwarnings("ignore:::pingouin")
def test_correlations_are_those_of_pingouin_and_scipy(questionnaire):
    table = questionnaire([5] * 30)
    numbers = table.assign(phq9=table["phq9"].astype(float))
    row = agreement(table, "phq9", biomarkers="mental_strain").iloc[0]
    theirs = pingouin.rm_corr(numbers, "mental_strain", "phq9", "user_label").iloc[0]
    assert row["within"] == pytest.approx(theirs["r"])
    assert [row["within_low"], row["within_high"]] == pytest.approx(theirs["CI95"], abs=0.05)
    means = numbers.groupby("user_label")[["mental_strain", "phq9"]].mean()
    found = stats.pearsonr(means["mental_strain"], means["phq9"])
    assert row["between"] == pytest.approx(found.statistic)
    assert [row["between_low"], row["between_high"]] == pytest.approx(found.confidence_interval())


def test_four_levels_are_compared_by_ranks_and_have_no_bias(questionnaire):
    table = questionnaire([3] * 20)
    row = agreement(table, "phq9", biomarkers="stress", measure_range=(0, 27)).iloc[0]
    ranks = pd.DataFrame(
        {"stress": table["stress"].rank(), "phq9": table["phq9"].astype(float).rank()}
    )
    means = ranks.groupby(table["user_label"]).mean()
    assert row["between"] == pytest.approx(np.corrcoef(means.T)[0, 1])
    own = ranks - ranks.groupby(table["user_label"]).transform("mean")
    assert row["within"] == pytest.approx(np.corrcoef(own.T)[0, 1])
    assert row[["bias", "limits_low", "note"]].isna().all()


def test_limits_of_agreement_are_those_of_bland_and_altman_for_repeated_recordings(questionnaire):
    """One-way analysis of variance of the differences (Bland & Altman 2007, section 3)."""
    table = questionnaire([4] * 15)
    row = agreement(table, "phq9", biomarkers="mental_strain", measure_range=(0, 27)).iloc[0]
    difference = (table["mental_strain"] - table["phq9"].astype(float) / 27).to_numpy()
    groups = difference.reshape(15, 4)
    within = groups.var(axis=1, ddof=1).mean()
    between = (4 * groups.mean(axis=1).var(ddof=1) - within) / 4
    assert row["bias"] == pytest.approx(difference.mean())
    reach = stats.norm.ppf(0.975) * np.sqrt(between + within)
    assert row["limits_high"] - row["bias"] == pytest.approx(reach)
    own = stats.ttest_1samp(groups.mean(axis=1), 0).confidence_interval()
    assert [row["bias_low"], row["bias_high"]] == pytest.approx(list(own))


def test_without_repeated_recordings_limits_are_the_ordinary_ones(questionnaire):
    table = questionnaire([1] * 40)
    row = agreement(table, "phq9", biomarkers="mental_strain", measure_range=(0, 27)).iloc[0]
    difference = table["mental_strain"] - table["phq9"].astype(float) / 27
    reach = stats.norm.ppf(0.975) * difference.std()
    assert row["limits_low"] == pytest.approx(difference.mean() - reach)
    assert row["note"].startswith("No correlation within: fewer than 3 participants")


def test_the_interval_within_covers_where_participants_differ_and_one_has_most_recordings(
    make_results,
):
    """Fisher's z with all recordings' degrees of freedom covers .37 of these."""
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(150):
        person = np.repeat(np.arange(15), [200, *rng.integers(2, 10, 14)])
        x = rng.normal(size=len(person))
        y = (0.4 + 0.3 * rng.normal(size=15))[person] * x + rng.normal(size=len(person))
        table = make_results([f"p{each}" for each in person], mental_strain=x, phq9=y)
        row = agreement(table, "phq9").iloc[0]
        covered.append(
            row["within_low"] <= 0.4 / np.sqrt(0.4**2 + 0.3**2 + 1) <= row["within_high"]
        )
    assert np.mean(covered) >= 0.87


def test_blank_cells_and_failed_recordings_do_not_count(questionnaire):
    table = questionnaire([3] * 10)
    table.loc[[0, 1], "phq9"] = ["", None]
    table.loc[2, "outcome"] = "failed"
    row = agreement(table, "phq9").iloc[0]
    assert (row["participants"], row["recordings"]) == (9, 27)


def test_text_is_refused_with_examples(questionnaire):
    table = questionnaire([3] * 10)
    table.loc[[0, 4, 5, 6], "phq9"] = ["n.a.", "12,5", "n.a.", "inf"]
    message = "The column 'phq9' has text that is no number, such as 'n.a.', '12,5', 'inf'."
    with pytest.raises(ResultsError, match=message):
        agreement(table, "phq9")


@pytest.mark.parametrize("measure_range", [(0, 5), (27, 0), (3, 3)])
def test_a_range_that_does_not_fit_is_refused(questionnaire, measure_range):
    with pytest.raises(ResultsError, match=r"measure_range is .*, but 'phq9' is also .*: give"):
        agreement(questionnaire([3] * 10), "phq9", measure_range=measure_range)


def test_a_measure_that_is_not_there_is_refused(study):
    with pytest.raises(UnknownColumnError, match="no column 'phq9'"):
        agreement(study, "phq9")


@pytest.mark.parametrize(
    ("phq9", "labels", "note"),
    [
        ([1, 2, 3, 4], "aabb", "Fewer than 3 participants have both."),
        ([1, 1, 2, 2, 4, 4], "aabbcc", "No correlation within: fewer than 3 participants"),
        ([1, 1, 1, 1, 1, 1], "aabbcc", "No correlation between: all participants have the same"),
        ([1, 2, 2, 2, 4, 4], "aabbcc", "No bias: give measure_range, the numbers that phq9 can"),
    ],
)
def test_what_is_missing_is_said(make_results, phq9, labels, note):
    strain = np.linspace(0.1, 0.9, len(labels))
    row = agreement(make_results(list(labels), mental_strain=strain, phq9=phq9), "phq9").iloc[0]
    assert row["note"].startswith(note)
