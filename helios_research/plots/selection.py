"""Which recordings a figure shows, why others are not in it, and the order of its levels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from helios_research._util.text import counted
from helios_research.analysis.prepared import (
    REASON_COLUMNS,
    Codes,
    Flags,
    Floats,
    PreparedResults,
    Results,
    count_people,
    count_reasons,
    prepare,
)
from helios_research.plots.canvas import Footnote
from helios_research.plots.text import listed

NO_SCORE = "No recording has a score to draw."
NO_NUMBER = "with a score that cannot be drawn"

MOST_ROWS = 60

Order = Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Selection:
    """The recordings behind a figure, among all results.

    ``remark`` is a sentence for the caption; without a caption only a warning of synthetic scores
    is written.
    """

    results: PreparedResults
    shown: Flags
    reasons: "pd.Series[str]"
    remark: str | None
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

    def notes(self, *about: str | None) -> list[Footnote]:
        """Write what is below the figure: how to read it, then which recordings it shows."""
        written = about, (self._count(), self._flagged(), self.remark)
        texts = [" ".join(filter(None, sentences)) for sentences in written]
        notes = [Footnote(text) for text in texts if text and self.caption]
        synthetic = self.results.source_note
        return [*notes, Footnote(synthetic, stands_out=True)] if synthetic else notes

    def _count(self) -> str:
        total = counted(len(self.shown), "recording")
        people = counted(count_people(self.results.people, self.shown), "participant")
        if self.shown.all():
            return f"n = {total} from {people}."
        why = listed(count_reasons(self.reasons))
        return f"n = {self.recordings:,} of {total}, from {people}; not shown: {why}."

    def _flagged(self) -> str | None:
        flagged = self.shown & self.results.flagged
        if not flagged.any():
            return None
        why = listed(count_reasons(self.results.frame["error_code"][flagged].astype("str")))
        number = int(flagged.sum())
        are, they = ("is", "it was") if number == 1 else ("are", "they were")
        return (
            f"{number:,} of these {are} flagged, because the manifest was changed after {they} "
            f"sent: {why}."
        )


def select(
    results: Results,
    biomarkers: str | Sequence[str] | None,
    groups: Iterable[str | None] = (),
    *,
    needs: Sequence[str] = (),
    order: Order = None,
    caption: bool = True,
) -> Selection:
    """Prepare results and take the recordings with a score of a biomarker that can be drawn."""
    prepared = prepare(results, groups, biomarkers=biomarkers, needs=needs)
    given = prepared.has_score
    kept = dict.fromkeys([*REASON_COLUMNS, "source", *prepared.levels, *needs])
    frame = prepared.frame[[name for name in kept if name in prepared.frame.columns]]
    scores = {name: _drawable(prepared.frame[name]) for name in prepared.names}
    cleaned = replace(prepared, frame=frame.assign(**scores))
    shown = cleaned.has_score
    reasons = cleaned.missing_reasons(~shown)
    if not scores:
        reasons[:] = "no biomarker chosen"
    reasons = reasons.mask(given & ~shown, NO_NUMBER)
    return in_order(Selection(cleaned, shown, reasons, None, caption), order)


def _drawable(column: "pd.Series[Any]") -> Floats:
    numbers: pd.Series[Any] = pd.to_numeric(column, errors="coerce")
    scores = numbers.to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(scores), scores, np.nan)


def in_order(selection: Selection, order: Order) -> Selection:
    """Put the levels that are named first, as they are named; the others follow."""
    if order is None:
        return selection
    wanted = [order] if isinstance(order, str) else list(dict.fromkeys(map(str, order)))
    levels = {name: own.reordered(wanted) for name, own in selection.results.levels.items()}
    known = {label for own in levels.values() for label in own.labels}
    unknown = ", ".join(repr(level) for level in wanted if level not in known)
    where = " or ".join(levels) or "a column in this figure"
    remark = f"Named in order, but not a level of {where}: {unknown}." if unknown else None
    return replace(selection, results=replace(selection.results, levels=levels), remark=remark)


def keep_largest(selection: Selection, tag: str, hue: str | None) -> Selection:
    """Keep the levels with most recordings where there are too many rows for one figure."""
    if hue is None or hue == tag:
        return keep_levels(selection, tag, MOST_ROWS)
    outer, inner = (selection.results.levels[name] for name in (tag, hue))
    pairs = np.unique((outer.codes * len(inner) + inner.codes)[selection.shown])
    return keep_levels(
        selection, tag, MOST_ROWS, np.bincount(pairs // len(inner), minlength=len(outer))
    )


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
