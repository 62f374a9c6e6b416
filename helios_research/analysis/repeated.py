"""Several recordings of a participant: against their own baseline, and how far they agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from helios_research.analysis.bootstrap import (
    Bootstrap,
    check_choice,
    check_confidence,
    draw_weights,
)
from helios_research.analysis.levels import NOT_GIVEN
from helios_research.analysis.prepared import (
    Codes,
    Floats,
    PreparedResults,
    Results,
    bucket_steps,
    prepare,
)
from helios_research.columns import BUCKET_LEVELS, Biomarker, Outcome
from helios_research.errors import ResultsError

BASELINE_COLUMNS = (
    *("recording_id", "user_label", "biomarker", "bucketed", "position", "days_since_first"),
    *("score", "in_baseline", "baseline_recordings", "baseline", "baseline_sd"),
    *("change", "z", "usual_low", "usual_high", "outside_usual"),
)
RELIABILITY_COLUMNS = (
    *("biomarker", "bucketed", "participants", "recordings", "recordings_per_participant"),
    *("form", "coefficient", "coefficient_low", "coefficient_high"),
    *("within_sd", "within_sd_low", "within_sd_high"),
    *("minimal_detectable_change", "mdc_low", "mdc_high", "sentence"),
)

_TOO_FEW = "Fewer than two participants with repeated recordings."
ICC_FORM = "ICC(1,1)"
ALPHA_FORM = "Krippendorff's alpha, ordinal"


@dataclass(frozen=True, slots=True)
class _Baseline:
    """What counts as a participant's baseline and as their usual range: see ``baseline``."""

    first: int
    unit: Literal["recordings", "days"]
    order: str
    spread: Literal["pooled", "own"]
    confidence: float

    def __post_init__(self) -> None:
        """Refuse settings that have no meaning."""
        check_confidence(self.confidence)
        if self.first < 1:
            message = f"A baseline needs at least the first 1 of the {self.unit}, not {self.first}."
            raise ResultsError(message)
        check_choice("unit of a baseline", self.unit, ("recordings", "days"))
        check_choice("spread of a baseline", self.spread, ("pooled", "own"))


def baseline(  # noqa: PLR0913 - each is a setting
    results: Results,
    *,
    biomarkers: str | Sequence[str] | None = None,
    first: int = 3,
    unit: Literal["recordings", "days"] = "recordings",
    order: str = "recording_time",
    spread: Literal["pooled", "own"] = "pooled",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare each scored recording with the first ones of its participant.

    For a continuous biomarker the baseline is the mean of the first recordings, ``change`` the
    distance from it and ``z`` that distance in standard deviations within participants. The
    usual range is a prediction interval for one further recording,
    mean ± t · SD · sqrt(1 + 1/n), so that a baseline of few recordings has a wide one (Hahn &
    Meeker, *Statistical Intervals*, 1991, section 4.8). Checked against
    ``statsmodels`` OLS predictions.

    For a bucketed biomarker the baseline is the lower median level, ``change`` counts levels, the
    usual range goes from the lowest to the highest level of the baseline (two recordings or
    more), and there is no z.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    biomarkers
        One or several; None means all.
    first
        How many of the first recordings, or of the first days, make the baseline.
    unit
        Whether ``first`` counts recordings or days; a day is 24 hours from the first recording.
    order
        Column that puts a participant's recordings in order: a time, or a tag such as the visit.
    spread
        Standard deviation behind z and the usual range: "pooled" over all participants'
        baselines, which a few recordings each are enough for, or each participant's "own".
    confidence
        Share of later recordings (between 0 and 1) that the usual range is to hold if nothing
        changes.

    Returns
    -------
    DataFrame
        A row per scored recording with a place in the order and biomarker, by participant and
        order. ``change``, ``z`` and ``outside_usual`` are null within the baseline itself.

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
    settings = _Baseline(first, unit, order, spread, confidence)
    prepared = prepare(results, biomarkers=biomarkers, needs=["recording_id", order])
    place, days = _order(prepared, order)
    if unit == "days" and np.isnan(days).all() and len(days):
        message = (
            f"A baseline in days needs times, but {order!r} holds none: "
            "choose order='recording_time', or unit='recordings'."
        )
        raise ResultsError(message)
    ordered = prepared.with_columns(_place=place, _moment=days)
    parts = [_against_baseline(ordered, marker, settings) for marker in prepared.biomarkers]
    compared = pd.concat(parts, ignore_index=True)
    unplaced = int(((prepared.frame["outcome"] == Outcome.SCORED) & np.isnan(place)).sum())
    left_out = f"{unplaced:,} scored recordings have no usable {order} and are left out."
    return prepared.finish(compared, _method(settings), [left_out] if unplaced else [])


def _order(prepared: PreparedResults, column: str) -> tuple[Floats, Floats]:
    """Give each recording its place, and its time in days where the column holds times."""
    days = prepared.days(column)
    if not np.isnan(days).all():
        return days, days
    levels = prepare(prepared, [column]).levels[column]
    given = np.array(levels.labels, dtype=object)[levels.codes] != NOT_GIVEN
    return np.where(given, levels.codes.astype(np.float64), np.nan), days


def _against_baseline(
    prepared: PreparedResults, marker: Biomarker, settings: _Baseline
) -> pd.DataFrame:
    table, scores = prepared.frame, prepared.scores[marker.name]
    counts = ~np.isnan(scores) & table["_place"].notna().to_numpy()
    names = ["recording_id", "user_label", "_place", "_moment"]
    rows = table.loc[counts, names].assign(score=scores[counts], biomarker=marker.name)
    rows = rows.sort_values(["user_label", "_place"], kind="stable", ignore_index=True)
    person = rows.groupby("user_label", sort=False)
    rows["bucketed"] = marker.bucketed
    rows["position"] = person.cumcount() + 1
    rows["days_since_first"] = rows["_moment"] - person["_moment"].transform("min")
    rows["in_baseline"] = (
        rows["position"] <= settings.first
        if settings.unit == "recordings"
        else rows["days_since_first"] < settings.first
    )
    rows = _in_levels(rows) if marker.bucketed else _in_points(rows, settings)
    later = ~rows["in_baseline"]
    outside = (rows["score"] < rows["usual_low"]) | (rows["score"] > rows["usual_high"])
    known = later & rows["usual_low"].notna()
    rows["outside_usual"] = outside.astype("boolean").where(known)
    rows[["change", "z"]] = rows[["change", "z"]].where(later)
    return rows[list(BASELINE_COLUMNS)]


def _in_points(rows: pd.DataFrame, settings: _Baseline) -> pd.DataFrame:
    own = rows["score"].where(rows["in_baseline"]).groupby(rows["user_label"], sort=False)
    n = own.transform("count")
    mean = own.transform("mean")
    sd, freedom = _spread(rows, own, settings)
    # A spread of zero says that the recordings are copies, not that nothing may ever change.
    sd = sd.where(sd > 1e-12)
    margin = stats.t.ppf((1 + settings.confidence) / 2, freedom) * sd * np.sqrt(1 + 1 / n)
    return rows.assign(
        baseline_recordings=n,
        baseline=mean,
        baseline_sd=sd,
        change=rows["score"] - mean,
        z=(rows["score"] - mean) / sd,
        usual_low=(mean - margin).clip(lower=0),
        usual_high=(mean + margin).clip(upper=1),
    )


def _spread(
    rows: pd.DataFrame, own: "pd.api.typing.SeriesGroupBy[float, str]", settings: _Baseline
) -> tuple["pd.Series[float]", "pd.Series[float]"]:
    """Give the SD within participants and its degrees of freedom, per row."""
    each_freedom = own.transform("count") - 1
    if settings.spread == "own":
        return own.transform("std"), each_freedom.where(each_freedom > 0).astype(float)
    baselines = own.agg(["count", "var"]).dropna()
    each = (baselines["count"] - 1).to_numpy(dtype=np.float64)
    freedom = float(each.sum()) or np.nan
    variance = float((each * baselines["var"].to_numpy()).sum()) / freedom
    alike = pd.Series(1.0, index=rows.index)
    return alike * np.sqrt(variance), alike * freedom


def _in_levels(rows: pd.DataFrame) -> pd.DataFrame:
    own = rows["score"].where(rows["in_baseline"]).groupby(rows["user_label"], sort=False)
    n = own.transform("count")
    middle = own.transform("quantile", q=0.5, interpolation="lower")
    level, baseline_level = (
        bucket_steps(scores.to_numpy(dtype=np.float64)) for scores in (rows["score"], middle)
    )
    return rows.assign(
        baseline_recordings=n,
        baseline=middle,
        baseline_sd=np.nan,
        change=(level - baseline_level).astype(np.float64),
        z=np.nan,
        usual_low=own.transform("min").where(n >= 2),
        usual_high=own.transform("max").where(n >= 2),
    )


def _method(settings: _Baseline) -> str:
    spread = (
        "pooled over all participants' baselines"
        if settings.spread == "pooled"
        else "of each participant's own baseline"
    )
    return (
        f"The baseline is each participant's first {settings.first} {settings.unit} by "
        f"{settings.order}. z uses the standard deviation {spread}; the usual range is a "
        f"{100 * settings.confidence:g} % prediction interval for one further recording. For "
        "bucketed biomarkers the baseline is the lower median level, change counts levels and the "
        "usual range spans the baseline's levels; after a short baseline many recordings leave "
        "that span by chance."
    )


# --- agreement -----------------------------------------------------------------------------------


def reliability(
    results: Results,
    *,
    biomarkers: str | Sequence[str] | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how far participants' repeated recordings agree, and what change can be detected.

    Continuous biomarkers have the intraclass correlation ICC(1,1) of Shrout & Fleiss (1979): one-
    way random effects, absolute agreement, a single recording; unbalanced data enter through
    Searle's n0 (1971), for which the interval is approximate. The standard error of measurement
    is the standard deviation within participants; the minimal detectable change is
    1.96 · sqrt(2) · SEM (Weir 2005) at 95 %, both with chi-square intervals. Checked against the
    table of Shrout & Fleiss and ``pingouin.intraclass_corr``.

    Bucketed biomarkers have Krippendorff's alpha for ordinal data (2011) with a bootstrap
    interval over participants; distances between levels have no unit, so there is no SD. Checked
    against Krippendorff's own example.

    Everything that differs between a participant's recordings counts as disagreement, true change
    included: choose recordings between which no change is expected.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    biomarkers
        One or several; None means all.
    resamples, confidence, seed
        Number of bootstrap resamples of participants (for bucketed biomarkers), coverage of the
        intervals (between 0 and 1), and seed of the draws.

    Returns
    -------
    DataFrame
        A row per biomarker; participants with one scored recording are not counted. SDs and
        changes are in points of the score.

    Raises
    ------
    ResultsError
        If a column is missing or a setting is not valid.

    Examples
    --------
    >>> found = reliability("datasets/shift_study_results.parquet", biomarkers="mental_strain")
    >>> found["form"].item()
    'ICC(1,1)'
    """
    bootstrap = Bootstrap(resamples, confidence, seed)
    prepared = prepare(results, biomarkers=biomarkers)
    rows = []
    for marker in prepared.biomarkers:
        scores, who = _repeated(prepared.scores[marker.name], prepared.people)
        found = _alpha(scores, who, bootstrap) if marker.bucketed else _icc(scores, who, bootstrap)
        participants = len(np.unique(who))
        counts = {
            "biomarker": marker.name,
            "bucketed": marker.bucketed,
            "participants": participants,
            "recordings": len(who),
            "recordings_per_participant": len(who) / participants if participants else np.nan,
            "form": ALPHA_FORM if marker.bucketed else ICC_FORM,
        }
        rows.append({**counts, **found})
    agreed = pd.DataFrame(rows).reindex(columns=list(RELIABILITY_COLUMNS))
    method = (
        f"Agreement of repeated recordings with {100 * confidence:g} % intervals: "
        f"{ICC_FORM} for continuous biomarkers, Krippendorff's ordinal alpha for bucketed ones. "
        "True change between recordings counts as disagreement."
    )
    return prepared.finish(agreed, method)


def _repeated(scores: Floats, people: Codes) -> tuple[Floats, Codes]:
    """Keep the participants with at least two scores, numbered from 0."""
    scored = ~np.isnan(scores)
    n = np.bincount(people[scored], minlength=int(people.max(initial=0)) + 1)
    kept = scored & (n[people] >= 2)
    _, who = np.unique(people[kept], return_inverse=True)
    return scores[kept], who.astype(np.intp)


def _icc(scores: Floats, who: Codes, bootstrap: Bootstrap) -> dict[str, object]:
    n = np.bincount(who)
    if len(n) < 2:
        return {"sentence": _TOO_FEW}
    mean = np.bincount(who, scores) / n
    within_df, between_df = len(scores) - len(n), len(n) - 1
    within = float(((scores - mean[who]) ** 2).sum()) / within_df
    between = float((n * (mean - scores.mean()) ** 2).sum()) / between_df
    size = (len(scores) - (n**2).sum() / len(scores)) / between_df
    if within < 1e-15:
        same = "Each participant's scores are all the same: nothing to estimate."
        return {"within_sd": 0.0, "sentence": same}
    ratio = between / within
    tails = bootstrap.tails
    f_low, f_high = (ratio / stats.f.ppf(tail, between_df, within_df) for tail in tails[::-1])
    chi_low, chi_high = (within_df / stats.chi2.ppf(tail, within_df) for tail in tails[::-1])
    sem = sqrt(within)
    # At 95 %, the normal quantile is the 1.96 of the textbook formula.
    factor = float(stats.norm.ppf(tails[1])) * sqrt(2)
    balanced = "" if n.min() == n.max() else f"; unbalanced, with n0 = {size:.2f}"
    return {
        "coefficient": (ratio - 1) / (ratio + size - 1),
        "coefficient_low": (f_low - 1) / (f_low + size - 1),
        "coefficient_high": (f_high - 1) / (f_high + size - 1),
        "within_sd": sem,
        "within_sd_low": sem * sqrt(chi_low),
        "within_sd_high": sem * sqrt(chi_high),
        "minimal_detectable_change": factor * sem,
        "mdc_low": factor * sem * sqrt(chi_low),
        "mdc_high": factor * sem * sqrt(chi_high),
        "sentence": "ICC(1,1): one-way random effects, absolute agreement, single recording, by "
        f"analysis of variance on {len(scores):,} recordings of {len(n):,} participants{balanced}.",
    }


def _alpha(scores: Floats, who: Codes, bootstrap: Bootstrap) -> dict[str, object]:
    if len(np.unique(who)) < 2:
        return {"sentence": _TOO_FEW}
    pairs = coincidences(bucket_steps(scores), who, len(BUCKET_LEVELS))
    alpha = float(ordinal_alpha(pairs.sum(axis=0)[None])[0])
    if np.isnan(alpha):
        return {"sentence": "All scores are at the same level: nothing to estimate."}
    flat = pairs.reshape(len(pairs), -1)
    drawn = [
        ordinal_alpha((weights @ flat).reshape(-1, *pairs.shape[1:]))
        for weights in draw_weights(len(pairs), bootstrap)
    ]
    low, high = np.nanquantile(np.concatenate(drawn), bootstrap.tails)
    return {
        "coefficient": alpha,
        "coefficient_low": float(low),
        "coefficient_high": float(high),
        "sentence": f"Krippendorff's alpha for ordinal data on {len(scores):,} recordings of "
        f"{len(pairs):,} participants; interval from {bootstrap.resamples:,} bootstrap resamples "
        "of participants.",
    }


def coincidences(steps: Codes, who: Codes, n_levels: int) -> Floats:
    """Count for each participant how often two levels stand in two of their recordings."""
    n_people = int(who.max()) + 1
    counts = np.bincount(who * n_levels + steps, minlength=n_people * n_levels)
    counts = counts.reshape(n_people, n_levels).astype(np.float64)
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(n_levels)
    pairs[:, diagonal, diagonal] -= counts
    weighted: Floats = pairs / (counts.sum(axis=1) - 1)[:, None, None]
    return weighted


def ordinal_alpha(pairs: Floats) -> Floats:
    """Give Krippendorff's alpha for ordinal data."""
    at_level = pairs.sum(axis=2)
    total = at_level.sum(axis=1)
    up_to = np.cumsum(at_level, axis=1) - at_level / 2
    distance = (up_to[:, :, None] - up_to[:, None, :]) ** 2
    observed = (pairs * distance).sum(axis=(1, 2))
    expected = (at_level[:, :, None] * at_level[:, None, :] * distance).sum(axis=(1, 2))
    alpha: Floats = np.full(len(pairs), np.nan)
    known = expected > 0
    alpha[known] = 1 - (total[known] - 1) * observed[known] / expected[known]
    return alpha
