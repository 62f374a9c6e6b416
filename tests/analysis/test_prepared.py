"""What every analysis and figure takes from a results table, and what it says when it cannot."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from helios_research.analysis.prepared import (
    has_warning,
    prepare,
    times_from,
)
from helios_research.errors import ResultsError, UnknownColumnError


def test_results_are_taken_from_a_frame_or_a_file_alike(study, study_path):
    assert len(prepare(study).frame) == len(prepare(str(study_path)).frame) == 1487


def test_rows_are_numbered_anew_so_that_a_selection_can_be_analysed(study):
    night = prepare(study[study["arm"] == "night_shift"])
    assert night.frame.index.tolist() == list(range(781))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ResultsError, match=r"no results file at .*nowhere\.parquet: check"):
        prepare(tmp_path / "nowhere.parquet")


def test_a_file_that_is_not_parquet_is_refused_in_words(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("recording_id,outcome\n")
    with pytest.raises(
        ResultsError, match=r"cannot be read from .*scores\.csv: .* Is it a Parquet"
    ):
        prepare(path)


def test_a_missing_column_is_named_with_what_is_near(study):
    with pytest.raises(UnknownColumnError, match=r"no column 'arms'\. Did you mean 'arm'"):
        prepare(study, ["arms"])


def test_all_biomarkers_of_the_table_are_chosen_unless_named(study):
    assert len(prepare(study).biomarkers) == 11
    assert prepare(study, biomarkers="stress").names == ["stress"]
    assert prepare(study[["outcome", "user_label", "stress"]]).names == ["stress"]


def test_an_unknown_biomarker_is_refused(study):
    with pytest.raises(UnknownColumnError, match=r"no column 'stres'\. Did you mean 'stress'"):
        prepare(study, biomarkers=["stres"])
    with pytest.raises(UnknownColumnError, match="no column 'speech_s'"):
        prepare(study, biomarkers="speech_s")


def test_a_score_counts_only_where_the_recording_is_scored_and_its_person_known(make_results):
    table = make_results(["a", "a", None], mental_strain=[0.1, 0.2, 0.3])
    table.loc[1, "outcome"] = "failed"
    found = prepare(table)
    np.testing.assert_array_equal(found.scores["mental_strain"], [0.1, np.nan, np.nan])
    assert found.has_score.tolist() == [True, False, False]


def test_people_are_counted_at_each_level_that_they_have(make_results):
    table = make_results(["a", "a", "a", "b", "c", None])
    found = prepare(table, biomarkers=()).people_at(np.array([0, 0, 1, 1, 1, 2]), 4)
    assert found.tolist() == [1, 3, 0, 0]


def levels_of(table, column):
    return prepare(table, [column], biomarkers=()).levels[column]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series(["10", "9", "1"], dtype="str"), ("1", "9", "10")),
        (pd.Series(["visit 10", "Visit 2"], dtype="str"), ("Visit 2", "visit 10")),
        (pd.Series([2.0, 10.0, 1.5]), ("1.5", "2", "10")),
        (pd.Series([3, 1, 2]), ("1", "2", "3")),
        (pd.Series([1234568.0, 1234567.0, None]), ("1234567", "1234568", "not given")),
        (pd.Series(["5\N{SUPERSCRIPT TWO}", "m", "\N{SUPERSCRIPT TWO}"], dtype="str"),
         ("5\N{SUPERSCRIPT TWO}", "m", "\N{SUPERSCRIPT TWO}")),
        (pd.Series(["b", "nan", "10", "2"], dtype="str"), ("b", "nan", "10", "2")),
        (pd.Series(["not given", "b", None], dtype="str"), ("b", "not given")),
        (pd.Series([True, False]), ("False", "True")),
        (pd.Series(["b", " ", None, "a"], dtype="str"), ("b", "a", "not given")),
        (
            pd.Series(pd.Categorical(["pre", "post"], categories=["pre", "post", "x"], ordered=True)),
            ("pre", "post"),
        ),
        (pd.Series([], dtype="str"), ()),
    ],
)  # fmt: skip
def test_levels_are_in_the_order_that_a_reader_expects(make_results, values, expected):
    levels = levels_of(make_results(["a"] * len(values), tag=values), "tag")
    assert levels.labels == expected
    assert [levels.labels[code] for code in levels.codes][:1] == [
        str(value).removesuffix(".0") for value in values[:1]
    ]


def test_spellings_of_birth_sex_are_one_level(make_results):
    sexes = pd.Series(["f", "Female", " FEMALE", "m", " M", "INTERSEX", None], dtype="str")
    levels = levels_of(make_results(["a"] * 7, birth_sex=sexes), "birth_sex")
    assert levels.labels == ("FEMALE", "MALE", "INTERSEX", "not given")


def test_a_column_with_too_many_values_is_no_tag(study):
    with pytest.raises(ResultsError, match="'sha256' has 1,487 different values, more than 500"):
        levels_of(study, "sha256")


def test_ordered_categories_keep_their_order_however_they_are_spelled(make_results):
    """They lose the space around them; birth sex is in words already, as of groups that are pooled."""
    kinds = pd.CategoricalDtype(["w ", "groups pooled", "", "a"], ordered=True)
    values = pd.Series(["a", "w ", "groups pooled", ""], dtype=kinds)
    table = make_results(["p", "q", "r", "s"], arm=values, birth_sex=values)
    found = levels_of(table, "arm")
    assert found.labels == ("w", "groups pooled", "a", "not given")
    assert found.codes.tolist() == [2, 0, 1, 3]
    assert levels_of(table, "birth_sex").labels == found.labels


def days_of(table):
    return prepare(table, biomarkers=()).days("time")


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["2026-01-01T12:00:00", None], dtype="str"),
        pd.Series(["2026-01-01T14:00:00+02:00", ""], dtype="str"),
        pd.to_datetime(pd.Series(["2026-01-01T12:00:00", None])),
        pd.to_datetime(pd.Series(["2026-01-01T12:00:00", None]), utc=True),
        pd.Series(["2026-01-01 12:00", "12"], dtype="category"),
    ],
)
def test_text_and_times_are_read_alike(make_results, column):
    days = days_of(make_results(["a", "b"], time=column))
    assert days[0] == 9497.5
    assert np.isnan(days).tolist() == [False, True]


def test_dates_are_midnights(make_results):
    dates = pd.Series([date(2000, 1, 3)], dtype=object)
    assert days_of(make_results(["a"], time=dates)).tolist() == [2.0]


def test_no_rows_have_no_times(make_results):
    assert days_of(make_results([], time=pd.Series([], dtype="str"))).shape == (0,)


def test_days_lead_back_to_the_times_that_they_came_from(make_results):
    times = pd.Series(pd.to_datetime(["1999-12-31T06:00", "2026-06-30T23:59"], utc=True))
    assert (
        times_from(days_of(make_results(["a", "b"], time=times))).round("s").tolist()
        == times.tolist()
    )


def test_every_missing_score_has_a_reason(make_results):
    table = make_results(
        ["a", "a", "a", "a", "a", None],
        mental_strain=[0.5, np.nan, np.nan, np.nan, np.nan, 0.4],
        n_sections=pd.array([1, None, None, 3, 1, 1], dtype="Int64"),
    )
    table.loc[1, ["outcome", "error_code"]] = ["failed", "ERR_INTERNAL"]
    table.loc[2, "outcome"] = "pending"
    found = prepare(table)
    found = found.missing_reasons(np.isnan(found.scores["mental_strain"]))
    assert found.isna().tolist() == [True, *[False] * 5]
    assert found.tolist()[1:] == [
        "ERR_INTERNAL", "pending", "several sections", "no score", "no participant",
    ]  # fmt: skip


def test_a_warning_is_a_text_in_the_list_not_an_empty_list():
    table = pd.DataFrame({"warnings": [None, [], ["noisy"], np.array(["a", "b"]), np.nan]})
    assert has_warning(table).tolist() == [False, False, True, True, False]
    assert not has_warning(pd.DataFrame({"outcome": ["scored"]})).any()


def test_synthetic_scores_are_called_synthetic_and_mixtures_too(study, make_results):
    assert "Synthetic" in prepare(study).source_note
    real = make_results(["a"], mental_strain=[0.5])
    assert prepare(real).source_note is None
    assert prepare(real.drop(columns="source")).source_note is None
    mixed = prepare(pd.concat([real, study[["source"]].astype("str")]))
    assert "mixed with scores from Helios" in mixed.source_note
    assert mixed.sources == ["sandbox", "thymia"]


def test_a_finished_table_carries_what_was_done_and_can_be_copied(study):
    rows = prepare(study).finish(pd.DataFrame({"n": [1]}), "Counted.", ["Few rows."])
    assert rows.copy().attrs == {
        "method": "Counted.",
        "warnings": ["Few rows."],
        "sources": ["sandbox"],
        "source_note": "Synthetic scores from the sandbox, not measurements of anyone.",
    }


def test_scores_of_changed_rows_are_counted_beside_every_finding(make_results):
    table = make_results(
        ["a", "a", "b", "c"],
        outcome=pd.Series(["scored", "scored", "scored", "failed"], dtype="str"),
        error_code=["METADATA_CHANGED", None, "INVALID_LANGUAGE", "ERR_RECORDING_TOO_SHORT"],
        mental_strain=[0.1, 0.2, 0.3, None],
    )
    said = (
        "2 scored recordings are flagged (1 INVALID_LANGUAGE, 1 METADATA_CHANGED): the manifest "
        "was changed after the recording was sent. The scores are those of what was sent, and "
        "they count; error_reason says what changed."
    )
    found = prepare(table)
    assert found.flagged.tolist() == [True, False, True, False]
    assert found.flagged_note == said
    assert found.finish(pd.DataFrame(), "Counted.", ["Few."]).attrs["warnings"] == ["Few.", said]


def test_without_changed_rows_nothing_is_said_of_them(study, make_results):
    assert prepare(study).flagged_note is None
    bare = make_results(["a"]).drop(columns="error_code")
    assert prepare(bare, biomarkers=()).flagged_note is None


def test_results_that_are_prepared_are_not_prepared_again(study):
    once = prepare(study, ["arm", None], biomarkers="stress")
    assert prepare(once, ["arm"]) is once
    more = prepare(once, ["visit"])
    assert more.frame is once.frame
    assert (list(more.levels), more.names) == (["arm", "visit"], ["stress"])


def test_a_subset_is_what_preparing_its_rows_anew_would_give(study):
    study = study.assign(user_label=study["user_label"].mask(study.index < 6))
    rows = (study["site"] != "Leeds").to_numpy()
    ours = prepare(study, ["site", "visit"]).subset(rows)
    anew = prepare(study[rows], ["site", "visit"])
    pd.testing.assert_frame_equal(ours.frame, anew.frame)
    np.testing.assert_array_equal(ours.people, anew.people)
    for name, levels in ours.levels.items():
        assert levels.labels == anew.levels[name].labels
        np.testing.assert_array_equal(levels.codes, anew.levels[name].codes)


def test_a_column_that_is_replaced_has_other_levels(study):
    found = prepare(study, ["arm", "site"])
    found = prepare(found.with_columns(arm="all"), ["arm", "site"])
    assert found.levels["arm"].labels == ("all",)
    assert found.levels["site"].labels == ("Girona", "Hamburg", "Leeds")


def test_scores_that_were_rounded_are_on_their_level_again(make_results):
    scores = [0.0, 0.33, 0.66, 1.0, None]
    table = make_results(["a"] * 5, stress=pd.Series(scores, dtype="float32"))
    np.testing.assert_array_equal(prepare(table).scores["stress"], np.array(scores, dtype=float))
    thirds = prepare(make_results(["a"] * 2, stress=[1 / 3, 2 / 3])).frame["stress"]
    assert thirds.tolist() == [0.33, 0.66]


def test_a_score_off_the_four_levels_is_refused(make_results):
    table = make_results(["a"] * 4, stress=[0.33, 0.5, 1.0, 1.2])
    message = "column 'stress' has 2 scores off the four levels 0, 0.33, 0.66 and 1, the first 0.5"
    with pytest.raises(ResultsError, match=message):
        prepare(table)
    assert prepare(table, biomarkers=()).names == []


def test_excluded_scores_do_not_count_and_their_reason_is_given(make_results):
    table = make_results(
        ["a"] * 4,
        stress=0.33,
        excluded_because=pd.Series([None, "drunk", "", "drunk"], dtype="str"),
    )
    table.loc[3, ["outcome", "error_code"]] = ["failed", "ERR_INTERNAL"]
    found = prepare(table)
    assert found.counts.tolist() == [True, False, True, False]
    reasons = found.missing_reasons(~found.counts)
    assert reasons[~found.counts].tolist() == ["excluded: drunk", "ERR_INTERNAL"]


def test_scores_with_a_warning_are_dropped_where_asked_and_remain_so(make_results):
    table = make_results(["a"] * 3, stress=0.33, warnings=[None, ["noisy"], []])
    assert prepare(table).counts.all()
    found = prepare(prepare(table, warned="drop"), ["user_label"])
    assert found.counts.tolist() == [True, False, True]
    assert found.missing_reasons(~found.counts).tolist()[1] == "warning"
    with pytest.raises(ResultsError, match="warned scores 'leave': choose 'keep' or 'drop'"):
        prepare(table, warned="leave")


def test_levels_that_are_named_come_first(study):
    found = prepare(study, ["arm", "site"], order=["day_shift", "Leeds"])
    assert found.levels["arm"].labels == ("day_shift", "night_shift")
    assert found.levels["site"].labels == ("Leeds", "Girona", "Hamburg")
    assert found.levels["site"].ordered_by == "as given"
    assert prepare(found, ["arm"], order="night_shift").levels["arm"].labels[0] == "night_shift"
    with pytest.raises(
        ResultsError,
        match=r"No level of arm is in order \('day'\)\. Levels: 'night_shift', 'day_shift'\.",
    ):
        prepare(study, ["arm"], order=["day"])


def test_levels_that_look_alike_are_warned_of(make_results):
    table = make_results(["a"] * 4, arm=["active", "ACTIVE", "placebo", "act ive"])
    found = prepare(table, ["arm"], biomarkers=()).finish(pd.DataFrame(), "Counted.")
    assert found.attrs["warnings"] == [
        "'active' and 'ACTIVE' and 'act ive' are 3 levels of arm: they differ only in capitals or "
        "spaces."
    ]
