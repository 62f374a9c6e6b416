"""What was excluded, and at which step recordings and participants were lost."""

from itertools import pairwise

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from helios_research.analysis import attrition, exclude, flow
from helios_research.analysis.flow import adds_up
from helios_research.errors import ResultsError, UnknownColumnError
from helios_research.results.files import to_arrow, write_parquet

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


def assert_adds_up(found):
    """What was there before, and was added, is what is lost and what remains."""
    for _, own in found.groupby("group"):
        remaining = own[own["kind"] == "remaining"].set_index("step")
        for before, step in pairwise(remaining.index):
            for column in ("recordings", "participants"):
                here = own[own["step"] == step].groupby("kind")[column].sum()
                left = here.get("lost", 0) + remaining.loc[step, column]
                assert remaining.loc[before, column] + here.get("added", 0) == left


OUTCOMES = ["scored", "failed", "rejected", "invalid", "skipped", "lost", "pending", None]
ROWS = st.tuples(
    st.sampled_from(["a", "b", "c", "d", None]),
    st.sampled_from(OUTCOMES),
    st.sampled_from([None, "ERR_INTERNAL", "HTTP_503"]),
    st.sampled_from(["1", "2", None]),
    st.booleans(),
    st.sampled_from([None, "ill", "test"]),
)
ARMS = {"a": "x", "b": "x", "c": "y", "d": None}


@settings(deadline=None, max_examples=settings().max_examples // 3)
@given(
    rows=st.lists(ROWS, max_size=20),
    expected=st.none()
    | st.integers(1, 4)
    | st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("123")), min_size=1),
)
def test_the_numbers_of_any_flow_add_up(rows, expected):
    columns = ["user_label", "outcome", "error_code", "visit", "sent", "excluded_because"]
    table = pd.DataFrame(rows, columns=columns)
    table["arm"] = table["user_label"].map(ARMS)
    times = [pd.Timestamp("2026-01-01") if row[4] else pd.NaT for row in rows]
    table["uploaded_at"] = pd.Series(times, dtype="datetime64[us]")
    if isinstance(expected, list):
        expected = pd.DataFrame(expected, columns=["user_label", "visit"])
        known = table["user_label"].dropna()
        assume(known.empty or expected["user_label"].isin(known).any())
    whole, split = flow(table, expected=expected), flow(table, by="arm", expected=expected)
    assert_adds_up(whole)
    assert_adds_up(split)
    assert "Checked: at each step" in whole.attrs["method"]
    numbers = ["recordings", "participants"]
    kept = [
        one[one["kind"] == "remaining"].groupby("step")[numbers].sum() for one in (whole, split)
    ]
    if len(table):
        pd.testing.assert_frame_equal(kept[0], kept[1])
    listed = whole.query("step == 'listed' and kind == 'remaining'")["recordings"].item()
    assert listed == len(table)


def test_a_recording_without_an_outcome_is_lost_for_that_reason(study):
    """It is counted where scores are missing, so that the numbers of the flow add up."""
    table = study.head(30).assign(outcome=study["outcome"].head(30).astype(object))
    scored = table.index[table["outcome"] == "scored"][0]
    table.loc[scored, ["outcome", "error_code"]] = None
    found = flow(table)
    remaining = found[found["kind"] == "remaining"].set_index("step")["recordings"]
    lost = found[(found["kind"] == "lost") & (found["step"] == "scored")]
    assert lost.set_index("reason")["recordings"]["no outcome"] == 1
    assert remaining["sent"] - lost["recordings"].sum() == remaining["scored"]


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
    assert flow(study.iloc[:0], by="arm", expected=3)["group"].unique().tolist() == [
        "all participants"
    ]
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


def test_a_flow_with_a_wrong_number_does_not_add_up(study):
    found = flow(study, by="arm", expected=12)
    assert adds_up(found)
    for place, column in ((3, "recordings"), (4, "recordings"), (4, "participants")):
        wrong = found.copy()
        wrong.loc[place, column] += 1
        assert not adds_up(wrong)


def test_a_participant_lost_for_several_reasons_is_counted_once(make_results):
    table = make_results(list("aaab"), mental_strain=0.5)
    table["outcome"] = ["failed", "failed", "failed", "scored"]
    table["error_code"] = ["ERR_ONE", "ERR_ONE", "ERR_OTHER", None]
    lost = flow(table).query("kind == 'lost'").set_index("reason")["participants"]
    assert lost.to_dict() == {"ERR_ONE": 1, "ERR_OTHER": 0}


def test_those_lost_are_compared_with_those_who_remain(make_results):
    """The formula of the standardized difference, in age and in the share of a sex."""
    ages = np.array([30.0, 40.0, 50.0, 60.0, 70.0])
    table = make_results(list("abcde"), birth_sex=["F", "female", "M", "M", "M"])
    born = pd.Timestamp("2026-01-01") - pd.to_timedelta(ages * 365.2425, "D")
    table = table.assign(date_of_birth=born.strftime("%Y-%m-%d"), recording_time="2026-01-01T08:00")
    table.loc[[3, 4], "outcome"] = "failed"
    kept = flow(table).query("kind == 'remaining'").set_index("step")
    spread = np.sqrt((np.var([30, 40, 50], ddof=1) + np.var([60, 70], ddof=1)) / 2)
    assert kept.loc["scored", "smd_age"] == pytest.approx(25 / spread, abs=0.01)
    share = 2 / 3
    apart = share / np.sqrt(share * (1 - share) / 2)
    assert kept.loc["scored", "smd_birth_sex"] == pytest.approx(apart)
    assert kept.drop(index="scored")["smd_age"].isna().all()
    one = flow(table.iloc[:4]).query("kind == 'remaining'").set_index("step")
    assert one.loc["scored", ["smd_age", "smd_birth_sex"]].isna().all()


def test_the_flow_of_each_arm_is_that_of_its_recordings(study):
    found = flow(study, by="arm")
    for arm, part in found.groupby("group"):
        alone = flow(study[study["arm"] == arm])
        pd.testing.assert_frame_equal(
            part.drop(columns="group").reset_index(drop=True), alone.drop(columns="group")
        )


def test_withdrawn_participants_are_counted_from_the_file(study, tmp_path):
    path = tmp_path / "results.parquet"
    write_parquet(to_arrow(study.head(3)), path, {"withdrawn": 2})
    assert "Not counted: 2 participants who withdrew." in flow(path).attrs["warnings"]


# --- exclusions -----------------------------------------------------------------------------------


def test_excluded_recordings_stay_and_are_lost_after_scored(study):
    short = study["speech_s"] < 15
    kept = exclude(exclude(study, short, "short"), study["site"] == "Leeds", "site closed")
    assert len(kept) == len(study)
    assert (kept["excluded_because"][short] == "short").all(), "the first reason stays"
    pd.testing.assert_frame_equal(kept.drop(columns="excluded_because"), study)
    found = flow(kept)
    assert_adds_up(found)
    lost = found[found["step"] == "included"].set_index("reason")["recordings"]
    scored = study["outcome"] == "scored"
    assert lost["excluded: short"] == (short & scored).sum()
    assert lost["excluded: site closed"] == ((study["site"] == "Leeds") & ~short & scored).sum()
    assert found[found["kind"] == "remaining"]["step"].tolist() == [
        *STEPS[:5],
        "included",
        STEPS[5],
    ]


def test_excluded_scores_count_nowhere(study):
    kept = exclude(study, (study["visit"] == "1").to_numpy(), "training")
    assert attrition(kept, "visit").query("level == '1'")["scored"].item() == 0
    assert attrition(kept, "visit").query("level == '1'")["recorded"].item() > 0


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ([True], "has 1 values for 3 recordings"),
        (pd.Series([True] * 3, index=[7, 8, 9]), "has another index than the results"),
        (pd.Series([True, None, False], dtype="boolean"), "neither true nor false for 1 recording"),
        (np.array([True, None, False], dtype=object), "neither true nor false for 1 recording"),
        ([0, 1, 1], "is not of true and false"),
        (["yes", "no", "no"], "is not of true and false"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(make_results, mask, said):
    with pytest.raises(ResultsError, match=said):
        exclude(make_results(list("abc")), mask, "ill")


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_an_exclusion_needs_a_reason(make_results, reason):
    with pytest.raises(ResultsError, match="The reason of an exclusion is empty"):
        exclude(make_results(list("ab")), [True, False], reason)


def test_nothing_can_be_excluded_from_nothing(make_results):
    assert exclude(make_results([]), [], "ill")["excluded_because"].tolist() == []


# --- expected visits ------------------------------------------------------------------------------


def test_recordings_that_never_happened_are_lost_before_the_first_step(three_visits):
    found = flow(three_visits, by="arm", expected=3)
    assert_adds_up(found)
    assert found.query("step == 'expected'")["recordings"].tolist() == [6, 6]
    assert found.query("reason == 'not recorded'").set_index("group")["recordings"].to_dict() == {
        "y": 4
    }


def test_a_schedule_says_who_is_expected_when(three_visits):
    """The second recording of a visit was not expected, and e and f never came."""
    plan = [(person, visit) for person in "abcdef" for visit in (1, 2, 3)]
    schedule = pd.DataFrame(plan, columns=["user_label", "visit"])
    found = flow(three_visits, expected=schedule)
    assert_adds_up(found)
    assert found["recordings"].tolist()[:4] == [18, 11, 1, 8]
    assert found["participants"].tolist()[:4] == [6, 2, 0, 4]
    arms = schedule.assign(arm=np.where(schedule["user_label"] == "e", "x", None))
    split = flow(three_visits, by="arm", expected=arms).query("step == 'expected'")
    assert split.set_index("group")["participants"].to_dict() == {"x": 3, "y": 2, "not given": 1}


def test_a_schedule_with_a_visit_twice_expects_two_recordings(three_visits):
    schedule = pd.DataFrame({"user_label": ["b", "b"], "visit": ["1", "1"]})
    found = flow(three_visits, expected=schedule).query("step == 'listed'")
    assert found["kind"].tolist() == ["added", "remaining"]
    assert found["recordings"].tolist() == [6, 8]
    assert found["participants"].tolist() == [3, 4]
