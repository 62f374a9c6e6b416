"""Scores at each level of a tag."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from helios_research import plots
from helios_research.analysis import compare_by_tag, summarize_by_tag
from helios_research.errors import ResultsError
from helios_research.plots.marks import signed


def xs_drawn(ax: Axes, marker: str = "o") -> list[float]:
    """List the places along x of everything that is drawn as dots."""
    return [
        float(x)
        for line in ax.lines
        if line.get_marker() == marker
        for x in np.ravel(line.get_xdata())
    ]


def test_each_recording_is_a_point_at_its_score(make_results) -> None:
    table = make_results(40, each=1)
    ax = plots.scores_by_tag(table, "arm", biomarkers="mental_strain")
    assert set(table["mental_strain"]) <= set(xs_drawn(ax))


def ends_drawn(ax: Axes) -> list[tuple[float, float]]:
    """List the ends of everything that is drawn as a level line."""
    lines = [path.vertices for drawn in ax.collections for path in drawn.get_paths()]
    return [(line[0, 0], line[1, 0]) for line in lines if len(line) == 2]


def is_drawn(ax: Axes, estimate: float, low: float, high: float) -> bool:
    dot = np.isclose(xs_drawn(ax), estimate).any()
    return bool(dot) and any(np.allclose(ends, (low, high)) for ends in ends_drawn(ax))


def test_the_dot_is_the_mean_and_the_line_its_interval(study) -> None:
    expected = summarize_by_tag(study, "arm", biomarkers="mental_strain")
    ax = plots.scores_by_tag(study, "arm")
    for own in expected[["mean", "mean_low", "mean_high"]].itertuples(index=False):
        assert is_drawn(ax, *own)


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


@pytest.mark.parametrize("biomarker", ["mental_strain", "stress"])
@pytest.mark.parametrize("reference", [None, "day_shift"])
def test_the_difference_is_what_compare_by_tag_says(study, words, biomarker, reference) -> None:
    found = compare_by_tag(study, "arm", biomarkers=biomarker, reference=reference).iloc[0]
    ax = plots.scores_by_tag(study, "arm", biomarkers=biomarker, reference=reference)
    kind = "effect" if biomarker == "stress" else "difference"
    value, low, high = (found[f"{kind}{end}"] for end in ("", "_low", "_high"))
    (below,) = ax.child_axes
    assert is_drawn(below, value, low, high)
    written = f"{value:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "\N{MINUS SIGN}")
    said = words(ax)
    assert written in said
    assert f"{found['level']} \N{MINUS SIGN} {found['reference']}" in said
    assert f"Below: difference from {found['reference']} with its 95 % interval." in said


def test_the_difference_starts_below_the_mean_of_the_reference(study) -> None:
    ax = plots.scores_by_tag(study, "arm")
    mean = summarize_by_tag(study, "arm", biomarkers="mental_strain")["mean"].iloc[0]
    (below,) = ax.child_axes
    assert np.allclose(np.subtract(ax.get_xlim(), below.get_xlim()), mean)


def test_the_difference_subtracts_the_first_level_of_the_order(study, words) -> None:
    said = words(plots.scores_by_tag(study, "arm", order=["day_shift"]))
    assert "night_shift \N{MINUS SIGN} day_shift" in said


def test_a_reference_compares_each_other_level_with_it(study) -> None:
    ax = plots.scores_by_tag(study, "site", reference="Leeds")
    names = [label.get_text() for label in ax.child_axes[0].get_yticklabels()]
    assert names == [
        "Girona \N{MINUS SIGN} Leeds",
        "Hamburg \N{MINUS SIGN} Leeds",
    ]
    with pytest.raises(ResultsError, match="has no level 'Paris'"):
        plots.scores_by_tag(study, "site", reference="Paris")


def test_numbers_carry_the_name_of_their_tag_so_that_the_minus_is_no_sign(make_results) -> None:
    ax = plots.scores_by_tag(make_results(60), "visit")
    (name,) = ax.child_axes[0].get_yticklabels()
    assert name.get_text() == "visit 2 \N{MINUS SIGN} visit 1"


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (-0.121, "\N{MINUS SIGN}0.12"),
        (-0.004, "\N{MINUS SIGN}0.004"),
        (0.0002, "+0.0002"),
        (0, "0"),
    ],
)
def test_an_end_near_zero_has_more_digits(number, written) -> None:
    assert signed(number) == written


def test_a_participant_with_most_recordings_is_mentioned_and_weighs_as_one(
    make_results, words
) -> None:
    person = pd.Series(["P0"] * 300 + [f"P{n}" for n in range(1, 21)], dtype="str")
    arm = pd.Series(["day"] * 310 + ["night"] * 10, dtype="str")
    strain = np.where(person == "P0", 0.9, 0.2)
    table = make_results(320, user_label=person, arm=arm, mental_strain=strain)
    ax = plots.scores_by_tag(table, "arm")
    assert "day: One participant has 97 % of the recordings" in words(ax)
    assert np.isclose(xs_drawn(ax), (0.9 + 10 * 0.2) / 11).any()


def test_a_participant_in_both_arms_by_mistake_is_mentioned(study, words) -> None:
    table = study.copy()
    table.loc[table.index[0], "arm"] = "day_shift"
    assert "1 of 120 participants is at several levels" in words(plots.scores_by_tag(table, "arm"))


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
    expected = summarize_by_tag(study, "arm", biomarkers="stress").iloc[:4]
    first = ax.patches[0].get_y()
    widths = sorted(bar.get_width() for bar in ax.patches if bar.get_y() == first)
    assert np.allclose(widths, sorted(100 * expected["proportion"]))
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


def test_where_there_is_no_interval_the_figure_says_why(make_results, words) -> None:
    alone = make_results(20, user_label="P1")
    why = "no interval, because it needs 3 participants"
    assert f"Dot: mean ({why})" in words(plots.scores_by_tag(alone, "arm"))
    assert f"Marks without a line: {why}." in words(plots.scores_by_hours_awake(alone))
    assert f"pale bars: {why}." in words(plots.scores_by_tag(alone, "arm", biomarkers="stress"))
    for draw in (plots.scores_by_tag, plots.outcomes_by_tag):
        assert "95 %" not in words(draw(alone, "arm"))
        assert why not in words(draw(make_results(20), "arm"))


def test_the_line_below_a_bar_is_the_interval_of_its_two_highest_levels(study) -> None:
    """With the two lower and the two higher levels taken together, they are two levels."""
    halves = study.assign(stress=np.where(study["stress"] > 0.5, 1.0, 0.0))
    halves["stress"] = halves["stress"].where(study["stress"].notna())
    expected = summarize_by_tag(halves, "arm", biomarkers="stress").query("score == 1")
    ax = plots.scores_by_tag(study, "arm", biomarkers="stress")
    for own in expected[["proportion", "proportion_low", "proportion_high"]].to_numpy():
        assert is_drawn(ax, *100 * (1 - own))


def test_a_bar_of_two_participants_is_pale_and_has_no_line(make_results) -> None:
    table = make_results(44, each=1, arm=pd.Series(["few"] * 2 + ["many"] * 42, dtype="str"))
    ax = plots.scores_by_tag(table, "arm", biomarkers="stress")
    lightest = {
        label: min(bar.get_facecolor()[0] for bar in ax.patches if round(bar.get_y()) == row)
        for row, label in enumerate(["few", "many"])
    }
    assert lightest["few"] > lightest["many"]
    assert len({ends for ends in ends_drawn(ax) if ends[0] > ends[1]}) == 1


# --- the same people at several levels ------------------------------------------------------------


def before_and_after(make_results, people: int, **columns) -> pd.DataFrame:
    phase = pd.Series(["before", "after"] * people, dtype="str")
    return make_results(2 * people, phase=phase, **columns)


def test_before_and_after_are_joined_by_a_line_for_each_participant(make_results, words) -> None:
    table = before_and_after(make_results, 21)
    ax = plots.scores_by_tag(table, "phase")
    joined = next(each for each in ax.collections if len(each.get_paths()) == 21)
    each = table.pivot_table(index="user_label", columns="phase", values="mental_strain")
    drawn = sorted(tuple(path.vertices[:, 0]) for path in joined.get_paths())
    assert np.allclose(drawn, sorted(zip(each["before"], each["after"], strict=True)))
    assert "Points: means of participants; lines: the same 21 participants." in words(ax)


def test_bars_of_the_same_people_say_so(make_results, words) -> None:
    ax = plots.scores_by_tag(before_and_after(make_results, 21), "phase", biomarkers="stress")
    assert "Rows have the same 21 participants." in words(ax)


def test_those_who_are_at_one_level_only_are_counted(make_results, words) -> None:
    table = before_and_after(make_results, 21).iloc[:-3]
    assert "the same 19 of 20 participants" in words(plots.scores_by_tag(table, "phase"))


def test_levels_between_people_are_not_joined(study, words) -> None:
    assert "same" not in words(plots.scores_by_tag(study, "arm"))


def test_lines_join_rows_below_one_header_only(make_results) -> None:
    site = pd.Series([f"site {n // 2 % 2}" for n in range(80)], dtype="str")
    table = before_and_after(make_results, 40, site=site)
    ax = plots.scores_by_tag(table, "site", hue="phase")
    joined = next(each for each in ax.collections if len(each.get_paths()) == 40)
    heights = {tuple(np.round(path.vertices[:, 1], 2)) for path in joined.get_paths()}
    assert len(heights) == 2, "before to after, at either site"


# --- hills ----------------------------------------------------------------------------------------


def hills(ax: Axes) -> list[float]:
    """Measure the areas of all hills."""
    areas = []
    for shape in ax.collections:
        for path in shape.get_paths() if isinstance(shape, PolyCollection) else ():
            x, y = path.vertices.T
            areas.append(abs(np.sum(x[:-1] * np.diff(y) - y[:-1] * np.diff(x)) / 2))
    return areas


def test_hills_have_equal_areas(make_results) -> None:
    arm = pd.Series(["narrow", "wide"] * 60, dtype="str")
    rng = np.random.default_rng(1)
    strain = np.where(arm == "narrow", rng.normal(0.5, 0.05, 120), rng.uniform(0, 1, 120))
    areas = hills(
        plots.scores_by_tag(make_results(120, each=1, arm=arm, mental_strain=strain), "arm")
    )
    assert len(areas) == 2
    assert areas[0] == pytest.approx(areas[1], rel=0.01)


@pytest.mark.parametrize(("people", "count"), [(38, 0), (40, 2)])
def test_fewer_than_twenty_participants_make_no_hill(make_results, people, count) -> None:
    arm = pd.Series([f"arm {n // 3 % 2}" for n in range(3 * people)], dtype="str")
    assert (
        len(hills(plots.scores_by_tag(make_results(3 * people, each=3, arm=arm), "arm"))) == count
    )


def test_a_sample_of_many_points_is_drawn_and_the_figure_says_so(make_results, words) -> None:
    ax = plots.scores_by_tag(make_results(6_000, each=1), "arm")
    assert len(xs_drawn(ax)) < 5_020
    assert "5,000 of 6,000 recordings, drawn at random" in words(ax)
    ax = plots.scores_by_tag(make_results(6_000), "arm")
    assert len(xs_drawn(ax)) < 5_020
    assert "means of 2,500 of 3,000 participants, drawn at random" in words(ax)


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
    assert in_rows == [f"treatment group {n}" for n in range(5)]
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
