"""One participant is one person in all rows."""


def test_two_dates_of_birth_are_an_error_on_all_rows_of_the_participant(cohort_of):
    cohort = cohort_of(
        {}, {"user_label": "P02"}, {"date_of_birth": "1985-04-13"}, {"date_of_birth": "1985-03-14"}
    )
    assert cohort.is_valid.tolist() == [False, True, False, False]
    assert cohort.issues["problem"].unique().tolist() == [
        "This participant has 2 dates of birth: 1985-03-14 (row 1), 1985-04-13 (row 3)."
    ]
    assert cohort.issues["remedy"][0] == (
        "Correct the wrong rows, or give different people different labels."
    )


def test_two_sexes_are_an_error_on_all_rows_of_the_participant(cohort_of):
    cohort = cohort_of({}, {"birth_sex": "m"}, {"birth_sex": "unknown"})
    assert cohort.is_valid.tolist() == [False, False, False]
    assert set(cohort.issues["column"]) == {"birth_sex"}


def test_the_same_sex_written_differently_is_no_conflict(cohort_of):
    assert cohort_of({}, {"birth_sex": "f"}, {"birth_sex": "Female"}).issues.empty


def test_an_unknown_sex_beside_a_known_one_is_a_warning_where_it_is_unknown(cohort_of, found):
    cohort = cohort_of({}, {"birth_sex": "U"})
    assert found(cohort) == [
        (
            2,
            "warning",
            "birth_sex",
            "Elsewhere this participant's sex is known: FEMALE (row 1), UNKNOWN (row 2).",
        )
    ]


def test_a_value_that_is_wrong_in_itself_is_no_conflict(cohort_of, found):
    cohort = cohort_of({}, {"date_of_birth": "14/03/1985"}, {"birth_sex": "woman"})
    assert [column for _, _, column, _ in found(cohort)] == ["date_of_birth", "birth_sex"]


def test_labels_that_differ_only_in_case_are_a_warning(cohort_of, found):
    cohort = cohort_of({}, {"user_label": "p01"}, {"user_label": "P02"})
    assert found(cohort) == [
        (
            2,
            "warning",
            "user_label",
            "It differs only in upper and lower case from 'P01' (row 1), "
            "but counts as another participant.",
        )
    ]


def test_text_numbers_that_look_alike_are_different_participants(cohort_of):
    cohort = cohort_of({"user_label": "007"}, {"user_label": "7", "birth_sex": "MALE"})
    assert cohort.issues.empty
