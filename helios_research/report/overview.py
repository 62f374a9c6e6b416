"""What was submitted and how it ended, errors and their remedies, the methods and the codebook."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version

import pandas as pd

from helios_research._util.text import counted
from helios_research._version import __version__
from helios_research.analysis.prepared import not_ended
from helios_research.codes import explain
from helios_research.columns import Outcome, Source
from helios_research.report.blocks import (
    Block,
    Bullets,
    Facts,
    Table,
    Text,
    count,
    listed,
    percent,
    table_of,
)
from helios_research.report.data import ReportData
from helios_research.results.codebook import NOT_MEDICAL, codebook, count_outcomes, span
from helios_research.results.shapes import describe_results

_LIBRARIES = ("pandas", "numpy", "scipy", "statsmodels", "matplotlib")
_MOST_WARNINGS = 10
_ALSO_SCORED = "of them scored"


def at_a_glance(data: ReportData, cautions: Iterable[str]) -> Sequence[Block]:
    """Summarize what was submitted and how it ended, with all cautions."""
    blocks: list[Block] = [Facts(_numbers(data)), Text(_submitted(data))]
    careful = tuple(dict.fromkeys([*_cautions(data), *cautions]))
    if careful:
        blocks += [Text("Be careful about:"), Bullets(careful, look="caution")]
    if len(data.table):
        blocks.append(_outcomes(data))
    return blocks


def _numbers(data: ReportData) -> tuple[tuple[str, str], ...]:
    scored, total = data.n_with(Outcome.SCORED), len(data.table)
    people = data.prepared.n_people
    return (
        (count(total), _plural(total, "recording")),
        (count(people), _plural(people, "participant")),
        (count(scored), f"{_plural(scored, 'recording')} scored"),
        (percent(scored / total if total else float("nan")), "of all recordings"),
    )


def _plural(number: int, thing: str) -> str:
    return thing if number == 1 else f"{thing}s"


def _submitted(data: ReportData) -> str:
    table = data.table
    if table.empty:
        return "The results have no rows: nothing has been submitted yet."
    sentences = [
        f"The manifest listed {counted(len(table), 'recording')} of "
        f"{counted(data.prepared.n_people, 'participant')}."
    ]
    if withdrawn := int(data.provenance.get("withdrawn") or 0):
        sentences.append(f"Not counted: {counted(withdrawn, 'participant')} who withdrew.")
    created = data.column("created_at")
    if when := span(created):
        made = int(created.notna().sum())
        sentences.append(f"Model runs for {counted(made, 'recording')} were created {when}.")
    else:
        sentences.append("Nothing has been sent to Helios yet.")
    if when := span(data.column("completed_at")):
        sentences.append(f"Helios answered {when}.")
    if data.tags:
        sentences.append(f"Results are shown by {listed(data.tags)}.")
    return " ".join(sentences)


def _cautions(data: ReportData) -> Iterator[str]:
    table, scored = data.table, data.n_with(Outcome.SCORED)
    if len(table) and not scored:
        yield "No recording has scores, so there is nothing to describe or compare yet."
    if pending := data.n_with(Outcome.PENDING):
        yield f"{not_ended(pending)}, so the numbers will change."
    if several := int((pd.to_numeric(data.column("n_sections")).fillna(0) > 1).sum()):
        yield (
            f"Several sections: {counted(several, 'recording')}; the scores are in the column "
            "sections and not in this report."
        )
    if warned := len(_warnings(data)):
        yield (
            f"Helios gave warnings for {counted(warned, 'recording')}; their scores are included: "
            "treat them with caution."
        )
    if flagged := data.prepared.flagged_note:
        yield f"{flagged} See Errors for what to do."
    yield from data.pooled


def _outcomes(data: ReportData) -> Table:
    rows = [
        (outcome, count(number), percent(number / len(data.table)), meaning)
        for outcome, number, meaning in count_outcomes(data.table)
    ]
    frame = pd.DataFrame(rows, columns=["outcome", "recordings", "share", "meaning"])
    return table_of(frame, "How the recordings ended", numeric=("recordings", "share"))


def errors(data: ReportData) -> Sequence[Block]:
    """List every error with its remedy, and the warnings of Helios."""
    codes = data.column("error_code").astype("str")
    found = codes.notna().any()
    blocks: list[Block] = [_errors(data, codes) if found else Text("No recording has an error.")]
    warnings = pd.Series([text for texts in _warnings(data) for text in texts], dtype="str")
    if len(warnings):
        blocks.append(_warning_table(warnings))
    return blocks


def _errors(data: ReportData, codes: "pd.Series[str]") -> Table:
    flagged = data.prepared.flagged
    rows = []
    for code, number in codes.value_counts().items():
        own = (codes == code).to_numpy(dtype=bool)
        people = data.table.loc[own, "user_label"].nunique()
        found = explain(str(code))
        scored = count((own & flagged).sum())
        rows.append((str(code), count(number), scored, count(people), found.meaning, found.remedy))
    header = ["code", "recordings", _ALSO_SCORED, "participants", "what it means", "what to do"]
    frame = pd.DataFrame(rows, columns=header)
    notes = ["The column error_reason of the results has the details of each recording."]
    if flagged.any():
        notes.append(
            f"{_ALSO_SCORED.capitalize()}: the manifest changed after these recordings were sent; their "
            "scores belong to what was sent, and they count."
        )
    return table_of(
        frame if flagged.any() else frame.drop(columns=_ALSO_SCORED),
        "Errors, the most frequent first",
        numeric=("recordings", _ALSO_SCORED, "participants"),
        notes=notes,
    )


def _warnings(data: ReportData) -> list[list[str]]:
    found = [
        [str(text) for text in texts]
        for texts in data.column("warnings")[data.table["outcome"] == Outcome.SCORED.value]
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


def methods(data: ReportData) -> Sequence[Block]:
    """Write a methods paragraph, with versions and settings."""
    settings = tuple(f"{what}: {value}" for what, value in _settings(data).items() if value)
    return [
        Text(_scoring(data)),
        Text(_analysis(data)),
        Bullets(settings),
        Text(NOT_MEDICAL, look="caution"),
    ]


def _scoring(data: ReportData) -> str:
    scored = data.n_with(Outcome.SCORED)
    was_sent = data.column("created_at").notna().any() or data.prepared.sources
    if not scored and not was_sent:
        return "No recording has been sent to Helios yet."
    at = data.provenance.get("base_url")
    sources = data.prepared.sources or [str(data.provenance.get("source") or "")]
    service = (
        "the sandbox of helios_research, whose scores are synthetic,"
        if sources == [Source.SANDBOX.value]
        else "thymia's Helios"
    )
    tags = data.provenance.get("tags") or ()
    and_tags = f", and the {_plural(len(tags), 'tag')} {listed(tags)}" if tags else ""
    sentences = [
        f"Recordings were {'scored by' if scored else 'sent to'} {service}{f' at {at}' if at else ''} "
        f"through helios_research {__version__}.",
        "Each recording was sent with the speaker's label, date of birth, sex at birth and "
        f"language, times where they were known{and_tags}.",
    ]
    if when := span(data.column("run_at")):
        sentences.append(f"Helios processed them {when}.")
    if (attempts := data.column("attempts")).notna().any():
        again = int((attempts > 1).sum())
        needed = counted(again, "recording") if again else "No recording"
        sentences.append(f"{needed} needed more than one model run.")
    return " ".join(sentences)


def _analysis(data: ReportData) -> str:
    scored = data.n_with(Outcome.SCORED)
    return (
        f"Every row of the manifest ({len(data.table):,}) is accounted for; "
        f"{counted(scored, 'scored recording')} entered the analyses, including those with a "
        "warning. Missing scores were not imputed. Participants are the unit: intervals come from a bootstrap over participants "
        "(2,000 resamples; 1,000 in figures; fixed seed) and comparisons take several recordings of "
        "one participant into account. Bucketed biomarkers are ordinal and are described by "
        "proportions and compared by rank tests. p-values are two-sided; those marked Holm are "
        "corrected within their table, for its number of tests, and not across tables. The method "
        "of each number is described next to it."
    )


def _settings(data: ReportData) -> dict[str, object]:
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    hidden = "hidden or pooled; counts of recordings that failed are shown"
    return {
        "Study": data.provenance.get("study"),
        "Service": data.provenance.get("base_url"),
        "Scores from": ", ".join(data.prepared.sources),
        "Sent as tags": ", ".join(data.provenance.get("tags") or ()),
        "Withdrawn participants, not included": data.provenance.get("withdrawn"),
        "Groups of fewer than five participants": hidden if data.hide_small_cells else "shown",
        "Software": f"helios_research {__version__}, Python {sys.version.split()[0]}, {libraries}",
    }


def columns(data: ReportData) -> Sequence[Block]:
    """Give the codebook of the results."""
    sent = [tag for tag in data.provenance.get("tags") or () if tag in data.as_given.columns]
    book = codebook(describe_results(data.as_given, sent), values_of=data.tags)
    book["origin"] = book["origin"].replace("helios_research", "the toolkit")
    book["filled"] = book["filled"].map("{:,}".format)
    return [table_of(book, "Columns of the results", numeric=("filled",))]
