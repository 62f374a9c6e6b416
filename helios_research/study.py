"""A study: one folder that holds a cohort, the ledger of what was done, and the results."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from threading import Event
from typing import Unpack

import pandas as pd

from helios_research.api.client import Client
from helios_research.checks import preflight
from helios_research.checks.summary import expected_requests, expected_time_s
from helios_research.cohort import Cohort
from helios_research.columns import Outcome
from helios_research.errors import EmptyStudyError
from helios_research.ledger import Ledger
from helios_research.results import export
from helios_research.results.snapshot import Snapshot
from helios_research.submission.asks import Row
from helios_research.submission.background import Submission
from helios_research.submission.clock import Clock, SystemClock
from helios_research.submission.display import in_notebook, progress_line
from helios_research.submission.engine import LEARNED_RATE, Engine
from helios_research.submission.inspection import Inspector, LedgerCache
from helios_research.submission.options import SubmitOptions, SubmitSettings
from helios_research.submission.progress import Progress

COHORT_FILE = "cohort.parquet"
RESULTS_FILE = "results.parquet"

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


class Study:
    """A folder on disk in which one study lives; opened again, it goes on.

    Parameters
    ----------
    folder
        The study's folder; made at the first submission, readable for its owner alone.
    client
        The connection to Helios. Without it, one is made from the environment
        (``THYMIA_API_KEY``, ``THYMIA_REGION``, ``THYMIA_BASE_URL``) when it is needed; looking
        at results needs none.
    clock
        Time; only tests use another than the machine's.

    Attributes
    ----------
    folder
        The study's folder.
    submission
        What this object began to submit last, or None.

    Examples
    --------
    >>> study = Study("studies/night-shift")  # doctest: +SKIP
    >>> results = study.submit(cohort)  # doctest: +SKIP
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        *,
        client: Client | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.folder = Path(folder).expanduser()
        self.submission: Submission[pd.DataFrame] | None = None
        self._client = client
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return f"<Study {self.folder}>"

    # --- submitting ------------------------------------------------------------------------------

    def submit(
        self,
        cohort: Cohort | None = None,
        *,
        progress: bool = True,
        **settings: Unpack[SubmitSettings],
    ) -> pd.DataFrame:
        """Send what is left to send, and wait for it.

        May be called again at any time: nothing is sent twice, and nothing that was answered is
        asked again. Interrupting it (Ctrl-C, a notebook's stop button) keeps everything.

        Parameters
        ----------
        cohort
            The recordings; without it, those of the last submission.
        progress
            Whether a line tells how it goes.
        **settings
            The attributes of ``SubmitOptions``, such as ``rate=10``.

        Returns
        -------
        DataFrame
            The results, one row per recording; see `results`. Also written to
            ``results.parquet`` in the study's folder.

        Raises
        ------
        ConfigError
            No key, or settings that cannot be used.
        StudyError
            The folder is in use, cannot be written, or belongs to another service.
        ServiceError
            Helios refuses the key or cannot be reached; nothing is marked as failed.
        KeyboardInterrupt
            Interrupted, after everything in flight was kept.
        """
        submission = self.start(cohort, monitor=False, **settings)
        return submission.wait(watch=progress_line() if progress else None)

    def start(
        self,
        cohort: Cohort | None = None,
        *,
        monitor: bool = True,
        **settings: Unpack[SubmitSettings],
    ) -> Submission[pd.DataFrame]:
        """Begin to send what is left to send, in the background.

        Parameters
        ----------
        cohort
            The recordings; without it, those of the last submission.
        monitor
            Whether a notebook shows a `SubmissionMonitor` of it.
        **settings
            The attributes of ``SubmitOptions``, such as ``rate=10``.

        Returns
        -------
        Submission
            The handle: ``progress``, ``stop()`` and ``wait()``, which gives the results.

        Raises
        ------
        ConfigError
            No key, or settings that cannot be used.
        StudyError
            The folder is in use or cannot be written, or no cohort was ever submitted.
        """
        options = SubmitOptions(**settings)
        client = self._client or Client()
        ledger = Ledger.open(self.folder, clock=self._clock.now)
        proved = Event()
        try:
            state = self._begin(ledger, cohort)
            inspector = Inspector(ledger, state.checks, preflight=options.preflight)
        except BaseException:
            ledger.close()
            raise
        engine = Engine(
            client,
            ledger,
            state.cohort,
            state.rows,
            state.standings,
            inspector,
            options,
            self._clock,
            partial(self._keep, state.cohort, proved),
        )
        self.submission = Submission(
            engine.run,
            state.progress,
            partial(self._conclude, ledger, proved, state.cohort, state.rows),
        )
        if monitor and in_notebook():
            self._show_monitor(settings)
        return self.submission

    def _show_monitor(self, settings: SubmitSettings) -> None:
        # Only a notebook needs the widgets.
        from helios_research.widgets.monitor import SubmissionMonitor

        SubmissionMonitor(self, **settings).show()

    def _begin(self, ledger: Ledger, cohort: Cohort | None) -> Snapshot:
        if cohort is None:
            cohort = self.cohort
        elif not (self.folder / COHORT_FILE).exists():
            cohort.save(self.folder / COHORT_FILE)
        return Snapshot.take(ledger, cohort)

    def _keep(self, cohort: Cohort, proved: Event) -> None:
        """Let a cohort take the place of the one before, now that the service takes it."""
        cohort.save(self.folder / COHORT_FILE)
        proved.set()

    # Not given the whole snapshot of the beginning, which would be in memory beside the new one.
    def _conclude(
        self, ledger: Ledger, proved: Event, cohort: Cohort, rows: list[Row]
    ) -> pd.DataFrame:
        try:
            ended = Snapshot.take(ledger, cohort, rows)
            results = ended.table()
            # A wrong key, or a mistyped folder, must not replace what the study holds.
            if proved.is_set():
                ended.write(self.folder / RESULTS_FILE, self._name, results)
        finally:
            ledger.close()
        return results

    def check(self, cohort: Cohort, *, full_speech: bool = False) -> pd.DataFrame:
        """Check the recordings as `preflight` does, and remember it in the study.

        What was checked before and has not been written to since is not read again, by the next
        check or by a submission.

        Parameters
        ----------
        cohort
            The recordings.
        full_speech
            Count speech to the end of each recording.

        Returns
        -------
        DataFrame
            One row per row of the cohort; the columns are ``columns.CHECKS``.

        Raises
        ------
        StudyError
            The folder is in use or cannot be written.
        """
        with Ledger.open(self.folder, clock=self._clock.now) as ledger:
            return preflight(cohort, full_speech=full_speech, cache=LedgerCache(ledger))

    # --- looking ---------------------------------------------------------------------------------

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
            There is no study in the folder, or the file cannot be written.
        """
        path = Path(path).expanduser()
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
            There is no study in the folder, or the file cannot be written.
        ResultsError
            The format is not known or not installed, or cannot hold the results.
        """
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
            There is no study in the folder, or the file cannot be written.
        """
        # Loads the libraries for figures and statistics, which no submission needs.
        from helios_research.report import write_report

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
            yield Snapshot.take(ledger, self.cohort)

    @property
    def _name(self) -> str:
        return self.folder.resolve().name
