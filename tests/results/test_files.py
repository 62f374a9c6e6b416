"""Parquet, CSV and Excel: other programs read what was written; text stays text."""

import datetime as dt
import decimal
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import helios_research as hr
from helios_research.errors import ResultsError, StudyStorageError
from helios_research.ledger import Ledger
from helios_research.results import export, read_results
from helios_research.results.files import (
    EXCEL_CHARACTERS,
    GUARD,
    guarded,
    prepare_for_excel,
    to_arrow,
    write_parquet,
)
from helios_research.results.shapes import describe_results
from helios_research.withdrawal import COHORT_FILE


@pytest.fixture
def unsent(tmp_path, make_cohort):
    """A study whose cohort has the columns that a test gives it, and has not been sent."""

    def make(count: int, **columns: object) -> hr.Study:
        study = hr.Study(tmp_path / "study")
        with Ledger.open(study.folder):
            pass
        table = make_cohort(max(1, count), **columns).head(count)
        hr.Cohort.from_frame(table).save(study.folder / COHORT_FILE)
        return study

    return make


def test_pandas_polars_and_duckdb_read_the_same_values(study, tmp_path, ask_duckdb) -> None:
    path = tmp_path / "scores.parquet"
    write_parquet(to_arrow(study), path, {"study": "shift"})
    ours = read_results(path)
    by_polars = pl.read_parquet(path)
    moments = ["created_at", "uploaded_at", "run_at", "completed_at"]
    counted = ", ".join(f"epoch_us({name}) AS {name}" for name in moments)
    by_duckdb = ask_duckdb(f"SELECT * REPLACE ({counted}) FROM read_parquet(?)", path)
    assert ours.columns.tolist() == by_polars.columns == list(by_duckdb.columns)
    assert len(ours) == len(by_polars) == len(by_duckdb) == len(study)
    for name in ("mental_strain", "duration_s", "attempts"):
        expected = study[name].astype("float64").to_numpy()
        np.testing.assert_array_equal(ours[name].astype("float64").to_numpy(), expected)
        np.testing.assert_array_equal(by_polars[name].cast(pl.Float64).to_numpy(), expected)
        taken = by_duckdb[name].astype("float64").to_numpy()
        np.testing.assert_array_equal(taken, expected)
    for name in ("recording_id", "outcome", "audio_format", "sha256"):
        expected = [None if pd.isna(value) else value for value in study[name]]
        assert by_polars[name].cast(pl.String).to_list() == expected
        assert [None if pd.isna(value) else value for value in by_duckdb[name]] == expected
    for name in moments:
        expected = [None if pd.isna(value) else value.to_pydatetime() for value in study[name]]
        assert by_polars[name].to_list() == expected
        epoch = [
            None if pd.isna(value) else round(value.timestamp() * 1e6) for value in study[name]
        ]
        assert [None if pd.isna(value) else int(value) for value in by_duckdb[name]] == epoch


def test_columns_that_mix_types_come_back_as_text_and_others_keep_theirs(unsent) -> None:
    study = unsent(
        4,
        mixed=pd.Series([1, "two", 3.5, None], dtype="object"),
        dates=pd.Series([dt.date(2026, 1, 2), None, "later", 7], dtype="object"),
        whole=[1, 2, 3, 2**60],
        decimals=[decimal.Decimal("1.10"), None, decimal.Decimal("2.25"), None],
        flags=[True, False, True, False],
        kinds=pd.Categorical(["a", "b", None, "a"]),
        empty=pd.Series([None] * 4, dtype="object"),
        moments=pd.to_datetime(["2026-01-02 03:04"] * 4).tz_localize("Europe/Berlin"),
    )
    results = study.results()
    read = pd.read_parquet(study.to_parquet(study.folder / "scores.parquet"))
    assert read["mixed"].tolist()[:3] == ["1", "two", "3.5"]
    assert pd.isna(read["mixed"][3])
    assert read["dates"].tolist()[0] == "2026-01-02"
    assert read["whole"].tolist() == [1, 2, 3, 2**60]
    assert read["flags"].dtype == "bool"
    assert read["kinds"].tolist()[:2] == ["a", "b"]
    assert read["empty"].isna().all()
    assert read["moments"].tolist() == results["moments"].tolist()
    assert len(pl.read_parquet(study.folder / "scores.parquet")) == 4


def test_a_column_may_be_called_self(study, tmp_path) -> None:
    """The name of the first parameter of each method, which keywords cannot give."""
    table = study.head(2).assign(own=[1, "two"]).rename(columns={"own": "self"})
    write_parquet(to_arrow(table), tmp_path / "own.parquet", {})
    assert read_results(tmp_path / "own.parquet")["self"].tolist() == ["1", "two"]


def test_a_column_that_begins_empty_has_the_type_of_what_follows(unsent) -> None:
    study = unsent(
        5,
        late=pd.Series([None, None, None, 1.5, 2.5], dtype="object"),
        word=pd.Series([None, None, None, None, "x"], dtype="object"),
    )
    read = pd.read_parquet(study.to_parquet(study.folder / "scores.parquet"))
    pd.testing.assert_series_equal(read["late"], pd.Series([np.nan] * 3 + [1.5, 2.5], name="late"))
    assert read["word"].tolist()[4] == "x"


def test_a_cohort_without_rows_makes_a_file_with_every_column_and_its_type(unsent) -> None:
    study = unsent(0)
    path = study.to_parquet(study.folder / "scores.parquet")
    schema = pq.read_schema(path)
    assert pq.read_metadata(path).num_rows == 0
    assert str(schema.field("mental_strain").type) == "double"
    assert str(schema.field("outcome").type).startswith("dictionary<values=string")
    assert str(schema.field("created_at").type) == "timestamp[us, tz=UTC]"


def test_a_file_that_cannot_be_written_leaves_the_old_one_as_it_is(unsent, tmp_path) -> None:
    study = unsent(1)
    path = study.to_parquet(tmp_path / "scores.parquet")
    before = path.read_bytes()
    with pytest.raises(StudyStorageError, match="exists"):
        study.to_parquet(path / "scores.parquet")
    folder = tmp_path / "folder.parquet"
    folder.mkdir()
    with pytest.raises(StudyStorageError, match="directory"):
        study.to_parquet(folder)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.glob(".*")] == []


def test_a_path_may_be_given_as_text(unsent, tmp_path) -> None:
    path = unsent(2).to_parquet(tmp_path / "scores.parquet")
    pd.testing.assert_frame_equal(read_results(str(path)), read_results(path))
    with pytest.raises(ResultsError, match="is a folder"):
        read_results(str(tmp_path))


def test_reading_what_is_not_parquet_says_so(tmp_path) -> None:
    (tmp_path / "scores.parquet").write_text("a,b\n")
    with pytest.raises(ResultsError, match="Is it a Parquet file"):
        read_results(tmp_path / "scores.parquet")
    with pytest.raises(ResultsError, match=r"nothing\.parquet"):
        read_results(tmp_path / "nothing.parquet")


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
    book = pd.read_excel(path, sheet_name="codebook", engine="openpyxl")
    assert book["column"].tolist() == list(awkward.columns)
    about = pd.read_excel(path, sheet_name="about", header=None, engine="openpyxl")[0].tolist()
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
    assert len(pd.read_excel(files[0], engine="openpyxl")["note"].iloc[0]) == EXCEL_CHARACTERS
    assert "Cut at 32,767 characters" in files[3].read_text(encoding="utf-8")


def test_more_rows_than_a_sheet_holds_are_refused_with_another_way() -> None:
    table = pd.DataFrame({"recording_id": "x", "outcome": "scored"}, index=range(1_048_576))
    with pytest.raises(ResultsError, match=r"holds 1,048,575 rows.*\.parquet or \.csv"):
        prepare_for_excel(describe_results(table))
