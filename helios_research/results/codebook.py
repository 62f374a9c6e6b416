"""The codebook: what each column of a file is, as a table and as Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from helios_research.cohort.text import as_text, cell_text
from helios_research.results.content import Content, Variable

CODEBOOK_COLUMNS = ("column", "in_file", "origin", "type", "unit", "meaning", "values", "filled")

# More different values than these are not listed.
MOST_VALUES = 12
_LONGEST_VALUE = 40
# Whose values say who somebody is.
_NEVER_LISTED = frozenset({"recording_id", "recording", "user_label", "date_of_birth"})


def codebook(content: Content, *, values_of: Iterable[str] | None = None) -> pd.DataFrame:
    """Say what each column of a file is."""
    listed = None if values_of is None else frozenset(values_of)
    rows = [
        _row(variable, content.table[name], listed) for name, variable in content.variables.items()
    ]
    book = pd.DataFrame(rows, columns=list(CODEBOOK_COLUMNS))
    renamed = any(variable.in_file for variable in content.variables.values())
    return book if renamed else book.drop(columns="in_file")


def _row(
    variable: Variable, values: "pd.Series[Any]", listed: frozenset[str] | None
) -> dict[str, object]:
    own = variable.origin != "helios_research"
    shown = not own or (
        variable.name not in _NEVER_LISTED if listed is None else variable.name in listed
    )
    return {
        "column": variable.name,
        "in_file": variable.in_file or variable.name,
        "origin": variable.origin,
        "type": variable.type,
        "unit": variable.unit or "",
        "meaning": variable.meaning,
        "values": _labels(variable) or (_observed(values, own=own) if shown else ""),
        "filled": int(values.notna().sum()),
    }


def _labels(variable: Variable) -> str:
    return "; ".join(f"{cell_text(value)} = {words}" for value, words in variable.labels.items())


def _observed(values: "pd.Series[Any]", *, own: bool) -> str:
    """List the values of a column of text, or give the range of numbers."""
    known = values.dropna()
    if known.empty:
        return ""
    if pd.api.types.is_numeric_dtype(known.dtype) and not pd.api.types.is_bool_dtype(known.dtype):
        return f"{known.min():.6g} to {known.max():.6g}"
    if not own or known.dtype == object or pd.api.types.is_datetime64_any_dtype(known.dtype):
        return ""
    found = sorted(as_text(known).unique())
    few = len(found) <= MOST_VALUES and all(len(value) <= _LONGEST_VALUE for value in found)
    return "; ".join(found) if few else f"{len(found):,} different"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table as Markdown, whatever its cells hold."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(markdown_text, line))} |" for line in lines)


def markdown_text(cell: object) -> str:
    """Write text so that Markdown shows it as it is."""
    text = " ".join(str(cell).split()).replace("&", "&amp;").replace("<", "&lt;")
    for character in "\\`*[]|":
        text = text.replace(character, f"\\{character}")
    return text
