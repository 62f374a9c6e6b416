"""A service that is gone is said within seconds, and nothing is lost."""

import time

import pytest

import helios_research as hr
from helios_research.ledger import Ledger, Setting
from helios_research.widgets.monitor.poller import StudyPoller
from support.faults import Step

SOON_S = 10.0


@pytest.fixture
def cohort(make_cohort):
    return hr.Cohort.from_frame(make_cohort(4))


def _within(seconds, happened):
    ends = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < ends, "not said in time"
        time.sleep(0.1)
    return found


def test_a_service_that_is_killed_while_all_wait_for_their_scores_is_said_within_10_s(
    make_sandbox, make_study, cohort, quick
):
    sandbox = make_sandbox(processing_s=60.0)
    study = make_study(sandbox)
    submission = study.start(cohort, monitor=False, patience=4.0, **quick)
    poller = StudyPoller(study)
    try:
        _within(20, lambda: sandbox.log.count(Step.UPLOAD) == len(cohort))
        sandbox.stop()
        outage = _within(SOON_S, lambda: submission.progress.outage)
        assert outage.startswith("no connection to 127.0.0.1:")
        assert "(connection refused), trying again " in outage
        line = str(submission.progress)
        assert "recordings wait, nothing is lost" in line
        assert "left" not in line
        view = poller.poll()
        assert view.failed
        assert view.sentence.startswith("No connection to 127.0.0.1:")
        assert submission.progress.remaining_s is None
    finally:
        submission.stop()
        results = submission.wait(30)
    assert set(results["outcome"]) == {"pending"}
    assert not submission.progress.outage


def test_a_service_that_was_never_there_is_said_while_it_is_tried(
    make_study, make_sandbox, cohort, quick
):
    sandbox = make_sandbox()
    study = make_study(sandbox)
    sandbox.stop()
    submission = study.start(cohort, monitor=False, **quick)
    assert _within(SOON_S, lambda: submission.progress.outage).startswith("no connection to")
    submission.stop()
    submission.wait(30)


def test_what_other_programs_are_told_ends_with_the_outage(make_sandbox, make_study, cohort, quick):
    sandbox = make_sandbox(processing_s=60.0)
    study = make_study(sandbox)
    submission = study.start(cohort, monitor=False, patience=2.0, **quick)
    _within(20, lambda: sandbox.log.count(Step.UPLOAD) == len(cohort))
    sandbox.stop()

    def written() -> str:
        with Ledger.read(study.folder) as ledger:
            return ledger.get_setting(Setting.OUTAGE, "")

    assert _within(SOON_S, written).startswith("no connection to")
    submission.stop()
    submission.wait(30)
    assert not written()
