"""A table of any length, one page at a time: paged and sorted here, drawn as plain HTML.

Only the rows on the page travel to the browser, so 100,000 rows cost it no more than 25.
"""

from collections.abc import Sequence
from html import escape
from math import ceil
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import (
    is_bool_dtype,
    is_datetime64_any_dtype,
    is_float_dtype,
    is_numeric_dtype,
)

from helios_research.widgets.base import (
    BoundedIntText,
    Button,
    Checkbox,
    ControlGroup,
    Dropdown,
    Guard,
    cut,
    markup,
)

ROWS_ON_A_PAGE = 25

_AS_GIVEN = "the table's own order"


class PagedTable(ControlGroup):
    """A table as high as a full page, with controls to sort it and to turn its pages.

    ``order`` has the positions of the frame's rows, from 0, in the order shown.
    """

    def __init__(
        self,
        caption: str,
        guard: Guard,
        *,
        rows_on_a_page: int = ROWS_ON_A_PAGE,
        sortable: bool = True,
        wrapped: bool = False,
    ) -> None:
        super().__init__()
        self._caption = caption
        self._rows = rows_on_a_page
        self._wrapped = wrapped
        self._frame = pd.DataFrame()
        self._empty = ""
        self.order: NDArray[np.int64] = np.arange(0)
        self._marked: int | None = None
        self._page_number = 1
        self._content = markup()
        self._position = markup()
        self._make_controls(guard)
        turning = [self.first, self.previous, self.page, self.next, self.last]
        wrap = {"flex_flow": "row wrap", "align_items": "center"}
        self._turning = ipywidgets.HBox(turning, layout=ipywidgets.Layout(**wrap))
        self._position.layout.margin = "0 1em 0 0"
        below = ipywidgets.HBox([self._position, self._turning], layout=ipywidgets.Layout(**wrap))
        sorting = [ipywidgets.HBox([self.sort_by, self.descending])] if sortable else []
        self.widget = ipywidgets.VBox([*sorting, self._content, below])
        self.show(self._frame)

    def _make_controls(self, guard: Guard) -> None:
        narrow = ipywidgets.Layout(width="auto")
        self.sort_by = Dropdown(description="Sort by", options=[_AS_GIVEN])
        self.descending = Checkbox(description="largest first", indent=False, layout=narrow)
        self.first = Button(description="First page", layout=narrow)
        self.previous = Button(description="Previous page", layout=narrow)
        self.next = Button(description="Next page", layout=narrow)
        self.last = Button(description="Last page", layout=narrow)
        self.page = BoundedIntText(
            description="Page", value=1, min=1, max=1, layout=ipywidgets.Layout(width="10em")
        )
        for button, target in (
            (self.first, lambda: 1),
            (self.previous, lambda: self._page_number - 1),
            (self.next, lambda: self._page_number + 1),
            (self.last, lambda: self.pages),
        ):
            button.on_click(guard(lambda _, target=target: self.turn_to(target())))
        self._follow(guard, self.page, lambda: self.turn_to(self.page.value))
        self._follow(guard, self.sort_by, self._sort)
        self._follow(guard, self.descending, self._sort)

    @property
    def pages(self) -> int:
        """Number of pages; an empty table has one."""
        return max(1, ceil(len(self._frame) / self._rows))

    def show(self, frame: pd.DataFrame, *, empty: str = "There is nothing to show.") -> None:
        """Show another table, or ``empty`` where it has no rows; the sorting stays if it can."""
        self._frame, self._empty = frame, empty
        self._marked = None
        # The chosen column stays chosen while the table has one of that name.
        chosen = self.sort_by.value
        options = (_AS_GIVEN, *frame.columns)
        if self.sort_by.options != options:
            with self._setting():
                self.sort_by.options = options
                self.sort_by.value = chosen if chosen in frame.columns else _AS_GIVEN
        self._sort()

    def mark(self, position: int | None) -> None:
        """Highlight a row by its position in the frame, from 0, or none; turn to its page."""
        self._marked = position
        if position is None:
            self._draw()
        else:
            place = int(np.flatnonzero(self.order == position)[0])
            self.turn_to(place // self._rows + 1)

    def turn_to(self, page: int) -> None:
        """Show a page, counted from 1; beyond the ends, the nearest one."""
        self._page_number = min(max(1, page), self.pages)
        self._draw()

    def _sort(self) -> None:
        self.order = sorted_positions(
            self._frame, self.sort_by.value, descending=self.descending.value
        )
        self.turn_to(1)

    def _draw(self) -> None:
        number = self._page_number
        with self._setting(), self.page.hold_trait_notifications():
            self.page.max = self.pages
            self.page.value = number
        self.first.disabled = self.previous.disabled = number == 1
        self.next.disabled = self.last.disabled = number == self.pages
        start = (number - 1) * self._rows
        shown = self.order[start : start + self._rows]
        self._content.value = self._page_html(shown)
        # Hidden buttons keep their place.
        self._turning.layout.visibility = "visible" if self.pages > 1 else "hidden"
        total = len(self._frame)
        words = f"{start + 1:,} to {start + len(shown):,} of {total:,}" if total else "0 of 0"
        self._position.value = f'<span role="status">{words}</span>'

    def _page_html(self, shown: NDArray[np.int64]) -> str:
        body = (
            table_html(
                self._frame.iloc[shown],
                caption=self._caption,
                marked=[position == self._marked for position in shown.tolist()],
                wrapped=self._wrapped,
            )
            if len(shown)
            else f'<p class="helios-muted">{escape(self._empty)}</p>'
        )
        return (
            f'<div class="helios-scroll helios-page" style="--helios-rows: {self._rows + 1}" '
            f'tabindex="0" role="region" '
            f'aria-label="{escape(self._caption)}">{body}</div>'
        )


def sorted_positions(
    frame: pd.DataFrame, column: Any, *, descending: bool = False
) -> NDArray[np.int64]:
    """Give the rows' positions in sorted order; missing values come last either way."""
    if column not in frame.columns:
        return np.arange(len(frame))[:: -1 if descending else 1]
    values = frame[column].reset_index(drop=True)
    if values.dtype == object:
        values = values.map(str, na_action="ignore").astype("str")
    ordered = values.sort_values(ascending=not descending, kind="stable", na_position="last")
    return np.asarray(ordered.index, dtype=np.int64)


def table_html(
    frame: pd.DataFrame,
    *,
    caption: str,
    marked: Sequence[bool] = (),
    wrapped: bool = False,
) -> str:
    """Draw all rows; nothing from the table is markup, and ``wrapped`` text is not cut."""
    dtypes = [frame[name].dtype for name in frame.columns]
    numeric = [is_numeric_dtype(dtype) and not is_bool_dtype(dtype) for dtype in dtypes]
    marks = [' class="helios-number"' if number else "" for number in numeric]
    head = "".join(
        f'<th scope="col"{mark}>{cut(name)}</th>'
        for name, mark in zip(frame.columns, marks, strict=True)
    )
    texts = [cell_texts(frame[name]) for name in frame.columns]
    rows = "".join(
        _row_html(cells, marks, marked=bool(marked) and marked[number], wrapped=wrapped)
        for number, cells in enumerate(zip(*texts, strict=True))
    )
    classes = "helios-table helios-wrapped" if wrapped else "helios-table"
    return (
        f'<table class="{classes}" aria-label="{escape(caption)}">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _row_html(cells: Sequence[str], marks: Sequence[str], *, marked: bool, wrapped: bool) -> str:
    drawn = "".join(
        f"<td{mark}>{escape(text) if wrapped else cut(text)}</td>"
        for text, mark in zip(cells, marks, strict=True)
    )
    row = ' class="helios-marked" aria-current="true"' if marked else ""
    return f"<tr{row}>{drawn}</tr>"


def cell_texts(values: "pd.Series[Any]") -> list[str]:
    """Write one column for people: at most three decimals, whole seconds, missing as nothing."""
    if is_datetime64_any_dtype(values.dtype):
        return list(values.dt.strftime("%Y-%m-%d %H:%M:%S").fillna(""))
    texts = [_cell_text(value) for value in values.tolist()]
    if not is_float_dtype(values.dtype):
        return texts
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    return [
        f"{value:,.{decimals}f}" if text else "" for value, text in zip(values, texts, strict=True)
    ]


def _cell_text(value: Any) -> str:
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(map(_cell_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_cell_text(part)}" for name, part in value.items())
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return str(value)
