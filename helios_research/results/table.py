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

# Where the values of a column are found.
_OF_STATUS = {
    "outcome": "outcome",
    "error_code": "error_code",
    "error_reason": "error_reason",
    "attempts": "runs",
}
_OF_ATTEMPT = ("model_run_id", "created_at", "uploaded_at", "source")
_OF_ANSWER_OR_ATTEMPT = ("run_at", "completed_at")
_OF_ANSWER = tuple(column.name for column in (*SCORES, *SECTION))
_OF_CHECK = tuple(column.name for column in AUDIO)

# Stands for an answer in the ledger that is no answer any more; told from an empty one by identity.
_DAMAGED: dict[str, Any] = {}
_DAMAGED_REASON = (
    "The ledger holds an answer to this recording that cannot be read any more. Put back a copy of "
    "the study folder from a backup; the other recordings are not concerned."
)


def results_table(part: Part, answers: Mapping[int, str]) -> pd.DataFrame:
    """Lay out the results of some rows of a cohort."""
    values = _values(part, answers)
    return pd.DataFrame(
        {column.name: as_column(values[column.name], column) for column in _COLUMNS}
    )


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put the results of consecutive rows together."""
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


def own_columns(cohort: Cohort) -> pd.DataFrame:
    """Give what the researcher brought: the key, their own columns, and the standard fields."""
    fields, frame = cohort.fields, cohort.frame
    own = frame.drop(columns=RECORDING_ID.name, errors="ignore")
    added = [
        name
        for name in STANDARD_FIELDS
        if name != RECORDING_ID.name and name not in own.columns and fields[name].notna().any()
    ]
    return pd.concat([fields[[RECORDING_ID.name]], own, fields[added]], axis="columns")


def as_column(values: list[Any], column: Column) -> "pd.Series[Any]":
    """Store values in the type that suits a column of the vocabulary."""
    return _STORED[column.kind](values, column)


def _categories(values: list[Any], column: Column) -> "pd.Series[Any]":
    known = [str(value) for value in column.labels]
    # Such as a source of scores that came with a later version.
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


def _values(part: Part, answers: Mapping[int, str]) -> dict[str, list[Any]]:
    attempts = [part.attempts.get(status.attempt_id or 0) for status in part.statuses]
    told = [_told(attempt, answers) for attempt in attempts]
    return _admitting(
        told,
        {
            "warnings": [answer["warnings"] if answer else [] for answer in told],
            **{
                name: [getattr(status, source) for status in part.statuses]
                for name, source in _OF_STATUS.items()
            },
            **{name: [getattr(check, name, None) for check in part.checks] for name in _OF_CHECK},
            **{
                name: [getattr(attempt, name, None) for attempt in attempts] for name in _OF_ATTEMPT
            },
            **{name: [answer.get(name) for answer in told] for name in _OF_ANSWER},
            **{
                name: [
                    answer[name] if answer else getattr(attempt, name, None)
                    for answer, attempt in zip(told, attempts, strict=True)
                ]
                for name in _OF_ANSWER_OR_ATTEMPT
            },
        },
    )


def _admitting(
    told: Sequence[Mapping[str, Any]], values: dict[str, list[Any]]
) -> dict[str, list[Any]]:
    """Say of rows whose answer is damaged why they have no scores; the others keep theirs."""
    for place, answer in enumerate(told):
        if answer is _DAMAGED:
            values["error_code"][place] = UNREADABLE_ANSWER
            values["error_reason"][place] = _DAMAGED_REASON
    return values


def _told(attempt: Attempt | None, answers: Mapping[int, str]) -> dict[str, Any]:
    """Read the answer to an attempt; nothing where there is none."""
    # Another process may have written an answer since the attempt was read.
    if attempt is None or not attempt.state.is_final:
        return {}
    body = answers.get(attempt.attempt_id)
    try:
        return {} if body is None else flatten_result(body)
    except ValueError:
        return _DAMAGED


class Snapshot:
    """A study at one moment. Nothing is read before it is asked for, and then part by part."""

    def __init__(
        self,
        ledger: LedgerReader,
        cohort: Cohort,
        rows: Sequence[Row] | None = None,
    ) -> None:
        self.ledger = ledger
        self.cohort = cohort
        self._loader = StatusLoader(ledger, cohort, rows)

    @property
    def issues(self) -> pd.DataFrame:
        """Every problem of every row: the cohort's, and the same audio in several rows."""
        hashes = pd.Series(self._loader.hashes, dtype="str")
        return self.cohort.with_issues(duplicate_audio_issues(self.cohort, hashes)).issues

    def table(self) -> pd.DataFrame:
        """Lay out the results."""
        found = joined(list(self._parts()))
        return pd.concat([own_columns(self.cohort), found], axis="columns")

    def write(self, path: Path, study: str, table: pd.DataFrame | None = None) -> None:
        """Write the results to a Parquet file, part by part."""
        own = own_columns(self.cohort)
        laid_out = _beside(own, self._parts()) if table is None else _cut(table)
        write_parquet(laid_out, path, own=own, provenance=self.provenance(study))

    def provenance(self, study: str) -> dict[str, Any]:
        """Tell where the results are from."""
        withdrawn = len(self.ledger.withdrawn().labels)
        return {
            "study": study,
            "base_url": self.ledger.get_setting(Setting.BASE_URL),
            "source": self.ledger.get_setting(Setting.SOURCE),
            "tags": list(self.cohort.tags),
        } | ({"withdrawn": withdrawn} if withdrawn else {})

    def _parts(self) -> Iterator[pd.DataFrame]:
        for part in self._loader.parts():
            decided = [status.attempt_id for status in part.statuses if status.attempt_id]
            yield results_table(part, self.ledger.answers_to(decided))


def _beside(own: pd.DataFrame, parts: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Put the results of each part behind the researcher's own columns."""
    first = 0
    for found in parts:
        mine = own.iloc[first : first + len(found)].reset_index(drop=True)
        yield pd.concat([mine, found], axis="columns")
        first += len(found)


def _cut(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Cut results that are laid out already into parts."""
    for positions in parts(len(table)):
        yield table.iloc[positions.start : positions.stop]
