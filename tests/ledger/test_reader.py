"""Reading: lists, tables and counts agree with what was written."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from helios_research.errors import StudyStorageError
from helios_research.ledger import Attempt, Ledger, NewAttempt, State

Make = Callable[..., NewAttempt]
RUN_AT = datetime(2026, 3, 1, 11, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
async def written(ledger: Ledger, new_attempt: Make) -> list[Attempt]:
    """Write one attempt that was scored, one that failed and was tried again, one just begun."""
    scored = (await ledger.begin(new_attempt(1))).attempt_id
    await ledger.advance(scored, State.CREATED, model_run_id="r1", upload_url="https://up/1")
    await ledger.advance(scored, State.UPLOADING)
    await ledger.advance(scored, State.UPLOADED)
    failed = (await ledger.begin(new_attempt(2, duration_s=None))).attempt_id
    answer = {"id": "r1", "status": "COMPLETE_OK"}
    await ledger.advance(scored, State.SCORED, answer=answer, run_at=RUN_AT)
    await ledger.advance(
        failed,
        State.FAILED,
        error_code="ERR_INTERNAL",
        error_reason="Überlast",
        answer={"id": "r2", "errorCode": "ERR_INTERNAL"},
    )
    await ledger.begin(new_attempt(2, number=2))
    await ledger.begin(new_attempt(3, delete_data=True))
    return ledger.attempts()


async def test_attempts_come_oldest_first(written: list[Attempt]) -> None:
    assert [(a.sha256[-1], a.number, a.state) for a in written] == [
        ("1", 1, State.SCORED),
        ("2", 1, State.FAILED),
        ("2", 2, State.CREATING),
        ("3", 1, State.CREATING),
    ]


async def test_one_attempt_can_be_read_by_its_key(ledger: Ledger, written: list[Attempt]) -> None:
    assert [ledger.attempt(attempt.attempt_id) for attempt in written] == written
    with pytest.raises(KeyError):
        ledger.attempt(99)


async def test_the_attempts_of_one_recording_can_be_read(
    ledger: Ledger, written: list[Attempt]
) -> None:
    assert ledger.attempts_of(written[1].sha256) == written[1:3]
    assert ledger.attempts_of("f" * 64) == []


async def test_the_attempts_of_several_recordings_can_be_read_at_once(
    ledger: Ledger, written: list[Attempt]
) -> None:
    wanted = [written[3].sha256, written[1].sha256, "f" * 64]
    assert ledger.attempts_with(wanted) == written[1:]
    assert ledger.attempts_with([]) == []


async def test_all_answers_can_be_read(ledger: Ledger, written: list[Attempt]) -> None:
    assert {key: json.loads(body) for key, body in ledger.answers()} == {
        1: {"id": "r1", "status": "COMPLETE_OK"},
        2: {"id": "r2", "errorCode": "ERR_INTERNAL"},
    }


async def test_the_audit_trail_tells_each_move_without_the_upload_url(
    ledger: Ledger, written: list[Attempt]
) -> None:
    trail = ledger.transitions(1)
    assert [entry.state for entry in trail] == [
        State.CREATING,
        State.CREATED,
        State.UPLOADING,
        State.UPLOADED,
        State.SCORED,
    ]
    assert [entry.note for entry in trail] == [
        {},
        {"model_run_id": "r1"},
        {},
        {},
        {"run_at": RUN_AT.isoformat()},
    ]
    assert [entry.at for entry in trail] == sorted(entry.at for entry in trail)
    assert trail[0].at == written[0].begun_at


async def test_only_what_is_new_in_the_audit_trail_can_be_read(
    ledger: Ledger, written: list[Attempt]
) -> None:
    everything = ledger.transitions()
    assert len(everything) == 9
    assert ledger.transitions(after=everything[5].transition_id) == everything[6:]
    assert ledger.newest_transition() == everything[-1].transition_id


def test_an_empty_audit_trail_ends_at_zero(ledger: Ledger) -> None:
    assert ledger.newest_transition() == 0


def test_a_reader_cannot_write(ledger: Ledger) -> None:
    with Ledger.read(ledger.folder) as other:
        assert not isinstance(other, Ledger)
        assert not hasattr(other, "begin")
        with pytest.raises(StudyStorageError, match="it is read-only"), other._connected() as bare:
            bare.execute("DELETE FROM attempts")


def test_a_closed_reader_says_so(tmp_path: Path) -> None:
    Ledger.open(tmp_path).close()
    other = Ledger.read(tmp_path)
    other.close()
    other.close()
    with pytest.raises(ValueError, match=r"helios\.sqlite is closed: open the study again"):
        other.attempts()
