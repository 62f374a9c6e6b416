"""Every error that the package raises on purpose.

::

    HeliosResearchError
    ├── ConfigError               a setting is missing or cannot be used
    │   └── ApiKeyError           there is no API key, it is not valid, or it cannot be stored
    ├── CohortError               a table cannot be read as a cohort at all
    │   ├── UnreadableTableError  its file cannot be opened or understood
    │   ├── ColumnsError          its columns do not fit, or cannot be used as asked
    │   └── InvitationError       participants cannot be invited as asked
    ├── PseudonymsError           labels for participants cannot be made
    ├── RecordingUnavailableError the bytes of a recording cannot be read
    ├── StudyError                a study folder cannot be used
    │   ├── StudyMissingError     there is no study in the folder, or no cohort in the study
    │   ├── StudyMismatchError    the study belongs to something else
    │   ├── StudyLockedError      another process is using it
    │   ├── StudyVersionError     a newer version of the package wrote it
    │   ├── StudyStorageError     the disk is full, read-only or not ours
    │   ├── StudyDamagedError     its ledger cannot be read
    │   ├── UnknownParticipantError no one in the study has this label
    │   ├── UnfinishedWithdrawalError remains of a participant could not be erased yet
    │   ├── RepeatedAttemptError  a recording would be processed twice
    │   └── RepeatedRunError      two recordings would be put to one model run
    ├── ServiceError              it is not possible to work with Helios
    │   ├── AccountError          it refuses the API key
    │   ├── RefusedError          it, or its upload host, refuses everything for another reason
    │   ├── NotHeliosError        a different server answers at that address
    │   ├── NetworkError          what is between this machine and Helios lets nothing through
    │   └── UnreachableError      no server answers there, or only with errors
    ├── ErrorRateError            nearly all recordings end in the same error
    └── ResultsError              a results table lacks what an analysis needs
        └── UnknownColumnError    a column is not in it

What is wrong with *one* recording is never an exception that reaches the researcher: it is a row
in ``cohort.issues``, in the table of checks, or in the results (``RecordingUnavailableError`` is
raised inside, and caught where that row is written). An interrupt by the user is a
``KeyboardInterrupt``, in a notebook ``SubmissionInterrupt``.

Constructors take facts and write the sentence: what is wrong, where, and what to do. They have no
docstrings, as they would say the same in other words.
"""

import errno
import os
import shlex
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from helios_research._util.text import literal, system_reason


class HeliosResearchError(Exception):
    """Base class of all errors of this package."""


class ConfigError(HeliosResearchError):
    """A setting is missing or cannot be used."""

    @classmethod
    def setting(cls, name: str, value: object, expected: str) -> Self:
        quoted = " (without quotation marks)" if isinstance(value, str) else ""
        return cls(f"{name} is {value!r}, but must be {expected}{quoted}.")

    @classmethod
    def verdicts(cls, problem: str) -> Self:
        return cls(
            f"The verdicts cannot be used: {problem}. Nothing was sent. Take the table of "
            "study.borderline() as it is now and write send, leave out or nothing into its column "
            "verdict."
        )

    @classmethod
    def region(cls, region: str, accepted: Iterable[str]) -> Self:
        return cls(
            f"Unknown region {region!r}: choose one of {_listed(accepted)} "
            "(argument `region` or environment variable THYMIA_REGION)."
        )

    @classmethod
    def base_url(cls, base_url: str) -> Self:
        return cls(
            f"The base URL {base_url!r} cannot be used: it must start with https:// "
            "(http:// only for this machine, as in http://127.0.0.1:8000), so that the API key "
            "and the recordings are encrypted on their way, and must not contain a user name, a "
            "password, a query or a space."
        )

    @classmethod
    def proxy(cls, setting: str, problem: str) -> Self:
        return cls(
            f"The proxy in {setting} cannot be used: {problem}. Write it as in {PROXY_EXAMPLE}, or "
            "remove it where this machine needs none."
        )

    @classmethod
    def certificates(cls, setting: str, path: str, problem: str) -> Self:
        return cls(
            f"{setting} names {path}, which {problem}. Name a file of certificates in PEM form in "
            "SSL_CERT_FILE, or remove the variable: then those that the operating system trusts "
            "count."
        )


class ApiKeyError(ConfigError):
    """There is no API key, it is not valid, or it cannot be stored; no sentence repeats it."""

    @classmethod
    def missing(cls) -> Self:
        return cls(
            "No API key: set the environment variable THYMIA_API_KEY, or store the key once with "
            "`helios-research key set`; it was not possible to ask for it here. To try the toolkit "
            "without a key, use hr.Sandbox() or `helios-research demo`."
        )

    @classmethod
    def invalid(cls) -> Self:
        return cls(
            "The API key is not valid: it contains a space, a quotation mark, a line break or a "
            "character that no key has. Copy it again (argument `api_key` or environment variable "
            "THYMIA_API_KEY)."
        )

    @classmethod
    def keyring(cls, reason: str) -> Self:
        return cls(
            f"The system's keyring cannot be used: {reason}. "
            "Set the environment variable THYMIA_API_KEY instead."
        )


class CohortError(HeliosResearchError):
    """A table cannot be read as a cohort at all."""

    @classmethod
    def unknown(cls, table: object) -> Self:
        methods = ("toPandas", "collect", "compute")
        hints = (f": call .{name}() on it first" for name in methods if hasattr(table, name))
        return cls(
            "A cohort is read from a DataFrame (pandas, polars, DuckDB or Arrow) or from the path of a "
            f'table, as in "manifest.csv", and this is a {type(table).__name__}{next(hints, "")}.'
        )

    @classmethod
    def superfluous(cls, *names: str) -> Self:
        return cls(
            f"{', '.join(f'{name}=' for name in names)} cannot be used here: a cohort was read already, and "
            "only a file has sheets. Give it to read_cohort, or give the path of the table."
        )


class InvitationError(CohortError):
    """Participants cannot be invited as asked; no one was invited, and nothing was changed."""

    @classmethod
    def no_one(cls) -> Self:
        return cls(
            "Every row of the table has a recording, so there is no one to invite. Leave the recording "
            "blank in the rows of those who are to record themselves."
        )

    @classmethod
    def ambiguous(cls, label: str) -> Self:
        return cls(
            f"{label!r} is in several rows without a recording, and nothing says which invitation is for "
            "which. Give each row a key that stays: "
            'df["recording_id"] = df["user_label"] + "-" + '
            '(df.groupby("user_label").cumcount() + 1).astype("str").'
        )

    @classmethod
    def no_row(cls, recording_id: str, known: Iterable[str]) -> Self:
        return cls(
            f"No row without a recording has the recording_id {recording_id!r}."
            f"{_meant(recording_id, known)}"
        )

    @classmethod
    def used(cls, recording_id: str) -> Self:
        return cls(
            f"The participant has recorded for {recording_id!r} already, and what was paid for is not "
            "replaced. Submit to get the scores; for another recording, add a row with a recording_id of "
            "its own."
        )

    @classmethod
    def ending(cls, path: Path) -> Self:
        return cls(f"Invitations are written to a .csv or .xlsx file, and this is {path.name!r}.")


class UnreadableTableError(CohortError):
    """The file of a table cannot be opened or understood."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"{path} cannot be read: {reason}. {remedy}")


class ColumnsError(CohortError):
    """The columns of a table do not fit, or cannot be used as asked."""

    @classmethod
    def missing(
        cls,
        source: str,
        missing: Sequence[str],
        available: Iterable[str],
        declared: Mapping[str, object],
    ) -> Self:
        line = ", ".join(f"{name}={literal(given)}" for name, given in declared.items() if given)
        blank = invite = ""
        if "…" in line:
            blank = "; in place of … write a column, or in constants= one value for all rows, such as en-GB"
        if blank and "recording" in missing:
            invite = (
                ' If participants are to record themselves, declare constants={"recording": ""}, and '
                "see study.invite."
            )
        several = "s" if len(missing) > 1 else ""
        return cls(
            f"{source} lacks the column{several} {_listed(missing)}. It has: "
            f"{_listed(available)}. If this is right, declare {line}{blank}.{invite}"
        )

    @classmethod
    def mapping(cls, source: str, what: str, remedy: str) -> Self:
        return cls(f"The columns of {source} cannot be assigned: {what}. {remedy}")

    @classmethod
    def names(cls, source: str, what: str, remedy: str) -> Self:
        return cls(f"{source} {what}. {remedy}")

    @classmethod
    def tags(cls, source: str, what: str, remedy: str) -> Self:
        return cls(f"The tags of {source} cannot be sent: {what}. {remedy}")


class PseudonymsError(HeliosResearchError):
    """Labels for participants cannot be made."""

    @classmethod
    def column(cls, column: object, problem: str, remedy: str) -> Self:
        return cls(f"No labels can be made from the column {column!r}: {problem}. {remedy}")

    @classmethod
    def key_file(cls, path: Path, reason: str, remedy: str) -> Self:
        return cls(f"The key file {path} cannot be used: {reason}. {remedy}")


class RecordingUnavailableError(HeliosResearchError):
    """The bytes of a recording cannot be read; ``may_pass`` where they may be later."""

    def __init__(self, location: str, reason: str, remedy: str, *, may_pass: bool = False) -> None:
        super().__init__(f"The recording {location} {reason}: {remedy}.")
        self.may_pass = may_pass


class StudyError(HeliosResearchError):
    """A study folder cannot be used."""

    @classmethod
    def needed_file(cls, path: Path) -> Self:
        return cls(f"The study itself needs {path}, so it was not replaced. Name another file.")


class StudyMissingError(StudyError):
    """There is no study in the folder, or no cohort in the study."""

    @classmethod
    def folder(cls, folder: Path) -> Self:
        return cls(
            f"There is no study in {folder}: check the path, or begin one with "
            f"`helios-research submit MANIFEST --study {shlex.quote(str(folder))}`."
        )

    @classmethod
    def cohort(cls, folder: Path) -> Self:
        return cls(
            f"The study {folder} has no cohort yet: submit one first, with "
            "study.submit(cohort) or `helios-research submit MANIFEST --study DIR`."
        )


class StudyMismatchError(StudyError):
    """The study belongs to another service or account, is a copy, or is not a demo."""

    @classmethod
    def copy(cls, folder: Path, original: Path, host: str) -> Self:
        return cls(
            f"The study {folder} seems to be a copy: it was last submitted in {original} on {host}. "
            "What is sent there after it was copied is not known here, and would be paid for twice. "
            "Continue with only one of the two: to take this one, run the same command again. "
            "Nothing was sent."
        )

    @classmethod
    def service(cls, folder: Path, before: str | None, now: str) -> Self:
        return cls(
            f"The study {folder} was begun at {before}, and its runs exist only there; it cannot "
            f"continue at {now}. Use another folder for the other service, so that their scores "
            "are never mixed."
        )

    @classmethod
    def account(cls, folder: Path) -> Self:
        return cls(
            f"The study {folder} was begun with the key of another thymia account, and its runs "
            "exist only there: use a key of that account, or another folder for this one."
        )

    @classmethod
    def demo(cls, folder: Path) -> Self:
        return cls(
            f"The folder {folder} is not empty and holds no earlier demo, so the demo does not "
            "change it: name another folder with --study DIR."
        )


class StudyLockedError(StudyError):
    """Another process is using the study."""

    def __init__(
        self, folder: Path, *, pid: int | None, host: str | None, since: str | None
    ) -> None:
        where, when = f" on {host}" if host else "", f" since {since}" if since else ""
        who, remedy = f"process {pid}{where}", "wait for it, or stop it first"
        if pid is None:
            who = f"another process{where}"
        elif (pid, host) == (os.getpid(), socket.gethostname()):
            who, remedy = "this Python session", "let what uses it finish, or stop that first"
            remedy += " (in a notebook: restart the kernel)"
        elif host != socket.gethostname():
            remedy += " (if that machine has crashed, run the same command again in ten minutes)"
        super().__init__(
            f"The study {folder} is in use by {who}{when}: {remedy}. "
            "`helios-research status` shows its progress."
        )


class StudyVersionError(StudyError):
    """A newer version of the package wrote the study."""

    def __init__(self, folder: Path, *, found: int, supported: int) -> None:
        super().__init__(
            f"A newer version of helios_research wrote the study {folder} "
            f"(schema {found}; this version reads up to {supported}): "
            "upgrade with `pip install -U helios-research`. Nothing was changed."
        )


class StudyStorageError(StudyError):
    """The disk is full, read-only, or not ours."""

    def __init__(self, path: Path, reason: str, number: int | None = None) -> None:
        remedy = _STORAGE_REMEDIES.get(
            number, "Free some space or choose a folder that you may write to"
        )
        super().__init__(
            f"Cannot write to {path}: {reason}. {remedy}; everything recorded so far is kept, and "
            "running the same command again continues from there."
        )

    @classmethod
    def from_system(cls, path: Path, error: OSError) -> Self:
        return cls(path, system_reason(error), error.errno)


class StudyDamagedError(StudyError):
    """The ledger of a study cannot be read."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The ledger {path} cannot be used: {reason}. Put back a copy of the whole study folder "
            "from a backup, or choose another folder for the study. Nothing was sent."
        )


class UnknownParticipantError(StudyError):
    """No one in the study has this label."""

    def __init__(self, folder: Path, label: str, known: Iterable[str]) -> None:
        names = list(known)
        close = get_close_matches(label, names, n=3) or [
            name for name in names if name.casefold() == label.casefold()
        ]
        hint = f" Did you mean one of these: {_listed(map(repr, close))}?" if close else ""
        super().__init__(
            f"No one in the study {folder} has the label {label!r}.{hint} "
            "Labels are compared as they were sent, upper and lower case included."
        )


class UnfinishedWithdrawalError(StudyError):
    """Remains of a participant could not be erased yet."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"The participant was removed from the study {folder}, but another program is reading "
            "its ledger, so remains cannot be erased yet: close what reads it (a monitor, another "
            "notebook, a database browser) and withdraw the same label again."
        )


class RepeatedAttemptError(StudyError):
    """A recording's audio would be processed twice."""

    def __init__(self, sha256: str) -> None:
        super().__init__(
            f"The recording with SHA-256 {sha256} is in progress or has its scores already, so it "
            "was not sent again. Read its results with Study.results()."
        )


class RepeatedRunError(StudyError):
    """Two recordings would be put to one model run."""

    def __init__(self) -> None:
        super().__init__(
            "An answer gave a model run, or its upload URL, that belongs to another recording of "
            "this study, so it was not used."
        )


class ErrorRateError(HeliosResearchError):
    """Nearly all recordings end in the same error, so no more are sent before someone has looked."""

    def __init__(self, count: int, of: int, code: str, explanation: str) -> None:
        super().__init__(
            f"{count} of the last {of} recordings ended in {code}, so the submission has paused before "
            f"more are paid for. {explanation} Everything is kept: submit again to go on with the "
            "others, or with stop_at_error_rate=None (--stop-at-error-rate 0) to go on whatever they "
            "end in."
        )


class ServiceError(HeliosResearchError):
    """It is not possible to work with Helios; nothing was marked as failed."""


class AccountError(ServiceError):
    """Helios refuses the API key."""

    def __init__(self, base_url: str, status: int, *, worked: bool = False) -> None:
        problem, check = "does not know the API key", "THYMIA_API_KEY and the region"
        if status != 401:
            problem = "refuses this API key, or has no such address"
            check = "THYMIA_API_KEY, the region and the base URL"
        sentence = (
            f"{base_url} {problem} (HTTP {status}): check {check}.{_path_hint(base_url)} No recording "
            "was marked as failed; submit again with the right key to continue."
        )
        if worked:
            sentence = (
                f"{base_url} took the API key until now, and refuses it since (HTTP {status}). No "
                "recording was marked as failed; submit again to continue; if it is refused then, ask "
                "thymia whether the key was revoked."
            )
        super().__init__(sentence)


class RefusedError(ServiceError):
    """Helios, or its upload host, refuses everything for a reason that has to be settled first."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason} No recording was marked as failed; submit again to continue.")


class NotHeliosError(ServiceError):
    """A server that is not Helios answers at the base URL."""

    def __init__(self, base_url: str, what: str) -> None:
        super().__init__(
            f"{base_url} does not answer like Helios ({what}): check the base URL, and whether a "
            f"proxy or a login page answers in its place.{_path_hint(base_url)}"
        )


def _path_hint(base_url: str) -> str:
    parts = urlsplit(base_url)
    hint = f" The base URL ends in {parts.path}: Helios' own are without a path, as in "
    return f"{hint}{parts.scheme}://{parts.netloc}." if parts.path else ""


class NetworkError(ServiceError):
    """What is between this machine and Helios, such as a proxy, lets nothing through."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason} Everything done so far is kept; submit again to continue.")


class UnreachableError(ServiceError):
    """No server answers at the base URL, or only with errors."""

    def __init__(self, base_url: str, reason: str, *, answers: bool = False) -> None:
        problem = "gives only errors" if answers else "cannot be reached"
        do = "wait a while" if answers else "check the network connection and the base URL"
        super().__init__(
            f"{base_url} {problem} ({reason.rstrip('.')}): {do}. Everything done so far is kept; "
            "submit again to continue."
        )


class SubmissionInterrupt(KeyboardInterrupt):
    """The user interrupted a submission in a notebook, which shows the sentence and no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class ResultsError(HeliosResearchError):
    """A results table lacks what an analysis needs."""


class UnknownColumnError(ResultsError):
    """A column that was asked for is not in the table."""

    def __init__(self, column: str, available: Iterable[str], *, what: str = "results") -> None:
        names = [str(name) for name in available]
        super().__init__(
            f"The {what} have no column {column!r}.{_meant(column, names)} There are: "
            f"{_listed(names)}."
        )


PROXY_EXAMPLE = (
    "http://proxy.example.org:8080, or http://NAME:PASSWORD@proxy.example.org:8080 with special "
    "characters as %-codes (@ is %40)"
)

_MORE_SPACE = "Free some space or choose a folder on another disk"
_MORE_RIGHTS = "Choose a folder that you may write to, or have the rights to this one changed"
_MORE_FILES = "Close other programs, or allow this one more open files (`ulimit -n 4096`)"
_ANOTHER_PLACE = "Choose another folder"

# By the number that the operating system gives to what it refuses.
_STORAGE_REMEDIES: dict[int | None, str] = {
    errno.ENOENT: "Make its folder first, or choose one that is there",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _MORE_SPACE),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _MORE_RIGHTS),
    errno.EIO: "Check that the disk has space left, and that it or its share is still connected",
    errno.EBUSY: "Close that program (a database browser or a backup, perhaps)",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), _MORE_FILES),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP), _ANOTHER_PLACE),
}


def _meant(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _listed(names: Iterable[str]) -> str:
    """List names, of many the first thirty."""
    known = [name if len(name) <= 60 else name[:59] + "…" for name in names]
    more = [f"and {len(known) - 30} more"] if len(known) > 30 else []
    return ", ".join(known[:30] + more) or "none"


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Raise what the operating system refuses inside the block as a `StudyStorageError`."""
    try:
        yield
    except OSError as error:
        raise StudyStorageError.from_system(path, error) from None
