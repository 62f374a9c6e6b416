"""What a panel is drawn of: raw points, their distribution, means, and stacked proportions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy import ndimage

from helios_research._util.text import counted
from helios_research.analysis.intervals import FEWEST_FOR_INTERVAL, cell_means, share_interval
from helios_research.analysis.prepared import Codes, Floats
from helios_research.columns import BUCKET_LEVELS, Biomarker
from helios_research.plots import canvas, looks
from helios_research.plots.looks import MINUS, Labels, Look, Style, shown, width_in

MOST_POINTS = 5_000
FEWEST_FOR_SHAPE = 20

NO_INTERVAL = f"no interval, because it needs {FEWEST_FOR_INTERVAL} participants"

_BINS, _PADDING, _MOST_DIGITS = 256, 0.02, 4
# How many percent of a bar have room for their number, and how much colour a pale bar has.
_WIDE_ENOUGH, _PALE = 7.5, 0.4
# Height of the highest hill in heights of a row.
_HILL = 0.44
# In widths of a letter: room for a tick of an axis of differences, and a panel with few ticks.
_TICK, _NARROW = 7, 19

_LEVEL_NAMES = ("lowest", "second", "third", "highest")


def open_panel(
    ax: Axes, marker: Biomarker, scores: Floats, labels: Labels, style: Style, *, grid_y: bool
) -> bool:
    """Style a panel; where there is no score to draw, say so and give False."""
    title = shown(marker.name, labels, marker.label)
    looks.style_axes(ax, title, style, grid_y=grid_y)
    if np.isnan(scores).all():
        canvas.write_sentence(ax, f"No recording has a score of {title}.", style)
        return False
    return True


def about_bars(summary: pd.DataFrame) -> str | None:
    """Write how to read the bars of bucketed biomarkers."""
    shares = summary[summary["bucketed"] & summary["proportion"].notna()]
    if shares.empty:
        return None
    few = shares["proportion_low"].isna()
    lines = "" if few.all() else "; line: 95 % interval of the two highest together"
    pale = f"; pale bars: {NO_INTERVAL}" if few.any() else ""
    return f"Bars: share of scores at each of the four ordered levels{lines}{pale}."


def upper_halves(scores: Floats, people: Codes, groups: Codes, count: int) -> Floats:
    """Estimate for each group how many bucketed scores are at the two highest levels together."""
    upper = np.where(np.isnan(scores), np.nan, scores > sum(BUCKET_LEVELS[1:3]) / 2)
    each = cell_means(upper, people, groups).groupby("group")[0].agg(["mean", "var", "count"])
    share, variance, n = each.reindex(range(count)).to_numpy(dtype=np.float64).T
    return np.array([share, *share_interval(share, variance / n, n, 0.95)])


def about_points(count: int, thing: str, most: int = MOST_POINTS) -> str:
    """Write how many recordings or participants are drawn."""
    if count <= most:
        return f"{thing}s"
    return f"{most:,} of {counted(count, thing)}, drawn at random"


def sample(count: int, most: int = MOST_POINTS) -> Codes:
    """Choose which recordings are drawn as points: at random, but always the same."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))


def draw_points(
    ax: Axes, x: Floats, y: Floats, colour: str, style: Style, *, rows: int = 1
) -> None:
    """Draw recordings as points, fainter the more there are."""
    crowd = len(x) / rows
    opacity = float(np.clip(6 / np.sqrt(max(crowd, 1)), 0.12, 0.6))
    size = style.font_pt * (0.42 if crowd < 60 else 0.3)
    look: Look = {"color": colour, "alpha": opacity, "markersize": size, "markeredgewidth": 0}
    # Dots, not shapes, in PDF and SVG: thousands of shapes make a file that nothing opens.
    ax.plot(x, y, "o", rasterized=len(x) > 500, zorder=2, **look)


def draw_shapes(
    ax: Axes, scores: Floats, people: Codes, codes: Codes, looks: Sequence[tuple[float, str]]
) -> None:
    """Draw where the scores of each row lie as a smooth hill on its line, all with equal areas."""
    edges = np.linspace(min(0.0, scores.min()), max(1.0, scores.max()), _BINS + 1)
    each = [(scores[codes == place], people[codes == place]) for place in range(len(looks))]
    hills = [_density(*own, edges) for own in each]
    highest = max(hill.max() for hill in hills)
    middle = (edges[1:] + edges[:-1]) / 2
    for hill, (y, colour) in zip(hills, looks, strict=True):
        if hill.any():
            top = y - _HILL * hill / highest
            ax.fill_between(middle, y, top, color=colour, alpha=0.3, linewidth=0, zorder=1.5)


def _density(scores: Floats, people: Codes, edges: Floats) -> Floats:
    """Smooth a histogram, of participants who weigh equally, by a Gaussian of Silverman's width.

    (1986, *Density Estimation*, eq. 3.31), mirrored at 0 and 1; flat for fewer than 20.
    """
    who, own, times = np.unique(people, return_inverse=True, return_counts=True)
    flat = np.zeros(_BINS)
    if len(who) < FEWEST_FOR_SHAPE:
        return flat
    spread = min(np.std(scores), np.subtract(*np.percentile(scores, [75, 25])) / 1.34)
    if spread < 1e-6:
        return flat
    counts, _ = np.histogram(scores, bins=edges, weights=1 / times[own] / len(who))
    width = 0.9 * spread * len(who) ** -0.2 / (edges[1] - edges[0])
    smooth: Floats = ndimage.gaussian_filter1d(counts, width, mode="reflect")
    return smooth


def estimates(table: pd.DataFrame, name: str) -> Floats:
    """Take estimates from a table: a row of values, one of low and one of high ends."""
    return table[[name, f"{name}_low", f"{name}_high"]].to_numpy(dtype=np.float64).T


def shares(table: pd.DataFrame) -> Floats:
    """Take the shares of the four levels from a table, a row per group."""
    known: Floats = np.nan_to_num(table["proportion"].to_numpy(dtype=np.float64))
    return known.reshape(-1, len(BUCKET_LEVELS))


def draw_estimates(
    ax: Axes,
    places: Floats,
    found: Floats,
    style: Style,
    *,
    thin: bool = False,
    upright: bool = False,
) -> None:
    """Draw estimates as dots on their intervals."""
    value, low, high = found
    width = style.font_pt * (0.14 if thin else 0.2)
    size = style.font_pt * (0.5 if thin else 0.7)
    lines, dots = (ax.vlines, (places, value)) if upright else (ax.hlines, (value, places))
    for extra, colour, zorder in ((1.2, looks.PAPER, 4), (0.0, looks.INK, 5)):
        lines(places, low, high, color=colour, linewidth=width + extra, zorder=zorder)
        ax.plot(*dots, "o", markersize=size + extra, color=colour, zorder=zorder + 1, mew=0)


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of the shares of four levels; ``upper`` is the interval of the two highest, ``aside``."""

    places: Floats
    shares: Floats
    upper: Floats
    width: float
    bottom: float = 0.0
    aside: float = 0.0
    upright: bool = False


def draw_bars(ax: Axes, bars: Bars, style: Style) -> None:
    """Draw bars, of three participants or more in full colour, with their intervals."""
    pale = np.isnan(bars.upper[1])
    strength = np.where(pale, _PALE, 1.0)[:, None]
    floor = np.full(len(bars.places), bars.bottom)
    draw = ax.bar if bars.upright else ax.barh
    for level, part in zip(BUCKET_LEVELS, 100 * bars.shares.T, strict=True):
        colours = 1 - strength * (1 - np.array(to_rgb(looks.ORDINAL_RAMP[level])))
        look: Look = {"color": colours, "edgecolor": looks.PAPER, "linewidth": 0.06 * style.font_pt}
        draw(bars.places, part, bars.width, floor, zorder=2, **look)
        for row in np.flatnonzero(part >= _WIDE_ENOUGH) if not bars.upright else ():
            ink = looks.INK if pale[row] else looks.TEXT_ON_RAMP[level]
            text = style.small.text(color=ink, ha="center", va="center_baseline")
            # Within the bar, so no layout has to measure it.
            where = floor[row] + part[row] / 2, bars.places[row]
            ax.text(*where, f"{part[row]:.0f}", in_layout=False, **text)
        floor += part
    lines = bars.bottom + 100 * (1 - np.where(pale, np.nan, bars.upper))
    places = bars.places + bars.aside
    draw_estimates(ax, places, lines, style, thin=True, upright=bars.upright)


def share_axis(ax: Axes, style: Style) -> None:
    """Set up an axis of shares, and write which shade is which level."""
    ticks = np.linspace(0, 100, _ticks(ax, style))
    ax.set_xlim(-1, 101)
    ax.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks], **style.small.text())
    ax.set_xlabel("Share (%)", **style.text())
    level_key(ax, style)


def level_key(ax: Axes, style: Style) -> None:
    """Write above a panel which shade is which of the four levels."""
    edge: Look = {"edgecolor": looks.MUTED, "linewidth": 0.04 * style.font_pt}
    patches = [Patch(facecolor=colour, **edge) for colour in looks.ORDINAL_RAMP.values()]
    key_above(ax, patches, _LEVEL_NAMES, style)


def key_above(ax: Axes, handles: Sequence[Artist], names: Sequence[str], style: Style) -> None:
    """Put a key between the title, which moves up, and the panel."""
    small = style.small
    widest = max(width_in(name, small.font_pt) for name in names) + 2.8 * small.font_pt / 72
    most = int(np.clip(canvas.size_in(ax)[0] // widest, 1, len(names)))
    rows = -(-len(names) // most)
    columns = -(-len(names) // rows)
    # Matplotlib fills one column after the other; these are to be read row by row.
    order = [place for column in range(columns) for place in range(column, len(names), columns)]
    look: Look = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": columns}
    look |= {"borderpad": 0.2, "borderaxespad": 0.1, "frameon": False}
    look |= {"columnspacing": 1.0, "labelspacing": 0.3, "handletextpad": 0.4}
    look |= {"handlelength": 1.1, "handleheight": 0.9, "fontsize": small.font_pt}
    key = ax.legend([handles[place] for place in order], [names[place] for place in order], **look)
    for text in key.get_texts():
        text.set(**small.text())
    looks.set_title(ax, ax.get_title(loc="left"), style, pad=(0.7 + 1.35 * rows) * style.font_pt)


def score_axis(
    ax: Axes, axis: Literal["x", "y"], reach: Floats, style: Style, *, change: bool = False
) -> None:
    """Set up an axis for scores from 0 to 1, or for their change, that holds all of ``reach``."""
    held = reach if change else np.append(reach, (0.0, 1.0))
    low, high = float(np.nanmin(held)), float(np.nanmax(held))
    pad = _PADDING * (high - low)
    ax.set(**{f"{axis}lim": (low - pad, high + pad)})
    own = ax.xaxis if axis == "x" else ax.yaxis
    if change:
        mark_differences(own, low - pad, high + pad, style.small)
    else:
        ticks = np.linspace(0, 1, 6 if axis == "y" else _ticks(ax, style))
        own.set_ticks(ticks, [f"{tick:.2g}" for tick in ticks], **style.small.text())
    own.set_label_text("Change from own baseline" if change else "Score (0 to 1)", **style.text())


def _ticks(ax: Axes, style: Style) -> int:
    """Count the ticks for which a panel has room."""
    return 6 if canvas.size_in(ax)[0] * 72 / style.font_pt > _NARROW else 3


def mark_differences(
    axis: Axis, low: float, high: float, style: Style, room_in: float = 4.0
) -> None:
    """Put ticks on an axis of differences, as many as have room."""
    most = max(2, int(room_in * 72 / style.font_pt / _TICK))
    ticks = np.asarray(MaxNLocator(min(most, 7), steps=[1, 2, 4, 5, 10]).tick_values(low, high))
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    names = ["0" if abs(tick) < 1e-9 else f"{tick:+.2g}".replace("-", MINUS) for tick in ticks]
    axis.set_ticks(ticks, names, **style.text())


def signed(number: float, digits: int = 2) -> str:
    """Write a difference with its sign, in more digits where it would round to 0."""
    while number and not round(number, digits) and digits < _MOST_DIGITS:
        digits += 1
    return f"{number:+.{digits}f}".replace("-", MINUS) if round(number, digits) else "0"
