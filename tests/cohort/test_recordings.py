"""Where recordings are, and which of them are in several rows."""

import base64
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from helios_research.cohort import Cohort, duplicate_audio_issues, read_cohort
from helios_research.cohort.issues import Problem
from helios_research.cohort.recordings import (
    _file_problem,
    look,
    resolve,
    resolve_root,
    unique_ids,
)


@pytest.mark.parametrize(
    ("cell", "root", "location"),
    [
        ("a.wav", "/data", "/data/a.wav"),
        ("sub/../a.wav", "/data", "/data/a.wav"),
        ("/else/a.wav", "/data", "/else/a.wav"),
        ("s3://bucket/a.wav", "/data", "s3://bucket/a.wav"),
        ("https://host/a.wav?x=1#y", "/data", "https://host/a.wav?x=1#y"),
        ("a b.wav", "s3://bucket/study/", "s3://bucket/study/a b.wav"),
        ("file:///data/a%20b.wav", "/", "/data/a b.wav"),
        ("12:30.wav", "/data", "/data/12:30.wav"),
    ],
)
def test_paths_are_made_absolute_and_urls_stay(cell, root, location):
    assert resolve(cell, root) == location


def test_a_root_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_root("recordings", Path("/x")) == str(tmp_path / "recordings")
    assert resolve_root(None, tmp_path) == str(tmp_path)
    assert resolve_root("s3://bucket/x", tmp_path) == "s3://bucket/x"
    assert resolve_root("file:///data", tmp_path) == "/data"


def problem_of(location):
    return look(str(location))[1]


def test_a_good_file_is_known_by_what_it_is_not_by_its_name(folder):
    (folder / "link.wav").symlink_to(folder / "a.wav")
    assert look(str(folder / "link.wav")) == look(str(folder / "a.wav"))
    assert look(str(folder / "a.wav"))[0] != look(str(folder / "b.wav"))[0]


def test_a_missing_file_is_named_in_full(folder):
    found = problem_of(folder / "z.wav")
    assert found.problem == f"There is no file '{folder / 'z.wav'}'."
    assert found.remedy == "Check the spelling and the folder."


def test_a_missing_folder_is_named_since_all_its_files_are_missing(folder):
    assert problem_of(folder / "drive" / "z.wav").remedy == (
        f"The folder {folder / 'drive'} does not exist either. Check the path, and whether its drive "
        "is connected."
    )


def test_links_that_lead_back_to_themselves_are_named(folder):
    (folder / "a_loop.wav").symlink_to(folder / "b_loop.wav")
    (folder / "b_loop.wav").symlink_to(folder / "a_loop.wav")
    assert problem_of(folder / "a_loop.wav").problem == "This is a link to itself."


def test_backslashes_of_windows_are_recognised(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "a.wav").write_bytes(b"x")
    assert problem_of(f"{folder}/sub\\a.wav").remedy == "Write / instead of \\ between folders."


@pytest.mark.parametrize(
    ("cells", "drive"),
    [
        (["Z:\\study\\a.wav", "Z:\\study\\b.wav"], "Z:"),
        (["Z:/study/a.wav", "Z:/study/b.wav"], "Z:"),
        (
            ["\\\\server\\share\\study\\a.wav", "\\\\server\\share\\study\\b.wav"],
            "\\\\server\\share",
        ),
    ],
)
def test_paths_of_windows_are_one_issue_with_the_line_that_mends_them(
    cohort_of, table_of, folder, cells, drive
):
    changes = [{"recording": cells[0]}, {"recording": cells[1], "user_label": "P02"}]
    causes = cohort_of(*changes).issues.causes
    assert causes[["rows", "problem"]].to_numpy().tolist() == [
        [2, f"This is a path of Windows, and this computer has no {drive}."]
    ]
    said, _, line = causes["remedy"][0].partition(": df")
    assert (
        said == "Write the folder that it is on this computer in place of …, here or in the table"
    )
    (folder / "study").mkdir()
    for name in ("a.wav", "b.wav"):
        (folder / name).rename(folder / "study" / name)
    df = table_of(*changes)
    exec(f"df{line}".replace("…", str(folder)), {"df": df})  # noqa: S102  # it is what a user pastes
    assert Cohort.from_frame(df).issues.rows.empty


def test_folders_empty_files_and_pipes_are_not_recordings(folder):
    (folder / "empty.wav").touch()
    os.mkfifo(folder / "pipe.wav")
    assert problem_of(folder).problem == "This is a folder, not a recording."
    assert problem_of(folder / "empty.wav").problem == (
        "The file is empty, or not downloaded yet from its cloud."
    )
    assert problem_of(folder / "pipe.wav").problem == "This is not an ordinary file."


@pytest.mark.parametrize(
    ("there", "named"),
    [
        ("Zoe\u0308.wav", "Zo\u00eb.wav"),
        ("Zo\u00eb.wav", "Zoe\u0308.wav"),
        ("Zu\u0308rich/a.wav", "Z\u00fcrich/a.wav"),
        ("10.15\u202fAM.m4a", "10.15 AM.m4a"),
        ("trail.wav ", "trail.wav"),
        ("P\u200b04.wav", "P04.wav"),
        ("P04.WAV", "p04.wav"),
        ("P04\u2011t1.wav", "P04-t1.wav"),
        ("P04.wav", "P04\u200b.wav"),
        ("P04\u3000t1.wav", "P04\u00a0t1.wav"),
    ],
)
def test_a_file_whose_name_only_looks_right_is_named(tmp_path, there, named):
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_bytes(b"RIFF")
    assert problem_of(tmp_path / named).remedy == (
        f"The likely file is {str(tmp_path / there)!r}, whose name differs in case, spaces, dashes, "
        "invisible characters or how accents are stored: rename it, or copy its name."
    )


@pytest.mark.parametrize("named", ["P1_01.wav", "P101.wav", "P 1 01.wav"])
def test_a_file_with_another_name_is_never_the_likely_one(tmp_path, named):
    (tmp_path / "P10_1.wav").write_bytes(b"RIFF")
    assert problem_of(tmp_path / named).remedy == "Check the spelling and the folder."


def test_a_companion_of_macos_is_said_to_be_one(folder):
    (folder / "._a.wav").write_bytes(b"\0\5\x16\7" + bytes(4_000))
    (folder / "._b.wav").write_bytes(b"RIFF")
    assert problem_of(folder / "._a.wav") == Problem(
        "This is a companion that macOS writes beside a file, not a recording.",
        "Remove the row, and all others whose file names begin with ._.",
    )
    assert problem_of(folder / "._b.wav") is None


IN_CLOUD = "The file is in the cloud and not downloaded yet."


def test_a_file_that_is_still_in_the_cloud_is_said_to_be_there(folder):
    (folder / ".m.m4a.icloud").write_bytes(b"bplist00")
    assert problem_of(folder / "m.m4a").problem == IN_CLOUD
    assert problem_of(folder / ".m.m4a.icloud").problem == IN_CLOUD


@pytest.mark.parametrize(
    "mark",
    [{"st_file_attributes": 0x1000}, {"st_file_attributes": 0x400000}, {"st_flags": 0x40000000}],
)
def test_the_marks_of_windows_and_macos_for_files_in_the_cloud_are_known(folder, mark):
    status = SimpleNamespace(st_mode=stat.S_IFREG, st_size=99, **mark)
    assert _file_problem(str(folder / "a.wav"), status).problem == IN_CLOUD


@pytest.mark.parametrize(
    "before", ["data:audio/webm;base64,", "data:audio/wav;codecs=1;base64,", ""]
)
def test_recordings_in_cells_are_written_to_files_by_the_lines_that_are_given(
    cohort_of, table_of, folder, monkeypatch, before
):
    data = bytes(range(256)) * 2_000
    cell = before + base64.b64encode(data).decode()
    df = table_of({}, {"recording": cell}, {"recording": cell, "user_label": "P03"})
    (folder / "table.csv").write_text(df.to_csv(index=False))
    cohort = read_cohort(folder / "table.csv")
    assert cohort.issues.rows["problem"].unique().tolist()[0] == (
        "The cell holds the recording itself, not the name of a file."
    )
    assert cohort.fields["recording_id"].tolist() == ["a.wav", "row", "row#2"]
    said, _, lines = cohort.issues.rows["remedy"][0].partition(": ")
    assert said == "Write the recordings to files, with these lines, where df is the table"
    monkeypatch.chdir(folder)
    exec(lines, {"df": df})  # noqa: S102 - the lines that a researcher is told to run
    assert df["recording"].tolist() == ["a.wav", "1.audio", "2.audio"]
    assert (folder / "1.audio").read_bytes() == data


def test_a_file_without_permission_is_distinguished_from_a_missing_one(folder, monkeypatch):
    # Root may read everything, and tests often run as root.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert problem_of(folder / "a.wav").problem == "You do not have permission to read the file."


@pytest.mark.parametrize("name", ["a\0b.wav", "x" * 5000, "\ud800.wav", "loop"])
def test_a_name_that_no_file_can_have_is_a_problem_not_an_exception(folder, name):
    (folder / "loop").symlink_to(folder / "loop")
    assert problem_of(f"{folder}/{name}") is not None


@pytest.mark.parametrize("scheme", ["s3", "gs", "https", "http", "az", "abfs", "S3"])
def test_urls_of_known_kinds_are_accepted_unseen(scheme):
    assert look(f"{scheme}://bucket/a.wav") == (f"{scheme}://bucket/a.wav", None)


def test_other_urls_are_refused_with_the_kinds_that_are_known():
    found = problem_of("gopher://host/a.wav")
    assert found.problem == "URLs that begin with gopher:// cannot be read."
    assert "abfs" in found.remedy


def texts(*values):
    return pd.Series(values, dtype="str")


def test_without_own_keys_the_recording_as_given_is_the_key(cohort_of):
    cohort = cohort_of({}, {"recording": " b.wav"}, {"recording": "./c.wav"})
    assert cohort.fields["recording_id"].tolist() == ["a.wav", "b.wav", "./c.wav"]


def test_every_key_is_unique_also_where_the_suffix_is_taken():
    keys = unique_ids(texts(None, None, None, None), texts("a", "a", "a#2", "a"))
    assert keys.tolist() == ["a", "a#3", "a#2", "a#4"]


def test_a_row_without_anything_still_gets_a_key():
    assert unique_ids(texts(None, None), texts(None, None)).tolist() == ["row", "row#2"]


def test_a_key_in_two_rows_is_an_error_on_both(cohort_of, found):
    cohort = cohort_of({"recording_id": "r1"}, {"recording_id": "r2"}, {"recording_id": "r1"})
    problem = "The same recording_id is in rows 1, 3."
    assert found(cohort) == [
        (1, "error", "recording_id", problem),
        (3, "error", "recording_id", problem),
    ]
    assert cohort.fields["recording_id"].tolist() == ["r1", "r2", "r1#2"]
    assert cohort.rejections()["error_code"].tolist() == ["INVALID_RECORDING_ID"] * 2


def test_a_blank_key_is_an_error_and_the_row_still_has_one(cohort_of, found):
    cohort = cohort_of({"recording_id": "r1"}, {"recording_id": " "})
    assert found(cohort) == [(2, "error", "recording_id", "The cell is blank.")]
    assert cohort.fields["recording_id"].tolist() == ["r1", "b.wav"]


def test_an_exact_repeat_is_a_warning_on_the_later_row(cohort_of, found):
    row = {"recording": "a.wav", "recording_id": "r1"}
    cohort = cohort_of(row, {"recording_id": "r2"}, row)
    problem = "The same audio is in rows 1, 3 with the same metadata."
    assert found(cohort) == [(3, "warning", "recording", problem)]
    assert cohort.issues.rows["remedy"][0].startswith("No change is needed: the rows share one")
    assert cohort.is_valid.all()


def test_one_file_under_two_participants_is_an_error_on_all_its_rows(cohort_of, folder):
    (folder / "link.wav").symlink_to(folder / "a.wav")
    cohort = cohort_of({}, {"recording": "link.wav", "user_label": "P02"}, {"recording": "c.wav"})
    assert cohort.is_valid.tolist() == [False, False, True]
    assert cohort.issues.rows["problem"].unique().tolist() == [
        "The same audio is in rows 1, 2 with different user_label."
    ]
    assert cohort.issues.rows["remedy"][0] == (
        "Find out whose recording it is, and remove the other rows."
    )
    assert cohort.rejections()["error_code"].tolist() == ["INVALID_DUPLICATE_AUDIO"] * 2


@pytest.mark.parametrize(
    "change", [{"language": "es"}, {"arm": "b"}, {"recording_time": "2026-01-05T07:45"}]
)
def test_one_file_with_other_metadata_of_the_same_participant_is_an_error(cohort_of, change):
    cohort = cohort_of({"arm": "a"}, {"arm": "a", "recording": "./a.wav", **change}, tags=["arm"])
    assert cohort.is_valid.tolist() == [False, False]
    assert next(iter(change)) in cohort.issues.rows["problem"][0]


def test_columns_that_are_not_sent_do_not_make_a_difference(cohort_of):
    cohort = cohort_of({"note": "x"}, {"note": "y", "recording": "a.wav"})
    assert cohort.is_valid.all()


def test_one_url_in_two_rows_is_the_same_recording(cohort_of):
    url = "s3://bucket/a.wav"
    cohort = cohort_of({"recording": url}, {"recording": url, "user_label": "P02"})
    assert cohort.is_valid.tolist() == [False, False]


def test_the_same_bytes_under_two_participants_are_found_by_their_hash(cohort_of):
    cohort = cohort_of({}, {"user_label": "P02"}, {"user_label": "P03"}, {"user_label": "P03"})
    hashes = texts("aa", "aa", "bb", None)
    issues = cohort.with_issues(duplicate_audio_issues(cohort, hashes)).issues.rows
    assert issues[["row", "severity", "column", "value"]].to_numpy().tolist() == [
        [1, "error", "recording", "a.wav"],
        [2, "error", "recording", "b.wav"],
    ]
    assert issues["recording_id"].tolist() == ["a.wav", "b.wav"]


def test_the_same_bytes_with_the_same_metadata_are_a_warning_on_the_later_row(cohort_of):
    issues = duplicate_audio_issues(cohort_of({}, {}, {}), texts("aa", "aa", "aa"))
    assert issues[["position", "severity"]].to_numpy().tolist() == [[1, "warning"], [2, "warning"]]


def test_hashes_are_taken_in_the_order_of_the_cohort_whatever_their_index(cohort_of):
    cohort = cohort_of({}, {"user_label": "P02"}, {"user_label": "P03"})
    hashes = pd.Series(["aa", "bb", "aa"], index=[9, 9, 1])
    assert duplicate_audio_issues(cohort, hashes)["position"].tolist() == [0, 2]


def test_a_wrong_number_of_hashes_is_a_mistake_of_the_caller(cohort_of):
    with pytest.raises(ValueError, match="There are 1 hashes for 2 recordings"):
        duplicate_audio_issues(cohort_of({}, {}), texts("aa"))


def test_many_rows_are_named_in_short(table_of, folder):
    from helios_research.cohort import Cohort

    table = pd.concat([table_of({})] * 8)
    issues = Cohort.from_frame(table, root=folder).issues.rows
    assert issues["problem"][0] == (
        "The same audio is in rows 1, 2, 3, 4, 5 and 3 more with the same metadata."
    )
