"""Excel workbooks: what the spreadsheet shows is what is read."""

from datetime import datetime, time

import openpyxl
import pytest

from helios_research.cohort.workbook import read_workbook
from helios_research.errors import UnreadableTableError

HEADER = ["recording", "value"]


@pytest.fixture
def workbook(tmp_path):
    def make(sheets, formats=None):
        book = openpyxl.Workbook()
        book.remove(book.active)
        for title, rows in sheets.items():
            sheet = book.create_sheet(title)
            for row in rows:
                sheet.append(row)
            for cell, number_format in (formats or {}).items():
                sheet[cell].number_format = number_format
        path = tmp_path / "book.xlsx"
        book.save(path)
        return path

    return make


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("007", "007"),
        ("NA", "NA"),
        (7, "7"),
        (7.0, "7"),
        (0.5, "0.5"),
        (True, "TRUE"),
        (datetime(1985, 3, 14), "1985-03-14"),  # noqa: DTZ001  # Excel knows no zones
        (datetime(2026, 1, 5, 7, 45), "2026-01-05T07:45:00"),  # noqa: DTZ001  # as above
        (time(7, 45), "07:45:00"),
        ("#N/A", "#N/A"),
    ],
)
def test_a_cell_is_read_as_text(workbook, value, text):
    table = read_workbook(workbook({"S": [HEADER, ["a.wav", value]]}), None)
    assert table.frame["value"].tolist() == [text]


def test_a_number_shown_with_leading_zeros_keeps_them(workbook):
    path = workbook({"S": [HEADER, ["a.wav", 7]]}, {"B2": "000"})
    assert read_workbook(path, None).frame["value"].tolist() == ["007"]


def test_blank_rows_are_left_out_but_counted(workbook):
    path = workbook({"S": [HEADER, ["a.wav", 1], [None, " "], ["b.wav", 2]]})
    table = read_workbook(path, None)
    assert table.row_numbers.tolist() == [2, 4]
    assert table.frame["value"].tolist() == ["1", "2"]


def test_the_only_sheet_that_holds_something_is_taken(workbook):
    path = workbook({"empty": [], "data": [HEADER, ["a.wav", 1]]})
    assert read_workbook(path, None).source == "book.xlsx (sheet 'data')"


def test_several_sheets_need_a_choice(workbook):
    path = workbook({"codes": [["x"]], "data": [HEADER, ["a.wav", 1]]})
    with pytest.raises(UnreadableTableError) as caught:
        read_workbook(path, None)
    assert "it has several sheets ('codes', 'data')" in str(caught.value)
    assert "as in sheet='codes'" in str(caught.value)
    assert len(read_workbook(path, "data").frame) == 1


def test_a_sheet_that_is_not_there_is_answered_with_those_that_are(workbook):
    with pytest.raises(UnreadableTableError, match=r"no sheet named 'x'. Its sheets are 'S'\."):
        read_workbook(workbook({"S": [HEADER]}), "x")


def test_an_empty_workbook_is_refused(workbook):
    with pytest.raises(UnreadableTableError, match="it contains no cells"):
        read_workbook(workbook({"S": []}), None)


def test_a_header_that_is_not_in_row_1_is_refused(workbook):
    path = workbook({"S": [[None, None], HEADER, ["a.wav", 1]]})
    with pytest.raises(UnreadableTableError, match="row 1 of sheet 'S' has no column names"):
        read_workbook(path, None)


def test_a_password_or_an_old_format_is_named(tmp_path):
    path = tmp_path / "old.xlsx"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600)
    with pytest.raises(UnreadableTableError, match=r"Save it as .xlsx without a password"):
        read_workbook(path, None)


def test_damage_anywhere_in_the_file_ends_in_one_sentence(workbook):
    path = workbook({"S": [HEADER, ["a.wav", 1]]})
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes(8) + whole[place + 8 :])
        try:
            read_workbook(path, None)
        except UnreadableTableError as error:
            assert "\n" not in str(error)  # noqa: PT017  # harmless damage raises nothing


def test_a_formula_that_was_never_computed_is_an_error_of_its_row(workbook):
    path = workbook({"S": [HEADER, ["a.wav", 1], ["b.wav", '=A2&"x"']]})
    found = read_workbook(path, None).issues.table()
    assert found[["position", "severity", "column", "value"]].to_numpy().tolist() == [
        [1, "error", "value", '=A2&"x"']
    ]
    assert found["problem"][0] == "The cell holds a formula whose result was not saved."
