"""Comparisons beside their figures, and change over visits."""

from collections.abc import Callable, Sequence

import pandas as pd
import pytest

from helios_research.analysis import compare_by_tag
from helios_research.report.blocks import Block, Pictures, Table, Text
from helios_research.report.data import report_data
from helios_research.report.scores import cautions, over_time, scores

Tables = Callable[[Sequence[Block]], list[Table]]
Words = Callable[..., str]

# What is to be in one line has no space at which it could be broken.
SPACE = "\N{NO-BREAK SPACE}"


def test_a_comparison_has_the_effect_by_name_and_the_role_of_each_test(
    study: pd.DataFrame, tables: Tables
) -> None:
    (table,) = tables(scores(report_data(study, by=["arm"], reference="day_shift", biomarkers=[])))
    assert table.caption == "By arm: night_shift compared with day_shift"
    rows = {
        row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows if row[0].strip()
    }
    assert rows["Mental strain"]["effect"] == f"Hedges'{SPACE}g"
    assert rows["Distress"]["effect"] == f"P(higher){SPACE}\N{MINUS SIGN}{SPACE}P(lower)"
    assert [rows[name]["role"] for name in ("Mental strain", "Distress", "Distress (uniform)")] == [
        "primary",
        "family",
        "outside",
    ]
    assert rows["Distress (uniform)"]["p (Holm)"] == "\N{EN DASH}"
    assert (
        "p (Holm) is corrected within each role: 5 family tests and 1 primary test." in table.notes
    )


def test_the_primary_outcome_is_also_compared_without_warned_scores(
    study: pd.DataFrame, tables: Tables
) -> None:
    """And with them, where the report leaves them out."""
    table = study.copy()
    at = set(range(0, len(study), 3))
    table["warnings"] = pd.Series(
        [["noisy"] if n in at else [] for n in range(len(study))], dtype="object"
    )
    for warned, other, role in (
        ("keep", "drop", "without warned"),
        ("drop", "keep", "with warned"),
    ):
        (shown,) = tables(scores(report_data(table, by="arm", warned=warned, biomarkers=[])))
        row = dict(zip(shown.header, shown.rows[1], strict=True))
        assert (row["biomarker"], row["role"], row["p (Holm)"]) == (" ", role, "\N{EN DASH}")
        found = compare_by_tag(table, "arm", biomarkers="mental_strain", warned=other).iloc[0]
        assert row["difference (95 % interval)"].startswith(
            f"{found['difference']:.3f}".replace("-", "\N{MINUS SIGN}")
        )


def test_a_comparison_with_a_few_participants_is_hidden_on_demand(
    study: pd.DataFrame, tables: Tables
) -> None:
    table = study.copy()
    few = table["user_label"].isin(
        table.loc[table["arm"] == "day_shift", "user_label"].unique()[3:]
    )
    table.loc[few & (table["arm"] == "day_shift"), "outcome"] = "failed"
    shown, hidden = (
        tables(scores(report_data(table, by=["arm"], biomarkers=[], hide_small_cells=hide)))[0]
        for hide in (False, True)
    )
    assert shown.rows[0][2] != "hidden"
    assert {row[2] for row in hidden.rows} == {"hidden"}


def test_columns_with_many_levels_have_the_declared_primary_outcome_only(
    study: pd.DataFrame, tables: Tables
) -> None:
    people = study["user_label"].factorize()[0]
    table = study.assign(room=[f"room {n % 7}" for n in people])
    data = report_data(table, by="room", primary="uniform_distress", biomarkers=[])
    (shown,) = tables(scores(data))
    assert {row[0] for row in shown.rows} == {"Distress (uniform)", " "}
    assert "Only the primary outcome (distress (uniform)), because room has more than 6" in str(
        shown.notes
    )


def test_the_figure_that_opens_the_report_is_not_drawn_again(study: pd.DataFrame) -> None:
    data = report_data(study, by=["arm"], biomarkers=["mental_strain", "distress"])
    section = scores(data)
    assert Text("The primary outcome: see Figure 1.") in section
    (figure,) = [block for block in section if isinstance(block, Pictures)]
    assert [picture.alt.partition(".")[0] for picture in figure.items] == ["Distress by arm"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "Scores by visit."),
        ({"visit": "1"}, "Scores by recording_time."),
        ({"visit": "1", "recording_time": None}, "no recording_time, to put recordings in order"),
        ({"outcome": "failed"}, "No participant has two or more scored recordings."),
    ],
)
def test_time_is_a_visit_or_else_the_clock(
    study: pd.DataFrame, words: Words, change: dict[str, object], said: str
) -> None:
    table = study.assign(**change)
    section = over_time(
        report_data(table, by=["arm", "visit"], biomarkers=["mental_strain", "stress"])
    )
    captions = [block.caption for block in section if isinstance(block, Pictures)]
    assert said in words(section) + " ".join(captions)
    assert bool(captions) == said.startswith("Scores by")


def test_over_time_has_who_is_still_in_and_how_the_arms_change(
    study: pd.DataFrame, tables: Tables
) -> None:
    section = over_time(
        report_data(study, by=["arm", "visit"], reference="day_shift", biomarkers=[])
    )
    still_in, change = tables(section)
    assert still_in.header[0] == "visit"
    assert [row[0] for row in still_in.rows] == ["1", "2", "3", "4", "5"]
    assert change.caption == "Change over visit: night_shift compared with day_shift"
    primary, trend = change.rows[:5], f"trend{SPACE}per{SPACE}visit"
    assert [row[1] for row in primary][-1] == trend
    assert {row[1] for row in change.rows[5:]} == {trend}
    assert len(change.rows) == 5 + 5
    assert change.notes[-1].endswith(": 25 family tests and 5 primary tests."), "shown or not"


def test_a_report_without_figures_does_not_say_that_there_are_no_scores(
    study: pd.DataFrame, words: Words
) -> None:
    data = report_data(study, by=["arm"], biomarkers=[])
    assert "This report was made without figures of scores." in words(scores(data))


def test_a_caution_refers_to_what_is_in_the_report(study: pd.DataFrame) -> None:
    table = study.copy()
    people = table["user_label"].unique()
    table["room"] = table["user_label"].map(
        {who: "c" if n == 0 else "ab"[n % 2] for n, who in enumerate(people)}
    )
    assert cautions(report_data(table, by=["room"])) == [
        "room: some levels could not be compared; the notes of its table give the reasons."
    ]
