"""Commands around what is confidential: the API key, and participants who withdraw."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from helios_research.cli.application import NOT_CONFIRMED, app
from helios_research.config import checked_key, resolve_base_url
from helios_research.keys import ask_for_key, forget_key, store_key

key = typer.Typer(no_args_is_help=True)
app.add_typer(key, name="key", help="Keep the API key in the operating system's keyring.")

Region = Annotated[str | None, typer.Option(help="default, ca or us.")]
Folder = Annotated[Path, typer.Argument(help="The study's folder.")]
Label = Annotated[str, typer.Argument(help="The participant's label, as it was sent.")]
BaseUrl = Annotated[str | None, typer.Option(help="Another address of the API.")]


@key.command("set")
def set_key(region: Region = None, base_url: BaseUrl = None) -> None:
    """Ask for the API key, without showing it, and put it into the system's keyring.

    Where it is not typed, one line of standard input is taken for it.
    """
    address = resolve_base_url(region, base_url)
    typed = ask_for_key(address) if sys.stdin.isatty() else SecretStr(sys.stdin.readline())
    keyring = store_key(address, checked_key(typed))
    typer.echo(f"The key for {address} is kept in {keyring}. THYMIA_API_KEY, if set, wins over it.")


@key.command("forget")
def forget(region: Region = None, base_url: BaseUrl = None) -> None:
    """Take the API key out of the system's keyring."""
    address = resolve_base_url(region, base_url)
    if forget_key(address):
        typer.echo(f"The key for {address} is no longer kept.")
    else:
        typer.echo(f"No key for {address} was kept.")


@app.command()
def withdraw(
    study: Folder,
    label: Label,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove a participant from a study for good, and list the runs to pass on to thymia."""
    from helios_research.study import Study
    from helios_research.study.withdrawal import find_participant

    label = label.strip()
    found = find_participant(study, label)
    typer.echo(
        f"{label!r} has {int(found.gone.sum()):,} rows and {len(found.runs):,} model runs in "
        f"{study}. All of it will be removed for good, with the exports and reports in the folder."
    )
    for run in found.runs:
        typer.echo(f"  {run['model_run_id']}  {run['state']}")
    if not yes and not _is_confirmed():
        typer.echo("Nothing was removed.")
        raise typer.Exit(NOT_CONFIRMED)
    typer.echo(f"\n{Study(study).withdraw(label)}")


def _is_confirmed() -> bool:
    if not sys.stdin.isatty():
        message = "nobody is there to confirm it: add --yes"
        raise typer.BadParameter(message, param_hint="withdraw")
    return typer.confirm("Remove it?")


@app.command()
def readmit(study: Folder, label: Label) -> None:
    """Take a withdrawal back: the participant's rows may be sent, and paid for, again."""
    from helios_research.study import Study

    Study(study).readmit(label)
    typer.echo(f"{label.strip()!r} may be sent again. Nothing that was removed comes back.")
