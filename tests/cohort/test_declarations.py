"""What is declared is read; what is not is refused, with the line that declares it."""

import pandas as pd
import pytest

from helios_research.cohort import Cohort, read_cohort
from helios_research.errors import ColumnsError

SEXES = {"birth_sex": {"1": "MALE", "2": "FEMALE"}}


def problems(cohort, column):
    rows = cohort.issues.rows[cohort.issues.rows["column"] == column]
    return list(dict.fromkeys(zip(rows["problem"], rows["remedy"], strict=True)))


def with_dates(cohort_of, *dates, **arguments):
    return cohort_of(
        *({"date_of_birth": day, "user_label": f"P{n}"} for n, day in enumerate(dates)), **arguments
    )


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", [["1", " 2 "], [1, 2], [1.0, 2.0], pd.array([1, 2], "Int64")])
@pytest.mark.parametrize("declared", [SEXES, {"birth_sex": {1: "m", 2.0: "Female"}}])
def test_a_declared_value_is_compared_as_text(table_of, folder, codes, declared):
    table = table_of({}, {"user_label": "P02"}).assign(birth_sex=codes)
    cohort = Cohort.from_frame(table, values=declared, root=folder)
    assert cohort.fields["birth_sex"].tolist() == ["MALE", "FEMALE"]
    assert cohort.issues.rows.empty
    assert cohort.declared == {"values": SEXES}


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet"])
def test_values_and_dates_are_declared_for_files_too(folder, table_of, ending):
    table = table_of(
        {"Geschlecht": "w", "geb": "14.03.1986"},
        {"Geschlecht": "m", "geb": "05.10.1993", "user_label": "P02"},
    ).drop(columns=["birth_sex", "date_of_birth"])
    path = folder / f"m.{ending}"
    write = {"csv": table.to_csv, "xlsx": table.to_excel, "parquet": table.to_parquet}[ending]
    write(path, index=False)
    cohort = read_cohort(
        path,
        columns={"birth_sex": "Geschlecht", "date_of_birth": "geb"},
        values={"birth_sex": {"w": "FEMALE", "m": "MALE"}},
        date_format="day first",
    )
    assert cohort.fields["birth_sex"].tolist() == ["FEMALE", "MALE"]
    assert cohort.fields["date_of_birth"].tolist() == ["1986-03-14", "1993-10-05"]
    assert cohort.frame["geb"].tolist() == ["14.03.1986", "05.10.1993"]
    assert cohort.issues.rows.empty


def test_a_date_of_birth_may_be_written_as_its_midnight(cohort_of):
    dates = ["1986-03-14 00:00:00", "1986-03-14T00:00", "1986-03-14 10:00:00"]
    cohort = with_dates(cohort_of, *dates)
    assert cohort.fields["date_of_birth"].tolist() == ["1986-03-14", "1986-03-14", dates[2]]
    assert cohort.is_valid.tolist() == [True, True, False]


def test_a_value_may_be_declared_to_be_blank(cohort_of):
    cohort = cohort_of({"accent": "-99"}, values={"accent": {-99: None}})
    assert cohort.fields["accent"].isna().all()


def test_a_value_that_no_cell_has_is_a_warning(cohort_of, found):
    cohort = cohort_of({"birth_sex": 1}, values={"birth_sex": {1: "MALE", 9: "UNKNOWN"}})
    problem = "No cell has '9', which values= declares for birth_sex."
    assert found(cohort) == [(0, "warning", "birth_sex", problem)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"values": {"sex": {1: "MALE"}}}, "'sex' is not a field of a recording."),
        (
            {"values": {"birth_sex": {1: "…"}}},
            "values= says that '1' in 'birth_sex' means '…'. "
            "Write one of MALE, FEMALE, INTERSEX, UNKNOWN.",
        ),
        ({"values": {"accent": {1: "x"}}}, "values of 'accent', which no column holds."),
        ({"values": {"user_label": {1: "x"}}}, "whose cells are taken as they are."),
        ({"date_format": "D.M.Y"}, "date_format= cannot read 'date_of_birth' with 'D.M.Y'."),
        ({"date_format": "%d.%m"}, "cannot read 'date_of_birth' with '%d.%m'."),
        ({"date_format": {"accent": "day first"}}, "cannot read 'accent' with 'day first'."),
    ],
)  # fmt: skip
def test_a_declaration_that_cannot_be_is_a_sentence(cohort_of, arguments, sentence):
    with pytest.raises(ColumnsError) as caught:
        cohort_of({}, **arguments)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("other", ["H", "v"])
def test_m_beside_h_or_v_may_be_either_sex_and_is_refused(cohort_of, other):
    changes = ({"birth_sex": "M"}, {"birth_sex": other, "user_label": "P02"})
    assert cohort_of(*changes).is_valid.tolist() == [False, False]
    half = cohort_of(*changes, values={"birth_sex": {other: "MALE"}})
    assert half.is_valid.tolist() == [False, True]
    whole = cohort_of(*changes, values={"birth_sex": {other: "MALE", "M": "FEMALE"}})
    assert whole.fields["birth_sex"].tolist() == ["FEMALE", "MALE"]
    assert whole.is_valid.all()


# --- order ----------------------------------------------------------------------------------------

VISITS = {"visit": ["pre", "post", "follow-up"]}


def with_visits(cohort_of, *visits, **arguments):
    changes = [{"visit": visit, "user_label": f"P{n}"} for n, visit in enumerate(visits)]
    return cohort_of(*changes, **arguments)


def test_a_declared_order_makes_ordered_categories_and_blanks_stay_blank(cohort_of):
    visits = ["post", " pre", "", None, " "]
    cohort = with_visits(cohort_of, *visits, order=VISITS, tags="visit")
    column = cohort.frame["visit"]
    assert column.cat.categories.tolist() == VISITS["visit"]
    assert column.cat.ordered
    assert column.astype("str").fillna("-").tolist() == ["post", "pre", "-", "-", "-"]
    assert cohort.tag_values["visit"].fillna("-").tolist() == ["post", "pre", "-", "-", "-"]
    assert cohort.issues.rows.empty
    assert cohort.declared == {"order": VISITS}


@pytest.mark.parametrize("waves", [["3", "1"], [3, 1], [3.0, 1.0], pd.Categorical([3, 1])])
def test_an_order_is_declared_of_numbers_too(table_of, folder, waves):
    table = table_of({}, {"user_label": "P02"}).assign(wave=waves)
    cohort = Cohort.from_frame(table, order={"wave": (3, 2, 1)}, root=folder)
    assert cohort.frame["wave"].tolist() == ["3", "1"]
    assert cohort.frame["wave"].cat.categories.tolist() == ["3", "2", "1"]
    assert cohort.issues.rows.empty


def test_values_that_the_order_lacks_come_last_and_one_issue_has_the_line(cohort_of):
    visits = ["t9", "pre", "t8", "t9"]
    cohort = with_visits(cohort_of, *visits, order=VISITS)
    (cause,) = cohort.issues.causes.itertuples()
    assert (cause.severity, cause.column, cause.rows, cause.examples) == (
        *("warning", "visit", 3, "t9, t8"),
    )
    assert cause.remedy == (
        'Correct it, or declare order={"visit": ["pre", "post", "follow-up", "t9", "t8"]}.'
    )
    assert cohort.frame["visit"].tolist() == visits
    whole = {"visit": [*VISITS["visit"], "t9", "t8"]}
    assert cohort.frame["visit"].cat.categories.tolist() == whole["visit"]
    assert with_visits(cohort_of, *visits, order=whole).issues.rows.empty


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("vist", "order= names 'vist', but there is no such column. Did you mean 'visit'?"),
        ("birth_sex", "order= names 'birth_sex', whose cells are those of a field. Leave it out"),
    ],
)
def test_an_order_of_what_has_none_is_refused(cohort_of, name, sentence):
    with pytest.raises(ColumnsError) as caught:
        with_visits(cohort_of, "pre", order={name: ["pre"]})
    assert sentence in str(caught.value)


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet"])
def test_an_order_is_declared_for_files_too(folder, table_of, ending):
    path = folder / f"m.{ending}"
    table = table_of({"visit": "post"}, {"visit": "pre"})
    {"csv": table.to_csv, "xlsx": table.to_excel, "parquet": table.to_parquet}[ending](
        path, index=False
    )
    visits = read_cohort(path, order=VISITS).frame["visit"]
    assert visits.cat.categories.tolist() == VISITS["visit"]
    assert visits.tolist() == ["post", "pre"]


# --- dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "cell", "iso"),
    [
        ("day first", "14.03.1986", "1986-03-14"),
        ("day first", "4/3/1986", "1986-03-04"),
        ("day-first", "04-03-1986", "1986-03-04"),
        ("day first", "4. 3. 1986", "1986-03-04"),
        ("day first", "14.03.1986 00:00", "1986-03-14"),
        ("day first", "1986-03-14", "1986-03-14"),
        ("month first", "4/3/1986", "1986-04-03"),
        ("%d.%m.%Y", "14.03.1986", "1986-03-14"),
        ("%d.%m.%y", "14.03.86", "1986-03-14"),
        ("%d %b %Y", "14 Mar 1986", "1986-03-14"),
        ("%Y%m%d", "19860314", "1986-03-14"),
    ],
)
def test_a_declared_form_is_read(cohort_of, form, cell, iso):
    cohort = with_dates(cohort_of, cell, date_format={"date_of_birth": form})
    assert cohort.fields["date_of_birth"].tolist() == [iso]
    assert cohort.issues.rows.empty


@pytest.mark.parametrize(
    ("form", "cell", "iso"),
    [
        ("day first", "05.01.2026 7:45", "2026-01-05T07:45"),
        ("month first", "1/5/2026, 7:45:10 PM", "2026-01-05T19:45:10"),
        ("month first", "1/5/2026 12:05 a.m.", "2026-01-05T00:05"),
        ("%d.%m.%Y %H:%M", "05.01.2026 07:45", "2026-01-05T07:45:00"),
        ("%d.%m.%Y %H:%M", "05.01.2026 00:00", "2026-01-05T00:00:00"),
    ],
)
def test_a_declared_form_is_read_with_its_time(cohort_of, form, cell, iso):
    cohort = cohort_of({"recording_time": cell}, date_format={"recording_time": form})
    assert cohort.fields["recording_time"].tolist() == [iso]
    assert cohort.issues.rows.empty


@pytest.mark.parametrize(
    ("form", "cell", "iso"),
    [
        ("excel", 31485, "1986-03-14"),
        ("excel", 31485.0, "1986-03-14"),
        ("excel", "31.485", "1986-03-14"),
        ("excel 1904", 30023, "1986-03-14"),
        ("excel-1904", "30,023", "1986-03-14"),
    ],
)
def test_days_that_excel_counts_are_read(cohort_of, form, cell, iso):
    cohort = with_dates(cohort_of, cell, "1990-01-02", date_format=form)
    assert cohort.fields["date_of_birth"].tolist() == [iso, "1990-01-02"]
    assert cohort.issues.rows.empty


@pytest.mark.parametrize(
    ("cell", "iso"),
    [
        (46027.3229166667, "2026-01-05T07:45:00"),
        ("46027,5", "2026-01-05T12:00:00"),
        ("46027.99999", "2026-01-05T23:59:59"),
    ],
)
def test_times_that_excel_counts_are_read_to_the_second(cohort_of, cell, iso):
    cohort = cohort_of({"recording_time": cell}, date_format={"recording_time": "excel"})
    assert cohort.fields["recording_time"].tolist() == [iso]
    assert cohort.issues.rows.empty


def test_the_first_and_last_days_that_excel_writes_with_five_digits_agree_with_excel(cohort_of):
    """Excel shows 18 May 1927 for 10000, and 1 January 2000 for 36526."""
    cohort = with_dates(cohort_of, 10000, 36526, date_format="excel")
    assert cohort.fields["date_of_birth"].tolist() == ["1927-05-18", "2000-01-01"]


def test_numbers_in_place_of_dates_are_said_with_both_counts_of_excel(cohort_of):
    cohort = with_dates(cohort_of, 31485, "33.000", "1990-01-02")
    assert problems(cohort, "date_of_birth") == [
        (
            "This looks like Excel's count of days (31485 is 1986-03-14) or Excel's count of days since "
            "1904 (31485 is 1990-03-15); both fit all cells that are not year-month-day.",
            'Find out which is right, and declare date_format="excel" or date_format="excel 1904".',
        )
    ]
    assert cohort.is_valid.tolist() == [False, False, True]


def test_a_count_of_excel_that_would_be_in_the_future_is_not_offered(cohort_of):
    cohort = cohort_of({"recording_time": 46027.5})
    assert problems(cohort, "recording_time") == [
        (
            "This looks like Excel's count of days (46027.5 is 2026-01-05T12:00:00), and no other form "
            "fits all cells that are not year-month-day.",
            'Declare date_format="excel".',
        )
    ]


@pytest.mark.parametrize("cell", ["1985", "511142400", "12345678901", "3148", "TRUE"])
def test_other_numbers_are_not_taken_for_counts_of_excel(cohort_of, cell):
    cohort = with_dates(cohort_of, cell, date_format="excel")
    assert not cohort.is_valid.any()
    assert cohort.fields["date_of_birth"].tolist() == [cell]


@pytest.mark.parametrize(
    ("cell", "iso"),
    [("14.03.68", "1968-03-14"), ("14.03.00", "2000-03-14"), ("29.02.68", "1968-02-29")],
)
def test_a_year_of_two_digits_is_the_last_that_is_not_in_the_future(cohort_of, cell, iso):
    cohort = with_dates(cohort_of, cell, date_format={"date_of_birth": "%d.%m.%y"})
    assert cohort.fields["date_of_birth"].tolist() == [iso]
    assert cohort.issues.rows.empty


def test_no_time_of_day_is_made_up(cohort_of, found):
    cohort = cohort_of({"recording_time": "05.01.2026"}, date_format="day first")
    assert found(cohort) == [(1, "error", "recording_time", "Not an ISO 8601 date and time.")]


def test_a_wrong_day_is_shown_as_it_is_in_the_table(cohort_of):
    cohort = with_dates(cohort_of, "30.02.1986", "14.03.1986", date_format="day first")
    issue = cohort.issues.rows.iloc[0]
    assert (len(cohort.issues), issue["row"], issue["value"]) == (1, 1, "30.02.1986")
    assert issue["problem"] == "There is no such day in the calendar."


def test_one_order_that_fits_the_whole_column_is_said_so(cohort_of):
    cohort = with_dates(cohort_of, "04.03.1986", "25.10.1993")
    assert problems(cohort, "date_of_birth") == [
        (
            "This looks like day.month.year, and no other form fits all cells that are not year-month-day.",
            'Declare date_format="day first".',
        )
    ]
    assert not cohort.is_valid.any()


def test_two_orders_that_fit_the_whole_column_are_both_offered(cohort_of):
    cohort = with_dates(cohort_of, "04.03.1986", "05/10/1993", "1995-01-31")
    assert problems(cohort, "date_of_birth") == [
        (
            "This looks like day.month.year or month.day.year; both fit all cells that are not year-month-day.",
            'Find out which is right, and declare date_format="day first" or '
            'date_format="month first".',
        )
    ]
    assert cohort.is_valid.tolist() == [False, False, True]


def test_a_slip_in_the_column_is_not_offered_a_form(cohort_of):
    cohort = with_dates(cohort_of, "25.03.1986", "26.10.1993", "soon")
    assert [problem for problem, _ in problems(cohort, "date_of_birth")] == [
        "This looks like day.month.year, as most of the column does.",
        "Not an ISO 8601 date.",
    ]


@pytest.mark.parametrize(
    ("dates", "form"),
    [
        (["1986/03/14", "1993/10/05"], "%Y/%m/%d"),
        (["14-Mar-1986", "05-Oct-1993"], "%d-%b-%Y"),
        (["14.03.86", "05.10.93"], "%d.%m.%y"),
        (["19860314", "19931005"], "%Y%m%d"),
    ],
)
def test_other_forms_are_offered_as_strptime_writes_them(cohort_of, dates, form):
    (_, remedy), *more = problems(with_dates(cohort_of, *dates), "date_of_birth")
    assert remedy == f'Declare date_format={{"date_of_birth": "{form}"}}.'
    assert not more
    again = with_dates(cohort_of, *dates, date_format={"date_of_birth": form})
    assert again.fields["date_of_birth"].tolist() == ["1986-03-14", "1993-10-05"]


def test_columns_with_different_forms_are_declared_in_one_line(cohort_of):
    cohort = cohort_of({"date_of_birth": "25.03.1986", "recording_time": "2026/01/05 07:45"})
    line = 'date_format={"date_of_birth": "day first", "recording_time": "%Y/%m/%d %H:%M"}'
    for column in ("date_of_birth", "recording_time"):
        ((_, remedy),) = problems(cohort, column)
        assert {*line[13:-1].split(", ")} == {*remedy[21:-2].split(", ")}


def test_a_declaration_that_the_whole_column_contradicts_is_not_followed_by_chance(cohort_of):
    """03.04.1985 fits both orders, but 25.04.1985 in the same column decides."""
    cohort = with_dates(cohort_of, "03.04.1985", "25.04.1985", date_format="month first")
    assert problems(cohort, "date_of_birth") == [
        (
            "Declared is 'month first', but only day.month.year fits all cells that are not year-month-day.",
            'Declare date_format="day first", or correct the cells that are otherwise.',
        )
    ]
    assert not cohort.is_valid.any()


def test_a_cell_that_does_not_fit_the_declaration_is_refused_alone(cohort_of, found):
    cohort = with_dates(cohort_of, "14.03.1986", "around 1990", date_format="%d.%m.%Y")
    problem = "It does not fit the declared '%d.%m.%Y'."
    assert found(cohort) == [(2, "error", "date_of_birth", problem)]


# --- kept -----------------------------------------------------------------------------------------


def test_a_saved_cohort_keeps_its_declarations(cohort_of, tmp_path):
    form = {"date_of_birth": "%d.%m.%Y"}
    cohort = cohort_of(
        {"birth_sex": 1, "date_of_birth": "14.03.1986", "visit": "pre"},
        values=SEXES,
        date_format=form,
        order={"visit": ["pre", "post"]},
    )
    cohort.save(tmp_path / "c.parquet")
    again = Cohort.load(tmp_path / "c.parquet")
    declared = {"values": SEXES, "date_format": form, "order": {"visit": ["pre", "post"]}}
    assert again.declared == cohort.declared == declared
    assert again.frame["visit"].cat.categories.tolist() == ["pre", "post"]
    pd.testing.assert_frame_equal(again.fields, cohort.fields)


def test_a_level_that_only_removed_rows_have_is_forgotten(cohort_of):
    cohort = with_visits(cohort_of, "pre", "post", "again", order=VISITS)
    kept = cohort.without(cohort.frame["visit"].isin(["post", "again"]).to_numpy())
    assert kept.declared == {"order": {"visit": ["pre", "follow-up"]}}
    assert kept.frame["visit"].cat.categories.tolist() == ["pre", "follow-up"]


def test_a_code_that_only_removed_rows_have_is_forgotten(cohort_of):
    cohort = cohort_of({"birth_sex": "1"}, {"birth_sex": "2", "user_label": "P02"}, values=SEXES)
    kept = cohort.without(cohort.fields["user_label"].to_numpy() == "P02")
    assert kept.declared == {"values": {"birth_sex": {"1": "MALE"}}}
