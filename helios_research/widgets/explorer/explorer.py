"""Explore results: choose recordings, see them in a figure and a table, look at one in detail."""

from dataclasses import replace
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd

from helios_research.errors import HeliosResearchError, ResultsError
from helios_research.widgets.base.controls import Button
from helios_research.widgets.base.panel import Guard, Panel, StatusLine, in_words, markup
from helios_research.widgets.base.table import ROWS_ON_A_PAGE, PagedTable, table_html
from helios_research.widgets.explorer.conditions import Filters, label_of
from helios_research.widgets.explorer.controls import Chip, ChipRow, FigurePanel, FilterPanel
from helios_research.widgets.explorer.figure import (
    EXPLORER_STYLE,
    FigurePlace,
    View,
    beside,
    save_figure,
)
from helios_research.widgets.explorer.recording import RecordingPart
from helios_research.widgets.explorer.source import open_source
from helios_research.widgets.explorer.state import NOTHING_LEFT, State, begin, reasons_of

_ALL_SHOWN = "No filter is on: all recordings are shown."
_CROSS = "\u00d7"


class Explorer(Panel):
    """Shows results in a notebook: filters, a figure, a table, and one recording in detail.

    What cannot be shown is said in a sentence in its place; nothing is raised for bad results.

    Parameters
    ----------
    results
        One row per recording: a DataFrame, the path of a Parquet file, or a study.
    recordings
        Folder where relative paths of recordings begin, so that they can be listened to; without
        it that of the Parquet file or study.

    Examples
    --------
    >>> explorer = Explorer("datasets/shift_study_results.parquet")
    >>> len(explorer.selection)
    1487
    """

    def __init__(
        self,
        results: pd.DataFrame | str | PathLike[str] | Any,
        *,
        recordings: str | PathLike[str] | None = None,
    ) -> None:
        self._status = StatusLine()
        self._guard = Guard(self._status)
        self._state: State | None = None
        try:
            source = open_source(results)
        except HeliosResearchError as error:
            self._status.fail(str(error))
        except Exception as error:  # noqa: BLE001 - whatever was given, a sentence says what is wrong
            self._status.fail(f"These results cannot be shown: {in_words(error)}.")
        else:
            if recordings is not None:
                source = replace(source, folder=Path(recordings).expanduser())
            self._state = begin(source)
        if self._state is None:
            super().__init__([self._status.widget])
        else:
            super().__init__(self._build(self._state))
            with self._guard.lock:
                self._show(self._state)

    # --- what a researcher takes away -------------------------------------------------------------

    @property
    def selection(self) -> pd.DataFrame:
        """The recordings shown: a new DataFrame with all columns, in the results' own order."""
        with self._guard.lock:
            return self._current().selection

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
            The file; ``.png``, ``.svg`` or ``.pdf``. One that is there is kept, and the new one
            gets a number.

        Returns
        -------
        Path
            Where it is.

        Raises
        ------
        ResultsError
            If the figure cannot be drawn or the file cannot be written.
        """
        with self._guard.lock:
            state = self._current()
            return save_figure(state.view, state.selection, Path(path).expanduser())

    def close(self) -> None:
        """Let go of the widgets and of the results. Safe to call twice."""
        with self._guard.lock:
            super().close()
            self._state = None

    def __repr__(self) -> str:
        if self._state is None:
            return f"<Explorer: {self._status.text or 'closed'}>"
        return f"<Explorer: {self._state.words}>"

    def static_html(self) -> str:
        """Draw figure and first page of the table, for a notebook opened without a kernel.

        Returns
        -------
        str
            HTML without scripts.
        """
        with self._guard.lock:
            return self._still_html(self._state)

    def _still_html(self, state: State | None) -> str:
        if state is None:
            return f"<p>{escape(self._status.text or 'This Explorer is closed.')}</p>"
        filters = "".join(f"<li>{escape(condition.words)}</li>" for condition in state.filters)
        rows = state.rows().iloc[self._table.order[:ROWS_ON_A_PAGE]]
        page = table_html(rows, caption="Recordings shown, first page", labels=_labels(state))
        return (
            f'{EXPLORER_STYLE}<p class="helios-headline">{escape(state.words)}</p>'
            f'<ul>{filters}</ul><div class="helios-figure">{self._figure.html}</div>'
            f'<div class="helios-scroll">{page}</div>'
        )

    # --- how it is put together -------------------------------------------------------------------

    def _build(self, state: State) -> list[Any]:
        source, guard = state.source, self._guard
        self._reasons = reasons_of(source)
        self._headline = markup()
        self._headline.add_class("helios-in-view")
        self._chips = ChipRow(_ALL_SHOWN, guard, self._drop_chip)
        self._wrong = ChipRow("Look at:", guard, self._toggle_reason)
        self._filters = FilterPanel(source, guard, self._set_filter, self._drop_filter)
        self._choices = FigurePanel(source, state.view, guard, self._change_view)
        self._choices.save.on_click(guard(lambda _: self._save()))
        self._figure = FigurePlace()
        self._table = PagedTable("Recordings shown", guard)
        self._recording = RecordingPart(source, guard, lambda: self._table.order, self._table.mark)
        for control in (self._table.sort_by, self._table.descending):
            control.observe(guard(lambda _: self._follow_order()), "value")
        below = beside(
            [markup("<h2>Recordings shown</h2>"), self._table.widget], [self._recording.widget]
        )
        below.add_class("helios-below")
        saving = ipywidgets.HBox([self._choices.file_format, self._choices.save])
        return [
            markup(EXPLORER_STYLE),
            self._headline,
            self._chips.widget,
            self._wrong.widget,
            self._status.widget,
            beside([self._filters.widget], [self._choices.widget, self._figure.widget, saving]),
            # Before what becomes longer by a click, so that nothing is below that.
            self._code_part(),
            below,
        ]

    def _code_part(self) -> Any:
        self._code = markup()
        self._code_button = Button(
            description="Show the code for this", layout=ipywidgets.Layout(width="max-content")
        )
        self._is_code_shown = False
        self._code_button.on_click(self._guard(lambda _: self._toggle_code()))
        return ipywidgets.VBox([self._code_button, self._code])

    def _current(self) -> State:
        if self._state is None:
            message = self._status.text or "This Explorer is closed: make a new one."
            raise ResultsError(message)
        return self._state

    # --- what happens on a click ------------------------------------------------------------------

    def _set_filter(self, condition: Any) -> None:
        self._become(self._current().having(condition))

    def _drop_filter(self, key: str) -> None:
        state = self._current()
        if state.filters.get(key) is not None:
            self._become(state.without(key))

    def _drop_chip(self, place: int) -> None:
        conditions = list(self._current().filters)
        if place < len(conditions):
            self._drop_filter(conditions[place].key)
        else:
            self._become(replace(self._current(), filters=Filters()))

    def _toggle_reason(self, place: int) -> None:
        condition = self._reasons[place].condition
        if self._current().filters.get(condition.key) == condition:
            self._drop_filter(condition.key)
        else:
            self._set_filter(condition)

    def _change_view(self, view: View) -> None:
        self._become(replace(self._current(), view=view))

    def _become(self, state: State) -> None:
        self._status.clear()
        self._state = state
        self._show(state)
        self.freeze_soon()

    def _save(self) -> None:
        view = self._current().view
        name = "-".join(["helios", *view.biomarkers[:2], view.tag])
        safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
        path = self.save_figure(f"{safe[:80]}.{self._choices.file_format.value}")
        self._status.tell(f"The figure was saved as {path.resolve()}.")

    def _toggle_code(self) -> None:
        self._is_code_shown = not self._is_code_shown
        shown = self._is_code_shown
        self._code_button.description = "Hide the code" if shown else "Show the code for this"
        self._show_code(self._current())

    def _follow_order(self) -> None:
        # What is shown in detail stays marked, on whichever page it is now.
        self._recording.select_from(np.flatnonzero(self._current().mask))
        self.freeze_soon()

    # --- drawing ----------------------------------------------------------------------------------

    def _show(self, state: State) -> None:
        """Draw everything, what is looked at first of all first."""
        self._headline.value = (
            f'<div class="helios-headline" role="status">{escape(state.words)}</div>'
        )
        self._show_chips(state)
        self._show_figure(state)
        self._filters.show(state.filters, state.mask)
        self._table.show(
            state.rows(),
            labels=_labels(state),
            empty=NOTHING_LEFT,
        )
        self._recording.select_from(np.flatnonzero(state.mask))
        self._show_code(state)

    def _show_figure(self, state: State) -> None:
        if not state.count:
            self._figure.say(NOTHING_LEFT)
            return
        try:
            figure = state.view.draw(state.drawn)
        except HeliosResearchError as error:
            self._figure.say(str(error))
            return
        self._figure.show(figure, f"{state.view.words}. {state.words}.", state.view)

    def _show_chips(self, state: State) -> None:
        chips = [
            Chip(f"{condition.words}  {_CROSS}", f"Remove the filter {condition.words}", is_on=True)
            for condition in state.filters
        ]
        if len(chips) > 1:
            chips.append(Chip("Remove all filters", "Show all recordings again"))
        self._chips.show(chips, "Filters:" if chips else _ALL_SHOWN)
        self._wrong.show(
            [
                Chip(
                    f"{reason.words} {reason.count:,}",
                    f"Show only recordings with {reason.words}",
                    is_on=state.filters.get(reason.condition.key) == reason.condition,
                )
                for reason in self._reasons
            ],
            "Look at:" if self._reasons else "Nothing went wrong with any recording.",
        )

    def _show_code(self, state: State) -> None:
        self._code.value = (
            f'<pre class="helios-code" tabindex="0" aria-label="Code">{escape(state.code())}</pre>'
            if self._is_code_shown
            else ""
        )


def _labels(state: State) -> dict[str, str]:
    return {name: label_of(name) for name in state.view.biomarkers}
