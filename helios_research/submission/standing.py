"""The judge: how things stand with one row, what may be done about it, and why not.

Pure: from what the manifest asks for, what was seen of the recording and what the ledger knows of
its audio. The submission asks it before anything is sent, the results ask it afterwards, so that
they never disagree.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from helios_research.api.requests import RunRequest
from helios_research.checks import UNREADABLE, Check
from helios_research.codes import METADATA_CHANGED, RECORDING_CHANGED, WITHDRAWN, HeliosCode
from helios_research.columns import Outcome, Verdict
from helios_research.ledger import Attempt, State
from helios_research.submission.asks import Rejection, Row
from helios_research.submission.plan import WITHOUT_AUDIO, governing_attempt

_OUTCOMES = {
    State.SCORED: Outcome.SCORED,
    State.FAILED: Outcome.FAILED,
    State.REJECTED: Outcome.REJECTED,
    State.LOST: Outcome.LOST,
}


class Next(Enum):
    """What may be done about a row."""

    NOTHING = "nothing"
    """It has come to its end, or cannot be sent as it is."""

    SEND = "send"
    """Its recording may be sent."""

    GO_ON = "go on"
    """A model run is under way and is to be taken further."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a submission was told to do."""

    preflight: bool = True
    resend_changed: bool = False


AS_USUAL = Rules()
"""By these the results are told, whatever the last submission was told to do."""


@dataclass(frozen=True, slots=True)
class Standing:
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
    next: Next = Next.NOTHING
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
) -> Standing:
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
        return _sent(row, history[-1], runs, Next.SEND)
    if check is not None and check.predicted_error_code in {UNREADABLE, WITHDRAWN}:
        return _unsent(Outcome.INVALID, runs, check.predicted_error_code, check.reason)
    if check is not None and check.verdict is Verdict.FAIL and rules.preflight:
        reason = f"Not sent. {check.reason}"
        return _unsent(Outcome.SKIPPED, runs, check.predicted_error_code, reason)
    if not history:
        return Standing(Outcome.PENDING, Next.SEND)
    # Why its last run was given up.
    last = history[-1]
    return Standing(
        Outcome.PENDING,
        Next.SEND,
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


def _next_after(row: Row, attempt: Attempt, rejection: Rejection | None, rules: Rules) -> Next:
    if attempt.state in WITHOUT_AUDIO:
        # Nothing was sent yet, so its recording is looked at like any other's.
        return Next.SEND
    if not attempt.state.is_final:
        # A row that makes no request any more can still be asked about, but no more uploaded.
        may_go_on = row.digest is not None or attempt.state is State.UPLOADED
        return Next.GO_ON if may_go_on else Next.NOTHING
    if rejection is not None:
        return Next.NOTHING
    if rules.resend_changed and attempt.request_digest != row.digest:
        return Next.SEND
    # The planner knows how often a run was tried; this only asks it.
    failed_inside = attempt.state is State.FAILED and attempt.error_code == HeliosCode.INTERNAL
    return Next.SEND if failed_inside else Next.NOTHING


def _unsent(outcome: Outcome, runs: int, code: str | None, reason: str) -> Standing:
    return Standing(outcome, runs=runs, error_code=code, error_reason=reason)


def _sent(row: Row, attempt: Attempt, runs: int, what_next: Next) -> Standing:
    code, reason = attempt.error_code, attempt.error_reason
    if attempt.request_digest != row.digest:
        code, reason = _changed_since(row, attempt)
    return Standing(
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
