"""One HTML file with everything in it that a reader needs, and nothing that names anyone."""

import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from inspect import signature
from pathlib import Path

import pandas as pd
import pytest

from helios_research.columns import SCORES
from helios_research.errors import ResultsError, StudyStorageError, UnknownColumnError
from helios_research.report import write_report
from helios_research.study import Study

Reporter = Callable[..., str]
TITLES = (
    "Finding",
    "Methods",
    "Who took part",
    "From the manifest to scores",
    "Missing scores",
    "Scores by arm, visit",
    "Over time",
    "Errors and what to do about them",
    "Appendix A: methods in full",
    "Appendix B: codebook",
)


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def pending(table: pd.DataFrame) -> pd.DataFrame:
    """The study before anything was sent."""
    nothing = dict.fromkeys((column.name for column in SCORES), float("nan"))
    never = pd.Series(pd.NaT, index=table.index, dtype="datetime64[us, UTC]")
    moments = dict.fromkeys(("created_at", "uploaded_at", "run_at", "completed_at"), never)
    return table.assign(outcome="pending", error_code=None, n_sections=None, **nothing, **moments)


def test_it_has_all_sections_and_a_way_to_each(report: Path) -> None:
    page = Page(report.read_text(encoding="utf-8"))
    anchors = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    ids = [f"#{attrs['id']}" for tag, attrs in page.tags if tag == "section"]
    assert anchors == ids
    assert all(title in page.text for title in TITLES)
    assert "night-shift" in page.text
    assert "not a medical device" in page.text


def test_it_refers_to_nothing_outside_itself(report: Path) -> None:
    page = Page(report.read_text(encoding="utf-8"))
    kinds = {tag for tag, _ in page.tags}
    assert kinds.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base"})
    for tag, attrs in page.tags:
        assert not attrs.get("style"), tag
        assert not any(name.startswith("on") for name in attrs), tag
        for name in ("src", "href", "srcset", "data", "action"):
            assert (attrs.get(name) or "#").startswith(("#", "data:image/png;base64,")), tag
    style = re.search(r"<style>(.*?)</style>", report.read_text(encoding="utf-8"), re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_figures_and_tables_are_numbered_in_the_order_in_which_they_are_read(report: Path) -> None:
    text = Page(report.read_text(encoding="utf-8")).text
    for name in ("Figure", "Table"):
        numbers = [int(number) for number in re.findall(rf"^{name} (\d+)\. ", text, re.MULTILINE)]
        assert len(numbers) > 3
        assert numbers == list(range(1, len(numbers) + 1))


def test_every_picture_says_what_it_shows(report: Path) -> None:
    page = Page(report.read_text(encoding="utf-8"))
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    # The primary outcome in the opening, the flow, two by arm, the other one over time.
    assert len(pictures) == 5
    assert all(picture["alt"] for picture in pictures)
    assert any("day_shift: mean 0." in (picture["alt"] or "") for picture in pictures)


def test_no_label_recording_transcript_or_free_column_is_in_it(
    study: pd.DataFrame, report_on: Reporter
) -> None:
    table = study.assign(
        transcript="I slept badly", note="called her mother", user_label=study["user_label"] + "-X"
    )
    html = report_on(table, by=["arm"])
    people = [*table["user_label"].unique(), *table["date_of_birth"].unique()]
    for secret in (
        "slept badly",
        "mother",
        *people,
        *table["recording"],
        *table["sha256"].dropna(),
    ):
        assert secret not in html


def test_synthetic_scores_are_marked_before_anything_else(
    report: Path, study: pd.DataFrame, report_on: Reporter
) -> None:
    body = report.read_text(encoding="utf-8").partition("<body>")[2]
    assert Page(body).text.strip().startswith("Synthetic. Synthetic scores from the sandbox")
    html = report_on(study.assign(source="thymia"))
    assert "Synthetic" not in html
    assert 'class="banner"' not in html


def test_html_and_other_scripts_in_cells_are_only_text(
    study: pd.DataFrame, report_on: Reporter
) -> None:
    evil = "<img src=x onerror=alert(1)>"
    table = study.assign(
        arm=study["arm"].replace({"day_shift": evil, "night_shift": "夜勤 & Nächte"}),
        error_code=study["error_code"].mask(study["error_code"].notna(), "<b>CODE</b>"),
        warnings=pd.Series([["</table><script>x</script>"]] * len(study), dtype="object"),
    ).rename(columns={"site": "<i>site</i>"})
    html = report_on(table, by=["arm", "<i>site</i>"], provenance={"study": "</title><b>x</b>"})
    assert evil not in html
    for markup in ("<b>", "<i>", "<script"):
        assert markup not in html
    assert "夜勤 &amp; Nächte" in html
    assert evil in Page(html).text


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table,
        lambda table: table.head(1),
        lambda table: table[table["user_label"] == table["user_label"].iloc[0]],
        lambda table: table[table["outcome"] != "scored"],
        pending,
        lambda table: table.head(0),
        lambda table: table.assign(user_label=pd.Series(None, index=table.index, dtype="str")),
        lambda table: table.assign(arm=pd.Series(None, index=table.index, dtype="str")),
        lambda table: table.assign(arm=[f"level {n % 50}" for n in range(len(table))]),
        lambda table: table[["recording_id", "user_label", "outcome", "arm", "mental_strain"]],
        lambda table: table.assign(n_sections=2, mental_strain=float("nan")),
    ],
    ids=[
        "as it is",
        "one recording",
        "one participant",
        "nothing scored",
        "everything pending",
        "no rows",
        "no participants",
        "tag never given",
        "50 levels",
        "few columns",
        "several sections",
    ],
)
def test_any_study_has_a_report(
    study: pd.DataFrame,
    report_on: Reporter,
    change: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    table = change(study).reset_index(drop=True)
    page = Page(report_on(table, by=["arm"], hide_small_cells=len(table) < 30))
    assert sum(tag == "section" for tag, _ in page.tags) == len(TITLES)
    assert "nan" not in page.text.lower().split()


def test_without_tags_all_recordings_are_described_together(
    study: pd.DataFrame, report_on: Reporter
) -> None:
    page = Page(report_on(study))
    assert "Nothing can be compared: no column is given to compare by." in page.text
    assert any("all: mean" in (attrs.get("alt") or "") for _, attrs in page.tags)


def test_a_tag_with_too_many_levels_is_a_sentence(study: pd.DataFrame, report_on: Reporter) -> None:
    many = pd.concat([study] * 5, ignore_index=True).head(501)
    many["room"] = [f"room {number}" for number in range(501)]
    assert Page(report_on(many, by=["room"])).text.count("has 501 different values") == 2


def test_unknown_columns_and_unreadable_files_are_named(
    study: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(UnknownColumnError, match="Did you mean 'arm'"):
        write_report(study, tmp_path / "x.html", by=["arms"])
    with pytest.raises(ResultsError, match="no results file"):
        write_report(tmp_path / "none.parquet", tmp_path / "x.html")
    with pytest.raises(StudyStorageError, match=r"no such file or directory\. Make its folder"):
        write_report(study.head(0), tmp_path / "nowhere" / "x.html")
    assert list(tmp_path.iterdir()) == []


def test_a_study_reports_with_the_same_settings() -> None:
    """But for the provenance, which the study itself knows."""
    own, function = (dict(signature(made).parameters) for made in (Study.report, write_report))
    for name in ("self", "path"):
        own.pop(name)
    for name in ("results", "path", "provenance"):
        function.pop(name)
    assert own == function


def test_reporting_loads_neither_the_ledger_nor_the_network() -> None:
    code = (
        "import sys; import helios_research.report;"
        "found = {'sqlite3', 'httpx', 'helios_research.ledger'} & set(sys.modules);"
        "print(found); sys.exit(len(found))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
