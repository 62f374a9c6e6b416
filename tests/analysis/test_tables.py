"""What every analysis takes from a results table, and what it says when it cannot."""

import numpy as np
import pytest

from helios_research.analysis import prepared
from helios_research.errors import ResultsError, UnknownColumnError


def test_results_are_taken_from_a_frame_or_a_file_alike(study, study_path):
    assert len(prepared.load_results(study)) == len(prepared.load_results(str(study_path))) == 1487


def test_rows_are_numbered_anew_so_that_a_selection_can_be_analysed(study):
    loaded = prepared.load_results(study[study["arm"] == "night_shift"])
    assert loaded.index.tolist() == list(range(781))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ResultsError, match=r"no results file at .*nowhere\.parquet: check"):
        prepared.load_results(tmp_path / "nowhere.parquet")


def test_a_file_that_is_not_parquet_is_refused_in_words(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("recording_id,outcome\n")
    with pytest.raises(ResultsError, match=r"scores\.csv cannot be read as Parquet .*use the"):
        prepared.load_results(path)


def test_a_missing_column_is_named_with_what_is_near(study):
    with pytest.raises(UnknownColumnError, match=r"no column 'arms'\. Did you mean 'arm'"):
        prepared.load_results(study, ["arms"])


def test_all_biomarkers_of_the_table_are_chosen_unless_named(study):
    assert len(prepared.choose_biomarkers(study, None)) == 11
    assert [marker.name for marker in prepared.choose_biomarkers(study, "stress")] == ["stress"]
    few = study[["outcome", "user_label", "stress"]]
    assert [marker.name for marker in prepared.choose_biomarkers(few, None)] == ["stress"]


def test_an_unknown_biomarker_is_refused(study):
    with pytest.raises(UnknownColumnError, match=r"no column 'stres'\. Did you mean 'stress'"):
        prepared.choose_biomarkers(study, ["stres"])
    with pytest.raises(UnknownColumnError, match="no column 'speech_s'"):
        prepared.choose_biomarkers(study, "speech_s")


def test_a_score_counts_only_where_the_recording_is_scored_and_its_person_known(make_results):
    table = make_results(["a", "a", None], mental_strain=[0.1, 0.2, 0.3])
    table.loc[1, "outcome"] = "failed"
    np.testing.assert_array_equal(prepared.scores_of(table, "mental_strain"), [0.1, np.nan, np.nan])


def test_people_are_counted_at_each_level_that_they_have():
    people, levels = np.array([0, 0, 0, 1, 2, -1]), np.array([0, 0, 1, 1, 1, 2])
    assert prepared.count_people_by_level(people, levels, 4).tolist() == [1, 3, 0, 0]
