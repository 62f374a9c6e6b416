"""A results table made ready once: what every analysis and every figure starts from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helios_research._util.text import counted, natural_key
from helios_research.columns import (
    BIOMARKERS,
    BIOMARKERS_BY_NAME,
    BIRTH_SEX_SPELLINGS,
    BUCKET_LEVELS,
    Biomarker,
    Outcome,
    Source,
)
from helios_research.errors import ResultsError, UnknownColumnError

Codes = NDArray[np.intp]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

_DAY = pd.Timedelta(days=1)
_ZERO = pd.Timestamp("2000-01-01", tz="UTC")

NOT_GIVEN = "not given"
MOST_LEVELS = 500


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of one grouping column, in an order that a reader expects.

    ``codes`` has the place in ``labels`` of each recording's level.
    """

    codes: Codes
    labels: tuple[str, ...]

    def __len__(self) -> int:
        """Count the levels."""
        return len(self.labels)

    def subset(self, rows: Flags) -> "Levels":
        """Keep the levels that occur in some rows."""
        kept, codes = np.unique(self.codes[rows], return_inverse=True)
        return Levels(codes, tuple(self.labels[place] for place in kept))


@dataclass(frozen=True, eq=False)
class PreparedResults:
    """A results table, checked, with what every analysis and every figure asks of it.

    Made by ``prepare``, never changed: ``subset`` and ``with_columns`` give another one.

    Attributes
    ----------
    frame
        The results, one row per recording, numbered from 0.
    people
        Number of each recording's participant, from 0 in the order of their labels; -1 where it
        is not known.
    biomarkers
        The biomarkers asked for, in the order asked for.
    levels
        The levels of each grouping column asked for.
    """

    frame: pd.DataFrame
    people: Codes
    biomarkers: tuple[Biomarker, ...]
    levels: dict[str, Levels]

    @property
    def names(self) -> list[str]:
        """The biomarkers' columns."""
        return [marker.name for marker in self.biomarkers]

    @property
    def n_people(self) -> int:
        """How many participants there are."""
        return int(self.people.max(initial=-1)) + 1

    @cached_property
    def counts(self) -> Flags:
        """Which recordings count: those scored, of a known participant."""
        return ((self.frame["outcome"] == Outcome.SCORED) & (self.people >= 0)).to_numpy(dtype=bool)

    @cached_property
    def scores(self) -> dict[str, Floats]:
        """The scores that count of each biomarker, NaN elsewhere."""
        each = {name: _numbers(self.frame[name]) for name in self.names}
        return {name: np.where(self.counts, numbers, np.nan) for name, numbers in each.items()}

    @cached_property
    def has_score(self) -> Flags:
        """Which recordings have a score of at least one of the biomarkers, even an impossible one."""
        return self.counts & self.frame[self.names].notna().any(axis=1).to_numpy(dtype=bool)

    @cached_property
    def flagged(self) -> Flags:
        """Which recordings were scored and have an error code all the same.

        Their row of the manifest was changed after they were sent (``METADATA_CHANGED``), or can no
        longer be sent (``INVALID_…``). Their scores are those of what was sent, and count.
        """
        if "error_code" not in self.frame.columns:
            return np.zeros(len(self.frame), dtype=bool)
        flagged = (self.frame["outcome"] == Outcome.SCORED) & self.frame["error_code"].notna()
        return flagged.to_numpy(dtype=bool)

    @cached_property
    def flagged_note(self) -> str | None:
        """The sentence that counts the flagged recordings; None where there are none."""
        number = int(self.flagged.sum())
        if not number:
            return None
        codes = count_reasons(self.frame["error_code"][self.flagged].astype("str"))
        which = ", ".join(f"{count:,} {code}" for code, count in codes.items())
        are = "recording is" if number == 1 else "recordings are"
        return (
            f"{number:,} scored {are} flagged ({which}): the manifest was changed after the "
            "recording was sent. The scores are those of what was sent, and they count; "
            "error_reason says what changed."
        )

    @cached_property
    def sources(self) -> list[str]:
        """Where the scores come from, as in ``columns.Source``."""
        if "source" not in self.frame.columns:
            return []
        return sorted(str(source) for source in self.frame["source"].dropna().unique())

    @cached_property
    def source_note(self) -> str | None:
        """The sentence that says that scores are synthetic; None where no score is."""
        if Source.SANDBOX.value not in self.sources:
            return None
        if len(self.sources) == 1:
            return "Synthetic scores from the sandbox, not measurements of anyone."
        return "Synthetic scores from the sandbox are mixed with scores from Helios: separate them."

    def days(self, column: str) -> Floats:
        """Count the days since 2000 (UTC) to each time of a column; NaN where there is none."""
        return days_of(self.frame[column])

    def missing_reasons(self, rows: Flags) -> "pd.Series[str]":
        """Give the reason why each of these recordings has no score; null in all other rows."""
        # A file of another program may lack some; every missing score has a reason.
        given = [name for name in REASON_COLUMNS if name in self.frame.columns]
        table = self.frame.loc[rows, given].reindex(columns=list(REASON_COLUMNS))
        outcome = table["outcome"].astype("str").fillna("no outcome")
        scored = outcome == Outcome.SCORED.value
        sections = pd.to_numeric(table["n_sections"], errors="coerce").fillna(1)
        why = table["error_code"].astype("str").fillna(outcome)
        why = why.mask(scored, "no score").mask(
            scored & table["user_label"].isna(), "no participant"
        )
        return why.mask(scored & (sections > 1), "several sections").reindex(self.frame.index)

    def subset(self, rows: Flags) -> "PreparedResults":
        """Take some of the rows, numbered anew."""
        found, people = np.unique(self.people[rows], return_inverse=True)
        return replace(
            self,
            frame=self.frame[rows].reset_index(drop=True),
            people=people - int((found < 0).any()),
            levels={name: levels.subset(rows) for name, levels in self.levels.items()},
        )

    def with_columns(self, **columns: Any) -> "PreparedResults":
        """Add or replace columns, not that of the participants."""
        levels = {name: own for name, own in self.levels.items() if name not in columns}
        return replace(self, frame=self.frame.assign(**columns), levels=levels)

    def finish(self, rows: pd.DataFrame, method: str, warnings: Sequence[str] = ()) -> pd.DataFrame:
        """Put on a finished analysis what a reader has to know about it."""
        rows.attrs = {
            "method": method,
            "warnings": [*warnings, *filter(None, [self.flagged_note])],
            "sources": self.sources,
            "source_note": self.source_note,
        }
        return rows


Results = pd.DataFrame | str | PathLike[str] | PreparedResults


def prepare(
    results: Results,
    by: Iterable[str | None] = (),
    *,
    biomarkers: str | Sequence[str] | None = None,
    needs: Iterable[str] = (),
) -> PreparedResults:
    """Check a results table, or read it from a Parquet file, and make it ready.

    ``by`` are the grouping columns (None is left out), ``needs`` further columns that have to be
    there. Without ``biomarkers`` it has all, or those of results that are prepared already.
    """
    if isinstance(results, PreparedResults):
        prepared, chosen = results, results.biomarkers
    else:
        frame = results if isinstance(results, pd.DataFrame) else _read(Path(results))
        for name in ("outcome", "user_label"):
            _check_column(frame, name)
        # Sorted, so that a seeded bootstrap gives the same whatever the order of the rows.
        people, _ = pd.factorize(frame["user_label"], sort=True)
        frame = frame.reset_index(drop=True)
        prepared, chosen = PreparedResults(frame, people.astype(np.intp), (), {}), None
    columns = [name for name in dict.fromkeys(by) if name is not None]
    for name in (*columns, *needs):
        _check_column(prepared.frame, name)
    if chosen is None or biomarkers is not None:
        chosen = _choose_biomarkers(prepared.frame, biomarkers)
    new = {name: levels_of(prepared.frame, name) for name in columns if name not in prepared.levels}
    if not new and chosen == prepared.biomarkers:
        return prepared
    return replace(prepared, biomarkers=chosen, levels=prepared.levels | new)


def _check_column(frame: pd.DataFrame, name: str) -> None:
    if name not in frame.columns:
        raise UnknownColumnError(name, frame.columns)
    column: pd.Series[Any] | pd.DataFrame = frame[name]
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
            "use the results.parquet of a study, or a DataFrame."
        )
        raise ResultsError(message) from error


def _choose_biomarkers(
    frame: pd.DataFrame, biomarkers: str | Sequence[str] | None
) -> tuple[Biomarker, ...]:
    """Find the biomarkers that were asked for."""
    present = [marker for marker in BIOMARKERS if marker.name in frame.columns]
    if biomarkers is None:
        if not present:
            raise UnknownColumnError(BIOMARKERS[0].name, frame.columns)
        return tuple(present)
    names = [biomarkers] if isinstance(biomarkers, str) else list(dict.fromkeys(biomarkers))
    known = [marker.name for marker in present]
    for name in names:
        if name not in known:
            raise UnknownColumnError(name, known, what="biomarkers")
    return tuple(BIOMARKERS_BY_NAME[name] for name in names)


# --- levels -------------------------------------------------------------------------------------


def levels_of(frame: pd.DataFrame, column: str) -> Levels:
    """Sort the values of a grouping column into levels.

    An ordered category keeps its order, numbers go by size, text in natural order ("2" before
    "10"); blank and missing values, and any spelled so, are the last level, "not given".
    """
    each, different = _different(frame[column])
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


def canonical_sex(values: "pd.Series[str]") -> "pd.Series[str]":
    """Bring the spellings of a manifest ("f", "Female") to the words of Helios, others to capitals."""
    text = values.astype("str").str.strip().str.upper()
    return text.replace(dict(BIRTH_SEX_SPELLINGS))


# --- scores ---------------------------------------------------------------------------------------


def days_of(values: "pd.Series[Any]") -> Floats:
    """Count the days since 2000 (UTC) to each time; NaN where there is none."""
    if not pd.api.types.is_datetime64_any_dtype(values):
        # Without a whole date, "12" would be taken for a year.
        text = values.astype("str")
        values = text.where(text.str.match(r"\d{4}-\d\d-\d\d", na=False))
    times = pd.to_datetime(values, format="ISO8601", errors="coerce", utc=True)
    return np.asarray((times.astype("datetime64[us, UTC]") - _ZERO) / _DAY, dtype=np.float64)


def times_from(days: Floats) -> pd.DatetimeIndex:
    """Turn days since 2000 into times."""
    return _ZERO + pd.to_timedelta(days, unit="D")


def bucket_steps(scores: Floats) -> Codes:
    """Give the scores of a bucketed biomarker the places of their levels."""
    # Half of the least distance between two levels, so that rounding cannot move a score.
    return np.searchsorted(BUCKET_LEVELS, scores - 0.15)


def _numbers(column: "pd.Series[Any]") -> Floats:
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        values = np.array([np.inf])
    if np.isinf(values).any():
        message = (
            f"The column {str(column.name)!r} contains values that are not scores (text or infinite "
            "numbers): use the results as a study exports them."
        )
        raise ResultsError(message)
    return values


# --- participants ---------------------------------------------------------------------------------


def count_people(people: Codes, rows: Flags) -> int:
    """Count the participants behind some rows."""
    return len(np.unique(people[rows & (people >= 0)]))


def count_people_by_level(people: Codes, codes: Codes, n_levels: int) -> Codes:
    """Count the participants at each level."""
    n_people = int(people.max(initial=0)) + 1
    known = people >= 0
    pairs = pd.unique(codes[known] * n_people + people[known])
    return np.bincount(pairs // n_people, minlength=n_levels).astype(np.intp)


# --- reasons, warnings and notes --------------------------------------------------------------------


# What the reason of a missing score is read from.
REASON_COLUMNS = ("outcome", "error_code", "n_sections", "user_label")


def count_reasons(reasons: "pd.Series[str]") -> dict[str, int]:
    """Count the reasons of missing scores, the most frequent first, then by name."""
    counts = reasons.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return {str(reason): count for reason, count in counts.items()}


def has_warning(table: pd.DataFrame) -> Flags:
    """Mark the recordings with a warning from Helios."""
    if "warnings" not in table.columns:
        return np.zeros(len(table), dtype=bool)
    return np.array(
        [hasattr(found, "__len__") and len(found) > 0 for found in table["warnings"]], dtype=bool
    )


def not_ended(pending: int) -> str:
    """Begin a sentence with the number of recordings that have no outcome yet."""
    return f"{counted(pending, 'recording')} {'has' if pending == 1 else 'have'} not ended yet"
