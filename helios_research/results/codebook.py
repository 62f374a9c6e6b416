"""The codebook and the README of an exported file."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from helios_research._util.text import counted
from helios_research._version import __version__
from helios_research.cohort.cells import as_text, cell_text
from helios_research.cohort.mapping import OF_A_PERSON
from helios_research.columns import OUTCOME_LABELS, RESULTS_SCHEMA_VERSION, Outcome, Source
from helios_research.results.shapes import ExportTable, Variable

NOT_MEDICAL = (
    "Helios is a wellness tool, not a medical device: its scores are not a diagnosis, and they "
    "alone allow no conclusion about a person's health."
)
SYNTHETIC = (
    "SYNTHETIC: the sandbox made these scores. They are not measurements of anyone; do not report "
    "them as such."
)

_NO_MOMENTS = pd.Series(dtype="datetime64[us, UTC]")
# Of more different values, only the number is given.
_MOST_VALUES = 12
_LONGEST_VALUE = 40
# Their values identify a participant.
NEVER_LISTED = frozenset({"recording_id", "recording", "user_label", "date_of_birth"})


# --- the README -----------------------------------------------------------------------------------


def readme_text(
    name: str,
    results: pd.DataFrame,
    table: ExportTable,
    provenance: Mapping[str, Any],
    how_to_read: str,
) -> str:
    """Write the README of a file in Markdown."""
    is_synthetic = Source.SANDBOX.value in all_sources(results, provenance)
    outcomes = [(outcome, f"{n:,}", meaning) for outcome, n, meaning in count_outcomes(results)]
    parts = [
        f"# {markdown_text(name)}",
        *([f"**{SYNTHETIC}**"] if is_synthetic else []),
        _summary(results, table),
        "## Where it comes from",
        markdown_table(("what", "value"), _origin(results, provenance)),
        "## How the recordings ended",
        markdown_table(("outcome", "recordings", "meaning"), outcomes),
        "## How to read it",
        how_to_read,
        "## What to know",
        "\n".join(f"- {sentence}" for sentence in [*_cautions(results, table), NOT_MEDICAL]),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(results: pd.DataFrame, table: ExportTable) -> str:
    people = ""
    if "user_label" in results.columns:
        people = f" of {counted(results['user_label'].nunique(), 'participant')}"
    row = "recording and biomarker" if "biomarker" in table.variables else "recording"
    rows, columns = table.frame.shape
    return (
        f"{counted(len(results), 'recording')}{people}. One row per {row}: "
        f"{counted(rows, 'row')}, {counted(columns, 'column')}. The codebook explains each column."
    )


def all_sources(results: pd.DataFrame, provenance: Mapping[str, Any]) -> list[str]:
    """List where the scores come from, by the table and by what is known of its study."""
    known = {str(provenance["source"])} if provenance.get("source") else set()
    if "source" in results.columns:
        known |= {str(source) for source in results["source"].dropna().unique()}
    return sorted(known)


def _origin(results: pd.DataFrame, provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    named = {
        "study": provenance.get("study"),
        "scores from": ", ".join(all_sources(results, provenance)),
        "service": provenance.get("base_url"),
        "model runs created": span(results.get("created_at", _NO_MOMENTS)),
        "model runs completed": span(results.get("completed_at", _NO_MOMENTS)),
        "sent as tags": ", ".join(provenance.get("tags") or ()),
        "read as declared": declared_in_words(provenance),
        "withdrawn participants, not included": provenance.get("withdrawn"),
        "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "by": f"helios_research {__version__}, pandas {pd.__version__}, "
        f"Python {sys.version.split()[0]}",
        "schema of the results": provenance.get("schema_version") or RESULTS_SCHEMA_VERSION,
    }
    return [(what, str(value)) for what, value in named.items() if value]


def declared_in_words(provenance: Mapping[str, Any]) -> str:
    """Word what was declared of the table; empty where nothing was."""
    values, forms = provenance.get("values") or {}, provenance.get("date_format") or {}
    parts = [*_shape_in_words(provenance.get("wide"), provenance.get("fill_within"))]
    parts += [
        f"{field} {', '.join(f'{code} = {meaning or None}' for code, meaning in meanings.items())}"
        for field, meanings in values.items()
    ]
    named = {"dates": forms} if isinstance(forms, str) else forms
    parts += [f"{field} {form}" for field, form in named.items()]
    orders = (provenance.get("order") or {}).items()
    parts += [f"{name} in the order {', '.join(levels)}" for name, levels in orders]
    return "; ".join(parts)


def _shape_in_words(wide: Any, within: Any) -> Iterator[str]:
    if wide:
        yield f"one row for each of {', '.join(wide['recording'] if isinstance(wide, Mapping) else wide)}"
    if within:
        named = within.values() if isinstance(within, Mapping) else ()
        filled = ", ".join([*OF_A_PERSON, *(name for names in named for name in names)])
        yield f"blank {filled} filled from the participant's other rows"
    if wide or within:
        yield "rows without a recording left out"


def span(moments: "pd.Series[Any]") -> str:
    """Write when the first and the last of some events happened; empty without events."""
    known = pd.to_datetime(moments, utc=True, format="ISO8601", errors="coerce").dropna()
    if known.empty:
        return ""
    first, last = known.min(), known.max()
    if first.date() != last.date():
        return f"from {first:%Y-%m-%d} to {last:%Y-%m-%d} (UTC)"
    times = dict.fromkeys((f"{first:%H:%M}", f"{last:%H:%M}"))
    return f"on {first:%Y-%m-%d}, {' to '.join(times)} UTC"


def count_outcomes(results: pd.DataFrame) -> Iterator[tuple[str, int, str]]:
    """Count the recordings by outcome, each with its meaning."""
    counts = results["outcome"].astype("str").value_counts()
    for outcome, meaning in OUTCOME_LABELS.items():
        if str(outcome) in counts:
            yield str(outcome), int(counts[str(outcome)]), meaning


def _cautions(results: pd.DataFrame, table: ExportTable) -> Iterable[str]:
    yield from table.notes
    yield (
        "distress, stress, exhaustion, sleep_propensity and low_self_esteem take four ordered "
        "values (0, 0.33, 0.66, 1): show them as proportions, do not average them."
    )
    yield "Scores are missing where outcome is not scored; error_code gives the reason."
    found = results.reindex(columns=["error_code", "n_sections", "user_label"])
    is_scored = results["outcome"].astype("str") == Outcome.SCORED.value
    if flagged := int((is_scored & found["error_code"].notna()).sum()):
        yield (
            f"Scored recordings with an error_code: {flagged:,}. The manifest changed after they "
            "were sent: the scores belong to what was sent, the other columns are the "
            "manifest's; error_reason describes the change."
        )
    if several := int((found["n_sections"].fillna(0) > 1).sum()):
        where = "in the column sections" if "sections" in table.variables else "not in this file"
        yield f"Several sections: {counted(several, 'recording')}; the scores are {where}."
    if found["user_label"].dropna().duplicated().any():
        yield (
            "Participants have several recordings, which are not independent: count and compare "
            "participants."
        )
    if "date_of_birth" in table.variables:
        yield (
            "The file contains dates of birth, which are personal data: export with ages (--ages) "
            "to replace them."
        )
    if "transcript" in table.variables and table.frame["transcript"].notna().any():
        yield "The file contains transcripts, which may name people."


# --- the codebook ---------------------------------------------------------------------------------


def codebook(table: ExportTable, *, values_of: Iterable[str] | None = None) -> pd.DataFrame:
    """Give a row per column of a file; values are listed of ``values_of``, else where they name no one."""
    listed = {*table.variables} - NEVER_LISTED if values_of is None else {*values_of}
    book = pd.DataFrame(
        [_row(variable, table.frame[name], listed) for name, variable in table.variables.items()]
    )
    renamed = any(variable.in_file for variable in table.variables.values())
    return book if renamed else book.drop(columns="in_file")


def _row(variable: Variable, values: "pd.Series[Any]", listed: set[str]) -> dict[str, object]:
    own = variable.origin != "helios_research"
    shown = not own or variable.name in listed
    labels = "; ".join(f"{cell_text(value)} = {words}" for value, words in variable.labels.items())
    return {
        "column": variable.name,
        "in_file": variable.in_file or variable.name,
        "origin": variable.origin,
        "type": variable.type,
        "unit": variable.unit or "",
        "meaning": variable.meaning,
        "values": labels or (_observed(values, own=own) if shown else ""),
        "filled": int(values.notna().sum()),
    }


def _observed(values: "pd.Series[Any]", *, own: bool) -> str:
    """Give the range of numbers, or list the values of the researcher's own text."""
    known = values.dropna()
    if known.empty:
        return ""
    if pd.api.types.is_numeric_dtype(known.dtype) and not pd.api.types.is_bool_dtype(known.dtype):
        return f"{known.min():.6g} to {known.max():.6g}"
    if not own or known.dtype == object or pd.api.types.is_datetime64_any_dtype(known.dtype):
        return ""
    found = sorted(as_text(known).unique())
    few = len(found) <= _MOST_VALUES and all(len(value) <= _LONGEST_VALUE for value in found)
    return "; ".join(found) if few else f"{len(found):,} different"


def codebook_text(name: str, book: pd.DataFrame, *, synthetic: bool) -> str:
    """Write the codebook of a file in Markdown."""
    warning = f"**{SYNTHETIC}**" if synthetic else ""
    table = markdown_table([*book], book.itertuples(index=False, name=None))
    return f"# Codebook of {markdown_text(name)}\n\n{warning}\n\n{table}\n"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table as Markdown; cells may hold any characters."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(markdown_text, line))} |" for line in lines)


def markdown_text(cell: object) -> str:
    """Escape text so that Markdown shows it as it is."""
    text = " ".join(str(cell).split()).replace("&", "&amp;").replace("<", "&lt;")
    for character in "\\`*[]|":
        text = text.replace(character, f"\\{character}")
    return text
