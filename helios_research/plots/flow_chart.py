"""The way of the recordings from the manifest to scores, as a flow diagram."""

from dataclasses import dataclass, replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from helios_research.analysis import flow
from helios_research.analysis.losses import WITH_WARNING
from helios_research.analysis.tables import Results, load_results
from helios_research.plots.canvas import Note, Target, open_canvas, say_instead, settle, size_in
from helios_research.plots.style import INK, MUTED, PAGE, PAPER, Look, Style
from helios_research.plots.text import name_of, shorten, width_in
from helios_research.wording import counted

_WORDS = {
    "listed": "Listed in the manifest",
    "valid": "Valid rows",
    "passed preflight": "Passed the preflight",
    "sent": "Sent to Helios",
    "scored": "Scored",
    "without warning": "Scored without warning",
}
_LOSSES = {
    "valid": "Not valid",
    "passed preflight": "Stopped by preflight",
    "sent": "Not sent",
    "scored": "Without scores",
    "without warning": "With a warning",
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


@dataclass(frozen=True, slots=True)
class _Loss:
    """What is lost before a step; without lines where nothing is."""

    title: str
    reasons: tuple[str, ...]

    @property
    def lines(self) -> float:
        return len(self.reasons) + 1.9 if self.title else 0.0


def flow_diagram(results: Results, *, ax: Target = None, style: Style = PAGE) -> Axes:
    """Draw how many recordings and participants reached each step, and why others did not.

    The numbers are those of ``analysis.flow``.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    ax
        Where to draw: an Axes or an empty Figure; None makes a new figure.
    style
        Sizes: ``COLUMN``, ``PAGE`` or ``SLIDE``.

    Returns
    -------
    Axes
        Without ticks.

    Raises
    ------
    UnknownColumnError
        If the outcome or the participants are missing.

    Examples
    --------
    >>> ax = flow_diagram("datasets/shift_study_results.parquet")
    >>> ax.texts[0].get_text()
    'Listed in the manifest'
    """
    found = flow(load_results(results))
    steps = found[found["kind"] == "remaining"].reset_index(drop=True)
    people = -steps["participants"].diff()
    losses = [
        _loss(found, step, int(gone))
        for step, gone in zip(steps["step"][1:], people[1:], strict=True)
    ]
    gaps = [max(_BETWEEN, loss.lines + 0.7) for loss in losses]
    height = _STEP_LINES * len(steps) + sum(gaps)
    if steps["recordings"].iloc[0] == 0:
        sentence = "There is no recording in these results."
        return say_instead(ax, 1, sentence, _notes(found), style).axes[0]
    canvas = open_canvas(ax, [(height + 1) * style.line_in], _notes(found), style)
    axes = canvas.axes[0]
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(height + _EDGE, -_EDGE))
    if not isinstance(ax, Axes):
        settle(canvas)
    _draw(axes, steps, losses, gaps, _fitting(axes, height, style))
    return axes


def _loss(found: pd.DataFrame, step: str, people: int) -> _Loss:
    lost = found[(found["step"] == step) & (found["kind"] == "lost")]
    if lost.empty:
        return _Loss("", ())
    total = int(lost["recordings"].sum())
    said = lost[lost["reason"] != WITH_WARNING]
    reasons = list(zip(said["recordings"], said["reason"], strict=True))
    named = [f"{count:,} {name_of(str(reason))}" for count, reason in reasons[:MOST_REASONS]]
    others = sum(count for count, _ in reasons[MOST_REASONS:])
    named += [f"{others:,} for other reasons"] if others else []
    named += [f"all of {counted(people, 'participant')}"] if people else []
    return _Loss(f"{_LOSSES[step]}: {total:,}", tuple(named))


def _notes(found: pd.DataFrame) -> list[Note]:
    notes = [Note(warning) for warning in found.attrs["warnings"]]
    note = found.attrs["source_note"]
    return [*notes, Note(note, stands_out=True)] if note else notes


def _fitting(ax: Axes, lines: float, style: Style) -> Style:
    """Make the type smaller where the Axes that was given is too low for its lines."""
    height_in = size_in(ax)[1]
    return replace(style, font_pt=min(style.font_pt, 72 * height_in / lines / 1.3))


def _draw(
    ax: Axes, steps: pd.DataFrame, losses: list[_Loss], gaps: list[float], style: Style
) -> None:
    numbers = steps[["step", "recordings", "participants"]].itertuples(index=False, name=None)
    y = 0.0
    for place, (step, recordings, people) in enumerate(numbers):
        count = f"{counted(recordings, 'recording')}, {counted(people, 'participant')}"
        _box(ax, _STEPS, (y, y + _STEP_LINES), [_WORDS[step], count], style)
        y += _STEP_LINES
        if place < len(losses):
            loss, gap = losses[place], gaps[place]
            _arrow(ax, (_MIDDLE, y), (_MIDDLE, y + gap), style)
            if loss.title:
                middle = y + gap / 2
                _arrow(ax, (_MIDDLE, middle), (_ASIDE[0], middle), style)
                span = (middle - loss.lines / 2, middle + loss.lines / 2)
                _box(ax, _ASIDE, span, [loss.title, *loss.reasons], style.small)
            y += gap


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
