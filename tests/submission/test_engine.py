"""The engine ends as soon as something ends it, whatever else it is waiting for."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import helios_research as hr
from helios_research.errors import AccountError
from support.faults import Fault, Faults, Rule, Step
from support.sandbox import ObservedSandbox


@pytest.fixture
def archive_asleep() -> Iterator[tuple[str, threading.Event]]:
    """A web site that answers only once it is woken, or after 30 s."""
    awake = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            awake.wait(30)
            awake.set()
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 - as http.server names them

        def log_message(self, format: str, *values: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", awake
    awake.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_refused_key_ends_a_submission_that_waits_for_a_slow_recording(
    make_cohort, examine_once, tmp_path: Path, archive_asleep
) -> None:
    address, awake = archive_asleep
    table = make_cohort(2)
    table.loc[1, "recording"] = f"{address}/far-away.wav"
    revoked = Faults(rules=(Rule(Fault.STATUS, on=Step.CREATE, status=401),))
    with ObservedSandbox(faults=revoked, examine=examine_once) as sandbox:
        study = hr.Study(tmp_path / "study", client=sandbox.client())
        with pytest.raises(AccountError):
            study.submit(hr.Cohort.from_frame(table), progress=False, preflight=False)
        assert not awake.is_set()
