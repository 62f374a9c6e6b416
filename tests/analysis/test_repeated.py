"""Recordings against a participant's own baseline, and how far they agree."""

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

from helios_research.analysis import baseline, reliability
from helios_research.analysis.repeated import coincidences, ordinal_alpha
from helios_research.errors import ResultsError, UnknownColumnError


@pytest.fixture
def one_person(make_results):
    days = pd.date_range("2026-01-01T08:00", periods=6).strftime("%Y-%m-%dT%H:%M:%S")
    return make_results(
        ["a"] * 6,
        mental_strain=[0.4, 0.5, 0.45, 0.9, 0.46, 0.1],
        stress=[0.33, 0.66, 0.33, 1.0, 0.66, 0.0],
        recording_time=list(days),
        visit=["1", "2", "3", "9", "10", "11"],
    )


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_usual_range_is_the_prediction_interval_of_statsmodels(one_person, confidence):
    rows = baseline(one_person, biomarkers="mental_strain", spread="own", confidence=confidence)
    row = rows.iloc[4]
    fit = OLS([0.4, 0.5, 0.45], np.ones(3)).fit()
    frame = fit.get_prediction(np.ones((1, 1))).summary_frame(alpha=1 - confidence).iloc[0]
    assert row["baseline"] == pytest.approx(frame["mean"])
    assert row["usual_low"] == pytest.approx(frame["obs_ci_lower"])
    assert row["usual_high"] == pytest.approx(frame["obs_ci_upper"])


def test_change_and_z_are_taken_from_the_baseline(one_person):
    rows = baseline(one_person, biomarkers="mental_strain", spread="own")
    assert rows["in_baseline"].tolist() == [True] * 3 + [False] * 3
    assert rows["baseline_sd"].iloc[0] == pytest.approx(0.05)
    assert rows["change"].tolist()[3:] == pytest.approx([0.45, 0.01, -0.35])
    assert rows["z"].tolist()[3:] == pytest.approx([9.0, 0.2, -7.0])
    assert rows["outside_usual"].tolist()[3:] == [True, False, True]
    assert rows[["change", "z", "outside_usual"]].iloc[:3].isna().all(axis=None)


def test_the_pooled_spread_is_the_residual_sd_over_all_participants(study):
    rows = baseline(study, biomarkers="mental_strain")
    first = rows[rows["in_baseline"]]
    residual = first["score"] - first.groupby("user_label")["score"].transform("mean")
    expected = np.sqrt((residual**2).sum() / (len(first) - first["user_label"].nunique()))
    assert rows["baseline_sd"].to_numpy() == pytest.approx(expected)


@pytest.mark.parametrize("spread", ["own", "pooled"])
def test_where_nothing_changes_as_few_lie_outside_as_the_confidence_says(make_results, spread):
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(4000), 4)
    table = make_results(
        [f"p{n}" for n in person],
        mental_strain=0.5 + 0.02 * rng.normal(size=4000)[person] + 0.01 * rng.normal(size=16_000),
        visit=np.tile(np.arange(4), 4000),
    )
    rows = baseline(table, order="visit", spread=spread)
    assert rows["outside_usual"].mean() == pytest.approx(0.05, abs=0.012)


def test_ordinal_scores_have_a_level_and_a_span_and_no_z(one_person):
    rows = baseline(one_person, biomarkers="stress")
    assert set(rows["baseline"]) == {0.33}
    assert rows["change"].tolist()[3:] == [2, 1, -1]
    assert rows["outside_usual"].tolist()[3:] == [True, False, True]
    assert rows[["z", "baseline_sd"]].isna().all(axis=None)


def test_a_tag_can_give_the_order_and_goes_as_people_count(one_person):
    rows = baseline(one_person, biomarkers="stress", order="visit")
    assert rows["recording_id"].tolist() == [f"r{n}" for n in range(6)]
    assert rows["days_since_first"].isna().all()


def test_recordings_whose_tag_is_blank_have_no_place_in_the_order(one_person):
    one_person["visit"] = ["1", "2", "3", " ", None, "4"]
    rows = baseline(one_person, biomarkers="mental_strain", order="visit")
    assert rows["recording_id"].tolist() == ["r0", "r1", "r2", "r5"]
    assert rows.attrs["warnings"] == ["2 scored recordings have no usable visit and are left out."]


def test_the_order_is_by_time_whatever_the_order_of_the_rows(one_person):
    forth = baseline(one_person, biomarkers="mental_strain")
    back = baseline(one_person.iloc[::-1], biomarkers="mental_strain")
    pd.testing.assert_frame_equal(forth, back)


def test_a_baseline_can_be_a_number_of_days(one_person):
    rows = baseline(one_person, biomarkers="mental_strain", first=2, unit="days")
    assert rows["in_baseline"].sum() == 2
    assert rows["days_since_first"].tolist() == [0, 1, 2, 3, 4, 5]


def test_days_without_times_are_refused(one_person):
    with pytest.raises(ResultsError, match="'visit' holds none: choose order='recording_time'"):
        baseline(one_person, order="visit", unit="days")


def test_failed_recordings_are_not_part_of_a_baseline(one_person):
    one_person.loc[0, "outcome"] = "failed"
    rows = baseline(one_person, biomarkers="mental_strain")
    assert rows["recording_id"].tolist() == [f"r{n}" for n in range(1, 6)]
    assert rows["in_baseline"].sum() == 3


def test_recordings_without_a_usable_time_are_left_out_and_counted(one_person):
    one_person.loc[1, "recording_time"] = "01/02/2026"
    rows = baseline(one_person)
    assert "r1" not in set(rows["recording_id"])
    assert rows.attrs["warnings"] == [
        "1 scored recordings have no usable recording_time and are left out."
    ]


def test_a_single_recording_is_its_own_baseline(make_results):
    table = make_results(["a"], mental_strain=[0.5], stress=[0.33], visit=["1"])
    rows = baseline(table, order="visit")
    assert rows["in_baseline"].all()
    assert rows[["usual_low", "outside_usual", "z"]].isna().all(axis=None)


def test_a_baseline_of_copies_has_no_usual_range(make_results):
    table = make_results(["a"] * 4, mental_strain=[0.5, 0.5, 0.5, 0.6], visit=list("1234"))
    rows = baseline(table, order="visit")
    assert rows["change"].iloc[3] == pytest.approx(0.1)
    assert rows[["z", "usual_low", "outside_usual"]].isna().all(axis=None)


def test_no_rows_give_no_rows_with_the_same_columns(study):
    empty, full = baseline(study.iloc[:0]), baseline(study)
    assert len(empty) == 0
    assert list(empty.columns) == list(full.columns)


def test_what_was_done_is_said(study):
    method = baseline(study, first=5, spread="own").attrs["method"]
    assert "first 5 recordings by recording_time" in method
    assert "own baseline" in method


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first": 0}, "at least the first 1 of the recordings, not 0"),
        ({"unit": "weeks"}, "Unknown unit of a baseline 'weeks': choose 'recordings' or 'days'"),
        ({"spread": "all"}, "Unknown spread of a baseline 'all': choose 'pooled' or 'own'"),
        ({"confidence": 95}, "confidence is 95"),
    ],
)
def test_settings_without_meaning_are_refused(study, settings, message):
    with pytest.raises(ResultsError, match=message):
        baseline(study, **settings)


def test_an_order_that_is_not_there_is_refused(study):
    with pytest.raises(UnknownColumnError, match="no column 'week'"):
        baseline(study, order="week")


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
