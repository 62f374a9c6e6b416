"""One submission from its first request to its last: puts the parts together and runs them."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from helios_research.api.answers import Failure
from helios_research.api.client import Client, Service
from helios_research.cohort import Cohort
from helios_research.columns import Source
from helios_research.errors import MixedServicesError, OtherAccountError, StudyStorageError
from helios_research.ledger import Ledger
from helios_research.submission.asks import Row
from helios_research.submission.background import REFRESH_S
from helios_research.submission.calls import Calls, PostponedError
from helios_research.submission.clock import Clock
from helios_research.submission.inspection import Inspector, all_hashes
from helios_research.submission.intake import Intake, Survey
from helios_research.submission.lifecycle import Lifecycle
from helios_research.submission.limits import Lane, Pacer, Retries
from helios_research.submission.options import SubmitOptions
from helios_research.submission.polling import CompletionModel
from helios_research.submission.progress import Progress
from helios_research.submission.runner import Runner
from helios_research.submission.shared_audio import duplicate_rejections, shared_audio
from helios_research.submission.standing import Standing

_log = logging.getLogger(__name__)

T = TypeVar("T")

# What a study remembers of the service, by the names of the ledger's settings.
BASE_URL = "base_url"
SOURCE = "source"
ACCOUNT = "account"
LEARNED_RATE = "learned_rate"
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
        learned = self.ledger.get_setting(LEARNED_RATE)
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
        before = self.ledger.get_setting(SOURCE)
        base_url = self.ledger.get_setting(BASE_URL)
        # A sandbox is a new one at every start, at another port each time.
        moved = source is Source.THYMIA and base_url not in {None, self.client.base_url}
        if before not in {None, source.value} or moved:
            raise MixedServicesError(self.ledger.folder, base_url, self.client.base_url)
        if source is Source.THYMIA and self.ledger.get_setting(ACCOUNT) not in {None, account}:
            raise OtherAccountError(self.ledger.folder)
        await self.ledger.put_setting(ACCOUNT, account)
        await self.ledger.put_setting(SOURCE, source.value)
        await self.ledger.put_setting(BASE_URL, self.client.base_url)

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
            await self.ledger.put_setting(LEARNED_RATE, pacer.learned())
            await self.ledger.put_setting(LIMITED_BY, pacer.limited_by)
            await self.ledger.put_setting(LEARNED_TIMES, polling.to_dict())
        # It saves time, and no more: what must be written down ends the submission where it cannot.
        except StudyStorageError as error:
            _log.warning("What was learned of the service could not be written down: %s", error)


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
