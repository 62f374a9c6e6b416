"""The rows of a figure: one per level of a tag, or per level and hue, with names and counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from numpy.typing import ArrayLike

from helios_research.analysis.prepared import Codes, PreparedResults
from helios_research.plots.canvas import FAINT, MUTED, OKABE_ITO, Style, size_in
from helios_research.plots.text import Labels, disambiguate, plain, shorten, shown, wrap

_HEADER = 0.8

# From how many rows on a row is only so many lines of type high.
_LINES = ((4, 4.4), (8, 3.2), (16, 2.2), (30, 1.6))
_LEAST_LINES = 1.25

# Room for names beside a panel, as a share of its width.
_FOR_NAMES = 0.38


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One group of recordings; ``name`` is its text beside the row, ``y`` its middle."""

    level: str
    name: str
    y: float
    colour: str


@dataclass(frozen=True, slots=True)
class RowLayout:
    """All rows, the headers above them where hue divides them, and each recording's row.

    Heights are in rows: ``depth`` is that of all of them.
    """

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
    def names(self) -> list[str]:
        """All texts beside the rows."""
        return [row.name for row in self.rows] + [name for name, _ in self.headers]

    def height_in(self, style: Style) -> float:
        """Give the height of all rows in inches."""
        return self.depth * self.lines * style.line_in


def lay_out_rows(results: PreparedResults, tag: str, hue: str | None, labels: Labels) -> RowLayout:
    """Give every group that occurs a row."""
    outer = results.levels[tag]
    if hue is None or hue == tag:
        colours = [OKABE_ITO[0 if hue is None else n % len(OKABE_ITO)] for n in range(len(outer))]
        rows = tuple(
            FigureRow(level, shown(level, labels), place + 0.5, colours[place])
            for place, level in enumerate(outer.labels)
        )
        return RowLayout(rows, (), float(len(rows)), outer.codes)
    inner = results.levels[hue]
    found, codes = np.unique(outer.codes * len(inner) + inner.codes, return_inverse=True)
    under: list[FigureRow] = []
    headers: list[tuple[str, float]] = []
    y = 0.0
    for pair in found:
        level, by_level = divmod(int(pair), len(inner))
        if not under or under[-1].level != outer.labels[level]:
            headers.append((shown(outer.labels[level], labels), y + _HEADER / 2))
            y += _HEADER
        name, colour = shown(inner.labels[by_level], labels), OKABE_ITO[by_level % len(OKABE_ITO)]
        under.append(FigureRow(outer.labels[level], name, y + 0.5, colour))
        y += 1
    return RowLayout(tuple(under), tuple(headers), y, codes.astype(np.intp))


def room_for_names(ax: Axes) -> float:
    """Give the room for names beside a panel."""
    return _FOR_NAMES * size_in(ax)[0]


def name_rows(ax: Axes, layout: RowLayout, style: Style) -> None:
    """Write the names of the rows beside them."""
    size = style if layout.lines >= 1.3 else style.small
    limit = room_for_names(ax)
    most = max(1, int(layout.lines / 1.2))
    places = [row.y for row in layout.rows] + [y for _, y in layout.headers]
    labels = disambiguate(
        [plain(row.name) for row in layout.rows], lambda name: wrap(name, limit, size.font_pt, most)
    )
    labels += disambiguate(
        [plain(name) for name, _ in layout.headers],
        lambda name: shorten(name, limit, size.font_pt),
    )
    ax.set_yticks(places, labels, **size.text())
    for label in ax.get_yticklabels()[len(layout.rows) :]:
        label.set_fontweight("bold")
    ax.tick_params(axis="y", length=0)
    # There is no label to find a place for, which would take measuring every name again.
    ax.yaxis.set_label_coords(0, 0.5)


def count_rows(ax: Axes, layout: RowLayout, counts: Sequence[str], style: Style) -> None:
    """Write how many recordings and participants each row has, to its right."""
    longest = max(range(len(counts)), key=lambda place: len(counts[place]))
    for place, (row, text) in enumerate(zip(layout.rows, counts, strict=True)):
        # One is enough for the layout to make room for all, and measuring text is slow.
        beside_row(ax, row.y, text, style).set_in_layout(place == longest)
    head = beside_row(ax, layout.depth, "recordings\n(participants)", style)
    head.set(color=MUTED, va="top", position=(style.font_pt, -1.6 * style.font_pt))


def beside_row(ax: Axes, y: float, text: str, style: Style) -> Annotation:
    """Write something to the right of a row."""
    return ax.annotate(
        text,
        xy=(1, y),
        xycoords=ax.get_yaxis_transform(),
        xytext=(style.font_pt, 0),
        textcoords="offset points",
        ha="left",
        va="center",
        annotation_clip=False,
        **style.small.text(),
    )


def rule_rows(ax: Axes, layout: RowLayout, ticks: ArrayLike, style: Style) -> None:
    """Draw faint lines behind the rows, but not behind what stands below them."""
    ax.vlines(ticks, 0, layout.depth, color=FAINT, linewidth=0.06 * style.font_pt, zorder=0.5)
