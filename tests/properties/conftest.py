"""A study's surroundings: recordings on a disk, a service that remembers, clocks that jump."""

import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import helios_research as hr
from helios_research.ledger import Ledger, Setting
from helios_research.recording import AudioFacts
from helios_research.recording import examine as examine_recording
from helios_research.sandbox import SandboxSettings
from helios_research.submission import (
    Clock,
    engine,
    polling,
    rate_limiter,
    recording_task,
    retrying_client,
    run_poller,
)
from support.faults import Step
from support.sandbox import ObservedSandbox

CONFIRM_AFTER_S = 0.02
RATE = 400.0
SUBMITTING_CHILD = Path(__file__).with_name("submit_and_die.py")

Audio = str
"""SHA-256 of some bytes, as the server and this test compute it, each for itself."""
Asked = tuple[Audio, str]
"""Some audio, and what was said to Helios about it, as canonical JSON."""


class Clocks(Clock):
    """The machine's clock, which may be set wrong, and the world's, which only goes forward."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = timedelta(0)
        self.set_wrong_by = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead + self.set_wrong_by

    def of_the_service(self) -> float:
        return time.time() + self.ahead.total_seconds()


def without_housekeeping(request: dict[str, Any]) -> str:
    """What a request says about the recording, as text; how long to keep it is no part of that."""
    said = {name: request[name] for name in request if "delete" not in name.lower()}
    said["tags"] = sorted(said.get("tags", []), key=lambda tag: tag["name"])
    return json.dumps(said, sort_keys=True)


@dataclass
class ServiceView:
    """What the service saw: the witness against which a study is held."""

    sandbox: ObservedSandbox
    delivered: set[str] = field(default_factory=set)
    seen_puts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    uploads_begun: set[str] = field(default_factory=set)
    _read: int = 0

    @property
    def audio_of_runs(self) -> dict[str, Audio]:
        return {
            run: audio for audio, runs in self.sandbox.log.runs_by_audio.items() for run in runs
        }

    def asked_of(self, run: str) -> Asked | None:
        """What a run was made for; None while no audio reached it."""
        audio = self.audio_of_runs.get(run)
        return None if audio is None else (audio, self.said_of(run))

    def said_of(self, run: str) -> str:
        return without_housekeeping(self.sandbox.log.request_of(run))

    def deletes(self, run: str) -> bool:
        return bool(self.sandbox.log.request_of(run).get("deleteData"))

    def paid_for(self) -> dict[Audio, list[str]]:
        """For each audio, what was said with each run that processed it and did not fail inside."""
        ends = self.sandbox.error_codes()
        return {
            audio: [self.said_of(run) for run in runs if ends.get(run) != "ERR_INTERNAL"]
            for audio, runs in self.sandbox.log.runs_by_audio.items()
        }

    def new_requests(self) -> list[Any]:
        """The requests since this was asked last."""
        requests = self.sandbox.log.requests
        new, self._read = requests[self._read :], len(requests)
        return new

    def first_uploads(self, requests: list[Any]) -> list[str]:
        """Runs that were given audio, and that no upload had been begun for before."""
        begun = {request.path.rpartition("/")[2] for request in requests if is_upload(request)}
        first, self.uploads_begun = begun - self.uploads_begun, self.uploads_begun | begun
        return sorted(first)

    def answers_delivered(self, requests: list[Any]) -> list[str]:
        """Runs whose final answer went out whole, as often as it did.

        Not those that failed inside: they are asked about once more before another is paid for.
        """
        failed = {run for run, code in self.sandbox.error_codes().items() if code == "ERR_INTERNAL"}
        ends = {run: at for run, at in self.sandbox.completions().items() if run not in failed}
        runs = [request.path.rpartition("/")[2] for request in requests if is_answered(request)]
        at = [request.at for request in requests if is_answered(request)]
        return [
            run for run, when in zip(runs, at, strict=True) if run in ends and ends[run] <= when
        ]


def is_upload(request: Any) -> bool:
    return request.step is Step.UPLOAD


def is_answered(request: Any) -> bool:
    return request.step is Step.POLL and request.status == 200 and request.fault is None


@dataclass
class Surroundings:
    """Everything around one study."""

    folder: Path
    sandbox: ObservedSandbox
    clocks: Clocks
    view: ServiceView
    submit_and_die: Callable[[dict[str, Any]], int]

    @property
    def study(self) -> hr.Study:
        """The study, opened anew, as another session would."""
        return hr.Study(self.folder / "study", client=self.sandbox.client(), clock=self.clocks)

    def teach(self) -> None:
        """Let the study know that runs take a moment: waiting is tested elsewhere."""
        with Ledger.open(self.folder / "study", clock=self.clocks.now) as ledger:
            ledger.put_setting_blocking(
                Setting.LEARNED_TIMES, {"completions": [[13.0, 0.02], [None, 0.02]] * 15}
            )

    def die(self, cohort: hr.Cohort, options: dict[str, Any], entry: int, *, before: bool) -> int:
        """Submit in a process of its own that is killed at one of its entries into the ledger."""
        path = self.folder / "cohort-of-the-other-process.parquet"
        cohort.save(path)
        shift = self.clocks.ahead + self.clocks.set_wrong_by
        return self.submit_and_die(
            {
                "study": str(self.folder / "study"),
                "cohort": str(path),
                "api_key": self.sandbox.api_key,
                "base_url": self.sandbox.base_url,
                "ahead_s": shift.total_seconds(),
                "confirm_after_s": CONFIRM_AFTER_S,
                "options": options,
                "entry": entry,
                "before": before,
            }
        )


@dataclass
class World:
    """Gives each story a study, a disk and a service of its own."""

    audio: Callable[[bytes, str], bytes]
    speech: bytes = field(repr=False)
    submit_and_die: Callable[[dict[str, Any]], int]
    _known: dict[str, AudioFacts] = field(default_factory=dict)

    def begin(self) -> tuple[Surroundings, Callable[[], None]]:
        """Surroundings for a story, and what to call at its end."""
        place = tempfile.TemporaryDirectory(prefix="helios-story-")
        clocks = Clocks()
        sandbox = ObservedSandbox(
            SandboxSettings(processing_s=0.01, processing_spread=0.0, pickup_s=0.005),
            clock=clocks.of_the_service,
            examine=self._examine,
        )
        sandbox.start()

        def end() -> None:
            sandbox.stop()
            place.cleanup()

        folder = Path(place.name)
        (folder / "recordings").mkdir()
        view = ServiceView(sandbox)
        return Surroundings(folder, sandbox, clocks, view, self.submit_and_die), end

    def recording(self, number: int) -> bytes:
        """Make a file that is like no other: speech, too little of it, or no audio at all."""
        remark = f"recording {number:06}"
        if number % 7 == 5:
            return self.audio(self.speech[:96_000], remark)
        if number % 7 == 6:
            return f"Notes about {remark}.\n".encode() * 30
        return self.audio(self.speech, remark)

    def is_good(self, content: bytes) -> bool:
        return len(content) > len(self.speech)

    def _examine(self, path: str) -> AudioFacts:
        # The remark that tells recordings apart stands behind the samples.
        head = hashlib.sha256(Path(path).read_bytes()[:90_000]).hexdigest()
        if head not in self._known:
            self._known[head] = examine_recording(path)
        return self._known[head]


@pytest.fixture(scope="module")
def submit_and_die() -> Iterator[Callable[[dict[str, Any]], int]]:
    """Submit in a process that is killed; gives its exit status, -9 where it was."""
    children: list[subprocess.Popen[str]] = []

    def submit(job: dict[str, Any]) -> int:
        if not children:
            children.append(
                subprocess.Popen(
                    [sys.executable, str(SUBMITTING_CHILD)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    # A process that forks is to have no threads but its first.
                    env={**os.environ, "PYTHONWARNINGS": "ignore", "OPENBLAS_NUM_THREADS": "1"},
                )
            )
        (child,) = children
        child.stdin.write(json.dumps(job) + "\n")
        child.stdin.flush()
        return int(child.stdout.readline())

    yield submit
    for child in children:
        child.stdin.close()
        child.wait(timeout=30)
        child.stdout.close()


@pytest.fixture
def world(
    as_wav: Callable[..., bytes],
    speech: bytes,
    submit_and_die: Callable[[dict[str, Any]], int],
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """Make studies whose service answers within a moment, so that nothing has to be waited for."""
    hasty = functools.partial(
        retrying_client.RetryPolicy, first_s=CONFIRM_AFTER_S, cap_s=5 * CONFIRM_AFTER_S
    )
    monkeypatch.setattr(run_poller, "CONFIRM_AFTER_S", CONFIRM_AFTER_S)
    monkeypatch.setattr(run_poller, "SETTLING_S", 5 * CONFIRM_AFTER_S)
    monkeypatch.setattr(recording_task, "AFTER_INTERNAL_S", (CONFIRM_AFTER_S,))
    monkeypatch.setattr(rate_limiter, "FIRST_PAUSE_S", CONFIRM_AFTER_S)
    monkeypatch.setattr(polling, "MARGIN_S", 0.0)
    monkeypatch.setattr(engine, "RetryPolicy", hasty)
    monkeypatch.setattr(engine, "_FIRST_CALL", hasty(max_elapsed_s=1.0))
    return World(as_wav, speech, submit_and_die)
