"""What a monitor knows of a study: read exactly from time to time, and updated in between.

The status of 100,000 rows takes seconds to read. So that watching costs the submission almost
nothing, this takes at most 1 % of the time; in between, new entries of the ledger's audit trail are
added to the counts. A submission of this process gives its own progress, which costs nothing.
"""

import os
import socket
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import pandas as pd

from helios_research._util.text import counted, in_local_time
from helios_research.columns import OPEN_OUTCOMES, Outcome
from helios_research.errors import HeliosResearchError
from helios_research.ledger import Ledger, Setting, Transition
from helios_research.ledger.storage import DATABASE_NAME, Holder, holder_of
from helios_research.state.status import Progress, outcome_in
from helios_research.submission.background import Submission

MOST_TIME_SHARE = 0.01
"""Share of the time that exact polls may take."""

_MOST_NAMED = 200

LEAST_PAUSE_S = 1.0
"""Seconds between two readings of the ledger, at least."""


class WatchedStudy(Protocol):
    """What a monitor needs of a study."""

    @property
    def folder(self) -> Path:
        """The study's folder."""

    @property
    def submission(self) -> Submission | None:
        """The latest submission that this object started."""

    def results(self) -> pd.DataFrame:
        """Return the current results."""

    def start(self, *args: Any, **options: Any) -> Submission:
        """Start to send the recordings that are left."""


class Activity(Enum):
    """What is submitting."""

    HERE = "this object"
    ELSEWHERE = "another process, or another part of this one"
    NONE = "nothing"


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Recordings that have the same error; ``reason`` is that of the latest.

    ``recordings`` are the ids that the latest exact poll found.
    """

    code: str
    count: int
    reason: str
    recordings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by outcome and errors by code, up to the ledger's transition ``mark``.

    ``last_change`` is when a recording last changed, UTC; None if none ever did.
    """

    progress: Progress
    errors: Mapping[str, ErrorGroup]
    mark: int
    last_change: datetime | None = None


@dataclass(frozen=True, slots=True)
class StudyView:
    """What a monitor shows at one moment; ``failed``: the sentence is about an error."""

    progress: Progress
    errors: tuple[ErrorGroup, ...]
    activity: Activity
    sentence: str
    failed: bool = False


def count_results(results: pd.DataFrame, mark: int) -> Counts:
    """Count results, read after the ledger's transition ``mark``."""
    progress = Progress.of(map(Outcome, results["outcome"].astype(str)))
    moments = results[["created_at", "uploaded_at", "completed_at"]].max().max()
    latest = results.sort_values("completed_at", kind="stable", na_position="first")
    errors = {
        str(code): ErrorGroup(
            str(code),
            len(rows),
            _text(rows["error_reason"].iloc[-1]),
            tuple(rows["recording_id"].astype("str")[:_MOST_NAMED]),
        )
        for code, rows in latest.groupby("error_code", observed=True)
    }
    return Counts(progress, errors, mark, None if pd.isna(moments) else moments.to_pydatetime())


def add_transitions(counts: Counts, transitions: Iterable[Transition]) -> Counts:
    """Add later transitions, oldest first.

    This counts retries of a failed recording twice; the next exact poll corrects it.
    """
    outcomes, errors = Counter(counts.progress.outcomes), dict(counts.errors)
    mark, last_change = counts.mark, counts.last_change
    for entry in transitions:
        mark, last_change = entry.transition_id, entry.at
        code = entry.note.get("error_code")
        outcome = outcome_in(entry.state, code)
        if outcome in OPEN_OUTCOMES:
            continue
        outcomes[outcome] += 1
        outcomes[Outcome.PENDING] = max(0, outcomes[Outcome.PENDING] - 1)
        if code:
            known = errors.get(code, ErrorGroup(code, 0, ""))
            reason = _text(entry.note.get("error_reason"))
            errors[code] = replace(known, count=known.count + 1, reason=reason)
    return Counts(replace(counts.progress, outcomes=outcomes), errors, mark, last_change)


def _text(reason: Any) -> str:
    return reason if isinstance(reason, str) else ""


class StudyPoller:
    """Reads a study as often as its cost allows."""

    def __init__(self, study: WatchedStudy) -> None:
        self._study = study
        self._known: Counts | None = None
        self._seen: object = None
        self._next_exact_s = self._next_read_s = 0.0
        self._began: tuple[float, int] | None = None
        self._activity = Activity.NONE
        self._ended: tuple[Submission, str] | None = None

    def poll(self) -> StudyView:
        """Read the study's status."""
        submission = self._study.submission
        holder = None
        activity = Activity.HERE
        if submission is None or not submission.is_running:
            holder = holder_of(self._study.folder)
            activity = Activity.NONE if holder is None else Activity.ELSEWHERE
        if activity is Activity.NONE is not self._activity:
            # What has just ended is counted exactly.
            self._known = None
        self._activity = activity
        counts = self._counts()
        errors = tuple(sorted(counts.errors.values(), key=lambda group: (-group.count, group.code)))
        if activity is Activity.HERE and submission is not None:
            self._began = None
            return _view(submission.progress, errors, activity, "Submitting.")
        if holder is not None:
            progress = self._progress_elsewhere(counts)
            return _view(progress, errors, activity, _sentence_elsewhere(holder))
        self._began = None
        if submission is None:
            return StudyView(counts.progress, errors, activity, _sentence_at_rest(counts))
        ended = replace(submission.progress, outcomes=counts.progress.outcomes, is_over=True)
        failure = self._error_of(submission)
        sentence = failure or _sentence_at_rest(counts)
        return StudyView(ended, errors, activity, sentence, failed=bool(failure))

    def _counts(self) -> Counts:
        if self._known is not None and perf_counter() < self._next_read_s:
            return self._known
        signature = _signature(self._study.folder)
        if self._known is not None and signature == self._seen:
            return self._known
        if self._known is None or perf_counter() >= self._next_exact_s:
            self._known = self._count_exactly()
            self._seen = signature
        else:
            # Not everything is in the audit trail (checks are not): the signature stays as it was,
            # so that the next exact poll is still due.
            with Ledger.read(self._study.folder) as ledger:
                later = ledger.transitions(after=self._known.mark)
                self._known = add_transitions(self._known, later)
        self._next_read_s = perf_counter() + LEAST_PAUSE_S
        return self._known

    def _count_exactly(self) -> Counts:
        began_s = perf_counter()
        with Ledger.read(self._study.folder) as ledger:
            mark = ledger.newest_transition()
        counts = count_results(self._study.results(), mark)
        now_s = perf_counter()
        self._next_exact_s = now_s + max(LEAST_PAUSE_S, (now_s - began_s) / MOST_TIME_SHARE)
        return counts

    def _progress_elsewhere(self, counts: Counts) -> Progress:
        now_s = perf_counter()
        done = counts.progress.done
        began_s, done_before = self._began = self._began or (now_s, done)
        with Ledger.read(self._study.folder) as ledger:
            return replace(
                counts.progress,
                finished_here=max(0, done - done_before),
                elapsed_s=now_s - began_s,
                rate=ledger.get_setting(Setting.LEARNED_RATE),
                limited_by=ledger.get_setting(Setting.LIMITED_BY, ""),
                outage=ledger.get_setting(Setting.OUTAGE, ""),
            )

    def _error_of(self, submission: Submission) -> str:
        # Once, since the traceback of an error grows each time it is raised.
        if self._ended is None or self._ended[0] is not submission:
            self._ended = submission, ""
            try:
                submission.wait()
            except HeliosResearchError as error:
                self._ended = submission, str(error)
        return self._ended[1]


def _view(
    progress: Progress, errors: tuple[ErrorGroup, ...], activity: Activity, sentence: str
) -> StudyView:
    """Show a submission that runs; that a host does not answer takes the place of its sentence."""
    if not progress.outage:
        return StudyView(progress, errors, activity, sentence)
    outage = f"{progress.outage[:1].upper()}{progress.outage[1:]}"
    words = f"{outage}. {progress.waiting.capitalize()}, nothing is lost."
    return StudyView(progress, errors, activity, words, failed=True)


def _sentence_at_rest(counts: Counts) -> str:
    last, left = counts.last_change, counts.progress.left
    when = "" if last is None else f" Last change: {in_local_time(last)}."
    if left:
        are = "is" if left == 1 else "are"
        return f"No submission is running; {counted(left, 'recording')} {are} left.{when}"
    if invited := counts.progress.outcomes.get(Outcome.INVITED, 0):
        return f"{counted(invited, 'invited recording')} not made yet, when last asked.{when}"
    return f"All recordings are finished.{when}"


def _sentence_elsewhere(holder: Holder) -> str:
    since = in_local_time(holder.since)
    if (holder.pid, holder.host) == (os.getpid(), socket.gethostname()):
        return f"Another part of this Python session has been using the study since {since}."
    return (
        f"Process {holder.pid} on {holder.host} has been using the study since {since}; "
        "to stop it, interrupt it there."
    )


def _signature(folder: Path) -> object:
    """Give what changes when something is written to a ledger, without opening it."""
    seen = []
    for name in (DATABASE_NAME, f"{DATABASE_NAME}-wal"):
        with suppress(OSError):
            found = (folder / name).stat()
            seen.append((found.st_mtime_ns, found.st_size))
    return seen
