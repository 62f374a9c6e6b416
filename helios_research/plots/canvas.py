"""How every figure looks: sizes, fonts and colours, for a paper's column, its page, or a slide."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from PIL import Image

from helios_research._util.screen import in_notebook
from helios_research.columns import BUCKET_LEVELS
from helios_research.errors import ResultsError
from helios_research.plots.text import font_families, plain, wrap

INK, MUTED, FAINT, BAND, PAPER = "#1a1a1a", "#595959", "#d9d9d9", "#ebebeb", "#ffffff"

# Properties of an artist, by the names of its keyword arguments.
Look = dict[str, Any]

# Okabe & Ito 2008, "Color Universal Design": distinct with any kind of colour vision. Ordered so
# that neighbours differ in lightness too; their yellow is too pale for points on white paper.
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")

# They distinguish as many groups where colour does not, such as on a grey print.
MARKS = ("o", "s", "^", "D", "v", "<", ">")

# One hue from light to dark, so that the order of the four levels survives a black and white print.
ORDINAL_RAMP = dict(zip(BUCKET_LEVELS, ("#dbe9f6", "#94c4df", "#3a83b8", "#08306b"), strict=True))
TEXT_ON_RAMP = dict(zip(BUCKET_LEVELS, (INK, INK, PAPER, PAPER), strict=True))


@dataclass(frozen=True, slots=True)
class Style:
    """The size of a figure and of its type.

    Attributes
    ----------
    width_in
        Width of the whole figure in inches.
    font_pt
        Size of labels in points.
    panels_per_row
        How many biomarkers are beside each other where there are several.
    dpi
        Dots per inch on the screen and in files that are made of dots.
    """

    width_in: float = 7.0
    font_pt: float = 8.0
    panels_per_row: int = 2
    dpi: float = 150.0

    @property
    def line_in(self) -> float:
        """Height of a line of type in inches."""
        return 1.3 * self.font_pt / 72

    @property
    def small(self) -> "Style":
        """The style for what is beside the main thing, such as counts and notes."""
        return replace(self, font_pt=0.875 * self.font_pt)

    def text(self, **more: Any) -> Look:
        """Give the properties of a text, in which ``$`` and ``_`` are only characters.

        Parameters
        ----------
        **more
            Further properties of ``matplotlib.text.Text``.

        Returns
        -------
        dict
            Keyword arguments for matplotlib.
        """
        type_: Look = {"fontsize": self.font_pt, "fontfamily": list(font_families()), "color": INK}
        return {"parse_math": False, "usetex": False, **type_, **more}


COLUMN = Style(width_in=3.5, font_pt=7.0, panels_per_row=1, dpi=200.0)
PAGE = Style()
SLIDE = Style(width_in=12.0, font_pt=17.0, panels_per_row=2, dpi=110.0)


def colours_of(palette: Sequence[str] | None) -> tuple[str, ...]:
    """Check the colours that were asked for."""
    given = (palette,) if isinstance(palette, str) else tuple(palette or OKABE_ITO)
    wrong = [colour for colour in given if not is_color_like(colour)]
    if wrong:
        message = (
            f"The palette has {wrong[0]!r}, which is no colour: use names such as 'teal' or codes "
            "such as '#0072B2'."
        )
        raise ResultsError(message)
    return given


def style_axes(ax: Axes, title: str, style: Style, *, grid_y: bool = False) -> None:
    """Remove from an Axes what carries no information; set its title, lines and type."""
    ax.set_facecolor(PAPER)
    for side, spine in ax.spines.items():
        spine.set_visible(side == ("left" if grid_y else "bottom"))
        spine.set(color=MUTED, linewidth=0.09 * style.font_pt)
    size: Look = {"length": 0.3 * style.font_pt, "width": 0.09 * style.font_pt}
    ink: Look = {"color": MUTED, "labelcolor": INK, "labelsize": style.font_pt}
    ax.tick_params(which="both", left=grid_y, bottom=True, **size, **ink)
    ax.grid(visible=False)
    if grid_y:
        ax.grid(visible=True, axis="y", color=FAINT, linewidth=0.06 * style.font_pt)
    ax.set_axisbelow(True)
    set_title(ax, title, style)


def set_title(ax: Axes, title: str, style: Style, *, pad: float | None = None) -> None:
    """Write the title of a panel above its left edge."""
    # With a fixed place, matplotlib need not measure what might be in its way.
    ax.set_title(title, loc="left", y=1.0, pad=pad, **style.text(fontweight="bold"))


def write_beside(
    ax: Axes, text: str, xy: tuple[float, float], away_pt: tuple[float, float], **look: Any
) -> Annotation:
    """Write a text so many points away from a place."""
    given: Look = {"textcoords": "offset points", "annotation_clip": False, **look}
    return ax.annotate(text, xy=xy, xytext=away_pt, **given)


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


@dataclass(frozen=True, slots=True)
class Footnote:
    """A sentence below the figure; a hidden one is only in the label of the Axes."""

    text: str
    stands_out: bool = False
    hidden: bool = False


def as_asked(axes: Sequence[Axes], biomarkers: object) -> Axes | NDArray[np.object_]:
    """Give the panels in the form in which biomarkers were asked for."""
    return axes[0] if isinstance(biomarkers, str) else np.array(axes, dtype=object)


def open_canvas(
    ax: Target, heights_in: Sequence[float], notes: Sequence[Footnote], style: Style
) -> tuple[Axes, ...]:
    """Make the panels of a figure, with its caption as their label, and write its notes below."""
    written = [note for note in notes if not note.hidden]
    if isinstance(ax, Axes) and len(heights_in) > 1:
        message = (
            f"{len(heights_in)} panels do not fit into one Axes: give a whole Figure as ax, or "
            "leave ax out."
        )
        raise ResultsError(message)
    axes = (ax,) if isinstance(ax, Axes) else _open_panels(ax, heights_in, written, style)
    if isinstance(ax, Axes):
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
    lines = _wrapped(notes, width - 2 * margin, style.small)
    notes_in = sum(_height_in(note, style) for note in lines)
    notes_in += _GAP * style.line_in if lines else 0
    figure = given if given is not None else _new_figure(style, sum(rows) + notes_in)
    foot = min(0.6, notes_in / figure.get_size_inches()[1])
    pads: Look = {"w_pad": margin, "h_pad": margin, "wspace": 0.02, "hspace": 0.02}
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0, foot, 1, 1 - foot), **pads))
    # About where the layout will put the panels, for what is measured before.
    bottom, top = (foot + share * (1 - foot) for share in (0.1, 0.9))
    grid = figure.add_gridspec(len(rows), columns, height_ratios=rows, bottom=bottom, top=top)
    height, y = figure.get_size_inches()[1], margin
    for note in reversed(lines):
        figure.text(margin / width, y / height, note.text, va="bottom", **_look(note, style))
        y += _height_in(note, style)
    places = range(len(heights_in))
    return tuple(figure.add_subplot(grid[divmod(place, columns)]) for place in places)


def _wrapped(notes: Sequence[Footnote], width_in: float, small: Style) -> list[Footnote]:
    wrapped = []
    for note in notes:
        limit = width_in * (_SAFE_BOLD if note.stands_out else _SAFE)
        wrapped.append(replace(note, text=wrap(plain(note.text), limit, small.font_pt)))
    return wrapped


def _height_in(note: Footnote, style: Style) -> float:
    return (note.text.count("\n") + 1.25) * style.small.line_in


def _write_below(ax: Axes, notes: Sequence[Footnote], style: Style) -> None:
    """Hang the notes below all else of a given Axes, where any layout makes room for them."""
    y = -0.8 * style.font_pt
    for note in _wrapped(notes, max(1.5, size_in(ax)[0]), style.small):
        where: Look = {"xycoords": (ax.transAxes, partial(_outline, ax)), "va": "top"}
        write_beside(ax, note.text, (0, 0), (0, y), **where, **_look(note, style))
        y -= 72 * _height_in(note, style)


def _outline(ax: Axes, renderer: RendererBase) -> Bbox:
    """Measure an Axes with its x axis and the Axes inside it."""
    parts = [child.get_tightbbox(renderer) for child in ax.child_axes]
    parts += [ax.xaxis.get_tightbbox(renderer)] if ax.axison else []
    return Bbox.union([ax.bbox, *(part for part in parts if part is not None)])


def _look(note: Footnote, style: Style) -> Look:
    colour, weight = (INK, "bold") if note.stands_out else (MUTED, "normal")
    return style.small.text(color=colour, fontweight=weight, ha="left", linespacing=1.25)


def _new_figure(style: Style, height_in: float) -> Figure:
    look: Look = {"figsize": (style.width_in, height_in), "dpi": style.dpi, "facecolor": PAPER}
    if not _inside_a_cell():
        return Figure(**look)
    # Imported only here: nothing else of the package touches pyplot.
    from matplotlib import pyplot as plt

    before = plt.gcf() if plt.get_fignums() else None
    figure = plt.figure(**look)
    if before is not None:
        plt.figure(before)
    return figure


def _inside_a_cell() -> bool:
    """Check whether pyplot would show a figure below the cell that is running."""
    # Code on another thread, such as a widget's callback, shows its figure itself.
    if not in_notebook() or threading.current_thread() is not threading.main_thread():
        return False
    return mpl.get_backend().lower() not in _FOR_FILES_ONLY


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
