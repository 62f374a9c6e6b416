"""The results that an explorer shows: where they are from, and which columns group them."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from helios_research._util.text import literal, natural_key
from helios_research.analysis.levels import MOST_LEVELS
from helios_research.analysis.prepared import Codes, prepare
from helios_research.codes import short_name
from helios_research.columns import (
    BIOMARKERS,
    BIOMARKERS_BY_NAME,
    RECORDING_ID,
    RESULTS_BY_NAME,
    STANDARD_FIELDS,
)
from helios_research.errors import ResultsError
from helios_research.results import read_results

# The columns of every results table that have a few values worth grouping by.
_COMMON = ("outcome", "error_code", "birth_sex", "language", "accent", "audio_format", "source")
# In tables of at least so many rows, a column with another value in each row is a key, not a tag.
_MANY = 20
# Keys, times and texts: each recording has its own.
_EACH_ITS_OWN = frozenset(STANDARD_FIELDS) | frozenset(RESULTS_BY_NAME)

MISSING_WORDS = "not given"
_WORDS = {
    "user_label": "Participant",
    "recording_id": "Recording",
    "error_code": "Error",
    "recording_time": "Day",
    "completed_at": "Day",
}


@runtime_checkable
class HasResults(Protocol):
    """Anything that has results and a folder, such as a study."""

    folder: Path

    def results(self) -> pd.DataFrame:
        """Give one row per recording."""


@dataclass(frozen=True)
class ResultsSource:
    """Results, and where they are from. ``table`` is the very DataFrame given and never changed."""

    table: pd.DataFrame
    # Lines of Python after which ``results`` is the table.
    code: str
    # Where relative paths of recordings begin.
    folder: Path
    # Path or URL of each recording; None where the results do not have them.
    locations: "pd.Series[Any] | None"
    # Columns to group and filter by, the researcher's own first; at least the outcome.
    tags: tuple[str, ...]
    biomarkers: tuple[str, ...]
    _levels: dict[str, tuple[tuple[str | None, ...], Codes]] = field(default_factory=dict)

    @property
    def day_column(self) -> str | None:
        """The column by which recordings are filtered by date; None where there is none."""
        for name in ("recording_time", "completed_at"):
            if name in self.table.columns and self.table[name].notna().any():
                return name
        return None

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """Columns of numbers to filter by: the scores, then what else is measured."""
        varied = [name for name in self.table.columns if _is_measured(name, self.table[name])]
        return tuple(dict.fromkeys([*self.biomarkers, *varied]))

    def levels(self, column: str) -> tuple[tuple[str | None, ...], Codes]:
        """List the values of a column, as ``levels_in`` does; listed once."""
        if column not in self._levels:
            self._levels[column] = levels_in(self.table[column])
        return self._levels[column]

    @cached_property
    def people(self) -> tuple[Codes, int]:
        """The number of each recording's participant, -1 where unknown, and how many there are."""
        prepared = prepare(self.table, biomarkers=())
        return prepared.people, prepared.n_people

    @cached_property
    def compact(self) -> pd.DataFrame:
        """The table with its texts as categories, so that figures of any selection are quick.

        Sorting and grouping 100,000 texts takes most of a figure's time, categories almost none.
        Columns with another text in each row stay as they are.
        """
        texts = [
            name
            for name in dict.fromkeys(["user_label", "outcome", "error_code", *self.tags])
            if name in self.table.columns and is_text(self.table[name])
        ]
        return self.table.astype(dict.fromkeys(texts, "category"))


def open_source(results: object) -> ResultsSource:
    """Take a DataFrame, the path of a Parquet file, or a study, if it can be explored."""
    if isinstance(results, pd.DataFrame):
        code = "# `results` is the DataFrame given to the Explorer."
        return _examined(results, code, Path.cwd())
    if isinstance(results, str | PathLike):
        path = Path(fspath(results)).expanduser()
        code = f"results = pd.read_parquet({literal(str(path))})"
        return _examined(read_results(path), code, path.parent)
    if isinstance(results, HasResults):
        code = f"results = hr.Study({literal(str(results.folder))}).results()"
        source = _examined(results.results(), code, results.folder)
        # The paths as the study's cohort resolved them against its manifest, if it has them.
        fields = getattr(getattr(results, "cohort", None), "fields", None)
        if isinstance(fields, pd.DataFrame) and len(fields) == len(source.table):
            return replace(source, locations=fields["recording"])
        return source
    message = (
        f"An Explorer shows results, not an object of type {type(results).__name__}: give it a "
        "DataFrame, the path of a Parquet file, or a study."
    )
    raise ResultsError(message)


def _examined(table: pd.DataFrame, code: str, folder: Path) -> ResultsSource:
    prepare(table.head(0), biomarkers=())
    if table.empty:
        message = "The results have no rows: there is nothing to explore yet."
        raise ResultsError(message)
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        message = f"The results have two columns called {str(twice[0])!r}: rename one of them."
        raise ResultsError(message)
    markers = tuple(marker.name for marker in BIOMARKERS if marker.name in table.columns)
    if not markers:
        names = ", ".join(marker.name for marker in BIOMARKERS[:3])
        message = f"The results have no column with scores, such as {names}: give those of a study."
        raise ResultsError(message)
    locations = table["recording"] if "recording" in table.columns else None
    return ResultsSource(table, code, folder, locations, _tags(table), markers)


def _tags(table: pd.DataFrame) -> tuple[str, ...]:
    own = [name for name in table.columns if isinstance(name, str) and name not in _EACH_ITS_OWN]
    common = [name for name in _COMMON if name in table.columns]
    return tuple(
        name for name in (*own, *common) if name == "outcome" or _has_few_values(table[name])
    )


def _is_measured(name: object, values: "pd.Series[Any]") -> bool:
    """Whether a column has numbers between two ends."""
    if not isinstance(name, str) or not is_numeric_dtype(values) or is_bool_dtype(values):
        return False
    numbers = values.dropna().to_numpy(dtype=np.float64)
    return bool(len(numbers) and np.isfinite(np.ptp(numbers)) and np.ptp(numbers) > 0)


def _has_few_values(values: "pd.Series[Any]") -> bool:
    try:
        different = values.nunique()
    except TypeError:  # lists and the like
        return False
    each_its_own = len(values) >= _MANY and different == len(values)
    return 1 <= different <= MOST_LEVELS and not each_its_own


def label_of(column: str) -> str:
    """Name a column for people: a biomarker's label, the researcher's own name, else words."""
    if column in BIOMARKERS_BY_NAME:
        return BIOMARKERS_BY_NAME[column].label
    if column in _EACH_ITS_OWN:
        return _WORDS.get(column, column.replace("_", " ").capitalize())
    return column


def value_words(column: str, value: str | None) -> str:
    """Word a value of a column; a code is in small letters."""
    if value is None:
        return MISSING_WORDS
    return short_name(value) if column == "error_code" else value


def texts_of(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Write the values of a column as text, as they are chosen; missing stays missing."""
    return values if is_text(values) else values.astype("str")


def is_text(values: "pd.Series[Any]") -> bool:
    """Whether a column holds text and nothing else."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = dtype.categories.dtype
    return isinstance(dtype, pd.StringDtype)


def levels_in(values: "pd.Series[Any]") -> tuple[tuple[str | None, ...], Codes]:
    """List the values of a column, and the place of each row's in the list.

    They are in natural order, or in that of their categories; None, for missing ones, comes last.
    """
    texts = texts_of(values).astype("str")
    if isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered:
        order = [str(name) for name in values.cat.categories]
    else:
        order = sorted(texts.dropna().unique(), key=natural_key)
    found = pd.Categorical(texts, order).remove_unused_categories()
    names, codes = tuple(found.categories), found.codes.astype(np.intp)
    is_missing = codes < 0
    places = np.where(is_missing, len(names), codes)
    return (*names, None) if is_missing.any() else names, places


def id_of(table: pd.DataFrame, position: int) -> str:
    """Name the recording at a position: its id, or its row as people count."""
    if RECORDING_ID.name in table.columns:
        value = table[RECORDING_ID.name].iloc[position]
        if pd.notna(value):
            return str(value)
    return f"row {position + 1:,}"
