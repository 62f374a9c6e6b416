"""What a monitor knows: the same as the results, at little cost, whoever submits."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from helios_research.codes import RECORDING_CHANGED
from helios_research.columns import Outcome
from helios_research.errors import AccountError, StudyMissingError
from helios_research.ledger import Ledger, NewAttempt, State, Transition
from helios_research.ledger.storage import HOLDER_NAME
from helios_research.state.status import Progress
from helios_research.widgets.monitor.poller import (
    LEAST_PAUSE_S,
    MOST_TIME_SHARE,
    Activity,
    Counts,
    StudyPoller,
    add_transitions,
    count_results,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Run:
    """A submission that does what a test wants."""

    def __init__(self, progress: Progress, error: Exception | None = None) -> None:
        self.progress, self.is_running, self.error = progress, True, error

    def stop(self) -> None:
        self.is_running = False

    def wait(self) -> None:
        if self.error:
            raise self.error


class Study:
    """A study with a real ledger, whose results are laid out by the test."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self.submission, self.clock = folder, None, clock
        self.table = results(pending=2)
        self.polls, self.cost_s = 0, 0.0

    def results(self) -> pd.DataFrame:
        self.polls += 1
        self.clock.now_s += self.cost_s
        return self.table


def results(*, scored: int = 0, failed: int = 0, pending: int = 0) -> pd.DataFrame:
    outcomes = ["scored"] * scored + ["failed"] * failed + ["pending"] * pending
    moment = pd.Timestamp("2026-03-01T12:00", tz="UTC")
    ended = [moment if outcome != "pending" else pd.NaT for outcome in outcomes]
    return pd.DataFrame(
        {
            "recording_id": [f"r{number}" for number in range(len(outcomes))],
            "outcome": pd.Categorical(outcomes),
            "error_code": ["ERR_X" if outcome == "failed" else None for outcome in outcomes],
            "error_reason": [
                f"reason {number}" if outcome == "failed" else None
                for number, outcome in enumerate(outcomes)
            ],
            "created_at": pd.Series(ended, dtype="datetime64[us, UTC]"),
            "uploaded_at": pd.Series(ended, dtype="datetime64[us, UTC]"),
            "completed_at": pd.Series(ended, dtype="datetime64[us, UTC]"),
        }
    ).astype({"error_code": "str", "error_reason": "str"})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("helios_research.widgets.monitor.poller.perf_counter", clock)
    return clock


@pytest.fixture
def study(tmp_path: Path, clock: Clock) -> Study:
    Ledger.open(tmp_path / "study").close()
    return Study(tmp_path / "study", clock)


@pytest.fixture
def poller(study: Study) -> StudyPoller:
    return StudyPoller(study)


async def write(folder: Path, *moves: tuple[State, dict]) -> None:
    """Begin an attempt in a study's ledger and take it through some states."""
    with Ledger.open(folder) as ledger:
        sha256 = f"{ledger.newest_transition():064x}"
        new = NewAttempt(sha256, "d", {}, 1, "audio/wav", 1, None, False, "sandbox")
        attempt = await ledger.begin(new)
        for state, changes in moves:
            await ledger.advance(attempt.attempt_id, state, **changes)


def entry(state: State, number: int = 1, **note: object) -> Transition:
    return Transition(number, number, state, NOW + timedelta(seconds=number), note)


def test_results_are_counted_by_outcome_and_by_error() -> None:
    counts = count_results(results(scored=3, failed=2, pending=1), mark=7)
    assert counts.progress.outcomes == {Outcome.SCORED: 3, Outcome.FAILED: 2, Outcome.PENDING: 1}
    assert (counts.progress.total, counts.progress.done, counts.mark) == (6, 5, 7)
    assert counts.errors["ERR_X"].count == 2
    assert counts.errors["ERR_X"].reason == "reason 4"
    assert counts.errors["ERR_X"].recordings == ("r3", "r4")
    assert counts.last_change == NOW


def test_nothing_has_ever_changed_where_no_recording_was_sent() -> None:
    assert count_results(results(pending=2), mark=0).last_change is None


def test_what_the_audit_trail_adds_is_counted_on_top() -> None:
    before = count_results(results(pending=4), mark=0)
    after = add_transitions(
        before,
        [
            entry(State.UPLOADED, 1),
            entry(State.SCORED, 2),
            entry(State.FAILED, 3, error_code="ERR_Y", error_reason="Too short."),
            entry(State.ABANDONED, 4, error_code=RECORDING_CHANGED),
            entry(State.ABANDONED, 5, error_code="HTTP_403"),
        ],
    )
    assert after.progress.outcomes == {
        Outcome.SCORED: 1,
        Outcome.FAILED: 1,
        Outcome.INVALID: 1,
        Outcome.PENDING: 1,
    }
    assert after.errors["ERR_Y"].reason == "Too short."
    assert (after.mark, after.last_change) == (5, NOW + timedelta(seconds=5))


def test_counts_never_fall_below_nothing() -> None:
    full = Counts(Progress(1, {Outcome.SCORED: 1, Outcome.PENDING: 0}), {}, 0)
    assert add_transitions(full, [entry(State.SCORED)]).progress.outcomes[Outcome.PENDING] == 0


def test_a_study_at_rest_is_read_once(poller: StudyPoller, study: Study, clock: Clock) -> None:
    for _ in range(3):
        view = poller.poll()
        clock.now_s += 100
    assert study.polls == 1
    assert view.activity is Activity.NONE
    assert view.sentence == "No submission is running; 2 recordings are left."
    assert not view.failed


async def test_changes_are_counted_within_a_second_and_read_exactly_when_that_is_cheap_enough(
    poller: StudyPoller, study: Study, clock: Clock
) -> None:
    study.cost_s = 0.5
    poller.poll()
    study.table = results(scored=2)
    await write(study.folder, (State.SCORED, {}))
    assert poller.poll().progress.outcomes == {Outcome.PENDING: 2}
    clock.now_s += LEAST_PAUSE_S
    assert poller.poll().progress.outcomes == {Outcome.SCORED: 1, Outcome.PENDING: 1}
    assert study.polls == 1
    clock.now_s += study.cost_s / MOST_TIME_SHARE
    assert poller.poll().progress.outcomes == {Outcome.SCORED: 2}
    assert study.polls == 2


def test_exact_looks_take_a_small_share_of_the_time(
    poller: StudyPoller, study: Study, clock: Clock
) -> None:
    study.cost_s = 2.0
    study.submission = Run(Progress(2, {Outcome.PENDING: 2}))
    while clock.now_s < 1000:
        poller.poll()
        os.utime(study.folder / "helios.sqlite", ns=(0, int(clock.now_s * 1e9)))
        clock.now_s += 0.25
    assert study.polls * study.cost_s <= 1.1 * MOST_TIME_SHARE * 1000 + study.cost_s


def test_a_submission_of_this_object_gives_its_own_progress(
    poller: StudyPoller, study: Study
) -> None:
    study.submission = Run(Progress(2, {Outcome.SCORED: 1, Outcome.PENDING: 1}, rate=9.5))
    view = poller.poll()
    assert view.activity is Activity.HERE
    assert view.progress is study.submission.progress
    assert view.sentence == "Submitting."


def test_how_it_ended_is_read_exactly(poller: StudyPoller, study: Study) -> None:
    study.submission = Run(Progress(2, {Outcome.PENDING: 2}, elapsed_s=30))
    poller.poll()
    study.table = results(scored=1, failed=1)
    study.submission.stop()
    view = poller.poll()
    assert view.progress.outcomes == {Outcome.SCORED: 1, Outcome.FAILED: 1}
    assert view.progress.is_over
    assert view.sentence.startswith("All recordings are finished. Last change: 2026-03-01")


def test_what_ended_a_submission_is_said_in_its_own_sentence(
    poller: StudyPoller, study: Study
) -> None:
    error = AccountError("https://api.example", 401)
    study.submission = Run(Progress(2, {Outcome.PENDING: 2}), error)
    study.submission.stop()
    view = poller.poll()
    assert (view.sentence, view.failed) == (str(error), True)


@pytest.mark.usefixtures("local_volume")
async def test_a_submission_of_another_process_is_seen_with_its_rate_and_speed(
    poller: StudyPoller, study: Study, clock: Clock
) -> None:
    await write(study.folder)
    study.cost_s = 0.5
    with Ledger.open(study.folder) as ledger:
        await ledger.put_setting("learned_rate", 9.8)
        await ledger.put_setting("limited_by", "processing")
        signed = (study.folder / HOLDER_NAME).read_text().replace(str(os.getpid()), "1")
        (study.folder / HOLDER_NAME).write_text(signed)
        first = poller.poll()
        for number in (1, 2):
            new = NewAttempt(f"{number}", "d", {}, 1, "audio/wav", 1, None, False, "sandbox")
            attempt = await ledger.begin(new)
            await ledger.advance(attempt.attempt_id, State.SCORED)
        clock.now_s += LEAST_PAUSE_S
        view = poller.poll()
    assert first.activity is view.activity is Activity.ELSEWHERE
    assert first.sentence.startswith("Process 1 on ")
    assert "to stop it, interrupt it there" in first.sentence
    assert (view.progress.rate, view.progress.limited_by) == (9.8, "processing")
    assert view.progress.done == 2
    assert view.progress.per_minute == pytest.approx(120)


def test_another_part_of_this_session_is_named_as_such(poller: StudyPoller, study: Study) -> None:
    with Ledger.open(study.folder):
        sentence = poller.poll().sentence
    assert sentence.startswith("Another part of this Python session has been using the study")


def test_a_study_that_is_not_there_is_an_error_that_says_so(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(StudyMissingError, match="There is no study in"):
        StudyPoller(Study(tmp_path / "nowhere", clock)).poll()
