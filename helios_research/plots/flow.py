"""The flow diagram: how many recordings and participants reached each step, by arm."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from helios_research._util.text import counted
from helios_research.analysis import flow
from helios_research.analysis.attrition import Expected
from helios_research.analysis.flow import NOT_RECORDED, WITH_WARNING
from helios_research.analysis.prepared import Results, prepare
from helios_research.errors import ResultsError
from helios_research.plots import canvas, looks
from helios_research.plots.canvas import Target, footnotes
from helios_research.plots.looks import PAGE, Labels, Look, Style, shown

# What a step is called, and what is lost before it.
_WORDS = {
    "expected": ("Expected", ""),
    "listed": ("Listed in the manifest", "Not recorded"),
    "valid": ("Valid rows", "Not valid"),
    "passed preflight": ("Passed the preflight", "Stopped by preflight"),
    "sent": ("Sent to Helios", "Not sent"),
    "scored": ("Scored", "Without scores"),
    "included": ("Included", "Excluded by us"),
    "without warning": ("Scored without warning", "With a warning"),
}
_SAID_ALREADY = (WITH_WARNING, NOT_RECORDED)
_HEAD = "recordings (participants)"
_HOW = "In brackets: participants; of a loss, those none of whose recordings went on."

MOST_ARMS = 8
MOST_REASONS = 8

# Heights in lines of type.
_STEP, _LINE, _PAD, _GAP, _NAMES, _EDGE = 1.9, 0.95, 0.6, 1.2, 2.6, 0.15
# Widths in letters of the size of the type: to the arrow, to a loss, and around a text.
_ARROW, _ASIDE, _INDENT = 1.6, 3.4, 0.8
# Bold type is wider.
_BOLD = 1.12


# A line of a box: a text, and for each arm its recordings and, in brackets, its participants.
_Line = tuple[str, list[tuple[str, str]]]


class _Box(NamedTuple):
    """The lines of a step, or of a loss before it, which is drawn aside, and the gap above."""

    lines: list[_Line]
    gap: float
    aside: bool

    @property
    def height(self) -> float:
        """Its height in lines of type."""
        return _LINE * len(self.lines) + _PAD if self.aside else _STEP


def flow_diagram(  # noqa: PLR0913 - each is a setting
    results: Results,
    *,
    by: str | None = None,
    expected: Expected = None,
    labels: Mapping[str, str] | None = None,
    caption: bool = True,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes:
    """Draw how many recordings and participants reached each step, and why others did not.

    The numbers are those of ``analysis.flow``, side by side where there are several arms.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    by
        The arm, or another column of at most 8 levels.
    expected
        How many recordings each participant should have, or a table of them, as for
        ``analysis.flow``.
    labels
        The text to show for an arm or a reason.
    caption, ax, style
        As for ``scores_by_tag``.

    Raises
    ------
    ResultsError
        If a column is missing, there are more than 8 arms, or what was expected does not fit.

    Examples
    --------
    >>> ax = flow_diagram("datasets/shift_study_results.parquet", by="arm")
    >>> [text.get_text() for text in ax.texts if "shift" in text.get_text()]
    ['night_shift', 'day_shift']
    """
    found = flow(results, by=by, expected=expected)
    arms = list(found["group"].unique())
    if len(arms) > MOST_ARMS:
        many = f"{len(arms)} levels, more than the {MOST_ARMS} that a flow diagram has room for"
        raise ResultsError(f"{by!r} has {many}: choose the arm or another column with few levels.")
    names = [_HEAD] if by is None else [shown(arm, labels) for arm in arms]
    prepared = prepare(results, biomarkers=())
    recordings = counted(len(prepared.frame), "recording")
    about = f"n = {recordings} from {counted(prepared.n_people, 'participant')}. {_HOW}"
    texts = [about, *found.attrs["warnings"], looks.about_fonts(names)]
    notes = footnotes(texts, prepared, caption=caption)
    if not found.loc[found["kind"] == "remaining", "recordings"].any():
        return canvas.empty_figure(ax, 1, "These results have no recording.", notes[1:], style)[0]
    boxes = _boxes(found, arms, labels)
    height = _NAMES + sum(box.height for box in boxes) + sum(box.gap for box in boxes)
    (axes,) = canvas.open_canvas(ax, [(height + 1) * style.line_in], notes, style)
    axes.set_axis_off()
    figure = axes.get_figure(root=True)
    engine = figure.get_layout_engine() if figure else None
    if figure and engine and not isinstance(ax, Axes):
        engine.execute(figure)
    width, height_in = canvas.size_in(axes)
    axes.set(xlim=(0, width), ylim=(height + _EDGE, -_EDGE))
    # Where the Axes that was given is too low for its lines, the type is smaller.
    fitting = replace(style, font_pt=min(style.font_pt, 72 * height_in / height / 1.3))
    _draw(axes, names, boxes, _place_columns(width, names, boxes, fitting))
    return axes


def _boxes(found: pd.DataFrame, arms: Sequence[str], labels: Labels) -> list[_Box]:
    """Give each step a box, and before it one for what was lost."""
    made: list[_Box] = []
    for step, own in found.groupby("step", sort=False):
        name, loss = _WORDS[str(step)]
        lines = _losses(own, arms, loss, labels)
        # Half as much room is on both sides of a loss.
        gap = (_GAP / 2 if lines else _GAP) if made else 0.0
        made += [_Box(lines, gap, aside=True)] if lines else []
        made.append(_Box([_line(name, own[own["kind"] == "remaining"], arms)], gap, aside=False))
    return made


def _losses(own: pd.DataFrame, arms: Sequence[str], loss: str, labels: Labels) -> list[_Line]:
    """Write what is lost before a step, and why; give no lines where nothing is."""
    lost, added = (own[own["kind"] == kind] for kind in ("lost", "added"))
    lines = [_line(loss, lost, arms)] if len(lost) else []
    explained = lost[~lost["reason"].isin(_SAID_ALREADY)]
    totals = explained.groupby("reason", sort=False)["recordings"].sum()
    reasons = totals.sort_values(ascending=False, kind="stable").index
    for reason in reasons[:MOST_REASONS]:
        bare = str(reason).removeprefix("excluded: ")
        text = shown(bare, labels, looks.name_of(bare))
        lines.append(_line(text, explained[explained["reason"] == reason], arms))
    others = explained[explained["reason"].isin(reasons[MOST_REASONS:])]
    lines += [_line("for other reasons", others, arms)] if len(others) else []
    return lines + ([_line("Added: not expected", added, arms)] if len(added) else [])


def _line(text: str, rows: pd.DataFrame, arms: Sequence[str]) -> _Line:
    sums = rows.groupby("group")[["recordings", "participants"]].sum()
    counts = sums.reindex(list(arms), fill_value=0).astype(int).to_numpy()
    return text, [(f"{n:,}", f" ({people:,})" if people else "") for n, people in counts]


class _Columns(NamedTuple):
    """Where arms' columns start and their recordings end, in inches, and the type that fits."""

    starts: list[float]
    ends: list[float]
    right: float
    style: Style

    @property
    def em(self) -> float:
        """The size of the type in inches."""
        return self.style.font_pt / 72


def _place_columns(
    width: float, names: Sequence[str], boxes: Sequence[_Box], style: Style
) -> _Columns:
    """Give the texts and the numbers of each arm the room that they need; more to long names."""
    indent, count = _INDENT * style.font_pt / 72, len(names)

    def widest(texts: Iterable[str]) -> float:
        return max(looks.width_in(text, style.font_pt) for text in texts)

    texts, numbers = zip(*(line for box in boxes for line in box.lines), strict=True)
    first, second = (widest(pair[part] for own in numbers for pair in own) for part in (0, 1))
    needed = first * _BOLD + second + 2 * indent
    aside = _ASIDE * style.font_pt / 72 + indent
    title, text = (
        _BOLD * widest(own) + aside for own in ([box.lines[0][0] for box in boxes], texts)
    )
    shrink = min(1.0, width / (title + count * needed))
    wished = max(shrink * needed, widest(names) * _BOLD + 2 * indent)
    # Where not all fits, texts have half of the width before names are wrapped for them.
    fair = max(shrink * title, width / 2, width - count * wished)
    left = min(text, fair, width - count * shrink * needed)
    column = min(wished, (width - left) / count)
    starts = [left + arm * column for arm in range(count)]
    ends = [start + shrink * first * _BOLD for start in starts]
    fitting = replace(style, font_pt=shrink * style.font_pt)
    return _Columns(starts, ends, left + count * column, fitting)


def _draw(ax: Axes, names: Sequence[str], boxes: Sequence[_Box], columns: _Columns) -> None:
    style, em, arrow = columns.style, columns.em, _ARROW * columns.em
    limit = columns.right - columns.starts[-1] - _INDENT * em
    wrapped = looks.fit_names(names, limit / _BOLD, style.font_pt, 2)
    for x, name in zip(columns.starts, wrapped, strict=True):
        ax.text(x, _NAMES - 0.4, name, va="bottom", **style.text(fontweight="bold"))
    y = _NAMES
    for box in boxes:
        if box.aside:
            middle = y + (_GAP + box.height) / 2
            _arrow(ax, (arrow, middle), (_ASIDE * em, middle), style)
            _arrow(ax, (arrow, y), (arrow, y + _GAP + box.height), style)
        elif box.gap == _GAP:
            _arrow(ax, (arrow, y), (arrow, y + _GAP), style)
        y += box.gap
        _write(ax, box, y, columns)
        y += box.height


def _write(ax: Axes, box: _Box, top: float, columns: _Columns) -> None:
    """Draw a box and its lines, the first of them bold."""
    left = _ASIDE * columns.em if box.aside else 0.0
    style = columns.style
    shape = f"round,pad=0,rounding_size={0.5 * columns.em}"
    look: Look = {
        "facecolor": looks.PAPER,
        "edgecolor": looks.MUTED,
        "linewidth": 0.1 * style.font_pt,
    }
    look |= {"boxstyle": shape, "mutation_aspect": 1 / style.line_in, "clip_on": False}
    ax.add_patch(FancyBboxPatch((left, top), columns.right - left, box.height, **look))
    style = style.small if box.aside else style
    left += _INDENT * columns.em
    limit = (columns.starts[0] - left - 0.3 * columns.em) / _BOLD
    for place, (name, numbers) in enumerate(box.lines):
        y = top + (_LINE * (place + 0.5) + _PAD / 2 if box.aside else _STEP / 2)
        text = style.text(fontweight="normal" if place else "bold", va="center")
        ax.text(left, y, looks.shorten(name, limit, style.font_pt), **text)
        for end, (recordings, people) in zip(columns.ends, numbers, strict=True):
            ax.text(end, y, recordings, ha="right", **text)
            ax.text(end, y, people, **style.text(va="center"))


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], style: Style) -> None:
    look: Look = {
        "color": looks.INK,
        "linewidth": 0.11 * style.font_pt,
        "mutation_scale": style.font_pt,
    }
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", shrinkA=0, shrinkB=0, **look))
