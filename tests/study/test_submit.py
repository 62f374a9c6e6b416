"""Submitting: every row ends where it belongs, and no audio is processed twice."""

import os
import re
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import helios_research as hr
from helios_research.columns import BIOMARKERS, RESULTS
from helios_research.errors import (
    AccountError,
    NotHeliosError,
    RefusedError,
    StudyLockedError,
    StudyMismatchError,
    StudyMissingError,
    UnreachableError,
)
from helios_research.ledger import Ledger, State
from helios_research.state.status import UPLOAD_URL_LIFETIME
from helios_research.submission import recording_task, run_poller
from support.damage import damage
from support.faults import Fault, Faults, Rule, Step
from support.sandbox import ObservedSandbox


def runs_per_audio(sandbox: ObservedSandbox) -> set[int]:
    """How many runs had each recording's audio, as the server saw it."""
    return {len(runs) for runs in sandbox.log.runs_by_audio.values()}


def assert_scores_are_the_servers(results: pd.DataFrame, sandbox: ObservedSandbox) -> None:
    for row in results[results["outcome"] == "scored"].to_dict("records"):
        expected = sandbox.expected_scores(row["sha256"], row["user_label"])
        for marker in BIOMARKERS:
            assert row[marker.name] == expected[marker.name]


def test_every_row_is_scored_once_with_the_scores_of_its_own_bytes(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(12)
    study = make_study(sandbox)
    cohort = hr.Cohort.from_frame(table, tags=["arm"])
    results = study.submit(cohort, progress=False, **quick | {"preflight": True})
    assert results["outcome"].eq("scored").all()
    assert results["recording"].tolist() == table["recording"].tolist()
    assert results["arm"].tolist() == table["arm"].tolist()
    assert runs_per_audio(sandbox) == {1}
    assert results["source"].eq("sandbox").all()
    assert_scores_are_the_servers(results, sandbox)


def test_submitting_again_asks_nothing_again(make_cohort, make_sandbox, make_study, quick) -> None:
    sandbox = make_sandbox()
    cohort = hr.Cohort.from_frame(make_cohort(4))
    first = make_study(sandbox).submit(cohort, progress=False, **quick)
    before = sandbox.log.count(Step.CREATE) + sandbox.log.count(Step.POLL)
    second = make_study(sandbox).submit(cohort, progress=False, **quick)
    assert sandbox.log.count(Step.CREATE) + sandbox.log.count(Step.POLL) == before
    pd.testing.assert_frame_equal(first, second)


def test_rows_may_be_added_reordered_and_renamed(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(6)
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(table.head(4)), progress=False, **quick)
    old = Path(table["recording"][1])
    new = old.with_name("renamed.wav")
    old.rename(new)
    table.loc[1, "recording"] = str(new)
    results = study.submit(hr.Cohort.from_frame(table.iloc[::-1]), progress=False, **quick)
    assert results["outcome"].eq("scored").all()
    assert results["recording"].tolist() == table["recording"].tolist()[::-1]
    assert runs_per_audio(sandbox) == {1}
    assert sandbox.log.count(Step.UPLOAD) == 6


def test_what_cannot_be_sent_stays_in_the_results_with_its_reason(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(3)
    table.loc[0, "birth_sex"] = "woman"
    table.loc[1, "recording"] = str(Path(table["recording"][1]).with_name("gone.wav"))
    results = make_study(sandbox).submit(hr.Cohort.from_frame(table), progress=False, **quick)
    assert results["outcome"].tolist() == ["invalid", "invalid", "scored"]
    assert results["error_code"].tolist()[:2] == ["INVALID_BIRTH_SEX", "INVALID_RECORDING"]
    assert "MALE" in results["error_reason"][0]
    assert "gone.wav" in results["error_reason"][1]
    assert sandbox.log.count(Step.CREATE) == 1


def test_the_preflight_skips_what_helios_would_refuse_unless_told_to_send_it(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(2)
    Path(table["recording"][0]).write_text("These are notes about a recording.\n" * 20)
    study = make_study(sandbox)
    cohort = hr.Cohort.from_frame(table)
    skipped = study.submit(cohort, progress=False, **quick | {"preflight": True})
    assert skipped["outcome"].tolist() == ["skipped", "scored"]
    assert skipped["error_code"][0] == "ERR_RECORDING_INVALID_FORMAT"
    assert skipped["error_reason"][0].startswith("Not sent. ")
    assert sandbox.log.count(Step.CREATE) == 1
    sent = study.submit(cohort, progress=False, **quick)
    assert sent["outcome"].tolist() == ["failed", "scored"]
    assert sent["error_code"][0] == "ERR_RECORDING_INVALID_FORMAT"


def test_the_same_audio_under_two_participants_is_not_sent_for_either(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(5)
    copied = Path(table["recording"][4])
    copied.write_bytes(Path(table["recording"][0]).read_bytes())
    results = make_study(sandbox).submit(hr.Cohort.from_frame(table), progress=False, **quick)
    assert results["outcome"].tolist() == ["invalid", "scored", "scored", "scored", "invalid"]
    assert set(results["error_code"].dropna()) == {"INVALID_DUPLICATE_AUDIO"}
    assert "user_label" in results["error_reason"][0]


def test_a_copy_that_turns_up_later_never_gets_the_other_participants_scores(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(5)
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(table.head(4)), progress=False, **quick)
    Path(table["recording"][4]).write_bytes(Path(table["recording"][0]).read_bytes())
    results = study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    assert results["outcome"].tolist() == ["scored"] * 4 + ["invalid"]
    assert pd.isna(results["mental_strain"][4])
    assert runs_per_audio(sandbox) == {1}


def test_a_copy_never_gets_scores_whose_own_row_was_edited_meanwhile(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(5)
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(table.head(4), tags=["arm"]), progress=False, **quick)
    Path(table["recording"][4]).write_bytes(Path(table["recording"][0]).read_bytes())
    table.loc[0, "arm"] = "corrected"
    changed = hr.Cohort.from_frame(table, tags=["arm"])
    for resend in (False, True):
        results = study.submit(changed, progress=False, resend_changed=resend, **quick)
        assert results["outcome"].tolist() == ["invalid", *["scored"] * 3, "invalid"]
        assert results["mental_strain"].isna().tolist() == [True, False, False, False, True]
    assert runs_per_audio(sandbox) == {1}


def test_a_run_that_the_service_does_not_know_is_waited_for_and_not_lost(
    make_cohort, make_sandbox, make_study, quick, monkeypatch
) -> None:
    monkeypatch.setattr(run_poller, "SETTLING_S", 0.3)
    sandbox = make_sandbox(Faults(rules=(Rule(Fault.STATUS, on=Step.POLL, status=404),)))
    study = make_study(sandbox)
    cohort = hr.Cohort.from_frame(make_cohort(1))
    unknown = study.submit(cohort, progress=False, **quick)
    assert unknown["outcome"].tolist() == ["pending"]
    assert unknown["error_code"].tolist() == ["HTTP_404"]
    sandbox.faults = Faults()
    assert study.submit(progress=False, **quick)["outcome"].tolist() == ["scored"]
    assert runs_per_audio(sandbox) == {1}


def test_a_mistake_made_later_in_a_scored_row_hides_no_score(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(2)
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    table.loc[0, "birth_sex"] = "woman"
    results = study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    assert results["outcome"].tolist() == ["scored", "scored"]
    assert results["error_code"].tolist()[0] == "INVALID_BIRTH_SEX"
    assert results["mental_strain"].notna().all()


def test_a_wrong_key_does_not_replace_what_the_study_holds(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(make_cohort(3)), progress=False, **quick)
    stranger = hr.Client(api_key="not-the-key", base_url=sandbox.base_url)
    with pytest.raises(AccountError):
        hr.Study(study.folder, client=stranger).submit(
            hr.Cohort.from_frame(make_cohort(1, "pilot")), progress=False, **quick
        )
    assert len(study.results()) == 3
    assert len(pd.read_parquet(study.folder / "results.parquet")) == 3


def test_rows_that_say_the_same_share_one_run(make_cohort, make_sandbox, make_study, quick) -> None:
    sandbox = make_sandbox()
    table = make_cohort(3)
    table = pd.concat([table, table.head(1)], ignore_index=True)
    results = make_study(sandbox).submit(hr.Cohort.from_frame(table), progress=False, **quick)
    assert results["outcome"].eq("scored").all()
    assert results["model_run_id"][0] == results["model_run_id"][3]
    assert runs_per_audio(sandbox) == {1}


def test_metadata_changed_after_submission_is_said_and_not_sent_again(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(3)
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    table["date_of_birth"] = "1991-05-17"
    changed = study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    assert changed["outcome"].eq("scored").all()
    assert changed["error_code"].eq("METADATA_CHANGED").all()
    assert "date_of_birth was 1990-05-17 and is now 1991-05-17" in changed["error_reason"][0]
    assert runs_per_audio(sandbox) == {1}
    again = study.submit(progress=False, resend_changed=True, **quick)
    assert again["error_code"].isna().all()
    assert runs_per_audio(sandbox) == {2}


@pytest.mark.parametrize("preflight", [True, False])
@pytest.mark.parametrize("wrong", ["a third row with the same file", "an error of its own"])
def test_audio_of_a_row_that_cannot_be_sent_is_not_sent_for_another_participant(
    make_cohort, make_sandbox, make_study, quick, preflight, wrong
) -> None:
    quick |= {"preflight": preflight}
    sandbox = make_sandbox()
    table = make_cohort(3, user_label=["P000", "P001", "P002"])
    first, second, third = map(Path, table["recording"])
    second.write_bytes(first.read_bytes())
    if wrong == "an error of its own":
        table.loc[1, "birth_sex"] = "woman"
        concerned = [0, 1]
    else:
        third.write_bytes(first.read_bytes())
        table.loc[2, "recording"] = str(second)
        concerned = [0, 1, 2]
    study = make_study(sandbox)
    submission = study.start(hr.Cohort.from_frame(table), **quick)
    results = submission.wait()
    assert [n for n, outcome in enumerate(results["outcome"]) if outcome == "invalid"] == concerned
    assert results["error_code"][0] == "INVALID_DUPLICATE_AUDIO"
    assert len(sandbox.log.runs_by_audio) == 3 - len(concerned)
    assert submission.progress.outcomes["invalid"] == len(concerned)
    again = study.submit(progress=False, **quick)
    assert again["outcome"].tolist() == results["outcome"].tolist()


def test_a_file_replaced_after_its_scores_is_a_new_recording(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(2)
    study = make_study(sandbox)
    first = study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    other = Path(make_cohort(3, "other")["recording"][2]).read_bytes()
    Path(table["recording"][0]).write_bytes(other)
    second = study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    assert second["sha256"][0] != first["sha256"][0]
    assert second["model_run_id"][1] == first["model_run_id"][1]
    assert_scores_are_the_servers(second, sandbox)


@pytest.mark.parametrize("preflight", [True, False])
def test_a_row_with_an_error_keeps_no_audio_that_its_file_does_not_hold_any_more(
    make_cohort, make_sandbox, make_study, quick, preflight
) -> None:
    quick |= {"preflight": preflight}
    sandbox = make_sandbox()
    table = make_cohort(2, user_label=["P000", "P001"])
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    first, second = map(Path, table["recording"])
    mine, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(mine)
    table.loc[1, "birth_sex"] = "woman"
    results = study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    assert results["error_code"][0] == "METADATA_CHANGED"
    assert results["outcome"][0] == "scored"
    assert runs_per_audio(sandbox) == {1}


@pytest.mark.skipif(sys.platform == "win32", reason="only POSIX tells when a file was renamed")
@pytest.mark.parametrize("preflight", [True, False])
def test_files_that_are_swapped_between_participants_take_their_scores_along(
    make_cohort, make_sandbox, make_study, quick, preflight
) -> None:
    """Equal in size and time, as from an archive; the names were wrong and were corrected."""
    quick |= {"preflight": preflight}
    sandbox = make_sandbox()
    table = make_cohort(2, user_label=["P000", "P001"])
    one, other = map(Path, table["recording"])
    for path in (one, other):
        os.utime(path, (1.7e9, 1.7e9))
    study = make_study(sandbox)
    before = study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    aside = one.rename(one.with_suffix(".aside"))
    other.rename(one)
    aside.rename(other)
    after = study.submit(progress=False, **quick)
    assert after["sha256"].tolist() == before["sha256"].tolist()[::-1]
    assert after["mental_strain"].tolist() == before["mental_strain"].tolist()[::-1]
    assert after["error_code"].tolist() == ["METADATA_CHANGED"] * 2
    assert runs_per_audio(sandbox) == {1}


def test_scores_stay_when_the_recordings_are_moved_to_an_archive(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(2)
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    for path in table["recording"]:
        Path(path).unlink()
    results = study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    assert results["outcome"].eq("scored").all()


def test_internal_errors_are_tried_again_with_new_runs(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox(Faults(failing_first=2))
    cohort = hr.Cohort.from_frame(make_cohort(2))
    results = make_study(sandbox).submit(cohort, progress=False, **quick)
    assert results["outcome"].eq("scored").all()
    assert results["attempts"].eq(3).all()


def test_internal_errors_that_stay_end_the_recording_after_three_more_tries(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox(Faults(failing_rate=1.0))
    cohort = hr.Cohort.from_frame(make_cohort(1))
    study = make_study(sandbox)
    results = study.submit(cohort, progress=False, **quick)
    assert results["outcome"].tolist() == ["failed"]
    assert results["error_code"].tolist() == ["ERR_INTERNAL"]
    assert results["attempts"].tolist() == [4]
    sandbox.faults = Faults()
    later = study.submit(cohort, progress=False, **quick)
    assert later["outcome"].tolist() == ["scored"]


def test_a_run_that_stays_running_is_left_pending_and_picked_up_by_the_next_submission(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox(Faults(stuck_first=1))
    cohort = hr.Cohort.from_frame(make_cohort(1))
    study = make_study(sandbox)
    late = study.submit(cohort, progress=False, deadline_s=0.5, **quick)
    assert late["outcome"].tolist() == ["pending"]
    assert late["error_code"].tolist() == ["TIMED_OUT"]
    assert "still RUNNING" in late["error_reason"][0]
    sandbox.faults = Faults()
    results = study.submit(progress=False, **quick)
    assert results["outcome"].tolist() == ["scored"]
    assert results["error_code"].isna().all()
    assert runs_per_audio(sandbox) == {1}


def test_an_upload_url_that_expired_unused_is_replaced_by_a_new_run(
    make_cohort, make_sandbox, make_study, quick, clock
) -> None:
    nothing_arrives = Faults(rules=(Rule(Fault.RESET, on=Step.UPLOAD),))
    sandbox = make_sandbox(nothing_arrives)
    cohort = hr.Cohort.from_frame(make_cohort(1))
    study = make_study(sandbox)
    pending = study.submit(cohort, progress=False, patience=0.5, **quick)
    assert pending["outcome"].tolist() == ["pending"]
    clock.ahead = 2 * UPLOAD_URL_LIFETIME
    sandbox.faults = Faults()
    results = study.submit(progress=False, **quick)
    assert results["outcome"].tolist() == ["scored"]
    assert results["attempts"].tolist() == [2]
    assert runs_per_audio(sandbox) == {1}


def test_an_upload_that_arrived_without_an_answer_is_not_made_again_after_the_hour(
    make_cohort, make_sandbox, make_study, quick, clock
) -> None:
    answers_get_lost = Faults(rules=(Rule(Fault.RESET, on=Step.UPLOAD, after_work=True),))
    sandbox = make_sandbox(answers_get_lost)
    cohort = hr.Cohort.from_frame(make_cohort(1))
    submission = make_study(sandbox).start(cohort, **quick)
    while not sandbox.log.runs_by_audio:
        time.sleep(0.01)
    submission.stop()
    submission.wait()
    clock.ahead = timedelta(hours=3)
    results = make_study(sandbox).submit(progress=False, **quick)
    assert results["outcome"].tolist() == ["scored"]
    assert runs_per_audio(sandbox) == {1}
    assert sandbox.log.count(Step.UPLOAD) == 1


@pytest.mark.parametrize("step", [Step.CREATE, Step.UPLOAD])
def test_nothing_is_uploaded_to_a_run_that_would_keep_what_is_to_be_deleted(
    make_cohort, make_sandbox, make_study, quick, step
) -> None:
    """Begun without ``delete_data`` and stopped before any audio arrived, then told to delete."""
    sandbox = make_sandbox(Faults(rules=(Rule(Fault.RESET, on=step),)))
    submission = make_study(sandbox).start(hr.Cohort.from_frame(make_cohort(1)), **quick)
    while not sandbox.log.count(step):
        time.sleep(0.01)
    submission.stop()
    assert submission.wait()["outcome"].tolist() == ["pending"]
    sandbox.faults = Faults()
    study = make_study(sandbox)
    results = study.submit(progress=False, delete_data=True, **quick)
    assert results["outcome"].tolist() == ["scored"]
    with Ledger.read(study.folder) as ledger:
        (scored,) = [one for one in ledger.attempts() if one.state is State.SCORED]
    assert scored.delete_data
    assert runs_per_audio(sandbox) == {1}


def test_scores_on_their_way_are_fetched_for_a_row_that_has_an_error_now(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    """Also where changed rows are to be sent again: this one has nothing that could be sent."""
    sandbox = make_sandbox(processing_s=1.0)
    table = make_cohort(1)
    submission = make_study(sandbox).start(hr.Cohort.from_frame(table), **quick)
    while not sandbox.log.runs_by_audio:
        time.sleep(0.01)
    submission.stop()
    submission.wait()
    with_error = hr.Cohort.from_frame(table.assign(birth_sex="woman"))
    results = make_study(sandbox).submit(with_error, progress=False, resend_changed=True, **quick)
    assert results["outcome"].tolist() == ["scored"]
    assert sandbox.log.count(Step.CREATE) == 1


def test_whoever_asks_whether_an_upload_arrived_and_finds_scores_asks_no_second_time(
    make_cohort, make_sandbox, make_study, quick, monkeypatch
) -> None:
    sandbox = make_sandbox(Faults(rules=(Rule(Fault.RESET, on=Step.UPLOAD, after_work=True),)))
    with monkeypatch.context() as patience:
        patience.setattr(run_poller, "CONFIRM_AFTER_S", 60.0)
        submission = make_study(sandbox).start(hr.Cohort.from_frame(make_cohort(1)), **quick)
        while not sandbox.completions():
            time.sleep(0.01)
        submission.stop()
        submission.wait()
    assert sandbox.log.count(Step.POLL) == 0
    results = make_study(sandbox).submit(progress=False, **quick)
    assert results["outcome"].tolist() == ["scored"]
    assert sandbox.log.count(Step.POLL) == 1


def test_scores_that_are_on_their_way_when_a_submission_is_stopped_are_kept(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox(Faults(rules=(Rule(Fault.SLOW, on=Step.POLL, delay_s=1.5),)))
    submission = make_study(sandbox).start(hr.Cohort.from_frame(make_cohort(1)), **quick)
    while not sandbox.completions():
        time.sleep(0.01)
    asked_in_vain = sandbox.log.count(Step.POLL)
    # The question is on its way by now; were it not, the next submission would ask it.
    time.sleep(0.7)
    submission.stop()
    submission.wait()
    sandbox.faults = Faults()
    results = make_study(sandbox).submit(progress=False, **quick)
    assert results["outcome"].tolist() == ["scored"]
    assert sandbox.log.count(Step.POLL) == asked_in_vain + 1


def test_answers_that_helios_deleted_before_they_were_fetched_are_lost(
    make_cohort, make_sandbox, make_study, quick, clock
) -> None:
    sandbox = make_sandbox(Faults(stuck_first=1))
    study = make_study(sandbox)
    cohort = hr.Cohort.from_frame(make_cohort(1))
    study.submit(cohort, progress=False, deadline_s=0.3, delete_data=True, **quick)
    sandbox.faults = Faults()
    clock.ahead = timedelta(minutes=1)
    run = next(iter(sandbox.log.puts))
    while run not in sandbox.completions():
        time.sleep(0.01)
    clock.ahead = timedelta(hours=13)
    results = study.submit(progress=False, **quick)
    assert results["outcome"].tolist() == ["lost"]
    assert results["error_code"].tolist() == ["RESULT_GONE"]
    assert study.submit(progress=False, **quick)["outcome"].tolist() == ["lost"]
    assert runs_per_audio(sandbox) == {1}


def test_a_file_that_changes_between_check_and_upload_is_not_sent(
    make_cohort, make_sandbox, make_study, quick, monkeypatch
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(2)
    path = Path(table["recording"][0])
    original = path.read_bytes()

    read_blocks = recording_task.read_blocks

    def someone_is_still_recording(location: str, size: int = 65_536):
        if location == str(path):
            path.write_bytes(original[:-3] + b"xyz")
        return read_blocks(location, size)

    monkeypatch.setattr(recording_task, "read_blocks", someone_is_still_recording)
    study = make_study(sandbox)
    results = study.submit(hr.Cohort.from_frame(table), progress=False, **quick)
    assert results["outcome"].tolist() == ["invalid", "scored"]
    assert results["error_code"][0] == "INVALID_RECORDING_CHANGED"
    assert len(sandbox.log.runs_by_audio) == 1
    monkeypatch.undo()
    assert study.submit(progress=False, **quick)["outcome"].eq("scored").all()


def test_a_wrong_key_stops_everything_and_marks_nothing(
    make_cohort, make_sandbox, make_study, quick, tmp_path
) -> None:
    sandbox = make_sandbox()
    stranger = hr.Client(api_key="not-the-key", base_url=sandbox.base_url)
    study = hr.Study(tmp_path / "study", client=stranger)
    with pytest.raises(AccountError, match=re.escape("does not know the API key (HTTP 401)")):
        study.submit(hr.Cohort.from_frame(make_cohort(2)), progress=False, **quick)
    assert study.results()["outcome"].eq("pending").all()
    assert make_study(sandbox).submit(progress=False, **quick)["outcome"].eq("scored").all()


def test_a_sandbox_behind_a_gateway_refuses_in_its_words(
    make_cohort, make_sandbox, tmp_path, quick
) -> None:
    sandbox = make_sandbox(gateway_quota=3)
    study = hr.Study(tmp_path / "study", client=sandbox.client())
    elsewhere = [("not-the-key", ""), (sandbox.api_key, "/v2")]
    for key, path in elsewhere:
        client = hr.Client(api_key=key, base_url=sandbox.base_url + path)
        stranger = hr.Study(tmp_path / "stranger", client=client)
        with pytest.raises(AccountError, match=re.escape("(HTTP 403)")):
            stranger.submit(hr.Cohort.from_frame(make_cohort(1)), progress=False, **quick)
    with pytest.raises(RefusedError, match="It says: Limit Exceeded"):
        study.submit(hr.Cohort.from_frame(make_cohort(4)), progress=False, **quick)
    assert study.results()["outcome"].isin(["pending", "scored"]).all()


def test_a_server_that_is_not_helios_is_named(make_cohort, make_sandbox, tmp_path, quick) -> None:
    sandbox = make_sandbox(Faults(rules=(Rule(Fault.HTML, on=Step.ACCOUNT),)))
    study = hr.Study(tmp_path / "study", client=sandbox.client())
    with pytest.raises(NotHeliosError, match="does not answer like Helios"):
        study.submit(hr.Cohort.from_frame(make_cohort(1)), progress=False, **quick)


def test_nothing_at_the_address_is_said_in_one_sentence(
    make_cohort, tmp_path, quick, monkeypatch
) -> None:
    from helios_research.submission import engine

    monkeypatch.setattr(engine, "_FIRST_CALL", engine.RetryPolicy(max_elapsed_s=0.1))
    nobody = hr.Client(api_key="any", base_url="http://127.0.0.1:9")
    study = hr.Study(tmp_path / "study", client=nobody)
    with pytest.raises(UnreachableError, match="cannot be reached"):
        study.submit(hr.Cohort.from_frame(make_cohort(1)), progress=False, **quick)


def test_real_and_synthetic_scores_are_never_mixed_in_one_study(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(make_cohort(1)), progress=False, **quick)
    with Ledger.open(study.folder) as ledger:
        ledger.put_setting_blocking("source", "thymia")
        ledger.put_setting_blocking("base_url", "https://api.thymia.ai")
    with pytest.raises(StudyMismatchError, match=re.escape("begun at https://api.thymia.ai")):
        study.submit(progress=False, **quick)


def test_a_second_submission_of_the_same_study_is_refused_while_the_first_runs(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox(Faults(stuck_first=1))
    study = make_study(sandbox)
    submission = study.start(hr.Cohort.from_frame(make_cohort(1)), **quick)
    with pytest.raises(StudyLockedError, match="is in use by this Python session"):
        make_study(sandbox).submit(progress=False, **quick)
    assert study.results()["outcome"].tolist() == ["pending"]
    submission.stop()
    submission.wait()


def test_stopping_keeps_everything_and_the_next_submission_goes_on(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox(processing_s=0.5)
    study = make_study(sandbox)
    submission = study.start(hr.Cohort.from_frame(make_cohort(20)), **quick | {"rate": 20.0})
    while len(sandbox.log.puts) < 5:
        time.sleep(0.01)
    submission.stop()
    midway = submission.wait()
    assert midway["outcome"].eq("pending").sum() > 0
    assert not submission.is_running
    results = study.submit(progress=False, **quick)
    assert results["outcome"].eq("scored").all()
    assert runs_per_audio(sandbox) == {1}


def test_results_need_no_client_and_no_network(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    study = make_study(sandbox)
    submitted = study.submit(hr.Cohort.from_frame(make_cohort(2)), progress=False, **quick)
    sandbox.stop()
    pd.testing.assert_frame_equal(hr.Study(study.folder).results(), submitted)


def test_a_study_without_a_cohort_says_what_to_do(tmp_path) -> None:
    with Ledger.open(tmp_path / "empty"):
        pass
    with pytest.raises(StudyMissingError, match=re.escape("study.submit(cohort)")):
        hr.Study(tmp_path / "empty").results()


def test_the_results_have_exactly_the_documented_columns_in_order(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    table = make_cohort(2).rename(columns={"user_label": "participant"})
    cohort = hr.Cohort.from_frame(
        table.drop(columns="language"),
        columns={"user_label": "participant"},
        constants={"language": "en-GB"},
    )
    results = make_study(sandbox).submit(cohort, progress=False, **quick)
    own = ["recording", "participant", "date_of_birth", "birth_sex", "arm"]
    added = ["user_label", "language"]
    documented = [column.name for column in RESULTS[1:]]
    assert list(results.columns) == ["recording_id", *own, *added, *documented]


def test_transcripts_are_kept_only_when_asked_for(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    silent = make_study(sandbox, "without")
    results = silent.submit(hr.Cohort.from_frame(make_cohort(1)), progress=False, **quick)
    assert results["transcript"].isna().all()
    kept = b"".join(path.read_bytes() for path in silent.folder.iterdir() if path.is_file())
    assert b"transcript" not in kept.replace(b'"transcript":{"meaning"', b"").lower() or (
        b"synthetic transcript" not in kept.lower()
    )
    asked = make_study(sandbox, "with")
    cohort = hr.Cohort.from_frame(make_cohort(2, "more"))
    assert (
        asked.submit(cohort, progress=False, transcripts=True, **quick)["transcript"].notna().all()
    )


def test_the_upload_url_is_gone_from_the_ledger_once_its_run_has_ended(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    study = make_study(sandbox)
    study.submit(hr.Cohort.from_frame(make_cohort(2)), progress=False, **quick)
    with Ledger.read(study.folder) as ledger:
        attempts = ledger.attempts()
    assert {attempt.state for attempt in attempts} == {State.SCORED}
    assert {attempt.upload_url for attempt in attempts} == {None}


def test_the_parquet_file_tells_where_it_is_from(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    import json

    sandbox = make_sandbox()
    study = make_study(sandbox, "night-shift")
    cohort = hr.Cohort.from_frame(make_cohort(2), tags=["arm"])
    results = study.submit(cohort, progress=False, **quick)
    path = study.to_parquet(study.folder / "scores.parquet")
    footer = json.loads(pq.read_metadata(path).metadata[b"helios_research"])
    assert footer["study"] == "night-shift"
    assert footer["source"] == "sandbox"
    assert footer["tags"] == ["arm"]
    assert footer["base_url"] == sandbox.base_url
    assert footer["columns"]["speech_s"]["unit"] == "s"
    read = pd.read_parquet(path)
    assert read["outcome"].tolist() == results["outcome"].tolist()
    assert read["mental_strain"].tolist() == results["mental_strain"].tolist()


@pytest.mark.filterwarnings("ignore:The ledger .* was damaged")
def test_a_damaged_answer_is_fetched_again_by_its_run(
    make_cohort, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    study = make_study(sandbox)
    first = study.submit(hr.Cohort.from_frame(make_cohort(3)), progress=False, **quick)
    damage(study.folder / "helios.sqlite", "UPDATE answers SET body = '{}' WHERE attempt_id = 2")
    assert sorted(study.results()["outcome"]) == ["pending", "scored", "scored"]
    again = make_study(sandbox).submit(progress=False, **quick)
    pd.testing.assert_frame_equal(again, first)
    assert runs_per_audio(sandbox) == {1}
