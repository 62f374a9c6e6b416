"""The API key and upload URLs are nowhere that anybody could read them afterwards."""

import logging
import os
import re
import stat
import traceback
import zipfile
from pathlib import Path

import httpx
import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

import helios_research as hr
from helios_research.errors import (
    AccountError,
    NotHeliosError,
    ServiceError,
    StudyLockedError,
    StudyStorageError,
    UnreachableError,
)
from helios_research.ledger import Ledger
from helios_research.sandbox import TRANSCRIPT_MARK
from support.faults import Fault, Faults, Rule, Step

KEY = "a-key-that-must-not-be-seen"
TRANSCRIPT = TRANSCRIPT_MARK.encode()
SIGNATURE = re.compile(rb"[?&](?:X-[A-Za-z-]*)?[Ss]ignature=", re.ASCII)


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Logging as chatty as it gets, that of the HTTP libraries included."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio", "helios_research"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def bytes_in(study: hr.Study) -> bytes:
    return bytes_of(study.folder)


def bytes_of(folder: Path) -> bytes:
    """Every byte in a folder; of compressed files also what is in them."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            found.append(path.read_bytes())
        if path.suffix == ".parquet":
            found.append(pd.read_parquet(path).to_csv().encode())
        if path.suffix == ".xlsx":
            with zipfile.ZipFile(path) as book:
                found += map(book.read, book.namelist())
    return b"\n".join(found)


def verbose(error: BaseException) -> str:
    """Word an error with the variables of every frame, as `%xmode Verbose` does."""
    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(whole.format())


def test_a_study_and_its_logs_hold_neither_the_key_nor_an_upload_url(
    make_cohort, make_sandbox, make_study, quick, everything_logged, capfd
) -> None:
    sandbox = make_sandbox(Faults.hostile(0.2, seed=2), api_key=KEY)
    study = make_study(sandbox)
    results = study.submit(hr.Cohort.from_frame(make_cohort(8)), **quick)
    study.to_parquet(study.folder / "scores.parquet")
    assert results["outcome"].eq("scored").all()
    written = bytes_in(study)
    out, err = capfd.readouterr()
    said = "\n".join(
        [everything_logged.text, out, err, results.to_csv(), repr(study), repr(sandbox.client())]
    )
    assert "httpx" in {record.name for record in everything_logged.records}
    for place in (written, said.encode()):
        assert KEY.encode() not in place
        assert not SIGNATURE.search(place)
        assert sandbox.upload_url.encode() + b"/recordings" not in place
    assert sandbox.log.violations == []


def test_an_upload_url_is_in_the_ledger_alone_and_only_while_its_upload_is_open(
    make_cohort, make_sandbox, make_study, quick, everything_logged
) -> None:
    nothing_arrives = Faults(rules=(Rule(Fault.RESET, on=Step.UPLOAD),))
    sandbox = make_sandbox(nothing_arrives)
    study = make_study(sandbox)
    cohort = hr.Cohort.from_frame(make_cohort(2))
    study.submit(cohort, progress=False, patience=0.3, **quick)
    with Ledger.read(study.folder) as ledger:
        urls = [attempt.upload_url for attempt in ledger.attempts()]
        trail = repr(ledger.transitions())
        reasons = repr([attempt.error_reason for attempt in ledger.attempts()])
    assert len(urls) == 2
    holding = [path.name for path in study.folder.iterdir() if SIGNATURE.search(path.read_bytes())]
    assert holding == ["helios.sqlite"]
    for url in urls:
        secret = url.partition("?")[2]
        assert secret
        for place in (trail, reasons, everything_logged.text, study.results().to_csv()):
            assert secret not in place
    sandbox.faults = Faults()
    study.submit(progress=False, **quick)
    assert not SIGNATURE.search(bytes_in(study))


def test_a_refused_key_is_not_in_the_traceback_nor_in_any_variable_that_it_shows(
    make_cohort, make_sandbox, tmp_path, quick
) -> None:
    sandbox = make_sandbox()
    study = hr.Study(tmp_path / "study", client=hr.Client(api_key=KEY, base_url=sandbox.base_url))
    with pytest.raises(AccountError) as caught:
        study.submit(hr.Cohort.from_frame(make_cohort(1)), progress=False, **quick)
    whole = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert KEY not in "".join(whole.format())
    assert KEY.encode() not in bytes_in(study)


def test_a_study_is_for_its_owner_alone(make_cohort, make_sandbox, make_study, quick) -> None:
    study = make_study(make_sandbox())
    study.submit(hr.Cohort.from_frame(make_cohort(1)), progress=False, **quick)
    assert stat.S_IMODE(study.folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in study.folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert {"helios.sqlite", "cohort.parquet", "results.parquet"} <= set(modes)


def test_only_what_the_api_needs_leaves_the_machine(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(2, diagnosis="private", clinician="Dr Who")
    study = make_study(sandbox)
    cohort = hr.Cohort.from_frame(table, tags=["arm"])
    results = study.submit(cohort, progress=False, **quick)
    assert results["diagnosis"].tolist() == ["private", "private"]
    for run in sandbox.log.puts:
        sent = repr(sandbox.log.request_of(run))
        assert "P000" in sent
        for kept in ("private", "diagnosis", "Dr Who", "r0000", str(study.folder.parent)):
            assert kept not in sent


def test_a_log_that_a_researcher_may_publish_names_no_participant(
    make_cohort, make_sandbox, make_study, quick, everything_logged
) -> None:
    study = make_study(make_sandbox())
    study.submit(hr.Cohort.from_frame(make_cohort(2)), progress=False, **quick)
    assert httpx.__name__ in everything_logged.text
    assert "P000" not in everything_logged.text
    assert "1990-05-17" not in everything_logged.text


# --- every kind of artefact -----------------------------------------------------------------------


def test_no_file_that_a_study_can_write_holds_key_signature_or_transcript(
    make_cohort, make_sandbox, make_study, quick, everything_logged, capfd, tmp_path
) -> None:
    sandbox = make_sandbox(api_key=KEY)
    study = make_study(sandbox)
    results = study.submit(hr.Cohort.from_frame(make_cohort(4), tags=["arm"]), **quick)
    written = tmp_path / "written"
    written.mkdir()
    for ending in ("parquet", "csv", "xlsx", "sav", "dta"):
        study.export(written / f"scores.{ending}")
    study.report(written / "report.html")
    assert len(list(written.iterdir())) == 5 * 4 + 1
    assert results["transcript"].isna().all()
    out, err = capfd.readouterr()
    said = f"{everything_logged.text}{out}{err}{results.to_csv()}{study.progress}{study.estimate()}"
    for place in (bytes_of(written), bytes_in(study), said.encode()):
        assert KEY.encode() not in place
        assert not SIGNATURE.search(place)
        assert TRANSCRIPT not in place


def test_transcripts_are_in_the_study_and_its_exports_only_where_they_were_asked_for(
    make_cohort, make_sandbox, make_study, quick, everything_logged, capfd
) -> None:
    study = make_study(make_sandbox())
    cohort = hr.Cohort.from_frame(make_cohort(1))
    results = study.submit(cohort, transcripts=True, **quick)
    assert TRANSCRIPT.decode() in results["transcript"][0]
    assert TRANSCRIPT in bytes_in(study)
    out, err = capfd.readouterr()
    report = study.report(study.folder / "report.html").read_text(encoding="utf-8")
    for said in (everything_logged.text, out, err, report, repr(study), str(study.progress)):
        assert TRANSCRIPT.decode() not in said


def test_at_no_moment_of_a_submission_is_a_secret_outside_of_the_ledger(
    local_volume, make_cohort, make_sandbox, make_study, quick
) -> None:
    """Looked at again and again while uploads fail and are begun anew."""
    sandbox = make_sandbox(Faults.hostile(0.3, seed=5), api_key=KEY)
    study = make_study(sandbox)
    running = study.start(hr.Cohort.from_frame(make_cohort(12)), monitor=False, **quick)
    holding: set[str] = set()
    while running.is_running:
        for path in study.folder.iterdir():
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            assert KEY.encode() not in content
            if SIGNATURE.search(content):
                holding.add(path.name)
    running.wait()
    assert holding
    assert holding <= {"helios.sqlite", "helios.sqlite-wal"}
    assert not SIGNATURE.search(bytes_in(study))


# --- tracebacks -----------------------------------------------------------------------------------


def test_no_error_of_the_service_shows_a_secret_even_with_all_variables(
    make_cohort, make_sandbox, tmp_path, quick
) -> None:
    cohort = hr.Cohort.from_frame(make_cohort(1))
    stranger = make_sandbox(api_key="another")
    page = Faults(rules=(Rule(Fault.HTML),))
    cases: list[tuple[str, type[ServiceError]]] = [
        (stranger.base_url, AccountError),
        (make_sandbox(page, api_key=KEY).base_url, NotHeliosError),
        ("http://127.0.0.1:9", UnreachableError),
    ]
    for number, (base_url, kind) in enumerate(cases):
        study = hr.Study(tmp_path / str(number), client=hr.Client(KEY, base_url=base_url))
        with pytest.raises(kind) as caught:
            study.submit(cohort, progress=False, patience=0.2, **quick)
        # The test's own frame names the key.
        assert KEY not in verbose(caught.value.with_traceback(caught.tb.tb_next))
        assert KEY not in repr(caught.value.args)


@pytest.mark.parametrize("is_fatal", [True, False])
def test_an_error_in_the_middle_of_it_shows_no_secret_either(
    make_cohort, make_sandbox, make_study, quick, monkeypatch, everything_logged, is_fatal
) -> None:
    """Raised where an upload URL and the key are at hand, as by a full disk or by a mistake."""
    sandbox = make_sandbox(api_key=KEY)
    study = make_study(sandbox)
    error = StudyStorageError(study.folder, "no") if is_fatal else RuntimeError("a mistake")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("helios_research.api.client.Service.upload", fail)
    cohort = hr.Cohort.from_frame(make_cohort(1))
    if is_fatal:
        with pytest.raises(StudyStorageError):
            study.submit(cohort, progress=False, **quick)
    else:
        study.submit(cohort, progress=False, **quick)
        assert "a mistake" in everything_logged.text
    first = error.__traceback__
    while first is not None and "test_secrets" in first.tb_frame.f_code.co_filename:
        first = first.tb_next
    shown = verbose(error.with_traceback(first)) + everything_logged.text
    assert "in _put" in shown
    assert KEY not in shown
    assert not SIGNATURE.search(shown.encode())


def test_a_study_in_use_shows_no_secret(make_cohort, make_sandbox, make_study, quick) -> None:
    sandbox = make_sandbox(api_key=KEY, processing_s=60.0)
    study = make_study(sandbox)
    cohort = hr.Cohort.from_frame(make_cohort(1))
    running = study.start(cohort, monitor=False, **quick)
    with pytest.raises(StudyLockedError) as caught:
        study.submit(cohort, progress=False, **quick)
    running.stop()
    running.wait()
    assert KEY not in verbose(caught.value.with_traceback(caught.tb.tb_next))


# --- a notebook -----------------------------------------------------------------------------------


def test_a_saved_notebook_holds_no_secret(make_cohort, make_sandbox, tmp_path, monkeypatch) -> None:
    """One that submits with the monitor, fails with all variables shown, and explores."""
    sandbox = make_sandbox(api_key=KEY)
    make_cohort(3).to_csv(tmp_path / "manifest.csv", index=False)
    monkeypatch.setenv("THYMIA_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("THYMIA_API_KEY", KEY)
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / ".jupyter"))
    cells = [
        "%xmode Verbose\nimport helios_research as hr, logging\nlogging.basicConfig(level='DEBUG')",
        "client = hr.Client()\nclient",
        "study = hr.Study('study')\ncohort = hr.read_cohort('manifest.csv')\ncohort",
        "study.start(cohort, preflight=False, rate=50, poll_floor_s=0.1).wait()",
        "study.submit(cohort, rate=-1)",
        "hr.Client(region='nowhere')",
        "hr.Study('other', client=hr.Client(base_url='http://127.0.0.1:9')).submit(cohort)",
        "hr.widgets.Explorer(study.results())",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    runner = NotebookClient(
        notebook, timeout=90, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
    )
    runner.execute()
    saved = nbformat.writes(notebook)
    errors = [
        output["ename"]
        for cell in notebook.cells
        for output in cell.outputs
        if output["output_type"] == "error"
    ]
    assert errors == ["ConfigError", "ConfigError", "UnreachableError"]
    assert "resolve_base_url" in saved
    for place in (saved.encode(), bytes_of(tmp_path / "study"), bytes_of(tmp_path / "other")):
        assert KEY.encode() not in place
        assert not SIGNATURE.search(place)
        assert TRANSCRIPT not in place


# --- who may read ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_whatever_is_written_into_a_study_is_for_its_owner_alone(
    make_cohort, make_sandbox, make_study, quick, mask
) -> None:
    before = os.umask(mask)
    try:
        study = make_study(make_sandbox())
        study.submit(hr.Cohort.from_frame(make_cohort(1)), progress=False, **quick)
        for name in ("scores.csv", "scores.xlsx", "scores.sav", "scores.dta", "scores.parquet"):
            study.export(study.folder / name)
        study.report(study.folder / "report.html")
        study.cohort.save(study.folder / "copy.parquet")
    finally:
        os.umask(before)
    assert stat.S_IMODE(study.folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in study.folder.iterdir()}
    assert len(modes) > 20
    assert set(modes.values()) == {0o600}, modes
