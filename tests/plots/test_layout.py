"""Nothing that a figure draws leaves its axes, and nothing that it says leaves the figure."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import Collection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from helios_research import plots
from helios_research.analysis.prepared import Floats
from helios_research.columns import BIOMARKERS, BUCKET_LEVELS

# An ordinal and a continuous biomarker.
BOTH = ["mental_strain", "stress"]

PEOPLE = [3, 12, 120]
STYLES = ["COLUMN", "PAGE", "SLIDE"]
LONG = {
    "placebo": "The group that was given tablets without any active ingredient",
    "active": "The group that was given tablets with the active ingredient",
    "before": "Before the first of the twelve night shifts in a row",
    "after": "After the last of the twelve night shifts in a row",
}

FIGURES = {
    "scores_by_tag, between": lambda table, **more: plots.scores_by_tag(
        table, "arm", biomarkers=BOTH, **more
    ),
    "scores_by_tag, within": lambda table, **more: plots.scores_by_tag(
        table, "phase", biomarkers=BOTH, **more
    ),
    "scores_by_tag, reference": lambda table, **more: plots.scores_by_tag(
        table, "visit", biomarkers=BOTH, reference="1", **more
    ),
    "scores_by_tag, coloured": lambda table, **more: plots.scores_by_tag(
        table, "arm", hue="phase", biomarkers=BOTH, **more
    ),
    "score_over_time": lambda table, **more: plots.score_over_time(
        table, by="visit", hue="arm", biomarkers=BOTH, **more
    ),
    "score_over_time, dates": lambda table, **more: plots.score_over_time(
        table, biomarkers=BOTH, **more
    ),
    "score_over_time, change": lambda table, **more: plots.score_over_time(
        table, by="visit", hue="arm", change_from=2, **more
    ),
    "scores_by_hours_awake": lambda table, **more: plots.scores_by_hours_awake(
        table, hue="arm", biomarkers=BOTH, **more
    ),
    "biomarker_correlations": plots.biomarker_correlations,
}


def trial(people: int) -> pd.DataFrame:
    """Make a trial of six visits, from which people leave, with scores near both ends."""
    rng = np.random.default_rng(people)
    person, visit = (own.ravel() for own in np.indices((people, 6)))
    table = pd.DataFrame({"user_label": [f"P{n:03d}" for n in person], "outcome": "scored"})
    level = rng.normal(0, 1.5, people)[person] + rng.normal(0, 0.5, len(person)) + visit / 5
    for marker in BIOMARKERS:
        own = 1 / (1 + np.exp(-2 * level - rng.normal(0, 0.5, len(level))))
        steps = np.array(BUCKET_LEVELS)[np.digitize(own, [0.25, 0.5, 0.75])]
        table[marker.name] = steps if marker.bucketed else own
    table["arm"] = np.where(person % 2, "active", "placebo")
    table["phase"] = np.where(visit < 3, "before", "after")
    table["visit"] = (visit + 1).astype(str)
    times = pd.Timestamp("2026-03-02 16:00") + pd.to_timedelta(7 * visit + person % 3, "D")
    table["recording_time"] = times.strftime("%Y-%m-%dT%H:%M:%S")
    waking = times - pd.to_timedelta(rng.uniform(0, 14, len(table)), "h")
    table["wake_time"] = waking.strftime("%Y-%m-%dT%H:%M:%S")
    table["recording_id"] = [f"r{n}" for n in range(len(table))]
    stays = rng.integers(2, 7, people)[person]
    return table[visit < stays].reset_index(drop=True)


def all_axes(figure: Figure) -> list[Axes]:
    return [own for ax in figure.axes for own in (ax, *ax.child_axes)]


def assert_nothing_leaves(figure: Figure, name: str) -> None:
    """Draw a figure; check what is drawn against its axes, and all else against the paper."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    used, (width, height) = figure.get_tightbbox(renderer), figure.get_size_inches()
    edge = 0.03
    assert used.x0 > -edge, name
    assert used.y0 > -edge, name
    assert used.x1 < width + edge, name
    assert used.y1 < height + edge, name
    for ax in all_axes(figure):
        # Half a mark, which stands over where it is.
        around = ax.get_window_extent(renderer).padded(0.06 * figure.dpi)
        for artist in (*ax.lines, *ax.collections, *ax.patches):
            points = corners(artist, renderer)
            x, y = points[np.isfinite(points).all(axis=1)].T
            assert around.x0 <= x.min(initial=np.inf), (name, artist)
            assert x.max(initial=-np.inf) <= around.x1, (name, artist)
            assert around.y0 <= y.min(initial=np.inf), (name, artist)
            assert y.max(initial=-np.inf) <= around.y1, (name, artist)


def corners(artist: Artist, renderer: RendererBase) -> Floats:
    """Give the places in the picture of all points of an artist."""
    if isinstance(artist, PathCollection):
        return artist.get_offset_transform().transform(np.ma.filled(artist.get_offsets(), np.nan))
    if isinstance(artist, Collection):
        paths = [path.vertices for path in artist.get_paths()]
        return artist.get_transform().transform(np.concatenate([np.empty((0, 2)), *paths]))
    if isinstance(artist, Line2D):
        return artist.get_transform().transform(artist.get_xydata())
    return artist.get_window_extent(renderer).get_points()


def assert_no_text_overlaps(figure: Figure, name: str) -> None:
    """Check the names and numbers along each axis against their neighbours."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    for ax in all_axes(figure) if name != "biomarker_correlations" else ():
        for axis in (ax.xaxis, ax.yaxis):
            labels = [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)]
            boxes = [own.get_window_extent(renderer) for own in labels if own.get_text()]
            for place, box in enumerate(boxes):
                shrunk = box.padded(-0.1 * min(box.width, box.height))
                assert not any(shrunk.overlaps(other) for other in boxes[place + 1 :]), name


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("people", PEOPLE)
@pytest.mark.parametrize("name", FIGURES)
def test_nothing_leaves_its_axes_or_the_paper(name, people, style) -> None:
    labels = LONG if style == "PAGE" else None
    axes = FIGURES[name](trial(people), style=getattr(plots, style), labels=labels)
    figure = np.ravel(axes)[0].get_figure(root=True)
    assert_nothing_leaves(figure, f"{name}, {people}, {style}")
    assert_no_text_overlaps(figure, name)


def test_what_leaves_its_axes_is_found() -> None:
    """The check itself is checked: an interval beyond the axis has to fail it."""
    ax = plots.scores_by_tag(trial(12), "arm")
    ax.child_axes[0].hlines(0.5, -3, 3)
    with pytest.raises(AssertionError):
        assert_nothing_leaves(ax.get_figure(root=True), "too long")
