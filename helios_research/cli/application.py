"""How tables are told on a terminal."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import pandas as pd
import typer

from helios_research._util.text import counted
from helios_research._version import __version__
from helios_research.codes import explain
from helios_research.cohort import Cohort
from helios_research.columns import Outcome, Severity, Verdict
from helios_research.errors import HeliosResearchError


def print_issues(cohort: Cohort, most: int = 20) -> None:
    """Tell on stderr what is wrong with a table."""
    issues = cohort.issues
    errors = (issues["severity"] == Severity.ERROR).sum()
    typer.echo(
        f"{counted(len(cohort), 'recording')}: {int(cohort.is_valid.sum()):,} can be sent; "
        f"{counted(errors, 'error')} and {counted(len(issues) - errors, 'warning')} in the table.",
        err=True,
    )
    for issue in issues.head(most).itertuples():
        typer.echo(
            f"  row {issue.row}, {issue.column}: {issue.problem} {issue.remedy}"
            f"{'' if issue.severity == Severity.ERROR else ' (warning)'}",
            err=True,
        )
    if len(issues) > most:
        typer.echo(f"  … and {len(issues) - most:,} more: see cohort.issues", err=True)


def print_checks(checks: pd.DataFrame, most: int = 20) -> None:
    """Tell what the preflight expects."""
    counts = checks["verdict"].value_counts()
    typer.echo(", ".join(f"{counts.get(verdict, 0):,} {verdict}" for verdict in Verdict))
    doubtful = checks[checks["verdict"] != Verdict.OK]
    for check_ in doubtful.head(most).itertuples():
        typer.echo(f"  {check_.verdict}: {check_.recording_id}: {check_.reason}")
    if len(doubtful) > most:
        typer.echo(f"  … and {len(doubtful) - most:,} more: --out FILE writes them all")


def print_outcomes(results: pd.DataFrame) -> None:
    """Count recordings by outcome and error code, with what to do about each code."""
    counts = results.groupby(["outcome", "error_code"], observed=True, dropna=False).size()
    width = max(len(outcome) for outcome in ("outcome", *Outcome))
    typer.echo(f"{'outcome':<{width}}  {'rows':>7}  error code, and what to do")
    for outcome, code, rows in counts.reset_index().itertuples(index=False):
        advice = "" if pd.isna(code) else f"{code}: {explain(code).remedy}"
        typer.echo(f"{outcome:<{width}}  {rows:>7,}  {advice}".rstrip())
    typer.echo(f"{'all':<{width}}  {len(results):>7,}")


class _OnStderr(logging.Handler):
    """Writes what is logged to stderr, as it is."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(record.getMessage(), err=True)


@contextmanager
def told_on_stderr(name: str) -> Iterator[None]:
    """Tell on stderr what a part of the package logs while it works."""
    logger, handler = logging.getLogger(name), _OnStderr(logging.INFO)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


SOME_NOT_SCORED = 1
NOT_CONFIRMED = 1
COULD_NOT_RUN = 2
INTERRUPTED = 130

app = typer.Typer(
    name="helios-research",
    help="Voice biomarker scores for whole cohorts, with thymia's Helios API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


def main() -> NoReturn:
    """Run the command line, once the libraries have loaded."""
    # A terminal has no use for the line of code that warned.
    warnings.showwarning = _show_warning
    try:
        app()
    except HeliosResearchError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(COULD_NOT_RUN)
    except OSError as error:
        # A file or a port that was named on the command line.
        typer.echo(f"Error: {_refusal(error)}", err=True)
        sys.exit(COULD_NOT_RUN)
    except SystemExit as ended:
        # Typer turns an interrupt into this status, without a word.
        if ended.code == INTERRUPTED:
            raise KeyboardInterrupt from None
        raise
    sys.exit(0)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    typer.echo(f"Warning: {message}", err=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def _refusal(error: OSError) -> str:
    if error.filename is None:
        return error.strerror or str(error)
    return f"{error.filename} cannot be used: {(error.strerror or str(error)).lower()}."
