"""The application itself, what its help says in the end, and the options that commands share."""

from pathlib import Path
from typing import Annotated

import typer

from helios_research._version import __version__

EXAMPLES = """\
\b
Examples:
  helios-research demo
  helios-research check manifest.csv
  helios-research submit manifest.csv --study night-shift
  helios-research status night-shift --watch
  helios-research export night-shift --to scores.xlsx

\b
Exit status:
  0    done; for check, submit and invite: with every row
  1    done, but some rows cannot be sent or have no scores; or not confirmed
  2    could not be done; the last line says why
  130  interrupted; the same command continues

\b
Environment:
  THYMIA_API_KEY       the API key; else `helios-research key set` keeps it
  THYMIA_REGION        default, ca or us
  THYMIA_BASE_URL      another address of the API, such as that of the sandbox
  HTTPS_PROXY          the proxy of your institution; NO_PROXY names exceptions
  SSL_CERT_FILE        certificates to trust in place of the system's
  NO_COLOR             no colours
"""


def examples(*lines: str) -> str:
    """Put the examples of one command below its help."""
    return "\b\nExamples:\n" + "\n".join(f"  helios-research {line}" for line in lines)


app = typer.Typer(
    name="helios-research",
    help="Voice biomarker scores for whole cohorts, with thymia's Helios API.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    # Plain text is narrower, keeps the lines of examples, and is there sooner.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Manifest = Annotated[
    Path,
    typer.Argument(
        metavar="MANIFEST",
        help="The table of recordings: CSV, TSV, Excel, OpenDocument, Parquet, SPSS or Stata.",
    ),
]
Folder = Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")]
Label = Annotated[
    str, typer.Argument(metavar="LABEL", help="The participant's label, as it was sent.")
]
Tags = Annotated[
    str,
    typer.Option(
        metavar="NAMES", help="Columns to send as tags, with commas; others can group as well."
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="FIELD=NAME",
        help="The name that a column has in the table, as in user_label=participant. Repeatable.",
    ),
]
Constants = Annotated[
    list[str] | None,
    typer.Option(
        "--constant",
        metavar="FIELD=VALUE",
        help="The same value for every row, as in language=en-GB. Repeatable.",
    ),
]
Values = Annotated[
    list[str] | None,
    typer.Option(
        "--value",
        metavar="FIELD:CELL=MEANING",
        help="What a value of the table means, as in birth_sex:1=MALE. Repeatable.",
    ),
]
Dates = Annotated[
    list[str] | None,
    typer.Option(
        "--dates",
        metavar="FORM",
        help="How dates are written that are not year-month-day: day-first, month-first, excel, or for one "
        "field as in date_of_birth=%d.%m.%Y. Repeatable.",
    ),
]
Order = Annotated[
    list[str] | None,
    typer.Option(
        "--order",
        metavar="NAME=VALUES",
        help="The order of a column's values in results and figures, as in visit=pre,post. Repeatable.",
    ),
]
WideColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--wide",
        metavar="NAMES",
        help="Columns of several recordings in a row, separated by commas and in the order of the "
        "visits; others of each visit as in phq9=phq9_t1,phq9_t2, then recording=… too. Repeatable.",
    ),
]
FilledWithin = Annotated[
    str | None,
    typer.Option(
        "--fill-within",
        metavar="user_label[=NAMES]",
        help="Fill a participant's blank date of birth, sex and language, and the columns named, "
        "from the participant's other rows; leave out rows without a recording.",
    ),
]
Sheet = Annotated[str | None, typer.Option(metavar="NAME", help="Sheet of an Excel workbook.")]
Root = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder or URL from which relative paths are taken; by default the table's own folder.",
    ),
]
Region = Annotated[
    str | None, typer.Option(metavar="NAME", help="Region of the API: default, ca or us.")
]
BaseUrl = Annotated[str | None, typer.Option(metavar="URL", help="Another address of the API.")]
Price = Annotated[
    float | None,
    typer.Option(
        metavar="AMOUNT",
        min=0,
        help="What a recording costs by your contract, to estimate the cost of what is left.",
    ),
]


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
