"""Comparisons by tag: participants are the unit, whatever the design, and say what was done."""

import numpy as np
import pingouin
import pytest
from scipy import stats

from helios_research.analysis import compare_by_tag
from helios_research.errors import ResultsError, UnknownColumnError


def test_between_participants_it_is_welchs_test_of_their_means(repeated):
    table = repeated(40, 5)
    row = compare_by_tag(table, "arm", biomarkers="mental_strain").iloc[0]
    means = table.groupby(["arm", "user_label"])["mental_strain"].mean()
    theirs = stats.ttest_ind(means["b"], means["a"], equal_var=False)
    assert row["test"] == "Welch's t"
    assert row[["df", "p"]].tolist() == pytest.approx([theirs.df, theirs.pvalue])
    assert row[["difference_low", "difference_high"]].tolist() == pytest.approx(
        list(theirs.confidence_interval())
    )
    assert row["effect"] == pytest.approx(
        pingouin.compute_effsize(means["b"], means["a"], eftype="hedges")
    )


def test_within_participants_it_is_the_paired_t_test_of_their_means(repeated):
    """However many recordings each has at a level."""
    table = repeated(30, 6).assign(visit=lambda t: np.where(t["visit"] < "3", "pre", "post"))
    table = table.drop(table.index[table["user_label"] == "p3"][[0, 2]])
    row = compare_by_tag(table, "visit", biomarkers="mental_strain").iloc[0]
    wide = table.pivot_table(index="user_label", columns="visit", values="mental_strain")
    theirs = stats.ttest_rel(wide["post"], wide["pre"])
    assert row["test"] == "mixed model, CR2"
    assert row[["df", "p"]].tolist() == pytest.approx([theirs.df, theirs.pvalue])
    assert row["participants_both"] == 30
    assert (row["reference"], row["level"]) == ("pre", "post")


def test_the_effects_that_are_in_the_synthetic_study_are_found(study):
    found = compare_by_tag(study, "arm", reference="day_shift").set_index("biomarker")
    assert found.loc["mental_strain", "p_holm"] < 0.01
    assert found.loc["sleep_propensity", "p_holm"] < 0.001
    assert found.loc["uniform_exhaustion", "difference_low"] > 0
    assert found.loc["stress", "p_holm"] == 1


def test_ordinal_scores_are_compared_by_welch_on_participants_mean_ridits(study):
    row = compare_by_tag(study, "arm", reference="day_shift", biomarkers="stress").iloc[0]
    scored = study[study["outcome"] == "scored"]
    each = scored.groupby("user_label")["stress"].transform("count")
    day, night = (scored["arm"] == arm for arm in ("day_shift", "night_shift"))
    higher = np.sign(scored["stress"][night].to_numpy()[:, None] - scored["stress"][day].to_numpy())
    weights = np.outer(1 / each[night], 1 / each[day])
    assert row["effect"] == pytest.approx((higher * weights).sum() / weights.sum())
    assert row["effect_name"] == "P(higher) \N{MINUS SIGN} P(lower)"
    assert row["test"] == "Welch's t"
    assert np.isnan(row["difference"])


def test_ordinal_scores_of_the_same_people_do_not_depend_on_how_many_there_are(make_results):
    """Lower medians of two recordings before and three after found a difference in nearly all."""
    rng = np.random.default_rng(7)
    alarms = []
    for _ in range(100):
        person = np.repeat(np.arange(30), 5)
        latent = rng.normal(0, 0.8, 30)[person] + rng.normal(0, 0.6, 150)
        levels = np.array([0, 0.33, 0.66, 1.0])[np.digitize(latent, [-0.7, 0, 0.7])]
        when = np.tile(["pre", "pre", "post", "post", "post"], 30)
        table = make_results([f"p{n}" for n in person], stress=levels, visit=when)
        alarms.append(compare_by_tag(table, "visit")["p"].item() < 0.05)
    assert np.mean(alarms) <= 0.12


def test_a_few_people_at_several_levels_are_kept_and_warned_of(repeated):
    table = repeated(40, 6)
    table.loc[0, "arm"] = "b"
    found = compare_by_tag(table, "arm", order=["a", "b"])
    assert found["df"].item() < 42
    assert found[["participants_reference", "participants_level"]].iloc[0].tolist() == [20, 21]
    assert found.attrs["warnings"] == [
        "1 of 40 participants is at several levels of 'arm': check whether this is a typing error."
    ]


def test_each_construct_is_once_in_the_correction(study):
    found = compare_by_tag(study, "arm").set_index("biomarker")
    family = found[found["role"] == "family"]
    assert len(family) == 6
    assert family["bucketed"].sum() == 5
    _, theirs = pingouin.multicomp(family["p"].to_numpy(), method="holm")
    np.testing.assert_allclose(family["p_holm"], theirs)
    assert found.loc["uniform_stress", ["p_holm", "role"]].tolist() == [
        pytest.approx(np.nan, nan_ok=True),
        "",
    ]


def test_a_primary_outcome_is_corrected_by_itself(study):
    found = compare_by_tag(study, "arm", primary="mental_strain", family=["stress", "distress"])
    rows = found.set_index("biomarker")
    assert rows.loc["mental_strain", "p_holm"] == rows.loc["mental_strain", "p"]
    assert rows["role"].value_counts().to_dict() == {"": 8, "family": 2, "primary": 1}
    assert "over 1 primary test (mental_strain)" in found.attrs["method"]
    assert "over 2 family tests (distress, stress)" in found.attrs["method"]


def test_a_primary_outcome_that_is_not_there_is_refused(study):
    with pytest.raises(UnknownColumnError, match="mood"):
        compare_by_tag(study, "arm", primary="mood")


def test_scores_with_a_warning_can_be_left_out(study):
    kept, dropped = (
        compare_by_tag(study, "arm", reference="day_shift", warned=way).iloc[0]
        for way in ("keep", "drop")
    )
    warned = study["warnings"].map(len, na_action="ignore") > 0
    scored = study[(study["outcome"] == "scored") & (study["arm"] == "day_shift")]
    assert kept["recordings_reference"] == len(scored)
    assert dropped["recordings_reference"] == int((~warned[scored.index]).sum()) < len(scored)


def test_holms_correction_is_that_of_pingouin(study):
    found = compare_by_tag(study, "site").query("role == 'family'")
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


def test_rows_without_the_tag_are_left_out_and_counted(repeated):
    table = repeated(20, 3)
    table.loc[:4, "arm"] = None
    found = compare_by_tag(table, "arm")
    assert found.attrs["warnings"] == ["5 recordings without a value of 'arm' left out."]
    assert found[["recordings_reference", "recordings_level"]].sum(axis=1).item() == 55


def test_a_level_of_one_person_is_not_compared_and_does_not_stop_the_others(repeated):
    table = repeated(20, 3)
    table.loc[table["user_label"] == "p0", "arm"] = "c"
    found = compare_by_tag(table, "arm", reference="a").set_index("level")
    assert found.loc["c", "sentence"] == "Fewer than 3 participants on one side: not compared."
    assert found.loc["b", "test"] == "Welch's t"


def test_one_level_cannot_be_compared(study):
    with pytest.raises(ResultsError, match=r"2 to 60 levels, but 'source' has 1 \('sandbox'\)"):
        compare_by_tag(study, "source")


def test_an_unknown_reference_is_refused_with_the_levels(study):
    with pytest.raises(ResultsError, match="no level 'day': choose one of night_shift, day_shift"):
        compare_by_tag(study, "arm", reference="day")


def test_constant_scores_have_no_test_and_a_sentence(repeated):
    table = repeated(10, 3)
    table["mental_strain"] = 0.5
    row = compare_by_tag(table, "arm").iloc[0]
    assert row["sentence"] == "All participants of each side are the same: no test."
    assert np.isnan(row["p"])
