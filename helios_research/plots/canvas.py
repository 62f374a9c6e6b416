"""Where a figure is drawn: a new one, one that was given, or a single Axes of someone else's.

A new figure is a plain ``matplotlib.figure.Figure`` that pyplot knows nothing of. Only inside a
notebook's cell is it made through pyplot, since that is what shows it below the cell, and the
figure that was current there stays current.
"""

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from helios_research.errors import ResultsError
from helios_research.plots.style import INK, MUTED, PAPER, Look, Style
from helios_research.plots.text import plain, widest_in, wrap

Target = Axes | Figure | None

# Backends of matplotlib that show nothing.
_FOR_FILES_ONLY = frozenset({"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"})

# Space around the figure, between its panels and above its notes, in lines of type.
_MARGIN = 0.5
_GAP = 0.6

# Height of a panel that holds only a sentence.
_SENTENCE_IN = 1.5

# From the lower edge of an Axes of someone else's, past ticks and label, to the notes.
_PAST_LABEL = 5.0


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence below the figure."""

    text: str
    stands_out: bool = False


@dataclass(frozen=True, slots=True)
class Canvas:
    """Panels to draw into."""

    axes: tuple[Axes, ...]
    style: Style

    def as_asked(self, biomarkers: object) -> "Axes | NDArray[np.object_]":
        """Give the panels in the form in which biomarkers were asked for."""
        if isinstance(biomarkers, str):
            return self.axes[0]
        return np.array(self.axes, dtype=object)


def open_canvas(
    ax: Target,
    heights_in: Sequence[float],
    notes: Sequence[Note],
    style: Style,
    *,
    ticks_in: float = 0.0,
) -> Canvas:
    """Make the panels of a figure and write its notes below them."""
    if isinstance(ax, Axes):
        if len(heights_in) > 1:
            message = (
                f"{len(heights_in)} panels do not fit into one Axes: give a whole Figure as ax, or "
                "leave ax out."
            )
            raise ResultsError(message)
        _write_below(ax, notes, style, ticks_in)
        return Canvas((ax,), style)
    if ax is not None and (ax.axes or ax.subfigs):
        message = "The Figure given as ax is not empty: give an empty one, or one of its Axes."
        raise ResultsError(message)
    columns = min(style.panels_per_row, len(heights_in))
    rows = [max(heights_in[at : at + columns]) for at in range(0, len(heights_in), columns)]
    width = style.width_in if ax is None else ax.get_size_inches()[0]
    lines = _wrapped(notes, width - 2 * _MARGIN * style.line_in, style.small)
    notes_in = _height_of(lines, style)
    figure = ax if ax is not None else _new_figure(style, sum(rows) + notes_in)
    axes = _panels(figure, len(heights_in), rows, notes_in, style)
    _write_at_foot(figure, lines, style)
    return Canvas(axes, style)


def _panels(
    figure: Figure, count: int, rows: Sequence[float], notes_in: float, style: Style
) -> tuple[Axes, ...]:
    height = figure.get_size_inches()[1]
    foot = min(0.6, notes_in / height)
    margin = _MARGIN * style.line_in
    figure.set_layout_engine(
        ConstrainedLayoutEngine(
            rect=(0, foot, 1, 1 - foot), w_pad=margin, h_pad=margin, wspace=0.02, hspace=0.02
        )
    )
    columns = min(style.panels_per_row, count)
    grid = figure.add_gridspec(len(rows), columns, height_ratios=list(rows))
    return tuple(figure.add_subplot(grid[divmod(place, columns)]) for place in range(count))


def _wrapped(notes: Sequence[Note], limit_in: float, small: Style) -> list[Note]:
    return [
        replace(note, text=wrap(plain(note.text), limit_in, small.font_pt, measure=measure))
        for note in notes
        for measure in [partial(widest_in, bold=note.stands_out)]
    ]


def _height_of(lines: Sequence[Note], style: Style) -> float:
    if not lines:
        return 0.0
    count = sum(note.text.count("\n") + 1 for note in lines)
    return (count + 0.25 * len(lines)) * style.small.line_in + _GAP * style.line_in


def _write_at_foot(figure: Figure, lines: Sequence[Note], style: Style) -> None:
    width, height = figure.get_size_inches()
    margin = _MARGIN * style.line_in
    y = margin
    for note in reversed(lines):
        figure.text(margin / width, y / height, note.text, va="bottom", **_look(note, style))
        y += (note.text.count("\n") + 1.25) * style.small.line_in


def _write_below(ax: Axes, notes: Sequence[Note], style: Style, ticks_in: float) -> None:
    """Hang the notes below the x axis, where any layout makes room for them."""
    y = -max(_PAST_LABEL * style.font_pt, 72 * ticks_in)
    limit = max(1.5, size_in(ax)[0])
    for note in _wrapped(notes, limit, style.small):
        ax.annotate(
            note.text,
            xy=(0, 0),
            xycoords="axes fraction",
            xytext=(0, y),
            textcoords="offset points",
            va="top",
            annotation_clip=False,
            **_look(note, style),
        )
        y -= 72 * (note.text.count("\n") + 1.25) * style.small.line_in


def _look(note: Note, style: Style) -> Look:
    colour, weight = (INK, "bold") if note.stands_out else (MUTED, "normal")
    return style.small.text(color=colour, fontweight=weight, ha="left", linespacing=1.25)


def _new_figure(style: Style, height_in: float) -> Figure:
    size = (style.width_in, height_in)
    if not _inside_a_cell():
        return Figure(figsize=size, dpi=style.dpi, facecolor=PAPER)
    # Imported only here: nothing else of the package touches pyplot.
    from matplotlib import pyplot as plt

    before = plt.gcf() if plt.get_fignums() else None
    figure = plt.figure(figsize=size, dpi=style.dpi, facecolor=PAPER)
    if before is not None:
        plt.figure(before)
    return figure


def _inside_a_cell() -> bool:
    """Tell whether pyplot would show a figure below the cell that is running.

    A widget's callback may run on another thread, and whoever calls from there shows the figure
    in a way of its own.
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if not hasattr(shell, "kernel") or threading.current_thread() is not threading.main_thread():
        return False
    return mpl.get_backend().lower() not in _FOR_FILES_ONLY


def settle(canvas: Canvas) -> None:
    """Give panels that have no ticks or labels their final size."""
    figure = canvas.axes[0].get_figure(root=True)
    engine = figure.get_layout_engine() if figure else None
    if figure and engine:
        engine.execute(figure)


def size_in(ax: Axes) -> tuple[float, float]:
    """Measure a panel."""
    box, dpi = ax.get_window_extent(), ax.figure.dpi
    return box.width / dpi, box.height / dpi


def say_instead(
    ax: Target, panels: int, sentence: str, notes: Sequence[Note], style: Style
) -> Canvas:
    """Make panels that only say why there is nothing to see."""
    canvas = open_canvas(ax, [_SENTENCE_IN] * max(1, panels), notes, style)
    for panel in canvas.axes:
        write_sentence(panel, sentence, style)
    return canvas


def write_sentence(ax: Axes, sentence: str, style: Style) -> None:
    """Say in a panel why there is nothing to see."""
    ax.set_axis_off()
    text = wrap(plain(sentence), max(1.5, 0.8 * size_in(ax)[0]), style.font_pt)
    where: Look = {"transform": ax.transAxes, "ha": "center", "va": "center"}
    ax.text(0.5, 0.5, text, **style.text(color=MUTED), **where)
