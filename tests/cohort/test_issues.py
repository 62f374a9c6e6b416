"""Issues are shown by cause, errors first, with what to paste; all rows are there when asked for."""

import re

import pandas as pd

from helios_research import columns as vocabulary
from helios_research.cohort import Cohort


def german(cohort_of, **arguments) -> Cohort:
    """Make a cohort of four people with day-first dates, coded sexes and a label in two cases."""
    days = ["14.03.1986", "05.10.1993", "01.02.2001", "30.11.1970"]
    return cohort_of(
        *(
            {"date_of_birth": day, "birth_sex": sex, "user_label": label}
            for day, sex, label in zip(days, "1212", ["P1", "p1", "P2", "P3"], strict=True)
        ),
        **arguments,
    )


def test_causes_have_the_rows_three_examples_and_the_line_to_paste(cohort_of):
    causes = german(cohort_of).issues.causes
    assert tuple(causes.columns) == tuple(column.name for column in vocabulary.CAUSES)
    assert causes.drop(columns=["problem", "remedy"]).to_numpy().tolist() == [
        ["error", "date_of_birth", 4, "14.03.1986, 05.10.1993, 01.02.2001, …"],
        ["error", "birth_sex", 4, "1, 2"],
        ["warning", "user_label", 1, "p1"],
    ]
    assert causes["remedy"][0] == 'Declare date_format="day first".'
    assert causes["remedy"][1].endswith('values={"birth_sex": {"1": "…", "2": "…"}}.')


def test_the_line_to_paste_keeps_what_is_declared_already(cohort_of):
    cohort = german(cohort_of, values={"birth_sex": {"1": "MALE"}}, date_format="day first")
    (remedy, _) = cohort.issues.causes["remedy"]
    assert remedy.endswith('values={"birth_sex": {"1": "MALE", "2": "…"}}.')


def test_the_text_reads_errors_first(cohort_of):
    assert str(german(cohort_of).issues).splitlines()[:2] == [
        "8 errors and 1 warning, with 3 causes. Each row: cohort.issues.rows",
        "  error, date_of_birth, 4 rows (14.03.1986, 05.10.1993, 01.02.2001, …): This looks like "
        "day.month.year, and no other form fits all cells that are not year-month-day. "
        'Declare date_format="day first".',
    ]
    assert str(cohort_of({}).issues) == "There are no issues."


def test_what_differs_from_row_to_row_is_one_cause(cohort_of):
    people = [
        {"user_label": f"P{person}", "date_of_birth": f"19{80 + person + row}-01-01"}
        for person in range(3)
        for row in range(2)
    ]
    causes = cohort_of(*people).issues.causes
    assert causes[["column", "rows"]].to_numpy().tolist() == [["date_of_birth", 6]]
    assert causes["problem"][0].startswith("This participant has 2 dates of birth: 1980-01-01 (row")


def test_missing_files_are_one_cause_whatever_their_folders_are_called(cohort_of):
    files = ["no.wav", "Anna Müller/von 1.wav", "x y z/two.wav"]
    people = ({"recording": name, "user_label": f"P{n}"} for n, name in enumerate(files))
    causes = cohort_of(*people).issues.causes
    assert causes[["column", "rows"]].to_numpy().tolist() == [["recording", 3]]


def test_a_problem_of_the_whole_table_concerns_no_row(cohort_of):
    issues = cohort_of({"Recording Time": "x"}).issues
    assert issues.causes["rows"].tolist() == [0]
    assert "  warning, Recording Time: The column looks like recording_time" in str(issues)


def test_the_display_wraps_and_shows_no_markup_of_the_table(cohort_of):
    html = cohort_of({"birth_sex": "<b>1</b>"}).issues._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;1" in html
    cells = re.findall("<t[dh] ([^>]*)>", html)
    assert len(cells) == 10
    assert all("text-align: left" in cell for cell in cells)
    assert ["white-space: pre-wrap" in cell for cell in cells] == 5 * [False] + [
        *(False, False, False, True, True)
    ]
    assert "color: var(--jp-error-color1, var(--vscode-errorForeground" in html


def test_a_file_in_an_old_encoding_is_pointed_out_once(folder, table_of):
    table = table_of({"ort": "Köln"}, {"ort": "Zürich", "user_label": "P02"})
    table.to_csv(folder / "m.csv", index=False, encoding="cp1252")
    from helios_research.cohort import read_cohort

    assert len(read_cohort(folder / "m.csv").issues) == 1


def test_a_thousand_causes_do_not_flood_the_text(cohort_of):
    issues = cohort_of({}).issues
    words = [f"Problem {chr(0x4E00 + number)}." for number in range(1000)]
    extra = pd.DataFrame({"problem": words}).assign(
        row=1, recording_id="a.wav", severity="error", column="x", value="y", remedy="Mend it."
    )
    extra["severity"] = extra["severity"].astype(issues.rows["severity"].dtype)
    many = cohort_of({}).with_issues(extra[issues.rows.columns]).issues
    assert len(str(many).splitlines()) == 21
    assert "1,000 causes, of which 980 are not shown" in str(many)
