"""SPSS and Stata files: what the program shows is what is read."""

from datetime import date, datetime, time

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from helios_research.cohort import read_cohort
from helios_research.cohort.reading import read_table
from helios_research.errors import UnreadableTableError

DATA = {
    "recording": ["a.wav", "b.wav", "c.wav"],
    "user_label": ["007", "8", "P 03"],
    "sex": [1.0, 2.0, 1.0],
    "born": [date(1985, 3, 14), date(1990, 1, 2), date(1979, 12, 31)],
    "recording_time": [
        datetime(2026, 1, 5, 7, 45),  # noqa: DTZ001  # SPSS and Stata know no zones
        datetime(2026, 1, 5, 8, 0),  # noqa: DTZ001
        datetime(2026, 1, 6, 0, 0),  # noqa: DTZ001
    ],
    "bedtime": [time(23, 15), None, time(0, 30)],
    "arm": [2.0, 1.0, 9.0],
    "age": [41.0, 99.0, -95.0],
    "score": [1.5, np.nan, 2.0],
    "site": [7.0, 12.0, np.nan],
}
LABELS = {"sex": {1: "male", 2: "female"}, "arm": {1: "waiting", 2: "active", 9: "not asked"}}
MAPPING = {"columns": {"birth_sex": "sex", "date_of_birth": "born"}}


@pytest.fixture
def make(tmp_path):
    """Write a file of SPSS or Stata."""

    def writing(name="m.sav", data=DATA, **options):
        write = pyreadstat.write_dta if name.endswith("dta") else pyreadstat.write_sav
        options.setdefault("variable_value_labels", LABELS)
        if name.endswith("sav"):
            missing = {"arm": [9], "age": [99, {"lo": -99, "hi": -90}]}
            options.setdefault("missing_ranges", missing)
        write(pd.DataFrame(data), str(tmp_path / name), **options)
        return tmp_path / name

    return writing


def read(path):
    return read_table(path, sheet=None, expected=()).frame


def texts(path, name):
    return [None if pd.isna(cell) else str(cell) for cell in read(path)[name]]


@pytest.mark.parametrize("name", ["m.sav", "m.zsav", "m.dta"])
def test_a_file_gives_a_good_cohort_in_one_call(make, folder, name):
    path = make(name).rename(folder / name)
    cohort = read_cohort(path, **MAPPING, constants={"language": "de"}, tags=["arm"])
    assert cohort.issues.rows.empty
    assert cohort.fields["user_label"].tolist() == ["007", "8", "P 03"]
    assert cohort.fields["birth_sex"].tolist() == ["MALE", "FEMALE", "MALE"]
    assert cohort.fields["date_of_birth"].tolist() == ["1985-03-14", "1990-01-02", "1979-12-31"]
    assert cohort.fields["recording_time"].tolist() == [
        "2026-01-05T07:45:00",
        "2026-01-05T08:00:00",
        "2026-01-06T00:00:00",
    ]
    assert cohort.tag_values["arm"].tolist()[:2] == ["active", "waiting"]
    assert cohort.row_numbers.tolist() == [1, 2, 3]


def test_a_cohort_from_spss_is_saved_and_loaded_without_loss(make, folder, tmp_path):
    path = make(data=DATA | {"bedtime": [time(23, 15)] * 3}).rename(folder / "m.sav")
    cohort = read_cohort(path, **MAPPING, constants={"language": "de"}, tags=["arm"])
    cohort.save(tmp_path / "cohort.parquet")
    loaded = type(cohort).load(tmp_path / "cohort.parquet")
    pd.testing.assert_frame_equal(loaded.frame, cohort.frame)


def test_a_portable_file_of_spss_is_read(tmp_path):
    frame = pd.DataFrame({"ID": ["007"], "SEX": [1.0], "BORN": [date(1985, 3, 14)]})
    pyreadstat.write_por(frame, str(tmp_path / "m.por"))
    assert read(tmp_path / "m.por").to_numpy().tolist() == [["007", 1, date(1985, 3, 14)]]


def test_labels_are_the_values_in_the_order_of_their_codes(make):
    sex = read(make())["sex"]
    assert sex.tolist() == ["male", "female", "male"]
    assert sex.dtype == pd.CategoricalDtype(["male", "female"], ordered=True)
    arm = read(make())["arm"]
    assert arm.dtype.categories.tolist() == ["waiting", "active"]


def test_values_without_a_label_stay_numbers(make):
    path = make(variable_value_labels={"age": {41: "forty-one"}}, missing_ranges={})
    assert texts(path, "age") == ["forty-one", "99", "-95"]
    path = make(variable_value_labels={"age": {98: "refused"}}, missing_ranges={})
    assert texts(path, "age") == ["41", "99", "-95"]


def test_a_blank_label_hides_no_code_and_one_label_may_be_of_several(make):
    path = make(variable_value_labels={"sex": {1: " ", 2: "female"}})
    assert texts(path, "sex") == ["1", "female", "1"]
    path = make(variable_value_labels={"sex": {1: "adult", 2: "adult"}})
    assert texts(path, "sex") == ["adult"] * 3


def test_labels_of_text_are_read_too(make):
    path = make(variable_value_labels={"user_label": {"007": "seven", "8": "eight"}})
    assert texts(path, "user_label") == ["seven", "eight", "P 03"]


def test_declared_missing_values_are_blank(make):
    path = make()
    assert texts(path, "arm") == ["active", "waiting", None]
    assert texts(path, "age") == ["41", None, None]
    path = make(missing_ranges={"user_label": ["8"]})
    assert texts(path, "user_label") == ["007", None, "P 03"]


def test_missing_values_of_stata_are_blank(make):
    path = make("m.dta", DATA | {"age": [41, "a", "z"]}, missing_user_values={"age": ["a", "z"]})
    assert texts(path, "age") == ["41", None, None]
    assert texts(make("m.dta"), "score") == ["1.5", None, "2.0"]


def test_numbers_have_no_point_unless_one_of_them_is_a_fraction(make):
    table = read(make())
    assert table["site"].tolist()[:2] == [7, 12]
    assert str(table["site"].dtype) == "Int64"
    assert str(table["score"].dtype) == "float64"


@pytest.mark.parametrize(("name", "form"), [("m.sav", "N3"), ("m.dta", "%03.0f")])
def test_numbers_shown_with_leading_zeros_keep_them(make, name, form):
    assert texts(make(name, variable_format={"site": form}), "site") == ["007", "012", None]


@pytest.mark.parametrize("form", ["DATE11", "ADATE10", "EDATE8", "SDATE10", "JDATE7"])
def test_every_form_of_spss_date_is_a_date(make, form):
    path = make(variable_format={"born": form})
    assert texts(path, "born") == ["1985-03-14", "1990-01-02", "1979-12-31"]


def old_encoding(path, *, says=None):
    """Store the file's texts in Windows-1252, as SPSS did before it used Unicode."""
    said = b"\x07\0\0\0\x14\0\0\0\x01\0\0\0\x05\0\0\0UTF-8"
    content = path.read_bytes()
    assert said in content
    new = b"\x07\0\0\0\x14\0\0\0\x01\0\0\0\x0c\0\0\0windows-1252" if says else b""
    content = content.replace(said, new).replace("Müller".encode(), "Müller ".encode("cp1252"))
    path.write_bytes(content)
    return path


def test_an_encoding_that_the_file_names_is_used(make):
    data = DATA | {"user_label": ["Müller", "b", "c"]}
    path = old_encoding(make(data=data), says=True)
    assert texts(path, "user_label") == ["Müller", "b", "c"]


def test_a_wrong_encoding_and_a_date_that_is_none_are_said(make):
    path = old_encoding(make(data=DATA | {"user_label": ["Müller", "b", "c"]}))
    with pytest.raises(UnreadableTableError, match=r"Unable to convert string .* Save it again"):
        read(path)
    path = make("m.dta", DATA | {"born": [20260105.0] * 3}, variable_format={"born": "%td"})
    with pytest.raises(UnreadableTableError, match=r"date value out of range.* Save it again"):
        read(path)


@pytest.mark.parametrize("name", ["m.sav", "m.zsav", "m.dta"])
def test_damage_ends_in_one_sentence_or_in_a_table(make, name):
    path = make(name)
    whole = path.read_bytes()
    for place in range(0, len(whole), 61):
        path.write_bytes(whole[:place] + bytes(5) + whole[place + 5 :])
        try:
            table = read(path)
        except UnreadableTableError as error:
            assert "\n" not in str(error)  # noqa: PT017  # harmless damage raises nothing
        else:
            assert len(table) <= len(DATA["sex"])
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableTableError, match="pyreadstat finds a fault"):
        read(path)


def test_without_the_package_a_sentence_has_the_line_that_installs_it(make, monkeypatch):
    path = make()
    monkeypatch.setitem(__import__("sys").modules, "pyreadstat", None)
    with pytest.raises(UnreadableTableError) as caught:
        read(path)
    assert str(caught.value).endswith(
        "SPSS and Stata files need the package pyreadstat. Install it with "
        "`pip install 'helios-research[spss]'`, or save the table as .csv."
    )


def test_the_content_decides_and_not_the_ending(make):
    path = make().rename(make().with_suffix(".csv"))
    with pytest.raises(UnreadableTableError, match=r"in \.csv, but its content is a \.sav file"):
        read(path)
