"""Settings of the wrong kind are told in a sentence, before anything is opened or sent."""

from dataclasses import fields

import numpy as np
import pytest

from helios_research.errors import ConfigError
from helios_research.state.status import Rules
from helios_research.submission.options import SubmitOptions, SubmitSettings


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("rate", "10", "rate is '10', but must be a number above 0 (without quotation marks)."),
        ("rate", 0, "rate is 0, but must be a number above 0."),
        ("rate", float("nan"), "rate is nan, but must be a number above 0."),
        ("rate", True, "rate is True, but must be a number above 0."),
        ("max_in_flight", 2.5, "max_in_flight is 2.5, but must be a whole number from 1 on."),
        ("uploads", 2.5, "uploads is 2.5, but must be a whole number from 1 to 8."),
        ("uploads", 9, "uploads is 9, but must be a whole number from 1 to 8."),
        ("uploads", None, "uploads is None, but must be a whole number from 1 to 8."),
        ("poll_floor_s", float("inf"), "poll_floor_s is inf, but must be a number above 0."),
        ("preflight", "no", "preflight is 'no', but must be True or False (without quotation"),
        ("delete_data", 1, "delete_data is 1, but must be True or False."),
        (
            "internal_error_retries",
            -1,
            "internal_error_retries is -1, but must be a whole number from 0 on.",
        ),
    ],
)
def test_a_setting_of_the_wrong_kind_is_named_with_what_it_has_to_be(
    setting, value, sentence
) -> None:
    with pytest.raises(ConfigError) as raised:
        SubmitOptions(**{setting: value})
    assert str(raised.value).startswith(sentence)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rate": None, "max_in_flight": None},
        {"rate": 1, "uploads": 8, "internal_error_retries": 0},
        {"rate": np.float64(2.5), "max_in_flight": np.int64(3), "deadline_s": 0.5},
    ],
)
def test_numbers_of_any_library_are_numbers(settings) -> None:
    options = SubmitOptions(**settings)
    assert all(getattr(options, name) == value for name, value in settings.items())


def test_every_option_can_be_given_to_a_submission() -> None:
    assert SubmitSettings.__annotations__.keys() == {field.name for field in fields(SubmitOptions)}


def test_the_judge_is_told_what_concerns_it() -> None:
    assert SubmitOptions(preflight=False).rules == Rules(preflight=False)
    assert SubmitOptions(resend_changed=True).rules == Rules(resend_changed=True)
