"""What a notebook shows of a study, a cohort and a submission, and what each says to do next."""

import time

import pytest

import helios_research as hr
from helios_research.ledger import Ledger


@pytest.fixture
def cohort(make_cohort) -> hr.Cohort:
    return hr.Cohort.from_frame(make_cohort(3))


def test_a_study_without_a_cohort_says_how_to_begin(tmp_path) -> None:
    html = hr.Study(tmp_path / "night <shift>")._repr_html_()
    assert "<b>Study night &lt;shift&gt;</b>" in html
    assert "Nothing was submitted to it yet. Next: <code>study.submit(cohort)</code>." in html
    assert "<progress" not in html


def test_a_study_says_how_far_it_is_and_what_comes_next(
    cohort, make_sandbox, make_study, quick
) -> None:
    study = make_study(make_sandbox(processing_s=30.0))
    submission = study.start(cohort, monitor=False, **quick)
    assert "<code>study.submission.wait()</code>; a submission is running." in study._repr_html_()
    submission.stop()
    submission.wait()
    left = study._repr_html_()
    assert '<progress max="3" value="0"' in left
    assert "0/3." in left
    assert "Next: <code>study.submit()</code>, as 3 recordings are left." in left
    with Ledger.open(study.folder):
        assert "a submission is running elsewhere" in study._repr_html_()


def test_a_finished_study_names_what_can_be_done_with_its_results(
    cohort, make_sandbox, make_study, quick
) -> None:
    study = make_study(make_sandbox())
    study.submit(cohort, progress=False, **quick)
    html = study._repr_html_()
    assert '<progress max="3" value="3"' in html
    assert "3/3 · 3 scored." in html
    assert "<code>study.report()</code>" in html


def test_a_study_that_cannot_be_read_says_why(cohort, make_sandbox, make_study, quick) -> None:
    study = make_study(make_sandbox())
    study.submit(cohort, progress=False, **quick)
    (study.folder / "helios.sqlite").write_bytes(b"no database at all" * 999)
    assert "helios.sqlite cannot be used" in study._repr_html_()


def test_a_submission_says_what_it_can_do(cohort, make_sandbox, make_study, quick) -> None:
    study = make_study(make_sandbox(processing_s=1.0))
    submission = study.start(cohort, monitor=False, **quick)
    running = submission._repr_html_()
    assert "<b>Submission</b>" in running
    assert "<code>.wait()</code> waits for the results, <code>.stop()</code> stops it" in running
    submission.wait()
    assert "3/3 · took " in submission._repr_html_()
    assert "<code>.wait()</code> gives the results." in submission._repr_html_()


def test_a_submission_that_failed_says_why(cohort, make_sandbox, make_study, quick) -> None:
    sandbox = make_sandbox()
    study = hr.Study(
        make_study(sandbox).folder, client=hr.Client("wrong", base_url=sandbox.base_url)
    )
    submission = study.start(cohort, monitor=False, **quick)
    while submission.is_running:
        time.sleep(0.02)
    assert "does not know the API key" in submission._repr_html_()


def test_a_cohort_says_what_comes_next(cohort) -> None:
    html = cohort._repr_html_()
    assert "Next: check the recordings with <code>hr.preflight(cohort)</code>" in html
    assert "<code>hr.Study(folder).submit(cohort)</code>" in html


def test_what_is_left_has_a_price(cohort, make_sandbox, make_study, quick) -> None:
    study = make_study(make_sandbox(processing_s=30.0))
    submission = study.start(cohort, monitor=False, **quick)
    submission.stop()
    submission.wait()
    assert study.estimate().cost is None
    assert study.estimate(price=2.5).cost == 7.5
