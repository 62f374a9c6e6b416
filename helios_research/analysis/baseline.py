"""Recordings against the first ones of their participant."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special, stats

from helios_research._util.text import counted
from helios_research.analysis.intervals import check_confidence
from helios_research.analysis.prepared import (
    Floats,
    PreparedResults,
    Results,
    bucket_steps,
    check_choice,
    prepare,
)
from helios_research.columns import BUCKET_LEVELS, Biomarker
from helios_research.errors import ResultsError

BASELINE_COLUMNS = (
    *("recording_id", "user_label", "biomarker", "bucketed", "position", "days_since_first"),
    *("score", "in_baseline", "baseline_recordings", "baseline", "baseline_sd"),
    *("change", "z", "df", "p", "usual_low", "usual_high", "outside_usual"),
)
_LATER_ONLY = ["change", "z", "df", "p"]


def baseline(  # noqa: PLR0913 - each is a setting
    results: Results,
    *,
    biomarkers: str | Sequence[str] | None = None,
    first: int = 3,
    unit: Literal["recordings", "days"] = "recordings",
    order: str = "recording_time",
    spread: Literal["pooled", "own"] = "pooled",
    warned: str = "keep",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare each scored recording with the first ones of its participant.

    For a continuous biomarker the baseline is the mean of the first recordings and ``change`` the
    distance from it. The usual range is a prediction interval for one further recording,
    mean ± t · SD · sqrt(1 + 1/n) (Hahn & Meeker, *Statistical Intervals*, 1991, section 4.8).
    ``z`` is the change divided by SD · sqrt(1 + 1/n): a t statistic with ``df`` degrees of freedom
    and the probability ``p`` of a change so large if nothing changes. Checked against
    ``statsmodels`` OLS predictions.

    For a bucketed biomarker ``change`` is the share of the baseline's recordings that this one is
    above, minus the share that it is below: from -1 to 1, and 0 on average if nothing changes. It
    has no usual range.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    biomarkers
        One or several; None means all.
    first
        How many of the first recordings, or of the first days, make the baseline.
    unit
        Whether ``first`` counts recordings or days of 24 hours from the first recording.
    order
        Column that puts a participant's recordings in order: a time, or a tag such as the visit.
    spread
        Standard deviation behind z: "pooled" over all participants' baselines, for which a few
        recordings each suffice, or each participant's "own".
    warned
        Whether to "keep" or to "drop" scores with a warning from Helios.
    confidence
        Share of later recordings (0 to 1) that the usual range is to hold if nothing changes.

    Returns
    -------
    DataFrame
        A row per biomarker and scored recording with a place in the order. ``change``, ``z``,
        ``df``, ``p`` and ``outside_usual`` are null within the baseline itself.

    Raises
    ------
    ResultsError
        If a column is missing, a setting is not valid, or days are asked for and the order is not
        a time.

    Examples
    --------
    >>> own = baseline("datasets/shift_study_results.parquet", biomarkers="mental_strain")
    >>> int(own["in_baseline"].sum())
    360
    """
    check_confidence(confidence)
    if first < 1:
        message = f"A baseline needs at least the first 1 of the {unit}, not {first}."
        raise ResultsError(message)
    check_choice("unit of a baseline", unit, ("recordings", "days"))
    check_choice("spread of a baseline", spread, ("pooled", "own"))
    prepared = prepare(results, biomarkers=biomarkers, needs=["recording_id", order], warned=warned)
    place, days = _order(prepared, order)
    if unit == "days" and np.isnan(days).all() and len(days):
        message = (
            f"A baseline in days needs times, but {order!r} holds none: "
            "choose order='recording_time', or unit='recordings'."
        )
        raise ResultsError(message)
    ordered = prepared.with_columns(_place=place, _moment=days)
    parts = []
    for marker in prepared.biomarkers:
        rows = _placed(ordered, marker)
        before = rows["position"] - 1 if unit == "recordings" else rows["days_since_first"]
        rows["in_baseline"] = before < first
        parts.append(_compare(rows, marker, spread, confidence))
    compared = pd.concat(parts, ignore_index=True)
    unplaced = int((prepared.counts & np.isnan(place)).sum())
    left_out = f"{unplaced:,} scored recordings have no usable {order} and are left out."
    method = _METHOD.format(
        first=first, unit=unit, order=order, spread=_SPREADS[spread], coverage=100 * confidence
    )
    method += _by_chance(compared, confidence)
    return prepared.finish(compared, method, [left_out] if unplaced else [])


_SPREADS = {
    "pooled": "pooled over all participants' baselines",
    "own": "of each participant's own baseline",
}
_METHOD = (
    "The baseline is each participant's first {first} {unit} by {order}. z is the change divided by "
    "the SD of a prediction, with the standard deviation {spread}; the usual range is a "
    "{coverage:g} % prediction interval for one further recording. Bucketed biomarkers have no usual "
    "range; their change is the share of the baseline that a recording is above, minus the share "
    "that it is below."
)


def _order(prepared: PreparedResults, column: str) -> tuple[Floats, Floats]:
    """Give each recording its place, and its time in days where the column holds times."""
    days = prepared.days(column)
    if not np.isnan(days).all():
        return days, days
    levels = prepare(prepared, [column]).levels[column]
    return np.where(levels.given, levels.codes.astype(np.float64), np.nan), days


def _placed(prepared: PreparedResults, marker: Biomarker) -> pd.DataFrame:
    """Give a row for each score that has a place, by participant and place."""
    table, scores = prepared.frame, prepared.scores[marker.name]
    counts = ~np.isnan(scores) & table["_place"].notna().to_numpy()
    names = ["recording_id", "user_label", "_place", "_moment"]
    rows = table.loc[counts, names].assign(score=scores[counts], biomarker=marker.name)
    rows = rows.sort_values(["user_label", "_place"], kind="stable", ignore_index=True)
    person = rows.groupby("user_label", sort=False)
    rows["bucketed"] = marker.bucketed
    rows["position"] = person.cumcount() + 1
    rows["days_since_first"] = rows["_moment"] - person["_moment"].transform("min")
    return rows


def _compare(rows: pd.DataFrame, marker: Biomarker, spread: str, confidence: float) -> pd.DataFrame:
    rows = _in_levels(rows) if marker.bucketed else _in_points(rows, spread, confidence)
    rows = rows.reindex(columns=list(BASELINE_COLUMNS))
    later, scores = ~rows["in_baseline"], rows["score"]
    outside = (scores < rows["usual_low"]) | (scores > rows["usual_high"])
    rows["outside_usual"] = outside.astype("boolean").where(later & rows["usual_low"].notna())
    rows[_LATER_ONLY] = rows[_LATER_ONLY].where(later)
    return rows


def _in_points(rows: pd.DataFrame, spread: str, confidence: float) -> pd.DataFrame:
    own = rows["score"].where(rows["in_baseline"]).groupby(rows["user_label"], sort=False)
    n, mean = own.transform("count"), own.transform("mean")
    freedom = (n - 1).where(n > 1).astype(float)
    sd = own.transform("std")
    if spread == "pooled":
        each = own.agg(["count", "var"]).dropna()
        weights = (each["count"] - 1).to_numpy(dtype=np.float64)
        total = float(weights.sum()) or np.nan
        sd[:] = np.sqrt(float((weights * each["var"].to_numpy()).sum()) / total)
        freedom[:] = total
    # A spread of zero says that the recordings are copies, not that nothing may ever change.
    sd = sd.where(sd > 1e-12)
    prediction_sd = sd * np.sqrt(1 + 1 / n)
    z = (rows["score"] - mean) / prediction_sd
    margin = special.stdtrit(freedom, (1 + confidence) / 2) * prediction_sd
    return rows.assign(
        baseline_recordings=n,
        baseline=mean,
        baseline_sd=sd,
        change=rows["score"] - mean,
        z=z,
        df=freedom,
        p=2 * special.stdtr(freedom, -z.abs()),
        usual_low=(mean - margin).clip(lower=0),
        usual_high=(mean + margin).clip(upper=1),
    )


def _in_levels(rows: pd.DataFrame) -> pd.DataFrame:
    level = bucket_steps(rows["score"].to_numpy(dtype=np.float64))
    person, _ = pd.factorize(rows["user_label"])
    first = rows["in_baseline"].to_numpy()
    counts = np.zeros((len(np.unique(person)), len(BUCKET_LEVELS)))
    np.add.at(counts, (person[first], level[first]), 1)
    up_to, n = counts.cumsum(axis=1), counts.sum(axis=1)[person]
    above = up_to[person, level] - counts[person, level]
    return rows.assign(
        baseline_recordings=n.astype(np.intp),
        change=(above - (n - up_to[person, level])) / n,
    )


def _by_chance(compared: pd.DataFrame, confidence: float) -> str:
    """Write how many people whose scores do not change have a recording outside all the same."""
    later = compared[compared["outside_usual"].notna()]
    if later.empty:
        return ""
    each = later.groupby(["biomarker", "user_label"], observed=True)
    number = round(float(each.size().median()))
    n, df = (float(each[name].first().median()) for name in ("baseline_recordings", "df"))
    # Averaged over the mean and the SD that a baseline may have.
    middle = (np.arange(200) + 0.5) / 200
    mean = special.ndtri(middle) / np.sqrt(n)
    sd = np.sqrt(stats.chi2.ppf(middle, df) / df)[:, None]
    limit = special.stdtrit(df, (1 + confidence) / 2) * sd * np.sqrt(1 + 1 / n)
    within = special.ndtr(mean + limit) - special.ndtr(mean - limit)
    share = float(1 - (within**number).mean())
    return (
        f" With {counted(number, 'later recording')} (the median), about {100 * share:.0f} of 100 "
        "people in whom nothing changes have at least one outside, and more where a person's "
        "recordings resemble those just before."
    )
