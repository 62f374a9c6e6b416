"""What comes of one request: a success with its value, or a failure that says what to do next."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeAlias, TypeVar

from helios_research.errors import AccountError, NotHeliosError, ServiceError, UnreachableError

T = TypeVar("T")


class FailureKind(StrEnum):
    """What a failure asks of the caller."""

    RETRY = "retry"
    """Try again: it may succeed later."""
    RATE_LIMITED = "rate limited"
    """Try again later, and slow down everything that goes to the API."""
    ROW = "row"
    """This recording's metadata is not accepted; the others are not concerned."""
    ACCOUNT = "account"
    """The key is refused: stop, nothing is to be marked as failed."""
    GONE = "gone"
    """The service does not have the run, or no longer."""
    URL_EXPIRED = "url expired"
    """The upload host does not take this upload URL any more."""
    NOT_HELIOS = "not helios"
    """Something else answers: stop, nothing is to be marked as failed."""
    CHANGED = "changed"
    """The recording's bytes are not the expected ones or cannot be read; nothing was uploaded."""


@dataclass(frozen=True, slots=True)
class Success(Generic[T]):
    """An answer that could be read."""

    value: T
    raw: dict[str, Any] = field(default_factory=dict, repr=False)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """Anything but a success. Holds no key and no upload URL, so that it may be shown and kept."""

    kind: FailureKind
    code: str
    reason: str
    retry_after_s: float | None = None
    columns: dict[str, str] = field(default_factory=dict)
    status: int | None = None

    def as_error(self, base_url: str) -> ServiceError:
        """Turn the failure into the error that ends a submission."""
        if self.kind is FailureKind.ACCOUNT:
            return AccountError(base_url, self.status or 401)
        if self.kind is FailureKind.NOT_HELIOS:
            return NotHeliosError(base_url, self.reason)
        return UnreachableError(base_url, self.reason)


Answer: TypeAlias = Success[T] | Failure
