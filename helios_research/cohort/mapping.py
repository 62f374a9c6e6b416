"""Which column of a table is which field, what is sent as tags, and what is declared."""

import dataclasses
import inspect
import os
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import wraps
from itertools import chain
from typing import Any, TypedDict, TypeVar, Unpack, cast

import pandas as pd

from helios_research._util.text import literal
from helios_research.cohort.declarations import (
    DATE_FIELDS,
    FORMS,
    FillWithin,
    Wide,
    as_declared,
    clean_columns,
    clean_date_format,
    clean_fill_within,
    clean_order,
    clean_values,
    clean_wide,
    is_date_format,
    short_date_format,
    short_wide,
)
from helios_research.cohort.guessing import guess_columns, guess_wide
from helios_research.columns import (
    BIRTH_SEXES,
    MOST_TAGS,
    RECORDING_ID,
    REQUIRED_FIELDS,
    RESERVED_NAMES,
    STANDARD_FIELDS,
)
from helios_research.errors import ColumnsError

_NEVER_CONSTANT = (RECORDING_ID.name, "recording")
OF_A_PERSON = ("date_of_birth", "birth_sex", "language")
"""The fields whose blank cells can be filled from other rows of the participant."""
_IDENTITY = {*_NEVER_CONSTANT, "user_label"}

_DATE_FORMATS = (
    f"Dates and times are {', '.join(DATE_FIELDS)}, and their forms {', '.join(map(repr, FORMS))}, or as "
    "in '%d.%m.%Y' with day, month and year."
)

Function = TypeVar("Function", bound=Callable[..., Any])


class TableOptions(TypedDict, total=False):
    """How a table is read; `read_cohort` describes each option."""

    columns: Mapping[str, Hashable] | None
    values: Mapping[str, Mapping[Any, Any]] | None
    date_format: str | Mapping[str, str] | None
    order: Mapping[Hashable, Iterable[Any]] | None
    wide: Wide | None
    fill_within: FillWithin | None
    constants: Mapping[str, Any] | None
    tags: Iterable[Hashable] | str | None
    root: str | os.PathLike[str] | None
    sheet: str | None


def with_table_options(function: Function) -> Function:
    """Write each of the ``TableOptions`` into the signature, for help and tab completion."""
    signature = inspect.signature(function)
    own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in TableOptions.__annotations__.items()
    ]
    whole = signature.replace(parameters=[*own, *options])

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        whole.bind(*args, **kwargs)
        return function(*args, **kwargs)

    vars(call)["__signature__"] = whole
    return cast("Function", call)


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Where each field of a cohort comes from: a column of the table, or one value for all rows."""

    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    constants: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    tags: tuple[str, ...] = ()
    root: str | None = None
    meanings: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    date_format: Mapping[str, str] = dataclasses.field(default_factory=dict)
    order: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    wide: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    fill_within: Sequence[str] | None = None

    @classmethod
    def of(cls, **table: Unpack[TableOptions]) -> "ColumnMapping":
        """Take the options of a call as they come."""
        tags, root = table.get("tags") or (), table.get("root")
        columns = clean_columns(table.get("columns"))
        return cls(
            columns,
            dict(table.get("constants") or {}),
            tuple(dict.fromkeys(map(str, (tags,) if isinstance(tags, str) else tags))),
            None if root is None else os.fspath(root),
            clean_values(table.get("values")),
            clean_date_format(table.get("date_format")),
            clean_order(table.get("order")),
            clean_wide(table.get("wide")),
            clean_fill_within(table.get("fill_within"), columns),
        )

    def resolve(self, source: str, names: Iterable[str]) -> "ColumnMapping":
        """Add the columns that are named like their field, once all fits the table's names."""
        available = list(names)
        if reserved := [name for name in available if name in RESERVED_NAMES]:
            what = f"has columns with names that the results use: {', '.join(map(repr, reserved))}"
            remedy = f"Rename them, for example to 'my_{reserved[0]}'."
            raise ColumnsError.names(source, what, remedy)
        both = {field: field for field in STANDARD_FIELDS if field in available} | {**self.columns}
        columns = {field: both[field] for field in (*STANDARD_FIELDS, *both) if field in both}
        whole = replace(self, columns=columns)
        faults = chain(_wrong_columns(whole, available), _wrong_constants(whole))
        _refuse(ColumnsError.mapping, source, faults)
        missing = [name for name in REQUIRED_FIELDS if name not in {*columns, *self.constants}]
        if missing:
            raise self._missing(source, missing, available, columns)
        _refuse(ColumnsError.tags, source, _wrong_tags(whole, available))
        faults = chain(_wrong_order(whole, available), _wrong_values(whole), _wrong_dates(whole))
        _refuse(ColumnsError.mapping, source, faults)
        return whole

    def _missing(
        self, source: str, missing: list[str], available: list[str], mapped: Mapping[str, str]
    ) -> ColumnsError:
        """Offer the whole mapping that the names suggest."""
        unused = [name for name in available if name not in {*mapped.values(), *self.tags}]
        wide = guess_wide(unused) if "recording" in missing else {}
        together = {*chain.from_iterable(wide.values())}
        guessed = guess_columns(name for name in unused if name not in together)
        offered = {name: guessed.get(name, "…") for name in missing if name not in wide}
        columns, constants = {**self.columns, **offered}, dict(self.constants)
        if columns.get("language") == "…":
            # Often one for all rows.
            constants["language"] = columns.pop("language")
        line = {"wide": short_wide(wide), "columns": columns, "constants": constants}
        return ColumnsError.missing(source, missing, unused, line)

    def name_of(self, field: str) -> str:
        """Name a field as the researcher knows it."""
        return self.columns.get(field, field)

    def read(self, cells: "pd.Series[str]", field: str) -> "pd.Series[str]":
        """Put what is declared in place of the cells of a field, and dates in ISO 8601."""
        return as_declared(cells, field, self.meanings.get(field, {}), self.date_format.get(field))

    def code(self, table: str, *, path: str | None = None, sheet: str | None = None) -> str:
        """Write the lines that make the same cohort, of a file if there is a path."""
        call, source = "hr.Cohort.from_frame", table
        if path is not None:
            call, source = "hr.read_cohort", literal(path)
        arguments = {
            # A column that is named like its field needs no entry.
            "columns": {field: name for field, name in self.columns.items() if field != name},
            "constants": dict(self.constants),
            "tags": self.tags,
            "root": self.root,
            "sheet": sheet,
            **self.declared(),
        }
        lines = "".join(_argument(name, value) for name, value in arguments.items() if value)
        return f"import helios_research as hr\n\ncohort = {call}(\n    {source},\n{lines})\n"

    def staying(self, names: Collection[str]) -> list[str]:
        """List the columns of which nothing is sent."""
        # The key stays too: Helios never learns it.
        sent = {name for field, name in self.columns.items() if field != RECORDING_ID.name}
        return [name for name in names if name not in sent | set(self.tags)]

    def declared(self) -> dict[str, Any]:
        """Give what was declared of the table, as arguments."""
        further = {"user_label": [*self.fill_within]} if self.fill_within else "user_label"
        given = {
            "wide": short_wide(self.wide),
            "fill_within": None if self.fill_within is None else further,
            "values": dict(self.meanings),
            "date_format": short_date_format(self.date_format),
            "order": dict(self.order),
        }
        return {name: declared for name, declared in given.items() if declared}


# --- what cannot be ------------------------------------------------------------------------------


Faults = Iterable[tuple[str, str]]
"""What is wrong with what was declared, and what to do."""


def _refuse(error: Callable[[str, str, str], ColumnsError], source: str, faults: Faults) -> None:
    for what, remedy in faults:
        raise error(source, what, remedy)


def _no_field(field: str, column: str = "") -> Faults:
    if field in STANDARD_FIELDS:
        return
    remedy = _choices(field, STANDARD_FIELDS, "The fields are")
    if column in STANDARD_FIELDS:
        remedy = f'columns= reads field: column, so write {{"{column}": "{field}"}}.'
    yield f"{field!r} is not a field of a recording", remedy


def _wrong_columns(mapping: ColumnMapping, names: Sequence[str]) -> Faults:
    for field, name in mapping.columns.items():
        yield from _no_field(field, name)
        if name not in names:
            what = f"columns= names {name!r} for {field!r}, but there is no such column"
            yield what, _choices(name, names)
        if field in names and name != field:
            what = f"{name!r} is named for {field!r}, but there is also a column named {field!r}"
            yield what, "Rename or remove one of the two."
    for name in mapping.columns.values():
        fields = [field for field, own in mapping.columns.items() if own == name]
        # A path can well be the key too; a date with two meanings is a mistake.
        if len(fields) > 1 and {*fields} != {*_NEVER_CONSTANT}:
            what = f"{name!r} is named for {' and '.join(map(repr, fields))} at once"
            yield what, "Name another column for one of them."


def _wrong_constants(mapping: ColumnMapping) -> Faults:
    for field, value in mapping.constants.items():
        yield from _no_field(field)
        # No recording in any row: the participants are invited to make them.
        if field in _NEVER_CONSTANT and (field, value or "") != ("recording", ""):
            yield f"{field!r} cannot be the same in all rows", "Name a column for it with columns=."
        if field in mapping.columns:
            column = mapping.columns[field]
            what = f"constants= gives {field!r}, which the column {column!r} also gives"
            yield what, "Leave out the constant, or rename or remove the column."


def _wrong_tags(mapping: ColumnMapping, names: Sequence[str]) -> Faults:
    field_of = {name: field for field, name in mapping.columns.items()}
    for tag in mapping.tags:
        if field := field_of.get(tag, tag if tag in STANDARD_FIELDS else None):
            yield f"{tag!r} is already the field {field!r}", "Leave it out of tags=."
        if tag in RESERVED_NAMES:
            yield f"the results already have a column {tag!r}", "Rename the tag's column."
        if tag not in names:
            yield f"there is no column {tag!r}", _choices(tag, names)
    if len(mapping.tags) > MOST_TAGS:
        remedy = "Leave some out of tags=; columns that are not sent stay in the results."
        yield f"a run can have {MOST_TAGS} tags, and these are {len(mapping.tags)}", remedy


def _wrong_order(mapping: ColumnMapping, names: Sequence[str]) -> Faults:
    for name in mapping.order:
        if name in mapping.columns.values():
            what = f"order= names {name!r}, whose cells are those of a field"
            yield what, "Leave it out; figures take order= too."
        if name not in names:
            what = f"order= names {name!r}, but there is no such column"
            yield what, _choices(name, names)


def _wrong_values(mapping: ColumnMapping) -> Faults:
    for field in mapping.meanings:
        yield from _no_field(field)
        what = f"values= declares values of {field!r}, "
        if field in _IDENTITY:
            yield f"{what}whose cells are taken as they are", "Leave it out of values=."
        if field not in {*mapping.columns, *mapping.constants}:
            yield f"{what}which no column holds", "Leave it out of values=."
    for code, meaning in mapping.meanings.get("birth_sex", {}).items():
        if meaning and meaning not in BIRTH_SEXES:
            what = f"values= says that {code!r} in 'birth_sex' means {meaning!r}"
            yield what, f"Write one of {', '.join(BIRTH_SEXES)}."


def _wrong_dates(mapping: ColumnMapping) -> Faults:
    # A form for all dates is also for those that the table lacks.
    for field, form in mapping.date_format.items():
        yield from _no_field(field)
        if field not in DATE_FIELDS or not is_date_format(form):
            yield f"date_format= cannot read {field!r} with {form!r}", _DATE_FORMATS


def _choices(name: str, names: Sequence[str], label: str = "There are") -> str:
    lowered = {known.casefold(): known for known in names}
    close = get_close_matches(name.casefold(), lowered, n=1)
    hint = f"Did you mean {lowered[close[0]]!r}? " if close else ""
    return f"{hint}{label}: {', '.join(names) or 'none'}."


def _argument(name: str, value: Any) -> str:
    """Write an argument as Python, one entry on each line where it is long."""
    written = literal(value)
    if len(written) > 60 and isinstance(value, dict):
        entries = (f"        {literal(key)}: {literal(part)},\n" for key, part in value.items())
        written = f"{{\n{''.join(entries)}    }}"
    return f"    {name}={written},\n"
