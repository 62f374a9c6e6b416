"""Any cell becomes the text that a person would have typed."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from helios_research.cohort.text import as_text, cell_text, shown


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
    assert shown("x" * 200) == "x" * 200
    assert shown("x" * 201) == "x" * 199 + "…"
