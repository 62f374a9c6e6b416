"""The mixed model agrees with R's lme4, lmerTest and clubSandwich on three small studies.

The numbers come from R 4.2.2 with lme4 1.1-31, lmerTest 3.1-3 and clubSandwich 0.5.8, where ``d``
has a row per participant and level with the mean of the participant's scores there:

    d$level <- factor(d$level, levels = unique(d$level))
    m <- lmer(score ~ level + (1 | person), d, REML = TRUE,
              control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-12)))
    as.data.frame(VarCorr(m))
    coef_test(m, vcov = vcovCR(m, type = "CR2"), test = "Satterthwaite")

Where the person variance is zero, the same follows from least squares:

    l <- lm(score ~ level, d)
    coef_test(l, vcov = vcovCR(l, cluster = d$person, type = "CR2"), test = "Satterthwaite")

The line over visits is that of ``lmer(score ~ visit + (1 | person), d, …)``.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from helios_research.analysis import compare_by_tag
from helios_research.analysis.effects import fit_random_intercept


class Study(NamedTuple):
    """What was recorded, and what R says of each level less the first."""

    scores: dict[tuple[int, str], list[float]]
    estimate: list[float]
    error: list[float]
    df: list[float]
    p: list[float]
    person_variance: float
    residual_variance: float


# Eight participants at two levels, with 1 to 4 recordings at each.
UNEQUAL = Study(
    {
        (1, "day"): [0.412, 0.455, 0.431],
        (1, "night"): [0.498, 0.527],
        (2, "day"): [0.305],
        (2, "night"): [0.391, 0.342, 0.377, 0.402],
        (3, "day"): [0.622, 0.588],
        (3, "night"): [0.603],
        (4, "day"): [0.254, 0.287, 0.301, 0.266],
        (4, "night"): [0.471, 0.449],
        (5, "day"): [0.518, 0.543],
        (5, "night"): [0.561, 0.549, 0.532],
        (6, "day"): [0.377],
        (6, "night"): [0.352],
        (7, "day"): [0.466, 0.431, 0.449],
        (7, "night"): [0.642, 0.668, 0.627],
        (8, "day"): [0.583, 0.561],
        (8, "night"): [0.601, 0.655, 0.640, 0.622],
    },
    estimate=[0.07252083333],
    error=[0.02870564967],
    df=[7.0],
    p=[3.944212455e-02],
    person_variance=0.01020173016102,
    residual_variance=0.00329605729111,
)

# Ten participants at three sites, each at one, two or all of them.
OVERLAP = Study(
    {
        (1, "Girona"): [0.311, 0.352],
        (1, "Leeds"): [0.402],
        (2, "Girona"): [0.447],
        (2, "Leeds"): [0.431, 0.478],
        (2, "Turku"): [0.529],
        (3, "Girona"): [0.274, 0.263, 0.291],
        (3, "Turku"): [0.388, 0.341],
        (4, "Girona"): [0.536, 0.502],
        (5, "Girona"): [0.398],
        (5, "Leeds"): [0.377],
        (6, "Leeds"): [0.588, 0.571, 0.566],
        (7, "Leeds"): [0.345],
        (7, "Turku"): [0.517, 0.489],
        (8, "Turku"): [0.612, 0.633],
        (9, "Turku"): [0.451],
        (10, "Leeds"): [0.492, 0.463],
        (10, "Turku"): [0.468, 0.441, 0.479],
    },
    estimate=[0.02324674320, 0.08824102567],
    error=[0.02713434842, 0.02537863198],
    df=[3.889759276, 4.042406367],
    p=[4.411648476e-01, 2.499336605e-02],
    person_variance=0.00658226434903,
    residual_variance=0.00196082818009,
)

# Seven participants whose means go against each other, so that the person variance is zero.
BOUNDARY = Study(
    {
        (1, "before"): [0.312, 0.338],
        (1, "after"): [0.641],
        (2, "before"): [0.587],
        (2, "after"): [0.377, 0.361],
        (3, "before"): [0.446, 0.402],
        (3, "after"): [0.533, 0.507],
        (4, "before"): [0.521],
        (4, "after"): [0.466],
        (5, "before"): [0.359],
        (5, "after"): [0.602, 0.588, 0.611],
        (6, "before"): [0.478, 0.455],
        (7, "after"): [0.549],
    },
    estimate=[0.07713888889],
    error=[0.07956732629],
    df=[5.538461538],
    p=[0.3727157051022],
    person_variance=0.0,
    residual_variance=0.00961586898148,
)

STUDIES = pytest.mark.parametrize(
    "study",
    [UNEQUAL, OVERLAP, BOUNDARY],
    ids=["unequal numbers of recordings", "partial overlap", "no person variance"],
)


def table_of(study: Study, make_results) -> pd.DataFrame:
    rows = [(person, tag, score) for (person, tag), own in study.scores.items() for score in own]
    people, tags, scores = zip(*rows, strict=True)
    return make_results([f"p{person}" for person in people], tag=list(tags), mental_strain=scores)


@STUDIES
def test_the_fit_has_the_numbers_of_r(study) -> None:
    means = np.array([np.mean(own) for own in study.scores.values()])
    people, tags = zip(*study.scores, strict=True)
    levels = pd.factorize(np.array(tags))[0]
    fit = fit_random_intercept(means, levels, np.array(people))
    assert fit.differences == pytest.approx(study.estimate, abs=1e-7)
    assert fit.errors == pytest.approx(study.error, rel=1e-5)
    assert fit.df == pytest.approx(study.df, rel=1e-5)
    total = study.person_variance + study.residual_variance
    assert fit.total_variance == pytest.approx(total, rel=1e-5)
    assert fit.person_share == pytest.approx(study.person_variance / total, abs=1e-5)


@STUDIES
def test_a_comparison_has_the_p_of_r(study, make_results) -> None:
    compared = compare_by_tag(table_of(study, make_results), "tag", biomarkers="mental_strain")
    assert list(compared["p"]) == pytest.approx(study.p, rel=1e-4)
    assert list(compared["difference"]) == pytest.approx(study.estimate, abs=1e-7)


def test_the_slope_of_a_line_has_the_numbers_of_r() -> None:
    """Seven participants, who lack some of four visits; one has a single visit."""
    scores = {
        1: {1: 0.41, 2: 0.38, 3: 0.52, 4: 0.50},
        2: {1: 0.31, 2: 0.40},
        3: {1: 0.57, 2: 0.48, 3: 0.66},
        4: {1: 0.25, 3: 0.43, 4: 0.41},
        5: {1: 0.52, 2: 0.44, 3: 0.55, 4: 0.66},
        6: {2: 0.37, 3: 0.30},
        7: {1: 0.44},
    }
    rows = [(person, visit, each[visit]) for person, each in scores.items() for visit in each]
    people, visits, values = (np.array(column) for column in zip(*rows, strict=True))
    fit = fit_random_intercept(values, visits - 1, people, steps=np.arange(1.0, 5.0))
    assert fit.differences == pytest.approx([0.045626897004], rel=1e-5)
    assert fit.errors == pytest.approx([0.0063821524234], rel=1e-5)
    assert fit.df == pytest.approx([3.3337269652], rel=1e-5)
    assert fit.total_variance == pytest.approx(0.00822644184790 + 0.00365645180625, rel=1e-5)
