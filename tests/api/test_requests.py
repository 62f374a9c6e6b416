"""What is sent about a recording."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from helios_research.api.models import RunRequest

FULL: dict[str, Any] = {
    "user_label": "P07",
    "date_of_birth": "1990-01-31",
    "birth_sex": "FEMALE",
    "language": "en-GB",
    "accent": "scottish",
    "recording_time": "2026-03-01T07:30",
    "sleep_time": "2026-02-28 23:10:00",
    "wake_time": "2026-03-01T06:55:30",
    "tags": {"visit": "2", "arm": "night"},
}


def test_the_record_is_the_body_that_the_contract_describes() -> None:
    assert RunRequest.model_validate(FULL).to_record() == {
        "user": {"userLabel": "P07", "dateOfBirth": "1990-01-31", "birthSex": "FEMALE"},
        "language": "en-GB",
        "accent": "scottish",
        "recordingTime": "2026-03-01T07:30:00",
        "sleepTime": "2026-02-28T23:10:00",
        "wakeTime": "2026-03-01T06:55:30",
        "tags": [{"name": "visit", "value": "2"}, {"name": "arm", "value": "night"}],
    }


def test_what_is_not_given_is_left_out_of_the_record() -> None:
    needed = ("user_label", "date_of_birth", "birth_sex", "language")
    record = RunRequest.model_validate({name: FULL[name] for name in needed}).to_record()
    assert set(record) == {"user", "language"}


def test_a_request_is_the_same_after_it_was_kept_as_a_record() -> None:
    request = RunRequest.model_validate(FULL)
    assert RunRequest.from_record(request.to_record()) == request


@given(
    label=st.text(min_size=1, max_size=50),
    born=st.dates(min_value=date(1900, 1, 1)),
    tags=st.dictionaries(st.text(min_size=1), st.text(), max_size=20),
)
def test_any_text_survives_being_kept(label: str, born: date, tags: dict[str, str]) -> None:
    request = RunRequest(
        user_label=label, date_of_birth=born, birth_sex="UNKNOWN", language="de", tags=tags
    )
    kept = RunRequest.from_record(request.to_record())
    assert kept == request
    assert kept.digest() == request.digest()
    # The ledgers of all versions hold digests of this text.
    record = request.to_record()
    record["tags"] = sorted(record.get("tags", []), key=lambda tag: tag["name"])
    record = {name: value for name, value in record.items() if value}
    expected = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert request.canonical() == expected


def test_the_digest_does_not_depend_on_order_or_on_how_a_time_is_written() -> None:
    other = FULL | {
        "tags": {"arm": "night", "visit": "2"},
        "recording_time": "2026-03-01 07:30:00",
    }
    assert RunRequest.model_validate(FULL).digest() == RunRequest.model_validate(other).digest()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("user_label", "P08"),
        ("date_of_birth", "1990-02-01"),
        ("birth_sex", "MALE"),
        ("language", "en-US"),
        ("accent", None),
        ("recording_time", "2026-03-01T07:31"),
        ("sleep_time", None),
        ("wake_time", "2026-03-01T06:55:31"),
    ],
)
def test_a_change_in_any_column_changes_the_digest_and_is_named(
    column: str, value: str | None
) -> None:
    before, after = (
        RunRequest.model_validate(FULL),
        RunRequest.model_validate(FULL | {column: value}),
    )
    assert before.digest() != after.digest()
    assert list(before.differences(after)) == [column]


def test_a_changed_tag_is_named_by_the_tags_own_name() -> None:
    before = RunRequest.model_validate(FULL)
    after = RunRequest.model_validate(FULL | {"tags": {"visit": "3", "arm": "night", "site": ""}})
    assert before.differences(after) == {"visit": ("2", "3"), "site": (None, "")}


def test_a_difference_is_worded_with_both_values() -> None:
    before = RunRequest.model_validate(FULL)
    after = RunRequest.model_validate(FULL | {"date_of_birth": "1991-01-31", "accent": None})
    assert before.describe_difference(after) == (
        "date_of_birth was 1990-01-31 and is now 1991-01-31; "
        "accent was scottish and is now not given"
    )
    assert before.describe_difference(before) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_label": ""},
        {"user_label": "x" * 51},
        {"user_label": 7},
        {"date_of_birth": "31.01.1990"},
        {"date_of_birth": 19900131},
        {"birth_sex": "F"},
        {"language": ""},
        {"recording_time": "2026-03-01T07:30Z"},
        {"recording_time": "2026-03-01"},
        {"sleep_time": 1_700_000_000},
        {"tags": {"": "1"}},
        {"tags": {"visit": 2}},
        {"tags": {f"t{i}": "" for i in range(21)}},
        {"gender": "FEMALE"},
    ],
    ids=str,
)
def test_a_value_that_cannot_be_right_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunRequest.model_validate(FULL | wrong)


def test_neither_the_repr_nor_an_error_shows_when_somebody_was_born() -> None:
    assert "1990" not in repr(RunRequest.model_validate(FULL))
    with pytest.raises(ValidationError) as caught:
        RunRequest.model_validate(FULL | {"date_of_birth": "31.01.1990"})
    assert "31.01.1990" not in str(caught.value)
