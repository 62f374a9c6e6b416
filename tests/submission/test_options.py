"""Options of the wrong kind are named in a sentence, before anything is opened or sent."""

import inspect
import re

import numpy as np
import pytest
from pydantic import ValidationError

import helios_research as hr
from helios_research.errors import ConfigError
from helios_research.submission import SubmitOptions


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("rate", "10", "a number above 0 (without quotation marks)."),
        ("rate", 0, "a number above 0."),
        ("rate", float("nan"), "a number above 0."),
        ("rate", True, "a number above 0."),
        ("max_in_flight", 2.5, "a whole number of at least 1."),
        ("max_in_flight", True, "a whole number of at least 1."),
        ("uploads", 2.5, "a whole number from 1 to 8."),
        ("uploads", 9, "a whole number from 1 to 8."),
        ("uploads", None, "a whole number from 1 to 8."),
        ("poll_floor_s", float("inf"), "a number above 0."),
        ("preflight", "no", "True or False (without quotation marks)."),
        ("delete_data", 1, "True or False."),
        ("internal_error_retries", -1, "a whole number of at least 0."),
        ("stop_at_error_rate", 0, "a number above 0 and up to 1, or None."),
        ("stop_at_error_rate", 90, "a number above 0 and up to 1, or None."),
    ],
)
def test_an_option_of_the_wrong_kind_is_named_with_what_it_has_to_be(
    setting, value, expected
) -> None:
    with pytest.raises(ConfigError) as raised:
        SubmitOptions(**{setting: value})
    assert str(raised.value).startswith(f"{setting} is {value!r}, but must be ")
    assert str(raised.value).endswith(expected)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rate": None, "max_in_flight": None, "stop_at_error_rate": None},
        {"rate": 1, "uploads": 8, "internal_error_retries": 0},
        {"rate": np.float64(2.5), "max_in_flight": np.int64(3), "deadline_s": 0.5},
        {"rate": np.float32(2.5), "preflight": np.bool_(False)},
    ],
)
def test_numbers_of_any_library_are_numbers(settings) -> None:
    options = SubmitOptions(**settings)
    assert all(getattr(options, name) == value for name, value in settings.items())


def test_an_option_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(TypeError, match="A submission has no option 'rat'"):
        SubmitOptions(rat=1)


def test_options_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError):
        SubmitOptions().rate = 3.0


@pytest.mark.parametrize("method", [hr.Study.submit, hr.Study.start])
def test_every_option_is_written_out_as_a_keyword_with_its_default(method) -> None:
    keywords = inspect.signature(method).parameters
    defaults = {name: keywords[name].default for name in SubmitOptions.model_fields}
    assert defaults == SubmitOptions().model_dump()
    assert all(re.search(rf"\n        (\w+, )*{name}\b", method.__doc__) for name in defaults)
