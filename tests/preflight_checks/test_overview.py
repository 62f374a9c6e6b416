"""What a cohort looks like before it is sent."""

import pandas as pd
import pytest

from helios_research.preflight_checks.table import (
    expected_requests,
    expected_time_s,
    overview,
    sleep_spans,
)


@pytest.fixture
def some_files(tmp_path):
    """Make so many files; an overview looks at none of them."""

    def make(count):
        paths = [tmp_path / f"{number}.wav" for number in range(count)]
        for path in paths:
            path.write_text(path.name)
        return [str(path) for path in paths]

    return make


@pytest.fixture
def cohort(cohort_of, some_files):
    """Six participants; the first recorded twice, the last born in the future."""
    return cohort_of(
        some_files(7),
        user_label=["P0", "P0", "P1", "P2", "P3", "P4", "P5"],
        date_of_birth=["1990-01-01"] * 5 + ["1890-06-01", "2022-03-02"],
        arm=["day", "day", "day", "day", "day", "day", "night"],
        sleep_time=["2026-03-01T23:00", "", "", "", "", "2026-03-01T02:00", ""],
        wake_time=["2026-03-02T06:30", "2026-03-02T05:00", "", "", "", "2026-03-01T23:30", ""],
    )


@pytest.fixture
def checks():
    return pd.DataFrame(
        {
            "verdict": ["ok", "ok", "warn", "ok", "ok", "ok", "fail"],
            "duration_s": [1_800.0, 1_800.0, 600.0, 600.0, 600.0, 1_800.0, None],
        }
    )


def total(tables, measure):
    return tables.totals.set_index("measure")["value"][measure]


def test_totals_count_rows_people_hours_and_verdicts(cohort, checks):
    tables = overview(cohort, checks)
    assert total(tables, "rows") == 7
    assert total(tables, "participants") == 6
    assert total(tables, "audio") == 2.0
    assert total(tables, "recordings: warn") == 1
    assert total(tables, "recordings: fail") == 1


def test_only_what_would_be_sent_counts_as_requests(cohort, checks):
    sent = int(cohort.is_valid[:6].sum())
    assert total(overview(cohort, checks), "recordings to send") == sent
    assert total(overview(cohort), "recordings to send") == int(cohort.is_valid.sum())


def test_an_expected_time_needs_a_rate(cohort):
    assert not overview(cohort).totals["measure"].str.startswith("expected time").any()
    tables = overview(cohort, rate=0.1)
    count = int(cohort.is_valid.sum())
    expected = (round(count * 2.3) / 0.1 + 60) / 60
    assert total(tables, "expected time at 0.1 requests/s") == pytest.approx(expected, abs=0.05)


def test_requests_and_time_grow_with_the_recordings():
    assert expected_requests(300) == 690
    assert expected_time_s(300, 10) == pytest.approx(129)
    assert expected_time_s(0, 10) == 0


def test_recordings_per_participant_are_counted(cohort):
    table = overview(cohort).per_participant
    assert dict(zip(table["recordings"], table["participants"], strict=True)) == {1: 5, 2: 1}


def test_small_cells_are_marked_by_people_and_not_by_recordings(cohort):
    table = overview(cohort).tag_levels.set_index("level")
    assert table.loc["day", ["participants", "recordings", "is_small"]].tolist() == [5, 6, False]
    assert table.loc["night", ["participants", "recordings", "is_small"]].tolist() == [1, 1, True]


def test_a_tag_without_a_value_is_a_level_of_its_own(cohort_of, some_files):
    tables = overview(cohort_of(some_files(2), arm=["day", ""]))
    assert tables.tag_levels["level"].isna().sum() == 1


def test_a_cohort_without_tags_has_no_levels(cohort_of):
    tables = overview(cohort_of(["/a.wav"]))
    assert tables.tag_levels.empty
    assert "Per tag level" not in str(tables)


def test_implausible_ages_at_recording_are_listed(cohort):
    table = overview(cohort).odd_ages
    assert list(table["user_label"]) == ["P4", "P5"]
    assert list(table["age_years"]) == [135.8, 4.0]
    assert list(table["row"]) == list(cohort.row_numbers[5:])


def test_hours_awake_and_asleep_come_from_the_sleep_times(cohort):
    spans = sleep_spans(cohort)
    assert spans["awake_h"][0] == pytest.approx(2.5)
    assert spans["asleep_h"][0] == pytest.approx(7.5)
    assert spans["awake_h"][1] == pytest.approx(4.0)
    assert spans.loc[1:4, "asleep_h"].isna().all()


def test_implausible_sleep_is_listed(cohort):
    table = overview(cohort).odd_sleep
    assert list(table["asleep_h"]) == [21.5]


def test_awake_hours_are_summed_up(cohort):
    [row] = overview(cohort).awake.to_dict("records")
    assert row == {"recordings": 3, "least_h": 2.5, "median_h": 4.0, "most_h": 9.5}


def test_without_sleep_times_there_is_no_row(cohort_of):
    assert overview(cohort_of(["/a.wav"])).awake.empty


def test_the_text_contains_every_table_that_has_rows(cohort, checks):
    text = str(overview(cohort, checks, rate=10))
    for words in (
        "expected API requests",
        "Recordings per participant: ",
        "Per tag level:",
        "(few)",
        "Hours awake at the recording: 2.5 to 9.5, median 4 (3 recordings)",
        "Implausible ages at the recording:",
        "Implausible sleep or wakefulness:",
    ):
        assert words in text
    assert "night" in text
