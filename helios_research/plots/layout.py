"""Where recordings are in a figure: a row for each level of a tag, or bins along an x axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from helios_research.analysis.levels import Levels
from helios_research.analysis.prepared import Codes, Floats, PreparedResults, times_from
from helios_research.plots import canvas, marks
from helios_research.plots.canvas import FAINT, MUTED, Look, Style, size_in
from helios_research.plots.text import MINUS, Labels, fit_names, shown, width_in

# --- rows, and the axis of a difference below them --------------------------------------------------

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
    limit, most_lines = _FOR_NAMES * size_in(ax)[0], max(1, int(layout.lines / 1.2))
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
    marks.mark_differences(own.xaxis, *ends, small, size_in(ax)[0])
    sides = zip(found["end"], found["start"], strict=True)
    own.set_yticks(places, [_difference_name(ax, *pair, small) for pair in sides], **small.text())
    own.tick_params(axis="y", length=0)
    for y, (value, low, high) in zip(places, numbers.T, strict=True):
        interval = "" if np.isnan(low) else f" [{marks.signed(low)}, {marks.signed(high)}]"
        beside_row(own, y, marks.signed(value) + interval, style)


def _difference_name(ax: Axes, end: str, start: str, small: Style) -> str:
    """Name a difference in one line, or in two with the minus in the first, so that it is no sign."""
    limit = _FOR_NAMES * size_in(ax)[0]
    name = f"{end} {MINUS} {start}"
    if width_in(name, small.font_pt) <= limit:
        return name
    return f" {MINUS}\n".join(fit_names([end, start], 0.9 * limit, small.font_pt))


# --- bins along an x axis of visits, dates or hours -------------------------------------------------

MOST_BINS = 40

# Between two labels, as a share of the widest.
_LABEL_GAP = 0.2
# A name in words is broken into lines where this share of the distance of neighbours has room for
# so many letters, and else turned.
_ROOM, _LETTERS, _MOST_LINES, _TURNED_IN_LINES = 0.96, 7, 3, 10.0


@dataclass(frozen=True, slots=True)
class BinnedAxis:
    """Where each recording is along an axis (``x``), and in which bin; ``words``: names, no numbers."""

    x: Floats
    bins: Codes
    centres: Floats
    names: tuple[str, ...]
    label: str
    words: bool = False

    @property
    def step(self) -> float:
        """Distance of neighbouring bins."""
        return float(np.diff(np.sort(self.centres)).min()) if len(self.centres) > 1 else 1.0


def by_hours(hours: Floats) -> BinnedAxis:
    """Divide hours into bins of two, or of four where they reach beyond a day."""
    width = 2 if hours.max(initial=0) <= 24 else 4
    found, bins = np.unique((hours // width).astype(np.intp), return_inverse=True)
    names = tuple(f"{width * start}\N{EN DASH}{width * (start + 1)}" for start in found)
    centres = width * (found.astype(np.float64) + 0.5)
    return BinnedAxis(hours, bins, centres, names, "Hours since waking")


def by_time(days: Floats, label: str) -> BinnedAxis:
    """Divide dates into days, weeks or months, the first of them that makes at most 40 bins."""
    first = np.floor(days.min())
    span = days.max() - first
    width, unit = next(
        (width, unit)
        for width, unit in ((1, "day"), (7, "week"), (30, "30 days"), (365, "year"), (1e9, "all"))
        if span / width < MOST_BINS
    )
    found, bins = np.unique(np.floor((days - first) / width), return_inverse=True)
    starts = times_from(first + width * found)
    with_year = "%d %b %Y" if starts[0].year != starts[-1].year else "%d %b"
    names = tuple(start.strftime(with_year).lstrip("0") for start in starts)
    middle = first + width * (found + 0.5)
    return BinnedAxis(days, bins, middle, names, f"{label} (by {unit})")


def by_level(levels: Levels, label: str, labels: Labels = None) -> BinnedAxis:
    """Place levels at their numbers, or one after another where they are words."""
    numbers = levels.numbers()
    names = tuple(shown(level, labels) for level in levels.labels)
    # Levels that are not in the order of their numbers are in an order of the user's.
    if not np.isfinite(numbers).all() or not (np.diff(numbers) > 0).all():
        x = levels.codes.astype(np.float64)
        centres = np.arange(len(levels), dtype=float)
        return BinnedAxis(x, levels.codes, centres, names, label, words=True)
    x = numbers[levels.codes]
    if len(levels) <= MOST_BINS:
        return BinnedAxis(x, levels.codes, numbers, names, label, words=names != levels.labels)
    edges = np.linspace(numbers.min(), numbers.max(), 31)
    found, bins = np.unique(np.digitize(x, edges[1:-1]), return_inverse=True)
    centres = (edges[found] + edges[found + 1]) / 2
    names = tuple(f"{centre:.3g}".replace("-", MINUS) for centre in centres)
    return BinnedAxis(x, bins, centres, names, label)


def inches_per_unit(ax: Axes) -> float:
    """Measure one unit of the x axis; names to the left of it will take a part of its room."""
    low, high = ax.get_xlim()
    return 0.9 * size_in(ax)[0] / (high - low)


def label_bins(ax: Axes, axis: BinnedAxis, style: Style) -> None:
    """Name bins below a panel: of numbers and times as many as have room; words broken or turned."""
    small = style.small
    unit_in = inches_per_unit(ax)
    room_in = _ROOM * axis.step * unit_in
    widest_in = max(width_in(name, small.font_pt) for name in axis.names)
    turned = axis.words and room_in < min(widest_in, width_in("n" * _LETTERS, small.font_pt))
    names, apart_in = list(axis.names), (1 + _LABEL_GAP) * widest_in
    if turned:
        names = fit_names(names, _TURNED_IN_LINES * small.line_in, small.font_pt)
        apart_in = small.line_in
    elif axis.words:
        names, apart_in = fit_names(names, room_in, small.font_pt, _MOST_LINES), 0.0
    bins = spaced(axis.centres * unit_in, apart_in)
    look = small.text(rotation=90 if turned else 0)
    ax.set_xticks(axis.centres[bins], [names[place] for place in bins], **look)
    ax.set_xlabel(axis.label, **style.text())


def write_counts(ax: Axes, axis: BinnedAxis, counts: Codes, y: float, style: Style) -> None:
    """Write a number for each bin that is named, as many as have room."""
    look = style.small.text(ha="center", va="center_baseline", in_layout=False)
    texts = [f"{count:,}" for count in counts]
    widest_in = max(width_in(text, style.small.font_pt) for text in texts)
    named = np.flatnonzero(np.isin(axis.centres, ax.get_xticks()))
    for place in named[
        spaced(axis.centres[named] * inches_per_unit(ax), (1 + _LABEL_GAP) * widest_in)
    ]:
        ax.text(axis.centres[place], y, texts[place], **look)


def spaced(places_in: Floats, apart_in: float) -> list[int]:
    """Choose places that are far enough from each other, from the first on."""
    kept: list[int] = []
    for number in np.argsort(places_in, kind="stable"):
        if not kept or places_in[number] - places_in[kept[-1]] >= apart_in - 1e-9:
            kept.append(int(number))
    return sorted(kept)
