"""The share of recordings without scores, by tag."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from helios_research import plots
from helios_research.analysis import exclude, missingness_by_tag


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


def test_an_excluded_score_is_in_the_bar_and_in_the_key(study, words) -> None:
    kept = exclude(study, study["speech_s"] < 15, "short")
    ax = plots.outcomes_by_tag(kept, "site", palette=["red", "teal"])
    assert "score not counted" in words(ax)
    assert {to_hex(patch.get_facecolor()) for patch in ax.patches} == {"#ff0000", "#008080"}
    ends = [bar[:, 0].max() for part in ax.patches for bar in part.get_path().to_polygons()]
    rates = missingness_by_tag(kept, "site", also=()).query("reason == 'any reason'")["rate"]
    assert max(ends) == pytest.approx(100 * rates.max())


@pytest.mark.parametrize("people", [3, 12, 120])
def test_intervals_are_within_the_axis(study, people) -> None:
    few = study[study["user_label"].isin(study["user_label"].unique()[:people])]
    for tag in ("site", "arm", "visit"):
        ax = plots.outcomes_by_tag(few, tag)
        high = missingness_by_tag(few, tag, also=()).query("reason == 'any reason'")["rate_high"]
        assert not 100 * high.max() > ax.get_xlim()[1]


def test_a_level_of_two_participants_has_no_line_and_a_sentence_says_so(study, words) -> None:
    few = study[study["user_label"].isin(study["user_label"].unique()[:2])]
    assert "Mark: the whole share; without a line: no interval" in words(
        plots.outcomes_by_tag(few, "language")
    )
