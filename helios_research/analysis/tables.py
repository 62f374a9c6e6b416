"""What every analysis needs from a results table: scores, levels, people and reasons."""

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helios_research.columns import (
    BIOMARKERS,
    BIOMARKERS_BY_NAME,
    BUCKET_LEVELS,
    Biomarker,
    Outcome,
)
from helios_research.errors import ResultsError, UnknownColumnError

Results = pd.DataFrame | str | PathLike[str]
Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Flags = NDArray[np.bool_]


def load_results(results: Results, needs: Iterable[str] = ()) -> pd.DataFrame:
    """Take a results table, or read it from a Parquet file, and make sure of its columns."""
    table = results if isinstance(results, pd.DataFrame) else _read(Path(results))
    for name in ("outcome", "user_label", *needs):
        if name not in table.columns:
            raise UnknownColumnError(name, table.columns)
        _check_simple(table[name], name)
    return table.reset_index(drop=True)


def _check_simple(column: "pd.Series[Any] | pd.DataFrame", name: str) -> None:
    if isinstance(column, pd.DataFrame):
        message = f"The results have two columns called {name!r}: rename one of them."
        raise ResultsError(message)
    nested = (list, tuple, dict, set, np.ndarray)
    if column.dtype == object and any(isinstance(value, nested) for value in column):
        message = f"The column {name!r} has several values in one cell: leave one per recording."
        raise ResultsError(message)


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        message = f"There is no results file at {path}: check the path, or export the study first."
        raise ResultsError(message)
    try:
        return pd.read_parquet(path)
    except (ValueError, OSError) as error:
        message = (
            f"{path} cannot be read as Parquet ({error}): "
            "give the results.parquet of a study, or a DataFrame."
        )
        raise ResultsError(message) from error


def choose_biomarkers(
    table: pd.DataFrame, biomarkers: str | Sequence[str] | None
) -> tuple[Biomarker, ...]:
    """Find the biomarkers that were asked for."""
    present = [marker for marker in BIOMARKERS if marker.name in table.columns]
    if biomarkers is None:
        if not present:
            raise UnknownColumnError(BIOMARKERS[0].name, table.columns)
        return tuple(present)
    names = [biomarkers] if isinstance(biomarkers, str) else list(dict.fromkeys(biomarkers))
    known = [marker.name for marker in present]
    for name in names:
        if name not in known:
            raise UnknownColumnError(name, known, what="biomarkers")
    return tuple(BIOMARKERS_BY_NAME[name] for name in names)


def scores_of(table: pd.DataFrame, biomarker: str) -> Floats:
    """Take the scores that count: of scored recordings with a known participant."""
    return all_scores_of(table, [biomarker])[biomarker]


def all_scores_of(table: pd.DataFrame, biomarkers: Iterable[str]) -> dict[str, Floats]:
    """Take the scores that count of several biomarkers at once, which is quicker."""
    counts = _counts(table)
    return {name: np.where(counts, _numbers(table[name]), np.nan) for name in biomarkers}


def has_any_score(table: pd.DataFrame, biomarkers: Sequence[str]) -> Flags:
    """Mark the recordings with a score of at least one biomarker, whatever the score is."""
    given = table[list(biomarkers)].notna().any(axis=1)
    return _counts(table) & given.to_numpy(dtype=bool)


def bucket_steps(scores: Floats) -> Codes:
    """Give the scores of a bucketed biomarker the places of their levels."""
    # Half of the least distance between two levels, so that rounding cannot move a score.
    return np.searchsorted(BUCKET_LEVELS, scores - 0.15)


def _counts(table: pd.DataFrame) -> Flags:
    scored = (table["outcome"] == Outcome.SCORED) & table["user_label"].notna()
    return scored.to_numpy(dtype=bool)


def _numbers(column: "pd.Series[Any]") -> Floats:
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        values = np.array([np.inf])
    if np.isinf(values).any():
        message = (
            f"The column {str(column.name)!r} holds something else than scores (text, or numbers "
            "without end): give the results as a study exports them."
        )
        raise ResultsError(message)
    return values


def people_of(table: pd.DataFrame) -> tuple[Codes, int]:
    """Give each participant a number."""
    # Sorted, so that a seeded bootstrap gives the same whatever the order of the rows.
    codes, labels = pd.factorize(table["user_label"], sort=True)
    return codes.astype(np.intp), len(labels)


def count_people(people: Codes, rows: Flags) -> int:
    """Count the participants behind some rows."""
    return len(np.unique(people[rows & (people >= 0)]))


def count_people_by_level(people: Codes, codes: Codes, n_levels: int) -> Codes:
    """Count the participants at each level."""
    n_people = int(people.max(initial=0)) + 1
    known = people >= 0
    pairs = pd.unique(codes[known] * n_people + people[known])
    return np.bincount(pairs // n_people, minlength=n_levels).astype(np.intp)
