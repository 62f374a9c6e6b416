"""From the ledger to one row per recording, as a DataFrame and as files.

The names are loaded when they are first used, so that what only reads or describes results does
not load the ledger.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helios_research.results.exporting import export
    from helios_research.results.files import read_results, write_parquet
    from helios_research.results.table import own_columns, results_table

__all__ = ["export", "own_columns", "read_results", "results_table", "write_parquet"]

_HOMES = {
    "export": "helios_research.results.exporting",
    "own_columns": "helios_research.results.table",
    "read_results": "helios_research.results.files",
    "results_table": "helios_research.results.table",
    "write_parquet": "helios_research.results.files",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOMES[name]), name)
