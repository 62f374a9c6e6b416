"""Groups are described, and their differences estimated, as other packages do."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helios_research.analysis import compare_by_tag, differences_by_tag, summarize_by_tag
from helios_research.errors import ResultsError

QUICK = {"resamples": 200}


def test_means_and_quartiles_are_those_of_pandas(study):
    summary = summarize_by_tag(study, "arm", biomarkers="mental_strain", **QUICK)
    theirs = study.groupby("arm")["mental_strain"].describe()
    ours = summary.set_index("level").loc[theirs.index]
    for mine, name in (("mean", "mean"), ("sd", "std"), ("q1", "25%"), ("median", "50%")):
        np.testing.assert_allclose(ours[mine], theirs[name])
    assert ours["q3"].tolist() == pytest.approx(theirs["75%"].tolist())
    assert ours["scored"].tolist() == theirs["count"].tolist()


def test_the_interval_lies_around_the_mean_and_is_wider_than_without_clusters(study):
    row = summarize_by_tag(study, "source", biomarkers="mental_strain").iloc[0]
    assert row["mean_low"] < row["mean"] < row["mean_high"]
    standard_error = row["sd"] / np.sqrt(row["scored"])
    assert row["mean_high"] - row["mean_low"] > 2 * 3.92 * standard_error


def test_bucketed_scores_have_proportions_and_no_mean(study):
    summary = summarize_by_tag(study, "arm", biomarkers="stress", **QUICK)
    night = summary[summary["level"] == "night_shift"]
    assert night["score"].tolist() == [0.0, 0.33, 0.66, 1.0]
    expected = study[study["arm"] == "night_shift"]["stress"].value_counts(normalize=True)
    np.testing.assert_allclose(night["proportion"], expected.sort_index())
    assert night[["mean", "sd", "median", "q1", "q3", "mean_low"]].isna().all(axis=None)
    assert night["proportion"].between(night["proportion_low"], night["proportion_high"]).all()


def test_every_recording_and_every_reason_is_counted(study):
    summary = summarize_by_tag(study, "site", biomarkers="distress", **QUICK)
    once = summary.drop_duplicates("level")
    assert once["recordings"].sum() == len(study)
    assert (once["recordings"] == once["scored"] + once["missing"]).all()
    girona = once.set_index("level").loc["Girona"]
    counts = [int(part.split()[0]) for part in girona["missing_why"].split("; ")]
    assert sum(counts) == girona["missing"]
    assert girona["missing_why"].split("; ")[0].endswith("ERR_RECORDING_TOO_SHORT")


def test_rows_without_the_tag_are_a_level_of_their_own(make_results):
    table = make_results(["a", "b", "c"], mental_strain=0.5, arm=["x", None, "x"])
    summary = summarize_by_tag(table, "arm", **QUICK)
    assert summary[["level", "recordings"]].to_numpy().tolist() == [["x", 2], ["not given", 1]]


def test_a_second_tag_divides_the_groups_that_exist(study):
    summary = summarize_by_tag(study, "visit", by="arm", biomarkers="exhaustion", **QUICK)
    assert len(summary) == 14 * 2 * 4
    assert set(summary["by"]) == {"arm"}
    assert summary["level"].drop_duplicates().tolist() == [str(n) for n in range(1, 15)]
    one = summary.query("level == '3' and by_level == 'day_shift'").iloc[0]
    chosen = study.query("visit == '3' and arm == 'day_shift'")
    assert one["recordings"] == len(chosen)
    assert one["participants"] == chosen["user_label"].nunique()


def test_without_a_second_tag_its_columns_are_not_there(study):
    assert "by" not in summarize_by_tag(study, "arm", **QUICK)


def test_a_level_that_nobody_reached_has_an_interval_all_the_same(make_results):
    table = make_results([f"p{n}" for n in range(30)], stress=[0.33] * 30, arm="x")
    summary = summarize_by_tag(table, "arm", **QUICK).set_index("score")
    assert summary.loc[0.0, "proportion"] == 0
    assert summary.loc[0.0, "proportion_high"] == pytest.approx(1 - 0.025 ** (1 / 30))
    assert summary.loc[0.33, "proportion_low"] == pytest.approx(0.025 ** (1 / 30))


@pytest.mark.parametrize(
    ("people", "note"),
    [
        (["a"], "One participant: no interval."),
        (["a", "b"], "Fewer than 10 participants: the interval is too narrow."),
        ([f"p{n}" for n in range(10)], None),
    ],
)
def test_intervals_that_cannot_be_relied_on_say_so(make_results, people, note):
    table = make_results(people, mental_strain=np.linspace(0, 1, len(people)), arm="x")
    summary = summarize_by_tag(table, "arm", **QUICK)
    assert summary["note"].isna().item() if note is None else summary["note"].item() == note
    assert bool(summary.attrs["warnings"]) == (note is not None)


def test_a_group_without_scores_is_a_row_that_says_so(make_results):
    table = make_results(["a", "b"], mental_strain=np.nan, stress=np.nan, arm=["x", "y"])
    table["outcome"] = "failed"
    table["error_code"] = "ERR_RECORDING_TOO_SHORT"
    summary = summarize_by_tag(table, "arm", **QUICK)
    assert len(summary) == 2 + 2 * 4
    assert set(summary["note"]) == {"No scores."}
    assert set(summary["missing_why"]) == {"1 ERR_RECORDING_TOO_SHORT"}
    assert summary[["mean", "proportion", "proportion_high"]].isna().all(axis=None)


def test_no_rows_give_no_rows_with_the_same_columns(study):
    empty = summarize_by_tag(study.iloc[:0], "arm", **QUICK)
    full = summarize_by_tag(study, "arm", **QUICK)
    assert len(empty) == 0
    assert list(empty.columns) == list(full.columns)


def test_what_was_done_and_that_scores_are_synthetic_travels_with_the_table(study):
    attrs = summarize_by_tag(study, "arm", **QUICK).attrs
    assert "200 bootstrap resamples of participants" in attrs["method"]
    assert attrs["source_note"].startswith("Synthetic scores")
    assert attrs["sources"] == ["sandbox"]


def test_two_tags_with_too_many_groups_together_are_refused(study):
    table = study.assign(week=pd.Series(range(len(study))) % 400)
    with pytest.raises(ResultsError, match=r"'week' and 'visit' together make [\d,]+ groups"):
        summarize_by_tag(table, "week", by="visit")


def test_the_table_can_be_written_and_read_with_its_attrs(study, tmp_path):
    summary = summarize_by_tag(study, "arm", **QUICK)
    summary.to_parquet(tmp_path / "summary.parquet")
    assert pd.read_parquet(tmp_path / "summary.parquet").attrs == summary.attrs


def test_intervals_of_means_and_proportions_agree_with_scipy(make_results):
    """Of two arms with one recording per participant, each for itself."""
    rng = np.random.default_rng(11)
    scores, levels = rng.beta(2, 3, 160), rng.choice([0.0, 0.33, 0.66, 1.0], 160)
    table = make_results(
        [f"p{n}" for n in range(160)],
        mental_strain=scores,
        stress=levels,
        arm=np.where(np.arange(160) < 80, "a", "b"),
    )
    found = summarize_by_tag(table, "arm", resamples=10_000)
    ours = found[(found["level"] == "b") & (found["bucketed"] | (found["score"].isna()))]
    strain = ours[ours["biomarker"] == "mental_strain"].iloc[0]
    highest = ours[(ours["biomarker"] == "stress") & (ours["score"] == 1.0)].iloc[0]
    for values, low, high in (
        (scores[80:], strain["mean_low"], strain["mean_high"]),
        (levels[80:] == 1.0, highest["proportion_low"], highest["proportion_high"]),
    ):
        theirs = stats.bootstrap(
            (values.astype(float),),
            np.mean,
            n_resamples=10_000,
            method="percentile",
            rng=np.random.default_rng(12),
        ).confidence_interval
        width = theirs.high - theirs.low
        assert low == pytest.approx(theirs.low, abs=0.08 * width)
        assert high == pytest.approx(theirs.high, abs=0.08 * width)


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
        for reference in (None, "day_shift")
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
        with pytest.raises(ResultsError, match="no level 'c': choose one of b, a"):
            made(table, "arm", reference="c")
