"""The levels of a grouping column: which there are, how they are spelled, in which order."""

import re
from dataclasses import dataclass
from math import isnan

import numpy as np
import pandas as pd

from helios_research.analysis.tables import Codes
from helios_research.errors import ResultsError, UnknownColumnError

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
    """The levels of one grouping column, in an order that a reader expects."""

    codes: Codes
    labels: tuple[str, ...]

    def __len__(self) -> int:
        """Count the levels."""
        return len(self.labels)


def levels_of(table: pd.DataFrame, column: str) -> Levels:
    """Sort the values of a grouping column into levels.

    An ordered category keeps its order, numbers go by size, text goes as people count ("2" before
    "10"); blank and missing values, and any spelled so, become the last level, "not given".
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
        # A blank cell makes floats of whole numbers; 15 digits leave them as they were written.
        return values.map(lambda value: f"{value:.15g}", na_action="ignore").astype("str")
    text = values.astype("str").str.strip()
    return text.mask(values.isna() | text.isin(["", NOT_GIVEN]))


def _ordered(found: list[str], values: "pd.Series[str]") -> list[str]:
    if isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered:
        ordered = _as_text(pd.Series(values.cat.categories)).dropna()
        return [level for level in dict.fromkeys(ordered) if level in set(found)]
    return sorted(found, key=natural_key)


def natural_key(text: str) -> list[tuple[int, float, str]]:
    """Give the sort key under which numbers inside a text count as numbers."""
    number = _number(text)
    if number is not None:
        return [(0, number, "")]
    parts = re.split(r"(\d+)", text)
    return [(0, float(part), "") if part.isdecimal() else (1, 0.0, part.lower()) for part in parts]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if isnan(number) else number


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
