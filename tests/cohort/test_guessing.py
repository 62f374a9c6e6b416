"""Column names are recognised, and doubtful ones are left to the researcher."""

import pytest

from helios_research.cohort.mapping import guess_columns
from helios_research.columns import STANDARD_FIELDS


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Participant ID", "user_label"),
        ("VP-Code", "user_label"),
        ("participante", "user_label"),
        ("dob", "date_of_birth"),
        ("Geburtsdatum", "date_of_birth"),
        ("Fecha de nacimiento", "date_of_birth"),
        ("Sex", "birth_sex"),
        ("Geschlecht", "birth_sex"),
        ("sexo", "birth_sex"),
        ("idioma", "language"),
        ("Sprache", "language"),
        ("langauge", "language"),
        ("audio_file", "recording"),
        ("Grabación", "recording"),
        ("Dateiname", "recording"),
        ("sleepTime", "sleep_time"),
        ("SLEEP-TIME", "sleep_time"),
        ("Einschlafzeit", "sleep_time"),
        ("wakeUp", "wake_time"),
        ("Hora de despertar", "wake_time"),
        ("recordedAt", "recording_time"),
        ("Aufnahmezeitpunkt", "recording_time"),
    ],
)
def test_a_common_name_is_recognised(name: str, field: str) -> None:
    assert guess_columns(["arm", name, "visit"]) == {field: name}


@pytest.mark.parametrize(
    "name", ["patient_id", "Name", "gender", "Género", "arm", "visit", "weight", "dog", "", "été"]
)
def test_a_name_that_may_hold_something_else_is_not_guessed(name: str) -> None:
    assert guess_columns([name]) == {}


def test_the_fields_own_names_come_first() -> None:
    names = ["participant", "user_label", "file", *STANDARD_FIELDS]
    assert guess_columns(names) == {field: field for field in STANDARD_FIELDS}


def test_of_two_columns_one_is_taken() -> None:
    assert guess_columns(["participant", "subject"]) == {"user_label": "participant"}
