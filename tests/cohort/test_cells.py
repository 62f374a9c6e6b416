"""Any cell becomes the text that a person would have typed, any DataFrame a table that Parquet can hold."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from helios_research.cohort.cells import (
    as_text,
    cell_text,
    column_names,
    from_dataframe,
    from_frame,
)
from helios_research.cohort.issues import Issues, shortened
from helios_research.errors import CohortError, ColumnsError


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


def test_an_index_of_ids_without_a_name_becomes_a_column():
    frame = pd.DataFrame({"a": [1, 2]}, index=["P1", "P2"])
    assert taken(frame).frame["index"].tolist() == ["P1", "P2"]


def test_an_index_that_is_a_column_too_is_taken_once():
    frame = pd.DataFrame({"id": ["P1", "P2"], "a": [1, 2]}).set_index("id", drop=False)
    assert taken(frame).frame.columns.tolist() == ["id", "a"]
    frame = pd.DataFrame({"index": ["x", "y"]}, index=["P1", "P2"])
    assert taken(frame).frame["index"].tolist() == ["x", "y"]


def test_an_index_that_differs_from_the_column_of_its_name_is_refused():
    frame = pd.DataFrame({"id": ["P1", "P2"]}, index=pd.Index(["P1", "P3"], name="id"))
    with pytest.raises(ColumnsError) as caught:
        taken(frame)
    assert str(caught.value) == (
        "The DataFrame has an index 'id' and a column 'id' that differ. Keep one of them: "
        "df = df.reset_index(drop=True), or df = df.drop(columns='id')."
    )


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
    frame = pd.DataFrame([["P1", 1]], columns=pd.MultiIndex.from_tuples([("id", ""), ("a", "b")]))
    with pytest.raises(ColumnsError) as caught:
        taken(frame)
    line = (
        "df.columns = ['_'.join(str(name) for name in names if name != '') for names in df.columns]"
    )
    assert str(caught.value) == (
        f"The DataFrame has 2 levels of column names. Flatten them first, for example with {line}."
    )
    exec(line, {"df": frame})  # noqa: S102  # it is what a user pastes
    assert taken(frame).frame.columns.tolist() == ["id", "a_b"]


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


# --- frames of other libraries --------------------------------------------------------------------

MOMENT = datetime(2026, 1, 5, 7, 45)  # noqa: DTZ001  # as above
POLARS = pl.DataFrame(
    {
        "id": ["007", None],
        "number": [2**60 + 1, None],
        "small": pl.Series([7, None], dtype=pl.UInt8),
        "flag": [True, None],
        "day": [date(1985, 3, 14), None],
        "moment": [MOMENT, None],
        "zoned": pl.Series([MOMENT, None]).dt.replace_time_zone("Europe/Berlin"),
        "level": pl.Series(["low", None], dtype=pl.Enum(["low", "high"])),
        "money": [Decimal("7.50"), None],
        "nothing": [None, None],
    }
)
AS_TEXT = {
    "id": "007",
    "number": str(2**60 + 1),
    "small": "7",
    "flag": "True",
    "day": "1985-03-14",
    "moment": "2026-01-05T07:45:00",
    "zoned": "2026-01-05T07:45:00+01:00",
    "level": "low",
    "money": "7.50",
}


def through_duckdb(frame):
    with duckdb.connect() as connection:
        return connection.sql("select * from frame").to_arrow_table()


@pytest.mark.parametrize(
    "made",
    [
        lambda frame: frame,
        lambda frame: frame.to_arrow(),
        lambda frame: frame.to_arrow().to_reader(),
        through_duckdb,
        lambda frame: frame.to_pandas(use_pyarrow_extension_array=True),
    ],
    ids=["polars", "arrow", "reader", "duckdb", "pandas with Arrow types"],
)
def test_a_frame_of_any_library_is_taken_as_it_is(made):
    table = from_frame(made(POLARS))
    assert table.row_numbers.tolist() == [1, 2]
    texts = {name: as_text(table.cells[name]).tolist() for name in AS_TEXT}
    # DuckDB shows moments in the zone of its session.
    assert pd.Timestamp(texts["zoned"][0]) == pd.Timestamp(AS_TEXT["zoned"])
    assert {name: cells[0] for name, cells in texts.items()} == AS_TEXT | {
        "zoned": texts["zoned"][0]
    }
    assert all(pd.isna(cells[1]) for cells in texts.values())
    pa.Table.from_pandas(table.frame)
    if made is not through_duckdb:  # to which polars passes an Enum as text
        level = pa.array(table.frame["level"])
        assert level.dictionary.to_pylist() == ["low", "high"]


def test_a_relation_of_duckdb_is_taken():
    sql = "select '007' as id, 5::hugeint as n, 'b'::enum('b', 'a') as arm, null::integer as none"
    table = from_frame(duckdb.sql(sql))
    assert [as_text(table.cells[name])[0] for name in ("id", "n", "arm")] == ["007", "5", "b"]
    assert table.cells["arm"].dtype.categories.tolist() == ["b", "a"]


@pytest.mark.parametrize(
    ("thing", "end"),
    [
        (POLARS.lazy(), "and this is a LazyFrame: call .collect() on it first."),
        ({"a": [1]}, "and this is a dict."),
        (pa.array([1]), "and this is a Int64Array."),
    ],
)
def test_what_is_no_frame_is_said(thing, end):
    with pytest.raises(CohortError) as caught:
        from_frame(thing)
    assert str(caught.value).endswith(end)


@pytest.mark.parametrize(
    "thing", [pl.Series([1]), pl.DataFrame({"a": pl.Series([1], dtype=pl.Int128)})]
)
def test_what_arrow_cannot_pass_on_is_said(thing):
    with pytest.raises(ColumnsError, match=r"^The DataFrame is no Arrow table \(.*text first\.$"):
        from_frame(thing)
