"""Answers about a run that are true and not to be taken at their word: asked again for a while."""

import re
import time
from copy import deepcopy
from typing import Any

import pytest

from helios_research.columns import BIOMARKERS
from helios_research.errors import ErrorRateError
from helios_research.ledger import Ledger
from helios_research.submission import engine
from support.faults import Fault, Faults, Rule, Step


def has_scores(run: dict[str, Any]) -> bool:
    return run["status"] == "COMPLETE_OK"


def with_scores(change: Any) -> Any:
    """Change the scores of a finished run, each value given by its name."""

    def changed(run: dict[str, Any]) -> dict[str, Any]:
        if not has_scores(run):
            return run
        new = deepcopy(run)
        for section in new["results"]["sections"]:
            for name, score in section.items():
                if isinstance(score, dict):
                    section[name] = {"value": change(score["value"])}
        return new

    return changed


def without(name: str, value: object) -> Any:
    return lambda run: run | {name: value} if has_scores(run) else run


USELESS = {
    "no results": without("results", None),
    "no sections": without("results", {"sections": []}),
    "null": with_scores(lambda _: None),
    "NaN": with_scores(lambda _: float("nan")),
    "text": with_scores(lambda _: "high"),
    "true": with_scores(lambda _: True),
    "out of range": with_scores(lambda value: value + 1.01),
}


def useless(change: Any, times: int | None = None) -> Faults:
    return Faults(rules=(Rule(Fault.CHANGE, on=Step.POLL, change=change, times=times),))


@pytest.mark.fault(
    step="poll",
    fault="no usable score",
    ending="row",
    happens="Scores may come a moment after the run is said to be finished, so it is asked about "
    "again for a minute. A single value that no score can have is left out, with a warning.",
    code="RESULT_UNUSABLE",
    sees="Nothing in Helios' answer can be used: {place}.",
    do="Report the run's id to thymia; the answer is kept in the study.",
)
@pytest.mark.parametrize("change", USELESS.values(), ids=USELESS)
def test_a_run_without_a_usable_score_is_asked_again_and_then_failed(trial, cell, change) -> None:
    trial.sandbox.faults = useless(change)
    results = trial.submit()
    assert results["outcome"].tolist() == ["failed"] * 3
    assert results["error_code"].tolist() == [cell.code] * 3
    begin, end = cell.sees.split("{place}")
    for reason in results["error_reason"]:
        assert reason.startswith(begin)
        assert reason.endswith(end)
    assert results[[marker.name for marker in BIOMARKERS]].isna().all(axis=None)
    with Ledger.read(trial.folder) as ledger:
        assert len(list(ledger.answers())) == 3
    trial.sandbox.faults = Faults()
    asked = trial.sandbox.log.count(Step.POLL)
    assert trial.submit()["outcome"].tolist() == ["failed"] * 3
    assert trial.sandbox.log.count(Step.POLL) == asked


@pytest.mark.parametrize("change", [USELESS["no sections"], USELESS["NaN"]])
def test_scores_that_come_seconds_later_are_this_runs_scores(trial, change) -> None:
    trial.sandbox.faults = useless(change, times=4)
    assert trial.submit()["outcome"].tolist() == ["scored"] * 3
    assert trial.sandbox.log.faults_struck(Fault.CHANGE) == 4


def test_scores_in_quotation_marks_are_read(trial) -> None:
    trial.sandbox.faults = useless(with_scores(str))
    assert trial.submit()["outcome"].tolist() == ["scored"] * 3


def test_one_impossible_value_is_left_out_with_a_warning_and_the_others_stay(trial) -> None:
    trial.sandbox.faults = useless(
        with_scores(lambda value: 0.5 if value in (0.33, 0.66) else value)
    )
    results = trial.start().wait()
    assert results["outcome"].tolist() == ["scored"] * 3
    levels = results[[marker.name for marker in BIOMARKERS if marker.bucketed]]
    assert set(levels.stack().dropna()) <= {0.0, 1.0}
    assert results["uniform_stress"].notna().all()
    warned = [any("Left out:" in text for text in row) for row in results["warnings"]]
    assert warned == levels.isna().any(axis=1).tolist()


# --- statuses, runs that failed inside, and runs that are not known yet ----------------------------------------


@pytest.mark.fault(
    step="poll",
    fault="an internal error",
    ending="new run",
    happens="The run is asked about once more; if it says the same, another one is made, after a "
    "pause, and at most three more in one submission. This is the one case in which audio is "
    "processed again.",
    do="Report the run's id to thymia if it stays so.",
)
def test_an_internal_error_is_asked_about_once_more_before_another_run_is_paid(trial) -> None:
    error = {"status": "COMPLETE_ERROR", "errorCode": "ERR_INTERNAL", "results": None}
    trial.sandbox.faults = useless(lambda run: run | error if has_scores(run) else run, times=1)
    results = trial.submit(1)
    assert results["attempts"].tolist() == [1]
    trial.sandbox.faults = Faults(failing_first=1)
    results = trial.start(2).wait()
    trial.hold(results, runs=2)
    assert results["outcome"].tolist() == ["scored"] * 2
    assert results["attempts"].tolist() == [1, 2]


def test_runs_of_one_person_that_disturb_each_other_are_tried_again_apart(trial) -> None:
    trial.table["user_label"] = "P01"
    trial.sandbox.faults = Faults(failing_within_s=5.0)
    results = trial.start(6).wait()
    trial.hold(results, runs=2)
    assert results["outcome"].tolist() == ["scored"] * 6


@pytest.mark.fault(
    step="poll",
    fault="an unknown status",
    ending="tried again",
    happens="The line of progress and the monitor say which it is. Where the run keeps it for 10 minutes, "
    "it is left for the next submission.",
    code="UNKNOWN_STATUS",
    sees="The run has the status FAILED, which Helios does not document, after {place} of waiting; the "
    "next submission asks for it again.",
    do="Submit again. If it stays so, report the run's id to thymia.",
)
def test_a_status_that_is_not_known_is_said_and_bounded(trial, cell) -> None:
    trial.sandbox.faults = useless(lambda run: run | {"status": "FAILED"})
    submission = trial.start(2)
    seen = set()
    while submission.is_running:
        seen.add(submission.progress.limited_by)
        time.sleep(0.02)
    assert "2 runs have a status that Helios does not document (FAILED)" in seen
    results = submission.wait()
    assert results["outcome"].tolist() == ["pending"] * 2
    assert results["error_code"].tolist() == [cell.code] * 2
    wanted = re.escape(cell.sees).replace(r"\{place\}", "10 min")
    assert all(re.fullmatch(wanted, reason) for reason in results["error_reason"])
    trial.sandbox.faults = Faults()
    trial.heal(2)


def test_a_status_that_is_not_known_may_be_on_the_way_to_a_known_one(trial) -> None:
    trial.sandbox.faults = useless(lambda run: run | {"status": "PROCESSING"}, times=4)
    assert trial.submit()["outcome"].tolist() == ["scored"] * 3


@pytest.mark.fault(
    step="poll",
    fault="an unknown run",
    ending="continues",
    happens="In its first minute a run is asked for again. A run that stays unknown is left "
    "`pending`, with the code `HTTP_404`; the next submission asks for it again.",
)
@pytest.mark.parametrize("delete_data", [False, True])
def test_a_run_that_is_not_known_yet_is_asked_for_again(trial, delete_data) -> None:
    unknown = Rule(Fault.STATUS, on=Step.POLL, status=404, times=6)
    trial.sandbox.faults = Faults(rules=(unknown,))
    assert trial.submit(delete_data=delete_data)["outcome"].tolist() == ["scored"] * 3
    assert trial.sandbox.log.count(Step.POLL, 404) == 6


@pytest.mark.parametrize("delete_data", [False, True])
def test_a_run_that_stays_unknown_in_its_first_minute_is_not_lost(trial, delete_data) -> None:
    trial.sandbox.faults = Faults(rules=(Rule(Fault.STATUS, on=Step.POLL, status=404),))
    results = trial.submit(2, delete_data=delete_data)
    assert results["outcome"].tolist() == ["pending"] * 2
    assert results["error_code"].tolist() == ["HTTP_404"] * 2
    # As polls are spaced, and for a minute alone.
    assert 2 < trial.sandbox.log.count(Step.POLL, 404) <= 2 * 60
    trial.sandbox.faults = Faults()
    trial.heal(2)


@pytest.mark.fault(
    step="poll",
    fault="nearly all recordings refused",
    ending="stops",
    happens="Where 18 of the last 20 recordings that this submission sent ended in the same error, it "
    "pauses before more are paid for. The next one goes on, and counts anew.",
    sees="{place} recordings ended in ERR_RECORDING_TOO_SHORT, so the submission has paused before more "
    "are paid for. There are fewer than 10 seconds of speech (speech, not sound). Record at least 10 "
    "seconds of speech. Everything is kept: submit again to go on with the others, or with "
    "stop_at_error_rate=None (--stop-at-error-rate 0) to go on whatever they end in.",
    do="Look at some of these recordings. Then submit again, without those that are wrong, or with "
    "`stop_at_error_rate=None`.",
)
def test_where_nearly_all_are_refused_alike_the_submission_pauses(trial, cell, monkeypatch) -> None:
    monkeypatch.setattr(engine, "ERROR_RATE_OVER", 4)
    trial.sandbox.faults = Faults(failing_rate=1.0, failing_code="ERR_RECORDING_TOO_SHORT")
    with pytest.raises(ErrorRateError) as stopped:
        trial.submit(6, max_in_flight=1)
    assert str(stopped.value) == cell.sees.format(place="4 of the last 4")
    trial.hold(trial.study.results())
    assert trial.study.results()["outcome"].tolist() == ["failed"] * 4 + ["pending"] * 2
    trial.sandbox.faults = Faults()
    results = trial.submit(6)
    assert results["outcome"].tolist() == ["failed"] * 4 + ["scored"] * 2
