"""Conditions mark rows, their code marks the same rows, and a state has words, rows and code."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from helios_research.widgets.explorer.figure import FigureKind, FigureView
from helios_research.widgets.explorer.selection import (
    Condition,
    DayBetween,
    ExplorerState,
    HasWarning,
    NumberBetween,
    OneOf,
    initial_state,
)
from helios_research.widgets.explorer.source import open_source

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
    NumberBetween("mental_strain", 0.25, 0.75),
    NumberBetween("mental_strain", 0.2, 0.75, "left"),
    NumberBetween("duration_s", 20.0, 40.0),
    NumberBetween("exhaustion", 0.66, 1.0),
    NumberBetween("exhaustion", 0.0, 0.33),
    OneOf("mental_strain", (None,)),
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


def having(state: ExplorerState, condition: Condition) -> ExplorerState:
    return state.filtered(condition.column, condition)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda each: each.words)
def test_the_code_of_a_condition_marks_the_rows_that_it_marks(results, condition):
    mask = condition.holds(results)
    namespace = {"pd": pd, "results": results}
    exec(f"marked = {condition.code(results)}", namespace)  # noqa: S102 - our own code is what is tested
    assert namespace["marked"].tolist() == mask.tolist()
    assert 0 < mask.sum() < len(results)


def test_every_condition_at_once_leaves_what_matches_all(results):
    state = having(initial_state(open_source(results)), OneOf("arm", ("night_shift",)))
    shown = having(state, OneOf("mental_strain", (None,))).selection
    assert set(shown["arm"]) == {"night_shift"}
    assert shown["mental_strain"].isna().all()


def test_days_are_compared_as_dates_whatever_stands_in_the_column():
    table = pd.DataFrame({"recording_time": ["31/12/2026", None, "2026-12-31", "2026-12-31T23:59"]})
    found = DayBetween("recording_time", date(2026, 12, 31), None).holds(table)
    assert found.tolist() == [False, False, True, True]


def test_both_ends_of_a_range_of_scores_belong_to_it():
    table = pd.DataFrame({"stress": [0.0, 0.33, 0.66, 1.0, None]})
    assert NumberBetween("stress", 0.33, 0.66).holds(table).tolist() == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_conditions_are_worded_for_chips():
    assert OneOf("arm", ("a", None)).words == "arm: a, not given"
    assert OneOf("visit", tuple("12345")).words == "visit: 1, 2, 3 and 2 more"
    assert NumberBetween("mental_strain", 0.2, 1.0).words == "Mental strain 0.2 to 1"
    assert OneOf("exhaustion", (None,)).words == "no Exhaustion"
    assert DayBetween("day", date(2026, 9, 1), None).words == "day from 2026-09-01"
    assert DayBetween("day", None, date(2026, 9, 24)).words == "day up to 2026-09-24"


def test_a_condition_replaces_one_about_the_same(state):
    chosen = having(having(state, OneOf("stress", (None,))), NumberBetween("stress", 0.5, 1.0))
    assert [each.words for each in chosen.filters.values()] == ["Stress 0.5 to 1"]
    assert chosen.filtered("stress", None) == state
    assert chosen.filtered("another", None) == chosen


# --- all that is shown at one moment --------------------------------------------------------------


@pytest.fixture(scope="module")
def state() -> ExplorerState:
    return initial_state(open_source(STUDY))


def test_everything_is_shown_at_first_by_the_first_tag(state):
    assert state.words == "1,487 of 1,487 recordings shown, 120 of 120 participants"
    assert state.view == FigureView(FigureKind.BY_TAG, ("mental_strain",), "arm", None)


def test_the_words_count_what_is_left(state):
    failed = having(state, OneOf("error_code", ("RESULT_GONE",)))
    assert failed.words == "1 of 1,487 recordings shown, 1 of 120 participants"
    assert failed.filtered("error_code", None).words == state.words


def test_results_without_tags_of_their_own_are_shown_by_outcome(state):
    few = initial_state(open_source(state.source.table[["outcome", "user_label", "stress"]]))
    assert few.view == FigureView(FigureKind.BY_TAG, ("stress",), "outcome", None)


def test_the_table_shows_keys_tags_outcome_and_the_scores_of_the_figure(state):
    chosen = replace(state, view=FigureView(FigureKind.BY_TAG, ("stress",), "visit", "site"))
    rows = having(chosen, OneOf("arm", ("day_shift",))).rows()
    assert rows.columns[:5].tolist() == ["no.", "Participant", "Stress", "Recording", "visit"]
    assert rows.columns[-2:].tolist() == ["Outcome", "Error"]
    assert "too short" in set(rows["Error"])
    assert rows["no."].tolist() == list(range(1, 707))


@pytest.mark.parametrize(
    "view",
    [
        FigureView(FigureKind.BY_TAG, ("mental_strain", "stress"), "arm", "site"),
        FigureView(FigureKind.OVER_TIME, ("mental_strain",), "arm", "arm"),
        FigureView(FigureKind.ALONG_TAG, ("stress",), "visit", None),
        FigureView(FigureKind.AWAKE, ("mental_strain",), "arm", None),
        FigureView(FigureKind.OUTCOMES, ("mental_strain",), "site", None),
    ],
    ids=lambda view: view.kind.name,
)
def test_the_code_gives_the_same_selection_and_the_same_figure(state, view):
    chosen = having(replace(state, view=view), OneOf("site", ("Leeds", "Girona")))
    *lines, last = chosen.code().strip().splitlines()
    namespace: dict = {}
    exec("\n".join([*lines, f"drawn = {last}"]), namespace)  # noqa: S102 - our own code is what is tested
    pd.testing.assert_frame_equal(namespace["selection"], chosen.selection)
    theirs = namespace["drawn"]
    axes = theirs if hasattr(theirs, "figure") else theirs[0]
    assert drawn_texts(axes.figure) == drawn_texts(view.draw(chosen.selection))


def drawn_texts(figure) -> list[str]:
    texts = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        texts += [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        texts += [text.get_text() for text in axes.texts]
    return texts


def test_a_score_that_is_missing_can_be_looked_at(state):
    unscored = having(state, OneOf("mental_strain", (None,))).selection
    assert unscored["mental_strain"].isna().all()
