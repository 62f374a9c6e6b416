"""Raw answers about model runs as columns of the results."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic.alias_generators import to_camel

from helios_research._util.arrow import batches, json_columns
from helios_research.api.models import LONGEST_RUN_ID, flatten_result
from helios_research.columns import BIOMARKERS, BUCKET_LEVELS, RESULTS_BY_NAME, SCORES
from helios_research.results.files import ARROW_TYPES

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
