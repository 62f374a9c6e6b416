"""The status of one row: its outcome, what comes next, and why. Pure.

One decision serves both sides: a row may be sent exactly where `next_action` names an act for it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from helios_research import codes
from helios_research._util.screen import Colour, Share
from helios_research._util.text import counted, duration
from helios_research.api.models import RunRequest
from helios_research.columns import OPEN_OUTCOMES, Outcome, Verdict
from helios_research.ledger import Attempt, State
from helios_research.preflight_checks.check import UNREADABLE, Check
from helios_research.state.rows import Rejection, Row

# Pre-signed URLs live for one hour; an upload that starts in the last minutes may not finish.
UPLOAD_URL_LIFETIME = timedelta(hours=1)
EXPIRY_MARGIN = timedelta(minutes=5)

YesNo = Annotated[bool, Field(description="True or False")]
_AT_LEAST_0 = Field(ge=0, description="a whole number of at least 0")


class DecisionOptions(BaseModel):
    """The options of a submission that decide what happens to a row; see `SubmitOptions`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    preflight: YesNo = True
    resend_changed: YesNo = False
    internal_error_retries: Annotated[int, _AT_LEAST_0] = 3
    delete_data: YesNo = False


DEFAULT_OPTIONS = DecisionOptions()
"""Results are shown by these, whatever the options of the last submission were."""


# --- one recording: what to do next ---------------------------------------------------------------


@dataclass(frozen=True)
class StartAttempt:
    """Write down that a model run is about to be created, as the recording's n-th attempt."""

    number: int


@dataclass(frozen=True)
class _OnAttempt:
    attempt: Attempt


class Create(_OnAttempt):
    """Create the attempt's model run; an earlier POST for it, if any, got no answer."""


class Upload(_OnAttempt):
    """Put the recording to the run's upload URL; nothing was ever put there."""


class ConfirmUpload(_OnAttempt):
    """Find out whether an upload without an answer has arrived."""


class Poll(_OnAttempt):
    """Ask for the run's result."""


@dataclass(frozen=True)
class Abandon(_OnAttempt):
    """Give up a run that certainly has no audio, so that another can replace it."""

    reason: str


class Done(_OnAttempt):
    """Nothing is left to do: the attempt says how the run ended."""


Action = StartAttempt | Create | Upload | ConfirmUpload | Poll | Abandon | Done

WITHOUT_AUDIO = frozenset({State.CREATING, State.CREATED})
"""States in which nothing of a recording can have reached the service."""


def next_action(
    request_digest: str,
    history: Sequence[Attempt],
    options: DecisionOptions = DEFAULT_OPTIONS,
    *,
    now: datetime | None = None,
    failures_before: int = 0,
) -> Action:
    """Decide what to do next for one recording, from its attempts, oldest first.

    The digest is empty where the row makes no request any more. Without ``now``, upload URLs count
    as valid. ``failures_before`` internal errors happened before this submission; each submission
    may try again after them.
    """
    attempt = governing_attempt(request_digest, history, resend=options.resend_changed)
    tries = options.internal_error_retries + failures_before
    if attempt is None or _may_try_again(attempt, history, tries):
        return StartAttempt(number=len(history) + 1)
    if attempt.state in WITHOUT_AUDIO:
        return _before_upload(attempt, request_digest, options, now)
    if attempt.state is State.UPLOADING:
        return ConfirmUpload(attempt)
    if attempt.state in {State.INVITED, State.UPLOADED}:
        return Poll(attempt)
    return Done(attempt)


def _before_upload(
    attempt: Attempt, request_digest: str, options: DecisionOptions, now: datetime | None
) -> Action:
    if attempt.request_digest != request_digest:
        return Abandon(attempt, "The manifest changed before anything was uploaded.")
    if options.delete_data and not attempt.delete_data:
        return Abandon(attempt, "The option delete_data was set before anything was uploaded.")
    if attempt.state is State.CREATING:
        return Create(attempt)
    if now is not None and has_expired(attempt, now):
        return Abandon(attempt, "The upload URL expired before it was used.")
    return Upload(attempt)


def governing_attempt(
    request_digest: str, history: Sequence[Attempt], *, resend: bool = False
) -> Attempt | None:
    """Choose the attempt that decides about a recording; None where it may be sent as if new.

    That is the latest one for this very request; else the latest that has sent this audio with
    other metadata, since to send it again is to pay twice (with ``resend`` these do not count); else
    an open one without audio. Of invitations it is the latest, whatever the row says by now.
    """
    if history and history[-1].is_invitation:
        return None if history[-1].state is State.ABANDONED else history[-1]
    same = [a for a in history if a.request_digest == request_digest]
    if same and same[-1].state is not State.ABANDONED:
        return same[-1]
    others = [a for a in history if a.request_digest != request_digest]
    # A row that makes no request any more has nothing to send instead.
    if not (resend and request_digest):
        sent = [a for a in others if _was_sent(a)]
        if sent:
            return sent[-1]
    unsent = [a for a in others if a.state in WITHOUT_AUDIO and request_digest]
    return unsent[-1] if unsent else None


def _was_sent(attempt: Attempt) -> bool:
    if attempt.state is State.FAILED:
        return not failed_inside(attempt)
    return attempt.state in {State.UPLOADING, State.UPLOADED, State.SCORED, State.LOST}


def failed_inside(attempt: Attempt) -> bool:
    """Whether the run ended in an error of Helios' own, so that another may succeed."""
    return attempt.state is State.FAILED and attempt.error_code == codes.HeliosCode.INTERNAL


def _may_try_again(attempt: Attempt, history: Sequence[Attempt], tries: int) -> bool:
    if not failed_inside(attempt) or attempt.is_invitation:
        return False
    failures = sum(
        a.error_code == codes.HeliosCode.INTERNAL
        for a in history
        if a.request_digest == attempt.request_digest
    )
    return failures <= tries


def has_expired(attempt: Attempt, now: datetime) -> bool:
    """Whether a run's upload URL is too old to begin an upload with."""
    if attempt.created_at is None:
        return True
    age = now - attempt.created_at
    # A clock that was set back makes the age negative: then the upload host has the last word.
    return age > UPLOAD_URL_LIFETIME - EXPIRY_MARGIN


# --- one row: its outcome, and whether it may be sent ---------------------------------------------


class NextStep(StrEnum):
    """What may be done about a row."""

    NONE = "none"  # it has a final outcome, or cannot be sent as it is
    SEND = "send"  # its recording may be sent, once it has been checked
    RESUME = (
        "resume"  # its audio may be at the service: its run goes on, without a check of the file
    )


class RowStatus(NamedTuple):
    """The status of one row: what happened to it, and what may be done about it.

    ``attempt_id`` is the attempt that decides it and ``sha256`` that of the audio which it was made
    with, None where no attempt decides it. ``runs`` counts the model runs created for the
    recording. The error is what is wrong, or what a pending row waits for.
    """

    outcome: Outcome
    next: NextStep = NextStep.NONE
    attempt_id: int | None = None
    sha256: str | None = None
    runs: int = 0
    error_code: str | None = None
    error_reason: str | None = None


def row_status(
    row: Row,
    check: Check | None,
    history: Sequence[Attempt],
    options: DecisionOptions = DEFAULT_OPTIONS,
    *,
    duplicate: Rejection | None = None,
) -> RowStatus:
    """Decide the status of one row. The first that applies decides.

    1. Its audio was sent: what was paid for stays, whatever changed in the table since.
    2. An error in the row, or the same audio in another row with other metadata: not sent.
    3. A recording that changed while it was being sent: not sent, until it is submitted again.
    4. A recording that cannot be read, was withdrawn or left out, or that Helios would refuse: not
       sent.
    5. Anything else waits to be sent.
    """
    runs = sum(attempt.model_run_id is not None for attempt in history)
    unsent = (NextStep.NONE, None, None, runs)
    rejection = row.rejection or duplicate
    attempt = governing_attempt(row.digest or "", history)
    is_mine = attempt is not None and (duplicate is None or attempt.request_digest == row.digest)
    is_left_out = check is not None and check.predicted_error_code == codes.LEFT_OUT
    is_kept = rejection is not None or is_left_out
    if attempt is not None and is_mine and not (is_kept and attempt.state in WITHOUT_AUDIO):
        return _sent(row, attempt, runs, _next_step(row, attempt, rejection, history, options))
    if rejection is not None:
        return RowStatus(Outcome.INVALID, *unsent, rejection.error_code, rejection.error_reason)
    if history and outcome_of(history[-1]) is Outcome.INVALID and not is_left_out:
        return _sent(row, history[-1], runs, NextStep.SEND)
    if check is not None and check.predicted_error_code in {UNREADABLE, codes.WITHDRAWN}:
        return RowStatus(Outcome.INVALID, *unsent, check.predicted_error_code, check.reason)
    if check is not None and check.verdict is Verdict.FAIL and (options.preflight or is_left_out):
        reason = f"Not sent. {check.reason}"
        return RowStatus(Outcome.SKIPPED, *unsent, check.predicted_error_code, reason)
    waiting = RowStatus(Outcome.PENDING, NextStep.SEND, runs=runs)
    if check is not None and check.predicted_error_code == codes.RECORDING_UNREACHABLE:
        return waiting._replace(error_code=codes.RECORDING_UNREACHABLE, error_reason=check.reason)
    if not history:
        return waiting
    # Why its last run was given up.
    last = history[-1]
    return waiting._replace(error_code=last.error_code, error_reason=last.error_reason)


def settled_outcomes(states: pa.ChunkedArray, error_codes: pa.ChunkedArray) -> pa.ChunkedArray:
    """Give the outcomes of attempts that are alone with their audio; null where more is asked."""
    outcomes = pa.array(map(str, _OUTCOMES.values())).take(
        pc.index_in(states, pa.array(map(str, _OUTCOMES)))
    )
    inside = pc.and_(
        pc.equal(states, State.FAILED), pc.equal(error_codes, codes.HeliosCode.INTERNAL)
    )
    return pc.if_else(pc.fill_null(inside, fill_value=False), None, outcomes)


def _next_step(
    row: Row,
    attempt: Attempt,
    rejection: Rejection | None,
    history: Sequence[Attempt],
    options: DecisionOptions,
) -> NextStep:
    if attempt.state in {State.INVITED, State.UPLOADED}:
        return NextStep.RESUME
    if attempt.state is State.UPLOADING:
        # A row that makes no request any more can still be asked about, but not uploaded again.
        return NextStep.NONE if row.digest is None else NextStep.RESUME
    if rejection is not None:
        return NextStep.NONE
    # All failures so far are from earlier submissions.
    action = next_action(row.digest or "", history, options, failures_before=len(history))
    return NextStep.NONE if isinstance(action, Done) else NextStep.SEND


def own_history(
    row: Row, attempts: Sequence[Attempt], digests_of_others: Collection[str | None] = ()
) -> Sequence[Attempt]:
    """Leave out the attempts that were made for other rows with the same audio.

    Those with a request that no row makes any more stay: the metadata of this row has changed.
    """
    others = {*digests_of_others} - {row.digest}
    return [attempt for attempt in attempts if attempt.request_digest not in others]


_OUTCOMES = {
    State.SCORED: Outcome.SCORED,
    State.FAILED: Outcome.FAILED,
    State.REJECTED: Outcome.REJECTED,
    State.LOST: Outcome.LOST,
}


def outcome_of(attempt: Attempt) -> Outcome:
    """Give the outcome of an attempt's recording."""
    return outcome_in(attempt.state, attempt.error_code)


def outcome_in(state: State, error_code: str | None) -> Outcome:
    """Give the outcome that a state of the ledger means; ``invalid`` where the file has changed."""
    if state is State.ABANDONED and error_code == codes.RECORDING_CHANGED:
        return Outcome.INVALID
    if state is State.INVITED:
        return Outcome.INVITED
    return _OUTCOMES.get(state, Outcome.PENDING)


def _sent(row: Row, attempt: Attempt, runs: int, step: NextStep) -> RowStatus:
    code, reason = attempt.error_code, attempt.error_reason
    if attempt.request_digest != row.digest:
        code, reason = _changed_since(row, attempt)
    elif attempt.is_invitation and (attempt.state is State.INVITING or row.location):
        code = code or (codes.INVITED_AND_RECORDED if row.location else codes.INVITATION_UNFINISHED)
        reason = reason or codes.explain(code).meaning
    return RowStatus(
        outcome_of(attempt), step, attempt.attempt_id, attempt.sha256, runs, code, reason
    )


def _changed_since(row: Row, attempt: Attempt) -> tuple[str | None, str | None]:
    """Say beside what was sent how its row in the manifest has changed."""
    code, reason = attempt.error_code, attempt.error_reason
    if row.digest is None and row.rejection is not None:
        words = f"{row.rejection.error_reason} The row was sent before it was changed."
        return row.rejection.error_code, words
    if row.request is None:
        return code, reason
    changes = RunRequest.from_record(attempt.request).describe_difference(row.request)
    words = f"Since it was sent, the manifest has changed: {changes}."
    return code or codes.METADATA_CHANGED, f"{reason} {words}" if reason else words


# --- all rows, counted ----------------------------------------------------------------------------


OUTCOME_COLOURS: Mapping[Outcome, Colour] = {
    Outcome.SCORED: Colour.GREEN,
    Outcome.SKIPPED: Colour.YELLOW,
    **dict.fromkeys((Outcome.FAILED, Outcome.REJECTED, Outcome.INVALID, Outcome.LOST), Colour.RED),
}
"""On a terminal; rows that wait have none."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a submission has come, at one moment (``at``, UTC).

    ``outcomes`` counts each row of the cohort once, those in progress as ``pending``. ``in_flight``
    recordings are being created, uploaded or waited for; ``finished_here`` rows got their final
    outcome in the ``elapsed_s`` seconds since this submission began. ``rate`` is in API requests
    per second, None where nothing limits them. ``limited_by`` says what holds the submission up,
    and ``outage`` which host does not answer, for how long and why; each is empty where none is.
    """

    total: int
    outcomes: Mapping[Outcome, int]
    in_flight: int = 0
    finished_here: int = 0
    elapsed_s: float = 0.0
    rate: float | None = None
    limited_by: str = ""
    outage: str = ""
    at: datetime | None = None
    is_over: bool = False

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Self:
        """Count rows by their outcome."""
        counts = Counter(outcomes)
        return cls(counts.total(), dict(counts))

    @property
    def done(self) -> int:
        """Rows that have their final outcome."""
        return self.total - sum(self.outcomes.get(name, 0) for name in OPEN_OUTCOMES)

    @property
    def left(self) -> int:
        """Rows that a submission works on; those invited wait for their participants."""
        return self.outcomes.get(Outcome.PENDING, 0)

    @property
    def per_minute(self) -> float | None:
        """Rows that this submission finishes per minute; None before it has finished two."""
        if self.finished_here < 2 or self.elapsed_s <= 0:
            return None
        return 60 * self.finished_here / self.elapsed_s

    @property
    def remaining_s(self) -> float | None:
        """Seconds left at the speed of this submission, or None while that is unknown."""
        if self.per_minute is None or self.outage:
            return None
        return 60 * self.left / self.per_minute

    @property
    def shares(self) -> list[Share]:
        """The share of all rows that has each outcome, and its colour on a terminal."""
        return [
            (self.outcomes.get(outcome, 0) / max(1, self.total), colour)
            for outcome, colour in OUTCOME_COLOURS.items()
        ]

    @property
    def waiting(self) -> str:
        """The number of recordings that have no outcome yet, in words."""
        return f"{counted(self.left, 'recording')} {'waits' if self.left == 1 else 'wait'}"

    def __str__(self) -> str:
        """Write the progress as one line, what one looks at first at its beginning."""
        counts = [
            f"{self.outcomes[outcome]:,} {outcome}"
            for outcome in Outcome
            if outcome is not Outcome.PENDING and self.outcomes.get(outcome)
        ]
        if self.in_flight and not self.is_over and not self.outage:
            counts.append(f"{self.in_flight:,} in progress")
        return " · ".join([f"{self.done:,}/{self.total:,}", *self._news(), *counts])

    def _news(self) -> Iterator[str]:
        if self.is_over:
            yield f"took {duration(self.elapsed_s)}"
            return
        if self.outage:
            yield self.outage
            yield f"{self.waiting}, nothing is lost"
            return
        if self.remaining_s is not None and self.left:
            yield f"{duration(self.remaining_s)} left"
        if self.per_minute is not None:
            yield f"{self.per_minute:,.0f}/min"
        if self.limited_by:
            yield self.limited_by
