"""Who took part, what happened to the recordings, and where scores are missing."""

from collections.abc import Callable, Sequence

import pandas as pd

from helios_research.analysis import exclude
from helios_research.report.blocks import Block, Table
from helios_research.report.data import report_data
from helios_research.report.participants import missing, participants, recording_flow

Tables = Callable[[Sequence[Block]], list[Table]]
Words = Callable[..., str]


def test_table_one_is_by_the_column_that_divides_participants(
    study: pd.DataFrame, tables: Tables
) -> None:
    (table,) = tables(participants(report_data(study, by=["visit", "arm"])))
    assert table.caption == "Participants by arm"
    assert table.header[2:5] == ("night_shift", "day_shift", "all participants")
    (alone,) = tables(participants(report_data(study)))
    assert alone.header[2] == "all participants"


def test_the_flow_adds_up(study: pd.DataFrame, tables: Tables) -> None:
    table = tables(recording_flow(report_data(study, by=["arm"])))[0]
    assert table.header[:5] == ("arm", "step", "reason", "recordings", "participants")
    counts = [(row[1].replace("\N{NO-BREAK SPACE}", " "), int(row[3])) for row in table.rows]
    lost = sum(number for step, number in counts if step.startswith("lost"))
    kept = [number for step, number in counts if step in ("listed", "without warning")]
    assert kept[0] + kept[2] == len(study)
    assert kept[0] + kept[2] - lost == kept[1] + kept[3]
    assert [row[0] for row in table.rows if row[0].strip()] == ["night_shift", "day_shift"]


def test_exclusions_and_withdrawals_are_counted_with_reasons(
    study: pd.DataFrame, tables: Tables, words: Words
) -> None:
    table = exclude(study, (study["visit"] == "2").to_numpy(), "wrong device")
    data = report_data(table, by=["arm"], provenance={"withdrawn": 2})
    section = recording_flow(data)
    said = words(section)
    assert f"The manifest listed {len(study)} recordings from 24 participants." in said
    assert "Not counted: 2 participants who withdrew." in said
    number = ((study["visit"] == "2") & (study["outcome"] == "scored")).sum()
    assert any("excluded: wrong device" in row for row in tables(section)[0].rows)
    assert f"Excluded by the researchers: {number} scored recordings (wrong device)." in said


def test_unequal_failures_are_a_warning_in_plain_words(study: pd.DataFrame, words: Words) -> None:
    table = study.copy()
    here = table["arm"] == "night_shift"
    table["outcome"] = table["outcome"].astype("str").mask(here, "failed")
    section, warnings = missing(report_data(table, by=["arm"], biomarkers=["mental_strain"]))
    assert warnings[0].startswith("Recordings failed more often in arm night_shift")
    assert warnings[0] in words(section)


def test_where_nothing_can_be_tested_no_equality_is_claimed(
    study: pd.DataFrame, tables: Tables
) -> None:
    section, warnings = missing(report_data(study.iloc[:1], by=["arm"]))
    assert warnings == []
    notes = " ".join(note for table in tables(section) for note in table.notes)
    assert "No test: fewer than two levels" in notes
    assert "no difference was detected" not in notes


def test_what_counts_as_a_failure_is_defined_where_it_is_counted(
    study: pd.DataFrame, words: Words, tables: Tables
) -> None:
    section, _ = missing(report_data(study, by=["arm"]))
    assert "“Recording failed” counts those that Helios or the preflight could not use" in words(
        section
    )
    assert tables(section)[0].header[-2:] == ("without scores", "recording failed")
    assert "differences of up to" in tables(section)[0].notes[1]
