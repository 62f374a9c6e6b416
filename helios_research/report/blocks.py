"""What a report is made of before it is HTML: text, lists, tables and pictures."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from math import isnan
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from helios_research.plots.canvas import draw_on_another_thread, to_png

NOTHING = "\N{EN DASH}"

# Sharp on a phone and in print, at a size that can be mailed.
_DPI = 200
_CSS_PIXELS_PER_INCH = 96
# Enough for a figure's few colours and their edges.
_COLOURS = 128


# --- blocks ---------------------------------------------------------------------------------------


class Text(NamedTuple):
    """A paragraph."""

    text: str
    look: str = "plain"


class Bullets(NamedTuple):
    """A list of sentences."""

    items: tuple[str, ...]
    look: str = "plain"


class Facts(NamedTuple):
    """Large numbers, each with what it counts."""

    items: tuple[tuple[str, str], ...]


class Table(NamedTuple):
    """A table of text."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    notes: tuple[str, ...] = ()


class Picture(NamedTuple):
    """A figure; its source is a ``data:`` URL, its size in CSS pixels."""

    source: str
    width: int
    height: int
    alt: str
    caption: str


class Pictures(NamedTuple):
    """Figures beside each other, below each other on a phone."""

    items: tuple[Picture, ...]
    wide: bool = False


class Heading(NamedTuple):
    """The title of a part of a section."""

    text: str


Block = Text | Bullets | Facts | Table | Pictures | Heading


def table_of(
    frame: pd.DataFrame, caption: str, *, numeric: Iterable[str] = (), notes: Sequence[str] = ()
) -> Table:
    """Make a table of a DataFrame of text."""
    right = set(numeric)
    rows = tuple(
        tuple(NOTHING if pd.isna(cell) or cell == "" else str(cell) for cell in row)
        for row in frame.itertuples(index=False, name=None)
    )
    header = tuple(str(name) for name in frame.columns)
    return Table(caption, header, rows, tuple(name in right for name in header), tuple(notes))


def picture_of(draw: Callable[[], Any], *, alt: str, caption: str) -> Picture:
    """Draw a figure and put it into a ``data:`` URL."""
    figure = np.ravel(draw_on_another_thread(draw))[0].get_figure(root=True)
    width, height = figure.get_size_inches() * _CSS_PIXELS_PER_INCH
    png = b64encode(to_png(figure, _DPI, colours=_COLOURS)).decode()
    return Picture(f"data:image/png;base64,{png}", round(width), round(height), alt, caption)


# --- text -----------------------------------------------------------------------------------------


def count(number: float) -> str:
    """Write a count."""
    return NOTHING if isnan(number) else f"{int(number):,}"


def percent(share: float) -> str:
    """Write a share as a percentage."""
    return NOTHING if isnan(share) else f"{100 * share:.1f} %"


def decimal(number: float, digits: int = 2) -> str:
    """Write a number with decimals."""
    if isnan(number):
        return NOTHING
    # Adding 0.0 turns the -0.0 of a rounded small negative number into 0.0.
    return f"{round(number, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def with_interval(estimate: float, low: float, high: float, digits: int = 2) -> str:
    """Write an estimate with its interval."""
    if isnan(estimate) or isnan(low) or isnan(high):
        return decimal(estimate, digits)
    ends = f"{decimal(low, digits)} to {decimal(high, digits)}"
    return f"{decimal(estimate, digits)} ({ends})"


def p_value(p: float) -> str:
    """Write a p-value."""
    if isnan(p):
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def listed(words: Iterable[str]) -> str:
    """List words in a sentence."""
    *others, last = [*words] or ["none"]
    return f"{', '.join(others)} and {last}" if others else last
