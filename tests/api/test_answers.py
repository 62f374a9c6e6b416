"""What comes of one request."""

import pytest

from helios_research.api.responses import Failure, FailureKind, Success
from helios_research.errors import AccountError, NotHeliosError, ServiceError, UnreachableError


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        (FailureKind.ACCOUNT, AccountError, "(HTTP 403)"),
        (FailureKind.NOT_HELIOS, NotHeliosError, "(the reason)"),
        (FailureKind.RETRY, UnreachableError, "(the reason)"),
        (FailureKind.RATE_LIMITED, UnreachableError, "(the reason)"),
    ],
)
def test_a_failure_becomes_the_error_that_fits(
    kind: FailureKind, error: type[ServiceError], words: str
) -> None:
    found = Failure(kind, "HTTP_403", "the reason", status=403).as_error("https://helios.example")
    assert type(found) is error
    assert words in str(found)
    assert str(found).startswith("https://helios.example")


def test_a_raw_answer_is_not_in_the_repr() -> None:
    assert "transcript" not in repr(Success(1, {"transcript": "what was said"}))
