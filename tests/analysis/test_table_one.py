"""Who took part, by arm."""

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats

from helios_research.analysis import format_table_one, table_one
from helios_research.analysis.table_one import (
    difference_by_chance,
    mean_difference,
    proportion_difference,
)
from helios_research.errors import ResultsError, UnknownColumnError


@pytest.fixture
def small(make_results):
    table = make_results(
        ["a", "a", "b", "c", "d"],
        mental_strain=0.5,
        arm=["x", "x", "x", "y", "y"],
        date_of_birth=["1990-01-01", "1990-01-01", "1980-07-01", None, "2000-01-01"],
        recording_time=["2020-01-01T12:00", "2021-01-01T12:00", "2020-07-01T08:00:00", None, None],
        created_at=pd.to_datetime(["2022-01-01"] * 5, utc=True),
        birth_sex=["f", "F", "male", "M", None],
        language=["en-GB", "en-GB", "de-DE", "de-DE", "de-DE"],
    )
    table.loc[1, "outcome"] = "failed"
    return table


def rows_of(table, name):
    return table[table["characteristic"] == name].set_index("group")


def test_participants_and_recordings_are_counted_by_arm_and_overall(small):
    table = table_one(small, "arm")
    assert rows_of(table, "participants")["count"].to_dict() == {"x": 2, "y": 2, "overall": 4}
    assert rows_of(table, "recordings")["count"].to_dict() == {"x": 3, "y": 2, "overall": 5}
    scored = rows_of(table, "recordings scored")
    assert scored["count"].to_dict() == {"x": 2, "y": 2, "overall": 4}
    assert scored["percent"]["x"] == pytest.approx(200 / 3)
    assert rows_of(table, "recordings ended without scores")["count"]["x"] == 1


def test_age_is_that_at_the_first_recording_or_at_submission(small):
    ages = rows_of(table_one(small, "arm"), "age at recording, years")
    assert ages["mean"]["x"] == pytest.approx((30 + 40) / 2, abs=0.01)
    assert ages["mean"]["y"] == pytest.approx(22, abs=0.01)
    assert ages["missing"].to_dict() == {"x": 0, "y": 1, "overall": 1}


def test_spellings_of_sex_are_one_level_and_missing_is_counted(small):
    sex = table_one(small, "arm").query("characteristic == 'birth_sex'")
    assert sex["level"].unique().tolist() == ["FEMALE", "MALE"]
    y = sex[sex["group"] == "y"].set_index("level")
    assert y["percent"].to_dict() == {"FEMALE": 0, "MALE": 100}
    assert y["missing"].tolist() == [1, 1]


def test_it_agrees_with_pandas_on_the_study(study):
    table = table_one(study, "arm")
    people = study.drop_duplicates("user_label")
    counts = people.groupby(["arm", "language"]).size()
    language = table.query("characteristic == 'language'").set_index(["group", "level"])
    for key, count in counts.items():
        assert language.loc[key, "count"] == count
    scored = study[study["outcome"] == "scored"].groupby(["arm", "user_label"]).size()
    ours = rows_of(table, "scored recordings per participant")
    np.testing.assert_allclose(
        ours["mean"][["day_shift", "night_shift"]], scored.groupby("arm").mean()
    )
    np.testing.assert_allclose(
        ours["sd"][["day_shift", "night_shift"]], scored.groupby("arm").std()
    )


def test_the_difference_of_means_is_cohens_d_of_pingouin_for_groups_of_one_size():
    rng = np.random.default_rng(1)
    first, second = rng.normal(40, 9, 50), rng.normal(44, 12, 50)
    theirs = pingouin.compute_effsize(second, first, eftype="cohen")
    assert mean_difference(first, second) == pytest.approx(theirs)


def test_the_difference_of_two_categories_is_that_of_proportions():
    one, two = 30 / 50, 18 / 60
    expected = abs(one - two) / np.sqrt((one * (1 - one) + two * (1 - two)) / 2)
    assert proportion_difference(np.array([30.0, 20]), np.array([18.0, 42])) == pytest.approx(
        expected
    )


def test_the_difference_of_categories_does_not_depend_on_their_order():
    first, second = np.array([10.0, 20, 30, 5]), np.array([15.0, 10, 25, 10])
    forth = proportion_difference(first, second)
    assert forth > 0
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        assert proportion_difference(first[order], second[order]) == pytest.approx(forth)


def test_differences_of_empty_or_equal_groups():
    alike = np.array([5.0, 5.0])
    assert proportion_difference(alike, 2 * alike) == 0
    assert np.isnan(proportion_difference(alike, 0 * alike))
    assert np.isnan(mean_difference(np.array([1.0]), np.array([1.0, 2.0])))
    assert np.isnan(mean_difference(np.array([1.0, 1.0]), np.array([1.0, 1.0])))


def test_with_several_groups_the_largest_difference_is_given(study):
    ages = rows_of(table_one(study, "site"), "age at recording, years")
    means = ages["mean"][["Hamburg", "Leeds"]]
    spread = np.sqrt((ages["sd"][["Hamburg", "Leeds"]] ** 2).mean())
    assert ages["smd"]["Leeds"] == pytest.approx(abs(means["Leeds"] - means["Hamburg"]) / spread)


def test_people_in_several_groups_are_counted_in_each_but_once_in_the_warning(study):
    table = table_one(study, "visit")
    assert rows_of(table, "participants")["count"]["overall"] == 120
    assert table.attrs["warnings"] == ["120 participants are in more than one visit."]
    assert table["smd"].notna().any()
    assert table["smd_by_chance"].isna().all(), "nobody divided these participants at random"
    assert table_one(study, "arm").attrs["warnings"] == []


def test_the_printed_table_reads_like_a_paper(study):
    printed = format_table_one(table_one(study, "arm"))
    assert list(printed.columns) == [
        "characteristic", "level", "night_shift", "day_shift", "overall", "SMD",
    ]  # fmt: skip
    age = printed[printed["characteristic"] == "age at recording, years, mean (SD)"].iloc[0]
    assert age["overall"] == "43.0 (10.3)"
    female = printed[printed["level"] == "FEMALE"].iloc[0]
    assert female["day_shift"] == "36 (60 %)"
    assert printed[printed["characteristic"] == "birth_sex"]["SMD"].tolist() == [
        "0.35 (chance 0.23)", "", "",
    ]  # fmt: skip
    assert printed.attrs["source_note"].startswith("Synthetic")


def test_missing_values_are_printed(small):
    printed = format_table_one(table_one(small, "arm"))
    assert printed.loc[printed["level"] == "MALE", "y"].item() == "1 (100 %); 1 missing"


def test_characteristics_that_the_results_lack_are_left_out(make_results):
    table = table_one(make_results(["a", "b"], mental_strain=0.5, arm=["x", "y"]), "arm")
    assert "language" not in set(table["characteristic"])
    printed = format_table_one(table).set_index("characteristic")
    assert printed.loc["age at recording, years, mean (SD)", "x"] == "not given"


def test_a_level_called_as_the_last_column_is_told_apart_from_it(small):
    table = table_one(small.assign(arm=small["arm"].replace("x", "overall")), "arm")
    assert rows_of(table, "participants")["count"].to_dict() == {
        "arm: overall": 2,
        "y": 2,
        "overall": 4,
    }


def test_no_rows_give_an_empty_table_one(study):
    printed = format_table_one(table_one(study.iloc[:0], "arm"))
    assert printed.loc[printed["characteristic"] == "participants", "overall"].item() == "0"


def test_too_many_groups_are_refused(study):
    with pytest.raises(ResultsError, match="'user_label' has 120 levels, more than the 20"):
        table_one(study, "user_label")
    with pytest.raises(UnknownColumnError, match="no column 'group'"):
        table_one(study, "group")


def test_contradictory_values_of_one_person_are_warned_of_and_the_first_recorded_is_used(small):
    table = small.assign(
        birth_sex=["m", "F", "male", "M", None],
        date_of_birth=["1991-01-01", "1990-01-01", "1980-07-01", None, "2000-01-01"],
        recording_time=["2021-01-01T12:00", "2020-01-01T12:00", "2020-07-01T08:00:00", None, None],
    )
    found = table_one(table, "arm")
    assert found.attrs["warnings"] == [
        "1 participant has several values of date_of_birth: the first recorded one is used.",
        "1 participant has several values of birth_sex: the first recorded one is used.",
    ]
    assert rows_of(found, "age at recording, years")["mean"]["x"] == pytest.approx(35, abs=0.01)
    sex = found[found["characteristic"] == "birth_sex"].set_index(["group", "level"])["count"]
    assert sex["x"].to_dict() == {"MALE": 1, "FEMALE": 1}


def test_without_times_the_first_row_counts_and_not_the_run_that_was_created_first(small):
    table = (
        small.iloc[[0, 1, 0, 1]]
        .drop(columns="recording_time", errors="ignore")
        .assign(
            user_label=["A", "B", "A", "B"],
            arm=["x", "x", "x", "x"],
            visit=[1.0, 1.0, 2.0, 2.0],
            created_at=pd.to_datetime(
                pd.Series(["2026-01-04", "2026-01-02", "2026-01-01", "2026-01-03"]), utc=True
            ).tolist(),
        )
    )
    table["recording_time"] = pd.Series([None] * 4, dtype="str", index=table.index)
    found = table_one(table.reset_index(drop=True), "arm", columns=["visit"])
    assert rows_of(found, "visit")["mean"]["x"] == 1.0
    said = "2 participants have several values of visit: the one in the first row, since no time is known, is used."
    assert said in found.attrs["warnings"]


@pytest.fixture
def with_own(small):
    return small.assign(
        phq9=["3", "4", "", "11", "8"],
        site=["01", "01", "02", "02", ""],
        education=["school", "school", "PhD", "school", None],
        score=[0.25, 0.25, 0.5, 0.75, 1.0],
    )


def test_own_columns_are_numbers_or_categories_with_their_missing_counted(with_own):
    table = table_one(with_own, "arm", columns=["phq9", "site", "education"])
    assert table["characteristic"].unique()[4:].tolist() == [
        "scored recordings per participant", "phq9", "site", "education",
    ]  # fmt: skip
    phq9 = rows_of(table, "phq9")
    assert phq9["missing"].to_dict() == {"x": 1, "y": 0, "overall": 1}
    assert phq9["mean"].to_dict() == {"x": 3, "y": 9.5, "overall": pytest.approx(22 / 3)}
    site = table[table["characteristic"] == "site"].set_index(["group", "level"])
    assert site["count"]["overall"].to_dict() == {"01": 1, "02": 2}
    assert site["missing"]["overall"].tolist() == [1, 1]
    assert table["level"][table["characteristic"] == "education"].unique().tolist() == [
        "school", "PhD",
    ]  # fmt: skip


def test_what_is_not_normal_is_printed_as_median_and_quartiles(with_own):
    described = table_one(with_own, "arm", columns=["phq9", "score"], nonnormal="phq9")
    printed = format_table_one(described).set_index("characteristic")
    assert printed.loc["phq9, median [q1, q3]", "y"] == "9.5 [8.8, 10.2]"
    assert printed.loc["phq9, median [q1, q3]", "x"] == "3.0 [3.0, 3.0]; 1 missing"
    assert printed.loc["score, mean (SD)", "y"] == "0.88 (0.18)"


def test_only_numbers_can_be_not_normal(with_own):
    with pytest.raises(
        ResultsError,
        match=r"'site' in nonnormal is no column of numbers in this table: choose of age",
    ):
        table_one(with_own, "arm", columns=["age", "site"], nonnormal=["site"])
    with pytest.raises(UnknownColumnError, match="no column 'phq'"):
        table_one(with_own, "arm", columns="phq")


def test_groups_and_categories_are_in_the_order_asked_for(with_own):
    table = table_one(with_own, "arm", columns="education", order=["y", "PhD"])
    assert table["group"].unique().tolist() == ["y", "x", "overall"]
    assert table["level"].unique().tolist() == ["", "PhD", "school"]


def test_people_without_an_arm_are_a_group_but_no_part_of_the_difference(study):
    unknown = study["user_label"].isin(["P001", "P002", "P003"])
    table = table_one(study.assign(arm=study["arm"].mask(unknown)), "arm")
    alone = table_one(study[~unknown], "arm")
    assert "not given" in set(table["group"])
    ours, theirs = (rows_of(found, "language")["smd"].iloc[0] for found in (table, alone))
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize(("sizes", "degrees"), [((60, 60), 1), ((20, 200), 1), ((60, 60), 3)])
def test_the_difference_by_chance_of_two_groups_is_that_of_the_chi_distribution(sizes, degrees):
    expected = np.sqrt(sum(1 / size for size in sizes)) * stats.chi(degrees).mean()
    assert difference_by_chance(sizes, degrees) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("groups", [2, 5])
def test_the_difference_by_chance_is_that_of_shuffled_labels(make_results, groups):
    rng = np.random.default_rng(3)
    people = [f"p{number}" for number in range(50 * groups)]
    table = make_results(
        people,
        phq9=rng.normal(8, 3, len(people)),
        site=rng.choice(["a", "b", "c", "d"], len(people)),
    )
    labels = np.arange(len(people)) % groups
    shuffled = pd.concat(
        table_one(table.assign(arm=rng.permutation(labels)), "arm", columns=["phq9", "site"])
        for _ in range(60)
    )
    found = shuffled.query("group == 'overall' and level in ['', 'a']").groupby("characteristic")
    for name in ("phq9", "site"):
        each = found.get_group(name)
        assert each["smd"].abs().mean() == pytest.approx(each["smd_by_chance"].iloc[0], rel=0.15)


def test_the_method_says_what_chance_does(study):
    said = table_one(study, "arm").attrs["method"]
    assert "about sqrt(2/n)" in said
    assert "CONSORT advises against" in said
