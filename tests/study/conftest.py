"""A sandbox that answers within a moment, and studies that know it does."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import helios_research as hr
from helios_research.ledger import Ledger, Setting
from helios_research.recording import AudioFacts
from helios_research.recording import examine as examine_recording
from helios_research.sandbox import SandboxSettings
from helios_research.submission import Clock, recording_task, run_poller
from support.faults import Faults
from support.sandbox import ObservedSandbox

# Starting processes to decode takes a second; the tests of the preflight ask for it.
QUICK = {"poll_floor_s": 0.05, "rate": 80.0, "preflight": False}

StudyMaker = Callable[..., hr.Study]
SandboxMaker = Callable[..., ObservedSandbox]


class ShiftedClock(Clock):
    """The machine's clock, some time ahead; of the study and of the sandbox together."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead

    def timestamp(self) -> float:
        return self.now().timestamp()


@pytest.fixture(autouse=True)
def settle_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox shows an upload at once, so nothing has to be waited for."""
    monkeypatch.setattr(run_poller, "CONFIRM_AFTER_S", 0.1)
    monkeypatch.setattr(recording_task, "AFTER_INTERNAL_S", (0.05,))


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
def make_sandbox(clock: ShiftedClock) -> Iterator[SandboxMaker]:
    """Start sandboxes that decide from the real bytes, each set of samples decoded once."""
    started: list[ObservedSandbox] = []
    known: dict[int, AudioFacts] = {}

    def examine(path: str) -> AudioFacts:
        size = Path(path).stat().st_size
        if size not in known:
            known[size] = examine_recording(path)
        return known[size]

    def make(faults: Faults | None = None, **settings: object) -> ObservedSandbox:
        quick = {"processing_s": 0.1, "processing_spread": 0.0, "pickup_s": 0.02} | settings
        sandbox = ObservedSandbox(
            SandboxSettings(**quick), faults=faults, clock=clock.timestamp, examine=examine
        )
        started.append(sandbox.start())
        return sandbox

    yield make
    for sandbox in started:
        sandbox.stop()


@pytest.fixture
def make_study(tmp_path: Path, clock: ShiftedClock) -> StudyMaker:
    """Open studies that have learned that runs take a moment."""

    def make(sandbox: hr.Sandbox | None, name: str = "study") -> hr.Study:
        folder = tmp_path / name
        if not folder.exists():
            with Ledger.open(folder) as ledger:
                times = {"completions": [[13.0, 0.2]] * 30}
                ledger.put_setting_blocking(Setting.LEARNED_TIMES, times)
                ledger.put_setting_blocking(Setting.LEARNED_RATE, 80.0)
        return hr.Study(folder, client=sandbox.client() if sandbox else None, clock=clock)

    return make


@pytest.fixture
def quick() -> dict[str, object]:
    """Settings for a sandbox without a limit."""
    return dict(QUICK)
