"""The way of the recordings, from listed to scored without warning, and who was lost where."""

import numpy as np
import pandas as pd

from helios_research.analysis.provenance import finished, not_ended
from helios_research.analysis.reasons import count_reasons, has_warning
from helios_research.analysis.tables import (
    Codes,
    Flags,
    Results,
    count_people,
    load_results,
    people_of,
)
from helios_research.columns import Outcome

STEPS = ("listed", "valid", "passed preflight", "sent", "scored", "without warning")
WITH_WARNING = "scored with a warning"

FLOW_COLUMNS = ("step", "kind", "reason", "recordings", "participants")

_METHOD = (
    "Each recording is lost at the first step that it did not reach; a participant is lost where "
    "none of their recordings goes on. A recording counts as sent once Helios had its audio."
)


def flow(results: Results) -> pd.DataFrame:
    """Follow recordings and participants from the manifest to scores without warning.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.

    Returns
    -------
    DataFrame
        For each step a row of kind "remaining", before it a row of kind "lost" for each reason of
        a loss (an error code, or the outcome where there is none). ``participants`` of a
        "lost" row are those none of whose recordings reached the step and who lost one for that
        reason, so that one may be counted under several reasons. ``attrs`` has "method",
        "warnings", "sources" and "source_note".

    Raises
    ------
    ResultsError
        If the outcome or the participants are missing.

    Examples
    --------
    >>> flow("datasets/shift_study_results.parquet").query("kind == 'remaining'")["step"].tolist()
    ['listed', 'valid', 'passed preflight', 'sent', 'scored', 'without warning']
    """
    table = load_results(results)
    people, _ = people_of(table)
    reached = _steps_reached(table)
    reasons = _reasons(table)
    rows: list[dict[str, object]] = []
    before = np.ones(len(table), dtype=bool)
    for place, step in enumerate(STEPS):
        remaining = reached >= place
        lost = before & ~remaining
        left = np.isin(people, people[remaining])
        for reason, count in count_reasons(reasons[lost]).items():
            gone = lost & (reasons == reason).to_numpy() & ~left
            rows.append(_row(step, "lost", reason, count, count_people(people, gone)))
        n_people = count_people(people, remaining)
        rows.append(_row(step, "remaining", None, int(remaining.sum()), n_people))
        before = remaining
    made = pd.DataFrame(rows, columns=list(FLOW_COLUMNS))
    made["reason"] = made["reason"].astype("str")
    return finished(made, table, _METHOD, _cautions(table))


def _row(
    step: str, kind: str, reason: str | None, recordings: int, people: int
) -> dict[str, object]:
    return {
        "step": step,
        "kind": kind,
        "reason": reason,
        "recordings": recordings,
        "participants": people,
    }


def _steps_reached(table: pd.DataFrame) -> Codes:
    """Find the last step that each recording reached, as its place in ``STEPS``."""
    outcome = table["outcome"].astype("str")
    reached = np.full(len(table), STEPS.index("passed preflight"))
    reached[_had_audio(table)] = STEPS.index("sent")
    reached[(outcome == Outcome.INVALID.value).to_numpy()] = STEPS.index("listed")
    reached[(outcome == Outcome.SKIPPED.value).to_numpy()] = STEPS.index("valid")
    scored = (outcome == Outcome.SCORED.value).to_numpy()
    reached[scored] = STEPS.index("scored")
    reached[scored & ~has_warning(table)] = STEPS.index("without warning")
    return reached


def _had_audio(table: pd.DataFrame) -> Flags:
    """Mark the recordings whose audio Helios had."""
    if "uploaded_at" in table.columns:
        return table["uploaded_at"].notna().to_numpy(dtype=bool) | (
            table["outcome"] == Outcome.LOST
        ).to_numpy(dtype=bool)
    return table["outcome"].isin([Outcome.FAILED, Outcome.LOST]).to_numpy(dtype=bool)


def _reasons(table: pd.DataFrame) -> "pd.Series[str]":
    outcome = table["outcome"].astype("str")
    code = table["error_code"] if "error_code" in table.columns else outcome.where(outcome.isna())
    reasons = code.astype("str").fillna(outcome)
    return reasons.mask(outcome == Outcome.SCORED.value, WITH_WARNING).astype("str")


def _cautions(table: pd.DataFrame) -> list[str]:
    pending = int((table["outcome"] == Outcome.PENDING).sum())
    return [f"{not_ended(pending)}."] if pending else []
