"""How far two levels are apart, with the same bootstrap over participants as the means."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from helios_research.analysis.bootstrap import Bootstrap, Ratios, draw_weights, sum_clusters
from helios_research.analysis.tables import Codes, Floats
from helios_research.columns import BIOMARKERS_BY_NAME, BUCKET_LEVELS


@dataclass(frozen=True, slots=True)
class Difference:
    """The second level less the first."""

    value: Floats
    low: Floats
    high: Floats


def differences(
    scores: Mapping[str, Floats], levels: Codes, people: Codes, bootstrap: Bootstrap
) -> dict[str, Difference]:
    """Compare two levels in each biomarker.

    Participants are drawn with all their recordings, at both levels where they have both, so that
    the interval holds for tags between participants and within them. Checked against
    ``scipy.stats.bootstrap`` of independent samples.
    """
    able = {name: values for name, values in scores.items() if _bears(values, levels, people)}
    if not able:
        return {}
    ratios = _ratios(able)
    sums = sum_clusters(people, levels, ratios)
    place, n_people = _numbered(sums.person)
    sides = [
        _spread(np.hstack([sums.top, sums.bottom]), place, sums.group == side, n_people)
        for side in (0, 1)
    ]
    ones = np.ones((1, n_people), dtype=np.float32)
    value = _second_less_first(ones, sides, ratios.divisor)[0]
    drawn = np.vstack(
        [
            _second_less_first(weights, sides, ratios.divisor)
            for weights in draw_weights(n_people, bootstrap)
        ]
    )
    low, high = np.nanquantile(drawn, bootstrap.tails, axis=0)
    where = {name: ratios.divisor == number for number, name in enumerate(able)}
    return {name: Difference(value[own], low[own], high[own]) for name, own in where.items()}


def _bears(scores: Floats, levels: Codes, people: Codes) -> bool:
    counts = ~np.isnan(scores) & (people >= 0)
    return all(len(np.unique(people[counts & (levels == side)])) >= 2 for side in (0, 1))


def _ratios(scores: Mapping[str, Floats]) -> Ratios:
    tops = [
        (values[:, None] == np.array(BUCKET_LEVELS)).astype(np.float64)
        if BIOMARKERS_BY_NAME[name].bucketed
        else np.nan_to_num(values)[:, None]
        for name, values in scores.items()
    ]
    bottom = np.column_stack([~np.isnan(values) for values in scores.values()])
    divisor = np.repeat(np.arange(len(tops)), [top.shape[1] for top in tops])
    return Ratios(np.hstack(tops), bottom.astype(np.float64), divisor)


def _numbered(people: Codes) -> tuple[Codes, int]:
    found, place = np.unique(people, return_inverse=True)
    return place, len(found)


def _spread(sums: Floats, place: Codes, chosen: np.ndarray, n_people: int) -> np.ndarray:
    laid_out = np.zeros((n_people, sums.shape[1]), dtype=np.float32)
    laid_out[place[chosen]] = sums[chosen]
    return laid_out


def _second_less_first(weights: np.ndarray, sides: list[np.ndarray], divisor: Codes) -> Floats:
    n_ratios = len(divisor)
    totals = [weights @ side for side in sides]
    # A resample may hold nobody of a small side; it says nothing about the difference.
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = (total[:, :n_ratios] / total[:, n_ratios:][:, divisor] for total in totals)
    apart: Floats = (second - first).astype(np.float64)
    return apart
