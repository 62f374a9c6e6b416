"""Any table gives a cohort: every row is valid or has its reasons, and text stays text."""

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helios_research.cohort import Cohort, read_cohort
from helios_research.columns import REQUIRED_FIELDS, STANDARD_FIELDS

FIELDS = [*STANDARD_FIELDS, "arm", "note"]
PLAUSIBLE = [
    "a.wav", "b.wav", "s3://x/y", "/", "P01", "p01", "1985-03-14", "2001-02-30", "F", "male",
    "en-GB", "en_GB", "2026-01-05T07:45", "2026-01-05 07:45:00Z", "007", "NA", "1e5", "TRUE",
    "=1+1", "#N/A", "", " ", "a@b.org", "x" * 60, "\ufeff", "\u202e", "\x00", "file://%", "://",
    "http://[", "~", "..", "1985", "9999-12-31T23:59:60",
]  # fmt: skip
# csv and Excel write line ends their own way and Excel refuses control characters.
PRINTABLE = st.characters(blacklist_categories=("Cs", "Cc", "Cn"), blacklist_characters="\r\n")
TEXT = st.sampled_from(PLAUSIBLE) | st.text(max_size=20)
ANYTHING = (
    TEXT
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates(date(1, 1, 1))
    | st.datetimes(datetime(1, 1, 1))  # noqa: DTZ001  # any moment at all
    | st.timedeltas(timedelta(-9), timedelta(9))
    | st.binary(max_size=5)
    | st.sampled_from(
        [pd.NA, pd.NaT, np.float32(1), np.datetime64("NaT"), (1,), {"a": 1}, "\ud800"]
    )
)
RELAXED = settings(
    max_examples=20, deadline=None, suppress_health_check=list(HealthCheck)
)  # fixtures are only read, and a shared machine is slow at times


def tables(cells):
    return st.lists(
        st.lists(cells, min_size=len(FIELDS), max_size=len(FIELDS)), min_size=1, max_size=6
    ).map(lambda rows: pd.DataFrame(rows, columns=FIELDS, dtype=object))


def assert_consistent(cohort, rows):
    assert len(cohort) == len(cohort.fields) == len(cohort.frame) == len(cohort.tag_values) == rows
    assert len(cohort.rejections()) + int(cohort.is_valid.sum()) == rows
    assert cohort.fields["recording_id"].is_unique
    assert cohort.fields["recording_id"].notna().all()
    assert (cohort.fields.dtypes == "str").all()
    assert (cohort.tag_values.dtypes == "str").all()
    rejected = cohort.rejections()
    assert rejected["error_code"].str.startswith("INVALID_").all()
    assert (rejected["error_reason"].str.len() > 0).all()
    assert cohort.fields.loc[cohort.is_valid, list(REQUIRED_FIELDS)].notna().all(axis=None)
    assert (
        cohort.issues.rows[["row", "severity", "column", "problem", "remedy"]]
        .notna()
        .all(axis=None)
    )
    assert set(cohort.issues.rows["row"]) <= {*cohort.row_numbers, cohort.row_numbers.min() - 1}
    cohort._repr_html_()


@RELAXED
@given(table=tables(ANYTHING))
def test_any_cells_at_all_give_a_whole_cohort_that_can_be_saved(tmp_path_factory, table):
    cohort = Cohort.from_frame(table, tags=["arm"], root="/nowhere")
    assert_consistent(cohort, len(table))
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    cohort.save(path)
    again = Cohort.load(path)
    pd.testing.assert_frame_equal(again.fields, cohort.fields)
    pd.testing.assert_frame_equal(again.tag_values, cohort.tag_values)
    pd.testing.assert_frame_equal(again.issues.rows, cohort.issues.rows)
    assert again.is_valid.tolist() == cohort.is_valid.tolist()


@RELAXED
@given(table=tables(TEXT | st.none()))
def test_the_frame_of_a_text_table_is_the_table(table):
    cohort = Cohort.from_frame(table, tags=["arm"], root="/nowhere")
    pd.testing.assert_frame_equal(cohort.frame, table.astype("str"))


@RELAXED
@given(table=tables(st.sampled_from(PLAUSIBLE) | st.text(PRINTABLE, max_size=20)))
@pytest.mark.parametrize("ending", ["csv", "tsv", "xlsx", "parquet"])
def test_text_comes_through_every_format_as_it_is(tmp_path_factory, ending, table):
    table = table.map(lambda cell: cell.replace("\x00", "")).astype("str")
    # A blank row is no row in a file, and a formula without Excel has no result.
    table["note"] = "note"
    table = table.replace({"=1+1": "1+1"}).map(lambda cell: cell.lstrip("=").rstrip("\ufeff"))
    path = tmp_path_factory.getbasetemp() / f"table.{ending}"
    if ending == "parquet":
        table.to_parquet(path)
    elif ending == "xlsx":
        table.to_excel(path, index=False)
    else:
        table.to_csv(path, index=False, sep="," if ending == "csv" else "\t")
    cohort = read_cohort(path, tags=["arm"], root="/nowhere")
    expected = Cohort.from_frame(table, tags=["arm"], root="/nowhere")
    pd.testing.assert_frame_equal(cohort.fields, expected.fields)
    pd.testing.assert_frame_equal(cohort.tag_values, expected.tag_values)
    assert cohort.frame.fillna("").equals(table)
    assert cohort.row_numbers.tolist() == list(range(2, len(table) + 2))
    errors = ["column", "value", "severity"]
    pd.testing.assert_frame_equal(cohort.issues.rows[errors], expected.issues.rows[errors])


def test_a_thousand_conflicting_rows_are_each_named(table_of):
    table = pd.concat([table_of({})] * 1000, ignore_index=True)
    table["date_of_birth"] = [f"19{50 + row % 40}-03-14" for row in range(1000)]
    table["recording"] = [f"s3://bucket/{row}.wav" for row in range(1000)]
    cohort = Cohort.from_frame(table)
    assert_consistent(cohort, 1000)
    assert not cohort.is_valid.any()
    assert len(cohort.issues) == 1000
