"""However Helios' answers are changed, no row has another's score, or is ``scored`` without one.

Fields are left out or have values of other types; whole answers, or the fields that identify them, are
those of other runs. Left out is what no client can notice: a score in place of another score; the results
of one run under the id and the participant of another; the upload URL of one run with the id of another,
where the study knows neither; and the run of another participant without a name.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import helios_research as hr
from helios_research.columns import BIOMARKERS
from helios_research.errors import ServiceError
from support.faults import Fault, Faults, Rule, Step

LABELS = ("P01", "P02", "P03", "P04", "P05")
MARKERS = [marker.name for marker in BIOMARKERS]
LIMITS = {"rate": 400.0, "poll_floor_s": 0.01, "preflight": False}
PATIENCE = {"patience": 0.4, "deadline_s": 0.5}
MOST_REQUESTS = 2_000
LONGEST_S = 60.0

# In place of a score none of these is one, and in place of anything else each is of another type.
STRANGE = (None, True, "high", "", -0.5, 1.7, 7, float("nan"), 10**400, [], {}, [0.5], "\ud800")


@dataclass
class Mutator:
    """Changes the first answers of each kind, always in the same way for one seed."""

    seed: int
    share: float
    most: int
    swapped: str
    acts: tuple[str, ...]
    kept: str
    seen: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def __call__(self, answer: Any) -> Any:
        earlier = list(self.seen)
        self.seen.append(deepcopy(answer))
        if len(earlier) >= self.most or self.random.random() >= self.share:
            return answer
        return getattr(self, self.random.choice(self.acts))(answer, earlier)

    def swap(self, answer: Any, earlier: list[dict[str, Any]]) -> Any:
        """Give an earlier answer, or what one field of an earlier answer was."""
        if not earlier or not self.swapped:
            return answer
        other = self.random.choice(earlier)
        return other if self.swapped == "whole" else answer | {self.swapped: other[self.swapped]}

    def drop(self, answer: Any, _: object) -> Any:
        """Leave some fields out."""
        for _ in range(self.random.randint(1, 3)):
            place, key = self.place(answer)
            if place:
                del place[key]
        return answer

    def retype(self, answer: Any, _: object) -> Any:
        """Put something else in some places."""
        for _ in range(self.random.randint(1, 3)):
            place, key = self.place(answer)
            if place:
                place[key] = self.random.choice(STRANGE)
        return answer

    def quote(self, answer: Any, _: object) -> Any:
        """Write each number as text."""
        return rewritten(answer, str)

    def repeat(self, answer: Any, _: object) -> Any:
        """Repeat the scores."""
        if answer.get("results"):
            answer["results"]["sections"] *= 2
        return answer

    def spoil(self, answer: Any, _: object) -> Any:
        """Put something else in place of each score, or leave all of them out."""
        if self.random.random() < 0.3:
            return answer | {"results": self.random.choice([None, {}, {"sections": []}])}
        return rewritten(answer, lambda _: self.random.choice(STRANGE))

    def place(self, answer: Any) -> tuple[Any, Any]:
        """Choose a place anywhere in an answer."""
        found = [(answer, key) for key in answer if key != self.kept]
        for inside, key in found:
            if isinstance(inside[key], dict | list) and inside[key]:
                inner = inside[key]
                found += [(inner, each) for each in (inner if isinstance(inner, dict) else (0,))]
        return self.random.choice(found) if found else (None, None)


def rewritten(value: Any, change: Callable[[float], Any]) -> Any:
    """Copy JSON with other numbers in it."""
    if isinstance(value, dict):
        return {name: rewritten(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [rewritten(item, change) for item in value]
    return change(value) if isinstance(value, float) else value


@dataclass(frozen=True)
class Plan:
    """How the answers of one story are changed."""

    seed: int
    share: float
    most: int
    swaps: tuple[str, str]
    acts: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The participants of five recordings; runs of one person differ in their ids alone."""
        return LABELS if self.swaps[0] == "id" else ("P01",) * 3 + LABELS[3:]

    @property
    def faults(self) -> Faults:
        def rule(step: Step, swapped: str) -> Rule:
            kept = "userLabel" if self.swaps[0] else ""
            change = Mutator(self.seed, self.share, self.most, swapped, self.acts, kept)
            return Rule(Fault.CHANGE, on=step, change=change)

        return Faults(rules=(rule(Step.CREATE, self.swaps[0]), rule(Step.POLL, self.swaps[1])))


SWAPS = (
    *(("whole", "whole"), ("whole", "id"), ("id", "whole"), ("id", "id")),
    *(("", "whole"), ("", "id"), ("", "userLabel")),
)
plans = st.builds(
    Plan,
    seed=st.integers(0, 2**32),
    share=st.sampled_from([0.3, 0.6, 1.0]),
    most=st.sampled_from([12, 40, 10_000]),
    swaps=st.sampled_from(SWAPS),
    acts=st.sampled_from(
        [
            ("swap", "drop", "retype", "quote", "repeat", "spoil"),
            ("swap", "swap", "drop"),
            ("spoil", "quote"),
            ("spoil",),
        ]
    ),
)


def begin(world: Any, labels: tuple[str, ...]) -> tuple[Any, hr.Cohort, Any]:
    """Make a study of five recordings, and its service."""
    around, end = world.begin()
    around.teach()
    home = around.folder / "recordings"
    for number in range(len(LABELS)):
        (home / f"{number}.wav").write_bytes(world.recording(number))
    table = pd.DataFrame(
        {
            "recording": [f"{number}.wav" for number in range(len(LABELS))],
            "user_label": labels,
            "date_of_birth": "1990-05-17",
            "birth_sex": "FEMALE",
            "language": "en-GB",
        }
    )
    return around, hr.Cohort.from_frame(table, root=home), end


def submit(around: Any, cohort: hr.Cohort) -> pd.DataFrame:
    """Submit in bounded time, and with a bounded number of requests."""
    log = around.sandbox.log
    before = log.count()
    submission = around.study.start(cohort, **LIMITS, **PATIENCE)
    waiting = threading.Thread(target=wait, args=[submission], daemon=True)
    waiting.start()
    waiting.join(LONGEST_S)
    assert not waiting.is_alive(), "a submission does not end"
    assert log.count() - before <= MOST_REQUESTS
    return around.study.results()


def wait(submission: Any) -> None:
    with suppress(ServiceError):
        submission.wait()


def hold(around: Any, labels: tuple[str, ...], results: pd.DataFrame) -> None:
    """Hold that each score is of this row's own recording and participant."""
    assert results["user_label"].tolist() == list(labels)
    for row in results.to_dict("records"):
        is_scored = row["outcome"] == "scored"
        expected = around.sandbox.expected_scores(row["sha256"] or "", row["user_label"])
        given = [row, *(row["sections"] if isinstance(row["sections"], list | np.ndarray) else [])]
        found = [
            (name, each[name]) for each in given for name in MARKERS if not pd.isna(each[name])
        ]
        assert bool(found) == is_scored, (row["outcome"], found)
        assert is_scored or row["outcome"] == "pending" or row["error_code"]
        assert all(value == expected[name] for name, value in found)


@settings(
    max_examples=settings().max_examples // 4,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    deadline=None,
)
@given(plan=plans)
def test_no_row_has_anothers_score_however_answers_are_changed(world: Any, plan: Plan) -> None:
    around, cohort, end = begin(world, plan.labels)
    try:
        around.sandbox.faults = plan.faults
        hold(around, plan.labels, submit(around, cohort))
        around.sandbox.faults = Faults()
        around.clocks.ahead += timedelta(hours=2)
        hold(around, plan.labels, submit(around, cohort))
    finally:
        end()
