"""A participant who withdraws is gone from the study, to the last byte, and is not sent again."""

import hashlib
import re
import signal
import subprocess
import sys
import textwrap
import unicodedata
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import helios_research as hr
from helios_research import columns, withdrawal
from helios_research.cohort import Cohort
from helios_research.errors import (
    StudyLockedError,
    StudyMissingError,
    UnfinishedWithdrawalError,
    UnknownParticipantError,
)
from helios_research.ledger import Ledger, LedgerReader
from helios_research.ledger.storage import DATABASE_NAME
from helios_research.withdrawal import COHORT_FILE, RESULTS_FILE
from support.faults import Step
from support.sandbox import ObservedSandbox

# Six rows of two participants; make_cohort labels three rows each.
GONE, KEPT = "P000", "P001"


@pytest.fixture
def table(make_cohort) -> pd.DataFrame:
    return make_cohort(6, note=[f"remark-{number}" for number in range(6)])


@pytest.fixture
def sandbox(make_sandbox) -> ObservedSandbox:
    return make_sandbox()


@pytest.fixture
def study(table, sandbox, make_study, quick) -> hr.Study:
    """A study in which everything is scored."""
    opened = make_study(sandbox)
    results = opened.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    assert results["outcome"].eq("scored").all()
    return opened


def secrets_of(results: pd.DataFrame) -> set[str]:
    """What nobody may find afterwards: labels, runs, file names, hashes, own columns."""
    gone = results[results["user_label"] == GONE]
    names = {Path(path).name for path in gone["recording"]}
    return {GONE, *names, *gone["model_run_id"], *gone["sha256"], *gone["note"]}


def contents(folder: Path) -> dict[str, bytes]:
    """Every byte in a folder; compressed files also as they read."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            found[path.name] = path.read_bytes()
        if path.suffix == ".parquet":
            table, schema = pd.read_parquet(path), pq.read_schema(path)
            found[f"{path.name}, read"] = f"{table.to_csv()}{schema.metadata}".encode()
        if path.suffix == ".xlsx":
            with zipfile.ZipFile(path) as book:
                found[f"{path.name}, read"] = b"".join(map(book.read, book.namelist()))
    return found


def spellings(word: str) -> list[bytes]:
    """Ways in which a word may stand in a file: as text, and a hash also as bytes."""
    as_bytes = [bytes.fromhex(word)] if re.fullmatch("[0-9a-f]{64}", word) else []
    return [word.encode(), word.encode("utf-16-le"), *as_bytes]


def found_in(folder: Path, words: set[str]) -> list[tuple[str, str]]:
    return [
        (word, name)
        for name, content in contents(folder).items()
        for word in words
        if any(spelling in content for spelling in spellings(word))
    ]


def test_nothing_of_the_participant_is_left_in_the_study(study) -> None:
    results = study.results()
    words = secrets_of(results)
    study.to_parquet(study.folder / "scores.parquet")
    study.export(study.folder / "scores.csv")
    study.export(study.folder / "scores.xlsx", long=True)
    study.report(study.folder / "report.html")
    (study.folder / ".cohort.parquet.abc.part").write_bytes(b"cut off: P000")
    assert {name for _, name in found_in(study.folder, words)} >= {
        DATABASE_NAME,
        "cohort.parquet, read",
        "results.parquet, read",
        "scores.csv",
        "scores.xlsx, read",
        "scores.parquet, read",
        ".cohort.parquet.abc.part",
    }
    gone = study.withdraw(GONE)
    assert found_in(study.folder, words) == []
    assert sorted(path.name for path in gone.removed) == [
        "report.html",
        "scores.csv",
        "scores.parquet",
        "scores.xlsx",
    ]
    kept = {"cohort.parquet", "results.parquet", DATABASE_NAME, "helios.lock"}
    assert {path.name for path in study.folder.iterdir()} <= kept


def test_the_others_stay_as_they_were(study) -> None:
    before = study.results()
    study.withdraw(GONE)
    others = before[before["user_label"] == KEPT].reset_index(drop=True)
    pd.testing.assert_frame_equal(study.results(), others)
    written = pd.read_parquet(study.folder / RESULTS_FILE)
    assert written["model_run_id"].tolist() == others["model_run_id"].tolist()
    assert study.cohort.fields["user_label"].tolist() == [KEPT] * 3
    assert study.cohort.row_numbers.tolist() == [4, 5, 6]


def test_the_runs_are_listed_to_be_passed_on(study) -> None:
    results = study.results()
    gone = study.withdraw(GONE)
    assert gone.rows == 3
    assert gone.runs.columns.tolist() == [column.name for column in columns.WITHDRAWN_RUNS]
    theirs = results.loc[results["user_label"] == GONE, "model_run_id"].tolist()
    assert sorted(gone.runs["model_run_id"]) == sorted(theirs)
    assert gone.runs["state"].tolist() == ["scored"] * 3
    assert gone.runs["audio_may_be_there"].tolist() == [True] * 3
    assert gone.runs["created_at"].dtype == "datetime64[us, UTC]"
    assert "3 rows of the table, 3 model runs" in str(gone)
    assert "Not reached: the recordings themselves" in str(gone)
    # Synthetic runs exist nowhere that anybody could be written to.
    assert gone.letter == ""


def test_the_letter_names_every_run_and_the_label(study) -> None:
    gone = study.withdraw(GONE)
    real = withdrawal.Withdrawal(gone.folder, GONE, gone.rows, gone.runs.assign(source="thymia"))
    assert f"the user label '{GONE}'" in real.letter
    assert all(run in real.letter for run in gone.runs["model_run_id"])
    assert str(real).endswith(real.letter)


def test_the_recordings_are_left_alone(study, table) -> None:
    study.withdraw(GONE)
    assert all(Path(path).exists() for path in table["recording"])


def test_a_withdrawn_participant_who_is_in_the_next_manifest_is_not_sent(
    study, table, sandbox, quick
) -> None:
    study.withdraw(GONE)
    before = len(sandbox.log.puts)
    results = study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    assert len(sandbox.log.puts) == before
    assert results["outcome"].tolist() == ["invalid"] * 3 + ["scored"] * 3
    assert results["error_code"].tolist()[:3] == ["INVALID_WITHDRAWN"] * 3
    assert "study.readmit('P000')" in results["error_reason"][0]
    assert results["sha256"].tolist()[:3] == [None] * 3 or results["sha256"][:3].isna().all()
    with Ledger.read(study.folder) as ledger:
        assert all(attempt.request["user"]["userLabel"] == KEPT for attempt in ledger.attempts())
    study.withdraw(GONE)
    assert found_in(study.folder, {GONE, "r0000.wav", "remark-0"}) == []


@pytest.mark.parametrize("preflight", [False, True])
def test_their_recordings_are_not_sent_under_another_label_either(
    study, table, sandbox, quick, preflight
) -> None:
    hashes = set(study.results()["sha256"][:3])
    study.withdraw(GONE)
    before = len(sandbox.log.puts)
    renamed = table.assign(user_label=table["user_label"].replace(GONE, "Q7"))
    settings = quick | {"preflight": preflight}
    results = study.submit(hr.Cohort.from_frame(renamed), progress=False, **settings)
    assert len(sandbox.log.puts) == before
    assert results["error_code"].tolist()[:3] == ["INVALID_WITHDRAWN"] * 3
    assert "a participant who has withdrawn" in results["error_reason"][0]
    assert found_in(study.folder, hashes) == []


def test_a_withdrawal_can_be_taken_back(study, table, sandbox, quick) -> None:
    study.withdraw(GONE)
    cohort = hr.Cohort.from_frame(table)
    renamed = hr.Cohort.from_frame(table.assign(user_label=["Q7"] * 3 + [KEPT] * 3))
    study.submit(renamed, progress=False, **quick)
    study.readmit(GONE)
    results = study.submit(cohort, progress=False, **quick)
    assert results["outcome"].tolist() == ["scored"] * 6
    with pytest.raises(UnknownParticipantError):
        study.readmit(GONE)


def test_an_unknown_label_is_refused_and_near_ones_are_named(study) -> None:
    before = contents(study.folder)
    with pytest.raises(
        UnknownParticipantError, match=r"label 'P00'\. Did you mean one of these: 'P0"
    ):
        study.withdraw("P00")
    with pytest.raises(UnknownParticipantError, match="'p000'"):
        study.withdraw("p000")
    assert contents(study.folder).keys() == before.keys()
    assert len(study.results()) == 6


def test_a_folder_without_a_study_is_refused_and_not_made(tmp_path) -> None:
    with pytest.raises(StudyMissingError):
        hr.Study(tmp_path / "none").withdraw(GONE)
    assert not (tmp_path / "none").exists()


def test_nothing_is_removed_while_a_submission_runs(table, make_sandbox, make_study, quick) -> None:
    study = make_study(make_sandbox(processing_s=60.0))
    running = study.start(hr.Cohort.from_frame(table), monitor=False, **quick)
    try:
        with pytest.raises(StudyLockedError, match="is in use by this Python session"):
            study.withdraw(GONE)
    finally:
        running.stop()
        running.wait()
    assert study.withdraw(GONE).rows == 3


@pytest.mark.usefixtures("local_volume")
def test_while_another_program_reads_remains_are_told_and_a_second_call_removes_them(
    study,
) -> None:
    words = secrets_of(study.results())
    reader = LedgerReader(study.folder.resolve() / DATABASE_NAME)
    reader._connection.execute("BEGIN")
    reader._connection.execute("SELECT count(*) FROM attempts").fetchone()
    with pytest.raises(UnfinishedWithdrawalError, match="close what reads it"):
        study.withdraw(GONE)
    reader._connection.execute("COMMIT")
    reader.close()
    gone = study.withdraw(GONE)
    assert len(gone.runs) == 3
    assert found_in(study.folder, words) == []


def test_withdrawing_again_finds_nothing_and_breaks_nothing(study) -> None:
    study.withdraw(GONE)
    study.to_parquet(study.folder / "after.parquet")
    again = study.withdraw(GONE)
    assert (again.rows, len(again.runs), again.removed) == (0, 0, ())
    assert "Nothing was left of 'P000'" in str(again)
    assert (study.folder / "after.parquet").exists()


def test_everybody_can_withdraw(study) -> None:
    words = {GONE, KEPT, "1990-05-17", "remark"}
    study.withdraw(GONE)
    study.withdraw(KEPT)
    assert len(study.results()) == 0
    assert found_in(study.folder, words) == []


def test_files_that_are_not_ours_are_left_and_named(study) -> None:
    notes = study.folder / "notes" / "anna.txt"
    notes.parent.mkdir()
    notes.write_text("P000 was late")
    (study.folder / "link.csv").symlink_to(notes)
    gone = study.withdraw(GONE)
    assert notes.exists()
    assert {path.name for path in gone.unsearched} == {"anna.txt", "link.csv"}
    assert "Look into these files yourself" in str(gone)


def test_a_label_that_the_table_had_before_goes_with_the_recordings(study, table, quick) -> None:
    """The rows were relabelled after they were sent: it is the same person."""
    renamed = table.assign(user_label=table["user_label"].replace(GONE, "relabelled-7"))
    study.submit(hr.Cohort.from_frame(renamed), progress=False, **quick)
    words = secrets_of(study.results().assign(user_label=[GONE] * 3 + [KEPT] * 3))
    gone = study.withdraw("relabelled-7")
    assert len(gone.runs) == 3
    assert found_in(study.folder, words | {"relabelled-7"}) == []


def test_what_another_participant_was_scored_for_stays(
    make_cohort, sandbox, make_study, quick
) -> None:
    """The same recording in the rows of two people: each has what was sent under their label."""
    table = make_cohort(2, user_label=["P000", "P001"])
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(table.iloc[[0]]), progress=False, **quick)
    both = pd.concat([table, table.iloc[[0]].assign(user_label="P001")], ignore_index=True)
    study.submit(hr.Cohort.from_frame(both), progress=False, **quick)
    study.withdraw("P001")
    results = study.results()
    assert results["user_label"].tolist() == ["P000"]
    assert results["outcome"].tolist() == ["scored"]
    study.withdraw("P000")
    renamed = hr.Cohort.from_frame(table.iloc[[0]].assign(user_label="P002"))
    again = study.submit(renamed, progress=False, **quick)
    assert again["error_code"].tolist() == ["INVALID_WITHDRAWN"]


@pytest.mark.parametrize("preflight", [True, False])
def test_what_was_not_sent_yet_of_a_withdrawn_recording_is_told_as_withdrawn_in_each_row(
    make_cohort, sandbox, make_study, quick, preflight
) -> None:
    """The same recording in the rows of two people, so that it was sent for neither."""
    quick |= {"preflight": preflight}
    table = make_cohort(2, user_label=["P000", "P001"])
    shared = Path(table["recording"][0])
    Path(table["recording"][1]).write_bytes(shared.read_bytes())
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    study.withdraw("P000")
    assert found_in(study.folder, {hashlib.sha256(shared.read_bytes()).hexdigest()}) == []
    results = study.submit(progress=False, **quick)
    assert results["outcome"].tolist() == ["invalid"]
    assert results["error_code"].tolist() == ["INVALID_WITHDRAWN"]
    assert sandbox.log.count(Step.CREATE) == 0


def test_a_label_that_the_table_had_before_can_be_withdrawn_too(study, table, quick) -> None:
    """Its recordings are told as withdrawn under the label that they have now."""
    renamed = table.assign(user_label=table["user_label"].replace(GONE, "relabelled-7"))
    study.submit(hr.Cohort.from_frame(renamed), progress=False, **quick)
    assert len(study.withdraw(GONE).runs) == 3
    results = study.submit(progress=False, **quick)
    assert results["error_code"].tolist()[:3] == ["INVALID_WITHDRAWN"] * 3
    assert study.progress.outcomes == {"invalid": 3, "scored": 3}


@pytest.mark.parametrize(("sent", "named"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_an_accent_that_is_encoded_in_another_way_hides_nobody(
    make_cohort, sandbox, make_study, quick, sent, named
) -> None:
    """Files written on a Mac and on Windows look the same and are not."""
    table = make_cohort(4, user_label=[unicodedata.normalize(sent, "Zoë")] * 3 + ["Zoe"])
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    gone = study.withdraw(unicodedata.normalize(named, "Zoë"))
    assert gone.rows == len(gone.runs) == 3
    new = make_cohort(1, "wave 2", user_label=unicodedata.normalize(named, "Zoë"))
    results = study.submit(hr.Cohort.from_frame(new), progress=False, **quick)
    assert results["error_code"].tolist() == ["INVALID_WITHDRAWN"]
    study.readmit(unicodedata.normalize(sent, "Zoë"))
    assert study.submit(progress=False, **quick)["outcome"].tolist() == ["scored"]


def test_categories_and_remarks_about_others_do_not_keep_a_label(make_cohort, tmp_path) -> None:
    table = make_cohort(3, user_label=["p7", "P7", "Q1"], site=["east", "west", "west"])
    table = table.astype({"user_label": "category", "site": "category", "recording": "category"})
    cohort = Cohort.from_frame(table)
    assert "'p7'" in cohort.issues.rows["problem"].str.cat()
    path = tmp_path / "kept" / COHORT_FILE
    cohort.without((cohort.fields["user_label"] == "p7").to_numpy()).save(path)
    content = b"".join(contents(path.parent).values())
    loaded = Cohort.load(path)
    for word in (b"p7", b"east", b"r0000"):
        assert word not in content
    assert loaded.frame["site"].cat.categories.tolist() == ["west"]
    assert loaded.fields["user_label"].tolist() == ["P7", "Q1"]


@pytest.mark.parametrize(
    "moment",
    [
        "helios_research.ledger.storage.vacuum",
        "helios_research.withdrawal._clean_up",
        "helios_research.cohort.Cohort.save",
        "helios_research.ledger.Ledger.hand_over_runs",
    ],
)
def test_a_withdrawal_that_is_killed_half_way_is_finished_by_the_next(study, moment) -> None:
    results = study.results()
    words, runs = secrets_of(results), results["model_run_id"][:3].tolist()
    study.export(study.folder / "scores.csv")
    module, _, name = moment.rpartition(".")
    script = f"""
        import os, signal, importlib, pkgutil
        import helios_research as hr
        import helios_research.study
        owner = pkgutil.resolve_name({module!r})
        setattr(owner, {name!r}, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        hr.Study({str(study.folder)!r}).withdraw({GONE!r})
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert killed.returncode == -signal.SIGKILL
    # Even without a second call, nothing more of it is sent.
    half = study.results()
    assert set(half.loc[half["user_label"] == GONE, "error_code"]) <= {"INVALID_WITHDRAWN"}
    gone = study.withdraw(GONE)
    assert sorted(gone.runs["model_run_id"]) == sorted(runs)
    assert found_in(study.folder, words) == []
    assert not (study.folder / "scores.csv").exists()
    assert study.results()["user_label"].tolist() == [KEPT] * 3


def test_the_marks_tell_no_label_and_differ_between_studies(
    table, sandbox, make_study, quick
) -> None:
    marks = []
    for name in ("one", "two"):
        study = make_study(sandbox, name)
        study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
        study.withdraw(GONE)
        with Ledger.read(study.folder) as ledger:
            withdrawn = ledger.withdrawn()
        assert withdrawn.has_label(GONE)
        assert not withdrawn.has_label(KEPT)
        assert len(withdrawn.audio) == 3
        marks.append(withdrawn.labels | withdrawn.audio)
    assert not marks[0] & marks[1]


def test_what_is_written_afterwards_counts_who_withdrew_and_names_no_one(study, tmp_path) -> None:
    study.withdraw(GONE)
    study.export(tmp_path / "out.csv")
    readme = (tmp_path / "out.csv.README.md").read_text(encoding="utf-8")
    assert "| withdrawn participants, not included | 1 |" in readme
    report = study.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Not counted: 1 participant who withdrew." in report
    for name in ("out.csv", "out.csv.README.md", "report.html"):
        assert GONE.encode() not in (tmp_path / name).read_bytes()
