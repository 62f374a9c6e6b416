"""What a study knows at one moment: everything that can be told of it, derived in one place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from helios_research.checks import Check
from helios_research.cohort import Cohort, duplicate_audio_issues
from helios_research.columns import Outcome
from helios_research.ledger import LedgerReader
from helios_research.results.parquet import write_parquet
from helios_research.results.table import own_columns, results_table
from helios_research.submission.asks import Row, rows_of
from helios_research.submission.engine import BASE_URL, SOURCE
from helios_research.submission.inspection import last_seen
from helios_research.submission.progress import Progress
from helios_research.submission.standing import Standing, standings
from helios_research.submission.withholding import without_withdrawn

# Rows laid out at a time when results are written: a few dozen MB, whatever the cohort's size.
_ROWS_IN_A_PART = 5_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A study at one moment.

    Attributes
    ----------
    ledger
        The ledger, from which answers are read when they are needed.
    cohort, rows, standings
        The cohort, its rows as requests, and how things stand with each.
    checks
        What was last seen of each recording, by location.
    """

    ledger: LedgerReader
    cohort: Cohort
    rows: list[Row]
    standings: list[Standing]
    checks: Mapping[str, Check]

    @classmethod
    def take(cls, ledger: LedgerReader, cohort: Cohort, rows: list[Row] | None = None) -> Self:
        """Derive how things stand.

        Parameters
        ----------
        ledger
            The study's ledger.
        cohort
            The cohort to look at it for.
        rows
            Its rows as requests, where they are known already.

        Returns
        -------
        Snapshot
            The study at this moment.
        """
        if rows is None:
            labels = cohort.fields["user_label"].tolist()
            rows = without_withdrawn(rows_of(cohort), labels, ledger.withdrawn())
        checks = last_seen(ledger)
        return cls(ledger, cohort, rows, standings(cohort, rows, checks, ledger.attempts()), checks)

    @property
    def progress(self) -> Progress:
        """How many rows have come to which end."""
        counts = pd.Series([standing.outcome for standing in self.standings]).value_counts()
        outcomes = {Outcome(str(name)): int(count) for name, count in counts.items()}
        return Progress(len(self.rows), outcomes)

    @property
    def issues(self) -> pd.DataFrame:
        """Every problem of every row: the cohort's, and the same audio in several rows."""
        seen = [self.checks.get(row.location or "") for row in self.rows]
        hashes = pd.Series([check.sha256 if check else None for check in seen], dtype="str")
        return self.cohort.with_issues(duplicate_audio_issues(self.cohort, hashes)).issues

    def table(self) -> pd.DataFrame:
        """Lay out the results.

        Returns
        -------
        DataFrame
            One row per row of the cohort, in its order.
        """
        return self._rows(slice(None))

    def write(self, path: Path, study: str, table: pd.DataFrame | None = None) -> None:
        """Write the results to a Parquet file, part by part.

        Parameters
        ----------
        path
            Where the file is to be.
        study
            Name of the study, for the footer.
        table
            The results, where they are laid out already.

        Raises
        ------
        StudyStorageError
            The file cannot be written there.
        """
        own = own_columns(self.cohort)
        write_parquet(self._parts(table), path, own=own, provenance=self.provenance(study))

    def provenance(self, study: str) -> dict[str, Any]:
        """Tell where the results are from.

        Parameters
        ----------
        study
            Name of the study.

        Returns
        -------
        dict
            ``study``, ``base_url``, ``source`` and ``tags``; ``withdrawn``, the number of
            participants who were removed, where there are any.
        """
        withdrawn = len(self.ledger.withdrawn().labels)
        return {
            "study": study,
            "base_url": self.ledger.get_setting(BASE_URL),
            "source": self.ledger.get_setting(SOURCE),
            "tags": list(self.cohort.tags),
        } | ({"withdrawn": withdrawn} if withdrawn else {})

    def _parts(self, table: pd.DataFrame | None) -> Iterator[pd.DataFrame]:
        for first in range(0, max(1, len(self.rows)), _ROWS_IN_A_PART):
            part = slice(first, first + _ROWS_IN_A_PART)
            yield self._rows(part) if table is None else table.iloc[part]

    def _rows(self, part: slice) -> pd.DataFrame:
        return results_table(
            self.cohort,
            self.rows[part],
            self.standings[part],
            self.checks,
            self.ledger.answers_to,
        )
