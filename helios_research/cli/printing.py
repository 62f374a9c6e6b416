"""Tables on a terminal."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from helios_research._util.text import counted
from helios_research.codes import explain
from helios_research.columns import Outcome, Severity, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from helios_research.cohort import Cohort

_LONGEST_LIST = 20


def print_issues(cohort: "Cohort") -> None:
    """List on stderr what is wrong with a table."""
    issues = cohort.issues
    errors = (issues["severity"] == Severity.ERROR).sum()
    typer.echo(
        f"{counted(len(cohort), 'recording')}: {int(cohort.is_valid.sum()):,} can be sent; "
        f"{counted(errors, 'error')} and {counted(len(issues) - errors, 'warning')} in the table.",
        err=True,
    )
    for issue in issues.head(_LONGEST_LIST).itertuples():
        typer.echo(
            f"  row {issue.row}, {issue.column}: {issue.problem} {issue.remedy}"
            f"{'' if issue.severity == Severity.ERROR else ' (warning)'}",
            err=True,
        )
    if len(issues) > _LONGEST_LIST:
        typer.echo(f"  … and {len(issues) - _LONGEST_LIST:,} more: see cohort.issues", err=True)


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
    """Count recordings by outcome and error code, with what to do about each code."""
    counts = results.groupby(["outcome", "error_code"], observed=True, dropna=False).size()
    width = max(len(outcome) for outcome in ("outcome", *Outcome))
    typer.echo(f"{'outcome':<{width}}  {'rows':>7}  error code, and what to do")
    for outcome, code, rows in counts.reset_index().itertuples(index=False):
        # The code of a row without an error is missing: NaN or None.
        advice = f"{code}: {explain(code).remedy}" if isinstance(code, str) else ""
        typer.echo(f"{outcome:<{width}}  {rows:>7,}  {advice}".rstrip())
    typer.echo(f"{'all':<{width}}  {len(results):>7,}")


class _StderrHandler(logging.Handler):
    """Writes the text of log records to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(record.getMessage(), err=True)


@contextmanager
def logged_to_stderr(name: str) -> Iterator[None]:
    """Show on stderr what a part of the package logs while it works."""
    logger, handler = logging.getLogger(name), _StderrHandler(logging.INFO)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
