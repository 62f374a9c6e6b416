"""Finding the rate that the service allows, which it does not publish."""

import math
from collections import deque

START_RATE = 4.0
"""Requests per second to begin with where no rate is known (our choice; the service publishes
no limit)."""
HIGHEST_RATE = 100.0
"""Requests per second above which no rate is looked for: about 2 ms of CPU per request make
this a fifth of one core."""
LOWEST_RATE = 0.1
"""Requests per second below which no refusal pushes the rate."""
SEARCH_GROWTH = 0.15
"""Growth per second of sending while nothing has been refused, and the fastest at all (measured:
a limit of 10/s is found in 7 s)."""
GROWTH_BY_DISTANCE = 0.3
"""Growth per second for each unit of distance from the rate of the last refusal: quick where that
is far, slow near it (in the manner of TCP CUBIC)."""
GROWTH_AT_LIMIT = 0.003
"""Growth per second at the very rate of the last refusal, for 10 requests per second and more;
less in proportion below, so that as many requests go between two refusals."""
CUT = 0.9
"""The new rate after a refusal, as a share of what the service accepted."""
DEEPEST_CUT = 0.65
"""The least share of the old rate that one cut leaves."""
CUT_EVERY_S = 1.0
"""Seconds in which several refusals count as one: they answer requests sent together."""
ACCEPTED_OVER_S = 2.0
"""Seconds over which the accepted rate is counted."""
PAUSE_S = 1.0
"""Seconds that a refusal stops all requests for at least, where the server says so in whole ones."""


class RateSearch:
    """The rate that the service seems to allow; pure, told of every answer."""

    def __init__(self, rate: float | None = None, learned: float | None = None) -> None:
        self._ceiling = HIGHEST_RATE if rate is None else rate
        if learned is not None:
            learned = max(LOWEST_RATE, learned)
        self.rate = min(self._ceiling, learned or rate or START_RATE)
        self._refused_at = learned
        self._cut_at_s = -math.inf
        self._since_s: float | None = None
        self._accepted_at_s: deque[float] = deque()

    def allow(self, rate: float) -> None:
        """Go at another rate from now on, and never above it."""
        self._ceiling = self.rate = rate
        self._refused_at = None

    def sent(self, seconds: float) -> None:
        """Raise the rate a little."""
        growth = SEARCH_GROWTH
        if self._refused_at is not None:
            distance = abs(self.rate / self._refused_at - 1)
            at_limit = GROWTH_AT_LIMIT * min(1.0, self.rate / 10)
            growth = min(SEARCH_GROWTH, at_limit + GROWTH_BY_DISTANCE * distance)
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
        # Few were accepted while all paused after a cut. Whoever shares the limit with another
        # client is often refused soon again, and would be cut the deeper the less it has.
        if self._refused_at is not None and since_cut_s <= self._span_s + PAUSE_S:
            accepted = self.rate
        accepted = max(DEEPEST_CUT * self.rate, accepted)
        self._refused_at = max(LOWEST_RATE, min(self.rate, accepted))
        self.rate = max(LOWEST_RATE, CUT * self._refused_at)

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
