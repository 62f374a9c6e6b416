"""The mapper follows every choice, says what is missing, and gives the cohort and its code."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helios_research.demo import demo_cohort_path
from helios_research.errors import CohortError
from helios_research.widgets import CohortMapper
from helios_research.widgets.mapper.controls import MOST_VALUES, NOT_GIVEN, SAME_FOR_ALL
from support import tables

ISSUES, SENT = 'aria-label="Issues"', 'aria-label="What would be sent"'


@pytest.fixture
def table() -> pd.DataFrame:
    """The demo cohort as a German hospital would have written it, without a language."""
    manifest = pd.read_csv(demo_cohort_path() / "manifest.csv", dtype="str", keep_default_na=False)
    german = {
        "recording": "Dateiname",
        "user_label": "VP-Code",
        "date_of_birth": "Geburtsdatum",
        "birth_sex": "Geschlecht",
        "sleep_time": "Einschlafzeit",
    }
    return manifest.drop(columns="language").rename(columns=german)


@pytest.fixture
def mapper(table: pd.DataFrame) -> CohortMapper:
    return CohortMapper(table, root=demo_cohort_path())


def say_language(mapper: CohortMapper) -> None:
    mapper.controls.fields["language"].value = SAME_FOR_ALL
    mapper.controls.constants["language"].value = "en-GB"


def test_choices_are_filled_in_by_name(mapper: CohortMapper) -> None:
    chosen = {name: control.value for name, control in mapper.controls.fields.items()}
    assert chosen == {
        "recording": "Dateiname",
        "user_label": "VP-Code",
        "date_of_birth": "Geburtsdatum",
        "birth_sex": "Geschlecht",
        "language": NOT_GIVEN,
        "accent": NOT_GIVEN,
        "recording_time": "recording_time",
        "sleep_time": "Einschlafzeit",
        "wake_time": "wake_time",
        "recording_id": "recording_id",
    }


def test_what_is_missing_is_a_sentence(mapper: CohortMapper) -> None:
    sentence = (
        "Not chosen yet: language. Choose the column for it, or (the same for all rows) "
        "and then the value."
    )
    assert repr(mapper) == f"<CohortMapper: {sentence}>"
    with pytest.raises(CohortError, match="Not chosen yet: language"):
        _ = mapper.cohort


def test_a_constant_completes_the_cohort(mapper: CohortMapper) -> None:
    constant = mapper.controls.constants["language"]
    assert constant.layout.display == "none"
    mapper.controls.fields["language"].value = SAME_FOR_ALL
    assert not constant.layout.display
    assert "Not chosen yet: language" in repr(mapper)
    constant.value = " en-GB "
    assert repr(mapper) == "<CohortMapper: 39 of 42 rows can be sent.>"
    assert set(mapper.cohort.fields["language"]) == {"en-GB"}


def test_the_code_gives_the_same_cohort(mapper: CohortMapper, table: pd.DataFrame) -> None:
    say_language(mapper)
    mapper.controls.tags["arm"].value = True
    names: dict[str, object] = {"raw": table}
    exec(mapper.code(table="raw"), names)  # noqa: S102 - running it is the test
    assert names["cohort"].fields.equals(mapper.cohort.fields)
    assert names["cohort"].tags == mapper.cohort.tags == ("arm",)
    assert mapper.code().splitlines()[3] == "    df,"


def test_declared_values_and_dates_are_used_and_in_the_code(table: pd.DataFrame) -> None:
    coded = table.replace({"Geschlecht": {"F": "w", "FEMALE": "w", "female": "w"}})
    declared = {"values": {"birth_sex": {"w": "FEMALE"}}, "date_format": "day first"}
    mapper = CohortMapper(coded, root=demo_cohort_path(), **declared)
    say_language(mapper)
    assert mapper.cohort.declared == declared
    # Of the three rows that cannot be sent, one has a date that is now declared.
    assert "40 of 42 rows can be sent" in repr(mapper)
    names: dict[str, object] = {"df": coded}
    exec(mapper.code(), names)  # noqa: S102 - running it is the test
    assert names["cohort"].fields.equals(mapper.cohort.fields)


def test_a_column_that_becomes_a_field_is_no_tag(mapper: CohortMapper) -> None:
    mapper.controls.tags["site"].value = True
    assert not mapper.controls.tags["site"].disabled
    mapper.controls.fields["accent"].value = "site"
    assert mapper.controls.tags["site"].disabled
    assert mapper.mapping.tags == ()


def test_the_selected_row_shows_what_would_be_sent_and_what_stays(
    mapper: CohortMapper, read: Callable[..., Any]
) -> None:
    say_language(mapper)
    mapper.controls.tags["arm"].value = True
    sent = read(mapper).part(SENT)
    assert "This and the recording would be sent." in sent
    for field, value in (("user.userLabel", "P01"), ("tags.arm", "day_shift")):
        assert f"<td>{field}</td><td>{value}</td>" in sent
    staying = re.search(r"are not sent: (.*)</p>", sent)
    assert staying is not None
    assert staying[1] == "recording_id, visit, site, note"


def test_the_next_row_with_an_issue_is_found_and_explained(
    mapper: CohortMapper, read: Callable[..., Any]
) -> None:
    say_language(mapper)
    rows = sorted(mapper.cohort.issues.rows["row"])
    for row in [*rows, rows[0]]:
        mapper.next_issue.click()
        assert mapper.row_control.value == row
    assert "Not sent. " in read(mapper).part(SENT)


def test_issues_are_listed(mapper: CohortMapper, read: Callable[..., Any]) -> None:
    assert "Issues are shown once all required fields are chosen." in read(mapper).part(ISSUES)
    say_language(mapper)
    shown = read(mapper).part(ISSUES)
    assert shown.count("<tr>") == 1 + 3
    assert mapper.cohort.issues._repr_html_() in shown


# --- what is declared -----------------------------------------------------------------------------


def declared(mapper: CohortMapper, field: str) -> dict[str, Any]:
    """The controls that declare a field's cells, by their labels."""
    return {one.description: one for one in mapper.controls.declared[field].widget.children}


def mapper_of(**columns: Any) -> CohortMapper:
    known = {"user_label": "P1", "recording": "https://a.example/1.wav", "language": "de"}
    return CohortMapper(pd.DataFrame({**known, **columns}))


def test_each_value_that_is_not_clear_has_a_choice_beside_those_that_are() -> None:
    people = ["P1", "P2", "P3"]
    mapper = mapper_of(user_label=people, birth_sex=["m", "w", "m"], date_of_birth="1986-03-14")
    choices = declared(mapper, "birth_sex")
    assert {label: one.value for label, one in choices.items()} == {
        "w means": "",
        "m means": "MALE",
    }
    assert [value for _, value in choices["w means"].options] == [
        *("", "MALE", "FEMALE", "INTERSEX", "UNKNOWN"),
    ]
    choices["w means"].value = "FEMALE"
    assert mapper.cohort.fields["birth_sex"].tolist() == ["MALE", "FEMALE", "MALE"]
    assert 'values={"birth_sex": {"w": "FEMALE", "m": "MALE"}}' in mapper.code()


def test_values_that_are_clear_need_no_control() -> None:
    mapper = mapper_of(birth_sex=["F", "Male"], date_of_birth="1986-03-14")
    assert not any(one.widget.children for one in mapper.controls.declared.values())
    assert mapper.cohort.declared == {}


def test_m_beside_h_is_not_chosen_from_the_start() -> None:
    mapper = mapper_of(birth_sex=["M", "H"], date_of_birth="1986-03-14")
    assert {one.value for one in declared(mapper, "birth_sex").values()} == {""}


def test_a_language_is_typed_for_each_word() -> None:
    mapper = mapper_of(
        birth_sex="F", date_of_birth="1986-03-14", language=["Deutsch", "en-GB", "Deutsch"]
    )
    declared(mapper, "language")["Deutsch means"].value = " de-DE "
    assert mapper.cohort.fields["language"].tolist() == ["de-DE", "en-GB", "de-DE"]
    assert mapper.cohort.declared == {"values": {"language": {"Deutsch": "de-DE"}}}


def test_each_form_of_dates_shows_what_it_makes_of_the_columns_own_examples() -> None:
    mapper = mapper_of(birth_sex="F", date_of_birth=["04.03.1986", "05.10.1993", "28.02.1971", "?"])
    (form,) = declared(mapper, "date_of_birth").values()
    assert [label for label, _ in form.options] == [
        "? (not year-month-day)",
        "day first: 1986-03-04, 1993-10-05, 1971-02-28 (3 of 4 fit)",
        "month first: 1986-04-03, 1993-05-10, ? (2 of 4 fit)",
    ]
    assert form.value == ""
    form.value = "day first"
    assert mapper.cohort.fields["date_of_birth"].tolist()[:2] == ["1986-03-04", "1993-10-05"]
    assert mapper.cohort.declared == {"date_format": {"date_of_birth": "day first"}}
    form.value = ""
    assert mapper.mapping.date_format == {}


def test_what_is_declared_already_is_chosen() -> None:
    mapper = CohortMapper(
        pd.DataFrame({"recording": ["a.wav"], "user_label": "P1", "sex": 1, "dob": "140386"}),
        values={"birth_sex": {1: "MALE"}},
        date_format={"date_of_birth": "%d%m%y"},
        constants={"language": "en"},
    )
    assert declared(mapper, "birth_sex")["1 means"].value == "MALE"
    assert mapper.cohort.fields.iloc[0][["birth_sex", "date_of_birth"]].tolist() == [
        *("MALE", "1986-03-14"),
    ]


def test_another_column_has_its_own_values_and_a_constant_too() -> None:
    mapper = mapper_of(birth_sex="F", other=["1", "2", "1"], date_of_birth="1986-03-14")
    mapper.controls.fields["birth_sex"].value = "other"
    assert [*declared(mapper, "birth_sex")] == ["1 means", "2 means"]
    mapper.controls.fields["birth_sex"].value = SAME_FOR_ALL
    assert not declared(mapper, "birth_sex")
    mapper.controls.constants["birth_sex"].value = "weiblich"
    declared(mapper, "birth_sex")["weiblich means"].value = "FEMALE"
    assert mapper.mapping.meanings == {"birth_sex": {"weiblich": "FEMALE"}}


def test_of_many_values_the_first_have_a_control_and_those_given_stay() -> None:
    codes = [f"c{number}" for number in range(40)]
    given = {"birth_sex": {"c39": "UNKNOWN"}}
    mapper = CohortMapper(pd.DataFrame({"birth_sex": codes}), values=given)
    assert len(declared(mapper, "birth_sex")) == MOST_VALUES
    assert mapper.mapping.meanings == given


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_a_file_is_mapped_as_it_is_read(tmp_path: Path, ending: str) -> None:
    table = tables.german()
    for name in table["Aufnahmedatei"]:
        (tmp_path / name).write_bytes(name.encode())
    path = tmp_path / f"Tabelle.{ending}"
    if ending == "csv":
        table.to_csv(path, index=False, sep=";", encoding="cp1252")
    else:
        table.to_excel(path, index=False, sheet_name="Proben")
    mapper = CohortMapper(path, sheet="Proben" if ending == "xlsx" else None)
    mapper.controls.fields["language"].value = SAME_FOR_ALL
    mapper.controls.constants["language"].value = "de"
    declared(mapper, "birth_sex")["w means"].value = "FEMALE"
    declared(mapper, "date_of_birth")["date_of_birth is"].value = "day first"
    assert (mapper.row_control.min, mapper.row_control.max) == (2, 4)
    assert mapper.cohort.is_valid.all()
    same_from_code(mapper)
    assert f'hr.read_cohort(\n    "{path}",' in mapper.code()


@pytest.mark.parametrize(
    ("table", "arguments"),
    [
        (tables.redcap(), {"fill_within": "user_label", "values": {"birth_sex": {1: "M", 2: "F"}}}),
        (tables.wide(), {"wide": ["recording_t1", "recording_t2", "recording_t3"]}),
        (tables.redcap(), {"order": {"arm": ["night", "day"]}}),
    ],
)
def test_whatever_else_is_declared_is_kept(
    tmp_path: Path, table: pd.DataFrame, arguments: dict[str, Any]
) -> None:
    path = tables.write(tmp_path / "table.csv", tables.rows_of(table))
    known: dict[str, Any] = {
        "constants": {"language": "en"},
        "columns": {"user_label": table.columns[0]},
    }
    mapper = CohortMapper(path, **known, **arguments)
    assert arguments.keys() <= mapper.cohort.declared.keys()
    same_from_code(mapper)


def same_from_code(mapper: CohortMapper) -> None:
    names: dict[str, Any] = {}
    exec(mapper.code(), names)  # noqa: S102 - running it is the test
    assert names["cohort"].fields.equals(mapper.cohort.fields)
    assert names["cohort"].frame.equals(mapper.cohort.frame)
    assert names["cohort"].issues.rows.equals(mapper.cohort.issues.rows)
    assert names["cohort"].declared == mapper.cohort.declared


def test_a_row_that_is_left_out_says_so(tmp_path: Path, read: Callable[..., Any]) -> None:
    path = tables.write(tmp_path / "table.csv", tables.rows_of(tables.redcap()))
    mapper = CohortMapper(path, fill_within="user_label", constants={"language": "en"})
    mapper.row_control.value = 2
    assert "There is no recording in this row." in read(mapper).part(SENT)


def test_a_column_for_two_fields_is_explained(mapper: CohortMapper) -> None:
    say_language(mapper)
    mapper.controls.fields["accent"].value = "Einschlafzeit"
    assert "'Einschlafzeit' is named for 'accent' and 'sleep_time' at once" in repr(mapper)


def test_what_is_known_already_is_not_guessed(table: pd.DataFrame) -> None:
    mapper = CohortMapper(
        table,
        columns={"user_label": "site"},
        constants={"language": "en-GB", "birth_sex": "UNKNOWN"},
        tags=["VP-Code"],
        root=demo_cohort_path(),
    )
    assert mapper.controls.fields["user_label"].value == "site"
    assert mapper.controls.fields["birth_sex"].value == SAME_FOR_ALL
    assert mapper.cohort.tags == ("VP-Code",)


def test_nothing_of_the_table_is_markup(read: Callable[..., Any]) -> None:
    table = pd.DataFrame({"<b>file</b>": ["<script>1</script>"], "dob": ["<i>"]})
    mapper = CohortMapper(table, columns={"recording": "<b>file</b>"})
    drawn = mapper.static_html() + read(mapper).html
    assert not re.search(r"<(b|i|script)>", drawn)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (pd.DataFrame({"a": []}), "The table has no rows, so there is nothing to map."),
        ([1, 2], 'or from the path of a table, as in "manifest.csv", and this is a list.'),
    ],
)
def test_a_table_that_cannot_be_mapped_is_a_sentence_in_the_widget(
    table: object, sentence: str
) -> None:
    mapper = CohortMapper(table)
    assert sentence in repr(mapper)
    with pytest.raises(CohortError):
        _ = mapper.cohort
    mapper.close()
