"""The rows of a figure, one per level of a tag (and hue), and the axis of a difference below them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from helios_research.analysis.levels import Levels
from helios_research.analysis.prepared import Codes, Floats, PreparedResults
from helios_research.plots import canvas, marks
from helios_research.plots.canvas import FAINT, MUTED, Look, Style
from helios_research.plots.text import MINUS, Labels, fit_names, shown, width_in

# Height of a header in rows; up to how many rows a row is so many lines of type high.
_HEADER = 0.8
_LINES, _LEAST_LINES = ((4, 4.4), (8, 3.2), (16, 2.2), (30, 1.6)), 1.25
# Room for names beside a panel, as a share of its width.
_FOR_NAMES = 0.38
# In lines of type, from the axis of the rows downwards: its ticks and label, then each difference.
_TO_DIFFERENCES, _PER_DIFFERENCE = 3.6, 2.0


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One group of recordings; ``name`` is its text beside the row, ``y`` its middle."""

    level: str
    name: str
    y: float
    colour: str


@dataclass(frozen=True, slots=True)
class RowLayout:
    """All rows, the headers above them where hue divides them, and each recording's row (``codes``)."""

    rows: tuple[FigureRow, ...]
    headers: tuple[tuple[str, float], ...]
    depth: float
    codes: Codes

    @property
    def lines(self) -> float:
        """Height of a row in lines of type: the more rows, the less."""
        fitting = (lines for most, lines in _LINES if len(self.rows) <= most)
        return next(fitting, _LEAST_LINES)

    @property
    def tall(self) -> bool:
        """Whether a row has room for the distribution above its points."""
        return self.lines >= 3

    @property
    def places(self) -> Floats:
        """Where the rows are."""
        return np.array([row.y for row in self.rows])

    @property
    def names(self) -> list[str]:
        """All texts beside the rows."""
        return [row.name for row in self.rows] + [name for name, _ in self.headers]

    def height_in(self, style: Style) -> float:
        """Give the height of all rows in inches."""
        return self.depth * self.lines * style.line_in


def lay_out_rows(
    results: PreparedResults,
    tag: str,
    hue: str | None,
    labels: Labels,
    palette: Sequence[str] = canvas.OKABE_ITO,
) -> RowLayout:
    """Give every group that occurs a row."""
    outer = results.levels[tag]
    divided = hue is not None and hue != tag
    inner = results.levels[str(hue)] if divided else Levels(np.zeros_like(outer.codes), ("",), "")
    found, codes = np.unique(outer.codes * len(inner) + inner.codes, return_inverse=True)
    rows: list[FigureRow] = []
    headers: list[tuple[str, float]] = []
    y = 0.0
    for pair in found:
        place, own = divmod(int(pair), len(inner))
        level = outer.labels[place]
        if divided and (not rows or rows[-1].level != level):
            headers.append((shown(level, labels), y + _HEADER / 2))
            y += _HEADER
        name, number = (inner.labels[own], own) if divided else (level, place if hue else 0)
        colour = palette[number % len(palette)]
        rows.append(FigureRow(level, shown(name, labels), y + 0.5, colour))
        y += 1
    return RowLayout(tuple(rows), tuple(headers), y, codes.astype(np.intp))


def write_rows(ax: Axes, layout: RowLayout, counts: Sequence[str], style: Style) -> None:
    """Write the rows' names to their left and their numbers of recordings and participants right."""
    size = style if layout.lines >= 1.3 else style.small
    limit, most_lines = _FOR_NAMES * canvas.size_in(ax)[0], max(1, int(layout.lines / 1.2))
    names = fit_names(layout.names, limit, size.font_pt, most_lines)
    ax.set_yticks([*layout.places, *(y for _, y in layout.headers)], names, **size.text())
    ax.tick_params(axis="y", length=0)
    # There is no label to find a place for, which would take measuring every name again.
    ax.yaxis.set_label_coords(0, 0.5)
    for label in ax.get_yticklabels()[len(layout.rows) :]:
        label.set_fontweight("bold")
    longest = max(range(len(counts)), key=lambda place: len(counts[place]))
    for place, (row, text) in enumerate(zip(layout.rows, counts, strict=True)):
        # One is enough for the layout to make room for all, and measuring text is slow.
        beside_row(ax, row.y, text, style).set_in_layout(place == longest)
    head = beside_row(ax, layout.depth, "recordings\n(participants)", style)
    head.set(color=MUTED, va="top", position=(style.font_pt, -1.6 * style.font_pt))
    # Lines behind the rows, but not behind what is below them.
    look: Look = {"color": FAINT, "linewidth": 0.06 * style.font_pt, "zorder": 0.5}
    ax.vlines(ax.get_xticks(), 0, layout.depth, **look)


def beside_row(ax: Axes, y: float, text: str, style: Style) -> Annotation:
    """Write something to the right of a row."""
    look: Look = style.small.text(xycoords=ax.get_yaxis_transform(), va="center")
    return canvas.write_beside(ax, text, (1, y), (style.font_pt, 0), **look)


def difference_lines(count: int) -> float:
    """Give the height of so many differences below the rows, in lines of type."""
    return _TO_DIFFERENCES + _PER_DIFFERENCE * count if count else 0.0


def draw_differences(
    ax: Axes,
    layout: RowLayout,
    found: pd.DataFrame,
    origin: tuple[float, float] | None,
    style: Style,
) -> None:
    """Draw differences (``value``, from ``start`` to ``end``) on an axis of their own below the rows.

    Its zero is below the mean that they start from, the ``origin`` (x and y; Gardner & Altman
    1986). Without an origin they are P(higher) - P(lower).
    """
    numbers, count, small = marks.estimates(found, "value"), len(found), style.small
    own = ax.inset_axes((0, 0, 1, _PER_DIFFERENCE * count / layout.lines / ax.get_ylim()[0]))
    canvas.style_axes(own, "", style)
    own.patch.set_visible(False)
    places = np.arange(0.5, count)
    marks.draw_estimates(own, places, numbers, style)
    dotted: Look = {"color": MUTED, "linewidth": 0.1 * style.font_pt, "linestyle": ":", "zorder": 3}
    own.axvline(0, **dotted)
    if origin is None:
        own.set_xlabel(f"P(higher) {MINUS} P(lower)", **style.text())
        furthest = np.nanmax(np.abs(numbers))
        half = 1.02 * next(part for part in (0.2, 0.4, 0.6, 1.0) if furthest <= part or part == 1)
        ends = -half, half
    else:
        own.set_xlabel("Difference", **style.text())
        ax.plot([origin[0]] * 2, [origin[1], layout.depth], **dotted)
        ends = ax.get_xlim()[0] - origin[0], ax.get_xlim()[1] - origin[0]
    own.set(xlim=ends, ylim=(count, 0))
    marks.mark_differences(own.xaxis, *ends, small, canvas.size_in(ax)[0])
    sides = zip(found["end"], found["start"], strict=True)
    own.set_yticks(places, [_difference_name(ax, *pair, small) for pair in sides], **small.text())
    own.tick_params(axis="y", length=0)
    for y, (value, low, high) in zip(places, numbers.T, strict=True):
        interval = "" if np.isnan(low) else f" [{marks.signed(low)}, {marks.signed(high)}]"
        beside_row(own, y, marks.signed(value) + interval, style)


def _difference_name(ax: Axes, end: str, start: str, small: Style) -> str:
    """Name a difference in one line, or in two with the minus in the first, so that it is no sign."""
    limit = _FOR_NAMES * canvas.size_in(ax)[0]
    name = f"{end} {MINUS} {start}"
    if width_in(name, small.font_pt) <= limit:
        return name
    return f" {MINUS}\n".join(fit_names([end, start], 0.9 * limit, small.font_pt))
