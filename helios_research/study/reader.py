"""Looking at a study: its cohort, its results, and what is made of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import pandas as pd

from helios_research.checks.summary import expected_requests, expected_time_s
from helios_research.cohort import Cohort
from helios_research.columns import Outcome
from helios_research.errors import EmptyStudyError, StudyFileError
from helios_research.ledger import Ledger
from helios_research.ledger.lock import HOLDER_NAME, LOCK_NAME
from helios_research.ledger.storage import DATABASE_FILES
from helios_research.results import export
from helios_research.results.snapshot import Snapshot
from helios_research.submission.engine import LEARNED_RATE
from helios_research.submission.progress import Progress

COHORT_FILE = "cohort.parquet"
RESULTS_FILE = "results.parquet"

# What cannot be made again; results can.
_NEEDED = frozenset({COHORT_FILE, LOCK_NAME, HOLDER_NAME, *DATABASE_FILES})

# API requests per second to reckon with until the study has learned what Helios allows.
_RATE_UNTIL_LEARNED = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is left to do in a study.

    Attributes
    ----------
    recordings
        Recordings that have not come to their end.
    requests
        API requests that they take, as measured on average.
    duration_s
        Seconds that they take at the rate.
    rate
        API requests per second.
    """

    recordings: int
    requests: int
    duration_s: float
    rate: float


class StudyReader:
    """What can be asked of a study folder, also while another process submits to it.

    Parameters
    ----------
    folder
        The study's folder.

    Attributes
    ----------
    folder
        The study's folder.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        # Told once, so that it is the same study wherever the process goes.
        self.folder = Path(folder).expanduser().absolute()

    @property
    def cohort(self) -> Cohort:
        """The cohort of the last submission."""
        path = self.folder / COHORT_FILE
        if not path.exists():
            raise EmptyStudyError(self.folder)
        return Cohort.load(path)

    @property
    def progress(self) -> Progress:
        """How far the study has come, also while another process submits."""
        with self._snapshot() as snapshot:
            return snapshot.progress

    @property
    def issues(self) -> pd.DataFrame:
        """Every problem of every row: the cohort's, and the same audio in several rows."""
        with self._snapshot() as snapshot:
            return snapshot.issues

    def plan(self, rate: float | None = None) -> Plan:
        """Reckon what is left to do, and how long it takes where requests are what limits.

        Parameters
        ----------
        rate
            API requests per second; without it the rate that the study has learned, or 5.

        Returns
        -------
        Plan
            Recordings left, API requests and seconds.

        Raises
        ------
        StudyError
            There is no study in the folder, or no cohort was ever submitted.
        """
        with self._snapshot() as snapshot:
            left = snapshot.progress.outcomes.get(Outcome.PENDING, 0)
            rate = rate or snapshot.ledger.get_setting(LEARNED_RATE, _RATE_UNTIL_LEARNED)
        return Plan(left, expected_requests(left), expected_time_s(left, rate), rate)

    def results(self) -> pd.DataFrame:
        """Give the results as they stand, at any time.

        Returns
        -------
        DataFrame
            One row per row of the cohort, in its order: ``recording_id``, the manifest's own
            columns, then the columns of ``columns.RESULTS``.

        Raises
        ------
        StudyError
            There is no study in the folder, or no cohort was ever submitted.
        """
        with self._snapshot() as snapshot:
            return snapshot.table()

    def to_parquet(self, path: str | PathLike[str]) -> Path:
        """Write the results as they stand to a Parquet file, a few thousand rows at a time.

        Parameters
        ----------
        path
            Where the file is to be; one that is there is replaced once the new one is complete.

        Returns
        -------
        Path
            Where the file is.

        Raises
        ------
        StudyError
            There is no study in the folder, or the file cannot be written or is one that the
            study needs.
        """
        path = self._target(path)
        with self._snapshot() as snapshot:
            snapshot.write(path, self._name)
        return path

    def export(
        self, path: str | PathLike[str], *, ages: bool = False, long: bool = False
    ) -> list[Path]:
        """Write the results as they stand to a file for another program.

        Parameters
        ----------
        path
            Where the file is to be. Its ending chooses the format: ``.parquet``, ``.csv``,
            ``.xlsx``, ``.sav`` (SPSS) or ``.dta`` (Stata).
        ages
            Whether dates of birth are replaced by ages at the recording.
        long
            Whether to write one row per recording and biomarker.

        Returns
        -------
        list of Path
            The file, its codebook as CSV and as Markdown, and a README.

        Raises
        ------
        StudyError
            There is no study in the folder, or the file cannot be written or is one that the
            study needs.
        ResultsError
            The format is not known or not installed, or cannot hold the results.
        """
        path = self._target(path)
        with self._snapshot() as snapshot:
            results, provenance = snapshot.table(), snapshot.provenance(self._name)
        return export(results, path, ages=ages, long=long, provenance=provenance)

    def report(
        self,
        path: str | PathLike[str],
        *,
        biomarkers: Sequence[str] | None = None,
        hide_small_cells: bool = False,
    ) -> Path:
        """Write a report about the study as it stands: one HTML file that can be mailed.

        Parameters
        ----------
        path
            Where the file is to be.
        biomarkers
            The scores that have figures; None means mental strain and the five bucketed ones.
        hide_small_cells
            Whether groups of fewer than five participants are kept out of sight.

        Returns
        -------
        Path
            Where the file is.

        Raises
        ------
        StudyError
            There is no study in the folder, or the file cannot be written or is one that the
            study needs.
        """
        # Loads the libraries for figures and statistics, which no submission needs.
        from helios_research.report import write_report

        path = self._target(path)
        with self._snapshot() as snapshot:
            results, provenance = snapshot.table(), snapshot.provenance(self._name)
        return write_report(
            results,
            path,
            provenance=provenance,
            biomarkers=biomarkers,
            hide_small_cells=hide_small_cells,
        )

    @contextmanager
    def _snapshot(self) -> Iterator[Snapshot]:
        with Ledger.read(self.folder) as ledger:
            yield Snapshot(ledger, self.cohort)

    def _target(self, path: str | PathLike[str]) -> Path:
        """Keep what the study needs from being written over."""
        target = Path(path).expanduser()
        if target.name in _NEEDED and target.parent.resolve() == self.folder.resolve():
            raise StudyFileError(target)
        return target

    @property
    def _name(self) -> str:
        return self.folder.resolve().name
