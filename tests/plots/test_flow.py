"""The flow diagram."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from helios_research import plots
from helios_research.analysis import exclude, flow
from helios_research.errors import ResultsError


def rows_of(ax):
    """Read the diagram line by line: its text, then its numbers."""
    texts = [text for text in ax.texts if text.get_visible() and text.get_text()]
    lines = {}
    for text in texts:
        lines.setdefault(round(text.get_position()[1], 6), []).append(text)
    ordered = [sorted(line, key=lambda text: text.get_position()[0]) for line in lines.values()]
    return ["".join(text.get_text() for text in line) for line in ordered]


@pytest.mark.parametrize("settings", [{}, {"by": "arm"}, {"by": "arm", "expected": 14}])
def test_every_step_has_the_numbers_of_the_analysis(study, settings) -> None:
    said = rows_of(plots.flow_diagram(study, **settings))
    kept = flow(study, **settings).query("kind == 'remaining'")
    for _, step in kept.groupby("step", sort=False):
        numbers = zip(step["recordings"], step["participants"], strict=True)
        assert any(
            line.endswith("".join(f"{n:,} ({people})" for n, people in numbers)) for line in said
        )


def test_every_reason_of_a_loss_is_named(study) -> None:
    said = rows_of(plots.flow_diagram(study))
    for line in (
        "invalid recording time3",
        "too short48",
        "metadata not accepted4",
        "Without scores87",
    ):
        assert line in said


def test_arms_are_side_by_side_under_their_names(study) -> None:
    said = rows_of(plots.flow_diagram(study, by="arm", labels={"night_shift": "Nights"}))
    assert said[0] == "Nightsday_shift"
    assert "transcription failed174" in said


def test_expected_visits_and_exclusions_are_steps_of_their_own(study) -> None:
    kept = exclude(study, study["speech_s"] < 15, "less than 15 s of speech")
    said = rows_of(plots.flow_diagram(kept, expected=12))
    assert "Expected1,440 (120)" in said
    assert "Not recorded89" in said
    assert "Added: not expected136" in said
    assert "Excluded by us14" in said
    assert "less than 15 s of speech14" in said
    assert "Included1,362 (120)" in said


def test_participants_without_any_recording_left_are_in_brackets(make_results) -> None:
    outcome = np.where(np.arange(20) < 4, "failed", "scored")
    table = make_results(20, outcome=outcome, error_code="ERR_INTERNAL")
    assert "Without scores4 (2)" in rows_of(plots.flow_diagram(table))


def test_many_reasons_are_summed_up(make_results) -> None:
    codes = [f"ERR_NEW_{number}" for number in range(20)]
    table = make_results(20, outcome="failed", error_code=codes)
    assert any(
        line.startswith("for other reasons12") for line in rows_of(plots.flow_diagram(table))
    )


def test_no_recording_takes_no_room(make_results, words) -> None:
    ax = plots.flow_diagram(make_results(3).iloc[:0])
    assert "These results have no recording." in words(ax)
    assert ax.get_figure(root=True).get_size_inches()[1] < 2


def test_a_low_axes_gets_smaller_type(study) -> None:
    low = Figure(figsize=(5, 3), layout="constrained").subplots()
    sizes = [
        next(text.get_fontsize() for text in ax.texts if text.get_text() == "Scored")
        for ax in (plots.flow_diagram(study, ax=low), plots.flow_diagram(study))
    ]
    assert sizes[0] < 4
    assert sizes[1] == pytest.approx(plots.PAGE.font_pt)


def test_too_many_arms_are_refused(study) -> None:
    with pytest.raises(ResultsError, match="'visit' has 14 levels, more than the 8"):
        plots.flow_diagram(study, by="visit")


LONG = "Night shift from ten in the evening to six in the morning"


@pytest.mark.parametrize("arms", [1, 2, 8])
@pytest.mark.parametrize("people", [3, 120])
@pytest.mark.parametrize("style", [plots.COLUMN, plots.PAGE, plots.SLIDE])
def test_nothing_overlaps_and_nothing_is_cut_off(study, arms, people, style) -> None:
    table = study[study["user_label"].isin(study["user_label"].unique()[:people])]
    number = table["user_label"].str[1:].astype(int) % arms
    table = exclude(table.assign(arm=LONG + number.astype(str)), table["visit"] == "3", LONG)
    ax = plots.flow_diagram(table, by="arm", expected=14, style=style)
    figure = ax.get_figure(root=True)
    figure.draw_without_rendering()
    whole = figure.bbox
    texts = [text for text in ax.texts if text.get_visible() and text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 and box.y1 <= whole.y1 for box in boxes)
    sides = pd.DataFrame([(round(box.y0 + box.y1), box.x0, box.x1) for box in boxes])
    for _, line in sides.groupby(0):
        starts, ends = line.sort_values(1)[[1, 2]].to_numpy().T
        # A pixel, since letters are rounded to whole ones.
        assert (starts[1:] >= ends[:-1] - 1).all()
