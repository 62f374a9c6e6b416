"""Missing scores by group: counts, a test that knows participants, and a plain warning."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.genmod.cov_struct import Independence
from statsmodels.genmod.generalized_estimating_equations import GEE

from helios_research.analysis import missingness_by_tag
from helios_research.analysis.missingness import equal_rates_test
from helios_research.errors import UnknownColumnError

QUICK = {"resamples": 200}


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
    found = missingness_by_tag(study, "site", **QUICK)
    ended = study[study["outcome"] != "pending"]
    rows = found[found["variable"] == "site"].set_index(["level", "reason"])
    for site, part in ended.groupby("site"):
        whole = rows.loc[(site, "any reason")]
        assert whole["recordings"] == len(part)
        assert whole["missing"] == (part["outcome"] != "scored").sum()
        failed = part["outcome"].isin(["failed", "skipped"])
        assert rows.loc[(site, "biomarker failed"), "missing"] == failed.sum()
        assert rows.loc[(site, "HTTP_422"), "missing"] == (part["outcome"] == "rejected").sum()
    assert "pending" not in set(found["reason"])
    assert "6 recordings have not ended yet and are left out." in found.attrs["warnings"]


def test_the_reasons_add_up_to_all(study):
    found = missingness_by_tag(study, "arm", **QUICK)
    whole = found[found["reason"] == "any reason"].groupby("variable")["missing"].sum()
    parts = found[~found["reason"].isin(["any reason", "biomarker failed"])]
    assert whole.to_dict() == parts.groupby("variable")["missing"].sum().to_dict()


def test_a_site_where_recordings_fail_is_named_in_plain_words(study):
    warning = missingness_by_tag(study, "site", **QUICK).attrs["warnings"][0]
    assert warning.startswith(
        "Recordings fail more often where site is Girona than where it is Leeds: failed or skipped "
        "were 11.2 % (52 of 466) against "
    )
    assert "p < 0.001, most of all for ERR_RECORDING_TOO_SHORT." in warning


def test_equal_groups_are_not_warned_of(study):
    found = missingness_by_tag(study, [], also=["birth_sex"], **QUICK)
    assert set(found["variable"]) == {"birth_sex"}
    assert len(found.attrs["warnings"]) == 1
    assert "not ended" in found.attrs["warnings"][0]


def test_sex_and_language_are_looked_at_unasked(study):
    found = missingness_by_tag(study, "arm", **QUICK)
    assert list(found["variable"].unique()) == ["arm", "birth_sex", "language"]
    without = study.drop(columns=["birth_sex", "language"])
    assert set(missingness_by_tag(without, "arm", **QUICK)["variable"]) == {"arm"}


def test_intervals_hold_the_rates(study):
    found = missingness_by_tag(study, "visit", **QUICK)
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
    found = missingness_by_tag(table, "arm", **QUICK)
    assert len(found) == n * 3 if n else len(found) == 0
    assert found["p"].isna().all()
    assert found["sentence"].dropna().str.startswith("No test: fewer than two levels").all()


def test_nothing_missing_is_a_rate_of_zero_without_a_test(make_results):
    table = make_results(list("aabbccdd"), mental_strain=0.5, arm=list("xxxxyyyy"))
    found = missingness_by_tag(table, "arm", **QUICK)
    assert found["rate"].tolist() == [0.0] * 4
    assert found["p"].isna().all()
    assert found.attrs["warnings"] == []


def test_a_tag_that_is_not_there_is_refused(study):
    with pytest.raises(UnknownColumnError, match="no column 'armm'"):
        missingness_by_tag(study, "armm")


def test_rows_without_the_tag_are_counted_but_not_tested(study):
    table = study.assign(site=study["site"].where(study["site"] != "Girona"))
    found = missingness_by_tag(table, "site", also=(), **QUICK)
    assert "not given" in set(found["level"])
    only = missingness_by_tag(table[table["site"].notna()], "site", also=(), **QUICK)
    pd.testing.assert_series_equal(
        found[found["level"] == "Leeds"].set_index("reason")["p"].loc[["biomarker failed"]],
        only[only["level"] == "Leeds"].set_index("reason")["p"].loc[["biomarker failed"]],
    )
