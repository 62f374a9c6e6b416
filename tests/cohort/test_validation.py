"""The rules for fields, rows and participants."""

import ast

import pandas as pd
import pytest

from helios_research.cohort import Cohort


def test_a_good_table_has_no_issues_and_all_rows_valid(cohort_of):
    cohort = cohort_of({}, {"birth_sex": "f"}, {"user_label": "P02"})
    assert cohort.issues.rows.empty
    assert cohort.is_valid.all()


@pytest.mark.parametrize(
    "field", ["recording", "user_label", "date_of_birth", "birth_sex", "language"]
)
@pytest.mark.parametrize("blank", [None, "", "  ", float("nan"), pd.NA])
def test_a_blank_cell_of_a_needed_field_is_an_error(cohort_of, field, blank):
    cohort = cohort_of({}, {field: blank})
    assert cohort.fields[field].isna().tolist() == [False, True]
    assert cohort.issues.rows[["row", "severity", "column", "problem"]].to_numpy().tolist() == [
        [2, "error", field, "The cell is blank."]
    ]
    assert cohort.rejections()["error_code"].tolist() == [f"INVALID_{field.upper()}"]


@pytest.mark.parametrize("field", ["accent", "recording_time", "sleep_time", "wake_time"])
def test_a_blank_cell_of_another_field_is_fine(cohort_of, field):
    assert cohort_of({field: " "}, {field: None}).issues.rows.empty


def test_a_problem_names_the_column_as_the_table_does(table_of, folder):
    from helios_research.cohort import Cohort

    table = table_of({"birth_sex": "woman"}).rename(columns={"birth_sex": "Geschlecht"})
    cohort = Cohort.from_frame(table, columns={"birth_sex": "Geschlecht"}, root=folder)
    assert cohort.issues.rows["column"].tolist() == ["Geschlecht"]
    assert cohort.issues.rows["value"].tolist() == ["woman"]
    assert cohort.rejections()["error_code"].tolist() == ["INVALID_BIRTH_SEX"]


def test_all_problems_of_a_row_are_listed_and_all_rows(cohort_of, found):
    cohort = cohort_of(
        {"date_of_birth": "14/03/1985", "birth_sex": "1", "user_label": "x" * 51},
        {"user_label": "P02"},
        {"user_label": "P03", "language": "en_GB", "recording": "z.wav"},
    )
    assert [(row, column) for row, _, column, _ in found(cohort)] == [
        (1, "user_label"),
        (1, "date_of_birth"),
        (1, "birth_sex"),
        (3, "language"),
        (3, "recording"),
    ]
    assert cohort.is_valid.tolist() == [False, True, False]


def test_spaces_around_cells_are_left_out_and_pointed_out_for_keys_only(cohort_of, found):
    cohort = cohort_of(
        {"user_label": " P01", "language": "en-GB ", "recording_id": "r1\u00a0", "birth_sex": " f"}
    )
    assert cohort.fields.loc[
        0, ["user_label", "language", "recording_id", "birth_sex"]
    ].tolist() == ["P01", "en-GB", "r1", "FEMALE"]
    assert found(cohort) == [
        (1, "warning", "recording_id", "There are spaces around the value; they are removed."),
        (1, "warning", "user_label", "There are spaces around the value; they are removed."),
    ]
    assert cohort.frame["user_label"].tolist() == [" P01"]


def test_times_are_written_with_a_t(cohort_of):
    cohort = cohort_of({"recording_time": "2026-01-05 07:45"}, {"recording_time": "5 1 2026"})
    assert cohort.fields["recording_time"].tolist() == ["2026-01-05T07:45", "5 1 2026"]


NIGHT = {
    "sleep_time": "2026-01-04T23:00:00",
    "wake_time": "2026-01-05T07:00",
    "recording_time": "2026-01-05T07:00:00",
}


def test_a_night_in_order_is_fine_also_when_waking_and_recording_coincide(cohort_of):
    assert cohort_of(NIGHT).issues.rows.empty


@pytest.mark.parametrize(
    ("change", "column", "problem"),
    [
        ({"wake_time": "2026-01-04T22:00"}, "wake_time", "This is before sleep_time."),
        (
            {"recording_time": "2026-01-05T06:59:59.5"},
            "recording_time",
            "This is before wake_time.",
        ),
        (
            {"wake_time": None, "recording_time": "2026-01-04T22:59"},
            "recording_time",
            "This is before sleep_time.",
        ),
        ({"date_of_birth": "2026-01-06"}, "recording_time", "This is before date_of_birth."),
    ],
)
def test_times_out_of_order_are_an_error(cohort_of, found, change, column, problem):
    errors = [issue for issue in found(cohort_of({**NIGHT, **change})) if issue[1] == "error"]
    assert errors == [(1, "error", column, problem)]


def test_a_time_that_is_wrong_in_itself_is_not_blamed_for_the_order_too(cohort_of, found):
    cohort = cohort_of({**NIGHT, "wake_time": "2026-01-04T22:00Z"})
    assert [problem for *_, problem in found(cohort)] == ["The time has a zone."]


def test_real_dates_and_times_of_a_dataframe_are_written_in_iso(cohort_of):
    cohort = cohort_of(
        {
            "date_of_birth": pd.Timestamp("1985-03-14"),
            "recording_time": pd.Timestamp("2026-01-05"),
        }
    )
    assert cohort.fields.loc[0, "date_of_birth"] == "1985-03-14"
    assert cohort.fields.loc[0, "recording_time"] == "2026-01-05T00:00:00"
    assert cohort.issues.rows.empty


@pytest.mark.parametrize("kind", ["text", "moments"])
def test_moments_with_a_zone_are_one_error_with_the_line_that_converts_them(table_of, folder, kind):
    df = table_of({}, {"user_label": "P02"}).rename(columns={"recording_time": "at"})
    df["at"] = pd.to_datetime(["2026-01-05T07:45Z", "2026-07-05T07:45Z"])
    if kind == "text":
        df["at"] = df["at"].map(str)
    mapping = {"columns": {"recording_time": "at"}, "root": folder}
    causes = Cohort.from_frame(df, **mapping).issues.causes
    assert causes[["rows", "problem"]].to_numpy().tolist() == [[2, "The time has a zone."]]
    said, _, line = causes["remedy"][0].partition(": df")
    assert said == (
        "Write the speaker's own local time without a zone, as in 2026-03-31T07:45:00, or convert a "
        "DataFrame with the speaker's zone"
    )
    exec(f"df{line}", {"df": df, "pd": pd})  # noqa: S102  # it is what a user pastes
    cohort = Cohort.from_frame(df, **mapping)
    assert cohort.issues.rows.empty
    # In London it is winter and then summer.
    assert cohort.fields["recording_time"].tolist() == [
        "2026-01-05T07:45:00",
        "2026-07-05T08:45:00",
    ]


def test_tags_are_text_and_blank_ones_are_not_sent(cohort_of):
    cohort = cohort_of(
        {"visit": 1.0, "arm": True, "day": pd.Timestamp("2026-01-05")},
        {"visit": None, "arm": " ", "day": None, "user_label": "P02"},
        tags=["visit", "arm", "day"],
    )
    assert cohort.tag_values.iloc[0].tolist() == ["1", "True", "2026-01-05"]
    assert cohort.tag_values.iloc[1].isna().all()
    assert cohort.tags == ("visit", "arm", "day")


def test_personal_data_in_labels_and_tags_is_a_warning_but_not_elsewhere(cohort_of, found):
    cohort = cohort_of({"user_label": "a@b.org", "by": "c@d.org", "note": "e@f.org"}, tags=["by"])
    problem = "This looks like an e-mail address, and it would be sent."
    assert found(cohort) == [
        (1, "warning", "user_label", problem),
        (1, "warning", "by", problem),
    ]
    assert cohort.is_valid.all()


@pytest.mark.parametrize("label", ["JD19850314", "x14031985", "850314-A", "03141985"])
def test_a_label_that_contains_the_date_of_birth_is_a_warning(cohort_of, found, label):
    assert (
        1,
        "warning",
        "user_label",
        "The label contains the date of birth, and it would be sent.",
    ) in found(cohort_of({"user_label": label}))


def test_characters_that_are_not_text_are_an_error_in_fields_and_tags(cohort_of, found):
    cohort = cohort_of({"user_label": "P\0", "arm": "\ud800"}, tags=["arm"])
    assert [column for _, _, column, _ in found(cohort)] == ["user_label", "arm"]
    assert cohort.rejections()["error_code"].tolist() == ["INVALID_USER_LABEL"]


def test_a_column_that_looks_like_a_field_is_pointed_out_at_the_header(cohort_of):
    issue = cohort_of({"Recording Time": "x", "note": "y"}).issues.rows.iloc[0]
    assert (issue["row"], issue["severity"]) == (0, "warning")
    assert issue["problem"] == "The column looks like recording_time, but it is not sent."
    assert issue["remedy"] == (
        "If it is meant, rename it to recording_time or use "
        'columns={"recording_time": "Recording Time"}.'
    )


def test_only_one_look_is_taken_at_a_file_that_many_rows_name(cohort_of, monkeypatch):
    from helios_research.cohort import validation

    looked = []
    real = validation.look
    monkeypatch.setattr(validation, "look", lambda *place: looked.append(place) or real(*place))
    cohort_of({}, {"recording": "a.wav"}, {"recording": "a.wav"})
    assert len(looked) == 1


def test_a_huge_cell_is_shortened_in_the_issues_only(cohort_of):
    cohort = cohort_of({"user_label": "x" * 1_000_000})
    assert len(cohort.issues.rows["value"][0]) == 200
    assert len(cohort.fields["user_label"][0]) == 1_000_000
    assert len(cohort.rejections()["error_reason"][0]) < 500


def test_a_constant_that_is_wrong_is_wrong_in_every_row(table_of, folder):
    from helios_research.cohort import Cohort

    table = table_of({}, {}).drop(columns="language")
    cohort = Cohort.from_frame(table, constants={"language": "en_GB"}, root=folder)
    assert cohort.issues.rows["column"].tolist() == ["language", "language"]


@pytest.mark.parametrize(
    ("field", "cell", "right"),
    [
        ("date_of_birth", "1985-03-14\u200b", "1985-03-14"),
        ("date_of_birth", "1985\u201303\u201314", "1985-03-14"),
        ("birth_sex", "\ufeffFEMALE", "FEMALE"),
        ("language", "en\u2011GB", "en-GB"),
        ("recording_time", "2026-01-05\u00a007:45", "2026-01-05 07:45"),
    ],
)
def test_a_value_that_is_wrong_only_in_what_cannot_be_seen_is_declared_by_the_line(
    cohort_of, field, cell, right
):
    (remedy,) = cohort_of({field: cell}).issues.rows["remedy"]
    assert cohort_of({field: cell}).issues.rows["problem"][0] == (
        "It has unusual spaces or dashes, invisible characters or accents stored apart from their "
        f"letters, so that it is not {right!r}."
    )
    said, _, line = remedy.partition(" declare ")
    assert said == "Type it again, or"
    values = ast.literal_eval(line.removeprefix("values=").removesuffix("."))
    again = cohort_of({field: cell}, values=values)
    assert again.issues.rows.empty
    assert again.is_valid.all()


def test_an_error_cell_is_one_issue_whatever_the_field(cohort_of, found):
    cohort = cohort_of(
        {"recording": "#REF!"}, {"date_of_birth": "#N/A"}, {"arm": "#NV"}, tags=["arm"]
    )
    problem = "The cell holds an error of a spreadsheet, not a value."
    columns = ["recording", "date_of_birth", "arm"]
    assert found(cohort) == [(n, "error", name, problem) for n, name in enumerate(columns, 1)]
