"""Intervals for means and proportions when each participant gave several recordings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from helios_research.analysis.prepared import Codes, Floats
from helios_research.columns import BIOMARKERS_BY_NAME, BUCKET_LEVELS
from helios_research.errors import ResultsError

# Numbers drawn at a time; keeps a chunk of weights near 8 MB whatever the size of the study.
_CHUNK = 2_000_000

# Sums multiplied by the weights at a time. Reading the weights is what takes long, so small groups
# share a pass; with more, a pass would span participants that most of its groups do not have.
_COLUMNS = 64

# Share of sums other than 0 below which the others are skipped: about where both take as long.
_SPARSE_BELOW = 0.1


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How often participants are drawn, the coverage of the interval (a share), and the seed."""

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that have no meaning."""
        check_confidence(self.confidence)
        if self.resamples < 1:
            message = f"A bootstrap needs at least one resample, not {self.resamples}."
            raise ResultsError(message)

    @property
    def tails(self) -> tuple[float, float]:
        """The two quantiles that bound the interval."""
        return (1 - self.confidence) / 2, (1 + self.confidence) / 2


def check_confidence(confidence: float) -> None:
    """Make sure that a confidence is a share, not a percentage."""
    if not 0 < confidence < 1:
        message = f"The confidence is {confidence:g}, but it must be between 0 and 1, such as 0.95."
        raise ResultsError(message)


def check_choice(what: str, given: str, accepted: tuple[str, str]) -> None:
    """Make sure that a setting is one of its two words."""
    if given not in accepted:
        message = f"Unknown {what} {given!r}: choose {accepted[0]!r} or {accepted[1]!r}."
        raise ResultsError(message)


@dataclass(frozen=True, slots=True)
class Ratios:
    """What is added up over recordings, a row each; ``divisor`` is each top's column of ``bottom``."""

    top: Floats
    bottom: Floats
    divisor: Codes


@dataclass(frozen=True, slots=True)
class ClusterSums:
    """Sums of the recordings of one participant in one group, a row each, by group and person."""

    person: Codes
    group: Codes
    top: Floats
    bottom: Floats
    divisor: Codes


def score_ratios(scores: Mapping[str, Floats]) -> Ratios:
    """Take the mean of a continuous biomarker, the proportion of each level of a bucketed one."""
    tops = [
        (values[:, None] == np.array(BUCKET_LEVELS)).astype(np.float64)
        if BIOMARKERS_BY_NAME[name].bucketed
        else np.nan_to_num(values)[:, None]
        for name, values in scores.items()
    ]
    bottom = np.column_stack([~np.isnan(values) for values in scores.values()])
    divisor = np.repeat(np.arange(len(tops)), [top.shape[1] for top in tops])
    return Ratios(np.hstack(tops), bottom.astype(np.float64), divisor)


def sum_clusters(person: Codes, group: Codes, ratios: Ratios) -> ClusterSums:
    """Add up the recordings of each participant in each group."""
    known = (person >= 0) & (group >= 0)
    n_people = int(person.max(initial=0)) + 1
    pair = (group * n_people + person)[known]
    found, place = np.unique(pair, return_inverse=True)
    sums = [np.bincount(place, each, len(found)) for each in ratios.top[known].T]
    counts = [np.bincount(place, each, len(found)) for each in ratios.bottom[known].T]
    top, bottom = (np.column_stack(columns).astype(np.float64) for columns in (sums, counts))
    return ClusterSums(found % n_people, found // n_people, top, bottom, ratios.divisor)


def ratio_intervals(
    sums: ClusterSums, n_groups: int, bootstrap: Bootstrap
) -> tuple[Floats, Floats]:
    """Give percentile intervals of ratios of sums by a bootstrap over participants.

    Whole participants are drawn, with all their recordings, as many as there are (the cluster
    bootstrap: Davison & Hinkley, *Bootstrap Methods and their Application*, 1997, section 3.8).
    Where each participant has one recording this is the ordinary bootstrap, against which
    (``scipy.stats.bootstrap``) the tests check it.
    """
    # People are numbered as they appear, group by group, so that groups whose participants are in
    # no other span a run of columns of the weights, and no copy of them is needed.
    place, people = pd.factorize(sums.person)
    both = np.hstack([sums.top, sums.bottom]).astype(np.float32)
    n_ratios = sums.top.shape[1]
    drawn = np.full((bootstrap.resamples, n_groups, n_ratios), np.nan, dtype=np.float32)
    each = max(1, _COLUMNS // both.shape[1])
    blocks = [
        _lay_out(both, place, sums.group, range(first, min(first + each, n_groups)))
        for first in range(0, n_groups, each)
    ]
    start = 0
    for weights in draw_weights(len(people), bootstrap):
        stop = start + len(weights)
        for spanned, groups, block in blocks:
            total = (weights[:, spanned] @ block).reshape(len(weights), -1, both.shape[1])
            with np.errstate(invalid="ignore", divide="ignore"):
                ratios = total[..., :n_ratios] / total[..., n_ratios:][..., sums.divisor]
            drawn[start:stop, groups] = ratios
        start = stop
    low, high = _quantiles(drawn, bootstrap.tails)
    alone = _people_behind(sums, n_groups) < 2
    low[alone] = high[alone] = np.nan
    return low, high


def _lay_out(
    sums: NDArray[np.float32], place: Codes, group: Codes, groups: range
) -> tuple[slice, slice, NDArray[np.float32] | sparse.csr_array]:
    """Lay the sums of some groups side by side, over the stretch of participants that they span."""
    rows = slice(*np.searchsorted(group, [groups.start, groups.stop]))
    where = place[rows]
    first, end = (int(where.min()), int(where.max()) + 1) if len(where) else (0, 0)
    padded = np.zeros((end - first, len(groups), sums.shape[1]), dtype=np.float32)
    padded[where - first, group[rows] - groups.start] = sums[rows]
    flat = padded.reshape(-1, len(groups) * sums.shape[1])
    rare = np.count_nonzero(flat) < _SPARSE_BELOW * flat.size
    block = sparse.csr_array(flat) if rare else flat
    return slice(first, end), slice(groups.start, groups.stop), block


def difference_intervals(sums: ClusterSums, bootstrap: Bootstrap) -> tuple[Floats, Floats, Floats]:
    """Give ratios of group 1 less those of group 0, with percentile intervals.

    Participants are drawn with all their recordings, in both groups where they are in both, so
    that the interval holds for tags between participants and within them. NaN where a group has
    scores of fewer than two. The tests check it against ``scipy.stats.bootstrap``.
    """
    people, place = np.unique(sums.person, return_inverse=True)
    both = np.hstack([sums.top, sums.bottom])
    sides = [np.zeros((len(people), both.shape[1]), dtype=np.float32) for _ in range(2)]
    for number, side in enumerate(sides):
        side[place[sums.group == number]] = both[sums.group == number]
    value = _second_less_first(np.ones((1, len(people)), dtype=np.float32), sides, sums.divisor)[0]
    drawn = [
        _second_less_first(weights, sides, sums.divisor)
        for weights in draw_weights(len(people), bootstrap)
    ]
    low, high = _quantiles(np.vstack(drawn), bootstrap.tails)
    alone = (_people_behind(sums, 2) < 2).any(axis=0)
    value[alone] = low[alone] = high[alone] = np.nan
    return value, low, high


def _second_less_first(
    weights: NDArray[np.float32], sides: list[NDArray[np.float32]], divisor: Codes
) -> Floats:
    totals = [weights @ side for side in sides]
    n_ratios = len(divisor)
    # A resample may have no participant of a small side; it says nothing about the difference.
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = (total[:, :n_ratios] / total[:, n_ratios:][:, divisor] for total in totals)
    return (second - first).astype(np.float64)


def draw_weights(n_people: int, bootstrap: Bootstrap) -> Iterator[NDArray[np.float32]]:
    """Draw how often each participant is in each resample, a chunk of resamples at a time."""
    rng = np.random.default_rng(bootstrap.seed)
    size = max(1, _CHUNK // max(n_people, 1))
    for start in range(0, bootstrap.resamples, size):
        weights = np.empty((min(size, bootstrap.resamples - start), n_people), dtype=np.float32)
        for row in weights:
            picks = rng.integers(0, n_people, n_people) if n_people else np.empty(0, dtype=int)
            row[:] = np.bincount(picks, minlength=n_people)
        yield weights


def _quantiles(drawn: NDArray[np.floating], tails: tuple[float, float]) -> tuple[Floats, Floats]:
    # A resample may have no participant of a small group; it says nothing about that group.
    empty = np.isnan(drawn).all(axis=0)
    filled = np.where(empty, np.float32(0), drawn)
    quantile = np.nanquantile if np.isnan(filled).any() else np.quantile
    low, high = quantile(filled, tails, axis=0).astype(np.float64)
    low[empty] = high[empty] = np.nan
    return low, high


def _people_behind(sums: ClusterSums, n_groups: int) -> NDArray[np.intp]:
    columns = (sums.bottom > 0).T
    counted = [np.bincount(sums.group[has], minlength=n_groups) for has in columns]
    return np.column_stack(counted)[:, sums.divisor]


def bound_certainty(
    proportion: Floats, low: Floats, high: Floats, people: Codes, confidence: float
) -> tuple[Floats, Floats]:
    """Give proportions of exactly 0 or 1 an honest interval.

    Every resample of a group without a hit is without a hit, so the bootstrap would claim
    certainty. The exact binomial interval (Clopper & Pearson 1934) with the participants as its
    number of trials takes its place; the tests check it against ``scipy.stats.binomtest``.
    """
    tail = (1 - confidence) / 2
    trials = np.maximum(people, 1)
    far = 1 - tail ** (1 / trials)
    applies = people >= 2
    high = np.where(applies & (proportion == 0), far, high)
    low = np.where(applies & (proportion == 1), 1 - far, low)
    return low, high
