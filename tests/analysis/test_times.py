"""Columns of times, as results have them in memory and in files."""

from datetime import date

import pandas as pd
import pytest

from helios_research.analysis.prepared import days_of, times_from, times_of


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["2026-01-01T12:00:00", None], dtype="str"),
        pd.Series(["2026-01-01T14:00:00+02:00", ""], dtype="str"),
        pd.to_datetime(pd.Series(["2026-01-01T12:00:00", None])),
        pd.to_datetime(pd.Series(["2026-01-01T12:00:00", None]), utc=True),
        pd.Series(["2026-01-01 12:00", "12"], dtype="category"),
    ],
)
def test_text_and_times_are_read_alike(column):
    times = times_of(column)
    assert times[0] == pd.Timestamp("2026-01-01T12:00:00Z")
    assert times.isna().tolist() == [False, True]
    assert days_of(column)[0] == 9497.5


def test_dates_are_midnights():
    assert days_of(pd.Series([date(2000, 1, 3)], dtype=object)).tolist() == [2.0]


def test_no_rows_have_no_times():
    assert days_of(pd.Series([], dtype="str")).shape == (0,)


def test_days_lead_back_to_the_times_that_they_came_from():
    times = pd.Series(pd.to_datetime(["1999-12-31T06:00", "2026-06-30T23:59"], utc=True))
    assert times_from(days_of(times)).round("s").tolist() == times.tolist()
