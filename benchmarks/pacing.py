"""How few requests a study takes, and how soon each score is known, at a strict rate limit.

A real sandbox, in a process of its own, allows 10 requests a second and takes 20 s per run. In
turns: our client that knows the rate, one that has to find it, asking every 3 s (within the same
budget, and as one would write it in an afternoon: each request tried again on its own), and a
last case where requests are plentiful.

Run ``python benchmarks/pacing.py [--rounds 1] [--recordings 300] [--spread 0.3] [--only known]``;
a round takes about ten minutes, in real time.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import TypeVar

from kill_and_resume import write_recordings
from support.remote_sandbox import RemoteSandbox, remote_sandbox

import helios_research as hr
from helios_research.api.client import Service
from helios_research.api.transport import Result, Success, UploadBody
from helios_research.ledger import Ledger
from helios_research.recording import fingerprint, read_blocks
from helios_research.sandbox import SandboxSettings
from helios_research.state.rows import Row, rows_of
from helios_research.submission import Clock
from helios_research.submission.rate_limiter import RateLimiter, RequestKind
from helios_research.submission.retrying_client import RetryPolicy

T = TypeVar("T")

SIZE_BYTES = 40_044
INTERVAL_S = 3.0
UPLOADS = 8
WINDOW = 200


@dataclass(frozen=True, slots=True)
class Case:
    """A service, and a way to submit to it."""

    name: str
    recordings: int = 300
    rate_per_s: float = 10.0
    burst: int = 5
    processing_s: float = 20.0
    spread: float = 0.0
    submit: Callable[["Case", RemoteSandbox, Path], dict[str, datetime]] = lambda *_: {}

    @property
    def floor_s(self) -> float:
        """Two requests per recording at the allowed rate, and one processing time."""
        return 2 * self.recordings / self.rate_per_s + self.processing_s


# --- ways to submit: each gives when every run's scores were known here -----------------------------


def with_study(
    case: Case, sandbox: RemoteSandbox, folder: Path, *, knows_rate: bool
) -> dict[str, datetime]:
    """Submit with the package."""
    cohort = hr.read_cohort(folder / "recordings" / "manifest.csv")
    study = hr.Study(folder / "study", client=sandbox.client())
    rate = case.rate_per_s if knows_rate else None
    study.submit(cohort, progress=False, preflight=False, rate=rate)
    with Ledger.read(study.folder) as ledger:
        run_ids = {attempt.attempt_id: attempt.model_run_id for attempt in ledger.attempts()}
        return {
            run_ids[transition.attempt_id] or "": transition.at
            for transition in ledger.transitions()
            if transition.state.is_final
        }


def every_3_s(
    case: Case, sandbox: RemoteSandbox, folder: Path, *, one_budget: bool
) -> dict[str, datetime]:
    """Submit and ask for every run each 3 s, as Helios' documentation recommends."""
    rows = rows_of(hr.read_cohort(folder / "recordings" / "manifest.csv"))
    return asyncio.run(_poll_all(case, sandbox, rows, one_budget=one_budget))


async def _poll_all(
    case: Case, sandbox: RemoteSandbox, rows: list[Row], *, one_budget: bool
) -> dict[str, datetime]:
    limiter = RateLimiter(case.rate_per_s, clock=Clock()) if one_budget else None
    window, uploads = asyncio.Semaphore(WINDOW), asyncio.Semaphore(UPLOADS)
    known: dict[str, datetime] = {}

    async def one(service: Service, row: Row) -> None:
        async with window:
            ask = partial(_until_success, limiter)
            async with uploads:
                run = await ask(RequestKind.CREATE, partial(service.create, row.request))
                await service.upload(run.recording_upload_url, _body(row.location or ""))
            while True:
                await asyncio.sleep(INTERVAL_S)
                if (await ask(RequestKind.POLL, partial(service.fetch, run.id))).is_complete:
                    known[run.id] = datetime.now(UTC)
                    return

    async with sandbox.client().connect() as service, asyncio.TaskGroup() as group:
        for row in rows:
            group.create_task(one(service, row))
    return known


async def _until_success(
    limiter: RateLimiter | None, kind: RequestKind, make: Callable[[], Awaitable[Result[T]]]
) -> T:
    retries = RetryPolicy()
    for attempt in range(1_000):
        if limiter is not None:
            await limiter.slot(kind)
        answer = await make()
        if isinstance(answer, Success):
            return answer.value
        if limiter is not None:
            limiter.refused(answer.retry_after_s)
        await asyncio.sleep(retries.next_delay(attempt, 0.0, answer.retry_after_s) or 0.0)
    raise RuntimeError("refused to the last try")


def _body(location: str) -> UploadBody:
    found = fingerprint(location)
    return UploadBody(
        size_bytes=found.size_bytes,
        media_type=found.media_type,
        sha256=found.sha256,
        open=partial(read_blocks, location),
    )


# --- measuring ------------------------------------------------------------------------------------


def measure(case: Case, number: int = 0) -> str:
    """Run one case and word what it cost; each number has other recordings, and so other times."""
    settings = SandboxSettings(
        rate_per_s=case.rate_per_s,
        burst=case.burst,
        processing_s=case.processing_s,
        processing_spread=case.spread,
    )
    with tempfile.TemporaryDirectory() as name, remote_sandbox(settings) as sandbox:
        folder = Path(name)
        write_recordings(folder / "recordings", case.recordings, SIZE_BYTES + 2 * number)
        began = time.perf_counter()
        known = case.submit(case, sandbox, folder)
        took_s = time.perf_counter() - began
        ends, counts = sandbox.completions(), sandbox.counts()
    if len(known) != case.recordings or counts["audio"] != case.recordings:
        raise RuntimeError(f"{len(known)} of {case.recordings} recordings came to an end")
    delays = [(at - ends[run_id]).total_seconds() for run_id, at in known.items()]
    requests = counts["create"] + counts["poll"] + counts["account"]
    return (
        f"{case.name:<34}{requests / case.recordings:>9.3f}"
        f"{counts['refused'] / requests:>9.2%}{took_s:>8.1f}{took_s / case.floor_s:>8.3f}"
        f"{median(delays):>8.1f}{quantiles(delays, n=20)[-1]:>8.1f}"
    )


HEADER = f"{'':<34}{'req/rec':>9}{'refused':>9}{'s':>8}{'/floor':>8}{'delay s':>8}{'p95':>8}"


def cases(recordings: int, spread: float, burst: int) -> dict[str, Case]:
    """List what is compared."""
    strict = Case("", recordings, burst=burst, spread=spread)
    known, unknown = partial(with_study, knows_rate=True), partial(with_study, knows_rate=False)
    return {
        "known": replace(strict, name="rate known", submit=known),
        "unknown": replace(strict, name="rate unknown", submit=unknown),
        "budget": replace(
            strict, name="every 3 s, one budget", submit=partial(every_3_s, one_budget=True)
        ),
        "naive": replace(
            strict, name="every 3 s, each on its own", submit=partial(every_3_s, one_budget=False)
        ),
        "plenty": Case("plenty: 60 recordings, 100/s", 60, 100.0, burst, 20.0, spread, known),
        "plenty-unknown": Case("plenty, rate unknown", 60, 100.0, burst, 20.0, spread, unknown),
    }


def main() -> None:
    """Print the table, one round after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--recordings", type=int, default=300)
    parser.add_argument("--spread", type=float, default=0.0)
    parser.add_argument("--burst", type=int, default=5)
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    compared = cases(arguments.recordings, arguments.spread, arguments.burst)
    print(f"spread {arguments.spread}, server burst {arguments.burst}\n{HEADER}", flush=True)
    for number in range(arguments.rounds):
        for name in arguments.only or compared:
            print(measure(compared[name], number), flush=True)


if __name__ == "__main__":
    main()
