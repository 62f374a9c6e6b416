"""The commands end to end, as they are typed, each in a process of its own."""

import html
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import helios_research as hr
from support.faults import Step


def is_clean(text: str) -> bool:
    return "Traceback" not in text and "Warning" not in text


def test_submitting_twice_sends_once_and_every_command_shows_the_same(
    helios, manifest, sandbox, at, quick, refused, tmp_path
) -> None:
    first = helios("submit", manifest, "--study", "study", "--tags", "arm", *quick, env=at)
    assert first.returncode == 0, first
    assert is_clean(first.stderr)
    assert re.search(r"scored +3\n", first.stdout)
    assert "study/results.parquet" in first.stdout
    # Not a terminal: plain lines, one at the start and one at the end of so short a submission.
    lines = [line for line in first.stderr.splitlines() if "/3 ·" in line]
    assert re.fullmatch(r"3/3 · took \d+ s · 3 scored", lines[-1])
    assert len(lines) <= 3
    assert "\r" not in first.stderr
    assert "\x1b" not in first.stderr
    creations = sandbox.log.count(Step.CREATE)
    second = helios("submit", manifest, "--study", "study", "--tags", "arm", *quick, env=at)
    assert second.returncode == 0
    assert sandbox.log.count(Step.CREATE) == creations == 3
    status = helios("status", "study", env={"THYMIA_API_KEY": ""})
    assert status.returncode == 0
    assert "Nothing is left to send." in status.stdout
    for name in ("scores.parquet", "scores.csv"):
        exported = helios("export", "study", "--to", name, env={"THYMIA_API_KEY": ""})
        assert exported.returncode == 0, exported
        assert name in exported.stdout
    results = pd.read_parquet(tmp_path / "scores.parquet")
    assert results["mental_strain"].tolist() == pytest.approx(
        pd.read_csv(tmp_path / "scores.csv")["mental_strain"].tolist()
    )
    reported = helios("report", "study", env={"THYMIA_API_KEY": ""})
    assert reported.returncode == 0, reported
    assert (tmp_path / "study" / "report.html").stat().st_size > 100_000
    # What takes some seconds is logged before it begins, not in the answer.
    assert reported.stdout.startswith("Report: study/report.html")
    assert "Report: figures of the scores\n" in reported.stderr
    assert is_clean(reported.stderr)
    asked = ["--by", "arm,language", "--primary", "distress", "--family", "stress,exhaustion"]
    asked += ["--title", "Our study", "--label", "arm=Group", "--expected", "1", "--warned", "drop"]
    asked += ["--order", "night,day", "--hide-small-cells", "--to", "other.html"]
    reported = helios("report", "study", *asked, env={"THYMIA_API_KEY": ""})
    assert reported.returncode == 0, reported
    page = (tmp_path / "other.html").read_text(encoding="utf-8")
    for words in (
        "<h1>Our study</h1>",
        "By Group",
        "By language",
        "Figure 1. Distress by Group.",
    ):
        assert words in page
    refused(helios("report", "study", "--by", "amr"), "'amr'", "Did you mean 'arm'")
    refused(helios("report", "study", "--expected", "due.csv"), "due.csv cannot be used")


def test_rows_that_did_not_end_scored_make_the_status_1(
    helios, make_cohort, sandbox, at, quick, tmp_path
) -> None:
    table = make_cohort(2)
    table.loc[0, "date_of_birth"] = "17.05.1990"
    table.to_csv(tmp_path / "manifest.csv", index=False)
    finished = helios("submit", "manifest.csv", "--study", "study", *quick, env=at)
    assert finished.returncode == 1
    assert "INVALID_DATE_OF_BIRTH" in finished.stdout
    assert "error, date_of_birth, 1 row (17.05.1990)" in finished.stderr
    assert is_clean(finished.stderr)


def test_check_says_what_cannot_be_sent_and_writes_all_of_it(helios, make_cohort, tmp_path) -> None:
    table = make_cohort(2)
    table.to_csv(tmp_path / "manifest.csv", index=False)
    good = helios("check", "manifest.csv", "--out", "checks.csv")
    assert good.returncode == 0, good
    assert pd.read_csv(tmp_path / "checks.csv")["verdict"].tolist() == ["ok", "ok"]
    Path(table["recording"][1]).write_text("Notes, not sound.\n" * 50)
    bad = helios("check", "manifest.csv")
    assert bad.returncode == 1
    assert "1 ok, 0 warn, 1 fail" in bad.stdout
    assert "r0001.wav" in bad.stdout
    assert is_clean(good.stderr + bad.stderr)


def test_columns_may_have_other_names_and_constants_fill_the_rest(
    helios, make_cohort, sandbox, at, quick, tmp_path
) -> None:
    table = make_cohort(1).rename(columns={"user_label": "participant"}).drop(columns="language")
    table.to_csv(tmp_path / "manifest.csv", index=False)
    finished = helios(
        *("submit", "manifest.csv", "--study", "study", *quick),
        *("--column", "user_label=participant", "--constant", "language=de-DE"),
        env=at,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (run,) = sandbox.log.puts
    assert "de-DE" in repr(sandbox.log.request_of(run))


def test_values_and_dates_are_declared_and_recorded_wherever_they_count(
    helios, make_cohort, sandbox, at, quick, tmp_path
) -> None:
    people = {"user_label": ["P1", "P2"], "birth_sex": ["1", "2"]}
    table = make_cohort(2, **people, date_of_birth=["14.03.1986", "05.10.1993"])
    table.assign(visit=["post", "pre"]).to_csv(tmp_path / "manifest.csv", index=False)
    offered = helios("check", "manifest.csv", "--order", "visit=pre").stderr
    assert "Correct it, or declare --order visit=pre,post." in offered
    assert "Declare --dates day-first." in offered
    assert "--value 'birth_sex:1=…'" in offered
    declared = ("--value", "birth_sex:1=MALE", "--value", "birth_sex:2=FEMALE", "--dates")
    declared = (*declared, "day-first", "--order", "visit=pre,post")
    sent = helios(*("submit", "manifest.csv", "--study", "study", *declared, *quick), env=at)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    users = [sandbox.log.request_of(run)["user"] for run in sandbox.log.puts]
    assert {(user["birthSex"], user["dateOfBirth"]) for user in users} == {
        ("MALE", "1986-03-14"),
        ("FEMALE", "1993-10-05"),
    }
    results = tmp_path / "study" / "results.parquet"
    read = hr.read_results(results)
    assert read["birth_sex"].tolist() == ["MALE", "FEMALE"]
    assert read["visit"].cat.categories.tolist() == ["pre", "post"]
    footer = json.loads(pq.read_schema(results).metadata[b"helios_research"])
    assert footer["values"] == {"birth_sex": {"1": "MALE", "2": "FEMALE"}}
    assert footer["date_format"] == "day first"
    report = helios("report", "study")
    assert report.returncode == 0, report.stderr
    said = "birth_sex 1 = MALE, 2 = FEMALE; dates day first; visit in the order pre, post."
    assert f"The table was read as declared: {said}" in (
        tmp_path / "study" / "report.html"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("option", "text", "form"),
    [("--value", "1=MALE", "FIELD:CELL=MEANING"), ("--dates", "a=", "NAME=VALUE")],
)
def test_a_declaration_without_its_parts_is_refused(helios, manifest, option, text, form) -> None:
    finished = helios("check", manifest, option, text)
    assert (finished.returncode, f"'{text}' is not of the form {form}" in finished.stderr) == (
        2,
        True,
    )


def test_the_demo_runs_the_full_pipeline_without_a_key(helios, tmp_path) -> None:
    finished = helios("demo", "--study", "try out", env={"THYMIA_API_KEY": ""})
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert is_clean(finished.stderr)
    for outcome in ("scored", "invalid", "skipped"):
        assert re.search(rf"^{outcome} +[1-9]", finished.stdout, re.MULTILINE), finished.stdout
    files = [line.split(maxsplit=1)[1] for line in finished.stdout.splitlines() if ":  " in line]
    assert len(files) >= 3
    assert all((tmp_path / name).is_file() for name in files)
    assert not any(path.stat().st_mode & 0o077 for path in (tmp_path / "try out").iterdir())


def test_a_sandbox_serves_a_submission_through_the_environment_that_it_prints(
    command, helios, manifest, quick, tmp_path, environment
) -> None:
    process = subprocess.Popen(
        [*command, "sandbox", "--port", "0", "--processing", "0.1", "--log", "events"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = [process.stdout.readline() for _ in range(4)]
        printed = dict(re.findall(r"export (\w+)=(\S+)", "".join(said)))
        assert set(printed) == {"THYMIA_BASE_URL", "THYMIA_API_KEY"}
        finished = helios("submit", manifest, "--study", "study", *quick, env=printed)
        assert finished.returncode == 0, finished.stdout + finished.stderr
    finally:
        process.terminate()
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert err == ""
    assert '"event": "put"' in (tmp_path / "events").read_text()


@pytest.fixture
def on_a_terminal(command, environment, tmp_path):
    """Run a command on a terminal of 60 columns, and give its status and what appeared."""

    def run(*arguments: object, env: dict[str, str], act=None) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=tmp_path,
            env={name: value for name, value in environment.items() if name != "COLUMNS"}
            | {"TERM": "xterm"}
            | env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        if act is not None:
            act(process)
        seen = b""
        while True:
            try:
                block = os.read(ours, 65_536)
            except OSError:  # how Linux says that the other end is closed
                break
            seen += block
        os.close(ours)
        return process.wait(timeout=60), seen.decode().replace("\r\n", "\n")

    return run


def test_on_a_terminal_one_line_is_rewritten_and_never_wider_than_it(
    on_a_terminal, make_cohort, sandbox, at, quick, tmp_path
) -> None:
    make_cohort(12).to_csv(tmp_path / "manifest.csv", index=False)
    status, seen = on_a_terminal(
        "submit", "manifest.csv", "--study", "study", "--max-in-flight", "2", *quick, env=at
    )
    assert status == 0, seen
    progress = next(line for line in seen.split("\n") if "\r" in line)
    shown = progress.split("\r\x1b[K")[1:]
    assert len(shown) > 3
    plain = [re.sub(r"\x1b\[\d+m", "", line) for line in shown]
    assert max(map(len, plain)) < 60
    assert plain[-1].startswith(f"[{'#' * 20}] 12/12 · took ")
    assert all(re.match(r"\[#*-*\] \d+/12", line) for line in plain)
    assert f"[\x1b[32m{'#' * 20}\x1b[0m]" in shown[-1]


def test_an_error_begins_on_a_line_of_its_own_after_the_progress(
    on_a_terminal, manifest, sandbox, at, quick
) -> None:
    status, seen = on_a_terminal(
        *("submit", manifest, "--study", "study", *quick),
        env=at | {"THYMIA_API_KEY": "not-the-key"},
    )
    assert status == 2
    assert re.search(r"^\x1b\[31mError:\x1b\[0m ", seen, re.MULTILINE), seen


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_keeps_everything_and_says_how_to_go_on(
    on_a_terminal, helios, make_cohort, sandbox, at, quick, tmp_path, how
) -> None:
    make_cohort(30).to_csv(tmp_path / "manifest.csv", index=False)
    submit = ("submit", "manifest.csv", "--study", "study", "--rate", "10", "--poll-floor", "0.2")

    def interrupt(process: subprocess.Popen[bytes]) -> None:
        while len(sandbox.log.runs_by_audio) < 4 and process.poll() is None:
            time.sleep(0.02)
        # To all of its processes, as a terminal does; those that check recordings included.
        os.killpg(process.pid, how)

    status, seen = on_a_terminal(*submit, env=at, act=interrupt)
    assert status == 130, seen
    assert re.search(r"^Interrupted. Run the same command again", seen, re.MULTILINE), seen
    assert is_clean(seen)
    # It ended by itself, with what was in flight, before it said so.
    assert "took" in seen.rsplit("\r", 1)[1]
    midway = hr.Study(tmp_path / "study").results()["outcome"]
    assert (midway == "pending").any()
    assert len(pd.read_parquet(tmp_path / "study" / "results.parquet")) == 30
    finished = helios("submit", "manifest.csv", "--study", "study", *quick, env=at)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert {len(runs) for runs in sandbox.log.runs_by_audio.values()} == {1}


@pytest.fixture
def mixed(helios, make_cohort, sandbox, at, quick, tmp_path) -> pd.DataFrame:
    """A study with two scores and five rows of which the date cannot be sent; gives the table."""
    table = make_cohort(7)
    table["recording_id"] = [f"R{number}" for number in range(7)]
    table.loc[2:, "date_of_birth"] = "17.05.1990"
    table.to_csv(tmp_path / "manifest.csv", index=False)
    helios("submit", "manifest.csv", "--study", "study", *quick, env=at)
    return table


def test_the_status_names_recordings_and_all_of_them_with_their_reasons_where_asked(
    helios, mixed
) -> None:
    short = helios("status", "study")
    assert re.search(r"^invalid +5 +INVALID_DATE_OF_BIRTH: Correct", short.stdout, re.MULTILINE)
    assert re.search(r"^ +R2, R3, R4 and 2 more$", short.stdout, re.MULTILINE)
    assert "as `helios-research status STUDY --errors` says" in short.stdout
    long = helios("status", "study", "--errors")
    for number in range(2, 7):
        assert f"\nR{number}: invalid, INVALID_DATE_OF_BIRTH: " in long.stdout
    assert "error_reason" not in short.stdout + long.stdout
    assert is_clean(short.stderr + long.stderr)


def test_the_status_can_be_read_by_a_program(helios, mixed, tmp_path) -> None:
    said = helios("status", "study", "--json", "--price", "2.5")
    found = json.loads(said.stdout)
    assert found["study"] == str(tmp_path / "study")
    assert (found["rows"], found["outcomes"]["scored"], found["outcomes"]["invalid"]) == (7, 2, 5)
    assert [entry["recording_id"] for entry in found["errors"]] == ["R2", "R3", "R4", "R5", "R6"]
    assert found["errors"][0]["error_reason"]
    assert found["left"] == {
        "recordings": 0,
        "requests": 0,
        "duration_s": 0.0,
        "rate": found["left"]["rate"],
        "cost": 0.0,
    }


def test_watching_shows_another_process_until_it_is_over(
    command, environment, helios, make_cohort, sandbox, at, tmp_path
) -> None:
    make_cohort(8).to_csv(tmp_path / "manifest.csv", index=False)
    options = ("--rate", "1.5", "--poll-floor", "0.5", "--no-preflight")
    submitting = subprocess.Popen(
        [*command, "submit", "manifest.csv", "--study", "study", *options],
        cwd=tmp_path,
        env=environment | at,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not sandbox.log.count(Step.CREATE) and submitting.poll() is None:
        time.sleep(0.02)
    watched = helios("status", "study", "--watch")
    assert submitting.wait(timeout=60) == 0
    assert watched.returncode == 0, watched
    lines = [line for line in watched.stderr.splitlines() if line]
    assert re.match(r"[0-7]/8( ·|$)", lines[0]), lines
    assert lines[-2] == "8/8 · 8 scored"
    assert lines[-1].startswith("All recordings are finished.")
    assert re.search(r"^scored +8$", watched.stdout, re.MULTILINE)


def test_watching_a_study_at_rest_ends_at_once(helios, mixed) -> None:
    watched = helios("status", "study", "--watch")
    assert watched.returncode == 0
    assert watched.stderr.startswith("7/7 · 2 scored · 5 invalid\nAll recordings are finished.")


def test_an_export_makes_its_folder_and_replaces_nothing_unless_told_to(
    helios, mixed, tmp_path
) -> None:
    first = helios("export", "study", "--to", "for/spss/scores.csv")
    assert first.returncode == 0, first
    mine = tmp_path / "for" / "spss" / "scores.csv"
    mine.write_text("my notes")
    again = helios("export", "study", "--to", "for/spss/scores.csv")
    assert again.returncode == 2
    assert "for/spss/scores.csv exists already" in " ".join(again.stderr.split())
    assert "--force" in again.stderr
    assert mine.read_text() == "my notes"
    forced = helios("export", "study", "--to", "for/spss/scores.csv", "--force")
    assert forced.returncode == 0
    assert len(pd.read_csv(mine)) == 7


def test_paths_may_be_relative_to_a_folder_of_their_own(
    helios, make_cohort, sandbox, at, quick, tmp_path
) -> None:
    table = make_cohort(2)
    table["recording"] = [Path(path).name for path in table["recording"]]
    (tmp_path / "tables").mkdir()
    table.to_csv(tmp_path / "tables" / "manifest.csv", index=False)
    where = ("tables/manifest.csv", "--root", "recordings")
    assert helios("check", *where).returncode == 0
    sent = helios("submit", *where, "--study", "study", *quick, env=at)
    assert sent.returncode == 0, sent
    assert "Next: `helios-research report study`, or" in sent.stdout


def test_a_check_says_what_it_will_cost_and_writes_the_issues_of_the_table(
    helios, make_cohort, tmp_path
) -> None:
    table = make_cohort(30)
    table.loc[1:, "date_of_birth"] = "17.05.1990"
    table.to_csv(tmp_path / "manifest.csv", index=False)
    checked = helios("check", "manifest.csv", "--out", "checks.csv", "--price", "3")
    assert re.search(r"^expected cost at 3 a recording +3\.0$", checked.stdout, re.MULTILINE)
    issues = pd.read_csv(tmp_path / "checks.issues.csv")
    assert issues["row"].nunique() >= 1
    assert "All issues: checks.issues.csv" in checked.stdout
    assert "cohort.issues" not in checked.stderr


@pytest.mark.parametrize("command_", [(), ("check",), ("status",), ("key", "set")])
def test_help_has_a_short_option_examples_and_no_types_of_python(helios, command_) -> None:
    shown = helios(*command_, "-h")
    assert shown.returncode == 0
    assert "Examples:\n  " in shown.stdout
    assert "bool" not in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 100


def test_the_help_of_all_commands_lists_exit_statuses_and_variables(helios) -> None:
    shown = helios("--help").stdout
    for word in (
        "Exit status:",
        "130",
        "THYMIA_API_KEY",
        "HTTPS_PROXY",
        "SSL_CERT_FILE",
        "NO_COLOR",
    ):
        assert word in shown
    assert "..." not in shown.split("Commands:")[1]


def test_help_lists_the_commands_without_loading_what_only_they_need() -> None:
    shown = (
        "import sys\n"
        "sys.argv = ['helios-research', '--help']\n"
        "from helios_research.cli import app\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'pandas', 'numpy', 'pydantic', 'httpx', 'matplotlib'} & set(sys.modules)))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", shown], capture_output=True, text=True, check=True
    )
    assert "Run the full pipeline on demo data" in finished.stdout
    assert finished.stdout.splitlines()[-1] == "[]"


def test_the_shape_of_a_table_is_declared_and_recorded(
    helios, make_cohort, sandbox, at, quick, tmp_path
) -> None:
    table = make_cohort(4, user_label=["P1", "P1", "P2", "P2"])
    wide = table.iloc[::2].rename(columns={"recording": "recording_t1"})
    wide = wide.assign(recording_t2=[table["recording"][1], ""], mood_t1=[1, 2], mood_t2=[3, 4])
    wide.to_csv(tmp_path / "wide.csv", index=False)
    offered = helios("check", "wide.csv")
    assert "declare --wide recording_t1,recording_t2." in offered.stderr, offered.stderr
    recordings, moods = "recording=recording_t1,recording_t2", "mood=mood_t1,mood_t2"
    declared = ("--wide", recordings, "--wide", moods, "--fill-within", "user_label=arm")
    sent = helios(*("submit", "wide.csv", "--study", "study", *declared, *quick), env=at)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert "1 of 4 rows have no recording and are left out: 3 (t2)." in sent.stderr
    read = hr.read_results(tmp_path / "study" / "results.parquet")
    assert read[["user_label", "visit", "mood"]].astype(str).to_numpy().tolist() == [
        ["P1", "t1", "1"],
        ["P1", "t2", "3"],
        ["P2", "t1", "2"],
    ]
    assert helios("report", "study").returncode == 0
    assert (
        "The table was read as declared: one row for each of recording_t1, recording_t2; blank "
        "date_of_birth, birth_sex, language, arm filled from the participant's other rows; rows "
        "without a recording left out."
    ) in html.unescape((tmp_path / "study" / "report.html").read_text(encoding="utf-8"))


# --- participants who record themselves --------------------------------------------------------------


def test_participants_are_invited_and_their_scores_fetched(
    helios, sandbox, at, quick, tmp_path, make_cohort
) -> None:
    (tmp_path / "people.csv").write_text(
        "user_label,date_of_birth,birth_sex,language\n"
        "P01,1990-05-17,FEMALE,en-GB\nP02,1990-05-17,MALE,en-GB\n"
    )
    refused = helios("invite", "people.csv", "--study", "study", "--out", "links.csv", env=at)
    assert refused.returncode == 2
    assert "declare --constant recording=, and see `helios-research invite`." in refused.stderr
    line = ("people.csv", "--study", "study", "--constant", "recording=")
    invited = helios("invite", *line, "--out", "links.csv", env=at)
    assert invited.returncode == 0, invited
    assert re.search(r"invited +2\n", invited.stdout)
    links = pd.read_csv(tmp_path / "links.csv", dtype="str", encoding="utf-8-sig")
    assert not any(link in invited.stdout + invited.stderr for link in links["link"])
    sandbox.complete(links["link"][0], make_cohort(1)["recording"][0])
    submitted = helios("submit", *line, *quick, "--ask-invited", env=at)
    assert submitted.returncode == 1, submitted
    assert "Next: 1 invited recording not made yet: run the same command again" in submitted.stdout
    again = helios("invite", *line, "--out", "new.xlsx", "--resend", "P02", env=at)
    assert again.returncode == 0, again
    assert re.search(r"scored +1\ninvited +1\n|invited +1\nscored +1\n", again.stdout)
    used = helios("invite", *line, "--out", "new.xlsx", "--resend", "P01", env=at)
    assert used.returncode == 2
    assert "has recorded for 'P01' already" in used.stderr
