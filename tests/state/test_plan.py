"""The planner decides, for every state that a kill can leave behind, the one right next act."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.ledger import Attempt, State
from helios_research.state.status import (
    Abandon,
    ConfirmUpload,
    Create,
    Done,
    Policy,
    Poll,
    StartAttempt,
    Upload,
    governing_attempt,
    next_action,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINE = "digest-of-my-request"
OTHER = "digest-of-another-request"


def attempt(state: State, number: int = 1, digest: str = MINE, **changes: object) -> Attempt:
    made = Attempt(
        attempt_id=number,
        sha256="ab" * 32,
        request_digest=digest,
        request_text="{}",
        number=number,
        media_type="audio/wav",
        size_bytes=1000,
        duration_s=30.0,
        delete_data=False,
        source="sandbox",
        state=state,
        model_run_id="run-1",
        error_code=None,
        error_reason=None,
        begun_at=NOW - timedelta(minutes=2),
        created_at=NOW - timedelta(minutes=2),
        upload_began_at=None,
        uploaded_at=None,
        run_at=None,
        completed_at=None,
        upload_url="https://storage.example/x",
    )
    return replace(made, **changes)


def decide(*history: Attempt, policy: Policy | None = None) -> object:
    return next_action(MINE, history, policy or Policy(), NOW)


def test_a_recording_without_history_is_begun() -> None:
    assert decide() == StartAttempt(number=1)


def test_an_unanswered_post_is_made_again_for_the_same_attempt() -> None:
    unanswered = attempt(State.CREATING, model_run_id=None, created_at=None)
    assert decide(unanswered) == Create(unanswered)


def test_a_created_run_is_uploaded_to() -> None:
    created = attempt(State.CREATED)
    assert decide(created) == Upload(created)


def test_a_created_run_whose_url_expired_unused_is_given_up_and_then_replaced() -> None:
    expired = attempt(State.CREATED, created_at=NOW - timedelta(minutes=59))
    assert isinstance(decide(expired), Abandon)
    assert decide(replace(expired, state=State.ABANDONED)) == StartAttempt(number=2)


def test_a_clock_set_back_leaves_the_expiry_to_the_upload_host() -> None:
    from_the_future = attempt(State.CREATED, created_at=NOW + timedelta(days=1))
    assert decide(from_the_future) == Upload(from_the_future)


def test_an_unanswered_put_is_settled_however_old_it_is() -> None:
    unanswered = attempt(State.UPLOADING, created_at=NOW - timedelta(days=3))
    assert decide(unanswered) == ConfirmUpload(unanswered)


def test_an_uploaded_recording_is_only_asked_for() -> None:
    uploaded = attempt(State.UPLOADED)
    assert decide(uploaded) == Poll(uploaded)


@pytest.mark.parametrize("state", [State.SCORED, State.REJECTED, State.LOST])
def test_what_has_ended_is_left_alone(state: State) -> None:
    ended = attempt(state)
    assert decide(ended) == Done(ended)


def test_a_refused_recording_is_left_alone() -> None:
    refused = attempt(State.FAILED, error_code="ERR_RECORDING_TOO_SHORT")
    assert decide(refused) == Done(refused)


def test_an_internal_error_is_tried_again_three_times() -> None:
    history = []
    for number in range(1, 4):
        history.append(attempt(State.FAILED, number, error_code="ERR_INTERNAL"))
        assert decide(*history) == StartAttempt(number=number + 1)
    history.append(attempt(State.FAILED, 4, error_code="ERR_INTERNAL"))
    assert decide(*history) == Done(history[-1])
    assert decide(*history, policy=Policy(internal_error_retries=4)) == StartAttempt(number=5)


def test_given_up_runs_do_not_use_up_the_tries_after_internal_errors() -> None:
    history = [
        attempt(State.FAILED, 1, error_code="ERR_INTERNAL"),
        attempt(State.ABANDONED, 2),
        attempt(State.FAILED, 3, error_code="ERR_INTERNAL"),
    ]
    assert decide(*history) == StartAttempt(number=4)


@pytest.mark.parametrize("state", [State.UPLOADED, State.UPLOADING])
def test_changed_metadata_never_sends_audio_again_that_is_under_way(state: State) -> None:
    sent = attempt(state, digest=OTHER)
    assert isinstance(decide(sent), Poll | ConfirmUpload)


def test_changed_metadata_is_sent_again_only_on_request() -> None:
    sent = attempt(State.SCORED, digest=OTHER)
    assert decide(sent) == Done(sent)
    assert decide(sent, policy=Policy(resend_changed=True)) == StartAttempt(number=2)


def test_of_a_row_that_makes_no_request_any_more_the_run_is_asked_for_and_none_is_begun() -> None:
    under_way = attempt(State.UPLOADED, digest=OTHER)
    decided = next_action("", [under_way], Policy(resend_changed=True), NOW)
    assert decided == Poll(under_way)


@pytest.mark.parametrize("state", [State.CREATING, State.CREATED])
def test_a_run_that_would_keep_its_data_gives_way_once_they_are_to_be_deleted(state: State) -> None:
    kept = attempt(state)
    assert isinstance(decide(kept, policy=Policy(delete_data=True)), Abandon)
    assert decide(replace(kept, state=State.ABANDONED)) == StartAttempt(number=2)


@pytest.mark.parametrize("state", [State.CREATING, State.CREATED])
def test_a_run_whose_data_are_to_be_deleted_goes_on_though_nobody_says_so_again(
    state: State,
) -> None:
    deleted = attempt(state, delete_data=True)
    assert isinstance(decide(deleted), Create | Upload)


@pytest.mark.parametrize("state", [State.CREATING, State.CREATED])
def test_metadata_corrected_before_the_upload_takes_the_place_of_the_old(state: State) -> None:
    unsent = attempt(state, digest=OTHER)
    assert isinstance(decide(unsent), Abandon)
    assert decide(replace(unsent, state=State.ABANDONED)) == StartAttempt(number=2)


def test_metadata_that_helios_rejected_may_be_corrected_and_sent() -> None:
    assert decide(attempt(State.REJECTED, digest=OTHER)) == StartAttempt(number=2)


attempts = st.builds(
    attempt,
    st.sampled_from(State),
    st.integers(1, 5),
    st.sampled_from([MINE, OTHER]),
    error_code=st.sampled_from([None, "ERR_INTERNAL", "ERR_RECORDING_TOO_LONG"]),
    created_at=st.sampled_from([None, NOW, NOW - timedelta(hours=2), NOW + timedelta(hours=2)]),
)


@given(st.lists(attempts, max_size=5))
def test_no_second_run_is_begun_while_an_earlier_one_may_have_the_audio(
    history: list[Attempt],
) -> None:
    action = next_action(MINE, history, Policy(), NOW)
    deciding = governing_attempt(MINE, history)
    if isinstance(action, StartAttempt | Create | Upload) and deciding is not None:
        assert deciding.state in {State.CREATING, State.CREATED} or (
            deciding.error_code == "ERR_INTERNAL" and deciding.state is State.FAILED
        )
