"""The whole way on the demo cohort: from a table to Parquet, a figure and a report."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from helios_research import plots
from helios_research.columns import Source
from helios_research.demo import demo_cohort, demo_cohort_path
from helios_research.errors import StudyMismatchError
from helios_research.ledger import Ledger, Setting
from helios_research.sandbox import Sandbox, SandboxSettings
from helios_research.study import Study
from helios_research.withdrawal import COHORT_FILE, RESULTS_FILE

FIGURE_FILE = "scores_by_arm.png"
REPORT_FILE = "report.html"


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made."""

    results: pd.DataFrame
    files: dict[str, Path]


def run_demo(folder: Path) -> Demo:
    """Submit the demo cohort to a sandbox, and write what a study would end with."""
    _clear(folder)
    cohort = demo_cohort()
    with Sandbox(SandboxSettings(processing_s=1.0)) as sandbox:
        study = Study(folder, client=sandbox.client())
        results = study.submit(cohort)
    figure = folder / FIGURE_FILE
    drawn = plots.scores_by_tag(results, "arm").get_figure(root=True)
    if drawn is not None:
        drawn.savefig(figure, dpi=200)
        # As everything in a study's folder.
        figure.chmod(0o600)
    files = {
        "Results": folder / RESULTS_FILE,
        "Figure": figure,
        "Report": study.report(folder / REPORT_FILE),
    }
    return Demo(results, files)


def _clear(folder: Path) -> None:
    """Make room for a new demo: remove what an earlier one has written, and nothing else."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not _holds_a_demo(folder):
        raise StudyMismatchError.demo(folder)
    for pattern in ("helios.*", COHORT_FILE, RESULTS_FILE, FIGURE_FILE, REPORT_FILE):
        for path in folder.glob(pattern):
            path.unlink()


def _holds_a_demo(folder: Path) -> bool:
    if not (folder / COHORT_FILE).exists():
        return False
    with Ledger.open(folder) as ledger:
        source = ledger.get_setting(Setting.SOURCE)
    recordings = Study(folder).cohort.fields["recording"].dropna()
    is_from_here = recordings.str.startswith(str(demo_cohort_path()))
    return source == Source.SANDBOX and not recordings.empty and bool(is_from_here.all())
