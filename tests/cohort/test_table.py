"""The cohort as a researcher uses it, and its summary."""

import pandas as pd
import pytest

from helios_research import codes
from helios_research import columns as vocabulary
from helios_research.cohort import Cohort, duplicate_audio_issues, read_cohort
from helios_research.errors import CohortError


@pytest.fixture
def manifest(folder, table_of):
    table = table_of({"arm": "NA"}, {"user_label": "007", "birth_sex": "woman", "arm": "1e5"})
    path = folder / "manifest.csv"
    table.to_csv(path, index=False)
    return path


def test_a_manifest_is_read_and_its_recordings_are_found_beside_it(manifest, folder):
    cohort = read_cohort(manifest, tags=["arm"])
    assert cohort.fields["recording"].tolist() == [str(folder / "a.wav"), str(folder / "b.wav")]
    assert cohort.fields["user_label"].tolist() == ["P01", "007"]
    assert cohort.tag_values["arm"].tolist() == ["NA", "1e5"]
    assert cohort.row_numbers.tolist() == [2, 3]
    assert cohort.issues.rows["row"].tolist() == [3]


def test_the_tables_have_the_columns_of_the_vocabulary(manifest):
    cohort = read_cohort(manifest)
    assert tuple(cohort.fields.columns) == vocabulary.STANDARD_FIELDS
    assert (cohort.fields.dtypes == "str").all()
    assert cohort.issues.rows.columns.tolist() == [column.name for column in vocabulary.ISSUES]
    assert cohort.issues.rows["row"].dtype == "int64"
    assert isinstance(cohort.issues.rows["severity"].dtype, pd.CategoricalDtype)


def test_recordings_may_lie_elsewhere(manifest, tmp_path):
    cohort = read_cohort(manifest, root="s3://bucket/night-shift")
    assert cohort.fields["recording"][0] == "s3://bucket/night-shift/a.wav"
    assert (
        "There is no file" in read_cohort(manifest, root=tmp_path / "x").issues.rows["problem"][0]
    )


def test_a_dataframe_is_read_as_a_file_is(folder, table_of):
    table = table_of({}, {"user_label": "P02"})
    cohort = read_cohort(table, root=folder)
    pd.testing.assert_frame_equal(cohort.fields, Cohort.from_frame(table, root=folder).fields)
    with pytest.raises(CohortError, match="sheet= cannot be used here"):
        read_cohort(table, sheet="x")


def test_a_dataframe_is_mapped_with_columns_and_constants(folder):
    df = pd.DataFrame(
        {"file": ["a.wav"], "participant": [7], "dob": ["1985-03-14"], "sex": ["f"], "arm": ["x"]}
    )
    cohort = Cohort.from_frame(
        df,
        columns={
            "recording": "file",
            "user_label": "participant",
            "date_of_birth": "dob",
            "birth_sex": "sex",
        },
        constants={"language": "en-GB"},
        tags=["arm"],
        root=folder,
    )
    assert cohort.issues.rows.empty
    assert cohort.fields.loc[0, "user_label"] == "7"
    pd.testing.assert_frame_equal(cohort.frame, df)


def test_a_dataframe_without_rows_is_a_cohort_without_recordings(table_of):
    cohort = Cohort.from_frame(table_of({}).iloc[:0])
    assert len(cohort) == 0
    assert cohort.is_valid.tolist() == []
    assert cohort.issues.rows.empty
    assert cohort.rejections().empty


def test_a_cohort_does_not_change_when_its_tables_are_changed(manifest):
    cohort = read_cohort(manifest)
    for table in (cohort.frame, cohort.fields):
        table["user_label"] = "other"
        table.loc[0, "birth_sex"] = "MALE"
    numbers = cohort.row_numbers
    numbers[:] = 0
    assert cohort.fields["user_label"].tolist() == ["P01", "007"]
    assert cohort.frame["birth_sex"].tolist() == ["FEMALE", "woman"]
    assert cohort.row_numbers.tolist() == [2, 3]


def test_a_rejection_has_the_code_of_the_first_error_and_all_errors_in_words(cohort_of):
    cohort = cohort_of({}, {"user_label": "P02", "date_of_birth": "1985", "language": "en_GB"})
    rejections = cohort.rejections()
    assert rejections.index.tolist() == [1]
    assert rejections["error_code"].tolist() == ["INVALID_DATE_OF_BIRTH"]
    assert rejections["error_reason"].tolist() == [
        "date_of_birth '1985': Not an ISO 8601 date. "
        "Write 01 for an unknown day or month, as in 1985-01-01. "
        "language 'en_GB': Not a BCP 47 language tag. Write it as in en-GB, es or "
        'zh-Hant-TW, or declare what it means: values={"language": {"en_GB": "en-GB"}}.'
    ]


def test_a_blank_cell_is_rejected_without_quoting_nothing(cohort_of):
    assert cohort_of({"language": None}).rejections()["error_reason"][0] == (
        "language: The cell is blank. Fill in the language."
    )


def test_every_code_of_a_rejection_can_be_explained(cohort_of):
    cohort = cohort_of({"language": "x", "arm": "\0"}, {"arm": "\0"}, tags=["arm"])
    for code in cohort.rejections()["error_code"]:
        assert "does not know" not in codes.explain(code).meaning


def test_later_issues_are_added_to_a_new_cohort(cohort_of):
    cohort = cohort_of({}, {"user_label": "P02"}, {"user_label": "P03"})
    extra = duplicate_audio_issues(cohort, pd.Series(["aa", "aa", "bb"]))
    changed = cohort.with_issues(extra)
    assert cohort.is_valid.all()
    assert changed.is_valid.tolist() == [False, False, True]
    assert changed.rejections()["error_code"].tolist() == [codes.DUPLICATE_AUDIO] * 2
    assert changed.issues.rows["recording_id"].tolist() == ["a.wav", "b.wav"]


def test_issues_that_are_known_are_not_added_twice(cohort_of):
    cohort = cohort_of({}, {"recording": "a.wav", "user_label": "P02"})
    extra = duplicate_audio_issues(cohort, pd.Series(["aa", "aa"]))
    pd.testing.assert_frame_equal(cohort.with_issues(extra).issues.rows, cohort.issues.rows)


def test_no_later_issues_change_nothing(cohort_of):
    cohort = cohort_of({}, {"language": "x"})
    none = duplicate_audio_issues(cohort, pd.Series(["aa", "bb"]))
    assert none.empty
    pd.testing.assert_frame_equal(cohort.with_issues(none).issues.rows, cohort.issues.rows)


def test_a_table_that_cannot_be_a_cohort_is_one_sentence(folder):
    (folder / "m.csv").write_text("file,who\na.wav,P01\n")
    with pytest.raises(CohortError, match=r"^m\.csv lacks the columns recording, user_label"):
        read_cohort(folder / "m.csv")


def test_a_sheet_with_real_dates_and_numbers_is_a_good_cohort(folder, table_of):
    table = table_of(
        {
            "user_label": 7,
            "date_of_birth": pd.Timestamp("1985-03-14"),
            "recording_time": pd.Timestamp("2026-01-05"),
            "visit": 1.0,
        }
    )
    table.to_excel(folder / "m.xlsx", index=False)
    cohort = read_cohort(folder / "m.xlsx", tags=["visit"])
    assert cohort.issues.rows.empty
    assert cohort.fields.loc[0, "user_label"] == "7"
    assert cohort.fields.loc[0, "date_of_birth"] == "1985-03-14"
    assert cohort.fields.loc[0, "recording_time"] == "2026-01-05T00:00:00"
    assert cohort.tag_values["visit"].tolist() == ["1"]


def test_the_repr_counts_recordings_participants_and_problems(cohort_of):
    cohort = cohort_of(
        {"arm": "a"}, {"arm": "b"}, {"user_label": "p01", "birth_sex": "1"}, tags="arm"
    )
    assert repr(cohort) == (
        "<Cohort from the DataFrame (recordings: 3, participants: 2, tags: arm, can be sent: 2, "
        "cannot be sent: 1, warnings: 1)>"
    )


def test_the_html_is_a_small_table_that_points_to_the_issues(cohort_of):
    html = cohort_of({"birth_sex": "1"})._repr_html_()
    assert '<th scope="row">cannot be sent</th><td>1</td>' in html
    assert "<p>The problems are in <code>.issues</code>. Next: check" in html
    assert ".issues" not in cohort_of({})._repr_html_()


def test_nothing_of_the_table_is_markup(cohort_of):
    html = cohort_of({"<script>": "x"}, tags=["<script>"])._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
