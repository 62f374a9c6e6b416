"""The panels of a figure, which recordings they show, and the notes below them."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from PIL import Image

from helios_research._util.screen import in_notebook
from helios_research._util.text import counted
from helios_research.analysis.prepared import (
    Flags,
    PreparedResults,
    Results,
    count_reasons,
    prepare,
)
from helios_research.errors import ResultsError
from helios_research.plots.looks import INK, MUTED, PAPER, Look, Style, listed, plain, wrap

Target = Axes | Figure | None

# Backends of matplotlib that show nothing.
_FOR_FILES_ONLY = frozenset({"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"})
# Space around the figure, between its panels and above its notes, in lines of type.
_MARGIN, _GAP = 0.5, 0.6
# Height of a panel that holds only a sentence.
_SENTENCE_IN = 1.5
# Letters are rounded to whole dots, so a line is up to an eighth wider in one file than in another;
# bold type is a tenth wider.
_SAFE, _SAFE_BOLD = 0.86, 0.78

NO_SCORE = "No recording has a score to draw."

MOST_ROWS = 60

# Orders that a reader cannot see in the names of the levels.
_ORDERED_BY_DATA = ("recording time", "first appearance")


@dataclass(frozen=True, slots=True)
class Footnote:
    """A sentence below the figure; a hidden one is only in the label of the Axes."""

    text: str
    stands_out: bool = False
    hidden: bool = False


# --- which recordings are shown --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Selection:
    """The recordings behind a figure, among all results; ``caption``: whether it is written."""

    results: PreparedResults
    shown: Flags
    reasons: "pd.Series[str]"
    caption: bool

    @property
    def recordings(self) -> int:
        """Recordings shown."""
        return int(self.shown.sum())

    def rows(self) -> PreparedResults:
        """Take the recordings shown, numbered from 0, with the levels that they have."""
        return self.results.subset(self.shown)

    def without(self, rows: Flags, reason: str) -> "Selection":
        """Leave out more rows."""
        gone = self.shown & rows
        return replace(self, shown=self.shown & ~rows, reasons=self.reasons.mask(gone, reason))

    def notes(self, *about: str | None, first: Sequence[str] = ()) -> list[Footnote]:
        """Write what is below the figure: how to read it, then which recordings it shows."""
        flagged = (self.shown & self.results.flagged).any()
        note = self.rows().flagged_note if flagged else None
        written = about, (self._count(), note, self._ordered())
        texts = [*first, *(" ".join(filter(None, sentences)) for sentences in written)]
        return footnotes(texts, self.results, caption=self.caption)

    def _count(self) -> str:
        total = counted(len(self.shown), "recording")
        known = self.results.people[self.shown & (self.results.people >= 0)]
        people = counted(len(np.unique(known)), "participant")
        if self.shown.all():
            return f"n = {total} from {people}."
        why = listed(count_reasons(self.reasons))
        return f"n = {self.recordings:,} of {total}, from {people}; not shown: {why}."

    def _ordered(self) -> str | None:
        """Say what the order of levels is taken from, where it is not theirs."""
        found = [
            f"{name} in the order of {levels.ordered_by.removeprefix('known words, then ')}"
            for name, levels in self.results.levels.items()
            if levels.ordered_by.endswith(_ORDERED_BY_DATA) and len(levels) > 1
        ]
        return f"Levels of {' and '.join(found)}." if found else None


def footnotes(
    texts: Iterable[str | None], results: PreparedResults, *, caption: bool
) -> list[Footnote]:
    """Make footnotes of texts, hidden without a caption; that scores are synthetic never is."""
    notes = [Footnote(text, hidden=not caption) for text in texts if text]
    synthetic = results.source_note
    return [*notes, Footnote(synthetic, stands_out=True)] if synthetic else notes


def select(
    results: Results,
    biomarkers: str | Sequence[str] | None,
    groups: Iterable[str | None] = (),
    *,
    needs: Sequence[str] = (),
    order: Sequence[str] | None = None,
    caption: bool = True,
) -> Selection:
    """Prepare results and take the recordings with a score of a biomarker."""
    prepared = prepare(results, groups, biomarkers=biomarkers, needs=needs, order=order)
    reasons = prepared.missing_reasons(~prepared.has_score)
    if not prepared.names:
        reasons[:] = "no biomarker chosen"
    return Selection(prepared, prepared.has_score, reasons, caption)


def keep_levels(
    selection: Selection, column: str, most: int = MOST_ROWS, within: str | None = None
) -> Selection:
    """Keep the levels with most recordings that have room; ``within`` is a column that divides them."""
    levels = selection.results.levels[column]
    counts = np.bincount(levels.codes[selection.shown], minlength=len(levels))
    rows_each = (counts > 0).astype(np.intp)
    if within not in (None, column):
        inner = selection.results.levels[str(within)]
        pairs = np.unique((levels.codes * len(inner) + inner.codes)[selection.shown])
        rows_each = np.bincount(pairs // len(inner), minlength=len(levels))
    largest = np.argsort(-counts, kind="stable")
    fits = int(np.searchsorted(np.cumsum(rows_each[largest]), most, side="right"))
    kept = largest[: max(1, fits)]
    left_out = int(np.count_nonzero(counts)) - int(np.count_nonzero(counts[kept]))
    if not left_out:
        return selection
    rows = ~np.isin(levels.codes, kept)
    return selection.without(rows, f"at {counted(left_out, 'other level')} of {column}")


# --- panels and notes -------------------------------------------------------------------------------


def write_beside(
    ax: Axes, text: str, xy: tuple[float, float], away_pt: tuple[float, float], **look: Any
) -> Annotation:
    """Write a text so many points away from a place."""
    given: Look = {"textcoords": "offset points", "annotation_clip": False, **look}
    return ax.annotate(text, xy=xy, xytext=away_pt, **given)


def open_canvas(
    ax: Target, heights_in: Sequence[float], notes: Sequence[Footnote], style: Style
) -> tuple[Axes, ...]:
    """Make the panels of a figure, with its caption as their label, and write its notes below."""
    written = [note for note in notes if not note.hidden]
    if not isinstance(ax, Axes):
        axes = _open_panels(ax, heights_in, written, style)
    elif len(heights_in) > 1:
        message = (
            f"{len(heights_in)} panels do not fit into one Axes: give a whole Figure as ax, or "
            "leave ax out."
        )
        raise ResultsError(message)
    else:
        axes = (ax,)
        _write_below(ax, written, style)
    for own in axes:
        own.set_label("\n".join(plain(note.text) for note in notes if not note.stands_out))
    return axes


def _open_panels(
    given: Figure | None, heights_in: Sequence[float], notes: Sequence[Footnote], style: Style
) -> tuple[Axes, ...]:
    if given is not None and (given.axes or given.subfigs):
        message = "The Figure given as ax is not empty: give an empty one, or one of its Axes."
        raise ResultsError(message)
    columns = min(style.panels_per_row, len(heights_in))
    rows = [max(heights_in[at : at + columns]) for at in range(0, len(heights_in), columns)]
    margin = _MARGIN * style.line_in
    width = style.width_in if given is None else given.get_size_inches()[0]
    texts = _laid_out(notes, width - 2 * margin, style)
    notes_in = sum(own_in for _, own_in, _ in texts) + (_GAP * style.line_in if texts else 0)
    figure = given if given is not None else _new_figure(style, sum(rows) + notes_in)
    height = figure.get_size_inches()[1]
    foot = min(0.6, notes_in / height)
    pads: Look = {"w_pad": margin, "h_pad": margin, "wspace": 0.02, "hspace": 0.02}
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0, foot, 1, 1 - foot), **pads))
    # About where the layout will put the panels, for what is measured before.
    bottom, top = (foot + share * (1 - foot) for share in (0.1, 0.9))
    grid = figure.add_gridspec(len(rows), columns, height_ratios=rows, bottom=bottom, top=top)
    y = margin
    for text, own_in, look in reversed(texts):
        figure.text(margin / width, y / height, text, va="bottom", **look)
        y += own_in
    places = range(len(heights_in))
    return tuple(figure.add_subplot(grid[divmod(place, columns)]) for place in places)


def _laid_out(
    notes: Sequence[Footnote], width_in: float, style: Style
) -> list[tuple[str, float, Look]]:
    """Break notes into lines; give each with its height in inches and its look."""
    small, found = style.small, []
    for note in notes:
        safe, colour = (_SAFE_BOLD, INK) if note.stands_out else (_SAFE, MUTED)
        text = wrap(plain(note.text), width_in * safe, small.font_pt)
        weight = "bold" if note.stands_out else "normal"
        look = small.text(color=colour, fontweight=weight, ha="left", linespacing=1.25)
        found.append((text, (text.count("\n") + 1.25) * small.line_in, look))
    return found


def _write_below(ax: Axes, notes: Sequence[Footnote], style: Style) -> None:
    """Hang the notes below all else of a given Axes, where any layout makes room for them."""
    y = -0.8 * style.font_pt
    for text, own_in, look in _laid_out(notes, max(1.5, size_in(ax)[0]), style):
        where: Look = {"xycoords": (ax.transAxes, partial(_outline, ax)), "va": "top"}
        write_beside(ax, text, (0, 0), (0, y), **where, **look)
        y -= 72 * own_in


def _outline(ax: Axes, renderer: RendererBase) -> Bbox:
    """Measure an Axes with its x axis and the Axes inside it."""
    parts = [child.get_tightbbox(renderer) for child in ax.child_axes]
    parts += [ax.xaxis.get_tightbbox(renderer)] if ax.axison else []
    return Bbox.union([ax.bbox, *(part for part in parts if part is not None)])


def _new_figure(style: Style, height_in: float) -> Figure:
    look: Look = {"figsize": (style.width_in, height_in), "dpi": style.dpi, "facecolor": PAPER}
    # Code on another thread, such as a widget's callback, shows its figure itself.
    in_a_cell = in_notebook() and threading.current_thread() is threading.main_thread()
    if not in_a_cell or mpl.get_backend().lower() in _FOR_FILES_ONLY:
        return Figure(**look)
    # Imported only here, for a figure that is shown below the cell that is running.
    from matplotlib import pyplot as plt

    before = plt.gcf() if plt.get_fignums() else None
    figure = plt.figure(**look)
    if before is not None:
        plt.figure(before)
    return figure


def size_in(ax: Axes) -> tuple[float, float]:
    """Measure a panel."""
    box, dpi = ax.get_window_extent(), ax.figure.dpi
    return box.width / dpi, box.height / dpi


def empty_figure(
    ax: Target, panels: int, sentence: str, notes: Sequence[Footnote], style: Style
) -> tuple[Axes, ...]:
    """Make panels with only a sentence that says why there is nothing to see."""
    axes = open_canvas(ax, [_SENTENCE_IN] * max(1, panels), notes, style)
    for panel in axes:
        write_sentence(panel, sentence, style)
    return axes


def as_asked(axes: Sequence[Axes], asked: object) -> Axes | NDArray[np.object_]:
    """Give the panels in the form in which biomarkers were asked for."""
    return axes[0] if isinstance(asked, str) else np.array(axes, dtype=object)


def write_sentence(ax: Axes, sentence: str, style: Style) -> None:
    """Write in a panel why there is nothing to see."""
    ax.set_axis_off()
    text = wrap(plain(sentence), max(1.5, 0.8 * size_in(ax)[0]), style.font_pt)
    where: Look = {"transform": ax.transAxes, "ha": "center", "va": "center"}
    ax.text(0.5, 0.5, text, **style.text(color=MUTED), **where)


def draw_on_another_thread(draw: Callable[[], Any]) -> Any:
    """Draw where a figure is never made through pyplot, which would show it below a cell."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(draw).result()


def to_png(figure: Figure, dpi: float, *, colours: int | None = None) -> bytes:
    """Paint a figure as PNG; a palette of a few ``colours`` makes the file a third as large."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    # Unlike savefig, this draws once.
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib does not type it
    image = Image.fromarray(np.asarray(canvas.buffer_rgba()))  # type: ignore[no-untyped-call]
    painted = BytesIO()
    if colours is None:
        # More compression takes a third of the time for a tenth of the size.
        image.save(painted, format="png", compress_level=2)
    else:
        # Quicker than median cut by far, and smaller. Above 250 it is white but for rounding.
        drawn = image.convert("RGB").quantize(colours, method=Image.Quantize.FASTOCTREE)
        drawn.putpalette([255 if part > 250 else part for part in drawn.getpalette() or []])
        drawn.save(painted, format="png")
    return painted.getvalue()
