"""What shows only across rows is found over the whole column, and nothing is merged unasked."""

import pandas as pd
import pytest

from helios_research.cohort import Cohort, read_cohort
from helios_research.cohort.consistency import _MOST_LEVELS

ONE_PERSON = {"date_of_birth": "1985-03-14", "birth_sex": "FEMALE"}


def labelled(cohort_of, *labels, **arguments):
    """Make a cohort of people who are alike but for their labels."""
    return cohort_of(*({"user_label": label} for label in labels), **arguments)


def causes(cohort):
    """List causes as (severity, column, rows, examples)."""
    names = ["severity", "column", "rows", "examples"]
    return cohort.issues.causes[names].to_numpy().tolist()


def test_two_dates_of_birth_are_an_error_on_all_rows_of_the_participant(cohort_of):
    cohort = cohort_of(
        {}, {"user_label": "P02"}, {"date_of_birth": "1985-04-13"}, {"date_of_birth": "1985-03-14"}
    )
    assert cohort.is_valid.tolist() == [False, True, False, False]
    assert cohort.issues.rows["problem"].unique().tolist() == [
        "This participant has 2 dates of birth: 1985-03-14 (row 1), 1985-04-13 (row 3)."
    ]
    assert cohort.issues.rows["remedy"][0] == (
        "Correct the wrong rows, or give different people different labels."
    )


def test_two_sexes_are_an_error_on_all_rows_of_the_participant(cohort_of):
    cohort = cohort_of({}, {"birth_sex": "m"}, {"birth_sex": "unknown"})
    assert cohort.is_valid.tolist() == [False, False, False]
    assert set(cohort.issues.rows["column"]) == {"birth_sex"}


def test_the_same_sex_written_differently_is_no_conflict(cohort_of):
    assert cohort_of({}, {"birth_sex": "f"}, {"birth_sex": "Female"}).issues.rows.empty


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


def test_the_values_of_a_label_of_many_people_are_named_in_short(cohort_of):
    people = [{"date_of_birth": f"198{n}-01-02"} for n in range(7)]
    others = [{"user_label": "P02"}] * 2
    assert cohort_of(*people, *others).issues.causes["problem"][0] == (
        "This participant has 7 dates of birth: 1980-01-02 (row 1), 1981-01-02 (row 2), 1982-01-02 "
        "(row 3), 1983-01-02 (row 4), 1984-01-02 (row 5) and 2 more."
    )


# --- values that look alike -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "wrong", "shown"),
    [
        ("P01", "P01\u200b", "P01⟨U+200B⟩"),
        ("P01", "\ufeffP01", "⟨U+FEFF⟩P01"),
        ("P01", "P\u00ad01", "P⟨U+00AD⟩01"),
        ("P01", "P01\u200e", "P01⟨U+200E⟩"),
        ("P 01", "P\u00a001", "P⟨U+00A0⟩01"),
        ("P 01", "P\u200901", "P⟨U+2009⟩01"),
        ("P 01", "P\u202f01", "P⟨U+202F⟩01"),
        ("P 01", "P\u300001", "P⟨U+3000⟩01"),
        ("P-01", "P\u201101", "P⟨U+2011⟩01"),
        ("Zo\u00eb", "Zoe\u0308", "Zoe⟨U+0308⟩"),
    ],
)
def test_a_label_that_differs_by_what_cannot_be_seen_is_an_error_with_the_line(
    cohort_of, table_of, folder, right, wrong, shown
):
    cohort = labelled(cohort_of, wrong, right, "P02", wrong)
    assert causes(cohort) == [["error", "user_label", 2, shown]]
    assert cohort.is_valid.tolist() == [False, True, True, False]
    assert cohort.fields["user_label"].tolist() == [wrong, right, "P02", wrong]
    problem, remedy = cohort.issues.causes.loc[0, ["problem", "remedy"]]
    assert problem == (
        "It has unusual spaces or dashes, invisible characters or accents stored apart from their "
        f"letters, so that it is not {right!r}."
    )
    said, _, line = remedy.partition(": ")
    assert said == "Type it again in the table, or run this line, where df is the table"
    df = table_of(*({"user_label": label} for label in (wrong, right, "P02", wrong)))
    scope = {"df": df}
    exec(line.removesuffix("."), scope)  # noqa: S102 - the line that a researcher is told to run
    assert Cohort.from_frame(scope["df"], root=folder).issues.rows.empty


def test_all_labels_with_invisible_characters_are_in_one_line(cohort_of):
    labels = [f"P{n}\u200b" for n in range(4)]
    assert causes(labelled(cohort_of, *labels)) == [
        ["warning", "user_label", 4, "P0⟨U+200B⟩, P1⟨U+200B⟩, P2⟨U+200B⟩, …"]
    ]
    (remedy,) = labelled(cohort_of, *labels).issues.causes["remedy"]
    assert remedy.count("\\u200b") == 4


def test_an_invisible_character_that_splits_no_one_is_a_warning(cohort_of):
    cohort = labelled(cohort_of, "P01\u200b", "P02")
    assert causes(cohort) == [["warning", "user_label", 1, "P01⟨U+200B⟩"]]


def test_a_label_of_which_nothing_can_be_seen_is_an_error(cohort_of):
    assert labelled(cohort_of, "\u200b", "P02").is_valid.tolist() == [False, True]


def test_spaces_at_the_ends_of_labels_are_removed_with_a_warning(cohort_of):
    cohort = labelled(cohort_of, "P01", "P01\u00a0", "\u3000P01", "P01\u2009 ")
    assert causes(cohort) == [
        ["warning", "user_label", 3, "P01⟨U+00A0⟩, ⟨U+3000⟩P01, P01⟨U+2009⟩ "]
    ]
    assert set(cohort.fields["user_label"]) == {"P01"}


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["P01", "p01"], "upper and lower case"),
        (["17", "017"], "leading zeros"),
        (["1017", "001017"], "leading zeros"),
        (["P1-2", "P01-002"], "leading zeros"),
        (["P01", "p1"], "leading zeros"),
    ],
)
def test_a_difference_that_may_be_meant_is_a_warning_that_names_the_other(cohort_of, labels, words):
    cohort = labelled(cohort_of, "Z", *labels)
    assert causes(cohort) == [["warning", "user_label", 1, labels[1]]]
    assert cohort.issues.causes["problem"][0] == (
        f"It differs only in {words} from {labels[0]!r} (row 2), but counts as another one."
    )
    assert cohort.issues.causes["remedy"][0] == (
        "If they are the same, write both alike in the table, or run this line, where df is the table: "
        f'df = df.replace({{"user_label": {{"{labels[1]}": "{labels[0]}"}}}}).'
    )
    assert cohort.is_valid.all()
    assert cohort.fields["user_label"].tolist() == ["Z", *labels]


@pytest.mark.parametrize("labels", [["17", "1017"], ["P10", "P100"], ["P0", "P"], ["A", "Ä"]])
def test_labels_that_really_differ_are_no_issue(cohort_of, labels):
    assert labelled(cohort_of, *labels).issues.rows.empty


def test_the_column_is_named_as_in_the_table(table_of, folder):
    table = table_of({}, {"user_label": "p01"}).rename(columns={"user_label": "VP"})
    cohort = Cohort.from_frame(table, columns={"user_label": "VP"}, root=folder)
    assert causes(cohort) == [["warning", "VP", 1, "p01"]]
    assert 'df.replace({"VP": {"p01": "P01"}})' in cohort.issues.causes["remedy"][0]


def test_values_of_tags_that_look_alike_are_found_too(cohort_of):
    arms = ["control", "con\u200btrol", "Control", "active"]
    cohort = cohort_of(
        *({"arm": arm, "user_label": f"P{n}"} for n, arm in enumerate(arms)), tags=["arm"]
    )
    assert causes(cohort) == [
        ["error", "arm", 1, "con⟨U+200B⟩trol"],
        ["warning", "arm", 1, "Control"],
    ]
    assert cohort.rejections()["error_code"].tolist() == ["INVALID_TAG"]


def test_a_tag_may_have_several_lines(cohort_of):
    assert cohort_of({"note": "a\nb"}, {"note": "c"}, tags=["note"]).issues.rows.empty


def test_levels_of_own_columns_that_look_the_same_are_a_warning(folder, table_of):
    groups = ["control", "control\u00a0", "control ", "Control", "active"]
    table = table_of(*({"group": group} for group in groups))
    table.to_csv(folder / "m.csv", index=False)
    for cohort in (Cohort.from_frame(table, root=folder), read_cohort(folder / "m.csv")):
        assert causes(cohort) == [["warning", "group", 2, "control⟨U+00A0⟩, control "]]


def test_own_columns_that_form_no_groups_are_left_alone(cohort_of, table_of, folder):
    notes = [f"note {n}" for n in range(_MOST_LEVELS)]
    table = pd.concat([table_of({})] * (_MOST_LEVELS + 2), ignore_index=True)
    table["note"] = [*notes, "x", "x "]
    found = set(Cohort.from_frame(table, root=folder).issues.rows["column"])
    assert found == {"recording"}


def test_the_issues_of_a_removed_participant_are_gone_with_all_that_names_it(cohort_of):
    cohort = labelled(cohort_of, "P01", "P01\u200b", "p01", "P02")
    kept = cohort.without(cohort.fields["user_label"].to_numpy() == "P01")
    assert not kept.issues.rows["remedy"].str.contains('"P01"', regex=False).any()


# --- one label for several people -----------------------------------------------------------------


@pytest.fixture
def study(folder):
    """Make a cohort of a table, whose recordings it makes."""

    def make(table, **arguments):
        table = table.assign(recording=[f"{n}.wav" for n in range(len(table))])
        for n, name in enumerate(table["recording"]):
            (folder / name).write_bytes(b"RIFF%d" % n)
        return Cohort.from_frame(table, root=folder, **arguments)

    return make


def people(number, **columns):
    """Make a table of different people, each with a label, a date of birth and a sex."""
    return pd.DataFrame(
        {
            "user_label": [f"P{n:03}" for n in range(number)],
            "date_of_birth": [
                f"{1950 + n % 50}-{1 + n % 12:02}-{1 + n % 28:02}" for n in range(number)
            ],
            "birth_sex": (["MALE", "FEMALE"] * number)[:number],
            "language": "en-GB",
        }
    ).assign(**columns)


@pytest.mark.parametrize("column", ["site", "wave"])
@pytest.mark.parametrize("tags", [(), ("site", "wave")])
def test_numbers_that_begin_again_in_another_column_are_one_issue_with_the_line(
    study, column, tags
):
    table = people(60, user_label=[str(1 + n % 20) for n in range(60)], site="A", wave=1)
    table[column] = [n // 20 for n in range(60)]
    cohort = study(table, tags=tags)
    assert causes(cohort) == [["error", "user_label", 60, "1, 2, 3, …"]]
    assert cohort.issues.causes["problem"][0] == (
        "Rows with this label have different dates of birth or sexes, but not within one "
        f"{column!r}: the labels may begin again in each."
    )
    line = cohort.issues.causes["remedy"][0].partition("is the table: ")[2].removesuffix(".")
    exec(line, {"df": table})  # noqa: S102 - the line that a researcher is told to run
    again = study(table, tags=tags)
    assert again.issues.rows.empty
    assert again.fields["user_label"].nunique() == 60
    assert again.fields["user_label"][59] == "2-20"


def test_one_label_for_all_is_one_issue_where_a_column_names_the_people(study):
    table = people(10).loc[lambda table: table.index.repeat(3)].reset_index(drop=True)
    table = table.rename(columns={"user_label": "pid"}).assign(user_label="x")
    assert causes(study(table)) == [["error", "user_label", 30, "x"]]
    assert "within one 'pid'" in study(table).issues.causes["problem"][0]


def test_one_label_for_all_is_one_issue_where_nothing_names_the_people(study):
    cohort = study(people(10, user_label="x"))
    assert causes(cohort) == [["error", "user_label", 10, "x"]]
    assert cohort.issues.causes["problem"][0] == (
        "Rows with this label have different dates of birth or sexes, and all rows have it."
    )
    assert cohort.issues.causes["remedy"][0] == "Give each person a label of their own."


def test_one_participant_with_two_dates_of_birth_stays_a_slip(study):
    table = pd.concat([people(1)] * 6, ignore_index=True)
    table.loc[5, "date_of_birth"] = "2001-02-03"
    assert causes(study(table))[0][:3] == ["error", "date_of_birth", 6]


def test_a_sex_that_is_unknown_at_one_visit_does_not_split_people(study):
    table = people(10).loc[lambda table: table.index.repeat(2)].reset_index(drop=True)
    table = table.assign(visit=["1", "2"] * 10)
    table.loc[::2, "birth_sex"] = "UNKNOWN"
    assert causes(study(table)) == [["warning", "birth_sex", 10, "UNKNOWN"]]


def test_sexes_in_any_order_and_number_are_one_cause(study):
    sexes = {"1": "MU", "2": "FU", "3": "UM", "4": "MF", "5": "FMI", "6": "M", "7": "FF"}
    rows = [(label, sex) for label, given in sexes.items() for sex in given]
    table = pd.DataFrame(rows, columns=["user_label", "birth_sex"]).assign(language="en-GB")
    table["date_of_birth"] = [f"198{label}-01-02" for label in table["user_label"]]
    assert causes(study(table)) == [
        ["error", "birth_sex", 5, "MALE, FEMALE, INTERSEX"],
        ["warning", "birth_sex", 3, "UNKNOWN"],
    ]


def test_slips_of_single_participants_are_not_blamed_on_a_column(study):
    table = people(10).loc[lambda table: table.index.repeat(2)].reset_index(drop=True)
    table = table.assign(visit=["1", "2"] * 10)
    table.loc[[1, 5, 9], "date_of_birth"] = "2001-02-03"
    assert causes(study(table))[0][:3] == ["error", "date_of_birth", 6]


def test_a_column_that_differs_in_each_row_divides_nothing(study):
    table = people(60, user_label=[str(1 + n % 20) for n in range(60)], note=[*map(str, range(60))])
    assert [column for _, column, *_ in causes(study(table))] == ["date_of_birth"]


# --- placeholders ---------------------------------------------------------------------------------


@pytest.mark.parametrize("day", ["1900-01-01", "1970-01-01", "1985-03-14"])
def test_a_date_of_birth_that_most_people_share_is_one_warning(study, day):
    table = people(10)
    table.loc[:5, "date_of_birth"] = day
    cohort = study(table)
    assert causes(cohort) == [["warning", "date_of_birth", 6, day]]
    assert cohort.issues.causes["problem"][0] == (
        "6 of 10 participants have this date of birth: it may stand for an unknown one."
    )
    assert cohort.is_valid.all()


def test_a_date_that_half_of_the_people_share_is_no_issue(study):
    table = people(10)
    table.loc[:4, "date_of_birth"] = "1985-03-14"
    assert study(table).issues.rows.empty


def test_many_recordings_of_one_participant_are_no_placeholder(study):
    table = people(10)
    repeated = pd.concat([table, *[table.head(1)] * 30], ignore_index=True)
    assert study(repeated).issues.rows.empty


def test_few_people_may_share_a_date_of_birth(study):
    assert study(people(4, date_of_birth="1985-03-14")).issues.rows.empty


def test_a_shared_date_that_is_wrong_in_itself_stays_an_error(study):
    cohort = study(people(10, date_of_birth="1985-02-30"))
    assert causes(cohort) == [["error", "date_of_birth", 10, "1985-02-30"]]


def test_the_same_sex_for_all_is_no_issue(study):
    assert study(people(10, birth_sex="MALE")).issues.rows.empty
