"""A submission, watched while it runs, here or in another process, and after it has ended."""

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from threading import Event, Thread
from typing import Any

import ipywidgets
import pandas as pd

from helios_research._util.text import duration
from helios_research.codes import HeliosCode, explain, short_name
from helios_research.columns import OUTCOME_LABELS, Outcome
from helios_research.errors import StudyError
from helios_research.state.status import Progress
from helios_research.submission import SubmitOptions
from helios_research.submission.background import Submission
from helios_research.widgets.base import (
    Clickable,
    Guard,
    Panel,
    StatusLine,
    button,
    code_html,
    cut,
    in_words,
    markup,
    region_html,
)
from helios_research.widgets.base.table import html_table
from helios_research.widgets.monitor.poller import (
    Activity,
    ErrorGroup,
    StudyPoller,
    StudyView,
    WatchedStudy,
)

_log = logging.getLogger(__name__)

# Okabe and Ito's palette, which people with colour blindness can distinguish; every colour is
# beside its word.
_COLOURS = {
    Outcome.SCORED: "#009e73",
    Outcome.FAILED: "#d55e00",
    Outcome.REJECTED: "#cc79a7",
    Outcome.INVALID: "#e69f00",
    Outcome.SKIPPED: "#56b4e9",
    Outcome.LOST: "#0072b2",
    Outcome.INVITED: "#f0e442",
    Outcome.PENDING: "transparent",
}
_NOT_KNOWN = "—"
# Recordings of an error that are named at once.
_NAMED = 3

REFRESH_S = 0.25
"""Seconds between two updates of the numbers: 4 messages a second, and one about errors, which are
read once a second. Front ends drop messages that come much faster, and then show a wrong number
permanently (measured with 20,000 of them)."""

IDLE_S = 1.0
"""Seconds between two polls while nothing runs here."""

SIGN_OF_LIFE_S = 10
"""Seconds between two signs of life while nothing runs anywhere."""

_NEXT = """\
results = study.results()  # a DataFrame, one row per recording
hr.widgets.Explorer(study)  # look at scores and errors
study.report("report.html")  # findings, in one file"""
_STOPPING = "Stopping: no new recordings are sent; what is in progress is kept."


class SubmissionMonitor(Panel):
    """Watch a submission: counts, time left, what limits it, and its errors with what to do.

    It reads the study's ledger, so it also shows what another process submits, and a study that
    has ended. In a notebook ``study.start`` shows a monitor by itself.

    Parameters
    ----------
    study
        The study.
    **settings
        What the button "Resume" gives to ``study.start``, such as ``rate=10`` or
        ``delete_data=True``; a monitor that ``study.start`` shows keeps those given there.

    Examples
    --------
    >>> SubmissionMonitor(Study("studies/night-shift"))  # doctest: +SKIP
    """

    def __init__(self, study: WatchedStudy, **settings: Any) -> None:
        self._study = study
        self._options = SubmitOptions(**settings)
        self._poller = StudyPoller(study)
        self._view: StudyView | None = None
        self._is_stopping = False
        self._has_run = False
        self._as_of = datetime.min.replace(tzinfo=UTC)
        self._status = StatusLine()
        self._guard = Guard(self._status)
        self._numbers = markup()
        self._errors = Clickable(self._guard)
        self._next = markup()
        tip = "Send no new recordings; what is in progress is kept, and nothing is repeated."
        self.stop_button = button(self._guard, "Stop", self._stop, tooltip=tip, disabled=True)
        tip = "Send the recordings that are left; nothing is sent twice."
        self.continue_button = button(
            self._guard, "Resume", self._continue, tooltip=tip, disabled=True
        )
        self._buttons = ipywidgets.HBox([self.stop_button, self.continue_button])
        folder = escape(str(study.folder))
        title = f'<p class="helios-title" title="{folder}">Submission of {escape(study.folder.name)}</p>'
        parts = [self._numbers, self._buttons, self._status.widget, self._errors, self._next]
        super().__init__([markup(title), *parts])
        self._closing = Event()
        self.refresh()
        self._thread = Thread(target=self._keep_polling, name="helios-monitor", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        what = self._status.text
        if self._view is not None:
            progress = self._view.progress
            counts = [f"{count:,} {outcome}" for outcome, count in _counts(progress) if count]
            what = ", ".join([f"{progress.done:,} of {progress.total:,} done", *counts])
        return f"<SubmissionMonitor of {self._study.folder.name}: {what}>"

    def refresh(self) -> None:
        """Read the study now; this also happens by itself, up to several times a second."""
        with self._guard.lock:
            before = self._activity
            try:
                self._show(self._poller.poll())
            except StudyError as error:
                self._show_failure(str(error))
            if before is not Activity.NONE and self._activity is Activity.NONE:
                self.render_static()

    def wait_for(self, submission: Submission) -> pd.DataFrame:
        """Show the panel while a cell waits for a submission, as ``study.submit`` does.

        Until the cell has ended no click arrives; interrupting the cell stops the submission.

        Parameters
        ----------
        submission
            The submission to wait for.

        Returns
        -------
        DataFrame
            Its results, one row per recording.
        """
        self._buttons.layout.display = "none"
        self.show()
        try:
            return submission.wait()
        finally:
            self._buttons.layout.display = None
            # The cell ends now, and with it what belongs to its output.
            self.refresh()

    def close(self) -> None:
        """Stop watching and release the widgets; the submission continues. Safe to call twice."""
        self._closing.set()
        super().close()

    def static_html(self) -> str:
        """Draw the counts and errors, without what differs from run to run."""
        name = escape(self._study.folder.name)
        title = f'<p class="helios-title">Submission of {name}</p>'
        if self._view is None:
            return f"{title}<p>{escape(self._status.text)}</p>"
        numbers = progress_html(self._view.progress, static=True)
        errors = errors_html(self._view.errors, static=True)
        return f"{title}{numbers}{errors}{next_html(self._view.progress, is_over=True)}"

    @property
    def _activity(self) -> Activity:
        return Activity.NONE if self._view is None else self._view.activity

    def _show(self, view: StudyView) -> None:
        self._view = view
        is_here = view.activity is Activity.HERE
        self._has_run = self._has_run or view.activity is not Activity.NONE
        self._is_stopping = self._is_stopping and is_here
        self._numbers.value = progress_html(view.progress) + self._news()
        self._errors.value = errors_html(view.errors, steady=self._has_run)
        sentence = _STOPPING if self._is_stopping else view.sentence
        self._status.show(sentence, failed=view.failed)
        self._next.value = next_html(view.progress, is_over=view.activity is Activity.NONE)
        self.stop_button.disabled = not is_here or self._is_stopping
        may_be_retried = any(group.code == HeliosCode.INTERNAL for group in view.errors)
        is_left = may_be_retried or view.progress.done < view.progress.total
        self.continue_button.disabled = is_here or not is_left

    def _news(self) -> str:
        now, is_at_rest = datetime.now(UTC), self._activity is Activity.NONE
        if not is_at_rest or (now - self._as_of).total_seconds() >= SIGN_OF_LIFE_S:
            self._as_of = now
        # The page itself shows the warning after 15 s, or 45 s: it is for people whose kernel is
        # gone. Each update before that replaces it.
        late = "helios-late helios-patient" if is_at_rest else "helios-late"
        return (
            f'<div class="helios-news"><span class="helios-muted">As of {self._as_of.astimezone():%H:%M:%S}</span>'
            f'<span class="{late}">No update since: the kernel of this notebook is busy or gone.'
            "</span></div>"
        )

    def _show_failure(self, sentence: str) -> None:
        self._view = None
        self._numbers.value = self._errors.value = self._next.value = ""
        self._status.show(sentence, failed=True)
        self.stop_button.disabled = self.continue_button.disabled = True

    def _stop(self) -> None:
        submission = self._study.submission
        if submission is not None:
            submission.stop()
            self._is_stopping = True
            self.stop_button.disabled = True
            self._status.show(_STOPPING)

    def _continue(self) -> None:
        self._study.start(monitor=False, **self._options.model_dump())
        self.refresh()

    def _keep_polling(self) -> None:
        while not self._closing.wait(REFRESH_S if self._activity is Activity.HERE else IDLE_S):
            try:
                self.refresh()
            # No one would see what a thread raises, and the next poll may succeed.
            except Exception as error:  # noqa: BLE001
                _log.debug("Polling %s failed", self._study.folder, exc_info=True)
                sentence = in_words(error, "The study cannot be read at the moment")
                self._status.show(sentence, failed=True)


# --- drawing --------------------------------------------------------------------------------------


def progress_html(progress: Progress, *, static: bool = False) -> str:
    """Draw the bar and the numbers; a static picture omits what differs between two runs."""
    facts = "" if static else _tiles(_facts(progress), "helios-tiles helios-facts")
    return f"{_bar(progress)}{_outcome_tiles(progress)}{facts}"


def _bar(progress: Progress) -> str:
    total = max(1, progress.total)
    parts = "".join(
        f'<span style="width: {100 * count / total:.3f}%; background: {_COLOURS[outcome]}"></span>'
        for outcome, count in _counts(progress)
        if outcome is not Outcome.PENDING
    )
    words = f"{progress.done:,} of {progress.total:,} done"
    return (
        f'<div class="helios-bar" role="progressbar" aria-label="Recordings done" '
        f'aria-valuemin="0" aria-valuemax="{progress.total}" aria-valuenow="{progress.done}" '
        f'aria-valuetext="{words}" title="{words}">{parts}</div>'
    )


def _outcome_tiles(progress: Progress) -> str:
    swatch = '<span class="helios-swatch" style="background: {}" aria-hidden="true"></span>{}'
    tiles = [
        (swatch.format(_COLOURS[outcome], outcome), f"{count:,}", str(OUTCOME_LABELS[outcome]))
        for outcome, count in _counts(progress)
    ]
    return _tiles(tiles, "helios-tiles")


def _counts(progress: Progress) -> list[tuple[Outcome, int]]:
    return [(outcome, progress.outcomes.get(outcome, 0)) for outcome in Outcome]


def _facts(progress: Progress) -> list[tuple[str, str, str]]:
    share = f" ({progress.done / progress.total:.0%})" if progress.total else ""
    speed, rate = progress.per_minute, progress.rate
    left = progress.remaining_s
    is_known = left is not None and progress.left > 0
    if progress.is_over:
        time = {"Took": duration(progress.elapsed_s)}
    else:
        time = {"Time left": f"about {duration(left or 0)}" if is_known else _NOT_KNOWN}
    facts = {
        "Done": f"{progress.done:,} of {progress.total:,}{share}",
        "In progress": f"{progress.in_flight:,}" if progress.in_flight else _NOT_KNOWN,
        "Speed": _NOT_KNOWN if speed is None else f"{speed:,.0f} a minute",
        **time,
        "Request rate": _NOT_KNOWN if rate is None else f"{rate:.3g} a second",
        "Waiting for": progress.limited_by or _NOT_KNOWN,
    }
    return [(name, escape(value), f"{name}: {value}") for name, value in facts.items()]


def _tiles(tiles: Iterable[tuple[str, str, str]], classes: str) -> str:
    drawn = "".join(
        f'<div role="listitem" title="{escape(title)}">'
        f'<span class="helios-muted">{name}</span> <b>{value}</b></div>'
        for name, value, title in tiles
    )
    # Not <dl>: JupyterLab has its own rules for that.
    return f'<div class="{classes}" role="list">{drawn}</div>'


def errors_html(groups: Sequence[ErrorGroup], *, steady: bool = False, static: bool = False) -> str:
    """Draw the errors and what to do about them; ``steady`` keeps one height, as more may come.

    A static picture omits the reasons of single recordings: they contain paths and values of
    participants, which do not belong in a notebook that is passed on.
    """
    table = '<p class="helios-muted">No errors.</p>'
    if groups:
        heads = ("Error", "Recordings", "What it means", "What to do", "Latest reason")
        lines = [_error_line(group, static=static) for group in groups]
        table = html_table(heads[:-1] if static else heads, lines, "Errors by code")
    return region_html("Errors by code", table, "helios-errors" + " helios-steady" * steady)


def _error_line(group: ErrorGroup, *, static: bool) -> list[str]:
    known, name = explain(group.code), cut(short_name(group.code), tip=group.code)
    about = [escape(known.meaning), escape(known.remedy)]
    if static:
        return [name, f"{group.count:,}", *about]
    return [name, _recordings_html(group), *about, escape(group.reason)]


def _recordings_html(group: ErrorGroup) -> str:
    """Name the first recordings of a group, and the others at a click."""
    names = [cut(name, 28) for name in group.recordings]
    first, others = names[:_NAMED], names[_NAMED:]
    if not first:
        return f"{group.count:,}"
    more = group.count - len(first)
    if more <= 0:
        return f"{group.count:,}: {', '.join(first)}"
    rest = group.count - len(names)
    listed = ", ".join([*others, *([f"and {rest:,} more"] if rest > 0 else [])])
    return (
        f'<details data-name="{escape(group.code)}"><summary>{group.count:,}: {", ".join(first)} '
        f"and {more:,} more</summary>{listed}</details>"
    )


def next_html(progress: Progress, *, is_over: bool) -> str:
    """Say what to do with the scores, as lines to paste; before the end this only has its place."""
    if is_over and not progress.outcomes.get(Outcome.SCORED):
        return ""
    looks = "" if is_over else ' style="visibility: hidden"'
    return f"<div{looks}><p>What to do next:</p>{code_html(_NEXT)}</div>"
