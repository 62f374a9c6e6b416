"""What an explorer takes, and what it says about what it cannot take."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from helios_research._util.text import literal
from helios_research.errors import ResultsError, UnknownColumnError
from helios_research.widgets.explorer.source import (
    id_of,
    label_of,
    levels_in,
    open_source,
    value_words,
)

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return pd.read_parquet(STUDY)


class FakeStudy:
    """Has results and a cohort, as a study has."""

    folder = Path("studies/shift")

    def __init__(self, results: pd.DataFrame) -> None:
        self._results = results
        resolved = "/data/" + results["recording"]
        self.cohort = SimpleNamespace(fields=pd.DataFrame({"recording": resolved}))

    def results(self) -> pd.DataFrame:
        return self._results


def test_the_dataframe_that_was_given_is_neither_copied_nor_changed(results):
    assert open_source(results).table is results


def test_own_columns_come_before_the_common_ones_and_keys_are_not_offered(results):
    tags = open_source(results).tags
    assert tags[:3] == ("arm", "site", "visit")
    assert {"outcome", "error_code", "birth_sex", "language"} <= set(tags)
    assert not {"recording_id", "recording_time", "sha256", "warnings", "user_label"} & set(tags)


def test_a_path_is_read_and_its_code_reads_it_again(results):
    source = open_source(str(STUDY))
    namespace: dict = {"pd": pd}
    exec(source.code, namespace)  # noqa: S102 - our own code is what is tested
    pd.testing.assert_frame_equal(namespace["results"][["recording_id"]], results[["recording_id"]])
    assert source.folder == STUDY.parent


def test_anything_with_results_is_taken_with_the_paths_that_its_cohort_resolved(results):
    source = open_source(FakeStudy(results))
    assert source.code == 'results = hr.Study("studies/shift").results()'
    assert source.locations.iloc[0] == "/data/recordings/P001_v01.wav"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda table: table.head(0), "The results have no rows: there is nothing to explore yet."),
        (lambda table: table[["outcome", "user_label"]], "The results have no column with scores"),
        (
            lambda table: table.set_axis(["arm", "arm", *table.columns[2:]], axis="columns"),
            "The results have two columns called 'arm': rename one of them.",
        ),
    ],
)
def test_results_that_cannot_be_explored_are_refused_in_a_sentence(results, change, sentence):
    table = results[["recording_id", "arm", "outcome", "user_label", "mental_strain"]]
    with pytest.raises(ResultsError, match=sentence):
        open_source(change(table))


def test_a_missing_column_is_named(results):
    with pytest.raises(UnknownColumnError, match=r"The results have no column 'outcome'"):
        open_source(results.drop(columns="outcome"))


def test_what_is_no_results_at_all_is_told_what_is(tmp_path):
    with pytest.raises(ResultsError, match=r"not an object of type int: give it a DataFrame"):
        open_source(3)
    with pytest.raises(ResultsError, match=r"There is no results file at nowhere\.parquet"):
        open_source("nowhere.parquet")
    with pytest.raises(ResultsError, match=r"is a folder: give the Parquet file in it"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("values", "names", "places"),
    [
        (pd.Series(["10", "2", None, "2"], dtype="str"), ("2", "10", None), [1, 0, 2, 0]),
        (pd.Series([1.0, None]), ("1.0", None), [0, 1]),
        (
            pd.Series(pd.Categorical(["pre", "post"], ["pre", "post", "later"], ordered=True)),
            ("pre", "post"),
            [0, 1],
        ),
    ],
)
def test_values_are_in_the_order_in_which_people_count_and_missing_comes_last(
    values, names, places
):
    found, codes = levels_in(values)
    assert (found, codes.tolist()) == (names, places)


def test_columns_and_codes_are_said_in_words_but_own_names_are_kept():
    assert [label_of(name) for name in ("user_label", "birth_sex", "mental_strain", "my_arm")] == [
        "Participant",
        "Birth sex",
        "Mental strain",
        "my_arm",
    ]
    assert value_words("error_code", "ERR_RECORDING_TOO_SHORT") == "too short"
    assert value_words("my_arm", "ERR_OWN") == "ERR_OWN"
    assert value_words("my_arm", None) == "not given"


def test_numbers_to_filter_by_are_the_scores_and_what_else_varies(results):
    nothing = pd.array([None] * len(results), dtype="Int64")
    endless = [float("inf"), *range(1, len(results))]
    own = {"phq9": range(len(results)), "one": 1, "nothing": nothing, "endless": endless}
    numbers = open_source(results.assign(**own)).numbers
    assert numbers[0] == "mental_strain"
    assert {"phq9", "duration_s"} <= set(numbers)
    assert not {"one", "nothing", "endless"} & set(numbers)


def test_a_recording_without_an_id_is_named_by_its_row(results):
    assert id_of(results, 1) == "recordings/P001_v02.wav"
    assert id_of(results.drop(columns="recording_id"), 1) == "row 2"


@pytest.mark.parametrize(
    "value", ["plain", "it's", 'say "no"', "both ' and \"", "a\\b\n", ["x", 1.5]]
)
def test_a_literal_gives_its_value_back(value):
    assert eval(literal(value)) == value  # noqa: S307 - our own code is what is tested
