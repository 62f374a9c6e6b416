"""What a study's ledger holds about the rows of a cohort, and the status that follows from it.

Everything is read a part of the cohort at a time, so that a study of any size needs little more
memory than its cohort.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from helios_research.codes import DUPLICATE_AUDIO
from helios_research.cohort import Cohort, duplicate_audio_issues
from helios_research.columns import Severity
from helios_research.ledger import Attempt, Ledger, LedgerReader, Setting
from helios_research.preflight_checks.check import Check
from helios_research.preflight_checks.rules import DEFAULT_THRESHOLDS, Thresholds
from helios_research.state.rows import Rejection, Row, RowRequests, parts, unless_withdrawn
from helios_research.state.status import (
    DEFAULT_OPTIONS,
    DecisionOptions,
    NextStep,
    RowStatus,
    own_history,
    row_status,
)


@dataclass(frozen=True, slots=True)
class Part:
    """Some consecutive rows of a cohort, with all that is known of them.

    A check is None where the recording was never checked; attempts are by their key.
    """

    rows: Sequence[Row]
    checks: Sequence[Check | None]
    statuses: Sequence[RowStatus]
    attempts: Mapping[int, Attempt]


class StatusLoader:
    """Reads a study's ledger for the rows of a cohort.

    Without ``rows`` each is made when it is needed. ``hashes`` are the SHA-256 of what was last
    seen of each row's recording, in the cohort's order.
    """

    def __init__(
        self,
        ledger: LedgerReader,
        cohort: Cohort,
        rows: Sequence[Row] | None = None,
        options: DecisionOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._ledger = ledger
        self._options = options
        self._rows = RowRequests(cohort, ledger.withdrawn()) if rows is None else rows
        self._total = len(cohort)
        self.hashes = [
            sha256
            for positions in parts(self._total)
            for sha256 in _hashes_at(ledger, self._locations(positions))
        ]
        self._duplicates = duplicate_rejections(cohort, self.hashes)
        self._digests_by_audio = self._digests_of_shared_audio()

    def parts(self) -> Iterator[Part]:
        """Read the cohort part by part."""
        for positions in parts(self._total):
            rows = self._rows_at(positions)
            attempts = self._attempts_with(rows)
            checks = self._checks_of(rows)
            statuses = [
                self._status(row, check, attempts) for row, check in zip(rows, checks, strict=True)
            ]
            by_key = {one.attempt_id: one for several in attempts.values() for one in several}
            yield Part(rows, checks, statuses, by_key)

    def statuses(self) -> Iterator[RowStatus]:
        """Give the status of every row, in half the time that `parts` takes."""
        for positions in parts(self._total):
            rows = self._rows_at(positions)
            attempts = self._attempts_with(rows)
            statuses = [self._status(row, None, attempts) for row in rows]
            # A check only matters while nothing else keeps the recording from being sent.
            unsent = [place for place, found in enumerate(statuses) if found.next is NextStep.SEND]
            checks = self._checks_of([rows[place] for place in unsent])
            for place, check in zip(unsent, checks, strict=True):
                statuses[place] = self._status(rows[place], check, attempts)
            yield from statuses

    def _attempts_with(self, rows: Sequence[Row]) -> dict[str, list[Attempt]]:
        """Read all attempts with the audio of some rows, by audio, oldest first."""
        attempts = defaultdict[str, list[Attempt]](list)
        hashes = (self.hashes[row.position] for row in rows)
        for attempt in self._ledger.attempts_with(filter(None, hashes)):
            attempts[attempt.sha256].append(attempt)
        return attempts

    def _checks_of(self, rows: Sequence[Row]) -> list[Check | None]:
        seen = seen_at(self._ledger, [row.location for row in rows if row.location])
        return [seen.get(row.location or "") for row in rows]

    def _status(
        self, row: Row, check: Check | None, attempts: Mapping[str, Sequence[Attempt]]
    ) -> RowStatus:
        sha256 = self.hashes[row.position] or ""
        history = own_history(row, attempts.get(sha256, ()), self._digests_by_audio.get(sha256, ()))
        duplicate = self._duplicates.get(row.position)
        return row_status(row, check, history, self._options, duplicate=duplicate)

    def _digests_of_shared_audio(self) -> dict[str, set[str | None]]:
        """Collect the requests that are made with each audio that is in several rows."""
        hashes = pd.Series(self.hashes, dtype="str")
        shared = np.flatnonzero(hashes.duplicated(keep=False) & hashes.notna()).tolist()
        digests = defaultdict[str, set[str | None]](set)
        for row in self._rows_at(shared):
            digests[self.hashes[row.position] or ""].add(row.digest)
        return dict(digests)

    def _rows_at(self, positions: Sequence[int]) -> Sequence[Row]:
        if isinstance(self._rows, RowRequests):
            return self._rows.at(positions)
        return [self._rows[position] for position in positions]

    def _locations(self, positions: range) -> list[str | None]:
        if isinstance(self._rows, RowRequests):
            return self._rows.locations(positions)
        return [row.location for row in self._rows_at(positions)]


def duplicate_rejections(cohort: Cohort, sha256: Sequence[str | None]) -> dict[int, Rejection]:
    """Find rows whose audio is also in another row with other metadata."""
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


# --- what was seen of recordings -----------------------------------------------------------------

# One entry per location: what was last seen there, by whatever rules.
_LATEST = "latest"
_SHA256 = "$.check.sha256"


class LedgerCache:
    """Keeps checks in a study's ledger, so that no recording is decoded twice."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._withdrawn = ledger.withdrawn()

    def load(self, rules: str) -> dict[str, Check]:
        """Read all checks that were made by certain rules."""
        return _checks_in(
            (location, facts)
            for location, _, facts in self._ledger.all_checks(_LATEST)
            if facts.get("rules") == rules
        )

    def store(self, rules: str, checks: Mapping[str, Check]) -> None:
        """Replace what was known of some locations; blocks until it is on the disk."""
        self._ledger.store_checks(
            _LATEST,
            (
                (location, str(check.stamp), {"rules": rules, "check": check.to_dict()})
                for location, found in checks.items()
                for check in [unless_withdrawn(found, self._withdrawn)]
            ),
        )


@dataclass(frozen=True, slots=True)
class PreflightSettings:
    """How the recordings of a study are checked: by its last preflight, and by each submission."""

    thresholds: Thresholds = DEFAULT_THRESHOLDS
    full_speech: bool = False

    def remember(self, ledger: Ledger) -> None:
        """Keep these settings for the next submission."""
        ledger.put_setting_blocking(Setting.PREFLIGHT, asdict(self))

    @classmethod
    def of(cls, ledger: LedgerReader) -> "PreflightSettings":
        """Give the settings that a study remembers, or the defaults."""
        known = ledger.get_setting(Setting.PREFLIGHT, {})
        try:
            return cls(Thresholds(**known["thresholds"]), known["full_speech"])
        # None were kept, or by a version with other thresholds.
        except (KeyError, TypeError):
            return cls()


def seen_at(ledger: LedgerReader, locations: Iterable[str]) -> dict[str, Check]:
    """Read what was last seen of some recordings."""
    found = ledger.checks_at(_LATEST, locations)
    return _checks_in((location, facts) for location, _, facts in found)


def hashes_in(ledger: LedgerReader) -> Iterator[tuple[str, str, str | None]]:
    """Read location, stamp and SHA-256 of all recordings that were ever seen."""
    return ledger.all_checks(_LATEST, _SHA256)


def _hashes_at(ledger: LedgerReader, locations: Sequence[str | None]) -> list[str | None]:
    checks = ledger.checks_at(_LATEST, filter(None, locations), _SHA256)
    found = {location: sha256 for location, _, sha256 in checks}
    return [found.get(location or "") for location in locations]


def _checks_in(found: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Check]:
    checks = {}
    for location, facts in found:
        # Another version, or damage, may have left none that this version can use.
        with suppress(LookupError, TypeError, ValueError):
            checks[location] = Check.from_dict(facts["check"])
    return checks
