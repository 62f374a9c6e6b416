"""The ledger: every act is written down as it was given, and none is begun twice."""

import asyncio
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from helios_research.errors import RepeatedAttemptError, RepeatedRunError, StudyStorageError
from helios_research.ledger import Ledger, NewAttempt, State, invitation_to

Make = Callable[..., NewAttempt]
Value = TypeVar("Value")
LIVE = [State.CREATING, State.CREATED, State.UPLOADING, State.UPLOADED]
URL = "https://uploads.example/"


async def test_a_new_attempt_is_given_back_as_it_was_written(
    ledger: Ledger, new_attempt: Make
) -> None:
    new = new_attempt(1, delete_data=True)
    attempt = await ledger.begin(new)
    assert attempt.state is State.CREATING
    assert attempt.begun_at == ledger.transitions(attempt.attempt_id)[0].at
    for name in NewAttempt.__slots__:
        assert getattr(attempt, name) == getattr(new, name)
    assert ledger.attempt(attempt.attempt_id) == attempt


async def test_what_a_move_gives_back_is_what_is_stored(ledger: Ledger, new_attempt: Make) -> None:
    key = (await ledger.begin(new_attempt())).attempt_id
    for state, changes in [
        (State.CREATED, {"model_run_id": "r", "upload_url": URL}),
        (State.UPLOADING, {}),
        (State.CREATED, {}),
        (State.UPLOADING, {}),
        (State.UPLOADED, {}),
        (State.UPLOADED, {"error_code": "TIMED_OUT", "error_reason": "No answer yet."}),
        (State.SCORED, {"answer": {"id": "r"}}),
    ]:
        attempt = await ledger.advance(key, state, **changes)
        assert ledger.attempt(key) == attempt
        assert attempt.state is state


async def test_a_move_that_is_not_allowed_changes_nothing(
    ledger: Ledger, new_attempt: Make
) -> None:
    attempt = await ledger.begin(new_attempt())
    lost = await ledger.advance(attempt.attempt_id, State.LOST)
    with pytest.raises(ValueError, match="is lost and cannot become scored"):
        await ledger.advance(attempt.attempt_id, State.SCORED, answer={"id": "r"})
    assert ledger.attempts() == [lost]
    assert dict(ledger.answers()) == {}
    assert len(ledger.transitions()) == 2


async def test_an_attempt_that_does_not_exist_cannot_move(ledger: Ledger) -> None:
    with pytest.raises(KeyError):
        await ledger.advance(99, State.CREATED)


@pytest.mark.parametrize("state", [State.UPLOADING, State.SCORED, State.ABANDONED])
async def test_a_run_belongs_to_one_attempt_whatever_happened_to_it(
    ledger: Ledger, new_attempt: Make, state: State
) -> None:
    first, second = [(await ledger.begin(new_attempt(n))).attempt_id for n in (1, 2)]
    await ledger.advance(first, State.CREATED, model_run_id="r")
    await ledger.advance(first, state)
    with pytest.raises(RepeatedRunError):
        await ledger.advance(second, State.CREATED, model_run_id="r")
    assert ledger.attempt(second).state is State.CREATING
    await ledger.advance(second, State.CREATED, model_run_id="r2")


async def test_an_upload_url_in_use_belongs_to_one_attempt(
    ledger: Ledger, new_attempt: Make
) -> None:
    first, second = [(await ledger.begin(new_attempt(n))).attempt_id for n in (1, 2)]
    await ledger.advance(first, State.CREATED, model_run_id="r1", upload_url=URL)
    with pytest.raises(RepeatedRunError):
        await ledger.advance(second, State.CREATED, model_run_id="r2", upload_url=URL)
    assert ledger.attempt(second).model_run_id is None


@pytest.mark.parametrize("state", [*LIVE, State.SCORED])
async def test_a_recording_under_way_or_scored_is_never_begun_again(
    ledger: Ledger, new_attempt: Make, state: State
) -> None:
    first = await ledger.begin(new_attempt(1))
    first = await ledger.advance(first.attempt_id, state)
    with pytest.raises(RepeatedAttemptError, match=first.sha256):
        await ledger.begin(new_attempt(1, number=2))
    assert ledger.attempts() == [first]


@pytest.mark.parametrize("state", [State.FAILED, State.REJECTED, State.LOST, State.ABANDONED])
async def test_a_recording_without_scores_can_be_begun_again(
    ledger: Ledger, new_attempt: Make, state: State
) -> None:
    first = await ledger.begin(new_attempt(1))
    await ledger.advance(first.attempt_id, state)
    second = await ledger.begin(new_attempt(1, number=2))
    assert [attempt.number for attempt in ledger.attempts()] == [1, 2]
    assert second.attempt_id > first.attempt_id


async def test_another_request_for_the_same_recording_is_another_ask(
    ledger: Ledger, new_attempt: Make
) -> None:
    await ledger.begin(new_attempt(1))
    await ledger.begin(new_attempt(1, request_digest="e" * 64))
    assert len(ledger.attempts()) == 2


async def test_the_same_recording_begun_by_many_at_once_is_begun_once(
    ledger: Ledger, new_attempt: Make
) -> None:
    begun = await asyncio.gather(
        *(ledger.begin(new_attempt(1)) for _ in range(40)), return_exceptions=True
    )
    assert sum(isinstance(outcome, RepeatedAttemptError) for outcome in begun) == 39
    assert len(ledger.attempts()) == 1


async def test_an_answer_that_is_not_quite_text_is_kept(ledger: Ledger, new_attempt: Make) -> None:
    key = (await ledger.begin(new_attempt())).attempt_id
    answer = json.loads(r'{"transcript": "half a pair: \ud83d", "name": "日本"}')
    await ledger.advance(key, State.SCORED, answer=answer)
    assert json.loads(dict(ledger.answers())[key]) == answer


async def test_settings_outlive_the_process(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        await ledger.put_setting("rate", 3.5)
        ledger.put_setting_blocking("fit", {"residuals": [0.1, 2.0]})
        ledger.put_setting_blocking("rate", 4.5)
    with Ledger.open(tmp_path) as ledger:
        assert ledger.get_setting("rate") == 4.5
        assert ledger.get_setting("fit") == {"residuals": [0.1, 2.0]}
        assert ledger.get_setting("unknown") is None
        assert ledger.get_setting("unknown", "default") == "default"


def test_checks_are_kept_by_location_and_settings(ledger: Ledger) -> None:
    strange = "/recordings/caf\udce9.wav"
    ledger.store_checks("strict", [("a.wav", "1", {"speech_s": 5.0}), (strange, "1", {})])
    ledger.store_checks("lenient", [("a.wav", "1", {"speech_s": 6.0})])
    ledger.store_checks("strict", [("a.wav", "2", {"speech_s": 7.0})])
    assert sorted(ledger.all_checks("strict")) == [
        (strange, "1", "{}"),
        ("a.wav", "2", '{"speech_s":7.0}'),
    ]
    assert list(ledger.all_checks("lenient")) == [("a.wav", "1", '{"speech_s":6.0}')]
    assert list(ledger.all_checks("other")) == []


async def test_a_closed_ledger_refuses_and_can_be_closed_twice(
    tmp_path: Path, new_attempt: Make
) -> None:
    ledger = Ledger.open(tmp_path)
    ledger.close()
    ledger.close()
    with pytest.raises(ValueError, match="is closed: open the study again"):
        await ledger.begin(new_attempt())
    with pytest.raises(ValueError, match="is closed: open the study again"):
        ledger.attempts()


def test_a_closed_study_is_one_file_with_its_lock(tmp_path: Path, new_attempt: Make) -> None:
    with Ledger.open(tmp_path) as ledger:
        asyncio.run(ledger.begin(new_attempt()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["helios.lock", "helios.sqlite"]


async def test_closing_works_while_somebody_reads(tmp_path: Path, new_attempt: Make) -> None:
    with Ledger.open(tmp_path) as ledger:
        await ledger.begin(new_attempt())
        other = Ledger.read(tmp_path)
        assert len(other.attempts()) == 1
    with other:
        assert len(other.attempts()) == 1


async def test_no_variable_of_a_write_that_fails_shows_the_upload_url(
    ledger: Ledger, new_attempt: Make
) -> None:
    """A traceback that shows variables ends up in notebooks and mails; so does a request's text."""
    url, born = f"{URL}a?Signature=s3cret", "1990-05-17"
    new = new_attempt(request={"user": {"dateOfBirth": born}})
    attempt = await ledger.begin(new)
    created = await ledger.advance(attempt.attempt_id, State.CREATED, upload_url=url)
    assert created.upload_url == ledger.attempt(attempt.attempt_id).upload_url == url
    # From now on every write fails, as on a disk that may not be written to.
    ledger._writing.execute("PRAGMA query_only = ON")
    with pytest.raises(StudyStorageError) as caught:
        await ledger.advance(attempt.attempt_id, State.UPLOADING, upload_url=f"{url}2")
    ledger._writing.execute("PRAGMA query_only = OFF")
    error = caught.value.with_traceback(caught.tb.tb_next)
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    text = "".join(shown.format()) + repr((new, attempt, created))
    assert "(secret URL)" in text
    assert "s3cret" not in text
    assert born not in text


# --- invitations ------------------------------------------------------------------------------------

LINK = "https://activities.example/1?token=s3cret"


async def test_a_row_has_one_open_invitation(ledger, new_attempt) -> None:
    first = await ledger.begin(new_attempt(sha256=invitation_to("P07")))
    await ledger.advance(first.attempt_id, State.INVITED, upload_url=LINK)
    with pytest.raises(RepeatedAttemptError):
        await ledger.begin(new_attempt(sha256=invitation_to("P07")))
    await ledger.advance(first.attempt_id, State.ABANDONED)
    assert (await ledger.begin(new_attempt(sha256=invitation_to("P07")))).is_invitation


async def test_the_link_of_an_invitation_is_shown_nowhere_and_erased_in_the_end(
    ledger, new_attempt, tmp_path
) -> None:
    key = (await ledger.begin(new_attempt(sha256=invitation_to("P07")))).attempt_id
    invited = await ledger.advance(key, State.INVITED, model_run_id="r", upload_url=LINK)
    assert invited.upload_url == LINK
    assert "s3cret" not in f"{invited!r}{ledger.transitions()!r}"
    await ledger.advance(key, State.SCORED, answer={"id": "r"})
    ledger.close()
    for path in (tmp_path / "study").iterdir():
        assert b"s3cret" not in path.read_bytes()


async def test_an_invitation_was_asked_about_when_the_service_last_answered(
    local_volume, ledger, new_attempt, clock
) -> None:
    key = (await ledger.begin(new_attempt(sha256=invitation_to("P07")))).attempt_id
    assert ledger.last_asked() == {}
    await ledger.advance(key, State.INVITED, model_run_id="r", upload_url=LINK)
    made = clock.present
    assert ledger.last_asked() == {key: made}
    await ledger.advance(key, State.INVITED, error_code="TIMED_OUT", error_reason="No answer.")
    assert ledger.last_asked() == {key: made}
    await ledger.advance(key, State.INVITED, error_code=None, error_reason=None)
    assert ledger.last_asked() == {key: clock.present}
    await ledger.advance(key, State.INVITED, error_code="UNKNOWN_STATUS", error_reason="Lent.")
    assert ledger.last_asked() == {key: clock.present}
