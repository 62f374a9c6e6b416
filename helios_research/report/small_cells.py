"""Keeping groups of a few participants out of sight, so that nobody is recognized by their group.

Small groups are pooled before anything is computed, so that every table and figure shows the same
groups. A pool holds at least two groups and five participants: what is in it cannot be found by
taking the other groups from the total.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from helios_research.analysis.cohort_table import OVERALL
from helios_research.analysis.levels import levels_of
from helios_research.analysis.tables import Codes, Flags, Floats, people_of

FEWEST = 5
"""Participants that a group must have to be shown."""
HIDDEN = "hidden"


def pool_small_levels(
    table: pd.DataFrame, columns: Iterable[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Pool the levels of each column that fewer than five participants have."""
    pooled, notes = table, []
    for name in columns:
        values, sizes = _pooled(table, name)
        if sizes:
            pooled = pooled.assign(**{name: values})
            notes.append(
                f"{name}: {sizes} groups are shown as one, because at least one of them has fewer "
                f"than {FEWEST} participants."
            )
    return pooled, notes


def _pooled(table: pd.DataFrame, name: str) -> tuple[pd.Categorical, int]:
    levels = levels_of(table, name)
    people, _ = people_of(table)
    chosen = _to_pool(levels.codes, people, len(levels))
    if not chosen:
        return pd.Categorical([]), 0
    pool = f"{len(chosen)} groups pooled"
    labels = [pool if level in chosen else label for level, label in enumerate(levels.labels)]
    order = [*(label for label in labels if label != pool), pool]
    values = [labels[code] for code in levels.codes]
    return pd.Categorical(values, categories=order, ordered=True), len(chosen)


def _to_pool(codes: Codes, people: Codes, n_levels: int) -> set[int]:
    """Choose the small levels, and the next larger ones until the pool tells of nobody."""
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
    """Hide what Table 1 would tell of fewer than five participants.

    Where a characteristic has a small cell in any group, its counts are hidden in all groups,
    because rows and columns add up; in the column of all participants a small count takes the
    next smallest with it.
    """
    safe = printed.copy()
    groups = [name for name in described["group"].unique() if name != OVERALL]
    for name, part in described.groupby("characteristic", sort=False):
        rows = safe["characteristic"].str.removesuffix(", mean (SD)") == name
        if part["statistic"].iloc[0] == "distribution":
            few = part.set_index("group").pipe(_has_few_values)
            for group in few.index[few]:
                safe.loc[rows, group] = HIDDEN
        elif (part["level"] != "").any():
            cells = part.pivot_table(
                index="level", columns="group", values="count", sort=False, observed=True
            )
            without = part.groupby("group")["missing"].first().between(1, FEWEST - 1)
            is_small = cells.apply(lambda counts: counts.between(1, FEWEST - 1)) | without
            if is_small[groups].to_numpy().any():
                safe.loc[rows, [*groups, "SMD"]] = HIDDEN
            company = with_company(cells[OVERALL].to_numpy(), is_small[OVERALL].to_numpy())
            safe.loc[rows, OVERALL] = safe.loc[rows, OVERALL].mask(company, HIDDEN)
    return safe


def _has_few_values(part: pd.DataFrame) -> "pd.Series[bool]":
    known = part["participants"] - part["missing"]
    return known.between(1, FEWEST - 1) | part["missing"].between(1, FEWEST - 1)


def with_company(counts: Floats, hidden: Flags) -> Flags:
    """Hide a second cell where only one is hidden, which the total would give away."""
    chosen = np.asarray(hidden, dtype=bool).copy()
    if chosen.sum() == 1 and len(chosen) > 1:
        others = np.where(chosen, np.inf, np.asarray(counts, dtype=np.float64))
        chosen[int(np.argmin(others))] = True
    return chosen
