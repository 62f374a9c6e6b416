"""One request at a time: wait for its turn, make it, and try again while that can help."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlsplit

from helios_research._util.text import duration
from helios_research.api.transport import Failure, FailureKind, Result, Success
from helios_research.errors import ServiceError
from helios_research.submission import Clock
from helios_research.submission.rate_limiter import ANSWERS_OVER_S, RANDOM, RateLimiter, RequestKind

T = TypeVar("T")

# So many recordings in a row whose requests failed to the last try mean that the service or the network
# is down, and so many uploads in a row that the host refuses that it refuses all; each costs a run.
OUTAGE_AFTER = 10
REFUSED_AFTER = 3
STOPPING = frozenset(
    {FailureKind.ACCOUNT, FailureKind.NOT_HELIOS, FailureKind.NETWORK, FailureKind.REFUSED}
)

BUSY_STATUSES = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})

# What is in flight at a stop gets so long: enough for answers and most uploads, and short enough for a
# person who has just pressed Ctrl-C.
DRAIN_S = 10.0
LOOK_AFTER_S = 6.0  # without a request: one is made to see whether the service is still there
_ERRORS_LAST_S = 5.0  # an error that a host answers with is no outage before
_SLOW_S = 10.0  # an answer that takes longer shows a service that has too much to do


class PostponedError(Exception):
    """A request failed to the last try; its recording waits for the next submission."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait before trying one request again: full jitter, capped by elapsed time."""

    max_elapsed_s: float = 600.0
    first_s: float = 0.5
    cap_s: float = 30.0

    def next_delay(
        self,
        attempt: int,
        elapsed_s: float,
        retry_after_s: float | None = None,
        random: Callable[[], float] = RANDOM,
    ) -> float | None:
        """Give the seconds to wait before the next attempt; None where the time is used up."""
        # 2.0 ** 1024 overflows; any cap is reached long before.
        longest_s = min(self.cap_s, self.first_s * 2.0 ** min(attempt, 64))
        delay_s = random() * longest_s + (retry_after_s or 0.0)
        return delay_s if elapsed_s + delay_s <= self.max_elapsed_s else None


@dataclass(slots=True)
class _Outage:
    """A host that has not answered since a moment, and when it is asked again."""

    failure: Failure
    since_s: float
    again_s: float
    errors_last_s: float


@dataclass(slots=True)
class RetryingClient:
    """Makes requests within the budget, and tries again what may succeed later."""

    base_url: str
    limiter: RateLimiter
    clock: Clock
    retries: RetryPolicy
    key_worked: bool = False
    _acts: set[asyncio.Task[object]] = field(default_factory=set)
    _postponed_in_a_row: Counter[str] = field(default_factory=Counter)
    _outages: dict[str, _Outage] = field(default_factory=dict)
    _asked_s: float = 0.0
    _passed_s: float = 0.0

    @property
    def outage(self) -> str:
        """Say which host does not answer, for how long, why, and when it is asked again; or nothing."""
        now_s = self.clock.awake()
        for host, outage in self._outages.items():
            lasts_s, failure = now_s - outage.since_s, outage.failure
            if failure.status is not None and lasts_s < outage.errors_last_s:
                continue
            what = "no connection to" if failure.status is None else "only errors from"
            cause = failure.reason.rsplit(": ", 1)[-1].rstrip(".")
            again_s = max(0.0, outage.again_s - now_s)
            return (
                f"{what} {host} for {duration(lasts_s)} ({cause[:1].lower()}{cause[1:]}), trying "
                f"again {f'in {again_s:.0f} s' if again_s >= 1 else 'now'}"
            )
        return ""

    async def request(
        self,
        kind: RequestKind,
        make: Callable[[], Awaitable[Result[T]]],
        retries: RetryPolicy | None = None,
    ) -> Result[T]:
        """Make a request to the API until it has an answer that settles something."""
        retries = retries or self.retries
        # Time asleep does not count: what was in progress when a laptop was closed would be given up
        # as it wakes.
        began = self.clock.awake()
        attempt = 0
        while True:
            await self.limiter.slot(kind)
            asked = self.clock.awake()
            answer = await self.shielded(make())
            self._asked_s = self.clock.awake()
            self._inform_limiter(answer, self._asked_s - asked)
            if isinstance(answer, Success) or not self._may_mend(answer):
                self.answered(self.base_url)
                self._passed_s = self._asked_s
                return answer
            # While others get through, the service is there, and this one may be next.
            busy = answer.status in BUSY_STATUSES
            since = max(began, self._passed_s) if busy else began
            elapsed = self.clock.awake() - since
            delay = retries.next_delay(attempt, elapsed, answer.retry_after_s)
            if delay is None:
                raise self.postponed(self.base_url, answer)
            self.unanswered(self.base_url, answer, delay)
            await self.clock.sleep(delay)
            attempt += 1

    def forget_outages(self) -> None:
        """Say nothing of outages any more: no host is asked again."""
        self._outages.clear()

    async def look(self, make: Callable[[], Awaitable[Result[T]]]) -> None:
        """Find out whether the service is still there, where it was not asked for a while."""
        if self.clock.awake() - self._asked_s < LOOK_AFTER_S:
            return
        await self.limiter.slot(RequestKind.POLL)
        answer = await self.shielded(make())
        self._asked_s = self.clock.awake()
        if isinstance(answer, Failure):
            self.unanswered(self.base_url, answer, LOOK_AFTER_S)
        else:
            self._outages.pop(_named(self.base_url), None)

    async def shielded(self, act: Awaitable[T]) -> T:
        """Carry an act to its end even if its task is cancelled: an answer would be lost."""
        task = asyncio.ensure_future(act)
        self._acts.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, act: asyncio.Task[object]) -> None:
        self._acts.discard(act)
        # Where no task waits, asyncio would print an error by itself; the ledger shows what was begun.
        if not act.cancelled():
            act.exception()

    def answered(self, host: str) -> None:
        """Note that a host answers."""
        self._postponed_in_a_row[host] = 0
        self._outages.pop(_named(host), None)

    def unanswered(self, host: str, failure: Failure, delay_s: float) -> None:
        """Note that a host does not answer, and in how many seconds it is asked again."""
        if failure.kind is not FailureKind.RETRY:
            return
        now_s = self.clock.awake()
        again_s, outage = now_s + delay_s, self._outages.get(_named(host))
        if outage is None:
            errors_last_s = ANSWERS_OVER_S if self.limiter.refusals else _ERRORS_LAST_S
            self._outages[_named(host)] = _Outage(failure, now_s, again_s, errors_last_s)
            return
        outage.failure = failure
        outage.again_s = min(again_s, outage.again_s) if outage.again_s > now_s else again_s

    def postponed(self, host: str, failure: Failure) -> PostponedError | ServiceError:
        """Give up one recording for now, or the submission where many in a row were given up."""
        self._postponed_in_a_row[host] += 1
        refused = failure.kind in {FailureKind.UPLOAD_REFUSED, FailureKind.URL_EXPIRED}
        if self._postponed_in_a_row[host] >= (REFUSED_AFTER if refused else OUTAGE_AFTER):
            return failure.as_error(host)
        return PostponedError(failure)

    async def drain(self) -> None:
        """Let the acts that were begun end, and cancel those that take long, which the ledger shows."""
        _, slow = await asyncio.wait(self._acts, timeout=DRAIN_S) if self._acts else ((), ())
        for act in slow:
            act.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    def _inform_limiter(self, answer: Result[T], took_s: float) -> None:
        if took_s > _SLOW_S:
            self.limiter.overloaded()
        elif isinstance(answer, Failure) and (
            answer.status in BUSY_STATUSES or answer.retry_after_s is not None
        ):
            self.limiter.refused(answer.retry_after_s)
        else:
            self.limiter.accepted()
            if isinstance(answer, Success) and answer.pause_s is not None:
                self.limiter.pause_until(self.clock.monotonic() + answer.pause_s)

    def _may_mend(self, failure: Failure) -> bool:
        if failure.kind in STOPPING:
            raise failure.as_error(self.base_url, key_worked=self.key_worked)
        return failure.kind in {FailureKind.RETRY, FailureKind.RATE_LIMITED}


def _named(host: str) -> str:
    """Name a host in the middle of a sentence: that of a URL, or the upload host."""
    return urlsplit(host).netloc or f"{host[:1].lower()}{host[1:]}"
