"""Recordings against a participant's own baseline."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

from helios_research.analysis import baseline
from helios_research.errors import ResultsError, UnknownColumnError


@pytest.fixture
def one_person(make_results):
    days = pd.date_range("2026-01-01T08:00", periods=6).strftime("%Y-%m-%dT%H:%M:%S")
    return make_results(
        ["a"] * 6,
        mental_strain=[0.4, 0.5, 0.45, 0.9, 0.46, 0.1],
        stress=[0.33, 0.66, 0.33, 1.0, 0.66, 0.0],
        recording_time=list(days),
        visit=["1", "2", "3", "9", "10", "11"],
    )


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_usual_range_is_the_prediction_interval_of_statsmodels(one_person, confidence):
    rows = baseline(one_person, biomarkers="mental_strain", spread="own", confidence=confidence)
    row = rows.iloc[4]
    fit = OLS([0.4, 0.5, 0.45], np.ones(3)).fit()
    frame = fit.get_prediction(np.ones((1, 1))).summary_frame(alpha=1 - confidence).iloc[0]
    assert row["baseline"] == pytest.approx(frame["mean"])
    assert row["usual_low"] == pytest.approx(frame["obs_ci_lower"])
    assert row["usual_high"] == pytest.approx(frame["obs_ci_upper"])


def test_change_and_z_are_taken_from_the_baseline(one_person):
    rows = baseline(one_person, biomarkers="mental_strain", spread="own")
    assert rows["in_baseline"].tolist() == [True] * 3 + [False] * 3
    assert rows["baseline_sd"].iloc[0] == pytest.approx(0.05)
    assert rows["change"].tolist()[3:] == pytest.approx([0.45, 0.01, -0.35])
    z = np.array([9.0, 0.2, -7.0]) / np.sqrt(1 + 1 / 3)
    assert rows["z"].tolist()[3:] == pytest.approx(z)
    assert rows["df"].tolist()[3:] == [2, 2, 2]
    assert rows["p"].tolist()[3:] == pytest.approx(2 * stats.t.sf(abs(z), 2))
    assert rows["outside_usual"].tolist()[3:] == [True, False, True]
    assert rows[["change", "z", "df", "p", "outside_usual"]].iloc[:3].isna().all(axis=None)


def test_the_pooled_spread_is_the_residual_sd_over_all_participants(study):
    rows = baseline(study, biomarkers="mental_strain")
    first = rows[rows["in_baseline"]]
    residual = first["score"] - first.groupby("user_label")["score"].transform("mean")
    expected = np.sqrt((residual**2).sum() / (len(first) - first["user_label"].nunique()))
    assert rows["baseline_sd"].to_numpy() == pytest.approx(expected)


@pytest.fixture
def stable(make_results):
    """Give a maker of participants in whom nothing changes, each with a level of their own."""

    def make(people, visits):
        rng = np.random.default_rng(1)
        person = np.repeat(np.arange(people), visits)
        level, noise = rng.normal(size=people)[person], rng.normal(size=len(person))
        return make_results(
            [f"p{n}" for n in person],
            mental_strain=0.5 + 0.02 * level + 0.01 * noise,
            stress=np.array([0, 0.33, 0.66, 1])[np.searchsorted([-1, 0, 1], level + noise)],
            visit=np.tile(np.arange(visits), people),
        )

    return make


@pytest.mark.parametrize("spread", ["own", "pooled"])
def test_where_nothing_changes_as_few_lie_outside_as_the_confidence_says(stable, spread):
    rows = baseline(stable(4000, 4), biomarkers="mental_strain", order="visit", spread=spread)
    assert rows["outside_usual"].mean() == pytest.approx(0.05, abs=0.012)
    assert (rows["p"].dropna() < 0.3).mean() == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("spread", ["own", "pooled"])
def test_the_method_says_how_many_stable_people_have_a_recording_outside(stable, spread):
    rows = baseline(stable(2000, 14), biomarkers="mental_strain", order="visit", spread=spread)
    share = rows["outside_usual"].groupby(rows["user_label"]).any().mean()
    said = int(re.search(r"With 11 later .* about (\d+) of 100", rows.attrs["method"])[1])
    assert 100 * share == pytest.approx(said, abs=3)


@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_four_levels_do_not_change_by_the_number_of_first_recordings(stable, first):
    rows = baseline(stable(2000, 6), biomarkers="stress", order="visit", first=first)
    assert rows["change"].mean() == pytest.approx(0, abs=0.02)


def test_four_levels_are_above_or_below_a_share_of_the_baseline(one_person):
    rows = baseline(one_person, biomarkers="stress")
    assert rows["change"].tolist()[3:] == pytest.approx([1, 2 / 3, -1])
    assert rows["baseline_recordings"].tolist() == [3] * 6
    nothing = ["baseline", "baseline_sd", "z", "df", "p", "usual_low", "usual_high"]
    assert rows[[*nothing, "outside_usual"]].isna().all(axis=None)
    assert "later recordings" not in rows.attrs["method"]


def test_a_tag_can_give_the_order_and_goes_as_people_count(one_person):
    rows = baseline(one_person, biomarkers="stress", order="visit")
    assert rows["recording_id"].tolist() == [f"r{n}" for n in range(6)]
    assert rows["days_since_first"].isna().all()


def test_recordings_whose_tag_is_blank_have_no_place_in_the_order(one_person):
    one_person["visit"] = ["1", "2", "3", " ", None, "4"]
    rows = baseline(one_person, biomarkers="mental_strain", order="visit")
    assert rows["recording_id"].tolist() == ["r0", "r1", "r2", "r5"]
    assert rows.attrs["warnings"] == ["2 scored recordings have no usable visit and are left out."]


def test_the_order_is_by_time_whatever_the_order_of_the_rows(one_person):
    forth = baseline(one_person, biomarkers="mental_strain")
    back = baseline(one_person.iloc[::-1], biomarkers="mental_strain")
    pd.testing.assert_frame_equal(forth, back)


def test_a_baseline_can_be_a_number_of_days(one_person):
    rows = baseline(one_person, biomarkers="mental_strain", first=2, unit="days")
    assert rows["in_baseline"].sum() == 2
    assert rows["days_since_first"].tolist() == [0, 1, 2, 3, 4, 5]


def test_days_without_times_are_refused(one_person):
    with pytest.raises(ResultsError, match="'visit' holds none: choose order='recording_time'"):
        baseline(one_person, order="visit", unit="days")


def test_failed_recordings_are_not_part_of_a_baseline(one_person):
    one_person.loc[0, "outcome"] = "failed"
    rows = baseline(one_person, biomarkers="mental_strain")
    assert rows["recording_id"].tolist() == [f"r{n}" for n in range(1, 6)]
    assert rows["in_baseline"].sum() == 3


def test_recordings_without_a_usable_time_are_left_out_and_counted(one_person):
    one_person.loc[1, "recording_time"] = "01/02/2026"
    rows = baseline(one_person)
    assert "r1" not in set(rows["recording_id"])
    assert rows.attrs["warnings"] == [
        "1 scored recordings have no usable recording_time and are left out."
    ]


def test_a_single_recording_is_its_own_baseline(make_results):
    table = make_results(["a"], mental_strain=[0.5], stress=[0.33], visit=["1"])
    rows = baseline(table, order="visit")
    assert rows["in_baseline"].all()
    assert rows[["usual_low", "outside_usual", "z"]].isna().all(axis=None)


def test_a_baseline_of_copies_has_no_usual_range(make_results):
    table = make_results(["a"] * 4, mental_strain=[0.5, 0.5, 0.5, 0.6], visit=list("1234"))
    rows = baseline(table, order="visit")
    assert rows["change"].iloc[3] == pytest.approx(0.1)
    assert rows[["z", "usual_low", "outside_usual"]].isna().all(axis=None)


def test_no_rows_give_no_rows_with_the_same_columns(study):
    empty, full = baseline(study.iloc[:0]), baseline(study)
    assert len(empty) == 0
    assert list(empty.columns) == list(full.columns)


def test_what_was_done_is_said(study):
    method = baseline(study, first=5, spread="own").attrs["method"]
    assert "first 5 recordings by recording_time" in method
    assert "own baseline" in method


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first": 0}, "at least the first 1 of the recordings, not 0"),
        ({"unit": "weeks"}, "Unknown unit of a baseline 'weeks': choose 'recordings' or 'days'"),
        ({"spread": "all"}, "Unknown spread of a baseline 'all': choose 'pooled' or 'own'"),
        ({"confidence": 95}, "confidence is 95"),
    ],
)
def test_settings_without_meaning_are_refused(study, settings, message):
    with pytest.raises(ResultsError, match=message):
        baseline(study, **settings)


def test_an_order_that_is_not_there_is_refused(study):
    with pytest.raises(UnknownColumnError, match="no column 'week'"):
        baseline(study, order="week")
