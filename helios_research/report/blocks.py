"""What a report is made of before it is HTML: text, lists, tables and figures."""

import re
import tomllib
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from math import isnan
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from helios_research.plots.canvas import draw_on_another_thread, to_png

# What a report says: one whole sentence per section and case.
SAY: dict[str, dict[str, str]] = tomllib.loads(
    (files("helios_research.report") / "templates" / "sentences.toml").read_text(encoding="utf-8")
)
# Also of a p-value, and of a cell that is hidden or empty.
_NUMBER = re.compile(r"[\d<.\N{MINUS SIGN}\N{EN DASH}]|hidden$|p = ")
NOTHING = "\N{EN DASH}"

# Sharp on a phone and in print, at a size that can be mailed.
_DPI = 200
_CSS_PIXELS_PER_INCH = 96
# Enough for a figure's few colours and their edges.
_COLOURS = 128
_MOST_DIGITS = 4
_LONGEST_IN_ONE_LINE = 24


# --- blocks ---------------------------------------------------------------------------------------


class Text(NamedTuple):
    """A paragraph, or with the look "heading" the title of a part of a section."""

    text: str
    look: str = "plain"


class Bullets(NamedTuple):
    """A list of sentences."""

    items: tuple[str, ...]
    look: str = "plain"


class Table(NamedTuple):
    """A table of text."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers; the first names what a row is about."""
        columns = [*zip(*self.rows, strict=True)] or [()] * len(self.header)
        return [place > 0 and all(map(_NUMBER.match, own)) for place, own in enumerate(columns)]


class Picture(NamedTuple):
    """A panel of a figure; its source is a ``data:`` URL, its size in CSS pixels."""

    source: str
    width: int
    height: int
    alt: str
    about: str


class Pictures(NamedTuple):
    """A figure: panels beside each other, below each other on a phone, with one caption."""

    items: tuple[Picture, ...]
    caption: str
    wide: bool = False


Block = Text | Bullets | Table | Pictures


def table_of(frame: pd.DataFrame, caption: str, notes: Sequence[str] = ()) -> Table:
    """Make a table of a DataFrame of text."""
    rows = tuple(
        tuple(NOTHING if pd.isna(cell) or cell == "" else str(cell) for cell in row)
        for row in frame.itertuples(index=False, name=None)
    )
    return Table(caption, tuple(map(str, frame.columns)), rows, tuple(notes))


def picture_of(draw: Callable[[], Any], *, alt: str) -> Picture:
    """Draw a figure and put it into a ``data:`` URL, with its caption beside it."""
    axes = np.ravel(draw_on_another_thread(draw))[0]
    figure = axes.get_figure(root=True)
    width, height = figure.get_size_inches() * _CSS_PIXELS_PER_INCH
    png = b64encode(to_png(figure, _DPI, colours=_COLOURS)).decode()
    source = f"data:image/png;base64,{png}"
    return Picture(source, round(width), round(height), alt, axes.get_label())


def pictures_of(
    pictures: Sequence[Picture], title: str, *, elsewhere: str = "", wide: bool = False
) -> Pictures:
    """Make one figure of some panels.

    What several of their captions say is written once; what is said ``elsewhere`` and in which
    order levels are, as the methods say, not at all.
    """
    sentences = [text for own in pictures for text in re.split(r"(?<=\.)\s+", own.about)]
    kept = [text for text in sentences if text not in elsewhere]
    about = " ".join(dict.fromkeys(text for text in kept if not text.startswith("Levels of ")))
    return Pictures(tuple(pictures), f"{title.removesuffix('.')}. {about}".strip(), wide)


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


def interval(low: float, high: float, digits: int = 2) -> str:
    """Write an interval, with as many digits as show on which side of 0 its ends are."""
    while digits < _MOST_DIGITS and any(end and not round(end, digits) for end in (low, high)):
        digits += 1
    return f"{decimal(low, digits)} to {decimal(high, digits)}"


def with_interval(estimate: float, low: float, high: float, digits: int = 2) -> str:
    """Write an estimate with its interval."""
    ends = "" if isnan(low) or isnan(high) else f" ({interval(low, high, digits)})"
    return f"{decimal(estimate, digits)}{ends}"


def p_value(p: float) -> str:
    """Write a p-value as journals do."""
    if isnan(p):
        return NOTHING
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def p_in_words(p: float, name: str = "p") -> str:
    """Write a p-value in a sentence."""
    return f"{name} {'' if p < 0.001 else '= '}{p_value(p)}"


def listed(words: Iterable[str]) -> str:
    """List words in a sentence."""
    *others, last = [*words] or ["none"]
    return f"{', '.join(others)} and {last}" if others else last


def in_words(column: str, level: str) -> str:
    """Name a level in a sentence, where a number alone would not be understood."""
    return f"{column} {level}" if level[:1].isdigit() else level


def unbroken(text: str) -> str:
    """Keep a name in one line; where it is long, let it be broken, but not before a minus."""
    is_short = len(text) <= _LONGEST_IN_ONE_LINE
    where = " " if is_short else " (?=\N{MINUS SIGN})"
    return re.sub(where, "\N{NO-BREAK SPACE}", text)
