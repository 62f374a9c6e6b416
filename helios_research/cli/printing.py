"""What the commands print: tables, sentences in the words of the shell, and colours."""

import ast
import logging
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from helios_research._util.screen import Colour, has_colours, painted
from helios_research._util.text import counted, duration
from helios_research.codes import explain
from helios_research.columns import Outcome, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from helios_research.cohort import Cohort
    from helios_research.study import Estimate, Study

_LONGEST_LIST = 20
_NAMED_RECORDINGS = 3
_WATCHED_EVERY_S = 1.0

_OPTIONS = {
    "columns": "column",
    "constants": "constant",
    "values": "value",
    "date_format": "dates",
    "order": "order",
    "wide": "wide",
    "fill_within": "fill-within",
}
_DECLARED = rf"""\b({"|".join(_OPTIONS)})=(\{{(?:[^{{}}]|\{{[^{{}}]*\}})*\}}|\[[^][]*\]|"[^"]*")"""

# Sentences are written for notebooks; these are the same things in the shell.
_SHELL_WORDS: dict[str, str | Callable[[re.Match[str]], str]] = {
    r"resend_changed=True": "--resend-changed",
    r"study\.readmit\(user_label\) or ": "",
    r"study\.readmit\((['\"].*?['\"])\)": r"`helios-research readmit STUDY \1`",
    r"study\.readmit\(…\) and the label": "`helios-research readmit STUDY LABEL` and the label",
    r"study\.export or study\.report": "`helios-research export` or `helios-research report`",
    r"study\.submit\(cohort\) or ": "",
    r"study\.invite\(cohort, …\) or ": "",
    r"study\.invite\(cohort, resend=\[recording_id\]\)": "`helios-research invite … --resend ID`",
    r"study\.invite\b": "`helios-research invite`",
    r"Study\.results\(\)": "`helios-research export`",
    r"hr\.Sandbox\(\) or ": "",
    r"argument `api_key` or ": "",
    r"argument `region` or": "option --region or",
    r"in constants= one": "with --constant one",
    r"cohort\.issues\.rows": "`helios-research check MANIFEST --out FILE`",
    _DECLARED: lambda found: _as_options(_OPTIONS[found[1]], found[2]),
    r"\bits error_reason says\b": "`helios-research status STUDY --errors` says",
    r"^(\w+?)(?:_s)? is (?=.+, but must be )": lambda found: f"--{found[1].replace('_', '-')} is ",
}


def _as_options(option: str, declared: str) -> str:
    given = ast.literal_eval(declared)
    texts = _pairs(given) if isinstance(given, dict) else [_listed(given)]
    return " ".join(f"--{option} {shlex.quote(text)}" for text in texts)


def _pairs(given: dict[str, Any]) -> Iterator[str]:
    for name, value in given.items():
        if isinstance(value, dict):
            yield from (f"{name}:{pair}" for pair in _pairs(value))
        else:
            yield f"{name}={_listed(value)}"


def _listed(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value).replace(" first", "-first")


def in_shell_words(text: str) -> str:
    """Say in the words of the shell what a sentence says in those of Python."""
    for python, shell in _SHELL_WORDS.items():
        text = re.sub(python, shell, text)
    return text


def print_issues(cohort: "Cohort") -> None:
    """List on stderr what is wrong with a table."""
    typer.echo(
        f"{counted(len(cohort), 'recording')}: {int(cohort.is_valid.sum()):,} can be sent. "
        f"{in_shell_words(str(cohort.issues))}",
        err=True,
    )


def print_checks(checks: "pd.DataFrame") -> None:
    """Count the verdicts of the preflight, and list the recordings that are not ok."""
    counts = checks["verdict"].value_counts()
    typer.echo(", ".join(f"{counts.get(verdict, 0):,} {verdict}" for verdict in Verdict))
    doubtful = checks[checks["verdict"] != Verdict.OK]
    for check in doubtful.head(_LONGEST_LIST).itertuples():
        typer.echo(f"  {check.verdict}: {check.recording_id}: {check.reason}")
    if len(doubtful) > _LONGEST_LIST:
        more = len(doubtful) - _LONGEST_LIST
        typer.echo(f"  … and {more:,} more: --out FILE writes them all")


def print_outcomes(results: "pd.DataFrame") -> None:
    """Count recordings by outcome and error, with which they are and what to do about each error."""
    from helios_research.state.status import OUTCOME_COLOURS

    width = max(len(outcome) for outcome in ("outcome", *Outcome))
    typer.echo(f"{'outcome':<{width}}  {'rows':>7}  error code, and what to do")
    groups = results.groupby(["outcome", "error_code"], observed=True, dropna=False)
    for (outcome, code), rows in groups["recording_id"]:
        colour = OUTCOME_COLOURS.get(Outcome(str(outcome)))
        name = _coloured(f"{outcome!s:<{width}}", colour)
        # The code of a row without an error is missing: NaN or None.
        advice = f"{code}: {in_shell_words(explain(code).remedy)}" if isinstance(code, str) else ""
        typer.echo(f"{name}  {len(rows):>7,}  {advice}".rstrip())
        if advice:
            typer.echo(f"{'':<{width}}  {'':>7}  {_named(rows)}")
    typer.echo(f"{'all':<{width}}  {len(results):>7,}")


def _named(recordings: "pd.Series[str]") -> str:
    """Name the first of some recordings."""
    listed = ", ".join(recordings.head(_NAMED_RECORDINGS))
    more = len(recordings) - _NAMED_RECORDINGS
    return f"{listed} and {more:,} more" if more > 0 else listed


def print_errors(results: "pd.DataFrame") -> None:
    """List each recording that has an error, with the reason."""
    wrong = results[results["error_code"].notna()]
    typer.echo("" if len(wrong) else "\nNo recording has an error.")
    for row in wrong.itertuples():
        reason = in_shell_words(row.error_reason) if isinstance(row.error_reason, str) else ""
        typer.echo(f"{row.recording_id}: {row.outcome}, {row.error_code}: {reason}")


def in_words(estimate: "Estimate") -> str:
    """Word what is left to do."""
    if not estimate.recordings:
        return "Nothing is left to send."
    cost = "" if estimate.cost is None else f" They cost {estimate.cost:,.2f}."
    return (
        f"Left: {counted(estimate.recordings, 'recording')}, about {estimate.requests:,} API "
        f"requests, {duration(estimate.duration_s)} at {estimate.rate:.2g} requests a second.{cost}"
    )


def status_record(study: Path, results: "pd.DataFrame", estimate: "Estimate") -> dict[str, Any]:
    """Put the status of a study together as JSON values."""
    named = ["recording_id", "outcome", "error_code", "error_reason"]
    wrong = results.loc[results["error_code"].notna(), named].astype(object)
    counts = results["outcome"].value_counts()
    return {
        "study": str(study.absolute()),
        "rows": len(results),
        "outcomes": {outcome.value: int(counts.get(outcome, 0)) for outcome in Outcome},
        "errors": wrong.where(wrong.notna(), None).to_dict("records"),
        "left": asdict(estimate),
    }


def watch_until_over(study: "Study") -> None:
    """Show the progress of a study while another process submits it, or until Ctrl-C."""
    from helios_research._util.screen import ProgressLine
    from helios_research.widgets.monitor.poller import Activity, StudyPoller

    line, poller = ProgressLine(), StudyPoller(study)
    view = poller.poll()
    with suppress(KeyboardInterrupt):
        while view.activity is not Activity.NONE:
            line(str(view.progress), shares=view.progress.shares, is_error=view.failed)
            time.sleep(_WATCHED_EVERY_S)
            view = poller.poll()
    line(str(view.progress), shares=view.progress.shares, is_last=True)
    typer.echo(f"{view.sentence}\n", err=True)


def _coloured(text: str, colour: Colour | None) -> str:
    return painted(text, colour, has_colours=has_colours(sys.stdout))


@contextmanager
def logged_to_stderr(name: str) -> Iterator[None]:
    """Show on stderr what a part of the package logs while it works."""
    logger, handler = logging.getLogger(name), logging.StreamHandler()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
