"""What a reader has to know about a finished analysis: how it was made, and from which scores."""

from collections.abc import Sequence

import pandas as pd

from helios_research.analysis.reasons import count_reasons, is_flagged
from helios_research.columns import Source
from helios_research.wording import counted


def sources_of(table: pd.DataFrame) -> list[str]:
    """List where the scores of a table come from."""
    if "source" not in table.columns:
        return []
    return sorted(str(source) for source in table["source"].dropna().unique())


def source_note(table: pd.DataFrame) -> str | None:
    """Say in a sentence that scores are synthetic, for figures and reports to repeat.

    Parameters
    ----------
    table
        The results.

    Returns
    -------
    str or None
        None where all scores come from thymia's Helios, or the table does not say.
    """
    sources = sources_of(table)
    if Source.SANDBOX.value not in sources:
        return None
    if len(sources) == 1:
        return "Synthetic scores from the sandbox, not measurements of anyone."
    return "Synthetic scores from the sandbox are mixed with scores from Helios: separate them."


def flagged_note(table: pd.DataFrame) -> str | None:
    """Say in a sentence how many scores are of recordings whose row was changed since."""
    flagged = is_flagged(table)
    number = int(flagged.sum())
    if not number:
        return None
    codes = count_reasons(table["error_code"][flagged].astype("str"))
    which = ", ".join(f"{count:,} {code}" for code, count in codes.items())
    are = "recording is" if number == 1 else "recordings are"
    return (
        f"{number:,} scored {are} flagged ({which}): the manifest was changed after the recording "
        "was sent. The scores are those of what was sent, and they count; error_reason says what "
        "changed."
    )


def not_ended(pending: int) -> str:
    """Say how many recordings are still on their way."""
    return f"{counted(pending, 'recording')} {'has' if pending == 1 else 'have'} not ended yet"


def finished(
    rows: pd.DataFrame, table: pd.DataFrame, method: str, warnings: Sequence[str] = ()
) -> pd.DataFrame:
    """Put on a finished analysis what a reader has to know about it."""
    rows.attrs = {
        "method": method,
        "warnings": [*warnings, *filter(None, [flagged_note(table)])],
        "sources": sources_of(table),
        "source_note": source_note(table),
    }
    return rows
