"""A cohort comes back from its file as it was."""

import os
from datetime import UTC, date, datetime, time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helios_research.cohort import Cohort, duplicate_audio_issues
from helios_research.errors import CohortError, StudyStorageError


def assert_same(one, other):
    pd.testing.assert_frame_equal(one.issues.rows, other.issues.rows)
    assert str(one.issues) == str(other.issues)
    for table in ("frame", "fields", "tag_values"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(other, table))
    pd.testing.assert_series_equal(one.row_numbers, other.row_numbers)
    pd.testing.assert_frame_equal(one.rejections(), other.rejections())
    assert one.tags == other.tags
    assert one.is_valid.tolist() == other.is_valid.tolist()
    assert repr(one) == repr(other)


@pytest.fixture
def cohort(table_of, folder):
    table = table_of(
        {"visit": 1, "arm": "a"},
        {"birth_sex": "woman", "language": "en_GB", "user_label": " P02"},
        {"recording": "a.wav", "user_label": "P03", "sleepTime": "x"},
    ).rename(columns={"user_label": "participant"})
    table["count"] = pd.array([1, None, 3], dtype="Int64")
    table["when"] = pd.to_datetime(["2026-01-05", None, "2026-01-07"]).tz_localize("UTC")
    table["grade"] = pd.Categorical(["b", None, "a"], ["b", "z", "a"], ordered=True)
    table["number"] = pd.Categorical([2, 1, 2], [3, 2, 1])
    table["mixed"] = pd.Series(["x", 1, None], dtype=object)
    table["none"] = np.nan
    table["text"] = pd.array(["x", None, "y"], dtype="string")
    table["day"] = pd.Series([date(2026, 1, 5), None, date(2026, 1, 7)], dtype=object)
    table = table.astype({"recording": "str", "visit": "float64"})
    return Cohort.from_frame(
        table, columns={"user_label": "participant"}, tags=["visit", "arm"], root=folder
    )


def test_everything_comes_back(cohort, tmp_path):
    cohort.save(tmp_path / "cohort.parquet")
    assert_same(Cohort.load(tmp_path / "cohort.parquet"), cohort)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([date(2026, 1, 5), datetime(2026, 1, 6, 7, 30, tzinfo=UTC)], ["2026-01-05", "2026-01-06T07:30:00+00:00"]),
        ([b"x", "y"], ["x", "y"]),
        ([b"x", None], [b"x", None]),
        ([1, 2.5], [1, 2.5]),
        ([time(7, 30), None], [time(7, 30), None]),
    ],
)  # fmt: skip
def test_a_column_of_objects_comes_back_or_is_text(table_of, tmp_path, values, kept):
    table = table_of({}, {"user_label": "P02"})
    table["own"] = pd.Series(values, dtype=object)
    cohort = Cohort.from_frame(table)
    assert cohort.frame["own"].where(cohort.frame["own"].notna(), None).tolist() == kept
    cohort.save(tmp_path / "c.parquet")
    loaded = Cohort.load(tmp_path / "c.parquet").frame["own"]
    assert loaded.where(loaded.notna(), None).tolist() == kept


def test_a_cohort_can_be_saved_again_in_the_same_place(cohort, tmp_path):
    path = tmp_path / "new" / "cohort.parquet"
    cohort.save(path)
    Cohort.load(path).save(path)
    assert_same(Cohort.load(path), cohort)
    assert os.listdir(path.parent) == ["cohort.parquet"]  # noqa: PTH208  # names, not paths


def test_issues_that_were_added_later_come_back_too(cohort, tmp_path):
    hashes = pd.Series(["aa", "aa", "bb"])
    changed = cohort.with_issues(duplicate_audio_issues(cohort, hashes))
    changed.save(tmp_path / "c.parquet")
    assert_same(Cohort.load(tmp_path / "c.parquet"), changed)


def test_a_cohort_without_rows_or_issues_comes_back(cohort_of, table_of, tmp_path):
    for number, one in enumerate((Cohort.from_frame(table_of({}).iloc[:0]), cohort_of({}))):
        one.save(tmp_path / f"{number}.parquet")
        assert_same(Cohort.load(tmp_path / f"{number}.parquet"), one)


def test_the_own_columns_can_be_read_without_this_package(cohort, tmp_path):
    cohort.save(tmp_path / "c.parquet")
    assert "own.participant" in pq.read_schema(tmp_path / "c.parquet").names


def test_another_file_is_not_taken_for_a_cohort(tmp_path):
    (tmp_path / "text.parquet").write_text("hello")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    for name in ("absent.parquet", "text.parquet", "other.parquet"):
        with pytest.raises(CohortError, match=r"it is not a saved cohort\. Use read_cohort"):
            Cohort.load(tmp_path / name)


def test_a_file_of_a_newer_version_says_so(cohort, tmp_path):
    path = tmp_path / "c.parquet"
    cohort.save(path)
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata)
    key = b"helios_research_cohort"
    metadata[key] = metadata[key].replace(b'"version": 1', b'"version": 99')
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(CohortError, match="a newer version of helios_research wrote it"):
        Cohort.load(path)


def test_a_failed_save_leaves_the_old_file_and_no_rest(cohort, tmp_path, monkeypatch):
    path = tmp_path / "c.parquet"
    cohort.save(path)
    before = path.read_bytes()

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(StudyStorageError, match=r"no space left on device\. Free some space"):
        cohort.save(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".part"] == []
