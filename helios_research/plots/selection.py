"""Which recordings a figure shows, which it does not, and why not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helios_research.analysis.provenance import source_note
from helios_research.analysis.reasons import (
    REASON_COLUMNS,
    count_reasons,
    is_flagged,
    missing_reasons,
)
from helios_research.analysis.tables import (
    Flags,
    Floats,
    all_scores_of,
    count_people,
    has_any_score,
    people_of,
)
from helios_research.columns import BUCKET_LEVELS, Biomarker
from helios_research.plots.canvas import Note
from helios_research.plots.text import joined, listed
from helios_research.wording import counted

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
