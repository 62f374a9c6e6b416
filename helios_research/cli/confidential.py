"""Commands around what is confidential: the API key."""

import sys
from typing import Annotated

import typer
from pydantic import SecretStr

from helios_research.cli.application import app
from helios_research.config import checked_key, resolve_base_url
from helios_research.keys import ask_for_key, forget_key, store_key

key = typer.Typer(no_args_is_help=True)
app.add_typer(key, name="key", help="Keep the API key in the operating system's keyring.")

Region = Annotated[str | None, typer.Option(help="default, ca or us.")]
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
