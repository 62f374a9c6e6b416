"""What SPSS and Stata take as names, labels, texts and numbers."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
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
    RESULTS_BY_NAME,
    Kind,
)
from helios_research.errors import ResultsError
from helios_research.results.shapes import ExportTable, Variable


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one statistics program takes."""

    name: str
    longest_name: int
    longest_label: int
    longest_text: int
    largest_number: float
    reserved: re.Pattern[str]
    labels_fractions: bool


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
SPSS = Dialect(
    "SPSS",
    longest_name=64,
    longest_label=255,
    longest_text=32_767,
    largest_number=1.797e308,
    reserved=re.compile("|".join(_SPSS_WORDS.split())),
    labels_fractions=True,
)
STATA = Dialect(
    "Stata",
    longest_name=32,
    longest_label=80,
    longest_text=32_767,
    largest_number=8.988e307,
    # Stata's types of text are str1, str2 and so on; readstat, which pyreadstat writes with, takes
    # whatever begins like one for it.
    reserved=re.compile(rf"{'|'.join(_STATA_WORDS.split())}|str[0-9].*"),
    labels_fractions=False,
)


def valid_names(names: Iterable[str], dialect: Dialect) -> dict[str, str]:
    """Find a name for each column that a statistics program takes."""
    own = list(names)
    chosen = {name: name for name in own if _is_legal(name, dialect)}
    taken = {name.lower() for name in chosen}
    if len(taken) < len(chosen):
        # Names that differ in capitals only: the first keeps its name.
        chosen, taken = {}, set()
        for name in filter(lambda name: _is_legal(name, dialect), own):
            if name.lower() not in taken:
                chosen[name] = name
                taken.add(name.lower())
    for name in own:
        if name not in chosen:
            chosen[name] = _free(_plain(name, dialect), taken, dialect)
            taken.add(chosen[name].lower())
    return chosen


def _is_legal(name: str, dialect: Dialect) -> bool:
    fits = len(name) <= dialect.longest_name and not _is_reserved(name, dialect)
    return fits and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*(?<!_)", name) is not None


def _is_reserved(name: str, dialect: Dialect) -> bool:
    return dialect.reserved.fullmatch(name.lower()) is not None


def _plain(name: str, dialect: Dialect) -> str:
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9]+", "_", letters).strip("_")
    if not plain or not plain[0].isalpha() or _is_reserved(plain, dialect):
        plain = f"v_{plain}".rstrip("_")
    return plain[: dialect.longest_name].rstrip("_")


def _free(name: str, taken: set[str], dialect: Dialect) -> str:
    found, number = name, 1
    while found.lower() in taken:
        number += 1
        found = f"{name[: dialect.longest_name - len(str(number)) - 1]}_{number}"
    return found


_LABEL_BYTES = 120
_YES_NO: Mapping[str | float, str] = {0: "false", 1: "true"}


def prepared_for(content: ExportTable, dialect: Dialect) -> ExportTable:
    """Bring a table into a form that SPSS or Stata takes."""
    _pyreadstat()
    content = _with_codes(content)
    if not dialect.labels_fractions:
        content = _with_levels(content)
    return _with_legal_names(
        _with_legal_texts(_with_legal_numbers(content, dialect), dialect), dialect
    )


# --- values ---------------------------------------------------------------------------------------


def _with_codes(content: ExportTable) -> ExportTable:
    table, variables = content.table.copy(), dict(content.variables)
    for name, variable in content.variables.items():
        if table[name].dtype == "boolean":
            table[name] = table[name].astype("Int64")
            variables[name] = replace(variable, labels=_YES_NO)
        elif name == "birth_sex" or _is_category(name):
            text, known = table[name], [str(value) for value in variable.labels]
            if name == "birth_sex":
                text, known = (
                    text.str.strip().str.upper().replace(dict(BIRTH_SEX_SPELLINGS)),
                    list(BIRTH_SEXES),
                )
            table[name], labels = _coded(text, known)
            variables[name] = replace(variable, type="labelled category", labels=labels)
    return replace(content, table=table, variables=variables)


def _is_category(name: str) -> bool:
    return name in RESULTS_BY_NAME and RESULTS_BY_NAME[name].kind is Kind.CATEGORY


def _coded(
    text: "pd.Series[str]", known: Sequence[str]
) -> tuple["pd.Series[Any]", dict[str | float, str]]:
    """Give the known values numbers from 1, and behind them those that were not expected."""
    others = sorted(set(text.dropna()) - set(known))
    values = [*known, *others]
    codes = pd.Categorical(text, categories=values).codes.astype(np.int64) + 1
    numbers = pd.Series(codes, index=text.index).astype("Int64")
    return numbers.mask(numbers == 0), dict(enumerate(values, start=1))


def _with_levels(content: ExportTable) -> ExportTable:
    """Add the bucketed scores as whole numbers 0 to 3, the only ones that Stata can label."""
    table, variables = content.table.copy(), dict[str, Variable]()
    labels: dict[str | float, str] = {
        place: f"{level:g}: {BUCKET_LABELS[level]}" for place, level in enumerate(BUCKET_LEVELS)
    }
    bucketed = {marker.name for marker in BIOMARKERS if marker.bucketed}
    for name, variable in content.variables.items():
        variables[name] = variable
        if name in bucketed and f"{name}_level" not in content.variables:
            added = Variable(
                f"{name}_level",
                "helios_research",
                "labelled category",
                f"The level of {name}, counted from 0, because Stata labels whole numbers only.",
                labels=labels,
            )
            variables[added.name] = added
            table[added.name] = _levels(table[name])
    table = table[list(variables)]
    return replace(content, table=table, variables=variables)


def _levels(scores: "pd.Series[float]") -> "pd.Series[Any]":
    numbers = scores.to_numpy(dtype=np.float64)
    distance = np.abs(numbers[:, None] - np.array(BUCKET_LEVELS))
    level = pd.Series(distance.argmin(axis=1), index=scores.index).astype("Int64")
    # What is not one of the four levels has no label that would be true.
    return level.where(distance.min(axis=1) < 0.005)


def _with_legal_numbers(content: ExportTable, dialect: Dialect) -> ExportTable:
    table = content.table.copy()
    changed = 0
    for name in table.columns[table.dtypes == "float64"]:
        too_large = table[name].abs() > dialect.largest_number
        changed += int(too_large.sum())
        table[name] = table[name].mask(too_large)
    found = replace(content, table=table)
    if changed:
        return found.noting(
            f"Missing here: {counted(changed, 'number')} infinite or beyond "
            f"±{dialect.largest_number:g}, which {dialect.name} cannot hold."
        )
    return found


def _with_legal_texts(content: ExportTable, dialect: Dialect) -> ExportTable:
    table = content.table.copy()
    cut = 0
    for name in table.columns[table.dtypes == "str"]:
        cells = table[name]
        # No character has more than four bytes.
        if not (cells.str.len() * 4 > dialect.longest_text).any():
            continue
        legal = cells.map(lambda text: _cut(text, dialect.longest_text), na_action="ignore").astype(
            "str"
        )
        cut += int((cells.notna() & (legal != cells)).sum())
        table[name] = legal
    found = replace(content, table=table)
    if cut:
        return found.noting(
            f"Cut at {dialect.longest_text:,} bytes: {counted(cut, 'text')}; a .csv or .parquet "
            "file has the whole of it."
        )
    return found


def _cut(text: str, most_bytes: int) -> str:
    encoded = text.encode()
    if len(encoded) <= most_bytes:
        return text
    return encoded[: most_bytes - 3].decode(errors="ignore") + "…"


# --- names ----------------------------------------------------------------------------------------


def _with_legal_names(content: ExportTable, dialect: Dialect) -> ExportTable:
    names = valid_names(content.variables, dialect)
    variables = {
        name: replace(variable, in_file=names[name] if names[name] != name else None)
        for name, variable in content.variables.items()
    }
    renamed = sum(variable.in_file is not None for variable in variables.values())
    found = replace(content, variables=variables)
    if renamed:
        return found.noting(
            f"Under another name here: {counted(renamed, 'column')} whose name {dialect.name} does "
            "not take; the variable labels and the codebook give the original one."
        )
    return found


# --- writing --------------------------------------------------------------------------------------


def write_spss(content: ExportTable, title: str, path: Path) -> None:
    """Write an SPSS file."""
    pyreadstat = _pyreadstat()
    table, labels, value_labels = _labelled(content, SPSS)
    measures = {_name(v): _measure(v, content.table[v.name]) for v in content.variables.values()}
    formats = {name: _FORMATS[measure] for name, measure in measures.items() if measure in _FORMATS}
    pyreadstat.write_sav(
        table,
        str(path),
        file_label=_cut(title, 64),
        column_labels=labels,
        row_compress=True,
        variable_value_labels=value_labels,
        variable_measure=measures,
        variable_format={
            name: form for name, form in formats.items() if table[name].dtype == float
        },
    )


# How many digits SPSS shows; without it, two.
_FORMATS = {"scale": "F10.4", "ordinal": "F4.2"}


def write_stata(content: ExportTable, title: str, path: Path) -> None:
    """Write a Stata file (version 14 and later)."""
    pyreadstat = _pyreadstat()
    table, labels, value_labels = _labelled(content, STATA)
    pyreadstat.write_dta(
        table,
        str(path),
        file_label=_cut(title, 80),
        column_labels=labels,
        variable_value_labels=value_labels,
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


def _name(variable: Variable) -> str:
    return variable.in_file or variable.name


def _labelled(
    content: ExportTable, dialect: Dialect
) -> tuple[pd.DataFrame, dict[str, str], dict[str, dict[str | float, str]]]:
    variables = content.variables.values()
    names = {variable.name: _name(variable) for variable in variables}
    table = pd.DataFrame(
        {names[name]: _storable(content.table[name]) for name in content.variables}
    )
    labels = {
        _name(variable): _cut(_label(variable), dialect.longest_label) for variable in variables
    }
    value_labels = {
        _name(variable): {value: _cut(text, _LABEL_BYTES) for value, text in numbered.items()}
        for variable in variables
        if (numbered := _numbered(variable, dialect))
    }
    return table, labels, value_labels


def _storable(values: "pd.Series[Any]") -> "pd.Series[Any]":
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        plain: pd.Series[Any] = values.dt.tz_convert("UTC").dt.tz_localize(None)
        return plain
    if values.dtype == "str":
        # Both programs know no missing text but the empty one; pyreadstat fails at a missing cell
        # in a column of texts longer than 2,045 bytes.
        return values.fillna("")
    return values


def _label(variable: Variable) -> str:
    unit = f" ({variable.unit})" if variable.unit else ""
    name = f"{variable.name}: " if variable.in_file else ""
    utc = " UTC." if variable.type == Kind.MOMENT.value else ""
    return f"{name}{variable.meaning}{unit}{utc}"


def _numbered(variable: Variable, dialect: Dialect) -> dict[str | float, str]:
    return {
        value: text
        for value, text in variable.labels.items()
        if not isinstance(value, str)
        and (dialect.labels_fractions or float(value).is_integer())
        # A label at 0 and 1 only, of four levels, would say less than none.
        and (dialect.labels_fractions or variable.type != Kind.NUMBER.value)
    }


def _measure(variable: Variable, values: "pd.Series[Any]") -> str:
    if variable.type == Kind.NUMBER.value and variable.labels:
        return "ordinal"
    is_category = bool(variable.labels) or values.dtype == "str"
    return "nominal" if is_category else "scale"
