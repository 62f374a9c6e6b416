"""The mapper follows every choice, says what is missing, and gives the cohort and its code."""

import re
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import pandas as pd
import pytest

from helios_research.demo import demo_cohort_path
from helios_research.errors import CohortError
from helios_research.widgets import CohortMapper
from helios_research.widgets import mapper as mapper_module
from helios_research.widgets.mapper.controls import NOT_GIVEN, SAME_FOR_ALL

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
    assert repr(mapper) == "<CohortMapper: 39 of 42 rows can be sent; 3 errors, 0 warnings.>"
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


@pytest.fixture
def long_table(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """More rows than are looked at at once, of which every 6th is looked at first."""
    monkeypatch.setattr(mapper_module, "ROWS_AT_ONCE", 20)
    monkeypatch.setattr(mapper_module, "ROWS_CHECKED_FIRST", 10)
    rows = pd.concat([table.head(1)] * 60, ignore_index=True)
    rows["recording_id"] = [f"r{number}" for number in range(60)]
    rows["VP-Code"] = [f"P{number:02}" for number in range(60)]
    rows["Dateiname"] = [f"https://recordings.example.org/{number}.wav" for number in range(60)]
    rows.loc[48, "Geburtsdatum"] = "13/04/1985"
    rows.loc[50, "Geburtsdatum"] = "14/04/1985"
    return rows


@pytest.fixture
def background(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Threads of the mapper begin once this is set."""
    may_begin = Event()

    class HeldThread(Thread):
        def run(self) -> None:
            may_begin.wait(30)
            super().run()

    monkeypatch.setattr(mapper_module, "Thread", HeldThread)
    yield may_begin
    may_begin.set()


def test_of_a_long_table_some_rows_are_looked_at_first_and_then_all(
    long_table: pd.DataFrame, background: Event, read: Callable[..., Any]
) -> None:
    mapper = CohortMapper(long_table, root=demo_cohort_path())
    say_language(mapper)
    assert "Of 10 rows, spread over all 60: 9 of 10 rows can be sent; 1 error" in repr(mapper)
    assert "Checking all rows" in repr(mapper)
    assert "13/04/1985" in read(mapper).part(ISSUES)
    mapper.row_control.value = 51
    assert "14/04/1985" in read(mapper).part(SENT)
    background.set()
    deadline = time.monotonic() + 30
    while "Checking" in repr(mapper) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert repr(mapper).startswith("<CohortMapper: 58 of 60 rows can be sent; 2 errors")
    assert read(mapper).part(ISSUES).count("<tr>") == 1 + len(mapper.cohort.issues.causes)


def test_the_cohort_of_a_long_table_is_whole_even_before_all_was_looked_at(
    long_table: pd.DataFrame, background: Event
) -> None:
    mapper = CohortMapper(long_table, root=demo_cohort_path())
    say_language(mapper)
    assert len(mapper.cohort) == 60
    assert repr(mapper).startswith("<CohortMapper: 58 of 60 rows can be sent")


def test_a_column_for_two_fields_is_explained(mapper: CohortMapper) -> None:
    say_language(mapper)
    mapper.controls.fields["wake_time"].value = "Einschlafzeit"
    assert "'Einschlafzeit' is named for 'sleep_time' and 'wake_time' at once" in repr(mapper)


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
