"""What the API and the upload host of one sandbox share."""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TextIO
from urllib.parse import urlencode

from helios_research.recording import AudioFacts
from helios_research.sandbox.faults import Fate, FaultPlan, Faults
from helios_research.sandbox.limits import TokenBucket
from helios_research.sandbox.log import SandboxLog
from helios_research.sandbox.runs import Run, RunBook, Verdict, judge
from helios_research.sandbox.settings import SandboxSettings

_TIME_FORMAT = "%Y%m%dT%H%M%SZ"


class Refusal(StrEnum):
    """Why a URL gives no permission, in S3's own words for it."""

    EXPIRED = "Request has expired"
    WRONG = "The request signature we calculated does not match the signature you provided."


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs paths for a while, and checks the signatures that come back."""

    lifetime_s: float
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def query(self, path: str, now: float) -> str:
        """Sign a path."""
        moment = datetime.fromtimestamp(now, UTC).strftime(_TIME_FORMAT)
        lifetime = f"{self.lifetime_s:g}"
        parameters = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Date": moment,
            "X-Amz-Expires": lifetime,
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Signature": self._signature(path, moment, lifetime),
        }
        return urlencode(parameters)

    def refusal(self, path: str, query: Mapping[str, str], now: float) -> Refusal | None:
        """Check the signature of a request."""
        moment, lifetime = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
        expected = self._signature(path, moment, lifetime)
        given = query.get("X-Amz-Signature", "")
        if not hmac.compare_digest(expected.encode(), given.encode()):
            return Refusal.WRONG
        signed_at = datetime.strptime(moment, _TIME_FORMAT).replace(tzinfo=UTC).timestamp()
        return Refusal.EXPIRED if now >= signed_at + float(lifetime) else None

    def _signature(self, path: str, moment: str, lifetime: str) -> str:
        message = "\n".join(("PUT", path, moment, lifetime)).encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


logger = logging.getLogger(__name__)

Clock = Callable[[], float]
Examine = Callable[[str], AudioFacts]


class Analyst:
    """Examines audio away from the event loop, each content once."""

    def __init__(
        self, examine: Examine, executor: Executor, judged: Callable[[str, Verdict], None]
    ) -> None:
        self._examine = examine
        self._executor = executor
        self._judged = judged
        self._known: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, path: Path, sha256: str) -> None:
        """Have a file examined, and deleted afterwards."""
        if sha256 in self._known:
            path.unlink()
            return
        self._known.add(sha256)
        task = asyncio.create_task(self._work(path, sha256))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, path: Path, sha256: str) -> None:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._executor, self._examine, str(path))
        (outcome,) = await asyncio.gather(future, return_exceptions=True)
        path.unlink()  # noqa: ASYNC240 (shorter than a hop to another thread)
        if isinstance(outcome, BaseException):
            logger.error("The sandbox could not examine %s", path, exc_info=outcome)
            reason = f"The sandbox could not examine the recording: {outcome!r}"
            self._judged(sha256, Verdict("ERR_INTERNAL", reason))
        else:
            self._judged(sha256, judge(outcome))


class Core:
    """State and parts of one sandbox; used on its event loop alone, except for the log."""

    def __init__(
        self, settings: SandboxSettings, clock: Clock, faults: Faults, lines: TextIO | None
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.plan = FaultPlan(faults)
        self.log = SandboxLog(clock, lines)
        self.book = RunBook(settings, clock)
        self.signer = Signer(settings.url_lifetime_s)
        self.bucket = TokenBucket(settings.rate_per_s, settings.burst)
        self.api_url = ""
        self.upload_url = ""
        self.stopping = asyncio.Event()

    @property
    def account_id(self) -> str:
        """The id of the account that the key belongs to."""
        return f"sandbox-{hashlib.sha256(self.settings.api_key.encode()).hexdigest()[:12]}"

    def set_faults(self, faults: Faults) -> None:
        """Let other things go wrong from now on."""
        self.plan = FaultPlan(faults)
        if not faults.keeps_runs_stuck:
            self.book.release()

    def draw_fate(self, earlier_runs: int, ordinal: int) -> Fate:
        """Decide about a run by the faults of the moment."""
        return self.plan.fate(earlier_runs, ordinal)

    def upload_url_of(self, run: Run) -> str:
        """Make the URL that a run's recording is put to."""
        path = f"/recordings/{run.run_id}"
        return f"{self.upload_url}{path}?{self.signer.query(path, self.clock())}"

    async def pause(self, seconds: float) -> None:
        """Wait, but not for longer than the sandbox runs."""
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.stopping.wait()
