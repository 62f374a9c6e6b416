"""What lies in a study's folder beside the study itself: exports, reports, and files of others."""

import os
from pathlib import Path

import pyarrow as pa

from helios_research.ledger.lock import HOLDER_NAME, LOCK_NAME
from helios_research.ledger.storage import DATABASE_FILES
from helios_research.results.parquet import read_footer
from helios_research.study.reader import COHORT_FILE, RESULTS_FILE

_COMPANIONS = (".codebook.csv", ".codebook.md", ".README.md")
_REPORT = b'<meta name="generator" content="helios_research '
# The report says what made it within its head.
_HEAD_BYTES = 65_536

_OF_THE_STUDY = frozenset({COHORT_FILE, RESULTS_FILE, LOCK_NAME, HOLDER_NAME, *DATABASE_FILES})


def sweep(folder: Path, *, remove: bool) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Remove exports, reports and half-written files from a study's folder."""
    removed, left = [], []
    for path in _others(folder):
        if _is_half_written(path):
            path.unlink()
        elif remove and _is_ours(path):
            path.unlink()
            removed.append(path)
        elif not _is_companion(path, {*removed}):
            left.append(path)
    for path in removed.copy():
        for companion in _companions(path):
            companion.unlink(missing_ok=True)
    return tuple(removed), tuple(left)


def _others(folder: Path) -> list[Path]:
    found = [Path(place) / name for place, _, names in os.walk(folder) for name in sorted(names)]
    return [path for path in found if path.parent != folder or path.name not in _OF_THE_STUDY]


def _is_half_written(path: Path) -> bool:
    is_draft = path.name.startswith(".") and path.suffix == ".part"
    return is_draft or path.name == Path(HOLDER_NAME).with_suffix(".draft").name


def _is_ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    if all(companion.exists() for companion in _companions(path)):
        return True
    if path.suffix == ".parquet":
        try:
            return bool(read_footer(path))
        except (OSError, ValueError, pa.ArrowException):
            return False
    if path.suffix != ".html":
        return False
    with path.open("rb") as file:
        return _REPORT in file.read(_HEAD_BYTES)


def _companions(path: Path) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in _COMPANIONS]


def _is_companion(path: Path, removed: set[Path]) -> bool:
    return any(path in _companions(export) for export in removed)
