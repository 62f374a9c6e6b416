"""A results table made ready once: what every analysis and every figure starts from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helios_research._util.text import counted
from helios_research.analysis.levels import Levels, levels_of
from helios_research.columns import (
    BIOMARKERS,
    BIOMARKERS_BY_NAME,
    BUCKET_LEVELS,
    OPEN_OUTCOMES,
    OUTCOME_LABELS,
    Biomarker,
    Outcome,
    Source,
)
from helios_research.errors import ResultsError, UnknownColumnError
from helios_research.results import read_results

Codes = NDArray[np.intp]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

# The column of the reason why a recording is excluded.
EXCLUDED = "excluded_because"

_ZERO = pd.Timestamp("2000-01-01", tz="UTC")

# How far a rounded four-level score may be off its level; thirds are 0.007 off.
_ROUNDING = 0.01


@dataclass(frozen=True, eq=False)
class PreparedResults:
    """A results table, checked, with what every analysis and every figure asks of it.

    Made by ``prepare``, never changed. ``frame`` has a row per recording, numbered from 0;
    ``people`` the number of each recording's participant, from 0 in the order of their labels, -1
    where it is not known; ``levels`` those of each grouping column asked for. ``warned`` is "drop"
    where scores with a warning from Helios do not count.
    """

    frame: pd.DataFrame
    people: Codes
    biomarkers: tuple[Biomarker, ...]
    levels: dict[str, Levels]
    warned: str = "keep"

    @property
    def names(self) -> list[str]:
        """The biomarkers' columns."""
        return [marker.name for marker in self.biomarkers]

    @property
    def continuous(self) -> list[str]:
        """The columns of those that are not ordinal."""
        return [marker.name for marker in self.biomarkers if not marker.bucketed]

    @property
    def n_people(self) -> int:
        """How many participants there are."""
        return int(self.people.max(initial=-1)) + 1

    @cached_property
    def excluded(self) -> "pd.Series[str]":
        """The reason why the scores of a recording do not count, although there may be some."""
        why = pd.Series(None, index=self.frame.index, dtype="str")
        if self.warned == "drop":
            why = why.mask(has_warning(self.frame), "warning")
        given = column_of(self.frame, EXCLUDED).astype("str").str.strip()
        return why.mask(given.notna() & (given != ""), "excluded: " + given)

    @cached_property
    def counts(self) -> Flags:
        """Which recordings count: those scored, of a known participant, and not excluded."""
        scored = (self.frame["outcome"] == Outcome.SCORED) & self.excluded.isna()
        return (scored & (self.people >= 0)).to_numpy(dtype=bool)

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
        """Which recordings were scored, and their row of the manifest was changed afterwards."""
        has_code = column_of(self.frame, "error_code").notna()
        return (has_code & (self.frame["outcome"] == Outcome.SCORED)).to_numpy(dtype=bool)

    @property
    def notes(self) -> list[str]:
        """What every analysis of these results warns of: levels that look alike, flagged scores."""
        alike = [
            f"{' and '.join(map(repr, labels))} are {len(labels)} levels of {name}: they differ "
            "only in capitals or spaces."
            for name, levels in self.levels.items()
            for labels in levels.lookalikes()
        ]
        return [*alike, *filter(None, [self.flagged_note])]

    @cached_property
    def flagged_note(self) -> str | None:
        """The sentence that counts the flagged recordings; None where there are none."""
        if not (number := int(self.flagged.sum())):
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
        return sorted(map(str, column_of(self.frame, "source").dropna().unique()))

    @cached_property
    def source_note(self) -> str | None:
        """The sentence that says that scores are synthetic; None where no score is."""
        if Source.SANDBOX.value not in self.sources:
            return None
        if len(self.sources) == 1:
            return "Synthetic scores from the sandbox, not measurements of anyone."
        return "Synthetic scores from the sandbox are mixed with scores from Helios: separate them."

    @property
    def not_ended(self) -> str:
        """The begin of a sentence: how many recordings have no final outcome yet; empty for none."""
        outcome = self.frame["outcome"]
        number, invited = (
            int(outcome.isin(own).sum()) for own in (OPEN_OUTCOMES, OPEN_OUTCOMES[:1])
        )
        those = f" ({invited:,} {OUTCOME_LABELS[Outcome.INVITED]})" if invited else ""
        have = "has" if number == 1 else "have"
        return f"{counted(number, 'recording')} {have} not ended yet{those}" if number else ""

    @cached_property
    def recorded(self) -> Floats:
        """The days since 2000 to each recording; NaN where its time is not known."""
        return self.days("recording_time")

    def days(self, column: str) -> Floats:
        """Count the days since 2000 (UTC) to each time of a column; NaN where there is none."""
        return days_of(column_of(self.frame, column))

    def people_at(self, codes: Codes, n_levels: int) -> Codes:
        """Count the participants at each level."""
        known = self.people >= 0
        pairs = pd.unique(codes[known] * max(self.n_people, 1) + self.people[known])
        return np.bincount(pairs // max(self.n_people, 1), minlength=n_levels).astype(np.intp)

    def levels_each(self, codes: Codes) -> "pd.Series[int]":
        """Count at how many levels each participant is; a code of -1 is none."""
        known = (self.people >= 0) & (codes >= 0)
        return pd.Series(codes[known]).groupby(self.people[known]).nunique()

    def missing_reasons(self, rows: Flags) -> "pd.Series[str]":
        """Give the reason why each of these recordings has no score; null in all other rows."""
        # A file of another program may lack columns; every missing score has a reason.
        names = ("outcome", "error_code", "n_sections", "user_label")
        outcome, code, sections, person = (column_of(self.frame, name)[rows] for name in names)
        outcome, excluded = outcome.astype("str").fillna("no outcome"), self.excluded[rows]
        scored = outcome == Outcome.SCORED.value
        sections = pd.to_numeric(sections, errors="coerce").fillna(1)
        why = code.astype("str").fillna(outcome).mask(scored, "no score")
        why = why.mask(outcome == Outcome.INVITED, str(OUTCOME_LABELS[Outcome.INVITED]))
        why = why.mask(scored & person.isna(), "no participant")
        why = why.mask(scored & (sections > 1), "several sections")
        return why.mask(scored & excluded.notna(), excluded).reindex(self.frame.index)

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
            "warnings": [*warnings, *self.notes],
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
    order: str | Sequence[str] | None = None,
    warned: str = "keep",
) -> PreparedResults:
    """Check a results table, or read it from a Parquet file, and make it ready.

    ``by`` are the grouping columns (None is left out), ``needs`` further columns that have to be
    there. Without ``biomarkers`` it has all, or those of results that are prepared already.
    ``order`` names the levels that come first. With ``warned="drop"``, scores with a warning from
    Helios do not count; results that were prepared so remain so.
    """
    check_choice("way to treat warned scores", warned, ("keep", "drop"))
    prepared = results if isinstance(results, PreparedResults) else _check(results)
    columns = [name for name in dict.fromkeys(by) if name is not None]
    for name in (*columns, *needs):
        _check_column(prepared.frame, name)
    if biomarkers is not None or prepared is not results:
        prepared = _with_biomarkers(prepared, biomarkers)
    if warned == "drop" and prepared.warned != warned:
        prepared = replace(prepared, warned=warned)
    return _with_levels(prepared, columns, order)


def check_choice(what: str, given: str, accepted: tuple[str, str]) -> None:
    """Make sure that a setting is one of its two words."""
    if given not in accepted:
        message = f"Unknown {what} {given!r}: choose {accepted[0]!r} or {accepted[1]!r}."
        raise ResultsError(message)


def _check(results: pd.DataFrame | str | PathLike[str]) -> PreparedResults:
    frame = results if isinstance(results, pd.DataFrame) else read_results(results)
    for name in ("outcome", "user_label"):
        _check_column(frame, name)
    # Sorted, so that participants have the same numbers whatever the order of the rows.
    people, _ = pd.factorize(frame["user_label"], sort=True)
    return PreparedResults(frame.reset_index(drop=True), people.astype(np.intp), (), {})


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


def _with_biomarkers(
    results: PreparedResults, asked: str | Sequence[str] | None
) -> PreparedResults:
    """Take the biomarkers asked for; None means all."""
    present = [marker.name for marker in BIOMARKERS if marker.name in results.frame.columns]
    if asked is None and not present:
        raise UnknownColumnError(BIOMARKERS[0].name, results.frame.columns)
    names = present if asked is None else [asked] if isinstance(asked, str) else asked
    for name in names:
        if name not in present:
            raise UnknownColumnError(name, present, what="biomarkers")
    chosen = tuple(BIOMARKERS_BY_NAME[name] for name in dict.fromkeys(names))
    if chosen == results.biomarkers:
        return results
    fresh = (own.name for own in chosen if own.bucketed and own not in results.biomarkers)
    snapped = {name: _on_levels(results.frame[name]) for name in fresh}
    return replace(results, frame=results.frame.assign(**snapped), biomarkers=chosen)


def _with_levels(
    results: PreparedResults, columns: Sequence[str], order: str | Sequence[str] | None
) -> PreparedResults:
    new = {
        name: levels_of(results.frame[name], results.people, lambda: results.recorded)
        for name in columns
        if name not in results.levels
    }
    if order is not None:
        wanted = [order] if isinstance(order, str) else list(map(str, order))
        asked = {name: (results.levels | new)[name] for name in columns}
        known = list(dict.fromkeys(label for levels in asked.values() for label in levels.labels))
        if known and not set(known) & set(wanted):
            named, there = (", ".join(map(repr, labels)) for labels in (wanted, known))
            message = f"No level of {' or '.join(columns)} is in order ({named}). Levels: {there}."
            raise ResultsError(message)
        new = {name: levels.reordered(wanted) for name, levels in asked.items()}
    return replace(results, levels=results.levels | new) if new else results


# --- columns --------------------------------------------------------------------------------------


def column_of(table: pd.DataFrame, name: str) -> "pd.Series[Any]":
    """Give a column, or an empty one where the table lacks it."""
    has_column = name in table.columns
    return table[name] if has_column else pd.Series(None, index=table.index, dtype="str")


def days_of(values: "pd.Series[Any]") -> Floats:
    """Count the days since 2000 (UTC) to each time; NaN where there is none."""
    if not pd.api.types.is_datetime64_any_dtype(values):
        # Without a whole date, "12" would be taken for a year.
        text = values.astype("str")
        values = text.where(text.str.match(r"\d{4}-\d\d-\d\d", na=False))
    times = pd.to_datetime(values, format="ISO8601", errors="coerce", utc=True)
    since = times.astype("datetime64[us, UTC]") - _ZERO
    return np.asarray(since / pd.Timedelta(days=1), dtype=np.float64)


def times_from(days: Floats) -> pd.DatetimeIndex:
    """Turn days since 2000 into times."""
    return _ZERO + pd.to_timedelta(days, unit="D")


def bucket_steps(scores: Floats) -> Codes:
    """Give the scores of a bucketed biomarker the places of their levels."""
    # Half of the least distance between two levels, so that rounding cannot move a score.
    return np.searchsorted(BUCKET_LEVELS, scores - 0.15)


def _on_levels(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Put scores that were rounded (float32, Stata) on the four levels; refuse others."""
    scores = _numbers(column)
    levels = np.append(BUCKET_LEVELS, np.nan)[bucket_steps(scores)]
    if (levels == scores)[~np.isnan(scores)].all():
        return column
    off = scores[~np.isnan(scores) & ~(np.abs(scores - levels) <= _ROUNDING)]
    if len(off):
        message = (
            f"The column {str(column.name)!r} has {counted(len(off), 'score')} off the four levels "
            f"0, 0.33, 0.66 and 1, the first {off[0]:g}: use the results as a study exports them."
        )
        raise ResultsError(message)
    return pd.Series(levels, index=column.index)


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


# --- reasons and warnings ---------------------------------------------------------------------------


def count_reasons(reasons: "pd.Series[str]") -> dict[str, int]:
    """Count the reasons of missing scores, the most frequent first, then by name."""
    counts = reasons.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return {str(reason): count for reason, count in counts.items()}


def has_warning(table: pd.DataFrame) -> Flags:
    """Mark the recordings with a warning from Helios."""
    found = column_of(table, "warnings")
    return np.array([hasattr(own, "__len__") and len(own) > 0 for own in found], dtype=bool)
