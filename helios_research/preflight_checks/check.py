"""The check of one recording, and the cache that makes a second check instant."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Protocol, Self

from helios_research.codes import RECORDING_UNREACHABLE
from helios_research.columns import Verdict
from helios_research.errors import RecordingUnavailableError
from helios_research.preflight_checks.rules import (
    DEFAULT_THRESHOLDS,
    MISNAMED,
    Thresholds,
    misnamed,
    predict,
)
from helios_research.recording import (
    MEASURING_VERSION,
    Fingerprint,
    Stamp,
    examine,
    fingerprint,
    stamp_of,
)

UNREADABLE = "INVALID_RECORDING"
"""Our own code for a row whose recording cannot be read, and so cannot be sent."""

_RULES_VERSION = 2


@dataclass(frozen=True, slots=True)
class Check:
    """What the preflight found out about one recording. Picklable.

    ``sha256`` is None where not all bytes were read. Fields that `AudioFacts` has too are taken from
    there; they are None where nothing could be decoded.
    """

    verdict: Verdict
    predicted_error_code: str | None
    reason: str
    sha256: str | None = None
    audio_format: str | None = None
    duration_s: float | None = None
    speech_s: float | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None
    level_dbfs: float | None = None
    clipped_fraction: float | None = None
    speech_counted_to_end: bool | None = None  # None where no speech was counted
    noise_floor_dbfs: float | None = None
    media_type: str | None = None
    size_bytes: int | None = None
    stamp: Stamp | None = None

    @property
    def can_be_recalled(self) -> bool:
        """Whether its stamp is enough to find out later that the recording is unchanged."""
        return self.sha256 is not None and self.stamp is not None and bool(self.stamp.version)

    def to_dict(self) -> dict[str, Any]:
        """Write the check as JSON values, for a cache."""
        return asdict(self) | {"stamp": str(self.stamp) if self.stamp else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read a check from the values that ``to_dict`` gave."""
        stamp = Stamp.parse(values["stamp"]) if values["stamp"] else None
        known: dict[str, Any] = {**values, "verdict": _VERDICTS[values["verdict"]], "stamp": stamp}
        return cls(**known)


class CheckCache(Protocol):
    """Where checks are kept between sessions; a study keeps them in its ledger.

    ``rules`` is the key of `rules_key`. The caller decides from its stamp and its hash whether a kept
    check is still valid.
    """

    def load(self, rules: str) -> Mapping[str, Check]:
        """Load all checks that were made by these rules."""

    def store(self, rules: str, checks: Mapping[str, Check]) -> None:
        """Keep checks, in place of those of the same locations and rules. Called by one thread at a time."""


# Looking an enumeration's member up in it takes a tenth of reading a check back.
_VERDICTS = {verdict.value: verdict for verdict in Verdict}


def check_recording(
    location: str,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    full_speech: bool = False,  # noqa: FBT001, FBT002 - executors pass it by position
    previous: Check | None = None,
    alike: Sequence[Check] = (),
) -> Check:
    """Check one recording. What is wrong with it becomes its verdict, never an exception."""
    try:
        if previous is not None and previous.stamp == stamp_of(location):
            return previous
        if known := _recognized(location, alike):
            return known
        enough_s = thresholds.enough_speech_s
        facts = examine(location, full_speech=full_speech, enough_speech_s=enough_s)
        return Check(*predict(facts, thresholds, location), **_shared(facts))
    except RecordingUnavailableError as error:
        return unreadable(error)
    # A mistake in this package must not cost a researcher the checks of all other recordings.
    except Exception as error:  # noqa: BLE001
        return unchecked(f"{type(error).__name__}: {error}")


def identified(location: str, check: Check) -> Check:
    """Add hash and format to a check that could not be made: the recording is read, not decoded."""
    try:
        found = fingerprint(location)
    except RecordingUnavailableError as error:
        return unreadable(error)
    return replace(check, **_shared(found))


def unreadable(error: RecordingUnavailableError) -> Check:
    """Make the check of a recording that cannot be read, for good or at the moment."""
    if error.may_pass:
        return Check(Verdict.WARN, RECORDING_UNREACHABLE, str(error))
    return Check(Verdict.FAIL, UNREADABLE, str(error))


def unchecked(why: str, code: str | None = None) -> Check:
    """Make the check of a recording that could not be checked, but may be good."""
    return Check(Verdict.WARN, code, f"It could not be checked ({why}).")


def rules_key(thresholds: Thresholds, *, full_speech: bool) -> str:
    """Make the key of a check's rules: thresholds, full_speech and how this version measures."""
    rules = [MEASURING_VERSION, _RULES_VERSION, full_speech, asdict(thresholds)]
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:16]


def _shared(found: Fingerprint) -> dict[str, Any]:
    """Take what a check has in common with what was read of its recording."""
    common = {field.name for field in fields(Check)} & {field.name for field in fields(found)}
    return {name: getattr(found, name) for name in common}


def _recognized(location: str, alike: Sequence[Check]) -> Check | None:
    read = fingerprint(location) if alike else None
    for check in alike:
        # A reason about a name applies to that name alone.
        speaks_of_name = MISNAMED in check.reason or misnamed(check.audio_format, location)
        if read and check.sha256 == read.sha256 and not speaks_of_name:
            return replace(check, stamp=read.stamp)
    return None
