"""What stands below a course."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from helios_research import plots
from helios_research.plots.x_axis import spaced

WEEKS = ("0", "1", "2", "4", "12", "26", "52")
WORDS = ("after six weeks", "baseline", "follow-up at 12 months", "screening")


def at_visits(make_results, names) -> pd.DataFrame:
    visits = pd.Series([names[n % len(names)] for n in range(20 * len(names))], dtype="str")
    return make_results(len(visits), each=len(names), visit=visits)


def drawn(ax) -> list[tuple[str, float, float]]:
    """Draw the figure; give each label below it with its left and right end in inches."""
    figure = ax.get_figure(root=True)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = [(label, label.get_window_extent(renderer)) for label in ax.get_xticklabels()]
    return [(label.get_text(), box.x0 / figure.dpi, box.x1 / figure.dpi) for label, box in boxes]


@pytest.mark.parametrize("size", ["COLUMN", "PAGE", "SLIDE"])
@pytest.mark.parametrize("names", [WEEKS, WORDS, [f"ward number {n}" for n in range(30)]])
def test_no_label_touches_its_neighbour(make_results, names, size) -> None:
    table = at_visits(make_results, names)
    labels = drawn(plots.score_over_time(table, by="visit", style=getattr(plots, size)))
    assert len(labels) > 3
    assert all(one[2] < other[1] for one, other in pairwise(labels))


@pytest.mark.parametrize("size", ["COLUMN", "PAGE", "SLIDE"])
def test_every_visit_with_a_name_in_words_is_named(make_results, size) -> None:
    """A number that is left out can be told from its neighbours; a name cannot."""
    table = at_visits(make_results, WORDS)
    panels = plots.score_over_time(
        table, biomarkers=["mental_strain", "stress"], by="visit", style=getattr(plots, size)
    )
    for ax in panels:
        labels = [label.get_text().split("\n") for label in ax.get_xticklabels()]
        assert len({" ".join(lines[:-1]) for lines in labels}) == len(WORDS)
        assert {len(lines) for lines in labels} == {len(labels[0])}, "numbers stand side by side"
        assert {lines[-1] for lines in labels} == {"20"}


def test_many_names_in_words_are_turned(make_results) -> None:
    names = [f"ward number {n}" for n in range(30)]
    ax = plots.score_over_time(at_visits(make_results, names), by="visit")
    assert [label.get_text() for label in ax.get_xticklabels()] == names
    assert {label.get_rotation() for label in ax.get_xticklabels()} == {90}
    assert "below" not in ax.get_xlabel()


def test_labels_are_left_out_where_they_would_stand_too_close() -> None:
    assert spaced(np.array([0, 0.1, 0.2, 0.5, 3]), 0.2) == [0, 2, 3, 4]
    assert spaced(np.array([3, 0, 0.1]), 0.2) == [0, 1], "in any order"
