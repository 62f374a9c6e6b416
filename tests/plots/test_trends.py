"""Where recordings are along an axis, and the labels of its bins."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from helios_research import plots
from helios_research.analysis.levels import Levels
from helios_research.analysis.prepared import days_of
from helios_research.plots.over_time import by_hours, by_level, by_time
from helios_research.plots.trends import spaced


def test_hours_are_gathered_by_two_and_beyond_a_day_by_four() -> None:
    assert by_hours(np.array([0.5, 3.0, 3.5])).names == ("0\N{EN DASH}2", "2\N{EN DASH}4")
    assert by_hours(np.array([1.0, 30.0])).names == ("0\N{EN DASH}4", "28\N{EN DASH}32")


@pytest.mark.parametrize(
    ("last", "unit"), [("2026-01-20", "day"), ("2026-06-30", "week"), ("2028-06-30", "30 days")]
)
def test_dates_are_gathered_so_that_bins_stay_few(last, unit) -> None:
    axis = by_time(days_of(pd.Series(["2026-01-01", last], dtype="str")), "Day")
    assert axis.label == f"Day (by {unit})"
    assert len(axis.centres) == 2


def levels(*labels: str) -> Levels:
    return Levels(np.arange(len(labels)), labels, "first appearance")


def test_levels_that_are_numbers_are_at_their_numbers() -> None:
    axis = by_level(levels("1", "2", "12"), "Week")
    assert list(axis.centres) == [1, 2, 12]
    assert axis.step == 1


def test_levels_that_are_words_are_one_after_another() -> None:
    axis = by_level(levels("start", "end"), "Phase")
    assert axis.names == ("start", "end")
    assert list(axis.x) == [0, 1]


def test_many_numbers_are_gathered_into_bins() -> None:
    axis = by_level(levels(*map(str, range(200))), "Day")
    assert len(axis.centres) == 30
    assert np.bincount(axis.bins).sum() == 200


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
        labels = [label.get_text() for label in ax.get_xticklabels()]
        assert len(set(labels)) == len(labels) == len(WORDS)


def test_numbers_with_labels_keep_their_distance_and_their_names(make_results) -> None:
    labels = {week: f"After week {week}" for week in ("1", "4", "12")}
    ax = plots.score_over_time(at_visits(make_results, tuple(labels)), by="visit", labels=labels)
    assert list(ax.get_xticks()) == [1, 4, 12]
    names = [label.get_text().replace("\n", " ") for label in ax.get_xticklabels()]
    assert names == list(labels.values())


def test_many_names_in_words_are_turned(make_results) -> None:
    names = [f"ward number {n}" for n in range(30)]
    ax = plots.score_over_time(at_visits(make_results, names), by="visit")
    assert [label.get_text() for label in ax.get_xticklabels()] == names
    assert {label.get_rotation() for label in ax.get_xticklabels()} == {90}


def test_labels_are_left_out_where_they_would_stand_too_close() -> None:
    assert spaced(np.array([0, 0.1, 0.2, 0.5, 3]), 0.2) == [0, 2, 3, 4]
    assert spaced(np.array([3, 0, 0.1]), 0.2) == [0, 1], "in any order"
