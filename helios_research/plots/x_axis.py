"""Where recordings are along an axis of visits, dates or hours, and the labels of its bins."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from helios_research.analysis.levels import Levels
from helios_research.analysis.prepared import Codes, Floats, times_from
from helios_research.plots.canvas import Style, size_in
from helios_research.plots.text import MINUS, Labels, fit_names, shown, width_in

MOST_BINS = 40

# Between two labels, as a share of the widest.
_GAP = 0.2
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
    names, apart_in = list(axis.names), (1 + _GAP) * widest_in
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
    for place in named[spaced(axis.centres[named] * inches_per_unit(ax), (1 + _GAP) * widest_in)]:
        ax.text(axis.centres[place], y, texts[place], **look)


def spaced(places_in: Floats, apart_in: float) -> list[int]:
    """Choose places that are far enough from each other, from the first on."""
    kept: list[int] = []
    for number in np.argsort(places_in, kind="stable"):
        if not kept or places_in[number] - places_in[kept[-1]] >= apart_in - 1e-9:
            kept.append(int(number))
    return sorted(kept)
