"""A study whose time runs fast, its service, and a relay in between that misbehaves."""

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest
from pydantic import SecretStr

import helios_research as hr
from helios_research.api.client import Client
from helios_research.columns import BIOMARKERS
from helios_research.config import ConnectionSettings, TimeOuts
from helios_research.ledger import Ledger, Setting
from helios_research.sandbox import SandboxSettings
from helios_research.submission import LONGEST_NAP_S, Clock
from helios_research.submission.background import Submission
from support.sandbox import ObservedSandbox

SPEED = 25.0


class FastClock(Clock):
    """A clock that goes 25 times as fast, can be set, and lets the machine fall asleep.

    The study and its sandbox go by it together; time-outs of requests take real time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._began = super().now()
        self._origin_s = super().monotonic()
        self._set_by = timedelta(0)
        self._asleep_s = 0.0

    def now(self) -> datetime:
        return self.true_time() + self._set_by

    def true_time(self) -> datetime:
        """The time that the service goes by, whose clock nobody sets."""
        return self._began + timedelta(seconds=self.monotonic() - self._origin_s)

    def monotonic(self) -> float:
        return self.awake() + self._asleep_s

    def awake(self) -> float:
        return self._origin_s + SPEED * (super().monotonic() - self._origin_s)

    async def sleep(self, seconds: float) -> None:
        due_s = self.monotonic() + seconds
        await asyncio.sleep(0)
        # In naps, as the real clock, after which it looks whether the machine was asleep.
        while (left_s := due_s - self.monotonic()) > 0:  # noqa: ASYNC110 - see the line above
            await asyncio.sleep(min(left_s, LONGEST_NAP_S) / SPEED)

    def set_by(self, change: timedelta) -> None:
        """Set the time of day, as a person or a time server does."""
        self._set_by += change

    def suspend(self, seconds: float) -> None:
        """Let that much time pass at once, in which no program ran."""
        self._asleep_s += seconds


@pytest.fixture
def clock() -> FastClock:
    return FastClock()


@dataclass(slots=True)
class Trial:
    """A study at a service that is made to fail, and what has to hold of it whatever happens."""

    sandbox: ObservedSandbox
    clock: FastClock
    folder: Path
    table: pd.DataFrame
    base_url: str = ""
    time_outs: TimeOuts = field(default_factory=TimeOuts)

    @property
    def client(self) -> Client:
        key = SecretStr(self.sandbox.api_key)
        base_url = self.base_url or self.sandbox.base_url
        client = Client(key, base_url=self.sandbox.base_url)
        client._connection = ConnectionSettings(base_url, key, self.time_outs)
        return client

    @property
    def study(self) -> hr.Study:
        """The study, opened anew."""
        return hr.Study(self.folder, client=self.client, clock=self.clock)

    def cohort(self, count: int) -> hr.Cohort:
        """The first recordings of six."""
        return hr.Cohort.from_frame(self.table.head(count), tags=["arm"])

    def start(self, count: int = 3, **settings: object) -> Submission:
        """StartAttempt to submit the first recordings, with settings for a service without a limit."""
        return self.study.start(self.cohort(count), **QUICK | settings)

    def submit(self, count: int = 3, **settings: object) -> pd.DataFrame:
        """Submit the first recordings, and hold what must hold after every submission."""
        results = self.start(count, **settings).wait()
        assert results["recording"].tolist() == self.table["recording"].head(count).tolist()
        self.hold(results)
        return results

    def hold(self, results: pd.DataFrame, runs: int = 1) -> None:
        """Hold that nothing was paid twice, no score is another's, and no rule was broken."""
        processed = self.sandbox.log.runs_by_audio
        assert all(len(ids) <= runs for ids in processed.values()), processed
        assert self.sandbox.log.violations == []
        for row in results[results["outcome"] == "scored"].to_dict("records"):
            assert pd.isna(row["error_code"])
            assert row["model_run_id"] in processed[row["sha256"]]
            expected = self.sandbox.expected_scores(row["sha256"], row["user_label"])
            for marker in BIOMARKERS:
                assert row[marker.name] == expected[marker.name]

    def heal(self, count: int = 3) -> pd.DataFrame:
        """Submit once more after the fault is over: all are scored, and each was paid once."""
        results = self.submit(count)
        assert results["outcome"].tolist() == ["scored"] * count, results["error_reason"].tolist()
        assert len(self.sandbox.log.runs_by_audio) == count
        written = pd.read_parquet(self.folder / "results.parquet")
        assert written["outcome"].tolist() == ["scored"] * count
        return results


# Seconds of the fast clock.
QUICK = {"rate": 20.0, "poll_floor_s": 0.5, "preflight": False}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where the study is."""
    return tmp_path / "study"


@pytest.fixture
def trial(make_cohort, examine_once, folder, clock) -> Iterator[Trial]:
    """Set up a study that knows its service, and the service."""
    with Ledger.open(folder) as ledger:
        ledger.put_setting_blocking(Setting.LEARNED_TIMES, {"completions": [[13.0, 2.0]] * 30})
    settings = SandboxSettings(processing_s=1.0, processing_spread=0.0, pickup_s=0.5)
    with ObservedSandbox(
        settings, clock=lambda: clock.true_time().timestamp(), examine=examine_once
    ) as sandbox:
        yield Trial(sandbox, clock, folder, make_cohort(6))


# --- the relay -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Exchange:
    """One request that has come to the relay, and the means to do something about it."""

    relay: "Relay"
    connection: socket.socket
    head: bytes
    rest: bytes

    @property
    def step(self) -> str:
        """The kind of the request, by the name of its column in the matrix."""
        method, path = self.head.split(b" ", 2)[:2]
        if method == b"GET":
            return "account" if path.endswith(b"/account") else "poll"
        return {b"POST": "create", b"PUT": "upload"}[method]

    @property
    def headers(self) -> dict[str, str]:
        """Its header fields, names in lower case."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.split(": ", 1) for line in lines if line)
        return {name.lower(): value for name, value in pairs}

    def body(self) -> bytes:
        """Read the body to its end."""
        length = int(self.headers.get("content-length", "0"))
        while len(self.rest) < length:
            block = self.connection.recv(65_536)
            if not block:
                raise ConnectionAbortedError("the client went away")
            self.rest += block
        return self.rest

    def ask_the_service(self) -> bytes:
        """Pass the request on, and give the whole of the true answer."""
        method, path, _ = self.head.decode("latin-1").split("\r\n")[0].split(" ")
        host = self.relay.sandbox.upload_url if method == "PUT" else self.relay.sandbox.base_url
        onward = HTTPConnection(urlsplit(host).netloc, timeout=30)
        try:
            onward.request(method, path, self.body(), self.headers)
            answer = onward.getresponse()
            return whole(answer.status, self.relay.redirected(answer.read()), answer.headers)
        finally:
            onward.close()

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def answer(self, status: int, body: bytes) -> None:
        """Answer in place of the service."""
        self.body()
        self.send(whole(status, body))


def whole(status: int, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """Put an answer together that ends its connection."""
    kept = {name.lower(): value for name, value in (headers or {}).items()}
    kept |= {"content-length": str(len(body)), "connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode("latin-1") + body


Trick = Callable[[Exchange], None]


class Door:
    """A port that can be shut, so that connections are refused, and opened again."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._answer = answer
        self._socket: socket.socket | None = None
        self.port = 0
        self.open()

    def open(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._listen, args=[self._socket], daemon=True).start()

    def shut(self) -> None:
        if self._socket is not None:
            # Closing alone does not wake the thread that waits for connections.
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None

    def _listen(self, listening: socket.socket) -> None:
        with suppress(OSError):  # shut
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=self._answer, args=[connection], daemon=True).start()


@dataclass(slots=True)
class Relay:
    """Passes requests on to a sandbox, except those that a trick is played on.

    Each request has a connection of its own. Upload URLs lead through the relay too.
    """

    sandbox: ObservedSandbox
    tls: dict[int, ssl.SSLContext] = field(default_factory=dict)
    tricks: dict[str, Trick] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    played: list[str] = field(default_factory=list)
    upload_url: Callable[[str], str] | None = None
    api: Door = field(init=False)
    uploads: Door = field(init=False)
    upload_scheme: str = "http"

    def __post_init__(self) -> None:
        self.api, self.uploads = Door(self._serve), Door(self._serve)

    @property
    def base_url(self) -> str:
        return f"{'https' if self.api.port in self.tls else 'http'}://127.0.0.1:{self.api.port}"

    def play(self, step: str, trick: Trick, times: int | None = None) -> None:
        """Do something else with requests of a step, so many times or until `calm`."""
        self.times[step] = 1_000_000 if times is None else times
        self.tricks[step] = trick

    def calm(self) -> None:
        """Play no more tricks."""
        self.tricks.clear()

    def redirected(self, body: bytes) -> bytes:
        """Let an upload URL lead here, or wherever a test wants it."""
        if b"recordingUploadUrl" not in body:
            return body
        said = json.loads(body)
        url = said["recordingUploadUrl"].replace(
            self.sandbox.upload_url, f"{self.upload_scheme}://127.0.0.1:{self.uploads.port}"
        )
        said["recordingUploadUrl"] = url if self.upload_url is None else self.upload_url(url)
        return json.dumps(said).encode()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        # Whatever breaks here is what the client was meant to see, or its own hanging up.
        with suppress(OSError, ssl.SSLError):
            tls = self.tls.get(connection.getsockname()[1])
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            with connection:
                self._exchange(connection)

    def _exchange(self, connection: socket.socket) -> None:
        received = connection.recv(65_536)
        if not received[:1].isupper():
            # Not HTTP but TLS, of which this port knows nothing; or nothing at all.
            connection.sendall(whole(400, b""))
            return
        while b"\r\n\r\n" not in received:
            received += connection.recv(65_536)
        head, _, rest = received.partition(b"\r\n\r\n")
        exchange = Exchange(self, connection, head, rest)
        step = exchange.step
        trick = self.tricks.get(step)
        if trick is None or self.times[step] <= 0:
            exchange.send(exchange.ask_the_service())
            return
        self.times[step] -= 1
        self.played.append(step)
        trick(exchange)

    def close(self) -> None:
        self.api.shut()
        self.uploads.shut()


@pytest.fixture
def relay(trial) -> Iterator[Relay]:
    """A relay in front of the trial's sandbox."""
    relay = Relay(trial.sandbox)
    trial.base_url = relay.base_url
    yield relay
    relay.close()
