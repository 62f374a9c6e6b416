"""What was submitted, how it ended, and how everything was done."""

import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version

import pandas as pd

from helios_research._util.text import counted
from helios_research._version import __version__
from helios_research.codes import explain
from helios_research.columns import OUTCOME_LABELS, Outcome, Source
from helios_research.report.blocks import (
    Block,
    Bullets,
    Facts,
    ReportSection,
    Table,
    Text,
    count,
    listed,
    percent,
    span,
    table_of,
)
from helios_research.report.data import ReportData
from helios_research.results.codebook import NOT_MEDICAL, codebook
from helios_research.results.shapes import describe_results

_LIBRARIES = ("pandas", "numpy", "scipy", "statsmodels", "matplotlib")


def methods(data: ReportData) -> ReportSection:
    """Word a methods paragraph, with versions and settings."""
    settings = tuple(f"{what}: {value}" for what, value in _settings(data) if value)
    return ReportSection(
        "methods",
        "Methods",
        (
            Text(_scoring(data)),
            Text(_analysis(data)),
            Bullets(settings),
            Text(NOT_MEDICAL, look="caution"),
        ),
    )


def _scoring(data: ReportData) -> str:
    scored = data.n_with(Outcome.SCORED)
    was_sent = data.text_of("created_at").notna().any() or data.prepared.sources
    if not scored and not was_sent:
        return "No recording was sent to Helios yet."
    at = data.provenance.get("base_url")
    sources = data.prepared.sources or [str(data.provenance.get("source") or "")]
    who = (
        "the sandbox of helios_research, whose scores are synthetic,"
        if sources == [Source.SANDBOX.value]
        else "thymia's Helios"
    )
    tags = data.provenance.get("tags") or ()
    sentences = [
        f"Recordings were {'scored by' if scored else 'sent to'} {who}{f' at {at}' if at else ''} through helios_research "
        f"{__version__}.",
        "Each recording was sent with the speaker's label, date of birth, sex at birth and "
        "language, times where they were known"
        + (f", and the {'tag' if len(tags) == 1 else 'tags'} {listed(tags)}." if tags else "."),
    ]
    if when := span(data.text_of("run_at")) if data.text_of("run_at").notna().any() else "":
        sentences.append(f"Helios processed them {when}.")
    if (attempts := data.text_of("attempts")).notna().any():
        again = int((attempts > 1).sum())
        sentences.append(
            f"{counted(again, 'recording')} needed more than one model run."
            if again
            else "No recording needed more than one model run."
        )
    return " ".join(sentences)


def _analysis(data: ReportData) -> str:
    scored = data.n_with(Outcome.SCORED)
    return (
        f"Every row of the manifest ({len(data.table):,}) is accounted for; "
        f"{counted(scored, 'scored recording')} entered the analyses, those with a warning "
        "included. Missing scores were not "
        "imputed. Participants are the unit: intervals come from a bootstrap over participants "
        "(2,000 resamples; 1,000 in figures; fixed seed) and comparisons take several recordings of "
        "one participant into account. Bucketed biomarkers are ordinal and are described by "
        "proportions and compared by rank tests. p-values are two-sided; those marked Holm are "
        "corrected within their table, for its number of tests, and not across tables. What was "
        "done for each number stands beside it."
    )


def _settings(data: ReportData) -> list[tuple[str, str]]:
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    hidden = (
        "hidden or pooled; counts of recordings that failed are shown"
        if data.hides_small_cells
        else "shown"
    )
    return [
        ("Study", str(data.provenance.get("study") or "")),
        ("Service", str(data.provenance.get("base_url") or "")),
        ("Scores from", ", ".join(data.prepared.sources)),
        ("Sent as tags", ", ".join(data.provenance.get("tags") or ())),
        ("Participants withdrawn, not in it", str(data.provenance.get("withdrawn") or "")),
        ("Groups of fewer than five participants", hidden),
        (
            "Software",
            f"helios_research {__version__}, Python {sys.version.split()[0]}, {libraries}",
        ),
    ]


def columns(data: ReportData) -> ReportSection:
    """Give the codebook of the results."""
    sent = [tag for tag in data.provenance.get("tags") or () if tag in data.as_given.columns]
    book = codebook(describe_results(data.as_given, sent), values_of=data.tags)
    book["origin"] = book["origin"].replace("helios_research", "the toolkit")
    book["filled"] = book["filled"].map("{:,}".format)
    table = table_of(book, "Columns of the results", numeric=("filled",))
    return ReportSection("codebook", "Codebook", (table,))


_MOST_WARNINGS = 10
_STILL = "of them scored"


def at_a_glance(data: ReportData, cautions: Iterable[str]) -> ReportSection:
    """Say what was submitted and how it ended."""
    blocks: list[Block] = [Facts(_numbers(data)), Text(_submitted(data))]
    careful = tuple(dict.fromkeys([*_cautions(data), *cautions]))
    if careful:
        blocks += [Text("To be careful about:"), Bullets(careful, look="caution")]
    if len(data.table):
        blocks.append(_outcomes(data))
    return ReportSection("glance", "At a glance", tuple(blocks))


def _numbers(data: ReportData) -> tuple[tuple[str, str], ...]:
    scored, listed_ = data.n_with(Outcome.SCORED), len(data.table)
    return (
        (count(listed_), _plural(listed_, "recording")),
        (count(data.n_people), _plural(data.n_people, "participant")),
        (count(scored), f"{_plural(scored, 'recording')} scored"),
        (percent(scored / listed_ if listed_ else float("nan")), "of all recordings"),
    )


def _plural(number: int, thing: str) -> str:
    return thing if number == 1 else f"{thing}s"


def _submitted(data: ReportData) -> str:
    table = data.table
    if table.empty:
        return "The results have no rows yet: nothing was submitted."
    sentences = [
        f"{counted(len(table), 'recording')} of {counted(data.n_people, 'participant')} "
        "stood in the manifest."
    ]
    if withdrawn := int(data.provenance.get("withdrawn") or 0):
        sentences.append(f"Not counted: {counted(withdrawn, 'participant')} who withdrew.")
    created = _moments(data, "created_at")
    if when := span(created):
        made = int(created.notna().sum())
        sentences.append(f"Model runs for {counted(made, 'recording')} were created {when}.")
    if when := span(_moments(data, "completed_at")):
        sentences.append(f"Answers came {when}.")
    if not created.notna().any():
        sentences.append("Nothing was sent to Helios yet.")
    if data.tags:
        sentences.append(f"Results are shown by {listed(data.tags)}.")
    return " ".join(sentences)


def _moments(data: ReportData, name: str) -> "pd.Series[pd.Timestamp]":
    return pd.to_datetime(data.text_of(name), utc=True)


def _cautions(data: ReportData) -> Iterator[str]:
    table, scored = data.table, data.n_with(Outcome.SCORED)
    if len(table) and not scored:
        yield "No recording has scores, so there is nothing to describe or compare yet."
    pending = data.n_with(Outcome.PENDING)
    if pending:
        yield f"{counted(pending, 'recording')} did not end yet, so the numbers will change."
    several = int((pd.to_numeric(data.text_of("n_sections")).fillna(0) > 1).sum())
    if several:
        yield (
            f"{counted(several, 'recording')} had several sections, whose scores are in the column "
            "sections and not in this report."
        )
    warned = len(_warnings(data))
    if warned:
        yield (
            f"Helios gave warnings with {counted(warned, 'recording')}; their scores are included "
            "and should be treated with caution."
        )
    if flagged := data.prepared.flagged_note:
        yield f"{flagged} What to do is under Errors."
    if data.pooled:
        yield from data.pooled


def _outcomes(data: ReportData) -> Table:
    counts = data.table["outcome"].astype("str").value_counts()
    rows = [
        (str(outcome), count(counts[outcome]), percent(counts[outcome] / len(data.table)), words)
        for outcome, words in OUTCOME_LABELS.items()
        if outcome in counts
    ]
    frame = pd.DataFrame(rows, columns=["outcome", "recordings", "share", "meaning"])
    return table_of(frame, "How the recordings ended", numeric=("recordings", "share"))


def errors(data: ReportData) -> ReportSection:
    """List every error with what to do about it, and the warnings of Helios."""
    codes = data.text_of("error_code").astype("str")
    blocks: list[Block] = []
    if codes.notna().any():
        blocks.append(_errors(data, codes))
    else:
        blocks.append(Text("No recording ended in an error."))
    warnings = pd.Series([text for texts in _warnings(data) for text in texts], dtype="str")
    if len(warnings):
        blocks.append(_warning_table(warnings))
    return ReportSection("errors", "Errors and what to do about them", tuple(blocks))


def _errors(data: ReportData, codes: "pd.Series[str]") -> Table:
    flagged = data.prepared.flagged
    rows = []
    for code, number in codes.value_counts().items():
        own = (codes == code).to_numpy(dtype=bool)
        people = data.table.loc[own, "user_label"].nunique()
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


def _warnings(data: ReportData) -> list[list[str]]:
    found = [
        [str(text) for text in texts]
        for texts in data.text_of("warnings")[data.table["outcome"] == Outcome.SCORED.value]
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
