"""Results as files that other programs read, each with a codebook and a README beside it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from helios_research._util.files import replaced
from helios_research.columns import Kind, Source
from helios_research.errors import ResultsError, storage_errors
from helios_research.results.codebook import all_sources, codebook, codebook_text, readme_text
from helios_research.results.files import (
    CSV_ENCODING,
    GUARD,
    prepare_for_csv,
    prepare_for_excel,
    read_footer,
    read_results,
    to_arrow,
    write_csv,
    write_parquet,
    write_sheets,
)
from helios_research.results.shapes import ExportTable, describe_results, to_long, with_ages
from helios_research.results.statistics_files import (
    SPSS,
    STATA,
    prepare_statistics,
    write_statistics,
)


class _Export(NamedTuple):
    """All that is needed to write one file and what goes beside it."""

    table: ExportTable
    book: pd.DataFrame
    readme: str
    provenance: Mapping[str, Any]
    title: str


class _Format(NamedTuple):
    """How one kind of file is prepared, written and read."""

    prepare: Callable[[ExportTable], ExportTable]
    write: Callable[[_Export, Path], None]
    how_to_read: str


def export(
    results: pd.DataFrame | str | PathLike[str],
    path: str | PathLike[str],
    *,
    tags: Sequence[str] = (),
    ages: bool = False,
    long: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write results to a file, and beside it a codebook (CSV and Markdown) and a README.

    An existing file is replaced when the new one is complete.

    Parameters
    ----------
    results
        One row per recording, or the path of a ``results.parquet``.
    path
        The file. Its ending chooses the format: ``.parquet``, ``.csv``, ``.xlsx``, ``.sav``
        (SPSS) or ``.dta`` (Stata).
    tags
        The columns that were sent as tags; by default those that the Parquet file lists.
    ages
        Whether dates of birth are replaced by ages at the recording, in completed years.
    long
        Whether to write one row per recording and biomarker.
    provenance
        What the README says about the study: ``study``, ``base_url``, ``source``, ``tags``. By
        default what the Parquet file says about it.

    Returns
    -------
    list of Path
        The file, its codebook as CSV and as Markdown, and its README.

    Raises
    ------
    ResultsError
        The format is unknown or its package is not installed, or the results cannot be read, lack
        a column or do not fit into the format.
    StudyStorageError
        A file cannot be written there.

    Examples
    --------
    >>> written = export("studies/night-shift/results.parquet", "scores.csv")  # doctest: +SKIP
    """
    target = Path(path).expanduser()
    form = _FORMATS.get(target.suffix.lower())
    if form is None:
        listed = ", ".join(_FORMATS)
        message = f"Unknown ending {target.suffix!r} of {target.name!r}: choose one of {listed}."
        raise ResultsError(message)
    results, known = _loaded(results)
    known |= provenance or {}
    known["tags"] = [*(tags or known.get("tags") or ())]
    table = describe_results(results, known["tags"])
    table = with_ages(table) if ages else table
    table = form.prepare(to_long(table) if long else table)
    book = codebook(table)
    readme = readme_text(target.name, results, table, known, form.how_to_read)
    is_synthetic = Source.SANDBOX.value in all_sources(results, known)
    book_as_text = codebook_text(target.name, book, synthetic=is_synthetic)
    study = f", {known['study']}" if known.get("study") else ""
    title = f"{'SYNTHETIC: ' if is_synthetic else ''}Helios results{study}"
    writers: Mapping[str, Callable[[Path], object]] = {
        "": partial(form.write, _Export(table, book, readme, known, title)),
        ".codebook.csv": partial(write_csv, prepare_for_csv(ExportTable(book, {}))),
        ".codebook.md": lambda path: path.write_text(book_as_text, encoding="utf-8"),
        ".README.md": lambda path: path.write_text(readme, encoding="utf-8"),
    }
    files = {target.with_name(target.name + ending): write for ending, write in writers.items()}
    for file, write in files.items():
        with storage_errors(file), replaced(file) as unfinished:
            write(unfinished)
    return list(files)


def _loaded(results: pd.DataFrame | str | PathLike[str]) -> tuple[pd.DataFrame, dict[str, Any]]:
    if isinstance(results, pd.DataFrame):
        return results, {}
    source = Path(results).expanduser()
    return read_results(source), read_footer(source)


# --- the formats ----------------------------------------------------------------------------------


def _write_parquet(export_: _Export, path: Path) -> None:
    described = {
        name: {"meaning": variable.meaning, "unit": variable.unit}
        for name, variable in export_.table.variables.items()
    }
    provenance = {**export_.provenance, "columns": described}
    write_parquet(to_arrow(export_.table.frame), path, provenance)


def _write_excel(export_: _Export, path: Path) -> None:
    variables = export_.table.variables.values()
    moments = {one.name for one in variables if one.type == Kind.MOMENT.value}
    sheets = {"results": export_.table.frame, "codebook": export_.book}
    write_sheets(sheets, path, utc=moments, about=export_.readme)


_FORMATS: Mapping[str, _Format] = {
    ".parquet": _Format(
        lambda table: table,
        _write_parquet,
        "The file stores the types of its columns. It opens with `pandas.read_parquet`, "
        "`polars.read_parquet`, DuckDB's `read_parquet` and R's `arrow::read_parquet`. Times that "
        "the codebook calls UTC are in UTC.",
    ),
    ".csv": _Format(
        prepare_for_csv,
        lambda export_, path: write_csv(export_.table, path),
        f"""UTF-8 with a byte order mark ({CSV_ENCODING} in Python), separated by commas. An empty cell
is a missing value; `NA` is the text NA; an id such as `007` is text. Times are ISO 8601; those that end
in Z are in UTC. Several warnings of a recording are joined by ` | `; sections are JSON.

Text that a spreadsheet would run as a formula (it begins with `=`, `+`, `-`, `@`, a tab or a line
break, and is not a plain number) has an apostrophe in front.

- pandas: `pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""])`, then convert the columns
  that the codebook calls numbers
- R: `readr::read_csv(path, na = "", col_types = readr::cols(user_label = "c"))`; base R:
  `read.csv(path, fileEncoding = "UTF-8-BOM", na.strings = "", colClasses = c(user_label = "character"))`
- to remove the apostrophes: replace the regular expression `{GUARD}` by nothing (`re.sub` in
  Python, `sub(…, perl = TRUE)` in R)
- Excel always shows `007` from a CSV file as 7: use an .xlsx file there.""",
    ),
    ".xlsx": _Format(
        prepare_for_excel,
        _write_excel,
        "The sheet `results` has the table, `codebook` its columns, `about` this text. Text stays "
        "text, even if it looks like a number or a formula. Times in Excel have no zone; those "
        "shown with UTC are in UTC. An empty cell is a missing value.",
    ),
    ".sav": _Format(
        partial(prepare_statistics, program=SPSS),
        lambda export_, path: write_statistics(export_.table, export_.title, path, SPSS),
        "SPSS, R's `haven::read_sav` and Python's `pyreadstat.read_sav` open it. Categories such as "
        "outcome are numbers with value labels. Times that the codebook calls UTC are in UTC. A "
        "missing text is empty.",
    ),
    ".dta": _Format(
        partial(prepare_statistics, program=STATA),
        lambda export_, path: write_statistics(export_.table, export_.title, path, STATA),
        "Stata 14 and later, R's `haven::read_dta` and Python's `pyreadstat.read_dta` open it. "
        "Categories such as outcome are numbers with value labels. Times that the codebook calls "
        "UTC are in UTC. A missing text is empty. Stata labels whole numbers only, so each bucketed "
        "score also has a labelled column that ends in `_level` and counts from 0 to 3.",
    ),
}
