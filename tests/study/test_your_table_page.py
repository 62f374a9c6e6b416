"""The lines of docs/your_table.md run as they are pasted, on tables as the page describes them."""

import re
from pathlib import Path

import pytest

import helios_research as hr
from support import tables

PAGE = Path(__file__).parents[2] / "docs" / "your_table.md"
SECTIONS = dict(
    re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
)
BLOCKS = [
    pytest.param(section, block, id=f"{section} {number}")
    for section, text in SECTIONS.items()
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL), start=1)
]
# Rows that each of the page's tables gives.
ROWS = {
    "redcap.csv": 6, "qualtrics.csv": 3, "kobo.csv": 3, "Studie.csv": 3, "study.sav": 3,
    "wide.xlsx": 8, "visits.csv": 3, "codes.csv": 3,
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_cohort) -> Path:
    """A folder with the page's tables, and with a recording for each cell that names one."""
    visits = make_cohort(3, folder=".").assign(visit=["post", "follow-up", "pre"])
    visits.to_csv(tmp_path / "visits.csv", index=False)
    born, sexes = ["14 Mar 1986", "5 Oct 1993", "28 Feb 1971"], ["1", "0", "9"]
    codes = visits.assign(user_label=["P1", "P2", "P3"], date_of_birth=born, birth_sex=sexes)
    codes = codes.assign(accent="-99", recording_time=["3/14/2026 9:30", "3/15/2026 9:30", ""])
    codes.to_csv(tmp_path / "codes.csv", index=False)
    tables.german().to_csv(tmp_path / "Studie.csv", index=False, sep=";", encoding="cp1252")
    tables.kobo().to_csv(tmp_path / "kobo.csv", index=False, sep=";")
    tables.redcap().to_csv(tmp_path / "redcap.csv", index=False)
    tables.write(tmp_path / "wide.xlsx", tables.rows_of(tables.wide()))
    tables.write(tmp_path / "qualtrics.csv", tables.qualtrics())
    tables.write_spss(tmp_path / "study.sav")
    (tmp_path / "documents").mkdir()
    both = [tables.german(), tables.kobo(), tables.wide(), tables.redcap()]
    named = [cell for table in both for cell in table.to_numpy().ravel()]
    named += [cells[-1] for cells in tables.qualtrics()] + [
        f"{person[0]}.wav" for person in tables.PEOPLE
    ]
    for cell in {cell for cell in named if cell.endswith(".wav")}:
        for folder in (tmp_path, tmp_path / "documents"):
            (folder / cell).write_bytes(b"RIFF" + cell.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("section", "block"), BLOCKS)
def test_lines_run_as_pasted(here, make_sandbox, make_study, section, block):
    study = make_study(make_sandbox())
    # What the page has above these lines.
    known = {"hr": hr, "study": study, "cohort": hr.read_cohort("visits.csv")}
    exec(block, known)  # noqa: S102 - pasting it is the test
    if "results" in known:
        assert known["results"]["outcome"].tolist() == ["scored"] * 3
        return
    cohort = known["cohort"]
    (name,) = re.findall(r'read_cohort\(\s*"([^"]+)"', block)
    assert cohort.is_valid.all(), cohort.issues
    assert len(cohort) == ROWS[name]
    if name == "visits.csv":
        assert list(cohort.frame["visit"].cat.categories) == ["pre", "post", "follow-up"]


def test_every_table_of_the_page_is_tried():
    named = re.findall(r'read_cohort\(\s*"([^"]+)"', PAGE.read_text("utf-8"))
    assert set(named) == set(ROWS)
