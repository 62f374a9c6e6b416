"""Groups of a few participants, hidden so that no one is recognized by their group.

Small groups are pooled before anything is computed, so that every table and figure has the same
groups. A pool has at least two groups and five participants: its content does not follow from the
other groups and the total.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from helios_research.analysis.prepared import Codes, Flags, Floats, prepare
from helios_research.analysis.table_one import OVERALL

FEWEST = 5
"""Participants that a group needs to be shown."""
HIDDEN = "hidden"


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
