"""A table of any length shows a page at a time, and only that travels."""

import re

import numpy as np
import pandas as pd
import pytest

from helios_research.widgets.base import Guard, StatusLine
from helios_research.widgets.base.table import PagedTable, cell_texts, sorted_positions, table_html


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"name": [f"r{n}" for n in range(60)], "score": np.arange(60)[::-1] / 60})


@pytest.fixture
def table(frame: pd.DataFrame) -> PagedTable:
    table = PagedTable("Recordings", Guard(StatusLine()), print)
    table.show(frame)
    return table


def shown(table: PagedTable) -> list[str]:
    return re.findall(r'data-click="row:\d+">(r\d+)</button>', html(table))


def html(table: PagedTable) -> str:
    return table.widget.value


def off(table: PagedTable) -> list[str]:
    """The buttons that turn pages and do nothing now."""
    return re.findall(r'data-click="page:\d+" disabled><span>(\w+)', html(table))


def test_the_first_page_says_how_many_rows_there_are(table: PagedTable) -> None:
    assert shown(table) == [f"r{n}" for n in range(25)]
    assert "1 to 25 of 60" in html(table)
    assert off(table) == ["First", "Previous"]


def test_pages_are_turned_by_buttons(table: PagedTable) -> None:
    table.widget.click("page:2")
    assert shown(table)[0] == "r25"
    assert off(table) == []
    table.widget.click("page:3")
    assert shown(table) == [f"r{n}" for n in range(50, 60)]
    assert off(table) == ["Next", "Last"]
    table.widget.click("page:9")
    assert table.page == 3, "beyond the ends there is nothing"


def test_sorting_covers_all_pages_upwards_downwards_and_not_at_all(table: PagedTable) -> None:
    table.turn_to(3)
    table.widget.click("sort:1")
    assert shown(table)[:2] == ["r59", "r58"]
    assert re.findall(r'aria-sort="(\w+)"', html(table)) == ["none", "ascending"]
    table.widget.click("sort:1")
    assert shown(table)[:2] == ["r0", "r1"]
    assert re.findall(r'aria-sort="(\w+)"', html(table)) == ["none", "descending"]
    table.widget.click("sort:1")
    assert re.findall(r'aria-sort="(\w+)"', html(table)) == ["none", "none"]
    assert table.page == 1


def test_sorting_stays_when_another_table_has_the_column(
    table: PagedTable, frame: pd.DataFrame
) -> None:
    table.sort("score")
    table.show(frame.head(3))
    assert shown(table) == ["r2", "r1", "r0"]
    table.show(frame[["name"]])
    assert shown(table)[:2] == ["r0", "r1"]


def test_a_row_says_its_position_when_it_is_clicked(frame: pd.DataFrame) -> None:
    chosen: list[int] = []
    table = PagedTable("Recordings", Guard(StatusLine()), chosen.append)
    table.show(frame)
    table.sort("score")
    table.widget.click(re.search('<tr data-click="(.*?)"', html(table))[1])
    assert chosen == [59]


def test_a_marked_row_is_brought_into_view(table: PagedTable) -> None:
    table.mark(30)
    assert table.page == 2
    assert re.search(r'aria-current="true"><td><button[^>]*>r30<', html(table))
    table.mark(None)
    assert "aria-current" not in html(table)


def test_an_empty_table_says_so_and_has_one_page(table: PagedTable, frame: pd.DataFrame) -> None:
    table.show(frame.head(0), empty="No recording fits.")
    assert "No recording fits." in html(table)
    assert "0 of 0" in html(table)
    assert off(table) == ["First", "Previous", "Next", "Last"]


def test_what_is_missing_comes_last_whichever_way_it_is_sorted() -> None:
    frame = pd.DataFrame({"a": [2.0, None, 1.0], "lists": [["b"], None, ["a"]]})
    assert sorted_positions(frame, "a").tolist() == [2, 0, 1]
    assert sorted_positions(frame, "a", descending=True).tolist() == [0, 2, 1]
    assert sorted_positions(frame, "lists").tolist() == [2, 0, 1]
    assert sorted_positions(frame, "not there").tolist() == [0, 1, 2]


def test_nothing_in_a_table_is_markup() -> None:
    frame = pd.DataFrame({"<i>": ["<script>alert(1)</script>" * 3]})
    drawn = table_html(frame, caption='"><b>')
    assert not re.search(r"<(i|b|script)[ >]", drawn)
    assert "title=" in drawn


def test_values_are_written_the_way_people_read_them() -> None:
    moments = pd.Series(pd.to_datetime(["2026-03-01T12:00:00.5", None], utc=True))
    assert cell_texts(moments) == ["2026-03-01 12:00:00", ""]
    values = pd.Series([0.3333333, 1.0, None, ["x", "y"], "007", True, {"a": 1}], dtype=object)
    assert cell_texts(values) == ["0.333", "1", "", "x, y", "007", "True", "a: 1"]


def test_numbers_below_each_other_have_their_points_below_each_other() -> None:
    assert cell_texts(pd.Series([0.98, 1, None, 1234.5678])) == ["0.980", "1.000", "", "1,234.568"]
    assert cell_texts(pd.Series([0.33, 1, 0.66])) == ["0.33", "1.00", "0.66"]
    assert cell_texts(pd.Series([1.0, 2.0, None])) == ["1", "2", ""]
