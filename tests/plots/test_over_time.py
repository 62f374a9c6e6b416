"""Scores over dates and visits, and against the hours awake."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from helios_research import plots
from helios_research.analysis import attrition, baseline, summarize_by_tag
from helios_research.analysis.frames import hours_awake
from helios_research.errors import ResultsError


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


def numbers_below(ax: Axes) -> dict[str, list[str]]:
    """Read the numbers of participants below a panel, by the name of their line."""
    found = {}
    for label in ax.get_yticklabels(minor=True):
        _, y = label.get_position()
        own = [text for text in ax.texts if text.get_position()[1] == y]
        found[label.get_text()] = [
            text.get_text() for text in sorted(own, key=lambda text: text.get_position()[0])
        ]
    return found


@pytest.mark.parametrize("biomarker", ["mental_strain", "stress"])
def test_participants_with_scores_are_below_each_visit(study, biomarker) -> None:
    ax = plots.score_over_time(study, by="visit", biomarkers=biomarker)
    summary = summarize_by_tag(study, "visit", biomarkers=biomarker).drop_duplicates("level")
    assert numbers_below(ax) == {"n": [str(n) for n in summary["participants_scored"]]}


def test_each_arm_has_its_own_line_of_numbers(study) -> None:
    """Of both arms together, they would say nothing of the line that rests on two people."""
    ax = plots.score_over_time(study, by="visit", hue="arm")
    summary = summarize_by_tag(study, "visit", by="arm", biomarkers="mental_strain")
    expected = {
        f"n {arm}": [str(n) for n in own["participants_scored"]]
        for arm, own in summary.groupby("by_level")
    }
    assert numbers_below(ax) == expected


def test_those_who_left_are_in_the_caption(study, words) -> None:
    (left,) = attrition(study, "visit", by="arm").attrs["warnings"][:1]
    assert left in words(plots.score_over_time(study, by="visit", hue="arm"))
    stayed = study[(study["visit"] == "1") & (study["outcome"] == "scored")].assign(visit="2")
    both = pd.concat([stayed.assign(visit="1"), stayed], ignore_index=True)
    assert "still has" not in words(plots.score_over_time(both, by="visit"))


def test_visits_that_were_expected_of_all_are_missed(study, words) -> None:
    said = words(plots.score_over_time(study, by="visit", expected=15))
    (left,) = attrition(study, "visit", expected=15).attrs["warnings"][:1]
    assert left in said
    with pytest.raises(ResultsError, match="expected needs visits, but 'recording_time' holds"):
        plots.score_over_time(study, expected=14)


def test_a_colour_within_participants_does_not_divide_those_who_left(make_results, words) -> None:
    table = make_results(60, each=6)
    assert "still has" not in words(plots.score_over_time(table, by="visit", hue="arm"))


def test_a_mean_of_two_participants_is_a_mark_beside_the_line(make_results, words) -> None:
    table = make_results(
        43, each=1, visit=pd.Series(["1"] * 20 + ["2"] * 21 + ["3"] * 2, dtype="str")
    )
    ax = plots.score_over_time(table, by="visit")
    (line,) = {tuple(own.get_xdata()) for own in ax.lines if own.get_linestyle() == "-"} - {(0, 1)}
    assert line == (1, 2)
    assert "Marks without a line: no interval, because it needs 3 participants." in words(ax)


# --- change from the baseline ---------------------------------------------------------------------


def test_change_is_that_from_each_participants_own_baseline(study, words) -> None:
    found = baseline(study, biomarkers="mental_strain", first=3, order="visit")
    later = found[~found["in_baseline"]].assign(visit=lambda own: own["position"])
    ax = plots.score_over_time(study, by="visit", change_from=3)
    drawn = np.concatenate(
        [
            line[:, 1]
            for own in ax.collections
            if isinstance(own, LineCollection)
            for line in own.get_segments()
            if len(line) != 2 or line[0, 0] != line[1, 0]
        ]
    )
    assert set(np.round(drawn, 9)) <= set(np.round(later["change"], 9))
    assert ax.get_ylabel() == "Change from own baseline"
    outside = int(found["outside_usual"].fillna(value=False).sum())
    said = words(ax)
    assert "Zero: the mean of a participant's first 3 recordings." in said
    assert f"Dark points: the {outside:,} outside their participant's own range." in said
    assert "360 in the baseline" in said


def test_the_band_is_the_usual_range_around_no_change(study) -> None:
    found = baseline(study, biomarkers="mental_strain", first=3, order="visit")
    whole = found[(found["usual_low"] > 0) & (found["usual_high"] < 1)]
    half = (whole["usual_high"] - whole["baseline"]).iloc[0]
    ax = plots.score_over_time(study, by="visit", change_from=3)
    (band,) = ax.patches
    assert np.allclose(
        band.get_extents().transformed(ax.transData.inverted()).intervaly, [-half, half]
    )


def test_points_are_dark_just_where_they_leave_the_band(study) -> None:
    ax = plots.score_over_time(study, by="visit", change_from=3)
    low, high = ax.patches[0].get_extents().transformed(ax.transData.inverted()).intervaly
    dark = next(line for line in ax.lines if line.get_alpha() == 0.55).get_ydata()
    assert len(dark) > 10
    assert ((dark < low) | (dark > high)).all()


def test_the_mean_change_has_its_interval_and_participants(study) -> None:
    found = baseline(study, biomarkers="mental_strain", first=3, order="visit")
    own = study[["recording_id", "visit"]].merge(found[~found["in_baseline"]])
    last = own[own["visit"] == "14"]["change"]
    ax = plots.score_over_time(study, by="visit", change_from=3)
    assert numbers_below(ax)["n"][-1] == str(len(last))
    assert any(np.isclose(line.get_ydata()[-1:], last.mean()).any() for line in ax.lines)


def test_bars_stay_what_they_are_beside_a_change(study) -> None:
    axes = plots.score_over_time(
        study, by="visit", biomarkers=["mental_strain", "stress"], change_from=3
    )
    assert len(axes[1].patches) == 4 * 14


def test_a_baseline_in_days_of_visits_is_refused(study) -> None:
    with pytest.raises(ResultsError, match="A baseline in days needs times"):
        plots.score_over_time(study, by="visit", change_from=3, change_unit="days")


def test_times_are_gathered_into_days(study) -> None:
    assert plots.score_over_time(study).get_xlabel().startswith("Recording time (by day)")


def test_a_bucketed_biomarker_is_a_bar_per_visit_and_group(study, words) -> None:
    ax = plots.score_over_time(study, biomarkers="stress", by="visit", hue="arm")
    heights = np.array([bar.get_height() for bar in ax.patches]).reshape(2, 4, 14)
    assert np.allclose(heights.sum(axis=1), 100)
    assert "Thick line: mean" not in words(ax)


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


def test_without_scores_after_the_baseline_a_sentence_says_so(make_results, words) -> None:
    said = words(plots.score_over_time(make_results(30), change_from=3))
    assert "No recording has a score to draw." in said
    assert "30 in the baseline" in said


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
