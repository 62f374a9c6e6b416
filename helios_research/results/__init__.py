"""From the ledger to one row per recording, as a DataFrame and as files."""

from helios_research.results.parquet import read_parquet, write_parquet
from helios_research.results.table import own_columns, results_table

__all__ = ["own_columns", "read_parquet", "results_table", "write_parquet"]
