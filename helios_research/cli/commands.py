"""Commands around what is confidential: the API key, and participants who withdraw."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from helios_research._util.text import counted
from helios_research.cli.application import (
    NOT_CONFIRMED,
    SOME_NOT_SCORED,
    app,
    print_checks,
    print_issues,
    print_outcomes,
    told_on_stderr,
)
from helios_research.cohort import Cohort, read_cohort
from helios_research.columns import Outcome, Verdict
from helios_research.config import checked_key, resolve_base_url
from helios_research.keys import ask_for_key, forget_key, store_key
from helios_research.state.status import duration

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
    from helios_research.withdrawal import find_participant

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


Manifest = Annotated[
    Path, typer.Argument(help="The table of recordings: CSV, TSV, Excel or Parquet.")
]
Folder_commands = Annotated[Path, typer.Argument(help="The study's folder.")]
Tags = Annotated[str, typer.Option(help="Columns to send as tags, with commas between.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column", help="A column under another name, as in user_label=participant. Repeatable."
    ),
]
Constants = Annotated[
    list[str] | None,
    typer.Option("--constant", help="The same value in every row, as in language=en-GB."),
]


@app.command()
def demo(
    study: Annotated[Path, typer.Option(help="Where to put the study.")] = Path("demo-study"),
) -> None:
    """Go the whole way on the sandbox and the demo cohort: no key, no network."""
    from helios_research.demo.run import run_demo

    outcome = run_demo(study)
    print_outcomes(outcome.results)
    typer.echo()
    for what, path in outcome.files.items():
        typer.echo(f"{what + ':':<12}{path}")
    typer.echo(
        "\nThe scores are synthetic. Next: `helios-research check MANIFEST` on a table of your own,"
        "\nor open notebooks/01_submit_a_cohort.ipynb."
    )


@app.command()
def check(
    manifest: Manifest,
    tags: Tags = "",
    column: Columns = None,
    constant: Constants = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of an Excel workbook.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the checks to this CSV file.")] = None,
    rate: Annotated[
        float, typer.Option(help="API requests per second to reckon with.", min=0.01)
    ] = 5.0,
) -> None:
    """Check a table and its recordings before anything is sent."""
    from helios_research.preflight_checks.table import overview, preflight, write_checks

    if out is not None and not out.absolute().parent.is_dir():
        # Said now, since the checks may take an hour.
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
    study: Annotated[Path, typer.Option(help="The study's folder; made if there is none.")],
    tags: Tags = "",
    column: Columns = None,
    constant: Constants = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of an Excel workbook.")] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="API requests per second; found out when not given."),
    ] = None,
    max_in_flight: Annotated[
        int | None, typer.Option(help="The most recordings under way at once.")
    ] = None,
    poll_floor: Annotated[
        float, typer.Option(help="Seconds between two questions about the same run.")
    ] = 3.0,
    preflight: Annotated[
        bool, typer.Option(help="Skip recordings that Helios would refuse.")
    ] = True,
    transcripts: Annotated[bool, typer.Option(help="Keep what was said.")] = False,
    delete_data: Annotated[
        bool, typer.Option(help="Have Helios delete its data 12 hours after completion.")
    ] = False,
    resend_changed: Annotated[
        bool,
        typer.Option(help="Send recordings again whose metadata changed; paid for again."),
    ] = False,
    region: Annotated[str | None, typer.Option(help="default, ca or us.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Another address of the API.")] = None,
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
    )
    print_outcomes(results)
    typer.echo(f"\nResults: {study / RESULTS_FILE}")
    raise typer.Exit(0 if (results["outcome"] == Outcome.SCORED).all() else SOME_NOT_SCORED)


@app.command()
def status(study: Folder_commands) -> None:
    """Tell how far a study has come, also while it is being submitted."""
    from helios_research.study import Study

    opened = Study(study)
    print_outcomes(opened.results())
    estimate = opened.estimate()
    if not estimate.recordings:
        typer.echo("\nNothing is left to send.")
        return
    typer.echo(
        f"\nLeft: {counted(estimate.recordings, 'recording')}, about {estimate.requests:,} API requests, "
        f"{duration(estimate.duration_s)} at {estimate.rate:g} requests a second."
    )


@app.command()
def export(
    study: Folder_commands,
    to: Annotated[
        Path, typer.Option(help="The file to write: .parquet, .csv, .xlsx, .sav or .dta.")
    ],
    ages: Annotated[bool, typer.Option("--ages", help="Ages instead of dates of birth.")] = False,
    long: Annotated[
        bool, typer.Option("--long", help="One row per recording and biomarker.")
    ] = False,
) -> None:
    """Write a study's results as they stand to a file, with a codebook and a README beside it."""
    from helios_research.study import Study

    for path in Study(study).export(to, ages=ages, long=long):
        typer.echo(path)


@app.command()
def report(
    study: Folder_commands,
    to: Annotated[
        Path | None, typer.Option(help="The file to write; by default report.html in the study.")
    ] = None,
    hide_small_cells: Annotated[
        bool,
        typer.Option("--hide-small-cells", help="Pool groups of fewer than five participants."),
    ] = False,
) -> None:
    """Write a report about a study as it stands: one HTML file that can be mailed."""
    from helios_research.study import Study

    target = to or study / "report.html"
    with told_on_stderr("helios_research.report"):
        written = Study(study).report(target, hide_small_cells=hide_small_cells)
    typer.echo(f"Report: {written}")


@app.command()
def sandbox(
    port: Annotated[
        int, typer.Option(help="Port of the API; 0 takes a free one.", min=0, max=65_535)
    ] = 8765,
    rate: Annotated[
        float | None, typer.Option(help="API requests per second that are let in.", min=0.01)
    ] = None,
    latency: Annotated[float, typer.Option(help="Seconds that every answer takes.", min=0)] = 0.0,
    processing: Annotated[float, typer.Option(help="Seconds that a run takes.", min=0)] = 2.0,
    log: Annotated[Path | None, typer.Option(help="Write every event to this file.")] = None,
) -> None:
    """Run the stand-in service on this machine until interrupted."""
    from helios_research.sandbox import Sandbox, SandboxSettings, serve_forever

    settings = SandboxSettings(
        port=port, rate_per_s=rate, latency_s=latency, processing_s=processing, log_file=log
    )

    def announce(running: Sandbox) -> None:
        typer.echo(
            "The sandbox is running; its scores are synthetic. Stop it with Ctrl-C.\n"
            "In another terminal, for this stand-in only:\n"
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
) -> Cohort:
    return read_cohort(
        manifest,
        columns=_pairs(columns, "--column"),
        constants=_pairs(constants, "--constant"),
        tags=[tag.strip() for tag in tags.split(",") if tag.strip()],
        sheet=sheet,
    )


def _pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            message = f"{text!r} is not of the form NAME=VALUE"
            raise typer.BadParameter(message, param_hint=option)
        pairs[name.strip()] = value.strip()
    return pairs
