"""How far a participant's repeated recordings agree."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import pandas as pd
from scipy import stats

from helios_research.analysis.bootstrap import Bootstrap, draw_weights
from helios_research.analysis.prepared import Codes, Floats, Results, bucket_steps, prepare
from helios_research.columns import BUCKET_LEVELS, Biomarker

ICC_FORM = "ICC(1,1)"
ALPHA_FORM = "Krippendorff's alpha, ordinal"

RELIABILITY_COLUMNS = (
    *("biomarker", "bucketed", "participants", "recordings", "recordings_per_participant"),
    *("form", "coefficient", "coefficient_low", "coefficient_high"),
    *("within_sd", "within_sd_low", "within_sd_high"),
    *("minimal_detectable_change", "mdc_low", "mdc_high", "sentence"),
)


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
    resamples
        How many times participants are drawn anew, for bucketed biomarkers.
    confidence
        Coverage of the intervals, between 0 and 1.
    seed
        The same seed gives the same intervals.

    Returns
    -------
    DataFrame
        A row per biomarker; participants with one scored recording are not counted. SDs and
        changes are in points of the score. ``attrs`` has "method", "warnings", "sources" and
        "source_note".

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
        rows.append({**_counts(marker, who), **found})
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


def _counts(marker: Biomarker, who: Codes) -> dict[str, object]:
    participants = len(np.unique(who))
    return {
        "biomarker": marker.name,
        "bucketed": marker.bucketed,
        "participants": participants,
        "recordings": len(who),
        "recordings_per_participant": len(who) / participants if participants else np.nan,
        "form": ALPHA_FORM if marker.bucketed else ICC_FORM,
    }


def _icc(scores: Floats, who: Codes, bootstrap: Bootstrap) -> dict[str, object]:
    n = np.bincount(who)
    if len(n) < 2:
        return {"sentence": "Fewer than two participants with repeated recordings."}
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
        return {"sentence": "Fewer than two participants with repeated recordings."}
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
