"""What the preflight expects compared with what Helios answered, and what is left to listen to.

Loads no audio library, so that a report can use it.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from helios_research.codes import LEFT_OUT, HeliosCode
from helios_research.columns import BORDERLINE, LEAVE_OUT, Outcome

if TYPE_CHECKING:
    from helios_research.preflight_checks.rules import Thresholds

# Our choice: answers that a proposed limit has to explain on top of those that are explained now.
_LEAST_EVIDENCE = 3
_STEPS_PER_S = 10


def compare_with_answers(results: pd.DataFrame) -> pd.DataFrame:
    """Count the recordings with each expected and given answer; see `Study.compare_preflight`."""
    answered = _answered(results)
    pairs = answered.groupby(["expected", "answered"], sort=False)["recordings"].sum()
    table = pairs.sort_values(ascending=False, kind="stable").reset_index()
    proposal = _proposal(answered)
    table.attrs["warnings"] = [proposal] if proposal else []
    return table


def _answered(results: pd.DataFrame) -> pd.DataFrame:
    """Take the checked recordings about which Helios decided: an internal error is no decision."""
    found = results.reindex(
        columns=["outcome", "error_code", "predicted_error_code", "duration_s", "speech_s"]
    )
    code, expected = found["error_code"].astype("str"), found["predicted_error_code"].astype("str")
    is_scored = found["outcome"] == Outcome.SCORED
    is_refused = (found["outcome"] == Outcome.FAILED) & code.str.startswith("ERR_", na=False)
    was_checked = found["duration_s"].notna() | expected.notna()
    table = found[["speech_s"]].assign(
        expected=expected.fillna(Outcome.SCORED.value),
        answered=code.mask(is_scored, Outcome.SCORED.value),
        recordings=1,
    )
    return table[was_checked & (is_scored | is_refused & (code != HeliosCode.INTERNAL.value))]


def _proposal(answered: pd.DataFrame) -> str:
    """Propose the limit of speech that fits the answers best, the closest of several; or nothing."""
    short = HeliosCode.TOO_SHORT.value
    decided = answered["answered"].isin([short, Outcome.SCORED.value])
    known = answered[decided & answered["speech_s"].notna()].sort_values("speech_s")
    refused, expected = (known[name] == short for name in ("answered", "expected"))
    if (refused == expected).all():
        return ""
    speech_s = known["speech_s"].to_numpy(dtype=float)
    first, last = np.floor(speech_s[0] * _STEPS_PER_S), np.ceil(speech_s[-1] * _STEPS_PER_S)
    limits = np.arange(first, last + 2) / _STEPS_PER_S
    wrong = speech_s[~refused].searchsorted(limits) + refused.sum()
    wrong -= speech_s[refused].searchsorted(limits)
    more = int((refused != expected).sum() - wrong.min())
    if more < _LEAST_EVIDENCE:
        return ""
    best = limits[wrong == wrong.min()]
    least_s = best[-1] if expected.sum() > refused.sum() else best[0]
    return (
        f"With least_speech_s={least_s:g} the preflight would have expected {more:,} more of the "
        f"{len(known):,} answers about the amount of speech. To use it: "
        "study.preflight(study.cohort, thresholds=hr.Thresholds("
        f"least_speech_s={least_s:g}, enough_speech_s={max(12.0, least_s + 2):g}))."
    )


def near_limits(results: pd.DataFrame, thresholds: "Thresholds") -> pd.DataFrame:
    """List the recordings that only listening decides about; see `Study.borderline`."""
    from_least_s = (results["speech_s"] - thresholds.least_speech_s).abs()
    from_longest_s = (results["duration_s"] - thresholds.longest_s).abs()
    is_near = from_least_s.le(thresholds.speech_margin_s)
    is_near |= from_longest_s.le(thresholds.longest_margin_s)
    is_unsent = results["outcome"].isin([Outcome.PENDING, Outcome.SKIPPED])
    found = results[is_near & is_unsent & results["model_run_id"].isna()].reset_index(drop=True)
    left_out = found["error_code"] == LEFT_OUT
    found["verdict"] = pd.Series("", found.index, dtype="str").mask(left_out, LEAVE_OUT)
    return found[[column.name for column in BORDERLINE]]
