"""What stands below a course: the names of its bins, and how many recordings each has."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from helios_research.analysis.tables import Codes, Floats
from helios_research.plots.canvas import size_in
from helios_research.plots.courses import Course
from helios_research.plots.style import Look, Style
from helios_research.plots.text import shorten, told_apart, width_in, wrap

# Between two labels, as a share of the widest.
_GAP = 0.2

# A name in words is broken into lines where this share of the distance of neighbours has room for
# so many letters, and else turned.
_LETTERS = 7
_ROOM = 0.96
_MOST_LINES = 3
_TURNED_IN_LINES = 10.0


@dataclass(frozen=True, slots=True)
class _Labels:
    """Which bins are named, and how."""

    bins: Sequence[int]
    texts: Sequence[str]
    counted: bool
    turned: bool = False


def label_bins(ax: Axes, course: Course, counts: Codes, style: Style) -> None:
    """Name bins below a panel, as many as have room, with their recordings if all have."""
    small = style.small
    low, high = ax.get_xlim()
    places_in = course.centres * (size_in(ax)[0] / (high - low))
    find = _in_words if course.words else _on_scale
    found = find(course, counts, places_in, small)
    turned: Look = {"rotation": 90} if found.turned else {}
    bins = list(found.bins)
    ax.set_xticks(course.centres[bins], [found.texts[n] for n in bins], **small.text(**turned))
    below = " · number of recordings below" if found.counted else ""
    ax.set_xlabel(course.label + below, **style.text())


def _on_scale(course: Course, counts: Codes, places_in: Floats, small: Style) -> _Labels:
    """Name numbers and times, which are read even where some of them are left out."""
    both = [f"{name}\n{count:,}" for name, count in zip(course.names, counts, strict=True)]
    kept = spaced(places_in, (1 + _GAP) * _widest_in(both, small))
    if len(kept) == len(both):
        return _Labels(kept, both, counted=True)
    most_in = (places_in.max() - places_in.min()) / 3
    names = [shorten(name, most_in, small.font_pt) for name in course.names]
    return _Labels(spaced(places_in, (1 + _GAP) * _widest_in(names, small)), names, counted=False)


def _in_words(course: Course, counts: Codes, places_in: Floats, small: Style) -> _Labels:
    """Name words, each of which is needed: in one line, else in several, else turned."""
    step_in = course.step * places_in[-1] / max(course.centres[-1], 1) if len(places_in) > 1 else 9
    room_in = _ROOM * step_in
    numbers = [f"{count:,}" for count in counts]
    one_line = _widest_in([*course.names, *numbers], small) <= room_in
    if not one_line and room_in < width_in("n" * _LETTERS, small.font_pt):
        most_in = _TURNED_IN_LINES * small.line_in
        names = told_apart(course.names, lambda name: shorten(name, most_in, small.font_pt))
        return _Labels(spaced(places_in, small.line_in), names, counted=False, turned=True)
    names = told_apart(
        course.names, lambda name: wrap(name, room_in, small.font_pt, most=_MOST_LINES)
    )
    lines = max(name.count("\n") for name in names)
    texts = [
        name + "\n" * (1 + lines - name.count("\n")) + number
        for name, number in zip(names, numbers, strict=True)
    ]
    return _Labels(range(len(texts)), texts, counted=True)


def _widest_in(labels: Sequence[str], small: Style) -> float:
    return max(width_in(line, small.font_pt) for label in labels for line in label.split("\n"))


def spaced(places_in: Floats, apart_in: float) -> list[int]:
    """Choose places that are far enough from each other, from the first on."""
    kept: list[int] = []
    for number in np.argsort(places_in, kind="stable"):
        if not kept or places_in[number] - places_in[kept[-1]] >= apart_in - 1e-9:
            kept.append(int(number))
    return sorted(kept)
