"""The table of checks."""

import pandas as pd
import pytest

import helios_research as hr
from helios_research import columns
from helios_research.columns import Verdict
from helios_research.preflight_checks.check import Check
from helios_research.preflight_checks.table import check_table, write_checks

# How each bad row of the demo cohort ends, by its recording_id.
BAD = {
    "P09-v1-all_afternoon": "ERR_RECORDING_TOO_LONG",
    "P08-v2-left_running": "ERR_RECORDING_TOO_LONG",
    "P05-v1-broken_off": "ERR_RECORDING_TOO_SHORT",
    "P02-v1-muted": "ERR_TRANSCRIPTION_FAILED",
    "P03-v3-ventilator": "ERR_TRANSCRIPTION_FAILED",
    "P11-v2-export_log": "ERR_RECORDING_INVALID_FORMAT",
    "P06-v2": "INVALID_RECORDING",
}


@pytest.fixture(scope="module")
def demo(demo_manifest):
    cohort = hr.read_cohort(demo_manifest, tags=["arm", "visit"])
    return cohort, hr.preflight(cohort, progress=False)


def test_there_is_one_row_per_row_with_exactly_the_columns_of_the_vocabulary(demo):
    cohort, checks = demo
    assert list(checks.columns) == [column.name for column in columns.CHECKS]
    assert list(checks["recording_id"]) == list(cohort.fields["recording_id"])


def test_each_bad_recording_of_the_demo_gets_its_code_and_no_good_one_is_blocked(demo):
    _, checks = demo
    failed = checks[checks["verdict"] == "fail"].set_index("recording_id")
    assert failed["predicted_error_code"].to_dict() == BAD
    assert failed["reason"].str.endswith(".").all()
    assert set(checks.loc[checks["verdict"] != "fail", "verdict"]) == {"ok"}


def test_numbers_are_numbers_and_what_is_unknown_is_missing(demo):
    _, checks = demo
    assert checks["duration_s"].dtype == "float64"
    assert checks["channels"].dtype == "Int64"
    assert checks["speech_counted_to_end"].dtype == "boolean"
    assert checks["reason"].dtype == "str"
    assert list(checks["verdict"].cat.categories) == ["ok", "warn", "fail"]
    missing = checks.set_index("recording_id").loc["P06-v2"]
    assert missing[["duration_s", "channels", "speech_counted_to_end", "sha256"]].isna().all()


def test_rows_that_share_a_recording_share_its_check(folder, cohort_of):
    recording = str(folder / "P04_visit3.wav")
    seen = []
    cohort = cohort_of([recording, recording])
    checks = hr.preflight(cohort, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 1)]
    assert len(set(checks["sha256"])) == 1
    assert list(checks["verdict"]) == ["ok", "ok"]


def test_a_row_without_a_recording_fails_with_a_sentence(folder, cohort_of):
    cohort = cohort_of(["", str(folder / "P04_visit3.wav")])
    checks = hr.preflight(cohort, progress=False)
    assert list(checks["verdict"]) == ["fail", "ok"]
    assert checks["reason"][0] == "The row names no recording."


def test_what_was_not_checked_has_no_verdict(cohort_of):
    cohort = cohort_of(["/a.wav", "/b.wav"])
    checks = check_table(cohort, {"/b.wav": Check(Verdict.OK, None, "")})
    assert checks["verdict"].isna().tolist() == [True, False]


def test_an_empty_cohort_gives_an_empty_table(cohort_of):
    checks = hr.preflight(cohort_of([]), progress=False)
    assert checks.empty
    assert list(checks.columns) == [column.name for column in columns.CHECKS]


@pytest.mark.parametrize("name", ["checks.parquet", "checks.csv"])
def test_the_table_is_written_whole_and_in_place(demo, tmp_path, name):
    _, checks = demo
    path = tmp_path / name
    path.write_text("what was there before")
    write_checks(checks, path)
    read = pd.read_parquet if name.endswith("parquet") else pd.read_csv
    back = read(path)
    assert list(back.columns) == list(checks.columns)
    assert list(back["recording_id"]) == list(checks["recording_id"])
    assert back["duration_s"].sum() == pytest.approx(checks["duration_s"].sum())
    assert [file.name for file in tmp_path.iterdir()] == [name]
