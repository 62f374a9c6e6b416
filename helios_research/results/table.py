"""The results table: every row of the cohort exactly once, in the cohort's order."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from helios_research.api.records import flatten_answer
from helios_research.checks import Check
from helios_research.cohort import Cohort
from helios_research.columns import (
    AUDIO,
    RECORDING_ID,
    RESULTS,
    RUN,
    SCORES,
    SECTION,
    STANDARD_FIELDS,
    Column,
    Kind,
)
from helios_research.submission.asks import Row
from helios_research.submission.standing import Standing

_FROM_ANSWER = frozenset(
    {"warnings", "run_at", "completed_at", *(column.name for column in (*SCORES, *SECTION))}
)
_AUDIO_NAMES = tuple(column.name for column in AUDIO)
_RUN_NAMES = tuple(column.name for column in RUN[2:])

# Answers held at a time: they are the largest part of a ledger.
_ROWS_IN_A_BLOCK = 2_000


def results_table(
    cohort: Cohort,
    rows: Sequence[Row],
    standings: Sequence[Standing],
    checks: Mapping[str, Check],
    answers_to: Callable[[Collection[int]], Mapping[int, str]],
) -> pd.DataFrame:
    """Lay out the results of some or all rows of a cohort.

    Parameters
    ----------
    cohort
        The cohort that the rows are from.
    rows, standings
        The rows wanted and how things stand with each.
    checks
        What was last seen of each recording, by location.
    answers_to
        Gives the raw final answers to some attempts, as JSON text by attempt.

    Returns
    -------
    DataFrame
        One row per row given, in the same order: ``recording_id``, the manifest's own columns,
        standard fields that the manifest has under other names, then `columns.RESULTS`.
    """
    positions = [row.position for row in rows]
    own = own_columns(cohort).iloc[positions].reset_index(drop=True)
    columns = [column for column in RESULTS if column is not RECORDING_ID]
    values: dict[str, list[Any]] = {column.name: [] for column in columns}
    for record in _records(rows, standings, checks, answers_to):
        for name, so_far in values.items():
            so_far.append(record.get(name))
    found = {column.name: as_column(values.pop(column.name), column) for column in columns}
    return pd.concat([own, pd.DataFrame(found)], axis="columns")


def own_columns(cohort: Cohort) -> pd.DataFrame:
    """Give what the researcher brought: the key, their own columns, and the standard fields.

    Parameters
    ----------
    cohort
        A cohort.

    Returns
    -------
    DataFrame
        One row per row of the cohort; the manifest's own columns are unchanged, and standard
        fields stand beside them where the manifest has them under another name or as a constant.
    """
    fields, frame = cohort.fields, cohort.frame
    own = frame.drop(columns=RECORDING_ID.name, errors="ignore")
    added = [
        name
        for name in STANDARD_FIELDS
        if name != RECORDING_ID.name and name not in own.columns and fields[name].notna().any()
    ]
    return pd.concat([fields[[RECORDING_ID.name]], own, fields[added]], axis="columns")


def as_column(values: list[Any], column: Column) -> "pd.Series[Any]":
    """Store values in the type that suits a column of the vocabulary.

    Parameters
    ----------
    values
        One value per row; None where there is none.
    column
        The column.

    Returns
    -------
    Series
        The values, typed by the column's kind.
    """
    return _STORED[column.kind](values, column)


def _categories(values: list[Any], column: Column) -> "pd.Series[Any]":
    known = list(column.labels) or sorted({value for value in values if value is not None})
    return pd.Series(pd.Categorical(values, categories=[str(value) for value in known]))


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


def _records(
    rows: Sequence[Row],
    standings: Sequence[Standing],
    checks: Mapping[str, Check],
    answers_to: Callable[[Collection[int]], Mapping[int, str]],
) -> Iterator[dict[str, Any]]:
    for first in range(0, len(rows), _ROWS_IN_A_BLOCK):
        block = slice(first, first + _ROWS_IN_A_BLOCK)
        decided = [standing.attempt for standing in standings[block] if standing.attempt]
        answers = answers_to([attempt.attempt_id for attempt in decided])
        for row, standing in zip(rows[block], standings[block], strict=True):
            yield _record(standing, checks.get(row.location or ""), answers)


def _record(standing: Standing, check: Check | None, answers: Mapping[int, str]) -> dict[str, Any]:
    record: dict[str, Any] = {name: getattr(check, name) for name in _AUDIO_NAMES} if check else {}
    record |= {
        "outcome": standing.outcome.value,
        "error_code": standing.error_code,
        "error_reason": standing.error_reason,
        "warnings": [],
        "attempts": standing.runs,
    }
    attempt = standing.attempt
    if attempt is not None:
        record |= {name: getattr(attempt, name, None) for name in _RUN_NAMES}
        record |= {"model_run_id": attempt.model_run_id, "source": attempt.source}
        # Another process may have written an answer since the attempt was read.
        body = answers.get(attempt.attempt_id) if attempt.state.is_final else None
        if body is not None:
            flat = flatten_answer(body)
            record |= {name: flat[name] for name in _FROM_ANSWER}
    return record
