"""Tables as programs export them, each from file to scores with one call and one submission."""

from pathlib import Path
from typing import Any

import pytest

from helios_research.cohort import read_cohort
from support import tables

SEXES = {"birth_sex": {"1": "MALE", "2": "FEMALE"}}
RECORDINGS = [f"recording_t{visit}" for visit in (1, 2, 3)]
BORN = {"1": "1986-03-14", "2": "1993-10-05", "007": "1971-02-28"}
SEX = {"1": "FEMALE", "2": "MALE", "007": "FEMALE"}


def _redcap(folder: Path) -> tuple[Path, dict[str, Any]]:
    columns = {"recording": "voice_file", "user_label": "record_id", "date_of_birth": "dob"}
    arguments = {"columns": columns | {"birth_sex": "sex"}, "values": SEXES}
    tables.redcap().to_csv(folder / "redcap.csv", index=False)
    return folder / "redcap.csv", arguments | {"fill_within": {"user_label": ["arm"]}}


def _qualtrics(folder: Path) -> tuple[Path, dict[str, Any]]:
    columns = {"recording": "Q7", "user_label": "participant", "date_of_birth": "Q2"}
    return tables.write(folder / "qualtrics.csv", tables.qualtrics()), {
        "columns": columns | {"birth_sex": "Q3", "language": "UserLanguage"},
        "values": SEXES | {"language": {"EN-GB": "en-GB"}},
    }


def _german(folder: Path) -> tuple[Path, dict[str, Any]]:
    table = tables.german()
    table.to_csv(folder / "Studie.csv", index=False, sep=";", encoding="cp1252")
    names = ["user_label", "date_of_birth", "birth_sex", "recording"]
    return folder / "Studie.csv", {
        "columns": dict(zip(names, table.columns, strict=False)),
        "values": {"birth_sex": {"m": "MALE", "w": "FEMALE"}},
        "date_format": "day first",
    }


def _wide(folder: Path) -> tuple[Path, dict[str, Any]]:
    columns = {"user_label": "id", "date_of_birth": "dob", "birth_sex": "sex"}
    return tables.write(folder / "wide.xlsx", tables.rows_of(tables.wide())), {
        "columns": columns,
        "wide": {"recording": RECORDINGS, "phq9": [f"phq9_t{visit}" for visit in (1, 2, 3)]},
    }


def _spss(folder: Path) -> tuple[Path, dict[str, Any]]:
    return tables.write_spss(folder / "study.sav"), {
        "columns": {
            "user_label": "vp", "date_of_birth": "geb", "birth_sex": "sex", "recording": "datei",
        },
        "values": {"birth_sex": {"männlich": "MALE", "weiblich": "FEMALE"}},
    }  # fmt: skip


# What each table gives: participants and levels of one own column, row by row.
EXPECTED: dict[str, tuple[Any, list[str], str, list[str]]] = {
    "redcap": (_redcap, ["1", "1", "2", "007", "007", "007"], "arm", ["night"] * 2 + ["day"] + ["night"] * 3),
    "qualtrics": (_qualtrics, ["P1", "P2", "P007"], "ResponseId", ["R_0", "R_1", "R_2"]),
    "german": (_german, ["P1", "P2", "P007"], "Müdigkeit", ["3,5"] * 3),
    "wide": (_wide, ["P1"] * 3 + ["P2"] * 2 + ["P007"] * 3, "visit", ["t1", "t2", "t3", "t1", "t2", "t1", "t2", "t3"]),
    "spss": (_spss, ["P1", "P2", "P007"], "gruppe", ["Warteliste", "Kurs", "Kurs mit Anruf"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_table_goes_from_file_to_scores(
    kind, tmp_path, speech, as_wav, make_sandbox, make_study, quick
):
    make, people, name, levels = EXPECTED[kind]
    path, arguments = make(tmp_path)
    if "language" not in arguments["columns"]:
        arguments["constants"] = {"language": "en-GB"}
    cohort = read_cohort(path, **arguments)
    for place in map(Path, cohort.fields["recording"]):
        place.write_bytes(as_wav(speech, place.name))
    sandbox = make_sandbox()
    results = make_study(sandbox).submit(read_cohort(path, **arguments), **quick)
    assert results["outcome"].tolist() == ["scored"] * len(people)
    assert results["mental_strain"].between(0, 1).all()
    records = [person.removeprefix("P") for person in people]
    found = {name: results[name].tolist() for name in ("user_label", "date_of_birth", "birth_sex")}
    assert found == {
        "user_label": people,
        "date_of_birth": [BORN[record] for record in records],
        "birth_sex": [SEX[record] for record in records],
    }
    assert results[name].astype(str).tolist() == levels
    sent = sorted(
        (request["user"]["userLabel"], request["user"]["dateOfBirth"], request["user"]["birthSex"])
        for request in map(sandbox.log.request_of, sandbox.log.puts)
    )
    assert sent == sorted(zip(*found.values(), strict=True))
