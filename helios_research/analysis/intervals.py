"""Means and shares over participants, who weigh equally, and their intervals in closed form."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special, stats

from helios_research.analysis.prepared import Codes, Floats
from helios_research.errors import ResultsError

FEWEST_FOR_INTERVAL = 3
"""Participants that a group needs to have an interval, and each side of a comparison: with two,
Welch's test finds differences that are not there in up to 12 % of studies."""

# Of the recordings of a group; beyond, and with more than twice an equal part, one participant
# has so many that a reader should know.
_LARGE_PART = 0.2


def check_confidence(confidence: float) -> None:
    """Make sure that a confidence is a share, not a percentage."""
    if not 0 < confidence < 1:
        message = f"The confidence is {confidence:g}, but it must be between 0 and 1, such as 0.95."
        raise ResultsError(message)


def with_ends(name: str, estimate: ArrayLike, low: ArrayLike, high: ArrayLike) -> dict[str, Any]:
    """Name an estimate and the ends of its interval as columns of a table."""
    return {name: estimate, f"{name}_low": low, f"{name}_high": high}


def cell_means(values: Floats, people: Codes, groups: Codes) -> pd.DataFrame:
    """Average the values of each participant in each group, a row per pair that has a value.

    Rows are by group, then participant; the columns are ``group``, ``person``, ``n`` (recordings)
    and 0 to k - 1, the means of the columns of ``values`` (n, k).
    """
    values = values[:, None] if values.ndim == 1 else values
    known = (people >= 0) & (groups >= 0) & ~np.isnan(values).any(axis=1)
    n_people = int(people.max(initial=0)) + 1
    pairs, place = np.unique((groups * n_people + people)[known], return_inverse=True)
    n = np.bincount(place, minlength=len(pairs))
    columns: dict[Any, Any] = {"group": pairs // n_people, "person": pairs % n_people, "n": n}
    for number, column in enumerate(values[known].T):
        columns[number] = np.bincount(place, column, len(pairs)) / n
    return pd.DataFrame(columns)


def mean_interval(
    mean: ArrayLike, sd: ArrayLike, n: ArrayLike, confidence: float
) -> tuple[Floats, Floats]:
    """Give intervals of means over n participants of values from 0 to 1.

    t on the logit scale (delta method), so that the interval stays within 0 and 1; of a mean of
    exactly 0 or 1 as for a share. NaN for fewer than three participants, and where all
    participants are the same elsewhere. Values beyond 0 and 1 have the t interval itself.
    """
    mean, sd, n = (np.asarray(numbers, dtype=np.float64) for numbers in (mean, sd, n))
    with np.errstate(divide="ignore", invalid="ignore"):
        half = _t_quantile(n, confidence) * sd / np.sqrt(n)
        beyond = (mean < 0) | (mean > 1)
        middle = special.logit(np.where(beyond, 0.5, mean))
        margin = half / (mean * (1 - mean))
        low, high = (np.asarray(special.expit(middle + side * margin)) for side in (-1, 1))
    low, high = np.where(beyond, mean - half, low), np.where(beyond, mean + half, high)
    certain = (mean == 0) | (mean == 1)
    exact = share_interval(mean, np.zeros_like(mean), n, confidence)
    usable = (n >= FEWEST_FOR_INTERVAL) & (certain | (sd > 0))
    low, high = np.where(certain, exact[0], low), np.where(certain, exact[1], high)
    return np.where(usable, low, np.nan), np.where(usable, high, np.nan)


def share_interval(
    share: ArrayLike,
    variance: ArrayLike,
    n: ArrayLike,
    confidence: float,
    most: ArrayLike = np.inf,
) -> tuple[Floats, Floats]:
    """Give intervals of shares over n participants, from the variance of each share.

    The exact binomial interval (Clopper & Pearson 1934) with the number of recordings that would
    have this variance if all were independent (Korn & Graubard 1998, Survey Methodology 24:193),
    at most ``most``; of a share of exactly 0 or 1, with the number of participants. NaN for fewer
    than three participants. The tests check it against ``scipy.stats.binomtest``.
    """
    share, variance, n = (np.asarray(numbers, dtype=np.float64) for numbers in (share, variance, n))
    tail = (1 - confidence) / 2
    certain = (share <= 0) | (share >= 1) | (variance <= 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        fewer = (stats.norm.ppf(1 - tail) / _t_quantile(n, confidence)) ** 2
        size = np.minimum(share * (1 - share) / variance * fewer, most)
        size = np.where(certain, n, size)
        hits = share * size
        low = np.where(share <= 0, 0.0, stats.beta.ppf(tail, hits, size - hits + 1))
        high = np.where(share >= 1, 1.0, stats.beta.ppf(1 - tail, hits + 1, size - hits))
    usable = (n >= FEWEST_FOR_INTERVAL) & ~np.isnan(share)
    return np.where(usable, low, np.nan), np.where(usable, high, np.nan)


def _t_quantile(n: Floats, confidence: float) -> Floats:
    return np.asarray(stats.t.ppf((1 + confidence) / 2, np.maximum(n - 1, 1)))


def part_note(n: int, largest: float) -> str | None:
    """Write why a group has no interval, or that one participant has a large part of it."""
    if n == 0:
        return "No scores."
    if n < FEWEST_FOR_INTERVAL:
        return f"Fewer than {FEWEST_FOR_INTERVAL} participants: no interval."
    if largest > max(_LARGE_PART, 2 / n):
        return (
            f"One participant has {100 * largest:.0f} % of the recordings; participants weigh "
            "equally all the same."
        )
    return None


def holm(p: "pd.Series[float]") -> "pd.Series[float]":
    """Correct p-values for their number (Holm 1979), leaving out those that are missing."""
    known = p.dropna().sort_values(kind="stable")
    return (known * np.arange(len(known), 0, -1)).cummax().clip(upper=1)
