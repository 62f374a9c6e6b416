"""The application itself, what its help says in the end, and the options that commands share."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from helios_research._version import __version__

if TYPE_CHECKING:
    from helios_research.cohort import Cohort

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

Folder = Annotated[Path, Argument(metavar="STUDY", help="The study's folder.")]
Label = Annotated[str, Argument(metavar="LABEL", help="The participant's label, as it was sent.")]
NewFolder = Annotated[
    Path, Option("--study", metavar="FOLDER", help="The study's folder; created if it is missing.")
]
DeleteData = Annotated[bool, Option(help="Let Helios delete its data 12 hours after completion.")]
Region = Annotated[str | None, Option(metavar="NAME", help="Region of the API: default, ca or us.")]
BaseUrl = Annotated[str | None, Option(metavar="URL", help="Another address of the API.")]
Price = Annotated[
    float | None,
    Option(
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
        bool, Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


# --- the table of recordings ----------------------------------------------------------------------


def takes_table(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take the options of `read_table` in place of its first argument, the cohort."""
    options, (_, *own) = (
        inspect.signature(one).parameters.values() for one in (read_table, command)
    )
    manifest, *others = options

    def run(**given: Any) -> None:
        cohort = read_table(**{option.name: given.pop(option.name) for option in options})
        command(cohort, **given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    vars(run)["__signature__"] = inspect.Signature([manifest, *own, *others])
    return run


def read_table(
    manifest: Annotated[
        Path,
        Argument(
            metavar="MANIFEST",
            help="The table of recordings: CSV, TSV, Excel, OpenDocument, Parquet, SPSS or Stata.",
        ),
    ],
    tags: Annotated[
        str,
        Option(metavar="NAMES", help="Columns to send as tags, with commas; others group, too."),
    ] = "",
    column: Annotated[
        list[str] | None,
        Option(
            metavar="FIELD=NAME",
            help="The name that a column has in the table, as in user_label=participant. Repeatable.",
        ),
    ] = None,
    value: Annotated[
        list[str] | None,
        Option(
            metavar="FIELD:CELL=MEANING",
            help="What a value of the table means, as in birth_sex:1=MALE. Repeatable.",
        ),
    ] = None,
    dates: Annotated[
        list[str] | None,
        Option(
            metavar="FORM",
            help="How dates are written that are not year-month-day: day-first, month-first, excel, or "
            "for one field as in date_of_birth=%d.%m.%Y. Repeatable.",
        ),
    ] = None,
    order: Annotated[
        list[str] | None,
        Option(
            metavar="NAME=VALUES",
            help="The order of a column's values in results and figures, as in visit=pre,post. Repeatable.",
        ),
    ] = None,
    wide: Annotated[
        list[str] | None,
        Option(
            metavar="NAMES",
            help="Columns of several recordings in a row, separated by commas and in the order of the "
            "visits; others of each visit as in phq9=phq9_t1,phq9_t2, then recording=… too. Repeatable.",
        ),
    ] = None,
    fill_within: Annotated[
        str | None,
        Option(
            metavar="user_label[=NAMES]",
            help="Fill a participant's blank date of birth, sex and language, and the columns named, "
            "from the participant's other rows; leave out rows without a recording.",
        ),
    ] = None,
    constant: Annotated[
        list[str] | None,
        Option(
            metavar="FIELD=VALUE",
            help="The same value for every row, as in language=en-GB. Repeatable.",
        ),
    ] = None,
    sheet: Annotated[str | None, Option(metavar="NAME", help="Sheet of an Excel workbook.")] = None,
    root: Annotated[
        str | None,
        Option(
            metavar="FOLDER",
            help="Folder or URL of relative paths; by default the table's own folder.",
        ),
    ] = None,
) -> "Cohort":
    """Read the cohort that the options of a command describe."""
    from helios_research.cohort import read_cohort

    name, _, further = (fill_within or "").partition("=")
    return read_cohort(
        manifest,
        columns=pairs(column, "--column"),
        values=_values(value),
        date_format=_lone(dates) or pairs(dates, "--dates"),
        order=_lists(order, "--order"),
        wide=listed(_lone(wide)) or _lists(wide, "--wide"),
        fill_within={name: listed(further) or []} if further else fill_within,
        constants=pairs(constant, "--constant"),
        tags=listed(tags),
        root=root,
        sheet=sheet,
    )


def listed(text: str) -> list[str] | None:
    """Split what is separated by commas; None where there is nothing."""
    return [part.strip() for part in text.split(",") if part.strip()] or None


def pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """Split texts of the form NAME=VALUE; the constant of ``recording`` may be blank."""
    found = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not (name and equals and (value or name == "recording")):
            message = f"{text!r} is not of the form NAME=VALUE"
            raise typer.BadParameter(message, param_hint=option)
        found[name.strip()] = value.strip()
    return found


def _lists(texts: list[str] | None, option: str) -> dict[Any, list[str]]:
    return {name: listed(parts) or [] for name, parts in pairs(texts, option).items()}


def _lone(texts: list[str] | None) -> str:
    """Give what is said of all fields at once."""
    return texts[0] if texts and len(texts) == 1 and "=" not in texts[0] else ""


def _values(texts: list[str] | None) -> dict[str, dict[str, str]]:
    values: dict[str, dict[str, str]] = {}
    for text in texts or []:
        field, _, rest = text.partition(":")
        code, equals, meaning = rest.rpartition("=")
        if not (field and code and equals):
            message = f"{text!r} is not of the form FIELD:CELL=MEANING"
            raise typer.BadParameter(message, param_hint="--value")
        values.setdefault(field.strip(), {})[code] = meaning
    return values
