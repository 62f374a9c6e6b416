"""The table of a mapper, a file or a DataFrame, and the cohort and the code that choices make of it."""

from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import pandas as pd

from helios_research.cohort import Cohort
from helios_research.cohort.cells import RawTable
from helios_research.cohort.mapping import ColumnMapping
from helios_research.cohort.reading import raw_table
from helios_research.cohort.recordings import resolve_root
from helios_research.cohort.shape import reshaped
from helios_research.cohort.table import build
from helios_research.errors import CohortError, ColumnsError


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table as it came, its cells with one row per recording, and the file that it is from.

    Of other tables than pandas' own, the code cannot give columns other names.
    """

    raw: RawTable
    cells: pd.DataFrame
    path: str | None
    sheet: str | None
    keeps_names: bool

    @classmethod
    def of(cls, table: Any, given: ColumnMapping, sheet: str | None = None) -> "TableSource":
        """Read what a cohort can be made from."""
        path = str(fspath(table)) if isinstance(table, str | PathLike) else None
        raw = raw_table(table, sheet=sheet, expected=given.columns.values())
        if raw.frame.empty:
            message = "The table has no rows, so there is nothing to map."
            raise CohortError(message)
        keeps_names = not isinstance(table, pd.DataFrame)
        return cls(raw, reshaped(raw, given).cells, path, sheet, keeps_names)

    def cohort(self, mapping: ColumnMapping, raw: RawTable | None = None) -> Cohort:
        """Make the cohort that the code makes, or one of some rows."""
        new_names = mapping.renamed(self.raw.frame.columns)
        if new_names and self.keeps_names:
            what = f"has columns that cannot keep their names: {', '.join(map(repr, new_names))}"
            remedy = f"Rename them there, for example to {next(iter(new_names.values()))!r}."
            raise ColumnsError.names(self.raw.source, what, remedy)
        arguments = mapping.arguments(new_names)
        home = Path.cwd() if self.path is None else Path(self.path).expanduser().absolute().parent
        root = resolve_root(arguments.pop("root"), home)
        raw = (self.raw if raw is None else raw).renamed(new_names)
        return Cohort(build(raw, ColumnMapping.of(**arguments), root))

    def code(self, mapping: ColumnMapping, table: str) -> str:
        """Write the lines that make the cohort; ``table`` is the name of the DataFrame."""
        if self.path is None:
            return mapping.code(self.raw.frame.columns, table=table)
        return mapping.code_for_file(self.path, self.sheet)
