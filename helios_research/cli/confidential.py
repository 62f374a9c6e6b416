"""The commands about what is confidential: participants who withdraw, and the API key."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from helios_research._util.text import counted
from helios_research.cli.options import BaseUrl, Folder, Label, Region, app, examples
from helios_research.cli.printing import in_shell_words

NOT_CONFIRMED = 1

key = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command(
    epilog=examples("withdraw night-shift P07", "withdraw night-shift P07 --out P07-runs.csv")
)
def withdraw(
    study: Folder,
    label: Label,
    yes: Annotated[bool, Option("--yes", help="Do not ask for confirmation.")] = False,
    out: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Write the model runs to this CSV file too, outside of the study's folder.",
        ),
    ] = None,
) -> None:
    """Remove a participant for good, and list the runs for thymia.

    The participant's rows, runs, exports and reports are removed from the study. Their model runs are
    listed at the end, to be passed on to thymia: it is the last time that the study knows them.
    """
    from helios_research.study import Study
    from helios_research.withdrawal import find_participant

    label = label.strip()
    if out is not None:
        _check_place(out, study)
    found = find_participant(study, label)
    typer.echo(
        f"{label!r} has {counted(int(found.gone.sum()), 'row')} and "
        f"{counted(len(found.removal.runs), 'model run')} in {study}. All of it will be removed for "
        "good, with the exports and reports in the folder."
    )
    if not yes and not _is_confirmed():
        typer.echo("Nothing was removed.")
        raise typer.Exit(NOT_CONFIRMED)
    removed = Study(study).withdraw(label)
    typer.echo(f"\n{in_shell_words(str(removed))}")
    if out is not None:
        removed.runs.to_csv(out, index=False)
        typer.echo(f"\nModel runs: {out}")


def _check_place(out: Path, study: Path) -> None:
    """Refuse a file that cannot be written, before what it is to hold is removed elsewhere."""
    place = out.absolute().parent
    problem = ""
    if place.resolve().is_relative_to(study.resolve()):
        problem = "it is in the study's folder, from which all of the participant is removed"
    elif not place.is_dir():
        problem = f"there is no folder {out.parent}"
    elif out.exists():
        problem = f"{out} exists already: name another file"
    if problem:
        raise typer.BadParameter(problem, param_hint="--out")


def _is_confirmed() -> bool:
    if not sys.stdin.isatty():
        message = "there is no terminal to confirm it: add --yes"
        raise typer.BadParameter(message, param_hint="withdraw")
    return typer.confirm("Remove it?")


@app.command(epilog=examples("readmit night-shift P07"))
def readmit(study: Folder, label: Label) -> None:
    """Undo a withdrawal, so that the participant may be sent again.

    Nothing that was removed comes back: what is sent again is paid for again.
    """
    from helios_research.study import Study

    Study(study).readmit(label)
    typer.echo(f"{label.strip()!r} may be sent again. Nothing that was removed comes back.")


@key.command("set", epilog=examples("key set", "key set --region ca < file-with-the-key"))
def set_key(region: Region = None, base_url: BaseUrl = None) -> None:
    """Ask for the API key, without showing it, and store it in the system's keyring.

    Without a terminal, read the key from one line of standard input.
    """
    from pydantic import SecretStr

    from helios_research.config import ask_for_key, checked_key, resolve_base_url, store_key

    address = resolve_base_url(region, base_url)
    typed = ask_for_key(address) if sys.stdin.isatty() else SecretStr(sys.stdin.readline())
    keyring = store_key(address, checked_key(typed))
    typer.echo(
        f"The key for {address} is stored in {keyring}. If THYMIA_API_KEY is set, it is used first."
    )


@key.command("forget")
def forget(region: Region = None, base_url: BaseUrl = None) -> None:
    """Remove the API key from the system's keyring."""
    from helios_research.config import forget_key, resolve_base_url

    address = resolve_base_url(region, base_url)
    if forget_key(address):
        typer.echo(f"The key for {address} was removed.")
    else:
        typer.echo(f"There was no key for {address}.")


app.add_typer(key, name="key", help="Store the API key in the operating system's keyring.")
