"""A first look without a key, a network or a recording of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from helios_research.cohort import Cohort

TAGS = ("arm", "visit")


def demo_cohort_path() -> Path:
    """Find the demo cohort: synthesized recordings of invented participants.

    It comes with the installed package; in a checkout it stands under ``datasets``.

    Returns
    -------
    Path
        The folder with ``manifest.csv`` and ``recordings``.
    """
    here = Path(__file__).resolve()
    installed = here.parent / "cohort"
    checkout = here.parents[2] / "datasets" / "demo_cohort"
    return installed if installed.is_dir() else checkout


def demo_cohort() -> "Cohort":
    """Read the demo cohort: synthesized recordings of invented participants.

    Returns
    -------
    Cohort
        The recordings, with the tags ``arm`` and ``visit``.
    """
    # Imported here, so that finding the files costs nothing.
    from helios_research.cohort import read_cohort

    return read_cohort(demo_cohort_path() / "manifest.csv", tags=TAGS)
