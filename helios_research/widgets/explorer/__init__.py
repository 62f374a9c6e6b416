"""Explore results: choose recordings, see them in a figure and a table, look at one in detail."""

from dataclasses import replace
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from traitlets import HasTraits, Instance

from helios_research.errors import HeliosResearchError, ResultsError
from helios_research.widgets.base import Button, Guard, Panel, StatusLine, in_words, markup
from helios_research.widgets.base.table import ROWS_ON_A_PAGE, PagedTable, table_html
from helios_research.widgets.explorer.controls import Chip, ChipRow, FigurePanel, FilterPanel
from helios_research.widgets.explorer.figure import FigurePlace, FigureView, save_figure
from helios_research.widgets.explorer.recording import RecordingPart
from helios_research.widgets.explorer.selection import (
    NO_MATCH,
    Condition,
    ExplorerState,
    initial_state,
    reasons_of,
)
from helios_research.widgets.explorer.source import open_source


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

    def save_figure(self, path: str | PathLike[str]) -> Path:
        """Save the figure, in full resolution, as the button does.

        Parameters
        ----------
        path
            The file; ``.png``, ``.svg`` or ``.pdf``. An existing file is kept, and the new one
            gets a number.

        Raises
        ------
        ResultsError
            If the figure cannot be drawn or the file cannot be written.
        """
        with self._guard.lock:
            state = self._current()
            return save_figure(state.view, state.selection, Path(path).expanduser())

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
        self._headline = markup()
        self._headline.add_class("helios-in-view")
        self._chips = ChipRow(guard, self._drop_chip)
        self._wrong = ChipRow(guard, self._toggle_reason)
        self._filters = FilterPanel(state, guard, self._set_filter)
        self._choices = FigurePanel(state, guard, self._change_view)
        self._choices.save.on_click(guard(lambda _: self._save()))
        self._figure = FigurePlace()
        self._table = PagedTable("Recordings shown", guard)
        self._recording = RecordingPart(source, guard, lambda: self._table.order, self._table.mark)
        for control in (self._table.sort_by, self._table.descending):
            control.observe(guard(lambda _: self._follow_order()), "value")
        below = _beside(
            [markup("<h2>Recordings shown</h2>"), self._table.widget], [self._recording.widget]
        )
        below.add_class("helios-below")
        self._code, self._is_code_shown = markup(), False
        self._code_button = Button(layout=ipywidgets.Layout(width="max-content"))
        self._code_button.on_click(guard(lambda _: self._toggle_code()))
        saving = ipywidgets.HBox([self._choices.file_format, self._choices.save])
        return [
            self._headline,
            self._chips.widget,
            self._wrong.widget,
            self._status.widget,
            _beside([self._filters.widget], [self._choices.widget, self._figure.widget, saving]),
            # Above the parts that grow by a click, so that nothing is below those.
            ipywidgets.VBox([self._code_button, self._code]),
            below,
        ]

    def _current(self) -> ExplorerState:
        if self._state is None:
            message = self._status.text or "This Explorer is closed: make a new one."
            raise ResultsError(message)
        return self._state

    # --- what happens on a click ------------------------------------------------------------------

    def _set_filter(self, column: str, condition: Condition | None) -> None:
        self._change_state(self._current().filtered(column, condition))

    def _drop_chip(self, place: int) -> None:
        columns = list(self._current().filters)
        if place < len(columns):
            self._set_filter(columns[place], None)
        else:
            self._change_state(replace(self._current(), filters={}))

    def _toggle_reason(self, place: int) -> None:
        condition = self._reasons[place].condition
        is_on = self._current().filters.get(condition.column) == condition
        self._set_filter(condition.column, None if is_on else condition)

    def _change_view(self, view: FigureView) -> None:
        self._change_state(replace(self._current(), view=view))

    def _change_state(self, state: ExplorerState) -> None:
        before, self._state = self._state, state
        self._status.show("")
        self._show(state)
        self.render_static_soon()
        # Last, since observers take time of their own.
        if before is None or not np.array_equal(before.mask, state.mask):
            self.set_trait("selection", state.selection)

    def _save(self) -> None:
        view = self._current().view
        name = "-".join(["helios", *view.biomarkers[:2], view.tag])
        safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
        path = self.save_figure(f"{safe[:80]}.{self._choices.file_format.value}")
        self._status.show(f"The figure was saved as {path.resolve()}.")

    def _toggle_code(self) -> None:
        self._is_code_shown = not self._is_code_shown
        self._show_code(self._current())

    def _follow_order(self) -> None:
        # The recording in detail stays marked, whatever page it is on now.
        self._recording.select_from(np.flatnonzero(self._current().mask))
        self.render_static_soon()

    # --- drawing ----------------------------------------------------------------------------------

    def _show(self, state: ExplorerState) -> None:
        """Draw everything, in the order in which people look at it."""
        self._headline.value = (
            f'<div class="helios-headline" role="status">{escape(state.words)}</div>'
        )
        self._show_chips(state)
        self._show_figure(state)
        self._filters.show(state)
        self._table.show(state.rows(), empty=NO_MATCH)
        self._recording.select_from(np.flatnonzero(state.mask))
        self._show_code(state)

    def _show_figure(self, state: ExplorerState) -> None:
        if not state.count:
            self._figure.show_sentence(NO_MATCH)
            return
        try:
            figure = state.view.draw(state.drawn)
        except HeliosResearchError as error:
            self._figure.show_sentence(str(error))
            return
        self._figure.show(figure, f"{state.view.words}. {state.words}.", state.view)

    def _show_chips(self, state: ExplorerState) -> None:
        chips = [
            Chip(f"{condition.words}  \u00d7", f"Remove the filter {condition.words}", is_on=True)
            for condition in state.filters.values()
        ]
        if len(chips) > 1:
            chips.append(Chip("Remove all filters", "Show all recordings again"))
        none = "No filter is on: all recordings are shown."
        self._chips.show("Filters:" if chips else none, chips)
        self._wrong.show(
            "Look at:" if self._reasons else "No recording has a problem.",
            [
                Chip(
                    f"{reason.words} {reason.count:,}",
                    f"Show only recordings with {reason.words}",
                    is_on=state.filters.get(reason.condition.column) == reason.condition,
                )
                for reason in self._reasons
            ],
        )

    def _show_code(self, state: ExplorerState) -> None:
        if not self._is_code_shown:
            self._code_button.description, self._code.value = "Show the code for this", ""
            return
        self._code_button.description = "Hide the code"
        self._code.value = (
            f'<pre class="helios-code" tabindex="0" aria-label="Code">{escape(state.code())}</pre>'
        )


def _beside(*columns: list[Any]) -> Any:
    """Put columns beside each other; on a narrow page they are one above the other."""
    parts = []
    for column in columns:
        part = column[0] if len(column) == 1 else ipywidgets.VBox(column)
        part.add_class("helios-column")
        parts.append(part)
    together = ipywidgets.Box(parts)
    together.add_class("helios-main")
    return together
