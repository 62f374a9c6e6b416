"""The commands. Each imports what it needs when it runs, so that ``--help`` is quick."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from helios_research._util.text import counted
from helios_research._version import __version__
from helios_research.cli.printing import (
    logged_to_stderr,
    print_checks,
    print_issues,
    print_outcomes,
)
from helios_research.columns import Outcome, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from helios_research.cohort import Cohort
    from helios_research.sandbox import Sandbox

SOME_NOT_SCORED = 1
NOT_CONFIRMED = 1

app = typer.Typer(
    name="helios-research",
    help="Voice biomarker scores for whole cohorts, with thymia's Helios API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
key = typer.Typer(no_args_is_help=True)

Manifest = Annotated[
    Path, typer.Argument(help="The table of recordings: CSV, TSV, Excel or Parquet.")
]
Folder = Annotated[Path, typer.Argument(help="The study's folder.")]
Label = Annotated[str, typer.Argument(help="The participant's label, as it was sent.")]
Tags = Annotated[str, typer.Option(help="Columns to send as tags, separated by commas.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="The name that a column has in the table, as in user_label=participant. Repeatable.",
    ),
]
Constants = Annotated[
    list[str] | None,
    typer.Option("--constant", help="The same value for every row, as in language=en-GB."),
]
Sheet = Annotated[str | None, typer.Option(help="Sheet of an Excel workbook.")]
Region = Annotated[str | None, typer.Option(help="Region of the API: default, ca or us.")]
BaseUrl = Annotated[str | None, typer.Option(help="Another address of the API.")]


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


# --- from a table to scores ----------------------------------------------------------------------


@app.command()
def demo(
    study: Annotated[Path, typer.Option(help="Where to put the study.")] = Path("demo-study"),
) -> None:
    """Run the full pipeline on demo data: needs no key and no network."""
    from helios_research.demo import run_demo

    results, files = run_demo(study)
    print_outcomes(results)
    typer.echo()
    for what, path in files.items():
        typer.echo(f"{what + ':':<12}{path}")
    typer.echo(
        "\nThe scores are synthetic. Next: run `helios-research check MANIFEST` on your own table,"
        "\nor open notebooks/01_submit_a_cohort.ipynb."
    )


@app.command()
def check(
    manifest: Manifest,
    tags: Tags = "",
    column: Columns = None,
    constant: Constants = None,
    sheet: Sheet = None,
    out: Annotated[Path | None, typer.Option(help="Write the checks to this CSV file.")] = None,
    rate: Annotated[
        float, typer.Option(help="API requests per second, to estimate the time.", min=0.01)
    ] = 5.0,
) -> None:
    """Check a table and its recordings, and send nothing."""
    from helios_research.preflight_checks.table import overview, preflight, write_checks

    if out is not None and not out.absolute().parent.is_dir():
        # Before the checks, which may take an hour.
        message = f"there is no folder {out.parent}"
        raise typer.BadParameter(message, param_hint="--out")
    cohort = _read(manifest, tags, column, constant, sheet)
    print_issues(cohort)
    checks = preflight(cohort)
    print_checks(checks)
    typer.echo(f"\n{overview(cohort, checks, rate=rate)}")
    if out is not None:
        write_checks(checks, out)
        typer.echo(f"\nAll checks: {out}")
    unsendable = (~cohort.is_valid).any() or (checks["verdict"] == Verdict.FAIL).any()
    raise typer.Exit(SOME_NOT_SCORED if unsendable else 0)


@app.command()
def submit(
    manifest: Manifest,
    study: Annotated[Path, typer.Option(help="The study's folder; created if it is missing.")],
    tags: Tags = "",
    column: Columns = None,
    constant: Constants = None,
    sheet: Sheet = None,
    rate: Annotated[
        float | None,
        typer.Option(help="API requests per second. By default the toolkit finds the rate."),
    ] = None,
    max_in_flight: Annotated[
        int | None, typer.Option(help="Most recordings in progress at the same time.")
    ] = None,
    poll_floor: Annotated[
        float, typer.Option(help="Least seconds between two requests for the same run.")
    ] = 3.0,
    preflight: Annotated[
        bool, typer.Option(help="Check recordings first, and skip those that Helios would refuse.")
    ] = True,
    transcripts: Annotated[bool, typer.Option(help="Keep the transcripts.")] = False,
    delete_data: Annotated[
        bool, typer.Option(help="Let Helios delete its data 12 hours after completion.")
    ] = False,
    resend_changed: Annotated[
        bool,
        typer.Option(help="Send recordings with changed metadata again; you pay for them again."),
    ] = False,
    patience: Annotated[
        float,
        typer.Option(help="Seconds for which a service that does not answer is asked again."),
    ] = 600.0,
    region: Region = None,
    base_url: BaseUrl = None,
) -> None:
    """Send what is left to send, wait for the scores, and write results.parquet."""
    from helios_research.api.client import Client
    from helios_research.study import Study
    from helios_research.withdrawal import RESULTS_FILE

    cohort = _read(manifest, tags, column, constant, sheet)
    print_issues(cohort)
    results = Study(study, client=Client(region=region, base_url=base_url)).submit(
        cohort,
        rate=rate,
        max_in_flight=max_in_flight,
        poll_floor_s=poll_floor,
        preflight=preflight,
        transcripts=transcripts,
        delete_data=delete_data,
        resend_changed=resend_changed,
        patience=patience,
    )
    print_outcomes(results)
    typer.echo(f"\nResults: {study / RESULTS_FILE}")
    raise typer.Exit(0 if (results["outcome"] == Outcome.SCORED).all() else SOME_NOT_SCORED)


@app.command()
def status(study: Folder) -> None:
    """Show the progress of a study, also during a submission."""
    from helios_research.state.status import duration
    from helios_research.study import Study

    opened = Study(study)
    print_outcomes(opened.results())
    estimate = opened.estimate()
    if not estimate.recordings:
        typer.echo("\nNothing is left to send.")
        return
    typer.echo(
        f"\nLeft: {counted(estimate.recordings, 'recording')}, about {estimate.requests:,} API "
        f"requests, {duration(estimate.duration_s)} at {estimate.rate:g} requests a second."
    )


@app.command()
def export(
    study: Folder,
    to: Annotated[
        Path, typer.Option(help="The file to write: .parquet, .csv, .xlsx, .sav or .dta.")
    ],
    ages: Annotated[bool, typer.Option("--ages", help="Ages instead of dates of birth.")] = False,
    long: Annotated[
        bool, typer.Option("--long", help="One row per recording and biomarker.")
    ] = False,
) -> None:
    """Write the results to a file, with a codebook and a README beside it."""
    from helios_research.study import Study

    for path in Study(study).export(to, ages=ages, long=long):
        typer.echo(path)


@app.command()
def report(
    study: Folder,
    to: Annotated[
        Path | None, typer.Option(help="The file to write; by default report.html in the study.")
    ] = None,
    by: Annotated[
        str, typer.Option(help="Columns to compare, separated by commas; by default the tags.")
    ] = "",
    primary: Annotated[
        str | None, typer.Option(help="The primary outcome; by default mental_strain.")
    ] = None,
    family: Annotated[
        str, typer.Option(help="Biomarkers whose p-values are corrected together, with commas.")
    ] = "",
    reference: Annotated[
        str | None, typer.Option(help="The level that others are compared with.")
    ] = None,
    order: Annotated[
        str, typer.Option(help="Levels in the order wanted, separated by commas.")
    ] = "",
    title: Annotated[str | None, typer.Option(help="The title of the report.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="LEVEL=TEXT",
            help="The text to show for a level, column or biomarker. Repeatable.",
        ),
    ] = None,
    expected: Annotated[
        str | None,
        typer.Option(help="Recordings expected of each participant: a number, or a CSV table."),
    ] = None,
    warned: Annotated[
        Literal["keep", "drop"], typer.Option(help="What to do with scores that Helios warned of.")
    ] = "keep",
    hide_small_cells: Annotated[
        bool,
        typer.Option("--hide-small-cells", help="Pool groups of fewer than five participants."),
    ] = False,
) -> None:
    """Write a report about the results: one HTML file that you can send by mail."""
    from helios_research.study import Study

    target = to or study / "report.html"
    with logged_to_stderr("helios_research.report"):
        written = Study(study).report(
            target,
            by=_listed(by),
            primary=primary,
            family=_listed(family),
            reference=reference,
            order=_listed(order),
            title=title,
            labels=_pairs(label, "--label"),
            expected=None if expected is None else _expected(expected),
            warned=warned,
            hide_small_cells=hide_small_cells,
        )
    typer.echo(f"Report: {written}")


# --- what is confidential ------------------------------------------------------------------------


@app.command()
def withdraw(
    study: Folder,
    label: Label,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove a participant from a study for good, and list the runs to report to thymia."""
    from helios_research.study import Study
    from helios_research.withdrawal import find_participant

    label = label.strip()
    found = find_participant(study, label)
    typer.echo(
        f"{label!r} has {int(found.gone.sum()):,} rows and {len(found.removal.runs):,} model runs in "
        f"{study}. All of it will be removed for good, with the exports and reports in the folder."
    )
    for run in found.removal.runs:
        typer.echo(f"  {run['model_run_id']}  {run['state']}")
    if not yes and not _is_confirmed():
        typer.echo("Nothing was removed.")
        raise typer.Exit(NOT_CONFIRMED)
    typer.echo(f"\n{Study(study).withdraw(label)}")


def _is_confirmed() -> bool:
    if not sys.stdin.isatty():
        message = "there is no terminal to confirm it: add --yes"
        raise typer.BadParameter(message, param_hint="withdraw")
    return typer.confirm("Remove it?")


@app.command()
def readmit(study: Folder, label: Label) -> None:
    """Undo a withdrawal, so that the participant may be sent again (and paid for again)."""
    from helios_research.study import Study

    Study(study).readmit(label)
    typer.echo(f"{label.strip()!r} may be sent again. Nothing that was removed comes back.")


@key.command("set")
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


# --- the sandbox ---------------------------------------------------------------------------------


@app.command()
def sandbox(
    port: Annotated[
        int, typer.Option(help="Port of the API; 0 takes a free one.", min=0, max=65_535)
    ] = 8765,
    rate: Annotated[
        float | None, typer.Option(help="API requests per second that are accepted.", min=0.01)
    ] = None,
    latency: Annotated[float, typer.Option(help="Least seconds for every answer.", min=0)] = 0.0,
    processing: Annotated[
        float, typer.Option(help="Seconds that a run takes, in the median.", min=0)
    ] = 2.0,
    log: Annotated[Path | None, typer.Option(help="Write every event to this file.")] = None,
) -> None:
    """Run a local stand-in for Helios until you stop it with Ctrl-C."""
    from helios_research.sandbox import SandboxSettings, serve_forever

    settings = SandboxSettings(
        port=port, rate_per_s=rate, latency_s=latency, processing_s=processing, log_file=log
    )

    def announce(running: "Sandbox") -> None:
        typer.echo(
            "The sandbox is running; its scores are synthetic. Stop it with Ctrl-C.\n"
            "In another terminal, for the sandbox only:\n"
            f"  export THYMIA_BASE_URL={running.base_url}\n"
            f"  export THYMIA_API_KEY={settings.api_key}"
        )

    serve_forever(settings, announce=announce)


# --- reading arguments ---------------------------------------------------------------------------


def _read(
    manifest: Path,
    tags: str,
    columns: list[str] | None,
    constants: list[str] | None,
    sheet: str | None,
) -> "Cohort":
    from helios_research.cohort import read_cohort

    return read_cohort(
        manifest,
        columns=_pairs(columns, "--column"),
        constants=_pairs(constants, "--constant"),
        tags=_listed(tags) or (),
        sheet=sheet,
    )


def _listed(text: str) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] or None


def _expected(text: str) -> "int | pd.DataFrame":
    if text.isdecimal():
        return int(text)
    import pandas as pd

    return pd.read_csv(text, dtype="str")


def _pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            message = f"{text!r} is not of the form NAME=VALUE"
            raise typer.BadParameter(message, param_hint=option)
        pairs[name.strip()] = value.strip()
    return pairs
