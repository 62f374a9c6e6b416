"""What was submitted, how it ended, and how everything was done."""

import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version

import pandas as pd

from helios_research._util.text import counted
from helios_research._version import __version__
from helios_research.analysis.prepared import flagged_note, is_flagged, sources_of
from helios_research.codes import explain
from helios_research.columns import OUTCOME_LABELS, Outcome, Source
from helios_research.report.blocks import (
    Block,
    Bullets,
    Facts,
    Section,
    Table,
    Text,
    count,
    listed,
    percent,
    span,
    table_of,
)
from helios_research.report.data import Subject
from helios_research.results.codebook import codebook
from helios_research.results.shapes import content_of

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


NOT_MEDICAL = (
    "Helios is a wellness tool and not a medical device. Its scores are no diagnosis of anyone, and "
    "nothing about a person's health may be concluded from them alone."
)
_MOST_WARNINGS = 10
_STILL = "of them scored"


def at_a_glance(subject: Subject, cautions: Iterable[str]) -> Section:
    """Say what was submitted and how it ended."""
    blocks: list[Block] = [Facts(_numbers(subject)), Text(_submitted(subject))]
    careful = tuple(dict.fromkeys([*_cautions(subject), *cautions]))
    if careful:
        blocks += [Text("To be careful about:"), Bullets(careful, look="caution")]
    if len(subject.table):
        blocks.append(_outcomes(subject))
    return Section("glance", "At a glance", tuple(blocks))


def _numbers(subject: Subject) -> tuple[tuple[str, str], ...]:
    scored, listed_ = subject.n_with(Outcome.SCORED), len(subject.table)
    return (
        (count(listed_), _plural(listed_, "recording")),
        (count(subject.n_people), _plural(subject.n_people, "participant")),
        (count(scored), f"{_plural(scored, 'recording')} scored"),
        (percent(scored / listed_ if listed_ else float("nan")), "of all recordings"),
    )


def _plural(number: int, thing: str) -> str:
    return thing if number == 1 else f"{thing}s"


def _submitted(subject: Subject) -> str:
    table = subject.table
    if table.empty:
        return "The results have no rows yet: nothing was submitted."
    sentences = [
        f"{counted(len(table), 'recording')} of {counted(subject.n_people, 'participant')} "
        "stood in the manifest."
    ]
    if withdrawn := int(subject.provenance.get("withdrawn") or 0):
        sentences.append(f"Not counted: {counted(withdrawn, 'participant')} who withdrew.")
    created = _moments(subject, "created_at")
    if when := span(created):
        made = int(created.notna().sum())
        sentences.append(f"Model runs for {counted(made, 'recording')} were created {when}.")
    if when := span(_moments(subject, "completed_at")):
        sentences.append(f"Answers came {when}.")
    if not created.notna().any():
        sentences.append("Nothing was sent to Helios yet.")
    if subject.tags:
        sentences.append(f"Results are shown by {listed(subject.tags)}.")
    return " ".join(sentences)


def _moments(subject: Subject, name: str) -> "pd.Series[pd.Timestamp]":
    return pd.to_datetime(subject.text_of(name), utc=True)


def _cautions(subject: Subject) -> Iterator[str]:
    table, scored = subject.table, subject.n_with(Outcome.SCORED)
    if len(table) and not scored:
        yield "No recording has scores, so there is nothing to describe or compare yet."
    pending = subject.n_with(Outcome.PENDING)
    if pending:
        yield f"{counted(pending, 'recording')} did not end yet, so the numbers will change."
    several = int((pd.to_numeric(subject.text_of("n_sections")).fillna(0) > 1).sum())
    if several:
        yield (
            f"{counted(several, 'recording')} had several sections, whose scores are in the column "
            "sections and not in this report."
        )
    warned = len(_warnings(subject))
    if warned:
        yield (
            f"Helios gave warnings with {counted(warned, 'recording')}; their scores are included "
            "and should be treated with caution."
        )
    if flagged := flagged_note(table):
        yield f"{flagged} What to do is under Errors."
    if subject.pooled:
        yield from subject.pooled


def _outcomes(subject: Subject) -> Table:
    counts = subject.table["outcome"].astype("str").value_counts()
    rows = [
        (str(outcome), count(counts[outcome]), percent(counts[outcome] / len(subject.table)), words)
        for outcome, words in OUTCOME_LABELS.items()
        if outcome in counts
    ]
    frame = pd.DataFrame(rows, columns=["outcome", "recordings", "share", "meaning"])
    return table_of(frame, "How the recordings ended", numeric=("recordings", "share"))


def errors(subject: Subject) -> Section:
    """List every error with what to do about it, and the warnings of Helios."""
    codes = subject.text_of("error_code").astype("str")
    blocks: list[Block] = []
    if codes.notna().any():
        blocks.append(_errors(subject, codes))
    else:
        blocks.append(Text("No recording ended in an error."))
    warnings = pd.Series([text for texts in _warnings(subject) for text in texts], dtype="str")
    if len(warnings):
        blocks.append(_warning_table(warnings))
    return Section("errors", "Errors and what to do about them", tuple(blocks))


def _errors(subject: Subject, codes: "pd.Series[str]") -> Table:
    flagged = is_flagged(subject.table)
    rows = []
    for code, number in codes.value_counts().items():
        own = (codes == code).to_numpy(dtype=bool)
        people = subject.table.loc[own, "user_label"].nunique()
        found = explain(str(code))
        scored = count((own & flagged).sum())
        rows.append((str(code), count(number), scored, count(people), found.meaning, found.remedy))
    header = ["code", "recordings", _STILL, "participants", "what it means", "what to do"]
    frame = pd.DataFrame(rows, columns=header)
    notes = ["The column error_reason of the results has the words for each recording."]
    if flagged.any():
        notes.append(
            f"{_STILL.capitalize()}: the manifest was changed after these recordings were sent; "
            "their scores are those of what was sent, and they count."
        )
    return table_of(
        frame if flagged.any() else frame.drop(columns=_STILL),
        "Errors, the most frequent first",
        numeric=("recordings", _STILL, "participants"),
        notes=notes,
    )


def _warnings(subject: Subject) -> list[list[str]]:
    found = [
        [str(text) for text in texts]
        for texts in subject.text_of("warnings")[subject.table["outcome"] == Outcome.SCORED.value]
        if hasattr(texts, "__len__") and not isinstance(texts, str)
    ]
    return [texts for texts in found if texts]


def _warning_table(warnings: "pd.Series[str]") -> Table:
    counts = warnings.value_counts()
    shown = [(str(text), count(number)) for text, number in counts.head(_MOST_WARNINGS).items()]
    more = len(counts) - len(shown)
    notes = (f"{more:,} other warnings are not listed.",) if more else ()
    frame = pd.DataFrame(shown, columns=["warning of Helios", "times"])
    return table_of(frame, "Warnings that came with scores", numeric=("times",), notes=notes)
