"""Whatever happens to a study, in whatever order, its rows, its scores and its money are kept.

The story of a study is made up: its table and its files are edited, it is submitted, stopped,
killed and submitted again, the service fails, clocks jump. After every step it is held against
what the service itself received and processed, never against what the study believes.

An *ask* is what makes one processing of some audio right: the first submission of a row with that
audio; every further metadata that such a row has in a submission with ``resend_changed``; and every
run of it that ended in ``ERR_INTERNAL``.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

import helios_research as hr
from helios_research.columns import BIOMARKERS, Outcome
from helios_research.errors import ServiceError
from support.faults import Fault, Faults, Rule, Step

# How a process of its own may end.
KILLED, FINISHED, UNREACHABLE = -9, 0, 3
MOST_LINES = 7
LABELS = ("P01", "P02", "007", "NA")
CARRIED = {
    "recording_id": "key",
    "user_label": "label",
    "date_of_birth": "born",
    "birth_sex": "sex",
    "arm": "arm",
    "remark": "remark",
}
BIRTHS = ("1990-05-17", "1961-01-01")
ARMS = ("day", "night")
HOUR = timedelta(hours=1)

FAULTS = (
    Faults(rules=(Rule(Fault.RESET, on=Step.CREATE, after_work=True, times=2),)),
    Faults(rules=(Rule(Fault.RESET, on=Step.UPLOAD, after_work=True, times=2),)),
    Faults(rules=(Rule(Fault.RESET, on=Step.UPLOAD, times=3),)),
    Faults(rules=(Rule(Fault.RESET, on=Step.UPLOAD),)),
    Faults(rules=(Rule(Fault.STATUS, on=Step.UPLOAD, status=503, after_work=True, rate=0.5),)),
    Faults(rules=(Rule(Fault.CUT, on=Step.CREATE, rate=0.5),)),
    Faults(rules=(Rule(Fault.HALF_JSON, on=Step.POLL, rate=0.5),)),
    Faults(rules=(Rule(Fault.STATUS, on=Step.POLL, status=500),)),
    Faults(rules=(Rule(Fault.STATUS, on=Step.CREATE, status=429, times=3),)),
    Faults(rules=(Rule(Fault.RESET, rate=0.3), Rule(Fault.CLOSE, rate=0.2, after_work=True))),
    Faults(failing_first=1),
    Faults(failing_first=2),
    Faults(failing_rate=1.0),
    Faults(stuck_first=1),
)


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    key: str
    file: str
    label: str = "P01"
    born: str = "1990-05-17"
    arm: str = "day"
    sex: str = "FEMALE"
    remark: str = "as recorded"

    @property
    def said(self) -> str:
        """What Helios is to be told about it."""
        user = {"userLabel": self.label, "dateOfBirth": self.born, "birthSex": self.sex}
        tags = [{"name": "arm", "value": self.arm}]
        return json.dumps({"user": user, "language": "en-GB", "tags": tags}, sort_keys=True)

    @property
    def is_broken(self) -> bool:
        return self.sex != "FEMALE"


EDITS = (
    *("add", "add", "copy", "copy", "copy", "copy", "remove", "reorder", "rename_row"),
    *("rename_file", "lose_file", "find_file", "record_again", "edit_in_place", "swap_contents"),
    *("swap_speakers", "rename_speaker", "rename_speaker", "correct_birth", "change_tag"),
    *("change_remark", "break_row", "mend_row", "mend_row"),
)


@dataclass(frozen=True)
class Edit:
    """Something done to the table or to its files; what it does not need it leaves."""

    kind: str
    which: int
    other: int
    label: str
    arm: str


@dataclass(frozen=True)
class Weather:
    """What surrounds a submission: how much later it is, by which clock, and what goes wrong."""

    faults: Faults
    hours: float
    clock_hours: float


edits = st.builds(
    Edit,
    kind=st.sampled_from(EDITS),
    which=st.integers(0, 11),
    other=st.integers(0, 11),
    label=st.sampled_from(LABELS),
    arm=st.sampled_from(ARMS),
)
weathers = st.builds(
    Weather,
    faults=st.builds(replace, st.sampled_from((Faults(),) * 8 + FAULTS), seed=st.integers(0, 3)),
    hours=st.sampled_from([0.0, 0.0, 0.2, 0.95, 2.0, 13.0]),
    clock_hours=st.sampled_from([0.0, 0.0, 0.0, -48.0, -2.0, 3.0]),
)


@dataclass(frozen=True)
class Before:
    """What happens before a submission."""

    edits: list[Edit]
    weather: Weather
    look: bool = False


earlier_events = st.builds(
    Before,
    edits=st.lists(edits, max_size=4),
    weather=weathers,
    look=st.sampled_from([False, False, True]),
)
options = st.fixed_dictionaries(
    {},
    optional={
        "resend_changed": st.sampled_from([False, False, True]),
        "delete_data": st.booleans(),
        "transcripts": st.booleans(),
        "max_in_flight": st.sampled_from([1, 3]),
    },
)


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class History(RuleBasedStateMachine):
    """One study, and everything that may happen to it."""

    def __init__(self, world: Any) -> None:
        super().__init__()
        self.world = world
        self.around, self._end = world.begin()
        self.recordings = self.around.folder / "recordings"
        self.lines: list[Line] = []
        self.made = 0
        self.faults = Faults()
        # What was submitted last, and what that made right.
        self.submitted: list[Line] = []
        self.was_killed = False
        self.right_now: set[tuple[str, str]] = set()
        self.begun: set[tuple[str, str]] = set()
        self.resent: Counter[str] = Counter()

    def teardown(self) -> None:
        try:
            if self.lines:
                self.recover_and_finish()
        finally:
            self._end()

    # --- edits of the table and of the files -----------------------------------------------------

    @initialize(count=st.integers(1, 4))
    def begin(self, count: int) -> None:
        self.around.teach()
        for _ in range(count):
            self.add()

    def edit(self, edits: list[Edit]) -> None:
        for edit in edits:
            # An edit needs a row; and a table without any is only the end of a story.
            line = self.lines[edit.which % len(self.lines)] if self.lines else None
            if line is None or edit.kind == "add":
                self.add(edit.label, edit.arm)
            elif edit.kind == "remove":
                self.lines.remove(line)
            elif edit.kind == "reorder":
                self.lines.sort(key=lambda each: sha256_of(f"{each}{edit.which}".encode()))
            else:
                getattr(self, edit.kind)(line, edit)
            self.agree_on_births()

    def agree_on_births(self) -> None:
        """Whoever takes over a label takes over its date of birth: two would be a mistake."""
        born: dict[str, str] = {}
        self.lines = [
            replace(line, born=born.setdefault(line.label, line.born)) for line in self.lines
        ]

    def new_number(self) -> int:
        self.made += 1
        return self.made

    def new_file(self, content: bytes) -> str:
        name = f"f{self.new_number():04}.wav"
        (self.recordings / name).write_bytes(content)
        return name

    def path(self, line: Line) -> Path:
        return self.recordings / line.file

    def content(self, line: Line) -> bytes | None:
        return self.path(line).read_bytes() if self.path(line).exists() else None

    def audio(self, line: Line) -> str | None:
        content = self.content(line)
        return None if content is None else sha256_of(content)

    def other(self, edit: Edit) -> Line:
        return self.lines[edit.other % len(self.lines)]

    def put(self, old: Line, new: Line) -> None:
        self.lines[self.lines.index(old)] = new

    def add(self, label: str = "P01", arm: str = "day") -> None:
        if len(self.lines) < MOST_LINES:
            number = self.new_number()
            file = self.new_file(self.world.recording(number))
            self.lines.append(Line(f"{number:03}", file, label, arm=arm))

    def copy(self, line: Line, edit: Edit) -> None:
        """The same audio once more: as a copy or under the same name, of anybody."""
        content = self.content(line)
        if content is not None and len(self.lines) < MOST_LINES:
            file = self.new_file(content) if edit.other % 3 else line.file
            label = edit.label if edit.which % 3 else line.label
            twin = replace(line, key=f"{self.new_number():03}", file=file, label=label)
            self.lines.insert(edit.other % (len(self.lines) + 1), twin)

    def rename_row(self, line: Line, _: Edit) -> None:
        self.put(line, replace(line, key=f"{self.new_number():03}"))

    def rename_file(self, line: Line, _: Edit) -> None:
        if self.path(line).exists():
            new = f"renamed-{self.new_number():04}.wav"
            self.path(line).rename(self.recordings / new)
            for each in [each for each in self.lines if each.file == line.file]:
                self.put(each, replace(each, file=new))

    def lose_file(self, line: Line, _: Edit) -> None:
        if self.path(line).exists():
            self.path(line).rename(self.path(line).with_suffix(".away"))

    def find_file(self, line: Line, _: Edit) -> None:
        away = self.path(line).with_suffix(".away")
        if away.exists():
            away.rename(self.path(line))

    def record_again(self, line: Line, _: Edit) -> None:
        self.path(line).write_bytes(self.world.recording(self.new_number()))

    def edit_in_place(self, line: Line, _: Edit) -> None:
        content = self.content(line)
        if content is not None:
            mark = f"{self.new_number():03}".encode()
            self.path(line).write_bytes(content[: -len(mark)] + mark)

    def swap_contents(self, line: Line, edit: Edit) -> None:
        first, second = self.path(line), self.path(self.other(edit))
        if first.exists() and second.exists() and first != second:
            aside = self.recordings / "aside"
            first.rename(aside)
            second.rename(first)
            aside.rename(second)

    def swap_speakers(self, line: Line, edit: Edit) -> None:
        other = self.other(edit)
        self.put(line, replace(line, label=other.label))
        if other is not line:
            self.put(other, replace(other, label=line.label))

    def rename_speaker(self, line: Line, edit: Edit) -> None:
        self.put(line, replace(line, label=edit.label))

    def correct_birth(self, line: Line, _: Edit) -> None:
        corrected = BIRTHS[line.born == BIRTHS[0]]
        for each in [each for each in self.lines if each.label == line.label]:
            self.put(each, replace(each, born=corrected))

    def change_tag(self, line: Line, edit: Edit) -> None:
        self.put(line, replace(line, arm=edit.arm))

    def change_remark(self, line: Line, edit: Edit) -> None:
        self.put(line, replace(line, remark=f"seen {edit.other} times"))

    def break_row(self, line: Line, _: Edit) -> None:
        self.put(line, replace(line, sex="woman"))

    def mend_row(self, line: Line, _: Edit) -> None:
        self.put(line, replace(line, sex="FEMALE"))

    # --- the service and the clocks --------------------------------------------------------------

    def prepare(self, before: Before) -> None:
        """Edit the study; then let time pass, and the clock and the service go wrong."""
        if before.look and self.submitted:
            self.look()
        self.edit(before.edits)
        weather = before.weather
        self.faults = weather.faults
        self.around.sandbox.faults = self.faults
        self.around.clocks.ahead += weather.hours * HOUR
        self.around.clocks.set_wrong_by = weather.clock_hours * HOUR

    # --- submissions -----------------------------------------------------------------------------

    def cohort(self) -> hr.Cohort:
        table = pd.DataFrame(
            {
                "recording_id": [line.key for line in self.lines],
                "recording": [line.file for line in self.lines],
                "user_label": [line.label for line in self.lines],
                "date_of_birth": [line.born for line in self.lines],
                "birth_sex": [line.sex for line in self.lines],
                "language": "en-GB",
                "arm": [line.arm for line in self.lines],
                "remark": [line.remark for line in self.lines],
            }
        )
        return hr.Cohort.from_frame(table, tags=["arm"], root=self.recordings)

    def settings(self, chosen: dict[str, Any]) -> dict[str, Any]:
        stuck = self.faults.keeps_runs_stuck
        quick = {"rate": 400.0, "poll_floor_s": 0.01, "preflight": False}
        return quick | {"deadline_s": 0.3 if stuck else 60.0, "patience": 0.4} | chosen

    def sendable(self) -> list[Line]:
        """Rows that may be sent: valid, there, and nobody else's audio."""
        return [
            line
            for line in self.lines
            if not line.is_broken
            and self.path(line).exists()
            and len({twin.said for twin in self.twins(line)}) == 1
        ]

    def twins(self, line: Line) -> list[Line]:
        """The valid rows with the same audio, the row itself included."""
        audio = self.audio(line)
        return [twin for twin in self.lines if not twin.is_broken and self.audio(twin) == audio]

    def expect(self, chosen: dict[str, Any]) -> None:
        """Note what the submission that begins now makes right."""
        asked = {(self.audio(line), line.said) for line in self.sendable()}
        # What a killed process had sent may arrive a little later.
        self.right_now = asked | (self.right_now if self.was_killed else set())
        if chosen.get("resend_changed"):
            self.resent.update({audio for audio, _ in asked})

    @rule(before=earlier_events, chosen=options)
    def submit(self, before: Before, chosen: dict[str, Any]) -> None:
        self.prepare(before)
        self.submit_now(chosen)

    def submit_now(self, chosen: dict[str, Any]) -> bool:
        self.expect(chosen)
        settings = self.settings(chosen)
        return self.carry_out(
            lambda: self.around.study.submit(self.cohort(), progress=False, **settings)
        )

    @rule(before=earlier_events, chosen=options, requests=st.integers(1, 12))
    def submit_and_stop(self, before: Before, chosen: dict[str, Any], requests: int) -> None:
        self.prepare(before)
        self.expect(chosen)
        log = self.around.sandbox.log
        enough = log.count() + requests
        submission = self.around.study.start(self.cohort(), **self.settings(chosen))
        while submission.is_running and log.count() < enough:
            time.sleep(0.001)
        submission.stop()
        self.carry_out(submission.wait, was_stopped=True)

    @rule(before=earlier_events, chosen=options, entry=st.integers(1, 15), after=st.booleans())
    def submit_and_be_killed(
        self, before: Before, chosen: dict[str, Any], entry: int, after: bool
    ) -> None:
        self.prepare(before)
        self.expect(chosen)
        settings = self.settings(chosen)
        ended = self.around.die(self.cohort(), settings, entry, before=not after)
        assert ended in {KILLED, FINISHED, UNREACHABLE}, f"the process ended with {ended}"
        self.was_killed = ended == KILLED
        self.after_submission(may_have_kept_the_old=ended == UNREACHABLE)

    def carry_out(self, act: Callable[[], object], *, was_stopped: bool = False) -> bool:
        """Let a submission end; tell whether it came to the end of its rows."""
        words = None
        try:
            act()
        except ServiceError as error:
            words = str(error)
        assert words is None or words.endswith("."), words
        self.was_killed = False
        is_whole = words is None and not was_stopped
        self.after_submission(may_have_kept_the_old=not is_whole)
        return is_whole

    def after_submission(self, *, may_have_kept_the_old: bool) -> None:
        self.results = self.around.study.results()
        # Until the service has said who it is, another cohort does not take the place of the old.
        if not may_have_kept_the_old or self.is_what_the_study_holds(self.lines):
            self.submitted = list(self.lines)
        view = self.around.view
        requests = view.new_requests()
        begun = view.first_uploads(requests)
        for sent in filter(None, map(view.asked_of, begun)):
            assert sent in self.right_now | self.begun, "sent what no row asks for now"
        # An upload that was begun is brought to its end, whatever the table says by then; of a
        # killed process nobody can tell which it had begun.
        said = set(map(view.said_of, begun))
        self.begun |= {ask for ask in self.right_now if self.was_killed or ask[1] in said}
        answered = view.answers_delivered(requests)
        again = [run for run in answered if run in view.delivered]
        assert not again, f"asked for what was answered before: {again}"
        if not self.was_killed:
            # Of a killed process nobody can tell what it still read.
            assert len(answered) == len(set(answered)), f"asked twice for an answer: {answered}"
            view.delivered |= set(answered)
        self.the_service_was_asked_for_nothing_twice()
        self.every_row_is_there_with_what_the_service_said_of_it()

    # --- what holds ------------------------------------------------------------------------------

    def the_service_was_asked_for_nothing_twice(self) -> None:
        view = self.around.view
        assert view.sandbox.log.violations == []
        for audio, said in view.paid_for().items():
            assert len(said) == len(set(said)), f"{audio} was processed twice for one ask"
            assert len(said) <= 1 + self.resent[audio], f"{audio} was resent without being told"

    def every_row_is_there_with_what_the_service_said_of_it(self) -> None:
        if not self.submitted:
            return
        lines, results = self.submitted, self.results
        assert self.is_what_the_study_holds(lines)
        assert set(results["outcome"]) <= set(Outcome)
        shared: dict[str, set[str]] = {}
        for line, row in zip(lines, results.to_dict("records"), strict=True):
            if row["outcome"] == Outcome.SCORED:
                self.hold_score(line, row)
                shared.setdefault(row["model_run_id"], set()).add(line.said)
            else:
                assert all(pd.isna(row[marker.name]) for marker in BIOMARKERS)
                assert row["outcome"] == Outcome.PENDING or row["error_code"]
        for said in shared.values():
            valid = {text for text in said if "woman" not in text}
            assert len(valid) <= 1, "two participants were given the scores of one recording"

    def is_what_the_study_holds(self, lines: list[Line]) -> bool:
        return all(
            self.results[column].tolist() == [getattr(line, name) for line in lines]
            for column, name in CARRIED.items()
        )

    def hold_score(self, line: Line, row: dict[str, Any]) -> None:
        view = self.around.view
        audio, said = view.asked_of(row["model_run_id"])
        assert audio == row["sha256"], "the scores of another recording"
        expected = view.sandbox.expected_scores(audio, json.loads(said)["user"]["userLabel"])
        for marker in BIOMARKERS:
            assert row[marker.name] == expected[marker.name]
        if said != line.said:
            assert row["error_code"] in {"METADATA_CHANGED", "INVALID_BIRTH_SEX"}

    def look(self) -> None:
        """What else is told of a study agrees with its results."""
        study, results = self.around.study, self.results
        read = pd.read_parquet(study.to_parquet(self.around.folder / "scores.parquet"))
        for name in ("recording_id", "outcome", "sha256", "mental_strain", "remark"):
            assert read[name].astype("str").tolist() == results[name].astype("str").tolist()
        assert study.progress.total == len(results)
        counted = {name: count for name, count in study.progress.outcomes.items() if count}
        assert counted == dict(results["outcome"].value_counts().loc[lambda counts: counts > 0])
        assert set(study.issues.rows["row"]) <= set(range(1, len(results) + 1))

    def recover_and_finish(self) -> None:
        """Once nothing is wrong any more, submitting brings every row to its end."""
        self.faults = self.around.sandbox.faults = Faults()
        assert self.submit_now({}), "a service without faults was not reached"
        # A recording that was changed before its upload was known to arrive is first said to be.
        if (self.results["error_code"] == "INVALID_RECORDING_CHANGED").any():
            assert self.submit_now({}), "a service without faults was not reached"
        results = self.results
        ends = dict(
            zip([line.key for line in self.submitted], results.to_dict("records"), strict=True)
        )
        for line in self.sendable():
            if self.is_another_rows_audio(line, ends):
                continue
            row, content = ends[line.key], self.content(line)
            assert row["sha256"] == self.audio(line), "not the recording that is there"
            expected = {Outcome.SCORED} if self.world.is_good(content) else {Outcome.FAILED}
            expected |= {Outcome.LOST} if self.may_lose(row) else set()
            assert row["outcome"] in expected, f"{line.key}: {row['error_reason']}"
        self.submit_quietly()

    def is_another_rows_audio(self, line: Line, ends: dict[str, dict[str, Any]]) -> bool:
        """Tell whether a row that says otherwise holds its audio, or held it when it was sent."""
        return any(
            (self.audio(other) or ends[other.key]["sha256"]) == self.audio(line)
            for other in self.lines
            if other.said != line.said
        )

    def may_lose(self, row: dict[str, Any]) -> bool:
        run = row["model_run_id"]
        return isinstance(run, str) and self.around.view.deletes(run)

    def submit_quietly(self) -> None:
        """What has come to its end is asked nothing more, whatever it is called by then."""
        log = self.around.sandbox.log
        before = Counter(request.step for request in log.requests)
        outcomes = self.outcomes()
        self.lines.reverse()
        self.submit_now({})
        after = Counter(request.step for request in log.requests)
        assert set(after - before) <= {Step.ACCOUNT}, "finished work was done again"
        assert self.outcomes() == outcomes

    def outcomes(self) -> dict[str, tuple[str, ...]]:
        results = self.results.set_index("recording_id")
        told = results[["outcome", "sha256", "model_run_id", "mental_strain"]]
        return {str(row[0]): tuple(map(str, row[1:])) for row in told.itertuples()}


@pytest.mark.parametrize("hours", [0.0, 2.0], ids=["at once", "after two hours"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("entry", range(1, 6))
def test_a_kill_at_any_entry_into_the_ledger_costs_and_repeats_nothing(
    world: Any, entry: int, after: bool, hours: float
) -> None:
    """Created, answered, uploading, uploaded, scored: killed before or after each is written."""
    story = History(world)
    story.begin(1)
    calm = Weather(Faults(), 0.0, 0.0)
    story.submit_and_be_killed(Before([], calm), {}, entry, after)
    assert story.was_killed
    story.prepare(Before([], replace(calm, hours=hours)))
    # It goes on where it stopped, to the end.
    story.teardown()


@pytest.mark.parametrize("entry", [1, 2])
def test_a_copy_of_audio_that_waits_for_its_upload_is_sent_for_neither_participant(
    world: Any, entry: int
) -> None:
    story = History(world)
    story.begin(1)
    calm = Weather(Faults(), 0.0, 0.0)
    story.submit_and_be_killed(Before([], calm), {}, entry, after=True)
    story.submit(Before([Edit("copy", 1, 1, "P02", "day")], calm), {})
    assert story.results["outcome"].tolist() == ["invalid", "invalid"]
    assert story.around.sandbox.log.runs_by_audio == {}
    story.teardown()


def test_whatever_happens_to_a_study_its_rows_scores_and_money_are_kept(
    world: Any,
) -> None:
    run_state_machine_as_test(
        lambda: History(world),
        settings=settings(
            max_examples=settings().max_examples // 6,
            stateful_step_count=5,
            # Shrinking takes minutes, and so few steps can be read as they are.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            deadline=None,
        ),
    )
