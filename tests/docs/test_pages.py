"""The lines of the documentation and README run as they are pasted, on tables as they describe them."""

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import matplotlib as mpl
import pandas as pd
import pytest

import helios_research as hr
from helios_research.sandbox import SandboxSettings
from support import tables

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = {
    path.relative_to(DOCS.parent).as_posix(): found
    for path in sorted([*DOCS.rglob("*.md"), DOCS.parent / "README.md"])
    if "generated" not in path.parts
    and (
        found := re.findall(
            r"^ *```python\n(.*?)```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
    )
}
# Rows that each table of the pages gives.
ROWS = {
    "redcap.csv": 6, "qualtrics.csv": 3, "kobo.csv": 3, "Studie.csv": 3, "study.sav": 3,
    "wide.xlsx": 8, "visits.csv": 3, "codes.csv": 3, "recordings/manifest.csv": 3, "study.csv": 3,
    "people.csv": 3,
}  # fmt: skip
READS = re.compile(r'(?<!\.frame)read_cohort\(\s*"([^"]+)"')


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_cohort) -> Path:
    """A folder with the pages' tables, and with a recording for each cell that names one."""
    visits = make_cohort(3).assign(visit=["post", "follow-up", "pre"], site=["A", "A", "B"])
    visits["user_label"] = ["P01", "P02", "P03"]
    names = visits["recording"].map(lambda path: Path(path).name)
    visits.assign(recording=names).to_csv(tmp_path / "recordings" / "manifest.csv", index=False)
    visits.to_csv(tmp_path / "visits.csv", index=False)
    people = visits[["user_label", "date_of_birth", "birth_sex", "language"]]
    people.to_csv(tmp_path / "people.csv", index=False)
    renamed = visits.rename(columns={"user_label": "participant", "recording": "file"})
    renamed.drop(columns="language").to_csv(tmp_path / "study.csv", index=False)
    patients = visits.rename(columns={"user_label": "participant"})
    patients.assign(recording=names).to_csv(tmp_path / "recordings" / "patients.csv", index=False)
    born, sexes = ["14 Mar 1986", "5 Oct 1993", "28 Feb 1971"], ["1", "0", "9"]
    codes = visits.assign(date_of_birth=born, birth_sex=sexes)
    codes = codes.assign(accent="-99", recording_time=["3/14/2026 9:30", "3/15/2026 9:30", ""])
    codes.to_csv(tmp_path / "codes.csv", index=False)
    tables.german().to_csv(tmp_path / "Studie.csv", index=False, sep=";", encoding="cp1252")
    tables.kobo().to_csv(tmp_path / "kobo.csv", index=False, sep=";")
    tables.redcap().to_csv(tmp_path / "redcap.csv", index=False)
    tables.write(tmp_path / "wide.xlsx", tables.rows_of(tables.wide()))
    tables.write(tmp_path / "qualtrics.csv", tables.qualtrics())
    tables.write_spss(tmp_path / "study.sav")
    for folder in ("documents", "keys"):
        (tmp_path / folder).mkdir()
    both = [tables.german(), tables.kobo(), tables.wide(), tables.redcap()]
    named = [cell for table in both for cell in table.to_numpy().ravel()]
    named += [cells[-1] for cells in tables.qualtrics()] + [
        f"{person[0]}.wav" for person in tables.PEOPLE
    ]
    for cell in {cell for cell in named if cell.endswith(".wav")}:
        for folder in (tmp_path, tmp_path / "documents"):
            (folder / cell).write_bytes(b"RIFF" + cell.encode())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.print", lambda *_: None)
    mpl.use("agg")
    return tmp_path


@pytest.fixture(params=BLOCKS)
def page(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def known(here: Path, page: str) -> Iterator[dict[str, object]]:
    """What a page has above its lines: a study, and its cohort and results, where it needs them."""
    if not re.search(r"\b(study|results|cohort)\b(?! = )", "".join(BLOCKS[page])):
        yield {"hr": hr, "pd": pd}
        return
    with hr.Sandbox(SandboxSettings(processing_s=0.1, pickup_s=0.02)) as sandbox:
        study = hr.Study(here / "study", client=sandbox.client())
        cohort = hr.read_cohort("visits.csv")
        results = study.submit(cohort, progress=False)
        table = pd.read_csv("visits.csv", dtype="str")
        yield {
            "hr": hr, "pd": pd, "study": study, "cohort": cohort, "results": results,
            "table": table.assign(participant=table["user_label"]),
        }  # fmt: skip
        if (done := study.submission) is not None:
            done.wait()


@pytest.mark.filterwarnings("ignore:A new key was made:UserWarning")
def test_lines_run_as_pasted(known, page):
    for block in BLOCKS[page]:
        exec(dedent(block), known)  # noqa: S102 - pasting it is the test
        for name in READS.findall(block) if page.startswith("docs/table") else ():
            cohort = known["cohort"]
            assert cohort.is_valid.all(), cohort.issues
            assert len(cohort) == ROWS[name]
            if name == "visits.csv":
                assert list(cohort.frame["visit"].cat.categories) == ["pre", "post", "follow-up"]


def test_every_table_of_the_pages_is_tried():
    named = {name for blocks in BLOCKS.values() for name in READS.findall("".join(blocks))}
    assert named == set(ROWS)
