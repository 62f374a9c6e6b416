"""Scores along an axis: of participants over time, or of all over the hours awake."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from helios_research.analysis import summarize_by_tag
from helios_research.analysis.prepared import (
    Codes,
    Floats,
    count_people,
    levels_of,
    people_of,
    scores_of,
)
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
    Canvas,
    Look,
    Style,
    Target,
    dress,
    entitle,
    open_canvas,
    write_sentence,
)
from helios_research.plots.groups import Selection
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
from helios_research.plots.text import about_fonts, joined, plain, shorten, told_apart
from helios_research.plots.x_axis import Course, label_bins

MOST_COLOURS = len(OKABE_ITO)
RESAMPLES = 1000

HEIGHT_LINES = 21.0
_STRIP_LINES = 9.5
_AROUND_STRIPS = 8.5

# Between the strips of two groups, in percentage points.
_GAP = 30.0

# With more bins the intervals merge into a ribbon.
_MOST_BARS = 20

# How far groups stand apart, of the distance between bins.
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
class Trend:
    """What one biomarker's panel is made from."""

    marker: Biomarker
    table: pd.DataFrame
    course: Course
    colour: str | None
    band: Band | None
    style: Style
    lines: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """Levels of the colour; one without a name where there is none."""
        return levels_of(self.table, self.colour).labels if self.colour else ("",)

    @property
    def codes(self) -> Codes:
        """Number of each recording's group."""
        if self.colour:
            return levels_of(self.table, self.colour).codes
        return np.zeros(len(self.table), dtype=np.intp)

    @property
    def height_in(self) -> float:
        """Height of the panel in inches."""
        strips = _STRIP_LINES * len(self.groups) + _AROUND_STRIPS
        return (max(strips, 15) if self.marker.bucketed else HEIGHT_LINES) * self.style.line_in


def draw_trends(
    ax: Target, trends: Sequence[Trend], chosen: Selection, about_raw: str | None, *more: str | None
) -> Canvas:
    """Draw one panel per biomarker along the same axis."""
    first = trends[0]
    summary = _summarize(first, [trend.marker.name for trend in trends])
    notes = chosen.notes(about_raw, _about_means(trends, summary), *more)
    canvas = open_canvas(ax, [trend.height_in for trend in trends], notes, first.style)
    for panel, trend in zip(canvas.axes, trends, strict=True):
        _draw_trend(panel, trend, summary)
    return canvas


def _about_means(trends: Sequence[Trend], summary: pd.DataFrame) -> str:
    """Say how to read means, bars and numbers in brackets."""
    few = bool((summary["participants_scored"] < FEW_PARTICIPANTS).any())
    levels = trends[0].course.names
    kinds = {trend.marker.bucketed for trend in trends}
    known = summary["mean_low"].notna().any()
    interval = "with 95 % interval (bootstrap over participants)" if known else f"({NO_INTERVAL})"
    what = " and ".join(
        what
        for kind, what in (
            (False, "hollow marks" if trends[0].colour else "hollow dots"),
            (True, "narrow bars"),
        )
        if kind in kinds
    )
    return joined(
        [
            f"Thick line: mean {interval}." if False in kinds else None,
            about_bars([trend.marker for trend in trends]),
            "In brackets: participants." if trends[0].colour else None,
            f"{what.capitalize()}: fewer than {FEW_PARTICIPANTS} participants." if few else None,
            about_fonts([*trends[0].groups, *levels]),
        ]
    )


def _summarize(trend: Trend, names: Sequence[str]) -> pd.DataFrame:
    """Describe each bin, within each group where there are groups; its number is in ``bin``."""
    colour = trend.colour
    needed = ["outcome", "user_label", *names, *([colour] if colour else [])]
    binned = trend.table[needed].assign(_bin=trend.course.bins.astype(str))
    found = summarize_by_tag(binned, "_bin", by=colour, biomarkers=names, resamples=RESAMPLES)
    return found.assign(bin=found["level"].astype(int))


def _draw_trend(ax: Axes, trend: Trend, summary: pd.DataFrame) -> None:
    style = trend.style
    dress(ax, style, grid="y")
    entitle(ax, trend.marker.label, style)
    scores = scores_of(trend.table, trend.marker.name)
    if np.isnan(scores).all():
        write_sentence(ax, f"No recording has a score of {trend.marker.label}.", style)
        return
    own = summary[summary["biomarker"] == trend.marker.name]
    if trend.marker.bucketed:
        _draw_strips(ax, trend, own)
    else:
        _draw_course(ax, trend, scores, own)
    _set_course(ax, trend, scores)


def _draw_course(ax: Axes, trend: Trend, scores: Floats, summary: pd.DataFrame) -> None:
    style, groups = trend.style, trend.groups
    if trend.band is not None:
        _draw_band(ax, trend.band, trend.course.x, scores, style)
    draw = _draw_lines if trend.lines else _draw_scatter
    draw(ax, trend, scores)
    for place, name in enumerate(groups):
        own = summary[summary["by_level"] == name] if trend.colour else summary
        shift = (place - (len(groups) - 1) / 2) * _DODGE / len(groups) * trend.course.step
        colour = OKABE_ITO[place] if trend.colour else INK
        x = trend.course.centres[own["bin"]] + shift
        _draw_means(ax, x, own, colour, style, mark=MARKS[place])
    score_axis(ax, "y", scores[~np.isnan(scores)], style, "Score (0 to 1)")
    if trend.colour:
        key_above(ax, _group_keys(len(groups), style), _counted_groups(trend, scores), style)


def _group_keys(count: int, style: Style) -> list[Line2D]:
    look: Look = {"linewidth": 0.16 * style.font_pt, "markersize": 0.6 * style.font_pt}
    looks = zip(OKABE_ITO[:count], MARKS, strict=False)
    return [Line2D([], [], color=colour, marker=mark, **look) for colour, mark in looks]


def _counted_groups(trend: Trend, scores: Floats) -> list[str]:
    people, has_score = people_of(trend.table)[0], ~np.isnan(scores)
    counts = [
        count_people(people, has_score & (trend.codes == n)) for n in range(len(trend.groups))
    ]
    pt = trend.style.font_pt
    names = told_apart(
        [plain(name) for name in trend.groups],
        lambda name: shorten(name, _NAME_LINES * trend.style.line_in, pt),
    )
    return [f"{name} ({count:,})" for name, count in zip(names, counts, strict=True)]


def _draw_band(ax: Axes, band: Band, x: Floats, scores: Floats, style: Style) -> None:
    if np.isnan(band.low) or not band.later:
        return
    ax.axhspan(band.low, band.high, color=BAND, linewidth=0, zorder=0.2)
    seen = band.outside[sample(len(band.outside))]
    size = 0.35 * style.font_pt
    ax.plot(x[seen], scores[seen], "o", markersize=size, color=INK, alpha=0.55, mew=0, zorder=2.5)


def _draw_lines(ax: Axes, trend: Trend, scores: Floats) -> None:
    """Join each participant's recordings, of as many participants as are to be drawn."""
    people = people_of(trend.table)[0]
    rows = np.flatnonzero(~np.isnan(scores) & np.isin(people, drawn_people(people)))
    who = people[rows] * len(trend.groups) + trend.codes[rows]
    rows = rows[np.lexsort((trend.course.x[rows], who))]
    who = people[rows] * len(trend.groups) + trend.codes[rows]
    points = np.column_stack([trend.course.x[rows], scores[rows]])
    starts = np.flatnonzero(np.diff(who)) + 1
    lines = np.split(points, starts)
    groups = [int(line) for line in trend.codes[rows[np.concatenate([[0], starts])]]]
    opacity = float(np.clip(4 / np.sqrt(len(lines)), 0.12, 0.6))
    thin = {"linewidths": 0.06 * trend.style.font_pt, "rasterized": len(lines) > 500}
    colours = [OKABE_ITO[group] for group in groups]
    ax.add_collection(LineCollection(lines, colors=colours, alpha=opacity, zorder=1.5, **thin))
    alone = np.array([line[0] for line in lines if len(line) == 1]).reshape(-1, 2)
    ax.plot(*alone.T, "o", color=MUTED, markersize=0.2 * trend.style.font_pt, mew=0, zorder=1.5)


def drawn_people(people: Codes) -> Codes:
    """Choose whose lines are drawn, so that they have about 5,000 recordings at most."""
    everyone = np.unique(people)
    most = max(1, MOST_POINTS * len(everyone) // max(len(people), 1))
    return everyone[sample(len(everyone), most)]


def _draw_scatter(ax: Axes, trend: Trend, scores: Floats) -> None:
    has_score = np.flatnonzero(~np.isnan(scores))
    drawn = has_score[sample(len(has_score))]
    for place in range(len(trend.groups)):
        own = drawn[trend.codes[drawn] == place]
        draw_points(ax, trend.course.x[own], scores[own], OKABE_ITO[place], trend.style)


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


def _draw_strips(ax: Axes, trend: Trend, summary: pd.DataFrame) -> None:
    """Draw a bar of proportions per bin; the groups stand below each other."""
    style, groups = trend.style, trend.groups
    counts = _counted_groups(trend, scores_of(trend.table, trend.marker.name))
    places, labels = [], []
    for place, name in enumerate(groups):
        own = summary[summary["by_level"] == name] if trend.colour else summary
        share = np.nan_to_num(own["proportion"].to_numpy().reshape(-1, 4)) * 100
        x = trend.course.centres[own["bin"].to_numpy()[::4]]
        bottom = np.full(len(x), -place * (100 + _GAP))
        if trend.colour:
            text: Look = style.small.text(fontweight="bold", va="bottom")
            where = ax.get_yaxis_transform()
            ax.text(0, bottom[0] + 102, counts[place], transform=where, **text)
        few = own["participants_scored"].to_numpy()[::4] < FEW_PARTICIPANTS
        widths = np.where(few, 0.4, 0.86) * trend.course.step
        places += [bottom[0], bottom[0] + 50, bottom[0] + 100]
        labels += ["0", "50", "100"]
        for level, part in zip(BUCKET_LEVELS, share.T, strict=True):
            look: Look = {"color": ORDINAL_RAMP[level], "edgecolor": PAPER, "linewidth": 0.3}
            ax.bar(x, part, widths, bottom, zorder=2, **look)
            bottom = bottom + part
    ax.set_ylim(-(len(groups) - 1) * (100 + _GAP), 100 + (14 if trend.colour else 0))
    ax.set_yticks(places, labels, **style.small.text())
    ax.set_ylabel("Recordings (%)", **style.text())
    ax.spines["left"].set_visible(not trend.colour)
    ax.spines["bottom"].set_visible(not trend.colour)
    level_key(ax, style)


def _set_course(ax: Axes, trend: Trend, scores: Floats) -> None:
    course = trend.course
    margin = 0.6 * course.step
    ends = np.concatenate([course.centres, course.x])
    ax.set_xlim(ends.min() - margin, ends.max() + margin)
    counts = np.bincount(course.bins[~np.isnan(scores)], minlength=len(course.centres))
    label_bins(ax, course, counts, trend.style)
