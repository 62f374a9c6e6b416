"""Issues are shown by cause, errors first, with what to paste; all rows are there when asked for."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from helios_research import cohort as cohort_package
from helios_research import columns as vocabulary
from helios_research.cohort import Cohort, CohortIssues


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
        "8 errors and 1 warning, with 3 causes. Each row: cohort.issues.rows, in which the first "
        "recording is row 1",
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
    many = CohortIssues(extra, {}, 1)
    assert len(str(many).splitlines()) == 21
    assert "1,000 causes, of which 980 are not shown" in str(many)


# --- one cause is one issue, and what it says to paste mends it -----------------------------------


def table(**columns) -> pd.DataFrame:
    """Make a table of eight people, of whom each is in one row."""
    people = {
        "recording": [f"{letter}.wav" for letter in "abcdefgh"],
        "user_label": [f"P{n}" for n in range(1, 9)],
        "date_of_birth": [f"19{60 + n}-03-{10 + n}" for n in range(8)],
        "birth_sex": ["MALE", "FEMALE"] * 4,
        "language": "en-GB",
    }
    return pd.DataFrame(people).assign(**columns).astype(object)


def days(form: str) -> list[str]:
    return [pd.Timestamp(f"19{60 + n}-03-{10 + n}").strftime(form) for n in range(8)]


def twice(label: Callable[[int], str]) -> pd.DataFrame:
    """Make a table of four people, of whom each is in two rows."""
    born = [day for day in days("%Y-%m-%d")[::2] for _ in range(2)]
    labels = [label(n) for n in range(8)]
    return table(user_label=labels, date_of_birth=born, birth_sex=["M", "M", "F", "F"] * 2)


UNDECLARED = {
    "day first": table(date_of_birth=days("%d.%m.%Y")),
    "month first": table(date_of_birth=days("%m/%d/%Y")),
    "two digits of the year": table(date_of_birth=days("%d.%m.%y")),
    "no separators": table(date_of_birth=days("%Y%m%d")),
    "month by name": table(date_of_birth=days("%d %b %Y")),
    "days of Excel": table(date_of_birth=[25_000 + n for n in range(8)]),
    "days of Excel with separators": table(date_of_birth=[f"25.00{n}" for n in range(8)]),
    "times of Excel": table(recording_time=[46_000.25 + n for n in range(8)]),
    "times, day first": table(recording_time=[f"{20 + n}.01.2026 07:45" for n in range(8)]),
    "years in the wrong century": table(date_of_birth=[f"206{n}-01-02" for n in range(8)]),
    "coded sexes": table(birth_sex=["1", "2"] * 4),
    "sexes in German": table(birth_sex=["w", "m"] * 4),
    "sexes as truth values": table(birth_sex=[True, False] * 4),
    "sexes with what cannot be seen": table(birth_sex=["MALE\u200b", "FEMALE\u200b"] * 4),
    "dates with what cannot be seen": table(date_of_birth=[f"{day}\u200b" for day in days("%Y-%m-%d")]),
    "languages": table(language=["en_GB", "de_DE"] * 4),
    "labels with what cannot be seen": twice(lambda n: f"P{n // 2}" + n % 2 * "\u200b"),
    "labels in two cases": twice(lambda n: f"{'Pp'[n % 2]}{n // 2}"),
    "labels with and without zeros": twice(lambda n: f"{n % 2 * '00'}{1 + n // 2}"),
    "labels that begin again": table(user_label=["1", "2", "3", "4"] * 2, site=["A"] * 4 + ["B"] * 4),
    "a tag with what cannot be seen": table(arm=["x", "y", "x\u200b", "y\u200b"] * 2),
}  # fmt: skip


def as_pasted(remedy: str, df: pd.DataFrame) -> dict[str, object]:
    """Do what a remedy says: run its line about df, or give what it declares, first of the choices."""
    if line := re.search(r"\b(df(\[[^]]*\])? = .*)\.$", remedy):
        scope = {"df": df.copy()}
        exec(line[1], scope)  # noqa: S102 - the line that a researcher is told to run
        return {"df": scope["df"]}
    name, written = re.search(r"\b(values|date_format)=(\"[^\"]+\"|\{.*?\}+)", remedy).groups()
    sexes = iter(["MALE", "FEMALE"])
    meant = re.sub("…", lambda _: next(sexes), written)
    return {"df": df, name: ast.literal_eval(meant)}


@pytest.mark.parametrize("kind", UNDECLARED)
def test_what_is_undeclared_is_one_cause_with_the_line_that_solves_it(folder, kind):
    df = UNDECLARED[kind]
    tags = [name for name in ("arm",) if name in df]
    cohort = Cohort.from_frame(df, root=folder, tags=tags)
    assert len(cohort.issues.causes) == 1, cohort.issues
    again = Cohort.from_frame(
        **as_pasted(cohort.issues.causes["remedy"][0], df), root=folder, tags=tags
    )
    assert again.issues.rows.empty, again.issues
    assert again.is_valid.all()


@pytest.mark.parametrize("kind", UNDECLARED)
def test_nothing_undeclared_is_read(folder, kind):
    df = UNDECLARED[kind]
    cohort = Cohort.from_frame(df, root=folder)
    names = ["user_label", "date_of_birth", "language"]
    assert cohort.fields[names].equals(df[names].astype("str"))
    assert set(cohort.fields["birth_sex"]) <= {"MALE", "FEMALE", *df["birth_sex"].astype("str")}
    is_unreadable = "labels in two" not in kind and "zeros" not in kind and "tag" not in kind
    assert cohort.is_valid.all() != is_unreadable


def test_every_problem_of_a_table_says_what_to_do_in_whole_sentences():
    """Of each call of Problem in the package, both texts end as sentences do, or with lines to run."""
    calls = [
        node
        for path in sorted(Path(cohort_package.__file__).parent.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Problem"
    ]
    assert len(calls) > 40
    for call in calls:
        for argument in call.args[:2]:
            last = [argument, *ast.iter_child_nodes(argument)][-1]
            if isinstance(last, ast.Constant) and " = " not in ast.unparse(argument):
                assert last.value.endswith((".", "?")), ast.unparse(call)
