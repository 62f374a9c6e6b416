"""SPSS and Stata files, as pyreadstat reads them back."""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.errors import ResultsError
from helios_research.results import export
from helios_research.results.statistics_files import SPSS, STATA, valid_names

LEVELS = {
    0.0: "lowest of four levels",
    0.33: "second of four levels",
    0.66: "third of four levels",
    1.0: "highest of four levels",
}


def same_scores(read: pd.Series, was: pd.Series) -> bool:
    return np.array_equal(read.to_numpy(float), was.to_numpy(float), equal_nan=True)


def test_spss_has_values_labels_and_measures(study: pd.DataFrame, tmp_path: Path) -> None:
    path = export(study, tmp_path / "scores.sav", tags=["arm"])[0]
    read, meta = pyreadstat.read_sav(path)
    assert len(read) == len(study)
    assert same_scores(read["mental_strain"], study["mental_strain"])
    assert same_scores(read["distress"], study["distress"])
    assert meta.variable_value_labels["distress"] == LEVELS
    assert meta.variable_measure["distress"] == "ordinal"
    assert meta.variable_measure["mental_strain"] == "scale"
    outcome = read["outcome"].map(meta.variable_value_labels["outcome"])
    assert outcome.tolist() == study["outcome"].astype("str").tolist()
    sex = read["birth_sex"].map(meta.variable_value_labels["birth_sex"])
    assert sex.tolist() == study["birth_sex"].tolist()
    assert "Composite over all dimensions." in meta.column_names_to_labels["mental_strain"]
    assert meta.file_label.startswith("SYNTHETIC")
    assert (read["error_code"] == "").sum() == study["error_code"].isna().sum()
    off = (read["created_at"].dt.tz_localize("UTC") - study["created_at"]).abs()
    assert off.max() < pd.Timedelta(milliseconds=1)


def test_stata_has_labelled_levels_beside_the_scores(study: pd.DataFrame, tmp_path: Path) -> None:
    path = export(study, tmp_path / "scores.dta")[0]
    read, meta = pyreadstat.read_dta(path)
    assert same_scores(read["distress"], study["distress"])
    assert "distress" not in meta.variable_value_labels
    levels = pd.Series([0.0, 0.33, 0.66, 1.0])
    assert same_scores(read["distress_level"].map(levels), study["distress"])
    assert meta.variable_value_labels["distress_level"][1] == "0.33: second of four levels"
    outcome = read["outcome"].map(meta.variable_value_labels["outcome"])
    assert outcome.tolist() == study["outcome"].astype("str").tolist()
    assert read["created_at"].dt.tz_localize("UTC").dt.floor("ms").tolist() == [
        moment.floor("ms") for moment in study["created_at"]
    ]


def test_stata_files_are_also_read_by_pandas(study: pd.DataFrame, tmp_path: Path) -> None:
    path = export(study, tmp_path / "scores.dta")[0]
    read = pd.read_stata(path)
    assert read["outcome"].astype("str").tolist() == study["outcome"].astype("str").tolist()
    assert same_scores(read["mental_strain"], study["mental_strain"])


@pytest.mark.parametrize("ending", ["sav", "dta"])
def test_awkward_names_and_texts_survive(
    awkward: pd.DataFrame, tmp_path: Path, ending: str
) -> None:
    long_name = "hours of sleep in the week before the recording, as reported"
    table = awkward.rename(columns={"badge": long_name})
    files = export(table, tmp_path / f"scores.{ending}")
    read, meta = {"sav": pyreadstat.read_sav, "dta": pyreadstat.read_dta}[ending](files[0])
    assert read["user_label"].tolist() == table["user_label"].tolist()
    assert read["note"].fillna("").tolist() == table["note"].fillna("").tolist()
    assert same_scores(read["groe_in_cm"], table["größe in cm"])
    assert meta.column_names_to_labels["groe_in_cm"].startswith("größe in cm")
    renamed = {
        name: label for name, label in meta.column_names_to_labels.items() if long_name in label
    }
    assert len(renamed) == 1
    assert read[next(iter(renamed))].iloc[0] == str(2**60)
    assert meta.variable_value_labels["consented"] == {0: "false", 1: "true"}
    book = pd.read_csv(files[1]).set_index("column")
    assert book.loc["größe in cm", "in_file"] == "groe_in_cm"
    assert "Renamed: " in files[3].read_text(encoding="utf-8")


def test_a_spelling_of_sex_that_helios_does_not_know_keeps_its_own_label(
    awkward: pd.DataFrame, tmp_path: Path
) -> None:
    awkward["birth_sex"] = pd.Series(["f", "Male", "woman", None, "U", "INTERSEX"], dtype="str")
    read, meta = pyreadstat.read_sav(export(awkward, tmp_path / "scores.sav")[0])
    labels = read["birth_sex"].map(meta.variable_value_labels["birth_sex"])
    assert labels.fillna("").tolist() == ["FEMALE", "MALE", "WOMAN", "", "UNKNOWN", "INTERSEX"]


def test_infinite_numbers_and_endless_texts_are_said_so(
    awkward: pd.DataFrame, tmp_path: Path
) -> None:
    awkward["ratio"] = [float("inf"), 1.0, 2.0, 3.0, 4.0, 5.0]
    awkward.loc[0, "note"] = "ü" * 40_000
    files = export(awkward, tmp_path / "scores.sav")
    read, _ = pyreadstat.read_sav(files[0])
    assert pd.isna(read["ratio"].iloc[0])
    assert read["note"].iloc[0].startswith("üü")
    assert len(read["note"].iloc[0].encode()) <= 32_767
    readme = files[3].read_text(encoding="utf-8")
    assert "Missing here: 1 number infinite" in readme
    assert "Cut at 32,767 bytes: 1 text" in readme


READERS = {"sav": pyreadstat.read_sav, "dta": pyreadstat.read_dta}


@pytest.mark.parametrize("ending", ["sav", "dta"])
@pytest.mark.parametrize("length", [254, 255, 2_045, 2_046, 32_767])
def test_long_texts_beside_missing_ones_survive(
    awkward: pd.DataFrame, tmp_path: Path, ending: str, length: int
) -> None:
    """Such as transcripts: SPSS keeps 255 bytes and more, Stata 2,046 and more, in another way."""
    awkward["note"] = pd.Series(["x" * length, None, "", "y", None, "z"], dtype="str")
    read, _ = READERS[ending](export(awkward, tmp_path / f"scores.{ending}")[0])
    assert read["note"].tolist() == ["x" * length, "", "", "y", "", "z"]


@pytest.mark.parametrize(("ending", "limit"), [("sav", 1.797e308), ("dta", 8.988e307)])
def test_numbers_beyond_the_largest_are_missing_and_said_so(
    awkward: pd.DataFrame, tmp_path: Path, ending: str, limit: float
) -> None:
    awkward["ratio"] = [1.797_5e308, -1.797_5e308, limit, -limit, 5e-324, None]
    files = export(awkward, tmp_path / f"scores.{ending}")
    read, _ = READERS[ending](files[0])
    expected = [np.nan, np.nan, limit, -limit, 5e-324, np.nan]
    assert same_scores(read["ratio"], pd.Series(expected))
    assert "Missing here: 2 numbers infinite or beyond" in files[3].read_text(encoding="utf-8")


@pytest.mark.parametrize("ending", ["sav", "dta"])
def test_own_times_with_a_zone_are_in_utc_and_labelled_so(
    awkward: pd.DataFrame, tmp_path: Path, ending: str
) -> None:
    local = pd.Series(
        ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", None, *["2026-01-01"] * 3]
    )
    moments = pd.to_datetime(local, utc=True, format="ISO8601")
    awkward["woke"] = moments.dt.tz_convert("Europe/Berlin")
    awkward["slept"] = moments.dt.tz_localize(None)
    read, meta = READERS[ending](export(awkward, tmp_path / f"scores.{ending}")[0])
    for name in ("woke", "slept"):
        found = [None if pd.isna(cell) else cell.tz_localize("UTC") for cell in read[name]]
        assert found == [None if pd.isna(cell) else cell for cell in moments]
    assert meta.column_names_to_labels["woke"].endswith(" UTC.")
    assert not meta.column_names_to_labels["slept"].endswith(" UTC.")
    if ending == "sav":
        assert meta.variable_measure["woke"] == "scale"


@pytest.mark.parametrize("ending", ["sav", "dta"])
def test_columns_without_any_value_keep_their_type(
    awkward: pd.DataFrame, tmp_path: Path, ending: str
) -> None:
    for dtype in ("str", "float64", "Int64", "boolean", "datetime64[us]"):
        awkward[f"no_{dtype[:4]}"] = pd.Series([None] * 6, dtype=dtype)
    read, meta = READERS[ending](export(awkward, tmp_path / f"scores.{ending}")[0])
    kinds = {name: meta.readstat_variable_types[name] for name in read if name.startswith("no_")}
    assert kinds.pop("no_str") == "string"
    assert set(kinds.values()) == {"double"}
    assert read[list(kinds)].isna().all(axis=None)
    assert (read["no_str"] == "").all()


NAMES = (
    "sleep time",
    "sleep-time",
    "SLEEP_TIME",
    "str1",
    "str2_b",
    "with",
    "WITH",
    "1st",
    "",
    "日本",
)


@pytest.mark.parametrize("ending", ["sav", "dta"])
def test_three_hundred_columns_with_names_alike_or_reserved_are_told_apart(
    awkward: pd.DataFrame, tmp_path: Path, ending: str
) -> None:
    names = [*NAMES, *(f"item {number}" for number in range(300))]
    added = pd.DataFrame({name: [f"{place}"] * 6 for place, name in enumerate(names)}, dtype="str")
    files = export(pd.concat([awkward, added], axis="columns"), tmp_path / f"scores.{ending}")
    read, meta = READERS[ending](files[0])
    book = pd.read_csv(files[1], keep_default_na=False).set_index("column")["in_file"]
    assert list(read.columns) == book.tolist()
    for place, name in enumerate(names):
        assert read[book[name]].iloc[0] == str(place)
        if book[name] != name:
            assert meta.column_names_to_labels[book[name]].startswith(f"{name}: ")


def test_without_pyreadstat_a_sentence_says_how_to_get_it(
    awkward: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyreadstat", None)
    with pytest.raises(ResultsError, match=r"pip install 'helios-research\[spss\]'"):
        export(awkward, tmp_path / "scores.sav")
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_legal_stay_and_others_make_way() -> None:
    names = ["größe", "grosse", "Größe", "arm", "ARM", "2nd", "with", "byte", "名前", "a b", "a_b"]
    assert valid_names(names, STATA) == {
        "größe": "groe",
        "grosse": "grosse",
        "Größe": "Groe_2",
        "arm": "arm",
        "ARM": "ARM_2",
        "2nd": "v_2nd",
        "with": "v_with",
        "byte": "v_byte",
        "名前": "v",
        "a b": "a_b_2",
        "a_b": "a_b",
    }
    assert valid_names(["byte", "with"], SPSS) == {"byte": "byte", "with": "v_with"}


def test_what_begins_like_one_of_statas_types_of_text_gets_another_name(tmp_path: Path) -> None:
    """Items of a questionnaire on stress may be called str1, str2 and so on."""
    names = ["str1", "STR2", "str3_morning", "str", "stress1"]
    found = valid_names(names, STATA)
    assert found == {
        "str1": "v_str1",
        "STR2": "v_STR2",
        "str3_morning": "v_str3_morning",
        "str": "str",
        "stress1": "stress1",
    }
    assert valid_names(names, SPSS) == {name: name for name in names}
    pyreadstat.write_dta(pd.DataFrame([range(5)], columns=list(found.values())), tmp_path / "x.dta")
    assert list(pd.read_stata(tmp_path / "x.dta")) == list(found.values())


@given(st.lists(st.text(max_size=80), unique=True, max_size=12))
def test_any_names_become_legal_and_different(names: list[str]) -> None:
    for dialect in (SPSS, STATA):
        found = valid_names(names, dialect)
        assert sorted(found) == sorted(names)
        assert len({name.lower() for name in found.values()}) == len(names)
        for name in found.values():
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)
            assert len(name) <= dialect.longest_name
            assert not dialect.reserved.fullmatch(name.lower())
