"""The sandbox starts and stops cleanly wherever it is used."""

import asyncio
import gc
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from helios_research.sandbox import Sandbox, SandboxSettings
from support.faults import Fault, Faults, Rule
from support.sandbox import ObservedSandbox


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if "helios-sandbox" in thread.name}


def test_it_listens_on_two_ports_of_this_machine_and_stops_listening():
    with Sandbox() as sandbox:
        base_url, upload_url = sandbox.base_url, sandbox.upload_url
        assert base_url.startswith("http://127.0.0.1:")
        assert upload_url.startswith("http://127.0.0.1:")
        assert base_url != upload_url
        assert threads()
    assert not threads()
    with pytest.raises(httpx.ConnectError):
        httpx.get(base_url)


async def test_it_works_inside_a_running_loop():
    with Sandbox() as sandbox:
        key = {"x-api-key": sandbox.api_key}
        async with httpx.AsyncClient(base_url=sandbox.base_url, headers=key) as client:
            answers = await asyncio.gather(*(client.get("/v1/account") for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5


def test_it_stops_at_once_while_answers_are_pending():
    slow = Faults(rules=(Rule(Fault.SLOW, delay_s=3_600),))
    parts = []
    with ObservedSandbox(faults=slow) as sandbox, socket.socket() as connection:
        connection.connect(("127.0.0.1", int(sandbox.base_url.rpartition(":")[2])))
        connection.sendall(b"GET /v1/account HTTP/1.1\r\nHost: x\r\n\r\n")
        while not sandbox.log.max_in_flight.get("api"):
            time.sleep(0.005)
        parts.append(threads())
        sandbox.stop()
        parts.append(threads())
    assert parts == [{"helios-sandbox"}, set()]


def test_it_stops_while_an_upload_hangs(start):
    caller = start()
    path = caller.create()["recordingUploadUrl"].removeprefix(caller.sandbox.upload_url)
    port = int(caller.sandbox.upload_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"
        connection.sendall(head.encode())
        while not caller.sandbox.log.max_in_flight.get("upload"):
            time.sleep(0.005)
        caller.sandbox.stop()
    assert not threads()
    assert caller.sandbox.log.count(status=499) == 1


def test_ports_can_be_chosen_and_a_taken_one_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"Port {port} of 127.0.0.1 cannot be used .*or 0"):
            Sandbox(SandboxSettings(port=port)).start()
        assert not threads()
    with Sandbox(SandboxSettings(port=port)) as sandbox:
        assert sandbox.base_url == f"http://127.0.0.1:{port}"


def test_it_starts_once_only_and_has_no_address_before():
    sandbox = Sandbox()
    assert repr(sandbox) == "<Sandbox not started>"
    with pytest.raises(RuntimeError, match="not started: use `with Sandbox"):
        _ = sandbox.base_url
    with sandbox, pytest.raises(RuntimeError, match="starts once only"):
        sandbox.start()


def test_the_log_stays_readable_after_it_stopped_but_faults_cannot_be_set():
    with ObservedSandbox() as sandbox:
        httpx.get(f"{sandbox.base_url}/v1/account")
    assert sandbox.log.count(status=401) == 1
    with pytest.raises(RuntimeError, match="has stopped"):
        sandbox.faults = Faults()


def test_each_sandbox_has_a_key_of_its_own_that_no_repr_shows():
    one, other = Sandbox(), Sandbox()
    assert one.api_key != other.api_key
    assert one.api_key not in repr(one) + repr(one.settings)


def test_latency_holds_every_answer_back(start):
    # The clock that latency goes by is the real one; the test only asks for the lower bound.
    caller = start(latency_s=0.1)
    began = time.monotonic()
    caller.api.get("/v1/account")
    assert time.monotonic() - began >= 0.1


SERVE = """
import json, sys
from helios_research.sandbox import SandboxSettings, serve_forever

def announce(sandbox):
    print(json.dumps([sandbox.base_url, sandbox.api_key]), flush=True)

serve_forever(SandboxSettings(), announce=announce)
print("ended", flush=True)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_as_a_process_it_serves_until_it_is_told_to_end(ending):
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SERVE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        base_url, key = json.loads(process.stdout.readline())
        answer = httpx.get(f"{base_url}/v1/account", headers={"x-api-key": key})
        assert answer.status_code == 200
        process.send_signal(ending)
        out, error = process.communicate(timeout=30)
    assert (out, error, process.returncode) == ("ended\n", "", 0)


def test_a_client_knows_its_address():
    with Sandbox() as sandbox:
        client = sandbox.client()
        assert sandbox.api_key not in repr(client)
        assert sandbox.base_url in repr(client)


def test_whoever_connects_while_it_stops_is_hung_up_on(monkeypatch):
    left: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: left.append(found.exc_value))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for _ in range(5):
            knock_while_it_stops()
            gc.collect()
    assert left == []


def knock_while_it_stops():
    stopped = threading.Event()
    with Sandbox() as sandbox, ExitStack() as callers:
        address = urlsplit(sandbox.base_url)

        def knock():
            while not stopped.is_set():
                with suppress(OSError):
                    callers.enter_context(
                        socket.create_connection((address.hostname, address.port), 0.2)
                    )

        knocking = [threading.Thread(target=knock) for _ in range(2)]
        for thread in knocking:
            thread.start()
        time.sleep(0.02)
        sandbox.stop()
        stopped.set()
        for thread in knocking:
            thread.join()
