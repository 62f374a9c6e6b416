"""What holds for every figure, whatever is drawn in it."""

import io
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from helios_research import plots
from helios_research.errors import ResultsError, UnknownColumnError

EDGE_IN = 0.03
SYNTHETIC = "Synthetic scores from the sandbox, not measurements of anyone."

# Figures that show the levels of the arm as rows or in a key.
WITH_ARMS = ["scores_by_tag", "scores_by_tag, bucketed", "score_over_time", "scores_by_hours_awake"]
WITH_ARMS += ["outcomes_by_tag"]


def assert_within(figure: Figure) -> None:
    used = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert used.x0 > -EDGE_IN
    assert used.y0 > -EDGE_IN
    assert used.x1 < width + EDGE_IN
    assert used.y1 < height + EDGE_IN


def test_synthetic_scores_say_so_below_every_figure(study, make, words) -> None:
    assert SYNTHETIC in words(make(study))


def test_every_figure_says_how_many_recordings_and_participants_there_are(
    make_results, make, words
) -> None:
    said = words(make(make_results(40)))
    assert "40 recordings" in said
    assert "20 participants" in said
    assert "ynthetic" not in said, "these scores are real"
    assert "flagged" not in said, "none of them is"


def test_every_figure_says_how_many_scores_are_of_rows_that_were_changed(
    make_results, make, words
) -> None:
    codes = pd.Series(["METADATA_CHANGED", "INVALID_LANGUAGE", *[None] * 38], dtype="str")
    said = words(make(make_results(40, error_code=codes)))
    assert "2 of these are flagged" in said or "2 scored recordings are flagged" in said
    assert said.count("flagged") == 1


def test_a_figure_is_drawn_into_the_axes_that_was_given_with_its_notes(study, draw, words) -> None:
    figure = Figure(figsize=(8, 14), layout="constrained")
    ax = figure.subplots()
    assert draw(study, ax=ax) is ax
    assert figure.axes == [ax]
    assert SYNTHETIC in words(ax)


def test_a_figure_is_drawn_into_an_empty_figure_that_was_given(study, draw) -> None:
    figure = Figure(figsize=(8, 9))
    assert draw(study, ax=figure).figure is figure
    assert tuple(figure.get_size_inches()) == (8, 9)


def test_a_figure_with_something_in_it_is_refused(make_results, make) -> None:
    figure = Figure()
    figure.subplots()
    with pytest.raises(ResultsError, match="not empty: give an empty one, or one of its Axes"):
        make(make_results(10), ax=figure)


@pytest.mark.parametrize("style", ["COLUMN", "SLIDE"])
def test_a_style_sets_the_width_and_keeps_to_it(study, draw, style) -> None:
    wanted = getattr(plots, style)
    figure = draw(study, style=wanted).get_figure(root=True)
    assert figure.get_size_inches()[0] == wanted.width_in
    assert_within(figure)


def test_nothing_is_changed_outside_the_figure_and_nothing_reaches_beyond_the_paper(
    study, draw
) -> None:
    before, given = dict(mpl.rcParams), study.copy(deep=True)
    figure = draw(study).get_figure(root=True)
    assert dict(mpl.rcParams) == before
    pd.testing.assert_frame_equal(study, given)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
    assert_within(figure)


def test_an_empty_selection_gives_a_sentence(study, draw, words) -> None:
    said = words(draw(study.iloc[:0])).split(" | ")
    assert said[0] in {
        "No recording has a score to draw.",
        "No recording has both a score and hours awake.",
        "No recording has ended.",
        "No two biomarkers have scores that vary in 20 participants or more.",
        "These results have no recording.",
    }


@pytest.mark.parametrize("rows", [1, 3])
def test_very_few_recordings_give_a_figure(make_results, draw, rows) -> None:
    draw(make_results(rows))


def test_recordings_of_one_participant_give_a_figure_without_intervals(make_results, draw) -> None:
    draw(make_results(12, user_label="P1"))


def test_one_level_gives_a_figure(make_results, draw) -> None:
    draw(make_results(30, arm="night", visit="1"))


def test_blank_levels_give_a_figure(make_results, draw) -> None:
    draw(make_results(30, arm=None, visit=pd.Series([None, "1", ""] * 10, dtype="str")))


@pytest.mark.parametrize("name", WITH_ARMS)
def test_a_blank_level_is_shown_as_not_given(make_results, drawings, words, name) -> None:
    arm = pd.Series([None, "day", ""] * 10, dtype="str")
    said = words(drawings[name](make_results(30, arm=arm)))
    assert "not given" in said
    assert "n = 30 recordings" in said


def test_scores_that_are_all_the_same_give_a_figure(make_results, draw) -> None:
    draw(make_results(30, mental_strain=1.0, stress=0.33))


def test_scores_that_are_all_missing_give_a_sentence_or_a_figure(make_results, draw) -> None:
    draw(make_results(30, mental_strain=np.nan, stress=np.nan))


def test_recordings_that_all_failed_give_a_figure(make_results, draw) -> None:
    draw(make_results(30, outcome="failed", error_code="ERR_RECORDING_TOO_SHORT"))


def test_recordings_that_are_all_pending_give_a_figure(make_results, draw) -> None:
    draw(make_results(30, outcome="pending"))


def test_no_participant_is_known(make_results, draw) -> None:
    draw(make_results(30, user_label=pd.Series([None] * 30, dtype="str")))


WRONG = [
    np.where(np.arange(30) % 3 == 0, np.inf, 0.4),
    pd.Series(["high", "0.4"] * 15, dtype="str"),
]


@pytest.mark.parametrize("name", ["scores_by_tag", "score_over_time", "scores_by_hours_awake"])
@pytest.mark.parametrize("scores", WRONG, ids=["infinite", "words"])
def test_what_is_no_score_is_refused(make_results, drawings, name, scores) -> None:
    with pytest.raises(ResultsError, match="'mental_strain' contains values that are not scores"):
        drawings[name](make_results(30, mental_strain=scores))


def test_times_that_are_no_times_give_a_sentence_or_a_figure(make_results, draw) -> None:
    draw(make_results(30, recording_time="soon", wake_time="0000-00-00T99:99"))


def test_fifty_levels_give_a_figure_on_its_paper(make_results, draw) -> None:
    levels = pd.Series([f"ward {n % 50}" for n in range(200)], dtype="str")
    assert_within(draw(make_results(200, arm=levels)).get_figure(root=True))


NAMES = ["$x_1$ 50 % \\alpha", "naïve Łódź Ελλάδα", "a very long name " * 30, "tab\tand\nline"]


def test_names_of_any_kind_stay_on_the_paper(make_results, draw) -> None:
    arm = pd.Series([NAMES[n % 4] for n in range(40)], dtype="str")
    assert_within(draw(make_results(40, arm=arm)).get_figure(root=True))


@pytest.mark.parametrize("name", [*WITH_ARMS, "score_over_time, by tag"])
def test_names_of_any_kind_stay_what_they_are(make_results, drawings, words, name) -> None:
    """Dollars and underscores are no formula; a very long name is shortened, not cut off."""
    arm = pd.Series([NAMES[n % 4] for n in range(40)], dtype="str")
    said = words(drawings[name](make_results(40, arm=arm)))
    assert all(text in said for text in ("$x_1$ 50 % \\alpha", "naïve Łódź Ελλάδα", "tab and line"))
    long = next(text for text in said.split(" | ") if text.startswith("a very"))
    assert "…" in long
    assert len(long) < len(NAMES[2])


@pytest.mark.parametrize("name", WITH_ARMS)
def test_levels_are_in_the_order_wanted_and_the_others_follow(study, drawings, name) -> None:
    table = study.assign(arm=study["site"])
    ax = drawings[name](table, order=["Leeds", "Girona"])
    labels = ax.get_legend() and [text.get_text() for text in ax.get_legend().get_texts()]
    if not any("Leeds" in label for label in labels or ()):
        labels = [label.get_text() for label in ax.get_yticklabels() if label.get_text()]
    found = [label.split(" (")[0] for label in labels]
    assert [label for label in found if not label.isdigit()] == ["Leeds", "Girona", "Hamburg"]


@pytest.mark.parametrize("name", WITH_ARMS)
def test_an_order_of_other_levels_is_refused(study, drawings, name) -> None:
    with pytest.raises(ResultsError, match=r"No level of .*arm is in order \('placebo'\)"):
        drawings[name](study, order=["placebo"])


@pytest.mark.parametrize("name", WITH_ARMS)
def test_labels_replace_the_names_of_levels(study, drawings, words, name) -> None:
    labels = {"night_shift": "Nights", "unused": "text"}
    said = words(drawings[name](study, labels=labels, caption=False))
    assert "Nights" in said
    assert "night_shift" not in said
    assert "day_shift" in said


@pytest.mark.parametrize("name", ["scores_by_tag", "score_over_time", "scores_by_hours_awake"])
def test_a_label_replaces_the_title_of_a_biomarker(study, drawings, name) -> None:
    ax = drawings[name](study, labels={"mental_strain": "Strain of the mind"})
    assert ax.get_title(loc="left") == "Strain of the mind"


def test_without_a_caption_only_the_warning_of_synthetic_scores_stays(study, make, words) -> None:
    """The label of the Axes has the caption in any case, so that nothing is lost."""
    without = make(study, caption=False)
    said = words(without)
    assert SYNTHETIC in said
    assert "n = " not in said
    assert "interval" not in said
    drawn = make(study)
    caption = str(drawn.get_label())
    assert without.get_label() == caption
    assert all(line in words(drawn) for line in caption.split("\n"))
    assert SYNTHETIC not in caption


def test_a_script_without_a_font_is_drawn_without_a_warning(make_results, draw) -> None:
    arm = pd.Series(["夜勤", "日勤", "🌙"] * 10, dtype="str")
    draw(make_results(30, arm=arm))


def test_a_researchers_own_settings_do_no_harm(make_results, draw) -> None:
    """LaTeX need not be installed, and no text goes there."""
    with mpl.rc_context({"text.usetex": True, "axes.grid": True}):
        draw(make_results(30))


@pytest.mark.parametrize("kind", ["pdf", "png", "svg"])
def test_a_figure_can_be_saved(make_results, kind) -> None:
    ax = plots.scores_by_tag(make_results(30), "arm")
    file = io.BytesIO()
    ax.get_figure(root=True).savefig(file, format=kind)
    assert len(file.getvalue()) > 5_000


def test_a_path_does_as_well_as_a_table(make_results, draw, tmp_path) -> None:
    path = tmp_path / "results.parquet"
    make_results(30).to_parquet(path)
    draw(path)


ASKING = {
    "scores_by_tag, tag": lambda table: plots.scores_by_tag(table, "amr"),
    "scores_by_tag, colour": lambda table: plots.scores_by_tag(table, "arm", hue="amr"),
    "score_over_time, by": lambda table: plots.score_over_time(table, by="amr"),
    "score_over_time, colour": lambda table: plots.score_over_time(table, hue="amr"),
    "scores_by_hours_awake, colour": lambda table: plots.scores_by_hours_awake(table, hue="amr"),
    "outcomes_by_tag, tag": lambda table: plots.outcomes_by_tag(table, "amr"),
}


@pytest.mark.parametrize("ask", ASKING)
def test_an_unknown_column_is_named_with_the_one_that_was_meant(make_results, ask) -> None:
    with pytest.raises(UnknownColumnError, match=r"no column 'amr'. Did you mean 'arm'"):
        ASKING[ask](make_results(6))


def test_an_unknown_biomarker_is_named_with_those_that_there_are(make_results) -> None:
    for ask in (plots.scores_by_hours_awake, plots.score_over_time, plots.biomarker_correlations):
        with pytest.raises(UnknownColumnError, match=r"no column 'mental'.*mental_strain"):
            ask(make_results(6), biomarkers=["mental"])


def test_a_palette_colours_the_groups_and_what_is_no_colour_is_refused(study, drawings) -> None:
    for name in ("scores_by_tag, coloured", "score_over_time", "scores_by_hours_awake"):
        ax = drawings[name](study, palette=["teal", "#aa3300"])
        assert {"teal", "#aa3300"} <= {line.get_color() for line in ax.lines}
    with pytest.raises(ResultsError, match="The palette has 'reddish', which is no colour"):
        drawings["scores_by_tag"](study, palette=["reddish"])


def test_the_public_names_are_these() -> None:
    assert plots.__all__ == [
        *("COLUMN", "PAGE", "SLIDE", "Style", "biomarker_correlations", "flow_diagram"),
        *("outcomes_by_tag", "score_over_time", "scores_by_hours_awake", "scores_by_tag"),
    ]
    assert all(getattr(plots, name) is not None for name in plots.__all__)
