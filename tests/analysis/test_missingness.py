"""Where scores are missing, why, and whether equally."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.genmod.cov_struct import Independence
from statsmodels.genmod.generalized_estimating_equations import GEE
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from helios_research.analysis import exclude, missingness_by_tag
from helios_research.analysis.intervals import share_interval
from helios_research.analysis.missingness import _jackknife, equal_rates_test
from helios_research.errors import UnknownColumnError


def clustered(people: int, each: int, levels: int, *, within: bool, seed: int):
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), each)
    chance = rng.beta(1, 6, people)[person]
    level = np.tile(np.arange(each) % levels, people) if within else person % levels
    return (rng.random(people * each) < chance).astype(float), level, person


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("levels", [2, 4])
def test_the_test_is_the_score_test_of_statsmodels(within, levels):
    happened, level, person = clustered(60, 8, levels, within=within, seed=levels)
    statistic, df = equal_rates_test(happened, level, person)
    design = np.column_stack([np.ones(480), *(level == other for other in range(1, levels))])
    options = {
        "groups": person,
        "family": sm.families.Binomial(),
        "cov_struct": Independence(),
    }
    full = GEE(happened, design.astype(float), **options)
    reduced = GEE(happened, np.ones((480, 1)), **options).fit()
    theirs = full.compare_score_test(reduced)
    assert df == theirs["df"] == levels - 1
    assert statistic == pytest.approx(theirs["statistic"], rel=1e-6)


def test_false_alarms_are_as_rare_as_the_level_says():

    alarms = []
    for seed in range(400):
        statistic, df = equal_rates_test(*clustered(60, 10, 2, within=False, seed=seed))
        alarms.append(stats.chi2.sf(statistic, df) < 0.05)
    assert 0.02 <= np.mean(alarms) <= 0.09


def test_a_level_without_any_failure_does_not_break_the_test():
    happened = np.array([0.0] * 20 + [1.0, 0.0] * 10)
    level, person = np.repeat([0, 1], 20), np.arange(40) // 2
    statistic, df = equal_rates_test(happened, level, person)
    assert df == 1
    assert statistic > 5


def test_rates_and_reasons_are_counted_among_recordings_that_ended(study):
    found = missingness_by_tag(study, "site")
    ended = study[study["outcome"] != "pending"]
    rows = found[found["variable"] == "site"].set_index(["level", "reason"])
    for site, part in ended.groupby("site"):
        whole = rows.loc[(site, "any reason")]
        assert whole["recordings"] == len(part)
        assert whole["missing"] == (part["outcome"] != "scored").sum()
        failed = part["outcome"].isin(["failed", "skipped"]) & (
            part["error_code"] != "ERR_INTERNAL"
        )
        assert rows.loc[(site, "recording failed"), "missing"] == failed.sum()
        assert rows.loc[(site, "HTTP_422"), "missing"] == (part["outcome"] == "rejected").sum()
    assert "pending" not in set(found["reason"])
    assert "6 recordings have not ended yet and are left out." in found.attrs["warnings"]


def test_the_reasons_add_up_to_all(study):
    found = missingness_by_tag(study, "arm")
    whole = found[found["reason"] == "any reason"].groupby("variable")["missing"].sum()
    parts = found[~found["reason"].isin(["any reason", "recording failed"])]
    assert whole.to_dict() == parts.groupby("variable")["missing"].sum().to_dict()


def test_a_site_where_recordings_failed_is_named_in_plain_words(study):
    found = missingness_by_tag(study, "site")
    assert found.attrs["warnings"][0] == (
        "Recordings failed more often in site Girona, where 49 of 466 did (10.5 %), than in Leeds, "
        "where 23 of 562 did (4.1 %; test over all levels, p = 0.004). Main reason: There are fewer "
        "than 10 seconds of speech (speech, not sound). If failing depends on how people feel, the "
        "scores of these groups cannot be compared as they are."
    )


def test_an_error_of_the_service_is_no_failure_of_the_recording(make_results):
    table = make_results(list("aabbccdd"), mental_strain=0.5, arm=list("xxxxyyyy"))
    table.loc[:3, ["outcome", "error_code"]] = ["failed", "ERR_INTERNAL"]
    found = missingness_by_tag(table, "arm").set_index(["level", "reason"])["missing"]
    assert found["x", "any reason"] == found["x", "ERR_INTERNAL"] == 4
    assert found["x", "recording failed"] == 0


def test_an_excluded_score_is_missing_for_that_reason(study):
    kept = exclude(study, study["speech_s"] < 15, "short")
    found = missingness_by_tag(kept, "arm", also=())
    plain = missingness_by_tag(study, "arm", also=())
    short = found[found["reason"] == "excluded: short"]["missing"].sum()
    assert short == ((study["speech_s"] < 15) & (study["outcome"] == "scored")).sum() > 0
    both = [table[table["reason"] == "any reason"]["missing"].sum() for table in (found, plain)]
    assert both[0] - both[1] == short


def test_p_values_are_corrected_for_the_variables_scanned(study):
    """Holm's method as in statsmodels, for each of the two reasons by itself."""
    found = missingness_by_tag(study, ["site", "arm"])
    for reason in ("any reason", "recording failed"):
        tests = found[found["reason"] == reason].drop_duplicates("variable")
        assert len(tests) == 4
        theirs = multipletests(tests["p"], method="holm")[1]
        assert tests["p_holm"].tolist() == pytest.approx(theirs.tolist())
    assert found[~found["reason"].isin(["any reason", "recording failed"])]["p_holm"].isna().all()


def test_a_difference_that_only_one_of_many_variables_shows_is_no_alarm(study):
    """Alone the arm's p is 0.03; among four variables chance alone gives as much."""
    alone = missingness_by_tag(study, "arm", also=())
    assert alone["p"].min() < 0.05
    found = missingness_by_tag(study, ["site", "arm"])
    anything = found[(found["variable"] == "arm") & (found["reason"] == "any reason")]
    assert anything["sentence"].str.startswith("No difference was detected").all()


def test_where_nothing_differs_the_sentence_says_what_cannot_be_excluded(make_results):
    """Newcombe's interval of a difference, as statsmodels gives it for independent recordings."""
    people = [f"p{n}" for n in range(80)]
    table = make_results(people, mental_strain=0.5, arm=["x"] * 40 + ["y"] * 40)
    table.loc[[0, 1, 2, 40, 41, 42, 43, 44], "outcome"] = "failed"
    found = missingness_by_tag(table, "arm")
    low, high = confint_proportions_2indep(5, 40, 3, 40, method="newcomb")
    largest = float(found["sentence"].iloc[0].split("up to ")[1].split(" points")[0])
    assert largest == pytest.approx(100 * max(high, -low), abs=3)
    assert largest >= 100 * high - 1
    assert "No difference was detected; differences of up to" in found["sentence"].iloc[0]


def test_the_variance_of_a_rate_is_that_of_the_jackknife_over_participants():
    happened, level, person = clustered(12, 5, 2, within=False, seed=1)
    ours = _jackknife(level, pd.DataFrame({"it": happened}), person)["it"]
    for number in (0, 1):
        here = level == number
        without = [happened[here & (person != one)].mean() for one in np.unique(person[here])]
        n = len(without)
        assert ours[number] == pytest.approx(
            (n - 1) / n * np.sum((without - np.mean(without)) ** 2)
        )


@pytest.mark.parametrize(("people", "rate"), [(6, 0.2), (12, 0.2), (12, 0.05), (30, 0.05)])
def test_intervals_of_rates_cover_as_often_as_they_say(make_results, people, rate):
    """In 200 studies; at 93.5 % or more the odds of fewer than 90 % are below 3 in 100."""
    rng = np.random.default_rng(people)
    covered = 0
    for _ in range(200):
        each = rng.integers(1, 15, people)
        chance = np.repeat(rng.beta(4 * rate, 4 * (1 - rate), people), each)
        events = pd.DataFrame({"it": (rng.random(each.sum()) < chance).astype(float)})
        person = np.repeat(np.arange(people), each)
        variance = _jackknife(np.zeros(len(person), dtype=np.intp), events, person).to_numpy()
        low, high = share_interval(events.mean().to_numpy(), variance, np.array([people]), 0.95)
        covered += bool((low <= rate).all() and (rate <= high).all())
    assert covered >= 180


def test_equal_groups_are_not_warned_of(study):
    found = missingness_by_tag(study, [], also=["birth_sex"])
    assert set(found["variable"]) == {"birth_sex"}
    assert len(found.attrs["warnings"]) == 1
    assert "not ended" in found.attrs["warnings"][0]


def test_sex_and_language_are_looked_at_unasked(study):
    found = missingness_by_tag(study, "arm")
    assert list(found["variable"].unique()) == ["arm", "birth_sex", "language"]
    without = study.drop(columns=["birth_sex", "language"])
    assert set(missingness_by_tag(without, "arm")["variable"]) == {"arm"}


def test_intervals_hold_the_rates(study):
    found = missingness_by_tag(study, "visit")
    known = found[found["rate_low"].notna()]
    assert len(known) > 100
    assert (known["rate_low"] <= known["rate"] + 1e-6).all()
    assert (known["rate"] <= known["rate_high"] + 1e-6).all()
    never = known[known["missing"] == 0]
    assert (never["rate_high"] > 0.02).all()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_little_to_test_is_said(make_results, n):
    labels = ["a", "b"][:n]
    table = make_results(labels, mental_strain=np.nan, arm=["x", "y"][:n])
    table["outcome"] = "failed"
    found = missingness_by_tag(table, "arm")
    assert len(found) == n * 3 if n else len(found) == 0
    assert found["p"].isna().all()
    assert found["sentence"].dropna().str.startswith("No test: fewer than two levels").all()


def test_nothing_missing_is_a_rate_of_zero_without_a_test(make_results):
    table = make_results(list("aabbccdd"), mental_strain=0.5, arm=list("xxxxyyyy"))
    found = missingness_by_tag(table, "arm")
    assert found["rate"].tolist() == [0.0] * 4
    assert found["p"].isna().all()
    assert found.attrs["warnings"] == []


def test_a_tag_that_is_not_there_is_refused(study):
    with pytest.raises(UnknownColumnError, match="no column 'armm'"):
        missingness_by_tag(study, "armm")


def test_rows_without_the_tag_are_counted_but_not_tested(study):
    table = study.assign(site=study["site"].where(study["site"] != "Girona"))
    found = missingness_by_tag(table, "site", also=())
    assert "not given" in set(found["level"])
    only = missingness_by_tag(table[table["site"].notna()], "site", also=())
    pd.testing.assert_series_equal(
        found[found["level"] == "Leeds"].set_index("reason")["p"].loc[["recording failed"]],
        only[only["level"] == "Leeds"].set_index("reason")["p"].loc[["recording failed"]],
    )
