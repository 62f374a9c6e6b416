"""The error tree, and the sentences that people read."""

import errno
import inspect
import os
import re
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from helios_research import errors
from helios_research.errors import HeliosResearchError, StudyStorageError, storage_errors

FOLDER = Path("studies/night")
URL = "https://api.thymia.ai"

CLASSES = {
    name: found
    for name, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, HeliosResearchError)
}

# Every way to make an error that writes its own sentence, and what the sentence is.
SENTENCES: list[tuple[Callable[[], HeliosResearchError], str]] = [
    (
        partial(errors.ConfigError.setting, "rate", "10", "a number above 0"),
        "rate is '10', but must be a number above 0 (without quotation marks).",
    ),
    (
        partial(errors.ConfigError.setting, "rate", 0, "a number above 0"),
        "rate is 0, but must be a number above 0.",
    ),
    (
        partial(errors.ConfigError.verdicts, "'maybe' is not a verdict"),
        "The verdicts cannot be used: 'maybe' is not a verdict. Nothing was sent. Take the table of "
        "study.borderline() as it is now and write send, leave out or nothing into its column "
        "verdict.",
    ),
    (
        partial(errors.ConfigError.region, "eu", ["default", "ca", "us"]),
        "Unknown region 'eu': choose one of default, ca, us (argument `region` or environment "
        "variable THYMIA_REGION).",
    ),
    (
        partial(errors.ConfigError.base_url, "http://lab.example"),
        "The base URL 'http://lab.example' cannot be used: it must start with https:// (http:// "
        "only for this machine, as in http://127.0.0.1:8000), so that the API key and the "
        "recordings are encrypted on their way, and must not contain a user name, a password, a "
        "query or a space.",
    ),
    (
        partial(errors.ConfigError.proxy, "HTTPS_PROXY", "it names no host"),
        "The proxy in HTTPS_PROXY cannot be used: it names no host. Write it as in "
        "http://proxy.example.org:8080, or http://NAME:PASSWORD@proxy.example.org:8080 with special "
        "characters as %-codes (@ is %40), or remove it where this machine needs none.",
    ),
    (
        partial(
            errors.ConfigError.certificates, "SSL_CERT_DIR", "/ca", "cannot be read (no such …)"
        ),
        "SSL_CERT_DIR names /ca, which cannot be read (no such …). Name a file of certificates in "
        "PEM form in SSL_CERT_FILE, or remove the variable: then those that the operating system "
        "trusts count.",
    ),
    (
        errors.ApiKeyError.missing,
        "No API key: set the environment variable THYMIA_API_KEY, or store the key once with "
        "`helios-research key set`; it was not possible to ask for it here. To try the toolkit "
        "without a key, use hr.Sandbox() or `helios-research demo`.",
    ),
    (
        errors.ApiKeyError.invalid,
        "The API key is not valid: it contains a space, a quotation mark, a line break or a "
        "character that no key has. Copy it again (argument `api_key` or environment variable "
        "THYMIA_API_KEY).",
    ),
    (
        partial(errors.ApiKeyError.keyring, "it is locked"),
        "The system's keyring cannot be used: it is locked. Set the environment variable "
        "THYMIA_API_KEY instead.",
    ),
    (
        partial(errors.UnreadableTableError, Path("m.xlsx"), "it is encrypted", "Save it without."),
        "m.xlsx cannot be read: it is encrypted. Save it without.",
    ),
    (
        partial(
            errors.ColumnsError.missing,
            "m.csv",
            ["user_label"],
            ["User label", "file"],
            {
                "wide": [],
                "columns": {"recording": "file", "user_label": "User label"},
                "constants": {"language": "es"},
            },
        ),
        "m.csv lacks the column user_label. It has: User label, file. If this is right, declare "
        'columns={"recording": "file", "user_label": "User label"}, constants={"language": "es"}.',
    ),
    (
        partial(
            errors.ColumnsError.missing, "m.csv", ["language"], [], {"constants": {"language": "…"}}
        ),
        "m.csv lacks the column language. It has: none. If this is right, declare "
        'constants={"language": "…"}; in place of … '
        "write a column, or in constants= one value for all rows, such as en-GB.",
    ),
    (
        partial(errors.CohortError.unknown, [1]),
        "A cohort is read from a DataFrame (pandas, polars, DuckDB or Arrow) or from the path of a "
        'table, as in "manifest.csv", and this is a list.',
    ),
    (
        partial(errors.CohortError.superfluous, "columns", "tags"),
        "columns=, tags= cannot be used here: a cohort was read already, and only a file has sheets. "
        "Give it to read_cohort, or give the path of the table.",
    ),
    (
        partial(errors.ColumnsError.mapping, "m.csv", "'a' is not there", "Name another."),
        "The columns of m.csv cannot be assigned: 'a' is not there. Name another.",
    ),
    (
        partial(errors.ColumnsError.names, "m.csv", "has two columns 'a'", "Rename one."),
        "m.csv has two columns 'a'. Rename one.",
    ),
    (
        partial(errors.ColumnsError.tags, "m.csv", "there are 21", "Choose 20."),
        "The tags of m.csv cannot be sent: there are 21. Choose 20.",
    ),
    (
        partial(errors.PseudonymsError.column, "id", "it is not there", "Name another."),
        "No labels can be made from the column 'id': it is not there. Name another.",
    ),
    (
        partial(errors.PseudonymsError.key_file, Path("a.key"), "it is empty", "Put it back."),
        "The key file a.key cannot be used: it is empty. Put it back.",
    ),
    (
        partial(errors.RecordingUnavailableError, "a.wav", "does not exist", "check the path"),
        "The recording a.wav does not exist: check the path.",
    ),
    (
        errors.InvitationError.no_one,
        "Every row of the table has a recording, so there is no one to invite. Leave the recording "
        "blank in the rows of those who are to record themselves.",
    ),
    (
        partial(errors.InvitationError.ambiguous, "P07"),
        "'P07' is in several rows without a recording, and nothing says which invitation is for "
        "which. Give each row a key that stays: "
        'df["recording_id"] = df["user_label"] + "-" + '
        '(df.groupby("user_label").cumcount() + 1).astype("str").',
    ),
    (
        partial(errors.InvitationError.no_row, "P7-1", ["P07-1", "P08-1"]),
        "No row without a recording has the recording_id 'P7-1'. Did you mean 'P07-1'?",
    ),
    (
        partial(errors.InvitationError.used, "P07-1"),
        "The participant has recorded for 'P07-1' already, and what was paid for is not replaced. "
        "Submit to get the scores; for another recording, add a row with a recording_id of its own.",
    ),
    (
        partial(errors.InvitationError.ending, Path("links.pdf")),
        "Invitations are written to a .csv or .xlsx file, and this is 'links.pdf'.",
    ),
    (
        partial(errors.StudyError.needed_file, FOLDER / "cohort.parquet"),
        "The study itself needs studies/night/cohort.parquet, so it was not replaced. Name another "
        "file.",
    ),
    (
        partial(errors.StudyMissingError.folder, FOLDER),
        "There is no study in studies/night: check the path, or begin one with "
        "`helios-research submit MANIFEST --study studies/night`.",
    ),
    (
        partial(errors.StudyMissingError.cohort, FOLDER),
        "The study studies/night has no cohort yet: submit one first, with study.submit(cohort) or "
        "`helios-research submit MANIFEST --study DIR`.",
    ),
    (
        partial(errors.StudyMismatchError.service, FOLDER, URL, "http://127.0.0.1:8000"),
        "The study studies/night was begun at https://api.thymia.ai, and its runs exist only "
        "there; it cannot continue at http://127.0.0.1:8000. Use another folder for the other "
        "service, so that their scores are never mixed.",
    ),
    (
        partial(errors.StudyMismatchError.account, FOLDER),
        "The study studies/night was begun with the key of another thymia account, and its runs "
        "exist only there: use a key of that account, or another folder for this one.",
    ),
    (
        partial(errors.StudyMismatchError.demo, FOLDER),
        "The folder studies/night is not empty and holds no earlier demo, so the demo does not "
        "change it: name another folder with --study DIR.",
    ),
    (
        partial(errors.StudyLockedError, FOLDER, pid=41, host="lab-7", since="2026-11-22 10:00"),
        "The study studies/night is in use by process 41 on lab-7 since 2026-11-22 10:00: wait for "
        "it, or stop it first (if that machine has crashed, run the same command again in ten "
        "minutes). `helios-research status` shows its progress.",
    ),
    (
        partial(errors.StudyMismatchError.copy, FOLDER, Path("old/night"), "lab-7"),
        "The study studies/night seems to be a copy: it was last submitted in old/night on lab-7. "
        "What is sent there after it was copied is not known here, and would be paid for twice. "
        "Continue with only one of the two: to take this one, run the same command again. "
        "Nothing was sent.",
    ),
    (
        partial(errors.StudyLockedError, FOLDER, pid=None, host=None, since=None),
        "The study studies/night is in use by another process: wait for it, or stop it first. "
        "`helios-research status` shows its progress.",
    ),
    (
        partial(
            errors.StudyLockedError,
            FOLDER,
            pid=os.getpid(),
            host=socket.gethostname(),
            since=None,
        ),
        "The study studies/night is in use by this Python session: let what uses it finish, or "
        "stop that first (in a notebook: restart the kernel). `helios-research status` shows its "
        "progress.",
    ),
    (
        partial(errors.StudyVersionError, FOLDER, found=3, supported=2),
        "A newer version of helios_research wrote the study studies/night (schema 3; this version "
        "reads up to 2): upgrade with `pip install -U helios-research`. Nothing was changed.",
    ),
    (
        partial(errors.StudyStorageError, FOLDER, "it is odd"),
        "Cannot write to studies/night: it is odd. Free some space or choose a folder that you may "
        "write to; everything recorded so far is kept, and running the same command again "
        "continues from there.",
    ),
    *(
        (
            partial(StudyStorageError.from_system, FOLDER, OSError(number, "not read")),
            f"Cannot write to studies/night: {words}. {remedy}; everything recorded so far is "
            "kept, and running the same command again continues from there.",
        )
        for number, words, remedy in (
            (
                errno.ENOSPC,
                "no space left on device",
                "Free some space or choose a folder on another disk",
            ),
            (
                errno.EACCES,
                "permission denied",
                "Choose a folder that you may write to, or have the rights to this one changed",
            ),
            (
                errno.EMFILE,
                "too many open files",
                "Close other programs, or allow this one more open files (`ulimit -n 4096`)",
            ),
            (
                errno.ENOENT,
                "no such file or directory",
                "Make its folder first, or choose one that is there",
            ),
            (errno.EISDIR, "is a directory", "Choose another folder"),
        )
    ),
    (
        partial(errors.StudyDamagedError, FOLDER, "file is not a database"),
        "The ledger studies/night cannot be used: file is not a database. Put back a copy of the "
        "whole study folder from a backup, or choose another folder for the study. Nothing was "
        "sent.",
    ),
    (
        partial(errors.UnknownParticipantError, FOLDER, "P01", ["P001", "Q9"]),
        "No one in the study studies/night has the label 'P01'. Did you mean one of these: 'P001'? "
        "Labels are compared as they were sent, upper and lower case included.",
    ),
    (
        partial(errors.UnknownParticipantError, FOLDER, "ANNA", ["anna"]),
        "No one in the study studies/night has the label 'ANNA'. Did you mean one of these: "
        "'anna'? Labels are compared as they were sent, upper and lower case included.",
    ),
    (
        partial(errors.UnfinishedWithdrawalError, FOLDER),
        "The participant was removed from the study studies/night, but another program is reading "
        "its ledger, so remains cannot be erased yet: close what reads it (a monitor, another "
        "notebook, a database browser) and withdraw the same label again.",
    ),
    (
        partial(errors.RepeatedAttemptError, "ab12"),
        "The recording with SHA-256 ab12 is in progress or has its scores already, so it was not "
        "sent again. Read its results with Study.results().",
    ),
    (
        errors.RepeatedRunError,
        "An answer gave a model run, or its upload URL, that belongs to another recording of this "
        "study, so it was not used.",
    ),
    (
        partial(errors.AccountError, URL, 401),
        "https://api.thymia.ai does not know the API key (HTTP 401): check THYMIA_API_KEY and the "
        "region. No recording was marked as failed; submit again with the right key to continue.",
    ),
    (
        partial(errors.AccountError, URL, 403),
        "https://api.thymia.ai refuses this API key, or has no such address (HTTP 403): check "
        "THYMIA_API_KEY, the region and the base URL. No recording was marked as failed; submit again "
        "with the right key to continue.",
    ),
    (
        partial(errors.AccountError, f"{URL}/v2", 403),
        "https://api.thymia.ai/v2 refuses this API key, or has no such address (HTTP 403): check "
        "THYMIA_API_KEY, the region and the base URL. The base URL ends in /v2: Helios' own are without "
        "a path, as in https://api.thymia.ai. No recording was marked as failed; submit again with the "
        "right key to continue.",
    ),
    (
        partial(errors.AccountError, URL, 403, worked=True),
        "https://api.thymia.ai took the API key until now, and refuses it since (HTTP 403). No "
        "recording was marked as failed; submit again to continue; if it is refused then, ask thymia "
        "whether the key was revoked.",
    ),
    (
        partial(errors.ErrorRateError, 19, 20, "ERR_TRANSCRIPTION_FAILED", "No speech was found."),
        "19 of the last 20 recordings ended in ERR_TRANSCRIPTION_FAILED, so the submission has paused "
        "before more are paid for. No speech was found. Everything is kept: submit again to go on with "
        "the others, or with stop_at_error_rate=None (--stop-at-error-rate 0) to go on whatever they "
        "end in.",
    ),
    (
        partial(errors.RefusedError, "The quota of this account is used up."),
        "The quota of this account is used up. No recording was marked as failed; submit again to "
        "continue.",
    ),
    (
        partial(errors.NotHeliosError, URL, "HTTP 200 with a web page"),
        "https://api.thymia.ai does not answer like Helios (HTTP 200 with a web page): check the "
        "base URL, and whether a proxy or a login page answers in its place.",
    ),
    (
        partial(errors.NotHeliosError, f"{URL}/v2", "HTTP 404 with nothing in it"),
        "https://api.thymia.ai/v2 does not answer like Helios (HTTP 404 with nothing in it): check the "
        "base URL, and whether a proxy or a login page answers in its place. The base URL ends in /v2: "
        "Helios' own are without a path, as in https://api.thymia.ai.",
    ),
    (
        partial(errors.NetworkError, "The proxy proxy:8080 (HTTPS_PROXY) refuses."),
        "The proxy proxy:8080 (HTTPS_PROXY) refuses. Everything done so far is kept; submit again to "
        "continue.",
    ),
    (
        partial(errors.UnreachableError, URL, "No connection could be made: Connection refused."),
        "https://api.thymia.ai cannot be reached (No connection could be made: Connection "
        "refused): check the network connection and the base URL. Everything done so far is kept; "
        "submit again to continue.",
    ),
    (
        partial(errors.UnreachableError, "The upload host", "Slow down.", answers=True),
        "The upload host gives only errors (Slow down): wait a while. Everything done so far is kept; "
        "submit again to continue.",
    ),
    (
        partial(errors.UnknownColumnError, "distres", ["distress", "arm"]),
        "The results have no column 'distres'. Did you mean 'distress'? There are: distress, arm.",
    ),
    (
        partial(errors.UnknownColumnError, "arm", [], what="checks"),
        "The checks have no column 'arm'. There are: none.",
    ),
]


@pytest.mark.parametrize(("make", "sentence"), SENTENCES, ids=range(len(SENTENCES)))
def test_an_error_says_what_is_wrong_where_and_what_to_do(
    make: Callable[[], HeliosResearchError], sentence: str
) -> None:
    assert str(make()) == sentence


def test_every_error_that_writes_a_sentence_is_read_here() -> None:
    writing = {
        f"{name}.{member}".removesuffix(".__init__")
        for name, found in CLASSES.items()
        for member, value in vars(found).items()
        if member == "__init__" or isinstance(value, classmethod)
    }
    made = (make.func if isinstance(make, partial) else make for make, _ in SENTENCES)
    assert writing == {found.__qualname__ for found in made}


def test_the_tree_at_the_top_is_the_tree_of_classes() -> None:
    drawn: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│├└─ ]*)(\w+Error)\b", line)
        if found:
            depth = len(found.group(1)) // 4
            path[depth:] = [found.group(2)]
            drawn[found.group(2)] = path[depth - 1] if depth else None
    real = {name: found.__base__.__name__ for name, found in CLASSES.items()}
    assert drawn == real | {"HeliosResearchError": None}


def test_what_the_system_refuses_is_a_storage_error_without_a_second_traceback() -> None:
    with pytest.raises(StudyStorageError, match="another folder") as caught, storage_errors(FOLDER):
        raise OSError(errno.EISDIR, "a folder")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
