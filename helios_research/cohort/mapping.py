"""Which column of a table feeds which field, and which columns are sent as tags."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from helios_research.columns import RECORDING_ID, REQUIRED_FIELDS, RESERVED_NAMES, STANDARD_FIELDS
from helios_research.errors import (
    ColumnsError,
)

MOST_TAGS = 20
"""Tags that one run may have: the API's limit."""

_NEVER_CONSTANT = (RECORDING_ID.name, "recording")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each field of a cohort comes from."""

    columns: Mapping[str, str]
    constants: Mapping[str, Any]
    tags: tuple[str, ...]

    def name_of(self, field: str) -> str:
        """Name a field as the researcher knows it."""
        return self.columns.get(field, field)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the researcher says about the columns of a table."""

    columns: Mapping[str, Hashable]
    constants: Mapping[str, Any]
    tags: tuple[str, ...]

    @classmethod
    def of(
        cls,
        columns: Mapping[str, Hashable] | None,
        constants: Mapping[str, Any] | None,
        tags: Iterable[Hashable] | str,
    ) -> "Wishes":
        """Take the arguments of a call as they come."""
        names = (tags,) if isinstance(tags, str) else tags
        tag_names = tuple(dict.fromkeys(str(name) for name in names))
        return cls(dict(columns or {}), dict(constants or {}), tag_names)


def lay_out(source: str, available: Iterable[str], wishes: Wishes) -> Layout:
    """Decide where each field comes from."""
    names = list(available)
    _check_names(source, names)
    mapped = _mapped_columns(source, names, wishes.columns)
    _check_constants(source, mapped, wishes)
    missing = [
        field for field in REQUIRED_FIELDS if field not in mapped and field not in wishes.constants
    ]
    if missing:
        unused = [name for name in names if name not in mapped.values()]
        raise ColumnsError.missing(source, missing, unused)
    _check_tags(source, names, mapped, wishes.tags)
    return Layout(mapped, wishes.constants, wishes.tags)


def _check_names(source: str, names: list[str]) -> None:
    twice = list(dict.fromkeys(name for name in names if names.count(name) > 1))
    if twice:
        what = f"has more than one column named {_quoted(twice)}"
        raise ColumnsError.names(source, what, "Give every column a name of its own.")
    reserved = [name for name in names if name in RESERVED_NAMES]
    if reserved:
        what = f"has columns that the results need for themselves: {_quoted(reserved)}"
        remedy = f"Rename them, for example to 'my_{reserved[0]}'."
        raise ColumnsError.names(source, what, remedy)


def _mapped_columns(
    source: str, names: list[str], wished: Mapping[str, Hashable]
) -> dict[str, str]:
    mapped = {field: field for field in STANDARD_FIELDS if field in names}
    for field, column in wished.items():
        name = str(column)
        _check_field(source, field, name)
        if name not in names:
            what = f"columns= names {name!r} as {field!r}, but there is no such column"
            raise ColumnsError.mapping(source, what, _choices(name, names))
        if field in names and name != field:
            what = f"{name!r} is to be {field!r}, but there is also a column named {field!r}"
            raise ColumnsError.mapping(source, what, "Rename or remove one of the two.")
        mapped[field] = name
    _check_used_once(source, mapped)
    return {field: mapped[field] for field in STANDARD_FIELDS if field in mapped}


def _check_used_once(source: str, mapped: Mapping[str, str]) -> None:
    fields_of: dict[str, list[str]] = {}
    for field, name in mapped.items():
        fields_of.setdefault(name, []).append(field)
    for name, fields in fields_of.items():
        # A path can well be the key too; a date that stands for two things is a slip.
        if len(fields) > 1 and set(fields) != set(_NEVER_CONSTANT):
            what = f"{name!r} is to be {' and '.join(map(repr, fields))} at once"
            raise ColumnsError.mapping(source, what, "Name another column for one of them.")


def _check_field(source: str, field: str, column: str) -> None:
    if field in STANDARD_FIELDS:
        return
    what = f"{field!r} is not a field of a recording"
    if column in STANDARD_FIELDS:
        remedy = f'columns= reads field: column, so write {{"{column}": "{field}"}}.'
    else:
        remedy = _choices(field, list(STANDARD_FIELDS), "The fields are")
    raise ColumnsError.mapping(source, what, remedy)


def _check_constants(source: str, mapped: Mapping[str, str], wishes: Wishes) -> None:
    for field in wishes.constants:
        _check_field(source, field, "")
        if field in _NEVER_CONSTANT:
            what = f"{field!r} cannot be the same in all rows"
            raise ColumnsError.mapping(source, what, "Name a column for it with columns=.")
        if field in mapped:
            what = f"constants= gives {field!r}, which the column {mapped[field]!r} also gives"
            remedy = "Leave out the constant, or rename or remove the column."
            raise ColumnsError.mapping(source, what, remedy)


def _check_tags(
    source: str, names: list[str], mapped: Mapping[str, str], tags: tuple[str, ...]
) -> None:
    field_of = {name: field for field, name in mapped.items()}
    for tag in tags:
        if tag in field_of or tag in STANDARD_FIELDS:
            what = f"{tag!r} already is the field {field_of.get(tag, tag)!r}"
            raise ColumnsError.tags(source, what, "Leave it out of tags=.")
        if tag in RESERVED_NAMES:
            what = f"the results have a column {tag!r} of their own"
            raise ColumnsError.tags(source, what, "Rename the tag's column.")
        if tag not in names:
            what = f"there is no column {tag!r}"
            raise ColumnsError.tags(source, what, _choices(tag, names))
    if len(tags) > MOST_TAGS:
        what = f"a run can have {MOST_TAGS} tags, and these are {len(tags)}"
        remedy = "Leave some out of tags=; columns that are not sent stay in the results."
        raise ColumnsError.tags(source, what, remedy)


def _choices(name: str, names: list[str], label: str = "There are") -> str:
    lowered = {known.casefold(): known for known in names}
    close = get_close_matches(name.casefold(), lowered, n=1)
    hint = f"Did you mean {lowered[close[0]]!r}? " if close else ""
    return f"{hint}{label}: {', '.join(names) or 'none'}."


def _quoted(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
