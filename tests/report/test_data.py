"""What a report is about: columns and levels under their labels, and the roles of columns."""

import pandas as pd
import pytest

from helios_research.errors import ResultsError, UnknownColumnError
from helios_research.report.data import PARTICIPANTS, report_data


def test_levels_have_the_order_and_the_labels_asked_for(study: pd.DataFrame) -> None:
    labels = {"arm": "Shift", "day_shift": "Days", "night_shift": "Nights"}
    data = report_data(study, by=["arm", "site"], order=["day_shift", "Leeds"], labels=labels)
    assert data.by == {"Shift": "arm", "site": "site"}
    assert data.prepared.levels["Shift"].labels == ("Days", "Nights")
    assert data.prepared.levels["site"].labels[0] == "Leeds"
    assert data.compared["Shift"]["level"].iloc[0] == "Nights"


def test_sex_is_a_column_to_compare_by_under_labels_too(study: pd.DataFrame) -> None:
    data = report_data(study, by="birth_sex", labels={"FEMALE": "Women", "MALE": "Men"})
    assert data.by == {"sex at birth": "birth_sex"}
    assert {"Women", "Men"} <= set(data.prepared.levels["sex at birth"].labels)
    assert set(data.found[PARTICIPANTS]["level"]) >= {"FEMALE", "MALE"}, (
        "Table 1 has the words of Helios"
    )


def test_visits_run_with_time_and_prompts_do_not(study: pd.DataFrame) -> None:
    prompts = ["read", "free", "count"] * len(study)
    table = study.assign(prompt=prompts[: len(study)])
    data = report_data(table, by=["prompt", "visit", "arm"])
    assert data.repeating == "visit"
    assert data.dividing == "arm"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"by": "user_label"}, "'user_label' would name participants in the report"),
        ({"by": "arm", "reference": "placebo"}, "The reference 'placebo' is not a level of arm"),
        ({"by": "arm", "labels": {"day_shift": "x", "night_shift": "x"}}, "the same text"),
        ({"by": "arm", "labels": {"arm": "outcome"}}, "the same text"),
        ({"by": "arm", "order": ["placebo"]}, "No level of arm is in order"),
        ({"by": "arm", "warned": "never"}, "choose 'keep' or 'drop'"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(
    study: pd.DataFrame, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ResultsError, match=message):
        report_data(study, **settings)


def test_unknown_columns_and_outcomes_are_named(study: pd.DataFrame) -> None:
    with pytest.raises(UnknownColumnError, match="Did you mean 'arm'"):
        report_data(study, by="arms")
    with pytest.raises(UnknownColumnError, match="Did you mean 'mental_strain'"):
        report_data(study, by="arm", primary="mental_strian")
