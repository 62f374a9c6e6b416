"""Names of columns suggest fields, in the languages and programs that researchers use."""

import pytest

from helios_research.cohort.guessing import guess_columns
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


@pytest.mark.parametrize(
    ("names", "guessed"),
    [
        (
            "record_id redcap_event_name dob sex audio_file demographics_complete",
            "audio_file record_id dob sex",
        ),
        (
            "ResponseId StartDate UserLanguage Participant Birthdate Sex Filename",
            "Filename Participant Birthdate Sex UserLanguage",
        ),
        ("id token startlanguage geboren geschlecht datei", "datei token geboren geschlecht startlanguage"),
        ("demo/participant demo/dob demo/sex voice/audio _uuid", "voice/audio demo/participant demo/dob demo/sex"),
        (
            "Teilnehmer Geburtsdatum Geschlecht Sprache Aufnahmedatei",
            "Aufnahmedatei Teilnehmer Geburtsdatum Geschlecht Sprache",
        ),
        ("Sujet Date_de_naissance Sexe Langue Fichier_audio", "Fichier_audio Sujet Date_de_naissance Sexe Langue"),
        ("participante fecha_nacimiento sexo idioma archivo", "archivo participante fecha_nacimiento sexo idioma"),
        ("Partecipante DataDiNascita Sesso Lingua File_audio", "File_audio Partecipante DataDiNascita Sesso Lingua"),
    ],
)  # fmt: skip
def test_the_headings_of_a_program_or_a_language_are_recognised(names: str, guessed: str) -> None:
    fields = ("recording", "user_label", "date_of_birth", "birth_sex", "language")
    found = guess_columns(names.split())
    assert [found[name] for name in fields if name in found] == guessed.split()
    assert found.get("recording_id") != "record_id"


def test_record_id_is_the_participant_unless_another_column_is() -> None:
    assert guess_columns(["record_id"]) == {"user_label": "record_id"}
    assert guess_columns(["record_id", "participant"]) == {"user_label": "participant"}
