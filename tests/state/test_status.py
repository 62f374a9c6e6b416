"""The judge says of every row how it stands, what may be done about it, and why not."""

import pytest

from helios_research.codes import (
    DUPLICATE_AUDIO,
    METADATA_CHANGED,
    RECORDING_CHANGED,
    WITHDRAWN,
    HeliosCode,
)
from helios_research.columns import Outcome, Verdict
from helios_research.ledger import State
from helios_research.preflight_checks.check import UNREADABLE
from helios_research.state.rows import Rejection
from helios_research.state.status import NextStep, Rules, judge, outcome_of, own_history

OPEN = (State.CREATING, State.CREATED, State.UPLOADING, State.UPLOADED)
CONFLICT = Rejection(DUPLICATE_AUDIO, "The same audio stands in rows 2 and 3.")
MISTAKE = Rejection("INVALID_LANGUAGE", "language 'no such': it is not a language.")


# --- nothing was sent yet -------------------------------------------------------------------------


def test_a_recording_at_which_nobody_has_looked_may_be_sent(row_of) -> None:
    status = judge(row_of(), None, [])
    assert (status.outcome, status.next) == (Outcome.PENDING, NextStep.SEND)
    assert status.error_code is None


@pytest.mark.parametrize("verdict", [Verdict.OK, Verdict.WARN])
def test_a_good_or_borderline_recording_may_be_sent(row_of, check_of, verdict) -> None:
    status = judge(row_of(), check_of(verdict), [])
    assert (status.outcome, status.next) == (Outcome.PENDING, NextStep.SEND)


def test_a_recording_that_helios_would_refuse_is_skipped_with_the_reason(row_of, check_of) -> None:
    status = judge(row_of(), check_of(Verdict.FAIL, HeliosCode.TOO_SHORT), [])
    assert (status.outcome, status.next) == (Outcome.SKIPPED, NextStep.NONE)
    assert status.error_code == HeliosCode.TOO_SHORT
    assert status.error_reason == "Not sent. As heard."


def test_without_the_preflight_it_may_be_sent_all_the_same(row_of, check_of) -> None:
    check = check_of(Verdict.FAIL, HeliosCode.TOO_SHORT)
    status = judge(row_of(), check, [], rules=Rules(preflight=False))
    assert (status.outcome, status.next) == (Outcome.PENDING, NextStep.SEND)


@pytest.mark.parametrize("code", [UNREADABLE, WITHDRAWN])
@pytest.mark.parametrize("preflight", [True, False])
def test_what_cannot_be_read_or_was_withdrawn_is_never_sent(
    row_of, check_of, code, preflight
) -> None:
    check = check_of(Verdict.FAIL, code, sha256=None)
    status = judge(row_of(), check, [], rules=Rules(preflight=preflight))
    assert (status.outcome, status.next) == (Outcome.INVALID, NextStep.NONE)
    assert (status.error_code, status.error_reason) == (code, "As heard.")


def test_a_row_with_an_error_is_never_sent(row_of, check_of) -> None:
    status = judge(row_of(rejection=MISTAKE), check_of(), [])
    assert (status.outcome, status.next) == (Outcome.INVALID, NextStep.NONE)
    assert status.error_code == "INVALID_LANGUAGE"


def test_audio_that_stands_in_another_row_too_is_not_sent(row_of, check_of) -> None:
    status = judge(row_of(), check_of(), [], CONFLICT)
    assert (status.outcome, status.next) == (Outcome.INVALID, NextStep.NONE)
    assert status.error_reason == CONFLICT.error_reason


# --- a run is under way ---------------------------------------------------------------------------


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
def test_a_run_under_way_goes_on_whatever_the_preflight_says_now(
    row_of, check_of, attempt_of, state, expected
) -> None:
    check = check_of(Verdict.FAIL, HeliosCode.TOO_SHORT)
    status = judge(row_of(), check, [attempt_of(state, number=7)])
    assert (status.outcome, status.next) == (Outcome.PENDING, expected)
    assert (status.attempt_id, status.sha256) == (7, check.sha256)


@pytest.mark.parametrize("state", [State.CREATING, State.CREATED])
def test_audio_that_turns_up_in_another_row_before_it_is_uploaded_is_not_sent(
    row_of, check_of, attempt_of, state
) -> None:
    status = judge(row_of(), check_of(), [attempt_of(state)], CONFLICT)
    assert (status.outcome, status.next) == (Outcome.INVALID, NextStep.NONE)
    assert status.error_reason == CONFLICT.error_reason


@pytest.mark.parametrize(
    ("state", "expected"), [(State.UPLOADED, NextStep.RESUME), (State.UPLOADING, NextStep.NONE)]
)
def test_of_a_row_that_has_an_error_now_only_the_answer_is_fetched(
    row_of, attempt_of, state, expected
) -> None:
    status = judge(row_of(rejection=MISTAKE), None, [attempt_of(state)])
    assert (status.outcome, status.next) == (Outcome.PENDING, expected)


def test_a_pending_row_says_what_it_waits_for(row_of, attempt_of) -> None:
    late = attempt_of(State.UPLOADED, error_code="TIMED_OUT", error_reason="No result came.")
    status = judge(row_of(), None, [late])
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
@pytest.mark.parametrize("rules", [Rules(), Rules(preflight=False), Rules(resend_changed=True)])
def test_how_a_run_ended_stands_and_nothing_is_sent_again(
    row_of, check_of, attempt_of, state, outcome, rules
) -> None:
    status = judge(row_of(), check_of(), [attempt_of(state)], rules=rules)
    assert (status.outcome, status.next) == (outcome, NextStep.NONE)


def test_an_internal_error_may_be_tried_again(row_of, attempt_of) -> None:
    failed = attempt_of(State.FAILED, error_code=HeliosCode.INTERNAL)
    status = judge(row_of(), None, [failed])
    assert (status.outcome, status.next) == (Outcome.FAILED, NextStep.SEND)


def test_but_not_once_the_same_audio_stands_in_another_row(row_of, attempt_of) -> None:
    failed = attempt_of(State.FAILED, error_code=HeliosCode.INTERNAL)
    status = judge(row_of(), None, [failed], CONFLICT)
    assert (status.outcome, status.next) == (Outcome.FAILED, NextStep.NONE)


def test_a_score_stays_with_its_row_when_another_row_claims_the_audio(row_of, attempt_of) -> None:
    status = judge(row_of(), None, [attempt_of(State.SCORED)], CONFLICT)
    assert status.outcome is Outcome.SCORED


def test_a_file_that_changed_while_it_was_sent_is_invalid_until_the_next_submission(
    row_of, check_of, attempt_of
) -> None:
    changed = attempt_of(State.ABANDONED, error_code=RECORDING_CHANGED, error_reason="It changed.")
    status = judge(row_of(), check_of(), [changed])
    assert (status.outcome, status.next) == (Outcome.INVALID, NextStep.SEND)
    assert status.error_reason == "It changed."


def test_a_run_that_was_given_up_is_sent_again_and_says_why(row_of, check_of, attempt_of) -> None:
    expired = attempt_of(State.ABANDONED, error_reason="The upload URL expired.")
    status = judge(row_of(), check_of(), [expired])
    assert (status.outcome, status.next) == (Outcome.PENDING, NextStep.SEND)
    assert status.error_reason == "The upload URL expired."
    assert status.attempt_id is None


def test_all_runs_of_a_recording_are_counted(row_of, attempt_of) -> None:
    history = [
        attempt_of(State.ABANDONED, model_run_id=None),
        attempt_of(State.FAILED, error_code=HeliosCode.INTERNAL, number=2),
        attempt_of(State.SCORED, number=3),
    ]
    assert judge(row_of(), None, history).runs == 2


# --- the metadata changed -------------------------------------------------------------------------


def test_changed_metadata_are_told_and_not_sent(row_of, request_of, attempt_of) -> None:
    sent = attempt_of(State.SCORED, request_of(language="de"))
    status = judge(row_of(), None, [sent])
    assert (status.outcome, status.next) == (Outcome.SCORED, NextStep.NONE)
    assert status.error_code == METADATA_CHANGED
    assert status.error_reason == (
        "Since it was sent, the manifest has changed: language was de and is now en-GB."
    )


def test_they_are_sent_when_asked_for(row_of, request_of, attempt_of) -> None:
    sent = attempt_of(State.SCORED, request_of(language="de"))
    status = judge(row_of(), None, [sent], rules=Rules(resend_changed=True))
    assert (status.outcome, status.next) == (Outcome.SCORED, NextStep.SEND)


def test_an_error_made_later_is_told_beside_the_score(row_of, attempt_of) -> None:
    status = judge(row_of(rejection=MISTAKE), None, [attempt_of(State.SCORED)])
    assert (status.outcome, status.next) == (Outcome.SCORED, NextStep.NONE)
    assert status.error_code == "INVALID_LANGUAGE"
    assert status.error_reason.endswith("The row was sent before it was changed.")


def test_attempts_of_another_row_with_the_same_audio_do_not_count(
    row_of, request_of, attempt_of
) -> None:
    mine, theirs = row_of(), request_of(language="de")
    attempts = [attempt_of(State.SCORED, theirs), attempt_of(State.FAILED, number=2)]
    assert [a.number for a in own_history(mine, attempts, {theirs.digest()})] == [2]
    assert [a.number for a in own_history(mine, attempts, {mine.digest})] == [1, 2]
    assert [a.number for a in own_history(mine, attempts)] == [1, 2]


def test_only_final_states_are_an_end(attempt_of) -> None:
    assert {outcome_of(attempt_of(state)) for state in OPEN} == {Outcome.PENDING}
    assert outcome_of(attempt_of(State.ABANDONED)) is Outcome.PENDING
