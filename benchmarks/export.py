"""How long it takes to export and report on 100,000 results, and how large the files are.

Run it with ``python benchmarks/export.py [ROWS]``. The results are the synthetic shift study,
repeated with new participants until there are enough. Targets: Parquet written within a
second, and read within another.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from support.results import many_results

from helios_research.report import write_report
from helios_research.results import export, read_results

ROWS = 100_000


def main(rows: int = ROWS) -> None:
    """Print a line per file: seconds by the clock and in processor time, and its size."""
    table = many_results(rows)
    print(f"{len(table):,} results of {table['user_label'].nunique():,} participants")
    with TemporaryDirectory() as folder:
        jobs = [
            (
                f"{ending}{' with ages' if ages else ''}{', long' if long else ''}",
                ending,
                ages,
                long,
            )
            for ending in ("parquet", "csv", "sav", "dta", "xlsx")
            for ages, long in ((False, False), (True, False), (True, True))
            # A long table of so many recordings has more rows than a sheet.
            if not (ending == "xlsx" and long and rows * 11 >= 1_048_576)
        ]
        for name, ending, ages, long in jobs:
            start, worked = time.perf_counter(), time.process_time()
            path = export(table, Path(folder) / f"x.{ending}", ages=ages, long=long)[0]
            show(name, start, worked, path)
        path = export(table, Path(folder) / "r.parquet")[0]
        for name, read in (("toolkit", read_results), ("pandas", pd.read_parquet)):
            start, worked = time.perf_counter(), time.process_time()
            read(path)
            show(f"parquet read by {name}", start, worked, path)
        start, worked = time.perf_counter(), time.process_time()
        path = write_report(table, Path(folder) / "report.html", by=["arm", "site", "visit"])
        show("report by arm, site and visit", start, worked, path)


def show(name: str, start: float, worked: float, path: Path) -> None:
    """Print one line."""
    seconds, processor = time.perf_counter() - start, time.process_time() - worked
    size = path.stat().st_size / 1e6
    print(f"{seconds:7.1f} s  {processor:7.1f} s of processor  {size:8.1f} MB  {name}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
