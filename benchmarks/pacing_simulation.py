"""Simulate submissions in virtual time: requests, refusals, delays, time and memory.

The limiter and the polling model are the package's own; the service is a strict token bucket in
front of runs that take a while. No time is slept: an hour of submission takes seconds.

    python benchmarks/pacing_simulation.py [--recordings 100000]
"""

import argparse
import asyncio
import contextlib
import math
import resource
import time
from dataclasses import dataclass, field, replace
from random import Random
from statistics import median, quantiles

from helios_research.sandbox.core import TokenBucket
from helios_research.submission.polling import RECHECK_S, CompletionModel
from helios_research.submission.rate_limiter import RateLimiter, RequestKind
from helios_research.submission.retrying_client import RetryPolicy
from support.virtual_clock import VirtualClock

WINDOW_S = 20.0
SLACK_S = 10.0
UPLOAD_S = 0.4
LATENCY_S = 0.05


@dataclass(frozen=True)
class Scenario:
    """A service and a way to submit to it; rates in requests per second, times in seconds."""

    name: str
    recordings: int = 300
    limit: float = 10.0
    burst: int = 5
    known: bool = True
    fixed_interval_s: float | None = None
    processing_s: float = 20.0
    spread: float = 0.0
    per_audio: float = 0.0
    kinds: bool = True
    uploads: int = 8
    seed: int = 0

    @property
    def floor_s(self) -> float:
        """Two requests per recording at the limit, and one processing time."""
        return 2 * self.recordings / self.limit + self.processing_s


class Service:
    """A strict limit in front of runs that finish some time after their upload."""

    def __init__(self, scenario: Scenario, clock: VirtualClock) -> None:
        self._scenario = scenario
        self._clock = clock
        self._bucket = TokenBucket(scenario.limit, scenario.burst)
        self._random = Random(scenario.seed)
        self.requests = 0
        self.refused = 0

    async def request(self) -> tuple[float, float | None]:
        """Make an API request; returns when it arrived, and Retry-After if it was refused."""
        self.requests += 1
        await self._clock.sleep(LATENCY_S * self._random.uniform(0.5, 1.5))
        arrived_s = self._clock.monotonic()
        wait_s = self._bucket.wait_s(arrived_s)
        await self._clock.sleep(LATENCY_S * self._random.uniform(0.5, 1.5))
        if wait_s:
            self.refused += 1
            return arrived_s, float(math.ceil(wait_s))
        return arrived_s, None

    def processing_s(self, duration_s: float) -> float:
        """Draw how long a run takes: partly its duration, partly chance."""
        noise = self._random.lognormvariate(0.0, self._scenario.spread)
        by_duration = self._scenario.per_audio * (duration_s - 60.0)
        return max(0.5, self._scenario.processing_s * noise + by_duration)


@dataclass
class Study:
    """One simulated submission."""

    scenario: Scenario
    clock: VirtualClock
    delays_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = self.scenario.limit if self.scenario.known else None
        self.service = Service(self.scenario, self.clock)
        self.limiter = RateLimiter(known, clock=self.clock)
        self.model = CompletionModel()
        self.retries = RetryPolicy()
        self.random = Random(self.scenario.seed + 1)
        self.in_flight = 0
        self.room = asyncio.Event()
        self.uploading = asyncio.Semaphore(self.scenario.uploads)

    async def run(self) -> None:
        """Take every recording through its life, inside a window of 20 s worth of requests."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.scenario.recordings):
                while self.in_flight >= self.window:
                    self.room.clear()
                    # The window widens with the rate, and not only when a recording ends.
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self.room.wait(), 1.0)
                self.in_flight += 1
                group.create_task(self.recording()).add_done_callback(self.ended)

    @property
    def window(self) -> int:
        """Recordings that may be in progress at once."""
        # Half of the requests create: so many recordings are begun while one is processed.
        needed_s = ((self.model.typical_s or 0.0) + SLACK_S) / 2
        return max(16, int(max(WINDOW_S, needed_s) * self.limiter.rate))

    def ended(self, _task: asyncio.Task[None]) -> None:
        """Make room for the next recording."""
        self.in_flight -= 1
        self.room.set()

    async def recording(self) -> None:
        """Create, upload, and ask until it is done."""
        duration_s = self.random.uniform(20.0, 170.0)
        async with self.uploading:
            await self.request(RequestKind.CREATE)
            await self.clock.sleep(UPLOAD_S)
        uploaded_s = self.clock.monotonic()
        took_s = self.service.processing_s(duration_s)
        asked_s = None
        while True:
            await self.wait_to_ask(duration_s, uploaded_s, asked_s)
            previous_s, asked_s = asked_s, await self.request(RequestKind.POLL) - uploaded_s
            if asked_s >= took_s:
                break
            self.model.still_running(asked_s)
        self.model.observe(duration_s, took_s, not_done_s=previous_s or 0.0, done_s=asked_s)
        self.delays_s.append(self.clock.monotonic() - uploaded_s - took_s)

    async def wait_to_ask(
        self, duration_s: float, uploaded_s: float, asked_s: float | None
    ) -> None:
        """Wait as the policy says."""
        if self.scenario.fixed_interval_s is not None:
            await self.clock.sleep(self.scenario.fixed_interval_s)
            return
        while True:
            age_s = self.clock.monotonic() - uploaded_s
            wait_s = self.model.next_poll_s(
                duration_s,
                age_s,
                asked_s,
                spare=self.limiter.spare,
                backlog_s=self.limiter.backlog_s,
            )
            if wait_s <= 0:
                return
            await self.clock.sleep(min(wait_s, RECHECK_S))

    async def request(self, kind: RequestKind) -> float:
        """Make a request when the limiter says so, until it is let in; returns when it was."""
        began_s = self.clock.monotonic()
        attempt = 0
        while True:
            await self.limiter.slot(kind if self.scenario.kinds else RequestKind.CREATE)
            arrived_s, retry_after_s = await self.service.request()
            if retry_after_s is None:
                self.limiter.accepted()
                return arrived_s
            self.limiter.refused(retry_after_s)
            elapsed_s = self.clock.monotonic() - began_s
            delay_s = self.retries.next_delay(attempt, elapsed_s, retry_after_s, self.random.random)
            if delay_s is None:
                raise RuntimeError("refused to the last try")
            await self.clock.sleep(delay_s)
            attempt += 1


async def submit(scenario: Scenario, clock: VirtualClock) -> Study:
    """Simulate one submission to its end."""
    study = Study(scenario, clock)
    await study.run()
    return study


def measure(scenario: Scenario) -> tuple[float, ...]:
    """Run one scenario and count what it cost, in the order of the table."""
    clock = VirtualClock()
    study = clock.run(submit(scenario, clock))
    service = study.service
    return (
        service.requests / scenario.recordings,
        100 * service.refused / service.requests,
        clock.monotonic(),
        clock.monotonic() / scenario.floor_s,
        median(study.delays_s),
        quantiles(study.delays_s, n=20)[-1],
        study.limiter.rate,
    )


def simulate(scenario: Scenario, seeds: int = 9) -> str:
    """Word the medians of a scenario over several seeds."""
    began_s = time.perf_counter()
    runs = [measure(replace(scenario, seed=seed)) for seed in range(seeds)]
    real_s = (time.perf_counter() - began_s) / seeds
    each, refused, took_s, share, delay_s, late_s, rate = map(median, zip(*runs, strict=True))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{scenario.name:<44}{each:>7.2f}{refused:>8.2f}%{took_s:>9.0f}{share:>7.2f}"
        f"{delay_s:>7.1f}{late_s:>7.1f}{rate:>7.1f}{real_s:>8.1f}{peak_mb:>8.0f}"
    )


HEADER = (
    f"{'':<44}{'req/rec':>7}{'refused':>9}{'time':>9}{'/floor':>7}"
    f"{'delay':>7}{'p95':>7}{'rate':>7}{'real s':>8}{'MB':>8}"
)
LEGEND = """
Medians over 9 seeds (the two large studies: one).
req/rec  API requests per recording; the least possible is 2
refused  share of requests that the service refused
time     virtual seconds in all; /floor: divided by 2 requests per recording at the limit
         plus one processing time
delay    median seconds from a run's end to our knowing it; p95: the 95th percentile
rate     requests per second that the limiter had come to at the end
real s   seconds that the simulation took
MB       the process's peak memory so far
spread   standard deviation of the logarithm of the processing time (median 20 s)
"""


def scenarios() -> list[Scenario]:
    """List 300 recordings at 10 requests/s, 20 s of processing each; then other services."""
    cases = []
    for spread in (0.0, 0.3):
        what = f"spread {spread}"
        cases += [
            Scenario(f"rate known, {what}", spread=spread),
            Scenario(f"rate unknown, {what}", spread=spread, known=False),
            Scenario(f"every 3 s, rate known, {what}", spread=spread, fixed_interval_s=3.0),
            Scenario(
                f"every 3 s, one queue, {what}", spread=spread, fixed_interval_s=3.0, kinds=False
            ),
        ]
    shared = Scenario("", spread=0.3, known=False)
    return [
        *cases,
        replace(shared, name="unknown, processing grows with duration", per_audio=0.15),
        replace(shared, name="unknown, 60 s of processing", processing_s=60.0),
        replace(shared, name="unknown, service counts strictly (burst 1)", burst=1),
        replace(shared, name="unknown, limit 2/s", limit=2.0),
        replace(shared, name="known, plenty: limit 100/s", known=True, limit=100.0, uploads=16),
        replace(
            shared,
            name="the same, asked every 3 s",
            known=True,
            limit=100.0,
            uploads=16,
            fixed_interval_s=3.0,
        ),
        replace(shared, name="3,000 recordings, known", known=True, recordings=3_000),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=int, default=100_000, help="of the large study")
    recordings = parser.parse_args().recordings
    print(HEADER)
    for scenario in scenarios():
        print(simulate(scenario), flush=True)
    for count in (recordings // 10, recordings):
        name = f"{count:,} recordings at 50/s"
        large = Scenario(name, count, limit=50.0, spread=0.3, uploads=32)
        print(simulate(large, seeds=1), flush=True)
    print(LEGEND)


if __name__ == "__main__":
    main()
