"""Reliability agrees with published tables and with pingouin."""

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats

from helios_research.analysis import reliability
from helios_research.analysis.repeated import coincidences, ordinal_alpha

# Four judges' ratings of six targets: Shrout & Fleiss 1979, table 2.
RATINGS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)
# Four observers, twelve units, values 1 to 5: Krippendorff 2011, example C.
OBSERVED = (
    (1, 1, 1), (2, 2, 3, 2), (3, 3, 3, 3), (3, 3, 3, 3), (2, 2, 2, 2), (1, 2, 3, 4),
    (4, 4, 4, 4), (1, 1, 2, 1), (2, 2, 2, 2), (5, 5, 5), (1, 1),
)  # fmt: skip


def test_the_icc_is_that_of_shrout_and_fleiss(make_results):
    labels = [f"target {n}" for n in np.repeat(np.arange(6), 4)]
    row = reliability(make_results(labels, mental_strain=RATINGS.ravel())).iloc[0]
    assert row["form"] == "ICC(1,1)"
    assert row["coefficient"] == pytest.approx(0.17, abs=0.005)


# pingouin 0.7 uses what pandas 3.1 announces to remove.
@pytest.mark.filterwarnings("ignore:The inplace keyword:pandas.errors.Pandas4Warning")
def test_the_icc_and_its_interval_agree_with_pingouin(repeated):
    table = repeated(25, 4)
    row = reliability(table).iloc[0]
    theirs = pingouin.intraclass_corr(
        table, targets="user_label", raters="visit", ratings="mental_strain"
    ).iloc[0]
    assert row["coefficient"] == pytest.approx(theirs["ICC"])
    assert [row["coefficient_low"], row["coefficient_high"]] == pytest.approx(
        list(theirs["CI95"]), abs=0.00501
    )


def test_unbalanced_data_have_the_known_icc_and_sd(make_results):
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(3000), rng.integers(2, 7, 3000))
    score = 0.5 + 0.08 * rng.normal(size=3000)[person] + 0.06 * rng.normal(size=len(person))
    row = reliability(make_results([f"p{n}" for n in person], mental_strain=score)).iloc[0]
    assert row["coefficient"] == pytest.approx(0.64, abs=0.02)
    assert row["coefficient_low"] < 0.64 < row["coefficient_high"]
    assert row["within_sd"] == pytest.approx(0.06, rel=0.02)
    assert "unbalanced, with n0 = " in row["sentence"]


def test_the_sd_within_participants_is_that_of_an_analysis_of_variance(study):
    scored = study[study["outcome"] == "scored"]
    row = reliability(study, biomarkers="uniform_stress").iloc[0]
    groups = [group.to_numpy() for _, group in scored.groupby("user_label")["uniform_stress"]]
    within = sum(((group - group.mean()) ** 2).sum() for group in groups)
    freedom = len(scored) - len(groups)
    assert row["within_sd"] == pytest.approx(np.sqrt(within / freedom))
    size = (len(scored) - sum(len(group) ** 2 for group in groups) / len(scored)) / 119
    f = stats.f_oneway(*groups).statistic
    assert row["coefficient"] == pytest.approx((f - 1) / (f - 1 + size))


def test_the_minimal_detectable_change_is_1_96_times_root_2_times_the_sem(study):
    row = reliability(study, biomarkers="mental_strain").iloc[0]
    factor = 1.96 * np.sqrt(2)
    for mdc, sem in (
        ("minimal_detectable_change", "within_sd"),
        ("mdc_low", "within_sd_low"),
        ("mdc_high", "within_sd_high"),
    ):
        assert row[mdc] == pytest.approx(factor * row[sem], rel=1e-4)
    assert row["within_sd_low"] < row["within_sd"] < row["within_sd_high"]


def test_the_interval_of_the_sd_covers_as_often_as_it_claims(repeated):
    rows = [reliability(repeated(12, 3, seed=seed)).iloc[0] for seed in range(120)]
    covered = [row["within_sd_low"] <= 0.05 <= row["within_sd_high"] for row in rows]
    assert 0.89 <= np.mean(covered) <= 0.99


def test_people_with_one_recording_do_not_count(make_results):
    table = make_results(["a", "a", "b", "b", "c"], mental_strain=[0.1, 0.2, 0.5, 0.7, 0.9])
    row = reliability(table).iloc[0]
    assert (row["participants"], row["recordings"]) == (2, 4)


def test_alpha_is_that_of_krippendorffs_example():
    steps = np.array([value - 1 for unit in OBSERVED for value in unit])
    who = np.repeat(np.arange(len(OBSERVED)), [len(unit) for unit in OBSERVED])
    pairs = coincidences(steps, who, 5)
    assert ordinal_alpha(pairs.sum(axis=0)[None])[0] == pytest.approx(0.815, abs=0.0005)


def test_alpha_is_1_for_agreement_and_about_0_for_chance(make_results):
    rng = np.random.default_rng(2)
    labels = [f"p{n}" for n in np.repeat(np.arange(300), 3)]
    table = make_results(
        labels,
        stress=np.repeat(rng.choice([0, 0.33, 0.66, 1.0], 300), 3),
        distress=rng.choice([0, 0.33, 0.66, 1.0], 900),
    )
    found = reliability(table).set_index("biomarker")
    assert found.loc["stress", "coefficient"] == 1
    assert found.loc["distress", "coefficient"] == pytest.approx(0, abs=0.08)
    low, high = found.loc["distress", ["coefficient_low", "coefficient_high"]]
    assert low < 0 < high


def test_ordinal_scores_have_alpha_and_no_sd(study):
    row = reliability(study, biomarkers="stress", resamples=300).iloc[0]
    assert row["form"] == "Krippendorff's alpha, ordinal"
    assert row["coefficient_low"] < row["coefficient"] < row["coefficient_high"]
    assert row[["within_sd", "minimal_detectable_change"]].isna().all()


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "a"], ["a", "b"]])
def test_too_few_participants_give_a_sentence(make_results, labels):
    n = len(labels)
    table = make_results(labels, mental_strain=np.full(n, 0.5), stress=np.full(n, 0.33))
    found = reliability(table)
    assert set(found["sentence"]) == {"Fewer than two participants with repeated recordings."}
    assert found["coefficient"].isna().all()


def test_scores_that_never_differ_give_a_sentence(make_results):
    table = make_results(["a", "a", "b", "b"], mental_strain=[0.2, 0.2, 0.4, 0.4], stress=0.33)
    found = reliability(table)["sentence"].tolist()
    assert found == [
        "Each participant's scores are all the same: nothing to estimate.",
        "All scores are at the same level: nothing to estimate.",
    ]


def test_the_frame_has_its_columns_even_without_biomarker_scores(study):
    assert list(reliability(study.iloc[:0]).columns) == list(reliability(study).columns)
    assert isinstance(reliability(study).attrs["method"], str)
    assert pd.api.types.is_float_dtype(reliability(study)["coefficient"])
