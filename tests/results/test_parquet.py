"""What is written to Parquet is what any program reads back."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

import helios_research as hr
from helios_research.errors import ResultsError, StudyStorageError
from helios_research.ledger import Ledger
from helios_research.results import read_results, write_parquet
from helios_research.state import rows
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
    parts = [study.iloc[:100].reset_index(drop=True), study.iloc[100:].reset_index(drop=True)]
    write_parquet(iter(parts), path, own=study.iloc[:, :1], provenance={"study": "shift"})
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


def test_a_column_that_is_empty_in_one_part_and_not_in_the_next_keeps_its_type(
    unsent, monkeypatch
) -> None:
    study = unsent(
        5,
        late=pd.Series([None, None, None, 1.5, 2.5], dtype="object"),
        word=pd.Series([None, None, None, None, "x"], dtype="object"),
    )
    monkeypatch.setattr(rows.parts, "__defaults__", (2,))
    read = pd.read_parquet(study.to_parquet(study.folder / "scores.parquet"))
    pd.testing.assert_series_equal(read["late"], pd.Series([np.nan] * 3 + [1.5, 2.5], name="late"))
    assert read["word"].tolist()[4] == "x"
    assert pq.ParquetFile(study.folder / "scores.parquet").num_row_groups == 3


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
    with pytest.raises(StudyStorageError, match=r"no such file or directory\. Make its"):
        study.to_parquet(tmp_path / "nowhere" / "scores.parquet")
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
