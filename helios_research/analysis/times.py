"""Columns of times, as results have them in memory and in files."""

import numpy as np
import pandas as pd

from helios_research.analysis.tables import Floats

_DAY = pd.Timedelta(days=1)
_ZERO = pd.Timestamp("2000-01-01", tz="UTC")


def times_of(values: "pd.Series[str]") -> "pd.Series[pd.Timestamp]":
    """Read a column of times."""
    if not pd.api.types.is_datetime64_any_dtype(values):
        # Without a whole date, "12" would be taken for a year.
        text = values.astype("str")
        values = text.where(text.str.match(r"\d{4}-\d\d-\d\d", na=False))
    times = pd.to_datetime(values, format="ISO8601", errors="coerce", utc=True)
    return times.astype("datetime64[us, UTC]")


def days_of(values: "pd.Series[str]") -> Floats:
    """Count the days to each time of a column."""
    return np.asarray((times_of(values) - _ZERO) / _DAY, dtype=np.float64)


def times_from(days: Floats) -> pd.DatetimeIndex:
    """Turn days since 2000 into times."""
    return _ZERO + pd.to_timedelta(days, unit="D")
