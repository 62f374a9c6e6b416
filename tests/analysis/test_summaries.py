"""Groups are described, and their differences estimated, as other packages do."""

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from helios_research.analysis import summarize_by_tag
from helios_research.errors import ResultsError


def test_means_and_quartiles_are_those_of_participants_means(study):
    summary = summarize_by_tag(study, "arm", biomarkers="mental_strain")
    means = study.groupby(["arm", "user_label"])["mental_strain"].mean()
    theirs = means.groupby("arm").describe()
    ours = summary.set_index("level").loc[theirs.index]
    for mine, name in (("mean", "mean"), ("sd", "std"), ("q1", "25%"), ("median", "50%")):
        np.testing.assert_allclose(ours[mine], theirs[name])
    assert ours["q3"].tolist() == pytest.approx(theirs["75%"].tolist())
    assert ours["participants_scored"].tolist() == theirs["count"].tolist()
    assert ours["scored"].tolist() == study.groupby("arm")["mental_strain"].count().tolist()


def test_the_interval_is_the_t_interval_on_the_logit_scale(study):
    row = summarize_by_tag(study, "source", biomarkers="mental_strain").iloc[0]
    means = study.groupby("user_label")["mental_strain"].mean().dropna()
    half = stats.t.ppf(0.975, len(means) - 1) * means.sem() / (means.mean() * (1 - means.mean()))
    ends = special.expit(special.logit(means.mean()) + np.array([-half, half]))
    assert row[["mean_low", "mean_high"]].tolist() == pytest.approx(ends.tolist())


def test_participants_weigh_equally_however_many_recordings_they_have(make_results):
    table = make_results(
        ["a"] * 500 + ["b", "c", "d"], mental_strain=[0.9] * 500 + [0.1, 0.2, 0.3], arm="x"
    )
    found = summarize_by_tag(table, "arm")
    assert found["mean"].item() == pytest.approx(0.375)
    assert found["note"].item() == (
        "One participant has 99 % of the recordings; participants weigh equally all the same."
    )
    assert found.attrs["warnings"] == [f"x: {found['note'].item()}"]


def test_bucketed_scores_have_proportions_and_no_mean(study):
    summary = summarize_by_tag(study, "arm", biomarkers="stress")
    night = summary[summary["level"] == "night_shift"]
    assert night["score"].tolist() == [0.0, 0.33, 0.66, 1.0]
    own = study[study["arm"] == "night_shift"].dropna(subset="stress")
    expected = pd.crosstab(own["user_label"], own["stress"], normalize="index").mean()
    np.testing.assert_allclose(night["proportion"], expected)
    assert night[["mean", "sd", "median", "q1", "q3", "mean_low"]].isna().all(axis=None)
    assert night["proportion"].between(night["proportion_low"], night["proportion_high"]).all()


def test_every_recording_and_every_reason_is_counted(study):
    summary = summarize_by_tag(study, "site", biomarkers="distress")
    once = summary.drop_duplicates("level")
    assert once["recordings"].sum() == len(study)
    assert (once["recordings"] == once["scored"] + once["missing"]).all()
    girona = once.set_index("level").loc["Girona"]
    counts = [int(part.split()[0]) for part in girona["missing_why"].split("; ")]
    assert sum(counts) == girona["missing"]
    assert girona["missing_why"].split("; ")[0].endswith("ERR_RECORDING_TOO_SHORT")


def test_rows_without_the_tag_are_a_level_of_their_own(make_results):
    table = make_results(["a", "b", "c"], mental_strain=0.5, arm=["x", None, "x"])
    summary = summarize_by_tag(table, "arm")
    assert summary[["level", "recordings"]].to_numpy().tolist() == [["x", 2], ["not given", 1]]


def test_a_second_tag_divides_the_groups_that_exist(study):
    summary = summarize_by_tag(study, "visit", by="arm", biomarkers="exhaustion")
    assert len(summary) == 14 * 2 * 4
    assert set(summary["by"]) == {"arm"}
    assert summary["level"].drop_duplicates().tolist() == [str(n) for n in range(1, 15)]
    one = summary.query("level == '3' and by_level == 'day_shift'").iloc[0]
    chosen = study.query("visit == '3' and arm == 'day_shift'")
    assert one["recordings"] == len(chosen)
    assert one["participants"] == chosen["user_label"].nunique()


def test_without_a_second_tag_its_columns_are_not_there(study):
    assert "by" not in summarize_by_tag(study, "arm")


def test_a_level_that_nobody_reached_has_an_interval_all_the_same(make_results):
    table = make_results([f"p{n}" for n in range(30)], stress=[0.33] * 30, arm="x")
    summary = summarize_by_tag(table, "arm").set_index("score")
    assert summary.loc[0.0, "proportion"] == 0
    assert summary.loc[0.0, "proportion_high"] == pytest.approx(1 - 0.025 ** (1 / 30))
    assert summary.loc[0.33, "proportion_low"] == pytest.approx(0.025 ** (1 / 30))


@pytest.mark.parametrize(
    ("people", "note"),
    [
        (["a"], "Fewer than 3 participants: no interval."),
        (["a", "b"], "Fewer than 3 participants: no interval."),
        (["a", "b", "c"], None),
    ],
)
def test_a_group_without_an_interval_says_so(make_results, people, note):
    table = make_results(people, mental_strain=np.linspace(0, 1, len(people)), arm="x")
    summary = summarize_by_tag(table, "arm")
    assert summary["note"].isna().item() if note is None else summary["note"].item() == note
    assert bool(summary.attrs["warnings"]) == (note is not None)


def test_a_group_without_scores_is_a_row_that_says_so(make_results):
    table = make_results(["a", "b"], mental_strain=np.nan, stress=np.nan, arm=["x", "y"])
    table["outcome"] = "failed"
    table["error_code"] = "ERR_RECORDING_TOO_SHORT"
    summary = summarize_by_tag(table, "arm")
    assert len(summary) == 2 + 2 * 4
    assert set(summary["note"]) == {"No scores."}
    assert set(summary["missing_why"]) == {"1 ERR_RECORDING_TOO_SHORT"}
    assert summary[["mean", "proportion", "proportion_high"]].isna().all(axis=None)


def test_no_rows_give_no_rows_with_the_same_columns(study):
    empty = summarize_by_tag(study.iloc[:0], "arm")
    full = summarize_by_tag(study, "arm")
    assert len(empty) == 0
    assert list(empty.columns) == list(full.columns)


def test_what_was_done_and_that_scores_are_synthetic_travels_with_the_table(study):
    attrs = summarize_by_tag(study, "arm").attrs
    assert "Participants weigh equally" in attrs["method"]
    assert attrs["source_note"].startswith("Synthetic scores")
    assert attrs["sources"] == ["sandbox"]


def test_two_tags_with_too_many_groups_together_are_refused(study):
    table = study.assign(week=pd.Series(range(len(study))) % 400)
    with pytest.raises(ResultsError, match=r"'week' and 'visit' together make [\d,]+ groups"):
        summarize_by_tag(table, "week", by="visit")


def test_the_table_can_be_written_and_read_with_its_attrs(study, tmp_path):
    summary = summarize_by_tag(study, "arm")
    summary.to_parquet(tmp_path / "summary.parquet")
    assert pd.read_parquet(tmp_path / "summary.parquet").attrs == summary.attrs
