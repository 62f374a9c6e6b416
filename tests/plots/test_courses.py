"""Where recordings stand along an axis."""

import numpy as np
import pandas as pd
import pytest

from helios_research.plots.x_axis import by_hours, by_level, by_time, hours_awake


def of(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in columns.items()})


def test_hours_awake_run_from_waking_to_recording() -> None:
    table = of(
        recording_time=["2026-03-02T10:30:00", "2026-03-03T01:00:00"],
        wake_time=["2026-03-02T07:00:00", "2026-03-02T07:00:00"],
    )
    assert np.allclose(hours_awake(table), [3.5, 18])


@pytest.mark.parametrize(
    "wake", [None, "", "early", "2026-03-03T07:00:00", "2026-02-20T07:00:00", "2026-13-45T07:00"]
)
def test_a_waking_that_cannot_be_counted_from_has_no_hours(wake) -> None:
    table = of(recording_time=["2026-03-02T10:30:00"], wake_time=[wake])
    assert np.isnan(hours_awake(table)).all()


def test_hours_are_gathered_by_two_and_beyond_a_day_by_four() -> None:
    assert by_hours(np.array([0.5, 3.0, 3.5])).names == ("0\N{EN DASH}2", "2\N{EN DASH}4")
    assert by_hours(np.array([1.0, 30.0])).names == ("0\N{EN DASH}4", "28\N{EN DASH}32")


@pytest.mark.parametrize(
    ("last", "unit"), [("2026-01-20", "day"), ("2026-06-30", "week"), ("2028-06-30", "30 days")]
)
def test_dates_are_gathered_so_that_bins_stay_few(last, unit) -> None:
    course = by_time(of(day=["2026-01-01", last]), "day")
    assert course.label == f"Day (by {unit})"
    assert len(course.centres) == 2


def test_levels_that_are_numbers_stand_at_their_numbers() -> None:
    course = by_level(of(week=["1", "2", "12"]), "week")
    assert list(course.centres) == [1, 2, 12]
    assert course.step == 1


def test_levels_that_are_words_stand_one_after_another() -> None:
    course = by_level(of(phase=["start", "end", "end"]), "phase")
    assert course.names == ("end", "start")
    assert list(course.x) == [1, 0, 0]


def test_many_numbers_are_gathered_into_bins() -> None:
    course = by_level(of(day=[str(number) for number in range(200)]), "day")
    assert len(course.centres) == 30
    assert np.bincount(course.bins).sum() == 200
