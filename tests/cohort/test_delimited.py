"""CSV files as they come from spreadsheets all over the world."""

import codecs

import pytest

from helios_research.cohort.reading import read_delimited
from helios_research.errors import ColumnsError, UnreadableTableError


@pytest.fixture
def read(tmp_path):
    def reading(content, name="m.csv", expected=()):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_delimited(path, expected)

    return reading


def cells(table):
    return table.frame.fillna("<NA>").to_numpy().tolist()


def test_text_stays_what_it_is(read):
    table = read("recording,a,b,c,d\nx.wav,007,NA,1e5,TRUE\n")
    assert cells(table) == [["x.wav", "007", "NA", "1e5", "TRUE"]]
    assert (table.frame.dtypes == "str").all()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(read, delimiter):
    content = 'recording,user_label,"a,b;c"\nx.wav,P01,1\n'
    rows = [["recording", "user_label", '"a,b;c\t|"'], ["x.wav", "P01", '"1,5"']]
    content = "\n".join(delimiter.join(row) for row in rows)
    table = read(content)
    assert table.frame.columns.tolist() == ["recording", "user_label", "a,b;c\t|"]
    assert cells(table) == [["x.wav", "P01", "1,5"]]


def test_the_delimiter_is_the_one_that_gives_known_names(read):
    table = read("Datei;Teil A, B, C;Person\nx.wav;1;P01\n", expected=["Datei", "Person"])
    assert table.frame.columns.tolist() == ["Datei", "Teil A, B, C", "Person"]


def test_the_hint_that_excel_writes_is_obeyed_and_not_counted(read):
    table = read("sep=;\r\nrecording;b\r\nx,y.wav;1\r\n")
    assert cells(table) == [["x,y.wav", "1"]]
    assert table.row_numbers.tolist() == [2]


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("utf-32-le", codecs.BOM_UTF32_LE),
    ],
)
def test_every_unicode_encoding_is_read_without_a_word(read, encoding, mark):
    table = read(mark + "recording,who\nx.wav,Zoë\n".encode(encoding))
    assert cells(table) == [["x.wav", "Zoë"]]
    assert table.frame.columns[0] == "recording"
    assert table.issues.table().empty


def test_windows_1252_is_read_and_pointed_out_where_it_matters(read):
    table = read("recording,who\nx.wav,Zoë\ny.wav,Ann\n".encode("cp1252"))
    assert cells(table) == [["x.wav", "Zoë"], ["y.wav", "Ann"]]
    found = table.issues.table()
    assert found[["position", "severity", "column", "value"]].to_numpy().tolist() == [
        [0, "warning", "who", "Zoë"]
    ]
    assert found["problem"][0] == (
        "The file is not UTF-8, so letters beyond ASCII were read as Windows-1252."
    )


def test_an_encoding_that_cannot_be_told_is_refused_with_the_way_out(read):
    with pytest.raises(UnreadableTableError) as caught:
        read(b"recording,who\nx.wav,\x81\x8d\n")
    assert str(caught.value).endswith(
        "m.csv cannot be read: its text is not encoded as utf-8 nor cp1252. "
        "Save it as 'CSV UTF-8' (in Excel: Save As, file type CSV UTF-8)."
    )


def test_what_is_not_text_is_refused(read):
    with pytest.raises(UnreadableTableError, match="it is not a text file"):
        read(b"RIFF\x00\xff\xfeWAVE" + b"abcdefgh" * 100)


def test_rows_are_numbered_as_a_spreadsheet_shows_them(read):
    table = read('recording,b\n"x\ny.wav",1\n\n,\nz.wav,2\n')
    assert table.row_numbers.tolist() == [2, 5]


def test_line_ends_of_all_systems_are_understood(read):
    for end in ("\n", "\r\n", "\r"):
        assert cells(read(f"recording,b{end}x.wav,1{end}")) == [["x.wav", "1"]]


def test_a_row_with_too_many_cells_is_an_error_that_shows_them(read):
    found = read("recording,b\nx.wav,1,2,3\n").issues.table().iloc[0]
    assert (found["severity"], found["value"]) == ("error", "2, 3")
    assert found["problem"] == (
        "The row has 4 cells where the header has 2, so cells may be shifted."
    )


def test_a_row_with_too_few_cells_is_a_warning(read):
    table = read("recording,b,c\nx.wav,1\n")
    assert cells(table) == [["x.wav", "1", "<NA>"]]
    assert table.issues.table()["severity"].tolist() == ["warning"]


def test_blank_cells_and_columns_at_the_end_are_nothing(read):
    table = read("recording,b,,\nx.wav,1,,,,\n")
    assert table.frame.columns.tolist() == ["recording", "b"]
    assert table.issues.table().empty


def test_a_column_without_a_name_gets_one_if_something_stands_in_it(read):
    assert read(",recording\n1,x.wav\n").frame.columns.tolist() == ["unnamed_1", "recording"]


def test_two_columns_of_one_name_are_refused_with_their_places(read):
    with pytest.raises(ColumnsError) as caught:
        read("recording,note,b,note \nx.wav,1,2,3\n")
    assert str(caught.value) == (
        "m.csv has more than one column named 'note' (columns 2 and 4). "
        "Give every column a name of its own."
    )


@pytest.mark.parametrize("broken", ['"x.wav,1\ny.wav,2\n', '"x"y.wav,1\n'])
def test_a_quotation_mark_that_would_swallow_rows_is_refused(read, broken):
    with pytest.raises(UnreadableTableError) as caught:
        read("recording,b\nw.wav,0\n" + broken)
    assert "row 3 cannot be split into cells" in str(caught.value)
    assert "quotation mark" in str(caught.value)


def test_a_file_that_begins_with_a_blank_line_has_no_header(read):
    with pytest.raises(UnreadableTableError, match="row 1 has no column names"):
        read("\nrecording,b\nx.wav,1\n")
