"""Participants who record themselves: invitations, from the table to the scores."""

import logging
from datetime import timedelta

import pandas as pd
import pytest
from openpyxl import load_workbook

import helios_research as hr
from helios_research.codes import explain
from helios_research.errors import (
    CohortError,
    InvitationError,
    RefusedError,
    UnreachableError,
)
from helios_research.ledger import Ledger, State
from support.faults import Fault, Faults, Rule, Step

DAY = timedelta(days=1)


@pytest.fixture
def people() -> pd.DataFrame:
    """Three participants without recordings."""
    return pd.DataFrame(
        {
            "user_label": ["P01", "P02", "P03"],
            "date_of_birth": "1990-05-17",
            "birth_sex": "FEMALE",
            "language": "en-GB",
            "arm": ["day", "night", "day"],
            "address": ["one@example.org", "two@example.org", "=three@example.org"],
        }
    )


@pytest.fixture
def cohort(people) -> hr.Cohort:
    return hr.Cohort.from_frame(people, constants={"recording": ""}, tags=["arm"])


@pytest.fixture
def voice(make_cohort) -> str:
    """A recording that a participant makes."""
    return make_cohort(1)["recording"][0]


@pytest.fixture
def sandbox(make_sandbox):
    return make_sandbox()


@pytest.fixture
def study(make_study, sandbox) -> hr.Study:
    return make_study(sandbox)


def asked(sandbox) -> int:
    return sandbox.log.count(Step.POLL)


def created(sandbox) -> int:
    return sandbox.log.count(Step.CREATE)


def open_links(study: hr.Study) -> dict[str, list[str]]:
    """The links that participants may still use, by row."""
    links: dict[str, list[str]] = {}
    with Ledger.read(study.folder) as ledger:
        for attempt in ledger.invitations():
            if attempt.upload_url:
                links.setdefault(attempt.sha256, []).append(str.__str__(attempt.upload_url))
    return links


# --- inviting -------------------------------------------------------------------------------------


def test_each_participant_gets_a_link_and_a_row_with_the_tables_own_columns(
    study, cohort, sandbox
) -> None:
    invitations = study.invite(cohort, progress=False)
    assert invitations.columns.tolist() == [
        *("recording_id", "user_label", "arm", "address"),
        *("link", "model_run_id", "outcome", "error_code", "error_reason"),
    ]
    assert invitations["recording_id"].tolist() == ["P01", "P02", "P03"]
    assert invitations["outcome"].tolist() == ["invited"] * 3
    assert invitations["link"].str.startswith(f"{sandbox.upload_url}/activity/").all()
    assert invitations["link"].nunique() == invitations["model_run_id"].nunique() == 3
    sent = sandbox.log.request_of(invitations["model_run_id"][1])
    assert sent["user"]["userLabel"] == "P02"
    assert sent["tags"] == [{"name": "arm", "value": "night"}]
    assert "address" not in str(sent)


def test_inviting_again_makes_no_second_invitation(study, cohort, sandbox) -> None:
    first = study.invite(cohort, progress=False)
    again = study.invite(progress=False)
    pd.testing.assert_frame_equal(pd.DataFrame(first), pd.DataFrame(again))
    assert created(sandbox) == 3


def test_rows_are_found_again_by_their_id_wherever_they_are_in_the_table(
    study, people, sandbox
) -> None:
    table = pd.concat([people, people], ignore_index=True)
    table["recording_id"] = [f"{label}-{visit}" for visit in "12" for label in people["user_label"]]
    declared = {"recording": ""}
    first = study.invite(table.head(4), constants=declared, progress=False)
    later = study.invite(table.iloc[::-1], constants=declared, progress=False)
    assert created(sandbox) == 6
    links = dict(zip(later["recording_id"], later["link"], strict=True))
    assert [links[key] for key in first["recording_id"]] == first["link"].tolist()


@pytest.mark.parametrize("name", ["links.csv", "links.xlsx"])
def test_the_links_are_written_to_a_file_for_mail_merge_that_runs_no_formula(
    study, cohort, tmp_path, name
) -> None:
    path = tmp_path / name
    invitations = study.invite(cohort, path=path, progress=False)
    if name.endswith("csv"):
        read = pd.read_csv(path, dtype="str", encoding="utf-8-sig")
        assert read["address"][2] == "'=three@example.org"
    else:
        header, *rows = load_workbook(path).active.iter_rows()
        read = pd.DataFrame([[cell.value for cell in row] for row in rows])
        read.columns = [cell.value for cell in header]
        assert rows[2][3].data_type == "s"
    assert read["link"].tolist() == invitations["link"].tolist()
    assert path.stat().st_mode & 0o077 == 0


def test_a_file_of_another_kind_is_refused_before_anyone_is_invited(
    study, cohort, sandbox, tmp_path
) -> None:
    with pytest.raises(InvitationError, match=r"a \.csv or \.xlsx file, and this is 'links\.pdf'"):
        study.invite(cohort, path=tmp_path / "links.pdf", progress=False)
    assert created(sandbox) == 0


def test_a_link_is_in_the_ledger_and_the_file_alone(
    study, cohort, sandbox, tmp_path, caplog, voice
) -> None:
    caplog.set_level(logging.DEBUG)
    invitations = study.invite(cohort, path=tmp_path / "links.csv", progress=False)
    results = study.submit(progress=False)
    study.report(tmp_path / "report.html")
    secrets = [link.partition("Signature=")[2] for link in invitations["link"]]
    shown = [
        *(repr(invitations), invitations._repr_html_(), repr(invitations.head(1))),
        *(repr(study), study._repr_html_(), results.to_csv(), caplog.text, str(study.issues)),
    ]
    files = [path for path in study.folder.rglob("*") if not path.name.startswith("helios.sqlite")]
    shown += [path.read_bytes().decode("latin-1") for path in [*files, tmp_path / "report.html"]]
    assert not [text for text in shown for secret in secrets if secret in text]
    sandbox.complete(invitations["link"][0], voice)
    study.submit(ask_invited=True, progress=False)
    kept = b"".join(path.read_bytes() for path in study.folder.glob("helios.sqlite*"))
    assert [secret.encode() in kept for secret in secrets] == [False, True, True]


# --- what cannot be invited -----------------------------------------------------------------------


def test_a_table_without_recordings_is_declared(people) -> None:
    with pytest.raises(CohortError) as caught:
        hr.Cohort.from_frame(people)
    assert str(caught.value).endswith(
        'If participants are to record themselves, declare constants={"recording": ""}, and see '
        "study.invite."
    )
    with pytest.raises(CohortError, match="'recording' cannot be the same in all rows"):
        hr.Cohort.from_frame(people, constants={"recording": "a.wav"})


def test_a_row_with_another_error_is_not_invited_and_says_why(study, people, sandbox) -> None:
    people.loc[0, "user_label"] = "P" * 51
    people.loc[1, "date_of_birth"] = "17/05/1990"
    invitations = study.invite(people, constants={"recording": ""}, progress=False)
    assert invitations["outcome"].tolist() == ["invalid", "invalid", "invited"]
    assert invitations["error_code"].tolist()[:2] == [
        "INVALID_USER_LABEL",
        "INVALID_DATE_OF_BIRTH",
    ]
    assert "51 characters; 50 are allowed" in invitations["error_reason"][0]
    assert created(sandbox) == 1


def test_who_has_withdrawn_is_not_invited(study, cohort, sandbox) -> None:
    study.invite(cohort, progress=False)
    study.withdraw("P02")
    invitations = study.invite(cohort, progress=False)
    assert invitations["outcome"].tolist() == ["invited", "invalid", "invited"]
    assert invitations["error_code"][1] == "INVALID_WITHDRAWN"
    assert invitations["link"].isna().tolist() == [False, True, False]
    assert created(sandbox) == 3


def test_rows_that_cannot_be_distinguished_are_refused_with_the_line_that_helps(
    study, people, sandbox
) -> None:
    table = pd.concat([people, people.head(1)], ignore_index=True)
    with pytest.raises(InvitationError, match="'P01' is in several rows") as caught:
        study.invite(table, constants={"recording": ""}, progress=False)
    line = str(caught.value).partition("stays: ")[2].removesuffix(".")
    exec(line, {"df": table})  # noqa: S102 - the line that a researcher is told to run
    invitations = study.invite(table, constants={"recording": ""}, progress=False)
    assert invitations["recording_id"].tolist() == ["P01-1", "P02-1", "P03-1", "P01-2"]
    assert created(sandbox) == 4


def test_a_table_of_recordings_has_no_one_to_invite(make_study, make_cohort, tmp_path) -> None:
    study = hr.Study(tmp_path / "none", client=hr.Client("k", base_url="http://127.0.0.1:9"))
    with pytest.raises(InvitationError, match="there is no one to invite"):
        study.invite(make_cohort(2), progress=False)
    assert not study.folder.exists()


def test_recordings_and_invitations_may_be_in_one_table(
    study, people, make_cohort, sandbox, quick, voice
) -> None:
    table = pd.concat([make_cohort(2), people], ignore_index=True)
    cohort = hr.Cohort.from_frame(table)
    invitations = study.invite(cohort, progress=False)
    assert invitations["user_label"].tolist() == ["P01", "P02", "P03"]
    results = study.submit(cohort, progress=False, **quick)
    assert results["outcome"].tolist() == ["scored"] * 2 + ["invited"] * 3


def test_a_row_with_a_file_and_an_invitation_keeps_what_the_invitation_brings(
    study, cohort, people, sandbox, quick, voice, clock, make_cohort
) -> None:
    invitations = study.invite(cohort, progress=False)
    files = make_cohort(2, "files")["recording"]
    people["recording_id"] = people["user_label"]
    people["recording"] = [files[0], files[1], ""]
    both = hr.Cohort.from_frame(people, tags=["arm"])
    results = study.submit(both, progress=False, **quick)
    assert results["outcome"].tolist() == ["invited"] * 3
    assert results["error_code"].tolist()[:2] == ["INVITED_AND_RECORDED"] * 2
    assert results["error_reason"][0] == explain("INVITED_AND_RECORDED").meaning
    assert study.invite(both, progress=False)["outcome"].tolist() == ["invited"] * 3
    sandbox.complete(invitations["link"][0], voice)
    clock.ahead += DAY
    results = study.submit(both, progress=False, **quick)
    assert results["outcome"].tolist() == ["scored", "invited", "invited"]
    assert results["error_code"][0] == "INVITED_AND_RECORDED"
    assert results["sha256"].isna().all()
    assert sandbox.log.count(Step.UPLOAD) == 1


# --- replacing ------------------------------------------------------------------------------------


def test_an_invitation_is_replaced_when_asked_for(study, cohort, sandbox, voice) -> None:
    first = study.invite(cohort, progress=False)
    second = study.invite(resend="P02", progress=False)
    assert (first["link"] == second["link"]).tolist() == [True, False, True]
    assert created(sandbox) == 4
    assert [len(links) for links in open_links(study).values()] == [1, 1, 1]
    sandbox.complete(first["link"][1], voice)
    assert study.submit(ask_invited=True, progress=False)["outcome"].eq("invited").all()
    sandbox.complete(second["link"][1], voice)
    results = study.submit(ask_invited=True, progress=False)
    assert results["outcome"].tolist() == ["invited", "scored", "invited"]
    assert results["model_run_id"][1] == second["model_run_id"][1]
    assert results["attempts"].tolist() == [1, 2, 1]


def test_an_invitation_that_was_used_is_not_replaced(study, cohort, sandbox, voice) -> None:
    first = study.invite(cohort, progress=False)
    sandbox.complete(first["link"][0], voice)
    again = study.invite(resend=["P01"], progress=False)
    assert created(sandbox) == 3
    assert again["model_run_id"].tolist() == first["model_run_id"].tolist()
    results = study.submit(progress=False, poll_floor_s=0.05)
    assert results["outcome"].tolist() == ["scored", "invited", "invited"]
    with pytest.raises(InvitationError, match="has recorded for 'P01' already"):
        study.invite(resend=["P01"], progress=False)
    with pytest.raises(InvitationError, match=r"recording_id 'P04'\. Did you mean 'P0"):
        study.invite(resend=["P04"], progress=False)


def test_a_run_that_failed_is_made_again_only_when_asked_for(
    make_sandbox, make_study, cohort, voice, quick
) -> None:
    sandbox = make_sandbox(Faults(failing_first=1))
    study = make_study(sandbox)
    first = study.invite(cohort, progress=False)
    sandbox.complete(first["link"][0], voice)
    results = study.submit(ask_invited=True, progress=False, **quick)
    assert results["error_code"][0] == "ERR_INTERNAL"
    assert created(sandbox) == 3
    again = study.invite(progress=False)
    assert (created(sandbox), again["outcome"][0]) == (3, "failed")
    again = study.invite(resend="P01", progress=False)
    assert (created(sandbox), again["outcome"][0]) == (4, "invited")
    sandbox.complete(again["link"][0], voice)
    results = study.submit(ask_invited=True, progress=False, **quick)
    assert results["outcome"].tolist() == ["scored", "invited", "invited"]


def test_a_row_that_changed_after_its_invitation_says_so_and_keeps_it(
    study, cohort, people, sandbox
) -> None:
    study.invite(cohort, progress=False)
    people.loc[0, "language"] = "de"
    changed = hr.Cohort.from_frame(people, constants={"recording": ""}, tags=["arm"])
    invitations = study.invite(changed, progress=False)
    assert (created(sandbox), invitations["outcome"][0]) == (3, "invited")
    assert invitations["error_code"][0] == "METADATA_CHANGED"
    assert invitations["error_reason"][0] == (
        "Since it was sent, the manifest has changed: language was en-GB and is now de."
    )
    results = study.submit(changed, resend_changed=True, progress=False)
    assert (created(sandbox), results["outcome"][0]) == (3, "invited")
    invitations = study.invite(changed, resend="P01", progress=False)
    assert (created(sandbox), invitations["error_code"].isna().all()) == (4, True)


# --- answers that are not as they should be ---------------------------------------------------------


def test_an_answer_without_a_link_is_a_sentence_and_the_next_call_invites(
    study, cohort, sandbox
) -> None:
    without = Rule(Fault.CHANGE, on=Step.CREATE, change=lambda raw: {"id": raw["id"], "x": 1})
    sandbox.faults = Faults(rules=(without,))
    with pytest.raises(RefusedError, match=r"its answer has no link \(it has id, x\)"):
        study.invite(cohort, progress=False)
    assert open_links(study) == {}
    results = study.results()
    assert set(results["outcome"]) <= {"pending", "invalid"}
    assert set(results["error_code"]) <= {"INVITATION_UNFINISHED", "INVALID_RECORDING"}
    sandbox.faults = Faults()
    assert study.invite(progress=False)["outcome"].eq("invited").all()
    assert [len(links) for links in open_links(study).values()] == [1, 1, 1]


def test_who_got_a_link_before_the_service_failed_is_in_the_file(
    study, cohort, sandbox, tmp_path
) -> None:
    sandbox.faults = Faults(rules=(Rule(Fault.STATUS, on=Step.CREATE, status=402, skip=1),))
    with pytest.raises(RefusedError, match="asks for payment"):
        study.invite(cohort, path=tmp_path / "links.csv", progress=False)
    written = pd.read_csv(tmp_path / "links.csv", dtype="str", encoding="utf-8-sig")
    assert written["link"].notna().sum() == 1


def test_an_invitation_whose_answer_was_lost_is_made_again(study, cohort, sandbox) -> None:
    lost = Rule(Fault.RESET, on=Step.CREATE, after_work=True, times=2)
    sandbox.faults = Faults(rules=(lost,))
    invitations = study.invite(cohort, progress=False)
    assert invitations["outcome"].eq("invited").all()
    assert created(sandbox) == 5
    assert [len(links) for links in open_links(study).values()] == [1, 1, 1]


def test_metadata_that_helios_refuses_are_said_and_invited_once_corrected(
    study, cohort, people, sandbox
) -> None:
    detail = '{"detail": [{"loc": ["body", "language"], "msg": "Not served"}]}'
    sandbox.faults = Faults(
        rules=(Rule(Fault.STATUS, on=Step.CREATE, status=422, body=detail, times=1),)
    )
    invitations = study.invite(cohort, progress=False)
    (refused,) = invitations.index[invitations["outcome"] == "rejected"]
    assert invitations["error_reason"][refused] == "Helios did not accept language: Not served."
    assert study.invite(progress=False)["outcome"][refused] == "rejected"
    people.loc[refused, "language"] = "en-US"
    corrected = hr.Cohort.from_frame(people, constants={"recording": ""}, tags=["arm"])
    assert study.invite(corrected, progress=False)["outcome"].eq("invited").all()


# --- submitting -----------------------------------------------------------------------------------


def test_scores_arrive_once_a_participant_has_recorded(
    study, cohort, sandbox, clock, quick, voice, tmp_path
) -> None:
    invitations = study.invite(cohort, progress=False)
    results = study.submit(cohort, progress=False, **quick)
    assert results["outcome"].tolist() == ["invited"] * 3
    assert results["error_code"].isna().all()
    assert asked(sandbox) == 0
    sandbox.complete(invitations["link"][1], voice)
    clock.ahead += DAY
    results = study.submit(cohort, progress=False, **quick)
    assert results["outcome"].tolist() == ["invited", "scored", "invited"]
    stored = pd.read_parquet(study.to_parquet(tmp_path / "scores.parquet"))
    assert stored["outcome"].tolist() == ["invited", "scored", "invited"]
    assert stored["mental_strain"].notna().tolist() == [False, True, False]
    assert stored["model_run_id"].tolist() == invitations["model_run_id"].tolist()
    assert stored["address"].tolist()[:2] == ["one@example.org", "two@example.org"]
    assert asked(sandbox) == 3
    assert sandbox.log.violations == []


def test_many_short_submissions_ask_rarely(study, cohort, sandbox, clock, quick) -> None:
    study.invite(cohort, progress=False)
    counts = []
    for day in range(15):
        study.submit(progress=False, **quick)
        study.submit(progress=False, **quick)
        if not counts or asked(sandbox) > counts[-1][1]:
            counts.append((day, asked(sandbox)))
        clock.ahead += DAY
    # It is about as long until the second time as four times that until the first.
    assert counts in ([(0, 0), (1, 3), (4, 6)], [(0, 0), (1, 3), (5, 6)])


def test_a_service_that_fails_when_asked_is_asked_again_by_the_next_submission(
    study, cohort, sandbox, clock, quick, voice
) -> None:
    link = study.invite(cohort, progress=False)["link"][0]
    sandbox.complete(link, voice)
    clock.ahead += DAY
    sandbox.faults = Faults(rules=(Rule(Fault.STATUS, on=Step.POLL, status=503),))
    results = study.submit(progress=False, patience=0.2, **quick)
    assert results["outcome"].tolist() == ["invited"] * 3
    sandbox.faults = Faults()
    results = study.submit(progress=False, **quick)
    assert results["outcome"].tolist() == ["scored", "invited", "invited"]
    assert results["error_code"].isna().all()


def test_a_recording_that_is_being_processed_is_waited_for(
    make_sandbox, make_study, cohort, quick, voice
) -> None:
    sandbox = make_sandbox(processing_s=1.5)
    study = make_study(sandbox)
    link = study.invite(cohort, progress=False)["link"][0]
    sandbox.complete(link, voice)
    results = study.submit(ask_invited=True, progress=False, **quick)
    assert results["outcome"].tolist() == ["scored", "invited", "invited"]
    assert results["uploaded_at"].notna().tolist() == [True, False, False]


def test_what_helios_deletes_is_asked_for_in_time(
    study, cohort, sandbox, clock, quick, voice
) -> None:
    links = study.invite(cohort, delete_data=True, progress=False)["link"]
    sandbox.complete(links[0], voice)
    clock.ahead += timedelta(hours=6)
    results = study.submit(progress=False, **quick)
    assert results["outcome"].tolist() == ["scored", "invited", "invited"]
    sandbox.complete(links[1], voice)
    clock.ahead += timedelta(hours=13)
    results = study.submit(progress=False, **quick)
    assert results["outcome"].tolist() == ["scored", "lost", "invited"]
    assert results["error_code"][1] == "RESULT_GONE"


def test_a_status_that_helios_does_not_document_is_no_reason_to_wait(
    study, cohort, sandbox, clock, quick
) -> None:
    study.invite(cohort, progress=False)
    clock.ahead += DAY
    other = Rule(Fault.CHANGE, on=Step.POLL, change=lambda raw: raw | {"status": "EXPIRED"})
    sandbox.faults = Faults(rules=(other,))
    results = study.submit(progress=False, **quick)
    assert results["outcome"].tolist() == ["invited"] * 3
    assert results["error_code"].tolist() == ["UNKNOWN_STATUS"] * 3
    study.submit(progress=False, **quick)
    assert asked(sandbox) == 3


def test_a_service_that_is_away_keeps_the_invitations(study, cohort, make_study, tmp_path) -> None:
    study.invite(cohort, progress=False)
    away = hr.Study(study.folder, client=hr.Client("k", base_url="http://127.0.0.1:9"))
    with pytest.raises(UnreachableError):
        away.invite(progress=False)
    assert study.results()["outcome"].tolist() == ["invited"] * 3


# --- withdrawing ----------------------------------------------------------------------------------


def test_a_withdrawal_names_the_open_link_and_erases_it(study, cohort, sandbox, voice) -> None:
    links = study.invite(cohort, progress=False)["link"]
    sandbox.complete(links[0], voice)
    study.submit(ask_invited=True, progress=False)
    used, still_open = study.withdraw("P01"), study.withdraw("P02")
    assert used.runs["open_link"].isna().all()
    assert "These links are open" not in str(used)
    assert still_open.runs["open_link"].tolist() == [links[1]]
    assert still_open.runs["audio_may_be_there"].all()
    assert f"ask thymia to close them:\n\n    {links[1]}" in str(still_open)
    kept = b"".join(path.read_bytes() for path in study.folder.glob("helios.sqlite*"))
    assert links[1].partition("Signature=")[2].encode() not in kept
    assert study.results()["outcome"].tolist() == ["invited"]


# --- the ledger -----------------------------------------------------------------------------------


def test_what_was_begun_and_never_answered_waits_for_the_next_invite(
    study, cohort, sandbox, monkeypatch
) -> None:
    """As after a kill between the request for an invitation and its answer."""
    study.invite(cohort, progress=False)
    with Ledger.open(study.folder) as ledger:
        for attempt in ledger.invitations():
            ledger._writer.write_blocking(
                lambda connection, key=attempt.attempt_id: connection.execute(
                    "UPDATE attempts SET state = 'inviting', model_run_id = NULL "
                    "WHERE attempt_id = ?",
                    (key,),
                )
            )
            ledger._writer.write_blocking(
                lambda connection: connection.execute("DELETE FROM upload_urls")
            )
    results = study.submit(progress=False)
    assert results["outcome"].tolist() == ["pending"] * 3
    assert results["error_code"].tolist() == ["INVITATION_UNFINISHED"] * 3
    assert study.invite(progress=False)["outcome"].eq("invited").all()
    assert [len(links) for links in open_links(study).values()] == [1, 1, 1]
    with Ledger.read(study.folder) as ledger:
        states = [attempt.state for attempt in ledger.invitations()]
    assert states == [State.ABANDONED] * 3 + [State.INVITED] * 3
