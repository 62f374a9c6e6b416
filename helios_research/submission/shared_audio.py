"""Finding the same audio in several rows: before anything is sent, without reading every file.

Only files of equal size can be equal, and of those only files that begin alike: the rest is
never read. Remote recordings are left out, since each would cost a request; the same audio under
two remote addresses is found when it is hashed for its upload.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import pandas as pd

from helios_research.codes import DUPLICATE_AUDIO
from helios_research.cohort import Cohort, duplicate_audio_issues
from helios_research.columns import Severity
from helios_research.errors import RecordingUnavailableError
from helios_research.recording import fingerprint, is_remote, read_blocks, stamp_of
from helios_research.submission.asks import Rejection

T = TypeVar("T")

_HEAD_BYTES = 65_536


def shared_audio(
    locations: Iterable[str], known: Mapping[str, str], is_over: Callable[[], bool] = lambda: False
) -> dict[str, str]:
    """Hash the local recordings that may be the same as another one."""
    local = [location for location in dict.fromkeys(locations) if not is_remote(location)]
    if all(location in known for location in local):
        return dict(known)
    alike = [
        location
        for same_size in _grouped(local, lambda location: stamp_of(location).size_bytes, is_over)
        if any(location not in known for location in same_size)
        for same_head in _grouped(same_size, _head, is_over)
        for location in same_head
        if location not in known
    ]
    hashed = _by_value(alike, lambda location: fingerprint(location).sha256, is_over)
    return {**known, **hashed}


def duplicate_rejections(cohort: Cohort, sha256: Sequence[str | None]) -> dict[int, Rejection]:
    """Find rows whose audio also stands in another row with other metadata."""
    hashes = pd.Series(list(sha256), dtype="str")
    if hashes.dropna().is_unique:
        return {}
    issues = duplicate_audio_issues(cohort, hashes)
    errors = issues[issues["severity"] == Severity.ERROR]
    position_of = {number: position for position, number in enumerate(cohort.row_numbers)}
    return {
        position_of[number]: Rejection(DUPLICATE_AUDIO, f"{problem} {remedy}")
        for number, problem, remedy in zip(
            errors["row"], errors["problem"], errors["remedy"], strict=True
        )
    }


def _head(location: str) -> bytes:
    # Not the bytes themselves: those of thousands of recordings would be in memory at once.
    return hashlib.sha256(next(read_blocks(location, _HEAD_BYTES), b"")).digest()


def _grouped(
    locations: Iterable[str], key: Callable[[str], Hashable], is_over: Callable[[], bool]
) -> list[list[str]]:
    groups = defaultdict[Hashable, list[str]](list)
    for location, value in _by_value(locations, key, is_over).items():
        groups[value].append(location)
    return [group for group in groups.values() if len(group) > 1]


def _by_value(
    locations: Iterable[str], value: Callable[[str], T], is_over: Callable[[], bool]
) -> dict[str, T]:
    """Map locations to a value; those that cannot be read are left for their own check to say."""
    found = {}
    for location in locations:
        if is_over():
            break
        try:
            found[location] = value(location)
        except RecordingUnavailableError:
            continue
    return found
