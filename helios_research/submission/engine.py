"""The engine: works on many recordings at once, in a window as wide as the request budget can feed.

What goes wrong with one recording stays with it; what is wrong with the account, the service or the
disk ends the submission, with nothing lost.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from helios_research.api.client import Client, Service
from helios_research.api.models import Account
from helios_research.api.transport import Failure, Result
from helios_research.codes import explain
from helios_research.cohort import Cohort
from helios_research.columns import OPEN_OUTCOMES, Outcome, Source
from helios_research.errors import (
    ErrorRateError,
    HeliosResearchError,
    StudyMismatchError,
    StudyStorageError,
)
from helios_research.ledger import Attempt, Ledger, Setting
from helios_research.state.rows import Job, Row
from helios_research.state.status import Progress, RowStatus, outcome_of
from helios_research.submission import Clock, SubmitOptions
from helios_research.submission.background import REFRESH_S
from helios_research.submission.invitations import is_due, to_invite
from helios_research.submission.polling import CompletionModel
from helios_research.submission.rate_limiter import RateLimiter, RequestKind
from helios_research.submission.recording_task import RecordingTask
from helios_research.submission.retrying_client import (
    BUSY_STATUSES,
    LOOK_AFTER_S,
    PostponedError,
    RetryingClient,
    RetryPolicy,
)
from helios_research.submission.work_queue import Inspector, NotSent, WorkItem, WorkQueue

_log = logging.getLogger(__name__)

# Seconds' worth of requests in flight: enough to keep the budget filled while runs are processed, few
# enough that every answer is fetched soon (measured by benchmarks/pacing_simulation.py).
WINDOW_S = 20.0
SMALLEST_WINDOW = 16
LOOK_AGAIN_S = 1.0  # whether the window has become wider
# The first request shows whether the service can be used; a person is waiting for it.
_FIRST_CALL = RetryPolicy(max_elapsed_s=20.0)
# So many recordings have to end before an error rate is taken from them (our choice: few enough to
# cost little, enough that a bad folder in a good study does not stop it).
ERROR_RATE_OVER = 20
# Until then so many are in flight, as what is in flight is paid for even where all prove wrong. It is
# what keeps 10 requests/s busy: with 40, a study of 300 took a fifth longer.
IN_FLIGHT_AT_FIRST = 200
_KEEP_EVERY_S = 15.0  # a kill costs little of what was learned


class Runner:
    """Works on the recordings of one submission, and counts them."""

    def __init__(
        self,
        recording_task: RecordingTask,
        act: Callable[[Job, Sequence[Attempt]], Awaitable[Attempt]],
        queue: AsyncIterator[WorkItem | NotSent],
        outcomes: Sequence[Outcome],
    ) -> None:
        self.recording_task = recording_task
        self.client = recording_task.client
        self._act = act
        self._queue = queue
        self._counts = Counter(outcomes)
        self._total = len(outcomes)
        self._began = recording_task.clock.monotonic()
        self._finished_here = 0
        self._latest: deque[str | None] = deque(maxlen=ERROR_RATE_OVER)
        self._recordings: set[asyncio.Task[None]] = set()
        self._locks = WeakValueDictionary[str, asyncio.Lock]()
        self._room = asyncio.Event()
        self._fatal: Exception | None = None
        self._failed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work on recordings until none is left, or until the event asks to stop."""
        ends = [
            asyncio.create_task(self._feed()),
            asyncio.create_task(self._failed.wait()),
            asyncio.create_task(stop.wait()),
        ]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        await self._wind_down(*ends)
        if self._fatal is not None:
            raise self._fatal

    @property
    def limited_by(self) -> str:
        """What holds the submission up now, in words for a line of progress."""
        return (
            self.recording_task.unknown_statuses
            or self.client.limiter.limited_by
            or self.recording_task.upload_slots.limited_by(len(self._recordings))
            or "processing"
        )

    def progress(self) -> Progress:
        """Describe this moment."""
        clock, limiter = self.recording_task.clock, self.client.limiter
        return Progress(
            total=self._total,
            outcomes=dict(self._counts),
            in_flight=len(self._recordings),
            finished_here=self._finished_here,
            elapsed_s=clock.monotonic() - self._began,
            rate=limiter.rate,
            limited_by=self.limited_by if self._recordings else "checking recordings",
            outage=self.client.outage,
            at=clock.now(),
        )

    async def _feed(self) -> None:
        try:
            async for item in self._queue:
                if isinstance(item, NotSent):
                    self._count(item.before, item.outcome)
                else:
                    await self._start(item)
            while self._recordings:
                await self._freed()
        # Whatever it is, it ends the submission, and `run` raises it.
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    async def _start(self, item: WorkItem) -> None:
        while len(self._recordings) >= self._window():
            await self._freed()
        task = asyncio.create_task(self._drive(item))
        self._recordings.add(task)
        task.add_done_callback(self._ended)

    async def _freed(self) -> None:
        self._room.clear()
        # The window also widens as a higher rate is found, without an event.
        # Not `wait_for`: that of Python 3.11 forgets a cancellation that comes with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN_S):
                await self._room.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._recordings.discard(task)
        self._room.set()

    def _window(self) -> int:
        # Slow runs spend longer in the window: it has to hold more of them to keep the budget filled.
        waiting_s = max(WINDOW_S, ((self.recording_task.polling.typical_s or 0.0) + 10.0) / 2)
        wide = max(SMALLEST_WINDOW, round(waiting_s * self.client.limiter.rate))
        options = self.recording_task.options
        most = options.max_in_flight or wide
        if options.stop_at_error_rate is not None and len(self._latest) < ERROR_RATE_OVER:
            most = min(most, IN_FLIGHT_AT_FIRST)
        return min(most, wide)

    async def _drive(self, item: WorkItem) -> None:
        job = item.job
        self._count(item.before, Outcome.PENDING)
        # Rows with the same audio and the same request share one run: the second waits for the
        # first, and then finds that nothing is left to do.
        lock = self._locks.setdefault(job.sha256, asyncio.Lock())
        try:
            async with lock:
                history = self.recording_task.ledger.attempts_of(job.sha256)
                attempt = await self._act(job, history)
            self._count(Outcome.PENDING, outcome_of(attempt))
            # What an earlier submission had sent is no reason to stop this one.
            if attempt.attempt_id not in {known.attempt_id for known in history}:
                self._watch_errors(attempt)
        except PostponedError:
            # The ledger holds the reason; the next submission continues from there.
            return
        except HeliosResearchError as error:
            self._fail(error)
        # A defect of ours, met with one recording, must not cost the others theirs: its row
        # stays pending, and the log shows where the defect is.
        except Exception:  # noqa: BLE001
            _log.exception("Recording %s could not be processed", job.row.recording_id)

    def _watch_errors(self, attempt: Attempt) -> None:
        """End the submission where nearly all of the latest recordings were refused alike."""
        share = self.recording_task.options.stop_at_error_rate
        if share is None or not attempt.state.is_final:
            return
        self._latest.append(attempt.error_code)
        ((code, count),) = Counter(self._latest).most_common(1)
        if code and len(self._latest) == ERROR_RATE_OVER and count >= share * ERROR_RATE_OVER:
            known = explain(code)
            words = f"{known.meaning} {known.remedy}"
            self._fail(ErrorRateError(count, ERROR_RATE_OVER, code, words))

    def _count(self, before: Outcome, after: Outcome) -> None:
        self._counts[before] -= 1
        self._counts[after] += 1
        self._finished_here += after not in OPEN_OUTCOMES and after is not before

    def _fail(self, error: Exception) -> None:
        """End the submission at once: the queue may be waiting for a slow file for long."""
        self._fatal = self._fatal or error
        self._failed.set()

    async def _wind_down(self, *tasks: asyncio.Task[Any]) -> None:
        """Let what is in flight end, and cancel everything that only waits."""
        waiting = {*tasks, *self._recordings}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await self.client.drain()


@dataclass(frozen=True, slots=True)
class Engine:
    """Everything that one submission needs.

    With ``resend`` it invites participants: those without an invitation, and these recordings' again.
    """

    client: Client
    ledger: Ledger
    cohort: Cohort
    rows: Sequence[Row]
    statuses: Sequence[RowStatus]
    inspector: Inspector
    options: SubmitOptions
    clock: Clock
    on_proved: Callable[[], None]
    resend: Collection[str] | None = None

    async def run(self, stop: asyncio.Event, report: Callable[[Progress], None]) -> None:
        """Carry the submission out."""
        async with self.client.connect() as service:
            retrying = self._retrying_client()
            source = await _unless(stop, self._prove(service, retrying, report))
            if source is None:
                return
            self.on_proved()
            retrying.key_worked = True
            polling = CompletionModel.from_dict(
                self.ledger.get_setting(Setting.LEARNED_TIMES, {}), self.options.poll_floor_s
            )
            means = (service, self.ledger, retrying, polling, self.options, self.clock)
            runner = self._runner(RecordingTask(*means, source=source))
            meanwhile = [
                asyncio.create_task(_every(REFRESH_S, self._show(runner, report))),
                asyncio.create_task(_every(_KEEP_EVERY_S, partial(self._keep, runner))),
                asyncio.create_task(
                    _every(LOOK_AFTER_S / 4, partial(retrying.look, service.account))
                ),
            ]
            try:
                await runner.run(stop)
                report(runner.progress())
            finally:
                for task in meanwhile:
                    task.cancel()
                await self.inspector.close()
                retrying.forget_outages()
                await self._keep(runner)

    def _show(
        self, runner: Runner, report: Callable[[Progress], None]
    ) -> Callable[[], Awaitable[None]]:
        was_out = False

        async def show() -> None:
            nonlocal was_out
            now = runner.progress()
            report(now)
            if was_out != bool(now.outage):
                # Monitors in other programs are to see it at once.
                was_out = bool(now.outage)
                await self._keep(runner)

        return show

    def _retrying_client(self) -> RetryingClient:
        learned = self.ledger.get_setting(Setting.LEARNED_RATE)
        limiter = RateLimiter(self.options.rate, clock=self.clock, learned=learned)
        retries = RetryPolicy(max_elapsed_s=self.options.patience)
        return RetryingClient(self.client.base_url, limiter, self.clock, retries)

    async def _prove(
        self, service: Service, retrying: RetryingClient, report: Callable[[Progress], None]
    ) -> Source:
        """Find out, by the cheapest call, whether this is Helios and accepts the key."""
        before = Progress.of(status.outcome for status in self.statuses)

        async def show() -> None:
            limited_by = retrying.limiter.limited_by
            report(replace(before, outage=retrying.outage, limited_by=limited_by))

        showing = asyncio.create_task(_every(REFRESH_S, show))
        try:
            answer = await self._first_answer(retrying, service)
        except PostponedError as postponed:
            raise postponed.failure.as_error(self.client.base_url) from None
        finally:
            showing.cancel()
        if isinstance(answer, Failure):
            raise answer.as_error(self.client.base_url)
        # The sandbox names itself, so that its scores can never pass for real ones.
        source = Source.SANDBOX if answer.value.id.startswith("sandbox") else Source.THYMIA
        await self._belong_to(source, answer.value.id)
        return source

    async def _first_answer(self, retrying: RetryingClient, service: Service) -> Result[Account]:
        try:
            return await retrying.request(RequestKind.CREATE, service.account, _FIRST_CALL)
        except PostponedError as postponed:
            if postponed.failure.status not in BUSY_STATUSES:
                raise
        # It is there, and has too much to do.
        return await retrying.request(RequestKind.CREATE, service.account)

    async def _belong_to(self, source: Source, account: str) -> None:
        """Keep one study to one service and one account: its runs exist nowhere else."""
        before = self.ledger.get_setting(Setting.SOURCE)
        base_url = self.ledger.get_setting(Setting.BASE_URL)
        # A sandbox is a new one at every start, at another port each time.
        moved = source is Source.THYMIA and base_url not in {None, self.client.base_url}
        if before not in {None, source.value} or moved:
            raise StudyMismatchError.service(self.ledger.folder, base_url, self.client.base_url)
        known = self.ledger.get_setting(Setting.ACCOUNT)
        if source is Source.THYMIA and known not in {None, account}:
            raise StudyMismatchError.account(self.ledger.folder)
        await self.ledger.put_setting(Setting.ACCOUNT, account)
        await self.ledger.put_setting(Setting.SOURCE, source.value)
        await self.ledger.put_setting(Setting.BASE_URL, self.client.base_url)

    def _runner(self, recording_task: RecordingTask) -> Runner:
        history = self.ledger.attempts_of
        outcomes = [status.outcome for status in self.statuses]
        if self.resend is not None:
            items = to_invite(self.rows, self.statuses, history, self.resend)
            return Runner(recording_task, recording_task.invite, items, outcomes)
        queue = WorkQueue(
            self.rows,
            self.statuses,
            history,
            self.inspector.check,
            partial(asyncio.to_thread, self.inspector.scan, self.cohort, self.rows),
            self.options,
            (lambda _: True) if self.options.ask_invited else is_due(self.ledger, self.clock.now()),
        )
        return Runner(recording_task, recording_task.run, queue.items(), outcomes)

    async def _keep(self, runner: Runner) -> None:
        """Keep what was learned of the service, for the next submission and for monitors."""
        learned = {
            Setting.OUTAGE: runner.client.outage,
            Setting.LEARNED_RATE: round(runner.client.limiter.rate, 3),
            Setting.LIMITED_BY: runner.limited_by,
            Setting.LEARNED_TIMES: runner.recording_task.polling.to_dict(),
        }
        try:
            for name, value in learned.items():
                await self.ledger.put_setting(name, value)
        # This only saves time; where what must be written down cannot be, the submission ends.
        except StudyStorageError as error:
            _log.warning("What was learned of the service could not be written down: %s", error)


async def _unless(stop: asyncio.Event, act: Coroutine[Any, Any, Source]) -> Source | None:
    """Carry an act out, or give it up at once when the event asks to stop; then it gives None."""
    acting = asyncio.create_task(act)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({acting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if acting.done():
        return acting.result()
    acting.cancel()
    return None


async def _every(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await act()
