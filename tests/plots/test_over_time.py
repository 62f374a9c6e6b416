"""Scores over dates and visits, and against the hours awake."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from helios_research import plots
from helios_research.analysis import baseline, summarize_by_tag
from helios_research.analysis.frames import hours_awake
from helios_research.errors import ResultsError
from helios_research.plots.canvas import PAPER


def test_each_participant_is_a_line_through_their_scores(study) -> None:
    ax = plots.score_over_time(study, by="visit")
    lines = next(each for each in ax.collections if isinstance(each, LineCollection))
    assert len(lines.get_segments()) == 120
    first = study[(study["user_label"] == "P001") & (study["outcome"] == "scored")]
    expected = np.column_stack([first["visit"].astype(float), first["mental_strain"]])
    assert any(
        segment.shape == expected.shape and np.allclose(segment, expected)
        for segment in lines.get_segments()
    )


def test_the_thick_line_joins_the_means_of_the_visits_in_order(study) -> None:
    ax = plots.score_over_time(study, by="visit")
    expected = summarize_by_tag(study, "visit", biomarkers="mental_strain")["mean"]
    assert any(
        len(line.get_xdata()) == 14
        and np.allclose(line.get_xdata(), np.arange(1, 15))
        and np.allclose(line.get_ydata(), expected)
        for line in ax.lines
    )


def test_visits_are_named_with_their_recordings(study) -> None:
    ax = plots.score_over_time(study, by="visit")
    assert ax.get_xticklabels()[9].get_text() == "10\n97"
    assert "number of recordings below" in ax.get_xlabel()


def test_the_band_says_how_many_scores_leave_their_participants_usual_range(study, words) -> None:
    found = baseline(study, biomarkers="mental_strain", first=3, order="visit")
    outside = int(found["outside_usual"].fillna(value=False).sum())
    later = int(found["outside_usual"].notna().sum())
    said = words(plots.score_over_time(study, by="visit", usual=3))
    assert f"the {outside:,} of {later:,} later scores outside" in said


def test_without_a_usual_range_there_is_no_band(study, words) -> None:
    assert "Band" not in words(plots.score_over_time(study, by="visit"))


def test_a_baseline_in_days_of_visits_is_refused(study) -> None:
    with pytest.raises(ResultsError, match="A baseline in days needs times"):
        plots.score_over_time(study, by="visit", usual=3, usual_unit="days")


def test_times_are_gathered_into_days(study) -> None:
    assert plots.score_over_time(study).get_xlabel().startswith("Recording time (by day)")


def test_the_key_counts_participants(study, words) -> None:
    said = words(plots.score_over_time(study, by="visit", hue="arm"))
    assert "day_shift (60)" in said
    assert "In brackets: participants." in said


def test_a_bucketed_biomarker_is_a_bar_per_visit_and_group(study, words) -> None:
    ax = plots.score_over_time(study, biomarkers="stress", by="visit", hue="arm")
    heights = np.array([bar.get_height() for bar in ax.patches]).reshape(2, 4, 14)
    assert np.allclose(heights.sum(axis=1), 100)
    assert "mean" not in words(ax).lower()


def test_visits_in_an_order_of_their_own_are_one_after_another(study, words) -> None:
    ax = plots.score_over_time(
        study, by="visit", order=["2", "1"], labels={"2": "Second", "visit": "Session"}
    )
    assert [label.get_text().split("\n")[0] for label in ax.get_xticklabels()][:2] == [
        "Second",
        "1",
    ]
    assert ax.get_xlabel().startswith("Session")


def test_recordings_without_a_place_are_counted(make_results, words) -> None:
    visit = pd.Series([None, "1", "2", "3"] * 5, dtype="str")
    said = words(plots.score_over_time(make_results(20, visit=visit), by="visit"))
    assert "n = 15 of 20 recordings" in said
    assert "5 without a value of visit" in said


def test_many_participants_are_sampled_and_the_figure_says_so(make_results, words) -> None:
    ax = plots.score_over_time(make_results(6_000), by="visit")
    assert "2,500 of 3,000 participants, drawn at random" in words(ax)


def test_without_scores_after_the_baseline_there_is_no_band(make_results, words) -> None:
    said = words(plots.score_over_time(make_results(30), usual=3))
    assert "No usual range: no participant has a score after the first 3 recordings." in said
    assert "Band" not in said


def test_hollow_dots_are_drawn_wherever_a_sentence_explains_them(make_results, words) -> None:
    """With many days the means are a line without dots, but for those of few participants."""
    ax = plots.score_over_time(make_results(60, each=2))
    assert "Hollow dots" in words(ax)
    hollow = [line for line in ax.lines if line.get_mec() != PAPER and line.get_mfc() == PAPER]
    assert sum(len(line.get_xdata()) for line in hollow) == 30


def test_groups_differ_by_shape_too(make_results) -> None:
    """With some kinds of colour vision, and on a grey print, seven colours are not enough."""
    arms = pd.Series([f"arm {n % 7}" for n in range(140)], dtype="str")
    ax = plots.score_over_time(make_results(140, each=20, arm=arms), by="visit", hue="arm")
    in_key = [mark.get_marker() for mark in ax.get_legend().legend_handles]
    drawn = {line.get_marker() for line in ax.lines}
    assert len(set(in_key)) == 7
    assert set(in_key) <= drawn


def test_each_recording_is_a_point_at_its_hours(study) -> None:
    ax = plots.scores_by_hours_awake(study)
    points = max((line.get_xydata() for line in ax.lines), key=len)
    hours = hours_awake(study)
    scored = (study["outcome"] == "scored").to_numpy() & ~np.isnan(hours)
    expected = np.column_stack([hours[scored], study.loc[scored, "mental_strain"]])
    assert np.allclose(points, expected)


def test_recordings_without_hours_are_counted(study, words) -> None:
    said = words(plots.scores_by_hours_awake(study))
    assert "n = 1,311 of 1,487 recordings" in said
    assert "65 without a usable wake_time" in said


def test_a_bin_of_few_participants_is_marked(study, words) -> None:
    said = words(plots.scores_by_hours_awake(study, biomarkers=["mental_strain", "stress"])[0])
    assert "Hollow dots and narrow bars: fewer than 10 participants." in said
