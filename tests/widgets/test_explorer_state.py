"""The selection, its words and its code, without any widget."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from helios_research.widgets.explorer.conditions import NoScore, OneOf
from helios_research.widgets.explorer.figure import Kind, View
from helios_research.widgets.explorer.source import open_source
from helios_research.widgets.explorer.state import State, begin, reasons_of

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"


@pytest.fixture(scope="module")
def state() -> State:
    return begin(open_source(STUDY))


def test_everything_is_shown_at_first_by_the_first_tag(state):
    assert state.words == "1,487 of 1,487 recordings shown, 120 of 120 participants"
    assert state.view == View(Kind.BY_TAG, ("mental_strain",), "arm", None)


def test_the_words_count_what_is_left(state):
    failed = state.having(OneOf("error_code", ("RESULT_GONE",)))
    assert failed.words == "1 of 1,487 recordings shown, 1 of 120 participants"
    assert failed.without("error_code").words == state.words


def test_results_without_tags_of_their_own_are_shown_by_outcome(state):
    few = begin(open_source(state.source.table[["outcome", "user_label", "stress"]]))
    assert few.view == View(Kind.BY_TAG, ("stress",), "outcome", None)


def test_the_table_shows_keys_tags_outcome_and_the_scores_of_the_figure(state):
    chosen = replace(state, view=View(Kind.BY_TAG, ("stress",), "visit", "site"))
    rows = chosen.having(OneOf("arm", ("day_shift",))).rows()
    assert rows.columns[:5].tolist() == ["no.", "recording_id", "user_label", "visit", "site"]
    assert rows.columns[-3:].tolist() == ["outcome", "error_code", "stress"]
    assert rows["no."].tolist() == list(range(1, 707))


@pytest.mark.parametrize(
    "view",
    [
        View(Kind.BY_TAG, ("mental_strain", "stress"), "arm", "site"),
        View(Kind.OVER_TIME, ("mental_strain",), "arm", "arm"),
        View(Kind.ALONG_TAG, ("stress",), "visit", None),
        View(Kind.AWAKE, ("mental_strain",), "arm", None),
        View(Kind.OUTCOMES, ("mental_strain",), "site", None),
    ],
    ids=lambda view: view.kind.name,
)
def test_the_code_gives_the_same_selection_and_the_same_figure(state, view):
    chosen = replace(state, view=view).having(OneOf("site", ("Leeds", "Girona")))
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


def test_what_went_wrong_is_listed_with_its_counts(state):
    reasons = {reason.words: reason.count for reason in reasons_of(state.source)}
    assert reasons["ERR_RECORDING_TOO_SHORT"] == 58
    assert reasons["pending"] == 6
    assert reasons["no Mental strain"] == 111
    assert reasons["with a warning"] == 40


def test_nothing_is_listed_where_nothing_went_wrong(state):
    table = state.source.table
    good = table[table["outcome"].eq("scored") & table["warnings"].str.len().isna()]
    assert reasons_of(open_source(good)) == []


def test_each_reason_shows_as_many_recordings_as_it_says(state):
    for reason in reasons_of(state.source):
        assert state.having(reason.condition).count == reason.count


def test_a_score_that_is_missing_can_be_looked_at(state):
    assert state.having(NoScore("mental_strain")).selection["mental_strain"].isna().all()
