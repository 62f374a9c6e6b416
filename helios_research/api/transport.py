"""What goes over the network, without any HTTP library: connections, bodies, responses and failures."""

import asyncio
import hashlib
import re
import zlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Any, Generic, Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

from pydantic.alias_generators import to_snake
from pydantic_core import from_json

from helios_research import codes, errors

T = TypeVar("T")


class FailureKind(StrEnum):
    """What a failure asks of the caller."""

    RETRY = "retry"  # it may succeed later
    RATE_LIMITED = "rate limited"  # as RETRY, and everything that goes to the API slows down
    # These concern one recording.
    ROW = "row"  # its metadata is not accepted
    GONE = "gone"  # the service does not have its run, or no longer
    URL_EXPIRED = "url expired"  # the upload host does not take its upload URL any more
    UPLOAD_REFUSED = "upload refused"  # the upload host refuses it, as it would in another run
    CHANGED = "changed"  # its bytes are not the expected ones or cannot be read; none were uploaded
    # These end a submission, and no recording is marked as failed.
    ACCOUNT = "account"  # the key is refused
    REFUSED = "refused"  # everything is, until something is put right
    NOT_HELIOS = "not helios"  # something else answers
    NETWORK = "network"  # a proxy or a certificate on the way has to be set right


@dataclass(frozen=True, slots=True)
class Success(Generic[T]):
    """An answer that could be read."""

    value: T
    raw: dict[str, Any] = field(default_factory=dict, repr=False)
    status: int = 200
    pause_s: float | None = None
    """Seconds in which the server accepts no more requests, where it says so."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Anything but a success. Holds no key and no upload URL, so that it may be shown and kept."""

    kind: FailureKind
    code: str
    reason: str
    retry_after_s: float | None = None
    status: int | None = None

    def as_error(self, base_url: str, *, key_worked: bool = False) -> errors.ServiceError:
        """Turn the failure into the error that ends a submission."""
        if self.kind is FailureKind.ACCOUNT:
            return errors.AccountError(base_url, self.status or 401, worked=key_worked)
        if self.kind in {
            *(FailureKind.REFUSED, FailureKind.RATE_LIMITED),
            *(FailureKind.UPLOAD_REFUSED, FailureKind.URL_EXPIRED),
        }:
            return errors.RefusedError(f"{self.reason.rstrip('.')}.")
        # An answer came, so the service is there; what came is not its answer.
        not_of_helios = self.code in {codes.UNREADABLE_ANSWER, codes.ANSWER_MIXED_UP}
        if self.kind is FailureKind.NOT_HELIOS or not_of_helios:
            return errors.NotHeliosError(base_url, self.reason.rstrip("."))
        if self.kind is FailureKind.NETWORK:
            return errors.NetworkError(self.reason)
        return errors.UnreachableError(base_url, self.reason, answers=self.status is not None)


Result: TypeAlias = Success[T] | Failure


# zlib's own sign for: find out whether it is gzip's form or zlib's.
_EITHER_FORM = 32 + zlib.MAX_WBITS


def unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    """Give what unpacks an answer piece by piece, to at most so many bytes (not 0).

    Answers are asked for as they are, but something on the way may pack them all the same, and 64 kB
    of it may hold 64 MB, which httpx would unpack as a whole. What is packed in another way than
    these is left as it is, and then no JSON is found in it.
    """
    if encoding.strip().lower() in {"gzip", "x-gzip", "deflate"}:
        return zlib.decompressobj(_EITHER_FORM).decompress
    return lambda piece, most: piece[:most]


# An answer with one section is about 1 kB, and a transcript of 3 minutes a few kB more.
MAX_RESPONSE_BYTES = 16 * 1024 * 1024
# A wrong date or a hostile number must not put a study to sleep.
MAX_RETRY_AFTER_S = 120.0
_A_MOMENT_S = 1e9
_QUOTED_CHARACTERS = 200  # of a server's own words: a line or two


@dataclass(frozen=True, slots=True)
class Response:
    """An answer before anyone has understood it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    is_whole: bool = True
    came_at: datetime = field(default_factory=partial(datetime.now, UTC), repr=False)

    @property
    def is_web_page(self) -> bool:
        """Whether it is HTML (or the XML of some gateway) rather than JSON."""
        declared = self.headers.get("content-type", "").lower()
        return "html" in declared or self.body.lstrip()[:1] == b"<"

    @property
    def is_of_gateway(self) -> bool:
        """Whether an error is of something in front of Helios; AWS' gateways send a message alone."""
        return self.is_web_page or not self.body or set(self._object()) == {"message"}

    @property
    def description(self) -> str:
        """What came, such as ``HTTP 200 with a web page``; quotes nothing of its content."""
        if self.is_web_page:
            return f"HTTP {self.status} with a web page"
        if not self.body:
            return f"HTTP {self.status} with nothing in it"
        kind = self.headers.get("content-type", "").partition(";")[0].strip()
        named = f" of type {kind}" if re.fullmatch(r"[a-z0-9.+/-]{1,60}", kind) else ""
        return f"HTTP {self.status} with {len(self.body)} bytes{named}"

    @property
    def redirects_to(self) -> str:
        """Where a redirect leads, without path and query: these may hold secrets."""
        try:
            parts = urlsplit(self.headers.get("location", ""))
            host = parts.hostname
        except ValueError:
            host = None
        return f"{parts.scheme}://{host}" if host and parts.scheme else "another address"

    @property
    def storage_code(self) -> str:
        """Error code in an object storage's XML body, such as ``AccessDenied``; else empty."""
        found = re.search(rb"<Code>([A-Za-z]{1,64})</Code>", self.body)
        return found.group(1).decode() if found else ""

    @property
    def words(self) -> str:
        """The sentence in the body of an API's error, on one line; else empty."""
        said = self._object()
        text = said.get("detail") or said.get("message") or said.get("error")
        return _quoted(text) if isinstance(text, str) else ""

    @property
    def retry_after_s(self) -> float | None:
        """How long the server asks to wait: seconds or a date (RFC 9110, section 10.2.3)."""
        text = self.headers.get("retry-after", "").strip()
        # Some servers send decimals.
        if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
            seconds = float(text)
        else:
            moment = _http_date(text)
            if moment is None:
                too_many = self.status == HTTPStatus.TOO_MANY_REQUESTS
                return self._renewed_after_s if too_many else None
            # The server's own clock counts, so it does not matter whose clock is wrong.
            seconds = (moment - self.server_time).total_seconds()
        return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)

    @property
    def server_time(self) -> datetime:
        """The time by the server's clock; that by ours where the server does not say it."""
        return _http_date(self.headers.get("date", "")) or self.came_at

    @property
    def used_up_s(self) -> float | None:
        """For how long no more requests are accepted; None where more are."""
        left = re.search(r"\b(?:remaining|r)=\s*([0-9]+)", self._rate_limit)
        return self._renewed_after_s if left and int(left[1]) == 0 else None

    @property
    def _renewed_after_s(self) -> float | None:
        found = re.search(r"\b(?:reset|t)=\s*([0-9]{1,15})\b", self._rate_limit)
        if found is None:
            return None
        # Some servers give the second since 1970 in place of the seconds that are left.
        is_moment = float(found[1]) > _A_MOMENT_S
        seconds = float(found[1]) - (self.server_time.timestamp() if is_moment else 0.0)
        return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)

    @property
    def _rate_limit(self) -> str:
        """All that is said of a rate limit, in RateLimit and X-RateLimit fields of any draft."""
        fields = self.headers.items()
        said = (f"{name}={text}" for name, text in fields if "ratelimit" in name.replace("-", ""))
        return ";".join(said)

    def field_messages(self, tags: tuple[str, ...]) -> dict[str, str]:
        """Read the messages of a 422 (FastAPI's form) as messages about the manifest's columns."""
        details = self._object().get("detail")
        columns: dict[str, str] = {}
        for item in details if isinstance(details, list) else ():
            if isinstance(item, dict):
                place, message = item.get("loc"), item.get("msg")
                column = _column_at(place if isinstance(place, list) else [], tags)
                text = _quoted(message) if isinstance(message, str) else ""
                columns.setdefault(column, text or "not accepted")
        return columns

    def _object(self) -> dict[str, Any]:
        try:
            found = from_json(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def _quoted(text: str) -> str:
    return " ".join(text.split())[:_QUOTED_CHARACTERS]


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _column_at(place: list[Any], tags: tuple[str, ...]) -> str:
    steps = [step for step in place if step not in ("body", "user")]
    if not steps:
        return "the request"
    if steps[0] != "tags":
        return to_snake(str(steps[0]))[:_QUOTED_CHARACTERS]
    index = steps[1] if len(steps) > 1 else None
    return tags[index] if isinstance(index, int) and 0 <= index < len(tags) else "tags"


class Closable(Protocol):
    """Something with an end."""

    async def aclose(self) -> None:
        """Let go of everything it holds."""


L = TypeVar("L", bound=Closable)


class ClientPool(Generic[L]):
    """A fixed number of HTTP clients with one connection each; further requests wait here.

    A pool that many tasks share is corrupted by requests that are cancelled (after some thousands,
    healthy ones fail). Here a request that does not end well takes its own connection with it alone.
    """

    def __init__(self, make: Callable[[], L], count: int) -> None:
        self._make = make
        # One is made at once, so that settings that cannot work show at once.
        self._idle = [make()]
        self._free = asyncio.Semaphore(count)
        self._is_closed = False

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[L]:
        """Lend a client, the one used last first, since its connection is the warmest."""
        async with self._free:
            client = self._idle.pop() if self._idle else self._make()
            is_sound = False
            try:
                yield client
                is_sound = not self._is_closed
            finally:
                if is_sound:
                    self._idle.append(client)
                else:
                    await client.aclose()

    async def aclose(self) -> None:
        """Close the clients that are here; those that are lent close when they come back."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().aclose()


FALLBACK_MEDIA_TYPE = "application/octet-stream"

_DIFFERENT = (
    "The file is not what it was when it was checked, so it was not sent: make sure that nothing "
    "writes to it, then submit again."
)


class RecordingChangedError(Exception):
    """The bytes are not the expected ones, or cannot be read (at the moment, where it ``may_pass``).

    Raised inside an upload, before the last of its bytes is given out.
    """

    def __init__(self, reason: str, *, may_pass: bool = False) -> None:
        super().__init__(reason)
        kind, code = FailureKind.CHANGED, codes.RECORDING_CHANGED
        if may_pass:
            kind, code = FailureKind.RETRY, codes.RECORDING_UNREACHABLE
        self.failure = Failure(kind, code, reason)


@dataclass(frozen=True, slots=True)
class UploadBody:
    """The bytes to upload, opened again for each attempt; ``take`` is told how many more were sent."""

    size_bytes: int
    media_type: str | None
    sha256: str
    open: Callable[[], Iterator[bytes]]
    take: Callable[[int], None] = lambda _: None

    def checked_blocks(self) -> Generator[bytes, None, None]:
        """Give the bytes, but the last block only when all of them are the expected ones.

        The upload host never completes an upload without it, so no changed file can be scored.
        """
        digest, seen, held = hashlib.sha256(), 0, b""
        for block in self._blocks():
            seen += len(block)
            if seen > self.size_bytes:
                raise RecordingChangedError(_DIFFERENT)
            digest.update(block)
            if held:
                yield held
            held = block
        if seen != self.size_bytes or digest.hexdigest() != self.sha256.lower():
            raise RecordingChangedError(_DIFFERENT)
        if held:
            yield held

    def _blocks(self) -> Iterator[bytes]:
        try:
            yield from filter(None, self.open())
        except (OSError, errors.HeliosResearchError) as problem:
            message = f"The recording cannot be read any more, so it was not sent. {problem}"
            may_pass = isinstance(problem, errors.RecordingUnavailableError) and problem.may_pass
            raise RecordingChangedError(message, may_pass=may_pass) from problem
