"""The results table: every row of the cohort exactly once, in the cohort's order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import union_categoricals

from helios_research.api.models import flatten_result
from helios_research.codes import UNREADABLE_ANSWER
from helios_research.cohort import Cohort, duplicate_audio_issues
from helios_research.columns import (
    AUDIO,
    RECORDING_ID,
    RESULTS,
    SCORES,
    SECTION,
    STANDARD_FIELDS,
    Column,
    Kind,
)
from helios_research.ledger import Attempt, LedgerReader, Setting
from helios_research.results.files import write_parquet
from helios_research.state.loader import Part, StatusLoader
from helios_research.state.rows import Row, parts

_COLUMNS = tuple(column for column in RESULTS if column is not RECORDING_ID)

# Where the values of a column come from.
_FROM_STATUS = {
    "outcome": "outcome",
    "error_code": "error_code",
    "error_reason": "error_reason",
    "attempts": "runs",
}
_FROM_ATTEMPT = ("model_run_id", "created_at", "uploaded_at", "source")
_FROM_ANSWER_OR_ATTEMPT = ("run_at", "completed_at")
_FROM_ANSWER = tuple(column.name for column in (*SCORES, *SECTION))
_FROM_CHECK = tuple(column.name for column in AUDIO)

# Marks an answer in the ledger that is damaged; compared by identity, since no answer is also empty.
_DAMAGED: dict[str, Any] = {}
_DAMAGED_REASON = (
    "The ledger holds an answer for this recording that can no longer be read. Restore the study "
    "folder from a backup; the other recordings are not affected."
)


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
        results = _concatenated(list(self._parts()))
        return pd.concat([_own_columns(self._cohort), results], axis="columns")

    def write(self, path: Path, study: str, table: pd.DataFrame | None = None) -> None:
        """Write the results to a Parquet file; ``table`` if the caller has it already."""
        own = _own_columns(self._cohort)
        tables = _beside(own, self._parts()) if table is None else _split(table)
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
            values = _values(part, self._ledger.answers_to(decided))
            yield pd.DataFrame(
                {column.name: as_column(values[column.name], column) for column in _COLUMNS}
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


def _concatenated(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join the results of consecutive rows; a category has the values of all of them."""
    columns: dict[str, pd.Series[Any]] = {}
    for column in _COLUMNS:
        pieces = [table[column.name] for table in tables]
        if column.kind is Kind.CATEGORY:
            columns[column.name] = pd.Series(
                union_categoricals(pieces, sort_categories=not column.labels)
            )
        else:
            columns[column.name] = pd.concat(pieces, ignore_index=True)
    return pd.DataFrame(columns)


def _beside(own: pd.DataFrame, tables: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Put the results of each part after the researcher's own columns."""
    first = 0
    for results in tables:
        own_part = own.iloc[first : first + len(results)].reset_index(drop=True)
        yield pd.concat([own_part, results], axis="columns")
        first += len(results)


def _split(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for positions in parts(len(table)):
        yield table.iloc[positions.start : positions.stop]


# --- the values of each column --------------------------------------------------------------------


def _values(part: Part, answers: Mapping[int, str]) -> dict[str, list[Any]]:
    attempts = [part.attempts.get(status.attempt_id or 0) for status in part.statuses]
    parsed = [_parse_answer(attempt, answers) for attempt in attempts]
    values: dict[str, list[Any]] = {
        name: [getattr(status, source) for status in part.statuses]
        for name, source in _FROM_STATUS.items()
    }
    for name in _FROM_CHECK:
        values[name] = [getattr(check, name, None) for check in part.checks]
    for name in _FROM_ATTEMPT:
        values[name] = [getattr(attempt, name, None) for attempt in attempts]
    for name in _FROM_ANSWER:
        values[name] = [answer.get(name) for answer in parsed]
    values["warnings"] = [answer["warnings"] if answer else [] for answer in parsed]
    for name in _FROM_ANSWER_OR_ATTEMPT:
        values[name] = [
            answer[name] if answer else getattr(attempt, name, None)
            for answer, attempt in zip(parsed, attempts, strict=True)
        ]
    for place, answer in enumerate(parsed):
        if answer is _DAMAGED:
            values["error_code"][place] = UNREADABLE_ANSWER
            values["error_reason"][place] = _DAMAGED_REASON
    return values


def _parse_answer(attempt: Attempt | None, answers: Mapping[int, str]) -> dict[str, Any]:
    """Read the answer to an attempt; empty where there is none."""
    # Another process may have written an answer since the attempt was read.
    if attempt is None or not attempt.state.is_final:
        return {}
    body = answers.get(attempt.attempt_id)
    try:
        return {} if body is None else flatten_result(body)
    except ValueError:
        return _DAMAGED


def as_column(values: list[Any], column: Column) -> "pd.Series[Any]":
    """Store values, None where there is none, in the type of their column."""
    return _STORED[column.kind](values, column)


def _categories(values: list[Any], column: Column) -> "pd.Series[Any]":
    known = [str(value) for value in column.labels]
    # Such as a source of scores that a later version added.
    others = sorted({str(value) for value in values if value is not None} - set(known))
    return pd.Series(pd.Categorical(values, categories=known + others))


_STORED: Mapping[Kind, Callable[[list[Any], Column], "pd.Series[Any]"]] = {
    Kind.TEXT: lambda values, _: pd.Series(values, dtype="str"),
    Kind.TEXT_LIST: lambda values, _: pd.Series(values, dtype="object"),
    Kind.CATEGORY: _categories,
    Kind.NUMBER: lambda values, _: pd.Series(values, dtype="float64"),
    Kind.COUNT: lambda values, _: pd.Series(values, dtype="Int64"),
    Kind.FLAG: lambda values, _: pd.Series(values, dtype="boolean"),
    Kind.MOMENT: lambda values, _: pd.Series(values, dtype="datetime64[us, UTC]"),
    Kind.SECTIONS: lambda values, _: pd.Series(values, dtype="object"),
}
