"""The difference of two levels, on an axis below their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.markers import TICKDOWN

from helios_research.analysis.bootstrap import Bootstrap, Ratios, draw_weights, sum_clusters
from helios_research.analysis.prepared import Codes, Floats
from helios_research.columns import BIOMARKERS_BY_NAME, BUCKET_LEVELS
from helios_research.plots.canvas import INK, MUTED, ORDINAL_RAMP, Look, Style
from helios_research.plots.groups import Groups, beside_row, room_for_names
from helios_research.plots.marks import LEVEL_NAMES, Estimates, draw_estimates
from helios_research.plots.text import MINUS, plain, shorten, told_apart, with_minus


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


# All heights here are in lines of type, from the axis of the rows downwards: its ticks and label,
# the estimates, their ruler with its ticks and label.
DEPTH_LINES = 9.2
_ESTIMATES = 3.8
_RULER = 6.8


def draw_mean_difference(
    ax: Axes, groups: Groups, means: Sequence[float], difference: Difference, style: Style
) -> None:
    """Draw a difference of means under the means, zero under the first (Gardner & Altman 1986)."""
    first = means[0]
    value, low, high = (float(numbers[0]) for numbers in _numbers(difference))
    y = _below(groups, (_ESTIMATES + _RULER) / 2)
    bottom = _below(groups, _RULER)
    for row, mean, end in zip(groups.rows, means, (bottom, y), strict=False):
        look: Look = {"color": MUTED, "linewidth": 0.1 * style.font_pt, "zorder": 3}
        # Broken where the ticks and the label of the rows' axis stand.
        ax.plot([mean, mean], [row.y, groups.depth], ":", **look)
        ax.plot([mean, mean], [_below(groups, _ESTIMATES - 0.7), end], ":", **look)
    on_scale = Estimates(
        first + difference.value, first + difference.low, first + difference.high, np.array([False])
    )
    draw_estimates(ax, np.array([y]), on_scale, style)
    step = 0.2 if high - low > 0.1 or abs(value) > 0.1 else 0.1
    _rule(ax, first, bottom, style, step=step, unit=1.0)
    _name(ax, "Difference of means", bottom, style)
    _label(ax, groups, y, style)
    _write_numbers(ax, y, _interval(value, low, high, 2), style)


def draw_share_differences(ax: Axes, groups: Groups, difference: Difference, style: Style) -> None:
    """Draw the differences of the four proportions, each on a line of its own."""
    value, low, high = (100 * numbers for numbers in _numbers(difference))
    bottom = _below(groups, _RULER)
    line: Look = {"linewidth": 0.11 * style.font_pt, "zorder": 3}
    ax.plot([50, 50], [_below(groups, _ESTIMATES - 0.7), bottom], ":", color=MUTED, **line)
    for place, level in enumerate(BUCKET_LEVELS):
        y = _below(groups, _ESTIMATES + (_RULER - _ESTIMATES) * place / len(BUCKET_LEVELS))
        ax.plot([50 + low[place], 50 + high[place]], [y, y], color=INK, **line)
        look: Look = {"markerfacecolor": ORDINAL_RAMP[level], "markeredgecolor": INK}
        ax.plot([50 + value[place]], [y], "o", markersize=0.55 * style.font_pt, zorder=4, **look)
        numbers = _interval(value[place], low[place], high[place], 0)
        _write_numbers(ax, y, f"{numbers} {LEVEL_NAMES[level]}", style)
    _rule(ax, 50, bottom, style, step=20, unit=100)
    _name(ax, "Difference (percentage points)", bottom, style)
    _label(ax, groups, _below(groups, (_ESTIMATES + _RULER) / 2), style)


def _numbers(difference: Difference) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return difference.value, difference.low, difference.high


def _below(groups: Groups, lines: float) -> float:
    return groups.depth + lines / groups.lines


def _rule(ax: Axes, zero: float, y: float, style: Style, *, step: float, unit: float) -> None:
    low, high = max(-0.5 * unit, -zero), min(0.5 * unit, unit - zero)
    ticks = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    look: Look = {"color": MUTED, "linewidth": 0.09 * style.font_pt}
    ax.plot([zero + low, zero + high], [y, y], **look)
    look = {"color": MUTED, "markersize": 0.3 * style.font_pt, "linestyle": "none"}
    ax.plot(zero + ticks, np.full(len(ticks), y), marker=TICKDOWN, **look)
    for tick in ticks:
        text = "0" if abs(tick) < 1e-9 else with_minus(f"{tick:+g}")
        ax.annotate(
            text,
            xy=(zero + tick, y),
            xytext=(0, -0.5 * style.font_pt),
            textcoords="offset points",
            ha="center",
            va="top",
            **style.small.text(),
        )


def _name(ax: Axes, name: str, y: float, style: Style) -> None:
    ax.annotate(
        name,
        xy=(0.5, y),
        xycoords=ax.get_yaxis_transform(),
        xytext=(0, -1.8 * style.font_pt),
        textcoords="offset points",
        ha="center",
        va="top",
        **style.text(),
    )


def _label(ax: Axes, groups: Groups, y: float, style: Style) -> None:
    limit = 0.9 * room_for_names(ax)
    names = told_apart(
        [plain(row.level) for row in groups.rows[:2]],
        lambda name: shorten(name, limit, style.small.font_pt),
    )
    where: Look = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center"}
    ax.text(-0.01, y, f"{names[1]}\n{MINUS} {names[0]}", **style.small.text(color=INK), **where)


def _interval(value: float, low: float, high: float, digits: int) -> str:
    each = [
        f"{number:+.{digits}f}" if round(number, digits) else "0" for number in (value, low, high)
    ]
    return with_minus("{} [{}, {}]".format(*each))


def _write_numbers(ax: Axes, y: float, text: str, style: Style) -> None:
    beside_row(ax, y, text, style)
