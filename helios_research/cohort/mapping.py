"""Which column of a table is which field, what is sent as tags, and what is declared."""

import dataclasses
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from helios_research._util.text import literal
from helios_research.cohort.declarations import (
    DATE_FIELDS,
    FORMS,
    clean_date_format,
    clean_order,
    clean_values,
    is_date_format,
    short_date_format,
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


Wide = Sequence[str] | Mapping[str, Sequence[str]]
"""The columns of several recordings in a row; with others of as many columns, by their new names."""

FillWithin = str | Mapping[str, Sequence[str]]
"""The field of the participant, alone or with columns to be filled besides the demographics."""


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
    def of(  # noqa: PLR0913 - each says one thing about the table
        cls,
        columns: Mapping[str, Hashable] | None,
        constants: Mapping[str, Any] | None,
        tags: Iterable[Hashable] | str,
        values: Mapping[str, Mapping[Any, Any]] | None = None,
        date_format: str | Mapping[str, str] | None = None,
        order: Mapping[Hashable, Iterable[Any]] | None = None,
        wide: Wide | None = None,
        fill_within: FillWithin | None = None,
    ) -> "ColumnMapping":
        """Take the arguments of a call as they come."""
        names = (tags,) if isinstance(tags, str) else tags
        own = {
            field_name: _one_column(field_name, column)
            for field_name, column in (columns or {}).items()
        }
        several = wide if isinstance(wide, Mapping) else {"recording": wide} if wide else {}
        return cls(
            own,
            dict(constants or {}),
            tuple(dict.fromkeys(map(str, names))),
            meanings=clean_values(values),
            date_format=clean_date_format(date_format),
            order=clean_order(order),
            wide={name: [*map(str, columns)] for name, columns in several.items()},
            fill_within=_further_columns(fill_within, own),
        )

    def resolve(self, source: str, names: Iterable[str]) -> "ColumnMapping":
        """Add the columns that are named like their field, once all fits the table's names."""
        available = list(names)
        _check_names(source, available)
        mapped = _mapped_columns(source, available, self.columns)
        _check_constants(source, mapped, self.constants)
        missing = [name for name in REQUIRED_FIELDS if name not in {*mapped, *self.constants}]
        if missing:
            raise self._missing(source, missing, available, mapped)
        _check_tags(source, available, mapped, self.tags)
        _check_order(source, available, mapped, self.order)
        _check_declarations(source, {**self.constants, **mapped}, self.meanings, self.date_format)
        return replace(self, columns=mapped)

    def _missing(
        self, source: str, missing: list[str], available: list[str], mapped: Mapping[str, str]
    ) -> ColumnsError:
        """Offer the whole mapping that the names suggest."""
        lacking = missing
        unused = [name for name in available if name not in {*mapped.values(), *self.tags}]
        wide = guess_wide(unused) if "recording" in missing else {}
        missing = [name for name in missing if name not in wide]
        together = {name for names in wide.values() for name in names}
        guessed = guess_columns(name for name in unused if name not in together)
        offered = {name: guessed.get(name, "…") for name in missing}
        columns, constants = {**self.columns, **offered}, dict(self.constants)
        if columns.get("language") == "…":
            # Often one for all rows.
            constants["language"] = columns.pop("language")
        line = {"wide": short_wide(wide), "columns": columns, "constants": constants}
        return ColumnsError.missing(source, lacking, unused, line)

    def name_of(self, field_name: str) -> str:
        """Name a field as the researcher knows it."""
        return self.columns.get(field_name, field_name)

    def code(self, table: str, *, path: str | None = None, sheet: str | None = None) -> str:
        """Write the lines that make the same cohort, of a file if there is a path."""
        call, source = "hr.Cohort.from_frame", table
        if path is not None:
            call, source = "hr.read_cohort", literal(path)
        # A column that is named like its field needs no entry.
        columns = {
            field_name: name for field_name, name in self.columns.items() if field_name != name
        }
        arguments = {
            "columns": columns,
            "constants": dict(self.constants),
            "tags": self.tags,
            "root": self.root,
            "sheet": sheet,
            **self.declared(),
        }
        given = {name: value for name, value in arguments.items() if value}
        lines = [f"    {name}={_literal(value, 4)},\n" for name, value in given.items()]
        return (
            f"import helios_research as hr\n\ncohort = {call}(\n    {source},\n{''.join(lines)})\n"
        )

    def staying(self, names: Collection[str]) -> list[str]:
        """List the columns of which nothing is sent."""
        # The key stays too: Helios never learns it.
        sent = {name for field_name, name in self.columns.items() if field_name != "recording_id"}
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


def _one_column(field: str, column: object) -> str:
    if isinstance(column, list) and field == "recording":
        what = f"columns= names {len(column)} columns for 'recording'"
        remedy = f"For one row per recording, declare wide={literal(column)} in place of it."
        raise ColumnsError.mapping("the table", what, remedy)
    return str(column)


def _further_columns(
    fill_within: FillWithin | None, columns: Mapping[str, str]
) -> Sequence[str] | None:
    if fill_within is None:
        return None
    given = {fill_within: ()} if isinstance(fill_within, str) else dict(fill_within)
    if not given.keys() <= {"user_label", columns.get("user_label")} or len(given) != 1:
        what = f"fill_within= names {', '.join(map(repr, given))}, and cells are filled within participants"
        raise ColumnsError.mapping("the table", what, 'Write fill_within="user_label".')
    (further,) = given.values()
    return [further] if isinstance(further, str) else [*further]


def short_wide(wide: Mapping[str, Sequence[str]]) -> Wide:
    """Write the columns of several recordings as a person would: a list where there are no others."""
    return list(wide["recording"]) if wide.keys() == {"recording"} else dict(wide)


def _check_names(source: str, names: list[str]) -> None:
    reserved = [name for name in names if name in RESERVED_NAMES]
    if reserved:
        what = f"has columns with names that the results use: {', '.join(map(repr, reserved))}"
        remedy = f"Rename them, for example to 'my_{reserved[0]}'."
        raise ColumnsError.names(source, what, remedy)


def _mapped_columns(source: str, names: list[str], wished: Mapping[str, str]) -> dict[str, str]:
    mapped = {field: field for field in STANDARD_FIELDS if field in names}
    for field, name in wished.items():
        _check_field(source, field, name)
        if name not in names:
            what = f"columns= names {name!r} for {field!r}, but there is no such column"
            raise ColumnsError.mapping(source, what, _choices(name, names))
        if field in names and name != field:
            what = f"{name!r} is named for {field!r}, but there is also a column named {field!r}"
            raise ColumnsError.mapping(source, what, "Rename or remove one of the two.")
        mapped[field] = name
    _check_used_once(source, mapped)
    return {field: mapped[field] for field in STANDARD_FIELDS if field in mapped}


def _check_used_once(source: str, mapped: Mapping[str, str]) -> None:
    fields_of: dict[str, list[str]] = {}
    for field, name in mapped.items():
        fields_of.setdefault(name, []).append(field)
    for name, fields in fields_of.items():
        # A path can well be the key too; a date with two meanings is a mistake.
        if len(fields) > 1 and set(fields) != set(_NEVER_CONSTANT):
            what = f"{name!r} is named for {' and '.join(map(repr, fields))} at once"
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


def _check_constants(source: str, mapped: Mapping[str, str], constants: Mapping[str, Any]) -> None:
    for field in constants:
        _check_field(source, field, "")
        # No recording in any row: the participants are invited to make them.
        if field in _NEVER_CONSTANT and (field, constants[field] or "") != ("recording", ""):
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
            what = f"{tag!r} is already the field {field_of.get(tag, tag)!r}"
            raise ColumnsError.tags(source, what, "Leave it out of tags=.")
        if tag in RESERVED_NAMES:
            what = f"the results already have a column {tag!r}"
            raise ColumnsError.tags(source, what, "Rename the tag's column.")
        if tag not in names:
            what = f"there is no column {tag!r}"
            raise ColumnsError.tags(source, what, _choices(tag, names))
    if len(tags) > MOST_TAGS:
        what = f"a run can have {MOST_TAGS} tags, and these are {len(tags)}"
        remedy = "Leave some out of tags=; columns that are not sent stay in the results."
        raise ColumnsError.tags(source, what, remedy)


def _check_order(
    source: str, names: list[str], mapped: Mapping[str, str], order: Collection[str]
) -> None:
    for name in order:
        if name in mapped.values():
            what = f"order= names {name!r}, whose cells are those of a field"
            raise ColumnsError.mapping(source, what, "Leave it out; figures take order= too.")
        if name not in names:
            what = f"order= names {name!r}, but there is no such column"
            raise ColumnsError.mapping(source, what, _choices(name, names))


def _check_declarations(
    source: str,
    present: Collection[str],
    values: Mapping[str, Mapping[str, str]],
    date_format: Mapping[str, str],
) -> None:
    for field in [*values, *date_format]:
        _check_field(source, field, "")
    # A form for all dates is also for those that the table lacks.
    for field in values.keys() - set(present) or values.keys() & _IDENTITY:
        what = f"values= declares values of {field!r}, "
        what += (
            "whose cells are taken as they are" if field in _IDENTITY else "which no column holds"
        )
        raise ColumnsError.mapping(source, what, "Leave it out of values=.")
    for field, form in date_format.items():
        if field not in DATE_FIELDS or not is_date_format(form):
            what = f"date_format= cannot read {field!r} with {form!r}"
            raise ColumnsError.mapping(source, what, _DATE_FORMATS)
    for code, meaning in values.get("birth_sex", {}).items():
        if meaning and meaning not in BIRTH_SEXES:
            what = f"values= says that {code!r} in 'birth_sex' means {meaning!r}"
            remedy = f"Write one of {', '.join(BIRTH_SEXES)}."
            raise ColumnsError.mapping(source, what, remedy)


def _choices(name: str, names: list[str], label: str = "There are") -> str:
    lowered = {known.casefold(): known for known in names}
    close = get_close_matches(name.casefold(), lowered, n=1)
    hint = f"Did you mean {lowered[close[0]]!r}? " if close else ""
    return f"{hint}{label}: {', '.join(names) or 'none'}."


def _literal(value: Any, indent: int) -> str:
    """Write a value as Python, one entry on each line where it is long."""
    short = literal(value)
    if len(short) <= 60 or not isinstance(value, dict):
        return short
    inner = " " * (indent + 4)
    entries = "".join(f"{inner}{literal(name)}: {literal(part)},\n" for name, part in value.items())
    return f"{{\n{entries}{' ' * indent}}}"
