"""What is wrong with recordings is listed beside an explorer's figure, with its counts."""

from pathlib import Path

import pytest

from helios_research.widgets.explorer.drawing import reasons_of
from helios_research.widgets.explorer.selection import initial_state
from helios_research.widgets.explorer.source import ResultsSource, open_source

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"


@pytest.fixture(scope="module")
def source() -> ResultsSource:
    return open_source(STUDY)


def test_what_went_wrong_is_listed_with_its_counts(source):
    reasons = {reason.words: reason.holds.sum() for reason in reasons_of(source)}
    assert reasons["too short"] == 58
    assert reasons["pending"] == 6
    assert reasons["no Mental strain"] == 111
    assert reasons["with a warning"] == 40


def test_nothing_is_listed_where_nothing_went_wrong(source):
    table = source.table
    good = table[table["outcome"].eq("scored") & table["warnings"].str.len().isna()]
    assert reasons_of(open_source(good)) == []


def test_each_reason_shows_as_many_recordings_as_it_says(source):
    state = initial_state(source)
    for reason in reasons_of(source):
        assert state.filtered(reason.condition.column, reason.condition).count == reason.holds.sum()
