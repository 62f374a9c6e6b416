"""Where scores are missing, and at which step recordings were lost."""

from itertools import pairwise

import duckdb
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.genmod.cov_struct import Independence
from statsmodels.genmod.generalized_estimating_equations import GEE

from helios_research.analysis import flow, missingness_by_tag
from helios_research.analysis.missingness import equal_rates_test
from helios_research.errors import UnknownColumnError

STEPS = ["listed", "valid", "passed preflight", "sent", "scored", "without warning"]


@pytest.fixture
def every_way(make_results):
    """Give a recording for each way that it can go."""
    ways = [
        ("scored", None, True, None),
        ("scored", None, True, ["noisy"]),
        ("failed", "ERR_RECORDING_TOO_SHORT", True, None),
        ("failed", "HTTP_503", False, None),
        ("rejected", "HTTP_422", False, None),
        ("invalid", "INVALID_LANGUAGE", False, None),
        ("skipped", "ERR_RECORDING_TOO_LONG", False, None),
        ("lost", "RESULT_GONE", True, None),
        ("pending", None, False, None),
        ("pending", None, True, None),
    ]
    sent = pd.Timestamp("2026-01-01", tz="UTC")
    table = make_results([f"p{n}" for n in range(len(ways))])
    return table.assign(
        outcome=[way[0] for way in ways],
        error_code=pd.Series([way[1] for way in ways], dtype="str"),
        uploaded_at=[sent if way[2] else pd.NaT for way in ways],
        warnings=[way[3] for way in ways],
    )


def test_each_way_is_lost_at_its_step_for_its_reason(every_way):
    found = flow(every_way)
    lost = found[found["kind"] == "lost"]
    assert set(zip(lost["step"], lost["reason"], strict=True)) == {
        ("valid", "INVALID_LANGUAGE"),
        ("passed preflight", "ERR_RECORDING_TOO_LONG"),
        ("sent", "HTTP_422"),
        ("sent", "HTTP_503"),
        ("sent", "pending"),
        ("scored", "ERR_RECORDING_TOO_SHORT"),
        ("scored", "RESULT_GONE"),
        ("scored", "pending"),
        ("without warning", "scored with a warning"),
    }
    remaining = found[found["kind"] == "remaining"]
    assert remaining["step"].tolist() == STEPS
    assert remaining["recordings"].tolist() == [10, 9, 8, 5, 2, 1]
    assert remaining["participants"].tolist() == [10, 9, 8, 5, 2, 1]


def test_losses_and_what_remains_add_up_at_every_step(study):
    found = flow(study)
    remaining = found[found["kind"] == "remaining"].set_index("step")["recordings"]
    lost = found[found["kind"] == "lost"].groupby("step")["recordings"].sum()
    for before, step in pairwise(STEPS):
        assert remaining[before] - lost.get(step, 0) == remaining[step]
    assert remaining["listed"] == len(study)
    assert remaining["scored"] == (study["outcome"] == "scored").sum()


def test_a_recording_without_an_outcome_is_lost_for_that_reason(study):
    """It is counted where scores are missing, so that the numbers of the flow add up."""
    table = study.head(30).assign(outcome=study["outcome"].head(30).astype(object))
    scored = table.index[table["outcome"] == "scored"][0]
    table.loc[scored, ["outcome", "error_code"]] = None
    found = flow(table)
    remaining = found[found["kind"] == "remaining"].set_index("step")["recordings"]
    lost = found[(found["kind"] == "lost") & (found["step"] == "scored")]
    assert lost.set_index("reason")["recordings"]["no outcome"] == 1
    assert remaining["sent"] - lost["recordings"].sum() == remaining["scored"]


def test_a_participant_is_lost_only_with_their_last_recording(every_way):
    table = every_way.assign(user_label=["a"] * 5 + ["b", "b"] + ["a"] * 3)
    found = flow(table).set_index(["step", "kind"]).sort_index()
    assert found.loc[("listed", "remaining"), "participants"].item() == 2
    assert found.loc[("valid", "lost"), "participants"].item() == 0
    assert found.loc[("passed preflight", "lost"), "participants"].item() == 1
    assert found.loc[("passed preflight", "remaining"), "participants"].item() == 1


def test_without_times_the_outcome_says_whether_audio_was_sent(every_way):
    table = every_way.drop(columns=["uploaded_at", "warnings", "error_code"])
    found = flow(table)
    remaining = found[found["kind"] == "remaining"]["recordings"].tolist()
    assert remaining == [10, 9, 8, 5, 2, 2]
    assert "failed" in set(found["reason"])


def test_recordings_under_way_are_mentioned(every_way):
    assert flow(every_way).attrs["warnings"] == ["2 recordings have not ended yet."]
    pending = every_way[every_way["outcome"] == "pending"]
    assert flow(pending.head(1)).attrs["warnings"] == ["1 recording has not ended yet."]


def test_no_rows_flow_as_zeros(study):
    found = flow(study.iloc[:0])
    assert found["kind"].tolist() == ["remaining"] * 6
    assert (found[["recordings", "participants"]] == 0).all(axis=None)


def test_a_table_that_is_no_results_table_is_refused():
    with pytest.raises(UnknownColumnError, match="no column 'outcome'"):
        flow(pd.DataFrame({"user_label": ["a"]}))


def test_every_step_and_reason_is_what_duckdb_counts(study_path):
    reached = {
        "listed": "true",
        "valid": "outcome <> 'invalid'",
        "passed preflight": "outcome not in ('invalid', 'skipped')",
        "sent": "outcome not in ('invalid', 'skipped') and "
        "(uploaded_at is not null or outcome in ('lost', 'scored'))",
        "scored": "outcome = 'scored'",
        "without warning": "outcome = 'scored' and coalesce(len(warnings), 0) = 0",
    }
    found = flow(study_path)
    with duckdb.connect() as query:
        for before, step in pairwise([None, *reached]):
            counts = "select count(*), count(distinct user_label) from read_parquet($path) where "
            theirs = query.execute(counts + reached[step], {"path": str(study_path)}).fetchone()
            kept = found[(found["step"] == step) & (found["kind"] == "remaining")].iloc[0]
            assert (kept["recordings"], kept["participants"]) == theirs
            if before is None:
                continue
            lost = query.execute(
                "select case when outcome = 'scored' then 'scored with a warning' else "
                "coalesce(error_code, outcome::varchar) end as reason, count(*) "
                f"from read_parquet($path) where {reached[before]} and not ({reached[step]}) "
                "group by reason",
                {"path": str(study_path)},
            ).fetchall()
            ours = found[(found["step"] == step) & (found["kind"] == "lost")]
            assert dict(zip(ours["reason"], ours["recordings"], strict=True)) == dict(lost)


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
