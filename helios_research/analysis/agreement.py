"""How far biomarkers agree with a questionnaire."""

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from helios_research.analysis.intervals import FEWEST_FOR_INTERVAL, check_confidence, with_ends
from helios_research.analysis.levels import as_text
from helios_research.analysis.prepared import Codes, Floats, Results, prepare
from helios_research.analysis.reliability import NOTHING, jackknife, with_and_without
from helios_research.errors import ResultsError

AGREEMENT_COLUMNS = (
    *("biomarker", "bucketed", "measure", "participants", "participants_repeated", "recordings"),
    *("between", "between_low", "between_high", "within", "within_low", "within_high"),
    *("bias", "bias_low", "bias_high", "limits_low", "limits_high", "note"),
)


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
    limits of agreement hold 95 % of differences if these are normal; several recordings per
    participant are taken into account (Bland & Altman 2007, J Biopharm Stat 17:571, true value
    varying). Bucketed biomarkers have neither.

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
    warned
        Whether to "keep" or to "drop" scores with a warning from Helios.
    confidence
        Coverage of the intervals and of the limits of agreement (between 0 and 1).

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
    table = pd.DataFrame(rows).reindex(columns=list(AGREEMENT_COLUMNS)).astype({"note": "str"})
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
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
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
    scaled: Floats = (numbers - low) / (high - low)
    return scaled


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
    covariances: Floats = np.bincount(who, off_x * off_y)[several] / (n[several] - 1)
    return covariances


def _between(means: list[Floats], confidence: float) -> Floats:
    """Give the correlation of participants' means, and its interval."""
    n = len(means[0])
    if n < FEWEST_FOR_INTERVAL or min(np.var(mean) for mean in means) < NOTHING:
        return np.full(3, np.nan)
    z = _fisher_z(stats.pearsonr(*means).statistic)
    half = float(stats.norm.ppf((1 + confidence) / 2)) / sqrt(n - 3) if n > 3 else np.nan
    ends: Floats = np.tanh(np.array([z, z - half, z + half]))
    return ends


def _within(own: list[Floats], confidence: float) -> Floats:
    """Give the correlation within participants, from their variances and their covariance."""
    if len(own[0]) < FEWEST_FOR_INTERVAL:
        return np.full(3, np.nan)
    variance_x, variance_y, covariance = (with_and_without(each) for each in own)
    product = variance_x * variance_y
    z = np.full(len(product), np.nan)
    known = product > NOTHING**2
    z[known] = _fisher_z(covariance[known] / np.sqrt(product[known]))
    ends: Floats = np.tanh(np.array([z[0], *jackknife(z, confidence)]))
    return ends


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
