"""The figures of an explorer: which there are, how they are drawn and shown, and what a click in one means."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Any, NamedTuple

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from helios_research._util.text import literal
from helios_research.analysis.frames import hours_awake
from helios_research.analysis.prepared import Codes, Flags, Floats, prepare
from helios_research.columns import BUCKET_LEVELS
from helios_research.plots import (
    outcomes_by_tag,
    score_over_time,
    scores_by_hours_awake,
    scores_by_tag,
)
from helios_research.plots.by_tag import point_heights, same_people
from helios_research.plots.canvas import (
    Selection,
    draw_on_another_thread,
    keep_levels,
    select,
    to_png,
)
from helios_research.plots.over_time import by_hours, by_level, by_time
from helios_research.plots.rows import RowLayout, lay_out_rows, select_ended
from helios_research.plots.trends import BinnedAxis
from helios_research.widgets.base import Clickable, Guard, markup
from helios_research.widgets.explorer.source import label_of

FORMATS = ("png", "svg", "pdf")

# Enough for a sharp picture 700 pixels wide; more dots only take longer on their way.
_SCREEN_DPI = 110
_FILE_DPI = 300
# Pixels of CSS per inch.
_CSS_DPI = 96
_EMPTY_IN = (7.0, 3.0)
# How far from the middle of a point a click is still on it, in dots of the screen.
_NEAR_DOTS = 7

# The same figure makes the same file, so that version control sees only real changes.
_UNDATED: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}

# Columns by which figures find scores, people, reasons, times and the order of levels, if the table
# has them.
_NEEDED = (
    *("user_label", "outcome", "error_code", "n_sections", "source", "warnings"),
    *("excluded_because", "recording_time"),
)
_TIMES = ("recording_id", "sleep_time", "wake_time")

SIDES = "selection"
"""The column of what is compared: A, a selection that was kept, and B, what is shown now."""


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
        return self.has_rows or self is FigureKind.ALONG_TAG

    @property
    def has_rows(self) -> bool:
        """Whether it has a row for each level of that column."""
        return self in (FigureKind.BY_TAG, FigureKind.OUTCOMES)

    @property
    def has_scores(self) -> bool:
        """Whether it shows scores, and with them a second column as colour."""
        return self is not FigureKind.OUTCOMES

    def is_possible(self, table: pd.DataFrame) -> bool:
        """Whether results have the columns that it needs."""
        return _KINDS[self][2] <= set(table.columns)


_OF_DAY = {"recording_time", "wake_time"}
# The function of plots, what it shows in words, and the columns that it needs.
_KINDS: dict[FigureKind, tuple[Callable[..., Any], str, set[str]]] = {
    FigureKind.BY_TAG: (scores_by_tag, "{scores} {by}", set()),
    FigureKind.OVER_TIME: (score_over_time, "{scores} over time", {"recording_time"}),
    FigureKind.ALONG_TAG: (score_over_time, "{scores} of each participant {by}", set()),
    FigureKind.AWAKE: (scores_by_hours_awake, "{scores} by hours awake", _OF_DAY),
    FigureKind.OUTCOMES: (outcomes_by_tag, "recordings without scores {by}", set()),
}


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
        what = _KINDS[self.kind][1].format(scores=scores, by=by)
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
        times = () if self.kind.has_rows else _TIMES
        wanted = [*_NEEDED, *times, *self.biomarkers, self.tag, self.colour]
        return [name for name in dict.fromkeys(wanted) if name in table.columns]

    def draw(self, selection: pd.DataFrame) -> Figure:
        """Draw the figure, in the size that its content needs; pyplot does not know of it."""
        function, arguments, settings = self._call()
        made = draw_on_another_thread(lambda: function(selection, *arguments, **settings))
        figure: Figure = np.ravel(made)[0].figure
        return figure

    def _call(self) -> tuple[Callable[..., Any], list[str], dict[str, Any]]:
        """Find the function of ``plots`` and its arguments."""
        settings: dict[str, Any] = {}
        if self.kind.has_scores:
            one = len(self.biomarkers) == 1
            settings["biomarkers"] = self.biomarkers[0] if one else list(self.biomarkers)
            settings |= {} if self.colour is None else {"hue": self.colour}
        if self.kind is FigureKind.ALONG_TAG:
            settings["by"] = self.tag
        return _KINDS[self.kind][0], [self.tag] if self.kind.has_rows else [], settings


class FigurePlace:
    """The place of the figure, which never shrinks while the view is the same, so nothing jumps.

    A click on the picture calls back with its place, in shares of the width from the left and of
    the height from the top.
    """

    def __init__(self, guard: Guard, clicked: Callable[[float, float], None]) -> None:
        # A core control, which is shown also where the script that sends clicks cannot be loaded.
        self._picture = markup()
        clicks = Clickable(guard, at=lambda place: clicked(*map(float, place.split())))
        self.widget = ipywidgets.VBox([self._picture, clicks])
        self.widget.add_class("helios-figure")
        self.html = ""
        self.drawn: Figure | None = None
        self._view: FigureView | None = None
        self._width, self._height = _EMPTY_IN

    def show(self, figure: Figure, words: str, view: FigureView) -> None:
        """Show a figure with its description."""
        width, height = (float(inches) for inches in figure.get_size_inches())
        self._height = max(height, self._height) if view == self._view else height
        self._width, self._view, self.drawn = width, view, figure
        self._set(picture_html(figure, words))

    def show_sentence(self, sentence: str) -> None:
        """Show why there is no figure."""
        self.drawn = None
        self._set(f'<p role="status">{escape(sentence)}</p>')

    def _set(self, content: str) -> None:
        self.html = content
        # On a narrow page the picture shrinks, and its place with it.
        shape = f"aspect-ratio: {self._width:g} / {self._height:.3f}"
        width = f"width: min(100%, {_CSS_DPI * self._width:.0f}px)"
        self._picture.value = f'<div style="{shape}; {width}">{content}</div>'


def picture_html(figure: Figure, words: str) -> str:
    """Paint a figure as an HTML image whose description is ``words``."""
    width, height = (round(_CSS_DPI * inches) for inches in figure.get_size_inches())
    picture = base64.b64encode(to_png(figure, _SCREEN_DPI)).decode("ascii")
    return (
        f'<img alt="{escape(words)}" width="{width}" height="{height}" '
        f'style="max-width: 100%; height: auto" src="data:image/png;base64,{picture}">'
    )


def figure_file(figure: Figure, form: str) -> bytes:
    """Write a figure in full resolution, in one of ``FORMATS``."""
    file = io.BytesIO()
    figure.savefig(file, format=form, dpi=_FILE_DPI, metadata=_UNDATED.get(form))
    return file.getvalue()


# --- what a click means ---------------------------------------------------------------------------


class Found(NamedTuple):
    """What is at a place of a figure: one recording, or those of a bar or level.

    ``rows`` are places in what is drawn; the recordings of a bar have the values of ``columns`` in
    common, and a single recording has no columns.
    """

    rows: Codes
    columns: tuple[str, ...] = ()


NOTHING = Found(np.arange(0))


def found_at(view: FigureView, drawn: pd.DataFrame, figure: Figure, x: float, y: float) -> Found:
    """Find what is at a place of the painted figure of ``drawn``, as ``FigurePlace`` gives it."""
    spot = np.array([x, 1 - y]) * figure.bbox.size
    for panel, ax in enumerate(figure.axes):
        box = ax.get_tightbbox()
        if ax.axison and box is not None and box.contains(*spot):
            return (_in_rows if view.kind.has_rows else _along)(view, drawn, ax, panel, spot)
    return NOTHING


def _in_rows(view: FigureView, drawn: pd.DataFrame, ax: Axes, panel: int, spot: Floats) -> Found:
    found, layout = _rows(view, drawn)
    shown, height = np.flatnonzero(found.shown), ax.transData.inverted().transform(spot)[1]
    place = int(np.searchsorted(layout.places + 0.5, height))
    if height < 0 or place == len(layout.rows):
        return NOTHING
    if height < layout.places[place] - 0.5:
        # A header, above the rows of its level.
        levels = np.array([row.level for row in layout.rows])
        return Found(shown[(levels == levels[place])[layout.codes]], (view.tag,))
    here = layout.codes == place
    if not view.kind.has_scores:
        return Found(shown[here], (view.tag,))
    columns = tuple(dict.fromkeys(filter(None, (view.tag, view.colour))))
    biomarker, part = view.biomarkers[panel], _part_at(ax, spot)
    scores = found.results.scores[biomarker][shown]
    if part is not None:
        return Found(shown[here & _is_at(scores, part)], (*columns, biomarker))
    if not same_people(found.results.people[shown], layout):
        near = _nearest(ax, spot, scores, point_heights(layout))
        if near is not None:
            return Found(shown[[near]])
    return Found(shown[here], columns)


def _rows(view: FigureView, drawn: pd.DataFrame) -> tuple[Selection, RowLayout]:
    """Lay out the rows as the figure has them."""
    if not view.kind.has_scores:
        ended = select_ended(drawn, view.tag)
        return ended, lay_out_rows(ended.rows(), view.tag, None, None)
    scored = select(drawn, view.biomarkers, [view.tag, view.colour])
    kept = keep_levels(scored, view.tag, within=view.colour)
    return kept, lay_out_rows(kept.rows(), view.tag, view.colour, None)


def _along(view: FigureView, drawn: pd.DataFrame, ax: Axes, panel: int, spot: Floats) -> Found:
    found = select(drawn, view.biomarkers, [view.colour])
    shown, axis = _axis(view, found)
    biomarker = view.biomarkers[panel]
    scores, part = found.results.scores[biomarker][shown], _part_at(ax, spot)
    near = None if ax.containers else _nearest(ax, spot, axis.x, scores)
    if near is not None:
        return Found(shown[[near]])
    if view.kind is FigureKind.AWAKE or (part is None and spot[1] > ax.bbox.y0):
        return NOTHING
    across = ax.transData.inverted().transform(spot)[0]
    here = axis.bins == np.abs(axis.centres - across).argmin()
    columns: tuple[str, ...] = (_along_column(view),)
    if part is not None:
        here &= _is_at(scores, part)
        columns += (biomarker,)
        if view.colour:
            codes = found.results.levels[view.colour].codes[shown]
            here &= codes == np.unique(codes)[part // len(BUCKET_LEVELS)]
            columns += (view.colour,)
    return Found(shown[here], columns)


def _along_column(view: FigureView) -> str:
    return view.tag if view.kind is FigureKind.ALONG_TAG else "recording_time"


def _axis(view: FigureView, found: Selection) -> tuple[Codes, BinnedAxis]:
    """Give which recordings are along the axis, and where."""
    by, results = _along_column(view), found.results
    is_awake = view.kind is FigureKind.AWAKE
    when = hours_awake(results.frame) if is_awake else results.days(by)
    if np.isfinite(when).any():
        shown = np.flatnonzero(found.shown & np.isfinite(when))
        return shown, by_hours(when[shown]) if is_awake else by_time(when[shown], by)
    levels = prepare(results, [by]).levels[by]
    kept = found.shown & levels.given
    return np.flatnonzero(kept), by_level(levels.subset(kept), by)


def _part_at(ax: Axes, spot: Floats) -> int | None:
    """Find which part of a stacked bar is at a place, counted over all groups of bars."""
    found = (
        place
        for place, bars in enumerate(ax.containers)
        if isinstance(bars, BarContainer) and any(bar.contains_point(spot) for bar in bars)
    )
    return next(found, None)


def _is_at(scores: Floats, part: int) -> Flags:
    at: Flags = np.isclose(scores, BUCKET_LEVELS[part % len(BUCKET_LEVELS)], atol=0.1)
    return at


def _nearest(ax: Axes, spot: Floats, x: Floats, y: Floats) -> int | None:
    """Find the point that is at a place."""
    away = np.linalg.norm(ax.transData.transform(np.column_stack([x, y])) - spot, axis=1)
    away = np.nan_to_num(away, nan=np.inf)
    return int(away.argmin()) if away.min(initial=np.inf) <= _NEAR_DOTS else None
