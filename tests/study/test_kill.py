"""A submission that is killed at random moments loses nothing and repeats nothing."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "kill_and_resume.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """The benchmark that does this at full size."""
    spec = importlib.util.spec_from_file_location("kill_and_resume", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their own module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("hostile", [False, True], ids=["a sound server", "a hostile server"])
def test_every_recording_is_scored_under_one_run_however_often_the_process_is_killed(
    benchmark, tmp_path, hostile
) -> None:
    outcome = benchmark.kill_and_resume(tmp_path, recordings=20, kills=4, hostile=hostile)
    assert outcome.kills > 0, "nothing was interrupted, so nothing was shown"
    assert outcome.is_clean, outcome
