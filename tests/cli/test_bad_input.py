"""Whatever is wrong from the start: one sentence that says what to do, exit status 2."""

import http.server
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from helios_research.ledger import Ledger


def submit(helios, manifest, *arguments: object, **settings: object):
    return helios("submit", manifest, "--study", "study", *arguments, **settings)


# --- the table -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [("check",), ("submit", "--study", "study")])
def test_a_manifest_that_is_not_there(helios, refused, verb, tmp_path) -> None:
    finished = helios(*verb, "nowhere.csv")
    refused(finished, "nowhere.csv", "there is no such file", str(tmp_path))
    assert not (tmp_path / "study").exists()


def test_a_manifest_without_a_column_that_is_needed(helios, refused, tmp_path) -> None:
    Path(tmp_path / "table.csv").write_text("recording,participant\na.wav,7\n")
    finished = submit(helios, "table.csv")
    refused(finished, "user_label", "participant", "--column user_label=")


def test_a_workbook_that_is_broken(helios, refused, tmp_path) -> None:
    Path(tmp_path / "table.xlsx").write_bytes(b"PK\x03\x04 and then nothing that makes sense")
    refused(
        submit(helios, "table.xlsx"),
        "table.xlsx cannot be read",
        "Open it in its program and save it again",
    )


def test_a_sheet_that_a_workbook_does_not_have(helios, refused, make_cohort, tmp_path) -> None:
    make_cohort(1).to_excel(tmp_path / "table.xlsx", sheet_name="Visits", index=False)
    refused(submit(helios, "table.xlsx", "--sheet", "Visit"), "Visits")


def test_a_folder_where_a_table_should_be(helios, refused) -> None:
    refused(submit(helios, "."), "it is a folder")


def test_a_tag_that_is_not_a_column(helios, refused, manifest) -> None:
    refused(submit(helios, manifest, "--tags", "arm,vist"), "vist", "arm")


# --- the settings --------------------------------------------------------------------------------


def test_no_key(helios, refused, manifest) -> None:
    refused(submit(helios, manifest, env={"THYMIA_API_KEY": ""}), "THYMIA_API_KEY", "demo")


def test_a_base_url_that_would_show_the_key(helios, refused, manifest) -> None:
    refused(submit(helios, manifest, "--base-url", "http://api.thymia.ai"), "https://")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--rate", "inf"), ("--max-in-flight", "0")],
)
def test_a_number_that_makes_no_sense(helios, refused, manifest, option, value) -> None:
    refused(submit(helios, manifest, option, value), f"Error: {option} is ", "but must be")


def test_an_option_that_cannot_be_read_is_explained_with_the_usage(helios, manifest) -> None:
    finished = submit(helios, manifest, "--column", "participant")
    assert finished.returncode == 2
    assert "NAME=VALUE" in finished.stderr
    assert "Traceback" not in finished.stderr


# --- the service ---------------------------------------------------------------------------------


def test_a_wrong_key_marks_nothing_as_failed(helios, refused, manifest, sandbox, at, quick) -> None:
    finished = submit(helios, manifest, *quick, env=at | {"THYMIA_API_KEY": "not-the-key"})
    refused(finished, "does not know the API key", "THYMIA_API_KEY")
    assert "not-the-key" not in finished.stderr + finished.stdout
    assert submit(helios, manifest, *quick, env=at).returncode == 0


class _Website(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        page = b"<!DOCTYPE html><title>Welcome</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


@pytest.fixture
def website() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Website)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_server_that_is_not_helios(helios, refused, manifest, website) -> None:
    finished = submit(helios, manifest, "--base-url", website)
    refused(finished, website, "does not answer like Helios", "login page")


# --- the study -----------------------------------------------------------------------------------


def test_a_study_that_does_not_exist(helios, refused, tmp_path) -> None:
    words = f"There is no study in {tmp_path / 'nowhere'}: check the path"
    refused(helios("status", "nowhere"), words, "submit")
    refused(helios("export", "nowhere", "--to", "scores.csv"), words)


def test_a_file_where_the_study_should_be(helios, refused, manifest, tmp_path) -> None:
    (tmp_path / "study").write_text("notes")
    refused(submit(helios, manifest), "there is a file")


def test_a_study_folder_that_may_not_be_written_to(helios, refused, manifest, tmp_path) -> None:
    folder = tmp_path / "study"
    folder.mkdir(mode=0o500)
    refused(submit(helios, manifest), str(folder.name), "permission denied")
    assert list(folder.iterdir()) == []


def test_results_stay_readable_in_a_folder_that_may_not_be_written_to(
    helios, manifest, sandbox, at, quick, tmp_path
) -> None:
    submit(helios, manifest, *quick, env=at)
    folder = tmp_path / "study"
    for path in folder.iterdir():
        path.chmod(0o400)
    folder.chmod(0o500)
    finished = helios("status", "study")
    folder.chmod(0o700)
    assert finished.returncode == 0, finished
    assert "scored" in finished.stdout


def test_a_study_of_a_newer_version_is_left_as_it_is(helios, refused, manifest, tmp_path) -> None:
    with Ledger.open(tmp_path / "study"):
        pass
    database = tmp_path / "study" / "helios.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = database.read_bytes()
    refused(submit(helios, manifest), "newer version", "pip install -U helios-research")
    refused(helios("status", "study"), "newer version")
    assert database.read_bytes() == before


def test_a_study_that_another_process_is_using(helios, refused, manifest, tmp_path) -> None:
    with Ledger.open(tmp_path / "study"):
        refused(submit(helios, manifest), "is in use by process", "helios-research status")


@pytest.mark.parametrize(
    ("kilobytes", "remedy"),
    [
        (0, "Free some space"),
        # SQLite calls this an error of the disk.
        (34, "Check that the disk has space left"),
        (60, "Check that the disk has space left"),
    ],
)
def test_a_disk_that_is_full_loses_nothing(
    helios, refused, make_cohort, sandbox, at, quick, tmp_path, kilobytes, remedy
) -> None:
    # Which file is cut first depends on how much fits: the ledger, its log, the cohort, results.
    table = make_cohort(12)
    table.to_csv(tmp_path / "manifest.csv", index=False)
    finished = submit(helios, "manifest.csv", *quick, env=at, largest_file=kilobytes * 1024)
    refused(finished, "Cannot write to", remedy)
    assert list(tmp_path.rglob("*.part")) == []
    finished = submit(helios, "manifest.csv", *quick, env=at)
    assert finished.returncode == 0, finished
    assert {len(runs) for runs in sandbox.log.runs_by_audio.values()} == {1}


def test_a_folder_that_does_not_exist_is_noticed_before_the_checks_are_made(
    helios, manifest
) -> None:
    finished = helios("check", manifest, "--out", "nowhere/checks.csv")
    assert finished.returncode == 2
    assert "there is no folder nowhere" in finished.stderr
    assert finished.stdout == ""


# --- the sandbox ---------------------------------------------------------------------------------


def test_a_port_that_is_taken(helios, refused, sandbox) -> None:
    port = sandbox.base_url.rpartition(":")[2]
    refused(helios("sandbox", "--port", port), port, "choose another")


def test_a_log_that_cannot_be_written(helios, refused) -> None:
    refused(helios("sandbox", "--port", "0", "--log", "nowhere/events"), "nowhere/events")


@pytest.mark.parametrize("wrong", [("--port", "99999"), ("--rate", "-1"), ("--latency", "-1")])
def test_numbers_that_no_sandbox_can_have(helios, wrong) -> None:
    finished = helios("sandbox", *wrong)
    assert finished.returncode == 2
    assert wrong[0] in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_demo_leaves_other_folders_alone(helios, refused, tmp_path) -> None:
    mine = tmp_path / "demo-study" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("chapter 1")
    refused(helios("demo"), "demo-study", "--study DIR")
    assert mine.read_text() == "chapter 1"
    shutil.rmtree(mine.parent)
