"""What a report is about, with small groups hidden so that no one is recognized by their group.

Small groups are pooled before anything is computed, so that every table and figure has the same
groups. A pool has at least two groups and five participants: its content does not follow from the
other groups and the total.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helios_research.analysis.levels import MOST_LEVELS
from helios_research.analysis.prepared import (
    Codes,
    Flags,
    Floats,
    PreparedResults,
    prepare,
)
from helios_research.analysis.table_one import OVERALL
from helios_research.columns import BIOMARKERS, Outcome, Source
from helios_research.results.files import read_footer

# One figure each; the uniform versions of the bucketed scores are in the comparison tables.
_DEFAULT_BIOMARKERS = ("mental_strain", *(one.name for one in BIOMARKERS if one.bucketed))
_MOST_COLUMNS = 8
DEMOGRAPHICS = ("birth_sex", "language")
FEWEST = 5
"""Participants that a group needs to be shown."""
HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class ReportData:
    """What a report is about; ``pooled`` has a sentence for each column with pooled groups."""

    prepared: PreparedResults
    as_given: pd.DataFrame
    tags: tuple[str, ...]
    biomarkers: tuple[str, ...]
    provenance: Mapping[str, Any]
    hide_small_cells: bool = False
    pooled: tuple[str, ...] = ()

    @property
    def synthetic(self) -> str | None:
        """The sentence that scores are synthetic; None where they are not."""
        if not self.prepared.sources and self.provenance.get("source") == Source.SANDBOX.value:
            return self.prepared.with_columns(source=Source.SANDBOX.value).source_note
        return self.prepared.source_note

    @property
    def table(self) -> pd.DataFrame:
        """The results, one row per recording."""
        return self.prepared.frame

    @property
    def small_tags(self) -> list[str]:
        """Tags whose levels fit next to each other on a page."""
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
        return prepare(self.prepared, [tag]).levels[tag].labels

    def without_flagged_note(self, warnings: Iterable[str]) -> list[str]:
        """Leave out the warning about flagged scores, which At a glance gives once for all."""
        return [warning for warning in warnings if warning != self.prepared.flagged_note]

    def column(self, name: str) -> "pd.Series[Any]":
        """Give a column, or an empty one where the results lack it."""
        empty = pd.Series(None, index=self.table.index, dtype="object")
        return self.table.get(name, empty)


def report_data(
    results: pd.DataFrame | str | PathLike[str],
    *,
    tags: Sequence[str] = (),
    biomarkers: Sequence[str] | None = None,
    provenance: Mapping[str, Any] | None = None,
    hide_small_cells: bool = False,
) -> ReportData:
    """Read and check what a report is about, and pool small groups."""
    prepared = prepare(results, biomarkers=())
    table = prepared.frame
    known = {} if isinstance(results, pd.DataFrame) else read_footer(Path(results))
    known |= provenance or {}
    chosen = tuple(dict.fromkeys(tags or known.get("tags") or ()))
    if biomarkers is None:
        biomarkers = [name for name in _DEFAULT_BIOMARKERS if name in table.columns]
    figures = tuple(prepare(prepared, biomarkers=biomarkers, needs=chosen).names)
    whole = ReportData(prepared, table, chosen, figures, known)
    if not hide_small_cells:
        return whole
    grouping = [*chosen, *(name for name in DEMOGRAPHICS if name in table.columns)]
    pooled, notes = pool_small_levels(table, grouping)
    return replace(
        whole, prepared=prepare(pooled, biomarkers=()), hide_small_cells=True, pooled=tuple(notes)
    )


def _runs_with_time(table: pd.DataFrame, tag: str) -> bool:
    """Whether a tag runs with time, as a visit does and a prompt does not."""
    levels = prepare(table, [tag], biomarkers=()).levels[tag]
    if "recording_time" not in table.columns or table["recording_time"].isna().all():
        return all(any(map(str.isdigit, label)) for label in levels.labels)
    ordered = pd.DataFrame(
        {"who": table["user_label"], "when": table["recording_time"], "level": levels.codes}
    ).sort_values(["who", "when"], kind="stable")
    steps = ordered.groupby("who")["level"].diff().dropna()
    return bool((steps >= 0).mean() > 0.9)


# --- small groups ---------------------------------------------------------------------------------


def pool_small_levels(
    table: pd.DataFrame, columns: Iterable[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Pool the levels of each column that fewer than five participants have."""
    pooled, notes = table.copy(deep=False), []
    for name in columns:
        prepared = prepare(table, [name], biomarkers=())
        levels = prepared.levels[name]
        chosen = _to_pool(levels.codes, prepared.people, len(levels))
        if not chosen:
            continue
        pool = f"{len(chosen)} groups pooled"
        labels = [pool if level in chosen else label for level, label in enumerate(levels.labels)]
        order = [*(label for label in labels if label != pool), pool]
        values = [labels[code] for code in levels.codes]
        pooled[name] = pd.Categorical(values, categories=order, ordered=True)
        notes.append(
            f"{name}: {len(chosen)} groups are shown as one, because at least one of them has fewer "
            f"than {FEWEST} participants."
        )
    return pooled, notes


def _to_pool(codes: Codes, people: Codes, n_levels: int) -> set[int]:
    """Choose the small levels, and the next larger ones until the pool identifies no one."""
    members = [set(people[(codes == level) & (people >= 0)]) for level in range(n_levels)]
    by_size = sorted(range(n_levels), key=lambda level: len(members[level]))
    chosen: set[int] = set()
    together: set[int] = set()
    for level in by_size:
        is_small = len(members[level]) < FEWEST
        if not is_small and (not chosen or (len(chosen) > 1 and len(together) >= FEWEST)):
            break
        chosen.add(level)
        together |= members[level]
    return chosen


def hide_small_counts(described: pd.DataFrame, printed: pd.DataFrame) -> pd.DataFrame:
    """Hide cells of Table 1 about fewer than five participants.

    Where a characteristic has a small cell in any group, its counts are hidden in all groups,
    because rows and columns add up; in the column of all participants, the next smallest count is
    hidden together with a single small one.
    """
    safe = printed.copy()
    groups = [name for name in described["group"].unique() if name != OVERALL]
    for name, part in described.groupby("characteristic", sort=False):
        statistic = part["statistic"].iloc[0]
        if statistic != "count":
            rows = safe["characteristic"] == f"{name}, {statistic}"
            few = is_few(part["participants"] - part["missing"]) | is_few(part["missing"])
            for group in part["group"][few]:
                safe.loc[rows, group] = HIDDEN
        elif (part["level"] != "").any():
            rows = safe["characteristic"] == name
            cells = part.pivot_table(
                index="level", columns="group", values="count", sort=False, observed=True
            )
            is_small = cells.apply(is_few) | is_few(part.groupby("group")["missing"].first())
            if is_small[groups].to_numpy().any():
                safe.loc[rows, [*groups, "SMD"]] = HIDDEN
            hidden = hide_second_cell(cells[OVERALL].to_numpy(), is_small[OVERALL].to_numpy())
            safe.loc[rows, OVERALL] = safe.loc[rows, OVERALL].mask(hidden, HIDDEN)
    return safe


def is_few(counts: "pd.Series[Any]") -> "pd.Series[bool]":
    """Find the counts that are hidden on demand."""
    return counts.between(1, FEWEST - 1)


def hide_second_cell(counts: Floats, hidden: Flags) -> Flags:
    """Hide a second cell where only one is hidden, which otherwise follows from the total."""
    chosen = np.asarray(hidden, dtype=bool).copy()
    if chosen.sum() == 1 and len(chosen) > 1:
        others = np.where(chosen, np.inf, np.asarray(counts, dtype=np.float64))
        chosen[int(np.argmin(others))] = True
    return chosen
