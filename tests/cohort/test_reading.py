"""A table is found and read as it is, or the sentence says why not and what to do."""

import codecs

import numpy as np
import pandas as pd
import pytest

from helios_research.cohort.reading import read_delimited, read_table
from helios_research.errors import CohortError, UnreadableTableError

ROWS = pd.DataFrame({"recording": ["a.wav", "b.wav"], "visit": ["1", "NA"]})


def read(path, sheet=None):
    return read_table(path, sheet=sheet, expected=())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("absent.csv", "there is no such file. Check its name; relative paths are taken from"),
        ("folder", "it is a folder. Name the table inside it."),
        ("empty.csv", "the file is empty."),
        ("table.numbers", ".numbers is not a known format. Use one of .csv, .tsv,"),
        ("noending", "no ending is not a known format."),
        ("header.csv", "it has no rows below its header. Add the recordings."),
        ("excel.csv", "its name ends in .csv, but its content is a .xlsx file."),
        ("text.xlsx", "it is not a complete workbook"),
        ("text.parquet", "it is not a complete Parquet file"),
    ],
)
def test_what_cannot_be_read_is_explained_in_a_sentence(tmp_path, name, sentence):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.csv").touch()
    for text in ("table.numbers", "noending", "header.csv", "text.xlsx", "text.parquet"):
        (tmp_path / text).write_text("recording,visit\n")
    ROWS.to_excel(tmp_path / "excel.xlsx")
    (tmp_path / "excel.xlsx").rename(tmp_path / "excel.csv")
    with pytest.raises(UnreadableTableError) as caught:
        read(tmp_path / name)
    assert f"{tmp_path / name} cannot be read: " in str(caught.value)
    assert sentence in str(caught.value)


def test_a_sheet_is_only_for_workbooks(tmp_path):
    ROWS.to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(UnreadableTableError, match="only workbooks have sheets"):
        read(tmp_path / "m.csv", sheet="S")


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.TXT", "m.xlsx", "m.parquet"])
def test_the_same_table_is_the_same_in_every_format(tmp_path, name):
    path = tmp_path / name
    if name == "m.xlsx":
        ROWS.to_excel(path, index=False)
    elif name == "m.parquet":
        ROWS.to_parquet(path)
    else:
        ROWS.to_csv(path, index=False, sep="," if name == "m.csv" else "\t")
    table = read(path)
    pd.testing.assert_frame_equal(table.frame, ROWS)
    assert table.row_numbers.tolist() == [2, 3]
    assert table.header_row == 1


def test_parquet_keeps_types_and_large_whole_numbers_beside_missing_ones(tmp_path):
    frame = pd.DataFrame(
        {
            "recording": ["a.wav", "b.wav"],
            "id": pd.array([2**60 + 1, None], dtype="Int64"),
            "day": pd.to_datetime(["2026-01-05", "2026-01-06"]),
            "score": np.array([0.5, 1.5]),
        }
    )
    frame.to_parquet(tmp_path / "m.parquet")
    table = read(tmp_path / "m.parquet").frame
    assert table["id"].tolist()[0] == 2**60 + 1
    assert table["day"].dtype.kind == "M"
    assert table["score"].dtype == "float64"


def test_a_named_index_in_parquet_becomes_a_column(tmp_path):
    ROWS.set_index("recording").to_parquet(tmp_path / "m.parquet")
    assert read(tmp_path / "m.parquet").frame.columns.tolist() == ["recording", "visit"]


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_any_damage_ends_in_a_sentence_or_in_a_table(tmp_path, name):
    path = tmp_path / name
    if name == "m.csv":
        ROWS.to_csv(path, index=False)
    else:
        ROWS.to_parquet(path)
    whole = path.read_bytes()
    generator = np.random.default_rng(3)
    for place in generator.integers(0, len(whole), 60):
        path.write_bytes(whole[:place] + generator.bytes(4) + whole[place + 4 :])
        try:
            table = read(path)
        except CohortError as error:
            assert str(path.name) in str(error)  # noqa: PT017  # harmless damage raises nothing
        else:
            assert len(table.frame) == len(table.row_numbers)


@pytest.fixture
def read_text_file(tmp_path):
    def reading(content, name="m.csv", expected=()):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_delimited(path, expected)

    return reading


def cells(table):
    return table.frame.fillna("<NA>").to_numpy().tolist()


def test_text_stays_what_it_is(read_text_file):
    table = read_text_file("recording,a,b,c,d\nx.wav,007,NA,1e5,TRUE\n")
    assert cells(table) == [["x.wav", "007", "NA", "1e5", "TRUE"]]
    assert (table.frame.dtypes == "str").all()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(read_text_file, delimiter):
    content = 'recording,user_label,"a,b;c"\nx.wav,P01,1\n'
    rows = [["recording", "user_label", '"a,b;c\t|"'], ["x.wav", "P01", '"1,5"']]
    content = "\n".join(delimiter.join(row) for row in rows)
    table = read_text_file(content)
    assert table.frame.columns.tolist() == ["recording", "user_label", "a,b;c\t|"]
    assert cells(table) == [["x.wav", "P01", "1,5"]]


def test_the_delimiter_is_the_one_that_gives_known_names(read_text_file):
    table = read_text_file("Datei;Teil A, B, C;Person\nx.wav;1;P01\n", expected=["Datei", "Person"])
    assert table.frame.columns.tolist() == ["Datei", "Teil A, B, C", "Person"]


def test_the_hint_that_excel_writes_is_obeyed_and_not_counted(read_text_file):
    table = read_text_file("sep=;\r\nrecording;b\r\nx,y.wav;1\r\n")
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
def test_every_unicode_encoding_is_read_without_a_word(read_text_file, encoding, mark):
    table = read_text_file(mark + "recording,who\nx.wav,Zoë\n".encode(encoding))
    assert cells(table) == [["x.wav", "Zoë"]]
    assert table.frame.columns[0] == "recording"
    assert table.issues.table().empty


def test_windows_1252_is_read_and_pointed_out_once_where_it_matters(read_text_file):
    content = "recording,who,note,Größe\nx.wav,Zoë,,1\ny.wav,Ann,é,2\nz.wav,Bob,ü,3\n"
    table = read_text_file(content.encode("cp1252"))
    assert cells(table)[0][:2] == ["x.wav", "Zoë"]
    found = table.issues.table()
    assert found[["position", "severity", "column"]].to_numpy().tolist() == [[-1, "warning", "who"]]
    assert found["problem"][0] == (
        "The file is not UTF-8, so letters beyond ASCII in who, note, Größe were read as Windows-1252."
    )


def test_an_unknown_encoding_is_refused_with_a_remedy(read_text_file):
    with pytest.raises(UnreadableTableError) as caught:
        read_text_file(b"recording,who\nx.wav,\x81\x8d\n")
    assert str(caught.value).endswith(
        "m.csv cannot be read: its text is not encoded as utf-8 nor cp1252. "
        "Save it as 'CSV UTF-8' (in Excel: Save As, file type CSV UTF-8)."
    )


def test_what_is_not_text_is_refused(read_text_file):
    with pytest.raises(UnreadableTableError, match="it is not a text file"):
        read_text_file(b"RIFF\x00\xff\xfeWAVE" + b"abcdefgh" * 100)


def test_rows_are_numbered_as_a_spreadsheet_shows_them(read_text_file):
    table = read_text_file('recording,b\n"x\ny.wav",1\n\n,\nz.wav,2\n')
    assert table.row_numbers.tolist() == [2, 5]


def test_line_ends_of_all_systems_are_understood(read_text_file):
    for end in ("\n", "\r\n", "\r"):
        assert cells(read_text_file(f"recording,b{end}x.wav,1{end}")) == [["x.wav", "1"]]


def test_a_row_with_too_many_cells_is_an_error_that_shows_them(read_text_file):
    found = read_text_file("recording,b\nx.wav,1,2,3\n").issues.table().iloc[0]
    assert (found["severity"], found["value"]) == ("error", "2, 3")
    assert found["problem"] == (
        "The row has 4 cells where the header has 2, so cells may be in the wrong column."
    )


def test_a_row_with_too_few_cells_is_a_warning(read_text_file):
    table = read_text_file("recording,b,c\nx.wav,1\n")
    assert cells(table) == [["x.wav", "1", "<NA>"]]
    assert table.issues.table()["severity"].tolist() == ["warning"]


def test_blank_cells_and_columns_at_the_end_are_nothing(read_text_file):
    table = read_text_file("recording,b,,\nx.wav,1,,,,\n")
    assert table.frame.columns.tolist() == ["recording", "b"]
    assert table.issues.table().empty


def test_a_column_without_a_name_gets_one_unless_it_is_blank(read_text_file):
    assert read_text_file(",recording\n1,x.wav\n").frame.columns.tolist() == [
        "unnamed_1",
        "recording",
    ]


def test_columns_of_one_name_are_numbered_with_one_warning(read_text_file):
    raw = read_text_file("recording,note,b,note \nx.wav,1,2,3\n")
    assert raw.frame.iloc[0].to_dict() == {
        "recording": "x.wav", "note (1)": "1", "b": "2", "note (2)": "3",
    }  # fmt: skip
    assert raw.issues.table()["problem"].tolist() == [
        "2 columns are named 'note'; they are read as 'note' with (1), (2) …"
    ]


@pytest.mark.parametrize("broken", ['"x.wav,1\ny.wav,2\n', '"x"y.wav,1\n'])
def test_a_quotation_mark_that_would_swallow_rows_is_refused(read_text_file, broken):
    with pytest.raises(UnreadableTableError) as caught:
        read_text_file("recording,b\nw.wav,0\n" + broken)
    assert "row 3 cannot be split into cells" in str(caught.value)
    assert "quotation mark" in str(caught.value)


def test_a_file_that_begins_with_a_blank_line_has_no_header(read_text_file):
    with pytest.raises(UnreadableTableError, match="row 1 has no column names"):
        read_text_file("\nrecording,b\nx.wav,1\n")
