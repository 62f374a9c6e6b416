"""The share of recordings without scores."""

import numpy as np
import pandas as pd

from helios_research import plots
from helios_research.analysis import missingness_by_tag


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
    assert "Recordings fail more often where site is Girona than where it is Leeds" in said


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
    assert "There is no recording that has ended." in said
