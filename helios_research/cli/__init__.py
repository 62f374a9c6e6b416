"""The command line: reads arguments, calls the same functions as a notebook does, prints."""

import sys
import warnings
from typing import NoReturn

import typer

from helios_research.cli.commands import app
from helios_research.errors import HeliosResearchError

__all__ = ["app", "main"]

COULD_NOT_RUN = 2
INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line."""
    # A terminal has no use for the line of code that warned.
    warnings.showwarning = _show_warning
    try:
        app()
    except HeliosResearchError as error:
        _fail(str(error))
    except OSError as error:
        # A file or a port that was named on the command line.
        reason = error.strerror or str(error)
        if error.filename is not None:
            reason = f"{error.filename} cannot be used: {reason.lower()}."
        _fail(reason)
    except SystemExit as ended:
        # Typer turns an interrupt into this status, without a word.
        if ended.code == INTERRUPTED:
            raise KeyboardInterrupt from None
        raise
    sys.exit(0)


def _fail(reason: str) -> NoReturn:
    typer.echo(f"Error: {reason}", err=True)
    sys.exit(COULD_NOT_RUN)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    typer.echo(f"Warning: {message}", err=True)
