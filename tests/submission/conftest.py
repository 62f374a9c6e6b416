"""Rows, checks and attempts, as the ledger and the cohort would give them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from helios_research.api.requests import RunRequest
from helios_research.checks import Check
from helios_research.columns import Verdict
from helios_research.ledger import Attempt, State
from helios_research.submission.asks import Rejection, Row

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AUDIO = "ab" * 32


@pytest.fixture
def request_of() -> Callable[..., RunRequest]:
    """Metadata of a recording, to be changed field by field."""

    def make(**changes: object) -> RunRequest:
        values = {"date_of_birth": "1990-05-17", "birth_sex": "FEMALE", "language": "en-GB"}
        return RunRequest.model_validate({"user_label": "P1"} | values | changes)

    return make


@pytest.fixture
def row_of(request_of) -> Callable[..., Row]:
    """A row that can be sent; with a rejection it cannot."""

    def make(
        request: RunRequest | None = None,
        *,
        rejection: Rejection | None = None,
        position: int = 0,
        location: str | None = "/recordings/a.wav",
    ) -> Row:
        if rejection is not None:
            return Row(position, f"r{position}", location, None, None, rejection)
        asked = request or request_of()
        return Row(position, f"r{position}", location, asked.canonical(), asked.digest(), None)

    return make


@pytest.fixture
def attempt_of(request_of) -> Callable[..., Attempt]:
    """An attempt in a state, made with some metadata."""

    def make(
        state: State, request: RunRequest | None = None, *, number: int = 1, **changes: object
    ) -> Attempt:
        asked = request or request_of()
        made = Attempt(
            attempt_id=number,
            sha256=AUDIO,
            request_digest=asked.digest(),
            request_text=asked.canonical(),
            number=number,
            media_type="audio/wav",
            size_bytes=1000,
            duration_s=30.0,
            delete_data=False,
            source="sandbox",
            state=state,
            model_run_id=f"run-{number}",
            error_code=None,
            error_reason=None,
            begun_at=NOW - timedelta(minutes=2),
            created_at=NOW - timedelta(minutes=2),
            upload_began_at=None,
            uploaded_at=None,
            run_at=None,
            completed_at=None,
            upload_url=None,
        )
        return replace(made, **changes)

    return make


@pytest.fixture
def check_of() -> Callable[..., Check]:
    """What was seen of a recording."""

    def make(verdict: Verdict = Verdict.OK, code: str | None = None, **changes: object) -> Check:
        seen = Check(verdict, code, "As heard.", sha256=AUDIO, size_bytes=1000, duration_s=30.0)
        return replace(seen, **changes)

    return make
