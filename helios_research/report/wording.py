"""Numbers and moments as a report words them."""

from collections.abc import Iterable
from math import isnan

import pandas as pd

from helios_research.columns import BIOMARKERS_BY_NAME
from helios_research.report.blocks import NOTHING

NO_FIGURES = "This report was made without figures of scores."


def count(number: float) -> str:
    """Word a count."""
    return NOTHING if isnan(number) else f"{int(number):,}"


def percent(share: float) -> str:
    """Word a share."""
    return NOTHING if isnan(share) else f"{100 * share:.1f} %"


def decimal(number: float, digits: int = 2) -> str:
    """Word a number with decimals."""
    if isnan(number):
        return NOTHING
    # Adding 0.0 makes the zero that a small negative number is rounded to a plain one.
    return f"{round(number, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def with_interval(estimate: float, low: float, high: float, digits: int = 2) -> str:
    """Word an estimate with its interval."""
    if isnan(estimate) or isnan(low) or isnan(high):
        return decimal(estimate, digits)
    ends = f"{decimal(low, digits)} to {decimal(high, digits)}"
    return f"{decimal(estimate, digits)} ({ends})"


def p_value(p: float) -> str:
    """Word a p-value."""
    if isnan(p):
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def biomarker_label(name: str) -> str:
    """Say what figures and tables call a biomarker."""
    return BIOMARKERS_BY_NAME[name].label


def span(moments: "pd.Series[pd.Timestamp]") -> str:
    """Word from when to when something happened."""
    known = moments.dropna()
    if known.empty:
        return ""
    first, last = known.min(), known.max()
    if first.date() == last.date():
        times = (
            f"{first:%H:%M}"
            if f"{first:%H:%M}" == f"{last:%H:%M}"
            else f"{first:%H:%M} to {last:%H:%M}"
        )
        return f"on {first:%Y-%m-%d}, {times} UTC"
    return f"from {first:%Y-%m-%d} to {last:%Y-%m-%d} (UTC)"


def listed(words: Iterable[str]) -> str:
    """Put words into a row."""
    *others, last = [*words] or ["none"]
    return f"{', '.join(others)} and {last}" if others else last
