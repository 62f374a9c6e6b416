"""The figure of an explorer: which one, drawn from the functions of ``plots``, as picture and file."""

import base64
import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from helios_research.errors import ResultsError
from helios_research.plots import (
    PAGE,
    Style,
    awake_hours,
    outcomes_by_tag,
    score_over_time,
    scores_by_tag,
)
from helios_research.widgets.explorer_conditions import label_of
from helios_research.widgets.explorer_source import literal

FORMATS = ("png", "svg", "pdf")

# Enough for a sharp picture 700 pixels wide; more dots only take longer on their way.
_SCREEN_DPI = 110
_FILE_DPI = 300
# Pixels of CSS per inch.
_CSS_DPI = 96

# Columns by which figures find scores, people, reasons and times, if the table has them.
_NEEDED = ("user_label", "outcome", "error_code", "n_sections", "source", "warnings")
_TIMES = ("recording_id", "recording_time", "sleep_time", "wake_time")

_Call = tuple[Callable[..., Any], list[Any], Mapping[str, Any]]


class Kind(StrEnum):
    """The figures that an explorer can draw, under the names that a researcher reads."""

    BY_TAG = "Scores by tag"
    OVER_TIME = "Scores over time"
    ALONG_TAG = "Scores along a tag, such as visits"
    AWAKE = "Scores against hours awake"
    OUTCOMES = "Recordings without scores, by tag"

    @property
    def groups(self) -> bool:
        """Whether it needs a column to group by."""
        return self in (Kind.BY_TAG, Kind.ALONG_TAG, Kind.OUTCOMES)

    @property
    def has_scores(self) -> bool:
        """Whether it shows scores, and with them a second column as colour."""
        return self is not Kind.OUTCOMES

    def is_possible(self, table: pd.DataFrame) -> bool:
        """Tell whether results have what it needs."""
        if self.groups:
            return True
        needed = ["recording_time", "wake_time"] if self is Kind.AWAKE else ["recording_time"]
        return all(name in table.columns for name in needed)


@dataclass(frozen=True, slots=True)
class View:
    """What a figure shows of a selection."""

    kind: Kind
    biomarkers: tuple[str, ...]
    tag: str
    colour: str | None

    @property
    def words(self) -> str:
        """What is to be seen, for a picture's description."""
        scores = ", ".join(label_of(name) for name in self.biomarkers)
        what = {
            Kind.BY_TAG: f"{scores} by {self.tag}",
            Kind.OVER_TIME: f"{scores} over time",
            Kind.ALONG_TAG: f"{scores} of each participant along {self.tag}",
            Kind.AWAKE: f"{scores} against hours awake",
            Kind.OUTCOMES: f"recordings without scores by {self.tag}",
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
        """List the columns that the figure is drawn from."""
        times = () if self.kind in (Kind.BY_TAG, Kind.OUTCOMES) else _TIMES
        wanted = [*_NEEDED, *times, *self.biomarkers, self.tag, self.colour]
        return [name for name in dict.fromkeys(wanted) if name in table.columns]

    def draw(self, selection: pd.DataFrame, style: Style = PAGE) -> Figure:
        """Draw the figure, in the size that its content asks for."""
        function, arguments, settings = self._call()
        table = selection[self.needs(selection)]
        made = _apart(lambda: function(table, *arguments, **settings, style=style))
        figure = np.ravel(made)[0].figure
        if not isinstance(figure, Figure):
            message = f"hr.plots.{function.__name__} gave no figure of its own."
            raise ResultsError(message)
        return figure

    def _call(self) -> _Call:
        """Find the function of ``plots`` and its arguments."""
        scores = self.biomarkers[0] if len(self.biomarkers) == 1 else list(self.biomarkers)
        colour = {} if self.colour is None else {"colour": self.colour}
        calls: Mapping[Kind, _Call] = {
            Kind.BY_TAG: (scores_by_tag, [self.tag, scores], colour),
            Kind.OVER_TIME: (score_over_time, [scores], colour),
            Kind.ALONG_TAG: (score_over_time, [scores], {"by": self.tag, **colour}),
            Kind.AWAKE: (awake_hours, [scores], colour),
            Kind.OUTCOMES: (outcomes_by_tag, [self.tag], {}),
        }
        return calls[self.kind]


def _apart(draw: Callable[[], Any]) -> Any:
    """Draw on another thread, where plots makes a figure of its own and not one of pyplot's."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(draw).result()


def png_of(figure: Figure, dpi: float = _SCREEN_DPI) -> bytes:
    """Paint a figure."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    # Unlike savefig, this draws once; and a third of the time would go into the last tenth of size.
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib does not type it
    painted = io.BytesIO()
    dots = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]  # nor this
    imsave(painted, dots, format="png", pil_kwargs={"compress_level": 2})
    return painted.getvalue()


def picture_html(figure: Figure, words: str) -> str:
    """Paint a figure as HTML."""
    width, height = (round(_CSS_DPI * inches) for inches in figure.get_size_inches())
    picture = base64.b64encode(png_of(figure)).decode("ascii")
    return (
        f'<img alt="{escape(words)}" width="{width}" height="{height}" '
        f'style="max-width: 100%; height: auto" src="data:image/png;base64,{picture}">'
    )


def save_figure(view: View, selection: pd.DataFrame, path: Path) -> Path:
    """Draw a figure anew, in full, and save it."""
    figure = view.draw(selection)
    free = _free(path)
    try:
        figure.savefig(free, dpi=_FILE_DPI, metadata=_undated(free.suffix))
    except OSError as error:
        message = (
            f"The figure could not be saved as {free}: {error.strerror or error}. "
            "Free some space, or run the notebook in a folder that you may write to."
        )
        raise ResultsError(message) from None
    return free


def _undated(suffix: str) -> dict[str, Any] | None:
    # The same figure makes the same file, so that version control sees only real changes.
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)


def _free(path: Path) -> Path:
    taken, number = path, 1
    while taken.exists():
        number += 1
        taken = path.with_stem(f"{path.stem}-{number}")
    return taken
