"""The results: every row of the cohort exactly once, in the cohort's order; and its invitations."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic.alias_generators import to_camel

from helios_research._util.arrow import batches, json_columns
from helios_research._util.files import replaced
from helios_research.api.models import LONGEST_RUN_ID, WITHOUT_SCORES, flatten_result
from helios_research.codes import UNREADABLE_ANSWER
from helios_research.cohort import Cohort, CohortIssues, duplicate_audio_issues
from helios_research.columns import (
    BIOMARKERS,
    BUCKET_LEVELS,
    INVITATIONS,
    LINK,
    OPEN_OUTCOMES,
    RECORDING_ID,
    RESULTS,
    RESULTS_BY_NAME,
    SCORES,
    STANDARD_FIELDS,
    Column,
    Kind,
    Outcome,
)
from helios_research.errors import InvitationError, storage_errors
from helios_research.ledger import Attempt, LedgerReader, Setting, State, is_invitation
from helios_research.results.files import (
    ARROW_TYPES,
    prepare_for_csv,
    to_arrow,
    write_csv,
    write_parquet,
    write_sheets,
)
from helios_research.results.shapes import ExportTable
from helios_research.state.loader import StatusLoader
from helios_research.state.rows import Row
from helios_research.state.status import RowStatus

_COLUMNS = tuple(column for column in RESULTS if column is not RECORDING_ID)
_LISTS = ("warnings", "sections")

_DAMAGED = {
    "error_code": UNREADABLE_ANSWER,
    "error_reason": "The ledger holds an answer for this recording that can no longer be read. "
    "Restore the study folder from a backup; the other recordings are not affected.",
}


class Snapshot:
    """The results of a study at one moment; ``rows`` where the caller has the cohort's already."""

    def __init__(
        self, ledger: LedgerReader, cohort: Cohort, rows: Sequence[Row] | None = None
    ) -> None:
        self._ledger = ledger
        self._cohort = cohort
        self._loader = StatusLoader(ledger, cohort, rows)

    @property
    def issues(self) -> CohortIssues:
        """Every problem of every row: the cohort's, and the same audio in several rows."""
        found = duplicate_audio_issues(self._cohort, self._loader.hashes)
        return self._cohort.with_issues(found).issues

    def table(self) -> pd.DataFrame:
        """Give one row per row of the cohort: its own columns, then ``columns.RESULTS``."""
        return pd.concat([_own_columns(self._cohort), _frame(self._columns)], axis="columns")

    def write(self, path: Path, study: str) -> None:
        """Write the results to a Parquet file."""
        own = _own_columns(self._cohort)
        stored = to_arrow(own)
        for name, values in zip(self._columns.column_names, self._columns.columns, strict=True):
            stored = stored.append_column(name, values)
        # Says how pandas reads them back.
        rowless = pd.concat([own.head(0), _frame(self._columns.slice(0, 0))], axis="columns")
        metadata = to_arrow(rowless).schema.metadata
        write_parquet(stored.replace_schema_metadata(metadata), path, self.provenance(study))

    def provenance(self, study: str) -> dict[str, Any]:
        """Describe where the results come from, and how many participants have withdrawn."""
        withdrawn = len(self._ledger.withdrawn().labels)
        return {
            "study": study,
            "base_url": self._ledger.get_setting(Setting.BASE_URL),
            "source": self._ledger.get_setting(Setting.SOURCE),
            "tags": list(self._cohort.tags),
            **self._cohort.declared,
        } | ({"withdrawn": withdrawn} if withdrawn else {})

    @cached_property
    def _columns(self) -> pa.Table:
        """The columns of ``columns.RESULTS``, for the rows of the cohort."""
        statuses, audio = self._loader.table(), self._loader.audio
        columns = {name: table[name] for table in (statuses, audio) for name in table.column_names}
        columns |= {"attempts": statuses["runs"]} | self._answered(statuses)
        return pa.table({column.name: _stored(columns[column.name], column) for column in _COLUMNS})

    def _answered(self, statuses: pa.Table) -> dict[str, pa.ChunkedArray]:
        """Give the columns that answers have a part in."""
        answers = read_answers(self._ledger.answers())
        outcome = statuses["outcome"]
        is_open = pc.is_in(outcome, pa.array(map(str, OPEN_OUTCOMES)))
        # Another process may have written an answer since the status was read.
        keys = pc.if_else(is_open, None, statuses["attempt_id"])
        answers = answers.take(pc.index_in(keys, answers["attempt_id"].combine_chunks()))
        is_read = pc.fill_null(answers[IS_READABLE], fill_value=False)
        is_damaged = pc.and_(answers[IS_READABLE].is_valid(), pc.invert(is_read))
        # A run that failed may have been answered with scores: they are not this row's.
        is_scored, no_sections = pc.equal(outcome, Outcome.SCORED), pc.if_else(is_read, 0, None)
        without = dict.fromkeys(WITHOUT_SCORES) | {"n_sections": no_sections}
        columns = {"warnings": answers["warnings"]}
        for name in TIMES:
            columns[name] = pc.if_else(is_read, answers[name], statuses[name])
        for name, words in _DAMAGED.items():
            columns[name] = pc.if_else(is_damaged, words, statuses[name])
        for name, other in without.items():
            columns[name] = pc.if_else(is_scored, answers[name], other)
        return columns


def _stored(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """Put values into the type of their column; known categories come first, used or not."""
    kind = ARROW_TYPES[column.kind]
    if column.kind is Kind.TEXT_LIST:
        return pc.coalesce(values, pa.scalar([], kind))
    if column.kind is not Kind.CATEGORY:
        return values.cast(kind)
    known = [str(value) for value in column.labels]
    # Such as a source of scores that a later version added.
    others = sorted({*values.unique().to_pylist()} - {*known, None})
    categories = pa.array([*known, *others], pa.string())
    places = pc.index_in(values, categories).combine_chunks()
    return pa.chunked_array([pa.DictionaryArray.from_arrays(places, categories)], kind)


def _frame(columns: pa.Table) -> pd.DataFrame:
    dtypes = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = columns.to_pandas(types_mapper=dtypes.get)
    for name in _LISTS:
        frame[name] = pd.Series(_lists(columns[name]), dtype="object")
    return frame


def _lists(values: pa.ChunkedArray) -> list[Any]:
    """Give lists as Python has them; nearly all are empty, and only the others are looked at."""
    lists: list[Any] = [None if missing else [] for missing in values.is_null().to_pylist()]
    # Combined, since pyarrow 22 crashes where there are no chunks.
    filled = pc.fill_null(pc.greater(pc.list_value_length(values), 0), fill_value=False)
    for place in pc.indices_nonzero(filled.combine_chunks()).to_pylist():
        lists[place] = values[place].as_py()
    return lists


def _own_columns(cohort: Cohort) -> pd.DataFrame:
    """Give the recording's key, the researcher's own columns, and the standard fields.

    The manifest has the latter under another name, as a constant, or as values and dates whose
    meaning was declared.
    """
    fields, frame = cohort.fields, cohort.frame
    own = frame.drop(columns=RECORDING_ID.name, errors="ignore")
    # Real dates need no declaration and stay what they are.
    texts = own.select_dtypes(exclude=["datetime", "datetimetz"]).columns
    # As they were sent: with a space behind it, a label would be another participant.
    for name in texts.intersection([*{*STANDARD_FIELDS} - {"recording"}, *cohort.tags]):
        if own[name].dtype in ("str", "object"):
            own[name] = own[name].map(_stripped).astype(own[name].dtype)
    declared = [name for name in cohort.declared_fields if name in texts]
    own[declared] = fields[declared]
    added = [
        name
        for name in STANDARD_FIELDS
        if name != RECORDING_ID.name and name not in own.columns and fields[name].notna().any()
    ]
    if "recording" in added:
        # Not where this machine has the file: results are shared.
        fields["recording"] = cohort.given_recordings
    return pd.concat([fields[[RECORDING_ID.name]], own, fields[added]], axis="columns")


def _stripped(cell: Any) -> Any:
    return cell.strip() if isinstance(cell, str) else cell


# --- raw answers about model runs as columns ------------------------------------------------------

_SCORES = tuple(column.name for column in SCORES)
_BUCKETED = frozenset(marker.name for marker in BIOMARKERS if marker.bucketed)
_LEVELS = pa.array([*BUCKET_LEVELS, None], pa.float64())
_LIMITS = ("start_secs", "finish_secs")
TIMES = ("run_at", "completed_at")
ANSWER = (*("warnings", *TIMES, "n_sections", "sections", "transcript"), *_LIMITS, *_SCORES)
"""The columns of the results that come from an answer."""

IS_READABLE = "is_readable"

_TYPES = {name: ARROW_TYPES[RESULTS_BY_NAME[name].kind] for name in ANSWER}
_SCHEMA = pa.schema([*_TYPES.items(), (IS_READABLE, pa.bool_())])
_KEY = pa.field("attempt_id", pa.int64())
_SECTION = pa.struct(
    [("transcript", pa.string())]
    + [(to_camel(name), pa.float64()) for name in _LIMITS]
    + [(to_camel(name), pa.struct([("value", pa.float64())])) for name in _SCORES]
)
_FORM = pa.struct(
    [("id", pa.string()), ("status", pa.string()), ("warnings", pa.list_(pa.string()))]
    + [(to_camel(name), _TYPES[name]) for name in TIMES]
    + [("results", pa.struct([("sections", pa.list_(_SECTION))]))]
)


def read_answers(answers: Iterable[tuple[int, str]]) -> pa.Table:
    """Read raw answers, each with its key, as `flatten_result` does: only the unusual are put to it."""
    tables = [_SCHEMA.append(_KEY).empty_table()]
    for batch in batches(answers):
        keys, bodies = zip(*batch, strict=True)
        found = json_columns(bodies, _FORM, _laid_out, _flat)
        tables.append(found.append_column(_KEY, [keys]))
    return pa.concat_tables(tables)


def _laid_out(answers: pa.StructArray) -> pa.Table:
    found = {field.name: pc.struct_field(answers, field.name) for field in _FORM}
    lists = pc.struct_field(found["results"], "sections")
    counts = pc.fill_null(pc.list_value_length(lists), 0)
    sections = lists.flatten()
    numbers = {name: pc.struct_field(sections, to_camel(name)) for name in _LIMITS}
    numbers |= {name: pc.struct_field(sections, [to_camel(name), "value"]) for name in _SCORES}
    usual = [
        *(pc.greater(pc.binary_length(found[name]), 0) for name in ("id", "status")),
        pc.less_equal(pc.binary_length(found["id"]), LONGEST_RUN_ID),
        *(pc.less_equal(counts, 1), sections.is_valid(), found["warnings"].flatten().is_valid()),
        *(_may_be(name, values) for name, values in numbers.items()),
    ]
    if not all(pc.all(each, skip_nulls=False, min_count=0).as_py() for each in usual):
        raise pa.ArrowInvalid("an answer is unusual")
    # With one section at most, the n-th is that of the n-th answer that has one.
    places = pc.if_else(pc.equal(counts, 1), pc.subtract(pc.cumulative_sum(counts), 1), None)
    texts = pc.struct_field(sections, "transcript")
    columns = {name: found[to_camel(name)] for name in ("warnings", *TIMES)}
    columns |= {name: each.take(places) for name, each in {**numbers, "transcript": texts}.items()}
    columns |= {"n_sections": counts, "sections": pa.nulls(len(answers), _TYPES["sections"])}
    columns |= {IS_READABLE: pa.repeat(pa.scalar(value=True), len(answers))}
    return pa.table(columns).select(_SCHEMA.names).cast(_SCHEMA)


def _may_be(name: str, values: pa.Array) -> pa.Array:
    if name in _BUCKETED:
        return pc.is_in(values, value_set=_LEVELS)
    in_range = pc.and_(pc.greater_equal(values, 0.0), pc.less_equal(values, 1.0))
    found = pc.is_finite(values) if name in _LIMITS else in_range
    return pc.fill_null(found, fill_value=True)


def _flat(body: str) -> dict[str, Any]:
    try:
        row = flatten_result(body)
    except ValueError:
        return {IS_READABLE: False}
    return {name: row[name] for name in ANSWER} | {IS_READABLE: True}


# --- the table of invitations ---------------------------------------------------------------------


class Invitations(pd.DataFrame):
    """A table of invitations, whose display shows no link: a saved notebook would keep it."""

    @property
    def _constructor(self) -> type["Invitations"]:
        return Invitations

    def __repr__(self) -> str:
        return repr(self._without_links())

    def _repr_html_(self) -> Any:
        # Unknown to the types of pandas.
        return self._without_links()._repr_html_()  # type: ignore[operator]

    def _without_links(self) -> pd.DataFrame:
        shown = pd.DataFrame(self)
        if LINK in shown.columns:
            shown[LINK] = shown[LINK].mask(shown[LINK].notna(), "(secret)")
        return shown


def invitations_in(ledger: LedgerReader, cohort: Cohort) -> Invitations:
    """Give the rows of a cohort whose participants record themselves, or are to."""
    attempts = {attempt.attempt_id: attempt for attempt in ledger.invitations()}
    lacking = cohort.fields["recording"].isna()
    facts = {
        place: _facts(status, attempts.get(status.attempt_id or 0))
        for place, status in enumerate(StatusLoader(ledger, cohort).statuses())
        if lacking[place] or is_invitation(status.sha256)
    }
    names = [column.name for column in INVITATIONS]
    chosen = pd.Index([*facts], dtype="int64")
    made = pd.DataFrame([*facts.values()], columns=names, index=chosen).astype("str")
    keys = cohort.fields[["recording_id", "user_label"]]
    own = cohort.own_columns.rename(columns={LINK: f"my_{LINK}"})
    table = pd.concat([keys.loc[chosen], own.loc[chosen], made], axis="columns")
    return Invitations(table.reset_index(drop=True))


def _facts(status: RowStatus, attempt: Attempt | None) -> dict[str, str | None]:
    found = {name: getattr(status, name) for name in ("outcome", "error_code", "error_reason")}
    if attempt is None:
        return found
    is_open = attempt.state is State.INVITED and attempt.upload_url
    link = "".join(attempt.upload_url or "") if is_open else None
    return found | {LINK: link, "model_run_id": attempt.model_run_id}


def check_ending(path: Path) -> Path:
    """Refuse a file that invitations cannot be written to."""
    if path.suffix.lower() not in {".csv", ".xlsx"}:
        raise InvitationError.ending(path)
    return path


def write_invitations(table: pd.DataFrame, path: Path) -> None:
    """Write invitations for mail merge, readable for the owner alone."""
    with storage_errors(path), replaced(path) as unfinished:
        if path.suffix.lower() == ".xlsx":
            write_sheets({"invitations": pd.DataFrame(table)}, unfinished)
        else:
            write_csv(prepare_for_csv(ExportTable(pd.DataFrame(table), {})), unfinished)
