"""The error tree, and the sentences that people read."""

import inspect
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from helios_research import errors
from helios_research.errors import HeliosResearchError, local_time

FOLDER = Path("studies/night")
URL = "https://api.thymia.ai"

CLASSES = {
    name: found
    for name, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, HeliosResearchError)
}

# One example of each error that words its own sentence, and what that sentence has to say.
SENTENCES: list[tuple[HeliosResearchError, list[str]]] = [
    (errors.SettingError("rate", "10", "a number above 0"), ["rate is '10'", "without quotation"]),
    (errors.MissingKeyError(), ["No API key", "THYMIA_API_KEY", "key set", "hr.Sandbox()"]),
    (
        errors.KeyringUnusableError("it is locked"),
        ["The system's keyring cannot be used: it is locked.", "THYMIA_API_KEY instead"],
    ),
    (errors.InvalidKeyError(), ["The API key cannot be right", "Copy it again"]),
    (
        errors.ProxySettingsError("the file of certificates cannot be read"),
        ["the file of certificates cannot be read", "HTTPS_PROXY", "SSL_CERT_FILE"],
    ),
    (
        errors.UnknownRegionError("eu", ["default", "ca", "us"]),
        ["Unknown region 'eu'", "choose one of default, ca, us", "THYMIA_REGION"],
    ),
    (
        errors.UnsafeBaseUrlError("http://lab.example"),
        ["'http://lab.example' cannot be used", "must start with https://", "travel encrypted"],
    ),
    (
        errors.UnreadableTableError(Path("m.xlsx"), "it is encrypted", "Save it without."),
        ["m.xlsx cannot be read: it is encrypted. Save it without."],
    ),
    (
        errors.MissingColumnsError("m.csv", ["user_label", "language"], ["User_label", "file"]),
        [
            "m.csv lacks the columns user_label, language.",
            "Is 'User_label' meant as 'user_label'?",
            'columns={"user_label": "User_label"}',
            "It has: User_label, file.",
        ],
    ),
    (
        errors.ColumnMappingError("m.csv", "'a' is not there", "Name another."),
        ["The columns of m.csv cannot be assigned: 'a' is not there. Name another."],
    ),
    (
        errors.ColumnNamesError("m.csv", "has two columns 'a'", "Rename one."),
        ["m.csv has two columns 'a'. Rename one."],
    ),
    (
        errors.TagsError("m.csv", "there are 21", "Choose 20."),
        ["The tags of m.csv cannot be sent: there are 21. Choose 20."],
    ),
    (
        errors.ParticipantColumnError("id", "it is not there", "Name another."),
        ["No labels can be made of the column 'id': it is not there. Name another."],
    ),
    (
        errors.KeyFileError(Path("a.key"), "it is empty", "Put it back."),
        ["The key file a.key cannot be used: it is empty. Put it back."],
    ),
    (
        errors.RecordingUnavailableError("a.wav", "does not exist", "check the path"),
        ["The recording a.wav does not exist: check the path."],
    ),
    (
        errors.StudyLockedError(FOLDER, pid=41, host="lab-7", since="2026-11-22 10:00"),
        ["is in use by process 41 on lab-7 since 2026-11-22 10:00", "wait for it, or stop it"],
    ),
    (
        errors.StudyLockedError(FOLDER, pid=None, host=None, since=None),
        ["is in use by another process:", "helios-research status"],
    ),
    (
        errors.StudyVersionError(FOLDER, found=3, supported=2),
        ["schema 3", "up to 2", "pip install -U helios-research", "Nothing was changed."],
    ),
    (
        errors.StudyStorageError(FOLDER, "No space left on device"),
        [
            f"Cannot write to {FOLDER}: No space left on device",
            "everything recorded so far is kept",
        ],
    ),
    (
        errors.OtherAccountError(FOLDER),
        [f"{FOLDER} was begun with the key of another thymia account", "another folder"],
    ),
    (
        errors.NotADemoStudyError(FOLDER),
        [f"{FOLDER} holds something else", "--study DIR"],
    ),
    (
        errors.StudyMissingError(FOLDER),
        [f"There is no study in {FOLDER}", "helios-research submit MANIFEST"],
    ),
    (
        errors.StudyFileError(FOLDER / "cohort.parquet"),
        [f"{FOLDER / 'cohort.parquet'} is a file that the study itself needs", "another file"],
    ),
    (
        errors.StudyDamagedError(FOLDER, "file is not a database"),
        ["file is not a database", "from a backup", "Nothing was sent."],
    ),
    (errors.EmptyStudyError(FOLDER), ["holds no cohort yet", "study.submit(cohort)"]),
    (
        errors.MixedServicesError(FOLDER, URL, "http://127.0.0.1:8000"),
        [f"was begun at {URL}", "http://127.0.0.1:8000", "Use another folder"],
    ),
    (
        errors.UnknownParticipantError(FOLDER, "P01", ["P001", "P010", "Q9"]),
        [f"Nobody in the study {FOLDER} has the label 'P01'.", "Is one of these meant: 'P0"],
    ),
    (errors.UnknownParticipantError(FOLDER, "ANNA", ["anna"]), ["meant: 'anna'?"]),
    (
        errors.UnfinishedWithdrawalError(FOLDER),
        ["another program is reading its ledger", "withdraw the same label again"],
    ),
    (
        errors.RepeatedAttemptError("ab12"),
        ["SHA-256 ab12", "was not sent again", "Study.results()"],
    ),
    (
        errors.AccountError(URL, 401),
        [f"{URL} does not know the API key (HTTP 401)", "No recording was marked as failed"],
    ),
    (errors.AccountError(URL, 403), ["does not let this API key in (HTTP 403)"]),
    (
        errors.NotHeliosError(URL, "HTTP 200 with a web page"),
        ["does not answer like Helios (HTTP 200 with a web page)", "proxy or a login page"],
    ),
    (
        errors.UnreachableError(URL, "No connection could be made: Connection refused."),
        ["(No connection could be made: Connection refused):", "submit again to go on"],
    ),
    (
        errors.UnknownColumnError("distres", ["distress", "stress"]),
        ["no column 'distres'. Did you mean 'distress'?", "There are: distress, stress."],
    ),
    (errors.UnknownColumnError("arm", [], what="checks"), ["The checks have no column 'arm'."]),
]


@pytest.mark.parametrize(
    ("error", "parts"),
    SENTENCES,
    ids=[f"{number} {type(error).__name__}" for number, (error, _) in enumerate(SENTENCES)],
)
def test_an_error_says_what_is_wrong_where_and_what_to_do(
    error: HeliosResearchError, parts: list[str]
) -> None:
    sentence = str(error)
    for part in parts:
        assert part in sentence
    assert sentence.endswith((".", ")"))
    assert "  " not in sentence
    assert "None" not in sentence


def test_every_error_that_words_a_sentence_is_read_here() -> None:
    wording = {name for name, found in CLASSES.items() if "__init__" in vars(found)}
    assert wording == {type(error).__name__ for error, _ in SENTENCES}


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


def test_a_moment_is_worded_as_the_readers_clock_shows_it() -> None:
    moment = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert local_time(moment) == moment.astimezone().strftime("%Y-%m-%d %H:%M")
