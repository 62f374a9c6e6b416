"""The requests that a cohort's rows make are those of the model that is sent."""

import json
from collections.abc import Mapping

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

import helios_research as hr
from helios_research.api.models import RunRequest, digest_of
from helios_research.columns import MANIFEST
from helios_research.state.rows import RowRequests, rows_of

FIELDS = [column.name for column in MANIFEST if column.name != "recording"]
TIMES = ["2026-01-31T23:15", "2026-01-31 23:15:00", "2026-01-31T23:15:00.250000", "", "soon"]
CELLS: Mapping[str, list[str]] = {
    "user_label": ["P1", "Zoë \u202e\"'\\", "p" * 51, "", "日本\U0001f600"],
    "date_of_birth": ["1990-05-17", "2000-02-29", "1990-02-30", ""],
    "birth_sex": ["FEMALE", "m", "Unknown", "x", ""],
    "language": ["en-GB", "de", "no such", ""],
    "accent": ["Scottish", "", 'a "b"'],
    **dict.fromkeys(("recording_time", "sleep_time", "wake_time"), TIMES),
    "arm": ["active", "", "0", "täglich\n"],
    "visit": ["1", ""],
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.sampled_from(cells) for name, cells in CELLS.items()}),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(ROWS, st.sampled_from([(), ("arm",), ("visit", "arm")]))
def test_rows_written_together_are_what_the_model_writes_of_each(rows, tags) -> None:
    table = pd.DataFrame(rows).assign(recording=[f"{n}.wav" for n in range(len(rows))])
    cohort = hr.Cohort.from_frame(table, tags=tags)
    made = rows_of(cohort)
    for row, valid in zip(made, valid_rows(cohort), strict=True):
        fields = cohort.fields.loc[row.position, FIELDS].dropna().to_dict()
        values = cohort.tag_values.loc[row.position].dropna().to_dict()
        asked = RunRequest.model_validate(fields | {"tags": values}) if valid else None
        assert row.request_text == (asked and asked.canonical())
        assert row.digest == (asked and digest_of(asked.canonical()))
        assert row.request == asked
        assert (row.rejection is None) or not valid or row.rejection.error_code == NO_FILE
    assert RowRequests(cohort).digests().to_pylist() == [row.digest for row in made]


NO_FILE = "INVALID_RECORDING"


def valid_rows(cohort: hr.Cohort) -> list[bool]:
    """Whether nothing but its file keeps a row from making a request; there are no files here."""
    codes = cohort.rejections()["error_code"]
    return [codes.get(position) in {None, NO_FILE} for position in range(len(cohort))]


def test_text_and_digest_of_a_request_belong_together() -> None:
    table = pd.DataFrame(
        [{name: cells[0] for name, cells in CELLS.items()} | {"recording": "a.wav"}]
    )
    (row,) = rows_of(hr.Cohort.from_frame(table, tags=["visit", "arm"]))
    assert row.request_text is not None
    assert row.digest == digest_of(row.request_text)
    assert json.loads(row.request_text)["tags"] == [
        {"name": "arm", "value": "active"},
        {"name": "visit", "value": "1"},
    ]
