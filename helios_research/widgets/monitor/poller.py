"""What a monitor knows of a study: read exactly now and then, and kept up to date in between.

Working out how things stand with every row takes seconds for 100,000 of them. So that watching
costs the submission next to nothing, that is done for at most 1 % of the time; in between, what
the ledger's audit trail adds is counted on top. A submission of this process tells its own
progress, which costs nothing.
"""

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from helios_research._util.text import in_local_time
from helios_research.codes import RECORDING_CHANGED
from helios_research.columns import Outcome
from helios_research.errors import HeliosResearchError
from helios_research.ledger import Ledger, Setting, State, Transition
from helios_research.ledger.storage import DATABASE_NAME
from helios_research.ledger.writer import Holder, holder_of
from helios_research.state.status import Progress

SHARE = 0.01
"""Share of the time that exact looks may take."""

SOONEST_S = 1.0
"""Seconds between two looks into the ledger at least."""

_OUTCOMES = {
    State.SCORED: Outcome.SCORED,
    State.FAILED: Outcome.FAILED,
    State.REJECTED: Outcome.REJECTED,
    State.LOST: Outcome.LOST,
}


class SubmissionHandle(Protocol):
    """What a monitor needs of a submission."""

    progress: Progress

    @property
    def is_running(self) -> bool:
        """Whether it is still at work."""

    def stop(self) -> None:
        """Ask it to stop."""

    def wait(self) -> Any:
        """Give its results, or raise what ended it."""


class WatchedStudy(Protocol):
    """What a monitor needs of a study."""

    @property
    def folder(self) -> Path:
        """The study's folder."""

    @property
    def submission(self) -> SubmissionHandle | None:
        """The submission that this object began last."""

    def results(self) -> pd.DataFrame:
        """Give the results as they stand."""

    def start(self, *args: Any, **options: Any) -> SubmissionHandle:
        """Begin to send what is left to send."""


class Activity(Enum):
    """Who is submitting."""

    HERE = "this object"
    ELSEWHERE = "another process, or another part of this one"
    NONE = "nobody"


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Recordings that have the same error."""

    code: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How things stand, counted."""

    outcomes: Mapping[Outcome, int]
    errors: Mapping[str, ErrorGroup]
    mark: int
    last_change: datetime | None = None

    @property
    def total(self) -> int:
        """Rows of the cohort."""
        return sum(self.outcomes.values())

    @property
    def done(self) -> int:
        """Rows that have come to their end."""
        return self.total - self.outcomes.get(Outcome.PENDING, 0)


@dataclass(frozen=True, slots=True)
class View:
    """What a monitor shows at one moment."""

    progress: Progress
    errors: tuple[ErrorGroup, ...]
    activity: Activity
    sentence: str
    failed: bool = False


def tally_of(results: pd.DataFrame, mark: int) -> Tally:
    """Count results."""
    outcomes = Counter(Outcome(name) for name in results["outcome"].astype(str))
    moments = results[["created_at", "uploaded_at", "completed_at"]].max().max()
    latest = results.sort_values("completed_at", kind="stable", na_position="first")
    errors = {
        str(code): ErrorGroup(str(code), len(rows), _text(rows["error_reason"].iloc[-1]))
        for code, rows in latest.groupby("error_code", observed=True)
    }
    return Tally(outcomes, errors, mark, None if pd.isna(moments) else moments.to_pydatetime())


def advanced(tally: Tally, news: Iterable[Transition]) -> Tally:
    """Count in what has happened since.

    Retries of a recording that had failed are counted twice here; the next exact look corrects it.
    """
    outcomes, errors = Counter(tally.outcomes), dict(tally.errors)
    mark, last_change = tally.mark, tally.last_change
    for entry in news:
        mark, last_change = entry.transition_id, entry.at
        outcome = _outcome(entry)
        if outcome is None:
            continue
        outcomes[outcome] += 1
        outcomes[Outcome.PENDING] = max(0, outcomes[Outcome.PENDING] - 1)
        code = entry.note.get("error_code")
        if code:
            count = errors[code].count if code in errors else 0
            errors[code] = ErrorGroup(code, count + 1, _text(entry.note.get("error_reason")))
    return Tally(outcomes, errors, mark, last_change)


def _outcome(entry: Transition) -> Outcome | None:
    if entry.state is State.ABANDONED and entry.note.get("error_code") == RECORDING_CHANGED:
        return Outcome.INVALID
    return _OUTCOMES.get(entry.state)


def _text(reason: Any) -> str:
    return reason if isinstance(reason, str) else ""


class StudyWatch:
    """Looks at a study as often as it may."""

    def __init__(
        self, study: WatchedStudy, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._study = study
        self._clock = clock
        self._tally: Tally | None = None
        self._seen: object = None
        self._next_look_s = self._next_step_s = 0.0
        self._began: tuple[float, int] | None = None
        self._activity = Activity.NONE
        self._ended: tuple[SubmissionHandle, str, bool] | None = None

    def look(self, *, exactly: bool = False) -> View:
        """Look how things stand."""
        submission = self._study.submission
        holder = None
        activity = Activity.HERE
        if submission is None or not submission.is_running:
            holder = holder_of(self._study.folder)
            activity = Activity.NONE if holder is None else Activity.ELSEWHERE
        has_ended = activity is Activity.NONE is not self._activity
        self._activity = activity
        tally = self._tallied(exactly=exactly or has_ended)
        errors = tuple(sorted(tally.errors.values(), key=lambda group: (-group.count, group.code)))
        if activity is Activity.HERE and submission is not None:
            self._began = None
            return View(submission.progress, errors, activity, "Submitting.")
        if holder is not None:
            return View(self._progress_elsewhere(tally), errors, activity, _working(holder))
        self._began = None
        sentence, failed = self._at_rest(submission, tally)
        progress = Progress(tally.total, tally.outcomes)
        if submission is not None:
            progress = replace(submission.progress, outcomes=tally.outcomes, is_over=True)
        return View(progress, errors, activity, sentence, failed)

    def _tallied(self, *, exactly: bool) -> Tally:
        if not exactly and self._tally is not None and self._clock() < self._next_step_s:
            return self._tally
        signature = _signature(self._study.folder)
        if not exactly and self._tally is not None and signature == self._seen:
            return self._tally
        if exactly or self._tally is None or self._clock() >= self._next_look_s:
            self._tally = self._counted_anew()
            self._seen = signature
        else:
            # Not everything is in the audit trail (a check is not): what was seen stays what it
            # was, so that the next exact look is still due.
            with Ledger.read(self._study.folder) as ledger:
                self._tally = advanced(self._tally, ledger.transitions(after=self._tally.mark))
        self._next_step_s = self._clock() + SOONEST_S
        return self._tally

    def _counted_anew(self) -> Tally:
        began_s = self._clock()
        with Ledger.read(self._study.folder) as ledger:
            mark = ledger.newest_transition()
        tally = tally_of(self._study.results(), mark)
        now_s = self._clock()
        self._next_look_s = now_s + max(SOONEST_S, (now_s - began_s) / SHARE)
        return tally

    def _progress_elsewhere(self, tally: Tally) -> Progress:
        now_s = self._clock()
        began_s, done = self._began = self._began or (now_s, tally.done)
        with Ledger.read(self._study.folder) as ledger:
            rate = ledger.get_setting(Setting.LEARNED_RATE)
            limited_by = ledger.get_setting(Setting.LIMITED_BY, "")
        return Progress(
            tally.total,
            tally.outcomes,
            finished_here=max(0, tally.done - done),
            elapsed_s=now_s - began_s,
            rate=rate,
            limited_by=limited_by,
        )

    def _at_rest(self, submission: SubmissionHandle | None, tally: Tally) -> tuple[str, bool]:
        if submission is not None:
            if self._ended is None or self._ended[0] is not submission:
                self._ended = (submission, *_how_it_ended(submission))
            if self._ended[1]:
                return self._ended[1:]
        left = tally.outcomes.get(Outcome.PENDING, 0)
        when = (
            ""
            if tally.last_change is None
            else f" Last change: {in_local_time(tally.last_change)}."
        )
        if not left:
            return f"Every recording has come to its end.{when}", False
        plural = "recording is" if left == 1 else "recordings are"
        return f"Nothing is being submitted; {left:,} {plural} left.{when}", False


def _how_it_ended(submission: SubmissionHandle) -> tuple[str, bool]:
    """Say what ended a submission that is over, where it was not its own end."""
    try:
        submission.wait()
    except HeliosResearchError as error:
        return str(error), True
    return "", False


def _working(holder: Holder) -> str:
    since = in_local_time(holder.since)
    if (holder.pid, holder.host) == (os.getpid(), socket.gethostname()):
        return f"Another part of this Python session has been working on the study since {since}."
    return (
        f"Process {holder.pid} on {holder.host} has been working on the study since {since}; "
        "to stop it, interrupt it there."
    )


def _signature(folder: Path) -> object:
    """Tell whether something was written to a ledger, without opening it."""
    seen: list[tuple[int, int] | None] = []
    for name in (DATABASE_NAME, f"{DATABASE_NAME}-wal"):
        try:
            found = (folder / name).stat()
        except OSError:
            seen.append(None)
        else:
            seen.append((found.st_mtime_ns, found.st_size))
    return tuple(seen)
