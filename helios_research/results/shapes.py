"""Other shapes of the same results: ages instead of dates of birth, one row per biomarker."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from helios_research.cohort.text import as_text
from helios_research.columns import BIOMARKERS, RECORDING_ID, RESULTS_BY_NAME, Column, Kind
from helios_research.errors import UnknownColumnError
from helios_research.results.content import Content, make_room, variable_of

# Completed years, because a decimal age and a recording's date give the date of birth away again.
AGE = Column(
    "age_at_recording",
    Kind.COUNT,
    "Completed years at the recording; where its time is not known, at its submission.",
    "years",
)
BIOMARKER = Column("biomarker", Kind.TEXT, "Which biomarker the value is of.")
KIND = Column(
    "kind",
    Kind.TEXT,
    "Whether the biomarker is continuous or takes four ordered levels.",
    labels={"continuous": "0 to 1", "bucketed": "0, 0.33, 0.66 or 1: ordinal, not to be averaged"},
)
VALUE = Column("value", Kind.NUMBER, "The score. Higher is more.")

REMOVED = "[date of birth]"
_BORN = "date_of_birth"
_KEPT_OF_RESULTS = ("outcome", "error_code")
# A copy of a column may have been corrected here and there.
_SAME_IF_SHARE = 0.5


def with_ages(content: Content) -> Content:
    """Put ages at the recordings in place of dates of birth.

    Copies of the date of birth under other names are left out too, and so is the date where
    ``error_reason`` quotes it.
    """
    if _BORN not in content.table.columns:
        raise UnknownColumnError(_BORN, content.table.columns)
    content = make_room(content, [AGE.name])
    table, variables = content.table.copy(), dict(content.variables)
    born = as_text(table[_BORN]).str.strip()
    ages = _completed_years(born, _recorded(table))
    copies = [name for name in _own(content) if name != _BORN and _is_copy(table[name], born)]
    table = table.assign(**{_BORN: ages}).rename(columns={_BORN: AGE.name}).drop(columns=copies)
    if "error_reason" in table.columns:
        table["error_reason"] = _without(as_text(table["error_reason"]), born)
    variables = {
        AGE.name if name == _BORN else name: variable_of(AGE) if name == _BORN else variable
        for name, variable in variables.items()
        if name not in copies
    }
    notes = [
        "Dates of birth are replaced by ages in completed years (age_at_recording).",
        *(f"The column {name} held the dates of birth too and is left out." for name in copies),
        *_still_there(table, born),
    ]
    return Content(table, variables, content.notes).noting(*notes)


def _own(content: Content) -> list[str]:
    names = content.variables
    return [name for name in names if name not in RESULTS_BY_NAME]


def _recorded(table: pd.DataFrame) -> "pd.Series[Any]":
    """Find the date of each recording, else that of its submission."""
    found = pd.Series(pd.NaT, index=table.index, dtype="datetime64[us]")
    for name in ("recording_time", "created_at"):
        if name in table.columns:
            # The first ten characters of ISO 8601, so that no zone moves the date.
            found = found.fillna(_dates(as_text(table[name], as_dates=False)))
    return found


def _dates(text: "pd.Series[str]") -> "pd.Series[Any]":
    moments = pd.to_datetime(text.str.strip().str[:10], format="%Y-%m-%d", errors="coerce")
    return moments.astype("datetime64[us]")


def _completed_years(born: "pd.Series[str]", recorded: "pd.Series[Any]") -> "pd.Series[Any]":
    birth = _dates(born)
    month_and_day = recorded.dt.month * 100 + recorded.dt.day
    before_birthday = month_and_day < birth.dt.month * 100 + birth.dt.day
    years = recorded.dt.year - birth.dt.year - before_birthday
    known: pd.Series[Any] = years.where(recorded >= birth).astype("Int64")
    return known


def _is_copy(values: "pd.Series[Any]", born: "pd.Series[str]") -> bool:
    text = as_text(values).str.strip()
    there = text.notna() & born.notna()
    return bool(there.any() and (text == born)[there].mean() >= _SAME_IF_SHARE)


def _without(text: "pd.Series[str]", born: "pd.Series[str]") -> "pd.Series[str]":
    cells = [
        cell.replace(date, REMOVED) if isinstance(cell, str) and isinstance(date, str) else cell
        for cell, date in zip(text, born, strict=True)
    ]
    return pd.Series(cells, index=text.index, dtype="str")


def _still_there(table: pd.DataFrame, born: "pd.Series[str]") -> list[str]:
    notes = []
    for name in table.columns[table.dtypes == "str"]:
        rows = sum(
            isinstance(cell, str) and isinstance(date, str) and date in cell
            for cell, date in zip(table[name], born, strict=True)
        )
        if rows:
            notes.append(
                f"The column {name} still holds the participant's date of birth in {rows:,} rows: "
                "take it out before you pass the file on."
            )
    return notes


def long_table(content: Content) -> Content:
    """Turn the scores of each recording into rows of their own."""
    content = make_room(content, [BIOMARKER.name, KIND.name, VALUE.name])
    table = content.table
    markers = [marker for marker in BIOMARKERS if marker.name in table.columns]
    if not markers:
        raise UnknownColumnError(BIOMARKERS[0].name, table.columns)
    kept = _kept(content)
    rows = table[kept].loc[table.index.repeat(len(markers))].reset_index(drop=True)
    names = [marker.name for marker in markers]
    kinds = ["bucketed" if marker.bucketed else "continuous" for marker in markers]
    rows[BIOMARKER.name] = pd.Series(np.tile(names, len(table)), dtype="str")
    rows[KIND.name] = pd.Series(np.tile(kinds, len(table)), dtype="str")
    rows[VALUE.name] = table[names].to_numpy(dtype=np.float64, na_value=np.nan).ravel()
    added = {column.name: variable_of(column) for column in (BIOMARKER, KIND, VALUE)}
    order = [*kept, *added]
    if "source" in table.columns:
        rows["source"] = table["source"].repeat(len(markers)).array
        order.append("source")
    variables = {name: added.get(name) or content.variables[name] for name in order}
    return replace(content, table=rows[order], variables=variables)


def _kept(content: Content) -> Sequence[str]:
    own = [name for name in _own(content) if name != RECORDING_ID.name]
    of_results = [name for name in _KEPT_OF_RESULTS if name in content.table.columns]
    return [RECORDING_ID.name, *own, *of_results]
