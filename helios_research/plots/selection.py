"""Which recordings a figure shows, why others are not in it, and the order of its levels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from helios_research._util.text import counted
from helios_research.analysis.prepared import (
    Codes,
    Flags,
    PreparedResults,
    Results,
    count_people,
    count_reasons,
    prepare,
)
from helios_research.plots.canvas import Footnote
from helios_research.plots.text import listed

NO_SCORE = "No recording has a score to draw."

MOST_ROWS = 60

# Orders that a reader cannot see in the names of the levels.
_ORDERED_BY_DATA = ("recording time", "first appearance")


@dataclass(frozen=True, slots=True)
class Selection:
    """The recordings behind a figure, among all results; ``caption``: whether it is written."""

    results: PreparedResults
    shown: Flags
    reasons: "pd.Series[str]"
    caption: bool

    @property
    def recordings(self) -> int:
        """Recordings shown."""
        return int(self.shown.sum())

    def rows(self) -> PreparedResults:
        """Take the recordings shown, numbered from 0, with the levels that they have."""
        return self.results.subset(self.shown)

    def without(self, rows: Flags, reason: str) -> "Selection":
        """Leave out more rows."""
        gone = self.shown & rows
        return replace(self, shown=self.shown & ~rows, reasons=self.reasons.mask(gone, reason))

    def notes(self, *about: str | None, first: Sequence[str] = ()) -> list[Footnote]:
        """Write what is below the figure: how to read it, then which recordings it shows."""
        flagged = (self.shown & self.results.flagged).any()
        note = self.rows().flagged_note if flagged else None
        written = about, (self._count(), note, self._ordered())
        texts = [*first, *(" ".join(filter(None, sentences)) for sentences in written)]
        return footnotes(texts, self.results, caption=self.caption)

    def _count(self) -> str:
        total = counted(len(self.shown), "recording")
        people = counted(count_people(self.results.people, self.shown), "participant")
        if self.shown.all():
            return f"n = {total} from {people}."
        why = listed(count_reasons(self.reasons))
        return f"n = {self.recordings:,} of {total}, from {people}; not shown: {why}."

    def _ordered(self) -> str | None:
        """Say what the order of levels is taken from, where it is not theirs."""
        found = [
            f"{name} in the order of {levels.ordered_by.removeprefix('known words, then ')}"
            for name, levels in self.results.levels.items()
            if levels.ordered_by.endswith(_ORDERED_BY_DATA) and len(levels) > 1
        ]
        return f"Levels of {' and '.join(found)}." if found else None


def footnotes(
    texts: Iterable[str | None], results: PreparedResults, *, caption: bool
) -> list[Footnote]:
    """Make footnotes of texts, hidden without a caption; that scores are synthetic never is."""
    notes = [Footnote(text, hidden=not caption) for text in texts if text]
    synthetic = results.source_note
    return [*notes, Footnote(synthetic, stands_out=True)] if synthetic else notes


def select(
    results: Results,
    biomarkers: str | Sequence[str] | None,
    groups: Iterable[str | None] = (),
    *,
    needs: Sequence[str] = (),
    order: Sequence[str] | None = None,
    caption: bool = True,
) -> Selection:
    """Prepare results and take the recordings with a score of a biomarker."""
    prepared = prepare(results, groups, biomarkers=biomarkers, needs=needs, order=order)
    reasons = prepared.missing_reasons(~prepared.has_score)
    if not prepared.names:
        reasons[:] = "no biomarker chosen"
    return Selection(prepared, prepared.has_score, reasons, caption)


def keep_largest(selection: Selection, tag: str, hue: str | None) -> Selection:
    """Keep the levels with most recordings where there are too many rows for one figure."""
    if hue is None or hue == tag:
        return keep_levels(selection, tag, MOST_ROWS)
    outer, inner = (selection.results.levels[name] for name in (tag, hue))
    pairs = np.unique((outer.codes * len(inner) + inner.codes)[selection.shown])
    rows_each = np.bincount(pairs // len(inner), minlength=len(outer))
    return keep_levels(selection, tag, MOST_ROWS, rows_each)


def keep_levels(
    selection: Selection, column: str, most: int, rows_each: Codes | None = None
) -> Selection:
    """Keep the levels of a column with most recordings; ``rows_each`` is how many rows each has."""
    levels = selection.results.levels[column]
    counts = np.bincount(levels.codes[selection.shown], minlength=len(levels))
    takes = counts > 0 if rows_each is None else rows_each
    largest = np.argsort(-counts, kind="stable")
    fits = int(np.searchsorted(np.cumsum(takes[largest]), most, side="right"))
    kept = largest[: max(1, fits)]
    left_out = int(np.count_nonzero(counts)) - int(np.count_nonzero(counts[kept]))
    if not left_out:
        return selection
    rows = ~np.isin(levels.codes, kept)
    return selection.without(rows, f"at {counted(left_out, 'other level')} of {column}")
