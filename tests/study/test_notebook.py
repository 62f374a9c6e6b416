"""Submitting in a Jupyter kernel: a monitor that is kept up to date, and a stop button that works."""

import queue
import re
import textwrap
from collections.abc import Iterator

import pytest
from jupyter_client.manager import start_new_kernel

from support.sandbox import ObservedSandbox

SUBMIT = """
    import helios_research as hr
    study = hr.Study("study")
    cohort = hr.read_cohort("manifest.csv")
    results = study.submit(cohort, preflight=False, rate=20, poll_floor_s=0.2)
    len(results)
"""


class Cell:
    """What a front end saw of one cell that was executed."""

    def __init__(self, client, code: str) -> None:
        self._client = client
        self._request = client.execute(textwrap.dedent(code))
        self.messages: list[dict] = []

    def wait(self, until=None) -> "Cell":
        """Collect what appears until the cell has ended, or until something is true."""
        while until is None or not until():
            try:
                message = self._client.get_iopub_msg(timeout=0.2)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") == self._request:
                self.messages.append(message)
                if message["content"].get("execution_state") == "idle":
                    break
        return self

    def of(self, kind: str) -> list[dict]:
        return [message["content"] for message in self.messages if message["msg_type"] == kind]


@pytest.fixture
def kernel(tmp_path, monkeypatch) -> Iterator:
    """A kernel whose home is a temporary folder."""
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / ".jupyter"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def service(make_sandbox, make_cohort, tmp_path, monkeypatch) -> ObservedSandbox:
    """A sandbox that the environment leads to, and a manifest of 30 recordings."""
    sandbox = make_sandbox(processing_s=0.5)
    make_cohort(30).to_csv(tmp_path / "manifest.csv", index=False)
    monkeypatch.setenv("THYMIA_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("THYMIA_API_KEY", sandbox.api_key)
    return sandbox


def test_a_submission_shows_a_monitor_that_follows_it_to_its_end(service, kernel) -> None:
    _, client = kernel
    cell = Cell(client, SUBMIT).wait()
    assert cell.of("error") == []
    live, still = cell.of("display_data")
    assert "application/vnd.jupyter.widget-view+json" in live["data"]
    # What stays in a saved notebook shows the end already when the cell ends.
    last = cell.of("update_display_data")[-1]
    assert last["transient"]["display_id"] == still["transient"]["display_id"]
    assert last["data"]["text/plain"] == "<SubmissionMonitor of study: 30 of 30 done, 30 scored>"
    # The numbers of the live one changed while the cell ran.
    values = [
        content["data"]["state"].get("value", "")
        for content in cell.of("comm_msg")
        if content["data"].get("method") == "update"
    ]
    assert len({value for value in values if "helios-tiles" in value}) > 2
    assert cell.of("stream") == []
    assert cell.of("execute_result")[0]["data"]["text/plain"] == "30"
    assert service.api_key not in repr(cell.messages)


def test_the_stop_button_stops_cleanly_and_the_same_cell_goes_on(service, kernel) -> None:
    manager, client = kernel
    cell = Cell(client, SUBMIT)
    cell.wait(until=lambda: len(service.log.runs_by_audio) >= 4)
    manager.interrupt_kernel()
    cell.wait()
    (error,) = cell.of("error")
    assert error["ename"] == "SubmissionInterrupt"
    (sentence,) = error["traceback"]
    assert re.fullmatch(
        r"Interrupted: \d+ recordings are left, and nothing is lost; run the cell again to continue\.",
        sentence,
    )
    assert service.api_key not in repr(error)
    sent = len(service.log.runs_by_audio)
    assert sent < 30
    # The study is free again in the same kernel, and nothing went on behind it.
    again = Cell(client, SUBMIT).wait()
    assert again.of("error") == []
    assert again.of("execute_result")[0]["data"]["text/plain"] == "30"
    assert {len(runs) for runs in service.log.runs_by_audio.values()} == {1}
    assert service.log.violations == []


def test_a_submission_in_the_background_leaves_the_notebook_free(service, kernel) -> None:
    _, client = kernel
    begun = Cell(client, SUBMIT.replace("study.submit", "study.start").replace("len(results)", ""))
    begun.wait()
    assert begun.of("error") == []
    looked = Cell(client, "results.is_running, study.results()['outcome'].eq('pending').any()")
    assert "True, " in looked.wait().of("execute_result")[0]["data"]["text/plain"]
    stopped = Cell(client, "results.stop(); len(results.wait())").wait()
    assert stopped.of("execute_result")[0]["data"]["text/plain"] == "30"
    finished = Cell(client, SUBMIT).wait()
    assert finished.of("error") == []
    assert {len(runs) for runs in service.log.runs_by_audio.values()} == {1}


def test_a_notebook_without_its_monitor_waits_without_a_word(service, kernel) -> None:
    _, client = kernel
    cell = Cell(client, SUBMIT.replace("rate=20", "rate=20, progress=False")).wait()
    assert cell.of("error") == cell.of("display_data") == cell.of("stream") == []


def test_a_notebook_without_a_key_asks_for_it_and_does_not_show_it(kernel) -> None:
    _, client = kernel
    client.execute("import helios_research as hr; client = hr.Client(); print(client)")
    request = client.get_stdin_msg(timeout=30)["content"]
    assert request == {
        "prompt": "API key for https://api.thymia.ai (is not shown): ",
        "password": True,
    }
    client.input("typed-by-hand")
    cell = Cell(client, "print(len(client._connection.api_key)); client").wait()
    assert cell.of("stream")[0]["text"] == f"{len('typed-by-hand')}\n"
    assert "typed-by-hand" not in repr(cell.messages)


def test_a_notebook_that_runs_by_itself_says_that_there_is_no_key(kernel) -> None:
    _, client = kernel
    client.allow_stdin = False
    cell = Cell(client, "import helios_research as hr; hr.Client()").wait()
    (error,) = cell.of("error")
    assert error["ename"] == "ApiKeyError"
    assert "helios-research key set" in error["evalue"]


def test_a_key_that_is_spelled_out_in_a_cell_is_warned_of_without_being_shown(kernel) -> None:
    _, client = kernel
    key = "spelled-out-in-a-cell"
    cell = Cell(client, f"import helios_research as hr\nhr.Client(api_key='{key}')").wait()
    (warning,) = [one["text"] for one in cell.of("stream")]
    assert "KeyInCodeWarning: This call contains an API key" in warning
    assert key not in repr(
        [one["content"] for one in cell.messages if "code" not in one["content"]]
    )
