"""Recordings are found against a root, and looked at without being opened."""

import os
from pathlib import Path

import pytest

from helios_research.cohort.recordings import look, resolve, resolve_root


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
    assert found.problem == f"There is no file {folder / 'z.wav'}."
    assert found.remedy == "Check the spelling, and whether it should lie in this folder."


def test_a_missing_folder_is_named_since_all_its_files_are_missing(folder):
    assert problem_of(folder / "drive" / "z.wav").remedy == (
        f"There is no folder {folder / 'drive'} either: is it the right one, and is its drive "
        "connected?"
    )


def test_links_that_lead_back_to_themselves_are_named(folder):
    (folder / "a_loop.wav").symlink_to(folder / "b_loop.wav")
    (folder / "b_loop.wav").symlink_to(folder / "a_loop.wav")
    assert problem_of(folder / "a_loop.wav").problem == "This is a link that leads back to itself."


def test_backslashes_of_windows_are_recognised(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "a.wav").write_bytes(b"x")
    assert problem_of(f"{folder}/sub\\a.wav").remedy == "Write / instead of \\ between folders."


def test_folders_empty_files_and_pipes_are_not_recordings(folder):
    (folder / "empty.wav").touch()
    os.mkfifo(folder / "pipe.wav")
    assert problem_of(folder).problem == "This is a folder, not a recording."
    assert problem_of(folder / "empty.wav").problem == "The file is empty."
    assert problem_of(folder / "pipe.wav").problem == "This is not an ordinary file."


def test_a_file_that_may_not_be_read_is_told_apart_from_a_missing_one(folder, monkeypatch):
    # Root may read everything, and tests often run as root.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert problem_of(folder / "a.wav").problem == "The file may not be read."


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
