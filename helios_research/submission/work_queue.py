"""Which recordings are sent, in which order, each identified by its bytes and checked."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from threading import Event
from typing import Any, TypeVar

import pyarrow as pa

from helios_research.codes import DUPLICATE_AUDIO, RECORDING_UNREACHABLE
from helios_research.cohort import Cohort
from helios_research.columns import Outcome, Verdict
from helios_research.errors import RecordingUnavailableError
from helios_research.ledger import Attempt, Ledger, is_invitation
from helios_research.preflight_checks.check import Check, identified
from helios_research.preflight_checks.pool import CheckPool
from helios_research.recording import fingerprint, is_remote, read_blocks, stamp_of
from helios_research.state.loader import (
    LedgerCache,
    PreflightSettings,
    duplicate_rejections,
    hashes_in,
    seen_at,
)
from helios_research.state.rows import Job, Rejection, Row, Verdicts, unless_withdrawn
from helios_research.state.status import DecisionOptions, NextStep, RowStatus, row_status

T = TypeVar("T")

AHEAD = 64
"""Recordings that are checked before their turn: enough to keep every core busy."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A recording to work on, and the outcome of its row until now."""

    job: Job
    before: Outcome


@dataclass(frozen=True, slots=True)
class NotSent:
    """A row that gets its outcome without being sent, and its outcome until now."""

    outcome: Outcome
    before: Outcome


@dataclass(frozen=True, slots=True)
class Scan:
    """What is known of all recordings before any of them is checked.

    Hashes are by location; conflicts are the positions of rows that share their audio with a row of
    other metadata; outdated are rejected rows whose file has changed since it was last seen.
    """

    hashes: Mapping[str, str] = field(default_factory=dict)
    conflicts: Collection[int] = ()
    outdated: Collection[int] = ()


@dataclass(slots=True)
class WorkQueue:
    """Goes through the rows of a cohort; runs in progress first, and then what is left to send."""

    rows: Sequence[Row]
    statuses: Sequence[RowStatus]
    history: Callable[[str], Sequence[Attempt]]
    check: Callable[[str], Coroutine[Any, Any, Check]]
    scan: Callable[[], Awaitable[Scan]]
    options: DecisionOptions
    is_due: Callable[[Attempt], bool] = lambda _: True
    _claims: dict[str, str] = field(default_factory=dict)
    _scanned: Scan = field(default_factory=Scan)

    async def items(self) -> AsyncIterator[WorkItem | NotSent]:
        """Yield what is to be done, row by row."""
        self._claim_what_was_sent()
        for row, status, attempt in self._in_progress():
            yield WorkItem(Job.resumed(row, attempt), status.outcome)
        self._scanned = await self.scan()
        async for row, status, check in self._checked_ahead():
            item = self._decide(row, status, check)
            if item is not None:
                yield item

    def _claim_what_was_sent(self) -> None:
        """Keep audio that was sent for one row from being sent for another."""
        for row, status in zip(self.rows, self.statuses, strict=True):
            # What changed while it was being sent never was.
            if status.sha256 is not None and status.outcome is not Outcome.INVALID:
                self._claims.setdefault(status.sha256, row.digest or "")

    def _in_progress(self) -> list[tuple[Row, RowStatus, Attempt]]:
        found = [
            (row, status, attempt)
            for row, status in zip(self.rows, self.statuses, strict=True)
            if status.next is NextStep.RESUME
            for attempt in self.history(status.sha256 or "")
            if attempt.attempt_id == status.attempt_id and self.is_due(attempt)
        ]
        # What Helios deletes is gone 12 hours after completion, so it is polled first.
        return sorted(found, key=lambda item: not item[2].delete_data)

    async def _checked_ahead(self) -> AsyncIterator[tuple[Row, RowStatus, Check]]:
        others = self._others()
        ahead: dict[asyncio.Task[Check], tuple[Row, RowStatus]] = {}
        try:
            while True:
                for row, status in islice(others, AHEAD - len(ahead)):
                    ahead[asyncio.create_task(self.check(row.location or ""))] = row, status
                if not ahead:
                    return
                # The one that is ready goes first, so that one slow file holds up no other.
                ready, _ = await asyncio.wait(ahead, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in ahead if task in ready]:
                    row, status = ahead.pop(task)
                    yield row, status, task.result()
        finally:
            for task in ahead:
                task.cancel()

    def _others(self) -> Iterator[tuple[Row, RowStatus]]:
        """Give the rows whose recordings have to be checked."""
        # Their audio keeps other rows from being sent, or no longer does: the results have to know.
        looked_at = {*self._scanned.conflicts, *self._scanned.outdated}
        for row, status in zip(self.rows, self.statuses, strict=True):
            counts = row.rejection is None or row.position in looked_at
            if row.location and counts and not self._is_settled(row, status):
                yield row, status

    def _is_settled(self, row: Row, status: RowStatus) -> bool:
        """Whether nothing is left to begin for a recording, as far as can be said without reading it."""
        if status.next is NextStep.RESUME or is_invitation(status.sha256):
            return True
        if status.next is NextStep.SEND or status.sha256 is None:
            return False
        return self._scanned.hashes.get(row.location or "") == status.sha256

    def _decide(self, row: Row, status: RowStatus, check: Check) -> WorkItem | NotSent | None:
        if check.sha256 is None:
            return self._without_file(row, status, check)
        attempts = self.history(check.sha256)
        conflict = self._conflict(row, check.sha256)
        now = row_status(row, check, attempts, self.options, duplicate=conflict)
        if now.next is NextStep.NONE:
            return NotSent(now.outcome, status.outcome)
        job = Job(row, check.sha256, check.size_bytes or 0, check.media_type, check.duration_s)
        return WorkItem(job, status.outcome)

    def _without_file(self, row: Row, status: RowStatus, check: Check) -> WorkItem | NotSent | None:
        """Keep how a run ended, though its file is gone; continue one that has not ended."""
        for attempt in self.history(status.sha256 or ""):
            if attempt.attempt_id == status.attempt_id and not attempt.state.is_final:
                return WorkItem(Job.resumed(row, attempt), status.outcome)
        if status.sha256:
            return None
        is_there = check.predicted_error_code == RECORDING_UNREACHABLE
        return NotSent(Outcome.PENDING if is_there else Outcome.INVALID, status.outcome)

    def _conflict(self, row: Row, sha256: str) -> Rejection | None:
        """Keep the same audio from being sent for two rows with different metadata."""
        is_claimed = self._claims.setdefault(sha256, row.digest or "") != row.digest
        if is_claimed or row.position in self._scanned.conflicts:
            return Rejection(DUPLICATE_AUDIO, "The same audio is in another row.")
        return None


# --- what a recording is ---------------------------------------------------------------------------

_IDENTITY_ONLY = "identity"
_IDENTIFYING_THREADS = 4


class Inspector:
    """Checks or identifies recordings, from memory where nothing was written to them since."""

    def __init__(self, ledger: Ledger, *, preflight: bool) -> None:
        self._ledger = ledger
        self._cache = LedgerCache(ledger)
        self._withdrawn = ledger.withdrawn()
        self._verdicts = Verdicts(ledger)
        self._pool: CheckPool | None = None
        if preflight:
            known = PreflightSettings.of(ledger)
            self._pool = CheckPool(
                thresholds=known.thresholds,
                full_speech=known.full_speech,
                cache=self._cache,
                store_every=1,
            )
        self._threads = ThreadPoolExecutor(_IDENTIFYING_THREADS, "helios-identify")
        self._is_closed = Event()

    async def check(self, location: str) -> Check:
        """Check a recording, and write down what was found."""
        check = self._verdicts.applied(await self._found(location))
        return unless_withdrawn(check, self._withdrawn)

    async def _found(self, location: str) -> Check:
        loop = asyncio.get_running_loop()
        if self._pool is None:
            return await loop.run_in_executor(self._threads, self._identified, location)
        check = await asyncio.wrap_future(self._pool.check(location))
        if check.can_be_recalled:
            return check
        if check.sha256 is None:
            check = await asyncio.wrap_future(self._pool.identify(location, check))
        return await loop.run_in_executor(self._threads, self._noted, location, check)

    def scan(self, cohort: Cohort, rows: Sequence[Row]) -> Scan:
        """Look at all recordings at once, above all for the same audio in several rows."""
        # A row that cannot be sent may hold another's audio, and then it is unknown whose it is.
        locations = [row.location for row in rows if row.location]
        seen = {location: (stamp, sha256) for location, stamp, sha256 in hashes_in(self._ledger)}
        unchanged = {
            location: sha256
            for location, (stamp, sha256) in seen.items()
            if sha256 and _is_unchanged(location, stamp)
        }
        hashes = shared_audio(locations, unchanged, self._is_closed.is_set)
        by_row = pa.chunked_array([[hashes.get(row.location or "") for row in rows]], pa.string())
        conflicts = duplicate_rejections(cohort, by_row)
        outdated = {
            row.position
            for row in rows
            if row.rejection and row.location in seen
            if seen[row.location][1] not in {None, hashes.get(row.location)}
        }
        return Scan(hashes, conflicts.keys(), outdated)

    async def close(self) -> None:
        """End the scan, the processes and the threads."""
        self._is_closed.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._pool is not None:
            await asyncio.to_thread(self._pool.close, abandon=True)

    def _identified(self, location: str) -> Check:
        known = self._seen(location)
        if known and _is_unchanged(location, str(known.stamp)):
            return known
        return self._noted(location, identified(location, Check(Verdict.OK, None, "")))

    def _noted(self, location: str, check: Check) -> Check:
        """Write down what the pool does not."""
        # Of a recording that was sent and is gone now, what was seen of it stays: its scores are
        # found by that.
        if check.sha256 is not None or not self._was_sent(location):
            self._cache.store(_IDENTITY_ONLY, {location: check})
        return check

    def _was_sent(self, location: str) -> bool:
        known = self._seen(location)
        return known is not None and bool(self._ledger.attempts_of(known.sha256 or ""))

    def _seen(self, location: str) -> Check | None:
        return seen_at(self._ledger, [location]).get(location)


def _is_unchanged(location: str, stamp: str) -> bool:
    """Compare the stamp of a local recording; that of a remote one would cost a request."""
    if is_remote(location):
        return False
    try:
        return stamp == str(stamp_of(location))
    except RecordingUnavailableError:
        return False


# --- the same audio in several files --------------------------------------------------------------

_HEAD_BYTES = 65_536


def shared_audio(
    locations: Iterable[str], known: Mapping[str, str], is_over: Callable[[], bool]
) -> dict[str, str]:
    """Hash the local recordings that are like another in size and beginning, beside those ``known``."""
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
    """Map locations to a value; those that cannot be read are left out: their check says why."""
    found = {}
    for location in locations:
        if is_over():
            break
        try:
            found[location] = value(location)
        except RecordingUnavailableError:
            continue
    return found
