"""The API key and upload URLs are nowhere that anybody could read them afterwards."""

import logging
import re
import stat
import traceback

import httpx
import pytest

import helios_research as hr
from helios_research.errors import AccountError
from helios_research.ledger import Ledger
from helios_research.sandbox import Fault, Faults, Rule, Step

KEY = "a-key-that-must-not-be-seen"
SIGNATURE = re.compile(rb"[?&](?:X-[A-Za-z-]*)?[Ss]ignature=", re.ASCII)


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Logging as chatty as it gets, that of the HTTP libraries included."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio", "helios_research"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def bytes_in(study: hr.Study) -> bytes:
    return b"".join(path.read_bytes() for path in study.folder.rglob("*") if path.is_file())


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
    study.submit(cohort, progress=False, outage_s=0.3, **quick)
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
