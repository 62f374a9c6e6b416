"""Where recordings stand along an axis of visits, dates or hours, and in which bin."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from helios_research.analysis.levels import levels_of
from helios_research.analysis.tables import Codes, Floats
from helios_research.analysis.times import days_of, times_from
from helios_research.plots.text import MINUS, plain

MOST_BINS = 40

# Local times carry no zone, so a clock change in the night moves hours awake by one.
MOST_HOURS_AWAKE = 48.0


@dataclass(frozen=True, slots=True)
class Course:
    """An axis along which scores change."""

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


def hours_awake(table: pd.DataFrame) -> Floats:
    """Count the hours from waking to recording."""
    hours = 24 * (days_of(table["recording_time"]) - days_of(table["wake_time"]))
    usable = (hours >= 0) & (hours <= MOST_HOURS_AWAKE)
    counted: Floats = np.where(usable, hours, np.nan)
    return counted


def by_hours(hours: Floats) -> Course:
    """Divide hours into bins of two, or of four where they reach beyond a day."""
    width = 2 if hours.max(initial=0) <= 24 else 4
    found, bins = np.unique((hours // width).astype(np.intp), return_inverse=True)
    names = tuple(f"{width * start}\N{EN DASH}{width * (start + 1)}" for start in found)
    return Course(
        hours, bins, width * (found.astype(np.float64) + 0.5), names, "Hours since waking"
    )


def by_time(table: pd.DataFrame, column: str) -> Course:
    """Divide dates into days, weeks or months, whichever makes at most 40 bins."""
    days = days_of(table[column])
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
    return Course(days, bins, middle, names, f"{_worded(column)} (by {unit})")


def by_level(table: pd.DataFrame, column: str) -> Course:
    """Place levels at their numbers, or one after another where they are words."""
    levels = levels_of(table, column)
    numbers = pd.to_numeric(pd.Series(levels.labels, dtype="str"), errors="coerce").to_numpy(float)
    names = tuple(plain(label) for label in levels.labels)
    if not np.isfinite(numbers).all() or len(np.unique(numbers)) < len(numbers):
        x = levels.codes.astype(np.float64)
        centres = np.arange(len(levels), dtype=float)
        return Course(x, levels.codes, centres, names, _worded(column), words=True)
    x = numbers[levels.codes]
    if len(levels) <= MOST_BINS:
        return Course(x, levels.codes, numbers, names, _worded(column))
    edges = np.linspace(numbers.min(), numbers.max(), 31)
    found, bins = np.unique(np.digitize(x, edges[1:-1]), return_inverse=True)
    centres = (edges[found] + edges[found + 1]) / 2
    names = tuple(f"{centre:.3g}".replace("-", MINUS) for centre in centres)
    return Course(x, bins, centres, names, _worded(column))


def _worded(column: str) -> str:
    words = plain(column).replace("_", " ")
    return words[:1].upper() + words[1:]
