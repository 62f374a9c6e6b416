"""Tables as programs export them: of invented people, with the recordings that they name."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyreadstat

PEOPLE = (("1", "14.03.1986", "2"), ("2", "05.10.1993", "1"), ("007", "28.02.1971", "2"))
"""Record, date of birth and sex (1 male, 2 female) of three people."""

EVENTS = ("baseline_arm_1", "month_1_arm_1", "month_2_arm_1")


def iso(day: str) -> str:
    """Turn a German date into one of ISO 8601."""
    return "-".join(reversed(day.split(".")))


def redcap(*, labelled: bool = False) -> pd.DataFrame:
    """Three events of three people; demographics and arm in the first, which has no recording."""
    rows = []
    for record, born, sex in PEOPLE:
        for number, event in enumerate(EVENTS):
            first = number == 0
            rows.append(
                {
                    "record_id": record,
                    "redcap_event_name": event,
                    "redcap_repeat_instrument": "",
                    "redcap_repeat_instance": "",
                    "dob": iso(born) if first else "",
                    "sex": sex if first else "",
                    "arm": "night" if first and sex == "2" else "day" if first else "",
                    "demographics_complete": "2" if first else "",
                    "voice_file": "" if first else f"{record}_{event}.wav",
                    "voice_complete": "" if first else "2",
                }
            )
    # An event that the second person missed, and a second try of the third.
    rows[5]["voice_file"] = ""
    again = {"redcap_repeat_instrument": "voice", "redcap_repeat_instance": "2"}
    rows.append(rows[8] | again | {"voice_file": "007_again.wav"})
    table = pd.DataFrame(rows, dtype="str")
    return _labelled(table) if labelled else table


def _labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Write labels for names and codes, as REDCap's export of labels does."""
    events = {event: event.removesuffix("_arm_1").replace("_", " ").title() for event in EVENTS}
    return table.replace(
        {"sex": {"1": "Male", "2": "Female"}, "redcap_event_name": events}
        | {name: {"2": "Complete"} for name in table if name.endswith("_complete")}
    ).rename(
        columns={
            "record_id": "Record ID",
            "redcap_event_name": "Event Name",
            "redcap_repeat_instrument": "Repeat Instrument",
            "redcap_repeat_instance": "Repeat Instance",
            "dob": "Date of birth",
            "sex": "Sex",
            "arm": "Study arm",
            "voice_file": "Voice recording",
            "demographics_complete": "Complete?",
            "voice_complete": "Complete?",
        }
    )


def qualtrics() -> list[list[str]]:
    """The three rows of names, questions and import ids, and three answers."""
    names = ["StartDate", "Status", "ResponseId", "UserLanguage", "participant", "Q2", "Q3", "Q7"]
    questions = [
        *("Start Date", "Response Type", "Response ID", "User Language", "participant"),
        *("When were you born?\nPlease write day and month too.", "Your sex at birth", "File"),
    ]
    keys = ["startDate", "status", "_recordId", "userLanguage", "QID1_TEXT", "QID2", "QID3", "QID7"]
    answers = [
        [
            *("2026-03-02 09:30:00", "IP Address", f"R_{number}", "EN-GB", f"P{record}"),
            *(iso(born), sex, f"R_{number}_voice.wav"),
        ]
        for number, (record, born, sex) in enumerate(PEOPLE)
    ]
    return [names, questions, [json.dumps({"ImportId": key}) for key in keys], *answers]


def german() -> pd.DataFrame:
    """A table as a German hospital's Excel writes it."""
    return pd.DataFrame(
        [
            (
                f"P{record}",
                born,
                "w" if sex == "2" else "m",
                f"Prüfling_{record}.wav",
                "Köln",
                "3,5",
            )
            for record, born, sex in PEOPLE
        ],
        columns=["Teilnehmer", "Geburtsdatum", "Geschlecht", "Aufnahmedatei", "Ort", "Müdigkeit"],
    )


def wide() -> pd.DataFrame:
    """Three people with three visits in a row; the second person missed the last."""
    rows = [
        {
            "id": f"P{record}",
            "dob": iso(born),
            "sex": "F" if sex == "2" else "M",
            **{f"recording_t{visit}": f"P{record}_t{visit}.wav" for visit in (1, 2, 3)},
            **{f"phq9_t{visit}": str(visit + number) for visit in (1, 2, 3)},
        }
        for number, (record, born, sex) in enumerate(PEOPLE)
    ]
    rows[1]["recording_t3"] = ""
    return pd.DataFrame(rows, dtype="str")


def write(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    """Write rows of cells as CSV or Excel, the first of them being the names."""
    table = pd.DataFrame(rows[1:], columns=rows[0])
    if path.suffix == ".xlsx":
        table.to_excel(path, index=False)
    else:
        table.to_csv(path, index=False)
    return path


def rows_of(table: pd.DataFrame) -> list[list[str]]:
    """Give a table as rows of cells, the first of them being the names."""
    return [list(table.columns), *table.to_numpy().tolist()]


def write_spss(path: Path) -> Path:
    """Write a file of SPSS, in which sexes are codes with labels, and dates are dates."""
    table = pd.DataFrame(
        [
            (f"P{record}", pd.to_datetime(iso(born)).date(), 3.0 - float(sex), f"{record}.wav", float(group))
            for group, (record, born, sex) in enumerate(PEOPLE)
        ],
        columns=["vp", "geb", "sex", "datei", "gruppe"],
    )  # fmt: skip
    labels = {
        "sex": {1.0: "weiblich", 2.0: "männlich"},
        "gruppe": {0.0: "Warteliste", 1.0: "Kurs", 2.0: "Kurs mit Anruf"},
    }
    pyreadstat.write_sav(table, path, variable_value_labels=labels)
    return path


def kobo() -> pd.DataFrame:
    """An export of KoBo with names in place of labels: groups before names, and its own columns."""
    return pd.DataFrame(
        [
            {
                "start": "2026-03-02T09:30:00.000+01:00",
                "end": "2026-03-02T09:41:00.000+01:00",
                "person/participant_id": f"P{record}",
                "person/dob": iso(born),
                "person/sex": sex,
                "voice/voice_recording": f"{record}-9_30_1.wav",
                "voice/voice_recording_URL": f"https://kobo.example.org/media/{record}",
                "_id": str(1000 + number),
                "_uuid": f"0b7c{number}e1a",
                "_submission_time": "2026-03-02T08:41:10",
                "_index": str(number + 1),
            }
            for number, (record, born, sex) in enumerate(PEOPLE)
        ]
    )


def limesurvey() -> pd.DataFrame:
    """An export of LimeSurvey with the codes of questions as names."""
    return pd.DataFrame(
        [
            {
                "id": str(number + 1),
                "submitdate": "2026-03-02 09:41:10",
                "lastpage": "4",
                "startlanguage": "de",
                "seed": "1297452346",
                "token": f"tk{record}",
                "Geburtsdatum": f"{iso(born)} 00:00:00",
                "Geschlecht": sex,
                "Aufnahme": f"fu_{record}.wav",
            }
            for number, (record, born, sex) in enumerate(PEOPLE)
        ]
    )
