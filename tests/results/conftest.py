"""Results with everything that a file format may stumble over."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from helios_research.results import read_results

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"


@pytest.fixture(scope="session")
def study_path() -> Path:
    """The synthetic shift study's results."""
    return STUDY


@pytest.fixture(scope="session")
def study() -> pd.DataFrame:
    """The synthetic shift study's results."""
    return read_results(STUDY)


@pytest.fixture
def awkward(study: pd.DataFrame) -> pd.DataFrame:
    """Six rows whose own columns hold what spreadsheets and statistics programs trip over."""
    table = study.head(6).reset_index(drop=True)
    table["user_label"] = pd.Series(["007", "NA", "1e5", "-1.5", "Zoë", "P6"], dtype="str")
    table["note"] = pd.Series(
        ["=1+1", "'=quoted", '@SUM(A1), "x"', "line\nbreak", None, "'tHooft"], dtype="str"
    )
    table["größe in cm"] = [171.5, 180.25, float("nan"), 165.0, 190.0, 158.125]
    table["badge"] = [2**60, 1, 2, 3, 4, 5]
    table["consented"] = [True, False, True, True, True, True]
    table["warnings"] = pd.Series(
        [["first", "second, third"], [], None, [], [], []], dtype="object"
    )
    sections = [{"start_secs": 0.0, "finish_secs": 31.5, "mental_strain": 0.25, "transcript": None}]
    table["sections"] = pd.Series([sections, None, None, None, None, None], dtype="object")
    return table


@pytest.fixture(scope="session")
def ask_duckdb() -> Callable[[str, Path], pd.DataFrame]:
    """A query about one file, its path a parameter, answered by DuckDB."""

    def ask(query: str, path: Path) -> pd.DataFrame:
        with duckdb.connect() as database:
            answer = database.execute(query, [str(path)])
            names = [column[0] for column in answer.description]
            return pd.DataFrame(answer.fetchall(), columns=names)

    return ask
