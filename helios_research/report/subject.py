"""What a report is about: the results, their tags, and what is known of the study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from helios_research.analysis import source_note
from helios_research.analysis.levels import MOST_LEVELS, levels_of
from helios_research.analysis.provenance import sources_of
from helios_research.analysis.tables import choose_biomarkers, load_results, people_of
from helios_research.columns import BIOMARKERS_BY_NAME, Outcome, Source
from helios_research.errors import UnknownColumnError
from helios_research.report.small_cells import pool_small_levels
from helios_research.results.parquet import read_footer

# One figure each; the uniform versions of the bucketed scores are in the comparison tables.
DEFAULT_BIOMARKERS = (
    *("mental_strain", "distress", "stress", "exhaustion", "sleep_propensity", "low_self_esteem"),
)
_MOST_COLUMNS = 8
DEMOGRAPHICS = ("birth_sex", "language")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is about."""

    table: pd.DataFrame
    as_given: pd.DataFrame
    tags: tuple[str, ...]
    biomarkers: tuple[str, ...]
    provenance: Mapping[str, Any]
    pooled: tuple[str, ...] | None = None

    @property
    def hides_small_cells(self) -> bool:
        """Whether groups of fewer than five participants are hidden."""
        return self.pooled is not None

    @property
    def synthetic(self) -> str | None:
        """The sentence that says so where scores are synthetic."""
        said_to_be = self.provenance.get("source") == Source.SANDBOX.value
        known = source_note(self.table)
        if known is None and said_to_be and not sources_of(self.table):
            return "Synthetic scores from the sandbox, not measurements of anyone."
        return known

    @property
    def n_people(self) -> int:
        """How many participants there are."""
        return people_of(self.table)[1]

    @property
    def small_tags(self) -> list[str]:
        """Tags whose levels fit beside each other on a page."""
        return [tag for tag in self.tags if 2 <= self._n_levels(tag) <= _MOST_COLUMNS]

    @property
    def dividing_tag(self) -> str | None:
        """The first tag that divides participants, such as the arm."""
        each = self._levels_each()
        return next((tag for tag in self.small_tags if (each[tag] <= 1).mean() > 0.5), None)

    @property
    def repeating_tag(self) -> str | None:
        """The first tag that runs with time through a participant's recordings, such as a visit."""
        each = self._levels_each()
        differing = [
            tag
            for tag in self.tags
            if (each[tag] > 1).mean() > 0.5 and self._n_levels(tag) <= MOST_LEVELS
        ]
        return next((tag for tag in differing if _runs_with_time(self.table, tag)), None)

    def _levels_each(self) -> pd.DataFrame:
        """Count the levels of each tag that each participant has."""
        people = self.table.groupby("user_label", observed=True)
        return pd.DataFrame({tag: people[tag].nunique() for tag in self.tags})

    def _n_levels(self, tag: str) -> int:
        return int(self.table[tag].nunique(dropna=False))

    def n_with(self, outcome: Outcome) -> int:
        """Count the recordings with an outcome."""
        return int((self.table["outcome"] == outcome.value).sum())

    def levels_of(self, tag: str) -> tuple[str, ...]:
        """List the levels of a tag."""
        return levels_of(self.table, tag).labels

    def text_of(self, name: str) -> "pd.Series[Any]":
        """Give a column, or an empty one where the results lack it."""
        if name in self.table.columns:
            return self.table[name]
        return pd.Series(None, index=self.table.index, dtype="object")


def subject_of(
    results: pd.DataFrame | str | PathLike[str],
    *,
    tags: Sequence[str] = (),
    biomarkers: Sequence[str] | None = None,
    provenance: Mapping[str, Any] | None = None,
    hide_small_cells: bool = False,
) -> Subject:
    """Gather what a report is about."""
    known: dict[str, Any] = {}
    table = load_results(results)
    if not isinstance(results, pd.DataFrame):
        known = read_footer(Path(results))
    known |= provenance or {}
    chosen = tuple(dict.fromkeys(tags or known.get("tags") or ()))
    for tag in chosen:
        if tag not in table.columns:
            raise UnknownColumnError(tag, table.columns)
    wanted = _figures(table, biomarkers)
    if not hide_small_cells:
        return Subject(table, table, chosen, wanted, known)
    grouping = [*chosen, *(name for name in DEMOGRAPHICS if name in table.columns)]
    pooled, notes = pool_small_levels(table, grouping)
    return Subject(pooled, table, chosen, wanted, known, tuple(notes))


def _figures(table: pd.DataFrame, biomarkers: Sequence[str] | None) -> tuple[str, ...]:
    if biomarkers is not None:
        return tuple(marker.name for marker in choose_biomarkers(table, biomarkers))
    return tuple(
        name for name in DEFAULT_BIOMARKERS if name in table.columns and name in BIOMARKERS_BY_NAME
    )


def _runs_with_time(table: pd.DataFrame, tag: str) -> bool:
    """Tell a visit, which runs with time, from a tag such as the prompt, which does not."""
    levels = levels_of(table, tag)
    if "recording_time" not in table.columns or table["recording_time"].isna().all():
        return all(any(map(str.isdigit, label)) for label in levels.labels)
    ordered = pd.DataFrame(
        {"who": table["user_label"], "when": table["recording_time"], "level": levels.codes}
    ).sort_values(["who", "when"], kind="stable")
    steps = ordered.groupby("who")["level"].diff().dropna()
    return bool((steps >= 0).mean() > 0.9)
