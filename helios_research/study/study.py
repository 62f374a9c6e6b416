"""A study that goes on: submitting, checking, and everything else that writes to its folder."""

from functools import partial
from os import PathLike
from threading import Event
from typing import Unpack

import pandas as pd

from helios_research.api.client import Client
from helios_research.checks import preflight
from helios_research.cohort import Cohort
from helios_research.ledger import Ledger
from helios_research.results.snapshot import Snapshot, progress_of
from helios_research.study.reader import COHORT_FILE, RESULTS_FILE, StudyReader
from helios_research.study.withdrawal import Withdrawal, readmit, withdraw
from helios_research.submission.asks import Row
from helios_research.submission.background import Submission
from helios_research.submission.clock import Clock, SystemClock
from helios_research.submission.display import in_notebook, progress_line
from helios_research.submission.engine import Engine
from helios_research.submission.evidence import rows_in
from helios_research.submission.inspection import Inspector, LedgerCache
from helios_research.submission.options import SubmitOptions, SubmitSettings


class Study(StudyReader):
    """A folder on disk in which one study lives; opened again, it goes on.

    Parameters
    ----------
    folder
        The study's folder; made at the first submission, readable for its owner alone.
    client
        The connection to Helios. Without it, one is made when it is needed, with the key and the
        address that `config` finds; looking at results needs none. To be asked for a key once
        and not at each submission, make a `Client` and give it here.
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
        super().__init__(folder)
        self.submission: Submission[pd.DataFrame] | None = None
        self._client = client
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return f"<Study {self.folder}>"

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
            cohort = self._begin(cohort)
            rows = rows_in(ledger, cohort)
            standings = Snapshot(ledger, cohort, rows, options.rules).standings()
            inspector = Inspector(ledger, preflight=options.preflight)
        except BaseException:
            ledger.close()
            raise
        engine = Engine(
            client,
            ledger,
            cohort,
            rows,
            standings,
            inspector,
            options,
            self._clock,
            partial(self._keep, cohort, proved),
        )
        self.submission = Submission(
            engine.run,
            progress_of([standing.outcome for standing in standings]),
            partial(self._conclude, ledger, proved, cohort, rows),
        )
        if monitor and in_notebook():
            self._show_monitor(settings)
        return self.submission

    def _show_monitor(self, settings: SubmitSettings) -> None:
        # Only a notebook needs the widgets.
        from helios_research.widgets.monitor import SubmissionMonitor

        SubmissionMonitor(self, **settings).show()

    def _begin(self, cohort: Cohort | None) -> Cohort:
        # What a process left half-written when it was killed. The ledger is ours, so nobody else
        # is writing these just now.
        for name in (COHORT_FILE, RESULTS_FILE):
            for unfinished in self.folder.glob(f".{name}.*.part"):
                unfinished.unlink(missing_ok=True)
        if cohort is None:
            return self.cohort
        if not (self.folder / COHORT_FILE).exists():
            cohort.save(self.folder / COHORT_FILE)
        return cohort

    def _keep(self, cohort: Cohort, proved: Event) -> None:
        """Let a cohort take the place of the one before, now that the service takes it."""
        cohort.save(self.folder / COHORT_FILE)
        proved.set()

    def _conclude(
        self, ledger: Ledger, proved: Event, cohort: Cohort, rows: list[Row]
    ) -> pd.DataFrame:
        try:
            ended = Snapshot(ledger, cohort, rows)
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

    # --- participants who withdraw ---------------------------------------------------------------

    def withdraw(self, user_label: str) -> Withdrawal:
        """Remove a participant from the study for good.

        The participant's attempts, raw answers and checks go from the ledger, their rows from the
        cohort and from ``results.parquet``, and exports and reports that lie in the study's folder
        go as a whole, since the participant stands in them. What is left are marks, salted hashes
        of the label and of the recordings: a row with one of them is ``invalid`` from then on
        (``INVALID_WITHDRAWN``) and never sent. Recordings are never deleted, nor is anything
        outside of the folder.

        A withdrawal that was interrupted is finished by withdrawing the same label again.

        Parameters
        ----------
        user_label
            The participant's label, as it was sent.

        Returns
        -------
        Withdrawal
            What was removed. Its ``letter`` is what to write to thymia, whose runs have to be
            deleted there: it is the last time that this study knows their ids.

        Raises
        ------
        UnknownParticipantError
            Nobody in the study has this label.
        UnfinishedWithdrawalError
            Another program reads the ledger, so that remains could not be erased.
        StudyError
            There is no study in the folder, a submission is running, or it cannot be written.
        """
        return withdraw(self.folder, user_label.strip(), self._clock.now)

    def readmit(self, user_label: str) -> None:
        """Take a withdrawal back, so that the participant's rows may be sent again.

        What was removed does not come back: their recordings are sent, and paid for, anew.

        Parameters
        ----------
        user_label
            The label that was withdrawn.

        Raises
        ------
        UnknownParticipantError
            Nobody with this label has withdrawn.
        StudyError
            There is no study in the folder, a submission is running, or it cannot be written.
        """
        readmit(self.folder, user_label.strip(), self._clock.now)
