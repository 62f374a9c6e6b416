"""Conditions mark rows, and their code marks the same rows."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from helios_research.widgets.explorer.conditions import (
    DayBetween,
    Filters,
    HasWarning,
    NoScore,
    OneOf,
    ScoreBetween,
)

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"
HOSTILE = "<script>alert(1)</script> \"'\\"

CONDITIONS = [
    OneOf("arm", ("night_shift",)),
    OneOf("outcome", ("failed", "lost")),
    OneOf("error_code", ("ERR_INTERNAL", None)),
    OneOf("error_code", (None,)),
    OneOf("attempts", ("3",)),
    OneOf("n_sections", ("1.0",)),
    OneOf("is_paid", ("True",)),
    OneOf("mixed", ("7", HOSTILE)),
    ScoreBetween("mental_strain", 0.25, 0.75),
    ScoreBetween("exhaustion", 0.66, None),
    ScoreBetween("exhaustion", None, 0.33),
    NoScore("mental_strain"),
    HasWarning(),
    DayBetween("recording_time", date(2026, 9, 24), date(2026, 9, 26)),
    DayBetween("recording_time", None, date(2026, 9, 22)),
    DayBetween("completed_at", date(2026, 10, 12), None),
]


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    table = pd.read_parquet(STUDY).head(300)
    mixed = pd.Series([7, HOSTILE, None] * 100, dtype="object")
    # Labels of rows that repeat, as after a concat: nothing may be joined by them.
    return table.assign(is_paid=table["visit"] == "3", mixed=mixed).set_axis([5] * 300)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda each: each.words)
def test_the_code_of_a_condition_marks_the_rows_that_it_marks(results, condition):
    filters = Filters().having(condition)
    mask = filters.mask(results)
    namespace = {"pd": pd, "results": results}
    exec(filters.code(results), namespace)  # noqa: S102 - our own code is what is tested
    pd.testing.assert_frame_equal(namespace["selection"], results[mask])
    assert 0 < mask.sum() < len(results)


def test_every_condition_at_once_leaves_what_fulfils_all(results):
    filters = Filters().having(OneOf("arm", ("night_shift",))).having(NoScore("mental_strain"))
    shown = results[filters.mask(results)]
    assert set(shown["arm"]) == {"night_shift"}
    assert shown["mental_strain"].isna().all()


def test_days_are_compared_as_dates_whatever_stands_in_the_column():
    table = pd.DataFrame({"recording_time": ["31/12/2026", None, "2026-12-31", "2026-12-31T23:59"]})
    found = DayBetween("recording_time", date(2026, 12, 31), None).holds(table)
    assert found.tolist() == [False, False, True, True]


def test_both_ends_of_a_range_of_scores_belong_to_it():
    table = pd.DataFrame({"stress": [0.0, 0.33, 0.66, 1.0, None]})
    assert ScoreBetween("stress", 0.33, 0.66).holds(table).tolist() == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_conditions_are_worded_for_chips():
    assert OneOf("arm", ("a", None)).words == "arm: a, not given"
    assert OneOf("visit", tuple("12345")).words == "visit: 1, 2, 3 and 2 more"
    assert ScoreBetween("mental_strain", 0.2, None).words == "Mental strain from 0.2"
    assert NoScore("exhaustion").words == "no Exhaustion"
    assert DayBetween("day", None, date(2026, 9, 24)).words == "day up to 2026-09-24"


def test_a_condition_replaces_one_about_the_same():
    filters = Filters().having(NoScore("stress")).having(ScoreBetween("stress", 0.5, None))
    assert [each.words for each in filters] == ["Stress from 0.5"]
    assert len(filters.without("stress")) == 0
    assert len(filters.without("something else")) == 1
