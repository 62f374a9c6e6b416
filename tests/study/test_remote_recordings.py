"""Recordings on a web server that has bad moments: rows wait for it, and nothing is paid twice."""

from pathlib import Path

import pytest

import helios_research as hr
from support.faults import Step
from support.website import Website


@pytest.fixture
def website(tmp_path):
    with Website(tmp_path) as website:
        yield website


@pytest.fixture
def table(make_cohort, website):
    """Four recordings of which each is at an address, and not in a folder."""
    table = make_cohort(4)
    names = [Path(path).name for path in table["recording"]]
    return table.assign(recording=[f"{website.url}/recordings/{name}" for name in names])


@pytest.mark.parametrize("preflight", [True, False])
def test_a_row_waits_for_a_recording_that_cannot_be_read_at_the_moment(
    table, website, make_sandbox, make_study, quick, preflight
) -> None:
    sandbox = make_sandbox()
    study = make_study(sandbox)
    settings = quick | {"preflight": preflight}
    website.statuses = {"r0001.wav": 503, "r0002.wav": 404, "r0003.wav": 403}
    results = study.submit(hr.Cohort.from_frame(table), progress=False, **settings)
    assert results["outcome"].tolist() == ["scored", "pending", "invalid", "invalid"]
    assert results["error_code"].tolist()[1:] == [
        "RECORDING_UNREACHABLE",
        *["INVALID_RECORDING"] * 2,
    ]
    assert results["error_reason"][1] == (
        f"The recording {website.url}/recordings/r0001.wav cannot be read at the moment (its server "
        "answered HTTP 503, Service Unavailable): submit again later."
    )
    assert "does not exist" in results["error_reason"][2]
    assert "is not given out by its server (HTTP 403, Forbidden)" in results["error_reason"][3]
    assert study.estimate().recordings == 1
    website.statuses = {}
    results = study.submit(progress=False, **settings)
    assert results["outcome"].tolist() == ["scored"] * 4
    assert results["error_code"].isna().all()
    assert sandbox.log.count(Step.CREATE) == 4


def test_a_server_that_fails_during_the_upload_leaves_the_row_pending(
    table, website, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    study = make_study(sandbox)
    # It is read once to find out what it is, in one request or two, and then to upload it.
    website.statuses, website.after = {"r0001.wav": 503}, {"r0001.wav": 1}
    results = study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    assert results["outcome"].tolist() == ["scored", "pending", "scored", "scored"]
    assert results["error_code"][1] == "RECORDING_UNREACHABLE"
    assert results["error_reason"][1].startswith(
        "The recording cannot be read any more, so it was not sent. The recording http"
    )
    website.statuses = {}
    assert study.submit(progress=False, **quick)["outcome"].tolist() == ["scored"] * 4
    assert {len(runs) for runs in sandbox.log.runs_by_audio.values()} == {1}
    assert sandbox.log.violations == []


def test_a_score_stays_though_its_recording_cannot_be_read_any_more(
    table, website, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    website.statuses = dict.fromkeys(website.given, 503)
    results = study.submit(progress=False, **quick)
    assert results["outcome"].tolist() == ["scored"] * 4
    assert sandbox.log.count(Step.CREATE) == 4


@pytest.mark.parametrize("preflight", [True, False])
def test_a_web_page_behind_several_links_is_neither_sent_nor_a_duplicate(
    table, website, tmp_path, make_sandbox, make_study, quick, preflight
) -> None:
    sandbox = make_sandbox()
    (tmp_path / "login").write_text("<!DOCTYPE html><html>Please log in</html>")
    table.loc[[1, 2], "recording"] = [f"{website.url}/login?token=s3cret{n}" for n in (1, 2)]
    settings = quick | {"preflight": preflight}
    results = make_study(sandbox).submit(hr.Cohort.from_frame(table), progress=False, **settings)
    assert results["outcome"].tolist() == ["scored", "invalid", "invalid", "scored"]
    assert (
        results["error_reason"][1]
        == results["error_reason"][2]
        == (
            f"The recording {website.url}/login is a web page, not a recording: use the link that "
            "downloads the file itself, without a page or a login before it."
        )
    )
    assert sandbox.log.count(Step.CREATE) == 2
