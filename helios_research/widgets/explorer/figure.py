"""The figures of an explorer: which there are, how they are drawn, shown and saved."""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from helios_research._util.text import literal
from helios_research.errors import ResultsError
from helios_research.plots import (
    outcomes_by_tag,
    score_over_time,
    scores_by_hours_awake,
    scores_by_tag,
)
from helios_research.plots.canvas import draw_on_another_thread, to_png
from helios_research.widgets.base import markup
from helios_research.widgets.explorer.source import label_of

FORMATS = ("png", "svg", "pdf")

# Enough for a sharp picture 700 pixels wide; more dots only take longer on their way.
_SCREEN_DPI = 110
_FILE_DPI = 300
# Pixels of CSS per inch.
_CSS_DPI = 96
_EMPTY_IN = (7.0, 3.0)

# The same figure makes the same file, so that version control sees only real changes.
_UNDATED: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}

# Columns by which figures find scores, people, reasons, times and the order of levels, if the table
# has them.
_NEEDED = (
    *(
        "user_label",
        "outcome",
        "error_code",
        "n_sections",
        "source",
        "warnings",
        "excluded_because",
    ),
    "recording_time",
)
_TIMES = ("recording_id", "sleep_time", "wake_time")

SIDES = "selection"
"""The column of what is compared: A, a selection that was kept, and B, what is shown now."""

_Call = tuple[Callable[..., Any], list[Any], Mapping[str, Any]]


class FigureKind(StrEnum):
    """The figures that an explorer can draw, by the names that a researcher reads."""

    BY_TAG = "Scores by tag"
    OVER_TIME = "Scores over time"
    ALONG_TAG = "Scores by visit"
    AWAKE = "Scores by hours awake"
    OUTCOMES = "Recordings without scores"

    @property
    def groups(self) -> bool:
        """Whether it needs a column to group by."""
        return self in (FigureKind.BY_TAG, FigureKind.ALONG_TAG, FigureKind.OUTCOMES)

    @property
    def has_scores(self) -> bool:
        """Whether it shows scores, and with them a second column as colour."""
        return self is not FigureKind.OUTCOMES

    def is_possible(self, table: pd.DataFrame) -> bool:
        """Whether results have the columns that it needs."""
        needed = {
            FigureKind.OVER_TIME: {"recording_time"},
            FigureKind.AWAKE: {"recording_time", "wake_time"},
        }.get(self, set())
        return needed <= set(table.columns)


@dataclass(frozen=True, slots=True)
class FigureView:
    """What a figure shows of a selection; ``colour`` is a second column, None for no colour."""

    kind: FigureKind
    biomarkers: tuple[str, ...]
    tag: str
    colour: str | None

    @property
    def words(self) -> str:
        """What the figure shows, for a picture's description."""
        scores = ", ".join(label_of(name) for name in self.biomarkers)
        by = "in A against B" if self.tag == SIDES else f"by {self.tag}"
        what = {
            FigureKind.BY_TAG: f"{scores} {by}",
            FigureKind.OVER_TIME: f"{scores} over time",
            FigureKind.ALONG_TAG: f"{scores} of each participant {by}",
            FigureKind.AWAKE: f"{scores} by hours awake",
            FigureKind.OUTCOMES: f"recordings without scores {by}",
        }[self.kind]
        coloured = self.kind.has_scores and self.colour is not None
        return f"{what}, colour by {self.colour}" if coloured else what

    def code(self) -> str:
        """Give the line that draws the figure of ``selection``."""
        function, arguments, settings = self._call()
        written = [literal(argument) for argument in arguments]
        written += [f"{name}={literal(value)}" for name, value in settings.items()]
        return f"hr.plots.{function.__name__}({', '.join(['selection', *written])})"

    def needs(self, table: pd.DataFrame) -> list[str]:
        """List the columns of the results that the figure is drawn from."""
        times = () if self.kind in (FigureKind.BY_TAG, FigureKind.OUTCOMES) else _TIMES
        wanted = [*_NEEDED, *times, *self.biomarkers, self.tag, self.colour]
        return [name for name in dict.fromkeys(wanted) if name in table.columns]

    def draw(self, selection: pd.DataFrame) -> Figure:
        """Draw the figure, in the size that its content needs; pyplot does not know of it."""
        function, arguments, settings = self._call()
        made = draw_on_another_thread(lambda: function(selection, *arguments, **settings))
        figure: Figure = np.ravel(made)[0].figure
        return figure

    def _call(self) -> _Call:
        """Find the function of ``plots`` and its arguments."""
        scores = self.biomarkers[0] if len(self.biomarkers) == 1 else list(self.biomarkers)
        hue = {} if self.colour is None else {"hue": self.colour}
        settings: dict[str, Any] = {"biomarkers": scores} | hue
        calls: Mapping[FigureKind, _Call] = {
            FigureKind.BY_TAG: (scores_by_tag, [self.tag], settings),
            FigureKind.OVER_TIME: (score_over_time, [], settings),
            FigureKind.ALONG_TAG: (score_over_time, [], settings | {"by": self.tag}),
            FigureKind.AWAKE: (scores_by_hours_awake, [], settings),
            FigureKind.OUTCOMES: (outcomes_by_tag, [self.tag], {}),
        }
        return calls[self.kind]


def picture_html(figure: Figure, words: str) -> str:
    """Paint a figure as an HTML image whose description is ``words``."""
    width, height = (round(_CSS_DPI * inches) for inches in figure.get_size_inches())
    picture = base64.b64encode(to_png(figure, _SCREEN_DPI)).decode("ascii")
    return (
        f'<img alt="{escape(words)}" width="{width}" height="{height}" '
        f'style="max-width: 100%; height: auto" src="data:image/png;base64,{picture}">'
    )


class FigurePlace:
    """The place of the figure, which never shrinks while the view is the same, so nothing jumps."""

    def __init__(self) -> None:
        self.widget = markup()
        self.widget.add_class("helios-figure")
        self.html = ""
        self._view: FigureView | None = None
        self._width, self._height = _EMPTY_IN

    def show(self, figure: Figure, words: str, view: FigureView) -> None:
        """Show a figure with its description."""
        width, height = (float(inches) for inches in figure.get_size_inches())
        self._height = max(height, self._height) if view == self._view else height
        self._width, self._view = width, view
        self._set(picture_html(figure, words))

    def show_sentence(self, sentence: str) -> None:
        """Show why there is no figure."""
        self._set(f'<p role="status">{escape(sentence)}</p>')

    def _set(self, content: str) -> None:
        self.html = content
        # On a narrow page the picture shrinks, and its place with it.
        shape = f"aspect-ratio: {self._width:g} / {self._height:.3f}"
        width = f"width: min(100%, {_CSS_DPI * self._width:.0f}px)"
        self.widget.value = f'<div style="{shape}; {width}">{content}</div>'


def figure_file(figure: Figure, form: str) -> bytes:
    """Write a figure in full resolution, in one of ``FORMATS``."""
    file = io.BytesIO()
    figure.savefig(file, format=form, dpi=_FILE_DPI, metadata=_UNDATED.get(form))
    return file.getvalue()


def save_figure(figure: Figure, path: Path) -> Path:
    """Save a figure in full resolution; no existing file is replaced."""
    target = _unused(path)
    try:
        target.write_bytes(figure_file(figure, target.suffix.removeprefix(".")))
    except OSError as error:
        message = (
            f"The figure could not be saved as {target}: {error.strerror or error}. "
            "Free some space, or run the notebook in a folder where you may write."
        )
        raise ResultsError(message) from None
    return target


def _unused(path: Path) -> Path:
    taken, number = path, 1
    while taken.exists():
        number += 1
        taken = path.with_stem(f"{path.stem}-{number}")
    return taken
