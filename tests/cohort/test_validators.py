"""One value is judged as the API would judge it, and the remedy shows the way."""

from datetime import datetime

import pytest

from helios_research.cohort import validators
from helios_research.columns import BIRTH_SEX_SPELLINGS

NOW = datetime(2026, 11, 22, 12, 0)  # noqa: DTZ001  # as the times of a table, without a zone


@pytest.mark.parametrize("value", ["1985-03-14", "1926-11-23", "2023-11-22", "2000-02-29"])
def test_iso_dates_of_people_from_3_to_99_are_accepted(value):
    assert validators.date_of_birth(NOW)(value) is None


@pytest.mark.parametrize(
    ("value", "problem", "meant"),
    [
        ("1900-01-01", "The participant would be 126 years old.", "2000-01-01"),
        ("1926-11-22", "The participant would be 100 years old.", "2026-11-22"),
        ("2025-11-22", "The participant would be 1 year old.", "1925-11-22"),
        ("2026-11-22", "The participant would be 0 years old.", "1926-11-22"),
        ("2068-03-14", "This is in the future.", "1968-03-14"),
    ],
)
def test_an_age_that_no_speaker_has_suggests_the_other_century(value, problem, meant):
    found = validators.date_of_birth(NOW)(value)
    line = f'values={{"date_of_birth": {{"{value}": "{meant}"}}}}'
    assert found.problem == problem
    assert found.remedy == f"If {meant} is meant, correct it, or declare {line}."
    assert found.severity == ("error" if value > "2027" else "warning")


def test_no_value_is_declared_for_a_date_that_the_table_writes_otherwise():
    found = validators.date_of_birth(NOW, "day first")("2068-03-14")
    assert found.remedy == "If 1968-03-14 is meant, correct it."


@pytest.mark.parametrize(
    "value", ["#N/A", "#REF!", "#DIV/0!", "#NAME?", "#NV", "#BEZUG!", "#WERT!", "#¡REF!", "#N/D"]
)
def test_an_error_of_a_spreadsheet_is_no_value(value):
    for validator in (validators.field_text, validators.tag_text):
        assert validator(value).problem == "The cell holds an error of a spreadsheet, not a value."


@pytest.mark.parametrize("value", ["#12", "#A", "P#1", "N/A", "#", "#ab!"])
def test_a_label_with_a_hash_is_no_error_of_a_spreadsheet(value):
    assert validators.field_text(value) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("14/03/1985", "Not an ISO 8601 date."),
        ("03-04-1985", "Not an ISO 8601 date."),
        ("19850314", "Not an ISO 8601 date."),
        ("1985-3-14", "Not an ISO 8601 date."),
        ("1985-03", "Not an ISO 8601 date."),
        ("31120", "Not an ISO 8601 date."),
        ("١٩٨٥-٠٣-١٤", "Not an ISO 8601 date."),
        ("1985-03-14T00:00:00", "Not an ISO 8601 date."),
        ("2001-02-30", "There is no such day in the calendar."),
        ("0000-01-01", "There is no such day in the calendar."),
        ("2026-11-23", "This is in the future."),
        ("9999-12-31", "This is in the future."),
        ("1899-12-31", "This is before 1900."),
    ],
)
def test_other_dates_are_refused_and_say_why(value, problem):
    assert validators.date_of_birth(NOW)(value).problem == problem


def test_the_remedy_shows_the_form_and_never_reads_the_ambiguous_date():
    remedy = validators.date_of_birth(NOW)("04/03/1985").remedy
    assert remedy == "Write year-month-day, as in 1985-03-31 for 31 March 1985."


def test_a_part_of_a_date_is_completed_as_helios_wants_it():
    judge = validators.date_of_birth(NOW)
    assert judge("1985").remedy == "Write 01 for an unknown day or month, as in 1985-01-01."
    assert judge("1985-07").remedy == "Write 01 for an unknown day or month, as in 1985-07-01."


@pytest.mark.parametrize(
    "value", ["2026-01-05T07:45:00", "2026-01-05T07:45", "2026-01-05 07:45:00.25"]
)
def test_local_times_without_a_zone_are_accepted(value):
    assert validators.local_time(NOW, "recorded")(value) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("2026-01-05T07:45:00Z", "The time has a zone."),
        ("2026-01-05T07:45:00+01:00", "The time has a zone."),
        ("2026-01-05 07:45 -0500", "The time has a zone."),
        ("2026-01-05", "Not an ISO 8601 date and time."),
        ("07:45", "Not an ISO 8601 date and time."),
        ("5.1.2026 7:45", "Not an ISO 8601 date and time."),
        ("2026-02-30T07:45:00", "There is no such day or time."),
        ("2026-01-05T25:00:00", "There is no such day or time."),
        ("2026-11-22T12:00:01", "This is in the future."),
        ("1026-01-05T07:45:00", "This is before 1900."),
    ],
)
def test_other_times_are_refused_and_say_why(value, problem):
    assert validators.local_time(NOW, "recorded")(value).problem == problem


@pytest.mark.parametrize("value", ["MALE", "female", "Intersex", "u", "F", "m"])
def test_the_four_sexes_and_their_first_letters_are_accepted_in_any_case(value):
    assert validators.birth_sex(value) is None
    assert BIRTH_SEX_SPELLINGS[value.upper()].startswith(value[0].upper())


@pytest.mark.parametrize("value", ["männlich", "1", "woman", "w", "fem", "\u0131", "MALE FEMALE"])
def test_nothing_else_is_guessed_to_be_a_sex(value):
    found = validators.birth_sex(value)
    assert found.problem == "It is not clear which sex at birth this is."
    assert found.remedy.startswith(
        "Write one of: MALE or M, FEMALE or F, INTERSEX or I, UNKNOWN or U (in any case), or declare "
        f'what it means: values={{"birth_sex": {{"{value}": "'
    )


@pytest.mark.parametrize(
    ("code", "meaning"),
    [("männlich", "MALE"), ("Frau", "FEMALE"), ("mujer", "FEMALE"), ("1", "…"), ("w", "…")],
)
def test_only_a_plain_word_for_a_sex_is_offered_with_its_meaning(code, meaning):
    remedy = validators.birth_sex(code).remedy
    assert remedy.endswith(f'values={{"birth_sex": {{"{code}": "{meaning}"}}}}.')


@pytest.mark.parametrize("value", ["en-GB", "es", "zh-Hant-TW", "es-419", "fil"])
def test_language_tags_of_the_contract_are_accepted(value):
    assert validators.language(value) is None


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("en_GB", "en-GB"),
        ("EN-gb", "en-GB"),
        ("zh_hant_tw", "zh-Hant-TW"),
        ("english", "…"),
        ("en-GB ", "…"),
    ],
)
def test_other_languages_are_refused_and_can_be_declared(value, meaning):
    assert validators.language(value).problem == "Not a BCP 47 language tag."
    assert validators.language(value).remedy == (
        "Write it as in en-GB, es or zh-Hant-TW, or declare what it means: "
        f'values={{"language": {{"{value}": "{meaning}"}}}}.'
    )


def test_the_united_kingdom_is_a_warning_because_the_form_is_right():
    found = validators.language("en-UK")
    assert (found.severity, found.remedy) == ("warning", "Did you mean en-GB?")


def test_a_label_may_have_fifty_characters_and_no_more():
    assert validators.user_label("é" * 50) is None
    assert validators.user_label("é" * 51).problem == "The label has 51 characters; 50 are allowed."


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("jane@example.org", "an e-mail address"),
        ("9434765919", "a 10-digit patient number"),
        ("NHS 943 476 5919", "a 10-digit patient number"),
        ("078-05-1120", "a social security number"),
        ("+44 7700 900123", "a telephone number"),
        ("S1-1985-03-14", "a date of birth"),
        ("Jane Doe", "a person's name"),
        ("Doe, Jane", "a person's name"),
        ("Émile Zola", "a person's name"),
    ],
)
def test_labels_that_look_like_personal_data_are_a_warning(value, what):
    found = validators.personal_label(value)
    assert found.severity == "warning"
    assert found.problem == f"This looks like {what}, and it would be sent."


@pytest.mark.parametrize(
    "value", ["007", "P01", "P-0001-visit", "94347659190", "123456789", "site 3 P12", "Jane", "a@b"]
)
def test_pseudonyms_are_not_taken_for_personal_data(value):
    assert validators.personal_label(value) is None


def test_dates_and_words_are_what_tags_are_made_of():
    for value in ("2026-01-05", "Night Shift", "Usual Care"):
        assert validators.personal_tag(value) is None
    assert "an e-mail address" in validators.personal_tag("a@b.org").problem
    assert "a 10-digit patient number" in validators.personal_tag("943-476-5919").problem


def test_control_characters_and_unreadable_ones_are_not_text():
    assert validators.field_text("a\x00b").problem == "It contains characters that are not text."
    assert validators.field_text("caf\ufffd") is not None
    assert validators.field_text("two\nlines") is not None
    assert validators.tag_text("two\nlines") is None
    assert validators.tag_text("a\x07") is not None


def test_what_is_in_the_future_is_so_in_every_time_zone():
    assert validators.latest_now().tzinfo is None
