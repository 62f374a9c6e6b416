"""Where recordings are along an axis of visits, dates or hours, and the labels of its bins."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from helios_research.analysis.levels import Levels
from helios_research.analysis.prepared import Codes, Floats, times_from
from helios_research.plots.canvas import Style, size_in
from helios_research.plots.text import (
    MINUS,
    Labels,
    fit_names,
    plain,
    shorten,
    shown,
    width_in,
)

MOST_BINS = 40


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
    return BinnedAxis(
        hours, bins, width * (found.astype(np.float64) + 0.5), names, "Hours since waking"
    )


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
    numbers = pd.to_numeric(pd.Series(levels.labels, dtype="str"), errors="coerce").to_numpy(float)
    names = tuple(plain(shown(level, labels)) for level in levels.labels)
    # Levels that are not in the order of their numbers are in an order of the user's.
    if not np.isfinite(numbers).all() or not (np.diff(numbers) > 0).all():
        x = levels.codes.astype(np.float64)
        centres = np.arange(len(levels), dtype=float)
        return BinnedAxis(x, levels.codes, centres, names, label, words=True)
    x = numbers[levels.codes]
    if len(levels) <= MOST_BINS:
        return BinnedAxis(x, levels.codes, numbers, names, label)
    edges = np.linspace(numbers.min(), numbers.max(), 31)
    found, bins = np.unique(np.digitize(x, edges[1:-1]), return_inverse=True)
    centres = (edges[found] + edges[found + 1]) / 2
    names = tuple(f"{centre:.3g}".replace("-", MINUS) for centre in centres)
    return BinnedAxis(x, bins, centres, names, label)


# Between two labels, as a share of the widest.
_GAP = 0.2

# A name in words is broken into lines where this share of the distance of neighbours has room for
# so many letters, and else turned.
_LETTERS = 7
_ROOM = 0.96
_MOST_LINES = 3
_TURNED_IN_LINES = 10.0


_BinLabels = tuple[list[int], Sequence[str], bool, bool]
"""Which bins are named, all texts, and whether these are counted and turned."""


def label_bins(ax: Axes, axis: BinnedAxis, counts: Codes, style: Style) -> None:
    """Name bins below a panel, as many as have room, with their recordings if all have."""
    small = style.small
    low, high = ax.get_xlim()
    places_in = axis.centres * (size_in(ax)[0] / (high - low))
    find = _in_words if axis.words else _on_scale
    bins, texts, counted, turned = find(axis, counts, places_in, small)
    look = small.text(rotation=90 if turned else 0)
    ax.set_xticks(axis.centres[bins], [texts[n] for n in bins], **look)
    below = " · number of recordings below" if counted else ""
    ax.set_xlabel(axis.label + below, **style.text())


def _on_scale(axis: BinnedAxis, counts: Codes, places_in: Floats, small: Style) -> _BinLabels:
    """Name numbers and times, which are read even where some of them are left out."""
    both = [f"{name}\n{count:,}" for name, count in zip(axis.names, counts, strict=True)]
    kept = spaced(places_in, (1 + _GAP) * _widest_in(both, small))
    if len(kept) == len(both):
        return kept, both, True, False
    most_in = (places_in.max() - places_in.min()) / 3
    names = [shorten(name, most_in, small.font_pt) for name in axis.names]
    return spaced(places_in, (1 + _GAP) * _widest_in(names, small)), names, False, False


def _in_words(axis: BinnedAxis, counts: Codes, places_in: Floats, small: Style) -> _BinLabels:
    """Name words, each of which is needed: in one line, else in several, else turned."""
    step_in = axis.step * places_in[-1] / max(axis.centres[-1], 1) if len(places_in) > 1 else 9
    room_in = _ROOM * step_in
    numbers = [f"{count:,}" for count in counts]
    one_line = _widest_in([*axis.names, *numbers], small) <= room_in
    if not one_line and room_in < width_in("n" * _LETTERS, small.font_pt):
        most_in = _TURNED_IN_LINES * small.line_in
        names = fit_names(axis.names, most_in, small.font_pt)
        return spaced(places_in, small.line_in), names, False, True
    names = fit_names(axis.names, room_in, small.font_pt, _MOST_LINES)
    lines = max(name.count("\n") for name in names)
    texts = [
        name + "\n" * (1 + lines - name.count("\n")) + number
        for name, number in zip(names, numbers, strict=True)
    ]
    return list(range(len(texts))), texts, True, False


def _widest_in(labels: Sequence[str], small: Style) -> float:
    return max(width_in(line, small.font_pt) for label in labels for line in label.split("\n"))


def spaced(places_in: Floats, apart_in: float) -> list[int]:
    """Choose places that are far enough from each other, from the first on."""
    kept: list[int] = []
    for number in np.argsort(places_in, kind="stable"):
        if not kept or places_in[number] - places_in[kept[-1]] >= apart_in - 1e-9:
            kept.append(int(number))
    return sorted(kept)
