"""Answers read as columns are what each of them is when it is read alone."""

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_research._util import arrow
from helios_research.api.models import flatten_result
from helios_research.results.table import ANSWER, IS_READABLE, read_answers

SECTION = {
    "startSecs": 0.0,
    "finishSecs": 31.5,
    "transcript": "what was said",
    "mentalStrain": {"value": 0.7212345678901234},
    "stress": {"value": 0.66, "confidence": 1},
    "calmness": {"value": 0.1},
}
WHOLE = {
    "id": "run-1",
    "status": "COMPLETE_OK",
    "warnings": ["quiet"],
    "runAt": "2026-11-22T12:00:03.25Z",
    "completedAt": "2026-11-22T13:00:09+01:00",
    "results": {"sections": [SECTION]},
}
STRANGE = st.one_of(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    st.sampled_from(
        [
            [],
            {},
            [None],
            [{}],
            {"value": None},
            {"value": "0.5"},
            {"value": 0.5},
            {"value": 1.7},
            "\ud800",
            "x" * 501,
        ]
    ),
    st.sampled_from([10**400, 1e308, "2026-11-22", "1767000000", "2026-11-22T12:00:00.1234567Z"]),
    st.sampled_from([{"sections": []}, {"sections": [SECTION, SECTION]}, {"sections": [None]}]),
)
CHANGES = st.lists(
    st.tuples(st.sampled_from([(), ("results", "sections", 0)]), st.integers(0, 6), STRANGE),
    max_size=2,
)


@st.composite
def answers(draw: st.DrawFn) -> str:
    answer: Any = copy.deepcopy(WHOLE)
    for path, number, value in draw(CHANGES):
        place = answer
        try:
            for step in path:
                place = place[step]
            place[list(place)[number % len(place)]] = copy.deepcopy(value)
        except (LookupError, TypeError, ZeroDivisionError):
            continue  # an earlier change has taken the place away
    return json.dumps(answer)


def alone(body: str) -> dict[str, Any]:
    try:
        row = flatten_result(body)
    except ValueError:
        return dict.fromkeys(ANSWER) | {IS_READABLE: False}
    return {name: row[name] for name in ANSWER} | {IS_READABLE: True}


def together(*bodies: str) -> list[dict[str, Any]]:
    rows = read_answers(enumerate(bodies, start=7)).to_pylist()
    assert [row.pop("attempt_id") for row in rows] == list(range(7, 7 + len(bodies)))
    return [row | {"warnings": row["warnings"] or []} if row[IS_READABLE] else row for row in rows]


@settings(deadline=None)
@given(st.lists(answers(), max_size=5))
def test_answers_together_are_what_each_is_alone(bodies: list[str]) -> None:
    assert together(*bodies) == [alone(body) for body in bodies]


def test_one_unusual_answer_leaves_the_many_usual_ones_as_they_are() -> None:
    usual, odd = json.dumps(WHOLE), json.dumps(WHOLE | {"id": 17, "warnings": [None, "quiet"]})
    bodies = [usual] * 100
    bodies[61] = odd
    assert together(*bodies) == [alone(body) for body in bodies]


def test_usual_answers_are_read_without_looking_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helios_research.results.table.flatten_result", None)
    (row,) = together(json.dumps(WHOLE))
    assert (row["mental_strain"], row["stress"], row["distress"]) == (
        0.7212345678901234,
        0.66,
        None,
    )
    assert (row["n_sections"], row["sections"], row["warnings"]) == (1, None, ["quiet"])
    assert row["run_at"] == datetime(2026, 11, 22, 12, 0, 3, 250_000, UTC)
    assert row["completed_at"] == datetime(2026, 11, 22, 12, 0, 9, tzinfo=UTC)
    assert (row["finish_secs"], row["transcript"]) == (31.5, "what was said")


@pytest.mark.parametrize("body", ["null", "[]", "1", "{}", "{", '{"a":1}{"a":2}', "", "not JSON"])
def test_what_is_no_answer_is_unreadable(body: str) -> None:
    assert [row[IS_READABLE] for row in together(body, json.dumps(WHOLE))] == [False, True]


def test_answers_in_many_batches_are_all_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "_ROWS_IN_A_BATCH", 2)
    assert [row["stress"] for row in together(*[json.dumps(WHOLE)] * 5)] == [0.66] * 5
    assert together() == []
