"""Any cell becomes the text that a person would have typed, any DataFrame a table that Parquet can hold."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from helios_research.cohort.cells import as_text, cell_text, column_names, from_dataframe
from helios_research.cohort.validators import Issues, shortened
from helios_research.errors import ColumnsError


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("007", "007"),
        ("NA", "NA"),
        (" x ", " x "),
        (7, "7"),
        (1.0, "1"),
        (1.5, "1.5"),
        (np.float32(0.1), "0.1"),
        (np.float64(100000.0), "100000"),
        (np.int8(3), "3"),
        (True, "True"),
        (np.bool_(0), "False"),
        (Decimal("1.50"), "1.50"),
        (date(1985, 3, 14), "1985-03-14"),
        (time(7, 45), "07:45:00"),
        (datetime(2026, 1, 5, 7, 45), "2026-01-05T07:45:00"),  # noqa: DTZ001  # manifests have none
        (datetime(2026, 1, 5, 7, 45, tzinfo=UTC), "2026-01-05T07:45:00+00:00"),
        (np.datetime64("2026-01-05T07:45"), "2026-01-05T07:45:00"),
        (b"caf\xc3\xa9", "café"),
        (float("inf"), "inf"),
        ([1, 2], "[1, 2]"),
        (None, None),
        (float("nan"), None),
        (np.float32("nan"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (np.datetime64("NaT"), None),
        (Decimal("NaN"), None),
    ],
)
def test_a_cell_is_written_the_plain_way(cell, text):
    assert cell_text(cell) == text


def test_a_whole_number_too_long_for_decimal_digits_is_still_written():
    assert cell_text(1 << 20_000).startswith("0x1000")


def test_whole_numbers_that_a_missing_value_turned_into_floats_lose_the_point():
    assert as_text(pd.Series([1, None, 3])).tolist()[::2] == ["1", "3"]


def test_true_one_and_one_point_nought_stay_apart_in_a_mixed_column():
    mixed = pd.Series([True, 1, 1.5, "1"], dtype=object)
    assert as_text(mixed).tolist() == ["True", "1", "1.5", "1"]


def test_categories_are_written_as_their_values():
    assert as_text(pd.Series(pd.Categorical([2, 1, None]))).tolist()[:2] == ["2", "1"]


def test_moments_all_at_midnight_are_dates():
    days = pd.Series(pd.to_datetime(["1985-03-14", None]))
    assert as_text(days).tolist()[0] == "1985-03-14"
    assert as_text(days.astype(object)).tolist()[0] == "1985-03-14"
    assert as_text(days).isna().tolist() == [False, True]


def test_one_moment_of_another_time_makes_all_of_them_times():
    moments = pd.Series(pd.to_datetime(["2026-01-05T00:00:00.0", "2026-01-06T07:45:30.5"]))
    expected = ["2026-01-05T00:00:00", "2026-01-06T07:45:30.500000"]
    assert as_text(moments).tolist() == expected
    assert as_text(moments.astype(object)).tolist() == expected


def test_midnight_stays_a_time_where_a_time_is_asked_for():
    midnight = pd.Series(pd.to_datetime(["2026-01-05"]))
    assert as_text(midnight, as_dates=False).tolist() == ["2026-01-05T00:00:00"]
    assert as_text(midnight.astype(object), as_dates=False).tolist() == ["2026-01-05T00:00:00"]


def test_half_a_character_becomes_a_replacement_character():
    assert as_text(pd.Series(["a\ud800", None], dtype=object)).tolist()[0] == "a\ufffd"


def test_the_result_is_of_dtype_str_whatever_went_in():
    for column in ([1, 2], [None, None], ["a", 1], []):
        assert as_text(pd.Series(column, dtype=object)).dtype == "str"
    assert as_text(pd.Series(pd.to_datetime(["2026-01-01"]))).dtype == "str"


def test_long_text_is_shortened_for_a_message():
    assert shortened("x" * 200) == "x" * 200
    assert shortened("x" * 201) == "x" * 199 + "…"


def taken(frame):
    return from_dataframe(frame, "The DataFrame", first_row=1)


def test_the_index_does_not_matter_and_rows_count_from_one():
    table = taken(pd.DataFrame({"recording": ["a", "b"]}, index=[7, 7]))
    assert table.frame.index.equals(pd.RangeIndex(2))
    assert table.row_numbers.tolist() == [1, 2]


def test_named_levels_of_the_index_become_columns():
    index = pd.MultiIndex.from_tuples([("P1", 1), ("P2", 2)], names=["who", None])
    assert taken(pd.DataFrame({"a": [1, 2]}, index=index)).frame.columns.tolist() == ["who", "a"]


def test_an_index_named_like_a_column_is_left_out():
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index([3, 4], name="a"))
    assert taken(frame).frame["a"].tolist() == [1, 2]


def test_the_dataframe_given_is_left_as_it_was():
    frame = pd.DataFrame({0: [1, "x"]}, index=[5, 6], dtype=object)
    before = frame.copy()
    taken(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_names_that_are_not_text_become_text():
    frame = pd.DataFrame([[1, 2, 3]], columns=[0, 1.5, None])
    assert taken(frame).frame.columns.tolist() == ["0", "1.5", "unnamed_3"]


def test_half_a_character_in_a_name_becomes_a_replacement_character():
    frame = pd.DataFrame([[1]], columns=pd.Index(["a\ud800"], dtype=object))
    assert taken(frame).frame.columns.tolist() == ["a\ufffd"]


def test_several_levels_of_columns_are_refused_with_a_line_that_flattens_them():
    frame = pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")]))
    with pytest.raises(ColumnsError) as caught:
        taken(frame)
    assert str(caught.value) == (
        "The DataFrame has 2 levels of column names. Flatten them first, for example with "
        "df.columns = ['_'.join(map(str, names)) for names in df.columns]."
    )


def test_columns_of_one_name_are_numbered():
    same = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "a (1)"])
    assert list(taken(same).frame) == ["a (1)_", "a (2)", "a (1)"]
    assert list(taken(pd.DataFrame([[1, 2]], columns=["1", 1])).frame) == ["1 (1)", "1 (2)"]


@pytest.mark.parametrize(
    "column",
    [["a", 1], [1 + 2j], [2**70], [{"a": 1}, 3], [object()], ["\ud800"], [np.nan, "x", 1.0]],
)
def test_what_parquet_cannot_hold_is_carried_as_text(column):
    carried = taken(pd.DataFrame({"a": pd.Series(column, dtype=object)})).frame["a"]
    assert carried.dtype == "str"
    pa.array(carried)


def test_what_parquet_can_hold_is_carried_as_it_is():
    frame = pd.DataFrame(
        {
            "category": pd.Categorical(["x", None], ["x", "y"]),
            "whole": pd.array([1, None], dtype="Int64"),
            "flag": pd.array([True, None], dtype="boolean"),
            "moment": pd.to_datetime(["2026-01-05", None]).tz_localize("UTC"),
            "list": pd.Series([[1], None], dtype=object),
        }
    )
    pd.testing.assert_frame_equal(taken(frame).frame, frame)


def test_blank_headings_get_names_that_are_not_taken():
    assert column_names(["unnamed_2", None, " ", "a "], Issues()) == [
        "unnamed_2",
        "unnamed_2_",
        "unnamed_3",
        "a",
    ]
