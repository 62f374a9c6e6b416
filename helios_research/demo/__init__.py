"""A first look: synthesized recordings of invented participants, and the full pipeline on them."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from helios_research.errors import StudyMismatchError

# The rest is imported where it is needed, so that finding the files costs nothing.
if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from helios_research.cohort import Cohort

TAGS = ("arm", "visit")
FIGURE_FILE = "scores_by_arm.png"


def demo_cohort_path() -> Path:
    """Find the folder with ``manifest.csv`` and ``recordings`` of the demo cohort.

    It comes with the installed package; in a checkout it is under ``datasets``.
    """
    here = Path(__file__).resolve()
    installed = here.parent / "cohort"
    checkout = here.parents[2] / "datasets" / "demo_cohort"
    return installed if installed.is_dir() else checkout


def demo_cohort() -> "Cohort":
    """Read the demo cohort: synthesized recordings of invented participants, with two tags."""
    from helios_research.cohort import read_cohort

    return read_cohort(demo_cohort_path() / "manifest.csv", tags=TAGS)


def run_demo(folder: Path) -> tuple["pd.DataFrame", dict[str, Path]]:
    """Submit the demo cohort to a sandbox; give the results and the files, by what they are."""
    from helios_research import plots
    from helios_research.sandbox import Sandbox, SandboxSettings
    from helios_research.study import REPORT_FILE, Study
    from helios_research.withdrawal import RESULTS_FILE

    _clear(folder)
    with Sandbox(SandboxSettings(processing_s=1.0)) as sandbox:
        study = Study(folder, client=sandbox.client())
        results = study.submit(demo_cohort())
    figure = folder / FIGURE_FILE
    drawn = cast("Axes", plots.scores_by_tag(results, "arm")).get_figure(root=True)
    if drawn is not None:
        drawn.savefig(figure, dpi=200)
        # As everything in a study's folder.
        figure.chmod(0o600)
    files = {
        "Results": folder / RESULTS_FILE,
        "Figure": figure,
        "Report": study.report(folder / REPORT_FILE),
    }
    return results, files


def _clear(folder: Path) -> None:
    """Remove what an earlier demo has written, and nothing else."""
    from helios_research.study import REPORT_FILE
    from helios_research.withdrawal import COHORT_FILE, RESULTS_FILE

    if not folder.exists() or not any(folder.iterdir()):
        return
    if not _holds_a_demo(folder):
        raise StudyMismatchError.demo(folder)
    for pattern in ("helios.*", COHORT_FILE, RESULTS_FILE, FIGURE_FILE, REPORT_FILE):
        for path in folder.glob(pattern):
            path.unlink()


def _holds_a_demo(folder: Path) -> bool:
    from helios_research.columns import Source
    from helios_research.ledger import Ledger, Setting
    from helios_research.study import Study
    from helios_research.withdrawal import COHORT_FILE

    if not (folder / COHORT_FILE).exists():
        return False
    with Ledger.open(folder) as ledger:
        source = ledger.get_setting(Setting.SOURCE)
    recordings = Study(folder).cohort.fields["recording"].dropna()
    is_from_here = recordings.str.startswith(str(demo_cohort_path()))
    return source == Source.SANDBOX and not recordings.empty and bool(is_from_here.all())
