"""What goes beside an exported file: the codebook and the README."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from helios_research._util.text import counted
from helios_research._version import __version__
from helios_research.cohort.text import as_text, cell_text
from helios_research.columns import OUTCOME_LABELS, RESULTS_SCHEMA_VERSION, Outcome, Source
from helios_research.results.shapes import ExportTable, Variable

NOT_MEDICAL = (
    "Helios is a wellness tool and not a medical device: its scores are not a diagnosis of anyone, "
    "and nothing about a person's health may be concluded from them alone."
)
SYNTHETIC = (
    "SYNTHETIC: these scores were made by the sandbox. They are not measurements of anyone and "
    "must not be reported as such."
)


def readme_text(
    name: str,
    results: pd.DataFrame,
    content: ExportTable,
    provenance: Mapping[str, Any],
    how_to_read: str,
) -> str:
    """Write the README of a file."""
    parts = [f"# {markdown_text(name)}"]
    if Source.SANDBOX.value in sources_of(results, provenance):
        parts.append(f"**{SYNTHETIC}**")
    parts += [
        _what_it_is(results, content),
        "## Where it comes from",
        markdown_table(("what", "value"), origin_of(results, provenance)),
        "## How the recordings ended",
        markdown_table(("outcome", "recordings", "meaning"), outcomes_of(results)),
        "## How to read it",
        how_to_read,
        "## What to know",
        "\n".join(f"- {sentence}" for sentence in [*_cautions(results, content), NOT_MEDICAL]),
    ]
    return "\n\n".join(parts) + "\n"


def _what_it_is(results: pd.DataFrame, content: ExportTable) -> str:
    people = (
        f" of {counted(results['user_label'].nunique(), 'participant')}"
        if "user_label" in results.columns
        else ""
    )
    shape = "recording and biomarker" if "biomarker" in content.variables else "recording"
    return (
        f"{counted(len(results), 'recording')}{people}. One row per {shape}: "
        f"{counted(len(content.table), 'row')}, {counted(content.table.shape[1], 'column')}. Each column is explained in the codebook."
    )


def sources_of(results: pd.DataFrame, provenance: Mapping[str, Any]) -> list[str]:
    """List where the scores come from."""
    known = {str(provenance["source"])} if provenance.get("source") else set()
    if "source" in results.columns:
        known |= {str(source) for source in results["source"].dropna().unique()}
    return sorted(known)


def origin_of(results: pd.DataFrame, provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List where results come from and what made the file."""
    named = {
        "study": provenance.get("study"),
        "scores from": ", ".join(sources_of(results, provenance)),
        "service": provenance.get("base_url"),
        "model runs created": _span(results, "created_at"),
        "model runs completed": _span(results, "completed_at"),
        "sent as tags": ", ".join(provenance.get("tags") or ()),
        "participants withdrawn, not in it": provenance.get("withdrawn"),
        "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "by": f"helios_research {__version__}, pandas {pd.__version__}, "
        f"Python {sys.version.split()[0]}",
        "schema of the results": provenance.get("schema_version") or RESULTS_SCHEMA_VERSION,
    }
    return [(what, str(value)) for what, value in named.items() if value]


def _span(results: pd.DataFrame, name: str) -> str | None:
    if name not in results.columns or results[name].isna().all():
        return None
    first, last = (
        f"{moment:%Y-%m-%d %H:%M}" for moment in (results[name].min(), results[name].max())
    )
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"


def outcomes_of(results: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Count the recordings by outcome."""
    counts = results["outcome"].astype("str").value_counts()
    for outcome, meaning in OUTCOME_LABELS.items():
        if str(outcome) in counts:
            yield str(outcome), f"{counts[str(outcome)]:,}", meaning


def _cautions(results: pd.DataFrame, content: ExportTable) -> Iterable[str]:
    yield from content.notes
    yield (
        "distress, stress, exhaustion, sleep_propensity and low_self_esteem take four ordered "
        "values (0, 0.33, 0.66, 1): show them as proportions, do not average them."
    )
    yield "Scores are missing where outcome is not scored; error_code says why."
    if "error_code" in results.columns:
        scored = results["outcome"].astype("str") == Outcome.SCORED.value
        if flagged := int((scored & results["error_code"].notna()).sum()):
            yield (
                f"An error_code stands with {counted(flagged, 'scored recording')} too: the manifest "
                "was changed after the recording was sent. The scores are those of what was sent, "
                "the columns around them those of the manifest; error_reason says what changed."
            )
    if "n_sections" in results.columns and (results["n_sections"].fillna(0) > 1).any():
        several = int((results["n_sections"].fillna(0) > 1).sum())
        where = (
            "in the column sections" if "sections" in content.variables else "left out of this file"
        )
        yield f"Several sections: {counted(several, 'recording')}, whose scores are {where}."
    if "user_label" in results.columns and results["user_label"].duplicated().any():
        yield (
            "Participants have several recordings, which are not independent: count and compare "
            "participants."
        )
    if "date_of_birth" in content.variables:
        yield (
            "It holds dates of birth, which are personal data. Export with ages (--ages) to have "
            "ages instead."
        )
    if "transcript" in content.variables and content.table["transcript"].notna().any():
        yield "It holds transcripts of what participants said, which may name people."


CODEBOOK_COLUMNS = ("column", "in_file", "origin", "type", "unit", "meaning", "values", "filled")

# More different values than these are not listed.
MOST_VALUES = 12
_LONGEST_VALUE = 40
# Whose values say who somebody is.
_NEVER_LISTED = frozenset({"recording_id", "recording", "user_label", "date_of_birth"})


def codebook(content: ExportTable, *, values_of: Iterable[str] | None = None) -> pd.DataFrame:
    """Say what each column of a file is."""
    listed = None if values_of is None else frozenset(values_of)
    rows = [
        _row(variable, content.table[name], listed) for name, variable in content.variables.items()
    ]
    book = pd.DataFrame(rows, columns=list(CODEBOOK_COLUMNS))
    renamed = any(variable.in_file for variable in content.variables.values())
    return book if renamed else book.drop(columns="in_file")


def _row(
    variable: Variable, values: "pd.Series[Any]", listed: frozenset[str] | None
) -> dict[str, object]:
    own = variable.origin != "helios_research"
    shown = not own or (
        variable.name not in _NEVER_LISTED if listed is None else variable.name in listed
    )
    return {
        "column": variable.name,
        "in_file": variable.in_file or variable.name,
        "origin": variable.origin,
        "type": variable.type,
        "unit": variable.unit or "",
        "meaning": variable.meaning,
        "values": _labels(variable) or (_observed(values, own=own) if shown else ""),
        "filled": int(values.notna().sum()),
    }


def _labels(variable: Variable) -> str:
    return "; ".join(f"{cell_text(value)} = {words}" for value, words in variable.labels.items())


def _observed(values: "pd.Series[Any]", *, own: bool) -> str:
    """List the values of a column of text, or give the range of numbers."""
    known = values.dropna()
    if known.empty:
        return ""
    if pd.api.types.is_numeric_dtype(known.dtype) and not pd.api.types.is_bool_dtype(known.dtype):
        return f"{known.min():.6g} to {known.max():.6g}"
    if not own or known.dtype == object or pd.api.types.is_datetime64_any_dtype(known.dtype):
        return ""
    found = sorted(as_text(known).unique())
    few = len(found) <= MOST_VALUES and all(len(value) <= _LONGEST_VALUE for value in found)
    return "; ".join(found) if few else f"{len(found):,} different"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table as Markdown, whatever its cells hold."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(markdown_text, line))} |" for line in lines)


def markdown_text(cell: object) -> str:
    """Write text so that Markdown shows it as it is."""
    text = " ".join(str(cell).split()).replace("&", "&amp;").replace("<", "&lt;")
    for character in "\\`*[]|":
        text = text.replace(character, f"\\{character}")
    return text
