"""Text of a table stays text wherever it is shown: in pages, widgets, reports and spreadsheets."""

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import helios_research as hr
from helios_research.report import write_report
from helios_research.results import export, read_results

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"

# Ways out of a text, an attribute, a comment, a script or a style sheet, and into a formula.
MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "</title><script>alert(1)</script>",
    "--><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "${7*7}",
    "\u202e<b>",
    "\x00<script>",
    "<scr\x00ipt>alert(1)</script>",
)
FORMULAS = (
    "=1+1",
    "+1",
    "-1+1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "=HYPERLINK('http://x')",
    "=cmd|'/C'!A",
)

lean = settings(
    max_examples=settings().max_examples // 12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
hostile = st.one_of(
    st.sampled_from(MARKUP),
    st.sampled_from(FORMULAS),
    st.tuples(st.text(max_size=5), st.sampled_from(MARKUP), st.text(max_size=5)).map("".join),
)


class Elements(HTMLParser):
    """Notes what is not text: elements that act, attributes that do, addresses that run."""

    def __init__(self) -> None:
        super().__init__()
        self.acting: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "iframe", "object", "embed", "link", "base", "form"}:
            self.acting.append(tag)
        for name, value in attributes:
            if name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.acting.append(f"{tag} {name}={value}")


def acting_in(page: str) -> list[str]:
    elements = Elements()
    elements.feed(page)
    elements.close()
    return elements.acting


@pytest.fixture(scope="module")
def few() -> pd.DataFrame:
    table = read_results(STUDY)
    return table[table["user_label"].isin(table["user_label"].unique()[:8])].reset_index(drop=True)


@pytest.fixture
def with_text(few):
    """Put texts where a researcher's table, or a service, may have them."""

    def put(texts: list[str]) -> pd.DataFrame:
        some = [texts[number % len(texts)] for number in range(len(few))]
        table = few.assign(
            arm=some, error_reason=some, transcript=some, user_label=few["user_label"]
        )
        people = zip(few["user_label"], some, strict=True)
        table["user_label"] = [f"{who}{text}"[:50] for who, text in people]
        table["recording_id"] = [f"{text}{number}" for number, text in enumerate(some)]
        return table.assign(**{texts[0] or "own": some})

    return put


@given(texts=st.lists(hostile, min_size=1, max_size=4))
@lean
def test_texts_of_a_cohort_are_only_shown(tmp_path, texts) -> None:
    table = pd.DataFrame(
        {
            "recording": texts,
            "user_label": texts,
            "date_of_birth": texts,
            "birth_sex": "FEMALE",
            "language": texts,
            texts[0]: texts,
        }
    )
    cohort = hr.Cohort.from_frame(table, root=tmp_path)
    assert acting_in(cohort._repr_html_()) == []
    for name in ("problem", "remedy"):
        assert all(cohort.issues.rows[name].str.endswith((".", "?", ")")))


@given(texts=st.lists(hostile, min_size=1, max_size=3))
@settings(parent=lean, max_examples=max(3, settings().max_examples // 40))
def test_texts_of_results_are_only_shown_in_a_report(with_text, tmp_path, texts) -> None:
    path = write_report(
        with_text(texts), tmp_path / "r.html", by=["arm"], biomarkers=["mental_strain"]
    )
    assert acting_in(path.read_text(encoding="utf-8")) == []


@given(texts=st.lists(hostile, min_size=1, max_size=4))
@settings(parent=lean, max_examples=max(3, settings().max_examples // 30))
def test_texts_of_results_are_only_shown_in_an_explorer(with_text, texts) -> None:
    explorer = hr.widgets.Explorer(with_text(texts))
    try:
        assert acting_in(explorer.static_html()) == []
    finally:
        explorer.close()


@given(texts=st.lists(hostile, min_size=1, max_size=4))
@lean
def test_texts_of_results_are_text_in_spreadsheets(with_text, tmp_path, texts) -> None:
    table = with_text(texts)
    export(table, tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.reader(file):
            assert not [cell for cell in row if is_formula(cell)]
    export(table, tmp_path / "scores.xlsx")
    book = openpyxl.load_workbook(tmp_path / "scores.xlsx")
    for sheet in book.worksheets:
        assert not [cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    book.close()


def is_formula(cell: str) -> bool:
    is_number = re.fullmatch(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?", cell)
    return cell.startswith(("=", "+", "-", "@", "\t", "\r")) and not is_number
