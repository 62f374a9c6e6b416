"""The monitor shows what happens, stops and goes on, and says what is wrong in a sentence."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import helios_research as hr
from helios_research.columns import Outcome
from helios_research.ledger import Ledger
from helios_research.sandbox import SandboxSettings
from helios_research.state.status import Progress
from helios_research.submission import SubmitOptions
from helios_research.widgets import SubmissionMonitor
from helios_research.widgets.base import cut
from helios_research.widgets.monitor import REFRESH_S, errors_html, next_html, progress_html
from helios_research.widgets.monitor.poller import Activity, ErrorGroup, StudyPoller, StudyView

SETTINGS = {"preflight": False, "rate": 40.0, "poll_floor_s": 0.05}

CohortMaker = Callable[..., pd.DataFrame]


@pytest.fixture
def sandbox() -> Iterator[hr.Sandbox]:
    settings = SandboxSettings(processing_s=0.1, processing_spread=0.0, pickup_s=0.02)
    with hr.Sandbox(settings) as sandbox:
        yield sandbox


@pytest.fixture
def study(tmp_path: Path, sandbox: hr.Sandbox) -> hr.Study:
    return hr.Study(tmp_path / "night-shift", client=sandbox.client())


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SubmissionMonitor]]:
    """Make monitors, and close them at the end."""
    made: list[SubmissionMonitor] = []

    def make(study: object, **settings: object) -> SubmissionMonitor:
        made.append(SubmissionMonitor(study, **settings))
        return made[-1]

    yield make
    for monitor in made:
        monitor.close()
    until(lambda: not polling_threads(), "closed monitors have stopped polling")


def polling_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "helios-monitor"]


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"still not so: {what}"
        time.sleep(0.02)


def test_a_submission_is_followed_to_its_end_by_itself(
    study: hr.Study,
    make_cohort: CohortMaker,
    watch: Callable[..., SubmissionMonitor],
    read: Callable[..., Any],
) -> None:
    submission = study.start(hr.Cohort.from_frame(make_cohort(6)), **SETTINGS)
    monitor = watch(study)
    assert monitor.stop_button.disabled is False
    submission.wait()
    until(lambda: "recordings are finished" in read(monitor).status, "the end is shown")
    assert "What to do next" in read(monitor).html
    assert repr(monitor) == "<SubmissionMonitor of night-shift: 6 of 6 done, 6 scored>"
    assert 'aria-valuenow="6"' in read(monitor).html
    assert monitor.stop_button.disabled
    assert monitor.continue_button.disabled


def test_it_stops_and_continues_with_the_same_settings(
    study: hr.Study,
    make_cohort: CohortMaker,
    watch: Callable[..., SubmissionMonitor],
    read: Callable[..., Any],
) -> None:
    study.start(hr.Cohort.from_frame(make_cohort(6)), **SETTINGS | {"rate": 4.0})
    monitor = watch(study, **SETTINGS, delete_data=True)
    monitor.stop_button.click()
    assert read(monitor).status.startswith("Stopping: no new recordings are sent")
    assert monitor.stop_button.disabled
    until(lambda: not monitor.continue_button.disabled, "it can continue")
    left = re.search(
        r"No submission is running; (\d) recordings? (is|are) left", read(monitor).status
    )
    assert left is not None
    monitor.continue_button.click()
    study.submission.wait()
    until(lambda: "recordings are finished" in read(monitor).status, "the end is shown")
    with Ledger.read(study.folder) as ledger:
        attempts = ledger.attempts()
    # What was created without the option, and not uploaded yet, is created anew with it.
    uploaded = [attempt for attempt in attempts if attempt.uploaded_at is not None]
    assert len(uploaded) == 6
    assert any(attempt.delete_data for attempt in uploaded)


def test_errors_are_grouped_and_explained(
    tmp_path: Path,
    make_cohort: CohortMaker,
    watch: Callable[..., SubmissionMonitor],
    read: Callable[..., Any],
) -> None:
    table = make_cohort(4)
    for number in (1, 2):
        Path(table.loc[number, "recording"]).write_bytes(b"not audio %d" % number)
    table.loc[3, "date_of_birth"] = "yesterday"
    with hr.Sandbox(SandboxSettings(processing_s=0.1, pickup_s=0.02)) as sandbox:
        study = hr.Study(tmp_path / "study", client=sandbox.client())
        study.submit(hr.Cohort.from_frame(table), progress=False, **SETTINGS)
    monitor = watch(study)
    drawn = read(monitor).html
    name = '<span title="INVALID_DATE_OF_BIRTH">invalid date of birth</span>'
    assert f'<th scope="row">{name}</th><td>1: {cut(table.loc[3, "recording"], 28)}</td>' in drawn
    assert "Correct the row as its error_reason says, then submit again." in drawn
    assert "ERR_RECORDING_INVALID_FORMAT" in drawn
    assert monitor.static_html().count("ERR_RECORDING_INVALID_FORMAT") == 1
    assert "yesterday" in drawn
    assert "yesterday" not in monitor.static_html(), "a notebook is handed on"
    assert str(study.folder) not in monitor.static_html()


def test_what_the_button_cannot_do_is_said(
    study: hr.Study,
    make_cohort: CohortMaker,
    watch: Callable[..., SubmissionMonitor],
    read: Callable[..., Any],
) -> None:
    """Another writer is using the study."""
    hr.Cohort.from_frame(make_cohort(1)).save(tmp_folder(study) / "cohort.parquet")
    with Ledger.open(study.folder):
        monitor = watch(study, **SETTINGS)
        assert read(monitor).status.startswith("Another part of this Python session")
        monitor.continue_button.click()
        assert "is in use by this Python session" in read(monitor).status
        assert "helios-failed" in read(monitor).html


def tmp_folder(study: hr.Study) -> Path:
    Ledger.open(study.folder).close()
    return study.folder


def test_a_study_that_is_not_there_is_a_sentence_and_may_still_come(
    study: hr.Study,
    make_cohort: CohortMaker,
    watch: Callable[..., SubmissionMonitor],
    read: Callable[..., Any],
) -> None:
    monitor = watch(study)
    assert read(monitor).status.startswith(f"There is no study in {study.folder}: check the path")
    assert monitor.stop_button.disabled
    assert monitor.continue_button.disabled
    assert "There is no study in" in monitor.static_html()
    study.submit(hr.Cohort.from_frame(make_cohort(1)), progress=False, **SETTINGS)
    monitor.refresh()
    assert repr(monitor).endswith("1 of 1 done, 1 scored>")


def test_a_study_without_a_cohort_is_a_sentence(
    study: hr.Study, watch: Callable[..., SubmissionMonitor], read: Callable[..., Any]
) -> None:
    Ledger.open(study.folder).close()
    assert "has no cohort yet" in read(watch(study)).status


def test_an_account_that_is_refused_is_a_sentence(
    tmp_path: Path,
    make_cohort: CohortMaker,
    watch: Callable[..., SubmissionMonitor],
    read: Callable[..., Any],
) -> None:
    with hr.Sandbox() as sandbox:
        client = hr.Client(api_key="wrong", base_url=sandbox.base_url)
        study = hr.Study(tmp_path / "study", client=client)
        study.start(hr.Cohort.from_frame(make_cohort(1)), **SETTINGS)
        monitor = watch(study)
        until(lambda: "does not know the API key" in read(monitor).status, "the refusal is shown")
        assert "helios-failed" in read(monitor).html


def test_polling_continues_after_a_poll_that_failed(
    study: hr.Study,
    make_cohort: CohortMaker,
    watch: Callable[..., SubmissionMonitor],
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[..., Any],
) -> None:
    study.submit(hr.Cohort.from_frame(make_cohort(1)), progress=False, **SETTINGS)
    monitor = watch(study)
    with monkeypatch.context() as broken:

        def fail(_: StudyPoller) -> None:
            raise RuntimeError("the disk is full")

        broken.setattr(StudyPoller, "poll", fail)
        sentence = "The study cannot be read at the moment: the disk is full (RuntimeError)."
        until(lambda: read(monitor).status == sentence, "the failure is shown")
    until(lambda: "recordings are finished" in read(monitor).status, "it has recovered")


def test_a_notebook_shows_it_by_itself(
    study: hr.Study, make_cohort: CohortMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[SubmissionMonitor] = []
    monkeypatch.setattr("helios_research.study.in_notebook", lambda: True)

    def show(monitor: SubmissionMonitor) -> None:
        shown.append(monitor)

    monkeypatch.setattr(SubmissionMonitor, "show", show)
    cohort = hr.Cohort.from_frame(make_cohort(1))
    study.start(cohort, **SETTINGS).wait()
    study.start(monitor=False).wait()
    assert len(shown) == 1
    started: list[dict[str, object]] = []
    monkeypatch.setattr(study, "start", lambda **options: started.append(options))
    shown[0].continue_button.click()
    assert started == [{"monitor": False, **SubmitOptions(**SETTINGS).model_dump()}]
    shown[0].close()


def test_the_bar_says_in_words_and_widths_how_far_it_is() -> None:
    progress = Progress(8, {Outcome.SCORED: 4, Outcome.FAILED: 2, Outcome.PENDING: 2})
    drawn = progress_html(progress)
    assert 'role="progressbar"' in drawn
    assert 'aria-valuenow="6"' in drawn
    assert 'aria-valuetext="6 of 8 done"' in drawn
    assert re.findall(r"width: ([\d.]+)%", drawn) == ["50.000", "25.000", "0.000"] + ["0.000"] * 4


def test_every_fact_keeps_its_place_before_it_is_known() -> None:
    early = progress_html(Progress(8, {Outcome.PENDING: 8}))
    late = progress_html(
        Progress(
            8,
            {Outcome.SCORED: 4, Outcome.PENDING: 4},
            in_flight=2,
            finished_here=4,
            elapsed_s=60,
            rate=9.83,
            limited_by="<processing>",
        )
    )
    names = re.findall(r'helios-muted">([A-Z][a-z ]+)<', early)
    assert names == ["Done", "In progress", "Speed", "Time left", "Request rate", "Waiting for"]
    assert re.findall(r'helios-muted">([A-Z][a-z ]+)<', late) == names
    for text in ("4 of 8 (50%)", "4 a minute", "about 60 s", "9.83 a second", "&lt;processing&gt;"):
        assert f"<b>{text}</b>" in late


def test_a_picture_leaves_out_what_differs_from_run_to_run() -> None:
    once = Progress(2, {Outcome.SCORED: 2}, elapsed_s=3, rate=4, is_over=True)
    again = Progress(2, {Outcome.SCORED: 2}, elapsed_s=5, rate=6, is_over=True)
    assert progress_html(once, static=True) == progress_html(again, static=True)
    assert "Took" in progress_html(once)


def test_the_recordings_of_an_error_are_named_and_the_others_at_a_click() -> None:
    few = errors_html([ErrorGroup("ERR_X", 2, "", ("<1>", "2"))])
    assert "<td>2: &lt;1&gt;, 2</td>" in few
    many = errors_html([ErrorGroup("ERR_X", 9, "", tuple("abcde"))])
    assert '<details data-name="ERR_X"><summary>9: a, b, c and 6 more</summary>' in many
    assert "</summary>d, e, and 4 more</details>" in many
    assert "<td>2</td>" in errors_html([ErrorGroup("ERR_X", 2, "", ("<1>", "2"))], static=True)


def test_the_end_says_what_to_do_with_the_scores() -> None:
    scored = Progress(2, {Outcome.SCORED: 1, Outcome.FAILED: 1})
    assert "study.report(" in next_html(scored, is_over=True)
    assert "hidden" not in next_html(scored, is_over=True)
    assert "hidden" in next_html(scored, is_over=False), "it keeps its place"
    assert next_html(Progress(2, {Outcome.FAILED: 2}), is_over=True) == ""


def test_no_errors_are_said_as_well() -> None:
    assert "No errors." in errors_html([])
    assert "helios-steady" in errors_html([ErrorGroup("ERR_X", 1, "")], steady=True)


def test_it_sends_at_most_five_messages_a_second(
    study: hr.Study,
    watch: Callable[..., SubmissionMonitor],
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[..., Any],
) -> None:
    """Ten seconds of polls, in each of which everything has changed."""
    number = [0]

    def poll(_: StudyPoller) -> StudyView:
        number[0] += 1
        outcomes = {Outcome.SCORED: number[0], Outcome.PENDING: 100 - number[0]}
        # Errors are read once a second.
        errors = (ErrorGroup("ERR_X", number[0] // 4, ""),)
        return StudyView(Progress(100, outcomes), errors, Activity.HERE, "Submitting.")

    monkeypatch.setattr(StudyPoller, "poll", poll)
    monkeypatch.setattr("helios_research.widgets.monitor.REFRESH_S", 60.0)
    monitor = watch(study)
    sent: list[str] = []
    for part in read(monitor).parts():
        part.observe(lambda change: sent.append(change["new"]), "value")
    for _ in range(round(10 / REFRESH_S)):
        monitor.refresh()
    assert len(sent) <= 5 * 10
    assert len(sent) > 40
