"""Any cell as text, as a person would have typed it.

Text stays what it is. What a spreadsheet, a Parquet file or a DataFrame holds as a number or a date
is written the plain way: whole numbers without ``.0``, dates and times in ISO 8601.
"""

import math
from collections.abc import Iterable
from datetime import date, datetime, time
from functools import singledispatch
from typing import Any

import numpy as np
import pandas as pd

_FIRST_SURROGATE, _LAST_SURROGATE = "\ud800", "\udfff"
LONGEST_SHOWN = 200
_MOST_BITS = 10_000


def as_text(values: "pd.Series[Any]", *, as_dates: bool | None = None) -> "pd.Series[str]":
    """Render a column as text; what is missing stays missing."""
    if isinstance(values.dtype, pd.StringDtype) and values.dtype.storage == "pyarrow":
        return values.astype("str")
    if isinstance(values.dtype, np.dtype) and values.dtype.kind == "M":
        return _moments_as_text(values, as_dates=as_dates)
    if values.dtype != object:
        # Numbers and categories: each different one once.
        labels, distinct = pd.factorize(values)
        texts = np.array([*map(cell_text, distinct), None], dtype=object)
        return text_column(texts[labels], values.index)
    cells = values.tolist()
    if as_dates is None:
        moments = [cell for cell in cells if cell is not pd.NaT and isinstance(cell, datetime)]
        as_dates = all(map(_is_midnight, moments))
    rendered = [
        cell.date().isoformat() if as_dates and _is_midnight(cell) else cell_text(cell)
        for cell in cells
    ]
    return text_column(rendered, values.index)


def text_column(cells: Iterable[Any], index: pd.Index | None = None) -> "pd.Series[str]":
    """Build a column of dtype ``str``, with U+FFFD for what no encoding can write."""
    cells = list(cells)
    try:
        return pd.Series(cells, index=index, dtype="str")
    except UnicodeEncodeError:
        clean = [_writable(cell) if isinstance(cell, str) else cell for cell in cells]
        return pd.Series(clean, index=index, dtype="str")


def shown(value: str) -> str:
    """Shorten text for a message."""
    return value if len(value) <= LONGEST_SHOWN else value[: LONGEST_SHOWN - 1] + "…"


@singledispatch
def cell_text(cell: Any) -> str | None:
    """Render one cell as text."""
    missing = pd.isna(cell) if pd.api.types.is_scalar(cell) else False
    return None if missing else str(cell)


@cell_text.register
def _(cell: str) -> str:
    return cell


@cell_text.register
def _(cell: int) -> str:
    # Python writes no decimal number of more than some thousand digits.
    return str(cell) if cell.bit_length() < _MOST_BITS else hex(cell)


@cell_text.register
def _(cell: float) -> str | None:
    if math.isnan(cell):
        return None
    return str(int(cell)) if cell.is_integer() else str(float(cell))


@cell_text.register
def _(cell: np.floating) -> str | None:
    if np.isnan(cell):
        return None
    # The number's own precision: as a Python float, a float32 of 0.1 is 0.10000000149.
    return str(int(cell)) if float(cell).is_integer() else str(cell)


@cell_text.register(date)
@cell_text.register(time)
def _(cell: Any) -> str | None:
    # pandas' NaT is a date by its type.
    return None if pd.isna(cell) else str(cell.isoformat())


@cell_text.register
def _(cell: np.datetime64) -> str | None:
    return None if np.isnat(cell) else pd.Timestamp(cell).isoformat()


@cell_text.register
def _(cell: bytes) -> str:
    return cell.decode("utf-8", errors="replace")


def _moments_as_text(values: "pd.Series[Any]", *, as_dates: bool | None) -> "pd.Series[str]":
    """Render a column of date-times without a zone, all at once."""
    moments = values.to_numpy()
    missing = np.isnat(moments)
    days, seconds = moments.astype("M8[D]"), moments.astype("M8[s]")
    if as_dates is None:
        as_dates = bool(np.all((days == moments) | missing))
    text = np.datetime_as_string(moments).astype(object)
    whole = seconds == moments
    text[whole] = np.datetime_as_string(seconds[whole])
    if as_dates:
        midnight = days == moments
        text[midnight] = np.datetime_as_string(days[midnight])
    text[missing] = None
    return text_column(text, values.index)


def _is_midnight(cell: object) -> bool:
    return (
        cell is not pd.NaT
        and isinstance(cell, datetime)
        and cell.tzinfo is None
        and cell.time() == time.min
    )


def _writable(text: str) -> str:
    return "".join(
        "\ufffd" if _FIRST_SURROGATE <= character <= _LAST_SURROGATE else character
        for character in text
    )
