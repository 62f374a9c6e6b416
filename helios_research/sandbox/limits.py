"""A strict limit on requests, as services enforce it."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class TokenBucket:
    """Lets in ``burst`` requests at once and ``rate_per_s`` over time.

    Attributes
    ----------
    rate_per_s
        Requests per second; None lets everything in.
    burst
        Requests that may come at once.
    """

    rate_per_s: float | None
    burst: int
    _tokens: float = field(init=False)
    _counted_at: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._tokens = float(self.burst)

    def wait_s(self, now: float) -> float:
        """Take a token, if there is one.

        A refused request takes nothing.

        Parameters
        ----------
        now
            Seconds on any clock that does not go back.

        Returns
        -------
        float
            0 where the request is let in, otherwise seconds until the next one would be.
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
