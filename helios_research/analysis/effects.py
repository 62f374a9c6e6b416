"""How levels differ: Welch's t between participants, a mixed model with robust errors within them.

Both start from cell means, the mean of each participant at each level, so that participants weigh
equally whatever the number of their recordings.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, stats

from helios_research._util.text import counted
from helios_research.analysis.intervals import FEWEST_FOR_INTERVAL, with_ends
from helios_research.analysis.prepared import Codes, Floats
from helios_research.columns import BUCKET_LEVELS

NAN = float("nan")
TOO_FEW = f"Fewer than {FEWEST_FOR_INTERVAL} participants on one side: not compared."
MEANS_EFFECT = "Hedges' g"
RANKS_EFFECT = "P(higher) \N{MINUS SIGN} P(lower)"
WELCH = "Welch's t"
MIXED_MODEL = "mixed model, CR2"
ONE_SAMPLE = "one-sample t"

# Below this a spread is rounding.
NOTHING = 1e-12
# More of the variance is not taken to lie between participants: else one participant at two levels,
# where all others are at one, would decide alone (false alarms in half of simulated studies).
# Nothing changes where all participants have the same levels.
_MOST_SHARE = 0.9
# Numbers of the matrices of participants' patterns that are worked on at a time.
_CHUNK = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectEstimate:
    """How a level differs from the reference: columns of the comparison, in their order."""

    difference: float = NAN
    difference_low: float = NAN
    difference_high: float = NAN
    effect_name: str = ""
    effect: float = NAN
    effect_low: float = NAN
    effect_high: float = NAN
    test: str = ""
    statistic: float = NAN
    df: float = NAN
    p: float = NAN
    sentence: str


@dataclass(frozen=True, slots=True)
class Contrast:
    """A difference of means with its error; ``sd`` (and its df) is of participants' means."""

    difference: float
    error: float
    df: float
    sd: float
    sd_df: float
    test: str
    sentence: str


def contrasts(cells: pd.DataFrame, column: object, n_levels: int) -> list[Contrast | str]:
    """Compare each level with level 0 (one alone with zero), or say why it cannot be compared."""
    values, levels = cells[column].to_numpy(np.float64), cells["group"].to_numpy(np.intp)
    people = cells["person"].to_numpy(np.intp)
    if n_levels == 1:
        return [against_zero(values)]
    if len(np.unique(people)) == len(people):
        sides = [values[levels == level] for level in range(n_levels)]
        return [_welch(sides[0], side) for side in sides[1:]]
    n = np.bincount(levels, minlength=n_levels)
    usable = np.flatnonzero(n >= FEWEST_FOR_INTERVAL)
    if usable[:1].tolist() != [0] or len(usable) < 2:
        return [TOO_FEW] * (n_levels - 1)
    kept = np.isin(levels, usable)
    fit = fit_random_intercept(values[kept], np.searchsorted(usable, levels[kept]), people[kept])
    places = {int(level): place for place, level in enumerate(usable)}
    return [
        _of_model(fit, places[level]) if level in places else TOO_FEW
        for level in range(1, n_levels)
    ]


def _welch(reference: Floats, level: Floats) -> Contrast | str:
    n = np.array([len(reference), len(level)])
    if n.min() < FEWEST_FOR_INTERVAL:
        return TOO_FEW
    variances = np.array([reference.var(ddof=1), level.var(ddof=1)])
    parts = variances / n
    error = float(np.sqrt(parts.sum()))
    if error < NOTHING:
        return "All participants of each side are the same: no test."
    return Contrast(
        difference=float(level.mean() - reference.mean()),
        error=error,
        df=float(parts.sum() ** 2 / (parts**2 / (n - 1)).sum()),
        sd=float(np.sqrt(((n - 1) * variances).sum() / (n.sum() - 2))),
        sd_df=float(n.sum() - 2),
        test=WELCH,
        sentence=f"Welch's t-test on the means of {n[0]:,} against {n[1]:,} participants.",
    )


def against_zero(values: Floats) -> Contrast | str:
    """Compare the mean of participants' values with zero."""
    if len(values) < FEWEST_FOR_INTERVAL:
        return f"Fewer than {FEWEST_FOR_INTERVAL} participants: no test."
    sd = float(values.std(ddof=1))
    if sd < NOTHING:
        return "All participants are the same: no test."
    return Contrast(
        difference=float(values.mean()),
        error=sd / sqrt(len(values)),
        df=len(values) - 1.0,
        sd=sd,
        sd_df=len(values) - 1.0,
        test=ONE_SAMPLE,
        sentence=f"One-sample t-test on {len(values):,} participants.",
    )


def _of_model(fit: "MixedFit", level: int) -> Contrast | str:
    error, df = float(fit.errors[level - 1]), float(fit.df[level - 1])
    if error < NOTHING:
        return "Every participant differs by the same amount: no test."
    if not df >= 1:
        return "Too few participants for the number of levels: not compared."
    boundary = "" if fit.person_share else " The variance between participants came out as zero."
    return Contrast(
        difference=float(fit.differences[level - 1]),
        error=error,
        df=df,
        sd=sqrt(fit.total_variance),
        sd_df=fit.n_people - 1.0,
        test=MIXED_MODEL,
        sentence="Linear mixed model (REML) with a random intercept per participant on the means "
        f"of {counted(fit.n_people, 'participant')} at each level, with standard errors robust to "
        f"how differently participants change (CR2, Satterthwaite).{boundary}",
    )


def estimate_means(contrast: Contrast | str, confidence: float) -> EffectEstimate:
    """Give a difference of means in points of the score, and as Hedges' g.

    g is the difference over the SD of participants' means, corrected for small samples (Hedges
    2007, JEBS 32:341); its interval is that of the difference and takes the SD as known.
    """
    if isinstance(contrast, str):
        return EffectEstimate(sentence=contrast)
    low, high = _ends(contrast, confidence)
    scale = (1 - 3 / (4 * max(contrast.sd_df, 1.0) - 1)) / max(contrast.sd, NOTHING)
    return EffectEstimate(
        **with_ends("difference", contrast.difference, low, high),
        effect_name=MEANS_EFFECT,
        **with_ends("effect", scale * contrast.difference, scale * low, scale * high),
        **_test_of(contrast),
    )


def estimate_ranks(
    contrast: Contrast | str, confidence: float, *, most: float = 1.0
) -> EffectEstimate:
    """Give a difference of mean ridits as P(higher) less P(lower), from ``-most`` to ``most``."""
    if isinstance(contrast, str):
        return EffectEstimate(sentence=contrast)
    ends = (float(np.clip(2 * end, -most, most)) for end in _ends(contrast, confidence))
    effect = with_ends("effect", 2 * contrast.difference, *ends)
    return EffectEstimate(effect_name=RANKS_EFFECT, **effect, **_test_of(contrast))


def _ends(contrast: Contrast, confidence: float) -> tuple[float, float]:
    margin = float(stats.t.ppf((1 + confidence) / 2, contrast.df)) * contrast.error
    return contrast.difference - margin, contrast.difference + margin


def _test_of(contrast: Contrast) -> dict[str, Any]:
    statistic = contrast.difference / contrast.error
    return {
        "test": contrast.test,
        "statistic": statistic,
        "df": contrast.df,
        "p": float(2 * stats.t.sf(abs(statistic), contrast.df)),
        "sentence": contrast.sentence,
    }


def mean_ridits(cells: pd.DataFrame) -> Floats:
    """Give the cells of a bucketed biomarker their mean ridit.

    A ridit (Bross 1958) is the share of all scores below a level plus half of those at it: twice
    the difference of two groups' means is P(higher) less P(lower).
    """
    shares = cells[[*range(len(BUCKET_LEVELS))]].to_numpy(np.float64)
    together = shares.sum(axis=0) / max(len(shares), 1)
    ridits: Floats = shares @ (np.cumsum(together) - together / 2)
    return ridits


@dataclass(frozen=True, slots=True)
class MixedFit:
    """A fitted model: each level less the first (of a line the slope), their CR2 errors and df.

    ``parts`` is what each participant adds to the differences, whose squares make up the errors';
    ``person_share`` is the part of ``total_variance`` that lies between participants.
    """

    differences: Floats
    errors: Floats
    df: Floats
    person_share: float
    total_variance: float
    n_people: int
    parts: Floats


def fit_random_intercept(
    values: Floats, levels: Codes, people: Codes, steps: Floats | None = None
) -> MixedFit:
    """Fit ``value ~ level + (1 | participant)`` by REML, one value per participant and level.

    With ``steps``, a number for each level, it is a straight line over these numbers. The
    likelihood has one dimension, the share of the variance between participants, so that its
    maximum is always found. Standard errors are cluster robust (CR2: Bell & McCaffrey 2002),
    degrees of freedom Satterthwaite's (Pustejovsky & Tipton 2018, JBES 36:672).
    """
    _, rows = np.unique(people, return_inverse=True)
    n_levels = int(levels.max()) + 1 if steps is None else len(steps)
    present, table = np.zeros((2, int(rows.max()) + 1, n_levels))
    present[rows, levels], table[rows, levels] = 1.0, values
    # The means of the levels are the model times its parameters; differences are those of means.
    model, against = np.eye(n_levels), np.vstack([-np.ones(n_levels - 1), np.eye(n_levels)[1:, 1:]])
    if steps is not None:
        line = (steps - steps.mean())[:, None]
        model, against = np.hstack([np.ones_like(line), line]), line / (line**2).sum()
    share = _person_share(present, table, model)
    ratio = share / (1 - share)
    inverse, means, rss, _ = _generalized_least_squares(present, table, model, ratio)
    parts, df = _robust_parts(present, present * (table - means), inverse, ratio, against)
    errors = np.sqrt((parts**2).sum(axis=0))
    total = rss / max(len(values) - model.shape[1], 1) * (1 + ratio)
    return MixedFit(against.T @ means, errors, df, share, total, len(present), parts)


def _generalized_least_squares(
    present: Floats, table: Floats, model: Floats, ratio: float
) -> tuple[Floats, Floats, float, float]:
    """Give the means' covariance, the means, the weighted sum of squares, and the log information."""
    shrink = ratio / (1 + ratio * present.sum(axis=1))
    total = table.sum(axis=1)
    information = np.diag(present.sum(axis=0)) - present.T @ (shrink[:, None] * present)
    information = model.T @ information @ model
    inverse = model @ np.linalg.pinv(information, hermitian=True) @ model.T
    means = inverse @ (table.sum(axis=0) - present.T @ (shrink * total))
    # From residuals: the difference of two sums of squares would lose its digits.
    left = present * (table - means)
    rss = float((left**2).sum() - (shrink * left.sum(axis=1) ** 2).sum())
    return inverse, means, rss, float(np.linalg.slogdet(information)[1])


def _person_share(present: Floats, table: Floats, model: Floats) -> float:
    """Find the share of the variance that lies between participants, by REML."""
    each = present.sum(axis=1)
    freedom = each.sum() - model.shape[1]

    def deviance(share: float) -> float:
        ratio = share / (1 - share)
        _, _, rss, information = _generalized_least_squares(present, table, model, ratio)
        spread = freedom * np.log(max(rss, 1e-300))
        return float(spread + np.log1p(ratio * each).sum() + information)

    found = optimize.minimize_scalar(
        deviance, bounds=(0, _MOST_SHARE), method="bounded", options={"xatol": 1e-9}
    )
    return 0.0 if deviance(0.0) <= found.fun or found.x < 1e-6 else float(found.x)


def _robust_parts(
    present: Floats, residuals: Floats, inverse: Floats, ratio: float, against: Floats
) -> tuple[Floats, Floats]:
    """Give what each participant adds to each difference, adjusted as by CR2, and its df."""
    n_levels, n_differences = against.shape
    # All participants with the same levels have the same matrices.
    patterns, which = np.unique(present, axis=0, return_inverse=True)
    which = which.ravel()
    counts = np.bincount(which)
    parts = np.zeros((len(present), n_differences))
    own, own_squared = np.zeros((2, n_differences))
    outer = np.zeros((n_differences, n_levels, n_levels))
    for chunk in np.array_split(np.arange(len(patterns)), -(-patterns.size * n_levels // _CHUNK)):
        weights, own_part = _adjusted(patterns[chunk], inverse, ratio, against)
        fitted = np.einsum("pkc,kl,plc->pc", weights, inverse, weights)
        times = counts[chunk, None]
        own += (times * (own_part - fitted)).sum(axis=0)
        own_squared += (times * (own_part**2 - 2 * own_part * fitted)).sum(axis=0)
        outer += np.einsum("p,pkc,plc->ckl", counts[chunk], weights, weights)
        here = np.isin(which, chunk)
        parts[here] = np.einsum("ik,ikc->ic", residuals[here], weights[which[here] - chunk[0]])
    crossed = np.einsum("kl,clm,mn,cnk->c", inverse, outer, inverse, outer, optimize=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return parts, own**2 / (own_squared + crossed)


def _adjusted(
    patterns: Floats, inverse: Floats, ratio: float, against: Floats
) -> tuple[Floats, Floats]:
    """Weigh the residuals of each pattern as by CR2, and give the variance of what one adds."""
    pairs = patterns[:, :, None] * patterns[:, None, :]
    # Levels that a pattern lacks have a one on the diagonal and take no part.
    covariance = np.eye(patterns.shape[1]) + ratio * pairs
    root = np.linalg.cholesky(covariance).transpose(0, 2, 1)
    middle = root @ (covariance - pairs * inverse) @ root.transpose(0, 2, 1)
    size, vectors = np.linalg.eigh(middle)
    powered = np.where(size > 1e-10, np.maximum(size, 1e-10) ** -0.5, 0.0)
    adjust = root.transpose(0, 2, 1) @ (vectors * powered[:, None, :]) @ vectors.transpose(0, 2, 1)
    adjust = adjust @ root
    shrink = ratio / (1 + ratio * patterns.sum(axis=1))
    precision = np.eye(patterns.shape[1]) * patterns[:, None, :] - shrink[:, None, None] * pairs
    weights: Floats = adjust.transpose(0, 2, 1) @ precision @ (inverse @ against)
    weights = weights * patterns[:, :, None]
    return weights, np.einsum("pkc,pkl,plc->pc", weights, covariance, weights)
