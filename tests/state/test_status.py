"""The status of a row: its outcome, why, what may be done about it, and the one right next act."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research._util.screen import Colour
from helios_research.api.models import RunRequest, digest_of
from helios_research.codes import (
    DUPLICATE_AUDIO,
    LEFT_OUT,
    METADATA_CHANGED,
    RECORDING_CHANGED,
    WITHDRAWN,
    HeliosCode,
)
from helios_research.columns import Outcome, Verdict
from helios_research.ledger import Attempt, State
from helios_research.preflight_checks.check import UNREADABLE
from helios_research.state.rows import Rejection, Row
from helios_research.state.status import (
    Abandon,
    ConfirmUpload,
    Create,
    DecisionOptions,
    Done,
    NextStep,
    Poll,
    Progress,
    StartAttempt,
    Upload,
    governing_attempt,
    next_action,
    outcome_of,
    own_history,
    row_status,
    settled_outcomes,
)

OPEN = (State.CREATING, State.CREATED, State.UPLOADING, State.UPLOADED)
CONFLICT = Rejection(DUPLICATE_AUDIO, "The same audio is in rows 2 and 3.")
MISTAKE = Rejection("INVALID_LANGUAGE", "language 'no such': it is not a language.")


# --- nothing was sent yet -------------------------------------------------------------------------


def test_a_recording_that_was_never_checked_may_be_sent(row_of) -> None:
    status = row_status(row_of(), None, [])
    assert (status.outcome, status.next) == (Outcome.PENDING, NextStep.SEND)
    assert status.error_code is None


@pytest.mark.parametrize("verdict", [Verdict.OK, Verdict.WARN])
def test_a_good_or_borderline_recording_may_be_sent(row_of, check_of, verdict) -> None:
    status = row_status(row_of(), check_of(verdict), [])
    assert (status.outcome, status.next) == (Outcome.PENDING, NextStep.SEND)


def test_a_recording_that_helios_would_refuse_is_skipped_with_the_reason(row_of, check_of) -> None:
    status = row_status(row_of(), check_of(Verdict.FAIL, HeliosCode.TOO_SHORT), [])
    assert (status.outcome, status.next) == (Outcome.SKIPPED, NextStep.NONE)
    assert status.error_code == HeliosCode.TOO_SHORT
    assert status.error_reason == "Not sent. As heard."


def test_without_the_preflight_it_may_be_sent_all_the_same(row_of, check_of) -> None:
    check = check_of(Verdict.FAIL, HeliosCode.TOO_SHORT)
    status = row_status(row_of(), check, [], options=DecisionOptions(preflight=False))
    assert (status.outcome, status.next) == (Outcome.PENDING, NextStep.SEND)


@pytest.mark.parametrize("preflight", [True, False])
def test_what_the_researcher_left_out_is_not_sent_unless_its_audio_may_be_there(
    row_of, check_of, attempt_of, preflight
) -> None:
    check, options = check_of(Verdict.FAIL, LEFT_OUT), DecisionOptions(preflight=preflight)
    changed = attempt_of(State.ABANDONED, error_code=RECORDING_CHANGED)
    for history in ([], [attempt_of(State.CREATED)], [changed]):
        status = row_status(row_of(), check, history, options)
        assert (status.outcome, status.next) == (Outcome.SKIPPED, NextStep.NONE)
        assert (status.error_code, status.error_reason) == (LEFT_OUT, "Not sent. As heard.")
    status = row_status(row_of(), check, [attempt_of(State.UPLOADED)], options)
    assert (status.outcome, status.next) == (Outcome.PENDING, NextStep.RESUME)


@pytest.mark.parametrize("code", [UNREADABLE, WITHDRAWN])
@pytest.mark.parametrize("preflight", [True, False])
def test_what_cannot_be_read_or_was_withdrawn_is_never_sent(
    row_of, check_of, code, preflight
) -> None:
    check = check_of(Verdict.FAIL, code, sha256=None)
    status = row_status(row_of(), check, [], options=DecisionOptions(preflight=preflight))
    assert (status.outcome, status.next) == (Outcome.INVALID, NextStep.NONE)
    assert (status.error_code, status.error_reason) == (code, "As heard.")


def test_a_row_with_an_error_is_never_sent(row_of, check_of) -> None:
    status = row_status(row_of(rejection=MISTAKE), check_of(), [])
    assert (status.outcome, status.next) == (Outcome.INVALID, NextStep.NONE)
    assert status.error_code == "INVALID_LANGUAGE"


def test_audio_that_is_in_another_row_too_is_not_sent(row_of, check_of) -> None:
    status = row_status(row_of(), check_of(), [], duplicate=CONFLICT)
    assert (status.outcome, status.next) == (Outcome.INVALID, NextStep.NONE)
    assert status.error_reason == CONFLICT.error_reason


# --- a run is in progress ---------------------------------------------------------------------------


# Of a run without audio nothing was sent yet: its recording is looked at again, like a new one.
@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.CREATING, NextStep.SEND),
        (State.CREATED, NextStep.SEND),
        (State.UPLOADING, NextStep.RESUME),
        (State.UPLOADED, NextStep.RESUME),
    ],
)
def test_a_run_in_progress_goes_on_whatever_the_preflight_says_now(
    row_of, check_of, attempt_of, state, expected
) -> None:
    check = check_of(Verdict.FAIL, HeliosCode.TOO_SHORT)
    status = row_status(row_of(), check, [attempt_of(state, number=7)])
    assert (status.outcome, status.next) == (Outcome.PENDING, expected)
    assert (status.attempt_id, status.sha256) == (7, check.sha256)


@pytest.mark.parametrize("state", [State.CREATING, State.CREATED])
def test_audio_that_turns_up_in_another_row_before_it_is_uploaded_is_not_sent(
    row_of, check_of, attempt_of, state
) -> None:
    status = row_status(row_of(), check_of(), [attempt_of(state)], duplicate=CONFLICT)
    assert (status.outcome, status.next) == (Outcome.INVALID, NextStep.NONE)
    assert status.error_reason == CONFLICT.error_reason


@pytest.mark.parametrize(
    ("state", "expected"), [(State.UPLOADED, NextStep.RESUME), (State.UPLOADING, NextStep.NONE)]
)
def test_of_a_row_that_has_an_error_now_only_the_answer_is_fetched(
    row_of, attempt_of, state, expected
) -> None:
    status = row_status(row_of(rejection=MISTAKE), None, [attempt_of(state)])
    assert (status.outcome, status.next) == (Outcome.PENDING, expected)


def test_a_pending_row_says_what_it_waits_for(row_of, attempt_of) -> None:
    late = attempt_of(State.UPLOADED, error_code="TIMED_OUT", error_reason="No result came.")
    status = row_status(row_of(), None, [late])
    assert (status.error_code, status.error_reason) == ("TIMED_OUT", "No result came.")


# --- a run has ended ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (State.SCORED, Outcome.SCORED),
        (State.FAILED, Outcome.FAILED),
        (State.REJECTED, Outcome.REJECTED),
        (State.LOST, Outcome.LOST),
    ],
)
@pytest.mark.parametrize(
    "options",
    [DecisionOptions(), DecisionOptions(preflight=False), DecisionOptions(resend_changed=True)],
)
def test_how_a_run_ended_stays_and_nothing_is_sent_again(
    row_of, check_of, attempt_of, state, outcome, options
) -> None:
    status = row_status(row_of(), check_of(), [attempt_of(state)], options=options)
    assert (status.outcome, status.next) == (outcome, NextStep.NONE)


def test_an_internal_error_may_be_tried_again(row_of, attempt_of) -> None:
    failed = attempt_of(State.FAILED, error_code=HeliosCode.INTERNAL)
    status = row_status(row_of(), None, [failed])
    assert (status.outcome, status.next) == (Outcome.FAILED, NextStep.SEND)


def test_but_not_once_the_same_audio_is_in_another_row(row_of, attempt_of) -> None:
    failed = attempt_of(State.FAILED, error_code=HeliosCode.INTERNAL)
    status = row_status(row_of(), None, [failed], duplicate=CONFLICT)
    assert (status.outcome, status.next) == (Outcome.FAILED, NextStep.NONE)


def test_a_score_stays_with_its_row_when_another_row_claims_the_audio(row_of, attempt_of) -> None:
    status = row_status(row_of(), None, [attempt_of(State.SCORED)], duplicate=CONFLICT)
    assert status.outcome is Outcome.SCORED


def test_a_file_that_changed_while_it_was_sent_is_invalid_until_the_next_submission(
    row_of, check_of, attempt_of
) -> None:
    changed = attempt_of(State.ABANDONED, error_code=RECORDING_CHANGED, error_reason="It changed.")
    status = row_status(row_of(), check_of(), [changed])
    assert (status.outcome, status.next) == (Outcome.INVALID, NextStep.SEND)
    assert status.error_reason == "It changed."


def test_a_run_that_was_given_up_is_sent_again_and_says_why(row_of, check_of, attempt_of) -> None:
    expired = attempt_of(State.ABANDONED, error_reason="The upload URL expired.")
    status = row_status(row_of(), check_of(), [expired])
    assert (status.outcome, status.next) == (Outcome.PENDING, NextStep.SEND)
    assert status.error_reason == "The upload URL expired."
    assert status.attempt_id is None


def test_all_runs_of_a_recording_are_counted(row_of, attempt_of) -> None:
    history = [
        attempt_of(State.ABANDONED, model_run_id=None),
        attempt_of(State.FAILED, error_code=HeliosCode.INTERNAL, number=2),
        attempt_of(State.SCORED, number=3),
    ]
    assert row_status(row_of(), None, history).runs == 2


# --- the metadata changed -------------------------------------------------------------------------


def test_changed_metadata_are_reported_and_not_sent(row_of, request_of, attempt_of) -> None:
    sent = attempt_of(State.SCORED, request_of(language="de"))
    status = row_status(row_of(), None, [sent])
    assert (status.outcome, status.next) == (Outcome.SCORED, NextStep.NONE)
    assert status.error_code == METADATA_CHANGED
    assert status.error_reason == (
        "Since it was sent, the manifest has changed: language was de and is now en-GB."
    )


def test_they_are_sent_when_asked_for(row_of, request_of, attempt_of) -> None:
    sent = attempt_of(State.SCORED, request_of(language="de"))
    status = row_status(row_of(), None, [sent], options=DecisionOptions(resend_changed=True))
    assert (status.outcome, status.next) == (Outcome.SCORED, NextStep.SEND)


def test_an_error_made_later_is_reported_beside_the_score(row_of, attempt_of) -> None:
    status = row_status(row_of(rejection=MISTAKE), None, [attempt_of(State.SCORED)])
    assert (status.outcome, status.next) == (Outcome.SCORED, NextStep.NONE)
    assert status.error_code == "INVALID_LANGUAGE"
    assert status.error_reason.endswith("The row was sent before it was changed.")


def test_attempts_of_another_row_with_the_same_audio_do_not_count(
    row_of, request_of, attempt_of
) -> None:
    mine, theirs = row_of(), request_of(language="de")
    attempts = [attempt_of(State.SCORED, theirs), attempt_of(State.FAILED, number=2)]
    assert [a.number for a in own_history(mine, attempts, {digest_of(theirs.canonical())})] == [2]
    assert [a.number for a in own_history(mine, attempts, {mine.digest})] == [1, 2]
    assert [a.number for a in own_history(mine, attempts)] == [1, 2]


def test_only_final_states_are_an_end(attempt_of) -> None:
    assert {outcome_of(attempt_of(state)) for state in OPEN} == {Outcome.PENDING}
    assert outcome_of(attempt_of(State.ABANDONED)) is Outcome.PENDING


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize(
    "code", [None, "ERR_INTERNAL", "ERR_RECORDING_TOO_SHORT", RECORDING_CHANGED]
)
def test_what_an_attempt_decides_alone_is_the_status_of_its_row(
    row_of, attempt_of, state: State, code: str | None
) -> None:
    (alone,) = settled_outcomes(pa.array([state.value]), pa.array([code], pa.string())).to_pylist()
    sent = attempt_of(state, error_code=code, error_reason=code and "Why.")
    without_file = Rejection("INVALID_RECORDING", "There is no file.")
    for row in (row_of(), replace(row_of(), rejection=without_file)):
        status = row_status(row, None, [sent])
        if alone is not None:
            assert (status.outcome, status.next) == (alone, NextStep.NONE)
            assert (status.error_code, status.error_reason) == (code, sent.error_reason)
    inside = state is State.FAILED and code == HeliosCode.INTERNAL
    is_open = state in {*OPEN, State.INVITING, State.INVITED, State.ABANDONED}
    assert (alone is None) == (inside or is_open)


# --- what to do next -------------------------------------------------------------------------------

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REQUESTS = {
    digest_of(request.canonical()): request
    for language in ("en-GB", "de")
    for request in [
        RunRequest(
            user_label="P1", date_of_birth="1990-05-17", birth_sex="FEMALE", language=language
        )
    ]
}
MINE, OTHER = REQUESTS


def attempt(state: State, number: int = 1, digest: str = MINE, **changes: object) -> Attempt:
    made = Attempt(
        attempt_id=number,
        sha256="ab" * 32,
        request_digest=digest,
        request_text=REQUESTS[digest].canonical(),
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


def decide(*history: Attempt, options: DecisionOptions | None = None) -> object:
    return next_action(MINE, history, options or DecisionOptions(), now=NOW)


def test_a_recording_without_history_is_started() -> None:
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
    assert decide(*history, options=DecisionOptions(internal_error_retries=4)) == StartAttempt(
        number=5
    )


def test_given_up_runs_do_not_use_up_the_tries_after_internal_errors() -> None:
    history = [
        attempt(State.FAILED, 1, error_code="ERR_INTERNAL"),
        attempt(State.ABANDONED, 2),
        attempt(State.FAILED, 3, error_code="ERR_INTERNAL"),
    ]
    assert decide(*history) == StartAttempt(number=4)


@pytest.mark.parametrize("state", [State.UPLOADED, State.UPLOADING])
def test_changed_metadata_never_sends_audio_again_that_is_in_progress(state: State) -> None:
    sent = attempt(state, digest=OTHER)
    assert isinstance(decide(sent), Poll | ConfirmUpload)


def test_changed_metadata_is_sent_again_only_on_request() -> None:
    sent = attempt(State.SCORED, digest=OTHER)
    assert decide(sent) == Done(sent)
    assert decide(sent, options=DecisionOptions(resend_changed=True)) == StartAttempt(number=2)


def test_of_a_row_that_makes_no_request_any_more_the_run_is_polled_and_none_is_started() -> None:
    in_progress = attempt(State.UPLOADED, digest=OTHER)
    decided = next_action("", [in_progress], DecisionOptions(resend_changed=True), now=NOW)
    assert decided == Poll(in_progress)


@pytest.mark.parametrize("state", [State.CREATING, State.CREATED])
def test_a_run_that_would_keep_its_data_gives_way_once_they_are_to_be_deleted(state: State) -> None:
    kept = attempt(state)
    assert isinstance(decide(kept, options=DecisionOptions(delete_data=True)), Abandon)
    assert decide(replace(kept, state=State.ABANDONED)) == StartAttempt(number=2)


@pytest.mark.parametrize("state", [State.CREATING, State.CREATED])
def test_a_run_whose_data_are_to_be_deleted_goes_on_though_the_option_is_not_set_again(
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
def test_no_second_run_is_started_while_an_earlier_one_may_have_the_audio(
    history: list[Attempt],
) -> None:
    action = next_action(MINE, history, DecisionOptions(), now=NOW)
    deciding = governing_attempt(MINE, history)
    if isinstance(action, StartAttempt | Create | Upload) and deciding is not None:
        assert deciding.state in {State.CREATING, State.CREATED} or (
            deciding.error_code == "ERR_INTERNAL" and deciding.state is State.FAILED
        )


@given(st.lists(attempts, max_size=5), st.booleans())
def test_a_row_may_be_sent_exactly_where_an_act_is_left_for_it(
    history: list[Attempt], resend_changed: bool
) -> None:
    row = Row(0, "r0", "/a.wav", REQUESTS[MINE].canonical(), MINE, None)
    options = DecisionOptions(resend_changed=resend_changed)
    status = row_status(row, None, history, options)
    action = next_action(MINE, history, options, failures_before=len(history))
    assert (status.next is NextStep.NONE) == isinstance(action, Done)


# --- all rows, counted -----------------------------------------------------------------------------


def test_a_submission_in_progress_shows_counts_speed_time_left_and_what_holds_it_up() -> None:
    progress = Progress(
        total=2_000,
        outcomes={Outcome.SCORED: 980, Outcome.FAILED: 20, Outcome.PENDING: 1_000},
        in_flight=40,
        finished_here=500,
        elapsed_s=300,
        limited_by="the request rate (4/s)",
    )
    assert str(progress) == (
        "1,000/2,000 · 10 min left · 100/min · the request rate (4/s) · 980 scored · 20 failed · "
        "40 in progress"
    )


def test_time_left_is_shown_only_once_this_submission_has_finished_something() -> None:
    resumed = Progress(10, {Outcome.SCORED: 9, Outcome.PENDING: 1}, finished_here=1, elapsed_s=60)
    assert resumed.remaining_s is None
    assert "left" not in str(resumed)


def test_what_is_over_shows_how_long_it_took() -> None:
    over = Progress(3, {Outcome.SCORED: 2, Outcome.INVALID: 1}, elapsed_s=150, is_over=True)
    assert str(over) == "3/3 · took 2 min · 2 scored · 1 invalid"


def test_an_outage_takes_the_place_of_the_time_left() -> None:
    progress = Progress(
        42,
        {Outcome.SCORED: 26, Outcome.PENDING: 16},
        in_flight=16,
        finished_here=26,
        elapsed_s=60,
        outage="no connection to api.thymia.ai for 40 s (connection refused), trying again in 8 s",
    )
    assert str(progress) == (
        "26/42 · no connection to api.thymia.ai for 40 s (connection refused), trying again in 8 s · "
        "16 recordings wait, nothing is lost · 26 scored"
    )


def test_a_bar_has_the_share_of_each_outcome_and_the_rest_empty() -> None:
    progress = Progress(8, {Outcome.SCORED: 4, Outcome.FAILED: 1, Outcome.PENDING: 3})
    shares = [(share, colour) for share, colour in progress.shares if share]
    assert shares == [(0.5, Colour.GREEN), (0.125, Colour.RED)]
    assert Progress(0, {}).shares[0] == (0.0, Colour.GREEN)
