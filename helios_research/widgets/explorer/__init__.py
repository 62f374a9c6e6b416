"""Explore results: choose recordings, see them in a figure and a table, look at one in detail."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from traitlets import HasTraits, Instance

from helios_research.errors import HeliosResearchError, ResultsError
from helios_research.results import export
from helios_research.widgets.base import Clickable, Guard, Panel, StatusLine, in_words, markup
from helios_research.widgets.base.table import ROWS_ON_A_PAGE, PagedTable, table_html
from helios_research.widgets.explorer.controls import FigurePanel, FilterPanel
from helios_research.widgets.explorer.drawing import (
    PANES,
    compared_html,
    head_html,
    problems_html,
    reasons_of,
    take_html,
)
from helios_research.widgets.explorer.figure import (
    FORMATS,
    FigurePlace,
    FigureView,
    figure_file,
    found_at,
)
from helios_research.widgets.explorer.recording import RecordingPart
from helios_research.widgets.explorer.selection import Condition, ExplorerState, initial_state
from helios_research.widgets.explorer.source import open_source

_MOST_STEPS_BACK = 50


class _Selection(Instance[pd.DataFrame]):
    """The rows shown. Reading it raises ResultsError where an explorer has no results."""

    def get(self, obj: HasTraits, cls: type[Any] | None = None) -> pd.DataFrame | None:
        if isinstance(obj, Explorer):
            obj._current()
        rows = super().get(obj, cls)
        # Of its own, so that a column added to it is not in the explorer; pandas copies on write.
        return None if rows is None else rows.copy(deep=False)


class Explorer(Panel):
    """Shows results in a notebook: filters, a figure, a table, and one recording in detail.

    A sentence is shown in place of anything that cannot be shown; bad results raise nothing.

    Parameters
    ----------
    results
        One row per recording: a DataFrame, the path of a Parquet file, or a study.
    recordings
        Folder where relative paths of recordings begin, so that they can be played; without it
        the folder of the Parquet file or study.

    Attributes
    ----------
    selection
        The recordings shown: a DataFrame with all columns, in the results' own order. An
        observable trait, which changes with the filters. Reading it raises ResultsError where
        there are no results, or where the explorer is closed.

    Examples
    --------
    >>> explorer = Explorer("datasets/shift_study_results.parquet")
    >>> len(explorer.selection)
    1487
    >>> explorer.observe(lambda change: print(len(change["new"])), names="selection")
    """

    selection = _Selection(pd.DataFrame, read_only=True)

    def __init__(
        self,
        results: pd.DataFrame | str | PathLike[str] | Any,
        *,
        recordings: str | PathLike[str] | None = None,
    ) -> None:
        self._status = StatusLine()
        self._guard = Guard(self._status)
        self._state: ExplorerState | None = None
        try:
            source = open_source(results)
        except Exception as error:  # noqa: BLE001 - a sentence says what is wrong with any object
            self._status.show(in_words(error, "These results cannot be shown"), failed=True)
            super().__init__([self._status.widget])
        else:
            if recordings is not None:
                source = replace(source, folder=Path(recordings).expanduser())
            state = initial_state(source)
            super().__init__(self._build(state))
            with self._guard.lock:
                self._change_state(state)
                self._open("figure")

    # --- what a researcher uses -------------------------------------------------------------------

    def code(self) -> str:
        """Give the lines of pandas and ``hr.plots`` that reproduce selection and figure.

        Returns
        -------
        str
            Python that makes ``selection`` and draws the figure.

        Raises
        ------
        ResultsError
            If there are no results, or the explorer is closed.
        """
        with self._guard.lock:
            return self._current().code()

    def close(self) -> None:
        """Release the widgets and the results. Safe to call twice."""
        with self._guard.lock:
            super().close()
            self._state = None

    def __repr__(self) -> str:
        if self._state is None:
            return f"<Explorer: {self._status.text or 'closed'}>"
        return f"<Explorer: {self._state.words}>"

    def static_html(self) -> str:
        """Draw figure and first page of the table, for a notebook opened without a kernel."""
        with self._guard.lock:
            state = self._state
            if state is None:
                return f"<p>{escape(self._status.text or 'This Explorer is closed.')}</p>"
            page = table_html(
                state.rows().iloc[self._table.order[:ROWS_ON_A_PAGE]],
                caption="Recordings shown, first page",
            )
        filters = "".join(f"<li>{escape(each.words)}</li>" for each in state.filters.values())
        return (
            f'<p class="helios-headline">{escape(state.words)}</p>'
            f'<ul>{filters}</ul><div class="helios-figure">{self._figure.html}</div>'
            f'<div class="helios-scroll">{page}</div>'
        )

    # --- how it is put together -------------------------------------------------------------------

    def _build(self, state: ExplorerState) -> list[Any]:
        source, guard = state.source, self._guard
        self._reasons = reasons_of(source)
        self._past: list[ExplorerState] = []
        self._pane = ""
        self._head = Clickable(
            guard,
            back=lambda _: self._go_back(),
            keep=lambda _: self._keep(self._current().filters),
            apart=lambda _: self._keep(None),
            drop=self._drop,
        )
        self._head.add_class("helios-in-view")
        self._problems = Clickable(
            guard,
            reason=lambda place: self._toggle([self._reasons[int(place)].condition]),
            pane=self._open,
        )
        self._tips = {reason.words: reason.tip for reason in self._reasons}
        self._filters = FilterPanel(state, guard, self._set_filter)
        self._choices = FigurePanel(state, guard, self._change_view)
        self._figure = FigurePlace(guard, self._look_at)
        self._numbers = markup()
        self._take = Clickable(
            guard, figure=self._give_figure, rows=self._give_rows, copied=self._say_copied
        )
        self._table = PagedTable("Recordings shown", guard, self._choose, self._follow_order)
        self._recording = RecordingPart(source, guard, self._table)
        self._main = self._panes()
        return [self._head, self._problems, self._status.widget, self._main]

    def _panes(self) -> Any:
        panes = {
            "choices": [self._choices.widget, self._filters.widget],
            "figure": [self._figure.widget, self._numbers],
            "table": [self._table.widget, self._take],
            "recording": [self._recording.widget],
        }
        boxes = []
        for name, parts in panes.items():
            boxes.append(ipywidgets.VBox(parts))
            boxes[-1].add_class(f"helios-pane-{name}")
        together = ipywidgets.Box(boxes)
        together.add_class("helios-main")
        return together

    def _current(self) -> ExplorerState:
        if self._state is None:
            message = self._status.text or "This Explorer is closed: make a new one."
            raise ResultsError(message)
        return self._state

    # --- what happens on a click ------------------------------------------------------------------

    def _set_filter(self, column: str, condition: Condition | None) -> None:
        self._change_state(self._current().filtered(column, condition))

    def _keep(self, filters: Mapping[str, Condition] | None) -> None:
        """Compare what is shown next with the selection of these filters, or with none."""
        self._change_state(replace(self._current(), kept=filters))

    def _drop(self, place: str) -> None:
        state = self._current()
        kept = [each for here, each in enumerate(state.filters.items()) if str(here) != place]
        self._change_state(replace(state, filters=dict(kept) if place else {}))

    def _look_at(self, x: float, y: float) -> None:
        """Open the recording that was clicked in the figure, or filter to a bar or level."""
        state, figure = self._current(), self._figure.drawn
        if figure is None or state.kept is not None:
            return
        rows, columns = found_at(state.view, state.drawn, figure, x, y)
        if len(rows) and columns:
            self._toggle(state.shared(rows, columns))
        elif len(rows):
            self._choose(int(rows[0]))

    def _toggle(self, conditions: Sequence[Condition]) -> None:
        """Set conditions in one step; take them away where all of them are set already."""
        state = before = self._current()
        is_on = all(before.filters.get(each.column) == each for each in conditions)
        for each in conditions:
            state = state.filtered(each.column, None if is_on else each)
        self._change_state(state)

    def _change_view(self, view: FigureView) -> None:
        if view.tag != self._current().view.tag:
            # The levels beside the figure are its own, to filter to one of them by a click.
            self._filters.column.value = view.tag
        self._change_state(replace(self._current(), view=view))

    def _change_state(self, state: ExplorerState) -> None:
        before, self._state = self._state, state
        if before is not None:
            self._past = [*self._past[-_MOST_STEPS_BACK:], before]
        self._show_state(before, state)

    def _go_back(self) -> None:
        if self._past:
            before, self._state = self._current(), self._past.pop()
            self._choices.show(self._state.view)
            self._show_state(before, self._state)

    def _show_state(self, before: ExplorerState | None, state: ExplorerState) -> None:
        self._status.show("")
        self._show(state)
        self.render_static_soon()
        # Last, since observers take time of their own.
        if before is None or not np.array_equal(before.mask, state.mask):
            self.set_trait("selection", state.selection)

    def _choose(self, position: int) -> None:
        self._recording.show(position)
        self._open("recording")

    def _open(self, pane: str) -> None:
        """Show one of the panes that share a place where there is not room for all."""
        self._pane = pane if pane in PANES else "figure"
        for name in PANES:
            is_open = name == self._pane
            (self._main.add_class if is_open else self._main.remove_class)(f"helios-open-{name}")
        self._show_head(self._current())

    def _give_figure(self, form: str) -> None:
        """Let the browser save the figure, or with ``copy`` take it into its clipboard."""
        state = self._current()
        is_copy = form not in FORMATS
        figure = state.figure.draw(state.drawn)
        content = figure_file(figure, "png" if is_copy else form)
        self._take.give(f"{state.file_name}.{form}", content, copy=is_copy)

    def _give_rows(self, ending: str) -> None:
        """Let the browser save the rows shown, as ``results.export`` writes them."""
        state = self._current()
        with TemporaryDirectory() as folder:
            written = export(state.selection, Path(folder) / f"{state.file_name}.{ending}")[0]
            self._take.give(written.name, written.read_bytes())

    def _say_copied(self, problem: str) -> None:
        if problem:
            self._status.show(f"The browser did not copy the figure: {problem}", failed=True)
        else:
            self._status.show("The figure is in the clipboard.")

    def _follow_order(self) -> None:
        # The recording in detail stays marked, whatever page it is on now.
        self._recording.select_from(np.flatnonzero(self._current().mask))
        self.render_static_soon()

    # --- drawing ----------------------------------------------------------------------------------

    def _show(self, state: ExplorerState) -> None:
        """Draw everything, in the order in which people look at it."""
        self._show_head(state)
        self._show_figure(state)
        self._filters.show(state)
        self._table.show(state.rows(), empty=state.why_empty, tips=self._tips)
        self._recording.select_from(np.flatnonzero(state.mask))
        if self._pane == "recording" and self._recording.position is None:
            self._open("figure")
        self._take.value = take_html(state)

    def _show_figure(self, state: ExplorerState) -> None:
        self._numbers.value = ""
        if not state.count:
            self._figure.show_sentence(state.why_empty)
            return
        try:
            figure = state.figure.draw(state.drawn)
            self._figure.show(figure, f"{state.figure.words}. {state.words}.", state.figure)
            self._numbers.value = compared_html(state)
        except HeliosResearchError as error:
            self._figure.show_sentence(str(error))

    def _show_head(self, state: ExplorerState) -> None:
        self._head.value = head_html(state, can_go_back=bool(self._past))
        self._problems.value = problems_html(state, self._reasons, self._pane)
