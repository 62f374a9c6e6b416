"""Groups of a few participants are hidden, and do not follow from the rest."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from helios_research.analysis import format_table_one, table_one
from helios_research.report.small_cells import (
    FEWEST,
    HIDDEN,
    hide_second_cell,
    hide_small_counts,
    pool_small_levels,
)


def people(**sizes: int) -> pd.DataFrame:
    """A recording of each participant, with so many participants in each arm."""
    arms = [arm for arm, size in sizes.items() for _ in range(size)]
    return pd.DataFrame(
        {
            "recording_id": [f"r{n}" for n in range(len(arms))],
            "user_label": [f"P{n}" for n in range(len(arms))],
            "outcome": "scored",
            "mental_strain": np.linspace(0, 1, len(arms)),
            "arm": pd.Series(arms, dtype="str"),
        }
    )


def sizes_of(table: pd.DataFrame) -> dict[str, int]:
    return table.groupby("arm", observed=True)["user_label"].nunique().to_dict()


@pytest.mark.parametrize(
    ("sizes", "pooled"),
    [
        ({"a": 9, "b": 5}, {"a": 9, "b": 5}),
        ({"a": 9, "b": 8, "c": 4}, {"a": 9, "2 groups pooled": 12}),
        ({"a": 9, "b": 8, "c": 2, "d": 4}, {"a": 9, "b": 8, "2 groups pooled": 6}),
        ({"a": 9, "b": 8, "c": 1, "d": 1}, {"a": 9, "3 groups pooled": 10}),
        ({"a": 9, "b": 2}, {"2 groups pooled": 11}),
    ],
)
def test_a_pool_has_at_least_two_groups_and_five_participants(
    sizes: dict[str, int], pooled: dict[str, int]
) -> None:
    table, notes = pool_small_levels(people(**sizes), ["arm"])
    assert sizes_of(table) == pooled
    assert bool(notes) == (sizes != pooled)


def test_the_group_that_never_said_is_pooled_too() -> None:
    table = people(a=9, b=8, c=3)
    table["arm"] = table["arm"].mask(table["arm"] == "c")
    assert sizes_of(pool_small_levels(table, ["arm"])[0]) == {"a": 9, "2 groups pooled": 11}


def test_a_pool_of_birth_sex_is_called_as_other_pools_are() -> None:
    table = people(a=9, b=8, c=3).rename(columns={"arm": "birth_sex"})
    table["arm"] = "all"
    described = table_one(pool_small_levels(table, ["birth_sex"])[0], "arm", columns="birth_sex")
    assert [*described["level"].unique()] == ["", "A", "2 groups pooled"]


def test_counts_of_table_one_that_would_tell_of_a_few_are_hidden_with_those_that_give_them_away() -> (
    None
):
    table = people(a=10, b=10).assign(
        birth_sex=["FEMALE"] * 9 + ["MALE"] + ["FEMALE"] * 5 + ["MALE"] * 5,
        language=["en-GB"] * 5 + ["de-DE"] * 5 + ["en-GB"] * 5 + ["de-DE"] * 5,
    )
    described = table_one(table, "arm")
    safe = hide_small_counts(described, format_table_one(described)).set_index(
        ["characteristic", "level"]
    )
    assert (safe.loc["birth_sex", ["a", "b", "SMD"]] == HIDDEN).all(axis=None)
    assert safe.loc[("birth_sex", "FEMALE"), "overall"] == "14 (70 %)"
    assert not (safe.loc["language"] == HIDDEN).any(axis=None)
    assert not (safe.loc["participants"] == HIDDEN).any(axis=None)


def test_ages_known_of_a_few_only_are_hidden() -> None:
    table = people(a=10, b=10).assign(
        date_of_birth=pd.Series(["1980-01-01"] * 3 + [None] * 7 + ["1990-01-01"] * 10, dtype="str"),
        recording_time="2026-01-01T08:00:00",
    )
    described = table_one(table, "arm")
    safe = hide_small_counts(described, format_table_one(described))
    ages = safe[safe["characteristic"].str.startswith("age")].iloc[0]
    assert (ages["a"], ages["b"]) == (HIDDEN, "36.0 (0.0)")


def test_a_single_hidden_cell_takes_the_smallest_other_with_it() -> None:
    counts = np.array([3.0, 20.0, 7.0])
    assert hide_second_cell(counts, counts < FEWEST).tolist() == [True, False, True]
    two = np.array([3.0, 2.0, 7.0])
    assert hide_second_cell(two, two < FEWEST).tolist() == [True, True, False]
    assert hide_second_cell(counts, counts < 0).tolist() == [False, False, False]


def test_a_report_shows_small_groups_only_if_asked_to(
    study: pd.DataFrame, report_on: Callable[..., str]
) -> None:
    table = study.copy()
    few = table["user_label"].isin(table["user_label"].unique()[:2])
    table["arm"] = table["arm"].mask(few, "tiny arm")
    assert "tiny arm" in report_on(table, by=["arm"])
    html = report_on(table, by=["arm"], hide_small_cells=True)
    visible, _, codebook = html.partition('<section id="codebook"')
    assert "tiny arm" not in visible
    assert "groups pooled" in visible
    assert "tiny arm" in codebook, "that there is such a group is no secret"
