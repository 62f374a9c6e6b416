"""Comparisons by tag: participants are the unit, whatever the design, and say what was done."""

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from helios_research.analysis import compare_by_tag
from helios_research.errors import ResultsError


def test_between_participants_balanced_data_give_the_t_test_of_their_means(repeated):
    table = repeated(40, 5)
    row = compare_by_tag(table, "arm", biomarkers="mental_strain").iloc[0]
    means = table.groupby(["arm", "user_label"])["mental_strain"].mean()
    theirs = stats.ttest_ind(means["b"], means["a"])
    assert row["test"] == "linear mixed model"
    assert row["converged"]
    assert row["df"] == theirs.df == 38
    assert row["p"] == pytest.approx(theirs.pvalue, rel=1e-3)
    assert row[["difference_low", "difference_high"]].tolist() == pytest.approx(
        list(theirs.confidence_interval()), rel=1e-3
    )


def test_within_participants_balanced_data_give_the_paired_t_test(repeated):
    table = repeated(30, 2)
    row = compare_by_tag(table, "visit", biomarkers="mental_strain").iloc[0]
    wide = table.pivot_table(index="user_label", columns="visit", values="mental_strain")
    theirs = stats.ttest_rel(wide["2"], wide["1"])
    assert row["test"] == "linear mixed model"
    assert row["df"] == theirs.df == 29
    assert row["p"] == pytest.approx(theirs.pvalue, rel=1e-3)
    assert row["participants_both"] == 30
    assert "within participants" in row["sentence"]


def test_unbalanced_data_agree_with_a_formula_fitted_by_statsmodels(study):
    row = compare_by_tag(
        study, "arm", biomarkers="uniform_sleep_propensity", reference="day_shift"
    ).iloc[0]
    scored = study[study["outcome"] == "scored"]
    fit = MixedLM.from_formula(
        "uniform_sleep_propensity ~ arm", scored, groups=scored["user_label"]
    ).fit(method="powell")
    assert row["difference"] == pytest.approx(fit.fe_params.iloc[1], rel=1e-4)
    assert row["statistic"] == pytest.approx(fit.tvalues.iloc[1], rel=1e-3)
    total = np.sqrt(fit.cov_re.iloc[0, 0] + fit.scale)
    assert row["effect"] == pytest.approx(fit.fe_params.iloc[1] / total, rel=1e-3)


def test_the_effects_that_are_in_the_synthetic_study_are_found(study):
    found = compare_by_tag(study, "arm", reference="day_shift").set_index("biomarker")
    assert found.loc["uniform_sleep_propensity", "p_holm"] < 0.001
    assert found.loc["sleep_propensity", "p_holm"] < 0.001
    assert found.loc["uniform_exhaustion", "difference_low"] > 0
    assert found.loc["uniform_stress", "p_holm"] == 1
    assert found["converged"].dropna().all()


def test_one_recording_each_is_compared_by_welch(repeated):
    table = repeated(40, 1)
    row = compare_by_tag(table, "arm").iloc[0]
    sides = [table[table["arm"] == arm]["mental_strain"] for arm in "ab"]
    assert row["test"] == "Welch's t"
    assert row["p"] == pytest.approx(stats.ttest_ind(*sides, equal_var=False).pvalue)
    assert pd.isna(row["converged"])


def test_participants_means_can_be_compared_instead(repeated):
    table = repeated(40, 5)
    between = compare_by_tag(table, "arm", repeated="participant means").iloc[0]
    within = compare_by_tag(table, "visit", repeated="participant means")
    means = table.groupby(["arm", "user_label"])["mental_strain"].mean()
    expected = stats.ttest_ind(means["b"], means["a"], equal_var=False).pvalue
    assert between["p"] == pytest.approx(expected)
    assert set(within["test"]) == {"paired t"}


def test_a_model_that_does_not_converge_is_said_and_means_are_compared(make_results):
    people = np.repeat(np.arange(20), 3)
    score = np.random.default_rng(1).uniform(size=20)[people]
    table = make_results([f"p{n}" for n in people], mental_strain=score, arm=people % 2)
    found = compare_by_tag(table, "arm")
    row = found.iloc[0]
    assert row["test"] == "Welch's t"
    assert row["converged"] is np.False_ or row["converged"] is False
    assert "The mixed model did not converge (" in row["sentence"]
    assert any("did not converge" in warning for warning in found.attrs["warnings"])


def test_ordinal_scores_are_compared_by_rank_on_participants_medians(study):
    row = compare_by_tag(study, "arm", biomarkers="stress", reference="day_shift").iloc[0]
    scored = study[study["outcome"] == "scored"]
    medians = (
        scored.groupby(["arm", "user_label"])["stress"]
        .quantile(0.5, interpolation="lower")
        .groupby("arm")
    )
    day, night = (medians.get_group(arm).to_numpy() for arm in ("day_shift", "night_shift"))
    assert row["test"] == "Brunner-Munzel"
    assert row["p"] == pytest.approx(stats.brunnermunzel(day, night).pvalue)
    assert row["effect"] == pytest.approx(np.sign(night[:, None] - day).mean())
    assert np.isnan(row["difference"])


def test_ordinal_scores_of_the_same_people_are_compared_in_pairs(study):
    row = compare_by_tag(study, "visit", biomarkers="stress").set_index("level").loc["14"]
    wide = study.pivot_table(index="user_label", columns="visit", values="stress")
    both = (wide[["1", "14"]].dropna() / 0.33).round()
    theirs = stats.wilcoxon(both["14"] - both["1"], zero_method="pratt", method="approx")
    assert row["test"] == "Wilcoxon signed-rank"
    assert row["participants_both"] == len(both)
    assert row["p"] == pytest.approx(theirs.pvalue)
    assert "who have only one of them are left out" in row["sentence"]


def test_a_few_people_who_changed_sides_are_left_out_of_a_rank_test(make_results):
    rng = np.random.default_rng(4)
    labels = [f"p{n}" for n in range(40)]
    stress = rng.choice([0, 0.33, 0.66, 1.0], 42)
    arm = ["a", "b"] * 20
    table = make_results([*labels, "p0", "p1"], stress=stress, arm=[*arm, "b", "a"])
    row = compare_by_tag(table, "arm").iloc[0]
    assert row["test"] == "Brunner-Munzel"
    assert "19 against 19 participants" in row["sentence"]
    assert "2 who have both are left out" in row["sentence"]


def test_a_few_people_who_changed_sides_do_not_lend_degrees_of_freedom(repeated):
    table = repeated(20, 6)
    table.loc[0, "arm"] = "b"
    row = compare_by_tag(table, "arm").iloc[0]
    assert row["df"] == 18


def test_holms_correction_is_that_of_pingouin(study):
    found = compare_by_tag(study, "site")
    _, theirs = pingouin.multicomp(found["p"].to_numpy(), method="holm")
    np.testing.assert_allclose(found["p_holm"], theirs)


def test_tests_that_could_not_be_made_do_not_count_in_the_correction(study):
    table = study.assign(mental_strain=np.nan)
    found = compare_by_tag(table, "arm", biomarkers=["mental_strain", "uniform_exhaustion"])
    assert np.isnan(found["p_holm"].iloc[0])
    assert found["p_holm"].iloc[1] == found["p"].iloc[1]


def test_the_reference_can_be_chosen_and_turns_the_difference_round(repeated):
    table = repeated(20, 3)
    forth = compare_by_tag(table, "arm").iloc[0]
    back = compare_by_tag(table, "arm", reference="b").iloc[0]
    assert (back["reference"], back["level"]) == ("b", "a")
    assert back["difference"] == pytest.approx(-forth["difference"])


def test_false_alarms_are_as_rare_as_the_level_says(repeated):
    """Recordings of a person are alike, so a test that took them as independent would cry wolf."""
    alarms = [
        compare_by_tag(repeated(20, 4, seed=seed), "arm", repeated="participant means")["p"].item()
        < 0.05
        for seed in range(120)
    ]
    assert np.mean(alarms) < 0.12


def test_rows_without_the_tag_are_left_out_and_counted(repeated):
    table = repeated(20, 3)
    table.loc[:4, "arm"] = None
    found = compare_by_tag(table, "arm")
    assert found.attrs["warnings"] == ["5 recordings without a value of 'arm' are left out."]
    assert found[["recordings_reference", "recordings_level"]].sum(axis=1).item() == 55


def test_a_level_of_one_person_is_not_compared_and_does_not_stop_the_others(repeated):
    table = repeated(20, 3)
    table.loc[table["user_label"] == "p0", "arm"] = "c"
    found = compare_by_tag(table, "arm", reference="a").set_index("level")
    assert found.loc["c", "sentence"] == "Fewer than two participants on one side: not compared."
    assert found.loc["b", "test"] == "linear mixed model"


def test_one_level_cannot_be_compared(study):
    with pytest.raises(ResultsError, match=r"2 to 60 levels, but 'source' has 1 \('sandbox'\)"):
        compare_by_tag(study, "source")


def test_an_unknown_reference_is_refused_with_the_levels(study):
    with pytest.raises(ResultsError, match="no level 'day': choose one of night_shift, day_shift"):
        compare_by_tag(study, "arm", reference="day")


def test_an_unknown_way_to_treat_repeated_recordings_is_refused(study):
    with pytest.raises(
        ResultsError,
        match="Unknown way to treat repeated recordings 'means': choose 'mixed model' or",
    ):
        compare_by_tag(study, "arm", repeated="means")


def test_constant_scores_have_no_test_and_a_sentence(repeated):
    table = repeated(10, 3)
    table["mental_strain"] = 0.5
    row = compare_by_tag(table, "arm").iloc[0]
    assert row["sentence"] == "All scores are the same: no test."
    assert row["difference"] == 0
