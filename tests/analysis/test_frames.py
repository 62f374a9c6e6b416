"""A typed table for models, and the facts about recordings that it shares with others."""

import numpy as np
import pandas as pd
import pytest

from helios_research.analysis import model_frame
from helios_research.analysis.frames import hours_awake, typed
from helios_research.errors import UnknownColumnError


@pytest.fixture
def small(make_results):
    table = make_results(
        ["p1", "p1", "p1", "p2", None],
        mental_strain=[0.2, 0.4, np.nan, 0.5, 0.5],
        stress=[0.0, 0.33, np.nan, 1.0, 1.0],
        visit=["T1", "T3", "T1", "T10", "T1"],
        phq9=["3", " 12", "9", "", "4"],
        site=["01", "01", "02", " ", "02"],
        age=["old", "old", "old", "young", "young"],
        birth_sex=["f", "F", "female", "MALE", ""],
        recording_time=[f"2026-03-0{day}T10:00:00" for day in (2, 4, 1, 5, 6)],
        wake_time=["2026-03-02T07:00:00", "", "", "2026-03-05T06:30:00", ""],
        warnings=[None, ["noisy"], [], None, None],
    )
    table.loc[2, "outcome"] = "failed"
    return table


def test_there_is_a_row_per_scored_recording_of_a_known_participant(small):
    found = model_frame(small)
    assert found["recording_id"].tolist() == ["r0", "r1", "r3"]
    assert not {"outcome", "error_code", "warnings"} & set(found.columns)
    assert found["warned"].tolist() == [False, True, False]
    assert model_frame(small, warned="drop")["recording_id"].tolist() == ["r0", "r3"]


def test_own_columns_are_numbers_or_text_and_blanks_are_missing(small):
    found = model_frame(small)
    np.testing.assert_array_equal(found["phq9"], [3, 12, np.nan])
    assert found["site"].tolist()[:2] == ["01", "01"]
    assert found["site"].isna().tolist() == [False, False, True]
    assert found["birth_sex"].tolist() == ["FEMALE", "FEMALE", "MALE"]
    assert found["age"].tolist() == ["old", "old", "young"], "a column of one's own remains"


def test_visits_are_an_ordered_category_and_a_number(small):
    found = model_frame(small)
    assert found["visit"].cat.ordered
    assert found["visit"].cat.categories.tolist() == ["T1", "T3", "T10"]
    assert found["visit_number"].tolist() == [1, 3, 10]
    by_site = model_frame(small, visit="site")
    assert by_site["site_number"].tolist()[:2] == [1, 1]
    assert "visit_number" not in by_site
    assert "visit_number" not in model_frame(small.drop(columns="visit"))
    with pytest.raises(UnknownColumnError, match="no column 'week'"):
        model_frame(small, visit="week")


def test_days_are_counted_from_the_first_recording_even_if_it_failed(small):
    assert model_frame(small)["days_since_first"].tolist() == [1, 3, 0]


def test_hours_awake_and_ages_are_missing_where_they_are_not_known(small, make_results):
    np.testing.assert_allclose(model_frame(small)["hours_awake"], [3, np.nan, 3.5])
    bare = model_frame(make_results(["p1"], stress=0.33))
    assert bare[["age", "hours_awake", "days_since_first"]].isna().all(axis=None)


def test_scores_have_levels_means_and_deviations(small):
    found = model_frame(small)
    assert found["stress_level"].tolist() == [0, 1, 3]
    assert found["stress_level"].dtype == np.int64
    assert found["mental_strain_person_mean"].tolist() == pytest.approx([0.3, 0.3, 0.5])
    assert found["mental_strain_deviation"].tolist() == pytest.approx([-0.1, 0.1, 0])
    small.loc[0, "stress"] = np.nan
    np.testing.assert_array_equal(model_frame(small)["stress_level"], [np.nan, 1, 3])


def test_ages_and_own_columns_of_the_study_agree_with_pandas(study):
    found = model_frame(study)
    scored = study[study["outcome"] == "scored"].reset_index(drop=True)
    born, recorded = (pd.to_datetime(scored[name]) for name in ("date_of_birth", "recording_time"))
    np.testing.assert_allclose(found["age"], (recorded - born).dt.total_seconds() / 31556952)
    means = scored.groupby("user_label")["mental_strain"].transform("mean")
    np.testing.assert_allclose(found["mental_strain_person_mean"], means)
    assert (found["visit_number"] == scored["visit"].astype(int)).all()


def test_it_goes_to_parquet_and_back_for_r(study, tmp_path):
    found = model_frame(study)
    found.to_parquet(tmp_path / "frame.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "frame.parquet"), found)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2.5", None], [1, 2.5, np.nan]),
        (["-1e3", " 0 ", "0.5"], [-1000, 0, 0.5]),
        (["1", "x"], ["1", "x"]),
        (["007", "12"], ["007", "12"]),
        (["1", "nan"], ["1", "nan"]),
        (["1", "inf"], ["1", "inf"]),
        (["6,9", "1,250", "12"], [6.9, 1.25, 12]),
        (["1,250", "12,000"], ["1,250", "12,000"]),
        (["6,9", "7.0"], ["6,9", "7.0"]),
        ([1, 2], [1, 2]),
    ],
)
def test_columns_are_numbers_where_every_value_is_one(values, expected):
    found = typed(pd.Series(values))
    assert pd.api.types.is_numeric_dtype(found) == (not isinstance(expected[0], str))
    np.testing.assert_array_equal(found.to_numpy(), expected)


@pytest.mark.parametrize("dtype", ["object", "string", "str", "Int64", "Float32", "int8"])
def test_numbers_of_any_type_are_numbers_that_formulas_read(dtype):
    found = typed(pd.Series([3, 1], dtype="int64").astype(dtype))
    assert isinstance(found.dtype, np.dtype)
    assert found.tolist() == [3, 1]
    assert typed(pd.Series([3, None], dtype="Int64")).isna().tolist() == [False, True]


def test_columns_with_a_type_of_their_own_keep_it():
    for values in (pd.Series([True, False]), pd.Series(["1"], dtype="category")):
        pd.testing.assert_series_equal(typed(values), values)
    assert typed(pd.Series([None, ""], dtype="str")).isna().all()


def of(**columns):
    return pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in columns.items()})


def test_hours_awake_run_from_waking_to_recording():
    table = of(
        recording_time=["2026-03-02T10:30:00", "2026-03-03T01:00:00"],
        wake_time=["2026-03-02T07:00:00", "2026-03-02T07:00:00"],
    )
    assert np.allclose(hours_awake(table), [3.5, 18])


@pytest.mark.parametrize(
    "wake", [None, "", "early", "2026-03-03T07:00:00", "2026-02-20T07:00:00", "2026-13-45T07:00"]
)
def test_a_waking_that_cannot_be_counted_from_has_no_hours(wake):
    table = of(recording_time=["2026-03-02T10:30:00"], wake_time=[wake])
    assert np.isnan(hours_awake(table)).all()
