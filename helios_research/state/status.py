"""The status of one row: its outcome, its next step, and why. Pure."""

import concurrent.futures.thread  # noqa: F401 - see _end_with_the_interpreter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from helios_research.api.models import RunRequest
from helios_research.codes import METADATA_CHANGED, RECORDING_CHANGED, WITHDRAWN, HeliosCode
from helios_research.columns import Outcome, Verdict
from helios_research.ledger import Attempt, State
from helios_research.preflight_checks.check import UNREADABLE, Check
from helios_research.state.rows import Rejection, Row

# Pre-signed URLs live for one hour; an upload that starts in the last minutes may not finish.
UPLOAD_URL_LIFETIME = timedelta(hours=1)
EXPIRY_MARGIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Write down that a model run is about to be created, as the recording's n-th attempt."""

    number: int


@dataclass(frozen=True, slots=True)
class Create:
    """Create the attempt's model run; an earlier POST for it, if any, got no answer."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Upload:
    """Put the recording to the run's upload URL; nothing was ever put there."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class ConfirmUpload:
    """Find out whether an upload without an answer has arrived."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask for the run's result."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Abandon:
    """Give up a run that certainly has no audio, so that another can take its place."""

    attempt: Attempt
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do: the latest attempt says how it ended."""

    attempt: Attempt


Action = StartAttempt | Create | Upload | ConfirmUpload | Poll | Abandon | Done

WITHOUT_AUDIO = frozenset({State.CREATING, State.CREATED})
"""States in which nothing of a recording can have reached the service."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the planner may decide by itself."""

    internal_error_retries: int = 3
    resend_changed: bool = False
    delete_data: bool = False


def next_action(
    request_digest: str, history: Sequence[Attempt], policy: Policy, now: datetime
) -> Action:
    """Decide what to do next for one recording."""
    attempt = governing_attempt(request_digest, history, policy)
    if attempt is None or _may_try_again(attempt, history, policy):
        return StartAttempt(number=len(history) + 1)
    if attempt.state in WITHOUT_AUDIO:
        return _before_upload(attempt, request_digest, policy, now)
    if attempt.state is State.UPLOADING:
        return ConfirmUpload(attempt)
    if attempt.state is State.UPLOADED:
        return Poll(attempt)
    return Done(attempt)


def _before_upload(attempt: Attempt, request_digest: str, policy: Policy, now: datetime) -> Action:
    if attempt.request_digest != request_digest:
        return Abandon(attempt, "The manifest changed before anything was uploaded.")
    if policy.delete_data and not attempt.delete_data:
        return Abandon(attempt, "Helios was told to delete its data before anything was uploaded.")
    if attempt.state is State.CREATING:
        return Create(attempt)
    if has_expired(attempt, now):
        return Abandon(attempt, "The upload URL expired before it was used.")
    return Upload(attempt)


def governing_attempt(
    request_digest: str, history: Sequence[Attempt], policy: Policy | None = None
) -> Attempt | None:
    """Choose the attempt that decides a recording's fate, if any."""
    same = [a for a in history if a.request_digest == request_digest]
    if same and same[-1].state is not State.ABANDONED:
        return same[-1]
    others = [a for a in history if a.request_digest != request_digest]
    # A row that makes no request any more has nothing to send instead.
    if not (policy and policy.resend_changed and request_digest):
        sent = [a for a in others if _was_sent(a)]
        if sent:
            return sent[-1]
    unsent = [a for a in others if a.state in WITHOUT_AUDIO and request_digest]
    return unsent[-1] if unsent else None


def _was_sent(attempt: Attempt) -> bool:
    if attempt.state is State.FAILED:
        return attempt.error_code != HeliosCode.INTERNAL
    return attempt.state in {State.UPLOADING, State.UPLOADED, State.SCORED, State.LOST}


def has_expired(attempt: Attempt, now: datetime) -> bool:
    """Tell whether a run's upload URL is too old to begin an upload with."""
    if attempt.created_at is None:
        return True
    age = now - attempt.created_at
    # A clock that was set back makes the age negative: then the upload host has the last word.
    return age > UPLOAD_URL_LIFETIME - EXPIRY_MARGIN


def _may_try_again(attempt: Attempt, history: Sequence[Attempt], policy: Policy) -> bool:
    if attempt.state is not State.FAILED or attempt.error_code != HeliosCode.INTERNAL:
        return False
    failures = sum(
        a.error_code == HeliosCode.INTERNAL
        for a in history
        if a.request_digest == attempt.request_digest
    )
    return failures <= policy.internal_error_retries


_OUTCOMES = {
    State.SCORED: Outcome.SCORED,
    State.FAILED: Outcome.FAILED,
    State.REJECTED: Outcome.REJECTED,
    State.LOST: Outcome.LOST,
}


class NextStep(Enum):
    """What may be done about a row."""

    NONE = "none"
    """It has come to its end, or cannot be sent as it is."""

    SEND = "send"
    """Its recording may be sent."""

    RESUME = "resume"
    """A model run is under way and is to be taken further."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a submission was told to do."""

    preflight: bool = True
    resend_changed: bool = False


AS_USUAL = Rules()
"""By these the results are told, whatever the last submission was told to do."""


@dataclass(frozen=True, slots=True)
class RowStatus:
    """How things stand with one row.

    Attributes
    ----------
    outcome
        Where the row is.
    next
        What may be done about it.
    attempt_id, sha256
        The attempt that decides it and the audio that this was made with, if any.
    runs
        Model runs created for the recording.
    error_code, error_reason
        What is wrong, or what a pending row waits for.
    """

    outcome: Outcome
    next: NextStep = NextStep.NONE
    attempt_id: int | None = None
    sha256: str | None = None
    runs: int = 0
    error_code: str | None = None
    error_reason: str | None = None


def judge(
    row: Row,
    check: Check | None,
    history: Sequence[Attempt],
    duplicate: Rejection | None = None,
    rules: Rules = AS_USUAL,
) -> RowStatus:
    """Decide how things stand with one row. The first that applies decides.

    1. Its audio was sent: what was paid for stands, whatever changed in the table since.
    2. An error in the row, or the same audio in another row with other metadata: not sent.
    3. A recording that changed while it was being sent: not sent, until it is submitted again.
    4. A recording that cannot be read, was withdrawn, or that Helios would refuse: not sent.
    5. Anything else waits to be sent.
    """
    runs = sum(attempt.model_run_id is not None for attempt in history)
    rejection = row.rejection or duplicate
    attempt = governing_attempt(row.digest or "", history)
    is_mine = attempt is not None and (duplicate is None or attempt.request_digest == row.digest)
    if attempt is not None and is_mine and not (rejection and attempt.state in WITHOUT_AUDIO):
        return _sent(row, attempt, runs, _next_after(row, attempt, rejection, rules))
    if rejection is not None:
        return _unsent(Outcome.INVALID, runs, rejection.error_code, rejection.error_reason)
    if history and outcome_of(history[-1]) is Outcome.INVALID:
        return _sent(row, history[-1], runs, NextStep.SEND)
    if check is not None and check.predicted_error_code in {UNREADABLE, WITHDRAWN}:
        return _unsent(Outcome.INVALID, runs, check.predicted_error_code, check.reason)
    if check is not None and check.verdict is Verdict.FAIL and rules.preflight:
        reason = f"Not sent. {check.reason}"
        return _unsent(Outcome.SKIPPED, runs, check.predicted_error_code, reason)
    if not history:
        return RowStatus(Outcome.PENDING, NextStep.SEND)
    # Why its last run was given up.
    last = history[-1]
    return RowStatus(
        Outcome.PENDING,
        NextStep.SEND,
        runs=runs,
        error_code=last.error_code,
        error_reason=last.error_reason,
    )


def own_history(
    row: Row, attempts: Sequence[Attempt], asked_elsewhere: Collection[str | None] = ()
) -> Sequence[Attempt]:
    """Leave out the attempts that were made for other rows with the same audio."""
    if not asked_elsewhere:
        return attempts
    return [
        attempt
        for attempt in attempts
        if attempt.request_digest == row.digest or attempt.request_digest not in asked_elsewhere
    ]


def outcome_of(attempt: Attempt) -> Outcome:
    """Tell what an attempt makes of its recording."""
    if attempt.state is State.ABANDONED and attempt.error_code == RECORDING_CHANGED:
        return Outcome.INVALID
    return _OUTCOMES.get(attempt.state, Outcome.PENDING)


def _next_after(row: Row, attempt: Attempt, rejection: Rejection | None, rules: Rules) -> NextStep:
    if attempt.state in WITHOUT_AUDIO:
        # Nothing was sent yet, so its recording is looked at like any other's.
        return NextStep.SEND
    if not attempt.state.is_final:
        # A row that makes no request any more can still be asked about, but no more uploaded.
        may_go_on = row.digest is not None or attempt.state is State.UPLOADED
        return NextStep.RESUME if may_go_on else NextStep.NONE
    if rejection is not None:
        return NextStep.NONE
    if rules.resend_changed and attempt.request_digest != row.digest:
        return NextStep.SEND
    # The planner knows how often a run was tried; this only asks it.
    failed_inside = attempt.state is State.FAILED and attempt.error_code == HeliosCode.INTERNAL
    return NextStep.SEND if failed_inside else NextStep.NONE


def _unsent(outcome: Outcome, runs: int, code: str | None, reason: str) -> RowStatus:
    return RowStatus(outcome, runs=runs, error_code=code, error_reason=reason)


def _sent(row: Row, attempt: Attempt, runs: int, what_next: NextStep) -> RowStatus:
    code, reason = attempt.error_code, attempt.error_reason
    if attempt.request_digest != row.digest:
        code, reason = _changed_since(row, attempt)
    return RowStatus(
        outcome_of(attempt), what_next, attempt.attempt_id, attempt.sha256, runs, code, reason
    )


def _changed_since(row: Row, attempt: Attempt) -> tuple[str | None, str | None]:
    """Say beside what was sent what has become of its row in the manifest."""
    code, reason = attempt.error_code, attempt.error_reason
    if row.digest is None and row.rejection is not None:
        told = f"{row.rejection.error_reason} The row was sent before it was changed."
        return row.rejection.error_code, told
    if row.request is None:
        return code, reason
    changes = RunRequest.from_record(attempt.request).describe_difference(row.request)
    told = f"Since it was sent, the manifest has changed: {changes}."
    return code or METADATA_CHANGED, f"{reason} {told}" if reason else told


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a submission has come, at one moment.

    Attributes
    ----------
    total
        Rows of the cohort.
    outcomes
        Rows by outcome; every row is counted once, those under way as ``pending``.
    in_flight
        Recordings that are being created, uploaded or waited for.
    finished_here
        Rows that came to their end since this submission began.
    elapsed_s
        Seconds since this submission began.
    rate
        API requests per second that are allowed at present, or None where nothing limits them.
    limited_by
        What holds the submission up, in words.
    at
        The moment, UTC.
    """

    total: int
    outcomes: Mapping[Outcome, int]
    in_flight: int = 0
    finished_here: int = 0
    elapsed_s: float = 0.0
    rate: float | None = None
    limited_by: str = ""
    at: datetime | None = None
    is_over: bool = field(default=False)

    @property
    def done(self) -> int:
        """Rows that have come to their end."""
        return self.total - self.outcomes.get(Outcome.PENDING, 0)

    @property
    def per_minute(self) -> float | None:
        """Rows brought to their end per minute by this submission, once that can be said."""
        if self.finished_here < 2 or self.elapsed_s <= 0:
            return None
        return 60 * self.finished_here / self.elapsed_s

    @property
    def remaining_s(self) -> float | None:
        """Seconds left at the speed of this submission, or None while that is unknown."""
        if self.per_minute is None:
            return None
        return 60 * (self.total - self.done) / self.per_minute

    def __str__(self) -> str:
        """Word the progress as one line."""
        parts = [f"{self.done:,} of {self.total:,} done", *self._counts()]
        if self.is_over:
            return " · ".join([*parts, f"took {duration(self.elapsed_s)}"])
        if self.in_flight:
            parts.append(f"{self.in_flight:,} under way")
        if self.per_minute is not None:
            parts.append(f"{self.per_minute:,.0f} a minute")
        if self.remaining_s is not None and self.done < self.total:
            parts.append(f"about {duration(self.remaining_s)} left")
        if self.limited_by:
            parts.append(self.limited_by)
        return " · ".join(parts)

    def _counts(self) -> list[str]:
        return [
            f"{self.outcomes[outcome]:,} {outcome}"
            for outcome in Outcome
            if outcome is not Outcome.PENDING and self.outcomes.get(outcome)
        ]


def duration(seconds: float) -> str:
    """Word a length of time the way people say it."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
