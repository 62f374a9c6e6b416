"""Rows and columns that are not one recording each: declared, or refused with the declaration."""

import re
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from helios_research.cohort import Cohort, read_cohort
from helios_research.cohort.mapping import ColumnMapping
from helios_research.cohort.shape import level_names
from helios_research.errors import ColumnsError
from support import tables

REDCAP = {
    "columns": {
        "recording": "voice_file",
        "user_label": "record_id",
        "date_of_birth": "dob",
        "birth_sex": "sex",
    },
    "values": {"birth_sex": {"1": "MALE", "2": "FEMALE"}},
    "constants": {"language": "en-GB"},
}
WIDE = {
    "columns": {"user_label": "id", "date_of_birth": "dob", "birth_sex": "sex"},
    "constants": {"language": "en-GB"},
}
RECORDINGS = ["recording_t1", "recording_t2", "recording_t3"]


@pytest.fixture
def written(tmp_path: Path):
    """Write a table, and a file for each recording that it names."""

    def write(table: pd.DataFrame, name: str = "m.csv") -> Path:
        for cell in filter(lambda cell: str(cell).endswith(".wav"), table.to_numpy().ravel()):
            (tmp_path / cell).write_bytes(f"RIFF {cell}".encode())
        return tables.write(tmp_path / name, tables.rows_of(table))

    return write


def texts(cohort: Cohort) -> list[str]:
    rows = cohort.issues.rows
    return [
        f"{problem} {remedy}"
        for problem, remedy in zip(rows["problem"], rows["remedy"], strict=True)
    ]


# --- cells that are filled within participants ---------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_demographics_are_filled_from_the_participants_own_rows(written, ending):
    path = written(tables.redcap(), f"redcap.{ending}")
    cohort = read_cohort(path, fill_within="user_label", **REDCAP)
    assert cohort.row_numbers.tolist() == [3, 4, 6, 9, 10, 11]
    assert cohort.fields["user_label"].tolist() == ["1", "1", "2", "007", "007", "007"]
    assert cohort.fields["date_of_birth"].tolist() == [
        *["1986-03-14"] * 2, "1993-10-05", *["1971-02-28"] * 3,
    ]  # fmt: skip
    assert cohort.fields["birth_sex"].tolist() == ["FEMALE", "FEMALE", "MALE", *["FEMALE"] * 3]
    assert cohort.is_valid.all()
    assert cohort.frame["redcap_event_name"].tolist()[:2] == ["month_1_arm_1", "month_2_arm_1"]
    assert cohort.frame["arm"].isin(["", None, float("nan")]).all()
    assert texts(cohort) == [
        "4 of 10 rows have no recording and are left out: 2, 5, 7, 8. "
        "Check that no recording is missing there."
    ]
    assert cohort.declared["fill_within"] == "user_label"


@pytest.mark.parametrize("further", [["arm"], "arm"])
def test_other_columns_are_filled_where_they_are_named(written, further):
    path = written(tables.redcap())
    cohort = read_cohort(path, fill_within={"record_id": further}, tags="arm", **REDCAP)
    assert cohort.frame["arm"].tolist() == ["night", "night", "day", *["night"] * 3]
    assert cohort.tag_values["arm"].tolist() == cohort.frame["arm"].tolist()
    assert cohort.declared["fill_within"] == {"user_label": ["arm"]}


def test_what_differs_within_a_participant_is_not_filled(cohort_of, found):
    cohort = cohort_of(
        {"language": "en-GB"},
        {"language": "es", "birth_sex": "MALE"},
        {"language": "", "birth_sex": ""},
        fill_within="user_label",
    )
    assert cohort.fields["language"].isna().tolist() == [False, False, True]
    assert cohort.fields["birth_sex"].isna().tolist() == [False, False, True]
    assert [problem for *_, problem in found(cohort)] == [
        *["This participant has 2 birth sexes: FEMALE (row 1), MALE (row 2)."] * 2,
        *["The cell is blank."] * 2,
    ]


def test_two_spellings_of_one_sex_do_not_differ_and_a_declared_gap_is_blank(cohort_of):
    cohort = cohort_of(
        {"birth_sex": "F"},
        {"birth_sex": "female", "date_of_birth": "-99"},
        {"birth_sex": " ", "date_of_birth": None},
        values={"date_of_birth": {"-99": None}},
        fill_within="user_label",
    )
    assert cohort.fields["birth_sex"].tolist() == ["FEMALE"] * 3
    assert cohort.fields["date_of_birth"].tolist() == ["1985-03-14"] * 3


def test_what_is_not_filled_without_being_declared_says_the_line(written):
    cohort = read_cohort(written(tables.redcap()), **REDCAP)
    assert len(cohort) == 10
    remedies = set(cohort.issues.causes["remedy"])
    assert remedies == {
        'Fill in the recording, or declare fill_within="user_label", which leaves out rows without '
        "one, or let the participant record: study.invite.",
        *(
            f'Fill in the {words}, or declare fill_within="user_label", which takes it from the '
            "participant's other rows."
            for words in ("date of birth", "birth sex")
        ),
    }


def test_a_blank_cell_that_no_other_row_fills_is_only_to_be_filled_in(cohort_of):
    assert texts(cohort_of({"birth_sex": ""}, {"user_label": "P02"})) == [
        "The cell is blank. Fill in the birth sex."
    ]


def test_a_damaged_row_is_not_left_out(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "m.csv").write_text(
        "user_label,date_of_birth,birth_sex,language,recording\n"
        "P1,1986-03-14,F,en-GB,a.wav\n"
        "P1,1986-03-14,F,en-GB\n"
        "P1,1986-03-14,F,en-GB,\n"
    )
    cohort = read_cohort(tmp_path / "m.csv", fill_within="user_label")
    assert cohort.row_numbers.tolist() == [2, 3]
    assert "The row has 4 cells where the header has 5" in texts(cohort)[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"fill_within": "site"}, 'Write fill_within="user_label".'),
        ({"fill_within": {"user_label": ["amr"]}}, "fill_within= needs the columns amr. Check"),
        ({"wide": ["a", "b"]}, "wide= names ['a', 'b'], which the table does not have."),
        ({"wide": ["accent"]}, "wide= has to name two or more different columns"),
        ({"wide": ["accent", "accent"]}, "wide= has to name two or more different columns"),
        ({"wide": {"phq9": ["accent", "language"]}}, "wide= has to name the columns of 'recording'"),
        ({"wide": ["accent", "language"]}, "wide= makes columns that are there already, ['recording']: rename"),
    ],
)  # fmt: skip
def test_a_shape_that_does_not_fit_is_refused(cohort_of, arguments, sentence):
    with pytest.raises(ColumnsError, match=re.escape(sentence)):
        cohort_of({"accent": "x"}, **arguments)


# --- wide tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_each_recording_of_a_wide_table_becomes_a_row(written, ending):
    path = written(tables.wide(), f"wide.{ending}")
    phq9 = [f"phq9_t{visit}" for visit in (1, 2, 3)]
    cohort = read_cohort(path, wide={"recording": RECORDINGS, "phq9": phq9}, **WIDE)
    assert cohort.row_numbers.tolist() == [2, 2, 2, 3, 3, 4, 4, 4]
    assert cohort.frame["visit"].tolist() == ["t1", "t2", "t3", "t1", "t2", "t1", "t2", "t3"]
    assert cohort.frame["visit"].dtype.ordered
    assert cohort.frame["phq9"].tolist() == ["1", "2", "3", "2", "3", "3", "4", "5"]
    assert cohort.fields["recording_id"].is_unique
    assert [Path(path).name for path in cohort.fields["recording"]][3:5] == [
        "P2_t1.wav",
        "P2_t2.wav",
    ]
    assert cohort.is_valid.all()
    assert texts(cohort) == [
        "1 of 9 rows have no recording and are left out: 3 (t3). "
        "Check that no recording is missing there."
    ]
    assert cohort.declared == {"wide": {"recording": RECORDINGS, "phq9": phq9}}


def test_ids_of_wide_rows_and_what_was_declared_survive_a_save(written, tmp_path):
    table = tables.wide().assign(recording_id=["x", "y", "z"])
    cohort = read_cohort(written(table), wide=RECORDINGS, tags="visit", **WIDE)
    cohort.save(tmp_path / "cohort.parquet")
    loaded = Cohort.load(tmp_path / "cohort.parquet")
    assert loaded.fields["recording_id"].tolist()[:4] == ["x_t1", "x_t2", "x_t3", "y_t1"]
    assert loaded.declared == {"wide": RECORDINGS}
    assert loaded.tag_values["visit"].tolist()[:3] == ["t1", "t2", "t3"]
    assert list(loaded.frame["visit"].cat.categories) == ["t1", "t2", "t3"]


@pytest.mark.parametrize(
    ("table", "arguments"),
    [
        (tables.wide(), {**WIDE, "wide": RECORDINGS}),
        (tables.redcap(), {**REDCAP, "fill_within": {"user_label": ["arm"]}}),
    ],
)
def test_the_lines_that_make_the_same_cohort_have_the_shape(written, tmp_path, table, arguments):
    written(table)
    mapping = ColumnMapping.of(**arguments, root=tmp_path)
    known = {"df": table}
    exec(mapping.code("df"), known)  # noqa: S102
    expected = Cohort.from_frame(table, root=tmp_path, **arguments)
    pd.testing.assert_frame_equal(known["cohort"].fields, expected.fields)
    assert known["cohort"].declared == expected.declared


@pytest.mark.parametrize(
    ("names", "levels"),
    [
        (RECORDINGS, ["t1", "t2", "t3"]),
        (["pre_audio", "post_audio"], ["pre", "post"]),
        (["audio1", "audio10"], ["1", "10"]),
        (["voice (visit 1) file", "voice (visit 2) file"], ["1", "2"]),
        (["first", "second"], ["first", "second"]),
        (["a_b", "a_b_b"], ["a_b", "a_b_b"]),
    ],
)
def test_a_level_is_what_differs_between_the_names(names, levels):
    assert level_names(names) == levels


def test_a_wide_table_is_refused_with_the_line_that_reads_it(written):
    path = written(
        tables.wide().rename(columns={f"phq9_t{n}": f"recorded_at_t{n}" for n in (1, 2, 3)})
    )
    times = [f"recorded_at_t{visit}" for visit in (1, 2, 3)]
    with pytest.raises(ColumnsError) as caught:
        read_cohort(path)
    both = f'"recording": {RECORDINGS}, "recording_time": {times}'.replace("'", '"')
    assert f"declare wide={{{both}}}, columns={{" in str(caught.value)


def test_a_list_of_recordings_is_answered_with_the_line(written):
    path = written(tables.wide())
    with pytest.raises(ColumnsError) as caught:
        read_cohort(path, columns={"recording": RECORDINGS})
    assert str(caught.value).endswith(
        'declare wide=["recording_t1", "recording_t2", "recording_t3"] in place of it.'
    )


def test_one_of_several_recordings_is_read_with_a_warning(written):
    columns = {**WIDE["columns"], "recording": "recording_t1"}
    cohort = read_cohort(written(tables.wide()), **{**WIDE, "columns": columns})
    assert len(cohort) == 3
    assert texts(cohort) == [
        "Each row seems to have other recordings, which are not sent: recording_t2, recording_t3. "
        'If they are, declare wide=["recording_t1", "recording_t2", "recording_t3"] in place of the '
        "column."
    ]


# --- rows that are none --------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_the_rows_that_qualtrics_adds_are_no_data(tmp_path, ending):
    rows = tables.qualtrics()
    for cells in rows[3:]:
        (tmp_path / cells[-1]).write_bytes(cells[-1].encode())
    cohort = read_cohort(
        tables.write(tmp_path / f"q.{ending}", rows),
        columns={
            "recording": "Q7", "user_label": "participant", "date_of_birth": "Q2", "birth_sex": "Q3",
            "language": "UserLanguage", "recording_id": "ResponseId",
        },
        values={"birth_sex": {1: "MALE", 2: "FEMALE"}, "language": {"EN-GB": "en-GB"}},
    )  # fmt: skip
    assert cohort.row_numbers.tolist() == [4, 5, 6]
    assert cohort.fields["date_of_birth"].tolist() == ["1986-03-14", "1993-10-05", "1971-02-28"]
    assert cohort.is_valid.all()
    assert texts(cohort) == [
        "Below the names are questions and import ids of Qualtrics, which are left out: rows 2 and 3. "
        "Check that nothing else is in it."
    ]


def test_cells_that_hold_arrays_are_no_import_ids(cohort_of):
    assert cohort_of({"embedding": np.array([1.0, 2.0])}).is_valid.all()


@pytest.mark.parametrize("field", ["user_label", "date_of_birth"])
def test_blank_cells_of_merged_ones_are_said_to_be_so(tmp_path, table_of, folder, field):
    book = openpyxl.Workbook()
    table = table_of({}, {}, {"user_label": "P02"})
    for cells in tables.rows_of(table):
        book.active.append(cells)
    column = list(table).index(field) + 1
    book.active.merge_cells(start_row=2, end_row=3, start_column=column, end_column=column)
    book.save(folder / "m.xlsx")
    (issue,) = read_cohort(folder / "m.xlsx").issues.rows.itertuples()
    assert (issue.row, issue.column, issue.problem) == (3, field, "The cell is blank.")
    remedy = {
        "user_label": "Fill in the user label, in each row that was merged with others too.",
        "date_of_birth": 'Fill in the date of birth, or declare fill_within="user_label", which takes '
        "it from the participant's other rows.",
    }
    assert issue.remedy == remedy[field]


def stray(cohort: Cohort) -> list[tuple[int, str]]:
    rows = cohort.issues.rows
    return list(zip(rows["row"], rows["problem"], strict=True))


def test_a_total_and_a_note_below_the_table_are_one_issue_each(cohort_of):
    blank = dict.fromkeys(["recording", "user_label", "date_of_birth", "birth_sex", "language"], "")
    cohort = cohort_of(
        {}, {"user_label": "P02"}, {**blank, "phq9": "36"}, {**blank, "recording": "* P02 left"}
    )
    sentence = (
        "The row has at most one of the cells that a recording needs, as a total or a note has."
    )
    assert stray(cohort) == [(3, sentence), (4, sentence)]
    assert cohort.is_valid.tolist() == [True, True, False, False]


def test_a_second_row_of_names_is_one_issue(cohort_of):
    cohort = cohort_of(
        {
            "recording": "Voice file", "user_label": "Participant", "birth_sex": "Sex at birth",
            "date_of_birth": "Date of birth", "language": "Language",
        },
        {},
    )  # fmt: skip
    assert stray(cohort) == [(1, "The row looks like a second row of names.")]


@pytest.mark.parametrize("ending", ["xlsx", "csv", ", csv", "; csv"])
def test_names_below_a_title_are_found(tmp_path, table_of, ending):
    delimiter, _, ending = ending.rpartition(" ")
    path = tmp_path / f"m.{ending}"
    title, rows = [["Night shift study", *[""] * 4]], tables.rows_of(table_of({}, {}))
    if delimiter:
        path.write_text("\n".join(["Night shift study", *map(delimiter.join, rows)]))
    else:
        tables.write(path, title + rows)
    with pytest.raises(ColumnsError) as caught:
        read_cohort(path)
    assert "has the names of its columns in row 2. Remove the rows above it." in str(caught.value)
