"""What stands between a study and its service: a relay that can do to a request what it likes."""

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pandas as pd
import pytest

import helios_research as hr
from helios_research.errors import NotHeliosError
from helios_research.sandbox import Faults, Rule

OUTAGE = {"outage_s": 2.0}
"""Seconds of the fast clock after which a request is given up."""


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

    sandbox: hr.Sandbox
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


# --- proofs --------------------------------------------------------------------------------------


@pytest.fixture
def waiting(cell) -> Callable[[pd.DataFrame], None]:
    """Hold that the first three rows keep their scores, and the others wait as the cell says."""

    def check(results: pd.DataFrame) -> None:
        assert results["outcome"].tolist() == ["scored"] * 3 + ["pending"] * 3
        assert results["error_code"].tolist()[3:] == [cell.code] * 3, results["error_reason"].tolist()
        told = re.escape(cell.sees).replace(r"\{place\}", ".*")
        for reason in results["error_reason"].tolist()[3:]:
            assert re.fullmatch(told, reason), reason

    return check


@pytest.fixture
def prove_tried_again(trial, waiting) -> Callable[..., None]:
    """Prove that a fault that passes is not noticed, and that after one that lasts all goes on."""

    def prove(begin: Callable[[int | None], None], end: Callable[[], None]) -> None:
        begin(2)
        assert trial.submit()["outcome"].tolist() == ["scored"] * 3
        begin(None)
        waiting(trial.submit(6, **OUTAGE))
        end()
        trial.heal(6)

    return prove


@pytest.fixture
def prove_by_sandbox(trial, prove_tried_again) -> Callable[[Rule], None]:
    """Prove it with a fault that the sandbox itself can bring about."""

    def prove(rule: Rule) -> None:
        def begin(times: int | None) -> None:
            trial.sandbox.faults = Faults(rules=(replace(rule, times=times),))

        def end() -> None:
            assert trial.sandbox.log.faults_struck(rule.fault, rule.on) > 2
            trial.sandbox.faults = Faults()

        prove_tried_again(begin, end)

    return prove


@pytest.fixture
def prove_by_relay(relay, prove_tried_again) -> Callable[[str, Trick], None]:
    """Prove it with a trick of the relay's."""

    def prove(step: str, trick: Trick) -> None:
        def end() -> None:
            assert relay.played.count(step) > 2
            relay.calm()

        prove_tried_again(lambda times: relay.play(step, trick, times), end)

    return prove


@pytest.fixture
def prove_stop(trial, cell) -> Callable[[Callable[[], None]], None]:
    """Prove that the submission ends with the cell's sentence, and that the next one goes on."""

    def prove(end: Callable[[], None]) -> None:
        told = re.escape(cell.sees).replace(r"\{place\}", ".*")
        with pytest.raises(NotHeliosError) as caught:
            trial.submit()
        assert re.fullmatch(told, str(caught.value)), str(caught.value)
        left = trial.study.results()
        trial.hold(left)
        assert set(left["outcome"]) <= {"pending", "scored"}
        end()
        trial.heal()

    return prove
