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

MEANS_EFFECT = "Hedges' g"
RANKS_EFFECT = "P(higher) \N{MINUS SIGN} P(lower)"
MIXED_MODEL = "mixed model, CR2"

# Below this a spread is rounding.
NOTHING = 1e-12
# More of the variance is not taken to lie between participants: else one participant at two levels,
# where all others are at one, would decide alone (false alarms in half of simulated studies).
# Nothing changes where all participants have the same levels.
_MOST_SHARE = 0.9
# Numbers of the matrices of participants' patterns that are worked on at a time.
_CHUNK = 2_000_000


@dataclass(frozen=True, slots=True)
class Contrast:
    """A difference of means with its error, or only the sentence that says why there is none.

    ``sd`` (and its df) is of participants' means.
    """

    sentence: str
    difference: float = np.nan
    error: float = np.nan
    df: float = np.nan
    sd: float = np.nan
    sd_df: float = np.nan
    test: str = ""


TOO_FEW = Contrast(f"Fewer than {FEWEST_FOR_INTERVAL} participants on one side: not compared.")


def contrasts(
    cells: pd.DataFrame, column: object, n_levels: int, of: str = "means"
) -> list[Contrast]:
    """Compare each level with level 0 (one alone with zero), or say why it cannot be compared."""
    values, levels = cells[column].to_numpy(np.float64), cells["group"].to_numpy(np.intp)
    people = cells["person"].to_numpy(np.intp)
    if n_levels == 1:
        return [against_zero(values)]
    if len(np.unique(people)) == len(people):
        sides = [values[levels == level] for level in range(n_levels)]
        return [_welch(sides[0], side, of) for side in sides[1:]]
    usable = np.flatnonzero(np.bincount(levels, minlength=n_levels) >= FEWEST_FOR_INTERVAL)
    found = [TOO_FEW] * n_levels
    if usable[:1].tolist() == [0] and len(usable) > 1:
        kept = np.isin(levels, usable)
        places = np.searchsorted(usable, levels[kept])
        fit = fit_random_intercept(values[kept], places, people[kept])
        for place, level in enumerate(usable[1:]):
            found[level] = _of_model(fit, place)
    return found[1:]


def _welch(reference: Floats, level: Floats, of: str) -> Contrast:
    n = np.array([len(reference), len(level)])
    if n.min() < FEWEST_FOR_INTERVAL:
        return TOO_FEW
    variances = np.array([reference.var(ddof=1), level.var(ddof=1)])
    parts = variances / n
    error = float(np.sqrt(parts.sum()))
    if error < NOTHING:
        return Contrast("All participants of each side are the same: no test.")
    return Contrast(
        f"Welch's t-test on the {of} of {n[0]:,} against {n[1]:,} participants.",
        difference=float(level.mean() - reference.mean()),
        error=error,
        df=float(parts.sum() ** 2 / (parts**2 / (n - 1)).sum()),
        sd=float(np.sqrt(((n - 1) * variances).sum() / (n.sum() - 2))),
        sd_df=float(n.sum() - 2),
        test="Welch's t",
    )


def against_zero(values: Floats) -> Contrast:
    """Compare the mean of participants' values with zero."""
    n = len(values)
    if n < FEWEST_FOR_INTERVAL:
        return Contrast(f"Fewer than {FEWEST_FOR_INTERVAL} participants: no test.")
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    if sd < NOTHING:
        return Contrast("All participants are the same: no test.")
    sentence = f"One-sample t-test on {n:,} participants."
    return Contrast(sentence, mean, sd / sqrt(n), n - 1.0, sd, n - 1.0, "one-sample t")


def _of_model(fit: "MixedFit", place: int) -> Contrast:
    error, df = float(fit.errors[place]), float(fit.df[place])
    if error < NOTHING:
        return Contrast("Every participant differs by the same amount: no test.")
    if not df >= 1:
        return Contrast("Too few participants for the number of levels: not compared.")
    boundary = "" if fit.person_share else " The variance between participants came out as zero."
    return Contrast(
        "Linear mixed model (REML) with a random intercept per participant on the means "
        f"of {counted(fit.n_people, 'participant')} at each level, with standard errors robust to "
        f"how differently participants change (CR2, Satterthwaite).{boundary}",
        difference=float(fit.differences[place]),
        error=error,
        df=df,
        sd=sqrt(fit.total_variance),
        sd_df=fit.n_people - 1.0,
        test=MIXED_MODEL,
    )


def effect_columns(
    contrast: Contrast, confidence: float, *, most_by_rank: float | None = None
) -> dict[str, Any]:
    """Give what is found of a contrast as the columns of a comparison, in their order.

    A difference of means is in points of the score, and over the SD of participants' means, which
    its interval takes as known: Hedges' g, corrected for small samples (Hedges 2007, JEBS 32:341).
    A difference of mean ridits is P(higher) less P(lower), at most ``most_by_rank``.
    """
    margin = float(stats.t.ppf((1 + confidence) / 2, contrast.df)) * contrast.error
    points = contrast.difference + np.array([0, -margin, margin])
    if most_by_rank is None:
        scale = (1 - 3 / (4 * max(contrast.sd_df, 1.0) - 1)) / max(contrast.sd, NOTHING)
        name, effect = MEANS_EFFECT, scale * points
    else:
        name, effect = RANKS_EFFECT, 2 * points
        effect[1:] = np.clip(effect[1:], -most_by_rank, most_by_rank)
        points = np.full(3, np.nan)
    statistic = contrast.difference / contrast.error
    return {
        **with_ends("difference", *points),
        "effect_name": name if contrast.test else "",
        **with_ends("effect", *effect),
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
