"""How everything was done, for the methods part of a paper, and what each column is."""

import sys
from importlib.metadata import version

from helios_research._version import __version__
from helios_research.analysis.provenance import sources_of
from helios_research.columns import Outcome, Source
from helios_research.report.blocks import Bullets, Section, Text, table_of
from helios_research.report.overview import NOT_MEDICAL
from helios_research.report.subject import Subject
from helios_research.report.wording import listed, span
from helios_research.results.codebook import codebook
from helios_research.results.content import content_of
from helios_research.wording import counted

_LIBRARIES = ("pandas", "numpy", "scipy", "statsmodels", "matplotlib")


def methods(subject: Subject) -> Section:
    """Word a methods paragraph, with versions and settings."""
    settings = tuple(f"{what}: {value}" for what, value in _settings(subject) if value)
    return Section(
        "methods",
        "Methods",
        (
            Text(_scoring(subject)),
            Text(_analysis(subject)),
            Bullets(settings),
            Text(NOT_MEDICAL, look="caution"),
        ),
    )


def _scoring(subject: Subject) -> str:
    scored = subject.n_with(Outcome.SCORED)
    was_sent = subject.text_of("created_at").notna().any() or sources_of(subject.table)
    if not scored and not was_sent:
        return "No recording was sent to Helios yet."
    at = subject.provenance.get("base_url")
    sources = sources_of(subject.table) or [str(subject.provenance.get("source") or "")]
    who = (
        "the sandbox of helios_research, whose scores are synthetic,"
        if sources == [Source.SANDBOX.value]
        else "thymia's Helios"
    )
    tags = subject.provenance.get("tags") or ()
    sentences = [
        f"Recordings were {'scored by' if scored else 'sent to'} {who}{f' at {at}' if at else ''} through helios_research "
        f"{__version__}.",
        "Each recording was sent with the speaker's label, date of birth, sex at birth and "
        "language, times where they were known"
        + (f", and the {'tag' if len(tags) == 1 else 'tags'} {listed(tags)}." if tags else "."),
    ]
    if when := span(subject.text_of("run_at")) if subject.text_of("run_at").notna().any() else "":
        sentences.append(f"Helios processed them {when}.")
    if (attempts := subject.text_of("attempts")).notna().any():
        again = int((attempts > 1).sum())
        sentences.append(
            f"{counted(again, 'recording')} needed more than one model run."
            if again
            else "No recording needed more than one model run."
        )
    return " ".join(sentences)


def _analysis(subject: Subject) -> str:
    scored = subject.n_with(Outcome.SCORED)
    return (
        f"Every row of the manifest ({len(subject.table):,}) is accounted for; "
        f"{counted(scored, 'scored recording')} entered the analyses, those with a warning "
        "included. Missing scores were not "
        "imputed. Participants are the unit: intervals come from a bootstrap over participants "
        "(2,000 resamples; 1,000 in figures; fixed seed) and comparisons take several recordings of "
        "one participant into account. Bucketed biomarkers are ordinal and are described by "
        "proportions and compared by rank tests. p-values are two-sided; those marked Holm are "
        "corrected within their table, for its number of tests, and not across tables. What was "
        "done for each number stands beside it."
    )


def _settings(subject: Subject) -> list[tuple[str, str]]:
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    hidden = (
        "hidden or pooled; counts of recordings that failed are shown"
        if subject.hides_small_cells
        else "shown"
    )
    return [
        ("Study", str(subject.provenance.get("study") or "")),
        ("Service", str(subject.provenance.get("base_url") or "")),
        ("Scores from", ", ".join(sources_of(subject.table))),
        ("Sent as tags", ", ".join(subject.provenance.get("tags") or ())),
        ("Participants withdrawn, not in it", str(subject.provenance.get("withdrawn") or "")),
        ("Groups of fewer than five participants", hidden),
        (
            "Software",
            f"helios_research {__version__}, Python {sys.version.split()[0]}, {libraries}",
        ),
    ]


def columns(subject: Subject) -> Section:
    """Give the codebook of the results."""
    sent = [tag for tag in subject.provenance.get("tags") or () if tag in subject.as_given.columns]
    book = codebook(content_of(subject.as_given, sent), values_of=subject.tags)
    book["origin"] = book["origin"].replace("helios_research", "the toolkit")
    book["filled"] = book["filled"].map("{:,}".format)
    table = table_of(book, "Columns of the results", numeric=("filled",))
    return Section("codebook", "Codebook", (table,))
