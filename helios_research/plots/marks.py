"""What a panel is drawn of: raw points, their distribution, means, and stacked proportions."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from scipy import ndimage

from helios_research._util.text import counted
from helios_research.analysis.prepared import Codes, Flags, Floats
from helios_research.columns import BUCKET_LEVELS, Biomarker
from helios_research.plots.canvas import (
    INK,
    MUTED,
    ORDINAL_RAMP,
    PAPER,
    TEXT_ON_RAMP,
    Look,
    Style,
    set_title,
    size_in,
)
from helios_research.plots.text import width_in

# In a figure 1,000 resamples look like more.
RESAMPLES = 1000

MOST_POINTS = 5_000
FEWEST_FOR_SHAPE = 20

NO_INTERVAL = "no interval, because it needs two participants"

_BINS = 256
_PADDING = 0.02

# Height of a stacked bar in heights of a row, and how many percent have room for their number.
_BAR = 0.66
_WIDE_ENOUGH = 7.5
LEVEL_NAMES = dict(zip(BUCKET_LEVELS, ("lowest", "second", "third", "highest"), strict=True))


def about_bars(markers: Sequence[Biomarker]) -> str | None:
    """Write how to read the bars of bucketed biomarkers."""
    if any(marker.bucketed for marker in markers):
        return "Bars: recordings at each of the four ordered levels."
    return None


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


def draw_shape(ax: Axes, scores: Floats, y: float, height: float, colour: str) -> None:
    """Draw where the scores lie as a smooth hill above a line.

    The density is a histogram of 256 bins smoothed by a Gaussian of Silverman's width (1986,
    *Density Estimation*, eq. 3.31), mirrored at 0 and 1, beyond which there are no scores.
    """
    spread = min(np.std(scores), np.subtract(*np.percentile(scores, [75, 25])) / 1.34)
    if len(scores) < FEWEST_FOR_SHAPE or spread < 1e-6:
        return
    low, high = min(0.0, scores.min()), max(1.0, scores.max())
    counts, edges = np.histogram(scores, bins=_BINS, range=(low, high))
    width = 0.9 * spread * len(scores) ** -0.2 / (edges[1] - edges[0])
    density = ndimage.gaussian_filter1d(counts.astype(float), width, mode="reflect")
    middle = (edges[1:] + edges[:-1]) / 2
    top = y - height * density / density.max()
    ax.fill_between(middle, y, top, color=colour, alpha=0.3, linewidth=0, zorder=1.5)


def draw_estimates(
    ax: Axes, places: Floats, estimates: Floats, few: Flags, style: Style, *, thin: bool = False
) -> None:
    """Draw estimates (a row of values, of low and of high ends) as dots on their intervals."""
    value, low, high = estimates
    width = style.font_pt * (0.14 if thin else 0.2)
    size = style.font_pt * (0.5 if thin else 0.7)
    known = ~np.isnan(low)
    for extra, colour, zorder in ((1.2, PAPER, 4), (0.0, INK, 5)):
        ends = places[known], low[known], high[known]
        ax.hlines(*ends, color=colour, linewidth=width + extra, zorder=zorder)
    ax.plot(value, places, "o", markersize=size + 1, color=PAPER, zorder=5.5, mew=0)
    for chosen, face in ((few, PAPER), (~few, INK)):
        look: Look = {"markerfacecolor": face, "markeredgecolor": INK, "mew": 0.6 * width}
        dots = value[chosen], places[chosen]
        ax.plot(*dots, "o", markersize=0.85 * size, zorder=6, **look)


def draw_shares(ax: Axes, shares: Floats, places: Floats, style: Style) -> None:
    """Draw a bar per row of the proportions at a bucketed biomarker's four levels, with axis and key."""
    left = np.zeros(len(places))
    for level, part in zip(BUCKET_LEVELS, 100 * shares.T, strict=True):
        look: Look = {"edgecolor": PAPER, "linewidth": 0.08 * style.font_pt}
        ax.barh(places, part, _BAR, left, color=ORDINAL_RAMP[level], **look)
        text = style.small.text(color=TEXT_ON_RAMP[level], ha="center", va="center_baseline")
        for row in np.flatnonzero(part >= _WIDE_ENOUGH):
            # Within the bar, so no layout has to measure it.
            where = left[row] + part[row] / 2, places[row]
            ax.text(*where, f"{part[row]:.0f}", in_layout=False, **text)
        left += part
    ticks = np.arange(0, 101, 20)
    ax.set_xlim(0, 100)
    ax.set_xticks(ticks, [str(tick) for tick in ticks], **style.small.text())
    ax.set_xlabel("Recordings (%)", **style.text())
    level_key(ax, style)


def level_key(ax: Axes, style: Style) -> None:
    """Write above a panel which shade is which of the four levels."""
    patches = [
        Patch(facecolor=ORDINAL_RAMP[level], edgecolor=MUTED, linewidth=0.04 * style.font_pt)
        for level in BUCKET_LEVELS
    ]
    key_above(ax, patches, [LEVEL_NAMES[level] for level in BUCKET_LEVELS], style)


def key_above(ax: Axes, handles: Sequence[Artist], names: Sequence[str], style: Style) -> None:
    """Put a key between the title, which moves up, and the panel."""
    small = style.small
    widest = max(width_in(name, small.font_pt) for name in names) + 2.8 * small.font_pt / 72
    most = int(np.clip(size_in(ax)[0] // widest, 1, len(names)))
    rows = -(-len(names) // most)
    columns = -(-len(names) // rows)
    # Matplotlib fills one column after the other; these are to be read row by row.
    order = [place for column in range(columns) for place in range(column, len(names), columns)]
    around: Look = {"borderpad": 0.2, "borderaxespad": 0.1, "frameon": False}
    between: Look = {"columnspacing": 1.0, "labelspacing": 0.3, "handletextpad": 0.4}
    handle: Look = {"handlelength": 1.1, "handleheight": 0.9, "fontsize": small.font_pt}
    key = ax.legend(
        [handles[place] for place in order],
        [names[place] for place in order],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        **{**around, **between, **handle},
    )
    for text in key.get_texts():
        text.set(**small.text())
    set_title(ax, ax.get_title(loc="left"), style, pad=(0.7 + 1.35 * rows) * style.font_pt)


def score_axis(ax: Axes, axis: Literal["x", "y"], scores: Floats, style: Style) -> None:
    """Set up an axis for scores from 0 to 1."""
    low, high = min(0.0, scores.min(initial=0)), max(1.0, scores.max(initial=1))
    pad = _PADDING * (high - low)
    ax.set(**{f"{axis}lim": (low - pad, high + pad)})
    ticks = np.linspace(0, 1, 6) if (low, high) == (0, 1) else np.linspace(low, high, 6)
    own = ax.xaxis if axis == "x" else ax.yaxis
    own.set_ticks(ticks, [f"{tick:.2g}" for tick in ticks], **style.small.text())
    own.set_label_text("Score (0 to 1)", **style.text())
