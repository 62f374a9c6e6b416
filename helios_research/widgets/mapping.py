"""What a researcher says about the columns of a table, as a cohort and as the code for it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from helios_research._util.text import literal
from helios_research.cohort import Cohort
from helios_research.columns import RESERVED_NAMES, STANDARD_FIELDS
from helios_research.state.rows import rows_of


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Where each field of a cohort comes from."""

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    root: str | None = None

    def renamed(self, names: Collection[str]) -> dict[str, str]:
        """Find new names for columns that cannot keep theirs.

        Such are columns that are called like a field and are not to be it, and columns that are
        called like one of the results' own.
        """
        taken, new_names = set(names), {}
        for name in names:
            is_a_stranger = name in STANDARD_FIELDS and self.columns.get(name) != name
            if name in RESERVED_NAMES or is_a_stranger:
                new_names[name] = _free_name(f"my_{name}", taken)
                taken.add(new_names[name])
        return new_names

    def cohort(self, df: pd.DataFrame) -> Cohort:
        """Make the cohort."""
        new_names = self.renamed(df.columns)
        return Cohort.from_frame(df.rename(columns=new_names), **self._arguments(new_names))

    def code(self, names: Collection[str], *, table: str) -> str:
        """Write the lines that make the same cohort."""
        new_names = self.renamed(names)
        source = f"{table}.rename(columns={_literal(new_names, 4)})" if new_names else table
        given = {name: value for name, value in self._arguments(new_names).items() if value}
        lines = [f"    {name}={_literal(value, 4)},\n" for name, value in given.items()]
        call = f"cohort = hr.Cohort.from_frame(\n    {source},\n{''.join(lines)})"
        return f"import helios_research as hr\n\n{call}\n"

    def request(self, df: pd.DataFrame, position: int) -> dict[str, Any] | None:
        """Lay out what would be sent for one row, as Helios would read it."""
        row = rows_of(self.cohort(df.iloc[[position]]))[0]
        return None if row.request is None else row.request.to_record()

    def staying(self, names: Collection[str]) -> list[str]:
        """List the columns of which nothing is sent."""
        # The key stays too: Helios never learns it.
        sent = {name for field_name, name in self.columns.items() if field_name != "recording_id"}
        return [name for name in names if name not in sent | set(self.tags)]

    def _arguments(self, new_names: Mapping[str, str]) -> dict[str, Any]:
        # A column that is called like its field needs no words.
        columns = {
            field_name: new_names.get(name, name)
            for field_name, name in self.columns.items()
            if field_name != name
        }
        tags = [new_names.get(tag, tag) for tag in self.tags]
        return {
            "columns": columns,
            "constants": dict(self.constants),
            "tags": tags,
            "root": self.root,
        }


def _free_name(wanted: str, taken: Collection[str]) -> str:
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name


def _literal(value: Any, indent: int) -> str:
    """Write a value as Python, one entry on each line where it is long."""
    short = literal(value)
    if len(short) <= 60 or not isinstance(value, dict):
        return short
    inner = " " * (indent + 4)
    entries = "".join(f"{inner}{literal(name)}: {literal(part)},\n" for name, part in value.items())
    return f"{{\n{entries}{' ' * indent}}}"
