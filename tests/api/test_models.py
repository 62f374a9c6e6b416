"""What is sent about a recording, what Helios answers, and how much of that can be odd."""

import copy
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic.alias_generators import to_camel, to_snake

from helios_research.api.models import (
    Account,
    CreatedRun,
    ModelRun,
    RunRequest,
    flatten_result,
    without_transcripts,
)
from helios_research.columns import BIOMARKERS, RESULTS_BY_NAME

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
    assert kept.canonical() == request.canonical()
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
    assert (
        RunRequest.model_validate(FULL).canonical() == RunRequest.model_validate(other).canonical()
    )


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
    assert before.canonical() != after.canonical()
    changed = before.describe_difference(after)
    assert changed.startswith(f"{column} was ")
    assert ";" not in changed


def test_a_changed_tag_is_named_by_the_tags_own_name() -> None:
    before = RunRequest.model_validate(FULL)
    after = RunRequest.model_validate(FULL | {"tags": {"visit": "3", "arm": "night", "site": ""}})
    assert before.describe_difference(after) == (
        "visit was 2 and is now 3; site was not given and is now empty"
    )


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


SECTION = {
    "startSecs": 0.0,
    "finishSecs": 33.2,
    "transcript": "what was said",
    "mentalStrain": {"value": 0.41},
    "distress": {"value": 0.33},
    "stress": {"value": 0.66},
    "exhaustion": {"value": 1.0},
    "sleepPropensity": {"value": 0},
    "lowSelfEsteem": {"value": 0.33},
    "uniformDistress": {"value": 0.3},
    "uniformStress": {"value": 0.6},
    "uniformExhaustion": {"value": 0.9},
    "uniformSleepPropensity": {"value": 0.1},
    "uniformLowSelfEsteem": {"value": 0.2},
}
SCORED: dict[str, Any] = {
    "id": "6f0f7a0e-2f5c-4b8e-9d55-0d9d8b1c1d11",
    "createdAt": "2026-11-22T10:00:00Z",
    "status": "COMPLETE_OK",
    "userLabel": "P07",
    "deleteData": False,
    "runAt": "2026-11-22T11:00:05.5+01:00",
    "completedAt": "2026-11-22T10:00:30",
    "errorCode": None,
    "errorReason": None,
    "warnings": ["background noise"],
    "results": {"sections": [SECTION]},
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def changed(**fields: Any) -> dict[str, Any]:
    return copy.deepcopy(SCORED) | fields


def test_a_scored_run_gives_every_biomarker_by_our_names() -> None:
    row = flatten_result(SCORED)
    assert {name: row[name] for name in (marker.name for marker in BIOMARKERS)} == {
        "mental_strain": 0.41,
        "distress": 0.33,
        "stress": 0.66,
        "exhaustion": 1.0,
        "sleep_propensity": 0.0,
        "low_self_esteem": 0.33,
        "uniform_distress": 0.3,
        "uniform_stress": 0.6,
        "uniform_exhaustion": 0.9,
        "uniform_sleep_propensity": 0.1,
        "uniform_low_self_esteem": 0.2,
    }
    assert (row["n_sections"], row["start_secs"], row["finish_secs"]) == (1, 0.0, 33.2)
    assert (row["transcript"], row["warnings"]) == ("what was said", ["background noise"])
    assert row["sections"] is None


def test_a_flat_row_has_columns_of_the_results_and_the_status() -> None:
    assert set(flatten_result(SCORED)) - {"status"} <= set(RESULTS_BY_NAME)


def test_times_are_utc_whatever_zone_they_came_in() -> None:
    run = ModelRun.read(SCORED)
    assert run.run_at == datetime(2026, 11, 22, 10, 0, 5, 500_000, UTC)
    assert run.completed_at == datetime(2026, 11, 22, 10, 0, 30, tzinfo=UTC)
    assert {run.created_at.tzinfo, run.run_at.tzinfo, run.completed_at.tzinfo} == {UTC}


def test_text_and_the_object_read_from_it_give_the_same_row() -> None:
    text = json.dumps(SCORED)
    assert flatten_result(text) == flatten_result(text.encode()) == flatten_result(SCORED)


def test_the_minimum_of_an_answer_is_an_id_and_a_status() -> None:
    run = ModelRun.read({"id": "1", "status": "RUNNING"})
    assert not run.is_complete
    assert run.sections == ()
    assert flatten_result({"id": "1", "status": "RUNNING"})["n_sections"] == 0


def test_an_unknown_status_is_kept_and_counts_as_under_way() -> None:
    run = ModelRun.read(changed(status="QUEUED_TWICE", results=None))
    assert run.status == "QUEUED_TWICE"
    assert not run.is_complete


def test_an_unknown_error_code_is_kept() -> None:
    run = ModelRun.read(changed(status="COMPLETE_ERROR", errorCode="ERR_NEW", results=None))
    assert run.is_complete
    assert run.error_code == "ERR_NEW"


def test_unknown_fields_do_no_harm() -> None:
    odd = copy.deepcopy(SCORED) | {"billing": {"units": 3}}
    odd["results"]["sections"][0]["calmness"] = {"value": 0.5}
    assert flatten_result(odd) == flatten_result(SCORED)


@pytest.mark.parametrize("missing", ["warnings", "results", "createdAt", "deleteData", "runAt"])
def test_what_is_null_or_missing_is_none_and_the_rest_stays(missing: str) -> None:
    null, absent = changed(**{missing: None}), changed()
    del absent[missing]
    assert flatten_result(null) == flatten_result(absent)
    assert flatten_result(null)["model_run_id"] == SCORED["id"]


@pytest.mark.parametrize(
    ("field", "value", "column", "expected"),
    [
        ("createdAt", "yesterday", "created_at", None),
        ("createdAt", "0001-01-01T00:00:00+05:00", "created_at", None),
        ("createdAt", 10**30, "created_at", None),
        ("warnings", "noise", "warnings", []),
        ("warnings", ["noise", {"code": 1}, None], "warnings", ["noise"]),
        ("errorReason", {"why": "x"}, "error_reason", None),
        ("errorCode", 17, "error_code", "17"),
        ("deleteData", "perhaps", "mental_strain", 0.41),
        ("results", [1, 2], "n_sections", 0),
        ("results", {"sections": {"0": 1}}, "n_sections", 0),
        ("results", {"sections": [SECTION, 3]}, "mental_strain", 0.41),
    ],
)
def test_a_value_of_the_wrong_type_is_left_out_and_the_rest_stays(
    field: str, value: object, column: str, expected: object
) -> None:
    assert flatten_result(changed(**{field: value}))[column] == expected
    assert flatten_result(json.dumps(changed(**{field: value})))[column] == expected


@pytest.mark.parametrize("score", [None, {}, {"value": None}, {"value": "high"}, 0.5, [0.5]])
def test_a_score_that_is_no_score_is_none_and_the_others_stay(score: object) -> None:
    odd = copy.deepcopy(SCORED)
    odd["results"]["sections"][0]["stress"] = score
    row = flatten_result(odd)
    assert row["stress"] is None
    assert (row["distress"], row["n_sections"]) == (0.33, 1)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_score_that_is_no_finite_number_is_none(number: str) -> None:
    row = flatten_result(json.dumps(SCORED).replace("0.41", number))
    assert row["mental_strain"] is None
    assert row["stress"] == 0.66


def with_scores(**scores: object) -> dict[str, Any]:
    return changed(results={"sections": [SECTION | scores]})


@pytest.mark.parametrize(
    ("value", "read"),
    [(1, 1.0), (0, 0.0), ("0.66", 0.66), (" 0.33 ", 0.33), ("1", 1.0), (0.66, 0.66)],
    ids=repr,
)
@pytest.mark.parametrize("wire", ["stress", "uniformStress"])
def test_a_score_that_can_be_read_without_doubt_is_read(
    value: object, read: float, wire: str
) -> None:
    raw = with_scores(**{wire: {"value": value}})
    for row in (flatten_result(raw), flatten_result(json.dumps(raw))):
        assert row[to_snake(wire)] == read
        assert isinstance(row[to_snake(wire)], float)
    assert ModelRun.read(raw).problem is None
    assert flatten_result(raw)["warnings"] == ["background noise"]


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        *[
            ("uniformStress", value)
            for value in (1.01, -0.01, True, "0,66", "", "NaN", "high", [1])
        ],
        *[("stress", value) for value in (0.5, 0.67, 2, True, "0.5", {"value": 0.33})],
    ],
    ids=repr,
)
def test_a_score_that_can_be_none_is_left_out_with_a_warning(wire: str, value: object) -> None:
    row = flatten_result(with_scores(**{wire: {"value": value}}))
    assert row[to_snake(wire)] is None
    assert row["mental_strain"] == 0.41
    assert row["warnings"] == [
        "background noise",
        f"Left out: no score can be what it has for {to_snake(wire)}.",
    ]


NO_SCORES = {"startSecs": 0.0, "finishSecs": 33.2, "transcript": "what was said"}
IMPOSSIBLE = NO_SCORES | {"stress": {"value": 0.5}, "mentalStrain": {"value": 1.5}}
EVERY = {to_camel(marker.name): {"value": None} for marker in BIOMARKERS}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"results": {"sections": [NO_SCORES | {"stress": {"value": 0.33}}]}}, None),
        ({"results": {"sections": [NO_SCORES, SECTION]}}, None),
        ({"results": None}, "there is no score in it"),
        ({"results": {}}, "there is no score in it"),
        ({"results": {"sections": []}}, "there is no score in it"),
        ({"results": {"sections": [NO_SCORES]}}, "there is no score in it"),
        ({"results": {"sections": [EVERY]}}, "there is no score in it"),
        (
            {"results": {"sections": [IMPOSSIBLE]}},
            "no score can be what it has for mental_strain, stress",
        ),
        ({"errorCode": "ERR_NEW"}, "it has the status COMPLETE_OK and the error ERR_NEW"),
        ({"status": "COMPLETE_ERROR"}, "it says that the run failed, and not why"),
        ({"status": "COMPLETE_ERROR", "errorCode": "ERR_NEW"}, None),
    ],
)
def test_it_is_said_why_nothing_of_a_finished_run_can_be_used(
    changes: dict[str, Any], problem: str | None
) -> None:
    assert ModelRun.read(changed(**changes)).problem == problem


def test_several_sections_are_listed_and_the_scalar_scores_are_none() -> None:
    second = SECTION | {"startSecs": 33.2, "finishSecs": 60.0, "stress": {"value": 0.0}}
    row = flatten_result(changed(results={"sections": [SECTION, second]}))
    assert row["n_sections"] == 2
    assert {row[marker.name] for marker in BIOMARKERS} == {None}
    assert (row["start_secs"], row["finish_secs"], row["transcript"]) == (None, None, None)
    assert [section["stress"] for section in row["sections"]] == [0.66, 0.0]
    assert [section["start_secs"] for section in row["sections"]] == [0.0, 33.2]


@pytest.mark.parametrize("missing", ["id", "status"])
def test_an_answer_without_id_or_status_is_none(missing: str) -> None:
    for value in (None, "", [], {"a": 1}):
        with pytest.raises(ValidationError):
            ModelRun.read(changed(**{missing: value}))


@given(
    st.dictionaries(st.sampled_from([*SCORED, "other"]), ANYTHING),
    st.dictionaries(st.sampled_from([*SECTION, "other"]), ANYTHING),
)
def test_nothing_but_id_and_status_can_make_an_answer_unreadable(
    fields: dict[str, Any], scores: dict[str, Any]
) -> None:
    odd = (
        changed(results={"sections": [SECTION | scores]}, **fields)
        if "results" not in fields
        else (changed(**fields))
    )
    row = flatten_result(odd | {"id": "1", "status": "COMPLETE_OK"})
    assert (row["model_run_id"], row["status"]) == ("1", "COMPLETE_OK")
    numbers = [row[marker.name] for marker in BIOMARKERS]
    assert all(number is None or isinstance(number, float) for number in numbers)


def test_a_hundred_thousand_wrong_values_cost_no_more_than_a_moment() -> None:
    """Each is found once: with the square of them this would not end within the test's time."""
    assert flatten_result(changed(warnings=[{}] * 100_000 + ["noise"]))["warnings"] == ["noise"]


def test_transcripts_are_taken_out_at_any_depth_under_any_name() -> None:
    raw = changed(
        results={"sections": [SECTION | {"transcriptWords": ["what"]}], "Transcript": "x"}
    )
    clean = without_transcripts(raw)
    assert "what" not in json.dumps(clean)
    assert "ranscript" not in json.dumps(clean)
    assert flatten_result(clean) == flatten_result(SCORED) | {"transcript": None}
    assert raw["results"]["Transcript"] == "x"  # the original is left as it was


def test_an_account_may_have_no_features() -> None:
    assert Account.read({"id": "lab", "features": None}).id == "lab"


def test_an_upload_url_is_not_in_the_repr() -> None:
    created = CreatedRun.read({"id": "1", "recordingUploadUrl": "https://up/x?signature=s3cret"})
    assert "s3cret" not in repr(created)
    assert created.recording_upload_url.endswith("s3cret")


@pytest.mark.parametrize("run_id", [7, "run:7", "urn:uuid:x", "a/b?c", "..", "läuft", "x" * 500])
def test_a_run_id_of_any_form_is_taken_as_it_comes(run_id: str | int) -> None:
    raw = {"id": run_id, "recordingUploadUrl": "https://up/x", "status": "RUNNING"}
    assert CreatedRun.read(raw).id == ModelRun.read(raw).id == str(run_id)


@pytest.mark.parametrize("run_id", ["", None, True, ["7"], {"id": "7"}, "x" * 501])
def test_what_cannot_be_an_id_is_not_read(run_id: object) -> None:
    with pytest.raises(ValidationError):
        CreatedRun.read({"id": run_id, "recordingUploadUrl": "https://up/x"})
