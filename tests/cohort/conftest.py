"""A folder with recordings, and tables about them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helios_research.cohort import Cohort

FIRST = {
    "recording": "a.wav",
    "user_label": "P01",
    "date_of_birth": "1985-03-14",
    "birth_sex": "FEMALE",
    "language": "en-GB",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with the recordings a.wav to j.wav."""
    for name in "abcdefghij":
        (tmp_path / f"{name}.wav").write_bytes(b"RIFF")
    return tmp_path


@pytest.fixture
def table_of() -> Callable[..., pd.DataFrame]:
    """Make a table of good rows, each with its own recording, with the given changes."""

    def make(*changes: dict[str, Any]) -> pd.DataFrame:
        rows = [
            {**FIRST, "recording": f"{name}.wav", **change}
            for name, change in zip("abcdefghij", changes, strict=False)
        ]
        return pd.DataFrame(rows, dtype=object)

    return make


@pytest.fixture
def cohort_of(folder: Path, table_of: Callable[..., pd.DataFrame]) -> Callable[..., Cohort]:
    """Make a cohort of good rows, with the given changes."""

    def make(*changes: dict[str, Any], **arguments: Any) -> Cohort:
        return Cohort.from_frame(table_of(*changes), root=folder, **arguments)

    return make


@pytest.fixture
def found() -> Callable[[Cohort], list[tuple[int, str, str, str]]]:
    """List a cohort's issues as (row, severity, column, problem)."""

    def listing(cohort: Cohort) -> list[tuple[int, str, str, str]]:
        names = ["row", "severity", "column", "problem"]
        return list(cohort.issues.rows[names].itertuples(index=False, name=None))

    return listing
