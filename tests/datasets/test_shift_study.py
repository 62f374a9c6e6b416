"""The synthetic study is what its script makes, says so, and holds the effects it claims."""

import json
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats

from helios_research.columns import BIOMARKERS, BUCKET_LEVELS, RESULTS

FOLDER = Path(__file__).parents[2] / "datasets"
FILE = FOLDER / "shift_study_results.parquet"


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return pd.read_parquet(FILE)


def test_the_script_makes_the_committed_file_again(tmp_path, results):
    made = runpy.run_path(str(FOLDER / "make_shift_study.py"))
    made["write"](tmp_path / "again.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "again.parquet"), results)


def test_it_has_every_column_of_the_results_in_their_order(results):
    expected = [column.name for column in RESULTS]
    assert next(iter(results.columns)) == "recording_id"
    assert list(results.columns)[-len(expected) + 1 :] == expected[1:]


def test_it_says_that_it_is_synthetic_in_every_row_and_in_the_footer(results):
    assert set(results["source"]) == {"sandbox"}
    footer = json.loads(pq.read_schema(FILE).metadata[b"helios_research"])
    assert "synthetic" in footer["study"]


def test_it_is_zstd_and_small():
    chunk = pq.ParquetFile(FILE).metadata.row_group(0).column(0)
    assert chunk.compression == "ZSTD"
    assert FILE.stat().st_size < 400_000


def test_it_is_a_study_of_120_people_in_two_arms_over_up_to_14_visits(results):
    people = results.groupby("user_label")
    assert len(people) == 120
    assert people["arm"].nunique().max() == 1
    assert results.drop_duplicates("user_label")["arm"].value_counts().tolist() == [60, 60]
    assert 1400 < len(results) < 1600
    assert people.size().max() == 14
    assert people.size().min() < 8
    assert results["recording_id"].is_unique


def test_only_scored_recordings_have_scores_and_bucketed_ones_take_four_values(results):
    scored = results["outcome"] == "scored"
    for marker in BIOMARKERS:
        assert results.loc[scored, marker.name].notna().all()
        assert results.loc[~scored, marker.name].isna().all()
        assert results[marker.name].dropna().between(0, 1).all()
        if marker.bucketed:
            assert set(results[marker.name].dropna()) == set(BUCKET_LEVELS)


def test_every_way_a_recording_can_end_is_in_it(results):
    assert set(results["outcome"]) == {
        "scored", "failed", "rejected", "invalid", "skipped", "lost", "pending",
    }  # fmt: skip
    assert results["warnings"].notna().sum() > 20


def test_recordings_fail_more_often_at_one_site(results):
    failed = (results["outcome"] == "failed").groupby(results["site"]).mean()
    assert failed["Girona"] > 2 * failed["Leeds"]
    assert failed["Girona"] > 2 * failed["Hamburg"]


def test_sleep_propensity_grows_over_the_night_shifts_and_not_over_the_day_shifts(results):
    latent = stats.norm.ppf(results["uniform_sleep_propensity"].clip(0.0005, 0.9995))
    visit = results["visit"].astype(float)
    slope = {
        arm: np.polyfit(visit[rows], latent[rows], 1)[0] * 13
        for arm in ("day_shift", "night_shift")
        for rows in [(results["arm"] == arm) & results["outcome"].eq("scored")]
    }
    assert slope["night_shift"] == pytest.approx(1.0, abs=0.25)
    assert slope["day_shift"] == pytest.approx(0.0, abs=0.25)
