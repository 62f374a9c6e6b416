"""What the sections of a report say, count and leave out."""

from collections.abc import Sequence

import pandas as pd
import pytest

from helios_research.codes import explain
from helios_research.report.blocks import Block, Bullets, Facts, Pictures, Table, Text
from helios_research.report.data import report_data
from helios_research.report.overview import at_a_glance, columns, errors, methods
from helios_research.report.participants import missing, participants, recording_flow
from helios_research.report.scores import comparisons, over_time, scores


def only_table(section: Sequence[Block]) -> Table:
    return next(block for block in section if isinstance(block, Table))


def words(section: Sequence[Block]) -> str:
    said = [block.text for block in section if isinstance(block, Text)]
    listed = [item for b in section if isinstance(b, Bullets) for item in b.items]
    return " ".join([*said, *listed])


def test_the_first_page_counts_outcomes_and_repeats_every_caution(study: pd.DataFrame) -> None:
    section = at_a_glance(report_data(study, tags=["arm"]), ["Beware of the dog."])
    rows = {row[0]: row[1] for row in only_table(section).rows}
    counts = study["outcome"].astype("str").value_counts()
    assert rows == {name: str(number) for name, number in counts.items() if number}
    assert "Beware of the dog." in words(section)
    assert "were created on 2026-10-12" in words(section)


def test_each_error_comes_with_what_to_do(study: pd.DataFrame) -> None:
    table = only_table(errors(report_data(study)))
    found = {row[0]: row for row in table.rows}
    assert set(found) == set(study["error_code"].dropna())
    for code, row in found.items():
        assert row[4] == explain(code).remedy
        assert int(row[1]) == (study["error_code"] == code).sum()


def test_scores_of_rows_that_were_changed_are_counted_with_what_to_do(study: pd.DataFrame) -> None:
    scored = study.index[study["outcome"] == "scored"][:3]
    changed = study.copy()
    changed.loc[scored, "error_code"] = "METADATA_CHANGED"
    data = report_data(changed, tags=["arm"])
    assert "3 scored recordings are flagged (3 METADATA_CHANGED)" in words(at_a_glance(data, []))
    table = only_table(errors(data))
    found = dict(
        zip(table.header, {row[0]: row for row in table.rows}["METADATA_CHANGED"], strict=True)
    )
    assert (found["recordings"], found["of them scored"]) == ("3", "3")
    assert "resend_changed=True" in found["what to do"]
    assert any(
        "3 scored recordings are flagged" in note for note in only_table(recording_flow(data)).notes
    )
    section, cautions = comparisons(data)
    assert "flagged" not in " ".join([words(section), *cautions]), "it is said once, for all tags"


def test_table_one_is_by_the_tag_that_divides_participants(study: pd.DataFrame) -> None:
    table = only_table(participants(report_data(study, tags=["visit", "arm"])))
    assert table.caption == "Participants by arm"
    assert table.header[2:] == ("night_shift", "day_shift", "all participants", "SMD")
    alone = only_table(participants(report_data(study)))
    assert alone.header == ("characteristic", "level", "all participants", "SMD")


def test_the_flow_adds_up(study: pd.DataFrame) -> None:
    table = only_table(recording_flow(report_data(study)))
    kept = {row[0]: int(row[2]) for row in table.rows if not row[0].startswith("lost")}
    lost = sum(int(row[2]) for row in table.rows if row[0].startswith("lost"))
    assert kept["listed"] == len(study)
    assert kept["listed"] - lost == kept["without warning"]


def test_unequal_failures_are_a_warning_in_plain_words(study: pd.DataFrame) -> None:
    table = study.copy()
    here = table["arm"] == "night_shift"
    table["outcome"] = table["outcome"].astype("str").mask(here, "failed")
    section, warnings = missing(report_data(table, tags=["arm"], biomarkers=["mental_strain"]))
    assert warnings[0].startswith("Recordings failed more often in arm night_shift, where")
    assert warnings[0] in words(section)


def test_where_nothing_can_be_tested_no_equality_is_claimed(study: pd.DataFrame) -> None:
    section, warnings = missing(report_data(study.iloc[:1], tags=["arm"]))
    assert warnings == []
    assert "No test: too few participants" in words(section)
    assert "No difference" not in words(section)
    assert "Every row of the manifest (1) is accounted for; 1 scored recording entered" in words(
        methods(report_data(study[study["outcome"] == "scored"].iloc[:1]))
    )


def test_comparisons_say_what_was_done_in_each_row(study: pd.DataFrame) -> None:
    section, _ = comparisons(report_data(study, tags=["arm"]))
    table = only_table(section)
    assert len(table.rows) == 11
    keys = {row[-1] for row in table.rows}
    bullets = next(block for block in section if isinstance(block, Bullets))
    assert {item.partition(":")[0] for item in bullets.items} == keys
    assert any("Linear mixed model" in item for item in bullets.items)
    assert any("rank test" in item for item in bullets.items)


def test_a_comparison_with_a_few_participants_is_hidden_on_demand(study: pd.DataFrame) -> None:
    table = study.copy()
    few = table["user_label"].isin(
        table.loc[table["arm"] == "day_shift", "user_label"].unique()[3:]
    )
    table.loc[few & (table["arm"] == "day_shift"), "outcome"] = "failed"
    shown, hidden = (
        only_table(comparisons(report_data(table, tags=["arm"], hide_small_cells=hide))[0])
        for hide in (False, True)
    )
    assert shown.rows[0][2] != "hidden"
    assert {row[2] for row in hidden.rows} == {"hidden"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "They are shown by visit."),
        ({"visit": "1"}, "They are shown by recording_time."),
        ({"visit": "1", "recording_time": None}, "no recording_time, to put recordings in order"),
        ({"outcome": "failed"}, "No participant has scores of more than one recording."),
    ],
)
def test_time_is_a_visit_or_else_the_clock(
    study: pd.DataFrame, change: dict[str, object], said: str
) -> None:
    table = study.assign(**change)
    data = report_data(table, tags=["arm", "visit"], biomarkers=["mental_strain"])
    section = over_time(data)
    assert said in words(section)
    has_picture = any(isinstance(block, Pictures) for block in section)
    assert has_picture == said.startswith("They")


def test_a_report_without_figures_does_not_say_that_there_are_no_scores(
    study: pd.DataFrame,
) -> None:
    data = report_data(study, tags=["arm"], biomarkers=[])
    for section in (scores(data), over_time(data)):
        assert words(section) == "This report was made without figures of scores."


def test_a_tag_that_does_not_run_with_time_is_no_visit(study: pd.DataFrame) -> None:
    prompts = ["read", "free", "count"] * len(study)
    table = study.assign(prompt=prompts[: len(study)])
    assert report_data(table, tags=["prompt", "visit"]).repeating_tag == "visit"


def test_the_methods_name_versions_settings_and_what_was_sent(study: pd.DataFrame) -> None:
    known = {"base_url": "https://x.example", "study": "night-shift", "tags": ["arm", "visit"]}
    said = words(methods(report_data(study, tags=["arm"], provenance=known)))
    for piece in (
        "https://x.example",
        "pandas 3",
        "statsmodels 0",
        "not imputed",
        "the tags arm and visit",
    ):
        assert piece in said
    assert "sandbox of helios_research, whose scores are synthetic" in said
    assert "thymia's Helios at" in words(
        methods(report_data(study.assign(source="thymia"), provenance=known))
    )


def test_the_methods_claim_no_more_than_was_done(study: pd.DataFrame) -> None:
    """Nothing was sent, nothing has scores, or other tags were sent than are shown."""
    none = study.head(0)
    assert words(methods(report_data(none, tags=["arm"]))).startswith(
        "No recording has been sent to Helios yet."
    )
    failed = study[study["outcome"] == "failed"].reset_index(drop=True)
    said = words(methods(report_data(failed, tags=["arm"], provenance={"tags": ["visit"]})))
    assert said.startswith("Recordings were sent to the sandbox")
    assert "and the tag visit." in said
    assert "the tag" not in words(methods(report_data(study, tags=["arm"])))


def test_the_first_page_counts_withdrawals_and_counts_one_in_the_singular(
    study: pd.DataFrame,
) -> None:
    first = study[study["outcome"] == "scored"].head(1).reset_index(drop=True)
    section = at_a_glance(report_data(first, provenance={"withdrawn": 2}), [])
    facts = next(block for block in section if isinstance(block, Facts))
    assert facts.items[:3] == (("1", "recording"), ("1", "participant"), ("1", "recording scored"))
    assert "Not counted: 2 participants who withdrew." in words(section)


def test_warnings_are_counted_where_there_are_scores(study: pd.DataFrame) -> None:
    failed = study.assign(outcome="failed", error_code="ERR_INTERNAL")
    assert "Helios gave warnings" in words(at_a_glance(report_data(study), []))
    assert "Helios gave warnings" not in words(at_a_glance(report_data(failed), []))


def test_failed_recordings_are_defined_where_they_are_counted(study: pd.DataFrame) -> None:
    section, _ = missing(report_data(study, tags=["arm"]))
    assert "“Recording failed” counts those that Helios or the preflight could not use" in words(
        section
    )


def test_a_caution_refers_to_what_stands_in_the_report(study: pd.DataFrame) -> None:
    one = study[study["user_label"] == study["user_label"].iloc[0]].reset_index(drop=True)
    _, cautions = comparisons(report_data(one, tags=["visit"]))
    assert cautions == [
        "visit: Some levels could not be compared: see Comparisons for the reasons."
    ]


def test_the_codebook_lists_values_of_tags_only(study: pd.DataFrame) -> None:
    table = only_table(columns(report_data(study, tags=["arm"])))
    values = {row[0]: row[table.header.index("values")] for row in table.rows}
    assert values["arm"] == "day_shift; night_shift"
    assert values["site"] == "\N{EN DASH}"
    assert list(values) == list(study.columns)


def test_the_codebook_marks_what_was_sent_as_a_tag(study: pd.DataFrame) -> None:
    known = {"tags": ["visit", "gone"]}
    table = only_table(columns(report_data(study, tags=["arm"], provenance=known)))
    origins = {row[0]: row[table.header.index("origin")] for row in table.rows}
    assert origins["visit"] == "yours, sent as a tag"
    assert origins["arm"] == "yours"
