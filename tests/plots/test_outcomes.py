"""The share of recordings without scores, and the flow diagram."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from helios_research import plots
from helios_research.analysis import flow, missingness_by_tag


def test_the_bars_of_a_level_add_up_to_its_rate(study) -> None:
    ax = plots.outcomes_by_tag(study, "site")
    rates = missingness_by_tag(study, "site", also=()).query("reason == 'any reason'")["rate"]
    totals = {}
    for outcome in ax.patches:
        for bar in outcome.get_path().to_polygons():
            row = round(float(bar[:, 1].min()))
            totals[row] = totals.get(row, 0.0) + float(np.ptp(bar[:, 0]))
    assert np.allclose([totals[y] for y in sorted(totals)], 100 * rates)


def test_unequal_failures_are_put_in_words(study, words) -> None:
    said = words(plots.outcomes_by_tag(study, "site"))
    assert (
        "Recordings failed more often in site Girona, where 49 of 466 did (10.5 %), than in Leeds"
        in said
    )


def test_the_key_names_only_outcomes_that_there_are(make_results, words) -> None:
    outcome = pd.Series(["scored", "failed"] * 10, dtype="str")
    said = words(plots.outcomes_by_tag(make_results(20, outcome=outcome), "visit"))
    assert "failed" in said
    assert "rejected" not in said


def test_recordings_that_have_not_ended_are_counted_but_not_drawn(study, words) -> None:
    said = words(plots.outcomes_by_tag(study, "site"))
    assert "n = 1,481 of 1,487 recordings" in said
    assert "6 not ended yet" in said


def test_counts_stand_beside_each_row(study, words) -> None:
    assert "53 of 466 (37)" in words(plots.outcomes_by_tag(study, "site"))


def test_nothing_ended_gives_a_sentence(make_results, words) -> None:
    said = words(plots.outcomes_by_tag(make_results(5, outcome="pending"), "arm"))
    assert "No recording has ended." in said


def test_every_step_has_its_numbers(study, words) -> None:
    said = words(plots.flow_diagram(study))
    for step in flow(study).query("kind == 'remaining'").itertuples():
        assert f"{step.recordings:,} recordings, {step.participants:,} participants" in said


def test_every_reason_of_a_loss_is_named(study, words) -> None:
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
    assert "These results have no recording." in words(ax)
    assert ax.get_figure(root=True).get_size_inches()[1] < 2


def test_a_low_axes_gets_smaller_type(study) -> None:
    low = Figure(figsize=(5, 3), layout="constrained").subplots()
    sizes = [
        next(text.get_fontsize() for text in ax.texts if text.get_text() == "Scored")
        for ax in (plots.flow_diagram(study, ax=low), plots.flow_diagram(study))
    ]
    assert sizes[0] < 4
    assert sizes[1] == plots.PAGE.font_pt
