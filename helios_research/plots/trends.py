"""Scores along an axis: of participants over time, or of all over the hours awake."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from helios_research.analysis import summarize_by_tag
from helios_research.analysis.prepared import Codes, Floats, PreparedResults, count_people
from helios_research.analysis.summaries import FEW_PARTICIPANTS
from helios_research.columns import BUCKET_LEVELS, Biomarker
from helios_research.plots.canvas import (
    BAND,
    INK,
    MARKS,
    MUTED,
    OKABE_ITO,
    ORDINAL_RAMP,
    PAPER,
    Look,
    Style,
    Target,
    open_canvas,
    style_axes,
    write_sentence,
)
from helios_research.plots.marks import (
    MOST_POINTS,
    NO_INTERVAL,
    about_bars,
    draw_points,
    key_above,
    level_key,
    sample,
    score_axis,
)
from helios_research.plots.selection import Selection
from helios_research.plots.text import (
    Labels,
    about_fonts,
    fit_names,
    plain,
    shown,
)
from helios_research.plots.x_axis import BinnedAxis, label_bins

MOST_COLOURS = len(OKABE_ITO)

HEIGHT_LINES = 21.0
_STRIP_LINES = 9.5
_AROUND_STRIPS = 8.5

# Between the strips of two groups, in percentage points.
_GAP = 30.0

# With more bins the intervals merge into a ribbon.
_MOST_BARS = 20

# Distance between groups, as a share of the distance between bins.
_DODGE = 0.3

# Room for the name of a group in the key, in lines of type.
_NAME_LINES = 11.5


@dataclass(frozen=True, slots=True)
class Band:
    """Where scores usually lie, and the recordings that do not."""

    low: float
    high: float
    outside: Codes
    later: int


@dataclass(frozen=True, slots=True)
class Trends:
    """What the panels of all biomarkers are made from; ``lines`` joins each participant's scores."""

    rows: PreparedResults
    axis: BinnedAxis
    hue: str | None
    labels: Labels
    style: Style
    bands: Mapping[str, Band] = field(default_factory=dict)
    lines: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """Levels of hue; one without a name where there is none."""
        return self.rows.levels[self.hue].labels if self.hue else ("",)

    @property
    def codes(self) -> Codes:
        """Number of each recording's group."""
        return self.rows.levels[self.hue].codes if self.hue else np.zeros_like(self.rows.people)

    def title(self, marker: Biomarker) -> str:
        """Give the title of a biomarker's panel."""
        return plain(shown(marker.name, self.labels, marker.label))


def draw_trends(
    ax: Target, trends: Trends, chosen: Selection, *about: str | None
) -> tuple[Axes, ...]:
    """Draw one panel per biomarker along the same axis; ``about`` is the first part of the notes."""
    markers = trends.rows.biomarkers
    binned = trends.rows.with_columns(_bin=trends.axis.bins.astype(str))
    summary = summarize_by_tag(binned, "_bin", by=trends.hue)
    summary["bin"] = summary["level"].astype(int)
    notes = chosen.notes(about[0], _about_means(trends, summary), *about[1:])
    strips = max(_STRIP_LINES * len(trends.groups) + _AROUND_STRIPS, 15)
    lines = [strips if marker.bucketed else HEIGHT_LINES for marker in markers]
    heights = [high * trends.style.line_in for high in lines]
    axes = open_canvas(ax, heights, notes, trends.style)
    for panel, marker in zip(axes, markers, strict=True):
        _draw_panel(panel, trends, marker, summary[summary["biomarker"] == marker.name])
    return axes


def _about_means(trends: Trends, summary: pd.DataFrame) -> str:
    """Write how to read means, bars and numbers in brackets."""
    few = bool((summary["participants_scored"] < FEW_PARTICIPANTS).any())
    markers = trends.rows.biomarkers
    kinds = {marker.bucketed for marker in markers}
    known = summary["mean_low"].notna().any()
    interval = "with 95 % interval (bootstrap over participants)" if known else f"({NO_INTERVAL})"
    marks = {False: "hollow marks" if trends.hue else "hollow dots", True: "narrow bars"}
    what = " and ".join(mark for kind, mark in marks.items() if kind in kinds)
    sentences = [
        f"Thick line: mean {interval}." if False in kinds else None,
        about_bars(markers),
        "In brackets: participants." if trends.hue else None,
        f"{what.capitalize()}: fewer than {FEW_PARTICIPANTS} participants." if few else None,
        about_fonts([*trends.groups, *trends.axis.names]),
    ]
    return " ".join(filter(None, sentences))


def _draw_panel(ax: Axes, trends: Trends, marker: Biomarker, summary: pd.DataFrame) -> None:
    style_axes(ax, trends.title(marker), trends.style, grid_y=True)
    scores = trends.rows.scores[marker.name]
    if np.isnan(scores).all():
        write_sentence(ax, f"No recording has a score of {trends.title(marker)}.", trends.style)
        return
    if marker.bucketed:
        _draw_strips(ax, trends, scores, summary)
    else:
        _draw_scores(ax, trends, scores, summary, trends.bands.get(marker.name))
    axis = trends.axis
    ends = np.concatenate([axis.centres, axis.x])
    margin = 0.6 * axis.step
    ax.set_xlim(ends.min() - margin, ends.max() + margin)
    counts = np.bincount(axis.bins[~np.isnan(scores)], minlength=len(axis.centres))
    label_bins(ax, axis, counts, trends.style)


def _draw_scores(
    ax: Axes, trends: Trends, scores: Floats, summary: pd.DataFrame, band: Band | None
) -> None:
    style, groups, axis = trends.style, trends.groups, trends.axis
    if band is not None:
        _draw_band(ax, band, axis.x, scores, style)
    draw = _draw_lines if trends.lines else _draw_scatter
    draw(ax, trends, scores)
    for place, name in enumerate(groups):
        own = summary[summary["by_level"] == name] if trends.hue else summary
        shift = (place - (len(groups) - 1) / 2) * _DODGE / len(groups) * axis.step
        colour = OKABE_ITO[place] if trends.hue else INK
        x = axis.centres[own["bin"]] + shift
        _draw_means(ax, x, own, colour, style, mark=MARKS[place])
    score_axis(ax, "y", scores[~np.isnan(scores)], style)
    if trends.hue:
        look: Look = {"linewidth": 0.16 * style.font_pt, "markersize": 0.6 * style.font_pt}
        looks = zip(OKABE_ITO[: len(groups)], MARKS, strict=False)
        keys = [Line2D([], [], color=colour, marker=mark, **look) for colour, mark in looks]
        key_above(ax, keys, _counted_groups(trends, scores), style)


def _counted_groups(trends: Trends, scores: Floats) -> list[str]:
    has_score, codes = ~np.isnan(scores), trends.codes
    counts = [
        count_people(trends.rows.people, has_score & (codes == n))
        for n in range(len(trends.groups))
    ]
    names = [plain(shown(name, trends.labels)) for name in trends.groups]
    names = fit_names(names, _NAME_LINES * trends.style.line_in, trends.style.font_pt)
    return [f"{name} ({count:,})" for name, count in zip(names, counts, strict=True)]


def _draw_band(ax: Axes, band: Band, x: Floats, scores: Floats, style: Style) -> None:
    if np.isnan(band.low) or not band.later:
        return
    ax.axhspan(band.low, band.high, color=BAND, linewidth=0, zorder=0.2)
    seen = band.outside[sample(len(band.outside))]
    size = 0.35 * style.font_pt
    ax.plot(x[seen], scores[seen], "o", markersize=size, color=INK, alpha=0.55, mew=0, zorder=2.5)


def _draw_lines(ax: Axes, trends: Trends, scores: Floats) -> None:
    """Join each participant's recordings, of as many participants as are to be drawn."""
    people = trends.rows.people
    rows = np.flatnonzero(~np.isnan(scores) & np.isin(people, drawn_people(people)))
    who = people[rows] * len(trends.groups) + trends.codes[rows]
    rows = rows[np.lexsort((trends.axis.x[rows], who))]
    who = people[rows] * len(trends.groups) + trends.codes[rows]
    points = np.column_stack([trends.axis.x[rows], scores[rows]])
    starts = np.flatnonzero(np.diff(who)) + 1
    lines = np.split(points, starts)
    groups = [int(line) for line in trends.codes[rows[np.concatenate([[0], starts])]]]
    opacity = float(np.clip(4 / np.sqrt(len(lines)), 0.12, 0.6))
    thin = {"linewidths": 0.06 * trends.style.font_pt, "rasterized": len(lines) > 500}
    colours = [OKABE_ITO[group] for group in groups]
    ax.add_collection(LineCollection(lines, colors=colours, alpha=opacity, zorder=1.5, **thin))
    alone = np.array([line[0] for line in lines if len(line) == 1]).reshape(-1, 2)
    ax.plot(*alone.T, "o", color=MUTED, markersize=0.2 * trends.style.font_pt, mew=0, zorder=1.5)


def drawn_people(people: Codes) -> Codes:
    """Choose whose lines are drawn, so that they have about 5,000 recordings at most."""
    everyone = np.unique(people)
    most = max(1, MOST_POINTS * len(everyone) // max(len(people), 1))
    return everyone[sample(len(everyone), most)]


def _draw_scatter(ax: Axes, trends: Trends, scores: Floats) -> None:
    has_score = np.flatnonzero(~np.isnan(scores))
    drawn = has_score[sample(len(has_score))]
    for place in range(len(trends.groups)):
        own = drawn[trends.codes[drawn] == place]
        draw_points(ax, trends.axis.x[own], scores[own], OKABE_ITO[place], trends.style)


def _draw_means(
    ax: Axes, x: Floats, summary: pd.DataFrame, colour: str, style: Style, *, mark: str
) -> None:
    order = np.argsort(x)
    order = order[summary["mean"].notna().to_numpy()[order]]
    mean, low, high = summary[["mean", "mean_low", "mean_high"]].to_numpy()[order].T
    few = (summary["participants_scored"] < FEW_PARTICIPANTS).to_numpy()[order]
    x = x[order]
    width = 0.16 * style.font_pt
    if len(x) > _MOST_BARS:
        ax.fill_between(x, low, high, color=colour, alpha=0.3, linewidth=0, zorder=3)
    else:
        for extra, line_colour in ((1.2, PAPER), (0.0, colour)):
            ax.vlines(x, low, high, color=line_colour, linewidth=width + extra, zorder=4)
    ax.plot(x, mean, color=PAPER, linewidth=width + 1.4, zorder=4.1)
    ax.plot(x, mean, color=colour, linewidth=width, zorder=4.2)
    dots = few | (len(x) <= _MOST_BARS)
    size = 0.6 * style.font_pt
    ax.plot(x[dots], mean[dots], mark, color=PAPER, markersize=size + 1.6, mew=0, zorder=4.5)
    for chosen, face in ((few, PAPER), (dots & ~few, colour)):
        look: Look = {"markerfacecolor": face, "markeredgecolor": colour, "mew": 0.7 * width}
        ax.plot(x[chosen], mean[chosen], mark, markersize=0.85 * size, zorder=5, **look)


def _draw_strips(ax: Axes, trends: Trends, scores: Floats, summary: pd.DataFrame) -> None:
    """Draw a bar of proportions per bin; the groups are below each other."""
    style, groups = trends.style, trends.groups
    counts = _counted_groups(trends, scores)
    places, labels = [], []
    for place, name in enumerate(groups):
        own = summary[summary["by_level"] == name] if trends.hue else summary
        share = np.nan_to_num(own["proportion"].to_numpy().reshape(-1, 4)) * 100
        x = trends.axis.centres[own["bin"].to_numpy()[::4]]
        bottom = np.full(len(x), -place * (100 + _GAP))
        if trends.hue:
            text: Look = style.small.text(fontweight="bold", va="bottom")
            where = ax.get_yaxis_transform()
            ax.text(0, bottom[0] + 102, counts[place], transform=where, **text)
        few = own["participants_scored"].to_numpy()[::4] < FEW_PARTICIPANTS
        widths = np.where(few, 0.4, 0.86) * trends.axis.step
        places += [bottom[0], bottom[0] + 50, bottom[0] + 100]
        labels += ["0", "50", "100"]
        for level, part in zip(BUCKET_LEVELS, share.T, strict=True):
            look: Look = {"color": ORDINAL_RAMP[level], "edgecolor": PAPER, "linewidth": 0.3}
            ax.bar(x, part, widths, bottom, zorder=2, **look)
            bottom = bottom + part
    ax.set_ylim(-(len(groups) - 1) * (100 + _GAP), 100 + (14 if trends.hue else 0))
    ax.set_yticks(places, labels, **style.small.text())
    ax.set_ylabel("Recordings (%)", **style.text())
    ax.spines["left"].set_visible(not trends.hue)
    ax.spines["bottom"].set_visible(not trends.hue)
    level_key(ax, style)
