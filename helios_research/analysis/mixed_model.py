"""A linear mixed model with a random intercept per participant, fitted by statsmodels."""

import warnings
from dataclasses import dataclass, replace

import numpy as np

from helios_research.analysis.tables import Codes, Floats

# BFGS is quick but often gives up where the variance between participants is small; Powell's
# method then finds the maximum. statsmodels' own second choice, L-BFGS, may stop at a variance of
# zero and report success. (Held against the closed form of balanced data.)
_OPTIMIZERS = ["bfgs", "powell"]
# Below this share of the total a variance is zero for practical purposes; where the residual
# variance is, statsmodels' standard errors are wrong though it reports success.
_LEAST_SHARE = 1e-6


@dataclass(frozen=True, slots=True)
class MixedFit:
    """What a fitted model says."""

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
