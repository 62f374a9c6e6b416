"""The flow diagram."""

import numpy as np
from matplotlib.figure import Figure

from helios_research import plots
from helios_research.analysis import flow


def test_every_step_stands_there_with_its_numbers(study, words) -> None:
    said = words(plots.flow_diagram(study))
    for step in flow(study).query("kind == 'remaining'").itertuples():
        assert f"{step.recordings:,} recordings, {step.participants:,} participants" in said


def test_every_reason_of_a_loss_stands_there(study, words) -> None:
    said = words(plots.flow_diagram(study))
    for line in ("3 invalid recording time", "48 too short", "4 HTTP 422", "Without scores: 87"):
        assert line in said


def test_participants_without_any_recording_left_are_counted(make_results, words) -> None:
    outcome = np.where(np.arange(20) < 4, "failed", "scored")
    said = words(plots.flow_diagram(make_results(20, outcome=outcome, error_code="ERR_INTERNAL")))
    assert "all of 2 participants" in said


def test_many_reasons_are_summed_up(make_results, words) -> None:
    codes = [f"ERR_NEW_{number}" for number in range(20)]
    said = words(plots.flow_diagram(make_results(20, outcome="failed", error_code=codes)))
    assert "12 for other reasons" in said


def test_no_recording_takes_no_room(make_results, words) -> None:
    ax = plots.flow_diagram(make_results(3).iloc[:0])
    assert "There is no recording in these results." in words(ax)
    assert ax.get_figure(root=True).get_size_inches()[1] < 2


def test_a_low_axes_gets_smaller_type(study) -> None:
    low = Figure(figsize=(5, 3), layout="constrained").subplots()
    sizes = [
        next(text.get_fontsize() for text in ax.texts if text.get_text() == "Scored")
        for ax in (plots.flow_diagram(study, ax=low), plots.flow_diagram(study))
    ]
    assert sizes[0] < 4
    assert sizes[1] == plots.PAGE.font_pt
