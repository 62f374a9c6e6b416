"""Results tables for the tests of the analysis."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"


@pytest.fixture(scope="session")
def study_path() -> Path:
    return STUDY


@pytest.fixture(scope="session")
def study() -> pd.DataFrame:
    """Read the synthetic shift study; tests that change it take a copy."""
    return pd.read_parquet(STUDY)


@pytest.fixture
def make_results() -> Callable[..., pd.DataFrame]:
    """Give a maker of results tables from columns; scalars are repeated."""

    def make(user_label: list[object], **columns: object) -> pd.DataFrame:
        n = len(user_label)
        fixed = {
            "recording_id": [f"r{number}" for number in range(n)],
            "user_label": pd.Series(user_label, dtype="str"),
            "outcome": pd.Series(["scored"] * n, dtype="str"),
            "error_code": pd.Series([None] * n, dtype="str"),
            "source": pd.Series(["thymia"] * n, dtype="str"),
        }
        return pd.DataFrame({**fixed, **columns})

    return make


@pytest.fixture
def repeated(make_results) -> Callable[..., pd.DataFrame]:
    """Give a maker of participants with a level of their own and noise around it."""

    def make(
        people: int, each: int, *, seed: int = 0, person_sd: float = 0.1, noise_sd: float = 0.05
    ) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        person = np.repeat(np.arange(people), each)
        level = rng.normal(0.5, person_sd, people)[person]
        score = level + rng.normal(0, noise_sd, people * each)
        return make_results(
            [f"p{number}" for number in person],
            mental_strain=score,
            arm=np.where(person % 2 == 0, "a", "b"),
            visit=(np.tile(np.arange(each), people) + 1).astype(str),
        )

    return make


@pytest.fixture
def three_visits(make_results):
    """Give four people of three visits, some of which never happened; b has two at visit 1."""
    people, visits = list("aaabbbcd"), list("12311211")
    arm = ["x" if label in "ab" else "y" for label in people]
    return make_results(people, visit=visits, arm=arm, mental_strain=0.5)
