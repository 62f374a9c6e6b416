"""A study: one folder that holds a cohort, the ledger of what was done, and the results."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Literal, Unpack

import pandas as pd

from helios_research._util.files import remove_temporary_files
from helios_research._util.screen import ProgressLine, in_notebook, summary_html
from helios_research._util.text import counted
from helios_research.api.client import Client
from helios_research.cohort import Cohort, CohortIssues, Table, cohort_of
from helios_research.cohort.mapping import TableOptions, with_table_options
from helios_research.columns import Outcome
from helios_research.errors import StudyError, StudyMissingError, storage_errors
from helios_research.ledger import Ledger, LedgerReader, Setting
from helios_research.ledger.storage import holder_of
from helios_research.preflight_checks.comparison import compare_with_answers, near_limits
from helios_research.preflight_checks.rules import Thresholds
from helios_research.preflight_checks.table import expected_requests, expected_time_s
from helios_research.preflight_checks.table import preflight as check_recordings
from helios_research.results import export
from helios_research.results.table import Snapshot, check_ending, invitations_in, write_invitations
from helios_research.state.loader import LedgerCache, PreflightSettings, StatusLoader, seen_at
from helios_research.state.rows import Row, VerdictTable, remember_verdicts, rows_of
from helios_research.state.status import Progress
from helios_research.submission import MOST_UPLOADS, Clock, SubmitOptions
from helios_research.submission.background import Submission
from helios_research.submission.engine import Engine
from helios_research.submission.invitations import check_table, check_unused
from helios_research.submission.work_queue import Inspector
from helios_research.withdrawal import (
    COHORT_FILE,
    NEEDED_FILES,
    RESULTS_FILE,
    Withdrawal,
    readmit,
    withdraw,
)

if TYPE_CHECKING:
    from helios_research.widgets.monitor import SubmissionMonitor

_RATE_UNTIL_LEARNED = 5.0
"""API requests per second for estimates before the study has learned what Helios allows."""

REPORT_FILE = "report.html"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left to do in a study.

    Attributes
    ----------
    recordings
        Recordings without a final outcome.
    requests
        API requests that they take, as measured on average.
    duration_s
        Seconds that they take at the rate.
    rate
        API requests per second.
    cost
        What they cost, in the currency of the price; None where no price was given.
    """

    recordings: int
    requests: int
    duration_s: float
    rate: float
    cost: float | None = None


class Study:
    """A folder on disk that holds one study; opened again, it continues.

    Parameters
    ----------
    folder
        The study's folder; made at the first submission, readable for its owner alone.
    client
        The connection to Helios. Without it, one is made when it is needed, with the key and the
        address that `config` finds; results need none. To be asked for a key once and not at each
        submission, make a `Client` and give it here.
    clock
        Time; only tests use another than the machine's.

    Attributes
    ----------
    folder
        The study's folder.
    submission
        What this object began to submit last, or None.

    Raises
    ------
    StudyError
        By every method: there is no study in the folder, or no cohort was ever submitted; the folder is
        in use, cannot be written or belongs to another service; a file to be written is one that the
        study needs.

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
        # Resolved once, so that it is the same study wherever the process goes.
        self.folder = Path(folder).expanduser().absolute()
        self.submission: Submission | None = None
        self._client = client
        self._clock = clock or Clock()

    def __repr__(self) -> str:
        return f"<Study {self.folder}>"

    def _repr_html_(self) -> str:
        title = f"Study {self.folder.name}"
        try:
            now = self.progress
        except StudyMissingError:
            next_step = "Nothing was submitted to it yet. Next: `study.submit(cohort)`."
            return summary_html(title, [str(self.folder), next_step])
        except StudyError as error:
            return summary_html(title, [str(error)])
        sentences = [str(self.folder), f"{now}.", f"Next: {self._next_step(now)}"]
        return summary_html(title, sentences, done=now.done, total=now.total)

    def _next_step(self, now: Progress) -> str:
        if self.submission is not None and self.submission.is_running:
            return "`study.submission.wait()`; a submission is running."
        if holder_of(self.folder) is not None:
            return "`hr.widgets.SubmissionMonitor(study)`; a submission is running elsewhere."
        if now.left:
            return f"`study.submit()`, as {counted(now.left, 'recording')} are left."
        if now.done < now.total:
            waiting = counted(now.total - now.done, "invited recording")
            return f"`study.submit()` from time to time: {waiting} not made yet, when last asked."
        return "`study.results()`, `study.report()` or `hr.widgets.Explorer(study.results())`."

    @property
    def cohort(self) -> Cohort:
        """The cohort of the last submission."""
        path = self.folder / COHORT_FILE
        if not path.exists():
            raise StudyMissingError.cohort(self.folder)
        return Cohort.load(path)

    @with_table_options
    def preflight(
        self,
        cohort: Table | None = None,
        *,
        thresholds: Thresholds | None = None,
        executor: Executor | None = None,
        full_speech: bool = False,
        progress: bool = True,
        **table_options: Unpack[TableOptions],
    ) -> pd.DataFrame:
        """Check the recordings as `helios_research.preflight` does, and remember it in the study.

        Neither the next preflight nor a submission reads a recording again that has not been
        written to since. The following submissions use the same thresholds.

        Parameters
        ----------
        cohort
            The recordings: a cohort, or a DataFrame or the path of a table to read; without it,
            those of the last submission.
        thresholds
            The limits; without them those that the study remembers, or else the defaults.
        executor
            Where to check, such as ``dask.distributed.Client(…).get_executor()``; by default one
            process per core of this machine.
        full_speech
            Count speech to the end of each recording.
        progress
            Whether a line shows the progress.
        **table_options
            The options of `read_cohort`, where the table is read here.

        Returns
        -------
        DataFrame
            One row per row of the cohort; the columns are ``columns.CHECKS``.
        """
        # Before a folder is made.
        read = cohort_of(cohort, table_options)
        read = self.cohort if read is None else read
        with Ledger.open(self.folder, clock=self._clock.now) as ledger:
            known = PreflightSettings.of(ledger)
            settings = PreflightSettings(thresholds or known.thresholds, full_speech)
            settings.remember(ledger)
            return check_recordings(
                read,
                thresholds=settings.thresholds,
                executor=executor,
                full_speech=full_speech,
                cache=LedgerCache(ledger),
                progress=progress,
            )

    def borderline(self, cohort: Cohort | None = None) -> pd.DataFrame:
        """List the recordings near a limit that are not sent yet, for you to listen to.

        Nothing but listening decides about them. Write send or leave out into the column
        ``verdict``, and give the table to `submit`. A verdict is about the bytes that you heard: it
        counts more than any preflight, until the recording is changed or you change the verdict.
        Without one a recording is sent.

        Parameters
        ----------
        cohort
            The recordings, checked by `preflight`; without it, those of the last submission.

        Returns
        -------
        DataFrame
            One row per recording, with the columns of ``columns.BORDERLINE``.

        Examples
        --------
        >>> study.borderline().to_csv("listen.csv", index=False)  # doctest: +SKIP
        >>> study.submit(verdicts="listen.csv")  # doctest: +SKIP
        """
        with Ledger.read(self.folder, verify=True) as ledger:
            table = Snapshot(ledger, cohort or self.cohort).table()
            return near_limits(table, PreflightSettings.of(ledger).thresholds)

    def compare_preflight(self) -> pd.DataFrame:
        """Compare what the preflight expected with what Helios answered.

        Returns
        -------
        DataFrame
            One row per pair of answers: ``expected`` and ``answered`` ("scored" or an error code),
            and the number of ``recordings``. Where another limit of speech fits at least three more
            answers, ``attrs["warnings"]`` has the limit that fits most, and how to use it.
        """
        return compare_with_answers(self.results())

    def estimate(self, rate: float | None = None, *, price: float | None = None) -> Estimate:
        """Estimate what is left to do, and how long it takes where the request rate is the limit.

        Parameters
        ----------
        rate
            API requests per second; without it the rate that the study has learned, or 5.
        price
            What one recording costs by your contract with thymia. Only a recording that is processed
            again, after an error of Helios' own, may cost more.
        """
        with Ledger.read(self.folder, verify=True) as ledger:
            left = self._progress_in(ledger).outcomes.get(Outcome.PENDING, 0)
            rate = rate or ledger.get_setting(Setting.LEARNED_RATE, _RATE_UNTIL_LEARNED)
        cost = None if price is None else left * price
        return Estimate(left, expected_requests(left), expected_time_s(left, rate), rate, cost)

    @with_table_options
    def submit(  # noqa: PLR0913 - written out for tab completion
        self,
        cohort: Table | None = None,
        *,
        rate: float | None = None,
        max_in_flight: int | None = None,
        poll_floor_s: float = 3.0,
        preflight: bool = True,
        transcripts: bool = False,
        delete_data: bool = False,
        internal_error_retries: int = 3,
        resend_changed: bool = False,
        ask_invited: bool = False,
        uploads: int = MOST_UPLOADS,
        deadline_s: float = 1800.0,
        patience: float = 600.0,
        stop_at_error_rate: float | None = 0.9,
        verdicts: VerdictTable | None = None,
        progress: bool = True,
        **table_options: Unpack[TableOptions],
    ) -> pd.DataFrame:
        """Send what is left to send, and wait for it.

        May be called again at any time: nothing is sent twice, and nothing that was answered is
        asked again. Interrupting it (Ctrl-C, a notebook's stop button) keeps everything.

        Parameters
        ----------
        cohort
            The recordings: a cohort, or a DataFrame or the path of a table to read; without it,
            those of the last submission.
        rate
            API requests per second that may be made; without it the rate that Helios allows, which
            the study finds and remembers.
        max_in_flight
            The most recordings in progress at once; without it as many as keep the rate filled.
        poll_floor_s
            Shortest time between two polls of a run, in seconds; Helios' documentation says 3.
        preflight
            Whether recordings are checked first, by the thresholds of the study's last `preflight`,
            and those skipped that Helios would refuse.
        transcripts
            Whether transcripts are kept in the study and in the results.
        delete_data
            Whether Helios deletes recording, metadata and scores 12 hours after completion.
        internal_error_retries
            How many more runs are created for a recording whose run ended in ``ERR_INTERNAL``.
        resend_changed
            Whether recordings whose metadata changed after they were sent are sent, and paid for,
            again.
        ask_invited
            Whether to ask about all invited participants now, and not only those whose turn it is; see
            `invite`.
        uploads
            Uploads at the same time, from 1 to 8.
        deadline_s
            Seconds that a run may take after its upload before it is left ``pending`` with
            ``TIMED_OUT``; the next submission asks for it again.
        patience
            Seconds for which a service that does not answer is asked again, before its recordings
            are left ``pending``.
        stop_at_error_rate
            The share of the last 20 recordings of this submission from which on the submission
            pauses with an `ErrorRateError`, where they all ended in the same error; None never does.
        verdicts
            The table of `borderline` with your verdicts, or the path of a file of it; the study
            remembers them.
        progress
            Whether a line shows the progress, or a `SubmissionMonitor` in a notebook.
        **table_options
            The options of `read_cohort`, where the table is read here.

        Returns
        -------
        DataFrame
            The results, one row per recording; see `results`. Also written to
            ``results.parquet`` in the study's folder.

        Raises
        ------
        ConfigError
            No key, or options that cannot be used.
        CohortError
            The table cannot be read as a cohort; nothing was made on disk.
        ServiceError
            Helios refuses the key or cannot be reached; nothing is marked as failed.
        ErrorRateError
            Nearly all recordings ended in the same error; see ``stop_at_error_rate``.
        KeyboardInterrupt
            Interrupted, after everything in flight was kept.
        """
        options = SubmitOptions.among(locals())
        submission = self._start(cohort_of(cohort, table_options), options, verdicts)
        if progress and in_notebook():
            return self._monitor(options).wait_for(submission)
        return submission.wait(watch=_progress_line() if progress else None)

    @with_table_options
    def start(  # noqa: PLR0913 - written out for tab completion
        self,
        cohort: Table | None = None,
        *,
        rate: float | None = None,
        max_in_flight: int | None = None,
        poll_floor_s: float = 3.0,
        preflight: bool = True,
        transcripts: bool = False,
        delete_data: bool = False,
        internal_error_retries: int = 3,
        resend_changed: bool = False,
        ask_invited: bool = False,
        uploads: int = MOST_UPLOADS,
        deadline_s: float = 1800.0,
        patience: float = 600.0,
        stop_at_error_rate: float | None = 0.9,
        verdicts: VerdictTable | None = None,
        monitor: bool = True,
        **table_options: Unpack[TableOptions],
    ) -> Submission:
        """Begin to send what is left to send, in the background.

        Parameters
        ----------
        cohort, rate, max_in_flight, poll_floor_s, preflight, transcripts, delete_data
            As for `submit`.
        internal_error_retries, resend_changed, ask_invited, uploads, deadline_s, patience, stop_at_error_rate, verdicts
            As for `submit`.
        monitor
            Whether a notebook shows a `SubmissionMonitor` of it.
        **table_options
            As for `submit`.

        Returns
        -------
        Submission
            The handle: ``progress``, ``stop()`` and ``wait()``, which gives the results.

        Raises
        ------
        ConfigError, CohortError
            As by `submit`; what Helios refuses is raised by ``wait()``.
        """
        options = SubmitOptions.among(locals())
        submission = self._start(cohort_of(cohort, table_options), options, verdicts)
        if monitor and in_notebook():
            self._monitor(options).show()
        return submission

    @with_table_options
    def invite(
        self,
        cohort: Table | None = None,
        *,
        path: str | PathLike[str] | None = None,
        resend: Iterable[str] = (),
        delete_data: bool = False,
        progress: bool = True,
        **table_options: Unpack[TableOptions],
    ) -> pd.DataFrame:
        """Invite participants to record themselves, in thymia's hosted activity.

        Each row without a recording gets a link for its participant to open. May be called again at any
        time: rows that have an invitation keep it, and a row is found again by its ``recording_id``.
        `submit` gets the scores of those who have recorded. It asks about an invitation first after a
        day, then ever more rarely, and every 6 hours with ``delete_data``.

        Parameters
        ----------
        cohort
            The participants and sessions: a cohort, or a DataFrame or the path of a table to read;
            without it, those of the last submission. A table without recordings declares them as
            ``constants={"recording": ""}``.
        path
            A .csv or .xlsx file to write the table to, for mail merge.
        resend
            Recording ids whose invitations are replaced by new ones. The scores of who still uses the
            old link are not fetched. One that was used is not replaced.
        delete_data
            Whether Helios deletes recording, metadata and scores 12 hours after completion: then submit
            at least twice a day, as scores that are not fetched by then are lost.
        progress
            Whether a line shows the progress.
        **table_options
            The options of `read_cohort`, where the table is read here.

        Returns
        -------
        DataFrame
            One row per row without a recording: ``recording_id``, ``user_label``, the table's own
            columns, and ``columns.INVITATIONS``. A link is a secret: displays of the table hide it.

        Raises
        ------
        ConfigError
            No key, or options that cannot be used.
        CohortError
            The table cannot be read as a cohort, or its participants cannot be invited; no one was.
        ServiceError
            Helios refuses the key, cannot be reached, or gives no link.
        """
        options = SubmitOptions(delete_data=delete_data, preflight=False, stop_at_error_rate=None)
        replaced = {resend} if isinstance(resend, str) else {*resend}
        read = cohort_of(cohort, table_options)
        read = self.cohort if read is None else read
        check_table(read, replaced)
        target = None if path is None else check_ending(self._target(path))
        submission = self._start(read, options, None, resend=replaced)
        try:
            submission.wait(watch=_progress_line() if progress else None)
        finally:
            # Whatever ended it: who has a link by now is in the table.
            with Ledger.read(self.folder) as ledger:
                table = invitations_in(ledger, read)
            if target is not None:
                write_invitations(table, target)
        return table

    def results(self) -> pd.DataFrame:
        """Give the results as they are now, at any time.

        Returns
        -------
        DataFrame
            One row per row of the cohort, in its order: ``recording_id``, the manifest's own
            columns, then the columns of ``columns.RESULTS``.
        """
        with self._snapshot() as snapshot:
            return snapshot.table()

    def to_parquet(self, path: str | PathLike[str]) -> Path:
        """Write the results as they are now to a Parquet file, a few thousand rows at a time.

        Parameters
        ----------
        path
            Where to write it; an existing file is replaced once the new one is complete.
        """
        path = self._target(path)
        with self._snapshot() as snapshot:
            snapshot.write(path, self._name)
        return path

    def export(
        self, path: str | PathLike[str], *, ages: bool = False, long: bool = False
    ) -> list[Path]:
        """Write the results as they are now to a file for another program.

        Parameters
        ----------
        path
            Where to write it. Its ending chooses the format: ``.parquet``, ``.csv``, ``.xlsx``,
            ``.sav`` (SPSS) or ``.dta`` (Stata).
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
        ResultsError
            The format is not known or not installed, or cannot hold the results.
        """
        path = self._target(path)
        with self._snapshot() as snapshot:
            results, provenance = snapshot.table(), snapshot.provenance(self._name)
        return export(results, path, ages=ages, long=long, provenance=provenance)

    def report(  # noqa: PLR0913 - each is a setting
        self,
        path: str | PathLike[str] | None = None,
        *,
        by: str | Sequence[str] | None = None,
        primary: str | None = None,
        family: Sequence[str] | None = None,
        reference: str | None = None,
        order: Sequence[str] | None = None,
        title: str | None = None,
        labels: Mapping[str, str] | None = None,
        biomarkers: Sequence[str] | None = None,
        hide_small_cells: bool = False,
        expected: int | pd.DataFrame | None = None,
        warned: Literal["keep", "drop"] = "keep",
    ) -> Path:
        """Write a report about the study as it is now: one HTML file that can be mailed.

        Parameters
        ----------
        path
            Where to write it; without it ``report.html`` in the study's folder.
        by, primary, family, reference, order, title, labels, biomarkers, hide_small_cells, expected, warned
            As for ``write_report``; ``by`` is the study's tags by default.

        Raises
        ------
        ResultsError
            A column is missing, or a setting is not valid.
        """
        settings = {name: value for name, value in locals().items() if name not in {"self", "path"}}
        # Loads the libraries for figures and statistics, which no submission needs.
        from helios_research.report import write_report

        path = self._target(self.folder / REPORT_FILE if path is None else path)
        with self._snapshot() as snapshot:
            results, provenance = snapshot.table(), snapshot.provenance(self._name)
        return write_report(results, path, provenance=provenance, **settings)

    @property
    def progress(self) -> Progress:
        """How far the study has come, also while another process submits."""
        with Ledger.read(self.folder, verify=True) as ledger:
            return self._progress_in(ledger)

    @property
    def issues(self) -> CohortIssues:
        """Every problem of every row: the cohort's, and the same audio in several rows."""
        with self._snapshot() as snapshot:
            return snapshot.issues

    def withdraw(self, user_label: str) -> Withdrawal:
        """Remove a participant from the study for good.

        The participant's attempts, raw answers and checks are removed from the ledger, their rows
        from the cohort and from ``results.parquet``. Exports and reports in the study's folder are
        removed as a whole, since the participant is in them. What is left are marks, salted hashes
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
            No one in the study has this label.
        UnfinishedWithdrawalError
            Another program reads the ledger, so that remains could not be erased.
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
            No one with this label has withdrawn.
        """
        readmit(self.folder, user_label.strip(), self._clock.now)

    def _start(
        self,
        cohort: Cohort | None,
        options: SubmitOptions,
        verdicts: VerdictTable | None,
        resend: Collection[str] | None = None,
    ) -> Submission:
        client = self._client or Client()
        if cohort is None and not (self.folder / COHORT_FILE).exists():
            raise StudyMissingError.cohort(self.folder)
        ledger = Ledger.open(self.folder, clock=self._clock.now)
        proved = Event()
        try:
            ledger.settle()
            cohort = self._taken_up(cohort)
            if verdicts is not None:
                seen = seen_at(ledger, cohort.fields["recording"].dropna())
                remember_verdicts(ledger, seen, verdicts)
            check_unused(ledger, resend or ())
            rows = rows_of(cohort, ledger.withdrawn())
            statuses = StatusLoader(ledger, cohort, rows, options).statuses()
            inspector = Inspector(ledger, preflight=options.preflight)
        except BaseException:
            ledger.close()
            raise
        engine = Engine(
            client,
            ledger,
            cohort,
            rows,
            statuses,
            inspector,
            options,
            self._clock,
            partial(self._keep, cohort, proved),
            resend,
        )
        self.submission = Submission(
            engine.run,
            Progress.of(status.outcome for status in statuses),
            partial(self._conclude, ledger, proved, cohort, rows),
        )
        return self.submission

    def _monitor(self, options: SubmitOptions) -> "SubmissionMonitor":
        # Only a notebook needs the widgets.
        from helios_research.widgets.monitor import SubmissionMonitor

        return SubmissionMonitor(self, **options.model_dump())

    def _taken_up(self, cohort: Cohort | None) -> Cohort:
        # What a process left half-written when it was killed. The ledger is ours, so no other
        # process is writing these now.
        for name in (COHORT_FILE, RESULTS_FILE):
            remove_temporary_files(self.folder / name)
        if cohort is None:
            return self.cohort
        if not (self.folder / COHORT_FILE).exists():
            cohort.save(self.folder / COHORT_FILE)
        return cohort

    def _keep(self, cohort: Cohort, proved: Event) -> None:
        """Replace the cohort of before, now that the service has accepted the key."""
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
                ended.write(self.folder / RESULTS_FILE, self._name)
        finally:
            ledger.close()
        return results

    def _progress_in(self, ledger: LedgerReader) -> Progress:
        return Progress.of(
            map(Outcome, StatusLoader(ledger, self.cohort).table()["outcome"].to_pylist())
        )

    @contextmanager
    def _snapshot(self) -> Iterator[Snapshot]:
        with Ledger.read(self.folder, verify=True) as ledger:
            yield Snapshot(ledger, self.cohort)

    def _target(self, path: str | PathLike[str]) -> Path:
        """Keep what the study needs from being written over, and make the folder of a new file."""
        target = Path(path).expanduser()
        if target.name in NEEDED_FILES and target.parent.resolve() == self.folder.resolve():
            raise StudyError.needed_file(target)
        with storage_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
        return target

    @property
    def _name(self) -> str:
        return self.folder.resolve().name


def _progress_line() -> Callable[[Progress], None]:
    line = ProgressLine()

    def show(now: Progress) -> None:
        line(str(now), shares=now.shares, is_error=bool(now.outage), is_last=now.is_over)

    return show
