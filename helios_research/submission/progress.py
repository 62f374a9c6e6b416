"""What can be seen of a submission while it runs, and the one line that says it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from helios_research.columns import Outcome


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a submission has come, at one moment.

    Attributes
    ----------
    total
        Rows of the cohort.
    outcomes
        Rows by outcome; every row is counted once, those under way as ``pending``.
    in_flight
        Recordings that are being created, uploaded or waited for.
    finished_here
        Rows that came to their end since this submission began.
    elapsed_s
        Seconds since this submission began.
    rate
        API requests per second that are allowed at present, or None where nothing limits them.
    limited_by
        What holds the submission up, in words.
    at
        The moment, UTC.
    """

    total: int
    outcomes: Mapping[Outcome, int]
    in_flight: int = 0
    finished_here: int = 0
    elapsed_s: float = 0.0
    rate: float | None = None
    limited_by: str = ""
    at: datetime | None = None
    is_over: bool = field(default=False)

    @property
    def done(self) -> int:
        """Rows that have come to their end."""
        return self.total - self.outcomes.get(Outcome.PENDING, 0)

    @property
    def per_minute(self) -> float | None:
        """Rows brought to their end per minute by this submission, once that can be said."""
        if self.finished_here < 2 or self.elapsed_s <= 0:
            return None
        return 60 * self.finished_here / self.elapsed_s

    @property
    def remaining_s(self) -> float | None:
        """Seconds left at the speed of this submission, or None while that is unknown."""
        if self.per_minute is None:
            return None
        return 60 * (self.total - self.done) / self.per_minute

    def __str__(self) -> str:
        """Word the progress as one line."""
        parts = [f"{self.done:,} of {self.total:,} done", *self._counts()]
        if self.is_over:
            return " · ".join([*parts, f"took {duration(self.elapsed_s)}"])
        if self.in_flight:
            parts.append(f"{self.in_flight:,} under way")
        if self.per_minute is not None:
            parts.append(f"{self.per_minute:,.0f} a minute")
        if self.remaining_s is not None and self.done < self.total:
            parts.append(f"about {duration(self.remaining_s)} left")
        if self.limited_by:
            parts.append(self.limited_by)
        return " · ".join(parts)

    def _counts(self) -> list[str]:
        return [
            f"{self.outcomes[outcome]:,} {outcome}"
            for outcome in Outcome
            if outcome is not Outcome.PENDING and self.outcomes.get(outcome)
        ]


def duration(seconds: float) -> str:
    """Word a length of time the way people say it."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
