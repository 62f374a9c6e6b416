"""Excel workbooks: what the spreadsheet shows is what is read."""

import sys
import zipfile
from datetime import date, datetime, time
from pathlib import Path

import openpyxl
import pytest
import xlwt

from helios_research.cohort import read_cohort
from helios_research.cohort.workbook import read_workbook
from helios_research.errors import CohortError, UnreadableTableError

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
    with pytest.raises(UnreadableTableError, match=r"Save it as .xlsx without a password, or let"):
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


# --- .xls, .xlsb and .ods -------------------------------------------------------------------------

CELLS = [
    ("007", "007"),
    (7, "7"),
    (0.5, "0.5"),
    (True, "TRUE"),
    (date(1985, 3, 14), "1985-03-14T00:00:00"),
    (datetime(2026, 1, 5, 7, 45), "2026-01-05T07:45:00"),  # noqa: DTZ001  # as above
    ("NA", "NA"),
]
ROWS = [
    ["recording", "value"],
    *([f"{n}.wav", cell] for n, (cell, _) in zip("abcdefg", CELLS, strict=True)),
]
TEXTS = [text for _, text in CELLS]

NAMESPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name if name != "number" else "datastyle"}:1.0"'
    for name in ("office", "table", "text", "style", "number")
)
# LibreOffice ends a sheet with a million blank rows.
BLANK_END = (
    '<table:table-row table:number-rows-repeated="1048500">'
    '<table:table-cell table:number-columns-repeated="1024"/></table:table-row>'
)


def write_xls(path, sheets, number_format=None, far=None):
    book = xlwt.Workbook(style_compression=2)
    for title, rows in sheets.items():
        sheet = book.add_sheet(title)
        for y, row in enumerate(rows):
            for x, cell in enumerate(row):
                style = {
                    date: "DD.MM.YYYY",
                    datetime: "DD.MM.YYYY HH:MM",
                    int: number_format,
                }.get(type(cell))
                sheet.write(y, x, cell, xlwt.easyxf(num_format_str=style or "General"))
        if far:
            sheet.write(*far, "x")
    book.save(str(path))
    return path


def ods_cell(cell):
    if isinstance(cell, bool):
        kind = f'"boolean" office:boolean-value="{str(cell).lower()}"'
    elif isinstance(cell, int | float):
        kind = f'"float" office:value="{cell}"'
    elif isinstance(cell, date):
        kind = f'"date" office:date-value="{cell.isoformat()}"'
    else:
        kind = '"string"'
    return f"<table:table-cell office:value-type={kind}><text:p>{cell}</text:p></table:table-cell>"


def write_ods(path, sheets, number_format=None):
    tables = "".join(
        f'<table:table table:name="{title}">'
        + "".join(
            f"<table:table-row>{''.join(map(ods_cell, row))}</table:table-row>" for row in rows
        )
        + f"{BLANK_END}</table:table>"
        for title, rows in sheets.items()
    )
    digits = len(number_format or "0")
    style = f'<number:number-style style:name="N1"><number:number number:min-integer-digits="{digits}"/></number:number-style>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        parts.writestr(
            "META-INF/manifest.xml",
            '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
        parts.writestr(
            "content.xml",
            f"<office:document-content {NAMESPACES}><office:automatic-styles>{style}"
            "</office:automatic-styles><office:body><office:spreadsheet>"
            f"{tables}</office:spreadsheet></office:body></office:document-content>",
        )
    return path


@pytest.fixture(params=["xls", "ods"])
def write(request, tmp_path):
    """Write a workbook of another kind."""

    def writing(sheets, **options):
        writer = {"xls": write_xls, "ods": write_ods}[request.param]
        return writer(tmp_path / f"book.{request.param}", sheets, **options)

    return writing


def test_another_workbook_is_read_as_it_is(write):
    table = read_workbook(write({"data": ROWS}), None)
    assert table.frame["value"].tolist() == TEXTS
    assert table.frame["recording"].tolist() == [f"{name}.wav" for name in "abcdefg"]
    assert table.row_numbers.tolist() == list(range(2, 9))
    assert table.issues.table().empty


def test_a_binary_workbook_of_excel_is_read():
    table = read_workbook(Path(__file__).parent / "files" / "table.xlsb", None)
    assert table.frame["value"].tolist() == TEXTS
    assert table.issues.table().empty


def test_another_workbook_is_a_good_cohort(write, folder, table_of):
    frame = table_of({"date_of_birth": date(1985, 3, 14), "user_label": "007"}, {"user_label": 8})
    path = write({"data": [list(frame.columns), *frame.to_numpy().tolist()]})
    cohort = read_cohort(path, root=folder)
    assert cohort.issues.rows.empty
    assert cohort.fields["user_label"].tolist() == ["007", "8"]
    assert cohort.fields["date_of_birth"].tolist() == ["1985-03-14", "1985-03-14"]


def test_another_workbook_has_sheets_and_blank_rows_too(write):
    rows = [HEADER, ["a.wav", 1], ["", ""], ["b.wav", 2]]
    path = write({"codes": [["x"]], "data": rows, "empty": []})
    with pytest.raises(UnreadableTableError, match=r"several sheets \('codes', 'data'\)"):
        read_workbook(path, None)
    table = read_workbook(path, "data")
    assert table.row_numbers.tolist() == [2, 4]


def test_a_blank_column_before_the_table_is_nothing(write):
    path = write({"S": [["", *row] for row in ROWS]})
    assert read_workbook(path, None).frame.columns.tolist() == ["recording", "value"]


def test_leading_zeros_that_cannot_be_read_are_said(write):
    found = read_workbook(write({"S": ROWS}, number_format="000"), None).issues.table()
    assert found[["position", "severity", "problem", "remedy"]].to_numpy().tolist() == [
        [
            -1,
            "warning",
            "The workbook shows numbers with leading zeros, such as 007, and they are read without them.",
            "If they are ids, save it as .xlsx.",
        ]
    ]


def test_leading_zeros_of_a_binary_workbook_are_said(tmp_path):
    whole = zipfile.ZipFile(Path(__file__).parent / "files" / "table.xlsb")
    path = tmp_path / "zeros.xlsb"
    with whole, zipfile.ZipFile(path, "w") as parts:
        for name in whole.namelist():
            # As Excel stores the number format 000 with the id 164.
            zeros = b"\x2c\x0c\xa4\0\x03\0\0\0" + "000".encode("utf-16-le")
            parts.writestr(name, whole.read(name) + zeros * (name == "xl/styles.bin"))
    assert read_workbook(path, None).issues.table()["severity"].tolist() == ["warning"]


def test_a_cell_far_away_in_another_workbook_is_no_table(tmp_path):
    path = write_xls(tmp_path / "far.xls", {"S": ROWS}, far=(65_000, 200))
    with pytest.raises(UnreadableTableError, match="spans more than 10,000,000 cells"):
        read_workbook(path, None)


def test_damage_in_another_workbook_ends_in_one_sentence(write):
    path = write({"S": ROWS})
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes(8) + whole[place + 8 :])
        try:
            read_workbook(path, None)
        except CohortError as error:
            assert "\n" not in str(error)  # noqa: PT017  # harmless damage raises nothing
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableTableError, match="it is not a complete workbook"):
        read_workbook(path, None)


@pytest.mark.timeout(20)
def test_an_old_workbook_that_was_not_copied_whole_ends_at_once(tmp_path):
    path = write_xls(tmp_path / "book.xls", {"S": ROWS, "T": ROWS * 300})
    whole = path.read_bytes()
    assert len(whole) > 100_000
    for place in range(512, len(whole), len(whole) // 40):
        # As a disk that was full, or a file that a cloud has not filled yet.
        path.write_bytes(whole[:place] + bytes(len(whole) - place))
        with pytest.raises(UnreadableTableError, match="it is not a complete workbook"):
            read_workbook(path, None)


def test_without_the_package_a_sentence_has_the_line_that_installs_it(write, monkeypatch):
    path = write({"S": ROWS})
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(UnreadableTableError) as caught:
        read_workbook(path, None)
    assert str(caught.value).endswith(
        f"{path.suffix} files need the package python_calamine. Install it with "
        "`pip install 'helios-research[spreadsheets]'`, or save the table as .csv."
    )
