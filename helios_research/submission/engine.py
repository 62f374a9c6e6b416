"""The engine: takes every recording of a cohort through its life, many at once.

One coroutine per recording, inside a window that is as wide as the request budget can feed. What
goes wrong with one recording stays with it; what is wrong with the account, the service or the
disk ends the submission, with nothing lost.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from helios_research.api.client import Client, Service
from helios_research.api.responses import Failure
from helios_research.cohort import Cohort
from helios_research.columns import Outcome, Source
from helios_research.errors import (
    HeliosResearchError,
    MixedServicesError,
    OtherAccountError,
    StudyStorageError,
)
from helios_research.ledger import Attempt, Ledger
from helios_research.ledger.schema import SETTING_BASE_URL, SETTING_LEARNED_RATE, SETTING_SOURCE
from helios_research.state.loader import all_hashes, duplicate_rejections
from helios_research.state.rows import Row
from helios_research.state.status import Progress, Standing, outcome_of
from helios_research.submission.background import REFRESH_S
from helios_research.submission.clock import Clock
from helios_research.submission.options import SubmitOptions
from helios_research.submission.polling import CompletionModel
from helios_research.submission.rate_limiter import Lane, Pacer, Retries
from helios_research.submission.recording_task import Lifecycle
from helios_research.submission.retrying_client import Calls, PostponedError
from helios_research.submission.work_queue import (
    Ended,
    Inspector,
    Intake,
    Survey,
    Taken,
    shared_audio,
)

_log = logging.getLogger(__name__)

# Seconds' worth of requests in flight: enough to keep the budget filled while runs are
# processed, few enough that every answer is fetched soon after it is there (measured by
# benchmarks/pacing_simulation.py).
WINDOW_S = 20.0
SMALLEST_WINDOW = 16
LOOK_AGAIN_S = 1.0
"""Seconds after which to see whether the window has become wider."""


class Runner:
    """Runs one submission."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        intake: AsyncIterator[Taken | Ended],
        history: Callable[[str], Sequence[Attempt]],
        outcomes: Sequence[Outcome],
    ) -> None:
        self._lifecycle = lifecycle
        self._intake = intake
        self._history = history
        self._counts = Counter(outcomes)
        self._total = len(outcomes)
        self._began = lifecycle.clock.monotonic()
        self._finished_here = 0
        self._recordings: set[asyncio.Task[None]] = set()
        self._alone = WeakValueDictionary[str, asyncio.Lock]()
        self._room = asyncio.Event()
        self._fatal: Exception | None = None
        self._failed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> Progress:
        """Take up recordings until none is left, or until asked to stop."""
        ends = [
            asyncio.create_task(self._feed()),
            asyncio.create_task(self._failed.wait()),
            asyncio.create_task(stop.wait()),
        ]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        await self._wind_down(*ends)
        if self._fatal is not None:
            raise self._fatal
        return self.progress(is_over=True)

    def progress(self, *, is_over: bool = False) -> Progress:
        """Describe this moment."""
        clock, pacer = self._lifecycle.clock, self._lifecycle.calls.pacer
        return Progress(
            total=self._total,
            outcomes=dict(self._counts),
            in_flight=len(self._recordings),
            finished_here=self._finished_here,
            elapsed_s=clock.monotonic() - self._began,
            rate=pacer.rate,
            limited_by=pacer.limited_by if self._recordings else "checking recordings",
            at=clock.now(),
            is_over=is_over,
        )

    async def _feed(self) -> None:
        try:
            async for item in self._intake:
                if isinstance(item, Ended):
                    self._count(item.before, item.outcome)
                else:
                    await self._take_up(item)
            while self._recordings:
                await self._freed()
        # Whatever it is, it ends the submission, and `run` raises it.
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    async def _take_up(self, taken: Taken) -> None:
        while len(self._recordings) >= self._window():
            await self._freed()
        task = asyncio.create_task(self._drive(taken))
        self._recordings.add(task)
        task.add_done_callback(self._ended)

    async def _freed(self) -> None:
        self._room.clear()
        # The window also widens as a higher rate is found, and nobody tells of that.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._room.wait(), LOOK_AGAIN_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._recordings.discard(task)
        self._room.set()

    def _window(self) -> int:
        # Slow runs spend longer in the window, so it has to hold more of them to keep the budget
        # filled.
        waiting_s = max(WINDOW_S, ((self._lifecycle.polling.typical_s or 0.0) + 10.0) / 2)
        wide = max(SMALLEST_WINDOW, round(waiting_s * self._lifecycle.calls.pacer.rate))
        most = self._lifecycle.options.max_in_flight
        return wide if most is None else min(most, wide)

    async def _drive(self, taken: Taken) -> None:
        job = taken.job
        self._count(taken.before, Outcome.PENDING)
        # Rows with the same audio and the same request share one run: the second waits for the
        # first, and then finds that nothing is left to do.
        alone = self._alone.setdefault(job.sha256, asyncio.Lock())
        try:
            async with alone:
                attempt = await self._lifecycle.live(job, self._history(job.sha256))
            self._count(Outcome.PENDING, outcome_of(attempt))
        except PostponedError:
            # The ledger holds why; the next submission goes on from there.
            return
        except HeliosResearchError as error:
            self._fail(error)
        # A defect of ours, met with one recording, must not cost the others theirs: its row
        # stays pending, and the log says where the defect is.
        except Exception:  # noqa: BLE001
            _log.exception("Recording %s could not be taken further", job.row.recording_id)

    def _count(self, before: Outcome, after: Outcome) -> None:
        self._counts[before] -= 1
        self._counts[after] += 1
        self._finished_here += after is not Outcome.PENDING and after is not before

    def _fail(self, error: Exception) -> None:
        """End the submission at once: the intake may be waiting for a slow file for long."""
        self._fatal = self._fatal or error
        self._failed.set()

    async def _wind_down(self, *tasks: asyncio.Task[Any]) -> None:
        """Let what is in flight end, and everything that only waits be cancelled."""
        waiting = {*tasks, *self._recordings}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await self._lifecycle.calls.drain()


_log_engine = logging.getLogger(__name__)

T = TypeVar("T")

ACCOUNT = "account"
LEARNED_TIMES = "learned_times"
LIMITED_BY = "limited_by"

# The first request tells whether the service can be worked with; a person is waiting for it.
_FIRST_CALL = Retries(max_elapsed_s=20.0)

# What was learned is kept this often, so that a kill costs little of it.
_KEEP_EVERY_S = 15.0


@dataclass(frozen=True, slots=True)
class Engine:
    """Everything that one submission needs."""

    client: Client
    ledger: Ledger
    cohort: Cohort
    rows: Sequence[Row]
    standings: Sequence[Standing]
    inspector: Inspector
    options: SubmitOptions
    clock: Clock
    on_proved: Callable[[], None]
    _is_over: threading.Event = field(default_factory=threading.Event)

    async def run(self, stop: asyncio.Event, report: Callable[[Progress], None]) -> None:
        """Carry the submission out."""
        async with self.client.connect() as service:
            calls = self._calls()
            source = await _unless(stop, self._prove(service, calls))
            if source is None:
                return
            self.on_proved()
            polling = CompletionModel.from_dict(
                self.ledger.get_setting(LEARNED_TIMES, {}), self.options.poll_floor_s
            )
            runner = self._runner(
                Lifecycle(service, self.ledger, calls, polling, self.options, self.clock, source)
            )
            learning = partial(self._keep, calls.pacer, polling)
            meanwhile = (
                asyncio.create_task(_every(REFRESH_S, partial(_report_on, runner, report))),
                asyncio.create_task(_every(_KEEP_EVERY_S, learning)),
            )
            try:
                report(await runner.run(stop))
            finally:
                self._is_over.set()
                for task in meanwhile:
                    task.cancel()
                await self.inspector.close()
                await learning()

    def _calls(self) -> Calls:
        learned = self.ledger.get_setting(SETTING_LEARNED_RATE)
        pacer = Pacer(self.options.rate, clock=self.clock, learned=learned)
        retries = Retries(max_elapsed_s=self.options.outage_s)
        return Calls(self.client.base_url, pacer, self.clock, retries)

    async def _prove(self, service: Service, calls: Calls) -> Source:
        """Find out, by the cheapest call, whether this is Helios and lets the key in."""
        first = Calls(calls.base_url, calls.pacer, self.clock, _FIRST_CALL)
        try:
            answer = await first.api(Lane.CREATE, service.account)
        except PostponedError as postponed:
            raise postponed.failure.as_error(self.client.base_url) from None
        if isinstance(answer, Failure):
            raise answer.as_error(self.client.base_url)
        # The sandbox names itself, so that its scores can never pass for real ones.
        source = Source.SANDBOX if answer.value.id.startswith("sandbox") else Source.THYMIA
        await self._belong_to(source, answer.value.id)
        return source

    async def _belong_to(self, source: Source, account: str) -> None:
        """Keep one study to one service and one account: its runs exist nowhere else."""
        before = self.ledger.get_setting(SETTING_SOURCE)
        base_url = self.ledger.get_setting(SETTING_BASE_URL)
        # A sandbox is a new one at every start, at another port each time.
        moved = source is Source.THYMIA and base_url not in {None, self.client.base_url}
        if before not in {None, source.value} or moved:
            raise MixedServicesError(self.ledger.folder, base_url, self.client.base_url)
        if source is Source.THYMIA and self.ledger.get_setting(ACCOUNT) not in {None, account}:
            raise OtherAccountError(self.ledger.folder)
        await self.ledger.put_setting(ACCOUNT, account)
        await self.ledger.put_setting(SETTING_SOURCE, source.value)
        await self.ledger.put_setting(SETTING_BASE_URL, self.client.base_url)

    def _runner(self, lifecycle: Lifecycle) -> Runner:
        intake = Intake(
            self.rows,
            self.standings,
            self.ledger.attempts_of,
            self.inspector.check,
            partial(asyncio.to_thread, self._survey),
            self.options.rules,
        )
        outcomes = [standing.outcome for standing in self.standings]
        return Runner(lifecycle, intake.items(), self.ledger.attempts_of, outcomes)

    def _survey(self) -> Survey:
        """Look at all recordings at once, for the same audio in several rows above all."""
        known = self.inspector.known_hashes()
        # A row that cannot be sent may still hold another's audio, and then nobody knows whose it is.
        locations = [row.location for row in self.rows if row.location]
        hashes = shared_audio(locations, known, self._is_over.is_set)
        conflicts = duplicate_rejections(
            self.cohort, [hashes.get(row.location or "") for row in self.rows]
        )
        seen = all_hashes(self.ledger)
        outdated = {
            row.position
            for row in self.rows
            if row.rejection and row.location and seen.get(row.location)
            if seen[row.location] != hashes.get(row.location)
        }
        return Survey(hashes, conflicts.keys(), outdated)

    async def _keep(self, pacer: Pacer, polling: CompletionModel) -> None:
        """Remember what was learned of the service, for the next submission and for onlookers."""
        try:
            await self.ledger.put_setting(SETTING_LEARNED_RATE, pacer.learned())
            await self.ledger.put_setting(LIMITED_BY, pacer.limited_by)
            await self.ledger.put_setting(LEARNED_TIMES, polling.to_dict())
        # It saves time, and no more: what must be written down ends the submission where it cannot.
        except StudyStorageError as error:
            _log_engine.warning(
                "What was learned of the service could not be written down: %s", error
            )


async def _unless(stop: asyncio.Event, act: Coroutine[Any, Any, T]) -> T | None:
    """Carry an act out, or give it up at once when asked to stop."""
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


async def _report_on(runner: Runner, report: Callable[[Progress], None]) -> None:
    report(runner.progress())
