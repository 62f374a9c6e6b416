"""What a study knows at one moment: everything that can be told of it, derived in one place."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from helios_research.cohort import Cohort, duplicate_audio_issues
from helios_research.columns import Outcome
from helios_research.ledger import LedgerReader
from helios_research.results.parquet import write_parquet
from helios_research.results.table import joined, own_columns, results_table
from helios_research.submission.asks import Row, parts
from helios_research.submission.engine import BASE_URL, SOURCE
from helios_research.submission.evidence import Evidence
from helios_research.submission.progress import Progress
from helios_research.submission.standing import AS_USUAL, Rules, Standing


class Snapshot:
    """A study at one moment. Nothing is read before it is asked for, and then part by part."""

    def __init__(
        self,
        ledger: LedgerReader,
        cohort: Cohort,
        rows: Sequence[Row] | None = None,
        rules: Rules = AS_USUAL,
    ) -> None:
        self.ledger = ledger
        self.cohort = cohort
        self._evidence = Evidence(ledger, cohort, rows, rules)

    def standings(self) -> list[Standing]:
        """Work out how things stand with every row."""
        return list(self._evidence.standings())

    @property
    def progress(self) -> Progress:
        """How many rows have come to which end."""
        return progress_of([standing.outcome for standing in self._evidence.standings()])

    @property
    def issues(self) -> pd.DataFrame:
        """Every problem of every row: the cohort's, and the same audio in several rows."""
        hashes = pd.Series(self._evidence.hashes, dtype="str")
        return self.cohort.with_issues(duplicate_audio_issues(self.cohort, hashes)).issues

    def table(self) -> pd.DataFrame:
        """Lay out the results."""
        found = joined(list(self._parts()))
        return pd.concat([own_columns(self.cohort), found], axis="columns")

    def write(self, path: Path, study: str, table: pd.DataFrame | None = None) -> None:
        """Write the results to a Parquet file, part by part."""
        own = own_columns(self.cohort)
        laid_out = _beside(own, self._parts()) if table is None else _cut(table)
        write_parquet(laid_out, path, own=own, provenance=self.provenance(study))

    def provenance(self, study: str) -> dict[str, Any]:
        """Tell where the results are from."""
        withdrawn = len(self.ledger.withdrawn().labels)
        return {
            "study": study,
            "base_url": self.ledger.get_setting(BASE_URL),
            "source": self.ledger.get_setting(SOURCE),
            "tags": list(self.cohort.tags),
        } | ({"withdrawn": withdrawn} if withdrawn else {})

    def _parts(self) -> Iterator[pd.DataFrame]:
        for part in self._evidence.parts():
            decided = [standing.attempt_id for standing in part.standings if standing.attempt_id]
            yield results_table(part, self.ledger.answers_to(decided))


def progress_of(outcomes: Sequence[Outcome]) -> Progress:
    """Count rows by their outcome."""
    return Progress(len(outcomes), dict(Counter(outcomes)))


def _beside(own: pd.DataFrame, parts: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Put the results of each part behind the researcher's own columns."""
    first = 0
    for found in parts:
        mine = own.iloc[first : first + len(found)].reset_index(drop=True)
        yield pd.concat([mine, found], axis="columns")
        first += len(found)


def _cut(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Cut results that are laid out already into parts."""
    for positions in parts(len(table)):
        yield table.iloc[positions.start : positions.stop]
