"""A sandbox that counts what arrives, and fails as a test wants."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, TextIO, TypeVar, cast

from starlette.types import ASGIApp

from helios_research.sandbox import Sandbox, SandboxSettings, expected_scores
from helios_research.sandbox.core import Assessment, Clock, Core, Event, Run, RunStore, TokenBucket
from support.disturbance import FaultMiddleware
from support.faults import FaultPlan, Faults, RunOutcome, Step
from support.request_log import RequestLog

_CALL_TIMEOUT_S = 10.0

T = TypeVar("T")


class ObservedSandbox(Sandbox):
    """The sandbox, with a log of what arrived and faults that can be changed at any time."""

    def __init__(
        self,
        settings: SandboxSettings | None = None,
        *,
        faults: Faults | None = None,
        clock: Clock = time.time,
        **others: Any,
    ) -> None:
        super().__init__(settings, clock=clock, **others)
        self._first_faults = faults or Faults()

    def _make_core(self, log_file: TextIO | None) -> Core:
        return ObservedCore(self.settings, self._clock, log_file, self._first_faults)

    @property
    def log(self) -> RequestLog:
        """What arrived."""
        return self._observed.log

    @property
    def faults(self) -> Faults:
        """What goes wrong; assign other faults at any time, and counts begin anew."""
        return self._observed.plan.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        core = self._observed
        self._on_loop(lambda: core.set_faults(faults))

    def set_rate(self, rate_per_s: float | None, *, burst: int | None = None) -> None:
        """Change the rate limit; None lifts it."""
        core = self._observed
        bucket = TokenBucket(rate_per_s, core.bucket.burst if burst is None else burst)
        self._on_loop(lambda: setattr(core, "bucket", bucket))

    def completions(self) -> dict[str, datetime]:
        """List when each complete run completed, by the sandbox's own clock, UTC."""
        ends = self._observed.runs.completions()
        return {run_id: datetime.fromtimestamp(at, UTC) for run_id, at in ends.items()}

    def error_codes(self) -> dict[str, str | None]:
        """List how the complete runs ended, deleted ones included; None is a run with scores."""
        return self._observed.runs.error_codes()

    expected_scores = staticmethod(expected_scores)

    @property
    def _observed(self) -> "ObservedCore":
        return cast(ObservedCore, self._running)

    def _on_loop(self, act: Callable[[], T]) -> T:
        async def acting() -> T:
            return act()

        if self._loop is None or self._loop.is_closed():
            raise RuntimeError("The sandbox has stopped.")
        return asyncio.run_coroutine_threadsafe(acting(), self._loop).result(_CALL_TIMEOUT_S)


class ObservedCore(Core):
    """The core of a sandbox, which faults strike and whose events are kept."""

    runs: "FaultyRunStore"

    def __init__(
        self, settings: SandboxSettings, clock: Clock, log_file: TextIO | None, faults: Faults
    ) -> None:
        super().__init__(settings, clock, log_file)
        self.plan = FaultPlan(faults)
        self.log = RequestLog()
        self.last_bodies: dict[Step, bytes] = {}
        self.runs = FaultyRunStore(settings, clock, self._draw)

    def _draw(self, earlier_runs: int, ordinal: int, since_s: float) -> RunOutcome:
        return self.plan.run_outcome(earlier_runs, ordinal, since_s)

    def set_faults(self, faults: Faults) -> None:
        """Let other things go wrong, beginning now."""
        self.plan = FaultPlan(faults)
        if not faults.keeps_runs_stuck:
            self.runs.release()

    def note(self, event: Event) -> None:
        super().note(event)
        self.log.note(event)

    def wrap(self, app: ASGIApp, host: Literal["api", "upload"]) -> ASGIApp:
        return FaultMiddleware(super().wrap(app, host), self, host)


class FaultyRunStore(RunStore):
    """Runs that fail or get stuck whatever their audio."""

    def __init__(
        self,
        settings: SandboxSettings,
        clock: Clock,
        draw: Callable[[int, int, float], RunOutcome],
    ) -> None:
        super().__init__(settings, clock)
        self._draw = draw
        self._outcomes: dict[str, RunOutcome] = {}
        self._released_at: dict[str, float] = {}
        self._runs_per_audio: Counter[str] = Counter()
        self._last_of: dict[str, float] = {}
        self._started = 0

    def receive(self, run: Run, sha256: str) -> bool:
        before = run.sha256
        taken = super().receive(run, sha256)
        if taken and before != sha256:
            if before is None:
                self._started += 1
            else:
                self._runs_per_audio[before] -= 1
            now = self._clock()
            since_s = now - self._last_of.get(run.user_label, -math.inf)
            self._last_of[run.user_label] = now
            self._outcomes[run.run_id] = self._draw(
                self._runs_per_audio[sha256], self._started, since_s
            )
            self._runs_per_audio[sha256] += 1
        return taken

    def assessment(self, run: Run) -> Assessment | None:
        found = super().assessment(run)
        code = self._outcome(run).error_code
        if found is None or code is None:
            return found
        reason = "The service failed while it processed the recording."
        return Assessment(code, reason, duration_s=found.duration_s)

    def completed_at(self, run: Run) -> float:
        if self._outcome(run).stuck:
            return math.inf
        return max(super().completed_at(run), self._released_at.get(run.run_id, 0.0))

    def release(self) -> None:
        """Let all stuck runs continue."""
        for run_id, outcome in self._outcomes.items():
            if outcome.stuck:
                self._outcomes[run_id] = replace(outcome, stuck=False)
                self._released_at[run_id] = self._clock()

    def completions(self) -> dict[str, float]:
        """List the runs that are complete by now, with the time of their end."""
        now = self._clock()
        ends = {run_id: self.completed_at(run) for run_id, run in list(self._runs.items())}
        return {run_id: end for run_id, end in ends.items() if end <= now}

    def error_codes(self) -> dict[str, str | None]:
        """List how the runs ended that are complete by now."""
        found = {run_id: self.assessment(self._runs[run_id]) for run_id in self.completions()}
        return {run_id: assessment.error_code for run_id, assessment in found.items() if assessment}

    def _outcome(self, run: Run) -> RunOutcome:
        return self._outcomes.get(run.run_id, RunOutcome())
