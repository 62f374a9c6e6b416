"""Where figures are drawn, above all inside a notebook."""

import io
from pathlib import Path

import nbformat
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from nbclient import NotebookClient
from PIL import Image

from helios_research import plots
from helios_research.plots.canvas import Footnote, open_canvas, to_png

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"

CELLS = {
    "setup": f"import helios_research as hr\nresults = {str(STUDY)!r}",
    "last line": "hr.plots.flow_diagram(results)",
    "not the last line": "ax = hr.plots.flow_diagram(results)\nax.set_title('mine')\nNone",
    "two": "hr.plots.flow_diagram(results)\nhr.plots.outcomes_by_tag(results, 'site')\nNone",
    "given": "from matplotlib.figure import Figure\n"
    "hr.plots.flow_diagram(results, ax=Figure())\nNone",
    "own figure": "from matplotlib import pyplot as plt\nown = plt.figure()\n"
    "hr.plots.flow_diagram(results)\nprint(plt.gcf() is own)",
    "other thread": "import threading\n"
    "thread = threading.Thread(target=hr.plots.flow_diagram, args=[results])\n"
    "thread.start()\nthread.join()",
    "left over": "print(plt.get_fignums())",
}


@pytest.fixture(scope="module")
def outputs() -> dict[str, list[dict[str, object]]]:
    """Run a notebook in a kernel of its own."""
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, kernel_name="python3", timeout=100).execute()
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}


def pictures(outputs: list[dict[str, object]]) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_a_notebook_shows_each_figure_once_below_its_cell(outputs) -> None:
    shown = {name: pictures(found) for name, found in outputs.items()}
    assert shown["last line"] == shown["not the last line"] == 1
    assert shown["two"] == 2


def test_a_figure_that_was_given_is_shown_by_whoever_gave_it(outputs) -> None:
    assert pictures(outputs["given"]) == 0


def test_the_current_figure_of_pyplot_stays_current(outputs) -> None:
    assert any(output.get("text") == "True\n" for output in outputs["own figure"])


def test_another_thread_leaves_pyplot_alone(outputs) -> None:
    assert outputs["other thread"] == []


def test_no_figure_is_left_open(outputs) -> None:
    assert outputs["left over"][0]["text"] == "[]\n"


def test_outside_a_notebook_pyplot_is_left_alone(make_results) -> None:
    figure = plots.flow_diagram(make_results(4)).figure
    assert isinstance(figure, Figure)
    assert not hasattr(figure, "number") or figure.number is None


@pytest.mark.parametrize("colours", [None, 64])
def test_a_figure_becomes_a_png_of_its_size(make_results, colours) -> None:
    figure = plots.flow_diagram(make_results(4)).figure
    picture = Image.open(io.BytesIO(to_png(figure, 50, colours=colours)))
    assert picture.format == "PNG"
    assert np.allclose(picture.size, 50 * figure.get_size_inches(), atol=1)
    assert picture.mode == ("RGBA" if colours is None else "P")


@pytest.mark.parametrize("dpi", [72, 100, 110, 150, 200, 300])
@pytest.mark.parametrize("size", ["COLUMN", "PAGE", "SLIDE"])
def test_notes_stay_on_the_paper_whatever_dots_a_file_is_made_of(size, dpi) -> None:
    """Letters are rounded to whole dots, so the same line is wider in one file than in another."""
    style = getattr(plots, size)
    words = "Points: recordings. Dot and line: mean with 95 % interval, 7 invalid, 21 too short. "
    notes = [Footnote(words * 6), Footnote(words * 6, stands_out=True), Footnote("ill fit " * 60)]
    figure = open_canvas(None, [1.0], notes, style)[0].get_figure(root=True)
    figure.set_dpi(dpi)
    renderer = FigureCanvasAgg(figure).get_renderer()
    right = [note.get_window_extent(renderer).x1 / dpi for note in figure.texts]
    assert max(right) <= style.width_in
    assert min(right) > 0.75 * style.width_in, "lines are not broken much too early"
