"""The rows of a figure, one per level of a tag (and hue), and the axis of a difference below them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.markers import TICKDOWN
from matplotlib.text import Annotation

from helios_research.analysis.prepared import Codes, Floats, PreparedResults
from helios_research.columns import BUCKET_LEVELS
from helios_research.plots.canvas import (
    FAINT,
    INK,
    MUTED,
    OKABE_ITO,
    ORDINAL_RAMP,
    Look,
    Style,
    size_in,
    write_beside,
)
from helios_research.plots.marks import LEVEL_NAMES, draw_estimates
from helios_research.plots.text import (
    MINUS,
    Labels,
    fit_names,
    plain,
    shown,
)

_HEADER = 0.8

# From how many rows on a row is only so many lines of type high.
_LINES = ((4, 4.4), (8, 3.2), (16, 2.2), (30, 1.6))
_LEAST_LINES = 1.25

# Room for names beside a panel, as a share of its width.
_FOR_NAMES = 0.38


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One group of recordings; ``name`` is its text beside the row, ``y`` its middle."""

    level: str
    name: str
    y: float
    colour: str


@dataclass(frozen=True, slots=True)
class RowLayout:
    """All rows, the headers above them where hue divides them, and each recording's row.

    Heights are in rows: ``depth`` is that of all of them.
    """

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
    def names(self) -> list[str]:
        """All texts beside the rows."""
        return [row.name for row in self.rows] + [name for name, _ in self.headers]

    def height_in(self, style: Style) -> float:
        """Give the height of all rows in inches."""
        return self.depth * self.lines * style.line_in


def lay_out_rows(results: PreparedResults, tag: str, hue: str | None, labels: Labels) -> RowLayout:
    """Give every group that occurs a row."""
    outer = results.levels[tag]
    if hue is None or hue == tag:
        colours = [OKABE_ITO[0 if hue is None else n % len(OKABE_ITO)] for n in range(len(outer))]
        rows = tuple(
            FigureRow(level, shown(level, labels), place + 0.5, colours[place])
            for place, level in enumerate(outer.labels)
        )
        return RowLayout(rows, (), float(len(rows)), outer.codes)
    inner = results.levels[hue]
    found, codes = np.unique(outer.codes * len(inner) + inner.codes, return_inverse=True)
    under: list[FigureRow] = []
    headers: list[tuple[str, float]] = []
    y = 0.0
    for pair in found:
        level, by_level = divmod(int(pair), len(inner))
        if not under or under[-1].level != outer.labels[level]:
            headers.append((shown(outer.labels[level], labels), y + _HEADER / 2))
            y += _HEADER
        name, colour = shown(inner.labels[by_level], labels), OKABE_ITO[by_level % len(OKABE_ITO)]
        under.append(FigureRow(outer.labels[level], name, y + 0.5, colour))
        y += 1
    return RowLayout(tuple(under), tuple(headers), y, codes.astype(np.intp))


def _name_rows(ax: Axes, layout: RowLayout, style: Style) -> None:
    size = style if layout.lines >= 1.3 else style.small
    limit = _FOR_NAMES * size_in(ax)[0]
    most = max(1, int(layout.lines / 1.2))
    places = [row.y for row in layout.rows] + [y for _, y in layout.headers]
    labels = fit_names([plain(row.name) for row in layout.rows], limit, size.font_pt, most)
    labels += fit_names([plain(name) for name, _ in layout.headers], limit, size.font_pt)
    ax.set_yticks(places, labels, **size.text())
    for label in ax.get_yticklabels()[len(layout.rows) :]:
        label.set_fontweight("bold")
    ax.tick_params(axis="y", length=0)
    # There is no label to find a place for, which would take measuring every name again.
    ax.yaxis.set_label_coords(0, 0.5)


def write_rows(ax: Axes, layout: RowLayout, counts: Sequence[str], style: Style) -> None:
    """Write the rows' names to their left and their numbers of recordings and participants right."""
    _name_rows(ax, layout, style)
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
    return write_beside(ax, text, (1, y), (style.font_pt, 0), **look)


# --- the axis of a difference ----------------------------------------------------------------------

# All heights here are in lines of type, from the axis of the rows downwards: its ticks and label,
# the estimates, their ruler with its ticks and label.
DIFFERENCE_LINES = 9.2
_ESTIMATES = 3.8
_RULER = 6.8


def draw_difference_axis(
    ax: Axes,
    layout: RowLayout,
    pair: Sequence[FigureRow],
    means: Sequence[float],
    difference: pd.DataFrame,
    style: Style,
) -> None:
    """Draw the difference of a pair of rows, as ``analysis.differences_by_tag`` gives it.

    ``means`` are those of the pair, empty for a bucketed biomarker.
    """
    columns = ["difference", "difference_low", "difference_high"]
    numbers = difference[columns].to_numpy(dtype=np.float64).T
    top, middle, bottom = (
        layout.depth + lines / layout.lines
        for lines in (_ESTIMATES - 0.7, (_ESTIMATES + _RULER) / 2, _RULER)
    )
    if means:
        # Under the means, with zero under the first of them (Gardner & Altman 1986).
        for row, mean, end in zip(pair, means, (bottom, middle), strict=True):
            look: Look = {"color": MUTED, "linewidth": 0.1 * style.font_pt, "zorder": 3}
            # Broken where the ticks and the label of the rows' axis are.
            ax.plot([mean, mean], [row.y, layout.depth], ":", **look)
            ax.plot([mean, mean], [top, end], ":", **look)
        estimates = means[0] + numbers
        draw_estimates(ax, np.array([middle]), estimates, np.array([False]), style)
        wide = np.ptp(numbers[1:]) > 0.1 or abs(numbers[0, 0]) > 0.1
        _draw_ruler(ax, "Difference of means", (means[0], bottom), 0.2 if wide else 0.1, 1.0, style)
        beside_row(ax, middle, _interval(numbers[:, 0], 2), style)
    else:
        look = {"color": MUTED, "linewidth": 0.11 * style.font_pt, "zorder": 3}
        ax.plot([50, 50], [top, bottom], ":", **look)
        _draw_shares(ax, layout, 100 * numbers, style)
        _draw_ruler(ax, "Difference (percentage points)", (50, bottom), 20, 100, style)
    small = style.small
    limit = 0.9 * _FOR_NAMES * size_in(ax)[0]
    names = fit_names([plain(row.name) for row in pair], limit, small.font_pt)
    where: Look = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center"}
    ax.text(-0.01, middle, f"{names[1]}\n{MINUS} {names[0]}", **small.text(**where))


def _draw_shares(ax: Axes, layout: RowLayout, percent: Floats, style: Style) -> None:
    """Draw the differences of the four proportions, each on a line of its own."""
    for place, level in enumerate(BUCKET_LEVELS):
        lines = _ESTIMATES + (_RULER - _ESTIMATES) * place / len(BUCKET_LEVELS)
        y = layout.depth + lines / layout.lines
        value, low, high = percent[:, place]
        line: Look = {"color": INK, "linewidth": 0.11 * style.font_pt, "zorder": 3}
        ax.plot([50 + low, 50 + high], [y, y], **line)
        look: Look = {"markerfacecolor": ORDINAL_RAMP[level], "markeredgecolor": INK}
        ax.plot([50 + value], [y], "o", markersize=0.55 * style.font_pt, zorder=4, **look)
        beside_row(ax, y, f"{_interval(percent[:, place], 0)} {LEVEL_NAMES[level]}", style)


def _draw_ruler(
    ax: Axes, name: str, origin: tuple[float, float], step: float, unit: float, style: Style
) -> None:
    """Draw an axis of differences with its zero at a place of the panel."""
    zero, y = origin
    low, high = max(-0.5 * unit, -zero), min(0.5 * unit, unit - zero)
    ticks = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    ax.plot([zero + low, zero + high], [y, y], color=MUTED, linewidth=0.09 * style.font_pt)
    look: Look = {"color": MUTED, "markersize": 0.3 * style.font_pt, "linestyle": "none"}
    ax.plot(zero + ticks, np.full(len(ticks), y), marker=TICKDOWN, **look)
    centred: Look = {"ha": "center", "va": "top"}
    for tick in ticks:
        text = "0" if abs(tick) < 1e-9 else f"{tick:+g}".replace("-", MINUS)
        away = 0, -0.5 * style.font_pt
        write_beside(ax, text, (zero + tick, y), away, **style.small.text(**centred))
    look = style.text(xycoords=ax.get_yaxis_transform(), **centred)
    write_beside(ax, name, (0.5, y), (0, -1.8 * style.font_pt), **look)


def _interval(numbers: Floats, digits: int) -> str:
    each = [f"{number:+.{digits}f}" if round(number, digits) else "0" for number in numbers]
    return "{} [{}, {}]".format(*each).replace("-", MINUS)
