"""What a study's ledger holds about the rows of a cohort, and what the judge makes of it.

Everything is read a part of the cohort at a time, so that a study of any size is looked at in
little more memory than its cohort takes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from helios_research.codes import DUPLICATE_AUDIO
from helios_research.cohort import Cohort
from helios_research.cohort.table import duplicate_audio_issues
from helios_research.columns import Severity
from helios_research.ledger import Attempt, LedgerReader
from helios_research.preflight_checks.check import Check
from helios_research.state.rows import (
    Rejection,
    Row,
    RowRequests,
    parts,
    rows_of,
    without_withdrawn,
)
from helios_research.state.status import AS_USUAL, NextStep, RowStatus, Rules, judge, own_history


@dataclass(frozen=True, slots=True)
class Part:
    """Some consecutive rows of a cohort, with all that is known of them."""

    rows: Sequence[Row]
    checks: Sequence[Check | None]
    statuses: Sequence[RowStatus]
    attempts: Mapping[int, Attempt]


class StatusLoader:
    """Looks at a study's ledger for the rows of a cohort."""

    def __init__(
        self,
        ledger: LedgerReader,
        cohort: Cohort,
        rows: Sequence[Row] | None = None,
        rules: Rules = AS_USUAL,
    ) -> None:
        self._ledger = ledger
        self._rules = rules
        self._rows = rows
        self._requests = RowRequests(cohort) if rows is None else None
        self._labels = cohort.fields["user_label"].tolist()
        self._withdrawn = ledger.withdrawn()
        self._total = len(cohort)
        self.hashes = [
            sha256
            for positions in parts(self._total)
            for sha256 in hashes_seen(ledger, self._locations(cohort, positions))
        ]
        self._duplicates = duplicate_rejections(cohort, self.hashes)
        self._asked = self._asked_with_shared_audio()

    def parts(self) -> Iterator[Part]:
        """Look at the cohort part by part."""
        for positions in parts(self._total):
            rows = self._rows_at(positions)
            attempts = self._attempts_with(rows)
            checks = self._checks_of(rows)
            statuses = [
                self._judged(row, check, attempts) for row, check in zip(rows, checks, strict=True)
            ]
            by_key = {one.attempt_id: one for several in attempts.values() for one in several}
            yield Part(rows, checks, statuses, by_key)

    def statuses(self) -> Iterator[RowStatus]:
        """Tell how things stand with every row, in half the time that `parts` takes."""
        for positions in parts(self._total):
            rows = self._rows_at(positions)
            attempts = self._attempts_with(rows)
            statuses = [self._judged(row, None, attempts) for row in rows]
            # What was seen of a recording only matters while nothing else keeps it from being sent.
            unsent = [place for place, found in enumerate(statuses) if found.next is NextStep.SEND]
            checks = self._checks_of([rows[place] for place in unsent])
            for place, check in zip(unsent, checks, strict=True):
                statuses[place] = self._judged(rows[place], check, attempts)
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

    def _judged(
        self, row: Row, check: Check | None, attempts: Mapping[str, Sequence[Attempt]]
    ) -> RowStatus:
        sha256 = self.hashes[row.position] or ""
        history = own_history(row, attempts.get(sha256, ()), self._asked.get(sha256, ()))
        return judge(row, check, history, self._duplicates.get(row.position), self._rules)

    def _asked_with_shared_audio(self) -> dict[str, set[str | None]]:
        """Collect what is asked with each audio that stands in several rows."""
        hashes = pd.Series(self.hashes, dtype="str")
        shared = np.flatnonzero(hashes.duplicated(keep=False) & hashes.notna()).tolist()
        asked = defaultdict[str, set[str | None]](set)
        for row in self._rows_at(shared):
            asked[self.hashes[row.position] or ""].add(row.digest)
        return dict(asked)

    def _rows_at(self, positions: Sequence[int]) -> Sequence[Row]:
        if self._requests is None:
            held = self._rows or ()
            return [held[position] for position in positions]
        labels = [self._labels[position] for position in positions]
        return without_withdrawn(self._requests.at(positions), labels, self._withdrawn)

    def _locations(self, cohort: Cohort, positions: range) -> list[str | None]:
        places = cohort.fields["recording"].iloc[positions.start : positions.stop]
        labels = self._labels[positions.start : positions.stop]
        return [
            place if isinstance(place, str) and not self._is_withdrawn(label) else None
            for place, label in zip(places, labels, strict=True)
        ]

    def _is_withdrawn(self, label: object) -> bool:
        return bool(self._withdrawn) and isinstance(label, str) and self._withdrawn.has_label(label)


def rows_in(ledger: LedgerReader, cohort: Cohort) -> list[Row]:
    """Turn a cohort into requests, without participants who have withdrawn from the study."""
    return without_withdrawn(rows_of(cohort), cohort.fields["user_label"], ledger.withdrawn())


# One entry per location: what was last seen there, by whatever rules.
LATEST = "latest"


SHA256 = "$.check.sha256"


def seen_at(ledger: LedgerReader, locations: Iterable[str]) -> dict[str, Check]:
    """Read what was last seen of some recordings."""
    found = ledger.checks_at(LATEST, locations)
    checks = ((location, check_in(facts)) for location, (_, facts) in found.items())
    return {location: check for location, check in checks if check is not None}


def check_in(facts: Mapping[str, Any]) -> Check | None:
    """Read a check; None where another version or damage has left none that this one can use."""
    try:
        return Check.from_dict(facts["check"])
    except (LookupError, TypeError, ValueError):
        return None


def hashes_seen(ledger: LedgerReader, locations: Sequence[str | None]) -> list[str | None]:
    """Read the identity of some recordings as they were last seen."""
    found = ledger.fact_at(LATEST, SHA256, filter(None, locations))
    return [found.get(location or "") for location in locations]


def all_hashes(ledger: LedgerReader) -> dict[str, str | None]:
    """Read the identity of all recordings at which anybody has looked."""
    return {location: sha256 for location, _, sha256 in ledger.cached_fact(LATEST, SHA256)}


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
