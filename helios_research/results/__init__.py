"""From the ledger to one row per recording, as a DataFrame and as files."""

from helios_research.results.exporting import export
from helios_research.results.files import read_results

__all__ = ["export", "read_results"]
