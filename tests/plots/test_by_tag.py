"""Scores at each level of a tag."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helios_research import plots
from helios_research.analysis import differences_by_tag, summarize_by_tag
from helios_research.errors import ResultsError


def xs_drawn(ax: Axes, marker: str = "o") -> list[float]:
    """List the places along x of everything that is drawn as dots."""
    return [
        float(x)
        for line in ax.lines
        if line.get_marker() == marker
        for x in np.ravel(line.get_xdata())
    ]


def test_each_recording_is_a_point_at_its_score(make_results) -> None:
    table = make_results(40)
    ax = plots.scores_by_tag(table, "arm", biomarkers="mental_strain")
    assert set(table["mental_strain"]) <= set(xs_drawn(ax))


def test_the_dot_is_the_mean_and_the_line_its_bootstrap_interval(study) -> None:
    expected = summarize_by_tag(study, "arm", biomarkers="mental_strain", resamples=1000)
    ax = plots.scores_by_tag(study, "arm")
    assert all(np.isclose(xs_drawn(ax), mean).any() for mean in expected["mean"])
    lines = [path for drawn in ax.collections for path in drawn.get_paths()]
    ends = [tuple(path.vertices[:, 0]) for path in lines if len(path.vertices) == 2]
    for low, high in expected[["mean_low", "mean_high"]].itertuples(index=False):
        assert any(np.allclose(pair, (low, high)) for pair in ends)


def test_counts_stand_beside_each_row(study, words) -> None:
    said = words(plots.scores_by_tag(study, "arm"))
    scored = study[study["outcome"] == "scored"].groupby("arm")["user_label"]
    for count, people in zip(scored.size(), scored.nunique(), strict=True):
        assert f"{count:,} ({people:,})" in said


def test_what_is_not_shown_is_counted_with_its_reason(study, words) -> None:
    said = words(plots.scores_by_tag(study, "arm"))
    assert "n = 1,376 of 1,487 recordings, from 120 participants; not shown: " in said
    assert "58 too short, 21 transcription failed" in said
    assert "13 for other reasons" in said


def test_two_levels_get_their_difference_in_numbers(study, words) -> None:
    ax = plots.scores_by_tag(study, "arm")
    means = study[study["outcome"] == "scored"].groupby("arm")["mental_strain"].mean()
    difference = means["day_shift"] - means["night_shift"]
    assert f"{difference:+.2f} [".replace("-", "\N{MINUS SIGN}") in words(ax)
    assert "day_shift \N{MINUS SIGN} night_shift" in words(ax)


def test_the_difference_subtracts_the_first_level_of_the_order(study, words) -> None:
    said = words(plots.scores_by_tag(study, "arm", order=["day_shift"]))
    assert "night_shift \N{MINUS SIGN} day_shift" in said
    expected = differences_by_tag(
        study, "arm", biomarkers="mental_strain", reference="day_shift", resamples=1000
    ).iloc[0]
    assert f"{expected['difference']:+.2f} [".replace("-", "\N{MINUS SIGN}") in said


def test_the_order_holds_for_hue_too(study) -> None:
    ax = plots.scores_by_tag(study, "arm", hue="site", order=["Leeds", "day_shift"])
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[:6] == ["Leeds", "Girona", "Hamburg"] * 2
    assert names[6:] == ["day_shift", "night_shift"]


def test_an_empty_selection_has_a_panel_for_each_biomarker_that_was_asked_for(study, words) -> None:
    axes = plots.scores_by_tag(study.iloc[:0], "arm", biomarkers=["stress", "mental_strain"])
    assert len(axes) == 2
    assert words(axes[0]).count("No recording has a score to draw.") == 2


def test_three_levels_get_no_difference(study, words) -> None:
    assert "Difference" not in words(plots.scores_by_tag(study, "site"))


def test_one_participant_a_side_gets_no_difference(make_results, words) -> None:
    table = make_results(20, user_label=pd.Series(["P1", "P2"] * 10, dtype="str"))
    assert "Difference" not in words(plots.scores_by_tag(table, "arm"))


def test_a_bucketed_biomarker_is_shown_as_proportions_and_never_as_a_mean(study, words) -> None:
    ax = plots.scores_by_tag(study, "arm", biomarkers="stress")
    scored = study[(study["outcome"] == "scored") & (study["arm"] == "night_shift")]["stress"]
    first = ax.patches[0].get_y()
    widths = sorted(bar.get_width() for bar in ax.patches if bar.get_y() == first)
    assert np.allclose(widths, sorted(100 * scored.value_counts(normalize=True)))
    assert "mean" not in words(ax).lower()
    assert all(name in words(ax) for name in ("lowest", "second", "third", "highest"))


def test_all_biomarkers_give_an_array_with_a_panel_each(study) -> None:
    axes = plots.scores_by_tag(study, "arm", biomarkers=None)
    assert [ax.get_title(loc="left") for ax in axes][:2] == ["Mental strain", "Distress"]
    assert len(axes) == 11


def test_one_biomarker_in_a_list_gives_an_array_of_one(make_results) -> None:
    axes = plots.scores_by_tag(make_results(12), "arm", biomarkers=["distress"])
    assert isinstance(axes, np.ndarray)
    assert len(axes) == 1


def test_no_biomarker_gives_a_sentence(make_results, words) -> None:
    axes = plots.scores_by_tag(make_results(12), "arm", biomarkers=[])
    assert "No recording has a score to draw." in words(axes[0])


def test_several_panels_do_not_go_into_one_axes(make_results) -> None:
    with pytest.raises(ResultsError, match="11 panels do not fit into one Axes: give a whole Fig"):
        plots.scores_by_tag(make_results(12), "arm", biomarkers=None, ax=Figure().subplots())


def test_a_second_tag_divides_the_rows_and_names_them(study) -> None:
    ax = plots.scores_by_tag(study, "arm", hue="site")
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[:6] == ["Girona", "Hamburg", "Leeds"] * 2
    assert names[6:] == ["night_shift", "day_shift"]


def test_the_tag_itself_as_colour_colours_its_levels(study) -> None:
    ax = plots.scores_by_tag(study, "site", hue="site")
    colours = {line.get_color() for line in ax.lines if len(line.get_xdata()) > 100}
    assert len(colours) == 3


def test_few_participants_make_a_hollow_dot_that_is_explained(make_results, words) -> None:
    assert "Hollow dots: fewer than 10" in words(plots.scores_by_tag(make_results(10), "arm"))
    assert "Hollow" not in words(plots.scores_by_tag(make_results(80), "arm"))


def test_where_there_is_no_interval_the_figure_says_why(make_results, words) -> None:
    alone = make_results(20, user_label="P1")
    why = "no interval, because it needs two participants"
    assert f"Dot: mean ({why})." in words(plots.scores_by_tag(alone, "arm"))
    assert f"Thick line: mean ({why})." in words(plots.scores_by_hours_awake(alone))
    assert f"Mark: whole share ({why})." in words(plots.outcomes_by_tag(alone, "arm"))
    for draw in (plots.scores_by_tag, plots.outcomes_by_tag):
        assert "95 %" not in words(draw(alone, "arm"))
        assert why not in words(draw(make_results(20), "arm"))


def test_a_sample_of_many_points_is_drawn_and_the_figure_says_so(make_results, words) -> None:
    ax = plots.scores_by_tag(make_results(6_000), "arm")
    assert len(xs_drawn(ax)) < 5_020
    assert "5,000 of 6,000 recordings, drawn at random" in words(ax)


def test_more_than_sixty_levels_are_cut_and_the_figure_says_so(study, words) -> None:
    ax = plots.scores_by_tag(study, "user_label")
    assert len(ax.get_yticklabels()) == 60
    assert "at 60 other levels of user_label" in words(ax)


def test_the_same_results_give_the_same_figure(make_results) -> None:
    first, second = (plots.scores_by_tag(make_results(40), "arm") for _ in range(2))
    for one, other in zip(first.lines, second.lines, strict=True):
        assert np.array_equal(one.get_xydata(), other.get_xydata(), equal_nan=True)


def test_a_key_in_several_rows_is_read_row_by_row(make_results) -> None:
    arms = pd.Series([f"treatment group {n % 5}" for n in range(50)], dtype="str")
    ax = plots.scores_by_hours_awake(make_results(50, arm=arms), hue="arm", style=plots.COLUMN)
    ax.get_figure(root=True).draw_without_rendering()
    found = [(text.get_window_extent(), text.get_text()) for text in ax.get_legend().get_texts()]
    in_rows = [name for _, name in sorted(found, key=lambda one: (-round(one[0].y0), one[0].x0))]
    assert in_rows == [f"treatment group {n} (10)" for n in range(5)]
    assert len({round(box.x0) for box, _ in found}) > 1, "or there is but one column"


def test_only_pairs_that_occur_take_a_row(make_results) -> None:
    """Seven arms with three visits each are 21 rows, whatever the visits are called."""
    arms = pd.Series([f"arm {n % 7}" for n in range(210)], dtype="str")
    visits = pd.Series([f"visit {n % 21}" for n in range(210)], dtype="str")
    ax = plots.scores_by_tag(make_results(210, arm=arms, visit=visits), "arm", hue="visit")
    assert len(ax.get_yticklabels()) == 7 + 21


def test_levels_are_kept_while_their_rows_have_room(make_results, words) -> None:
    arms = pd.Series([f"arm {n % 7}" for n in range(420)], dtype="str")
    visits = pd.Series([f"visit {n // 7 % 20}" for n in range(420)], dtype="str")
    ax = plots.scores_by_tag(make_results(420, arm=arms, visit=visits), "arm", hue="visit")
    assert len(ax.get_yticklabels()) == 3 + 60
    assert "240 at 4 other levels of arm" in words(ax)
