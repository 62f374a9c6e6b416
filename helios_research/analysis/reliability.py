"""How far a participant's recordings agree with each other."""

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from helios_research.analysis.intervals import FEWEST_FOR_INTERVAL, check_confidence, with_ends
from helios_research.analysis.prepared import Codes, Floats, Results, bucket_steps, prepare
from helios_research.columns import BUCKET_LEVELS, Biomarker

RELIABILITY_COLUMNS = (
    *("by", "by_level", "biomarker", "bucketed"),
    *("participants", "recordings", "recordings_per_participant"),
    *("form", "coefficient", "coefficient_low", "coefficient_high"),
    *("within_sd", "within_sd_low", "within_sd_high", "smallest_own_sd", "largest_own_sd"),
    *("minimal_detectable_change", "mdc_low", "mdc_high", "sentence"),
)
ICC_FORM = "ICC(1,1)"
ALPHA_FORM = "Krippendorff's alpha, ordinal"
# A variance of scores below this is rounding.
NOTHING = 1e-15


def reliability(
    results: Results,
    *,
    by: str | None = None,
    biomarkers: str | Sequence[str] | None = None,
    warned: str = "keep",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Measure how far participants' repeated recordings agree, and what change can be detected.

    Participants weigh equally, however many recordings they have. Continuous biomarkers have the
    intraclass correlation ICC(1,1) of Shrout & Fleiss (1979): one-way random effects, absolute
    agreement, a single recording. ``within_sd``, the standard error of measurement, is the root of
    the mean of participants' own variances (Bland & Altman 1996, BMJ 313:744); the minimal
    detectable change is 1.96 · sqrt(2) · SEM (Weir 2005) at 95 %. Where participants' own SDs are
    far apart, no single change fits all: people who vary much exceed it by chance more often.

    Bucketed biomarkers have Krippendorff's alpha for ordinal data (2011); distances between levels
    have no unit, so there is no SD.

    Intervals come from a jackknife over participants on a logarithmic scale (Arvesen & Schmitz
    1970, Biometrics 26:677), t with degrees of freedom from the kurtosis. Where recordings are
    equally many, the estimates are those of Shrout & Fleiss and Krippendorff; checked against
    their examples and ``pingouin.intraclass_corr``. With fewer than 20 participants of whom most
    are always at one level, alpha's 95 % interval holds the truth in 80 to 90 % of studies.

    Everything that differs between a participant's recordings counts as disagreement, true change
    included: choose recordings between which no change is expected. Differences between groups
    count as differences between participants and raise the coefficient: give ``by`` to measure
    within groups.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    by
        A column, such as the arm, at each level of which to measure.
    biomarkers, warned, confidence
        As for ``summarize_by_tag``.

    Returns
    -------
    DataFrame
        A row per biomarker, and level where ``by`` is given; participants with one scored
        recording are not counted. SDs and changes are in points of the score. Fewer than three
        participants have no interval.

    Raises
    ------
    ResultsError
        If a column is missing or a setting is not valid.

    Examples
    --------
    >>> found = reliability(
    ...     "datasets/shift_study_results.parquet", biomarkers="mental_strain", by="arm"
    ... )
    >>> found["participants"].tolist()
    [60, 60]
    """
    check_confidence(confidence)
    prepared = prepare(results, [by], biomarkers=biomarkers, warned=warned)
    groups: dict[str | None, Any] = {None: slice(None)}
    if by is not None:
        levels = prepared.levels[by]
        groups = {label: levels.codes == place for place, label in enumerate(levels.labels)}
    rows = []
    for label, at in groups.items():
        for marker in prepared.biomarkers:
            scores, who = _repeated(prepared.scores[marker.name][at], prepared.people[at])
            rows.append({"by": by, "by_level": label, **_row(marker, scores, who, confidence)})
    columns = [name for name in RELIABILITY_COLUMNS if by or name not in ("by", "by_level")]
    method = (
        f"Agreement of repeated recordings, participants weighted equally: {ICC_FORM} for "
        "continuous biomarkers, Krippendorff's ordinal alpha for bucketed ones, with "
        f"{100 * confidence:g} % intervals by a jackknife over participants. True change between "
        "recordings counts as disagreement."
    )
    return prepared.finish(pd.DataFrame(rows).reindex(columns=columns), method)


def _row(marker: Biomarker, scores: Floats, who: Codes, confidence: float) -> dict[str, object]:
    n = np.bincount(who)
    row: dict[str, object] = {
        "biomarker": marker.name,
        "bucketed": marker.bucketed,
        "participants": len(n),
        "recordings": len(who),
        "recordings_per_participant": len(who) / len(n) if len(n) else np.nan,
        "form": ALPHA_FORM if marker.bucketed else ICC_FORM,
    }
    if len(n) < 2:
        return row | {"sentence": "Fewer than two participants with repeated recordings."}
    return row | (_alpha if marker.bucketed else _icc)(scores, who, n, confidence)


def _repeated(scores: Floats, people: Codes) -> tuple[Floats, Codes]:
    """Keep the participants with at least two scores, numbered from 0."""
    scored = ~np.isnan(scores)
    n = np.bincount(people[scored], minlength=int(people.max(initial=0)) + 1)
    kept = scored & (n[people] >= 2)
    _, who = np.unique(people[kept], return_inverse=True)
    return scores[kept], who.astype(np.intp)


def _icc(scores: Floats, who: Codes, n: Codes, confidence: float) -> dict[str, object]:
    mean = np.bincount(who, scores) / n
    own = np.bincount(who, (scores - mean[who]) ** 2) / (n - 1)
    within = with_and_without(own)
    if within[0] < NOTHING:
        same = "Each participant's scores are all the same: nothing to estimate."
        return {"within_sd": 0.0, "sentence": same}
    # Without one of two participants there is nothing between them: NaN, and no interval.
    with np.errstate(divide="ignore", invalid="ignore"):
        between = _variance_of_means(mean) - with_and_without(own / n)
        coefficient = between / (between + within)
    interval = _coefficient_interval(coefficient, n, confidence)
    logs = np.log(within, where=within > NOTHING, out=np.full(len(within), np.nan))
    sd = np.exp(np.array([logs[0], *jackknife(logs, confidence)]) / 2)
    # At 95 %, the normal quantile is the 1.96 of the textbook formula.
    change = float(stats.norm.ppf((1 + confidence) / 2)) * sqrt(2) * sd
    return {
        **with_ends("coefficient", coefficient[0], *interval),
        **with_ends("within_sd", *sd),
        "smallest_own_sd": sqrt(own.min()),
        "largest_own_sd": sqrt(own.max()),
        **with_ends("mdc", *change),
        "minimal_detectable_change": change[0],
        "sentence": "ICC(1,1): one-way random effects, absolute agreement, single recording, by "
        f"variances over {_about(n, interval)}",
    }


def _alpha(scores: Floats, who: Codes, n: Codes, confidence: float) -> dict[str, object]:
    pairs = with_and_without(own_pairs(bucket_steps(scores), who, len(BUCKET_LEVELS)))
    alpha = ordinal_alpha(pairs, with_and_without(1 / n) / _sizes(n))
    if np.isnan(alpha[0]):
        return {"sentence": "All scores are at the same level: nothing to estimate."}
    interval = _coefficient_interval(alpha, n, confidence)
    sentence = f"Krippendorff's alpha for ordinal data on {_about(n, interval)}"
    return {**with_ends("coefficient", alpha[0], *interval), "sentence": sentence}


def _about(n: Codes, interval: tuple[float, float]) -> str:
    counts = f"{n.sum():,} recordings of {len(n):,} participants, who weigh equally."
    if not np.isnan(interval[0]):
        return counts
    if len(n) < FEWEST_FOR_INTERVAL:
        return f"{counts} Fewer than {FEWEST_FOR_INTERVAL} participants: no interval."
    return f"{counts} No interval: too few of them differ."


def _sizes(values: Floats | Codes) -> Floats:
    """Count the participants: all, then without each of them."""
    return np.append(len(values), np.full(len(values), len(values) - 1.0))


def _variance_of_means(mean: Floats) -> Floats:
    n = _sizes(mean)
    off = mean - mean.mean()
    variance: Floats = (with_and_without(off**2) - with_and_without(off) ** 2) * n / (n - 1)
    return variance


def _coefficient_interval(coefficient: Floats, n: Codes, confidence: float) -> tuple[float, float]:
    """Give the interval on the scale of log F, with the mean of 1/n as the noise in a mean."""
    share = (1 / n).mean()
    perfect = coefficient > 1 - 1e-9
    ratio = np.maximum(share + (1 - share) * coefficient, 0.001)
    with np.errstate(invalid="ignore"):
        ratio /= np.where(perfect, np.nan, 1 - coefficient)
    low, high = np.exp(jackknife(np.log(ratio), confidence))
    return (low - share) / (low + 1 - share), (high - share) / (high + 1 - share)


def own_pairs(steps: Codes, who: Codes, n_levels: int) -> Floats:
    """Give for each participant the shares of pairs of recordings at each pair of levels."""
    n_people = int(who.max()) + 1
    counts = np.bincount(who * n_levels + steps, minlength=n_people * n_levels)
    counts = counts.reshape(n_people, n_levels).astype(np.float64)
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(n_levels)
    pairs[:, diagonal, diagonal] -= counts
    shares: Floats = pairs / pairs.sum(axis=(1, 2), keepdims=True)
    return shares


def ordinal_alpha(pairs: Floats, alone: Floats) -> Floats:
    """Give Krippendorff's ordinal alpha; ``alone`` is the share of a recording paired with itself."""
    at_level = pairs.sum(axis=2)
    up_to = np.cumsum(at_level, axis=1) - at_level / 2
    distance = (up_to[:, :, None] - up_to[:, None, :]) ** 2
    observed = (pairs * distance).sum(axis=(1, 2))
    expected = (at_level[:, :, None] * at_level[:, None, :] * distance).sum(axis=(1, 2))
    alpha: Floats = np.full(len(pairs), np.nan)
    known = expected > NOTHING
    alpha[known] = 1 - (1 - alone[known]) * observed[known] / expected[known]
    return alpha


def with_and_without(values: Floats) -> Floats:
    """Average over participants (the first axis): over all, then without each of them."""
    total, n = values.sum(axis=0, keepdims=True), len(values)
    averages: Floats = np.concatenate([total / n, (total - values) / (n - 1)])
    return averages


def jackknife(found: Floats, confidence: float) -> tuple[float, float]:
    """Give an interval, by t on Tukey's pseudo-values, of a number found as by ``with_and_without``."""
    n = len(found) - 1
    pseudo = n * found[0] - (n - 1) * found[1:]
    off = pseudo - pseudo.mean()
    variance = float((off**2).mean())
    if n < FEWEST_FOR_INTERVAL or not variance > NOTHING:
        return np.nan, np.nan
    # Few participants who make most of the difference widen the interval.
    kurtosis = float((off**4).mean()) / variance**2
    freedom = min(n - 1, 2 * n / max(kurtosis - 1, 1))
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * sqrt(variance / (n - 1))
    return float(pseudo.mean()) - half, float(pseudo.mean()) + half
