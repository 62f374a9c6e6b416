"""How many recordings got no scores at each level of a tag, and what became of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from helios_research.analysis import Bootstrap, missingness_by_tag
from helios_research.analysis.missing import ANY_REASON
from helios_research.analysis.provenance import flagged_note
from helios_research.analysis.tables import Floats, Results, load_results
from helios_research.columns import Outcome
from helios_research.plots.canvas import Note, Target, open_canvas, say_instead
from helios_research.plots.groups import (
    Groups,
    arrange,
    count_rows,
    keep_largest,
    name_rows,
    rule_rows,
)
from helios_research.plots.marks import NO_INTERVAL, key_above
from helios_research.plots.selection import Selection
from helios_research.plots.style import INK, OUTCOME_LOOKS, PAGE, PAPER, Look, Style, dress, entitle
from helios_research.plots.text import about_fonts

_AROUND = 6.6
_LEAST_AXIS = 5.0
_RESAMPLES = Bootstrap(1000)


def outcomes_by_tag(results: Results, tag: str, *, ax: Target = None, style: Style = PAGE) -> Axes:
    """Draw the share of recordings without scores at each level of a tag.

    Each bar is divided by outcome; the line at its end is the 95 % interval of the whole share,
    by a bootstrap over participants, as in ``analysis.missingness_by_tag``. Recordings that have
    not ended yet are left out. Where recordings fail more often at one level than at another, a
    sentence below says so.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    tag
        The column whose levels are the rows.
    ax
        Where to draw: an Axes or an empty Figure; None makes a new figure.
    style
        Sizes: ``COLUMN``, ``PAGE`` or ``SLIDE``.

    Returns
    -------
    Axes
        With the bars.

    Raises
    ------
    UnknownColumnError
        If the tag is not in the results.
    ResultsError
        If the tag has more than 500 values.

    Examples
    --------
    >>> ax = outcomes_by_tag("datasets/shift_study_results.parquet", "site")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Girona', 'Hamburg', 'Leeds']
    """
    chosen = keep_largest(_ended(load_results(results, [tag])), tag, None)
    table = chosen.rows()
    if table.empty:
        sentence = "There is no recording that has ended."
        return say_instead(ax, 1, sentence, chosen.notes(), style).axes[0]
    groups = arrange(table, tag, None)
    rates = missingness_by_tag(table, tag, also=(), bootstrap=_RESAMPLES)
    height = groups.height_in(style) + _AROUND * style.line_in
    # How many are flagged stands with who is in the figure.
    warned = [Note(said) for said in rates.attrs["warnings"] if said != flagged_note(table)]
    how = "Line: 95 % interval of the whole share (bootstrap over participants)."
    if rates["rate_low"].isna().all():
        how = f"Mark: whole share ({NO_INTERVAL})."
    fonts = about_fonts(row.level for row in groups.rows)
    canvas = open_canvas(ax, [height], [*warned, *chosen.notes(how, fonts)], style)
    shares = _shares(table, groups.code_rows(table, tag, None), len(groups.rows))
    overall = rates[rates["reason"] == ANY_REASON].set_index("level")
    overall = overall.loc[[row.level for row in groups.rows]]
    _draw(canvas.axes[0], groups, shares, overall, style)
    return canvas.axes[0]


def _ended(table: pd.DataFrame) -> Selection:
    ended = (table["outcome"].notna() & (table["outcome"] != Outcome.PENDING)).to_numpy(dtype=bool)
    reasons = pd.Series("not ended yet", index=table.index, dtype="str").mask(ended)
    return Selection(table, ended, reasons)


def _shares(table: pd.DataFrame, rows: np.ndarray, count: int) -> pd.DataFrame:
    """Give the share of each outcome in per cent, a row per group."""
    counts = pd.crosstab(rows, table["outcome"].astype("str"))
    counts = counts.reindex(index=range(count), columns=[*OUTCOME_LOOKS, Outcome.SCORED])
    counts = counts.fillna(0)
    return 100 * counts.div(np.bincount(rows, minlength=count), axis=0)


def _draw(
    ax: Axes, groups: Groups, shares: pd.DataFrame, overall: pd.DataFrame, style: Style
) -> None:
    dress(ax, style, grid="")
    entitle(ax, "Recordings without scores", style)
    ax.set_ylim(groups.depth, 0)
    _draw_bars(ax, groups, shares, style)
    _draw_intervals(ax, [row.y for row in groups.rows], overall, style)
    furthest = 100 * float(np.nanmax([overall["rate_high"].max(), overall["rate"].max()]))
    _set_axis(ax, max(_LEAST_AXIS, furthest), style)
    name_rows(ax, groups, style)
    rule_rows(ax, groups, ax.get_xticks(), style)
    numbers = overall[["missing", "recordings", "participants"]].itertuples(index=False, name=None)
    counts = [f"{missing:,} of {count:,} ({people:,})" for missing, count, people in numbers]
    count_rows(ax, groups, counts, style)


def _draw_bars(ax: Axes, groups: Groups, shares: pd.DataFrame, style: Style) -> None:
    left = np.zeros(len(groups.rows))
    places = np.array([row.y for row in groups.rows])
    handles, names = [], []
    for outcome, (colour, hatch) in OUTCOME_LOOKS.items():
        own = shares[outcome].to_numpy()
        if not own.any():
            continue
        look: Look = {"facecolor": colour, "hatch": hatch, "edgecolor": PAPER, "linewidth": 0.5}
        # All bars of an outcome are one shape: a hatch is made anew for every shape that has it.
        ax.add_patch(PathPatch(_bars(places, left, own), zorder=2, **look))
        left += own
        handles.append(Patch(**look))
        names.append(outcome.value)
    if handles:
        key_above(ax, handles, names, style)


def _bars(places: Floats, left: Floats, width: Floats) -> Path:
    low, high, right = places - 0.3, places + 0.3, left + width
    corners = np.stack([left, low, right, low, right, high, left, high], axis=1)
    return Path.make_compound_path_from_polys(corners[width > 0].reshape(-1, 4, 2))


def _draw_intervals(ax: Axes, places: Sequence[float], overall: pd.DataFrame, style: Style) -> None:
    low, high, rate = 100 * overall[["rate_low", "rate_high", "rate"]].to_numpy().T
    for colour, width, zorder in ((PAPER, 0.35, 3), (INK, 0.15, 4)):
        ax.hlines(places, low, high, color=colour, linewidth=width * style.font_pt, zorder=zorder)
    ax.plot(rate, places, "|", color=INK, markersize=0.9 * style.font_pt, zorder=4)


def _set_axis(ax: Axes, furthest: float, style: Style) -> None:
    step = next(step for step in (1, 2, 5, 10, 20) if furthest / step <= 6)
    ticks = np.arange(0, furthest + step, step)
    ticks = ticks[ticks <= 100]
    ax.set_xlim(0, min(100.0, 1.04 * furthest))
    ticks = ticks[ticks <= 1.04 * furthest]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks], **style.small.text())
    ax.set_xlabel("Share of recordings (%)", **style.text())
