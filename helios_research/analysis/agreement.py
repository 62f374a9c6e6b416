"""How far a participant's recordings agree with each other, and biomarkers with a questionnaire."""

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from helios_research.analysis.intervals import FEWEST_FOR_INTERVAL, check_confidence, with_ends
from helios_research.analysis.levels import as_text, with_points
from helios_research.analysis.prepared import Codes, Floats, Results, bucket_steps, prepare
from helios_research.columns import BUCKET_LEVELS, Biomarker
from helios_research.errors import ResultsError

_AGREEMENT_COLUMNS = (
    *("biomarker", "bucketed", "measure", "participants", "participants_repeated", "recordings"),
    *("between", "between_low", "between_high", "within", "within_low", "within_high"),
    *("bias", "bias_low", "bias_high", "limits_low", "limits_high", "note"),
)
_RELIABILITY_COLUMNS = (
    *("by", "by_level", "biomarker", "bucketed"),
    *("participants", "recordings", "recordings_per_participant"),
    *("form", "coefficient", "coefficient_low", "coefficient_high"),
    *("within_sd", "within_sd_low", "within_sd_high", "smallest_own_sd", "largest_own_sd"),
    *("minimal_detectable_change", "mdc_low", "mdc_high", "sentence"),
)
# A variance of scores below this is rounding.
_NOTHING = 1e-15


# --- recordings with each other ---------------------------------------------------------------


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

    Bucketed biomarkers have Krippendorff's alpha for ordinal data (2011), and no SD.

    Intervals come from a jackknife over participants on a logarithmic scale (Arvesen & Schmitz
    1970, Biometrics 26:677), t with degrees of freedom from the kurtosis. Where recordings are
    equally many, the estimates are those of Shrout & Fleiss and Krippendorff; checked against
    their examples and ``pingouin.intraclass_corr``. With fewer than 20 participants of whom most
    are always at one level, alpha's 95 % interval holds the truth in 80 to 90 % of studies.

    True change between a participant's recordings counts as disagreement: choose recordings between
    which none is expected. Differences between groups raise the coefficient: give ``by`` to measure
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
        A row per biomarker, and level where ``by`` is given, over participants with several scored
        recordings. SDs and changes are in points of the score. Fewer than three participants have
        no interval.

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
            row = _row(marker, prepared.scores[marker.name][at], prepared.people[at], confidence)
            rows.append({"by": by, "by_level": label, **row})
    columns = [name for name in _RELIABILITY_COLUMNS if by or name not in ("by", "by_level")]
    method = (
        f"Agreement of repeated recordings, participants weighted equally: ICC(1,1) for "
        "continuous biomarkers, Krippendorff's ordinal alpha for bucketed ones, with "
        f"{100 * confidence:g} % intervals by a jackknife over participants. True change between "
        "recordings counts as disagreement."
    )
    return prepared.finish(pd.DataFrame(rows).reindex(columns=columns), method)


def _row(marker: Biomarker, scores: Floats, people: Codes, confidence: float) -> dict[str, object]:
    scored = ~np.isnan(scores)
    n = np.bincount(people[scored], minlength=int(people.max(initial=0)) + 1)
    repeated = scored & (n[people] >= 2)
    _, who, n = np.unique(people[repeated], return_inverse=True, return_counts=True)
    row: dict[str, object] = {
        "biomarker": marker.name,
        "bucketed": marker.bucketed,
        "participants": len(n),
        "recordings": len(who),
        "recordings_per_participant": len(who) / len(n) if len(n) else np.nan,
        "form": "Krippendorff's alpha, ordinal" if marker.bucketed else "ICC(1,1)",
    }
    if len(n) < 2:
        return row | {"sentence": "Fewer than two participants with repeated recordings."}
    return row | (_alpha if marker.bucketed else _icc)(scores[repeated], who, n, confidence)


def _icc(scores: Floats, who: Codes, n: Codes, confidence: float) -> dict[str, object]:
    mean = np.bincount(who, scores) / n
    own = np.bincount(who, (scores - mean[who]) ** 2) / (n - 1)
    within = with_and_without(own)
    if within[0] < _NOTHING:
        same = "Each participant's scores are all the same: nothing to estimate."
        return {"within_sd": 0.0, "sentence": same}
    off, size = mean - mean.mean(), _sizes(n)
    # Without one of two participants there is nothing between them: NaN, and no interval.
    with np.errstate(divide="ignore", invalid="ignore"):
        of_means = (with_and_without(off**2) - with_and_without(off) ** 2) * size / (size - 1)
        between = of_means - with_and_without(own / n)
        coefficient = between / (between + within)
    interval = _coefficient_interval(coefficient, n, confidence)
    logs = np.log(within, where=within > _NOTHING, out=np.full(len(within), np.nan))
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


def _sizes(n: Codes) -> Floats:
    """Count the participants: all, then without each of them."""
    return np.append(len(n), np.full(len(n), len(n) - 1.0))


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
    known = expected > _NOTHING
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
    if n < FEWEST_FOR_INTERVAL or not variance > _NOTHING:
        return np.nan, np.nan
    # Few participants who make most of the difference widen the interval.
    kurtosis = float((off**4).mean()) / variance**2
    freedom = min(n - 1, 2 * n / max(kurtosis - 1, 1))
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * sqrt(variance / (n - 1))
    return float(pseudo.mean()) - half, float(pseudo.mean()) + half


# --- biomarkers with a questionnaire ------------------------------------------------------------


def agreement(
    results: Results,
    measure: str,
    *,
    biomarkers: str | Sequence[str] | None = None,
    measure_range: tuple[float, float] | None = None,
    warned: str = "keep",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare biomarkers with a questionnaire, or with another number in the table.

    ``between`` is the correlation of participants' means, with an interval by Fisher's z.
    ``within`` is the repeated measures correlation (Bakdash & Marusich 2017, Front Psychol 8:456):
    how far both rise and fall together in the same person. Participants weigh equally, and this
    correlation may differ between them: its interval comes from a jackknife over participants.
    Where recordings are equally many, it is that of ``pingouin.rm_corr``. For bucketed biomarkers
    both are correlations of ranks.

    ``bias`` is the mean difference, biomarker minus measure, where both run from 0 to 1. The
    limits of agreement hold 95 % of differences if these are normal (Bland & Altman 2007, J
    Biopharm Stat 17:571, several recordings per participant, true value varying). Bucketed
    biomarkers have neither.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    measure
        A column with a number for each recording, such as the sum of a questionnaire.
    biomarkers
        One or several; None means all.
    measure_range
        The lowest and the highest number that the measure can take, such as (0, 27) for the
        PHQ-9. None leaves bias and limits out.
    warned, confidence
        As for ``summarize_by_tag``; limits of agreement have the same coverage.

    Returns
    -------
    DataFrame
        A row per biomarker, over the recordings that have both; ``note`` says what is missing.

    Raises
    ------
    ResultsError
        If a column is missing, the measure has text or is beyond its range, or a setting is not
        valid.

    Examples
    --------
    >>> found = agreement(
    ...     "datasets/shift_study_results.parquet", "speech_s", biomarkers="mental_strain"
    ... )
    >>> found["participants"].item()
    120
    """
    check_confidence(confidence)
    prepared = prepare(results, biomarkers=biomarkers, needs=[measure], warned=warned)
    values = _measured(prepared.frame[measure], measure_range)
    rows = []
    for marker in prepared.biomarkers:
        scores = prepared.scores[marker.name]
        both = ~np.isnan(scores) & ~np.isnan(values)
        _, who = np.unique(prepared.people[both], return_inverse=True)
        x, y = scores[both], values[both]
        pair = (stats.rankdata(x), stats.rankdata(y)) if marker.bucketed else (x, y)
        row = {"biomarker": marker.name, "bucketed": marker.bucketed, "measure": measure}
        row |= _correlations(*pair, who, confidence)
        if not marker.bucketed and measure_range is not None:
            row |= _limits(x - y, who, confidence)
        rows.append(row | {"note": _lacking(row, measure_range)})
    table = pd.DataFrame(rows).reindex(columns=list(_AGREEMENT_COLUMNS)).astype({"note": "str"})
    method = (
        f"Agreement with {measure}, participants weighted equally, {100 * confidence:g} % "
        "intervals. Between: correlation of participants' means (Fisher's z). Within: repeated "
        "measures correlation (jackknife over participants). Correlations of bucketed biomarkers "
        "are of ranks. Bias and limits of agreement: Bland and Altman, several recordings per "
        "participant."
    )
    return prepared.finish(table, method)


def _measured(column: "pd.Series[Any]", measure_range: tuple[float, float] | None) -> Floats:
    """Read a column of numbers, which are text in a manifest; brought to 0 to 1 by their range."""
    text = as_text(column)
    numbers = pd.to_numeric(with_points(text), errors="coerce").to_numpy(
        dtype=np.float64, na_value=np.nan
    )
    wrong = text[text.notna().to_numpy() & ~np.isfinite(numbers)].unique()
    if len(wrong):
        shown = ", ".join(repr(value) for value in wrong[:3])
        message = f"The column {column.name!r} has text that is no number, such as {shown}."
        raise ResultsError(f"{message} Correct it, or leave the cells empty.")
    if measure_range is None:
        return numbers
    low, high = measure_range
    fits = (low < high) & (numbers >= low) & (numbers <= high)
    beyond = numbers[~fits & ~np.isnan(numbers)]
    if len(beyond):
        message = (
            f"measure_range is {low:g} to {high:g}, but {column.name!r} is also {beyond[0]:g}: "
            "give the lowest and the highest number that it can take."
        )
        raise ResultsError(message)
    return np.asarray((numbers - low) / (high - low))


def _correlations(x: Floats, y: Floats, who: Codes, confidence: float) -> dict[str, object]:
    n = np.bincount(who)
    means = [np.bincount(who, values) / n for values in (x, y)]
    off_x, off_y = (values - mean[who] for values, mean in zip((x, y), means, strict=True))
    pairs = (off_x, off_x), (off_y, off_y), (off_x, off_y)
    own = [_own_covariances(*pair, who) for pair in pairs]
    return {
        "participants": len(n),
        "participants_repeated": len(own[0]),
        "recordings": len(who),
        **with_ends("between", *_between(means, confidence)),
        **with_ends("within", *_within(own, confidence)),
    }


def _own_covariances(off_x: Floats, off_y: Floats, who: Codes) -> Floats:
    """Give the covariance of each participant with several recordings, from distances to means."""
    n = np.bincount(who)
    several = n >= 2
    return np.asarray(np.bincount(who, off_x * off_y)[several] / (n[several] - 1))


def _between(means: list[Floats], confidence: float) -> Floats:
    """Give the correlation of participants' means, and its interval."""
    n = len(means[0])
    if n < FEWEST_FOR_INTERVAL or min(np.var(mean) for mean in means) < _NOTHING:
        return np.full(3, np.nan)
    z = _fisher_z(stats.pearsonr(*means).statistic)
    half = float(stats.norm.ppf((1 + confidence) / 2)) / sqrt(n - 3) if n > 3 else np.nan
    return np.asarray(np.tanh([z, z - half, z + half]))


def _within(own: list[Floats], confidence: float) -> Floats:
    """Give the correlation within participants, from their variances and their covariance."""
    if len(own[0]) < FEWEST_FOR_INTERVAL:
        return np.full(3, np.nan)
    variance_x, variance_y, covariance = (with_and_without(each) for each in own)
    product = variance_x * variance_y
    z = np.full(len(product), np.nan)
    known = product > _NOTHING**2
    z[known] = _fisher_z(covariance[known] / np.sqrt(product[known]))
    return np.asarray(np.tanh([z[0], *jackknife(z, confidence)]))


def _fisher_z(correlation: Any) -> Any:
    # Rounding must not carry a correlation beyond 1, where z is not finite.
    return np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12))


def _limits(difference: Floats, who: Codes, confidence: float) -> dict[str, object]:
    n = np.bincount(who)
    if len(n) < FEWEST_FOR_INTERVAL:
        return {}
    mean = np.bincount(who, difference) / n
    off = difference - mean[who]
    own = _own_covariances(off, off, who)
    within = own.mean() if len(own) else 0.0
    # Differences of single recordings vary more than means of several do.
    sd = sqrt(mean.var(ddof=1) + within * (1 - (1 / n).mean()))
    bias = float(mean.mean())
    half = float(stats.t.ppf((1 + confidence) / 2, len(n) - 1)) * mean.std(ddof=1) / sqrt(len(n))
    reach = float(stats.norm.ppf((1 + confidence) / 2)) * sd
    limits = {"limits_low": bias - reach, "limits_high": bias + reach}
    return with_ends("bias", bias, bias - half, bias + half) | limits


def _lacking(row: dict[str, Any], measure_range: object) -> str | None:
    """Write what a row does not have, and why."""
    if row["participants"] < FEWEST_FOR_INTERVAL:
        return f"Fewer than {FEWEST_FOR_INTERVAL} participants have both."
    notes = []
    if np.isnan(row["between"]):
        notes.append("No correlation between: all participants have the same mean.")
    if np.isnan(row["within"]):
        few = f"fewer than {FEWEST_FOR_INTERVAL} participants have several recordings"
        notes.append(f"No correlation within: {few}, or {row['measure']} or the score is constant.")
    if measure_range is None and not row["bucketed"]:
        notes.append(f"No bias: give measure_range, the numbers that {row['measure']} can take.")
    return " ".join(notes) or None
