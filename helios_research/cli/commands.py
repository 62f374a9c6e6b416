"""The commands. Each imports what it needs when it runs, so that ``--help`` is quick."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Option

from helios_research._util.text import counted
from helios_research.cli.options import (
    BaseUrl,
    DeleteData,
    Folder,
    NewFolder,
    Price,
    Region,
    app,
    examples,
    listed,
    pairs,
    takes_table,
)
from helios_research.cli.printing import (
    in_words,
    logged_to_stderr,
    print_checks,
    print_errors,
    print_issues,
    print_outcomes,
    status_record,
    watch_until_over,
)
from helios_research.columns import Outcome, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from helios_research.cohort import Cohort
    from helios_research.sandbox import Sandbox

SOME_NOT_SCORED = 1


# --- from a table to scores ----------------------------------------------------------------------


@app.command()
def demo(
    study: Annotated[Path, Option(metavar="FOLDER", help="Where to put the study.")] = Path(
        "demo-study"
    ),
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


@app.command(
    epilog=examples(
        "check manifest.csv",
        "check export.xlsx --sheet Visits --root recordings",
        "check manifest.csv --column user_label=participant",
        "check manifest.csv --value birth_sex:1=MALE --dates day-first",
        "check manifest.csv --order visit=pre,post,follow-up",
        "check redcap.csv --column user_label=record_id --fill-within user_label",
        "check wide.xlsx --wide recording_t1,recording_t2",
        "check manifest.csv --constant language=en-GB --out checks.csv",
    )
)
@takes_table
def check(
    cohort: "Cohort",
    out: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Write the checks to this CSV file, and the issues of the table to one beside it.",
        ),
    ] = None,
    rate: Annotated[
        float, Option(help="Requests per second, to estimate the time.", min=0.01)
    ] = 5.0,
    price: Price = None,
) -> None:
    """Check a table and its recordings, and send nothing."""
    from helios_research.preflight_checks.table import overview, preflight, write_checks

    if out is not None and not out.absolute().parent.is_dir():
        # Before the checks, which may take an hour.
        message = f"there is no folder {out.parent}"
        raise typer.BadParameter(message, param_hint="--out")
    print_issues(cohort)
    checks = preflight(cohort)
    print_checks(checks)
    typer.echo(f"\n{overview(cohort, checks, rate=rate, price=price)}")
    if out is not None:
        issues = out.with_name(f"{out.stem}.issues{out.suffix}")
        write_checks(checks, out)
        write_checks(cohort.issues.rows, issues)
        typer.echo(f"\nAll checks: {out}\nAll issues: {issues}")
    unsendable = (~cohort.is_valid).any() or (checks["verdict"] == Verdict.FAIL).any()
    raise typer.Exit(SOME_NOT_SCORED if unsendable else 0)


@app.command(
    epilog=examples(
        "submit manifest.csv --study night-shift",
        "submit manifest.csv --study night-shift --rate 2 --no-preflight",
    )
)
@takes_table
def submit(
    cohort: "Cohort",
    study: NewFolder,
    rate: Annotated[
        float | None, Option(help="API requests per second; by default it is found.")
    ] = None,
    max_in_flight: Annotated[
        int | None, Option(help="Most recordings in progress at once.")
    ] = None,
    poll_floor: Annotated[float, Option(help="Least seconds between two polls of a run.")] = 3.0,
    preflight: Annotated[
        bool, Option(help="Check recordings first, and skip those that Helios would refuse.")
    ] = True,
    transcripts: Annotated[bool, Option(help="Keep the transcripts.")] = False,
    delete_data: DeleteData = False,
    resend_changed: Annotated[
        bool, Option(help="Send recordings with changed metadata again; you pay for them again.")
    ] = False,
    ask_invited: Annotated[
        bool, Option(help="Ask about all invited participants, and not only whose turn it is.")
    ] = False,
    patience: Annotated[
        float, Option(help="Seconds for which a service that does not answer is asked again.")
    ] = 600.0,
    stop_at_error_rate: Annotated[
        float,
        Option(
            help="Pause where so large a share of the last 20 recordings ended in the same error; "
            "0 never does."
        ),
    ] = 0.9,
    region: Region = None,
    base_url: BaseUrl = None,
) -> None:
    """Send what is left, wait for the scores, write results.parquet."""
    from helios_research.api.client import Client
    from helios_research.study import Study
    from helios_research.withdrawal import RESULTS_FILE

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
        ask_invited=ask_invited,
        patience=patience,
        stop_at_error_rate=stop_at_error_rate or None,
    )
    print_outcomes(results)
    typer.echo(f"\nResults: {study / RESULTS_FILE}\nNext: {_next_step(results, study)}")
    raise typer.Exit(0 if (results["outcome"] == Outcome.SCORED).all() else SOME_NOT_SCORED)


@app.command(
    epilog=examples(
        "invite people.csv --study remote --out links.csv --constant recording=",
        "invite people.csv --study remote --out new.csv --constant recording= --resend P07",
    )
)
@takes_table
def invite(
    cohort: "Cohort",
    study: NewFolder,
    out: Annotated[
        Path, Option(metavar="FILE", help="The .csv or .xlsx file to write the links to.")
    ],
    resend: Annotated[
        list[str] | None,
        Option(metavar="ID", help="Replace the invitation of this recording_id. Repeatable."),
    ] = None,
    delete_data: DeleteData = False,
    region: Region = None,
    base_url: BaseUrl = None,
) -> None:
    """Invite participants to record themselves, and write their links.

    Each row without a recording gets a link. `submit` with the same table gets the scores.
    """
    from helios_research.api.client import Client
    from helios_research.study import Study

    invitations = Study(study, client=Client(region=region, base_url=base_url)).invite(
        cohort, path=out, resend=resend or (), delete_data=delete_data
    )
    print_outcomes(invitations)
    typer.echo(
        f"\nLinks, each a secret for one participant: {out}\nNext: mail them; then "
        "`helios-research submit` with the same table gets the scores, from time to time."
    )
    is_done = invitations["outcome"].isin([Outcome.INVITED, Outcome.SCORED])
    raise typer.Exit(0 if is_done.all() else SOME_NOT_SCORED)


@app.command(
    epilog=examples(
        "status night-shift",
        "status night-shift --errors",
        "status night-shift --watch",
        "status night-shift --json | jq .outcomes",
    )
)
def status(
    study: Folder,
    errors: Annotated[
        bool, Option("--errors", help="List recordings with errors, and why.")
    ] = False,
    watch: Annotated[bool, Option("--watch", help="Show the progress until it is over.")] = False,
    as_json: Annotated[bool, Option("--json", help="Write all of it as JSON.")] = False,
    price: Price = None,
) -> None:
    """Show the progress of a study, also during a submission."""
    from helios_research.study import Study

    opened = Study(study)
    if watch:
        watch_until_over(opened)
    results, estimate = opened.results(), opened.estimate(price=price)
    if as_json:
        typer.echo(
            json.dumps(status_record(study, results, estimate), indent=2, ensure_ascii=False)
        )
        return
    print_outcomes(results)
    if errors:
        print_errors(results)
    typer.echo(f"\n{in_words(estimate)}")


@app.command(
    epilog=examples(
        "export night-shift --to scores.xlsx",
        "export night-shift --to for-spss/scores.sav --ages",
        "export night-shift --to scores.csv --long --force",
    )
)
def export(
    study: Folder,
    to: Annotated[
        Path, Option(metavar="FILE", help="The file to write: .parquet, .csv, .xlsx, .sav or .dta.")
    ],
    ages: Annotated[bool, Option("--ages", help="Ages instead of dates of birth.")] = False,
    long: Annotated[bool, Option("--long", help="A row per recording and biomarker.")] = False,
    force: Annotated[bool, Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write the results to a file, with a codebook beside it."""
    from helios_research.study import Study

    if to.exists() and not force:
        message = f"{to} exists already: name another file, or add --force to replace it"
        raise typer.BadParameter(message, param_hint="--to")
    for path in Study(study).export(to, ages=ages, long=long):
        typer.echo(path)


@app.command()
def report(
    study: Folder,
    to: Annotated[Path | None, Option(help="File to write; else report.html in the study.")] = None,
    by: Annotated[
        str, Option(help="Columns to compare, tags or not, with commas; by default the tags.")
    ] = "",
    primary: Annotated[str | None, Option(help="The primary outcome, else mental_strain.")] = None,
    family: Annotated[
        str, Option(help="Biomarkers whose p-values are corrected together, with commas.")
    ] = "",
    reference: Annotated[str | None, Option(help="The level to compare others with.")] = None,
    order: Annotated[str, Option(help="Levels in the order wanted, with commas.")] = "",
    title: Annotated[str | None, Option(help="The title of the report.")] = None,
    label: Annotated[
        list[str] | None,
        Option(
            "--label",
            metavar="LEVEL=TEXT",
            help="The text to show for a level, column or biomarker. Repeatable.",
        ),
    ] = None,
    expected: Annotated[
        str | None,
        Option(help="Recordings expected of each participant: a number, or a CSV table."),
    ] = None,
    warned: Annotated[
        Literal["keep", "drop"], Option(help="What to do with scores that Helios warned of.")
    ] = "keep",
    hide_small_cells: Annotated[
        bool, Option("--hide-small-cells", help="Pool groups of fewer than five participants.")
    ] = False,
) -> None:
    """Write a report about the results: one HTML file to mail."""
    from helios_research.study import REPORT_FILE, Study

    with logged_to_stderr("helios_research.report"):
        written = Study(study).report(
            to or study / REPORT_FILE,
            by=listed(by),
            primary=primary,
            family=listed(family),
            reference=reference,
            order=listed(order),
            title=title,
            labels=pairs(label, "--label"),
            expected=None if expected is None else _expected(expected),
            warned=warned,
            hide_small_cells=hide_small_cells,
        )
    typer.echo(f"Report: {written}")


# --- the sandbox ---------------------------------------------------------------------------------


@app.command()
def sandbox(
    port: Annotated[int, Option(help="Port; 0 takes a free one.", min=0, max=65_535)] = 8765,
    rate: Annotated[float | None, Option(help="Accepted requests per second.", min=0.01)] = None,
    gateway_quota: Annotated[
        int | None, Option(help="Refuse as an AWS gateway with a quota of so many requests.", min=0)
    ] = None,
    latency: Annotated[float, Option(help="Least seconds for every answer.", min=0)] = 0.0,
    processing: Annotated[
        float, Option(help="Seconds that a run takes in the median.", min=0)
    ] = 2.0,
    log: Annotated[Path | None, Option(help="Write every event to this file.")] = None,
) -> None:
    """Run a local stand-in for Helios until you stop it with Ctrl-C."""
    from helios_research.sandbox import SandboxSettings, serve_forever

    settings = SandboxSettings(
        port=port,
        rate_per_s=rate,
        gateway_quota=gateway_quota,
        latency_s=latency,
        processing_s=processing,
        log_file=log,
    )

    def announce(running: "Sandbox") -> None:
        typer.echo(
            "The sandbox is running; its scores are synthetic. Stop it with Ctrl-C.\n"
            "In another terminal, for the sandbox only:\n"
            f"  export THYMIA_BASE_URL={running.base_url}\n"
            f"  export THYMIA_API_KEY={settings.api_key}"
        )

    serve_forever(settings, announce=announce)


# --- words and arguments --------------------------------------------------------------------------


def _expected(text: str) -> "int | pd.DataFrame":
    if text.isdecimal():
        return int(text)
    import pandas as pd

    return pd.read_csv(text, dtype="str")


def _next_step(results: "pd.DataFrame", study: Path) -> str:
    """Say what to do after a submission."""
    waiting = int((results["outcome"] == Outcome.PENDING).sum())
    if waiting:
        return f"{counted(waiting, 'recording')} left: run the same command again."
    if invited := int((results["outcome"] == Outcome.INVITED).sum()):
        left = counted(invited, "invited recording")
        return f"{left} not made yet: run the same command again from time to time."
    at = shlex.quote(str(study))
    return f"`helios-research report {at}`, or `helios-research export {at} --to scores.xlsx`."
