"""How a cell is proved whose fault lies on the way to the service."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from helios_research.errors import ServiceError
from support.faults import Faults, Rule

OUTAGE = {"patience": 2.0}
"""Seconds of the fast clock after which a request is given up."""

Trick = Callable[[Any], None]


@pytest.fixture
def waiting(cell) -> Callable[[pd.DataFrame], None]:
    """Hold that the first three rows keep their scores, and the others wait as the cell says."""

    def check(results: pd.DataFrame) -> None:
        assert results["outcome"].tolist() == ["scored"] * 3 + ["pending"] * 3
        assert results["error_code"].tolist()[3:] == [cell.code] * 3, results[
            "error_reason"
        ].tolist()
        wanted = re.escape(cell.sees).replace(r"\{place\}", ".*")
        for reason in results["error_reason"].tolist()[3:]:
            assert re.fullmatch(wanted, reason), reason

    return check


@pytest.fixture
def prove_tried_again(trial, waiting) -> Callable[..., None]:
    """Prove that a fault that passes is not noticed, and that after one that lasts all goes on."""

    def prove(begin: Callable[[int | None], None], end: Callable[[], None]) -> None:
        begin(2)
        assert trial.submit()["outcome"].tolist() == ["scored"] * 3
        begin(None)
        waiting(trial.submit(6, **OUTAGE))
        end()
        trial.heal(6)

    return prove


@pytest.fixture
def prove_by_sandbox(trial, prove_tried_again) -> Callable[[Rule], None]:
    """Prove it with a fault that the sandbox itself can bring about."""

    def prove(rule: Rule) -> None:
        def begin(times: int | None) -> None:
            trial.sandbox.faults = Faults(rules=(replace(rule, times=times),))

        def end() -> None:
            assert trial.sandbox.log.faults_struck(rule.fault, rule.on) > 2
            trial.sandbox.faults = Faults()

        prove_tried_again(begin, end)

    return prove


@pytest.fixture
def prove_by_relay(relay, prove_tried_again) -> Callable[[str, Trick], None]:
    """Prove it with a trick of the relay's."""

    def prove(step: str, trick: Trick) -> None:
        def end() -> None:
            assert relay.played.count(step) > 2
            relay.calm()

        prove_tried_again(lambda times: relay.play(step, trick, times), end)

    return prove


@pytest.fixture
def prove_stop(trial, cell) -> Callable[[Callable[[], None]], None]:
    """Prove that the submission ends with the cell's sentence, and that the next one goes on."""

    def prove(end: Callable[[], None]) -> None:
        wanted = re.escape(cell.sees).replace(r"\{place\}", ".*")
        with pytest.raises(ServiceError) as caught:
            trial.submit()
        assert re.fullmatch(wanted, str(caught.value)), str(caught.value)
        left = trial.study.results()
        trial.hold(left)
        assert set(left["outcome"]) <= {"pending", "scored"}
        end()
        trial.heal()

    return prove
