"""The figure of an explorer, and where its parts are."""

import base64
import io
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from helios_research._util.text import literal
from helios_research.errors import ResultsError
from helios_research.plots import (
    PAGE,
    Style,
    outcomes_by_tag,
    score_over_time,
    scores_by_hours_awake,
    scores_by_tag,
)
from helios_research.widgets.base.panel import markup
from helios_research.widgets.explorer.conditions import label_of

# Wide screens have the filters beside the figure, narrow ones above it.
EXPLORER_STYLE = """
<style>
.helios-main { display: flex; flex-flow: row wrap; gap: 0.5em 1.2em; align-items: flex-start;
  overflow: visible; width: 100%; }
.helios-filters { max-width: 22em; min-width: 0; overflow: visible;
  border: 1px solid var(--helios-line); border-radius: 6px; padding: 0.3em 0.7em 0.5em; }
.helios-column { flex: 1 1 30em; min-width: 0; overflow: visible; }
.helios-column.helios-filters { flex: 1 1 17em; }
.helios-below > .helios-column { flex: 2 1 44em; }
.helios-below > .helios-column:first-child { flex: 3 1 58em; }
.helios-choices { display: flex; flex-flow: row wrap; overflow: visible; gap: 0 1.2em;
  max-width: 672px; }
.helios-choices > * { flex: 1 1 16em; min-width: 0; }
.helios :is(.helios-filters, .helios-choices) .widget-label { text-align: left; }
.helios h2, .helios h3 { margin: 0.3em 0; border: 0; padding: 0; font-size: 1.05em; font-weight: 600;
  color: var(--helios-ink); }
.helios-headline { font-size: 1.15em; font-weight: 600; font-variant-numeric: tabular-nums;
  padding: 0.2em 0; }
.helios-chips { display: flex; flex-flow: row wrap; align-items: center; min-height: 34px;
  overflow: visible; gap: 0 2px; }
.helios .helios-chips .widget-label { color: var(--helios-muted); margin-right: 0.4em;
  width: auto; min-width: 0; }
.helios button.helios-chip { border-radius: 999px; padding: 0 0.8em; height: 26px;
  line-height: 24px; max-width: 24em; overflow: hidden; text-overflow: ellipsis;
  border: 1px solid var(--helios-line); background: var(--helios-paper);
  color: var(--helios-ink); }
.helios button.helios-chip-on { background: var(--helios-mark); border-color: var(--helios-ink);
  font-weight: 600; }
.helios-figure img { background: #fff; border-radius: 4px; display: block; }
.helios-histogram { display: block; width: calc(100% - 6.4em); margin-left: 6.4em; height: 34px; }
.helios-bar { fill: var(--jp-brand-color1, #1976d2); }
.helios-bar.helios-all { fill: var(--helios-line); }
.helios-columns { display: flex; flex-flow: row wrap; gap: 0.4em 2em; align-items: flex-start; }
.helios-columns > div { flex: 2 1 22em; min-width: 0; }
.helios-columns > div:first-child { flex: 3 1 40em; overflow-x: auto; }
.helios .helios-columns > div:first-child table.helios-table :is(th, td) { white-space: nowrap; }
.helios-fate p { margin: 0.15em 0; }
.helios-transcript { margin: 0.3em 0; padding-left: 0.8em; max-width: 60em;
  border-left: 3px solid var(--helios-line); white-space: pre-wrap; }
.helios-code { margin: 0.3em 0; padding: 0.6em; overflow-x: auto; background: var(--helios-shade);
  color: var(--helios-ink); border-radius: 4px; font-family: var(--jp-code-font-family, monospace);
  font-size: 0.92em; line-height: 1.4; }
.helios audio { width: min(100%, 28em); }
/* As high as a player, which comes after the rest. */
.helios-audio { min-height: 60px; }
</style>
"""

_EMPTY_IN = (7.0, 3.0)
_CSS_DPI = 96


class FigurePlace:
    """Where the figure is seen; it keeps its height, so that nothing below it jumps."""

    def __init__(self) -> None:
        self.widget = markup()
        self.widget.add_class("helios-figure")
        self.html = ""
        self._kind: Hashable = None
        self._width, self._height = _EMPTY_IN

    def show(self, figure: Figure, words: str, kind: Hashable) -> None:
        """Show a figure."""
        width, height = (float(inches) for inches in figure.get_size_inches())
        self._height = max(height, self._height) if kind == self._kind else height
        self._width = width
        self._kind = kind
        self._set(picture_html(figure, words))

    def say(self, sentence: str) -> None:
        """Say why there is no figure."""
        self._set(f'<p role="status">{escape(sentence)}</p>')

    def _set(self, content: str) -> None:
        self.html = content
        # On a narrow page the picture shrinks, and its place with it.
        shape = f"aspect-ratio: {self._width:g} / {self._height:.3f}"
        width = f"width: min(100%, {_CSS_DPI * self._width:.0f}px)"
        self.widget.value = f'<div style="{shape}; {width}">{content}</div>'


def beside(*columns: list[Any]) -> Any:
    """Put columns beside each other, or one above the other where the page is narrow."""
    parts = []
    for column in columns:
        part = column[0] if len(column) == 1 else ipywidgets.VBox(column)
        part.add_class("helios-column")
        parts.append(part)
    together = ipywidgets.Box(parts)
    together.add_class("helios-main")
    return together


FORMATS = ("png", "svg", "pdf")

# Enough for a sharp picture 700 pixels wide; more dots only take longer on their way.
_SCREEN_DPI = 110
_FILE_DPI = 300
# Pixels of CSS per inch.
_CSS_DPI_figure = 96

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
        biomarkers: dict[str, Any] = {"biomarkers": scores}
        settings = biomarkers if self.colour is None else biomarkers | {"hue": self.colour}
        calls: Mapping[Kind, _Call] = {
            Kind.BY_TAG: (scores_by_tag, [self.tag], settings),
            Kind.OVER_TIME: (score_over_time, [], settings),
            Kind.ALONG_TAG: (score_over_time, [], settings | {"by": self.tag}),
            Kind.AWAKE: (scores_by_hours_awake, [], settings),
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
    width, height = (round(_CSS_DPI_figure * inches) for inches in figure.get_size_inches())
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
