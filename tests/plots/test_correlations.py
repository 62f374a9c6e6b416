"""How biomarkers correlate."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from helios_research import plots
from helios_research.analysis.prepared import prepare
from helios_research.plots.correlations import correlate

PAIR = ["mental_strain", "stress"]


def test_a_correlation_is_spearmans_over_participants_medians(make_results) -> None:
    table = make_results(60, each=3)
    medians = table.groupby("user_label")[["mental_strain", "stress"]].quantile(
        0.5, interpolation="lower"
    )
    expected = stats.spearmanr(medians["mental_strain"], medians["stress"]).statistic
    found, people = correlate(prepare(table, biomarkers=PAIR))
    assert found[1, 0] == pytest.approx(expected)
    assert people[1, 0] == 20


def test_a_biomarker_that_does_not_vary_has_no_correlation(make_results) -> None:
    found, _ = correlate(prepare(make_results(20, stress=0.33), biomarkers=PAIR))
    assert np.isnan(found).all()


def test_every_pair_has_its_number(study) -> None:
    ax = plots.biomarker_correlations(study)
    assert len(ax.texts) == 55
    assert len(ax.get_yticklabels()) == 10


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
