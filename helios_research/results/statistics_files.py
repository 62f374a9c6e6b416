"""Results as SPSS and Stata files: valid names, labelled values, and what the programs can hold."""

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helios_research._util.text import counted
from helios_research.columns import (
    BIOMARKERS,
    BIRTH_SEX_SPELLINGS,
    BIRTH_SEXES,
    BUCKET_LABELS,
    BUCKET_LEVELS,
    Kind,
)
from helios_research.errors import ResultsError
from helios_research.results.shapes import ExportTable, Variable, flatten, without_zone


@dataclass(frozen=True, slots=True)
class StatisticsProgram:
    """What a program can hold: names in characters, labels in bytes.

    Numbers above the largest one are codes of missing values there, or infinite. ``reserved``
    matches the names, in lower case, that have a meaning there.
    """

    name: str
    longest_name: int
    longest_label: int
    largest_number: float
    reserved: re.Pattern[str]


_SPSS_WORDS = "all and by eq ge gt le lt ne not or to with"
_STATA_WORDS = (
    "_all _b _coef _cons _n _pi _pred _rc _skip aggregate array boolean break byte case catch "
    "class colvector complex const continue default delegate delete do double else end enum "
    "explicit export external float for friend function global goto if in inline int local "
    "long mata matrix namespace new numeric null operator pi polymorphic pragma private "
    "protected public quad real return rowvector scalar short static strl string struct super "
    "switch template this throw transmorphic try typedef typename union using vector version "
    "virtual void volatile while with"
)

# Limits of SPSS's "Variable names" and Stata's "[R] Limits" and "[U] 11.3 Naming conventions".
SPSS = StatisticsProgram("SPSS", 64, 255, 1.797e308, re.compile("|".join(_SPSS_WORDS.split())))
STATA = StatisticsProgram(
    "Stata",
    longest_name=32,
    longest_label=80,
    largest_number=8.988e307,
    # Stata's types of text are str1, str2 and so on; readstat, which pyreadstat writes with, takes
    # every name that begins like one for a type.
    reserved=re.compile(rf"{'|'.join(_STATA_WORDS.split())}|str[0-9].*"),
)
# In bytes, for both programs.
_LONGEST_TEXT, _LONGEST_VALUE_LABEL, _LONGEST_TITLE = 32_767, 120, 64
# How many digits SPSS shows; without it, two.
_SPSS_FORMATS = {"scale": "F10.4", "ordinal": "F4.2"}


def prepare_statistics(table: ExportTable, program: StatisticsProgram) -> ExportTable:
    """Fit a table into a program: categories as labelled numbers, with a note of what else changes."""
    _pyreadstat()
    table = _with_codes(flatten(table))
    if program is STATA:
        table = _with_levels(table)
    table = _with_valid_numbers(table, program).change_text(
        _cut_cells,
        f"Cut at {_LONGEST_TEXT:,} bytes: {{texts}}; a .csv or .parquet file has the full text.",
    )
    return _with_valid_names(table, program)


def write_statistics(
    table: ExportTable, title: str, path: Path, program: StatisticsProgram
) -> None:
    """Write an SPSS file, or a Stata file (version 14 and later)."""
    named = {one.in_file or one.name: one for one in table.variables.values()}
    frame = pd.DataFrame({name: without_zone(table.frame[one.name]) for name, one in named.items()})
    # In both programs a missing text is the empty one; pyreadstat fails at a missing cell in a
    # column of texts longer than 2,045 bytes.
    texts = frame.columns[frame.dtypes == "str"]
    frame[texts] = frame[texts].fillna("")
    labels = {name: _value_labels(one, program) for name, one in named.items()}
    options: dict[str, Any] = {
        "df": frame,
        "dst_path": str(path),
        "file_label": _cut(title, _LONGEST_TITLE),
        "column_labels": {
            name: _cut(_label(one), program.longest_label) for name, one in named.items()
        },
        "variable_value_labels": {name: words for name, words in labels.items() if words},
    }
    if program is STATA:
        _pyreadstat().write_dta(**options)
        return
    measures = {name: _measure(one, table.frame[one.name]) for name, one in named.items()}
    forms = {
        name: _SPSS_FORMATS[measures[name]]
        for name in frame.columns[frame.dtypes == "float64"]
        if measures[name] in _SPSS_FORMATS
    }
    _pyreadstat().write_sav(
        **options, row_compress=True, variable_measure=measures, variable_format=forms
    )


def _pyreadstat() -> Any:
    try:
        import pyreadstat
    except ImportError:
        message = (
            "SPSS and Stata files need the package pyreadstat: install it with "
            "`pip install 'helios-research[spss]'`, or write a .csv or .parquet file instead."
        )
        raise ResultsError(message) from None
    return pyreadstat


# --- names ----------------------------------------------------------------------------------------


def valid_names(names: Iterable[str], program: StatisticsProgram) -> dict[str, str]:
    """Find a valid name for each column, its own where it is valid; no two differ in capitals only."""
    own = list(names)
    taken = {name.lower(): name for name in reversed(own) if _is_valid(name, program)}
    chosen = {name: name for name in taken.values()}
    for name in own:
        if name not in chosen:
            chosen[name] = _numbered(_in_valid_letters(name, program), taken, program)
            taken[chosen[name].lower()] = name
    return chosen


def _is_valid(name: str, program: StatisticsProgram) -> bool:
    fits = len(name) <= program.longest_name and not program.reserved.fullmatch(name.lower())
    return fits and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*(?<!_)", name) is not None


def _in_valid_letters(name: str, program: StatisticsProgram) -> str:
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    found = re.sub(r"[^A-Za-z0-9]+", "_", letters).strip("_")
    if not found or not found[0].isalpha() or program.reserved.fullmatch(found.lower()):
        found = f"v_{found}".rstrip("_")
    return found[: program.longest_name].rstrip("_")


def _numbered(name: str, taken: Collection[str], program: StatisticsProgram) -> str:
    found, number = name, 1
    while found.lower() in taken:
        number += 1
        found = f"{name[: program.longest_name - len(str(number)) - 1]}_{number}"
    return found


def _with_valid_names(table: ExportTable, program: StatisticsProgram) -> ExportTable:
    new = {old: name for old, name in valid_names(table.variables, program).items() if old != name}
    variables = {
        name: replace(variable, in_file=new.get(name)) for name, variable in table.variables.items()
    }
    table = replace(table, variables=variables)
    if not new:
        return table
    return table.noting(
        f"Renamed: {counted(len(new), 'column')} whose name {program.name} does not accept; the "
        "variable labels and the codebook give the original one."
    )


# --- values ---------------------------------------------------------------------------------------


def _with_codes(table: ExportTable) -> ExportTable:
    frame, variables = table.frame.copy(), dict(table.variables)
    for name, variable in table.variables.items():
        text = frame[name]
        if text.dtype == "boolean":
            frame[name] = text.astype("Int64")
            variables[name] = replace(variable, labels={0: "false", 1: "true"})
            continue
        known = [str(value) for value in variable.labels]
        if name == "birth_sex":
            text = text.str.strip().str.upper().replace(dict(BIRTH_SEX_SPELLINGS))
            known = list(BIRTH_SEXES)
        elif variable.type != Kind.CATEGORY.value:
            continue
        # Unexpected values have the numbers after those of the known ones.
        values = [*known, *sorted(set(text.dropna()) - set(known))]
        labels: dict[str | float, str] = dict(enumerate(values, start=1))
        frame[name] = text.map({value: number for number, value in labels.items()}).astype("Int64")
        variables[name] = replace(variable, type="labelled category", labels=labels)
    return replace(table, frame=frame, variables=variables)


def _with_levels(table: ExportTable) -> ExportTable:
    """Add the bucketed scores as whole numbers 0 to 3, the only ones that Stata can label."""
    frame, variables = table.frame.copy(), dict[str, Variable]()
    labels: dict[str | float, str] = {
        place: f"{level:g}: {BUCKET_LABELS[level]}" for place, level in enumerate(BUCKET_LEVELS)
    }
    bucketed = {marker.name for marker in BIOMARKERS if marker.bucketed}
    for name, variable in table.variables.items():
        variables[name] = variable
        added = f"{name}_level"
        if name in bucketed and added not in table.variables:
            meaning = (
                f"The level of {name}, counted from 0, because Stata labels whole numbers only."
            )
            level = Variable(added, variable.origin, "labelled category", meaning, labels=labels)
            variables[added], frame[added] = level, _levels(frame[name])
    return replace(table, frame=frame[list(variables)], variables=variables)


def _levels(scores: "pd.Series[float]") -> "pd.Series[Any]":
    distance = np.abs(scores.to_numpy(dtype=np.float64)[:, None] - np.array(BUCKET_LEVELS))
    level = pd.Series(distance.argmin(axis=1), index=scores.index).astype("Int64")
    # For a score that is not one of the four levels, no label would be true.
    return level.where(distance.min(axis=1) < 0.005)


def _with_valid_numbers(table: ExportTable, program: StatisticsProgram) -> ExportTable:
    numbers = table.frame.select_dtypes("float64")
    too_large = numbers.abs() > program.largest_number
    changed = int(too_large.to_numpy().sum())
    if not changed:
        return table
    frame = table.frame.copy()
    frame[numbers.columns] = numbers.mask(too_large)
    return replace(table, frame=frame).noting(
        f"Missing here: {counted(changed, 'number')} infinite or beyond "
        f"±{program.largest_number:g}, which {program.name} cannot hold."
    )


def _cut_cells(cells: "pd.Series[str]") -> "pd.Series[str]":
    # No character has more than four bytes.
    if not (cells.str.len() * 4 > _LONGEST_TEXT).any():
        return cells
    return cells.map(lambda text: _cut(text, _LONGEST_TEXT), na_action="ignore").astype("str")


def _cut(text: str, most_bytes: int) -> str:
    encoded = text.encode()
    if len(encoded) <= most_bytes:
        return text
    return encoded[: most_bytes - 3].decode(errors="ignore") + "…"


# --- what the file holds --------------------------------------------------------------------------


def _label(variable: Variable) -> str:
    unit = f" ({variable.unit})" if variable.unit else ""
    name = f"{variable.name}: " if variable.in_file else ""
    utc = " UTC." if variable.type == Kind.MOMENT.value else ""
    return f"{name}{variable.meaning}{unit}{utc}"


def _value_labels(variable: Variable, program: StatisticsProgram) -> dict[str | float, str]:
    # Stata labels whole numbers only; labels at 0 and 1, of four levels, would mislead.
    if program is STATA and variable.type == Kind.NUMBER.value:
        return {}
    return {
        value: _cut(text, _LONGEST_VALUE_LABEL)
        for value, text in variable.labels.items()
        if not isinstance(value, str)
    }


def _measure(variable: Variable, values: "pd.Series[Any]") -> str:
    if variable.type == Kind.NUMBER.value and variable.labels:
        return "ordinal"
    is_category = bool(variable.labels) or values.dtype == "str"
    return "nominal" if is_category else "scale"
