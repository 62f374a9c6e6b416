"""One door to every format, with a codebook and a README beside the file."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from helios_research.errors import ResultsError, StudyStorageError
from helios_research.results import export

FORMATS = ("parquet", "csv", "xlsx", "sav", "dta")


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_comes_with_codebook_and_readme(
    awkward: pd.DataFrame, tmp_path: Path, ending: str
) -> None:
    files = export(awkward, tmp_path / f"scores.{ending}", provenance={"study": "night-shift"})
    assert [path.name for path in files] == [
        f"scores.{ending}",
        f"scores.{ending}.codebook.csv",
        f"scores.{ending}.codebook.md",
        f"scores.{ending}.README.md",
    ]
    assert sorted(tmp_path.iterdir()) == sorted(files), "nothing unfinished is left behind"
    book = pd.read_csv(files[1])
    # Stata's file has five columns more: the bucketed scores as labelled levels.
    assert len(book) == awkward.shape[1] + (5 if ending == "dta" else 0)
    assert "# Codebook of scores" in files[2].read_text(encoding="utf-8")
    assert "night-shift" in files[3].read_text(encoding="utf-8")


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("long", [False, True])
def test_an_empty_table_and_a_long_one_can_be_written_in_every_format(
    study: pd.DataFrame, tmp_path: Path, ending: str, long: bool
) -> None:
    for rows in (0, 7):
        files = export(study.head(rows), tmp_path / f"x.{ending}", ages=True, long=long)
        assert files[0].stat().st_size > 0


def test_parquet_read_back_by_two_readers_is_what_it_was(
    study: pd.DataFrame,
    study_path: Path,
    tmp_path: Path,
    ask_duckdb: Callable[[str, Path], pd.DataFrame],
) -> None:
    path = export(study_path, tmp_path / "scores.parquet")[0]
    by_polars = pl.read_parquet(path)
    by_duckdb = ask_duckdb(
        "select recording_id, user_label, mental_strain, distress, arm from read_parquet(?)", path
    )
    for name in by_duckdb.columns:
        expected = [None if pd.isna(cell) else cell for cell in study[name]]
        assert by_polars[name].to_list() == expected
        assert [None if pd.isna(cell) else cell for cell in by_duckdb[name]] == expected
    footer = json.loads(pq.read_schema(path).metadata[b"helios_research"])
    assert footer["tags"] == ["arm", "site", "visit"]
    assert footer["columns"]["arm"]["meaning"] == "Your own column, unchanged."


def test_a_long_parquet_file_with_ages_says_what_its_columns_are(
    study_path: Path, tmp_path: Path
) -> None:
    path = export(study_path, tmp_path / "long.parquet", ages=True, long=True)[0]
    read = pl.read_parquet(path)
    assert read.columns[:4] == ["recording_id", "recording", "user_label", "age_at_recording"]
    assert read.schema["value"] == pl.Float64
    assert read.schema["age_at_recording"] == pl.Int64
    footer = json.loads(pq.read_schema(path).metadata[b"helios_research"])
    assert footer["columns"]["age_at_recording"]["unit"] == "years"


@pytest.mark.parametrize("ending", FORMATS)
def test_with_ages_no_file_holds_a_date_of_birth(
    study: pd.DataFrame, tmp_path: Path, ending: str
) -> None:
    table = study.head(20).assign(dob=study["date_of_birth"])
    for path in export(table, tmp_path / f"scores.{ending}", ages=True):
        written = path.read_bytes()
        for date in table["date_of_birth"].unique():
            assert date.encode() not in written


def test_the_tags_of_the_file_are_marked_in_the_codebook(study_path: Path, tmp_path: Path) -> None:
    book = pd.read_csv(export(study_path, tmp_path / "scores.csv")[1]).set_index("column")
    assert book.loc["site", "origin"] == "yours, sent as a tag"
    book = pd.read_csv(export(study_path, tmp_path / "scores.csv", tags=["arm"])[1])
    assert set(book.set_index("column").loc[["site", "visit"], "origin"]) == {"yours"}


def test_an_unknown_ending_is_refused_with_those_that_are_known(
    study: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(ResultsError, match=r"'\.rds'.*\.parquet, \.csv, \.xlsx, \.sav, \.dta"):
        export(study, tmp_path / "scores.rds")


REPLACED = "are replaced by U+FFFD (\ufffd)."
NOTES = {
    "formula": (
        "csv",
        {"own": "=1+1"},
        "An apostrophe is added in front of 1 cell that a spreadsheet would run as a formula; you "
        "can remove it (see above).",
    ),
    "control character": ("csv", {"own": "a\x07"}, f"Control characters in 1 cell {REPLACED}"),
    "name of a column": (
        "csv",
        {"a\x07": "x"},
        f"Control characters in the names of 1 column {REPLACED}",
    ),
    "long cell": (
        "xlsx",
        {"own": "y" * 32_768},
        "Cut at 32,767 characters, the maximum of an Excel cell: 1 text; a .csv or .parquet file "
        "has the full text.",
    ),
    "long text": (
        "dta",
        {"own": "y" * 32_768},
        "Cut at 32,767 bytes: 1 text; a .csv or .parquet file has the full text.",
    ),
    "infinite": (
        "sav",
        {"own": float("inf")},
        "Missing here: 1 number infinite or beyond ±1.797e+308, which SPSS cannot hold.",
    ),
    "invalid name": (
        "dta",
        {"größe": 1},
        "Renamed: 1 column whose name Stata does not accept; the variable labels and the codebook "
        "give the original one.",
    ),
}


@pytest.mark.parametrize("case", NOTES)
def test_the_readme_has_a_sentence_for_each_change_of_the_table(
    study: pd.DataFrame, tmp_path: Path, case: str
) -> None:
    ending, own, sentence = NOTES[case]
    columns = ["recording_id", "outcome", "mental_strain"]
    table = study.head(1)[columns].assign(**own)
    readme = export(table, tmp_path / f"scores.{ending}")[3].read_text(encoding="utf-8")
    assert f"- {sentence}" in readme.splitlines()


def test_a_missing_folder_is_a_sentence(study: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(
        StudyStorageError, match=r"no such file or directory\. Make its folder first"
    ):
        export(study, tmp_path / "nowhere" / "scores.csv")


def test_a_file_that_cannot_be_finished_leaves_the_old_one(
    study: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("old", encoding="utf-8")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(StudyStorageError, match=r"no space left on device\. Free some space"):
        export(study, path)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_results_give_the_same_bytes(study: pd.DataFrame, tmp_path: Path) -> None:
    first, second = (export(study, tmp_path / name)[0] for name in ("a.csv", "b.csv"))
    assert first.read_bytes() == second.read_bytes()


def test_describing_results_does_not_load_the_ledger_or_the_network() -> None:
    code = (
        "import sys; import helios_research.results.codebook, helios_research.results.files;"
        "found = {'sqlite3', 'httpx', 'helios_research.ledger'} & set(sys.modules);"
        "print(found); sys.exit(len(found))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
