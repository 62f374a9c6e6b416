"""How participants change, and whether arms change differently."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helios_research.analysis import compare_change
from helios_research.errors import ResultsError


def test_arms_are_compared_by_welch_on_participants_own_changes(repeated):
    table = repeated(30, 6)
    found = compare_change(table, "arm", biomarkers="mental_strain").set_index("contrast")
    wide = table.pivot_table(index=["arm", "user_label"], columns="visit", values="mental_strain")
    change = wide["6"] - wide["1"]
    theirs = stats.ttest_ind(change["b"], change["a"], equal_var=False)
    row = found.loc["visit 6 \N{MINUS SIGN} visit 1"]
    assert (row["reference"], row["level"], row["test"]) == ("a", "b", "Welch's t")
    assert row[["difference", "p"]].tolist() == pytest.approx(
        [change["b"].mean() - change["a"].mean(), theirs.pvalue]
    )


def test_with_all_visits_the_trend_is_that_of_a_line_through_each_participants_own(repeated):
    table = repeated(20, 5)
    found = compare_change(table, "arm", biomarkers="mental_strain").set_index("contrast")
    numbers = table.assign(visit=table["visit"].astype(int))
    slopes = numbers.groupby(["arm", "user_label"])[["visit", "mental_strain"]].apply(
        lambda own: stats.linregress(own["visit"], own["mental_strain"]).slope
    )
    theirs = stats.ttest_ind(slopes["b"], slopes["a"], equal_var=False)
    row = found.loc["trend per visit"]
    assert row[["difference", "p"]].tolist() == pytest.approx(
        [slopes["b"].mean() - slopes["a"].mean(), theirs.pvalue]
    )


def test_the_trend_does_not_follow_those_who_leave_after_a_high_score(make_results):
    """Nothing changes; lines of participants alone would rise, the last score being the high one."""
    rng = np.random.default_rng(2)
    scores = 0.5 + rng.normal(0, 0.08, (200, 1)) + rng.normal(0, 0.1, (200, 5))
    leaves = (scores > 0.6) & (np.arange(200) % 2 == 1)[:, None]
    last = np.where(leaves.any(axis=1), leaves.argmax(axis=1), 4)
    people, visits = np.nonzero(np.arange(5) <= last[:, None])
    table = make_results(
        [f"p{person:03}" for person in people],
        mental_strain=scores[people, visits],
        visit=visits + 1,
        arm=np.where(people % 2, "treated", "control"),
    )
    found = compare_change(table, "arm", biomarkers="mental_strain").iloc[-1]
    own = pd.Series(people).groupby(people).transform("size") > 1
    slopes = pd.DataFrame({"person": people, "x": visits, "y": table["mental_strain"]})[own]
    slopes = slopes.groupby("person").apply(lambda each: stats.linregress(each["x"], each["y"])[0])
    apart = slopes[slopes.index % 2 == 1].mean() - slopes[slopes.index % 2 == 0].mean()
    assert apart > 0.03
    assert abs(found["difference"]) < 0.01
    assert found["p"] > 0.05


def test_participants_in_both_arms_are_one_cluster(repeated):
    """Of two copies of each participant, one per arm, no one changes more in one than the other."""
    table = repeated(12, 4)
    both = [
        table.assign(arm=arm, mental_strain=table["mental_strain"] + up)
        for arm, up in (("a", 0), ("b", 0.1))
    ]
    found = compare_change(pd.concat(both), "arm", biomarkers="mental_strain").iloc[-1]
    assert found["sentence"] == "All participants change by the same amount: no test."


def test_a_trend_needs_three_participants_with_two_visits(repeated):
    table = repeated(8, 3).query("arm == 'a' or visit == '1'")
    found = compare_change(table, "arm", biomarkers="mental_strain").iloc[-1]
    assert found["sentence"] == "Fewer than 3 participants with two visits: not compared."


def test_without_a_tag_changes_are_compared_with_zero(repeated):
    table = repeated(12, 2)
    row = compare_change(table, biomarkers="mental_strain").iloc[0]
    wide = table.pivot_table(index="user_label", columns="visit", values="mental_strain")
    theirs = stats.ttest_rel(wide["2"], wide["1"])
    assert row["level"] == "all participants"
    assert row[["statistic", "p"]].tolist() == pytest.approx([theirs.statistic, theirs.pvalue])


def test_those_who_left_do_not_move_a_change(make_results):
    """Nothing changes in anyone, but those with high scores leave."""
    levels = np.linspace(0.1, 0.9, 20)
    people = [f"p{n:02}" for n in range(20)]
    noise = np.random.default_rng(1).normal(0, 0.01, 30)
    table = make_results(
        [*people, *people[:10]],
        mental_strain=np.concatenate([levels, levels[:10]]) + noise,
        visit=["1"] * 20 + ["2"] * 10,
    )
    row = compare_change(table, biomarkers="mental_strain").iloc[0]
    assert row["participants_level"] == 10
    assert abs(row["difference"]) < 0.01
    assert row["difference_low"] < 0 < row["difference_high"]


def test_changes_of_four_level_scores_are_changes_of_ridits(make_results):
    """All of one arm go up a level, none of the other does."""
    people = np.tile([f"p{n:02}" for n in range(16)], 2)
    before = np.tile([0.0, 0.33, 0.66, 0.33], 4)
    up = np.array([{0.0: 0.33, 0.33: 0.66, 0.66: 1.0}[level] for level in before])
    after = np.where(np.arange(16) < 8, before, up)
    table = make_results(
        list(people),
        stress=np.concatenate([before, after]),
        arm=np.tile(np.repeat(["control", "active"], 8), 2),
        visit=np.repeat(["pre", "post"], 16),
    )
    row = compare_change(table, "arm").iloc[0]
    assert (row["reference"], row["level"]) == ("control", "active")
    assert row["effect_name"] == "change in P(higher) \N{MINUS SIGN} P(lower)"
    scores = pd.Series(np.concatenate([before, after]))
    ridits = (scores.rank() - 0.5).to_numpy() / 32
    change = ridits[16:] - ridits[:16]
    assert row["effect"] == pytest.approx(2 * (change[8:].mean() - change[:8].mean()))
    assert row["p"] < 0.001


def test_one_visit_has_no_change(repeated):
    with pytest.raises(ResultsError, match="2 to 60 levels, but 'visit' has 1"):
        compare_change(repeated(10, 1), "arm")
