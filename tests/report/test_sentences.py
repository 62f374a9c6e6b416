"""The opening has true sentences, one figure and every caution; the methods claim no more than was done."""

from collections.abc import Callable

import pandas as pd
import pytest

from helios_research.analysis import compare_by_tag, compare_change, exclude
from helios_research.report.blocks import Bullets, Pictures, decimal
from helios_research.report.data import report_data
from helios_research.report.participants import participants
from helios_research.report.scores import cautions
from helios_research.report.sentences import finding, in_full, methods, sentences

Words = Callable[..., str]


def said(table: pd.DataFrame, **settings: object) -> list[str]:
    return list(sentences(report_data(table, **settings)))


def test_it_says_what_was_compared_by_how_much_how_sure_and_how_many(study: pd.DataFrame) -> None:
    row = compare_by_tag(study, "arm", biomarkers="mental_strain", reference="day_shift").iloc[0]
    first, second, third = said(study, by="arm", reference="day_shift")
    assert first == (
        "Mental strain, the primary outcome, was compared between day_shift "
        f"({row['participants_reference']} participants, {row['recordings_reference']} scored "
        f"recordings) and night_shift ({row['participants_level']} participants, "
        f"{row['recordings_level']} scored recordings)."
    )
    assert second.startswith(
        f"Compared with day_shift, it was {abs(row['difference']):.3f} points "
    )
    assert f"{decimal(row['difference_low'], 3)} to {decimal(row['difference_high'], 3)}" in second
    assert third.startswith("Without the ")
    assert "that Helios warned of, the difference was" in third


def shifted(study: pd.DataFrame, by: float) -> pd.DataFrame:
    """Scores that differ between the arms by so much, and alike within them."""
    by_arm = study.groupby("arm")["user_label"]
    people = by_arm.transform(lambda labels: labels.factorize()[0])
    level = 0.3 + people % 2 / 100 + by * (study["arm"] == "night_shift")
    return study.assign(mental_strain=level.where(study["outcome"] == "scored"))


def test_a_clear_difference_and_one_that_is_not_have_their_own_sentences(
    study: pd.DataFrame,
) -> None:
    higher, alike = (
        said(shifted(study, by), by="arm", reference="day_shift")[1] for by in (0.2, 0.0)
    )
    assert higher.startswith("Compared with day_shift, it was 0.2")
    assert " points higher in night_shift (95 % interval 0.1" in higher
    assert higher.endswith("; p < .001).")
    assert alike.endswith("; the interval includes 0, so differences within it remain possible.")
    assert "it was less than 0.001 points " in alike


def test_a_primary_outcome_with_four_levels_is_given_as_a_probability(study: pd.DataFrame) -> None:
    row = compare_by_tag(study, "arm", biomarkers="sleep_propensity").iloc[0]
    first, second, _ = said(study, by="arm", primary="sleep_propensity")
    assert first.startswith("Sleep propensity, the primary outcome, was compared")
    assert f"P(higher) \N{MINUS SIGN} P(lower) {decimal(row['effect'])}" in second


def test_with_visits_the_third_sentence_is_how_the_change_differs(study: pd.DataFrame) -> None:
    rows = compare_change(study, "arm", over="visit", biomarkers="mental_strain")
    trend = rows.iloc[-1]
    third = said(study, by=["arm", "visit"])[2]
    assert "the change per visit" in third.lower()
    assert (
        f"{decimal(trend['difference_low'], 3)} to {decimal(trend['difference_high'], 3)}" in third
    )


def test_visits_alone_are_compared_with_no_change(study: pd.DataFrame) -> None:
    first, second = said(study, by="visit")
    assert first.startswith("Mental strain, the primary outcome, was followed over visit in ")
    assert "change per visit" in second


def test_several_levels_are_named_and_many_are_summed_up(study: pd.DataFrame) -> None:
    several = said(study, by="site", order=["Leeds"])[1]
    assert several.startswith("Compared with Leeds, it was ")
    assert " in Girona (95 % interval " in several
    assert " in Hamburg (95 % interval " in several
    assert several.endswith(
        "; all intervals include 0, so differences within them remain possible."
    )
    people = study["user_label"].factorize()[0]
    first, many, _ = said(study.assign(room=[f"room {n % 6}" for n in people]), by="room")
    assert "between 6 levels of room" in first
    assert many.startswith("Compared with room 0, it was clearly higher or lower (")
    assert many.endswith(" of 5 levels.")


@pytest.mark.parametrize(
    ("change", "settings", "why"),
    [
        ({"outcome": "failed"}, {"by": "arm"}, "no recording has scores."),
        ({}, {}, "no column is given to compare by."),
        ({"arm": "placebo"}, {"by": "arm"}, "Comparing needs 2 to 60 levels"),
        ({"user_label": "one"}, {"by": "site"}, "a group has too few participants"),
    ],
)
def test_where_nothing_can_be_compared_it_says_why(
    study: pd.DataFrame, change: dict[str, object], settings: dict[str, object], why: str
) -> None:
    assert said(study.assign(**change), **settings)[0].startswith(f"Nothing can be compared: {why}")


def test_a_few_participants_are_not_told_of_on_demand(study: pd.DataFrame) -> None:
    table = study.copy()
    few = table.loc[table["arm"] == "day_shift", "user_label"].unique()[3:]
    gone = table["user_label"].isin(few) & (table["arm"] == "day_shift")
    table.loc[gone, "outcome"] = "failed"
    assert "(3 participants" in said(table, by="arm")[0]
    assert said(table, by="arm", hide_small_cells=True)[0].startswith("Nothing can be compared")


def test_one_figure_and_every_caution_follow(study: pd.DataFrame) -> None:
    data = report_data(study, by=["arm", "visit"])
    blocks = finding(data, ["Beware of the dog."])
    (figure,) = [block for block in blocks if isinstance(block, Pictures)]
    assert figure.caption.startswith("Mental strain by visit.")
    cautions = next(block.items for block in blocks if isinstance(block, Bullets))
    assert "Beware of the dog." in cautions
    assert any(text.startswith("Helios gave warnings for") for text in cautions)
    failed = study.assign(outcome="failed", error_code="ERR_INTERNAL")
    assert not any(isinstance(block, Pictures) for block in finding(report_data(failed), []))


def test_levels_that_look_alike_are_said_once_in_a_report(study: pd.DataFrame) -> None:
    arms = study["arm"].mask(study["user_label"] == study["user_label"].iloc[0], "Night_shift")
    data = report_data(study.assign(arm=arms), by=["arm", "visit"], biomarkers=[])
    careful = finding(data, cautions(data))[-1].items
    assert sum("differ only in capitals" in text for text in careful) == 1
    assert "differ only in capitals" not in str(participants(data))


def test_unfinished_recordings_are_a_caution(study: pd.DataFrame) -> None:
    table = study.copy()
    table.loc[:5, "outcome"] = "pending"
    cautions = finding(report_data(table, biomarkers=[]), [])[-1]
    assert "6 recordings are not finished; numbers will change." in cautions.items


# --- the methods ----------------------------------------------------------------------------------


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
