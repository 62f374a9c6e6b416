"""When a request may be sent: the rate that the service allows, found and kept to."""

import asyncio
import math
from collections import Counter, deque
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from random import SystemRandom

from helios_research.submission import Clock

# Rates are in requests per second; growth is per second of sending.
START_RATE = 4.0  # where none is known (our choice: the service publishes no limit)
HIGHEST_RATE = 100.0  # at about 2 ms of CPU per request, a fifth of one core
LOWEST_RATE = 0.3  # a service that refuses at random, not by pace, is not asked ever more rarely
SEARCH_GROWTH = 0.15  # the fastest, and while nothing was refused (measured: 10/s is found in 7 s)
GROWTH_BY_DISTANCE = 0.3  # for each unit of distance from the rate of the last refusal (TCP CUBIC)
GROWTH_AT_LIMIT = 0.003  # at that very rate, for 10/s and more; less in proportion below
CUT = 0.9  # the new rate after a refusal, as a share of what the service accepted
DEEPEST_CUT = 0.65  # the least share of the old rate that one cut leaves
CUT_EVERY_S = 1.0  # several refusals in so long count as one: they answer requests sent together
ACCEPTED_OVER_S = 2.0  # the accepted rate is counted over so long
PAUSE_S = 1.0  # the shortest pause after a refusal, where the server gives whole seconds


class AdaptiveRate:
    """The rate that the service seems to allow. Pure: every answer is reported to it."""

    def __init__(self, rate: float | None = None, learned: float | None = None) -> None:
        self._ceiling = HIGHEST_RATE if rate is None else rate
        self._lowest = min(LOWEST_RATE, self._ceiling)
        if learned is not None:
            learned = max(self._lowest, learned)
        self.rate = min(self._ceiling, learned or rate or START_RATE)
        self._refused_at = learned
        self._cut_at_s = -math.inf
        self._since_s: float | None = None
        self._accepted_at_s: deque[float] = deque()

    def sent(self, seconds: float) -> None:
        """Raise the rate a little, after so many seconds of sending at it."""
        growth = SEARCH_GROWTH
        if self._refused_at is not None:
            distance = abs(self.rate / self._refused_at - 1)
            at_limit = GROWTH_AT_LIMIT * min(1.0, self.rate / 10)
            growth = min(SEARCH_GROWTH, at_limit + GROWTH_BY_DISTANCE * distance)
        # After a computer slept for hours the power would exceed what a float holds.
        seconds = min(seconds, 100 / math.log1p(growth))
        self.rate = min(self._ceiling, self.rate * (1 + growth) ** seconds)

    def accepted(self, now_s: float) -> None:
        """Count a request that was not refused."""
        if self._since_s is None:
            self._since_s = now_s
        self._accepted_at_s.append(now_s)
        self._forget(now_s)

    def refused(self, now_s: float) -> None:
        """Cut the rate, at most once a second."""
        since_cut_s = now_s - self._cut_at_s
        if since_cut_s < CUT_EVERY_S:
            return
        self._cut_at_s = now_s
        accepted = self._accepted_rate(now_s)
        # Few were accepted while all paused after a cut. A client that shares the limit with another
        # is often refused soon again, and would be cut the deeper the less it has.
        if self._refused_at is not None and since_cut_s <= self._span_s + PAUSE_S:
            accepted = self.rate
        accepted = max(DEEPEST_CUT * self.rate, accepted)
        self._refused_at = max(self._lowest, min(self.rate, accepted))
        self.rate = max(self._lowest, CUT * self._refused_at)

    def _accepted_rate(self, now_s: float) -> float:
        self._forget(now_s)
        since_s = now_s if self._since_s is None else self._since_s
        span_s = min(self._span_s, max(now_s - since_s, 1 / self.rate))
        return len(self._accepted_at_s) / span_s

    @property
    def _span_s(self) -> float:
        # A slow rate has too few answers in two seconds to count by.
        return max(ACCEPTED_OVER_S, 4 / self.rate)

    def _forget(self, now_s: float) -> None:
        while self._accepted_at_s and self._accepted_at_s[0] < now_s - self._span_s:
            self._accepted_at_s.popleft()


# Pauses after a refusal without a time to wait double while refusals repeat. Where a request got
# through lately they are short, and longer by a share of the time since.
FIRST_PAUSE_S = 0.5
LONGEST_OWN_PAUSE_S = 60.0
PAUSE_WHILE_SOME_PASS_S = 2.0
SHARE_OF_SILENCE = 0.03
# It is said how many requests get through in so long, from so many answers on, unless a pause is.
ANSWERS_OVER_S = 60.0
FEWEST_ANSWERS = 8
LONG_PAUSE_S = 5.0
# The largest share of the burst that a request does without, at random. Two clients of one key would
# otherwise fall into step, and one had 1 % of the budget for as long as both were running (measured).
SCATTER = 0.5
NAP_S = 1.0  # the head of the queue looks again so often whether the rate or the pause changed
LOAD_OVER_S = 10.0  # the use of the budget is averaged over so long

RANDOM = SystemRandom().random


class RequestKind(Enum):
    """What a request is for. Requests of one kind are sent in the order in which they came."""

    CREATE = "create"
    POLL = "poll"


# How a contested budget is shared. A recording is created once and polled 1.1 to 1.2 times (measured):
# with more for creating, finished runs wait in the queue; with less, short studies end later.
KIND_WEIGHTS = {RequestKind.CREATE: 4, RequestKind.POLL: 5}


class RateLimiter:
    """One queue for all API requests, never faster than allowed.

    A generic cell rate algorithm: each request moves a theoretical arrival time ahead by one interval,
    and may be sent when that is less than `burst` minus one intervals away, or at random somewhat later.
    Only the head of the queue waits for it, so a waiter that is cancelled uses nothing up.
    """

    def __init__(
        self,
        rate: float | None = None,
        *,
        clock: Clock,
        burst: int = 2,
        learned: float | None = None,
        random: Callable[[], float] = RANDOM,
    ) -> None:
        self._clock = clock
        self._burst = burst
        self._adaptive = AdaptiveRate(rate, learned)
        self._random = random
        self._turn = asyncio.Lock()
        # The turn is given in order of arrival, and of each kind so many may wait for it.
        self._places = {kind: asyncio.Semaphore(many) for kind, many in KIND_WEIGHTS.items()}
        self._arrival_s = -math.inf
        self._scatter = SCATTER * self._random()
        self._granted_s = -math.inf
        self._paused_until_s, self._paused_by = -math.inf, ""
        self._refusals_in_a_row = 0
        self._load = 0.0
        self._passed_s = clock.monotonic()
        self._answers: deque[tuple[float, bool]] = deque()
        self._waiting = Counter[RequestKind]()
        self.accepted_requests = 0
        self.refused_requests = 0

    @property
    def rate(self) -> float:
        """The present rate, in requests per second."""
        return self._adaptive.rate

    @property
    def spare(self) -> float:
        """The unused share of the budget, from 0 (requests are what limits) to 1 (idle)."""
        now_s = self._clock.monotonic()
        if self.waiting or now_s < self._paused_until_s:
            return 0.0
        return max(0.0, 1.0 - self._faded_load(now_s) / (self.rate * LOAD_OVER_S))

    @property
    def waiting(self) -> int:
        """The number of requests that wait for their turn."""
        return self._waiting.total()

    @property
    def backlog_s(self) -> float:
        """Seconds that a poll would wait if it joined the queue now."""
        pause_s = max(0.0, self._wait_s(self._clock.monotonic()))
        polls, creates = self._waiting[RequestKind.POLL], self._waiting[RequestKind.CREATE]
        creates_first = polls * KIND_WEIGHTS[RequestKind.CREATE] / KIND_WEIGHTS[RequestKind.POLL]
        return pause_s + (polls + min(creates, creates_first)) / self.rate

    @property
    def refusals(self) -> str:
        """Say how many requests get through where most are refused, in words; else empty."""
        since_s = self._clock.monotonic() - ANSWERS_OVER_S
        while self._answers and self._answers[0][0] < since_s:
            self._answers.popleft()
        count, passed = len(self._answers), sum(passed for _, passed in self._answers)
        if count < FEWEST_ANSWERS or 2 * passed > count:
            return ""
        refused = f"most requests: {passed}" if passed else "all requests: none"
        return f"Helios refuses {refused} of {count:,} got through in the last minute"

    @property
    def limited_by(self) -> str:
        """How requests hold the submission up now, in words for a line of progress; else empty."""
        pause_s = self._paused_until_s - self._clock.monotonic()
        if pause_s < LONG_PAUSE_S and self.refusals:
            return self.refusals
        if pause_s > 0:
            end = (self._clock.now() + timedelta(seconds=pause_s)).astimezone()
            return f"paused {self._paused_by} until {end:%H:%M:%S}"
        if self.waiting:
            return f"the request rate ({self.rate:.3g}/s)"
        return ""

    def pause_until(self, moment_s: float, by: str = "by the server") -> None:
        """Send nothing before a moment; a longer pause that was set before stays."""
        if moment_s > self._paused_until_s:
            self._paused_until_s, self._paused_by = moment_s, by

    async def slot(self, kind: RequestKind = RequestKind.CREATE) -> None:
        """Wait for a request's turn; returns when it may be sent."""
        self._waiting[kind] += 1
        try:
            async with self._places[kind], self._turn:
                waited = False
                while (wait_s := self._wait_s(self._clock.monotonic())) > 0:
                    waited = True
                    await self._clock.sleep(min(wait_s, NAP_S))
                self._grant(waited=waited)
        finally:
            self._waiting[kind] -= 1

    def accepted(self) -> None:
        """Report that a request was answered and not refused, whatever the answer was."""
        now_s = self._clock.monotonic()
        self.accepted_requests += 1
        self._passed_s = now_s
        self._answers.append((now_s, True))
        self._adaptive.accepted(now_s)
        if now_s >= self._paused_until_s:
            self._refusals_in_a_row = 0

    def refused(self, retry_after_s: float | None = None) -> None:
        """Report that a request was refused (429 or 503): all requests pause together."""
        now_s = self._clock.monotonic()
        self.refused_requests += 1
        self._answers.append((now_s, False))
        self._keeping_debt(now_s, lambda: self._adaptive.refused(now_s))
        # Answers that come in during a pause belong to requests sent before it.
        if now_s >= self._paused_until_s:
            self._refusals_in_a_row += 1
        if retry_after_s is None:
            doubled = FIRST_PAUSE_S * 2.0 ** min(self._refusals_in_a_row - 1, 20)
            silence_s = SHARE_OF_SILENCE * (now_s - self._passed_s)
            longest_s = min(LONGEST_OWN_PAUSE_S, PAUSE_WHILE_SOME_PASS_S + silence_s)
            pause_s = min(longest_s, doubled) * (0.5 + 0.5 * self._random())
            self.pause_until(now_s + pause_s, "after a refusal")
        else:
            # Other clients of the same key got the same moment.
            self.pause_until(now_s + retry_after_s + self._random() / self.rate)

    def overloaded(self) -> None:
        """Report that an answer came very late or not at all: all requests slow down."""
        now_s = self._clock.monotonic()
        self._keeping_debt(now_s, lambda: self._adaptive.refused(now_s))

    def _wait_s(self, now_s: float) -> float:
        # A server that has refused may count strictly: no two at once any more.
        ahead = 0.0 if self.refused_requests else (self._burst - 1) * (1 - self._scatter)
        due_s = self._arrival_s - ahead / self.rate
        return max(due_s, self._paused_until_s) - now_s

    def _grant(self, *, waited: bool) -> None:
        now_s = self._clock.monotonic()
        if waited:
            # Only a rate that held requests up has been tried; an idle one proves nothing.
            since_s = max(self._granted_s, self._paused_until_s)
            self._keeping_debt(now_s, lambda: self._adaptive.sent(max(0.0, now_s - since_s)))
        self._arrival_s = max(now_s, self._arrival_s) + 1 / self.rate
        self._scatter = SCATTER * self._random()
        self._load = self._faded_load(now_s) + 1
        self._granted_s = now_s

    def _keeping_debt(self, now_s: float, change: Callable[[], None]) -> None:
        """Change the rate; what was sent ahead of time stays the same number of requests."""
        ahead = max(0.0, self._arrival_s - now_s) * self.rate
        change()
        if ahead:
            self._arrival_s = now_s + ahead / self.rate

    def _faded_load(self, now_s: float) -> float:
        if self._granted_s == -math.inf:
            return 0.0
        return self._load * math.exp((self._granted_s - now_s) / LOAD_OVER_S)
