"""How far repeated recordings agree, what change can be detected, and biomarkers against a questionnaire."""

from functools import partial

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats

from helios_research.analysis import agreement, baseline, reliability
from helios_research.analysis.agreement import ordinal_alpha, own_pairs
from helios_research.errors import ResultsError, UnknownColumnError

LEVELS = np.array([0, 0.33, 0.66, 1])
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
def test_the_icc_agrees_with_pingouin_and_its_interval_resembles_that_of_normal_scores(repeated):
    table = repeated(200, 4)
    row = reliability(table).iloc[0]
    theirs = pingouin.intraclass_corr(
        table, targets="user_label", raters="visit", ratings="mental_strain"
    ).iloc[0]
    assert row["coefficient"] == pytest.approx(theirs["ICC"])
    assert [row["coefficient_low"], row["coefficient_high"]] == pytest.approx(
        list(theirs["CI95"]), abs=0.02
    )


def test_the_sd_within_participants_is_the_root_of_their_mean_variance(study):
    scored = study[study["outcome"] == "scored"]
    row = reliability(study, biomarkers="uniform_stress").iloc[0]
    own = scored.groupby("user_label")["uniform_stress"].std()
    assert row["within_sd"] == pytest.approx(np.sqrt((own**2).mean()))
    assert row["smallest_own_sd"] == pytest.approx(own.min())
    assert row["largest_own_sd"] == pytest.approx(own.max())


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


def test_a_participant_with_many_recordings_weighs_as_much_as_another(make_results):
    person = np.array([0] * 400 + [1, 1, 2, 2, 3, 3])
    noise = np.tile([-1.0, 1], len(person) // 2) * np.where(person == 0, 0.2, 0.02)
    table = make_results([f"p{n}" for n in person], mental_strain=0.5 + 0.05 * person + noise)
    row = reliability(table).iloc[0]
    expected = np.sqrt((0.2**2 * 400 / 399 + 3 * 0.02**2 * 2) / 4)
    assert row["within_sd"] == pytest.approx(expected)


# F, chi-square and bootstrap intervals that weigh recordings equally cover .83, .56 and .78.
@pytest.mark.parametrize(
    ("design", "column", "truth"),
    [
        ("one has 300", "coefficient", 0.8),
        ("people vary differently", "within_sd", np.sqrt(0.2 * np.exp(0.5))),
        ("four levels, one has 300", "coefficient", 0.728),
    ],
)
def test_intervals_cover_as_often_as_they_claim(make_results, design, column, truth):
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(200):
        n = rng.integers(2, 15, 12)
        if "300" in design:
            n[0] = 300
        person = np.repeat(np.arange(12), n)
        sd = np.exp(0.5 * rng.normal(size=12)) if "differently" in design else np.ones(12)
        noise = sd[person] * rng.normal(size=len(person))
        score = np.sqrt(0.8) * rng.normal(size=12)[person] + np.sqrt(0.2) * noise
        stress = LEVELS[np.searchsorted([-0.8, 0, 0.8], score)]
        scores = {"stress": stress} if "levels" in design else {"mental_strain": score}
        row = reliability(make_results([f"p{each}" for each in person], **scores)).iloc[0]
        covered.append(row[f"{column}_low"] <= truth <= row[f"{column}_high"])
    assert np.mean(covered) >= 0.87


def test_people_with_one_recording_do_not_count(make_results):
    table = make_results(["a", "a", "b", "b", "c"], mental_strain=[0.1, 0.2, 0.5, 0.7, 0.9])
    row = reliability(table).iloc[0]
    assert (row["participants"], row["recordings"]) == (2, 4)


def test_alpha_is_that_of_krippendorffs_example_when_a_unit_weighs_as_much_as_its_values():
    steps = np.array([value - 1 for unit in OBSERVED for value in unit])
    n = np.array([len(unit) for unit in OBSERVED])
    pairs = own_pairs(steps, np.repeat(np.arange(len(n)), n), 5)
    weighted = (n[:, None, None] * pairs).sum(axis=0, keepdims=True) / n.sum()
    assert ordinal_alpha(weighted, 1 / n.sum(keepdims=True))[0] == pytest.approx(0.815, abs=0.0005)


def test_alpha_is_that_of_krippendorff_where_recordings_are_equally_many(make_results):
    """The number is that of the package krippendorff 0.8.1 (PyPI)."""
    units = [unit for unit in OBSERVED if len(unit) == 4]
    labels = np.repeat(np.arange(len(units)), 4).astype(str)
    table = make_results(list(labels), stress=LEVELS[np.ravel(units) - 1])
    assert reliability(table)["coefficient"].item() == pytest.approx(0.6846006908991902)


def test_alpha_compares_pairs_of_recordings_with_participants_weighted_equally(make_results):
    """Computed from the definition, pair by pair."""
    rng = np.random.default_rng(3)
    who, level = np.repeat([0, 1, 2, 3], [9, 2, 3, 2]), rng.integers(0, 4, 16)
    weight = 1 / (4 * np.bincount(who)[who])
    ridit = np.array([weight[level < k].sum() + weight[level == k].sum() / 2 for k in range(4)])
    apart = (ridit[level][:, None] - ridit[level]) ** 2
    both = weight[:, None] * weight
    other = ~np.eye(16, dtype=bool)
    own = [apart[np.ix_(who == k, who == k)][other[np.ix_(who == k, who == k)]] for k in range(4)]
    expected = (apart * both)[other].sum() / both[other].sum()
    alpha = reliability(make_results(list(who.astype(str)), stress=LEVELS[level]))["coefficient"]
    assert alpha.item() == pytest.approx(1 - np.mean([each.mean() for each in own]) / expected)


@pytest.mark.parametrize("arm", ["day_shift", "night_shift"])
def test_each_level_of_a_tag_is_measured_by_itself(study, arm):
    both = reliability(study, biomarkers=["stress", "mental_strain"], by="arm")
    same = both[both["by_level"] == arm].drop(columns=["by", "by_level"]).reset_index(drop=True)
    alone = reliability(study[study["arm"] == arm], biomarkers=["stress", "mental_strain"])
    pd.testing.assert_frame_equal(same, alone)


@pytest.mark.parametrize("measure", [baseline, reliability, partial(agreement, measure="speech_s")])
def test_excluded_scores_do_not_count_and_warned_ones_need_not(study, measure):
    few = study.head(200).assign(excluded_because=[None] * 195 + ["ill"] * 5)
    few["warnings"] = [["quiet"]] * 50 + [None] * 150
    kept, dropped = (measure(few, warned=warned) for warned in ("keep", "drop"))
    same = (measure(few.iloc[:195]), measure(few.iloc[50:195]))
    for found, expected in zip((kept, dropped), same, strict=True):
        pd.testing.assert_frame_equal(found, expected)


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
    assert "No interval: too few of them differ." in found.loc["stress", "sentence"]


def test_ordinal_scores_have_alpha_and_no_sd(study):
    row = reliability(study, biomarkers="stress").iloc[0]
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


def test_two_participants_have_estimates_and_no_interval(make_results):
    row = reliability(make_results(list("aabb"), mental_strain=[0.1, 0.2, 0.5, 0.7])).iloc[0]
    assert row["within_sd"] == pytest.approx(np.sqrt((0.005 + 0.02) / 2))
    assert row[["coefficient_low", "within_sd_low", "mdc_high"]].isna().all()
    assert "Fewer than 3 participants: no interval." in row["sentence"]


def test_a_confidence_in_per_cent_is_refused(study):
    with pytest.raises(ResultsError, match="confidence is 95"):
        reliability(study, confidence=95)


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
