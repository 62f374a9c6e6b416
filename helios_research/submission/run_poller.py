"""Asking about a run: when, and for how long, until an answer comes that can be kept."""

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial

from helios_research import codes
from helios_research._util.text import duration
from helios_research.api.client import Service
from helios_research.api.models import (
    CREATED,
    RUNNING,
    STATUSES,
    ModelRun,
    user_label_in,
    without_transcripts,
)
from helios_research.api.transport import Failure, FailureKind, Result, Success
from helios_research.ledger import Attempt, Ledger, State
from helios_research.state.status import has_expired
from helios_research.submission import Clock, SubmitOptions
from helios_research.submission.polling import RECHECK_S, CompletionModel, processing_s
from helios_research.submission.rate_limiter import RequestKind
from helios_research.submission.retrying_client import PostponedError, RetryingClient

# A run shows as CREATED for a moment after its upload (the API's documentation), so an upload
# without an answer is asked about no sooner.
CONFIRM_AFTER_S = 5.0
# The service's storage may need so long to catch up: a run that was just created or uploaded is not
# found, its scores are not there yet, its recording has not arrived (our choice).
SETTLING_S = 60.0
MOST_UPLOADS_AGAIN = 3  # to one run, after the host took one and nothing came
UNKNOWN_STATUS_S = 600.0  # for a status that Helios does not document (our choice: runs take 30 s)
_NOT_ARRIVED = Failure(
    FailureKind.RETRY,
    codes.TIMED_OUT,
    "The upload host took the recording, and the run did not get it.",
)
_ASKED_AGAIN = "of waiting; the next submission asks for it again."


@dataclass(slots=True)
class RunPoller:
    """Asks about runs, and writes down what comes of them."""

    service: Service
    ledger: Ledger
    client: RetryingClient
    polling: CompletionModel
    options: SubmitOptions
    clock: Clock
    _uploads_again: Counter[int] = field(default_factory=Counter)
    _unknown: dict[int, str] = field(default_factory=dict)

    @property
    def unknown_statuses(self) -> str:
        """Say how many runs have a status that Helios does not document; empty where none has."""
        if not self._unknown:
            return ""
        named = ", ".join(sorted(set(self._unknown.values())))
        have = "runs have" if len(self._unknown) > 1 else "run has"
        return f"{len(self._unknown):,} {have} a status that Helios does not document ({named})"

    async def poll(self, attempt: Attempt) -> Attempt:
        """Ask for a run's scores until it ends, or shows that it did not get its recording."""
        if attempt.state is State.INVITED:
            return await self.look(attempt)
        try:
            return await self._poll(attempt)
        finally:
            self._unknown.pop(attempt.attempt_id, None)

    async def _poll(self, attempt: Attempt) -> Attempt:
        # An answer from before the machine fell asleep is no reason to give up a run on waking.
        began, began_awake = self.clock.monotonic(), self.clock.awake()
        # The age is counted by a clock that no one sets back.
        now = self.clock.now()
        uploaded = began - max(0.0, (now - (attempt.uploaded_at or now)).total_seconds())
        polled_s: float | None = None
        while True:
            await self._wait_until_likely(attempt, uploaded, polled_s)
            answer = await self.fetch(attempt)
            age_s = self.clock.monotonic() - uploaded
            if isinstance(answer, Failure):
                return await self.gone(attempt, answer)
            if answer.value.is_complete:
                took_s = processing_s(attempt, answer.value)
                self.polling.observe(
                    attempt.duration_s, took_s, not_done_s=polled_s or 0.0, done_s=age_s
                )
                return self.ledger.attempt(attempt.attempt_id)
            if self._has_not_arrived(attempt, answer.value, age_s):
                return await self.move(attempt, State.UPLOADING, _NOT_ARRIVED)
            self.polling.still_running(age_s)
            polled_s = age_s
            waited_s = self.clock.awake() - began_awake
            attempt = await self._unfinished(attempt, answer.value, waited_s)

    async def look(self, attempt: Attempt) -> Attempt:
        """Ask once whether an invited participant has recorded."""
        answer = await self.fetch(attempt)
        if isinstance(answer, Failure):
            return await self.gone(attempt, answer)
        run = answer.value
        if run.is_complete:
            return self.ledger.attempt(attempt.attempt_id)
        if run.status == RUNNING:
            return await self.arrived(attempt, run)
        if run.status not in STATUSES:
            return await self.move(attempt, State.INVITED, _unknown(run, 0))
        return await self.move(attempt, State.INVITED, None)

    def _has_not_arrived(self, attempt: Attempt, run: ModelRun, age_s: float) -> bool:
        """Whether something took the upload, and the run may never get it."""
        if run.status != CREATED or attempt.is_invitation:
            return False
        if has_expired(attempt, self.clock.now()):
            return True
        again = self._uploads_again[attempt.attempt_id]
        if attempt.upload_url is None or age_s < SETTLING_S or again >= MOST_UPLOADS_AGAIN:
            return False
        self._uploads_again[attempt.attempt_id] += 1
        return True

    async def _unfinished(self, attempt: Attempt, run: ModelRun, waited_s: float) -> Attempt:
        """Give up a run for this submission after a while, and name a status that is not known."""
        longest_s, why = self.options.deadline_s, _overdue
        if run.status not in STATUSES:
            longest_s, why = min(longest_s, UNKNOWN_STATUS_S), _unknown
            if attempt.attempt_id not in self._unknown:
                attempt = await self.move(attempt, attempt.state, why(run, waited_s))
            self._unknown[attempt.attempt_id] = run.status
        else:
            self._unknown.pop(attempt.attempt_id, None)
        if waited_s > longest_s:
            raise PostponedError(why(run, longest_s))
        return attempt

    async def _wait_until_likely(
        self, attempt: Attempt, uploaded: float, polled_s: float | None
    ) -> None:
        """Wait until the run is likely to be done; runs that finish meanwhile improve the estimate."""
        limiter = self.client.limiter
        while True:
            age_s = self.clock.monotonic() - uploaded
            budget = {"spare": limiter.spare, "backlog_s": limiter.backlog_s}
            wait_s = self.polling.next_poll_s(attempt.duration_s, age_s, polled_s, **budget)
            if wait_s <= 0:
                return
            await self.clock.sleep(min(wait_s, RECHECK_S))

    async def fetch(self, attempt: Attempt) -> Result[ModelRun]:
        """Ask for a run, and again for a while where that may bring another answer.

        Scores are written down with the answer, so no interrupt loses them.
        """
        began, is_last, wait_s = self.clock.awake(), False, CONFIRM_AFTER_S
        since = attempt.uploaded_at or attempt.created_at or self.clock.now()
        is_young = (self.clock.now() - since).total_seconds() < SETTLING_S
        while True:
            ask = partial(self._ask, attempt, is_last=is_last)
            answer = await self.client.request(RequestKind.POLL, ask)
            if not _may_change(answer, is_young=is_young):
                return answer
            if is_last:
                # What Helios does not know yet is not what it has deleted.
                if isinstance(answer, Failure):
                    return replace(answer, kind=FailureKind.RETRY)
                return answer
            is_last = self.clock.awake() - began >= SETTLING_S or _failed_inside(answer)
            await self.clock.sleep(wait_s)
            wait_s *= 2

    async def _ask(self, attempt: Attempt, *, is_last: bool) -> Result[ModelRun]:
        label = user_label_in(attempt.request)
        answer = await self.service.fetch(attempt.model_run_id or "", label)
        is_final = is_last or not _may_change(answer)
        if isinstance(answer, Success) and answer.value.is_complete and is_final:
            await self._complete(attempt, answer)
        return answer

    async def _complete(self, attempt: Attempt, answer: Success[ModelRun]) -> None:
        if attempt.state is not State.UPLOADED:
            await self.arrived(attempt, answer.value)
        run = answer.value
        raw = answer.raw if self.options.transcripts else without_transcripts(answer.raw)
        code, reason = run.error_code, run.error_reason if run.error_code else None
        if run.problem is not None:
            code, reason = (
                codes.RESULT_UNUSABLE,
                f"Nothing in Helios' answer can be used: {run.problem}.",
            )
        await self.ledger.advance(
            attempt.attempt_id,
            State.FAILED if code else State.SCORED,
            run_at=run.run_at,
            completed_at=run.completed_at,
            error_code=code,
            error_reason=reason,
            answer=raw,
        )

    async def gone(self, attempt: Attempt, answer: Failure) -> Attempt:
        """End a run whose data Helios has deleted because of ``delete_data``; postpone any other.

        A run may also be unknown to the key of another account, or for a moment.
        """
        if answer.kind is FailureKind.GONE and attempt.delete_data:
            return await self.move(attempt, State.LOST, replace(answer, code=codes.RESULT_GONE))
        raise PostponedError(answer)

    async def arrived(self, attempt: Attempt, run: ModelRun | None = None) -> Attempt:
        """Write down that a recording has arrived: by an upload of ours, or before its run began."""
        began = run.run_at if run is not None and attempt.is_invitation else None
        return await self.ledger.advance(
            attempt.attempt_id,
            State.UPLOADED,
            uploaded_at=began or self.clock.now(),
            error_code=None,
            error_reason=None,
        )

    async def move(self, attempt: Attempt, state: State, why: Failure | None) -> Attempt:
        """Write down that an attempt is in a state, and why, or that no error is left."""
        code, reason = (None, None) if why is None else (why.code, why.reason)
        return await self.ledger.advance(
            attempt.attempt_id, state, error_code=code, error_reason=reason
        )


def _may_change(answer: Result[ModelRun], *, is_young: bool = False) -> bool:
    """Whether Helios may soon say something else: of a young run, of one without usable scores."""
    if isinstance(answer, Failure):
        return is_young and answer.kind is FailureKind.GONE
    return answer.value.is_complete and (answer.value.problem is not None or _failed_inside(answer))


def _failed_inside(answer: Result[ModelRun]) -> bool:
    return isinstance(answer, Success) and answer.value.error_code == codes.HeliosCode.INTERNAL


def _overdue(run: ModelRun, waited_s: float) -> Failure:
    what = f"The run was still {run.status} after {duration(waited_s)}"
    return Failure(FailureKind.RETRY, codes.TIMED_OUT, f"{what} {_ASKED_AGAIN}")


def _unknown(run: ModelRun, waited_s: float) -> Failure:
    what = f"The run has the status {run.status[:40]}, which Helios does not document, after"
    return Failure(
        FailureKind.RETRY, codes.UNKNOWN_STATUS, f"{what} {duration(waited_s)} {_ASKED_AGAIN}"
    )
