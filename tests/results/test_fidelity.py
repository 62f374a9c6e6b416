"""Every cell of a study, in every format, as another program reads it."""

import csv
import math
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import polars as pl
import pyreadstat
import pytest

from helios_research.columns import MANIFEST, RESULTS, Kind
from helios_research.results import export

KINDS = {column.name: column.kind for column in (*MANIFEST, *RESULTS)}

Columns = Mapping[str, list[Any]]


def by_polars(path: Path) -> Columns:
    return pl.read_parquet(path).to_dict(as_series=False)


def by_csv_module(path: Path) -> Columns:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    return {name: [row[place] for row in rows] for place, name in enumerate(header)}


def by_openpyxl(path: Path) -> Columns:
    with closing(openpyxl.load_workbook(path, read_only=True)) as book:
        header, *rows = book["results"].iter_rows(values_only=True)
    return {str(name): [row[place] for row in rows] for place, name in enumerate(header)}


def by_pyreadstat(path: Path) -> Columns:
    read = {".sav": pyreadstat.read_sav, ".dta": pyreadstat.read_dta}[path.suffix]
    table, meta = read(path)
    # A score's labels say its level in words; those of a category are what the category is.
    labels = {
        name: words
        for name, words in meta.variable_value_labels.items()
        if name == "birth_sex" or KINDS.get(name) is Kind.CATEGORY
    }
    return {
        name: [labels[name].get(cell) if name in labels else cell for cell in table[name]]
        for name in table
    }


READERS: Mapping[str, Callable[[Path], Columns]] = {
    ".parquet": by_polars,
    ".csv": by_csv_module,
    ".xlsx": by_openpyxl,
    ".sav": by_pyreadstat,
    ".dta": by_pyreadstat,
}


def meant(cell: Any, kind: Kind | None) -> Any:
    """Give what a cell means, however a format spells it."""
    if kind in {Kind.TEXT_LIST, Kind.SECTIONS} and not isinstance(cell, str):
        cell = None if cell is None or isinstance(cell, float) else " | ".join(map(str, cell))
    if cell is None or cell is pd.NaT or cell is pd.NA or cell == "" or cell != cell:
        return None
    if kind in {Kind.NUMBER, Kind.COUNT}:
        return float(cell)
    if kind is Kind.MOMENT:
        moment = pd.Timestamp(cell)
        return moment.tz_convert("UTC") if moment.tz else moment.tz_localize("UTC")
    return str(cell)


def agree(read: Any, was: Any) -> bool:
    if isinstance(was, float) and isinstance(read, float):
        return math.isclose(read, was, rel_tol=1e-15)
    if isinstance(was, pd.Timestamp) and isinstance(read, pd.Timestamp):
        return bool(abs(read - was) <= pd.Timedelta(milliseconds=1))
    return type(read) is type(was) and read == was


@pytest.mark.parametrize("ending", READERS)
def test_every_cell_is_what_it_was(study: pd.DataFrame, tmp_path: Path, ending: str) -> None:
    path = export(study, tmp_path / f"scores{ending}")[0]
    read = READERS[ending](path)
    assert [name for name in read if not name.endswith("_level")] == [
        name for name in study.columns if not name.endswith("_level")
    ]
    for name in study.columns:
        kind = KINDS.get(name)
        found, expected = (
            [meant(cell, kind) for cell in cells] for cells in (read[name], study[name])
        )
        differ = [pair for pair in zip(found, expected, strict=True) if not agree(*pair)]
        assert not differ, f"{name}: {differ[:3]}"
