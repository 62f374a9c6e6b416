"""A table is found, or the sentence says why not and what to do."""

import numpy as np
import pandas as pd
import pytest

from helios_research.cohort.reading import read_table
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
        ("table.ods", ".ods is not a known format. Use one of .csv, .tsv,"),
        ("noending", "no ending is not a known format."),
        ("header.csv", "it has no rows below its header. Add the recordings."),
        ("excel.csv", "its name ends in .csv, but its content is that of a .xlsx file."),
        ("text.xlsx", "it is not a whole Excel workbook"),
        ("text.parquet", "it is not a whole Parquet file"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(tmp_path, name, sentence):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.csv").touch()
    for text in ("table.ods", "noending", "header.csv", "text.xlsx", "text.parquet"):
        (tmp_path / text).write_text("recording,visit\n")
    ROWS.to_excel(tmp_path / "excel.xlsx")
    (tmp_path / "excel.xlsx").rename(tmp_path / "excel.csv")
    with pytest.raises(UnreadableTableError) as caught:
        read(tmp_path / name)
    assert f"{tmp_path / name} cannot be read: " in str(caught.value)
    assert sentence in str(caught.value)


def test_a_sheet_is_only_for_workbooks(tmp_path):
    ROWS.to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(UnreadableTableError, match="only Excel workbooks have sheets"):
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
