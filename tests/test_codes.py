"""Every error code that a recording can end with."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from helios_research import codes
from helios_research.codes import HeliosCode, explain

OURS = sorted(
    {
        value
        for name, value in vars(codes).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    }
)


def test_helios_codes_are_those_of_the_contract(request: pytest.FixtureRequest) -> None:
    contract = yaml.safe_load((request.config.rootpath / "tests/openapi.yaml").read_text())
    assert set(HeliosCode) == set(contract["components"]["schemas"]["ErrorCode"]["enum"])


@pytest.mark.parametrize("code", [*HeliosCode, *OURS])
def test_a_known_code_is_explained_in_its_own_words(code: str) -> None:
    explanation = explain(code)
    others = [explain(other) for other in [*HeliosCode, *OURS, "ERR_NEW"] if other != code]
    assert explanation not in others
    assert explanation.meaning.endswith((".", ")."))
    assert explanation.remedy.endswith(".")


@given(st.one_of(st.text(), st.text().map("HTTP_{}".format), st.text().map("INVALID_{}".format)))
def test_any_text_is_explained(code: str) -> None:
    explanation = explain(code)
    assert explanation.meaning
    assert explanation.remedy


def test_an_unknown_code_says_that_it_is_unknown() -> None:
    assert explain("ERR_NEW").meaning == "An error code that this version does not know."


def test_a_row_that_was_not_sent_names_the_column() -> None:
    assert explain("INVALID_DATE_OF_BIRTH").meaning == (
        "The manifest's date_of_birth cannot be used."
    )


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("HTTP_422", "Helios did not accept the metadata of this recording."),
        ("HTTP_503", "The service answered 503 Service Unavailable."),
        ("HTTP_599", "The service answered 599."),
    ],
)
def test_a_status_is_explained_with_its_name(code: str, meaning: str) -> None:
    assert explain(code).meaning == meaning
