"""The command line: reads arguments, calls the same functions as a notebook does, prints."""

import sys
import warnings
from typing import NoReturn

import typer

from helios_research._util.screen import Colour, has_colours, painted
from helios_research.cli import commands, confidential
from helios_research.cli.options import app
from helios_research.cli.printing import in_shell_words
from helios_research.errors import HeliosResearchError

__all__ = ["app", "commands", "confidential", "main"]

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
    _say("Error:", Colour.RED, reason)
    sys.exit(COULD_NOT_RUN)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _say("Warning:", Colour.YELLOW, str(message))


def _say(word: str, colour: Colour, text: str) -> None:
    word = painted(word, colour, has_colours=has_colours(sys.stderr))
    typer.echo(f"{word} {in_shell_words(text)}", err=True)
