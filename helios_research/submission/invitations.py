"""Invitations: whom to invite, and when to ask whether an invited participant has recorded."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from helios_research.cohort import Cohort
from helios_research.errors import InvitationError
from helios_research.ledger import Attempt, LedgerReader, State, invitation_to
from helios_research.state.rows import Job, Row
from helios_research.state.status import RowStatus
from helios_research.submission.work_queue import WorkItem

# An invitation is asked about first at this age, a little less than a day for those who submit daily, and
# again at four times that age, and so on: one that no one uses costs two requests in two weeks beside
# the first (our choice; see benchmarks/invitations.py).
FIRST_ASK = timedelta(hours=22)
GROWTH = 3  # the wait until the next question, as a multiple of the age
LONGEST_WAIT = timedelta(days=12)
BEFORE_DELETION = timedelta(hours=6)  # where Helios deletes the scores 12 hours after completion


def next_ask(invited: datetime, asked: datetime, *, delete_data: bool) -> datetime:
    """Say when to ask about an invitation that was asked about last at a moment."""
    if delete_data:
        return asked + BEFORE_DELETION
    wait = max(FIRST_ASK, GROWTH * (asked - invited))
    return asked + min(wait, LONGEST_WAIT)


def is_due(ledger: LedgerReader, now: datetime) -> Callable[[Attempt], bool]:
    """Find out which attempts are to be asked about now: few of the invitations."""
    last: Mapping[int, datetime] = ledger.last_asked()

    def due(attempt: Attempt) -> bool:
        if attempt.state is not State.INVITED:
            return True
        invited = attempt.created_at or attempt.begun_at
        asked = last.get(attempt.attempt_id, invited)
        # By a clock that was set back since, the moment may be far away.
        return asked > now or now >= next_ask(invited, asked, delete_data=attempt.delete_data)

    return due


def check_table(cohort: Cohort, resend: Collection[str]) -> None:
    """Refuse a table whose participants cannot be invited, before anything is done."""
    waiting = cohort.fields[cohort.fields["recording"].isna()]
    if waiting.empty:
        raise InvitationError.no_one()
    again = waiting["user_label"][waiting["user_label"].duplicated()].dropna()
    if len(again) and not cohort.has_ids:
        raise InvitationError.ambiguous(again.iloc[0])
    unknown = sorted(set(resend) - set(waiting["recording_id"]))
    if unknown:
        raise InvitationError.no_row(unknown[0], waiting["recording_id"])


def check_unused(ledger: LedgerReader, resend: Collection[str]) -> None:
    """Refuse to replace an invitation that has brought a recording."""
    for recording_id in resend:
        history = ledger.attempts_of(invitation_to(recording_id))
        if history and history[-1].state in {State.UPLOADED, State.SCORED}:
            raise InvitationError.used(recording_id)


async def to_invite(
    rows: Sequence[Row],
    statuses: Sequence[RowStatus],
    history: Callable[[str], Sequence[Attempt]],
    resend: Collection[str],
) -> AsyncIterator[WorkItem]:
    """Yield the recordings whose participants have no invitation yet, or are to get another."""
    for row, status in zip(rows, statuses, strict=True):
        if not row.may_be_invited:
            continue
        job = Job.invited(row)
        attempts = history(job.sha256)
        if row.recording_id in resend or _lacks_invitation(row, attempts):
            yield WorkItem(job, status.outcome)


def _lacks_invitation(row: Row, history: Sequence[Attempt]) -> bool:
    if not history or history[-1].state in {State.INVITING, State.ABANDONED}:
        return True
    was_corrected = history[-1].request_digest != row.digest
    return history[-1].state is State.REJECTED and was_corrected
