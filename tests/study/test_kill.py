"""A submission that is killed at random moments loses nothing and repeats nothing."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their own module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """The benchmark that does this at full size."""
    return load("kill_and_resume")


@pytest.fixture(scope="module")
def invitations() -> ModuleType:
    """The same for invitations."""
    return load("invitations")


@pytest.mark.parametrize("hostile", [False, True], ids=["a sound server", "a hostile server"])
def test_every_recording_is_scored_under_one_run_however_often_the_process_is_killed(
    benchmark, tmp_path, hostile
) -> None:
    outcome = benchmark.kill_and_resume(tmp_path, recordings=20, kills=4, hostile=hostile)
    assert outcome.kills > 0, "nothing was interrupted, so nothing was shown"
    assert outcome.is_clean, outcome


@pytest.mark.parametrize("hostile", [False, True], ids=["a sound server", "a hostile server"])
def test_every_row_has_one_link_however_often_inviting_is_killed(
    invitations, tmp_path, hostile
) -> None:
    after = invitations.kill_and_invite(tmp_path, invited=12, kills=3, hostile=hostile)
    assert after.kills == 3
    assert after.is_clean, after


def test_an_invitation_costs_three_requests_in_two_weeks(invitations, tmp_path) -> None:
    every = invitations.timedelta(days=2)
    outcome = invitations.two_weeks(tmp_path, invited=15, completed=6, every=every)
    assert (outcome.most_requests, outcome.wrong_outcomes) == (3, 0)
    assert outcome.scored + outcome.never_asked_for == 6
    assert outcome.scored > 0
