"""Which participants left, and which recordings were expected."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helios_research.analysis import attrition, flow
from helios_research.errors import ResultsError


def test_the_risk_table_counts_by_hand(three_visits):
    table = three_visits.assign(outcome=["scored"] * 5 + ["failed", "scored", "invalid"])
    found = attrition(table, "visit", by="arm", expected=3)
    assert found["by"].tolist() == ["x"] * 3 + ["y"] * 3
    assert found["level"].tolist() == ["1", "2", "3"] * 2
    assert found["participants"].tolist() == [2] * 6
    assert found["still_in"].tolist() == [2, 2, 1, 1, 0, 0]
    assert found["recorded"].tolist() == [2, 2, 1, 1, 0, 0]
    assert found["scored"].tolist() == [2, 1, 1, 1, 0, 0]
    assert found["share_still_in"].tolist() == [1, 1, 0.5, 0.5, 0, 0]


def test_a_visit_missed_in_between_is_not_having_left(make_results):
    found = attrition(make_results(list("aabb"), visit=list("1312")), "visit")
    assert found["still_in"].tolist() == [2, 2, 1]
    assert found["recorded"].tolist() == [2, 1, 1]


def test_people_who_are_due_later_or_for_fewer_visits_have_not_left(three_visits):
    """The last visit, which no one has made yet, is in its place among the others."""
    plan = [("a", 1), ("a", 2), ("a", 3), ("b", 2), ("c", 1), ("d", 1), ("d", 2.5)]
    schedule = pd.DataFrame(plan, columns=["user_label", "visit"])
    found = attrition(three_visits, "visit", expected=schedule)
    assert found["level"].tolist() == ["1", "2", "2.5", "3"]
    assert found["participants"].tolist() == [4, 3, 2, 1]
    assert found["expected"].tolist() == [3, 2, 1, 1]
    assert found["still_in"].tolist() == [4, 2, 1, 1]
    assert found.attrs["warnings"][0].startswith(
        "At the last visit expected of each participant the study still has 3 of 4 participants."
    )


def test_visits_that_no_one_has_made_are_in_the_risk_table(three_visits):
    found = attrition(three_visits, "visit", expected=4)
    assert found["level"].tolist() == ["1", "2", "3", "no. 4"]
    assert found["still_in"].tolist() == [4, 2, 1, 0]
    assert "At visit no. 4 the study still has 0 of 4 participants." in found.attrs["warnings"][0]


def test_a_participant_at_two_levels_is_counted_at_that_of_most_recordings(three_visits):
    table = three_visits.assign(arm=["x", "x", "y", "x", "x", "x", "y", "y"])
    found = attrition(table, "visit", by="arm")
    assert found.query("level == '1'")["participants"].tolist() == [2, 2]
    assert found.attrs["warnings"][1] == (
        "1 participant with recordings at several levels of arm: counted at the level of most of "
        "them."
    )
    with pytest.raises(ResultsError, match="Most participants are at several levels of 'visit'"):
        attrition(three_visits.head(6), "arm", by="visit")


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (0, "expected is 0: give a number of visits for each participant, at least 1"),
        (True, "expected is True"),
        (pd.DataFrame({"visit": ["1"]}), "The expected visits have no column 'user_label'"),
        (pd.DataFrame({"user_label": ["a"]}), "The expected visits have no column 'visit'"),
        (
            pd.DataFrame({"user_label": ["a", None], "visit": ["1", "2"]}),
            "has rows without user_label or visit",
        ),
        (
            pd.DataFrame({"user_label": ["A1"], "visit": ["1"]}),
            "No participant of the expected visits is in the results",
        ),
    ],
)
def test_expected_visits_that_do_not_fit_are_refused(three_visits, expected, said):
    with pytest.raises(ResultsError, match=said):
        attrition(three_visits, "visit", expected=expected)


def test_a_schedule_of_several_columns_is_refused(three_visits):
    schedule = three_visits[["user_label", "visit", "outcome"]]
    with pytest.raises(ResultsError, match="has the columns user_label, visit, outcome: leave"):
        flow(three_visits, expected=schedule)


def leaving_study(make_results, seed, *, leave):
    """Simulate 60 people of 8 visits; in the arm treated, high scorers leave with this chance."""
    rng = np.random.default_rng(seed)
    person = rng.normal(0, np.sqrt(0.5), 60)
    score = person[:, None] + rng.normal(0, np.sqrt(0.5), (60, 8))
    goes = (score > 0.5) & (rng.random((60, 8)) < leave) & (np.arange(60) < 30)[:, None]
    there = np.cumsum(goes, axis=1) - goes == 0
    who, visit = np.nonzero(there)
    return make_results(
        [f"p{number:02}" for number in who],
        visit=(visit + 1).astype(str),
        arm=np.where(who < 30, "treated", "control"),
        mental_strain=stats.norm.cdf(score[there]),
    )


@pytest.mark.parametrize("leave", [0.5, 0.15])
def test_attrition_without_rows_is_never_silent(make_results, leave):
    """Nothing changes and nothing differs, but high scorers leave: it is said in every study."""
    stronger = 0
    for seed in range(20):
        table = leaving_study(make_results, seed, leave=leave)
        found = attrition(table, "visit", by="arm")
        left = 30 - table.query("arm == 'treated' and visit == '8'")["user_label"].nunique()
        assert left > 0
        (said,) = found.attrs["warnings"]
        assert f"{30 - left} of 30 participants where arm is treated" in said
        assert "A line of means over visits then mixes change with who stayed" in said
        p = stats.fisher_exact([[30 - left, left], [30, 0]]).pvalue
        assert ("More left in one arm than in another" in said) == (p < 0.05)
        stronger += p < 0.05
    assert stronger == 20 if leave == 0.5 else stronger < 20


def test_three_arms_are_compared_by_the_chi_square_test(make_results):
    people = [f"p{n}" for n in range(60)]
    arm = np.repeat(["a", "b", "c"], 20)
    first = make_results(people, visit="1", arm=arm)
    stays = np.r_[np.arange(20) < 19, np.arange(20) < 15, np.arange(20) < 8]
    table = pd.concat([first, first[stays].assign(visit="2")], ignore_index=True)
    p = stats.chi2_contingency([[19, 1], [15, 5], [8, 12]], correction=False).pvalue
    assert p < 0.001
    assert (
        "(chi-square test, p < 0.001)" in attrition(table, "visit", by="arm").attrs["warnings"][0]
    )


def test_where_no_one_left_there_is_no_warning(make_results):
    table = make_results(list("aabb"), visit=list("1212"), arm=list("xxyy"))
    assert attrition(table, "visit", by="arm").attrs["warnings"] == []
