"""A linear mixed model with a random intercept per participant, fitted by statsmodels."""

import warnings
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from scipy import stats

from helios_research.analysis.prepared import Codes, Floats

# BFGS is quick but often gives up where the variance between participants is small; Powell's
# method then finds the maximum. statsmodels' own second choice, L-BFGS, may stop at a variance of
# zero and report success. (Held against the closed form of balanced data.)
_OPTIMIZERS = ["bfgs", "powell"]
# Below this share of the total a variance is zero for practical purposes; where the residual
# variance is, statsmodels' standard errors are wrong though it reports success.
_LEAST_SHARE = 1e-6


@dataclass(frozen=True, slots=True)
class MixedFit:
    """A fitted model: each level less the first, standard errors and variances."""

    differences: Floats
    standard_errors: Floats
    person_variance: float
    residual_variance: float
    problem: str = ""

    @property
    def converged(self) -> bool:
        """Whether the optimizer found the maximum and every number can be used."""
        return not self.problem

    @property
    def on_boundary(self) -> bool:
        """Whether participants differ no more than their own recordings do."""
        return self.person_variance < _LEAST_SHARE * self.residual_variance


def fit_random_intercept(scores: Floats, levels: Codes, people: Codes) -> MixedFit:
    """Fit ``score ~ level + (1 | participant)`` by REML.

    What the optimizer warns of is in ``problem``, never printed. The tests check the fit against
    the closed form that balanced data have.
    """
    # statsmodels takes about a second to import; only a mixed model needs it.
    from statsmodels.regression.mixed_linear_model import MixedLM

    n_levels = int(levels.max()) + 1
    design = np.column_stack(
        [np.ones(len(scores)), *(levels == level for level in range(1, n_levels))]
    ).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = MixedLM(scores, design, groups=people).fit(reml=True, method=_OPTIMIZERS)
            errors = np.sqrt(np.diag(np.asarray(fit.cov_params()))[1:n_levels])
        except (np.linalg.LinAlgError, ValueError):
            none = np.full(n_levels - 1, np.nan)
            return MixedFit(none, none, np.nan, np.nan, problem="its equations are singular")
    fitted = MixedFit(
        np.asarray(fit.fe_params[1:], dtype=np.float64),
        np.asarray(errors, dtype=np.float64),
        float(np.asarray(fit.cov_re)[0, 0]),
        float(fit.scale),
    )
    return replace(fitted, problem=_problem(fitted, converged=bool(fit.converged)))


def _problem(fit: MixedFit, *, converged: bool) -> str:
    if not converged:
        return "the optimizer found no maximum"
    numbers = (fit.differences, fit.standard_errors, fit.person_variance, fit.residual_variance)
    if not all(np.isfinite(number).all() for number in numbers):
        return "some of its numbers are not finite"
    if fit.residual_variance < _LEAST_SHARE * (fit.person_variance + fit.residual_variance):
        return "scores hardly vary within participants"
    return ""


NAN = float("nan")
TOO_FEW = "Fewer than two participants on one side: not compared."


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
    converged: bool | None = None
    sentence: str


def no_test(sentence: str, difference: float = NAN) -> EffectEstimate:
    """Give the reason why there is no test."""
    return EffectEstimate(sentence=sentence, difference=difference)


def compare_means(reference: Floats, level: Floats, confidence: float) -> EffectEstimate:
    """Compare the means of two sets of different participants (Welch 1947).

    The effect is Hedges' g: the difference over the pooled SD, corrected for small samples, with
    the interval of Hedges & Olkin (1985, p. 86). Checked against ``pingouin.ttest``,
    ``compute_effsize`` and ``compute_esci``.
    """
    if min(len(reference), len(level)) < 2:
        return no_test(TOO_FEW)
    difference = float(level.mean() - reference.mean())
    if _is_constant(reference) and _is_constant(level):
        return no_test("All scores on each side are the same: no test.", difference)
    found = stats.ttest_ind(level, reference, equal_var=False)
    interval = found.confidence_interval(confidence)
    n = (len(reference), len(level))
    freedom = sum(n) - 2
    spread = sqrt(((n[0] - 1) * reference.var(ddof=1) + (n[1] - 1) * level.var(ddof=1)) / freedom)
    g = difference / spread * (1 - 3 / (4 * sum(n) - 9))
    margin = stats.t.ppf((1 + confidence) / 2, freedom) * sqrt(
        sum(n) / (n[0] * n[1]) + g**2 / (2 * sum(n))
    )
    return EffectEstimate(
        test="Welch's t",
        sentence=f"Welch's t-test on {n[0]} against {n[1]} participants; the effect is Hedges' g.",
        statistic=float(found.statistic),
        df=float(found.df),
        p=float(found.pvalue),
        difference=difference,
        difference_low=float(interval.low),
        difference_high=float(interval.high),
        effect_name="Hedges' g",
        effect=g,
        effect_low=g - margin,
        effect_high=g + margin,
    )


def compare_paired_means(reference: Floats, level: Floats, confidence: float) -> EffectEstimate:
    """Compare two means of the same participants.

    The effect is Hedges' g with the average of the two variances (Cumming 2012, ch. 11), so that
    it can be held beside one from different participants. Checked against ``pingouin``.
    """
    n = len(level)
    if n < 2:
        return no_test("Fewer than two participants on both sides: not compared.")
    change = level - reference
    difference = float(change.mean())
    if _is_constant(change):
        return no_test("Every participant differs by the same amount: no test.", difference)
    found = stats.ttest_rel(level, reference)
    interval = found.confidence_interval(confidence)
    spread = sqrt((reference.var(ddof=1) + level.var(ddof=1)) / 2)
    g = difference / spread * (1 - 3 / (4 * 2 * n - 9))
    margin = stats.t.ppf((1 + confidence) / 2, n - 1) * sqrt(1 / n + g**2 / (2 * n))
    return EffectEstimate(
        test="paired t",
        sentence=f"Paired t-test on {n} participants who have both; the effect is Hedges' g with "
        "the average variance.",
        statistic=float(found.statistic),
        df=float(found.df),
        p=float(found.pvalue),
        difference=difference,
        difference_low=float(interval.low),
        difference_high=float(interval.high),
        effect_name="Hedges' g (paired)",
        effect=g,
        effect_low=g - margin,
        effect_high=g + margin,
    )


def compare_ranks(reference: Floats, level: Floats, confidence: float) -> EffectEstimate:
    """Compare ordinal scores of two sets of different participants (Brunner & Munzel 2000).

    Unlike the Mann-Whitney test it does not need equal spread, allows ties, and its interval
    agrees with its p. The effect is Cliff's delta: how much more likely a participant of the
    level has the higher score than the lower one, from -1 to 1. Checked against the example
    of Brunner & Munzel (2000, Biometrical Journal 42, table 1) and ``scipy.stats``.
    """
    if min(len(reference), len(level)) < 2:
        return no_test(TOO_FEW)
    n, m = len(reference), len(level)
    placed = stats.rankdata(np.concatenate([reference, level]))
    above_reference = (placed[:n] - stats.rankdata(reference)) / m
    above_level = (placed[n:] - stats.rankdata(level)) / n
    superior = float(above_level.mean())
    delta = 2 * superior - 1
    spread = above_reference.var(ddof=1) / n, above_level.var(ddof=1) / m
    who = f"{n} against {m} participants, each with the median of their scores"
    if sum(spread) == 0:
        return _without_overlap(reference, level, delta, who)
    found = stats.brunnermunzel(reference, level)
    df = sum(spread) ** 2 / (spread[0] ** 2 / (n - 1) + spread[1] ** 2 / (m - 1))
    margin = 2 * stats.t.ppf((1 + confidence) / 2, df) * sqrt(sum(spread))
    return EffectEstimate(
        test="Brunner-Munzel",
        sentence=f"Brunner-Munzel rank test on {who}; the effect is Cliff's delta.",
        statistic=float(found.statistic),
        df=df,
        p=float(found.pvalue),
        effect_name="Cliff's delta",
        effect=delta,
        effect_low=max(-1.0, delta - margin),
        effect_high=min(1.0, delta + margin),
    )


def _without_overlap(reference: Floats, level: Floats, delta: float, who: str) -> EffectEstimate:
    if delta == 0:
        return no_test(f"All scores are the same ({who}): no test.")
    found = stats.mannwhitneyu(level, reference)
    return EffectEstimate(
        test="Mann-Whitney U",
        sentence=f"Mann-Whitney U test on {who}: the two sides do not overlap, so there is no interval.",
        statistic=float(found.statistic),
        p=float(found.pvalue),
        effect_name="Cliff's delta",
        effect=delta,
    )


def compare_paired_ranks(reference: Floats, level: Floats, confidence: float) -> EffectEstimate:
    """Compare ordinal scores of the same participants (Wilcoxon 1945, ties after Pratt 1959).

    The effect is the share of participants who are higher minus the share who are lower, from
    -1 to 1 (Cliff's paired delta within participants, 1996), with a t interval. Checked against
    ``scipy.stats``.
    """
    n = len(level)
    change = level - reference
    if n < 2:
        return no_test("Fewer than two participants on both sides: not compared.")
    who = f"{n} participants who have both, each with the median of their scores"
    if not change.any():
        return no_test(f"No participant differs ({who}): no test.")
    with warnings.catch_warnings():
        # The sentence names the normal approximation; scipy warns of it in a small sample.
        warnings.simplefilter("ignore", UserWarning)
        found = stats.wilcoxon(change, zero_method="pratt", method="approx")
    signs = np.sign(change)
    margin = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * signs.std(ddof=1) / sqrt(n)
    return EffectEstimate(
        test="Wilcoxon signed-rank",
        sentence=f"Wilcoxon signed-rank test (normal approximation, ties after Pratt) on {who}; the effect "
        "is the share of them who are higher minus the share who are lower.",
        statistic=float(found.statistic),
        p=float(found.pvalue),
        effect_name="paired delta",
        effect=float(signs.mean()),
        effect_low=max(-1.0, signs.mean() - margin),
        effect_high=min(1.0, signs.mean() + margin),
    )


def _is_constant(values: Floats) -> bool:
    return bool(np.ptp(values) < 1e-12)
