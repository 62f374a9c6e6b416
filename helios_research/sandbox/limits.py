"""A strict limit on requests, as services enforce it."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class TokenBucket:
    """Lets in ``burst`` requests at once and ``rate_per_s`` over time."""

    rate_per_s: float | None
    burst: int
    _tokens: float = field(init=False)
    _counted_at: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._tokens = float(self.burst)

    def wait_s(self, now: float) -> float:
        """Take a token, if there is one.

        A refused request takes nothing.
        """
        if self.rate_per_s is None:
            return 0.0
        since = now - (now if self._counted_at is None else self._counted_at)
        self._tokens = min(float(self.burst), self._tokens + max(since, 0.0) * self.rate_per_s)
        self._counted_at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self.rate_per_s
