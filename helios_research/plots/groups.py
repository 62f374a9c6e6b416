"""Which recordings a figure shows, and its rows: one per level, or per level and colour."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from numpy.typing import ArrayLike

from helios_research._util.text import counted
from helios_research.analysis.prepared import (
    REASON_COLUMNS,
    Codes,
    Flags,
    Floats,
    all_scores_of,
    count_people,
    count_reasons,
    has_any_score,
    is_flagged,
    levels_of,
    missing_reasons,
    people_of,
    source_note,
)
from helios_research.columns import BUCKET_LEVELS, Biomarker
from helios_research.plots.canvas import FAINT, MUTED, OKABE_ITO, Note, Style, size_in
from helios_research.plots.text import joined, listed, plain, shorten, told_apart, wrap

NO_SCORE = "There is no recording with a score to draw."
OFF_LEVELS = "with a score off the four levels"
NO_NUMBER = "with a score that cannot be drawn"


@dataclass(frozen=True, slots=True)
class Selection:
    """The recordings behind a figure."""

    table: pd.DataFrame
    shown: Flags
    reasons: "pd.Series[str]"

    @property
    def recordings(self) -> int:
        """Recordings shown."""
        return int(self.shown.sum())

    @property
    def participants(self) -> int:
        """Participants behind the recordings shown."""
        return count_people(people_of(self.table)[0], self.shown)

    def rows(self) -> pd.DataFrame:
        """Take the recordings shown, numbered from 0."""
        return self.table[self.shown].reset_index(drop=True)

    def without(self, rows: Flags, reason: str) -> "Selection":
        """Leave out more rows."""
        gone = self.shown & rows
        return Selection(self.table, self.shown & ~rows, self.reasons.mask(gone, reason))

    def count(self) -> str:
        """Say how many are shown and why others are not."""
        total = len(self.table)
        people = counted(self.participants, "participant")
        if self.recordings == total:
            return f"n = {counted(total, 'recording')} from {people}."
        why = listed(count_reasons(self.reasons))
        return (
            f"n = {self.recordings:,} of {counted(total, 'recording')}, from {people}; "
            f"not shown: {why}."
        )

    def notes(self, *about: str | None) -> list[Note]:
        """Word what stands below a figure."""
        notes = [Note(joined(about))] if joined(about) else []
        notes.append(Note(joined([self.count(), self._about_flagged()])))
        synthetic = source_note(self.table)
        return [*notes, Note(synthetic, stands_out=True)] if synthetic else notes

    def _about_flagged(self) -> str | None:
        flagged = self.shown & is_flagged(self.table)
        if not flagged.any():
            return None
        why = listed(count_reasons(self.table["error_code"][flagged].astype("str")))
        number = int(flagged.sum())
        are, they = ("is", "it was") if number == 1 else ("are", "they were")
        return (
            f"{number:,} of these {are} flagged, since the manifest was changed after {they} "
            f"sent: {why}."
        )


def select(
    table: pd.DataFrame, markers: Sequence[Biomarker], needs: Iterable[str | None] = ()
) -> Selection:
    """Take the recordings that have a score of at least one biomarker."""
    kept = dict.fromkeys([*REASON_COLUMNS, "source", *needs])
    cleaned = table[[name for name in kept if name in table.columns]].assign(
        **{marker.name: _drawable(table, marker) for marker in markers}
    )
    if not markers:
        return Selection(cleaned, np.zeros(len(table), dtype=bool), _nothing_asked(table))
    names = [marker.name for marker in markers]
    scores = np.column_stack(list(all_scores_of(cleaned, names).values()))
    shown: Flags = np.array(np.isfinite(scores).any(axis=1), dtype=bool)
    reasons = missing_reasons(cleaned, np.where(shown, 1.0, np.nan))
    off = has_any_score(table, names) & ~shown
    bucketed = all(marker.bucketed for marker in markers)
    return Selection(cleaned, shown, reasons.mask(off, OFF_LEVELS if bucketed else NO_NUMBER))


def _drawable(table: pd.DataFrame, marker: Biomarker) -> Floats:
    scores = pd.to_numeric(table[marker.name], errors="coerce").to_numpy(
        np.float64, na_value=np.nan
    )
    possible = np.isin(scores, BUCKET_LEVELS) if marker.bucketed else np.isfinite(scores)
    return np.where(possible, scores, np.nan)


def _nothing_asked(table: pd.DataFrame) -> "pd.Series[str]":
    return pd.Series("no biomarker chosen", index=table.index, dtype="str")


MOST_ROWS = 60
_HEADER = 0.8

# From how many rows on a row is only so many lines of type high.
_LINES = ((4, 4.4), (8, 3.2), (16, 2.2), (30, 1.6))
_LEAST_LINES = 1.25

# Room for names beside a panel, as a share of its width.
_FOR_NAMES = 0.38


@dataclass(frozen=True, slots=True)
class Row:
    """One group of recordings, as a row of the figure."""

    level: str
    by_level: str | None
    y: float
    colour: str


@dataclass(frozen=True, slots=True)
class Groups:
    """All rows, and the headers above them where there is a second tag."""

    rows: tuple[Row, ...]
    headers: tuple[tuple[str, float], ...]
    depth: float

    @property
    def lines(self) -> float:
        """Height of a row in lines of type: the more rows, the less."""
        for most, lines in _LINES:
            if len(self.rows) <= most:
                return lines
        return _LEAST_LINES

    @property
    def tall(self) -> bool:
        """Whether a row has room for the distribution above its points."""
        return self.lines >= 3

    def height_in(self, style: Style) -> float:
        """Give the height of all rows."""
        return self.depth * self.lines * style.line_in

    def code_rows(self, table: pd.DataFrame, tag: str, colour: str | None) -> np.ndarray:
        """Find the row of each recording."""
        outer = levels_of(table, tag)
        inner = None if colour in (None, tag) else levels_of(table, str(colour))
        place = {(row.level, row.by_level): number for number, row in enumerate(self.rows)}
        if inner is None:
            return np.array([place[level, None] for level in outer.labels], np.intp)[outer.codes]
        # Only pairs that occur have a row.
        found, each = np.unique(outer.codes * len(inner) + inner.codes, return_inverse=True)
        pairs = [divmod(int(code), len(inner)) for code in found]
        rows = [place[outer.labels[first], inner.labels[second]] for first, second in pairs]
        return np.array(rows, dtype=np.intp)[each]


def arrange(table: pd.DataFrame, tag: str, colour: str | None) -> Groups:
    """Give every group that occurs a row."""
    outer = levels_of(table, tag)
    if colour is None or colour == tag:
        looks = [OKABE_ITO[0 if colour is None else n % len(OKABE_ITO)] for n in range(len(outer))]
        rows = [Row(name, None, n + 0.5, looks[n]) for n, name in enumerate(outer.labels)]
        return Groups(tuple(rows), (), float(len(rows)))
    inner = levels_of(table, colour)
    pairs = np.unique(np.column_stack([outer.codes, inner.codes]), axis=0)
    return _under_headers(pairs, outer.labels, inner.labels)


def _under_headers(pairs: np.ndarray, outer: Sequence[str], inner: Sequence[str]) -> Groups:
    rows: list[Row] = []
    headers: list[tuple[str, float]] = []
    y = 0.0
    for level in range(len(outer)):
        headers.append((outer[level], y + _HEADER / 2))
        y += _HEADER
        for _, by_level in pairs[pairs[:, 0] == level]:
            look = OKABE_ITO[by_level % len(OKABE_ITO)]
            rows.append(Row(outer[level], inner[by_level], y + 0.5, look))
            y += 1
    return Groups(tuple(rows), tuple(headers), y)


def keep_largest(selection: Selection, tag: str, colour: str | None) -> Selection:
    """Keep the levels with most recordings where there are too many for one figure."""
    if colour in (None, tag):
        return keep_levels(selection, tag, MOST_ROWS)
    outer, inner = (levels_of(selection.table, name) for name in (tag, str(colour)))
    pairs = np.column_stack([outer.codes, inner.codes])[selection.shown]
    each = np.bincount(np.unique(pairs, axis=0)[:, 0], minlength=len(outer))
    return keep_levels(selection, tag, MOST_ROWS, each)


def keep_levels(
    selection: Selection, column: str, most: int, each: Codes | None = None
) -> Selection:
    """Keep the levels of a column with most recordings."""
    levels = levels_of(selection.table, column)
    counts = np.bincount(levels.codes[selection.shown], minlength=len(levels))
    takes = (counts > 0).astype(np.intp) if each is None else each
    largest = np.argsort(-counts, kind="stable")
    fits = int(np.searchsorted(np.cumsum(takes[largest]), most, side="right"))
    kept = largest[: max(1, fits)]
    left_out = int(np.count_nonzero(counts)) - int(np.count_nonzero(counts[kept]))
    if not left_out:
        return selection
    rows = ~np.isin(levels.codes, kept)
    return selection.without(rows, f"at {counted(left_out, 'other level')} of {column}")


def room_for_names(ax: Axes) -> float:
    """Give the room for names beside a panel."""
    return _FOR_NAMES * size_in(ax)[0]


def name_rows(ax: Axes, groups: Groups, style: Style) -> None:
    """Write the names of the rows beside them."""
    size = style if groups.lines >= 1.3 else style.small
    limit = room_for_names(ax)
    most = max(1, int(groups.lines / 1.2))
    places = [row.y for row in groups.rows] + [y for _, y in groups.headers]
    names = [row.level if row.by_level is None else row.by_level for row in groups.rows]
    labels = told_apart(
        [plain(name) for name in names], lambda name: wrap(name, limit, size.font_pt, most)
    )
    labels += told_apart(
        [plain(name) for name, _ in groups.headers],
        lambda name: shorten(name, limit, size.font_pt),
    )
    ax.set_yticks(places, labels, **size.text())
    for label in ax.get_yticklabels()[len(groups.rows) :]:
        label.set_fontweight("bold")
    ax.tick_params(axis="y", length=0)
    # There is no label to find a place for, which would take measuring every name again.
    ax.yaxis.set_label_coords(0, 0.5)


def count_rows(ax: Axes, groups: Groups, counts: Sequence[str], style: Style) -> None:
    """Write how many recordings and participants each row has, to its right."""
    longest = max(range(len(counts)), key=lambda place: len(counts[place]))
    for place, (row, text) in enumerate(zip(groups.rows, counts, strict=True)):
        # One is enough for the layout to make room for all, and measuring text is slow.
        beside_row(ax, row.y, text, style).set_in_layout(place == longest)
    head = beside_row(ax, groups.depth, "recordings\n(participants)", style)
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


def rule_rows(ax: Axes, groups: Groups, ticks: ArrayLike, style: Style) -> None:
    """Draw faint lines behind the rows, but not behind what stands below them."""
    ax.vlines(ticks, 0, groups.depth, color=FAINT, linewidth=0.06 * style.font_pt, zorder=0.5)
