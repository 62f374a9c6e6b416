"""Why a recording has no score, or one to be careful with."""

import numpy as np
import pandas as pd

from helios_research.analysis.tables import Flags, Floats
from helios_research.columns import Outcome

# What the reason of a missing score is read from.
REASON_COLUMNS = ("outcome", "error_code", "n_sections", "user_label")


def missing_reasons(table: pd.DataFrame, scores: Floats) -> "pd.Series[str]":
    """Say for each row without a score why it has none."""
    missing = np.isnan(scores)
    reasons = np.full(len(table), None, dtype=object)
    reasons[missing] = _why(table[missing])
    return pd.Series(reasons, index=table.index, dtype="str")


def _why(table: pd.DataFrame) -> "pd.Series[str]":
    # A file of another program may lack some; every missing score has a reason.
    outcome = table["outcome"].astype("str").fillna("no outcome")
    code = table["error_code"] if "error_code" in table.columns else None
    why = outcome if code is None else code.astype("str").fillna(outcome)
    scored = outcome == Outcome.SCORED.value
    if "n_sections" in table.columns:
        sections = pd.to_numeric(table["n_sections"], errors="coerce")
        several = sections.fillna(1).to_numpy(dtype=float) > 1
        why = why.mask(scored & several, "several sections")
        scored &= ~several
    why = why.mask(scored & table["user_label"].isna(), "no participant")
    return why.mask(scored & table["user_label"].notna(), "no score")


def count_reasons(reasons: "pd.Series[str]") -> dict[str, int]:
    """Count the reasons of missing scores."""
    counted = reasons.value_counts().items()
    ordered = sorted(counted, key=lambda item: (-item[1], str(item[0])))
    return {str(reason): int(count) for reason, count in ordered}


def has_warning(table: pd.DataFrame) -> Flags:
    """Mark the recordings with a warning from Helios."""
    if "warnings" not in table.columns:
        return np.zeros(len(table), dtype=bool)
    return np.array(
        [hasattr(found, "__len__") and len(found) > 0 for found in table["warnings"]], dtype=bool
    )


def is_flagged(table: pd.DataFrame) -> Flags:
    """Mark the recordings that were scored and have an error code all the same.

    Their row of the manifest was changed after they were sent (``METADATA_CHANGED``), or can no
    longer be sent (``INVALID_…``). Their scores are those of what was sent, and count.
    """
    if "error_code" not in table.columns:
        return np.zeros(len(table), dtype=bool)
    flagged = (table["outcome"] == Outcome.SCORED) & table["error_code"].notna()
    return flagged.to_numpy(dtype=bool)
