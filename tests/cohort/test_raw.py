"""A DataFrame of any kind becomes a table that Parquet can hold."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from helios_research.cohort.raw import column_names, from_dataframe
from helios_research.errors import ColumnsError


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


def test_columns_of_one_name_are_refused():
    with pytest.raises(ColumnsError, match="more than one column named 'a'"):
        taken(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(ColumnsError, match="more than one column named '1'"):
        taken(pd.DataFrame([[1, 2]], columns=["1", 1]))


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
    assert column_names(["unnamed_2", None, " ", "a "]) == [
        "unnamed_2",
        "unnamed_2_",
        "unnamed_3",
        "a",
    ]
