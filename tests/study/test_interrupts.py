"""Interrupting, in a script and in a notebook: it ends soon, and nothing is lost or repeated."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import helios_research as hr
from helios_research.ledger import Ledger, State
from support.faults import Fault, Faults, Rule, Step
from support.sandbox import ObservedSandbox

SCRIPT = """
    import time
    import helios_research as hr
    study = hr.Study("study")
    cohort = hr.read_cohort("manifest.csv")
    try:
        begun = study.{verb}(cohort, preflight=False, rate=20, poll_floor_s=0.2)
        while begun.progress.in_flight < 20:
            time.sleep(0.01)
    except KeyboardInterrupt:
        print("interrupted", study.results()["outcome"].value_counts().to_dict())
        raise
"""


@pytest.fixture
def script(tmp_path, make_cohort):
    """Start a script that submits, and give its process once some uploads have arrived."""
    started: list[subprocess.Popen[str]] = []

    def start(sandbox: hr.Sandbox, verb: str = "submit") -> subprocess.Popen[str]:
        make_cohort(30).to_csv(tmp_path / "manifest.csv", index=False)
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SCRIPT.format(verb=verb))],
            cwd=tmp_path,
            env=os.environ
            | {"THYMIA_BASE_URL": sandbox.base_url, "THYMIA_API_KEY": sandbox.api_key},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for_uploads(sandbox: ObservedSandbox, count: int, process: subprocess.Popen[str]) -> None:
    while len(sandbox.log.runs_by_audio) < count and process.poll() is None:
        time.sleep(0.02)


def assert_the_rest_follows(sandbox: ObservedSandbox, study: hr.Study, quick: dict) -> None:
    results = study.submit(progress=False, **quick)
    assert results["outcome"].eq("scored").all()
    assert {len(runs) for runs in sandbox.log.runs_by_audio.values()} == {1}
    assert sandbox.log.violations == []


def test_an_interrupted_script_stops_with_keyboard_interrupt_and_goes_on_next_time(
    script, make_sandbox, make_study, quick, tmp_path
) -> None:
    sandbox = make_sandbox(processing_s=0.5)
    process = script(sandbox)
    wait_for_uploads(sandbox, 5, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out.startswith("interrupted {"), err
    assert "'pending'" in out
    last = err.rstrip().splitlines()[-1]
    assert re.search(
        r"Interrupted: \d+ recordings are left, and nothing is lost; run the same", last
    )
    assert process.returncode in {-signal.SIGINT, 130}
    with Ledger.read(tmp_path / "study") as ledger:
        states = {attempt.state for attempt in ledger.attempts()}
    # What was in flight has been waited for: no upload is left without its answer.
    assert State.UPLOADING not in states
    assert_the_rest_follows(sandbox, make_study(sandbox), quick)


def test_a_script_that_ends_without_waiting_leaves_a_study_that_goes_on(
    script, make_sandbox, make_study, quick, tmp_path
) -> None:
    sandbox = make_sandbox(processing_s=0.5)
    process = script(sandbox, "start")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert (out, err) == ("", "")
    with Ledger.read(tmp_path / "study") as ledger:
        states = {attempt.state for attempt in ledger.attempts()}
    assert State.UPLOADED in states
    assert State.UPLOADING not in states
    assert_the_rest_follows(sandbox, make_study(sandbox), quick)


def test_stopping_does_not_wait_for_a_service_that_has_yet_to_say_who_it_is(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox(Faults(rules=(Rule(Fault.SLOW, on=Step.ACCOUNT, delay_s=25.0),)))
    study = make_study(sandbox)
    submission = study.start(hr.Cohort.from_frame(make_cohort(1)), **quick)
    while not sandbox.log.max_in_flight.get("api"):
        time.sleep(0.01)
    submission.stop()
    results = submission.wait(timeout_s=20)
    assert results["outcome"].tolist() == ["pending"]
    assert sandbox.log.count(Step.ACCOUNT) == 0


def test_stopping_does_not_wait_for_answers_that_do_not_come(
    make_cohort, make_sandbox, make_study, quick, monkeypatch
) -> None:
    from helios_research.submission import retrying_client

    monkeypatch.setattr(retrying_client, "DRAIN_S", 0.2)
    slow = Rule(Fault.SLOW, on=Step.UPLOAD, delay_s=25.0, after_work=True)
    sandbox = make_sandbox(Faults(rules=(slow,)))
    study = make_study(sandbox)
    submission = study.start(hr.Cohort.from_frame(make_cohort(2)), **quick)
    while len(sandbox.log.runs_by_audio) < 2:
        time.sleep(0.01)
    submission.stop()
    results = submission.wait(timeout_s=20)
    assert results["outcome"].eq("pending").all()
    assert sandbox.log.count(Step.UPLOAD, 200) == 0
    sandbox.faults = Faults()
    assert_the_rest_follows(sandbox, study, quick)


def test_stopping_twice_or_after_the_end_does_nothing(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    submission = make_study(make_sandbox()).start(hr.Cohort.from_frame(make_cohort(1)), **quick)
    submission.wait()
    submission.stop()
    submission.stop()
    assert not submission.is_running
    assert submission.wait()["outcome"].tolist() == ["scored"]


def test_waiting_can_be_given_up_while_the_submission_continues(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox(Faults(stuck_first=1))
    submission = make_study(sandbox).start(hr.Cohort.from_frame(make_cohort(1)), **quick)
    with pytest.raises(TimeoutError, match="it continues"):
        submission.wait(timeout_s=0.1)
    assert submission.is_running
    sandbox.faults = Faults()
    assert submission.wait()["outcome"].tolist() == ["scored"]
