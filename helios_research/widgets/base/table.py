"""A table of any length, one page at a time: paged and sorted here, drawn as plain HTML.

Only the rows on the page travel to the browser, so 100,000 rows cost it no more than 25.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import ceil
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import (
    is_bool_dtype,
    is_datetime64_any_dtype,
    is_float_dtype,
    is_numeric_dtype,
)

from helios_research.widgets.base import Clickable, Guard, button_html, cut, region_html

ROWS_ON_A_PAGE = 25


class PagedTable:
    """A table with its own scroll: a click on a header sorts it, ``choose`` gets the row clicked.

    ``order`` has the positions of the frame's rows, from 0, in the order shown; ``reordered`` is
    called when it changes.
    """

    def __init__(
        self,
        caption: str,
        guard: Guard,
        choose: Callable[[int], None],
        reordered: Callable[[], None] = lambda: None,
    ) -> None:
        self._caption, self._reordered = caption, reordered
        self._sorted_by: Any = None
        self._descending = False
        self.widget = Clickable(
            guard,
            sort=lambda place: self.sort(self._frame.columns[int(place)]),
            page=lambda page: self.turn_to(int(page)),
            row=lambda position: choose(int(position)),
        )
        self.show(pd.DataFrame())

    @property
    def pages(self) -> int:
        """Number of pages; an empty table has one."""
        return max(1, ceil(len(self._frame) / ROWS_ON_A_PAGE))

    def show(
        self,
        frame: pd.DataFrame,
        *,
        empty: str = "There is nothing to show.",
        tips: Mapping[str, str] | None = None,
    ) -> None:
        """Show another table, or ``empty`` where it has no rows; the sorting stays if it can.

        A cell whose text is in ``tips`` has the longer text as its title.
        """
        self._frame, self._empty, self._tips = frame, empty, tips or {}
        self._marked: int | None = None
        self._sort()

    def mark(self, position: int | None) -> None:
        """Highlight a row by its position in the frame, from 0, or none; turn to its page."""
        if position is None and self._marked is None:
            return
        self._marked = position
        if position is None:
            self._draw()
        else:
            place = int(np.flatnonzero(self.order == position)[0])
            self.turn_to(place // ROWS_ON_A_PAGE + 1)

    def turn_to(self, page: int) -> None:
        """Show a page, counted from 1; beyond the ends, the nearest one."""
        self.page = min(max(1, page), self.pages)
        self._draw()

    def sort(self, column: Any) -> None:
        """Sort by a column: first upwards, when asked again downwards, then as it was."""
        is_again = self._sorted_by == column
        self._sorted_by = None if is_again and self._descending else column
        self._descending = is_again and not self._descending
        self._sort()
        self._reordered()

    def _sort(self) -> None:
        self.order = sorted_positions(self._frame, self._sorted_by, descending=self._descending)
        self.turn_to(1)

    def _draw(self) -> None:
        start = (self.page - 1) * ROWS_ON_A_PAGE
        shown = self.order[start : start + ROWS_ON_A_PAGE]
        self.widget.value = self._page_html(shown) + self._turning_html(start, len(shown))

    def _page_html(self, shown: NDArray[np.int64]) -> str:
        body = f'<p class="helios-muted">{escape(self._empty)}</p>'
        if len(shown):
            rows, heads = self._frame.iloc[shown], self._heads_html()
            places = {"rows": shown.tolist(), "marked": self._marked}
            body = table_html(rows, self._caption, heads=heads, tips=self._tips, **places)
        # Another page begins at its top.
        scroll = f' data-scroll="{self.page}"'
        return region_html(self._caption, body, "helios-page", scroll)

    def _heads_html(self) -> list[str]:
        heads = []
        for place, name in enumerate(self._frame.columns):
            is_on = name == self._sorted_by
            arrow, state = ("▼", "descending") if self._descending else ("▲", "ascending")
            shown = f' <span aria-hidden="true">{arrow}</span>' if is_on else ""
            button = button_html(f"sort:{place}", str(name), after=shown, classes="helios-head")
            heads.append(f' aria-sort="{state if is_on else "none"}">{button}')
        return heads

    def _turning_html(self, start: int, shown: int) -> str:
        total, page = len(self._frame), self.page
        words = f"{start + 1:,} to {start + shown:,} of {total:,}" if total else "0 of 0"
        turns = {"First": 1, "Previous": page - 1, "Next": page + 1, "Last": self.pages}
        buttons = [
            button_html(
                f"page:{there}",
                f"{name} page",
                disabled=not 1 <= there <= self.pages or there == page,
            )
            for name, there in turns.items()
        ]
        # Hidden buttons keep their place.
        hidden = "" if self.pages > 1 else ' style="visibility: hidden"'
        return (
            f'<div class="helios-chips"><span role="status">{words}</span>'
            f"<span data-arrows{hidden}>{''.join(buttons)}</span></div>"
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
    caption: str,
    *,
    heads: Sequence[str] = (),
    rows: Sequence[int] = (),
    marked: int | None = None,
    tips: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Draw all rows; nothing from the table is markup.

    ``heads`` are the header cells behind their ``<th scope="col"``, if they are more than names;
    ``rows`` what a click on each row says, and ``marked`` the one of them that is highlighted.
    """
    dtypes = [frame[name].dtype for name in frame.columns]
    numeric = [is_numeric_dtype(dtype) and not is_bool_dtype(dtype) for dtype in dtypes]
    marks = [' class="helios-number"' if number else "" for number in numeric]
    named = heads or [f">{cut(name)}" for name in frame.columns]
    head = "".join(
        f'<th scope="col"{mark}{name}</th>' for name, mark in zip(named, marks, strict=True)
    )
    # Where rows are chosen, number and name stay in view, so a name is short.
    columns = [
        [cut(text, 18 if rows and place == 1 else 32, tips.get(text, "")) for text in texts]
        for place, texts in enumerate(cell_texts(frame[name]) for name in frame.columns)
    ]
    looks = [""] * len(frame)
    if rows:
        # The first cell is a button too, for the keyboard.
        button = '<button type="button" class="helios-head" data-click="row:{}">{}</button>'
        columns[0] = [button.format(*pair) for pair in zip(rows, columns[0], strict=True)]
        here = ' class="helios-marked" aria-current="true"'
        looks = [f' data-click="row:{row}"{here if row == marked else ""}' for row in rows]
    body = ""
    for look, cells in zip(looks, zip(*columns, strict=True), strict=True):
        drawn = (f"<td{mark}>{cell}</td>" for mark, cell in zip(marks, cells, strict=True))
        body += f"<tr{look}>{''.join(drawn)}</tr>"
    return (
        f'<table class="helios-table" aria-label="{escape(caption)}"><thead><tr data-arrows>{head}'
        f"</tr></thead><tbody{' data-arrows' if rows else ''}>{body}</tbody></table>"
    )


def html_table(heads: Sequence[str], lines: Sequence[Sequence[str]], label: str) -> str:
    """Draw a table whose cells are already HTML; the first of each line is its header."""
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    body = "".join(
        f'<tr><th scope="row">{line[0]}</th>{"".join(f"<td>{cell}</td>" for cell in line[1:])}</tr>'
        for line in lines
    )
    return (
        f'<table class="helios-table helios-wrapped" aria-label="{escape(label)}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


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
