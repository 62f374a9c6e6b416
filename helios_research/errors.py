"""Every error that the package raises on purpose.

::

    HeliosResearchError
    ├── ConfigError               settings that are missing or cannot be used
    │   ├── SettingError          one is not of the kind that it has to be
    │   ├── MissingKeyError       there is no API key
    │   ├── InvalidKeyError       the API key cannot be one
    │   ├── KeyringUnusableError  the system's keyring cannot keep it
    │   ├── UnknownRegionError    thymia has no such region
    │   ├── UnsafeBaseUrlError    the key could be read on its way there
    │   └── ProxySettingsError    the environment's proxy or certificates
    ├── CohortError               a table that cannot be read as a cohort at all
    │   ├── UnreadableTableError  its file cannot be opened or understood
    │   ├── MissingColumnsError   it lacks columns that every recording needs
    │   ├── ColumnMappingError    the columns cannot be assigned as asked
    │   ├── ColumnNamesError      its column names cannot go into the results
    │   └── TagsError             the columns named as tags cannot be sent
    ├── PseudonymsError           labels for participants cannot be made
    │   ├── ParticipantColumnError the column that tells participants apart
    │   └── KeyFileError          the file of the key
    ├── RecordingUnavailableError a recording whose bytes cannot be read
    ├── StudyError                a study folder
    │   ├── EmptyStudyError       no cohort was ever submitted to it
    │   ├── MixedServicesError    its runs are at another service
    │   ├── OtherAccountError     its runs belong to another account
    │   ├── NotADemoStudyError    the demo would overwrite something else
    │   ├── UnknownParticipantError nobody in the study has this label
    │   ├── UnfinishedWithdrawalError remains of a participant could not be erased yet
    │   ├── StudyLockedError      another process is using it
    │   ├── StudyVersionError     a newer version of the package wrote it
    │   ├── StudyStorageError     the disk is full, read-only or not ours
    │   ├── StudyFileError        something would be written over a file that it needs
    │   ├── StudyMissingError     there is no study in the folder
    │   ├── StudyDamagedError     its ledger cannot be read
    │   └── RepeatedAttemptError  a recording would be processed twice
    ├── ServiceError              Helios cannot be worked with at all
    │   ├── AccountError          it refuses the key
    │   ├── NotHeliosError        something else answers at that address
    │   └── UnreachableError      nothing answers there
    └── ResultsError              a results table lacks what an analysis needs
        └── UnknownColumnError    a column is not in it

What is wrong with *one* recording is never an exception that reaches the researcher: it is a row
in ``cohort.issues``, in the table of checks, or in the results (``RecordingUnavailableError`` is
raised inside, and caught where that row is written).

Constructors take facts and word the sentence: what is wrong, where, and what to do.
"""

import errno
import os
import shlex
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Self


class HeliosResearchError(Exception):
    """Base class of all errors of this package."""


class ConfigError(HeliosResearchError):
    """A setting is missing or cannot be used."""


class SettingError(ConfigError):
    """A setting is not of the kind that it has to be."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        quoted = " (without quotation marks)" if isinstance(value, str) else ""
        super().__init__(f"{name} is {value!r}: it has to be {expected}{quoted}.")


class MissingKeyError(ConfigError):
    """No API key was given, none is stored, and nobody could be asked."""

    def __init__(self) -> None:
        super().__init__(
            "No API key: set the environment variable THYMIA_API_KEY, or store the key once with "
            "`helios-research key set`; nobody could be asked for it here. To try the toolkit "
            "without a key, use hr.Sandbox() or `helios-research demo`."
        )


class InvalidKeyError(ConfigError):
    """The API key holds characters that no key has; the sentence does not repeat it."""

    def __init__(self) -> None:
        super().__init__(
            "The API key cannot be right: it holds a space, a quotation mark, a line break or a "
            "character that no key has. Copy it again (argument `api_key` or environment variable "
            "THYMIA_API_KEY)."
        )


class KeyringUnusableError(ConfigError):
    """The operating system's keyring cannot keep the key."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The system's keyring cannot be used: {reason}. "
            "Set the environment variable THYMIA_API_KEY instead."
        )


class ProxySettingsError(ConfigError):
    """A proxy or certificate setting of the environment cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The network settings of this environment cannot be used: {reason}. Check the "
            "variables HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR."
        )


class UnknownRegionError(ConfigError):
    """The region is not one that thymia serves."""

    def __init__(self, region: str, accepted: Iterable[str]) -> None:
        super().__init__(
            f"Unknown region {region!r}: choose one of {_listed(accepted)} "
            "(argument `region` or environment variable THYMIA_REGION)."
        )


class UnsafeBaseUrlError(ConfigError):
    """The base URL would send the key where it could be read."""

    def __init__(self, base_url: str) -> None:
        super().__init__(
            f"The base URL {base_url!r} cannot be used: it must start with https:// "
            "(http:// only for this machine, as in http://127.0.0.1:8000), so that the API key "
            "and the recordings travel encrypted, and hold no user name, password, query or space."
        )


class CohortError(HeliosResearchError):
    """A table cannot be read as a cohort at all."""


class UnreadableTableError(CohortError):
    """The file of a table cannot be opened or understood."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"{path} cannot be read: {reason}. {remedy}")


class MissingColumnsError(CohortError):
    """Columns that every recording needs are not in the table."""

    def __init__(self, source: str, missing: Iterable[str], available: Iterable[str]) -> None:
        absent, names = list(missing), list(available)
        lowered = {name.casefold(): name for name in names}
        close = {
            field: lowered[match]
            for field in absent
            for match in get_close_matches(field, lowered, n=1)
        }
        example = close or {absent[0]: "your column"}
        mapping = ", ".join(f'"{field}": "{name}"' for field, name in example.items())
        field, name = next(iter(example.items()))
        hint = "".join(f" Is {name!r} meant as {field!r}?" for field, name in close.items())
        super().__init__(
            f"{source} lacks the column{'s' if len(absent) > 1 else ''} {_listed(absent)}.{hint} "
            f"It has: {_listed(_some(names))}. Say which column holds what with columns={{{mapping}}}, "
            'or give one value for all rows with constants={"language": "en-GB"} (on the command '
            f"line: --column {field}={shlex.quote(name)} and --constant language=en-GB)."
        )


class ColumnMappingError(CohortError):
    """The arguments ``columns`` and ``constants`` do not fit the table."""

    def __init__(self, source: str, what: str, remedy: str) -> None:
        super().__init__(f"The columns of {source} cannot be assigned: {what}. {remedy}")


class ColumnNamesError(CohortError):
    """The table's own column names cannot be carried into the results."""

    def __init__(self, source: str, what: str, remedy: str) -> None:
        super().__init__(f"{source} {what}. {remedy}")


class TagsError(CohortError):
    """The columns named as tags cannot be sent as tags."""

    def __init__(self, source: str, what: str, remedy: str) -> None:
        super().__init__(f"The tags of {source} cannot be sent: {what}. {remedy}")


class PseudonymsError(HeliosResearchError):
    """Labels for participants cannot be made."""


class ParticipantColumnError(PseudonymsError):
    """The column that tells participants apart cannot be used."""

    def __init__(self, column: object, problem: str, remedy: str) -> None:
        super().__init__(f"No labels can be made of the column {column!r}: {problem}. {remedy}")


class KeyFileError(PseudonymsError):
    """The file of the key cannot be used; the sentence does not repeat what is in it."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"The key file {path} cannot be used: {reason}. {remedy}")


class RecordingUnavailableError(HeliosResearchError):
    """The bytes of a recording cannot be read at all."""

    def __init__(self, location: str, reason: str, remedy: str) -> None:
        super().__init__(f"The recording {location} {reason}: {remedy}.")


class StudyError(HeliosResearchError):
    """A study folder cannot be used."""


class StudyLockedError(StudyError):
    """Another process is using the study."""

    def __init__(
        self, folder: Path, *, pid: int | None, host: str | None, since: str | None
    ) -> None:
        where = f" on {host}" if host else ""
        when = f" since {since}" if since else ""
        who, remedy = f"process {pid}{where}", "wait for it, or stop it first"
        if pid is None:
            who = f"another process{where}"
        elif (pid, host) == (os.getpid(), socket.gethostname()):
            who = "this Python session"
            remedy = (
                "let what uses it finish, or stop that first (in a notebook: restart the kernel)"
            )
        super().__init__(
            f"The study {folder} is in use by {who}{when}: {remedy}. "
            "Its progress can be read with `helios-research status`."
        )


class StudyVersionError(StudyError):
    """A newer version of the package wrote the study."""

    def __init__(self, folder: Path, *, found: int, supported: int) -> None:
        super().__init__(
            f"The study {folder} was written by a newer version of helios_research "
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
            "running the same command again goes on from there."
        )

    @classmethod
    def from_system(cls, path: Path, error: OSError) -> Self:
        """Word what the operating system refused."""
        words = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
        return cls(path, words[:1].lower() + words[1:], error.errno)


class StudyFileError(StudyError):
    """Something would be written over a file that the study needs."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is a file that the study itself needs, so nothing was written over it. Name "
            "another file."
        )


class StudyMissingError(StudyError):
    """There is no study in the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"There is no study in {folder}: check the path, or begin one with "
            f"`helios-research submit MANIFEST --study {folder}`."
        )


class StudyDamagedError(StudyError):
    """The ledger of a study cannot be read."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The ledger {path} cannot be used: {reason}. Put back a copy of the whole study folder "
            "from a backup, or choose another folder for the study. Nothing was sent."
        )


class EmptyStudyError(StudyError):
    """No cohort was ever submitted to the study."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"The study {folder} holds no cohort yet: submit one first, with "
            "study.submit(cohort) or `helios-research submit MANIFEST --study DIR`."
        )


class MixedServicesError(StudyError):
    """The study's runs are at another service than the one that it is now to use."""

    def __init__(self, folder: Path, before: str | None, now: str) -> None:
        super().__init__(
            f"The study {folder} was begun at {before}, and its runs exist only there; it cannot "
            f"go on at {now}. Use another folder for the other service, so that their scores "
            "are never mixed."
        )


class OtherAccountError(StudyError):
    """The study's runs belong to another account than the key."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"The study {folder} was begun with the key of another thymia account, and its runs "
            "exist only there: use a key of that account, or another folder for this one."
        )


class NotADemoStudyError(StudyError):
    """The folder for the demo holds something else."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"The folder {folder} holds something else than an earlier demo, so the demo does not "
            "touch it: name another folder with --study DIR."
        )


class UnknownParticipantError(StudyError):
    """Nobody in the study has this label."""

    def __init__(self, folder: Path, label: str, known: Iterable[str]) -> None:
        names = list(known)
        close = get_close_matches(label, names, n=3) or [
            name for name in names if name.casefold() == label.casefold()
        ]
        hint = f" Is one of these meant: {_listed(map(repr, close))}?" if close else ""
        super().__init__(
            f"Nobody in the study {folder} has the label {label!r}.{hint} "
            "Labels are compared as they were sent, upper and lower case included."
        )


class UnfinishedWithdrawalError(StudyError):
    """Remains of a participant could not be erased yet."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"The participant was removed from the study {folder}, but another program is reading "
            "its ledger, so that remains cannot be erased yet: close what reads it (a monitor, "
            "another notebook, a database browser) and withdraw the same label again."
        )


class RepeatedAttemptError(StudyError):
    """A recording's audio would be processed twice."""

    def __init__(self, sha256: str) -> None:
        super().__init__(
            f"The recording with SHA-256 {sha256} is under way or has its scores already, so it "
            "was not sent again. Read what is there with Study.results()."
        )


class ServiceError(HeliosResearchError):
    """Helios cannot be worked with at all; nothing was marked as failed."""


class AccountError(ServiceError):
    """Helios refuses the key."""

    def __init__(self, base_url: str, status: int) -> None:
        meaning = "does not know the API key" if status == 401 else "does not let this API key in"
        super().__init__(
            f"{base_url} {meaning} (HTTP {status}): check THYMIA_API_KEY and the region. "
            "No recording was marked as failed; submit again with the right key to go on."
        )


class NotHeliosError(ServiceError):
    """Something other than Helios answers at the base URL."""

    def __init__(self, base_url: str, what: str) -> None:
        super().__init__(
            f"{base_url} does not answer like Helios ({what}): check the base URL and whether a "
            "proxy or a login page stands in between."
        )


class UnreachableError(ServiceError):
    """Nothing answers at the base URL."""

    def __init__(self, base_url: str, reason: str) -> None:
        super().__init__(
            f"{base_url} cannot be reached ({reason.rstrip('.')}): check the network connection and the base "
            "URL. Everything done so far is kept; submit again to go on."
        )


class ResultsError(HeliosResearchError):
    """A results table lacks what an analysis needs."""


class UnknownColumnError(ResultsError):
    """A column that was asked for is not in the table."""

    def __init__(self, column: str, available: Iterable[str], *, what: str = "results") -> None:
        names = [str(name) for name in available]
        close = get_close_matches(column, names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(
            f"The {what} have no column {column!r}.{hint} There are: {_listed(names)}."
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
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), _MORE_FILES),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP), _ANOTHER_PLACE),
}


def _some(names: list[str]) -> list[str]:
    shortened = [name if len(name) <= 60 else name[:59] + "…" for name in names[:30]]
    return shortened if len(names) <= 30 else [*shortened, f"and {len(names) - 30} more"]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Raise what the operating system refuses inside the block as a `StudyStorageError`."""
    try:
        yield
    except OSError as error:
        raise StudyStorageError.from_system(path, error) from None


def local_time(moment: datetime) -> str:
    """Word a moment as the reader's own wall clock shows it, for use in a sentence."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")
