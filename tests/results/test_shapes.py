"""Ages instead of dates of birth, and one row per biomarker."""

import pandas as pd
import pytest

from helios_research.columns import BIOMARKERS
from helios_research.errors import UnknownColumnError
from helios_research.results.shapes import REMOVED, describe_results, long_table, with_ages


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
    ages = with_ages(describe_results(table)).table["age_at_recording"]
    assert ages.isna().all() if age is None else ages.tolist() == [age] * 2


def test_without_a_recording_time_the_age_is_that_at_submission() -> None:
    table = table_of(
        date_of_birth="1990-05-17",
        recording_time=pd.Series([None, "2020-06-01T08:00:00"], dtype="str"),
        created_at=pd.Series(pd.to_datetime(["2026-06-01T08:00Z"] * 2, utc=True)),
    )
    assert with_ages(describe_results(table)).table["age_at_recording"].tolist() == [36, 30]


def test_no_date_of_birth_is_left_under_another_name_or_in_a_reason() -> None:
    table = table_of(
        date_of_birth=pd.Series(["1990-05-17", "13/04/1985"], dtype="str"),
        dob=pd.Series(["1990-05-17", "13/04/1985"], dtype="str"),
        error_reason=pd.Series([None, "13/04/1985 is not ISO 8601."], dtype="str"),
        consent=pd.Series(["signed, born 1990-05-17", None], dtype="str"),
    )
    found = with_ages(describe_results(table))
    assert list(found.table.columns) == [
        "recording_id",
        "outcome",
        "user_label",
        "age_at_recording",
        "error_reason",
        "consent",
    ]
    assert found.table["error_reason"].iloc[1] == f"{REMOVED} is not ISO 8601."
    assert list(found.variables) == list(found.table.columns)
    assert "The column dob held the dates of birth too and is left out." in found.notes
    assert any("consent still holds the participant's date of birth" in n for n in found.notes)


def test_birth_dates_given_as_date_times_are_found_too() -> None:
    table = table_of(
        date_of_birth="1990-05-17", geboren=pd.to_datetime(["1990-05-17", "1990-05-17"])
    )
    assert "geboren" not in with_ages(describe_results(table)).table.columns


def test_ages_need_dates_of_birth() -> None:
    with pytest.raises(UnknownColumnError, match="no column 'date_of_birth'"):
        with_ages(describe_results(table_of()))


def test_the_long_table_has_every_recording_and_biomarker_missing_ones_included(
    study: pd.DataFrame,
) -> None:
    found = long_table(describe_results(study, ["arm"])).table
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
    found = long_table(describe_results(table))
    assert found.table["value_own_own"].tolist()[:1] == ["mine"]
    assert "Your column value is called value_own_own here." in found.notes
    assert list(found.variables) == list(found.table.columns)


def test_a_long_table_needs_a_biomarker() -> None:
    with pytest.raises(UnknownColumnError, match="mental_strain"):
        long_table(describe_results(table_of()))
