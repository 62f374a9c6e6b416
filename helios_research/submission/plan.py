"""What to do next for one recording: a pure decision from what the ledger holds.

The runner asks again after every act, so going on after a kill is the same code as going on
after an answer. The rules keep the promise that a recording's audio is processed at most once:

* a run without audio has no effect, so an unanswered ``POST`` is simply made again;
* an unanswered ``PUT`` is settled by asking for the run;
* a second run is created only when the first is known to be without audio and its upload URL
  has expired, or when it ended in ``ERR_INTERNAL``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from helios_research.codes import HeliosCode
from helios_research.ledger import Attempt, State

# Pre-signed URLs live for one hour; an upload that starts in the last minutes may not finish.
UPLOAD_URL_LIFETIME = timedelta(hours=1)
EXPIRY_MARGIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Begin:
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
class Settle:
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
class Nothing:
    """Nothing is left to do: the latest attempt says how it ended."""

    attempt: Attempt


Action = Begin | Create | Upload | Settle | Poll | Abandon | Nothing

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
        return Begin(number=len(history) + 1)
    if attempt.state in WITHOUT_AUDIO:
        return _before_upload(attempt, request_digest, policy, now)
    if attempt.state is State.UPLOADING:
        return Settle(attempt)
    if attempt.state is State.UPLOADED:
        return Poll(attempt)
    return Nothing(attempt)


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
