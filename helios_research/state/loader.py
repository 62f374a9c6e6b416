"""What a study's ledger holds about the rows of a cohort, and the status that follows from it.

Everything is read a part of the cohort at a time, so that a study of any size needs little more
memory than its cohort.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import from_json

from helios_research._util.arrow import batches, json_columns
from helios_research.codes import DUPLICATE_AUDIO
from helios_research.cohort import Cohort, duplicate_audio_issues
from helios_research.columns import AUDIO, Kind, Outcome, Severity
from helios_research.ledger import Attempt, Ledger, LedgerReader, Setting, State, invitation_to
from helios_research.preflight_checks.check import Check
from helios_research.preflight_checks.rules import DEFAULT_THRESHOLDS, Thresholds
from helios_research.state.rows import (
    Rejection,
    Row,
    RowRequests,
    Verdicts,
    parts,
    unless_withdrawn,
)
from helios_research.state.status import (
    DEFAULT_OPTIONS,
    DecisionOptions,
    NextStep,
    RowStatus,
    own_history,
    row_status,
    settled_outcomes,
)

# Asking the enumerations takes as long as all the rest of a status.
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_STEPS = {step.value: step for step in NextStep}


class StatusLoader:
    """Reads a study's ledger for the rows of a cohort; without ``rows`` each is made when needed.

    ``audio`` is what was last seen of each row's recording, in order: the columns ``columns.AUDIO``.
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
        self._verdicts = Verdicts(ledger)
        invited = _invited(ledger, cohort)
        if rows is None:
            requests = RowRequests(cohort, ledger.withdrawn())
            self._rows_at: Callable[[Sequence[int]], Sequence[Row]] = requests.at
            self._digests = requests.digests()
            locations = requests.locations()
        else:
            self._rows_at = lambda positions: [rows[position] for position in positions]
            self._digests = pa.chunked_array([[row.digest for row in rows]], pa.string())
            locations = (row.location for row in rows)
        # What is known of a file is not about what an invited participant recorded.
        places = (None if key else place for key, place in zip(invited, locations, strict=True))
        self.audio = _audio_at(ledger, places)
        self._hashes = self.audio["sha256"]
        self._identities = pc.coalesce(pa.array(invited, pa.string()), self._hashes)
        self._duplicates = duplicate_rejections(cohort, self._hashes)
        self._digests_by_audio = self._digests_of_shared_audio()

    @property
    def hashes(self) -> "pd.Series[str]":
        """The SHA-256 of what was last seen of each row's recording."""
        hashes: pd.Series[str] = self._hashes.to_pandas()
        return hashes

    def statuses(self) -> list[RowStatus]:
        """Give the status of every row."""
        table = self.table()
        sha256 = pc.if_else(table["attempt_id"].is_valid(), self._identities, None)
        columns = table.append_column("sha256", sha256).select(RowStatus._fields).to_pydict()
        return [
            RowStatus(_OUTCOMES[outcome], _STEPS[step], *facts)
            for outcome, step, *facts in zip(*columns.values(), strict=True)
        ]

    def table(self) -> pa.Table:
        """Give the fields of every row's `RowStatus`, without ``sha256``, and its attempt's ``SHOWN``."""
        attempts = _attempts_in(self._ledger)
        settled = self._settled(attempts)
        is_open = settled["outcome"].is_null().combine_chunks()
        others = np.flatnonzero(is_open)
        decided = [
            status._asdict()
            for part in parts(len(others))
            for status in self._decided(others[part.start : part.stop].tolist())
        ]
        found = pa.RecordBatch.from_pylist(decided, settled.schema)
        columns = {
            name: pc.replace_with_mask(settled[name].combine_chunks(), is_open, found[name])
            for name in settled.column_names
        }
        places = _places(columns["attempt_id"], attempts["attempt_id"])
        return pa.table(columns | {name: attempts[name].take(places) for name in SHOWN})

    def _settled(self, attempts: pa.Table) -> pa.Table:
        """Give the statuses that attempts decide alone, nearly all in a large study, by row."""
        outcomes = settled_outcomes(attempts["state"], attempts["error_code"])
        is_alone = pc.invert(pc.is_in(attempts["sha256"], _repeated(attempts["sha256"])))
        is_deciding = pc.and_(is_alone, outcomes.is_valid())
        # Combined, since pyarrow 22 crashes where there are no chunks.
        deciding = pc.indices_nonzero(is_deciding.combine_chunks())
        place = deciding.take(_places(self._hashes, attempts["sha256"].take(deciding)))
        is_own = pc.equal(attempts["request_digest"].take(place), self._digests)
        columns = {
            "outcome": outcomes,
            "next": pa.repeat(str(NextStep.NONE), len(attempts)),
            "runs": attempts["model_run_id"].is_valid().cast(pa.int64()),
            **{name: attempts[name] for name in ("attempt_id", "error_code", "error_reason")},
        }
        return pa.table(columns).take(pc.if_else(is_own, place, None))

    def _decided(self, positions: Sequence[int]) -> Iterator[RowStatus]:
        rows = self._rows_at(positions)
        hashes = self._identities.take(pa.array(positions, pa.int64())).to_pylist()
        attempts = defaultdict[str, list[Attempt]](list)
        for attempt in self._ledger.attempts_with(filter(None, hashes)):
            attempts[attempt.sha256].append(attempt)

        def status(row: Row, sha256: str | None, check: Check | None = None) -> RowStatus:
            others = self._digests_by_audio.get(sha256 or "", ())
            history = own_history(row, attempts.get(sha256 or "", ()), others)
            duplicate = self._duplicates.get(row.position)
            return row_status(row, check, history, self._options, duplicate=duplicate)

        statuses = list(map(status, rows, hashes))
        # A check only matters while nothing else keeps the recording from being sent.
        unsent = [
            row.location
            for row, found in zip(rows, statuses, strict=True)
            if found.next is NextStep.SEND and row.location
        ]
        seen = seen_at(self._ledger, unsent)
        for row, sha256, found in zip(rows, hashes, statuses, strict=True):
            check = seen.get(row.location or "") if found.next is NextStep.SEND else None
            yield found if check is None else status(row, sha256, self._verdicts.applied(check))

    def _digests_of_shared_audio(self) -> dict[str, set[str | None]]:
        """Collect the requests that are made with each audio that is in several rows."""
        is_shared = pc.is_in(self._hashes, _repeated(self._hashes))
        digests = defaultdict[str, set[str | None]](set)
        shared = (column.filter(is_shared).to_pylist() for column in (self._hashes, self._digests))
        for sha256, digest in zip(*shared, strict=True):
            digests[sha256].add(digest)
        return dict(digests)


def _invited(ledger: LedgerReader, cohort: Cohort) -> Sequence[str | None]:
    """Identify the recordings that participants were invited to make, by row; None for all others."""
    known = {one.sha256 for one in ledger.invitations() if one.state is not State.ABANDONED}
    if not known:
        return [None] * len(cohort)
    keys = map(invitation_to, cohort.fields["recording_id"])
    return [key if key in known else None for key in keys]


def _repeated(values: pa.ChunkedArray) -> pa.Array:
    """Find the values that occur several times."""
    counted = pc.value_counts(values.drop_null())
    return counted.field("values").filter(pc.greater(counted.field("counts"), 1))


def _places(values: pa.ChunkedArray, among: pa.ChunkedArray) -> pa.ChunkedArray:
    """Find where values are in a column; null where they are not."""
    return pc.index_in(values, among.combine_chunks())


def duplicate_rejections(cohort: Cohort, hashes: pa.ChunkedArray) -> dict[int, Rejection]:
    """Find rows whose audio is also in another row with other metadata."""
    if not len(_repeated(hashes)):
        return {}
    issues = duplicate_audio_issues(cohort, hashes.to_pandas())
    errors = issues.loc[issues["severity"] == Severity.ERROR, ["position", "problem", "remedy"]]
    return {
        position: Rejection(DUPLICATE_AUDIO, f"{problem} {remedy}")
        for position, problem, remedy in errors.itertuples(index=False)
    }


# --- attempts, column by column ------------------------------------------------------------------

SHOWN = ("model_run_id", "source", "created_at", "uploaded_at", "run_at", "completed_at")
"""What the results show of an attempt."""

_DECISIVE = ("attempt_id", "sha256", "request_digest", "state", "error_code", "error_reason")
_MOMENT = pa.timestamp("us", tz="UTC")
_TYPES = {"attempt_id": pa.int64()} | {
    name: _MOMENT if name.endswith("_at") else pa.string() for name in SHOWN
}
_ATTEMPTS = pa.schema([(name, _TYPES.get(name, pa.string())) for name in (*_DECISIVE, *SHOWN)])


def _attempts_in(ledger: LedgerReader) -> pa.Table:
    tables = [
        pa.table(list(zip(*batch, strict=True)), _ATTEMPTS)
        for batch in batches(ledger.columns_of_attempts(_ATTEMPTS.names))
    ]
    return pa.concat_tables([_ATTEMPTS.empty_table(), *tables])


# --- what was seen of recordings -----------------------------------------------------------------

# One entry per location: what was last seen there, by whatever rules.
_LATEST = "latest"
_SHA256 = "$.check.sha256"
_NUMBERS = {Kind.NUMBER: pa.float64(), Kind.COUNT: pa.int64()}
_AUDIO = [(column.name, _NUMBERS.get(column.kind, pa.string())) for column in AUDIO]
_CHECK = pa.struct([("check", pa.struct(_AUDIO))])


class LedgerCache:
    """Keeps checks in a study's ledger, so that no recording is decoded twice."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._withdrawn = ledger.withdrawn()

    def load(self, rules: str) -> dict[str, Check]:
        """Read all checks that were made by certain rules."""
        return _checks_in(self._ledger.all_checks(_LATEST), rules)

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
    return _checks_in(ledger.checks_at(_LATEST, locations))


def hashes_in(ledger: LedgerReader) -> Iterator[tuple[str, str, str | None]]:
    """Read location, stamp and SHA-256 of all recordings that were ever seen."""
    return ledger.all_checks(_LATEST, _SHA256)


def _audio_at(ledger: LedgerReader, locations: Iterable[str | None]) -> pa.Table:
    """Read what was last seen at some locations, in their order: the columns ``columns.AUDIO``."""
    tables, places = [_laid_out(pa.array([], _CHECK))], []
    for block in batches(ledger.all_checks(_LATEST)):
        places.append(_encoded(location for location, _, _ in block))
        tables.append(json_columns([text for _, _, text in block], _CHECK, _laid_out, _audio_of))
    among = pa.chunked_array(places, pa.binary())
    wanted = pa.chunked_array(map(_encoded, batches(locations)), pa.binary())
    return pa.concat_tables(tables).take(_places(wanted, among))


def _encoded(locations: Iterable[str | None]) -> pa.Array:
    places = list(locations)
    try:
        return pa.array(places, pa.string()).cast(pa.binary())
    except UnicodeEncodeError:  # a file's name need not be valid text
        return pa.array([place and os.fsencode(place) for place in places], pa.binary())


def _laid_out(facts: pa.StructArray) -> pa.Table:
    return pa.Table.from_arrays(pc.struct_field(facts, "check").flatten(), schema=pa.schema(_AUDIO))


def _audio_of(text: str) -> dict[str, Any]:
    check = _checks_in([("", "", text)]).get("")
    return {column.name: getattr(check, column.name, None) for column in AUDIO}


def _checks_in(found: Iterable[tuple[str, str, str]], rules: str | None = None) -> dict[str, Check]:
    """Read checks back, by location; with ``rules``, only those that were made by these."""
    checks = {}
    for location, _, text in found:
        # Another version, or damage, may have left none that this version can use.
        with suppress(LookupError, TypeError, ValueError):
            facts = from_json(text)
            if rules in {None, facts["rules"]}:
                checks[location] = Check.from_dict(facts["check"])
    return checks
