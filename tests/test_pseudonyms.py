"""Labels for participants: stable with one key, meaningless without it."""

import os
import re
import stat
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import helios_research as hr
from helios_research import pseudonyms
from helios_research.errors import PseudonymsError

LABEL = re.compile(r"P(-[0-9A-HJKMNP-TV-Z]{4}){3}", re.ASCII)
KEY = "6b" * 32


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "night.key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    return path


def labels(cells: list[object], key_file: Path) -> list[str]:
    return hr.pseudonymize(pd.Series(cells), key_file=key_file).tolist()


def test_a_label_is_short_readable_and_fit_to_be_sent(key_file, make_cohort) -> None:
    table = make_cohort(3).assign(user_label=["Anna Smith", "Bo Chen", "Anna Smith"])
    cohort = hr.Cohort.from_frame(hr.pseudonymize(table, "user_label", key_file=key_file))
    made = cohort.fields["user_label"].tolist()
    assert all(LABEL.fullmatch(label) for label in made)
    assert made[0] == made[2] != made[1]
    assert cohort.issues.rows.query("column == 'user_label'").empty


def test_the_labels_of_a_key_are_the_same_for_ever(key_file) -> None:
    """Worked out with `openssl dgst -mac HMAC` and `base32`; a change would part a study's waves."""
    expected = ["P-S4DM-HHJW-QH13", "P-VTGY-HAQ4-VJNZ", "P-HFT7-1HDH-GK1X"]
    assert labels(["Anna Smith", "007", "Zoë"], key_file) == expected


def test_the_same_people_get_the_same_labels_in_another_table(key_file) -> None:
    first = labels(["Anna", "Bo", "Cem"], key_file)
    assert labels(["Cem", "Dai", "Anna"], key_file)[::2] == [first[2], first[0]]


def test_another_key_gives_other_labels(key_file, tmp_path) -> None:
    other = tmp_path / "other.key"
    with pytest.warns(UserWarning, match="A new key was made"):
        others = set(labels(["Anna", "Bo"], other))
    assert not others & set(labels(["Anna", "Bo"], key_file))


def test_ids_stay_text_and_numbers_are_read_as_a_cohort_reads_them(key_file) -> None:
    seven, padded, lower, upper = labels(["7", "007", "p7", "P7"], key_file)
    assert len({seven, padded, lower, upper}) == 4
    for cells in ([7], [7.0, np.nan], pd.array([7, None], dtype="Int64").tolist()):
        assert labels(cells, key_file)[0] == seven


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["7", "8"], dtype="category"),
        pd.Series(["7", "8"], dtype="str"),
        pd.Series(["7", "8"], dtype=object),
        pd.Series([7, 8], dtype="int8"),
        pd.Series([7.0, 8.0], dtype="float32"),
        pd.Series(["7", "8"], dtype="string[pyarrow]"),
    ],
    ids=lambda column: str(column.dtype),
)
def test_every_type_of_column_gives_text(column, key_file) -> None:
    made = hr.pseudonymize(column, key_file=key_file)
    assert made.dtype == "str"
    assert made.tolist() == labels(["7", "8"], key_file)


def test_blank_cells_stay_blank(key_file) -> None:
    made = labels([None, "", "  ", "\u00a0\t", np.nan, pd.NaT, "NA", "None"], key_file)
    assert [pd.isna(label) for label in made] == [True] * 6 + [False] * 2


def test_what_cannot_be_seen_makes_no_other_person(key_file) -> None:
    shown = ["Zoë", "Zoe\u0308", " Zoë ", "Zoë\n", "\u00a0Zoë"]
    assert len(set(labels(shown, key_file))) == 1
    assert len(set(labels(["Zoë", "Zoe", "zoë", "Z oë", "①", "1"], key_file))) == 6


def test_the_table_given_is_not_touched(key_file) -> None:
    table = pd.DataFrame({"who": ["Anna", None], "x": [1, 2]}, index=["a", "b"])
    before = table.copy(deep=True)
    made = hr.pseudonymize(table, "who", key_file=key_file)
    pd.testing.assert_frame_equal(table, before)
    assert made.columns.tolist() == ["who", "x"]
    assert made.index.tolist() == ["a", "b"]
    made.loc["a", "x"] = 9
    assert table.loc["a", "x"] == 1


def test_a_series_keeps_its_name_and_index(key_file) -> None:
    made = hr.pseudonymize(pd.Series(["Anna"], index=[5], name="who"), key_file=key_file)
    assert (made.name, made.index.tolist()) == ("who", [5])


def test_an_empty_table_stays_one(key_file) -> None:
    made = hr.pseudonymize(pd.DataFrame({"who": []}), "who", key_file=key_file)
    assert made.shape == (0, 1)


@given(st.lists(st.text(min_size=1), unique_by=lambda text: text))
def test_any_text_gives_labels_that_tell_people_apart(tmp_path_factory, cells) -> None:
    path = tmp_path_factory.getbasetemp() / "any.key"
    path.write_text(KEY)
    path.chmod(0o600)
    column = pd.Series(cells, dtype=object)
    made = hr.pseudonymize(column, key_file=path)
    people = pseudonyms._identities(column)
    assert made.isna().tolist() == people.isna().tolist()
    assert made.dropna().nunique() == people.dropna().nunique()
    assert made.dropna().map(lambda label: bool(LABEL.fullmatch(label))).all()


def test_a_prefix_says_what_the_labels_are_for(key_file) -> None:
    (label,) = hr.pseudonymize(pd.Series(["Anna"]), key_file=key_file, prefix="NIGHT")
    assert label.startswith("NIGHT-")
    assert label[5:] == labels(["Anna"], key_file)[0][1:]
    with pytest.raises(ValueError, match="'7' has to be a letter and at most 15"):
        hr.pseudonymize(pd.Series(["Anna"]), key_file=key_file, prefix="7")


def test_a_cell_that_is_run_twice_is_stopped(key_file) -> None:
    table = hr.pseudonymize(pd.DataFrame({"who": ["Anna"]}), "who", key_file=key_file)
    with pytest.raises(PseudonymsError, match=r"'who': it holds labels already, such as P-"):
        hr.pseudonymize(table, "who", key_file=key_file)


def test_ids_of_digits_in_groups_are_no_labels(key_file) -> None:
    assert LABEL.fullmatch(labels(["P-1234-5678-9012"], key_file)[0])


def test_two_people_with_the_same_label_are_noticed(key_file, monkeypatch) -> None:
    """With labels of one character, of which there are 32."""
    monkeypatch.setattr(pseudonyms, "_CHARACTERS", 1)
    with pytest.raises(PseudonymsError, match="two participants got the same label"):
        labels(list(range(33)), key_file)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            pd.DataFrame({"a": ["x"], "b": ["y"]}),
            "the table has no such column. The table has: a, b",
        ),
        (pd.DataFrame([["x", "y"]], columns=["who", "who"]), "several columns have that name"),
        (pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="who")), r"table.reset_index\(\)"),
    ],
    ids=["absent", "twice", "index"],
)
def test_a_column_that_cannot_be_used_is_told(table, words, key_file) -> None:
    with pytest.raises(PseudonymsError, match=words):
        hr.pseudonymize(table, "who", key_file=key_file)


# --- the key's file -------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_a_key_is_made_for_its_owner_alone_and_never_written_to_again(tmp_path, mask) -> None:
    path = tmp_path / "new.key"
    before = os.umask(mask)
    try:
        with pytest.warns(UserWarning, match=r"new\.key\. Keep a copy") as caught:
            made = labels(["Anna"], path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_bytes()
    assert re.fullmatch(rb"[0-9a-f]{64}\n", key)
    assert key.decode().strip() not in str(caught[0].message)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert labels(["Anna"], path) == made
    assert path.read_bytes() == key


@pytest.mark.parametrize("around", ["{}", "{}\r\n", "\ufeff{}\n", " {} \n\n"])
def test_what_an_editor_adds_does_not_change_the_labels(key_file, tmp_path, around) -> None:
    edited = tmp_path / "edited.key"
    edited.write_text(around.format(KEY), encoding="utf-8", newline="")
    edited.chmod(0o600)
    assert labels(["Anna"], edited) == labels(["Anna"], key_file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty. Put the file back from your copy"),
        (b" \r\n", "it is empty"),
        (b"s3cret", "it is shorter than 32 characters"),
        (b"name,age\n" * 200, "it is longer than 1,024 bytes, so it is not a key"),
    ],
    ids=["empty", "blank", "short", "long"],
)
def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path, content, words) -> None:
    path = tmp_path / "bad.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(PseudonymsError, match=words) as caught:
        labels(["Anna"], path)
    assert "s3cret" not in str(caught.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_key_that_others_can_read_is_refused(key_file, mode) -> None:
    key_file.chmod(mode)
    with pytest.raises(PseudonymsError, match=f"chmod 600 {key_file}"):
        labels(["Anna"], key_file)


def test_a_key_in_a_study_folder_is_refused_and_not_made(tmp_path) -> None:
    study = tmp_path / "study"
    (study / "keys").mkdir(parents=True)
    (study / "helios.sqlite").touch()
    (tmp_path / "link").symlink_to(study)
    for path in (study / "a.key", study / "keys" / "a.key", tmp_path / "link" / "a.key"):
        with pytest.raises(PseudonymsError, match="it is in the study"):
            labels(["Anna"], path)
        assert not path.exists()


def test_no_folder_is_made_for_a_key(tmp_path) -> None:
    with pytest.raises(PseudonymsError, match=r"no folder .*usb\. Connect the drive"):
        labels(["Anna"], tmp_path / "usb" / "a.key")


def test_a_folder_in_the_place_of_the_key_is_told(tmp_path) -> None:
    with pytest.raises(PseudonymsError, match="is a directory"):
        labels(["Anna"], tmp_path)


def test_a_broken_link_in_the_place_of_the_key_is_told(tmp_path) -> None:
    """It may lead to a drive that is not connected: no other key must be made."""
    path = tmp_path / "a.key"
    path.symlink_to(tmp_path / "usb" / "a.key")
    with pytest.raises(PseudonymsError, match="no such file"):
        labels(["Anna"], path)
