"""The flow of recordings: nobody is lost without a reason, and the counts add up."""

from itertools import pairwise

import duckdb
import pandas as pd
import pytest

from helios_research.analysis import flow
from helios_research.errors import UnknownColumnError

STEPS = ["listed", "valid", "passed preflight", "sent", "scored", "without warning"]


@pytest.fixture
def every_way(make_results):
    """Give a recording for each way that it can go."""
    ways = [
        ("scored", None, True, None),
        ("scored", None, True, ["noisy"]),
        ("failed", "ERR_RECORDING_TOO_SHORT", True, None),
        ("failed", "HTTP_503", False, None),
        ("rejected", "HTTP_422", False, None),
        ("invalid", "INVALID_LANGUAGE", False, None),
        ("skipped", "ERR_RECORDING_TOO_LONG", False, None),
        ("lost", "RESULT_GONE", True, None),
        ("pending", None, False, None),
        ("pending", None, True, None),
    ]
    sent = pd.Timestamp("2026-01-01", tz="UTC")
    table = make_results([f"p{n}" for n in range(len(ways))])
    return table.assign(
        outcome=[way[0] for way in ways],
        error_code=pd.Series([way[1] for way in ways], dtype="str"),
        uploaded_at=[sent if way[2] else pd.NaT for way in ways],
        warnings=[way[3] for way in ways],
    )


def test_each_way_is_lost_at_its_step_for_its_reason(every_way):
    found = flow(every_way)
    lost = found[found["kind"] == "lost"]
    assert set(zip(lost["step"], lost["reason"], strict=True)) == {
        ("valid", "INVALID_LANGUAGE"),
        ("passed preflight", "ERR_RECORDING_TOO_LONG"),
        ("sent", "HTTP_422"),
        ("sent", "HTTP_503"),
        ("sent", "pending"),
        ("scored", "ERR_RECORDING_TOO_SHORT"),
        ("scored", "RESULT_GONE"),
        ("scored", "pending"),
        ("without warning", "scored with a warning"),
    }
    remaining = found[found["kind"] == "remaining"]
    assert remaining["step"].tolist() == STEPS
    assert remaining["recordings"].tolist() == [10, 9, 8, 5, 2, 1]
    assert remaining["participants"].tolist() == [10, 9, 8, 5, 2, 1]


def test_losses_and_what_remains_add_up_at_every_step(study):
    found = flow(study)
    remaining = found[found["kind"] == "remaining"].set_index("step")["recordings"]
    lost = found[found["kind"] == "lost"].groupby("step")["recordings"].sum()
    for before, step in pairwise(STEPS):
        assert remaining[before] - lost.get(step, 0) == remaining[step]
    assert remaining["listed"] == len(study)
    assert remaining["scored"] == (study["outcome"] == "scored").sum()


def test_a_participant_is_lost_only_with_their_last_recording(every_way):
    table = every_way.assign(user_label=["a"] * 5 + ["b", "b"] + ["a"] * 3)
    found = flow(table).set_index(["step", "kind"]).sort_index()
    assert found.loc[("listed", "remaining"), "participants"].item() == 2
    assert found.loc[("valid", "lost"), "participants"].item() == 0
    assert found.loc[("passed preflight", "lost"), "participants"].item() == 1
    assert found.loc[("passed preflight", "remaining"), "participants"].item() == 1


def test_without_times_the_outcome_says_whether_audio_was_sent(every_way):
    table = every_way.drop(columns=["uploaded_at", "warnings", "error_code"])
    found = flow(table)
    remaining = found[found["kind"] == "remaining"]["recordings"].tolist()
    assert remaining == [10, 9, 8, 5, 2, 2]
    assert "failed" in set(found["reason"])


def test_recordings_under_way_are_mentioned(every_way):
    assert flow(every_way).attrs["warnings"] == ["2 recordings have not ended yet."]
    pending = every_way[every_way["outcome"] == "pending"]
    assert flow(pending.head(1)).attrs["warnings"] == ["1 recording has not ended yet."]


def test_no_rows_flow_as_zeros(study):
    found = flow(study.iloc[:0])
    assert found["kind"].tolist() == ["remaining"] * 6
    assert (found[["recordings", "participants"]] == 0).all(axis=None)


def test_a_table_that_is_no_results_table_is_refused():
    with pytest.raises(UnknownColumnError, match="no column 'outcome'"):
        flow(pd.DataFrame({"user_label": ["a"]}))


def test_every_step_and_reason_is_what_duckdb_counts(study_path):
    reached = {
        "listed": "true",
        "valid": "outcome <> 'invalid'",
        "passed preflight": "outcome not in ('invalid', 'skipped')",
        "sent": "outcome not in ('invalid', 'skipped') and "
        "(uploaded_at is not null or outcome in ('lost', 'scored'))",
        "scored": "outcome = 'scored'",
        "without warning": "outcome = 'scored' and coalesce(len(warnings), 0) = 0",
    }
    found = flow(study_path)
    with duckdb.connect() as query:
        for before, step in pairwise([None, *reached]):
            counts = "select count(*), count(distinct user_label) from read_parquet($path) where "
            theirs = query.execute(counts + reached[step], {"path": str(study_path)}).fetchone()
            kept = found[(found["step"] == step) & (found["kind"] == "remaining")].iloc[0]
            assert (kept["recordings"], kept["participants"]) == theirs
            if before is None:
                continue
            lost = query.execute(
                "select case when outcome = 'scored' then 'scored with a warning' else "
                "coalesce(error_code, outcome::varchar) end as reason, count(*) "
                f"from read_parquet($path) where {reached[before]} and not ({reached[step]}) "
                "group by reason",
                {"path": str(study_path)},
            ).fetchall()
            ours = found[(found["step"] == step) & (found["kind"] == "lost")]
            assert dict(zip(ours["reason"], ours["recordings"], strict=True)) == dict(lost)
