"""Attempts: which moves are allowed and what they imply."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.ledger import Attempt, State
from helios_research.ledger.records import moved, to_microseconds, to_moment

BEGUN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = BEGUN + timedelta(minutes=5)
UNDER_WAY = [
    *(State.CREATING, State.INVITING, State.CREATED, State.INVITED),
    *(State.UPLOADING, State.UPLOADED),
]
FINAL = [State.SCORED, State.FAILED, State.REJECTED, State.LOST, State.ABANDONED]


@pytest.fixture
def attempt() -> Attempt:
    return Attempt(
        attempt_id=7,
        sha256="a" * 64,
        request_digest="d" * 64,
        request_text='{"language":"en-GB"}',
        number=1,
        media_type="audio/wav",
        size_bytes=1000,
        duration_s=None,
        delete_data=False,
        source="sandbox",
        state=State.CREATING,
        model_run_id=None,
        error_code=None,
        error_reason=None,
        begun_at=BEGUN,
        created_at=None,
        upload_began_at=None,
        uploaded_at=None,
        run_at=None,
        completed_at=None,
        upload_url=None,
    )


def test_every_state_is_either_under_way_or_final() -> None:
    assert [state for state in State if not state.is_final] == UNDER_WAY
    assert [state for state in State if state.is_final] == FINAL


@pytest.mark.parametrize("final", FINAL)
@pytest.mark.parametrize("state", list(State))
def test_nothing_follows_a_final_state(final: State, state: State) -> None:
    assert not final.may_become(state)


@pytest.mark.parametrize("state", UNDER_WAY)
@pytest.mark.parametrize("final", FINAL)
def test_an_attempt_may_end_at_any_point(state: State, final: State) -> None:
    assert state.may_become(final)


def test_an_attempt_goes_back_only_when_its_upload_did_not_arrive() -> None:
    back = [
        (before, after)
        for place, before in enumerate(UNDER_WAY)
        for after in UNDER_WAY[:place]
        if before.may_become(after)
    ]
    assert back == [(State.UPLOADING, State.CREATED), (State.UPLOADED, State.UPLOADING)]


def test_a_move_that_is_not_allowed_says_which(attempt: Attempt) -> None:
    scored = replace(attempt, state=State.SCORED)
    with pytest.raises(ValueError, match=r"^Attempt 7 is scored and cannot become uploading\.$"):
        moved(scored, State.UPLOADING, LATER, {})


def test_the_time_of_each_act_is_filled_in(attempt: Attempt) -> None:
    created = moved(attempt, State.CREATED, LATER, {"model_run_id": "r"})
    assert (created.created_at, created.model_run_id) == (LATER, "r")
    uploading = moved(created, State.UPLOADING, LATER + timedelta(1), {})
    assert uploading.upload_began_at == LATER + timedelta(1)
    uploaded = moved(uploading, State.UPLOADED, LATER + timedelta(2), {})
    assert uploaded.uploaded_at == LATER + timedelta(2)
    assert uploaded.created_at == LATER


def test_a_given_time_wins_over_the_clock(attempt: Attempt) -> None:
    assert moved(attempt, State.CREATED, LATER, {"created_at": BEGUN}).created_at == BEGUN


def test_noting_something_about_an_uploaded_attempt_keeps_the_time_of_its_upload(
    attempt: Attempt,
) -> None:
    uploaded = replace(attempt, state=State.UPLOADED, uploaded_at=BEGUN)
    noted = moved(uploaded, State.UPLOADED, LATER, {"error_code": "TIMED_OUT"})
    assert (noted.uploaded_at, noted.error_code) == (BEGUN, "TIMED_OUT")


def test_an_upload_that_did_not_arrive_keeps_the_time_of_creation_and_the_url(
    attempt: Attempt,
) -> None:
    uploading = replace(
        attempt, state=State.UPLOADING, created_at=BEGUN, upload_url="https://up.example/1"
    )
    back = moved(uploading, State.CREATED, LATER, {})
    assert (back.created_at, back.upload_url) == (BEGUN, "https://up.example/1")


def test_the_upload_url_stays_until_the_run_has_ended(attempt: Attempt) -> None:
    uploading = replace(attempt, state=State.UPLOADING, upload_url="https://up.example/1")
    assert moved(uploading, State.UPLOADED, LATER, {}).upload_url == "https://up.example/1"


@pytest.mark.parametrize("state", FINAL)
def test_the_upload_url_goes_when_the_run_has_ended(attempt: Attempt, state: State) -> None:
    uploading = replace(attempt, state=State.UPLOADING, upload_url="https://up.example/1")
    settled = moved(uploading, state, LATER, {"upload_url": "https://up.example/2"})
    assert settled.upload_url is None


def test_a_score_takes_back_the_error_noted_before(attempt: Attempt) -> None:
    noted = replace(
        attempt, state=State.UPLOADED, error_code="TIMED_OUT", error_reason="No answer."
    )
    scored = moved(noted, State.SCORED, LATER, {})
    assert (scored.error_code, scored.error_reason) == (None, None)


def test_a_reason_that_quotes_the_upload_url_loses_it(attempt: Attempt) -> None:
    url = "https://up.example/1?signature=s3cret"
    uploading = replace(attempt, state=State.UPLOADING, upload_url=url)
    failed = moved(uploading, State.FAILED, LATER, {"error_reason": f"PUT {url} was reset"})
    assert failed.error_reason == "PUT (upload URL) was reset"


def test_a_reason_with_a_file_name_that_is_not_text_becomes_text(attempt: Attempt) -> None:
    failed = moved(attempt, State.FAILED, LATER, {"error_reason": "caf\udce9.wav changed"})
    assert failed.error_reason == r"caf\udce9.wav changed"


def test_the_request_is_given_back_parsed(attempt: Attempt) -> None:
    assert attempt.request == {"language": "en-GB"}


@given(st.datetimes(timezones=st.just(UTC)))
def test_moments_come_back_to_the_microsecond(moment: datetime) -> None:
    stored = to_microseconds(moment)
    assert stored is not None
    assert to_moment(stored) == moment


def test_a_moment_elsewhere_is_the_same_moment_in_utc() -> None:
    stored = to_microseconds(datetime(2026, 3, 1, 14, 0, tzinfo=timezone(timedelta(hours=2))))
    assert stored is not None
    assert to_moment(stored) == BEGUN


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"2026-03-01T12:00:00 has no time zone: give it in UTC"):
        to_microseconds(BEGUN.replace(tzinfo=None))
