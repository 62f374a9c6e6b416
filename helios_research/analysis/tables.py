"""What every analysis needs from a results table: scores, levels, people and reasons."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helios_research.columns import BIOMARKERS, BIOMARKERS_BY_NAME, Biomarker, Outcome
from helios_research.errors import ResultsError, UnknownColumnError

Results = pd.DataFrame | str | PathLike[str]
Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Flags = NDArray[np.bool_]

NOT_GIVEN = "not given"
MOST_LEVELS = 500

# Spelled in manifests as people write them; Helios knows the four words on the right.
_SEX_SPELLINGS = {
    "M": "MALE",
    "MAN": "MALE",
    "F": "FEMALE",
    "WOMAN": "FEMALE",
    "I": "INTERSEX",
    "U": "UNKNOWN",
}


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of one grouping column, in an order that a reader expects.

    Attributes
    ----------
    codes
        For each row of the table, the place of its level in ``labels``.
    labels
        The levels as text; last, if there are such rows, "not given".
    """

    codes: Codes
    labels: tuple[str, ...]

    def __len__(self) -> int:
        """Count the levels."""
        return len(self.labels)


def load_results(results: Results, needs: Iterable[str] = ()) -> pd.DataFrame:
    """Take a results table, or read it from a Parquet file, and make sure of its columns.

    Parameters
    ----------
    results
        One row per recording with the columns of ``columns.RESULTS`` and the manifest's own, or
        the path of a Parquet file that holds it.
    needs
        Columns that the analysis cannot do without, besides ``outcome`` and ``user_label``.

    Returns
    -------
    DataFrame
        The same rows in the same order, numbered from 0.

    Raises
    ------
    ResultsError
        If there is no such file, it is not Parquet, or a needed column is missing, there twice, or
        has several values in one cell.
    """
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
    """Find the biomarkers that were asked for.

    Parameters
    ----------
    table
        The results.
    biomarkers
        One name or several; None means every biomarker that the table has.

    Returns
    -------
    tuple of Biomarker
        In the order asked for; for None, in the order of ``columns.BIOMARKERS``.

    Raises
    ------
    UnknownColumnError
        If a name is not a biomarker, or the table does not have it.
    """
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
    """Take the scores that count: of scored recordings with a known participant.

    Parameters
    ----------
    table
        The results.
    biomarker
        Name of the score's column.

    Returns
    -------
    ndarray of float, shape (rows,)
        NaN where there is no score.
    """
    return all_scores_of(table, [biomarker])[biomarker]


def all_scores_of(table: pd.DataFrame, biomarkers: Iterable[str]) -> dict[str, Floats]:
    """Take the scores that count of several biomarkers at once, which is quicker.

    Parameters
    ----------
    table
        The results.
    biomarkers
        Names of the scores' columns.

    Returns
    -------
    dict of str to ndarray of float, shape (rows,)
        By biomarker; NaN where there is no score.
    """
    counts = _counts(table)
    return {name: np.where(counts, _numbers(table[name]), np.nan) for name in biomarkers}


def has_any_score(table: pd.DataFrame, biomarkers: Sequence[str]) -> Flags:
    """Mark the recordings with a score of at least one biomarker, whatever the score is.

    Parameters
    ----------
    table
        The results.
    biomarkers
        Names of the scores' columns.

    Returns
    -------
    ndarray of bool, shape (rows,)
        Only scored recordings with a known participant.
    """
    given = table[list(biomarkers)].notna().any(axis=1)
    return _counts(table) & given.to_numpy(dtype=bool)


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
    """Give each participant a number.

    Parameters
    ----------
    table
        The results.

    Returns
    -------
    codes : ndarray of int, shape (rows,)
        The participant's number, from 0; -1 where the row has no ``user_label``.
    count : int
        How many participants there are.
    """
    # Sorted, so that a seeded bootstrap gives the same whatever the order of the rows.
    codes, labels = pd.factorize(table["user_label"], sort=True)
    return codes.astype(np.intp), len(labels)


def levels_of(table: pd.DataFrame, column: str) -> Levels:
    """Sort the values of a grouping column into levels.

    An ordered category keeps its order, numbers go by size, text goes as people count ("2" before
    "10"); blank and missing values become the last level, "not given".

    Parameters
    ----------
    table
        The results.
    column
        A tag, or any other column with few values.

    Returns
    -------
    Levels
        Only levels that occur.

    Raises
    ------
    ResultsError
        If the column is missing or has more than 500 levels.
    """
    if column not in table.columns:
        raise UnknownColumnError(column, table.columns)
    each, different = _different(table[column])
    spelled = canonical_sex(different) if column == "birth_sex" else different
    text = _as_text(spelled)
    found = list(text.dropna().unique())
    if len(found) > MOST_LEVELS:
        message = (
            f"The column {column!r} has {len(found):,} different values, more than {MOST_LEVELS}: "
            "group by a column with fewer, such as the arm or the visit."
        )
        raise ResultsError(message)
    order = _ordered(found, spelled)
    # The last place is for rows without a value, whose number is -1.
    places = np.append(pd.Categorical(text, categories=order).codes, -1).astype(np.intp)
    codes = places[each]
    if (codes < 0).any():
        codes, order = np.where(codes < 0, len(order), codes), [*order, NOT_GIVEN]
    return Levels(codes, tuple(order))


def _different(values: "pd.Series[str]") -> "tuple[Codes, pd.Series[str]]":
    """Give the different values numbers, to put each into words once and not in every row."""
    # Among objects 1 equals True, and a list has no hash; as texts they are what they look like.
    hashable = values.astype("str") if values.dtype == object else values
    each, different = pd.factorize(hashable)
    return each, pd.Series(different)


def _as_text(values: "pd.Series[str]") -> "pd.Series[str]":
    if pd.api.types.is_float_dtype(values):
        return values.map(lambda value: f"{value:g}", na_action="ignore").astype("str")
    text = values.astype("str").str.strip()
    return text.mask(values.isna() | (text == ""))


def _ordered(found: list[str], values: "pd.Series[str]") -> list[str]:
    if isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered:
        ordered = _as_text(pd.Series(values.cat.categories)).dropna()
        return [level for level in dict.fromkeys(ordered) if level in set(found)]
    return sorted(found, key=natural_key)


def natural_key(text: str) -> list[tuple[int, float, str]]:
    """Give the sort key under which numbers inside a text count as numbers.

    Parameters
    ----------
    text
        Any text, such as "visit 10" or "-0.5".

    Returns
    -------
    list of tuple
        A key for ``sorted``; "visit 2" comes before "visit 10".
    """
    try:
        return [(0, float(text), "")]
    except ValueError:
        parts = re.split(r"(\d+)", text)
    return [(0, float(part), "") if part.isdigit() else (1, 0.0, part.lower()) for part in parts]


def canonical_sex(values: "pd.Series[str]") -> "pd.Series[str]":
    """Bring the spellings of a manifest ("f", "Female") to the words that Helios knows.

    Parameters
    ----------
    values
        Birth sex as given.

    Returns
    -------
    Series of str
        MALE, FEMALE, INTERSEX, UNKNOWN, or the text itself in capitals where it is none of them.
    """
    text = values.astype("str").str.strip().str.upper()
    return text.replace(_SEX_SPELLINGS)


def count_people(people: Codes, rows: Flags) -> int:
    """Count the participants behind some rows.

    Parameters
    ----------
    people
        The participants' numbers, -1 where unknown.
    rows
        Which rows count.

    Returns
    -------
    int
        Different participants among them.
    """
    return len(np.unique(people[rows & (people >= 0)]))


def count_people_by_level(people: Codes, codes: Codes, n_levels: int) -> Codes:
    """Count the participants at each level.

    Parameters
    ----------
    people
        The participants' numbers, -1 where unknown.
    codes
        The number of each recording's level.
    n_levels
        How many levels there are.

    Returns
    -------
    ndarray of int, shape (levels,)
        Different participants; one who is at several levels counts at each.
    """
    n_people = int(people.max(initial=0)) + 1
    known = people >= 0
    pairs = pd.unique(codes[known] * n_people + people[known])
    return np.bincount(pairs // n_people, minlength=n_levels).astype(np.intp)
