"""The explorer's figures: which are possible, their pictures, and their files."""

import base64
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from helios_research.analysis.frames import hours_awake
from helios_research.analysis.prepared import days_of
from helios_research.plots.canvas import to_png
from helios_research.widgets.explorer.figure import (
    NOTHING,
    FigureKind,
    FigureView,
    Found,
    found_at,
    picture_html,
)
from helios_research.widgets.explorer.selection import ExplorerState, OneOf
from helios_research.widgets.explorer.source import open_source

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"
BY_ARM = FigureView(FigureKind.BY_TAG, ("mental_strain",), "arm", None)


def picture(figure: Figure) -> bytes:
    return to_png(figure, 100)


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return pd.read_parquet(STUDY).head(120)


def test_figures_are_offered_only_where_their_columns_are(results):
    assert all(kind.is_possible(results) for kind in FigureKind)
    without_waking = results.drop(columns="wake_time")
    assert [kind for kind in FigureKind if not kind.is_possible(without_waking)] == [
        FigureKind.AWAKE
    ]


def test_a_view_is_described_in_words_and_in_code():
    view = FigureView(FigureKind.BY_TAG, ("mental_strain", "stress"), "arm", 'si"te')
    assert view.words == 'Mental strain, Stress by arm, colour by si"te'
    assert view.code() == (
        'hr.plots.scores_by_tag(selection, "arm", biomarkers=["mental_strain", "stress"], hue=\'si"te\')'
    )


def test_drawing_never_makes_a_figure_of_pyplot(results):
    before = set(sys.modules)
    BY_ARM.draw(results)
    assert "matplotlib.pyplot" not in set(sys.modules) - before


@pytest.mark.parametrize("kind", FigureKind)
def test_the_figure_of_compact_columns_is_that_of_the_results_to_the_pixel(results, kind):
    tag = "visit" if kind is FigureKind.ALONG_TAG else "arm"
    view = FigureView(
        kind, ("mental_strain", "distress"), tag, "birth_sex" if kind.has_scores else None
    )
    sites = OneOf("site", ("Leeds", "Girona"))
    state = ExplorerState(open_source(results), view, {"site": sites})
    assert isinstance(state.drawn["outcome"].dtype, pd.CategoricalDtype)
    assert picture(view.draw(state.drawn)) == picture(view.draw(state.selection))


def test_the_picture_is_what_the_html_holds_and_is_described(results):
    figure = BY_ARM.draw(results)
    html = picture_html(figure, 'by "arm" <b>')
    assert 'alt="by &quot;arm&quot; &lt;b&gt;"' in html
    seen = image.imread(io.BytesIO(base64.b64decode(re.search(r'base64,([^"]+)', html)[1])))
    width, height = (int(re.search(rf'{side}="(\d+)"', html)[1]) for side in ("width", "height"))
    assert seen.shape[1] / seen.shape[0] == pytest.approx(width / height, rel=0.01)
    assert seen[..., :3].min() < 0.2  # something is drawn on the white


def test_the_same_figure_is_the_same_picture(results):
    assert picture(BY_ARM.draw(results)) == picture(BY_ARM.draw(results))


def test_a_figure_of_one_recording_and_of_none_with_scores_is_drawn(results):
    for rows in (results.head(1), results[results["outcome"] != "scored"]):
        assert isinstance(BY_ARM.draw(rows), Figure)


# --- what a click means ---------------------------------------------------------------------------


def click(view: FigureView, rows: pd.DataFrame, figure: Figure, dots: Sequence[float]) -> Found:
    """Click on a place of a painted figure, in dots from its bottom left."""
    x, y = np.asarray(dots) / figure.bbox.size
    return found_at(view, rows, figure, x, 1 - y)


def painted(view: FigureView, rows: pd.DataFrame) -> Figure:
    figure = view.draw(rows)
    picture(figure)
    return figure


def middle(artist: Artist) -> Sequence[float]:
    box = artist.get_window_extent()
    return [(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2]


@pytest.mark.parametrize("kind", [FigureKind.BY_TAG, FigureKind.OUTCOMES])
def test_the_name_of_a_level_is_its_recordings(results, kind):
    view = FigureView(kind, ("stress",), "arm", None)
    figure = painted(view, results)
    for label in figure.axes[0].get_yticklabels():
        rows, columns = click(view, results, figure, middle(label))
        assert columns == ("arm",)
        assert set(results["arm"].iloc[rows]) == {label.get_text()}
    assert click(view, results, figure, (1, 1)) == NOTHING


def test_of_levels_within_levels_a_header_is_the_outer_one(results):
    view = FigureView(FigureKind.BY_TAG, ("mental_strain",), "arm", "site")
    figure = painted(view, results)
    labels = figure.axes[0].get_yticklabels()
    inner, header = click(view, results, figure, middle(labels[0])), labels[-2]
    assert inner.columns == ("arm", "site")
    assert set(results["site"].iloc[inner.rows]) == {labels[0].get_text()}
    outer = click(view, results, figure, middle(header))
    assert outer.columns == ("arm",)
    assert set(results["arm"].iloc[outer.rows]) == {header.get_text()}


@pytest.mark.parametrize("colour", [None, "site"])
def test_a_point_is_its_recording(results, colour):
    view = FigureView(FigureKind.BY_TAG, ("mental_strain",), "arm", colour)
    rows = results.drop_duplicates("user_label")
    rows = rows[rows["mental_strain"].notna()]
    figure = painted(view, rows)
    ax = figure.axes[0]
    drawn = [line for line in ax.lines if line.get_zorder() == 2]
    points = np.concatenate([line.get_xydata() for line in drawn])
    assert len(points) == len(rows)
    scores = [rows["mental_strain"].iloc[click_on(view, rows, figure, own)] for own in points]
    assert scores == points[:, 0].tolist()


def click_on(view: FigureView, rows: pd.DataFrame, figure: Figure, point: Sequence[float]) -> int:
    found = click(view, rows, figure, figure.axes[0].transData.transform(point))
    assert found.columns == ()
    return int(found.rows[0])


@pytest.mark.parametrize("kind", [FigureKind.OVER_TIME, FigureKind.ALONG_TAG, FigureKind.AWAKE])
def test_a_point_along_an_axis_is_its_recording(results, kind):
    view = FigureView(kind, ("mental_strain",), "visit", None)
    figure = painted(view, results)
    along = {
        FigureKind.OVER_TIME: days_of(results["recording_time"]),
        FigureKind.ALONG_TAG: results["visit"].astype(float).to_numpy(),
        FigureKind.AWAKE: hours_awake(results),
    }[kind]
    for place in np.flatnonzero(results["mental_strain"].notna())[::10]:
        point = along[place], results["mental_strain"].iloc[place]
        found = click_on(view, results, figure, point)
        assert (along[found], results["mental_strain"].iloc[found]) == pytest.approx(point, abs=0.5)


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        (FigureKind.BY_TAG, ("visit", "arm", "stress")),
        (FigureKind.ALONG_TAG, ("visit", "stress", "arm")),
        (FigureKind.OVER_TIME, ("recording_time", "stress", "arm")),
        (FigureKind.AWAKE, ()),
    ],
)
def test_a_part_of_a_bar_is_its_recordings(results, kind, columns):
    view = FigureView(kind, ("mental_strain", "stress"), "visit", "arm")
    figure = painted(view, results)
    ax = figure.axes[1]
    part = ax.containers[-2]
    bar = max(part, key=lambda own: own.get_window_extent().width * own.get_window_extent().height)
    found = click(view, results, figure, middle(bar))
    assert found.columns == columns
    if columns:
        assert set(results["stress"].iloc[found.rows]) == {0.66}
        assert len(results.iloc[found.rows].drop_duplicates("arm")) == 1
