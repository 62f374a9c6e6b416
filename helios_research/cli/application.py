"""The application: its entry point, its exit statuses, and how it words what it could not do.

Exit status: 0 all is well; 1 some recordings did not end ``scored`` (for ``check``: some cannot be
sent; for ``withdraw``: nothing was removed, since it was not confirmed); 2 it could not run; 130
interrupted.
"""

import sys
import warnings
from typing import Annotated, NoReturn

import typer

from helios_research._version import __version__
from helios_research.errors import HeliosResearchError

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
