"""A study takes a cohort, a DataFrame or the path of a table, and leaves nothing where it cannot."""

import inspect
import os
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import helios_research as hr
from helios_research.errors import CohortError, StudyMissingError

DECLARED = {
    "columns": {"user_label": "Teilnehmer", "date_of_birth": "Geburtsdatum", "birth_sex": "Geschlecht"},
    "values": {"birth_sex": {"w": "FEMALE", "m": "MALE"}},
    "date_format": "day first",
    "order": {"arm": ["night", "day"]},
    "tags": ["arm"],
}  # fmt: skip


@pytest.fixture
def german(make_cohort) -> pd.DataFrame:
    """A table as a German hospital writes it."""
    return make_cohort(
        2,
        user_label=["P1", "P2"],
        date_of_birth=["14.03.1986", "05.10.1993"],
        birth_sex=["w", "m"],
    ).rename(columns={field: own for own, field in _own().items()})


def _own() -> dict[str, str]:
    return {own: field for field, own in DECLARED["columns"].items()}


def test_a_table_is_submitted_with_its_mapping(german, make_sandbox, make_study, quick, tmp_path):
    path = tmp_path / "manifest.csv"
    relative = [os.path.relpath(place, tmp_path) for place in german["recording"]]
    german.assign(recording=relative).to_csv(path, index=False, sep=";", encoding="cp1252")
    tables = {
        "frame": german,
        "file": str(path),
        "path": path,
        "polars": pl.from_pandas(german),
        "duckdb": duckdb.sql("select * from german"),
        "arrow": pa.Table.from_pandas(german),
    }
    for name, table in tables.items():
        sandbox = make_sandbox()
        study = make_study(sandbox, name)
        assert study.preflight(table, **DECLARED, progress=False)["verdict"].tolist() == ["ok"] * 2
        results = study.submit(table, **DECLARED, **quick)
        assert results["outcome"].tolist() == ["scored", "scored"]
        assert results["birth_sex"].tolist() == ["FEMALE", "MALE"]
        assert study.cohort.tags == ("arm",)
        assert results["arm"].cat.categories.tolist()[:2] == ["night", "day"]


@pytest.mark.parametrize(
    ("table", "arguments", "sentence"),
    [
        ([1, 2], {}, "A cohort is read from a DataFrame"),
        ("no.csv", {}, "no.csv cannot be read: there is no such file."),
        (pd.DataFrame({"file": ["a.wav"]}), {}, "The DataFrame lacks the columns recording"),
        (pd.DataFrame({"file": ["a.wav"]}), {"sheet": "x"}, "sheet= cannot be used here"),
        (None, {"tags": "arm"}, "tags= cannot be used here: a cohort was read already"),
    ],
)
def test_what_cannot_be_understood_leaves_nothing_on_disk(
    tmp_path: Path, make_sandbox, quick, table, arguments, sentence
):
    study = hr.Study(tmp_path / "study", client=make_sandbox().client())
    options = {"progress": False, **quick}
    for act in (
        lambda: study.submit(table, **arguments, **options),
        lambda: study.start(table, **arguments),
        lambda: study.preflight(table, **arguments),
    ):
        with pytest.raises(CohortError) as caught:
            act()
        assert sentence in str(caught.value)
    assert not study.folder.exists()


def test_a_study_without_a_cohort_is_not_begun_by_asking(tmp_path: Path, make_sandbox):
    study = hr.Study(tmp_path / "study", client=make_sandbox().client())
    for act in (study.submit, study.start, study.preflight):
        with pytest.raises(StudyMissingError):
            act()
    assert not study.folder.exists()


@pytest.mark.parametrize(
    "call",
    [
        *(hr.Study.preflight, hr.Study.submit, hr.Study.start, hr.Study.invite),
        *(hr.Cohort.from_frame, hr.widgets.CohortMapper),
    ],
)
def test_whatever_takes_a_table_shows_the_options_of_read_cohort(call) -> None:
    options = dict(inspect.signature(hr.read_cohort).parameters)
    options.pop("path")
    shown = inspect.signature(call).parameters
    assert {name: shown[name] for name in options} == options


def test_an_option_that_does_not_exist_is_refused(tmp_path) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'tag'"):
        hr.Study(tmp_path / "study").submit("manifest.csv", tag=["arm"])
