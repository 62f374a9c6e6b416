"""What the API and the upload host of one sandbox share: settings, runs, rate limit, events."""

import asyncio
import hashlib
import hmac
import json
import math
import secrets
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Literal, TextIO
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
CLIENT_CLOSED = 499  # as nginx logs it

HOUR_S = 3600.0
RETENTION_S = 12 * HOUR_S
"""Time from completion until a run with deleteData is deleted, as at Helios."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """How the sandbox behaves.

    Attributes
    ----------
    api_key
        The only key that is accepted; by default a new random one.
    port
        Port of the API on 127.0.0.1; 0 takes a free one.
    rate_per_s
        API requests per second that are accepted; None sets no limit. Uploads do not count.
    burst
        API requests that may come at once on top of the rate.
    retry_after
        How a 429 says when to try again: in seconds, as an HTTP date, or not at all.
    gateway_quota
        API requests that a gateway in front lets in, which refuses further ones, a wrong key and a
        wrong path in the words of AWS'; None has no gateway.
    latency_s
        Least seconds for every answer, of the API and of the upload host.
    pickup_s
        Seconds from a finished upload until the run is RUNNING.
    processing_s
        Seconds that a run is RUNNING, in the median.
    processing_spread
        Standard deviation of the logarithm of that time over runs; 0 makes all runs take equally
        long. The time of a recording depends on its bytes alone.
    url_lifetime_s
        Seconds for which an upload URL is valid; one hour at Helios.
    sections
        Sections that a result has; one at Helios today.
    least_speech_s
        Seconds of speech that a recording needs, at most 12; 10 in Helios' documentation.
    max_upload_bytes
        Largest upload that is accepted, so that a mistake cannot fill the disk.
    log_file
        File to which every event is appended as a line of JSON; None writes none.
    """

    api_key: str = field(default_factory=lambda: f"sandbox-{secrets.token_hex(16)}", repr=False)
    port: int = 0
    rate_per_s: float | None = None
    burst: int = 5
    retry_after: Literal["seconds", "date", "absent"] = "seconds"
    gateway_quota: int | None = None
    latency_s: float = 0.0
    pickup_s: float = 0.2
    processing_s: float = 2.0
    processing_spread: float = 0.3
    url_lifetime_s: float = HOUR_S
    sections: int = 1
    least_speech_s: float = 10.0
    max_upload_bytes: int = 512 * 1024**2
    log_file: Path | None = None


Clock = Callable[[], float]
"""Gives the time in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What its audio means for a run: an error, or scores, perhaps with warnings."""

    error_code: str | None = None
    error_reason: str | None = None
    warnings: tuple[str, ...] = ()
    duration_s: float = 0.0


class RunState(StrEnum):
    """States of a model run, in Helios' words."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    COMPLETE_OK = "COMPLETE_OK"
    COMPLETE_ERROR = "COMPLETE_ERROR"


@dataclass(slots=True)
class Run:
    """One model run and what has happened to it; times are seconds since the epoch."""

    run_id: str
    user_label: str
    delete_data: bool
    created_at: float
    sha256: str | None = None
    picked_up_at: float = math.inf
    processed_at: float = math.inf


class RunStore:
    """All model runs of a sandbox."""

    def __init__(self, settings: SandboxSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._runs: dict[str, Run] = {}
        # By SHA-256: what the examination found, and when, in seconds since the epoch.
        self._assessments: dict[str, tuple[Assessment, float]] = {}

    def create(self, user_label: str, *, delete_data: bool) -> Run:
        """Create a run."""
        run = Run(str(uuid.uuid4()), user_label, delete_data, self._clock())
        self._runs[run.run_id] = run
        return run

    def find(self, run_id: str) -> Run | None:
        """Look up a run; None when it does not exist, or its data were deleted."""
        run = self._runs.get(run_id)
        if run and run.delete_data and self._clock() >= self.completed_at(run) + RETENTION_S:
            return None
        return run

    def receive(self, run: Run, sha256: str) -> bool:
        """Take audio for a run, in place of other while it is CREATED; False when it is not used."""
        if self.state(run) is not RunState.CREATED:
            return False
        if run.sha256 != sha256:
            if run.sha256 is None:
                run.picked_up_at = self._clock() + self._settings.pickup_s
            run.sha256 = sha256
            run.processed_at = run.picked_up_at + self._processing_s(sha256)
        return True

    def assessed(self, sha256: str, assessment: Assessment) -> None:
        """Note what the examination of some audio found."""
        self._assessments[sha256] = (assessment, self._clock())

    def assessment(self, run: Run) -> Assessment | None:
        """Give what decides how a run ends; None until its audio was examined."""
        found = self._assessments.get(run.sha256 or "")
        return None if found is None else found[0]

    def completed_at(self, run: Run) -> float:
        """Give the time at which a run completes; infinite until its audio was examined."""
        found = self._assessments.get(run.sha256 or "", (None, math.inf))
        return max(run.processed_at, found[1])

    def state(self, run: Run) -> RunState:
        """Give the state of a run now."""
        now = self._clock()
        if now < run.picked_up_at:
            return RunState.CREATED
        assessment = self.assessment(run)
        if assessment is None or now < self.completed_at(run):
            return RunState.RUNNING
        return RunState.COMPLETE_OK if assessment.error_code is None else RunState.COMPLETE_ERROR

    def _processing_s(self, sha256: str) -> float:
        draw = Random(f"0:{sha256}")  # noqa: S311 (has to be repeatable)
        factor = math.exp(self._settings.processing_spread * draw.gauss(0.0, 1.0))
        return self._settings.processing_s * factor


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """A request that got an answer; 499 when the client was gone before."""

    name: ClassVar[str] = "request"
    at: datetime
    method: str
    path: str
    status: int


@dataclass(frozen=True, slots=True)
class RunCreated:
    """A new run, and the JSON that was sent to create it."""

    name: ClassVar[str] = "created"
    at: datetime
    run_id: str
    request: Any


@dataclass(frozen=True, slots=True)
class RecordingReceived:
    """An upload whose bytes all arrived; `taken` when the run processes them."""

    name: ClassVar[str] = "put"
    at: datetime
    run_id: str
    sha256: str
    size_bytes: int
    media_type: str
    run_status: str
    taken: bool


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that a client must never do."""

    name: ClassVar[str] = "violation"
    at: datetime
    what: str
    run_id: str | None


Event = RequestAnswered | RunCreated | RecordingReceived | Violation


@dataclass(slots=True)
class TokenBucket:
    """A strict rate limit: lets in ``burst`` requests at once and ``rate_per_s`` over time."""

    rate_per_s: float | None
    burst: int
    _tokens: float = field(init=False)
    _counted_at: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._tokens = float(self.burst)

    def wait_s(self, now: float) -> float:
        """Take a token and give 0, or give the seconds to wait; a refused request takes nothing."""
        if self.rate_per_s is None:
            return 0.0
        since = now - (now if self._counted_at is None else self._counted_at)
        self._tokens = min(float(self.burst), self._tokens + max(since, 0.0) * self.rate_per_s)
        self._counted_at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self.rate_per_s


class UrlRefusal(StrEnum):
    """Why a URL gives no permission, in the words of S3."""

    EXPIRED = "Request has expired"
    WRONG = "The request signature we calculated does not match the signature you provided."


@dataclass(frozen=True, slots=True)
class UrlSigner:
    """Signs upload paths for `lifetime_s`, and checks the signatures that come back."""

    lifetime_s: float
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def query(self, path: str, now: float, lifetime_s: float | None = None) -> str:
        """Sign a path: the query to append to it."""
        moment = datetime.fromtimestamp(now, UTC).strftime(_TIME_FORMAT)
        lifetime = f"{lifetime_s or self.lifetime_s:.15g}"
        parameters = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Date": moment,
            "X-Amz-Expires": lifetime,
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Signature": self._signature(path, moment, lifetime),
        }
        return urlencode(parameters)

    def refusal(self, path: str, query: Mapping[str, str], now: float) -> UrlRefusal | None:
        """Check the signature of a request; None when it is valid."""
        moment, lifetime = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
        expected = self._signature(path, moment, lifetime)
        given = query.get("X-Amz-Signature", "")
        if not hmac.compare_digest(expected.encode(), given.encode()):
            return UrlRefusal.WRONG
        signed_at = datetime.strptime(moment, _TIME_FORMAT).replace(tzinfo=UTC).timestamp()
        return UrlRefusal.EXPIRED if now >= signed_at + float(lifetime) else None

    def _signature(self, path: str, moment: str, lifetime: str) -> str:
        message = "\n".join(("PUT", path, moment, lifetime)).encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


class Core:
    """State of one sandbox, used on its event loop alone.

    `note` sees every event and `wrap` puts a layer around both hosts: a subclass can watch and
    disturb the service there.
    """

    def __init__(self, settings: SandboxSettings, clock: Clock, log_file: TextIO | None) -> None:
        self.settings = settings
        self.clock = clock
        self.runs = RunStore(settings, clock)
        self.signer = UrlSigner(settings.url_lifetime_s)
        self.quota = settings.gateway_quota
        self.bucket = TokenBucket(settings.rate_per_s, settings.burst)
        self.api_url = ""
        self.upload_url = ""
        self.stopping = asyncio.Event()
        self._log_file = log_file

    def now(self) -> datetime:
        """Give the time of the sandbox's clock, in UTC."""
        return datetime.fromtimestamp(self.clock(), UTC)

    def note(self, event: Event) -> None:
        """Write an event to the log file, if there is one."""
        if self._log_file is not None:
            line = {"event": event.name, **asdict(event)}
            self._log_file.write(json.dumps(line, default=datetime.isoformat) + "\n")
            self._log_file.flush()

    def violated(self, what: str, run_id: str | None) -> None:
        """Note something that a client must never do."""
        self.note(Violation(self.now(), what, run_id))

    def wrap(self, app: ASGIApp, host: Literal["api", "upload"]) -> ASGIApp:  # noqa: ARG002 (for subclasses)
        """Put the outermost layer around a host."""
        return _logged(app, self)

    async def pause(self, seconds: float) -> None:
        """Wait, but not for longer than the sandbox runs."""
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.stopping.wait()


def _logged(app: ASGIApp, core: Core) -> ASGIApp:
    """Note each answer just before its last part goes out, so that its reader finds it noted."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        at, status = core.now(), 0

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not message.get("more_body"):
                # Without the query: the signature of an upload is in it.
                core.note(RequestAnswered(at, scope["method"], scope["path"], status))
            await send(message)

        await app(scope, receive, noting_send)

    return answer


def note_disconnect(request: Request, error: Exception) -> Response:  # noqa: ARG001 (Starlette passes both)
    """Answer a client that is gone, for the log alone."""
    return Response(status_code=CLIENT_CLOSED)
