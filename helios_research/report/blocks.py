"""What a report is made of before it is HTML: text, lists, tables and pictures."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from helios_research.columns import BIOMARKERS_BY_NAME


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure."""

    source: str
    width: int
    height: int
    alt: str
    caption: str


NO_FIGURES = "This report was made without figures of scores."


def count(number: float) -> str:
    """Word a count."""
    return NOTHING if isnan(number) else f"{int(number):,}"


def percent(share: float) -> str:
    """Word a share."""
    return NOTHING if isnan(share) else f"{100 * share:.1f} %"


def decimal(number: float, digits: int = 2) -> str:
    """Word a number with decimals."""
    if isnan(number):
        return NOTHING
    # Adding 0.0 makes the zero that a small negative number is rounded to a plain one.
    return f"{round(number, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def with_interval(estimate: float, low: float, high: float, digits: int = 2) -> str:
    """Word an estimate with its interval."""
    if isnan(estimate) or isnan(low) or isnan(high):
        return decimal(estimate, digits)
    ends = f"{decimal(low, digits)} to {decimal(high, digits)}"
    return f"{decimal(estimate, digits)} ({ends})"


def p_value(p: float) -> str:
    """Word a p-value."""
    if isnan(p):
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def biomarker_label(name: str) -> str:
    """Say what figures and tables call a biomarker."""
    return BIOMARKERS_BY_NAME[name].label


def span(moments: "pd.Series[pd.Timestamp]") -> str:
    """Word from when to when something happened."""
    known = moments.dropna()
    if known.empty:
        return ""
    first, last = known.min(), known.max()
    if first.date() == last.date():
        times = (
            f"{first:%H:%M}"
            if f"{first:%H:%M}" == f"{last:%H:%M}"
            else f"{first:%H:%M} to {last:%H:%M}"
        )
        return f"on {first:%Y-%m-%d}, {times} UTC"
    return f"from {first:%Y-%m-%d} to {last:%Y-%m-%d} (UTC)"


def listed(words: Iterable[str]) -> str:
    """Put words into a row."""
    *others, last = [*words] or ["none"]
    return f"{', '.join(others)} and {last}" if others else last


# Sharp on a phone and in print, at a size that can be mailed.
_DPI = 200
# A figure's few colours and their edges; a third of the bytes of the full palette.
_COLOURS = 128
_CSS_PIXELS_PER_INCH = 96


def picture_of(draw: Callable[[], Any], *, alt: str, caption: str) -> Picture:
    """Draw a figure and put it into a ``data:`` URL."""
    # On the main thread of a notebook, figures would be made through pyplot and shown below the cell.
    with ThreadPoolExecutor(max_workers=1) as drawer:
        drawn = drawer.submit(draw).result()
    axes: Axes = np.ravel(drawn)[0] if isinstance(drawn, np.ndarray) else drawn
    figure = axes.get_figure(root=True)
    if not isinstance(figure, Figure):
        message = "A picture is made of a matplotlib Figure."
        raise TypeError(message)
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib does not type it
    pixels = Image.fromarray(_pixels(canvas)).convert("RGB")
    file = BytesIO()
    pixels.quantize(_COLOURS).save(file, format="png", optimize=True)
    width, height = figure.get_size_inches() * _CSS_PIXELS_PER_INCH
    source = f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
    return Picture(source, round(width), round(height), alt, caption)


def _pixels(canvas: FigureCanvasAgg) -> NDArray[np.uint8]:
    return np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]  # as above


NOTHING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str
    look: str = "plain"
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]
    look: str = "plain"
    kind: str = "bullets"


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers that stand out, each with what it counts."""

    items: tuple[tuple[str, str], ...]
    kind: str = "facts"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    notes: tuple[str, ...] = ()
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class Pictures:
    """Figures beside each other, below each other on a phone."""

    items: tuple[Picture, ...]
    wide: bool = False
    kind: str = "pictures"


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a part of a section."""

    text: str
    kind: str = "heading"


Block = Text | Bullets | Facts | Table | Pictures | Heading


@dataclass(frozen=True, slots=True)
class ReportSection:
    """A section of the report."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


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
