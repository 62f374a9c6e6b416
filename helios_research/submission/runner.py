"""The engine: takes every recording of a cohort through its life, many at once.

One coroutine per recording, inside a window that is as wide as the request budget can feed. What
goes wrong with one recording stays with it; what is wrong with the account, the service or the
disk ends the submission, with nothing lost.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

from helios_research.columns import Outcome
from helios_research.errors import HeliosResearchError
from helios_research.ledger import Attempt
from helios_research.submission.calls import PostponedError
from helios_research.submission.intake import Ended, Taken
from helios_research.submission.lifecycle import Lifecycle
from helios_research.submission.progress import Progress
from helios_research.submission.standing import outcome_of

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
