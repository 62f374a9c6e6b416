"""What is not declared is refused with its declaration, and pasting that makes the table right."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helios_research.cohort import Cohort, read_cohort
from helios_research.errors import ColumnsError
from support import tables

DECLARATION = re.compile(
    r"\b(columns|constants|values|date_format|wide|fill_within)="
    r"(\{(?:[^{}]|\{[^{}]*\})*\}|\[[^]]*\]|\"[^\"]*\")"
)
# What only the researcher knows, and writes in place of "…".
KNOWN = {
    "language": "en-GB",
    "user_label": "id",
    "birth_sex": {"1": "MALE", "2": "FEMALE", "w": "FEMALE"},
}
MOST_ROUNDS = 5


def declared_in(sentences: str) -> dict[str, Any]:
    """Read the declarations that messages offer, with what only the researcher knows."""
    found: dict[str, Any] = {}
    for name, text in DECLARATION.findall(sentences):
        given = ast.literal_eval(text)
        if name in ("columns", "constants"):
            given = {
                field: KNOWN[field] if value == "…" else value for field, value in given.items()
            }
        if name == "values":
            given = {
                field: {code: KNOWN[field][code] if meaning == "…" else meaning for code, meaning in codes.items()}
                for field, codes in given.items()
            }  # fmt: skip
        found.setdefault(name, given)
    return found


def follow(path: Path, **arguments: Any) -> tuple[Cohort, dict[str, Any]]:
    """Do what the messages say until no row has an error."""
    for _ in range(MOST_ROUNDS):
        try:
            cohort = read_cohort(path, **arguments)
        except ColumnsError as error:
            offered = declared_in(str(error))
        else:
            errors = cohort.issues.causes.query("severity == 'error'")
            if errors.empty:
                return cohort, arguments
            offered = declared_in(" ".join(errors["remedy"]))
        assert offered, "No message has a line to paste."
        assert any(arguments.get(name) != given for name, given in offered.items())
        arguments = arguments | offered
        if "wide" in offered:
            arguments["columns"] = {
                field: name
                for field, name in arguments.get("columns", {}).items()
                if field != "recording"
            }
    pytest.fail(f"After {MOST_ROUNDS} rounds: {arguments}")


@pytest.fixture
def files(tmp_path: Path) -> Callable[[list[list[str]]], None]:
    """Write a file for each recording that a table names."""

    def write(rows: list[list[str]]) -> None:
        for cell in (cell for cells in rows for cell in cells if cell.endswith(".wav")):
            (tmp_path / cell).write_bytes(f"RIFF {cell}".encode())

    return write


SEXES = {"birth_sex": {"1": "MALE", "2": "FEMALE"}}


@pytest.mark.parametrize("labelled", [False, True])
def test_redcap(tmp_path, files, labelled):
    rows = tables.rows_of(tables.redcap(labelled=labelled))
    files(rows)
    cohort, arguments = follow(tables.write(tmp_path / "redcap.csv", rows))
    assert arguments.pop("columns")["user_label"] == ("Record ID" if labelled else "record_id")
    values = {} if labelled else {"values": SEXES}
    assert arguments == {
        "constants": {"language": "en-GB"}, "fill_within": "user_label", **values,
    }  # fmt: skip
    assert cohort.fields["user_label"].tolist() == ["1", "1", "2", "007", "007", "007"]
    assert cohort.fields["birth_sex"].tolist() == ["FEMALE", "FEMALE", "MALE", *["FEMALE"] * 3]
    assert cohort.fields["date_of_birth"].tolist()[2:4] == ["1993-10-05", "1971-02-28"]


def test_a_german_table(tmp_path, files):
    table = tables.german()
    files(tables.rows_of(table))
    path = tmp_path / "Studie.csv"
    table.to_csv(path, index=False, sep=";", encoding="cp1252")
    cohort, arguments = follow(path)
    assert arguments == {
        "columns": {
            "recording": "Aufnahmedatei", "user_label": "Teilnehmer",
            "date_of_birth": "Geburtsdatum", "birth_sex": "Geschlecht",
        },
        "constants": {"language": "en-GB"},
        "values": {"birth_sex": {"w": "FEMALE"}},
        "date_format": "day first",
    }  # fmt: skip
    assert cohort.fields["date_of_birth"].tolist() == ["1986-03-14", "1993-10-05", "1971-02-28"]
    assert cohort.fields["birth_sex"].tolist() == ["FEMALE", "MALE", "FEMALE"]


@pytest.mark.parametrize(
    "columns", [{}, {"recording": ["recording_t1", "recording_t2", "recording_t3"]}]
)
def test_a_wide_table(tmp_path, files, columns):
    rows = tables.rows_of(tables.wide())
    files(rows)
    cohort, arguments = follow(tables.write(tmp_path / "wide.csv", rows), columns=columns)
    assert arguments["wide"] == ["recording_t1", "recording_t2", "recording_t3"]
    assert cohort.fields["user_label"].tolist() == ["P1"] * 3 + ["P2"] * 2 + ["P007"] * 3
    assert cohort.frame["visit"].tolist() == ["t1", "t2", "t3", "t1", "t2", "t1", "t2", "t3"]


def test_qualtrics(tmp_path, files):
    rows = tables.qualtrics()
    files(rows)
    rows[0][5:] = ["dob", "sex", "file"]
    path = tables.write(tmp_path / "qualtrics.csv", rows)
    cohort, arguments = follow(path)
    assert arguments["columns"]["language"] == "UserLanguage"
    assert arguments["values"] == SEXES | {"language": {"EN-GB": "en-GB"}}
    assert cohort.fields["birth_sex"].tolist() == ["FEMALE", "MALE", "FEMALE"]


@pytest.mark.parametrize(
    ("kind", "columns", "people"),
    [
        (
            "kobo",
            {"recording": "voice/voice_recording", "user_label": "person/participant_id"},
            ["P1", "P2", "P007"],
        ),
        ("limesurvey", {"user_label": "token", "language": "startlanguage"}, ["tk1", "tk2", "tk007"]),
    ],
)  # fmt: skip
def test_other_programs(tmp_path, files, kind, columns, people):
    table = getattr(tables, kind)()
    files(tables.rows_of(table))
    path = tmp_path / "export.csv"
    table.to_csv(path, index=False, sep=";", encoding="utf-8-sig")
    cohort, arguments = follow(path)
    assert arguments["columns"].items() >= columns.items()
    assert cohort.fields["user_label"].tolist() == people
    assert cohort.fields["birth_sex"].tolist() == ["FEMALE", "MALE", "FEMALE"]
    assert cohort.fields["date_of_birth"].tolist() == ["1986-03-14", "1993-10-05", "1971-02-28"]
