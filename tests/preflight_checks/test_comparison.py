"""What the preflight expected against what Helios answered, and the limit that fits better."""

import pandas as pd
import pytest

from helios_research.columns import LEAST_SPEECH_S
from helios_research.preflight_checks.comparison import compare_with_answers
from helios_research.preflight_checks.rules import Thresholds

SHORT = "ERR_RECORDING_TOO_SHORT"


def answered(speech_s: list[float], limit_s: float) -> pd.DataFrame:
    """Make results of a preflight with the usual limit and a service with another."""
    speech = pd.Series(speech_s)
    return pd.DataFrame(
        {
            "outcome": (speech < limit_s).map({True: "failed", False: "scored"}),
            "error_code": pd.Series(SHORT, speech.index).where(speech < limit_s),
            "predicted_error_code": pd.Series(SHORT, speech.index).where(speech < LEAST_SPEECH_S),
            "duration_s": speech + 2,
            "speech_s": speech,
        }
    )


@pytest.mark.parametrize(
    ("speech_s", "limit_s", "proposed"),
    [
        # Of all limits between what was refused and what was accepted, the closest to 10 s.
        ([7.0, 8.3, 9.14, 9.5, 9.7, 11.0], 8.8, "least_speech_s=9.1, enough_speech_s=12)"),
        ([9.05, 10.2, 10.4, 10.72, 11.5, 11.9], 11.0, "least_speech_s=10.8, enough_speech_s=12.8)"),
        # Nothing was refused, so only what was accepted is known.
        ([9.2, 9.4, 9.9, 30.0], 5.0, "least_speech_s=9.2, enough_speech_s=12)"),
        # Two answers may be an error of the detector.
        ([8.3, 9.5, 9.7, 11.0], 8.8, None),
        ([8.0, 9.0, 10.5, 11.0, 12.0], 10.0, None),
    ],
)
def test_the_limit_that_fits_the_answers_best_is_proposed(
    speech_s: list[float], limit_s: float, proposed: str | None
) -> None:
    results = answered(speech_s, limit_s)
    warnings = compare_with_answers(results).attrs["warnings"]
    assert len(warnings) == (proposed is not None)
    if proposed is not None:
        assert proposed in warnings[0]
        setting = warnings[0].partition("hr.Thresholds(")[2].partition(")")[0]
        limits = {name: float(n) for name, n in (part.split("=") for part in setting.split(", "))}
        least_s = Thresholds(**limits).least_speech_s
        assert ((results["speech_s"] < least_s) == (results["outcome"] == "failed")).all()


def test_answers_that_are_no_decision_about_the_recording_do_not_count() -> None:
    results = answered([9.5, 9.6, 9.7, 9.8, 9.9, 12.0], 5.0)
    results["outcome"] = ["failed", "failed", "pending", "skipped", "scored", "scored"]
    results["error_code"] = ["ERR_INTERNAL", "ANSWER_MIXED_UP", None, SHORT, None, None]
    compared = compare_with_answers(results)
    assert compared.to_dict("list") == {
        "expected": [SHORT, "scored"],
        "answered": ["scored", "scored"],
        "recordings": [1, 1],
    }
    # Without a preflight nothing was expected.
    unchecked = results.assign(predicted_error_code=None, duration_s=None, speech_s=None)
    assert compare_with_answers(unchecked).empty
    assert compare_with_answers(results[["outcome", "error_code"]]).empty


def test_the_pairs_are_counted_the_most_frequent_first() -> None:
    results = answered([3.0, 12.0, 12.0, 0.0, 200.0], 10.0)
    results["predicted_error_code"] = [SHORT, None, None, "ERR_TRANSCRIPTION_FAILED", None]
    results.loc[4, ["outcome", "error_code"]] = ["failed", "ERR_NEW"]
    assert compare_with_answers(results).to_numpy().tolist() == [
        ["scored", "scored", 2],
        [SHORT, SHORT, 1],
        ["ERR_TRANSCRIPTION_FAILED", SHORT, 1],
        ["scored", "ERR_NEW", 1],
    ]
