"""Tables from SPSS and Stata: labels in place of codes, missing values blank, dates as dates."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from helios_research.cohort.cells import (
    WINDOWS_ENCODING,
    RawTable,
    as_text,
    cell_text,
    check_extent,
    from_dataframe,
    import_extra,
    warn_of_guess,
)
from helios_research.cohort.validators import shortened
from helios_research.errors import UnreadableTableError

READERS = {".sav": "read_sav", ".zsav": "read_sav", ".por": "read_por", ".dta": "read_dta"}
_UNKNOWN_ENCODING = "Unable to convert string"
_SAVE_AGAIN = "Save it again in the program that made it, or as CSV UTF-8."
# SPSS's restricted numbers, and Stata's formats that begin with 0: the number 7 is shown as 007.
_ZEROS = re.compile(r"(?:N|%0)([0-9]+)(?:\.0[fg])?")
_MOST_WHOLE = 2**53


def read_statistics(path: Path) -> RawTable:
    """Read a file as its program shows it, with rows that count from 1, as they do there."""
    frame, about, is_guess = _read(path)
    labels, forms = about.variable_value_labels, about.original_variable_types
    shown = {
        name: _shown(frame[name], labels.get(name, {}), forms.get(name) or "") for name in frame
    }
    table = from_dataframe(pd.DataFrame(shown), path.name, first_row=1)
    if is_guess:
        warn_of_guess(table, _SAVE_AGAIN)
    return table


def _read(path: Path, **encoding: str) -> tuple[pd.DataFrame, Any, bool]:
    """Read values and what the file says of them, and whether the encoding is a guess."""
    package = import_extra(path, "SPSS and Stata files", "pyreadstat", "spss")
    read = getattr(package, READERS[path.suffix.lower()])
    try:
        extent = read(path, metadataonly=True, **encoding)[1]
        check_extent(path, extent.number_rows or 0, len(extent.column_names))
        return *read(path, **encoding), bool(encoding)
    except UnreadableTableError:
        raise
    except OverflowError as error:
        remedy = "Correct it there, or show it as a number."
        raise UnreadableTableError(path, "a date in it is after the year 9999", remedy) from error
    except Exception as error:  # pyreadstat raises many kinds of errors
        if not encoding and _UNKNOWN_ENCODING in str(error):
            return _read(path, encoding=WINDOWS_ENCODING)
        reason = f"it is not a complete {path.suffix} file ({shortened(str(error))})"
        raise UnreadableTableError(path, reason, _SAVE_AGAIN) from error


def _shown(values: "pd.Series[Any]", labels: Mapping[Any, str], form: str) -> "pd.Series[Any]":
    """Show a variable as its program does."""
    numbers = values.dropna()
    is_whole = values.dtype == "float64" and bool(
        (numbers.abs().lt(_MOST_WHOLE) & numbers.mod(1).eq(0)).all()
    )
    if is_whole:
        values = values.astype("Int64")
    zeros = _ZEROS.fullmatch(form)
    if zeros and is_whole:
        return as_text(values).str.zfill(int(zeros[1]))
    named = {code: label for code, label in sorted(labels.items()) if label.strip()}
    return _labelled(values, named) if named else values


def _labelled(values: "pd.Series[Any]", labels: Mapping[Any, str]) -> "pd.Series[Any]":
    """Put labels in place of codes: as ordered categories, if each code has one."""
    codes = as_text(values)
    texts = codes.map({cell_text(code): label for code, label in labels.items()})
    if (texts.isna() & codes.notna()).any():
        return texts.fillna(codes).astype("str")
    used = [label for label in dict.fromkeys(labels.values()) if (texts == label).any()]
    return texts.astype(pd.CategoricalDtype(used, ordered=True))
