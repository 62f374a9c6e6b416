"""What the API and the upload host of one sandbox share: settings, runs, rate limit, events."""

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, TextIO
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from helios_research.sandbox.runs import RunStore, SandboxSettings

_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
CLIENT_CLOSED = 499  # as nginx logs it

Clock = Callable[[], float]
"""Gives the time in seconds since the epoch."""


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
