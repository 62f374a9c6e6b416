"""Scores along an axis: of participants over time, or of all over the hours awake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from helios_research.analysis import summarize_by_tag
from helios_research.analysis.prepared import Codes, Flags, Floats, PreparedResults
from helios_research.columns import Biomarker
from helios_research.plots import canvas, looks, marks
from helios_research.plots.canvas import Selection, Target, size_in
from helios_research.plots.looks import Labels, Look, Style, about_fonts, fit_names, shown, width_in

MOST_COLOURS = len(looks.OKABE_ITO)

# In lines of type: heights, and room for the name of a group in the key and beside its numbers.
HEIGHT_LINES, _STRIP_LINES, _AROUND_STRIPS = 21.0, 10.5, 8.5
_NAME_LINES, _SHORT_NAME_LINES = 11.5, 6.0
# Between the strips of two groups, for the numbers of one and the name of the next, in percent.
_GAP, _NUMBERS = 45.0, 10.0
# With more bins the intervals merge into a ribbon.
_MOST_BARS = 20
# Between groups, and before the first and after the last bin, as a share of the bins' distance.
_DODGE, _LEAST_MARGIN = 0.3, 0.03


# Between two labels, as a share of the widest.
_LABEL_GAP = 0.2
# A name in words is broken into lines where this share of the distance of neighbours has room for
# so many letters, and else turned.
_ROOM, _LETTERS, _MOST_LINES, _TURNED_IN_LINES = 0.96, 7, 3, 10.0


@dataclass(frozen=True, slots=True)
class BinnedAxis:
    """Where each recording is along an axis (``x``), and in which bin; ``words``: names, no numbers."""

    x: Floats
    bins: Codes
    centres: Floats
    names: tuple[str, ...]
    label: str
    words: bool = False

    @property
    def step(self) -> float:
        """Distance of neighbouring bins."""
        return float(np.diff(np.sort(self.centres)).min()) if len(self.centres) > 1 else 1.0


@dataclass(frozen=True, slots=True)
class Change:
    """How far scores go from a baseline if nothing changes, and which go further than their own."""

    half: float
    outside: Flags


@dataclass(frozen=True, slots=True)
class Trends:
    """What all panels are made from; in ``changes``, a score is half its change plus 0.5."""

    rows: PreparedResults
    axis: BinnedAxis
    hue: str | None
    labels: Labels
    colours: Sequence[str]
    style: Style
    changes: Mapping[str, Change] = field(default_factory=dict)
    lines: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """Levels of hue; one without a name where there is none."""
        return self.rows.levels[self.hue].labels if self.hue else ("",)

    @property
    def codes(self) -> Codes:
        """Number of each recording's group."""
        return self.rows.levels[self.hue].codes if self.hue else np.zeros_like(self.rows.people)

    @property
    def drawn_people(self) -> Codes:
        """Those whose lines are drawn, so that they have about 5,000 recordings at most."""
        everyone = np.unique(self.rows.people)
        most = max(1, marks.MOST_POINTS * len(everyone) // max(len(self.rows.people), 1))
        return everyone[marks.sample(len(everyone), most)]

    def names(self, lines: float) -> list[str]:
        """Name the groups in so much room."""
        names = [shown(name, self.labels) for name in self.groups]
        return fit_names(names, lines * self.style.line_in, self.style.font_pt)

    def colour(self, place: int) -> str:
        """Give the colour of a group."""
        return self.colours[place % len(self.colours)]


def draw_trends(
    ax: Target, trends: Trends, chosen: Selection, *about: str | None
) -> tuple[Axes, ...]:
    """Draw one panel per biomarker along the same axis; ``about`` is the first part of the notes."""
    markers, style = trends.rows.biomarkers, trends.style
    binned = trends.rows.with_columns(_bin=trends.axis.bins.astype(str))
    summary = _in_groups(summarize_by_tag(binned, "_bin", by=trends.hue), trends)
    notes = chosen.notes(about[0], _about_means(trends, summary), *about[1:])
    n = len(trends.groups)
    lines = {False: HEIGHT_LINES + n, True: max(_STRIP_LINES * n + _AROUND_STRIPS, 15)}
    heights = [lines[marker.bucketed] * style.line_in for marker in markers]
    axes = canvas.open_canvas(ax, heights, notes, style)
    for panel, marker in zip(axes, markers, strict=True):
        _draw_panel(panel, trends, marker, summary[summary["biomarker"] == marker.name])
    return axes


def _in_groups(summary: pd.DataFrame, trends: Trends) -> pd.DataFrame:
    """Give rows the numbers of their bin and group, and changes their scale."""
    group = summary["by_level"].map(trends.groups.index) if trends.hue else 0
    summary = summary.assign(bin=summary["level"].astype(int), group=group)
    changed = summary["biomarker"].isin(list(trends.changes))
    means = ["mean", "mean_low", "mean_high"]
    summary.loc[changed, means] = 2 * summary.loc[changed, means] - 1
    return summary.sort_values(["biomarker", "group", "bin", "score"], kind="stable")


def _about_means(trends: Trends, summary: pd.DataFrame) -> str:
    """Write how to read means, bars and numbers."""
    known = summary.loc[summary["mean"].notna(), "mean_low"].notna()
    sentences = [
        "Thick line: mean with 95 % interval; participants weigh equally." if known.any() else None,
        f"Marks without a line: {marks.NO_INTERVAL}." if not known.all() else None,
        marks.about_bars(summary),
        "n: participants with scores.",
        about_fonts([*trends.groups, *trends.axis.names]),
    ]
    return " ".join(filter(None, sentences))


def _draw_panel(ax: Axes, trends: Trends, marker: Biomarker, summary: pd.DataFrame) -> None:
    axis, style = trends.axis, trends.style
    scores = trends.rows.scores[marker.name]
    if not marks.open_panel(ax, marker, scores, trends.labels, style, grid_y=True):
        return
    ends = np.concatenate([axis.centres, axis.x])
    margin = max(0.6 * axis.step, _LEAST_MARGIN * np.ptp(ends))
    ax.set_xlim(ends.min() - margin, ends.max() + margin)
    label_bins(ax, axis, style)
    ax.tick_params(axis="x", length=0)
    each = summary.drop_duplicates(["group", "bin"])
    people = np.zeros((len(trends.groups), len(axis.centres)), dtype=np.intp)
    people[each["group"], each["bin"]] = each["participants_scored"]
    if marker.bucketed:
        _draw_strips(ax, trends, scores, summary, people)
    else:
        _draw_scores(ax, trends, scores, summary, trends.changes.get(marker.name))
        _write_people(ax, trends, people)


def _draw_scores(
    ax: Axes, trends: Trends, scores: Floats, summary: pd.DataFrame, change: Change | None
) -> None:
    style, groups, axis = trends.style, trends.groups, trends.axis
    scores = scores if change is None else 2 * scores - 1
    draw = _draw_lines if trends.lines else _draw_scatter
    draw(ax, trends, scores)
    for place in range(len(groups)):
        own = summary[summary["group"] == place]
        shift = (place - (len(groups) - 1) / 2) * _DODGE / len(groups) * axis.step
        x = axis.centres[own["bin"]] + shift
        colour = trends.colour(place) if trends.hue else looks.INK
        _draw_means(ax, x, own, colour, style, mark=looks.MARKS[place])
    reach = np.append(scores, marks.estimates(summary, "mean"))
    if change is not None:
        _draw_band(ax, change, axis.x, scores, style)
        reach = np.append(reach, [-change.half, change.half])
    marks.score_axis(ax, "y", reach, style, change=change is not None)
    if trends.hue:
        look: Look = {"linewidth": 0.16 * style.font_pt, "markersize": 0.6 * style.font_pt}
        styles = [(trends.colour(place), looks.MARKS[place]) for place in range(len(groups))]
        keys = [Line2D([], [], color=colour, marker=mark, **look) for colour, mark in styles]
        marks.key_above(ax, keys, trends.names(_NAME_LINES), style)


def _draw_band(ax: Axes, change: Change, x: Floats, scores: Floats, style: Style) -> None:
    """Draw where changes stay if nothing changes, and those that do not."""
    ax.axhline(0, color=looks.MUTED, linewidth=0.1 * style.font_pt, zorder=1.2)
    if not np.isnan(change.half):
        ax.axhspan(-change.half, change.half, color=looks.BAND, linewidth=0, zorder=0.2)
    outside = np.flatnonzero(change.outside)
    seen = outside[marks.sample(len(outside))]
    look: Look = {"markersize": 0.35 * style.font_pt, "color": looks.INK, "alpha": 0.55, "mew": 0}
    ax.plot(x[seen], scores[seen], "o", zorder=2.5, **look)


def _draw_lines(ax: Axes, trends: Trends, scores: Floats) -> None:
    """Join each participant's recordings, of as many participants as are to be drawn."""
    people = trends.rows.people
    who = people * len(trends.groups) + trends.codes
    rows = np.flatnonzero(~np.isnan(scores) & np.isin(people, trends.drawn_people))
    rows = rows[np.lexsort((trends.axis.x[rows], who[rows]))]
    points = np.column_stack([trends.axis.x[rows], scores[rows]])
    starts = np.flatnonzero(np.diff(who[rows])) + 1
    lines = np.split(points, starts)
    opacity = float(np.clip(4 / np.sqrt(len(lines)), 0.12, 0.6))
    thin = {"linewidths": 0.06 * trends.style.font_pt, "rasterized": len(lines) > 500}
    colours = [trends.colour(group) for group in trends.codes[rows[[0, *starts]]]]
    ax.add_collection(LineCollection(lines, colors=colours, alpha=opacity, zorder=1.5, **thin))
    alone = np.array([len(line) == 1 for line in lines])
    x, y = np.array([line[0] for line in lines])[alone].T
    size = (0.25 * trends.style.font_pt) ** 2
    ax.scatter(x, y, size, np.array(colours)[alone], alpha=opacity, linewidths=0, zorder=1.5)


def _draw_scatter(ax: Axes, trends: Trends, scores: Floats) -> None:
    has_score = np.flatnonzero(~np.isnan(scores))
    drawn = has_score[marks.sample(len(has_score))]
    for place in range(len(trends.groups)):
        own = drawn[trends.codes[drawn] == place]
        marks.draw_points(ax, trends.axis.x[own], scores[own], trends.colour(place), trends.style)


def _draw_means(
    ax: Axes, x: Floats, summary: pd.DataFrame, colour: str, style: Style, *, mark: str
) -> None:
    """Join the means; one without an interval, of too few participants, is a dot beside the line."""
    mean, low, high = marks.estimates(summary, "mean")
    known = ~np.isnan(low)
    width = 0.16 * style.font_pt
    if len(x) > _MOST_BARS:
        ax.fill_between(x[known], low[known], high[known], color=colour, alpha=0.3, lw=0, zorder=3)
    else:
        for extra, line_colour in ((1.2, looks.PAPER), (0.0, colour)):
            ax.vlines(x, low, high, color=line_colour, linewidth=width + extra, zorder=4)
    dots = ~known | (len(x) <= _MOST_BARS)
    size = 0.5 * style.font_pt
    for extra, line_colour, zorder in ((1.5, looks.PAPER, 4.1), (0.0, colour, 4.2)):
        ax.plot(x[known], mean[known], color=line_colour, linewidth=width + extra, zorder=zorder)
        look: Look = {"color": line_colour, "markersize": size + extra, "mew": 0}
        ax.plot(x[dots], mean[dots], mark, zorder=zorder + 0.3, **look)


def _write_people(ax: Axes, trends: Trends, people: Codes) -> None:
    """Write below the scores how many participants each mean is of, a line for each group."""
    low, high = ax.get_ylim()
    count, line_in = len(people), trends.style.small.line_in
    lines = max(canvas.size_in(ax)[1] / line_in, count + 6)
    line = (high - low) / (lines - count - 0.8)
    places = low - line * np.arange(0.8, count + 0.7)
    ax.set_ylim(low - line * (count + 0.8), high)
    ax.spines["left"].set_bounds(low, high)
    ax.axhline(low, color=looks.FAINT, linewidth=0.06 * trends.style.font_pt)
    for y, counts in zip(places, people, strict=True):
        write_counts(ax, trends.axis, counts, y, trends.style)
    names = [f"n {name}".strip() for name in trends.names(_SHORT_NAME_LINES)]
    _name_numbers(ax, places, names, trends.style)


def _name_numbers(ax: Axes, places: Floats, names: Sequence[str], style: Style) -> None:
    ax.set_yticks(places, names, minor=True, **style.small.text())
    ax.tick_params(axis="y", which="minor", length=0)


def _draw_strips(
    ax: Axes, trends: Trends, scores: Floats, summary: pd.DataFrame, people: Codes
) -> None:
    """Draw a bar of shares per bin, with its number of participants; groups are below each other."""
    style, count = trends.style, len(people)
    bottoms = -(100 + _GAP) * np.arange(0.0, count)
    groups = trends.codes * people.shape[1] + trends.axis.bins
    upper = marks.upper_halves(scores, trends.rows.people, groups, people.size)
    upper = upper.reshape(3, *people.shape)
    for place, (bottom, name) in enumerate(zip(bottoms, trends.names(_NAME_LINES), strict=True)):
        if trends.hue:
            text: Look = style.small.text(fontweight="bold", va="bottom")
            ax.text(0, bottom + 102, name, transform=ax.get_yaxis_transform(), **text)
        own = summary[summary["group"] == place]
        bins, width = own["bin"].to_numpy()[::4], 0.86 * trends.axis.step
        tables = marks.shares(own), upper[:, place, bins]
        bars = marks.Bars(trends.axis.centres[bins], *tables, width, bottom, upright=True)
        marks.draw_bars(ax, bars, style)
        write_counts(ax, trends.axis, people[place], bottom - _NUMBERS, style)
    ax.set_ylim(bottoms[-1] - 2 * _NUMBERS, 100 + (14 if trends.hue else 0))
    places = (bottoms[:, None] + [0, 50, 100]).ravel()
    ax.set_yticks(places, ["0", "50", "100"] * count, **style.small.text())
    _name_numbers(ax, bottoms - _NUMBERS, ["n"] * count, style)
    ax.set_ylabel("Share (%)", **style.text())
    ax.spines[["left", "bottom"]].set_visible(False)
    marks.level_key(ax, style)


def inches_per_unit(ax: Axes) -> float:
    """Measure one unit of the x axis; names to the left of it will take a part of its room."""
    low, high = ax.get_xlim()
    return 0.9 * size_in(ax)[0] / (high - low)


def label_bins(ax: Axes, axis: BinnedAxis, style: Style) -> None:
    """Name bins below a panel: of numbers and times as many as have room; words broken or turned."""
    small = style.small
    unit_in = inches_per_unit(ax)
    room_in = _ROOM * axis.step * unit_in
    widest_in = max(width_in(name, small.font_pt) for name in axis.names)
    turned = axis.words and room_in < min(widest_in, width_in("n" * _LETTERS, small.font_pt))
    names, apart_in = list(axis.names), (1 + _LABEL_GAP) * widest_in
    if turned:
        names = fit_names(names, _TURNED_IN_LINES * small.line_in, small.font_pt)
        apart_in = small.line_in
    elif axis.words:
        names, apart_in = fit_names(names, room_in, small.font_pt, _MOST_LINES), 0.0
    bins = spaced(axis.centres * unit_in, apart_in)
    look = small.text(rotation=90 if turned else 0)
    ax.set_xticks(axis.centres[bins], [names[place] for place in bins], **look)
    ax.set_xlabel(axis.label, **style.text())


def write_counts(ax: Axes, axis: BinnedAxis, counts: Codes, y: float, style: Style) -> None:
    """Write a number for each bin that is named, as many as have room."""
    look = style.small.text(ha="center", va="center_baseline", in_layout=False)
    texts = [f"{count:,}" for count in counts]
    widest_in = max(width_in(text, style.small.font_pt) for text in texts)
    named = np.flatnonzero(np.isin(axis.centres, ax.get_xticks()))
    for place in named[
        spaced(axis.centres[named] * inches_per_unit(ax), (1 + _LABEL_GAP) * widest_in)
    ]:
        ax.text(axis.centres[place], y, texts[place], **look)


def spaced(places_in: Floats, apart_in: float) -> list[int]:
    """Choose places that are far enough from each other, from the first on."""
    kept: list[int] = []
    for number in np.argsort(places_in, kind="stable"):
        if not kept or places_in[number] - places_in[kept[-1]] >= apart_in - 1e-9:
            kept.append(int(number))
    return sorted(kept)
