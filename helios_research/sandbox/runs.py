"""Model runs and how they move from CREATED to COMPLETE as time goes by.

Nothing ticks: a run's state is computed from what happened to it and what time it is now, so that
hours pass in a test by setting a clock.
"""

import math
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from helios_research.sandbox.faults import LEFT_TO_ITS_AUDIO, Fate
from helios_research.sandbox.settings import SandboxSettings
from helios_research.sandbox.verdicts import Verdict


class Status(StrEnum):
    """States of a model run, in Helios' words."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    COMPLETE_OK = "COMPLETE_OK"
    COMPLETE_ERROR = "COMPLETE_ERROR"


@dataclass(slots=True)
class Run:
    """One model run and what has happened to it; times are seconds since the epoch."""

    run_id: str
    user_label: str
    delete_data: bool
    created_at: float
    sha256: str | None = None
    picked_up_at: float = math.inf
    processed_at: float = math.inf
    released_at: float = 0.0
    fate: Fate = LEFT_TO_ITS_AUDIO


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict on audio and when it was reached, in seconds since the epoch."""

    verdict: Verdict
    at: float


class RunBook:
    """All model runs of a sandbox."""

    def __init__(self, settings: SandboxSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._runs: dict[str, Run] = {}
        self._verdicts: dict[str, Judged] = {}
        self._runs_per_audio: Counter[str] = Counter()
        self._started = 0

    def __len__(self) -> int:
        return len(self._runs)

    def create(self, user_label: str, *, delete_data: bool) -> Run:
        """Create a run."""
        run = Run(str(uuid.uuid4()), user_label, delete_data, self._clock())
        self._runs[run.run_id] = run
        return run

    def find(self, run_id: str) -> Run | None:
        """Look up a run."""
        run = self._runs.get(run_id)
        if run is None or self._is_deleted(run):
            return None
        return run

    def receive(self, run: Run, sha256: str, draw_fate: Callable[[int, int], Fate]) -> bool:
        """Take audio that has arrived for a run.

        The first upload sets the run going; another one replaces the audio for as long as the run
        is CREATED and changes nothing afterwards.
        """
        if self.status(run) is not Status.CREATED:
            return False
        if run.sha256 == sha256:
            return True
        if run.sha256 is None:
            run.picked_up_at = self._clock() + self._settings.pickup_s
            self._started += 1
        else:
            self._runs_per_audio[run.sha256] -= 1
        run.fate = draw_fate(self._runs_per_audio[sha256], self._started)
        self._runs_per_audio[sha256] += 1
        run.sha256 = sha256
        run.processed_at = run.picked_up_at + self._processing_s(sha256)
        return True

    def judged(self, sha256: str, verdict: Verdict) -> None:
        """Note what the examination of some audio came to."""
        self._verdicts[sha256] = Judged(verdict, self._clock())

    def verdict(self, run: Run) -> Verdict | None:
        """Tell how a run ends, or has ended."""
        judged = self._judged(run)
        if judged is None or run.fate.error_code is None:
            return judged.verdict if judged else None
        return Verdict(
            run.fate.error_code,
            "The service failed while it processed the recording.",
            duration_s=judged.verdict.duration_s,
        )

    def completed_at(self, run: Run) -> float:
        """Tell when a run completes, or completed."""
        judged = self._judged(run)
        if judged is None or run.fate.stuck:
            return math.inf
        audio_s = self._settings.processing_per_audio_s * judged.verdict.duration_s
        return max(run.processed_at + audio_s, judged.at, run.released_at)

    def status(self, run: Run) -> Status:
        """Tell the state of a run now."""
        now = self._clock()
        if now < run.picked_up_at:
            return Status.CREATED
        verdict = self.verdict(run)
        if verdict is None or now < self.completed_at(run):
            return Status.RUNNING
        return Status.COMPLETE_OK if verdict.error_code is None else Status.COMPLETE_ERROR

    def release(self) -> None:
        """Let all stuck runs go on."""
        for run in self._runs.values():
            if run.fate.stuck:
                run.fate = Fate(run.fate.error_code)
                run.released_at = self._clock()

    def completions(self) -> dict[str, float]:
        """List the runs that are complete by now."""
        now = self._clock()
        ends = {run_id: self.completed_at(run) for run_id, run in list(self._runs.items())}
        return {run_id: end for run_id, end in ends.items() if end <= now}

    def error_codes(self) -> dict[str, str | None]:
        """List how the runs ended that are complete by now."""
        verdicts = {run_id: self.verdict(self._runs[run_id]) for run_id in self.completions()}
        return {run_id: verdict.error_code for run_id, verdict in verdicts.items() if verdict}

    def _judged(self, run: Run) -> Judged | None:
        return None if run.sha256 is None else self._verdicts.get(run.sha256)

    def _is_deleted(self, run: Run) -> bool:
        gone_at = self.completed_at(run) + self._settings.retention_s
        return run.delete_data and self._clock() >= gone_at

    def _processing_s(self, sha256: str) -> float:
        draw = Random(f"{self._settings.seed}:{sha256}")  # noqa: S311 (has to be repeatable)
        factor = math.exp(self._settings.processing_spread * draw.gauss(0.0, 1.0))
        return self._settings.processing_s * factor
