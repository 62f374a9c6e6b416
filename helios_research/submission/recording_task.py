"""One recording from nothing to its scores: performs the actions that `state` decides on.

Every act is written to the ledger before it is done and after it, so that after a process dies in
between, the next submission can continue.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from helios_research.api.models import CREATED, InvitedRun, ModelRun
from helios_research.api.protocol import mixed_up
from helios_research.api.transport import Failure, FailureKind, Result, Success, UploadBody
from helios_research.codes import RECORDING_CHANGED, RECORDING_UNREACHABLE, TIMED_OUT
from helios_research.errors import RepeatedRunError
from helios_research.ledger import Attempt, State
from helios_research.recording import read_blocks
from helios_research.state import status
from helios_research.state.rows import Job
from helios_research.submission import run_poller
from helios_research.submission.rate_limiter import RequestKind
from helios_research.submission.retrying_client import STOPPING, PostponedError
from helios_research.submission.upload_slots import UploadSlots

# Runs that a recording may lose to expired upload URLs; more, and something refuses the upload.
MOST_EXPIRIES = 3
# Waits before a new run after the first, second and third internal error (our choice: long enough for
# a restart, short enough for a person who waits).
AFTER_INTERNAL_S = (10.0, 60.0, 300.0)
UPLOAD_HOST = "The upload host"

_EXPIRED = Failure(
    FailureKind.URL_EXPIRED, TIMED_OUT, "The upload URL expired before the upload arrived."
)
_WOULD_KEEP = Failure(
    FailureKind.RETRY, TIMED_OUT, "The upload did not arrive before the option delete_data was set."
)


@dataclass(slots=True, kw_only=True)
class RecordingTask(run_poller.RunPoller):
    """Does what is left for recordings, one call of `run` each, with what they all share."""

    source: str
    upload_slots: UploadSlots = field(init=False)
    _created_here: set[int] = field(default_factory=set)
    _tried_again: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.upload_slots = UploadSlots(self.options.uploads, self.clock)

    async def run(self, job: Job, history: Sequence[Attempt]) -> Attempt:
        """Do what is left for one recording."""
        attempts = {attempt.attempt_id: attempt for attempt in history}
        earlier = sum(map(status.failed_inside, history))
        abandoned = 0
        while True:
            known, now = list(attempts.values()), self.clock.now()
            action = status.next_action(
                job.digest, known, self.options, now=now, failures_before=earlier
            )
            if isinstance(action, status.Done):
                return action.attempt
            if isinstance(action, status.StartAttempt):
                failures = sum(map(status.failed_inside, known)) - earlier
                if failures:
                    await self._wait_after(failures, job.request.user_label)
            try:
                attempt = await self._perform(action, job)
            except PostponedError as postponed:
                await self._note(action, postponed.failure)
                raise
            attempts[attempt.attempt_id] = attempt
            abandoned += attempt.state is State.ABANDONED
            is_invited = attempt.state is State.INVITED
            if attempt.error_code == RECORDING_CHANGED or abandoned > MOST_EXPIRIES or is_invited:
                return attempt

    async def invite(self, job: Job, history: Sequence[Attempt]) -> Attempt:
        """Invite a participant; an earlier invitation is given up first, unless it was used.

        Where the answer never came, a run without audio is left at the service, whose link no one got.
        """
        attempt = history[-1] if history else None
        if attempt is not None and attempt.state is State.INVITED:
            attempt = await self.look(attempt)
        if attempt is not None and attempt.state in {State.UPLOADED, State.SCORED}:
            return attempt
        if attempt is not None and not attempt.state.is_final:
            reason = "Another invitation took its place."
            await self.ledger.advance(attempt.attempt_id, State.ABANDONED, error_reason=reason)
        return await self._create(await self._begin(job, len(history) + 1), job)

    async def _begin(self, job: Job, number: int) -> Attempt:
        new = job.attempt(number, delete_data=self.options.delete_data, source=self.source)
        return await self.ledger.begin(new)

    async def _wait_after(self, failures: int, user_label: str) -> None:
        """Give the service time to recover, more after each failure, and one participant's runs apart."""
        now_s = self.clock.monotonic()
        due_s = now_s + AFTER_INTERNAL_S[min(failures, len(AFTER_INTERNAL_S)) - 1]
        last_s = self._tried_again.get(user_label, 0.0)
        due_s = max(due_s, last_s + max(self.polling.typical_s or 0.0, AFTER_INTERNAL_S[0]))
        self._tried_again[user_label] = due_s
        await self.clock.sleep(due_s - now_s)

    async def _note(self, action: status.Action, why: Failure) -> None:
        """Write down what a recording waits for, beside the state that it is in."""
        if not isinstance(action, status.StartAttempt):
            attempt = self.ledger.attempt(action.attempt.attempt_id)
            if not attempt.state.is_final:
                await self.move(attempt, attempt.state, why)

    async def _perform(self, action: status.Action, job: Job) -> Attempt:
        match action:
            case status.StartAttempt(number):
                return await self._begin(job, number)
            case status.Create(attempt):
                return await self._create_and_upload(attempt, job)
            case status.Upload(attempt):
                async with self.upload_slots.slot(job.size_bytes):
                    return await self._upload(attempt, job)
            case status.ConfirmUpload(attempt):
                return await self._confirm(attempt, job)
            case status.Poll(attempt):
                return await self.poll(attempt)
            case status.Abandon(attempt, reason):
                key = attempt.attempt_id
                return await self.ledger.advance(key, State.ABANDONED, error_reason=reason)
            case status.Done(attempt):
                return attempt

    async def _create_and_upload(self, attempt: Attempt, job: Job) -> Attempt:
        # The slot comes first: a run is created only when its upload can start, since the
        # upload URL lives for an hour.
        async with self.upload_slots.slot(job.size_bytes):
            attempt = await self._create(attempt, job)
            if attempt.state is State.CREATED:
                return await self._upload(attempt, job)
            return attempt

    async def _create(self, attempt: Attempt, job: Job) -> Attempt:
        async def once() -> Result[Attempt]:
            call = self.service.invite if attempt.is_invitation else self.service.create
            answer = await call(job.request, delete_data=attempt.delete_data)
            if isinstance(answer, Failure):
                return answer
            run = answer.value
            url = run.link if isinstance(run, InvitedRun) else run.recording_upload_url
            try:
                created = await self.ledger.advance(
                    attempt.attempt_id,
                    State.INVITED if attempt.is_invitation else State.CREATED,
                    model_run_id=run.id,
                    upload_url=url,
                    created_at=self.clock.now(),
                )
                self._created_here.add(attempt.attempt_id)
            except RepeatedRunError:
                return mixed_up("a run of another recording", answer.status)
            return Success(created, pause_s=answer.pause_s)

        answer = await self.client.request(RequestKind.CREATE, once)
        if isinstance(answer, Success):
            return answer.value
        return await self.move(attempt, State.REJECTED, answer)

    async def _upload(self, attempt: Attempt, job: Job) -> Attempt:
        first = attempt.state is State.CREATED
        answer, attempt = await self.client.shielded(self._put(attempt, job))
        if isinstance(answer, Success):
            return attempt
        if answer.kind in {FailureKind.URL_EXPIRED, FailureKind.UPLOAD_REFUSED}:
            answer = await self._refused(attempt, answer, first=first)
        if answer.kind is FailureKind.CHANGED or (answer.kind is FailureKind.URL_EXPIRED and first):
            # Nothing of this recording has reached the upload host, so another run may follow.
            return await self.move(attempt, State.ABANDONED, answer)
        if answer.kind is FailureKind.URL_EXPIRED:
            return await self._abandon_if_empty(attempt, answer)
        if answer.kind is FailureKind.ROW:
            return await self.move(attempt, State.REJECTED, answer)
        if answer.kind in STOPPING:
            raise answer.as_error(self.client.base_url)
        self.client.unanswered(UPLOAD_HOST, answer, run_poller.CONFIRM_AFTER_S)
        if answer.code == RECORDING_UNREACHABLE:
            # That is no outage of the upload host, and nothing whole has reached it.
            raise PostponedError(answer)
        attempt = await self.move(attempt, attempt.state, answer)
        # With its slot kept: what the host requires of one upload is required of the others too.
        await self.clock.sleep(answer.retry_after_s or 0.0)
        return attempt

    async def _refused(self, attempt: Attempt, answer: Failure, *, first: bool) -> Failure:
        """Distinguish a URL that has expired from an upload that is refused, whatever the host says."""
        if status.has_expired(attempt, self.clock.now()):
            return replace(answer, kind=FailureKind.URL_EXPIRED)
        is_new = attempt.attempt_id in self._created_here
        if answer.kind is FailureKind.URL_EXPIRED and not is_new:
            return answer
        error = self.client.postponed(UPLOAD_HOST, answer)
        if answer.kind is FailureKind.URL_EXPIRED and isinstance(error, PostponedError):
            return answer
        state = State.CREATED if first else State.UPLOADING
        await self.move(attempt, state, answer)
        raise error

    async def _put(self, attempt: Attempt, job: Job) -> tuple[Result[None], Attempt]:
        attempt = await self.ledger.advance(attempt.attempt_id, State.UPLOADING)
        with self.upload_slots.measured() as take:
            body = UploadBody(
                size_bytes=job.size_bytes,
                media_type=job.media_type,
                sha256=job.sha256,
                open=partial(read_blocks, job.location),
                take=take,
            )
            answer = await self.service.upload(attempt.upload_url or "", body)
            if isinstance(answer, Success):
                self.upload_slots.arrived(take)
        if isinstance(answer, Success):
            self.client.answered(UPLOAD_HOST)
            attempt = await self.arrived(attempt)
        return answer, attempt

    async def _confirm(self, attempt: Attempt, job: Job) -> Attempt:
        """Find out whether an upload without an answer has arrived; if not, put it again."""
        began = self.clock.awake()
        tries = 0
        while True:
            await self._wait_to_confirm(attempt)
            answer = await self.fetch(attempt)
            if isinstance(answer, Failure):
                return await self.gone(attempt, answer)
            if answer.value.status != CREATED:
                return await self._found(attempt, answer.value)
            if status.has_expired(attempt, self.clock.now()) or attempt.upload_url is None:
                # A refusal of a large upload can look like a broken connection, so the URL's age
                # counts too, once the run itself shows that nothing has arrived.
                return await self._abandon_if_empty(attempt, _EXPIRED)
            if self.options.delete_data and not attempt.delete_data:
                return await self._abandon_if_empty(attempt, _WOULD_KEEP)
            asked = self.clock.awake()
            async with self.upload_slots.slot(job.size_bytes):
                # That others are uploaded first is no reason to give this one up.
                began += self.clock.awake() - asked
                attempt = await self._upload(attempt, job)
            if attempt.state is not State.UPLOADING:
                return attempt
            delay_s = self.client.retries.next_delay(tries, self.clock.awake() - began)
            if delay_s is None:
                raise self.client.postponed(UPLOAD_HOST, _failure_of(attempt))
            await self.clock.sleep(delay_s)
            tries += 1

    async def _wait_to_confirm(self, attempt: Attempt) -> None:
        since = attempt.upload_began_at or self.clock.now()
        waited = (self.clock.now() - since).total_seconds()
        longest_s = run_poller.CONFIRM_AFTER_S
        # A clock that was set back must not turn this into a long wait.
        await self.clock.sleep(min(max(longest_s - waited, longest_s / 5), longest_s))

    async def _abandon_if_empty(self, attempt: Attempt, why: Failure) -> Attempt:
        """Give up a run to which no more is sent, once it shows a while later that nothing arrived."""
        # A run shows as CREATED for a moment after its upload, and by a clock that was set ahead in
        # that moment its URL has expired. After too short a while the audio could be paid for twice.
        await self.clock.sleep(6 * run_poller.CONFIRM_AFTER_S)
        answer = await self.fetch(attempt)
        if isinstance(answer, Failure):
            return await self.gone(attempt, answer)
        if answer.value.status == CREATED:
            return await self.move(attempt, State.ABANDONED, why)
        return await self._found(attempt, answer.value)

    async def _found(self, attempt: Attempt, run: ModelRun) -> Attempt:
        """Write down that an upload has arrived, unless its scores were written down already."""
        if run.is_complete:
            return self.ledger.attempt(attempt.attempt_id)
        return await self.arrived(attempt)


def _failure_of(attempt: Attempt) -> Failure:
    reason = attempt.error_reason or "The recording could not be uploaded."
    return Failure(FailureKind.RETRY, attempt.error_code or TIMED_OUT, reason)
