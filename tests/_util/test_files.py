"""A file is replaced as a whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from helios_research._util.files import is_temporary, remove_temporary_files, replaced


def test_the_new_file_takes_the_place_of_the_old_one_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("old")
    with replaced(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert is_temporary(temporary)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with replaced(path) as temporary:
        temporary.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("old")

    def fail() -> None:
        with replaced(path) as temporary:
            temporary.write_text("ne")
            raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_it_is_moved_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scores.csv"
    synced: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def seen(handle: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), path.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", seen)
    with replaced(path) as temporary:
        temporary.write_text("new")
    assert synced == [(False, False), (True, True)]


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    ours = tmp_path / ".cohort.parquet.x1.part"
    others = [tmp_path / name for name in (".other.parquet.x1.part", "cohort.parquet", ".hidden")]
    for path in (ours, *others):
        path.touch()
    remove_temporary_files(tmp_path / "cohort.parquet")
    assert sorted(tmp_path.iterdir()) == sorted(others)
