"""Errors with what to do about them, and the codebook."""

from collections.abc import Callable, Sequence

import pandas as pd

from helios_research.codes import explain
from helios_research.report.blocks import Block, Table
from helios_research.report.data import report_data
from helios_research.report.participants import errors, recording_flow
from helios_research.report.scores import cautions
from helios_research.report.sentences import columns, finding

Tables = Callable[[Sequence[Block]], list[Table]]
Words = Callable[..., str]


def test_each_error_comes_with_what_to_do(study: pd.DataFrame, tables: Tables) -> None:
    table = tables(errors(report_data(study)))[0]
    found = {row[0]: row for row in table.rows}
    assert set(found) == set(study["error_code"].dropna())
    for code, row in found.items():
        assert row[4] == explain(code).remedy
        assert int(row[1]) == (study["error_code"] == code).sum()


def test_a_line_says_how_well_the_preflight_expected_the_answers(
    study: pd.DataFrame, words: Words
) -> None:
    checked = study.assign(predicted_error_code=None)
    scored = checked.index[checked["outcome"] == "scored"]
    assert "answers that Helios gave to checked recordings." in words(errors(report_data(checked)))
    checked.loc[scored[:3], ["predicted_error_code", "speech_s"]] = "ERR_RECORDING_TOO_SHORT", 9.5
    said = words(errors(report_data(checked)))
    assert "With least_speech_s=9.5 the preflight would have expected 3 more of the" in said
    unchecked = checked.assign(predicted_error_code=None, duration_s=None)
    assert "preflight" not in words(errors(report_data(unchecked)))


def test_warnings_are_counted_where_there_are_scores(study: pd.DataFrame, tables: Tables) -> None:
    table = study.assign(warnings=pd.Series([["noisy", "far"]] * len(study), dtype="object"))
    scored = (study["outcome"] == "scored").sum()
    found = tables(errors(report_data(table)))[1]
    assert found.rows == (("noisy", str(scored)), ("far", str(scored)))
    failed = table.assign(outcome="failed", error_code="ERR_INTERNAL")
    assert len(tables(errors(report_data(failed)))) == 1


def test_scores_of_rows_that_were_changed_are_counted_with_what_to_do(
    study: pd.DataFrame, tables: Tables, words: Words
) -> None:
    scored = study.index[study["outcome"] == "scored"][:3]
    changed = study.copy()
    changed.loc[scored, "error_code"] = "METADATA_CHANGED"
    data = report_data(changed, by=["arm"], biomarkers=[])
    assert words(finding(data, [])).count("3 scored recordings are flagged") == 1
    table = tables(errors(data))[0]
    found = dict(
        zip(table.header, {row[0]: row for row in table.rows}["METADATA_CHANGED"], strict=True)
    )
    assert found["recordings"] == "3"
    assert "resend_changed=True" in found["what to do"]
    notes = [note for table in tables(recording_flow(data)) for note in table.notes]
    assert "flagged" not in " ".join([*notes, *cautions(data)]), "it is said once"


def test_the_codebook_lists_values_of_the_chosen_columns_only(
    study: pd.DataFrame, tables: Tables
) -> None:
    labels = {"arm": "Shift", "day_shift": "Days"}
    (table,) = tables(columns(report_data(study, by=["arm"], labels=labels)))
    values = {row[0]: row[table.header.index("values")] for row in table.rows}
    assert values["arm"] == "day_shift; night_shift"
    assert values["site"] == "\N{EN DASH}"
    assert list(values) == list(study.columns)


def test_the_codebook_marks_what_was_sent_as_a_tag(study: pd.DataFrame, tables: Tables) -> None:
    known = {"tags": ["visit", "gone"]}
    (table,) = tables(columns(report_data(study, by=["arm"], provenance=known)))
    origins = {row[0]: row[table.header.index("origin")] for row in table.rows}
    assert origins["visit"] == "yours, sent as a tag"
    assert origins["arm"] == "yours"
