"""The results table: every row of the cohort exactly once, in the cohort's order."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import union_categoricals

from helios_research.api.models import WITHOUT_SCORES, flatten_result
from helios_research.codes import UNREADABLE_ANSWER
from helios_research.cohort import Cohort, duplicate_audio_issues
from helios_research.columns import (
    AUDIO,
    RECORDING_ID,
    RESULTS,
    STANDARD_FIELDS,
    Column,
    Kind,
)
from helios_research.ledger import Attempt, LedgerReader, Setting, State
from helios_research.preflight_checks.check import Check
from helios_research.results.files import write_parquet
from helios_research.state.loader import StatusLoader
from helios_research.state.rows import Row, parts
from helios_research.state.status import RowStatus

_COLUMNS = tuple(column for column in RESULTS if column is not RECORDING_ID)

_OF_STATUS = ("outcome", "error_code", "error_reason")
_OF_ATTEMPT = ("model_run_id", "created_at", "uploaded_at", "source")
# Where there is an answer, it has its own.
_OF_ATTEMPT_OR_ANSWER = ("run_at", "completed_at")
_OF_CHECK = tuple(column.name for column in AUDIO)

_DAMAGED = {
    "error_code": UNREADABLE_ANSWER,
    "error_reason": "The ledger holds an answer for this recording that can no longer be read. "
    "Restore the study folder from a backup; the other recordings are not affected.",
}


class Snapshot:
    """The results of a study at one moment, read from its ledger part by part.

    ``rows`` are those of the cohort, where the caller has them already.
    """

    def __init__(
        self, ledger: LedgerReader, cohort: Cohort, rows: Sequence[Row] | None = None
    ) -> None:
        self._ledger = ledger
        self._cohort = cohort
        self._loader = StatusLoader(ledger, cohort, rows)

    @property
    def issues(self) -> pd.DataFrame:
        """Every problem of every row: the cohort's, and the same audio in several rows."""
        hashes = pd.Series(self._loader.hashes, dtype="str")
        return self._cohort.with_issues(duplicate_audio_issues(self._cohort, hashes)).issues

    def table(self) -> pd.DataFrame:
        """Give one row per row of the cohort: its own columns, then ``columns.RESULTS``."""
        tables = list(self._parts())
        results = pd.concat(tables, ignore_index=True)
        for column in _COLUMNS:
            if column.kind is Kind.CATEGORY:
                # A category has the values of all parts.
                pieces = [part[column.name] for part in tables]
                results[column.name] = union_categoricals(pieces, sort_categories=not column.labels)
        return pd.concat([_own_columns(self._cohort), results], axis="columns")

    def write(self, path: Path, study: str, table: pd.DataFrame | None = None) -> None:
        """Write the results to a Parquet file; ``table`` if the caller has it already."""
        own = _own_columns(self._cohort)
        pieces = (slice(one.start, one.stop) for one in parts(len(own)))
        if table is None:
            tables = (
                pd.concat([own.iloc[piece].reset_index(drop=True), results], axis="columns")
                for piece, results in zip(pieces, self._parts(), strict=True)
            )
        else:
            tables = (table.iloc[piece] for piece in pieces)
        write_parquet(tables, path, own=own, provenance=self.provenance(study))

    def provenance(self, study: str) -> dict[str, Any]:
        """Describe where the results come from, and how many participants have withdrawn."""
        withdrawn = len(self._ledger.withdrawn().labels)
        return {
            "study": study,
            "base_url": self._ledger.get_setting(Setting.BASE_URL),
            "source": self._ledger.get_setting(Setting.SOURCE),
            "tags": list(self._cohort.tags),
        } | ({"withdrawn": withdrawn} if withdrawn else {})

    def _parts(self) -> Iterator[pd.DataFrame]:
        for part in self._loader.parts():
            decided = [status.attempt_id for status in part.statuses if status.attempt_id]
            answers = self._ledger.answers_to(decided)
            records = [
                _record(status, check, part.attempts.get(status.attempt_id or 0), answers)
                for status, check in zip(part.statuses, part.checks, strict=True)
            ]
            yield pd.DataFrame(
                {
                    column.name: as_column([one.get(column.name) for one in records], column)
                    for column in _COLUMNS
                }
            )


def _own_columns(cohort: Cohort) -> pd.DataFrame:
    """Give the recording's key, the researcher's columns unchanged, and the standard fields.

    The manifest has the latter under another name or as a constant.
    """
    fields, frame = cohort.fields, cohort.frame
    own = frame.drop(columns=RECORDING_ID.name, errors="ignore")
    added = [
        name
        for name in STANDARD_FIELDS
        if name != RECORDING_ID.name and name not in own.columns and fields[name].notna().any()
    ]
    return pd.concat([fields[[RECORDING_ID.name]], own, fields[added]], axis="columns")


# --- the values of each column --------------------------------------------------------------------


def _record(
    status: RowStatus, check: Check | None, attempt: Attempt | None, answers: Mapping[int, str]
) -> dict[str, Any]:
    """Give the values of one row; a column without a value may be missing."""
    own: dict[str, Any] = {"attempts": status.runs}
    for source, names in ((status, _OF_STATUS), (check, _OF_CHECK), (attempt, _OF_ATTEMPT)):
        own |= {name: getattr(source, name, None) for name in names}
    answer: dict[str, Any] = {name: getattr(attempt, name, None) for name in _OF_ATTEMPT_OR_ANSWER}
    answer["warnings"] = []
    # Another process may have written an answer since the attempt was read.
    if attempt is not None and attempt.state.is_final and attempt.attempt_id in answers:
        try:
            answer = flatten_result(answers[attempt.attempt_id])
            # A run that failed may have been answered with scores: they are not this row's.
            answer |= {} if attempt.state is State.SCORED else WITHOUT_SCORES
        except ValueError:
            own |= _DAMAGED
    return answer | own


_DTYPES: Mapping[Kind, str] = {
    Kind.TEXT: "str",
    Kind.TEXT_LIST: "object",
    Kind.NUMBER: "float64",
    Kind.COUNT: "Int64",
    Kind.FLAG: "boolean",
    Kind.MOMENT: "datetime64[us, UTC]",
    Kind.SECTIONS: "object",
}


def as_column(values: list[Any], column: Column) -> "pd.Series[Any]":
    """Store values, None where there is none, in the type of their column."""
    if column.kind is not Kind.CATEGORY:
        return pd.Series(values, dtype=_DTYPES[column.kind])
    known = [str(value) for value in column.labels]
    # Such as a source of scores that a later version added.
    others = sorted({str(value) for value in values if value is not None} - set(known))
    return pd.Series(pd.Categorical(values, categories=known + others))
