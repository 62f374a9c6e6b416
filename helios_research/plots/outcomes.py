"""What happened to recordings: by tag, and as a flow diagram from the manifest to scores."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, PathPatch
from matplotlib.path import Path

from helios_research._util.text import counted
from helios_research.analysis import flow, missingness_by_tag
from helios_research.analysis.attrition import WITH_WARNING
from helios_research.analysis.missingness import ANY_REASON
from helios_research.analysis.prepared import Floats, Results, prepare
from helios_research.columns import Outcome
from helios_research.plots.canvas import (
    INK,
    MUTED,
    OUTCOME_LOOKS,
    PAGE,
    PAPER,
    Footnote,
    Look,
    Style,
    Target,
    empty_figure,
    open_canvas,
    size_in,
    style_axes,
)
from helios_research.plots.marks import key_above
from helios_research.plots.rows import RowLayout, lay_out_rows, write_rows
from helios_research.plots.selection import Selection, keep_largest
from helios_research.plots.text import about_fonts, name_of, shorten, width_in

_AROUND = 6.6
_LEAST_AXIS = 5.0


def outcomes_by_tag(  # noqa: PLR0913 - each is a setting
    results: Results,
    tag: str,
    *,
    order: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
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
    caption
        Whether to write the caption below; ``get_label()`` of the Axes gives it in any case.
    ax
        An Axes or an empty Figure to draw into; None makes a new figure.
    style
        Sizes: ``COLUMN``, ``PAGE`` or ``SLIDE``.

    Raises
    ------
    ResultsError
        If the tag is missing or has more than 500 values.

    Examples
    --------
    >>> ax = outcomes_by_tag("datasets/shift_study_results.parquet", "site")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Girona', 'Hamburg', 'Leeds']
    """
    prepared = prepare(results, [tag], order=order)
    outcome = prepared.frame["outcome"]
    ended = (outcome.notna() & (outcome != Outcome.PENDING)).to_numpy(dtype=bool)
    reasons = pd.Series("not ended yet", index=outcome.index, dtype="str").mask(ended)
    chosen = keep_largest(Selection(prepared, ended, reasons, caption), tag, None)
    if not chosen.recordings:
        sentence = "No recording has ended."
        return empty_figure(ax, 1, sentence, chosen.notes(), style)[0]
    rows = chosen.rows()
    layout = lay_out_rows(rows, tag, None, labels)
    rates = missingness_by_tag(rows, tag, also=())
    height = layout.height_in(style) + _AROUND * style.line_in
    # The number of flagged recordings is already with the recordings shown.
    warnings = [text for text in rates.attrs["warnings"] if text != rows.flagged_note]
    has_line = rates["rate_low"].notna()
    how = "Line: 95 % interval of the whole share" if has_line.any() else "Mark: the whole share"
    how += "." if has_line.all() else "; none for fewer than 3 participants."
    notes = [Footnote(text, hidden=not caption) for text in warnings]
    notes += chosen.notes(how, about_fonts(layout.names))
    (axes,) = open_canvas(ax, [height], notes, style)
    overall = rates[rates["reason"] == ANY_REASON].set_index("level")
    overall = overall.loc[[row.level for row in layout.rows]]
    _draw(axes, layout, _shares(rows.frame, layout), overall, style)
    return axes


def _shares(frame: pd.DataFrame, layout: RowLayout) -> pd.DataFrame:
    """Give the share of each outcome in per cent, a row per group."""
    counts = pd.crosstab(layout.codes, frame["outcome"].astype("str"))
    counts = counts.reindex(columns=[*OUTCOME_LOOKS, Outcome.SCORED]).fillna(0)
    return 100 * counts.div(np.bincount(layout.codes), axis=0)


def _draw(
    ax: Axes, layout: RowLayout, shares: pd.DataFrame, overall: pd.DataFrame, style: Style
) -> None:
    style_axes(ax, "Recordings without scores", style)
    ax.set_ylim(layout.depth, 0)
    places = np.array([row.y for row in layout.rows])
    _draw_bars(ax, places, shares, style)
    low, high, rate = 100 * overall[["rate_low", "rate_high", "rate"]].to_numpy().T
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


def _draw_bars(ax: Axes, places: Floats, shares: pd.DataFrame, style: Style) -> None:
    left = np.zeros(len(places))
    low, high = places - 0.3, places + 0.3
    patches = {}
    for outcome, (colour, hatch) in OUTCOME_LOOKS.items():
        own = shares[outcome].to_numpy()
        if not own.any():
            continue
        look: Look = {"facecolor": colour, "hatch": hatch, "edgecolor": PAPER, "linewidth": 0.5}
        right = left + own
        corners = np.stack([left, low, right, low, right, high, left, high], axis=1)
        # All bars of an outcome are one shape: a hatch is made anew for every shape that has it.
        bars = Path.make_compound_path_from_polys(corners[own > 0].reshape(-1, 4, 2))
        ax.add_patch(PathPatch(bars, zorder=2, **look))
        patches[outcome.value] = Patch(**look)
        left = right
    if patches:
        key_above(ax, list(patches.values()), list(patches), style)


# What a step is called, and what is lost before it.
_WORDS = {
    "listed": ("Listed in the manifest", ""),
    "valid": ("Valid rows", "Not valid"),
    "passed preflight": ("Passed the preflight", "Stopped by preflight"),
    "sent": ("Sent to Helios", "Not sent"),
    "scored": ("Scored", "Without scores"),
    "without warning": ("Scored without warning", "With a warning"),
}

MOST_REASONS = 8
_STEP_LINES = 2.9
_BETWEEN = 1.3
_EDGE = 0.15

# Shares of the width: the steps' boxes, then the losses' boxes.
_STEPS = (0.01, 0.56)
_ASIDE = (0.63, 0.99)
_MIDDLE = sum(_STEPS) / 4
_INDENT = 0.015
_BOLD_IS_WIDER = 1.12


def flow_diagram(
    results: Results, *, caption: bool = True, ax: Target = None, style: Style = PAGE
) -> Axes:
    """Draw how many recordings and participants reached each step, and why others did not.

    The numbers are those of ``analysis.flow``.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    caption
        Whether to write the caption below; ``get_label()`` of the Axes gives it in any case.
    ax
        An Axes or an empty Figure to draw into; None makes a new figure.
    style
        Sizes: ``COLUMN``, ``PAGE`` or ``SLIDE``.

    Raises
    ------
    ResultsError
        If the outcome or the participants are missing.

    Examples
    --------
    >>> ax = flow_diagram("datasets/shift_study_results.parquet")
    >>> ax.texts[0].get_text()
    'Listed in the manifest'
    """
    found = flow(results)
    steps = found[found["kind"] == "remaining"].reset_index(drop=True)
    people = -steps["participants"].diff()
    lost_people = zip(steps["step"][1:], people[1:], strict=True)
    losses = [_loss(found, step, int(gone)) for step, gone in lost_people]
    gaps = [max(_BETWEEN, len(loss) + 1.6) if loss else _BETWEEN for loss in losses]
    height = _STEP_LINES * len(steps) + sum(gaps)
    notes = [Footnote(text, hidden=not caption) for text in found.attrs["warnings"]]
    synthetic = found.attrs["source_note"]
    notes += [Footnote(synthetic, stands_out=True)] if synthetic else []
    if steps["recordings"].iloc[0] == 0:
        return empty_figure(ax, 1, "These results have no recording.", notes, style)[0]
    (axes,) = open_canvas(ax, [(height + 1) * style.line_in], notes, style)
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(height + _EDGE, -_EDGE))
    figure = axes.get_figure(root=True)
    engine = figure.get_layout_engine() if figure else None
    if figure and engine and not isinstance(ax, Axes):
        engine.execute(figure)
    # Where the Axes that was given is too low for its lines, the type is smaller.
    fitting_pt = 72 * size_in(axes)[1] / height / 1.3
    _draw_steps(axes, steps, losses, gaps, replace(style, font_pt=min(style.font_pt, fitting_pt)))
    return axes


def _loss(found: pd.DataFrame, step: str, people: int) -> list[str]:
    """Write what is lost before a step, and why; give no lines where nothing is."""
    lost = found[(found["step"] == step) & (found["kind"] == "lost")]
    if lost.empty:
        return []
    explained = lost[lost["reason"] != WITH_WARNING]
    reasons = list(zip(explained["recordings"], explained["reason"], strict=True))
    lines = [f"{_WORDS[step][1]}: {int(lost['recordings'].sum()):,}"]
    lines += [f"{count:,} {name_of(str(reason))}" for count, reason in reasons[:MOST_REASONS]]
    others = sum(count for count, _ in reasons[MOST_REASONS:])
    lines += [f"{others:,} for other reasons"] if others else []
    lines += [f"all of {counted(people, 'participant')}"] if people else []
    return lines


def _draw_steps(
    ax: Axes, steps: pd.DataFrame, losses: list[list[str]], gaps: list[float], style: Style
) -> None:
    numbers = steps[["step", "recordings", "participants"]].itertuples(index=False, name=None)
    y = 0.0
    for (step, recordings, people), loss, gap in zip_longest(numbers, losses, gaps):
        count = f"{counted(recordings, 'recording')}, {counted(people, 'participant')}"
        _box(ax, _STEPS, (y, y + _STEP_LINES), [_WORDS[step][0], count], style)
        y += _STEP_LINES
        if gap:
            _arrow(ax, (_MIDDLE, y), (_MIDDLE, y + gap), style)
            y += gap
        if loss:
            middle, half = y - gap / 2, (len(loss) + 0.9) / 2
            _arrow(ax, (_MIDDLE, middle), (_ASIDE[0], middle), style)
            _box(ax, _ASIDE, (middle - half, middle + half), loss, style.small)


def _box(
    ax: Axes,
    across: tuple[float, float],
    down: tuple[float, float],
    lines: list[str],
    style: Style,
) -> None:
    """Draw a box with lines of text, the first of them bold."""
    (left, right), (top, bottom) = across, down
    shape = "round,pad=0,rounding_size=0.008"
    look: Look = {"facecolor": PAPER, "edgecolor": MUTED, "linewidth": 0.1 * style.font_pt}
    size = (right - left, bottom - top)
    ax.add_patch(FancyBboxPatch((left, top), *size, boxstyle=shape, mutation_aspect=40, **look))
    room = (right - left - 2 * _INDENT) * size_in(ax)[0]
    widest = max(width_in(line, style.font_pt) for line in lines) * _BOLD_IS_WIDER
    fitting = replace(style, font_pt=style.font_pt * max(0.7, min(1.0, room / widest)))
    step = (bottom - top) / (len(lines) + 0.7)
    for place, line in enumerate(lines):
        # Widths do not shrink quite as the type does, hence the 3 %.
        text = shorten(line, 1.03 * room / _BOLD_IS_WIDER, fitting.font_pt)
        weight = "bold" if place == 0 else "normal"
        y = top + (place + 0.85) * step
        ax.text(left + _INDENT, y, text, va="center", **fitting.text(fontweight=weight))


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], style: Style) -> None:
    look: Look = {"color": INK, "linewidth": 0.11 * style.font_pt, "mutation_scale": style.font_pt}
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", shrinkA=0, shrinkB=0, **look))
