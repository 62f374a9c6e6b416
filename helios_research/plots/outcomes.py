"""What happened to recordings, by tag."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from helios_research.analysis import missingness_by_tag
from helios_research.analysis.missingness import ANY_REASON
from helios_research.analysis.prepared import PreparedResults, Results, prepare
from helios_research.columns import OPEN_OUTCOMES, Outcome
from helios_research.plots import canvas, marks
from helios_research.plots.canvas import INK, PAGE, PAPER, Look, Style, Target
from helios_research.plots.layout import RowLayout, lay_out_rows, write_rows
from helios_research.plots.selection import MOST_ROWS, Selection, keep_levels
from helios_research.plots.text import about_fonts

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
    colours = canvas.colours_of(palette) if palette else [colour for colour, _ in _LOOKS.values()]
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
    canvas.style_axes(axes, "Recordings without scores", style)
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
    return keep_levels(Selection(prepared, ended, reasons, caption), tag, MOST_ROWS)


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
    for colour, width, zorder in ((PAPER, 0.35, 3), (INK, 0.15, 4)):
        ax.hlines(places, low, high, color=colour, linewidth=width * style.font_pt, zorder=zorder)
    ax.plot(rate, places, "|", color=INK, markersize=0.9 * style.font_pt, zorder=4)
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
        look: Look = {"facecolor": colour, "hatch": hatch, "edgecolor": PAPER, "linewidth": 0.5}
        right = left + own
        corners = np.stack([left, low, right, low, right, high, left, high], axis=1)
        # All bars of an outcome are one shape: a hatch is made anew for every shape that has it.
        bars = Path.make_compound_path_from_polys(corners[own > 0].reshape(-1, 4, 2))
        ax.add_patch(PathPatch(bars, zorder=2, **look))
        patches[outcome] = Patch(**look)
        left = right
    if patches:
        marks.key_above(ax, list(patches.values()), list(patches), style)
