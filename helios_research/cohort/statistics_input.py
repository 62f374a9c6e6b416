"""Tables from SPSS and Stata: labels in place of codes, missing values blank, dates as dates."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from helios_research.cohort.cells import (
    RawTable,
    as_text,
    cell_text,
    check_extent,
    from_dataframe,
    import_extra,
)
from helios_research.cohort.validators import shortened
from helios_research.errors import UnreadableTableError

READERS = {".sav": "read_sav", ".zsav": "read_sav", ".por": "read_por", ".dta": "read_dta"}
# SPSS's restricted numbers, and Stata's formats that begin with 0: the number 7 is shown as 007.
_ZEROS = re.compile(r"(?:N|%0)([0-9]+)(?:\.0[fg])?")


def read_statistics(path: Path) -> RawTable:
    """Read a file as its program shows it, with rows that count from 1, as they do there."""
    package = import_extra(path, "SPSS and Stata files", "pyreadstat", "spss")
    read = getattr(package, READERS[path.suffix.lower()])
    try:
        extent = read(path, metadataonly=True)[1]
        check_extent(path, extent.number_rows or 0, len(extent.column_names))
        frame, about = read(path)
    except UnreadableTableError:
        raise
    except Exception as error:  # pyreadstat raises many kinds of errors
        reason = f"pyreadstat finds a fault ({shortened(str(error))})"
        remedy = "Save it again in the program that made it, or as CSV UTF-8."
        raise UnreadableTableError(path, reason, remedy) from error
    labels, forms = about.variable_value_labels, about.original_variable_types
    shown = {
        name: _shown(frame[name], labels.get(name, {}), forms.get(name) or "") for name in frame
    }
    return from_dataframe(pd.DataFrame(shown), path.name, first_row=1)


def _shown(values: "pd.Series[Any]", labels: Mapping[Any, str], form: str) -> "pd.Series[Any]":
    if values.dtype == "float64":
        with suppress(TypeError, ValueError):  # fractions, or beyond 64 bits
            values = values.astype("Int64")
    if values.dtype != "str" and (zeros := _ZEROS.fullmatch(form)):
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
