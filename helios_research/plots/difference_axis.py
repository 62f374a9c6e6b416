"""The difference of two levels, on an axis below their rows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.markers import TICKDOWN

from helios_research.analysis.prepared import Floats
from helios_research.columns import BUCKET_LEVELS
from helios_research.plots.canvas import INK, MUTED, ORDINAL_RAMP, Look, Style
from helios_research.plots.marks import LEVEL_NAMES, Estimates, draw_estimates
from helios_research.plots.rows import FigureRow, RowLayout, beside_row, room_for_names
from helios_research.plots.text import MINUS, disambiguate, plain, shorten, with_minus

# All heights here are in lines of type, from the axis of the rows downwards: its ticks and label,
# the estimates, their ruler with its ticks and label.
DEPTH_LINES = 9.2
_ESTIMATES = 3.8
_RULER = 6.8


def draw_difference(
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
    bottom = _below(layout, _RULER)
    if means:
        y = _below(layout, (_ESTIMATES + _RULER) / 2)
        for row, mean, end in zip(pair, means, (bottom, y), strict=True):
            look: Look = {"color": MUTED, "linewidth": 0.1 * style.font_pt, "zorder": 3}
            # Broken where the ticks and the label of the rows' axis are.
            ax.plot([mean, mean], [row.y, layout.depth], ":", **look)
            ax.plot([mean, mean], [_below(layout, _ESTIMATES - 0.7), end], ":", **look)
        _draw_means(ax, y, bottom, means[0], numbers, style)
    else:
        look = {"color": MUTED, "linewidth": 0.11 * style.font_pt, "zorder": 3}
        ax.plot([50, 50], [_below(layout, _ESTIMATES - 0.7), bottom], ":", **look)
        _draw_shares(ax, layout, bottom, 100 * numbers, style)
    _write_pair(ax, pair, _below(layout, (_ESTIMATES + _RULER) / 2), style)


def _draw_means(
    ax: Axes, y: float, bottom: float, first: float, numbers: Floats, style: Style
) -> None:
    """Draw a difference of means under the means, zero under the first (Gardner & Altman 1986)."""
    value, low, high = first + numbers
    draw_estimates(ax, np.array([y]), Estimates(value, low, high, np.array([False])), style)
    wide = np.ptp(numbers[1:]) > 0.1 or abs(numbers[0, 0]) > 0.1
    _draw_ruler(ax, first, bottom, style, step=0.2 if wide else 0.1, unit=1.0)
    _write_name(ax, "Difference of means", bottom, style)
    beside_row(ax, y, _interval(numbers[:, 0], 2), style)


def _draw_shares(ax: Axes, layout: RowLayout, bottom: float, percent: Floats, style: Style) -> None:
    """Draw the differences of the four proportions, each on a line of its own."""
    for place, level in enumerate(BUCKET_LEVELS):
        y = _below(layout, _ESTIMATES + (_RULER - _ESTIMATES) * place / len(BUCKET_LEVELS))
        value, low, high = percent[:, place]
        line: Look = {"color": INK, "linewidth": 0.11 * style.font_pt, "zorder": 3}
        ax.plot([50 + low, 50 + high], [y, y], **line)
        look: Look = {"markerfacecolor": ORDINAL_RAMP[level], "markeredgecolor": INK}
        ax.plot([50 + value], [y], "o", markersize=0.55 * style.font_pt, zorder=4, **look)
        written = f"{_interval(percent[:, place], 0)} {LEVEL_NAMES[level]}"
        beside_row(ax, y, written, style)
    _draw_ruler(ax, 50, bottom, style, step=20, unit=100)
    _write_name(ax, "Difference (percentage points)", bottom, style)


def _below(layout: RowLayout, lines: float) -> float:
    return layout.depth + lines / layout.lines


def _draw_ruler(ax: Axes, zero: float, y: float, style: Style, *, step: float, unit: float) -> None:
    low, high = max(-0.5 * unit, -zero), min(0.5 * unit, unit - zero)
    ticks = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    look: Look = {"color": MUTED, "linewidth": 0.09 * style.font_pt}
    ax.plot([zero + low, zero + high], [y, y], **look)
    look = {"color": MUTED, "markersize": 0.3 * style.font_pt, "linestyle": "none"}
    ax.plot(zero + ticks, np.full(len(ticks), y), marker=TICKDOWN, **look)
    for tick in ticks:
        text = "0" if abs(tick) < 1e-9 else with_minus(f"{tick:+g}")
        ax.annotate(
            text,
            xy=(zero + tick, y),
            xytext=(0, -0.5 * style.font_pt),
            textcoords="offset points",
            ha="center",
            va="top",
            **style.small.text(),
        )


def _write_name(ax: Axes, name: str, y: float, style: Style) -> None:
    ax.annotate(
        name,
        xy=(0.5, y),
        xycoords=ax.get_yaxis_transform(),
        xytext=(0, -1.8 * style.font_pt),
        textcoords="offset points",
        ha="center",
        va="top",
        **style.text(),
    )


def _write_pair(ax: Axes, pair: Sequence[FigureRow], y: float, style: Style) -> None:
    limit = 0.9 * room_for_names(ax)
    names = disambiguate(
        [plain(row.name) for row in pair],
        lambda name: shorten(name, limit, style.small.font_pt),
    )
    where: Look = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center"}
    ax.text(-0.01, y, f"{names[1]}\n{MINUS} {names[0]}", **style.small.text(color=INK), **where)


def _interval(numbers: Floats, digits: int) -> str:
    each = [f"{number:+.{digits}f}" if round(number, digits) else "0" for number in numbers]
    return with_minus("{} [{}, {}]".format(*each))
