"""A sandbox on a clock that stands still, with audio that says what it holds."""

import hashlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from helios_research.recording import AudioFacts, Stamp
from helios_research.sandbox import SandboxSettings
from support.faults import Faults
from support.sandbox import ObservedSandbox

RUNS = "/v1/models/mental-wellness"
PERSON = {"userLabel": "P01", "dateOfBirth": "1990-01-31", "birthSex": "FEMALE"}


@dataclass
class StillClock:
    """Shows the same time until it is moved on."""

    now: float = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def say(*, speech_s: float = 20.0, duration_s: float = 30.0, salt: str = "") -> bytes:
    """Write audio for `read_plainly`."""
    return f"{speech_s} {duration_s} {salt}".encode()


def read_plainly(path: str) -> AudioFacts:
    """Take the place of decoding: the bytes say in plain text what they hold."""
    data = Path(path).read_bytes()
    facts: dict[str, Any] = {"problem": "not audio"}
    if data[:1].isdigit():
        speech_s, duration_s, *_ = data.decode().split(" ")
        facts = {
            "duration_s": float(duration_s),
            "speech_s": float(speech_s),
            "sample_rate_hz": 48_000,
            "channels": 1,
            "level_dbfs": -20.0,
            "noise_floor_dbfs": -60.0,
            "clipped_fraction": 0.0,
        }
    return AudioFacts(
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        stamp=Stamp(len(data), "1"),
        media_type="audio/wav",
        audio_format="wav/pcm",
        **facts,
    )


@dataclass
class Caller:
    """Speaks raw HTTP to a sandbox."""

    sandbox: ObservedSandbox
    api: httpx.Client
    storage: httpx.Client

    def create(self, **changes: Any) -> dict[str, str]:
        answer = self.api.post(RUNS, json={"user": PERSON, "language": "en-GB", **changes})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def put(self, url: str, audio: bytes, **headers: str) -> httpx.Response:
        return self.storage.put(url, content=audio, headers={"content-type": "audio/wav"} | headers)

    def fetch(self, run_id: str) -> httpx.Response:
        return self.api.get(f"{RUNS}/{run_id}")

    def state(self, run_id: str) -> dict[str, Any]:
        answer = self.fetch(run_id)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def submit(self, audio: bytes, **changes: Any) -> str:
        created = self.create(**changes)
        assert self.put(created["recordingUploadUrl"], audio).status_code == 200
        return created["id"]

    def settle(self, run_id: str) -> dict[str, Any]:
        """Move a still clock on until the run is complete; examination takes real time."""
        clock = self.sandbox._clock
        for _ in range(2_000):
            state = self.state(run_id)
            if state["status"].startswith("COMPLETE"):
                return state
            if isinstance(clock, StillClock):
                clock.advance(1.0)
            time.sleep(0.005)
        raise AssertionError(f"never complete: {state}")

    def raw(self, request: bytes, *, to_storage: bool = False) -> tuple[bytes, bool]:
        """Send bytes; return all that comes back and whether the connection was reset."""
        origin = self.sandbox.upload_url if to_storage else self.sandbox.base_url
        parts = urlsplit(origin)
        received = b""
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            connection.sendall(request)
            try:
                while block := connection.recv(65_536):
                    received += block
            except ConnectionResetError:
                return received, True
        return received, False


StartSandbox = Callable[..., Caller]


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    """Load certificates once: each httpx client would do it again, for a plain connection."""
    return ssl.create_default_context()


@pytest.fixture
def start(tls: ssl.SSLContext) -> Iterator[StartSandbox]:
    """Start sandboxes, by default with audio in plain text; stopped after the test."""
    with ExitStack() as stack:

        def starting(
            *,
            faults: Faults | None = None,
            clock: Any = time.time,
            examine: Any = read_plainly,
            **settings: Any,
        ) -> Caller:
            sandbox = stack.enter_context(
                ObservedSandbox(
                    SandboxSettings(**settings), faults=faults, clock=clock, examine=examine
                )
            )
            key = {"x-api-key": sandbox.api_key}
            return Caller(
                sandbox,
                stack.enter_context(
                    httpx.Client(base_url=sandbox.base_url, headers=key, verify=tls)
                ),
                stack.enter_context(httpx.Client(verify=tls)),
            )

        yield starting


@pytest.fixture
def caller(start: StartSandbox, clock: StillClock) -> Caller:
    """Start a sandbox whose clock stands still."""
    return start(clock=clock)


@pytest.fixture
def audio() -> Callable[..., bytes]:
    """Write audio that says what it holds."""
    return say


@pytest.fixture(name="read_plainly")
def reading_plainly() -> Callable[[str], AudioFacts]:
    """Examine audio that says what it holds."""
    return read_plainly
