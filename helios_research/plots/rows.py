"""A row for each level of a tag, and the figure of what happened to recordings at each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from matplotlib.text import Annotation

from helios_research.analysis import missingness_by_tag
from helios_research.analysis.levels import Levels
from helios_research.analysis.missingness import ANY_REASON
from helios_research.analysis.prepared import Codes, Floats, PreparedResults, Results, prepare
from helios_research.columns import OPEN_OUTCOMES, Outcome
from helios_research.plots import canvas, looks, marks
from helios_research.plots.canvas import Selection, Target, keep_levels, size_in
from helios_research.plots.looks import PAGE, Labels, Look, Style, about_fonts, fit_names, shown

# Height of a header in rows; up to how many rows a row is so many lines of type high.
_HEADER = 0.8
_LINES, _LEAST_LINES = ((4, 4.4), (8, 3.2), (16, 2.2), (30, 1.6)), 1.25
# Room for names beside a panel, as a share of its width.
FOR_NAMES = 0.38

_AROUND = 6.6
_LEAST_AXIS = 5.0

NOT_COUNTED = "score not counted"
# Hatches distinguish neighbours without colour.
_LOOKS = {
    Outcome.FAILED.value: ("#D55E00", ""),
    Outcome.SKIPPED.value: ("#F0C36D", "////"),
    Outcome.REJECTED.value: ("#56B4E9", "...."),
    Outcome.INVALID.value: ("#CC79A7", r"\\\\"),
    Outcome.LOST.value: ("#000000", ""),
    NOT_COUNTED: ("#999999", "xxxx"),
}


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One group of recordings; ``name`` is its text beside the row, ``y`` its middle."""

    level: str
    name: str
    y: float
    colour: str


@dataclass(frozen=True, slots=True)
class RowLayout:
    """All rows, the headers above them where hue divides them, and each recording's row (``codes``)."""

    rows: tuple[FigureRow, ...]
    headers: tuple[tuple[str, float], ...]
    depth: float
    codes: Codes

    @property
    def lines(self) -> float:
        """Height of a row in lines of type: the more rows, the less."""
        fitting = (lines for most, lines in _LINES if len(self.rows) <= most)
        return next(fitting, _LEAST_LINES)

    @property
    def tall(self) -> bool:
        """Whether a row has room for the distribution above its points."""
        return self.lines >= 3

    @property
    def places(self) -> Floats:
        """Where the rows are."""
        return np.array([row.y for row in self.rows])

    @property
    def names(self) -> list[str]:
        """All texts beside the rows."""
        return [row.name for row in self.rows] + [name for name, _ in self.headers]

    def height_in(self, style: Style) -> float:
        """Give the height of all rows in inches."""
        return self.depth * self.lines * style.line_in


def lay_out_rows(
    results: PreparedResults,
    tag: str,
    hue: str | None,
    labels: Labels,
    palette: Sequence[str] = looks.OKABE_ITO,
) -> RowLayout:
    """Give every group that occurs a row."""
    outer = results.levels[tag]
    divided = hue is not None and hue != tag
    inner = results.levels[str(hue)] if divided else Levels(np.zeros_like(outer.codes), ("",), "")
    found, codes = np.unique(outer.codes * len(inner) + inner.codes, return_inverse=True)
    rows: list[FigureRow] = []
    headers: list[tuple[str, float]] = []
    y = 0.0
    for pair in found:
        place, own = divmod(int(pair), len(inner))
        level = outer.labels[place]
        if divided and (not rows or rows[-1].level != level):
            headers.append((shown(level, labels), y + _HEADER / 2))
            y += _HEADER
        name, number = (inner.labels[own], own) if divided else (level, place if hue else 0)
        colour = palette[number % len(palette)]
        rows.append(FigureRow(level, shown(name, labels), y + 0.5, colour))
        y += 1
    return RowLayout(tuple(rows), tuple(headers), y, codes.astype(np.intp))


def write_rows(ax: Axes, layout: RowLayout, counts: Sequence[str], style: Style) -> None:
    """Write the rows' names to their left and their numbers of recordings and participants right."""
    size = style if layout.lines >= 1.3 else style.small
    limit, most_lines = FOR_NAMES * size_in(ax)[0], max(1, int(layout.lines / 1.2))
    names = fit_names(layout.names, limit, size.font_pt, most_lines)
    ax.set_yticks([*layout.places, *(y for _, y in layout.headers)], names, **size.text())
    ax.tick_params(axis="y", length=0)
    # There is no label to find a place for, which would take measuring every name again.
    ax.yaxis.set_label_coords(0, 0.5)
    for label in ax.get_yticklabels()[len(layout.rows) :]:
        label.set_fontweight("bold")
    longest = max(range(len(counts)), key=lambda place: len(counts[place]))
    for place, (row, text) in enumerate(zip(layout.rows, counts, strict=True)):
        # One is enough for the layout to make room for all, and measuring text is slow.
        beside_row(ax, row.y, text, style).set_in_layout(place == longest)
    head = beside_row(ax, layout.depth, "recordings\n(participants)", style)
    head.set(color=looks.MUTED, va="top", position=(style.font_pt, -1.6 * style.font_pt))
    # Lines behind the rows, but not behind what is below them.
    look: Look = {"color": looks.FAINT, "linewidth": 0.06 * style.font_pt, "zorder": 0.5}
    ax.vlines(ax.get_xticks(), 0, layout.depth, **look)


def beside_row(ax: Axes, y: float, text: str, style: Style) -> Annotation:
    """Write something to the right of a row."""
    look: Look = style.small.text(xycoords=ax.get_yaxis_transform(), va="center")
    return canvas.write_beside(ax, text, (1, y), (style.font_pt, 0), **look)


# --- what happened to recordings --------------------------------------------------------------------


def outcomes_by_tag(  # noqa: PLR0913 - each is a setting
    results: Results,
    tag: str,
    *,
    order: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    palette: Sequence[str] | None = None,
    caption: bool = True,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes:
    """Draw the share of recordings without scores at each level of a tag.

    Each bar is divided by outcome; the line at its end is the 95 % interval of the whole share,
    as in ``analysis.missingness_by_tag``. Recordings that have not ended yet are left out. Where
    recordings failed more often at one level than at another, a sentence below says so.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    tag
        The column whose levels are the rows.
    order
        Levels in the order wanted; levels that are not named follow.
    labels
        The text to show for a level; sentences keep its name.
    palette
        Colours of the outcomes, in the order failed, skipped, rejected, invalid, lost, and scored
        but not counted.
    caption, ax, style
        As for ``scores_by_tag``.

    Raises
    ------
    ResultsError
        If the tag is not in the results or has more than 500 values.

    Examples
    --------
    >>> ax = outcomes_by_tag("datasets/shift_study_results.parquet", "site")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Girona', 'Hamburg', 'Leeds']
    """
    chosen = select_ended(results, tag, order, caption=caption)
    colours = looks.colours_of(palette) if palette else [colour for colour, _ in _LOOKS.values()]
    if not chosen.recordings:
        return canvas.empty_figure(ax, 1, "No recording has ended.", chosen.notes(), style)[0]
    rows = chosen.rows()
    layout = lay_out_rows(rows, tag, None, labels)
    rates = missingness_by_tag(rows, tag, also=())
    height = layout.height_in(style) + _AROUND * style.line_in
    # The number of flagged recordings is already with the recordings shown.
    warnings = [text for text in rates.attrs["warnings"] if text != rows.flagged_note]
    few = rates["rate_low"].isna()
    how = "Mark: the whole share" if few.all() else "Line: 95 % interval of the whole share"
    how += f"; without a line: {marks.NO_INTERVAL}." if few.any() else "."
    notes = chosen.notes(how, about_fonts(layout.names), first=warnings)
    (axes,) = canvas.open_canvas(ax, [height], notes, style)
    looks.style_axes(axes, "Recordings without scores", style)
    axes.set_ylim(layout.depth, 0)
    _draw_bars(axes, layout, _shares(rows, layout), colours, style)
    overall = rates[rates["reason"] == ANY_REASON].set_index("level")
    _draw_rates(axes, layout, overall.loc[[row.level for row in layout.rows]], style)
    return axes


def select_ended(
    results: Results, tag: str, order: Sequence[str] | None = None, *, caption: bool = True
) -> Selection:
    """Take the recordings that have ended, at as many levels as there is room for."""
    prepared = prepare(results, [tag], order=order)
    outcome = prepared.frame["outcome"]
    ended = (outcome.notna() & ~outcome.isin(OPEN_OUTCOMES)).to_numpy(dtype=bool)
    reasons = pd.Series("not ended yet", index=outcome.index, dtype="str").mask(ended)
    return keep_levels(Selection(prepared, ended, reasons, caption), tag)


def _shares(rows: PreparedResults, layout: RowLayout) -> pd.DataFrame:
    """Give the share of each outcome in per cent, a row per group."""
    outcome = rows.frame["outcome"].astype("str")
    outcome = outcome.mask((outcome == Outcome.SCORED) & ~rows.has_score, NOT_COUNTED)
    counts = pd.crosstab(layout.codes, outcome).reindex(columns=[*_LOOKS, Outcome.SCORED])
    return 100 * counts.fillna(0).div(np.bincount(layout.codes), axis=0)


def _draw_rates(ax: Axes, layout: RowLayout, overall: pd.DataFrame, style: Style) -> None:
    """Draw the interval of each whole share, and write its numbers."""
    places = layout.places
    rate, low, high = 100 * marks.estimates(overall, "rate")
    for colour, width, zorder in ((looks.PAPER, 0.35, 3), (looks.INK, 0.15, 4)):
        ax.hlines(places, low, high, color=colour, linewidth=width * style.font_pt, zorder=zorder)
    ax.plot(rate, places, "|", color=looks.INK, markersize=0.9 * style.font_pt, zorder=4)
    furthest = max(_LEAST_AXIS, float(np.nanmax([high, rate])))
    step = next(step for step in (1, 2, 5, 10, 20) if furthest / step <= 6)
    end = min(100.0, 1.04 * furthest)
    ticks = np.arange(0, end + 1e-9, step)
    ax.set_xlim(0, end)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks], **style.small.text())
    ax.set_xlabel("Share of recordings (%)", **style.text())
    numbers = overall[["missing", "recordings", "participants"]].itertuples(index=False, name=None)
    counts = [f"{missing:,} of {count:,} ({people:,})" for missing, count, people in numbers]
    write_rows(ax, layout, counts, style)


def _draw_bars(
    ax: Axes, layout: RowLayout, shares: pd.DataFrame, colours: Sequence[str], style: Style
) -> None:
    low, high = layout.places - 0.3, layout.places + 0.3
    left = np.zeros(len(low))
    patches = {}
    for (outcome, (_, hatch)), colour in zip(_LOOKS.items(), cycle(colours), strict=False):
        own = shares[outcome].to_numpy()
        if not own.any():
            continue
        look: Look = {
            "facecolor": colour,
            "hatch": hatch,
            "edgecolor": looks.PAPER,
            "linewidth": 0.5,
        }
        right = left + own
        corners = np.stack([left, low, right, low, right, high, left, high], axis=1)
        # All bars of an outcome are one shape: a hatch is made anew for every shape that has it.
        bars = Path.make_compound_path_from_polys(corners[own > 0].reshape(-1, 4, 2))
        ax.add_patch(PathPatch(bars, zorder=2, **look))
        patches[outcome] = Patch(**look)
        left = right
    if patches:
        marks.key_above(ax, list(patches.values()), list(patches), style)
