"""Levels are in the order in which a study would list them, never in that of the alphabet."""

import numpy as np
import pandas as pd
import pytest

from helios_research.analysis.levels import Levels, levels_of


def levels(*values, people=None, days=None):
    people = np.arange(len(values)) if people is None else np.array(people)
    days = np.full(len(values), np.nan) if days is None else np.array(days, dtype=np.float64)
    return levels_of(pd.Series(values, dtype="str"), people, lambda: days)


@pytest.mark.parametrize(
    ("found", "expected", "ordered_by"),
    [
        (["post", "pre"], ["pre", "post"], "known words"),
        (["FU10", "fu2", "post_test", "Pretest"], ["Pretest", "post_test", "fu2", "FU10"], "known words"),
        (["12-month follow-up", "after", "3-month follow-up", "Baseline", "Screening"],
         ["Screening", "Baseline", "after", "3-month follow-up", "12-month follow-up"], "known words"),
        (["discharge", "during stay", "admission"], ["admission", "during stay", "discharge"], "known words"),
        (["week 10", "baseline", "Week 2"], ["baseline", "Week 2", "week 10"], "known words"),
        (["V3", "V2", "V1 screening"], ["V1 screening", "V2", "V3"], "known words"),
        (["month 3", "post", "baseline"], ["month 3", "post", "baseline"], "first appearance"),
        (["T2", "T10", "T0"], ["T0", "T2", "T10"], "numbers"),
        (["10 weeks", "1 week", "-1 week"], ["-1 week", "1 week", "10 weeks"], "numbers"),
        (["10", "9", "1e3", "-2"], ["-2", "9", "10", "1e3"], "numbers"),
        (["46+", "31-45", "18-30", "<18"], ["<18", "18-30", "31-45", "46+"], "numbers"),
        (["1 month", "3 weeks"], ["1 month", "3 weeks"], "first appearance"),
        (["active", "placebo"], ["placebo", "active"], "known words"),
        (["CBT", "ACT", "Wait-list"], ["Wait-list", "CBT", "ACT"], "known words, then first appearance"),
        (["10 mg", "sham", "5 mg"], ["sham", "5 mg", "10 mg"], "known words, then numbers"),
        (["patients", "healthy controls"], ["healthy controls", "patients"], "known words"),
        (["TAU", "no treatment", "drug"], ["TAU", "no treatment", "drug"], "known words"),
        (["True", "False"], ["False", "True"], "known words"),
        (["tauopathy", "impulse control training"], ["tauopathy", "impulse control training"], "first appearance"),
        (["pregnant", "postponed"], ["pregnant", "postponed"], "first appearance"),
        (["night", "day"], ["night", "day"], "first appearance"),
    ],
)  # fmt: skip
def test_the_order_is_that_of_a_study(found, expected, ordered_by):
    ours = levels(*found)
    assert list(ours.labels) == expected
    assert ours.ordered_by == ordered_by
    assert [ours.labels[code] for code in ours.codes] == found


def test_words_that_say_nothing_are_ordered_by_the_time_since_the_first_recording():
    people, visits = np.repeat(np.arange(4), 3), ["home", "clinic", "ward"] * 4
    # The third day, the first and the second of people who came in other years.
    days = np.repeat([0, 400, 800, 1200], 3) + np.tile([2, 0, 1], 4)
    ours = levels(*visits, people=people, days=days)
    assert ours.labels == ("clinic", "ward", "home")
    assert ours.ordered_by == "recording time"
    # Other days: the ward before the clinic for two of four people.
    days[[1, 2, 4, 5]] = days[[2, 1, 5, 4]]
    assert levels(*visits, people=people, days=days).ordered_by == "first appearance"


def test_levels_of_different_people_are_ordered_by_the_date_of_recording():
    waves = ["second"] * 3 + ["first"] * 3
    assert levels(*waves, days=[70, 80, 90, 10, 20, 30]).labels == ("first", "second")
    assert levels(*waves, days=[25, 22, 80, 10, 20, 30]).labels == ("second", "first")
    assert levels(*waves, days=[np.nan] * 3 + [10, 20, 30]).ordered_by == "first appearance"


def test_times_are_not_read_where_words_or_numbers_order_the_levels():
    def never():
        raise AssertionError

    assert levels_of(pd.Series(["2", "1", None]), np.arange(3), never).labels == (
        "1", "2", "not given",
    )  # fmt: skip


def test_named_levels_come_first_and_others_keep_their_order():
    ours = Levels(np.array([0, 1, 2, 1]), ("a", "b", "c"), "numbers")
    found = ours.reordered(["c", "x", "a"])
    assert found.labels == ("c", "a", "b")
    assert found.codes.tolist() == [1, 2, 0, 2]
    assert found.ordered_by == "as given"
    assert ours.reordered(["x"]) is ours


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["week 4", "week 12", None], [4, 12, np.nan]),
        (["10", "0", "2.5"], [0, 2.5, 10]),
        (["post", "pre"], [0, 1]),
        (["baseline", "week 4", "week 8"], [0, 1, 2]),
        (["18-30", "18-65"], [0, 1]),
        ([], []),
    ],
)
def test_steps_are_the_numbers_in_the_levels_or_else_their_places(found, expected):
    np.testing.assert_array_equal(levels(*found).steps(), np.array(expected, dtype=float))


def test_categories_have_no_level_for_what_is_not_given():
    found = levels("post", None, "pre").reordered(["not given", "pre"]).categories()
    assert found.ordered
    assert found.categories.tolist() == ["pre", "post"]
    assert found.codes.tolist() == [1, -1, 0]
