"""Results as files that other programs read, each with a codebook and a README beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from helios_research._util.files import replaced
from helios_research.columns import RESULTS_BY_NAME
from helios_research.errors import ResultsError, storage_errors
from helios_research.results.codebook import (
    SYNTHETIC,
    codebook,
    markdown_table,
    markdown_text,
    readme_text,
    sources_of,
)
from helios_research.results.files import (
    read_footer,
    read_results,
    write_parquet,
)
from helios_research.results.shapes import (
    ExportTable,
    describe_results,
    flattened,
    long_table,
    with_ages,
)
from helios_research.results.spreadsheets import (
    CSV_ENCODING,
    GUARD,
    prepared_for_csv,
    prepared_for_excel,
    write_csv,
    write_excel,
)
from helios_research.results.statistics_files import (
    SPSS,
    STATA,
    Dialect,
    prepared_for,
    write_spss,
    write_stata,
)


@dataclass(frozen=True, slots=True)
class _Job:
    """All that is needed to write one file."""

    content: ExportTable
    book: pd.DataFrame
    readme: str
    provenance: Mapping[str, Any]
    is_synthetic: bool

    @property
    def title(self) -> str:
        """A line that says what the file is, for formats that have room for one."""
        study = self.provenance.get("study")
        name = f"Helios results, {study}" if study else "Helios results"
        return f"SYNTHETIC: {name}" if self.is_synthetic else name


@dataclass(frozen=True, slots=True)
class _Format:
    """How one kind of file is prepared, written and read."""

    prepare: Callable[[ExportTable], ExportTable]
    write: Callable[[_Job, Path], None]
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

    Each file is written beside its place and moved there when it is complete; one that is there
    is replaced.

    Parameters
    ----------
    results
        One row per recording, or the path of a ``results.parquet``.
    path
        The file. Its ending chooses the format: ``.parquet``, ``.csv``, ``.xlsx``, ``.sav``
        (SPSS) or ``.dta`` (Stata).
    tags
        The columns that were sent as tags; by default those that the Parquet file names.
    ages
        Whether dates of birth are replaced by ages at the recording, in completed years.
    long
        Whether to write one row per recording and biomarker.
    provenance
        What the README tells beside what is in the results: ``study``, ``base_url``, ``source``,
        ``tags``. By default what the Parquet file says of itself.

    Returns
    -------
    list of Path
        The file, its codebook as CSV and as Markdown, and its README.

    Raises
    ------
    ResultsError
        The format is not known or not installed, the results cannot be read or lack a column, or
        do not fit into the format.
    StudyStorageError
        A file cannot be written there.

    Examples
    --------
    >>> written = export("studies/night-shift/results.parquet", "scores.csv")  # doctest: +SKIP
    """
    target = Path(path).expanduser()
    form = _format_of(target)
    table, known = _loaded(results)
    known |= provenance or {}
    known["tags"] = [*(tags or known.get("tags") or ())]
    job = _job(target.name, form, table, known, _shaped(table, known["tags"], ages=ages, long=long))
    with storage_errors(target), replaced(target) as unfinished:
        form.write(job, unfinished)
    return [target, *_write_companions(job, target)]


def _format_of(path: Path) -> _Format:
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        message = (
            f"Unknown ending {path.suffix!r} of {path.name!r}: choose one of {', '.join(_FORMATS)}."
        )
        raise ResultsError(message) from None


def _loaded(results: pd.DataFrame | str | PathLike[str]) -> tuple[pd.DataFrame, dict[str, Any]]:
    if isinstance(results, pd.DataFrame):
        return results, {}
    path = Path(results).expanduser()
    table = read_results(path)
    return table, read_footer(path)


def _shaped(table: pd.DataFrame, tags: Sequence[str], *, ages: bool, long: bool) -> ExportTable:
    content = describe_results(table, tags)
    if ages:
        content = with_ages(content)
    return long_table(content) if long else content


def _job(
    name: str, form: _Format, table: pd.DataFrame, known: Mapping[str, Any], content: ExportTable
) -> _Job:
    prepared = form.prepare(content)
    readme = readme_text(name, table, prepared, known, form.how_to_read)
    is_synthetic = "sandbox" in sources_of(table, known)
    return _Job(prepared, codebook(prepared), readme, known, is_synthetic)


def _write_companions(job: _Job, target: Path) -> list[Path]:
    header = list(job.book.columns)
    as_markdown = (
        f"# Codebook of {markdown_text(target.name)}\n\n"
        f"{f'**{SYNTHETIC}**' if job.is_synthetic else ''}\n\n"
        f"{markdown_table(header, job.book.itertuples(index=False, name=None))}\n"
    )
    book = prepared_for_csv(flattened(_plain(job.book)))
    written = []
    for ending, write in (
        (".codebook.csv", lambda path: write_csv(book, path)),
        (".codebook.md", lambda path: path.write_text(as_markdown, encoding="utf-8")),
        (".README.md", lambda path: path.write_text(job.readme, encoding="utf-8")),
    ):
        place = target.with_name(target.name + ending)
        with storage_errors(place), replaced(place) as unfinished:
            write(unfinished)
        written.append(place)
    return written


def _plain(table: pd.DataFrame) -> ExportTable:
    return ExportTable(table, {})


# --- the formats ----------------------------------------------------------------------------------


def _write_parquet(job: _Job, path: Path) -> None:
    table = job.content.table
    own = table.drop(columns=[name for name in table.columns if name in RESULTS_BY_NAME])
    described = {
        name: {"meaning": variable.meaning, "unit": variable.unit}
        for name, variable in job.content.variables.items()
    }
    write_parquet([table], path, own=own, provenance={**job.provenance, "columns": described})


def _prepare_statistics(dialect: Dialect) -> Callable[[ExportTable], ExportTable]:
    return lambda content: prepared_for(flattened(content), dialect)


_FORMATS: Mapping[str, _Format] = {
    ".parquet": _Format(
        lambda content: content,
        _write_parquet,
        "Types are in the file: `pandas.read_parquet`, `polars.read_parquet`, DuckDB's "
        "`read_parquet`, R's `arrow::read_parquet`. Times that the codebook calls UTC are in UTC.",
    ),
    ".csv": _Format(
        lambda content: prepared_for_csv(flattened(content)),
        lambda job, path: write_csv(job.content, path),
        f"""UTF-8 with a byte order mark ({CSV_ENCODING} in Python), separated by commas. An empty cell
is a missing value; `NA` is the text NA; an id such as `007` is text. Times are ISO 8601, those that end
in Z in UTC. Several warnings of a recording are joined by ` | `; sections are JSON.

Text that a spreadsheet would run as a formula (it begins with `=`, `+`, `-`, `@`, a tab or a line
break, and is no plain number) has an apostrophe in front.

- pandas: `pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""])`, then convert the columns
  that the codebook calls numbers
- R: `readr::read_csv(path, na = "", col_types = readr::cols(user_label = "c"))`; base R:
  `read.csv(path, fileEncoding = "UTF-8-BOM", na.strings = "", colClasses = c(user_label = "character"))`
- the apostrophes away again: replace the regular expression `{GUARD}` by nothing (`re.sub` in
  Python, `sub(…, perl = TRUE)` in R)
- Excel shows `007` as 7 whatever the file says: use an .xlsx file there.""",
    ),
    ".xlsx": _Format(
        lambda content: prepared_for_excel(flattened(content)),
        lambda job, path: write_excel(job.content, job.book, job.readme, path),
        "The sheet `results` has the table, `codebook` its columns, `about` this text. Text stays "
        "text, also where it looks like a number or a formula. Times have no zone in Excel; those "
        "shown with UTC are in UTC. An empty cell is a missing value.",
    ),
    ".sav": _Format(
        _prepare_statistics(SPSS),
        lambda job, path: write_spss(job.content, job.title, path),
        "SPSS opens it; R's `haven::read_sav`, Python's `pyreadstat.read_sav`. Categories such as "
        "outcome are numbers with value labels, times that the codebook calls UTC are in UTC, a "
        "missing text is empty.",
    ),
    ".dta": _Format(
        _prepare_statistics(STATA),
        lambda job, path: write_stata(job.content, job.title, path),
        "Stata 14 and later open it; R's `haven::read_dta`, Python's `pyreadstat.read_dta`. "
        "Categories such as outcome are numbers with value labels, times that the codebook calls "
        "UTC are in UTC, a missing text is empty. Stata labels whole numbers only, so each bucketed score also has a "
        "labelled column that ends in `_level` and counts from 0 to 3.",
    ),
}
