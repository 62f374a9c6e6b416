"""CSV and Excel: text stays text, and nothing runs."""

import re
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_research.errors import ResultsError
from helios_research.results import export
from helios_research.results.shapes import describe_results
from helios_research.results.spreadsheets import (
    EXCEL_CHARACTERS,
    GUARD,
    guarded,
    prepared_for_excel,
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+44 20 7946", "'+44 20 7946"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\uff1d1", "'\uff1d1"),
        ("'=x", "''=x"),
        ("'tHooft", "'tHooft"),
        ("-1.5", "-1.5"),
        ("+3e-4", "+3e-4"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_only_text_that_would_run_gets_an_apostrophe(text: str, written: str) -> None:
    assert guarded(pd.Series([text], dtype="str")).tolist() == [written]


@settings(max_examples=300)
@given(st.text(alphabet="'=+-@\t\r\n1.ex\uff1d", max_size=6))
def test_the_apostrophe_can_always_be_taken_away_again(text: str) -> None:
    written = guarded(pd.Series([text], dtype="str")).iloc[0]
    assert re.sub(GUARD, "", written) == text
    assert not re.match(r"[=@\t\r\n\uff1d]", written)


def test_csv_read_back_by_three_readers_is_what_it_was(
    awkward: pd.DataFrame, tmp_path: Path, ask_duckdb: Callable[[str, Path], pd.DataFrame]
) -> None:
    path = export(awkward, tmp_path / "scores.csv")[0]
    own = ["user_label", "note"]
    by_pandas = pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""])
    by_polars = pl.read_csv(path, infer_schema=False).to_pandas()
    by_duckdb = ask_duckdb("select * from read_csv(?, all_varchar = true)", path)
    for table in (by_pandas, by_polars, by_duckdb):
        assert list(table.columns) == list(awkward.columns)
        for name in own:
            read = [None if pd.isna(c) else re.sub(GUARD, "", c) for c in table[name]]
            assert read == [None if pd.isna(c) else c for c in awkward[name]]
        assert table["mental_strain"].astype(float).tolist() == awkward["mental_strain"].tolist()
        assert table["badge"].tolist()[0] == str(2**60)
        assert table["warnings"].iloc[0] == "first | second, third"
        assert pd.to_datetime(table["created_at"]).tolist() == awkward["created_at"].tolist()
        assert table["n_sections"].iloc[0] == "1"
        assert '"finish_secs": 31.5' in table["sections"].iloc[0]


def test_csv_opens_as_utf8_in_excel_and_names_no_column_twice(
    awkward: pd.DataFrame, tmp_path: Path
) -> None:
    path = export(awkward.rename(columns={"badge": "=cmd"}), tmp_path / "scores.csv")[0]
    written = path.read_bytes()
    assert written.startswith(b"\xef\xbb\xbfrecording_id,")
    assert "Zoë".encode() in written
    assert b",'=cmd," in written.split(b"\r\n")[0]


def test_excel_holds_text_as_text_numbers_as_numbers_and_times_in_utc(
    awkward: pd.DataFrame, tmp_path: Path
) -> None:
    path = export(awkward, tmp_path / "scores.xlsx")[0]
    sheet = openpyxl.load_workbook(path)["results"]
    header, *rows = sheet.iter_rows()
    place = {cell.value: number for number, cell in enumerate(header)}
    assert list(place) == list(awkward.columns)

    def cells(name: str) -> list[object]:
        return [row[place[name]].value for row in rows]

    assert cells("user_label") == awkward["user_label"].tolist()
    assert cells("note") == [None if pd.isna(cell) else cell for cell in awkward["note"]]
    assert {row[place["note"]].data_type for row in rows} <= {"s", "n"}
    assert rows[0][place["note"]].quotePrefix
    assert cells("mental_strain") == awkward["mental_strain"].tolist()
    assert cells("größe in cm")[2] is None
    assert cells("badge")[0] == str(2**60)
    assert cells("consented") == awkward["consented"].tolist()
    moments = [pd.Timestamp(cell, tz="UTC") for cell in cells("created_at")]
    for read, was in zip(moments, awkward["created_at"], strict=True):
        assert abs(read - was) < pd.Timedelta(milliseconds=1)
    assert rows[0][place["created_at"]].number_format.endswith('"UTC"')


def test_excel_also_has_the_codebook_and_what_is_to_be_known(
    awkward: pd.DataFrame, tmp_path: Path
) -> None:
    path = export(awkward, tmp_path / "scores.xlsx")[0]
    book = pd.read_excel(path, sheet_name="codebook")
    assert book["column"].tolist() == list(awkward.columns)
    about = pd.read_excel(path, sheet_name="about", header=None)[0].tolist()
    assert any("SYNTHETIC" in str(line) for line in about)


def test_excel_never_sees_an_error_value_or_a_control_character(
    awkward: pd.DataFrame, tmp_path: Path
) -> None:
    awkward["note"] = pd.Series(["#N/A", "bell\x07", "inf", "ok", None, "no\uffff"], dtype="str")
    awkward["ratio"] = [float("inf"), 1.0, 2.0, 3.0, 4.0, 5.0]
    files = export(awkward, tmp_path / "scores.xlsx")
    sheet = openpyxl.load_workbook(files[0])["results"]
    columns = {column[0].value: column[1:] for column in sheet.iter_cols()}
    assert [cell.value for cell in columns["note"]][:4] == ["#N/A", "bell\ufffd", "inf", "ok"]
    assert columns["note"][0].data_type == "s"
    assert columns["note"][5].value == "no\ufffd"
    assert [cell.value for cell in columns["ratio"]][:2] == ["inf", 1.0]
    assert "Control characters in 2 cells are" in files[3].read_text(encoding="utf-8")


def test_text_too_long_for_a_cell_is_cut_and_said_so(awkward: pd.DataFrame, tmp_path: Path) -> None:
    awkward.loc[0, "note"] = "y" * (EXCEL_CHARACTERS + 1)
    files = export(awkward, tmp_path / "scores.xlsx")
    assert len(pd.read_excel(files[0])["note"].iloc[0]) == EXCEL_CHARACTERS
    assert "Cut at 32,767 characters, the most that an Excel cell holds: 1 text;" in files[
        3
    ].read_text(encoding="utf-8")


def test_more_rows_than_a_sheet_holds_are_refused_with_another_way() -> None:
    table = pd.DataFrame({"recording_id": "x", "outcome": "scored"}, index=range(1_048_576))
    with pytest.raises(ResultsError, match=r"holds 1,048,575 rows.*\.parquet or \.csv"):
        prepared_for_excel(describe_results(table))
