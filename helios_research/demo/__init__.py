"""A first look without a key, a network or a recording of one's own."""

from pathlib import Path


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
