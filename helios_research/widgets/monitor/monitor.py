"""A submission, watched while it runs, here or elsewhere, and looked at afterwards."""

import logging
from datetime import UTC, datetime
from html import escape
from threading import Event, Thread
from time import monotonic
from typing import Any

import ipywidgets

from helios_research.codes import HeliosCode
from helios_research.columns import Outcome
from helios_research.errors import StudyError
from helios_research.submission import SubmitOptions
from helios_research.widgets.base.controls import Button
from helios_research.widgets.base.panel import Guard, Panel, StatusLine, in_words, markup
from helios_research.widgets.monitor.drawing import (
    MONITOR_STYLE,
    errors_html,
    news_html,
    progress_html,
)
from helios_research.widgets.monitor.poller import Activity, StudyWatch, View, WatchedStudy

_log = logging.getLogger(__name__)

REFRESH_S = 0.25
"""Seconds between two updates of the numbers: 4 messages a second. Front ends drop messages
that come much faster, and then show a wrong number for good (measured with 20,000 of them)."""

ERRORS_EVERY_S = 1.0
"""Seconds between two updates of the errors, so that it stays at 5 messages a second in all."""

IDLE_S = 1.0
"""Seconds between two looks while nothing runs here."""

SIGN_OF_LIFE_S = 10
"""Seconds between two signs of life while nothing runs."""

_STOPPING = "Stopping: nothing new is begun, what is in flight is kept."


class SubmissionMonitor(Panel):
    """Watch a submission: counts, time left, what limits it, and its errors with what to do.

    It reads the study's ledger, so it also shows what another process submits, and a study of
    last week. In a notebook ``study.start`` shows one by itself.

    Parameters
    ----------
    study
        The study.
    **settings
        What the button "Go on" hands to ``study.start``, such as ``rate=10`` or
        ``delete_data=True``; a monitor that ``study.start`` shows keeps those given there.

    Examples
    --------
    >>> SubmissionMonitor(Study("studies/night-shift"))  # doctest: +SKIP
    """

    def __init__(self, study: WatchedStudy, **settings: Any) -> None:
        self._study = study
        self._options = SubmitOptions(**settings)
        self._watch = StudyWatch(study)
        self._view: View | None = None
        self._is_stopping = False
        self._has_run = False
        self._errors_due_s = 0.0
        self._status = StatusLine()
        self._guard = Guard(self._status)
        self._numbers = markup()
        self._errors = markup()
        self._make_buttons()
        super().__init__(
            [
                markup(MONITOR_STYLE + self._title()),
                self._numbers,
                ipywidgets.HBox([self.stop_button, self.go_on_button]),
                self._status.widget,
                self._errors,
            ]
        )
        self._closing = Event()
        self.refresh()
        self._thread = Thread(target=self._keep_looking, name="helios-monitor", daemon=True)
        self._thread.start()

    def _make_buttons(self) -> None:
        self.stop_button = Button(
            description="Stop",
            tooltip="Begin nothing new; what is in flight is kept. Going on later repeats nothing.",
            disabled=True,
        )
        self.go_on_button = Button(
            description="Go on",
            tooltip="Send what is left to send; nothing is sent twice.",
            disabled=True,
        )
        self.stop_button.on_click(self._guard(lambda _: self._stop()))
        self.go_on_button.on_click(self._guard(lambda _: self._go_on()))

    def __repr__(self) -> str:
        what = self._status.text if self._view is None else self._still_words(self._view)
        return f"<SubmissionMonitor of {self._study.folder.name}: {what}>"

    def refresh(self, *, exactly: bool = False) -> None:
        """Look at the study now; this also happens by itself several times a second.

        Parameters
        ----------
        exactly
            Whether to work out anew how every row stands, however long that takes.
        """
        with self._guard.lock:
            before = self._view
            try:
                self._show(self._watch.look(exactly=exactly))
            except StudyError as error:
                self._show_failure(str(error))
            if before is not None and before.activity is not Activity.NONE and self._is_at_rest:
                self.freeze()

    def close(self) -> None:
        """Stop looking and let go of the widgets; the submission goes on. Safe to call twice."""
        self._closing.set()
        super().close()

    def static_html(self) -> str:
        """Draw the counts and errors as they stand, without what differs from run to run.

        Returns
        -------
        str
            HTML.
        """
        name = escape(self._study.folder.name)
        title = f'{MONITOR_STYLE}<p class="helios-title">Submission of {name}</p>'
        if self._view is None:
            return f"{title}<p>{escape(self._status.text)}</p>"
        numbers = progress_html(self._view.progress, still=True)
        return f"{title}{numbers}{errors_html(self._view.errors, still=True)}"

    @property
    def _is_at_rest(self) -> bool:
        return self._view is None or self._view.activity is Activity.NONE

    def _title(self) -> str:
        folder = self._study.folder
        return (
            f'<p class="helios-title" title="{escape(str(folder))}">'
            f"Submission of {escape(folder.name)}</p>"
        )

    def _still_words(self, view: View) -> str:
        counts = [
            f"{view.progress.outcomes[outcome]:,} {outcome}"
            for outcome in Outcome
            if view.progress.outcomes.get(outcome)
        ]
        return ", ".join([f"{view.progress.done:,} of {view.progress.total:,} done", *counts])

    def _show(self, view: View) -> None:
        self._view = view
        is_here = view.activity is Activity.HERE
        self._has_run = self._has_run or not self._is_at_rest
        self._is_stopping = self._is_stopping and is_here
        self._numbers.value = progress_html(view.progress) + self._news()
        self._show_errors(view)
        self._say(_STOPPING if self._is_stopping else view.sentence, failed=view.failed)
        self.stop_button.disabled = not is_here or self._is_stopping
        may_go_again = any(group.code == HeliosCode.INTERNAL for group in view.errors)
        is_left = may_go_again or view.progress.outcomes.get(Outcome.PENDING)
        self.go_on_button.disabled = is_here or not is_left

    def _news(self) -> str:
        now = datetime.now(UTC)
        if self._is_at_rest:
            now = now.replace(second=now.second - now.second % SIGN_OF_LIFE_S)
        return news_html(now, patient=self._is_at_rest)

    def _show_errors(self, view: View) -> None:
        now_s = monotonic()
        if view.activity is Activity.NONE or now_s >= self._errors_due_s:
            self._errors_due_s = now_s + ERRORS_EVERY_S
            self._errors.value = errors_html(view.errors, steady=self._has_run)

    def _show_failure(self, sentence: str) -> None:
        self._view = None
        self._numbers.value = self._errors.value = ""
        self._say(sentence, failed=True)
        self.stop_button.disabled = self.go_on_button.disabled = True

    def _say(self, sentence: str, *, failed: bool) -> None:
        if sentence != self._status.text:
            (self._status.fail if failed else self._status.tell)(sentence)

    def _stop(self) -> None:
        submission = self._study.submission
        if submission is not None:
            submission.stop()
            self._is_stopping = True
            self.stop_button.disabled = True
            self._status.tell(_STOPPING)

    def _go_on(self) -> None:
        self._study.start(monitor=False, **self._options.model_dump())
        self.refresh()

    def _keep_looking(self) -> None:
        while not self._closing.wait(self._pause_s()):
            try:
                self.refresh()
            # The thread has nobody to raise to; the next look may well succeed.
            except Exception as error:  # noqa: BLE001
                _log.debug("Looking at %s failed", self._study.folder, exc_info=True)
                self._status.fail(f"The study cannot be looked at just now: {in_words(error)}.")

    def _pause_s(self) -> float:
        is_here = self._view is not None and self._view.activity is Activity.HERE
        return REFRESH_S if is_here else IDLE_S
