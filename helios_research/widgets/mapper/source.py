"""The table of a mapper, a file or a DataFrame, and the cohort and the code that choices make of it."""

from dataclasses import dataclass, replace
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
from helios_research.columns import STANDARD_FIELDS
from helios_research.errors import CohortError, ColumnsError


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table as it came, its cells with one row per recording, and the file that it is from."""

    raw: RawTable
    cells: pd.DataFrame
    path: str | None
    sheet: str | None

    @classmethod
    def of(cls, table: Any, given: ColumnMapping, sheet: str | None = None) -> "TableSource":
        """Read what a cohort can be made from."""
        path = str(fspath(table)) if isinstance(table, str | PathLike) else None
        raw = raw_table(table, sheet=sheet, expected=given.columns.values())
        if raw.frame.empty:
            message = "The table has no rows, so there is nothing to map."
            raise CohortError(message)
        return cls(raw, reshaped(raw, given).cells, path, sheet)

    def cohort(self, mapping: ColumnMapping) -> Cohort:
        """Make the cohort that the code makes."""
        for name in self.cells.columns:
            if name in STANDARD_FIELDS and mapping.columns.get(name) != name:
                what = f"has a column {name!r} that is not to be the field"
                raise ColumnsError.names(
                    self.raw.source, what, f"Choose it, or rename it to 'my_{name}'."
                )
        home = Path.cwd() if self.path is None else Path(self.path).expanduser().absolute().parent
        root = resolve_root(mapping.root, home)
        # As in the code, which names no column that is named like its field.
        named = {field: name for field, name in mapping.columns.items() if field != name}
        return Cohort(build(self.raw, replace(mapping, columns=named), root))
