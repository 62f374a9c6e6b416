"""Scores against the hours awake."""

import numpy as np

from helios_research import plots
from helios_research.plots.x_axis import hours_awake


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
