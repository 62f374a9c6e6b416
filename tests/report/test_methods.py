"""The methods name what was done, and claim no more."""

from collections.abc import Callable

import pandas as pd

from helios_research.analysis import exclude
from helios_research.report.data import report_data
from helios_research.report.methods import in_full, methods

Words = Callable[..., str]


def test_they_name_service_tests_reference_correction_and_software(
    study: pd.DataFrame, words: Words
) -> None:
    known = {"base_url": "https://x.example", "study": "night-shift", "tags": ["arm", "visit"]}
    data = report_data(study, by=["arm", "visit"], reference="day_shift", provenance=known)
    said = words(methods(data))
    for piece in (
        "the sandbox (synthetic scores) at https://x.example",
        "and as tags arm and visit.",
        "Participants weigh equally",
        "The primary outcome was mental strain.",
        "Levels of arm were compared with day_shift by Welch's t-test on participants' means.",
        "Participants' changes from the first visit to each later one were compared between levels of",
        "The trend over visit is the slope of a line, by a linear mixed model",
        "mean ridits",
        "separately, over those of distress, stress, exhaustion, sleep propensity and low self-esteem",
        "not imputed",
        "with a warning of Helios were included. A sensitivity analysis",
        "pandas 3",
    ):
        assert piece in said
    thymia = report_data(study.assign(source="thymia"), provenance=known)
    assert "thymia's Helios at" in words(methods(thymia))


def test_conditions_of_the_same_people_are_a_mixed_model(study: pd.DataFrame, words: Words) -> None:
    prompts = ["read", "free", "count"] * len(study)
    table = study.assign(prompt=prompts[: len(study)])
    said = words(methods(report_data(table, by="prompt")))
    assert "by a linear mixed model of participants' means at each level" in said
    assert "Welch" not in said


def test_they_claim_no_more_than_was_done(study: pd.DataFrame, words: Words) -> None:
    """Nothing was sent, nothing has scores, or other tags were sent than are shown."""
    none = study.head(0)
    assert words(methods(report_data(none, by=["arm"]))).startswith(
        "No recording has been sent to Helios yet. Analyses used"
    )
    failed = study[study["outcome"] == "failed"].reset_index(drop=True)
    said = words(methods(report_data(failed, by=["arm"], provenance={"tags": ["visit"]})))
    assert said.startswith(
        "Recordings were sent to the sandbox (synthetic scores); none has scores"
    )
    assert "and as tags visit." in said
    assert "as tags" not in words(methods(report_data(study, by=["arm"])))


def test_warned_and_excluded_recordings_are_counted(study: pd.DataFrame, words: Words) -> None:
    warned = study.assign(warnings=pd.Series([["noisy"]] * len(study), dtype="object"))
    number = (study["outcome"] == "scored").sum()
    dropped = words(methods(report_data(warned, by="arm", warned="drop")))
    assert f"{number} scored recordings with a warning of Helios were left out" in dropped
    table = exclude(study, (study["visit"] == "2").to_numpy(), "wrong device")
    visits = ((study["visit"] == "2") & (study["outcome"] == "scored")).sum()
    assert f"excluded {visits} scored recordings ({visits} wrong device)" in words(
        methods(report_data(table, by="arm"))
    )


def test_the_appendix_has_the_method_of_every_analysis(study: pd.DataFrame, words: Words) -> None:
    said = words(in_full(report_data(study, by=["arm", "visit"])))
    for name in ("Participants:", "Missing scores:", "Scores by arm:", "Change:"):
        assert name in said
    assert "not a medical device" in said
