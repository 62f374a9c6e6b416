"""Cohorts and folders as they come: odd names, nothing to send, files that go away."""

import http.server
import os
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

import helios_research as hr
from helios_research.columns import BIOMARKERS, Outcome
from helios_research.errors import StudyError
from support.faults import Step


def test_paths_and_folders_may_be_in_any_language_and_hold_blanks(
    make_cohort, make_sandbox, make_study, quick, tmp_path, monkeypatch
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(2, folder="Aufnahmen für Zoë — 音声")
    manifest = tmp_path / "Übersicht Ärzte.csv"
    table["recording"] = [os.path.relpath(path, tmp_path) for path in table["recording"]]
    table.to_csv(manifest, index=False)
    elsewhere = tmp_path / "anderswo"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    cohort = hr.read_cohort(Path("..") / manifest.name)
    study = make_study(sandbox, "Studie № 1")
    results = study.submit(cohort, progress=False, **quick)
    assert results["outcome"].eq("scored").all()
    assert results["recording"].tolist() == table["recording"].tolist()
    monkeypatch.chdir(tmp_path)
    assert study.submit(progress=False, **quick)["outcome"].eq("scored").all()
    assert sandbox.log.count(Step.CREATE) == 2


def test_spaces_around_labels_and_tags_make_no_other_participant_or_level(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    table = make_cohort(4).assign(user_label=["Z1", "Z1 ", "Z2", " Z2"], arm=["a", "a ", "b", "b"])
    table["note"] = " as it is "
    study = make_study(make_sandbox())
    results = study.submit(hr.Cohort.from_frame(table, tags=["arm"]), progress=False, **quick)
    written = pd.read_parquet(study.folder / "results.parquet")
    for found in (results, written):
        assert found["user_label"].tolist() == ["Z1", "Z1", "Z2", "Z2"]
        assert found["arm"].tolist() == ["a", "a", "b", "b"]
        assert found["note"].tolist() == [" as it is "] * 4


def test_results_hold_no_path_of_this_machine_where_the_column_has_another_name(
    make_cohort, make_sandbox, make_study, quick, tmp_path
) -> None:
    table = make_cohort(2, folder="sounds").rename(columns={"recording": "datei"})
    table["datei"] = [os.path.relpath(path, tmp_path) for path in table["datei"]]
    table.to_csv(tmp_path / "table.csv", index=False)
    study = make_study(make_sandbox())
    columns = {"recording": "datei"}
    results = study.submit(tmp_path / "table.csv", columns=columns, progress=False, **quick)
    assert results["outcome"].eq("scored").all()
    assert results["recording"].tolist() == results["datei"].tolist() == table["datei"].tolist()
    assert str(tmp_path).encode() not in (study.folder / "results.parquet").read_bytes()


def test_a_cohort_whose_rows_are_all_invalid_asks_nothing_of_the_service_but_its_name(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    cohort = hr.Cohort.from_frame(make_cohort(3, birth_sex="woman"))
    study = make_study(sandbox)
    results = study.submit(cohort, progress=False, **quick)
    assert results["outcome"].tolist() == ["invalid"] * 3
    assert results["error_reason"].notna().all()
    assert sandbox.log.count() == sandbox.log.count(Step.ACCOUNT)
    read = pd.read_parquet(study.folder / "results.parquet")
    assert read["outcome"].tolist() == ["invalid"] * 3


def test_a_cohort_without_rows_is_submitted_and_written_like_any_other(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    study = make_study(sandbox)
    results = study.submit(hr.Cohort.from_frame(make_cohort(1).head(0)), progress=False, **quick)
    assert len(results) == 0
    assert sandbox.log.count(Step.CREATE) == 0
    read = pd.read_parquet(study.folder / "results.parquet")
    assert list(read.columns) == list(results.columns)
    assert study.estimate().recordings == 0
    assert len(study.issues) == 0


@pytest.mark.parametrize("preflight", [True, False])
def test_a_file_that_goes_away_is_an_invalid_row_until_it_is_back(
    make_cohort, make_sandbox, make_study, quick, preflight
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(2)
    cohort = hr.Cohort.from_frame(table)
    path = Path(table["recording"][0])
    content = path.read_bytes()
    path.unlink()
    study = make_study(sandbox)
    settings = quick | {"preflight": preflight}
    submission = study.start(cohort, **settings)
    results = submission.wait()
    assert results["outcome"].tolist() == ["invalid", "scored"]
    assert results["error_code"][0] == "INVALID_RECORDING"
    assert path.name in results["error_reason"][0]
    path.write_bytes(content)
    assert study.submit(progress=False, **settings)["outcome"].tolist() == ["scored"] * 2


@pytest.mark.parametrize("preflight", [True, False])
def test_scores_and_what_was_heard_stay_when_a_file_goes_away_later(
    make_cohort, make_sandbox, make_study, quick, preflight
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(2)
    study = make_study(sandbox)
    settings = quick | {"preflight": preflight}
    first = study.submit(hr.Cohort.from_frame(table), progress=False, **settings)
    Path(table["recording"][0]).unlink()
    submission = study.start(**settings)
    pd.testing.assert_frame_equal(submission.wait(), first)
    assert str(submission.progress).startswith("2/2 · took ")
    assert sandbox.log.count(Step.CREATE) == 2


def test_a_recording_that_cannot_be_checked_is_sent_all_the_same(
    make_cohort, make_sandbox, make_study, quick, monkeypatch
) -> None:
    from concurrent.futures import Future

    from helios_research.preflight_checks.check import unchecked
    from helios_research.preflight_checks.pool import CheckPool

    def hung(self, location: str) -> Future:
        answer: Future = Future()
        answer.set_result(unchecked("it took longer than 60 s"))
        return answer

    monkeypatch.setattr(CheckPool, "check", hung)
    cohort = hr.Cohort.from_frame(make_cohort(1))
    results = make_study(make_sandbox()).submit(
        cohort, progress=False, **quick | {"preflight": True}
    )
    assert results["outcome"].tolist() == ["scored"]


@pytest.fixture
def website_without_versions(tmp_path) -> Iterator[str]:
    """Serve a folder in a way that says nothing of when its files were written to."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def send_header(self, name: str, value: str) -> None:
            if name != "Last-Modified":
                super().send_header(name, value)

        def log_message(self, format: str, *values: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_remote_recordings_without_a_version_keep_their_scores(
    make_cohort, make_sandbox, make_study, quick, website_without_versions
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(2)
    table["recording"] = [
        f"{website_without_versions}/recordings/{Path(path).name}" for path in table["recording"]
    ]
    study = make_study(sandbox)
    settings = quick | {"preflight": True}
    results = study.submit(hr.Cohort.from_frame(table), progress=False, **settings)
    assert results["outcome"].tolist() == ["scored"] * 2, results["error_reason"].tolist()
    assert study.submit(progress=False, **settings)["outcome"].tolist() == ["scored"] * 2
    assert sandbox.log.count(Step.CREATE) == 2


@pytest.mark.parametrize("preflight", [True, False])
def test_the_last_progress_and_the_results_say_the_same(
    make_cohort, make_sandbox, make_study, quick, preflight
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(7)
    table.loc[1, "birth_sex"] = "woman"
    Path(table["recording"][2]).write_bytes(Path(table["recording"][6]).read_bytes())
    Path(table["recording"][3]).write_text("notes\n" * 99)
    cohort = hr.Cohort.from_frame(table)
    Path(table["recording"][4]).unlink()
    submission = make_study(sandbox).start(cohort, **quick | {"preflight": preflight})
    results = submission.wait()
    counted = {name: count for name, count in submission.progress.outcomes.items() if count}
    assert counted == Counter(Outcome(name) for name in results["outcome"])
    assert submission.progress.is_over
    assert str(submission.progress).startswith("7/7 · took ")


def test_several_sections_are_kept_whole_and_leave_the_single_scores_empty(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox(sections=2)
    study = make_study(sandbox)
    results = study.submit(
        hr.Cohort.from_frame(make_cohort(2)), progress=False, transcripts=True, **quick
    )
    assert results["n_sections"].tolist() == [2, 2]
    for marker in BIOMARKERS:
        assert results[marker.name].isna().all()
    for row, sections in zip(results.to_dict("records"), results["sections"], strict=True):
        for number, section in enumerate(sections):
            expected = sandbox.expected_scores(row["sha256"], row["user_label"], section=number)
            assert section["transcript"]
            for marker in BIOMARKERS:
                assert section[marker.name] == expected[marker.name]
    read = pd.read_parquet(study.folder / "results.parquet")
    assert [list(map(dict, sections)) for sections in read["sections"]] == [
        list(map(dict, sections)) for sections in results["sections"]
    ]


def test_an_error_of_ours_outside_of_any_recording_is_raised_and_not_swallowed(
    make_cohort, make_sandbox, make_study, quick, monkeypatch
) -> None:
    from helios_research.submission import work_queue

    def broken(self, *arguments: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(work_queue.WorkQueue, "_decide", broken)
    study = make_study(make_sandbox())
    with pytest.raises(ZeroDivisionError, match="a defect"):
        study.submit(hr.Cohort.from_frame(make_cohort(1)), progress=False, **quick)


def test_a_study_stays_where_it_is_when_the_working_directory_changes(
    make_cohort, make_sandbox, quick, tmp_path, monkeypatch
) -> None:
    sandbox = make_sandbox()
    cohort = hr.Cohort.from_frame(make_cohort(2))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    study = hr.Study("study", client=sandbox.client())
    submission = study.start(cohort, **quick)
    monkeypatch.chdir(elsewhere)
    assert submission.wait()["outcome"].tolist() == ["scored"] * 2
    assert (tmp_path / "study" / "results.parquet").exists()
    assert study.submit(cohort, progress=False, **quick)["outcome"].tolist() == ["scored"] * 2
    assert sandbox.log.count(Step.CREATE) == 2
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    "name", ["cohort.parquet", "../study/cohort.parquet", "helios.sqlite", "helios.lock"]
)
def test_no_file_that_is_written_takes_the_place_of_what_the_study_lives_by(
    make_cohort, make_study, make_sandbox, quick, name
) -> None:
    study = make_study(make_sandbox())
    results = study.submit(hr.Cohort.from_frame(make_cohort(1)), progress=False, **quick)
    path = study.folder / name
    before = path.read_bytes()
    for write in (study.to_parquet, study.export, study.report):
        with pytest.raises(StudyError, match="The study itself needs"):
            write(path)
    assert path.read_bytes() == before
    pd.testing.assert_frame_equal(study.results(), results)
