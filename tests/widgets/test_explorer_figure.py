"""The explorer's figures: which are possible, their pictures, and their files."""

import base64
import io
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from helios_research.errors import ResultsError
from helios_research.plots.canvas import to_png
from helios_research.widgets.explorer.figure import (
    FigureKind,
    FigureView,
    picture_html,
    save_figure,
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


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_a_figure_is_saved_in_each_format_and_overwrites_nothing(results, tmp_path, suffix, start):
    first = save_figure(BY_ARM.draw(results), tmp_path / f"arm.{suffix}")
    second = save_figure(BY_ARM.draw(results), tmp_path / f"arm.{suffix}")
    assert (first.name, second.name) == (f"arm.{suffix}", f"arm-2.{suffix}")
    assert first.read_bytes().startswith(start)


def test_a_folder_that_cannot_be_written_to_is_a_sentence(results, tmp_path):
    with pytest.raises(ResultsError, match=r"could not be saved as .*nowhere.*Free some space"):
        save_figure(BY_ARM.draw(results), tmp_path / "nowhere" / "arm.png")


def test_a_figure_of_one_recording_and_of_none_with_scores_is_drawn(results):
    for rows in (results.head(1), results[results["outcome"] != "scored"]):
        assert isinstance(BY_ARM.draw(rows), Figure)
