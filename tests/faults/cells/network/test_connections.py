"""What only a server of one's own can do: refuse connections, dribble, flood, pose as another."""

import threading
import zlib
from contextlib import suppress

import pytest

STEPS = ("create", "upload", "poll")
TRY_AGAIN = "Submit again if rows are left `pending`."


def of_each_step(fault: str, happens: dict[str, str], **words: str):
    """Give a cell of each step in which a request is made again."""
    return [
        pytest.param(
            step,
            id=step,
            marks=pytest.mark.fault(
                step=step,
                fault=fault,
                ending="tried again",
                happens=happens[step],
                do=TRY_AGAIN,
                **words,
            ),
        )
        for step in happens
    ]


# --- no one listens --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    of_each_step(
        "connection refused",
        {
            "create": "The run is asked for again.",
            "upload": "The run is asked whether the recording arrived; it did not, so it is sent "
            "again, to the same run.",
            "poll": "The question is asked again.",
        },
        code="UNREACHABLE",
        sees="No connection could be made: Connection refused.",
    ),
)
def test_a_host_where_no_one_listens_is_tried_again(relay, prove_tried_again, clock, step) -> None:
    door = relay.uploads if step == "upload" else relay.api
    before = {"create": "account", "upload": "create", "poll": "upload"}[step]

    def begin(times: int | None) -> None:
        def shut_afterwards(exchange) -> None:
            answer = exchange.ask_the_service()
            door.shut()
            exchange.send(answer)
            if times is not None:
                threading.Timer(0.1, door.open).start()

        relay.play(before, shut_afterwards, 1)

    def end() -> None:
        door.open()
        relay.calm()

    prove_tried_again(begin, end)


# --- answers that do not come to their end ---------------------------------------------------------


def say_nothing(exchange) -> None:
    exchange.body()
    with suppress(TimeoutError):
        exchange.connection.recv(1)  # until the client hangs up


def dribble(exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n")
    while True:  # until the client hangs up
        exchange.send(b" ")
        threading.Event().wait(0.02)


LATE = {"code": "TIMED_OUT", "sees": "No complete answer came in time."}
NOT_WAITED_FOR = {
    "create": "The request is given up (an answer has 90 s) and made again.",
    "upload": "The upload is given up (it has 2 minutes beside the time in which its bytes move). The run is asked whether the recording "
    "arrived; only if not, it is sent again, to the same run.",
    "poll": "The request is given up (an answer has 90 s) and made again.",
}


@pytest.fixture
def in_a_hurry(trial) -> None:
    """Time-outs that a test can wait for, in real seconds."""
    trial.time_outs = trial.time_outs.__class__(read_s=1.0, answer_s=1.5, upload_s=1.5)


@pytest.mark.usefixtures("in_a_hurry")
@pytest.mark.parametrize("step", of_each_step("time-out", NOT_WAITED_FOR, **LATE))
def test_an_answer_that_does_not_come_is_given_up_in_time(prove_by_relay, step) -> None:
    prove_by_relay(step, say_nothing)


@pytest.mark.usefixtures("in_a_hurry")
@pytest.mark.parametrize("step", of_each_step("slow-loris answer", NOT_WAITED_FOR, **LATE))
def test_an_answer_byte_by_byte_is_given_up_in_time(prove_by_relay, step) -> None:
    prove_by_relay(step, dribble)


# --- answers that are too much ---------------------------------------------------------------------

HUGE = 2_000_000_000


class Flood:
    """Sends 2 GB, or what unpacks into 2 GB, and counts what was taken."""

    def __init__(self, *, packed: bool) -> None:
        self.sent = 0
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        # 100 MB of blanks in 100 kB.
        self._block = b" " * 1_000_000
        if packed:
            self._block = (
                b"".join(packer.compress(self._block) for _ in range(100)) + packer.flush()
            )
        self._head = b"Content-Encoding: gzip\r\n" if packed else b""

    def __call__(self, exchange) -> None:
        exchange.body()
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + self._head)
        exchange.send(b"Content-Length: %d\r\n\r\n" % HUGE)
        while True:  # until the client hangs up
            exchange.send(self._block)
            self.sent += len(self._block)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize(
    "step",
    of_each_step(
        "a huge answer",
        {
            "create": "Reading stops at 16 MB, whatever its size, and the request is made again.",
            "poll": "Reading stops at 16 MB, whatever its size, and the request is made again.",
        },
        code="UNREADABLE_ANSWER",
        sees="An answer came that could not be read: it is longer than 16 MB.",
    ),
)
def test_an_answer_without_end_is_cut_off(prove_by_relay, step, packed) -> None:
    flood = Flood(packed=packed)
    prove_by_relay(step, flood)
    # Some tries, each up to the limit and what the system's buffers take.
    assert flood.sent < HUGE


@pytest.mark.fault(
    step="upload",
    fault="a huge answer",
    ending="continues",
    happens="Of the upload host's answer only the status counts; no more than 64 kB are read.",
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_of_the_upload_hosts_answer_only_the_status_counts(trial, relay, packed) -> None:
    flood = Flood(packed=packed)

    def take_and_flood(exchange) -> None:
        exchange.ask_the_service()
        flood(exchange)

    relay.play("upload", take_and_flood)
    assert trial.submit()["outcome"].tolist() == ["scored"] * 3
    assert relay.played == ["upload"] * 3
    assert flood.sent < HUGE
