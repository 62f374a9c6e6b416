"""In studies whose truth is known, intervals hold it and tests find nothing that is not there.

A few of the designs of ``benchmarks/error_rates.py``, with fewer replicates and always the same
numbers. The bounds are far from what is measured there, and further from what methods give that
take recordings for people, or people to change alike.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "error_rates.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """The simulation at full size."""
    spec = importlib.util.spec_from_file_location("error_rates", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their own module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def measured(benchmark: ModuleType, name: str, n: int, replicates: int) -> float:
    designs = [design for each in benchmark.SECTIONS.values() for design in each]
    (design,) = [design for design in designs if design.name == name]
    return benchmark.rate(design, n, replicates)[0]


@pytest.mark.parametrize(
    ("design", "n"),
    [
        ("mean, 1 to 14 each", 3),
        ("mean, one person has 500", 6),
        ("share .20, one person has 500", 6),
    ],
)
def test_a_95_percent_interval_holds_the_truth(benchmark, design, n) -> None:
    assert measured(benchmark, design, n, replicates=240) >= 0.89


@pytest.mark.parametrize(
    ("design", "n"),
    [
        ("two conditions, people differ, SD 1", 12),
        ("60 % have both, SD .5", 20),
        ("arm, 2 against 3 recordings", 60),
        ("paired, 2 before, 3 after", 20),
        ("visit 2 against 1, people differ, SD 1", 12),
    ],
)
def test_no_difference_is_seldom_found_where_there_is_none(benchmark, design, n) -> None:
    assert measured(benchmark, design, n, replicates=120) <= 0.15


@pytest.mark.parametrize(
    "design", ["within-person SD, people differ (log-SD .5)", "within-person SD, near the ceiling"]
)
def test_the_interval_of_the_detectable_change_allows_for_people_who_vary_more(
    benchmark, design
) -> None:
    assert measured(benchmark, design, 20, replicates=120) >= 0.77


def test_no_study_that_people_leave_is_without_a_warning(benchmark) -> None:
    assert measured(benchmark, "studies without a warning of it", 60, replicates=10) == 0
