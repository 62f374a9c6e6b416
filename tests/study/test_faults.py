"""Busy and hostile services, as a whole: each fault by itself is in tests/faults."""

from collections.abc import Callable

import pytest

import helios_research as hr
from helios_research.errors import ErrorRateError, UnreachableError
from helios_research.submission import engine
from helios_research.submission.engine import ERROR_RATE_OVER
from support.faults import Fault, Faults, Rule, Step
from support.sandbox import ObservedSandbox

COUNT = 8


@pytest.fixture
def submit_through(make_cohort, make_sandbox, make_study, quick) -> Callable[..., ObservedSandbox]:
    """Submit a small cohort through faults, and hold what must hold after any of them."""

    def submit(
        faults: Faults,
        *,
        runs: int = 1,
        settings: dict[str, object] | None = None,
        **sandbox: object,
    ) -> ObservedSandbox:
        service = make_sandbox(faults, **sandbox)
        cohort = hr.Cohort.from_frame(make_cohort(COUNT))
        study = make_study(service)
        results = study.submit(cohort, progress=False, **quick | (settings or {}))
        assert results["outcome"].tolist() == ["scored"] * COUNT
        assert results["error_code"].isna().all()
        assert {len(ids) for ids in service.log.runs_by_audio.values()} == {runs}
        assert len(service.log.runs_by_audio) == COUNT
        assert service.log.violations == []
        return service

    return submit


def test_all_requests_pause_together_when_the_service_says_when_to_come_back(
    submit_through,
) -> None:
    storm = Rule(Fault.STATUS, on=Step.CREATE, status=503, retry_after="1", skip=1, times=2)
    sandbox = submit_through(Faults(rules=(storm,)))
    times = [request.at for request in sandbox.log.requests if request.step is Step.CREATE]
    refusals = [r.at for r in sandbox.log.requests if r.fault is Fault.STATUS]
    assert len(refusals) == 2
    # Those that were in flight at the refusal are answered; for the second that was asked for,
    # nothing new is sent.
    for refusal in refusals:
        since = [(at - refusal).total_seconds() for at in times]
        assert not [s for s in since if 0.5 < s < 0.95]


@pytest.mark.parametrize("form", ["seconds", "date", "absent"])
def test_a_rate_limit_is_found_out_and_kept(submit_through, form) -> None:
    sandbox = submit_through(
        Faults(), settings={"rate": None}, rate_per_s=20.0, burst=2, retry_after=form
    )
    assert sandbox.log.refused < len(sandbox.log.requests) / 3


def test_slow_answers_are_waited_for(submit_through) -> None:
    rules = tuple(
        Rule(Fault.SLOW, on=step, delay_s=0.5, after_work=after, times=2)
        for step in (Step.CREATE, Step.UPLOAD, Step.POLL)
        for after in (False, True)
    )
    submit_through(Faults(rules=rules))


def test_a_service_that_is_hostile_in_every_way_only_delays(submit_through) -> None:
    submit_through(Faults.hostile(0.3, seed=5))


def test_an_internal_error_is_the_only_reason_to_process_audio_again(submit_through) -> None:
    submit_through(Faults(failing_first=1), runs=2)


def test_an_unknown_error_code_is_kept_and_ends_its_recording(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox(Faults(failing_rate=1.0, failing_code="ERR_NEW_IN_2027"))
    cohort = hr.Cohort.from_frame(make_cohort(2))
    results = make_study(sandbox).submit(cohort, progress=False, **quick)
    assert results["outcome"].tolist() == ["failed", "failed"]
    assert results["error_code"].tolist() == ["ERR_NEW_IN_2027"] * 2
    assert {len(ids) for ids in sandbox.log.runs_by_audio.values()} == {1}


def test_a_service_that_goes_down_ends_the_submission_with_one_sentence_and_loses_nothing(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    down = Faults(rules=(Rule(Fault.STATUS, on=Step.POLL, status=500),))
    sandbox = make_sandbox(down)
    study = make_study(sandbox)
    cohort = hr.Cohort.from_frame(make_cohort(12))
    with pytest.raises(UnreachableError, match="submit again to continue"):
        study.submit(cohort, progress=False, patience=0.3, **quick)
    assert set(study.results()["outcome"]) == {"pending"}
    sandbox.faults = Faults()
    results = study.submit(progress=False, **quick)
    assert results["outcome"].eq("scored").all()
    assert {len(ids) for ids in sandbox.log.runs_by_audio.values()} == {1}


TOO_SHORT = "ERR_RECORDING_TOO_SHORT"


def test_where_nearly_all_are_refused_alike_the_submission_pauses_and_the_next_goes_on(
    make_cohort, make_sandbox, make_study, quick, monkeypatch
) -> None:
    monkeypatch.setattr(engine, "IN_FLIGHT_AT_FIRST", 2 * ERROR_RATE_OVER)
    sandbox = make_sandbox(Faults(failing_rate=0.97, failing_code=TOO_SHORT, seed=3))
    study = make_study(sandbox)
    cohort = hr.Cohort.from_frame(make_cohort(100))
    sent = 0
    for _ in range(2):
        with pytest.raises(ErrorRateError, match=f"of the last 20 recordings ended in {TOO_SHORT}"):
            study.submit(cohort, progress=False, **quick)
        outcomes = study.results()["outcome"].tolist()
        assert outcomes.count("failed") >= 18
        # Each time 20 recordings are the evidence, beside those that were in flight.
        assert ERROR_RATE_OVER <= len(sandbox.log.runs_by_audio) - sent <= 4 * ERROR_RATE_OVER
        sent = len(sandbox.log.runs_by_audio)
    results = study.submit(cohort, progress=False, **quick, stop_at_error_rate=None)
    assert set(results["outcome"]) == {"failed", "scored"}
    assert {len(runs) for runs in sandbox.log.runs_by_audio.values()} == {1}
    assert len(sandbox.log.runs_by_audio) == 100


def test_a_study_with_many_refusals_is_not_paused(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox(Faults(failing_rate=0.5, failing_code=TOO_SHORT))
    cohort = hr.Cohort.from_frame(make_cohort(60))
    results = make_study(sandbox).submit(cohort, progress=False, **quick)
    assert set(results["outcome"]) == {"failed", "scored"}
