"""Described columns, one value per cell, ages instead of dates of birth, one row per score."""

import pandas as pd
import pytest

from helios_research.columns import BIOMARKERS
from helios_research.errors import ResultsError, UnknownColumnError
from helios_research.results.shapes import describe_results, flatten, to_long, with_ages


def table_of(**columns: object) -> pd.DataFrame:
    base = {"recording_id": ["a", "b"], "outcome": "scored", "user_label": "P1"}
    return pd.DataFrame({**base, **columns})


@pytest.mark.parametrize(
    ("born", "recorded", "age"),
    [
        ("1990-05-17", "2026-05-16T23:59:00", 35),
        ("1990-05-17", "2026-05-17T00:00:00", 36),
        ("2000-02-29", "2026-02-28T12:00:00", 25),
        ("2000-02-29", "2026-03-01T12:00:00", 26),
        ("1990-05-17", "1990-05-16T10:00:00", None),
        ("13/04/1985", "2026-05-16T10:00:00", None),
        (None, "2026-05-16T10:00:00", None),
    ],
)
def test_ages_are_completed_years(born: str | None, recorded: str, age: int | None) -> None:
    table = table_of(date_of_birth=pd.Series([born] * 2, dtype="str"), recording_time=recorded)
    ages = with_ages(describe_results(table)).frame["age_at_recording"]
    assert ages.isna().all() if age is None else ages.tolist() == [age] * 2


def test_without_a_recording_time_the_age_is_that_at_submission() -> None:
    table = table_of(
        date_of_birth="1990-05-17",
        recording_time=pd.Series([None, "2020-06-01T08:00:00"], dtype="str"),
        created_at=pd.Series(pd.to_datetime(["2026-06-01T08:00Z"] * 2, utc=True)),
    )
    assert with_ages(describe_results(table)).frame["age_at_recording"].tolist() == [36, 30]


def test_no_date_of_birth_is_left_under_another_name_or_in_a_reason() -> None:
    table = table_of(
        date_of_birth=pd.Series(["1990-05-17", "13/04/1985"], dtype="str"),
        dob=pd.Series(["1990-05-17", "13/04/1985"], dtype="str"),
        error_reason=pd.Series([None, "13/04/1985 is not ISO 8601."], dtype="str"),
        consent=pd.Series(["signed, born 1990-05-17", None], dtype="str"),
    )
    found = with_ages(describe_results(table))
    assert list(found.frame.columns) == [
        "recording_id",
        "outcome",
        "user_label",
        "age_at_recording",
        "error_reason",
        "consent",
    ]
    assert found.frame["error_reason"].iloc[1] == "[date of birth] is not ISO 8601."
    assert list(found.variables) == list(found.frame.columns)
    assert "The column dob held the dates of birth too and is left out." in found.notes
    assert any("consent still holds the participant's date of birth" in n for n in found.notes)


def test_birth_dates_given_as_date_times_are_found_too() -> None:
    table = table_of(
        date_of_birth="1990-05-17", geboren=pd.to_datetime(["1990-05-17", "1990-05-17"])
    )
    assert "geboren" not in with_ages(describe_results(table)).frame.columns


@pytest.mark.parametrize("copy", ["17.05.1990", "5/17/90", "17 May 1990", "19900517", "1990-5-17"])
def test_dates_of_birth_in_the_tables_own_form_are_left_out(copy: str) -> None:
    table = table_of(date_of_birth="1990-05-17", geb=copy, visit="17 weeks", n=1990)
    found = with_ages(describe_results(table))
    assert "geb" not in found.frame.columns
    assert {"visit", "n"} <= {*found.frame.columns}
    assert "The column geb held the dates of birth too and is left out." in found.notes


def test_a_reason_keeps_no_date_of_another_row() -> None:
    said = "2 dates of birth: 1985-02-20 (row 1), 20.02.1986 (row 2)."
    reason = pd.Series([said, "No answer since 2026-03-01."], dtype="str")
    table = table_of(date_of_birth="1985-02-20", error_reason=reason)
    shown = with_ages(describe_results(table)).frame["error_reason"].tolist()
    assert shown[0] == "2 dates of birth: [date of birth] (row 1), [date of birth] (row 2)."
    assert shown[1] == reason[1]


def test_ages_need_dates_of_birth() -> None:
    with pytest.raises(UnknownColumnError, match="no column 'date_of_birth'"):
        with_ages(describe_results(table_of()))


def test_the_long_table_has_every_recording_and_biomarker_missing_ones_included(
    study: pd.DataFrame,
) -> None:
    found = to_long(describe_results(study, ["arm"])).frame
    assert len(found) == len(study) * len(BIOMARKERS)
    wide = found.pivot_table(
        index="recording_id", columns="biomarker", values="value", dropna=False, sort=False
    )
    for marker in BIOMARKERS:
        expected = study.set_index("recording_id")[marker.name]
        pd.testing.assert_series_equal(wide[marker.name], expected, check_names=False)
    kinds = found.groupby("biomarker")["kind"].agg(["unique"])["unique"]
    assert all(
        list(kinds[m.name]) == ["bucketed" if m.bucketed else "continuous"] for m in BIOMARKERS
    )
    assert {"arm", "outcome", "error_code", "source"} <= set(found.columns)


def test_own_columns_make_room_and_it_is_said(study: pd.DataFrame) -> None:
    table = study.head(3).assign(value="mine", value_own="also mine")
    found = to_long(describe_results(table))
    assert found.frame["value_own_own"].tolist()[:1] == ["mine"]
    assert "Your column value is called value_own_own here." in found.notes
    assert list(found.variables) == list(found.frame.columns)


def test_a_long_table_needs_a_biomarker() -> None:
    with pytest.raises(UnknownColumnError, match="mental_strain"):
        to_long(describe_results(table_of()))


def test_every_column_is_described_and_tags_are_marked(study: pd.DataFrame) -> None:
    variables = describe_results(study, ["arm"]).variables
    assert list(variables) == list(study.columns)
    assert variables["arm"].origin == "yours, sent as a tag"
    assert variables["date_of_birth"].meaning.startswith("Date of birth")
    assert variables["date_of_birth"].origin == "yours"
    assert variables["level_dbfs"].unit == "dBFS"


def test_a_tag_that_is_not_there_is_named() -> None:
    table = pd.DataFrame({"recording_id": ["a"], "outcome": ["scored"], "arm": ["x"]})
    with pytest.raises(UnknownColumnError, match="Did you mean 'arm'"):
        describe_results(table, ["arms"])


def test_two_columns_of_one_name_are_refused() -> None:
    table = pd.DataFrame([["a", "scored", 1, 2]], columns=["recording_id", "outcome", "x", "x"])
    with pytest.raises(ResultsError, match="several columns named 'x'"):
        describe_results(table)


def test_flat_cells_hold_one_value_each(awkward: pd.DataFrame) -> None:
    awkward["mixed"] = pd.Series([1, "two", 3.5, None, {"a": 1}, pd.Timestamp("2026-01-01")])
    flat = flatten(describe_results(awkward)).frame
    assert flat["warnings"].tolist()[:2] == ["first | second, third", flat["warnings"].iloc[1]]
    assert flat["warnings"].isna().tolist() == [False, True, True, True, True, True]
    assert flat["mixed"].tolist()[:3] == ["1", "two", "3.5"]
    assert flat["mixed"].iloc[4] == '{"a": 1}'
    assert str(flat["channels"].dtype) == "Int64"
    assert flat["badge"].iloc[0] == str(2**60)
    kinds = {str(dtype) for dtype in flat.dtypes}
    assert kinds == {"str", "float64", "Int64", "boolean", "datetime64[us, UTC]"}


def test_control_characters_are_replaced_and_counted(awkward: pd.DataFrame) -> None:
    awkward["note"] = pd.Series(["a\x00b", "tab\tok", None, "x\x1f", "y", "z"], dtype="str")
    found = flatten(describe_results(awkward))
    assert found.frame["note"].tolist()[:2] == ["a\ufffdb", "tab\tok"]
    assert len(found.notes) == 1
    assert "in 2 cells" in found.notes[0]


def test_an_empty_table_stays_empty(study: pd.DataFrame) -> None:
    flat = flatten(describe_results(study.head(0))).frame
    assert flat.shape == (0, study.shape[1])


def test_control_characters_in_names_of_columns_are_replaced_and_noted() -> None:
    table = pd.DataFrame(
        {"recording_id": ["a"], "outcome": ["scored"], "a\x00b": ["x"], "a\x01b": ["y"]}
    )
    flat = flatten(describe_results(table))
    assert list(flat.frame.columns)[2:] == ["a\ufffdb", "a\ufffdb_"]
    assert [variable.name for variable in flat.variables.values()] == list(flat.frame.columns)
    assert len(flat.notes) == 1
    assert "names of 2 columns" in flat.notes[0]
