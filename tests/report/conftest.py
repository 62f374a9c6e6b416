"""A part of the shift study, small enough to report on in seconds, and its report."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from helios_research.report import write_report
from helios_research.report.blocks import Block, Bullets, Table, Text
from helios_research.results import read_results

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"

Reporter = Callable[..., str]


@pytest.fixture(scope="session")
def study() -> pd.DataFrame:
    """Results of 24 participants of the synthetic shift study, at up to 5 visits."""
    table = read_results(STUDY)
    people = table["user_label"].unique()[::5]
    early = table["visit"].astype(int) <= 5
    return table[table["user_label"].isin(people) & early].reset_index(drop=True)


@pytest.fixture(scope="session")
def report(study: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report about them."""
    return write_report(
        study,
        tmp_path_factory.mktemp("report") / "report.html",
        by=["arm", "visit"],
        provenance={"study": "night-shift", "base_url": "https://api.example", "tags": ["arm"]},
        biomarkers=["mental_strain", "distress"],
    )


@pytest.fixture
def report_on(tmp_path: Path) -> Reporter:
    """Write a report with one biomarker's figures, and give its HTML."""

    def write(table: pd.DataFrame, **options: object) -> str:
        chosen = {"biomarkers": ["mental_strain"], **options}
        path = write_report(table, tmp_path / "report.html", **chosen)
        return path.read_text(encoding="utf-8")

    return write


@pytest.fixture
def tables() -> Callable[[Sequence[Block]], list[Table]]:
    """Give the tables of a section."""
    return lambda section: [block for block in section if isinstance(block, Table)]


@pytest.fixture
def words() -> Callable[[Sequence[Block]], str]:
    """Give the paragraphs and lists of a section as one text."""

    def join(section: Sequence[Block]) -> str:
        said = [block.text for block in section if isinstance(block, Text)]
        return " ".join(
            said + [item for b in section if isinstance(b, Bullets) for item in b.items]
        )

    return join
