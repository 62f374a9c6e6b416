"""When to poll a run: learned from the runs that have finished.

The time a run takes is predicted as a + b · duration, with the residuals of the last completions
as its spread. A run is polled when it is done with probability 0.88, given that it was not done
when last asked, and earlier where there are requests to spare. Asking every 3 s takes three times
as many questions (measured by benchmarks/pacing_simulation.py).
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from helios_research.api.models import ModelRun
from helios_research.ledger import Attempt

REMEMBERED = 300  # completions; older ones are forgotten, so that the model follows drift
# Completions that the model needs: the first are of the fastest runs (in virtual time, with 5 a score is
# known 0.4 s sooner, for 0.03 requests more per recording). A slope needs more (our choice).
ENOUGH = 8
ENOUGH_FOR_SLOPE = 20
# P(done | not yet done) at which to ask where requests are what limits, and where they are plentiful:
# then a question in vain costs no time (in virtual time, with 0.85 a score is known 0.1 s later; with 0.8
# and 0.4 no sooner, for 0.03 requests more per recording).
CERTAINTY = 0.88
EAGER_CERTAINTY = 0.6
# Requests are plentiful from this spare share of the budget on (measured, with a third to spare: 3.8 s
# instead of 5.8 s from a run's end to knowing it, for 0.3 requests more per recording).
PLENTY = 0.5
TYPICAL_SHARE = 0.8  # of the runs finish in the typical time
# While nothing is known, the oldest runs are asked at this age and at these steps. One alone may be
# slower than all others.
COLD_FIRST_S = 10.0
SCOUTS = 2
COLD_STEP_S = 5.0
LONGEST_FIRST_S = 120.0  # the longest wait after the upload, however slow the service has been
LONGEST_STEP_S = 30.0  # the longest wait after an answer "not yet"
LATE_SHARE = 0.05  # of the remaining runs are done when it begins to count
STRAGGLER_GROWTH = 0.25  # the step for a run slower than all before, as a share of its age
# Where the server gives no times and the first poll found the run done, it is taken to have ended
# between this share of its age and its age.
UNSEEN_SHARE = 0.8
RECHECK_S = 2.0  # the model is asked again so often: it learns, and the budget may come free
MARGIN_S = 0.1  # a run is asked about so long after the moment that was predicted


class CompletionModel:
    """What is known about how long runs take."""

    def __init__(self, floor_s: float = 3.0) -> None:
        self._floor_s = floor_s
        self._seen: deque[tuple[float | None, float]] = deque(maxlen=REMEMBERED)
        self._unfitted = 0
        self._slope = 0.0
        self._residuals: list[float] = []
        self._times: list[float] = []
        self._still_running_s: list[float] = []

    def observe(
        self,
        duration_s: float | None,
        took_s: float | None,
        *,
        not_done_s: float = 0.0,
        done_s: float | None = None,
    ) -> None:
        """Learn from a run that has finished."""
        took = _usable(took_s)
        found = _usable(done_s)
        if took is None and found is None:
            return
        latest = math.inf if found is None else found
        if took is None:
            took = (max(not_done_s, UNSEEN_SHARE * latest) + latest) / 2
        self._seen.append((_usable(duration_s), min(max(took, not_done_s), latest)))
        self._unfitted += 1

    def still_running(self, age_s: float) -> None:
        """Learn from a run that was polled and has not finished."""
        self._still_running_s = sorted([*self._still_running_s, age_s])[-SCOUTS:]

    @property
    def typical_s(self) -> float | None:
        """Seconds in which four of five runs finish; None while too few have."""
        if len(self._seen) < ENOUGH:
            return None
        self._fit()
        return self._times[_rank(TYPICAL_SHARE, len(self._times))]

    def next_poll_s(
        self,
        duration_s: float | None,
        age_s: float,
        last_ask_age_s: float | None = None,
        *,
        spare: float = 0.0,
        backlog_s: float = 0.0,
    ) -> float:
        """Say when to ask for a run."""
        asked_s = last_ask_age_s or 0.0
        due_s = self._due_s(_usable(duration_s), asked_s, spare) - backlog_s
        longest_s = LONGEST_STEP_S if asked_s else LONGEST_FIRST_S
        due_s = max(min(due_s, asked_s + longest_s), asked_s + self._floor_s)
        return max(0.0, due_s - age_s)

    def to_dict(self) -> dict[str, Any]:
        """Give what was learned, for a JSON file."""
        return {"completions": [[duration, round(took, 3)] for duration, took in self._seen]}

    @classmethod
    def from_dict(cls, known: Mapping[str, Any], floor_s: float = 3.0) -> "CompletionModel":
        """Go on from what was learned before."""
        model = cls(floor_s)
        completions = known.get("completions")
        for pair in completions if isinstance(completions, list) else []:
            if isinstance(pair, list | tuple) and len(pair) == 2:
                model.observe(_usable(pair[0]), _usable(pair[1]))
        return model

    def _due_s(self, duration_s: float | None, asked_s: float, spare: float) -> float:
        """Age at which to ask, before any bounds."""
        if len(self._seen) < ENOUGH:
            return self._cold_due_s(asked_s, spare)
        self._fit()
        if duration_s is None or not self._residuals:
            expected_s, spread = 0.0, self._times
        else:
            expected_s, spread = self._slope * duration_s, self._residuals
        over = bisect_right(spread, asked_s - expected_s) if asked_s else 0
        remaining = len(spread) - over
        if not remaining:
            return asked_s * (1 + STRAGGLER_GROWTH)
        certainty = CERTAINTY - (CERTAINTY - EAGER_CERTAINTY) * min(1.0, spare / PLENTY)
        likely_s = spread[over + _rank(certainty, remaining)]
        early_s = spread[over + _rank(LATE_SHARE, remaining)]
        return expected_s + min(likely_s + MARGIN_S, early_s + LONGEST_STEP_S)

    def _cold_due_s(self, asked_s: float, spare: float) -> float:
        """Let the oldest runs find out; the others wait until they are older than those were."""
        # With the budget to spare, as in a small study, the first to find out may be early.
        wait_s = COLD_STEP_S if asked_s else COLD_FIRST_S
        usual_s = asked_s + wait_s - max(0.0, wait_s - self._floor_s) * spare
        if len(self._still_running_s) < SCOUTS or asked_s >= self._still_running_s[0]:
            return usual_s
        older_s = max(usual_s, self._still_running_s[0] + COLD_STEP_S)
        return min(usual_s + (older_s - usual_s) * (1 - spare**2), asked_s + LONGEST_STEP_S)

    def _fit(self) -> None:
        # Fitting 300 completions costs about 100 µs: done again when a twentieth of them is new.
        if self._times and self._unfitted * 20 < len(self._times):
            return
        self._unfitted = 0
        self._times = sorted(took for _, took in self._seen)
        known = [(duration, took) for duration, took in self._seen if duration is not None]
        self._slope, self._residuals = 0.0, []
        if len(known) >= ENOUGH_FOR_SLOPE:
            durations, times = np.asarray(known, dtype=float).T
            self._slope = _slope(durations, times)
            self._residuals = np.sort(times - self._slope * durations).tolist()


def processing_s(attempt: Attempt, run: ModelRun) -> float | None:
    """Give how long a run took from its upload to its end, in seconds; None where a time is missing."""
    if not (attempt.created_at and attempt.uploaded_at and run.created_at and run.completed_at):
        return None
    # Both clocks may differ: each gives seconds since the run's creation.
    until_upload = attempt.uploaded_at - attempt.created_at
    return (run.completed_at - run.created_at - until_upload).total_seconds()


def _usable(seconds: object) -> float | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return float(seconds) if math.isfinite(seconds) and seconds >= 0 else None


def _rank(share: float, count: int) -> int:
    return max(0, math.ceil(share * count) - 1)


def _slope(durations: Any, times: Any) -> float:
    """Least squares; stragglers are clipped, and longer recordings never take less."""
    spread = float(np.var(durations))
    if spread < 1e-9:
        return 0.0
    clipped = np.minimum(times, np.quantile(times, 0.95))
    centred = durations - durations.mean()
    return max(0.0, float((centred * clipped).mean()) / spread)
