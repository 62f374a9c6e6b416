"""What a cohort looks like before it is sent."""

import pandas as pd
import pytest

from helios_research.preflight_checks.table import (
    expected_requests,
    expected_time_s,
    overview,
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


def described(cohort, checks=None, rate=10.0):
    """Describe a cohort of which all recordings are good, but for those of other checks."""
    good = pd.DataFrame({"verdict": "ok", "duration_s": 60.0}, index=range(len(cohort)))
    return overview(cohort, good if checks is None else checks, rate=rate)


def totals(text):
    """Read the first paragraph back: what is counted, and the number with its unit."""
    lines = text.partition("\n\n")[0].splitlines()
    return dict(line.split("  ", 1) for line in lines)


def total(text, measure):
    return totals(text)[measure].strip()


def test_totals_count_rows_people_hours_and_verdicts(cohort, checks):
    text = described(cohort, checks)
    assert total(text, "rows") == "7"
    assert total(text, "participants") == "6"
    assert total(text, "audio") == "2.0 h"
    assert total(text, "recordings: warn") == "1"
    assert total(text, "recordings: fail") == "1"


def test_only_what_would_be_sent_counts_as_requests(cohort, checks):
    sent = int(cohort.is_valid[:6].sum())
    assert total(described(cohort, checks), "recordings to send") == str(sent)
    assert total(described(cohort), "recordings to send") == str(int(cohort.is_valid.sum()))


def test_the_expected_time_is_that_of_the_rate(cohort):
    minutes = (round(int(cohort.is_valid.sum()) * 2.3) / 0.1 + 60) / 60
    written = total(described(cohort, rate=0.1), "expected time at 0.1 requests/s")
    assert written == f"{round(minutes, 1):,} min"


def test_requests_and_time_grow_with_the_recordings():
    assert expected_requests(300) == 690
    assert expected_time_s(300, 10) == pytest.approx(129)
    assert expected_time_s(0, 10) == 0


def test_recordings_per_participant_are_counted(cohort):
    words = "Recordings per participant: 1 (5 participants), 2 (1 participant)"
    assert words in described(cohort).splitlines()


def test_small_cells_are_marked_by_people_and_not_by_recordings(cohort):
    lines = described(cohort).splitlines()
    assert "  arm = day: 5 participants, 6 recordings" in lines
    assert "  arm = night: 1 participant, 1 recording (few)" in lines


def test_a_tag_without_a_value_is_a_level_of_its_own(cohort_of, some_files):
    text = described(cohort_of(some_files(2), arm=["day", ""]))
    assert text.count("arm = not given: 1 participant, 1 recording (few)") == 1


def test_a_cohort_without_tags_has_no_levels(cohort_of):
    assert "Per tag level" not in described(cohort_of(["/a.wav"]))


def test_implausible_ages_at_recording_are_listed(cohort):
    _, _, listed = described(cohort).partition("Implausible ages at the recording:\n")
    header, *rows = (line.split() for line in listed.partition("\n\n")[0].splitlines())
    assert header == ["row", "recording_id", "user_label", "age_years"]
    numbers = map(str, cohort.row_numbers[5:])
    assert [(row[0], *row[2:]) for row in rows] == [
        (number, *facts)
        for number, facts in zip(numbers, [("P4", "135.8"), ("P5", "4.0")], strict=True)
    ]


def test_implausible_sleep_is_listed(cohort):
    _, _, listed = described(cohort).partition("Implausible sleep or wakefulness:\n")
    header, row = (line.split() for line in listed.splitlines())
    assert header == ["row", "recording_id", "awake_h", "asleep_h"]
    assert row[2:] == ["9.5", "21.5"]


def test_awake_hours_are_summed_up(cohort):
    words = "Hours awake at the recording: 2.5 to 9.5, median 4 (3 recordings)"
    assert words in described(cohort).splitlines()


def test_without_sleep_times_nothing_is_said_of_sleep(cohort_of):
    text = described(cohort_of(["/a.wav"]))
    assert "awake" not in text
    assert "sleep" not in text


def test_each_paragraph_is_there_once(cohort, checks):
    paragraphs = described(cohort, checks, rate=10).split("\n\n")
    assert [text.partition(":")[0] for text in paragraphs[1:]] == [
        "Recordings per participant",
        "Per tag level",
        "Hours awake at the recording",
        "Implausible ages at the recording",
        "Implausible sleep or wakefulness",
    ]
