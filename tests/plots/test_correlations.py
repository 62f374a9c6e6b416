"""How biomarkers correlate."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from helios_research import plots
from helios_research.analysis.prepared import prepare
from helios_research.plots.correlations import correlate

PAIR = ["mental_strain", "stress"]


def test_a_correlation_is_spearmans_over_participants_means_and_mean_ridits(make_results) -> None:
    table = make_results(90, each=3)
    ridits = table.assign(stress=stats.rankdata(table["stress"]) / len(table))
    means = ridits.groupby("user_label")[PAIR].mean()
    expected = stats.spearmanr(means["mental_strain"], means["stress"]).statistic
    found = correlate(prepare(table, biomarkers=PAIR))
    assert found.value[1, 0] == pytest.approx(expected)
    assert found.people[1, 0] == 30


def test_intervals_are_those_of_bonett_and_wright(make_results) -> None:
    """Their equation (2), by hand."""
    found = correlate(prepare(make_results(60), biomarkers=PAIR))
    r, n = found.value[1, 0], found.people[1, 0]
    margin = 1.959964 * np.sqrt((1 + r**2 / 2) / (n - 3))
    assert found.low[1, 0] == pytest.approx(np.tanh(np.arctanh(r) - margin), abs=1e-6)
    assert found.high[1, 0] == pytest.approx(np.tanh(np.arctanh(r) + margin), abs=1e-6)


def test_a_biomarker_that_does_not_vary_is_struck_out(make_results, words) -> None:
    ax = plots.biomarker_correlations(make_results(60, stress=0.33), biomarkers=[*PAIR, "distress"])
    assert len(ax.lines) == 2
    assert "Struck out: one of the two scores does not vary." in words(ax)


def test_pairs_of_fewer_than_twenty_participants_are_left_out(make_results, words) -> None:
    table = make_results(60)
    table.loc[38:, "stress"] = np.nan
    ax = plots.biomarker_correlations(table, biomarkers=[*PAIR, "distress"])
    assert len(ax.patches) == 1
    assert "Empty: fewer than 20 participants with both." in words(ax)


def test_every_pair_has_its_number_and_its_interval(study) -> None:
    ax = plots.biomarker_correlations(study)
    written = [text.get_text() for text in ax.texts]
    assert len(written) == 2 * 55
    assert sum(", " in text for text in written) == 55
    assert len(ax.get_yticklabels()) == 10


def test_where_intervals_have_no_room_the_widest_is_in_the_caption(study, words) -> None:
    ax = plots.biomarker_correlations(study, style=plots.COLUMN)
    assert len(ax.texts) == 55
    found = correlate(prepare(study))
    widest = np.nanargmax(found.high - found.low)
    ends = [f"{end.flat[widest]:.2f}".replace("0.", ".") for end in (found.low, found.high)]
    said = words(ax).replace("\N{MINUS SIGN}", "-")
    assert "The widest 95 % interval is {} to {}.".format(*ends) in said


def test_one_biomarker_alone_gives_a_sentence(make_results, words) -> None:
    said = words(plots.biomarker_correlations(make_results(20), biomarkers=["stress"]))
    assert "No two biomarkers have scores that vary" in said


def test_in_an_axes_of_someone_elses_the_notes_stand_below_the_names(study) -> None:
    figure = Figure(figsize=(7, 7), layout="constrained")
    ax = plots.biomarker_correlations(study, ax=figure.subplots())
    figure.draw_without_rendering()
    names = min(label.get_window_extent().y0 for label in ax.get_xticklabels())
    notes = [text for text in ax.texts if "recordings" in text.get_text()]
    assert notes
    assert all(note.get_window_extent().y1 < names for note in notes)
