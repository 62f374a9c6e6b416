"""A cohort: a table of recordings, checked row by row, with its issues."""

import os
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helios_research import columns as vocabulary
from helios_research.cohort import storage
from helios_research.cohort.cells import ArrowFrame, RawTable, cell_text, stripped_text, text_column
from helios_research.cohort.consistency import check_lookalikes, check_people
from helios_research.cohort.declarations import TIMES, FillWithin, Wide, put_in_order
from helios_research.cohort.issues import HEADER, CohortIssues, Issues, code_of, shortened
from helios_research.cohort.mapping import ColumnMapping, TableOptions, with_table_options
from helios_research.cohort.reading import raw_table
from helios_research.cohort.recordings import (
    LONGEST_PATH,
    check_ids,
    check_shared_audio,
    resolve_root,
    unique_ids,
)
from helios_research.cohort.shape import check_strays, completed, names_further_down, reshaped
from helios_research.cohort.storage import CohortTables, remove_rows
from helios_research.cohort.validation import Draft, check_files, check_header, check_values
from helios_research.columns import BIRTH_SEX_SPELLINGS, RECORDING_ID
from helios_research.errors import CohortError, ColumnsError

_ISSUE_COLUMNS = [column.name for column in vocabulary.ISSUES]


class Cohort:
    """Recordings with their metadata, checked row by row.

    Made by `read_cohort`, `Cohort.from_frame` or `Cohort.load`. A cohort never changes; a changed
    one is a new cohort. All its tables have the rows of the table from which it was made, in the
    same order and with a RangeIndex.

    Parameters
    ----------
    tables
        Its tables.
    """

    def __init__(self, tables: CohortTables) -> None:
        self._tables = tables

    @classmethod
    @with_table_options
    def from_frame(
        cls, df: pd.DataFrame | ArrowFrame, **table_options: Unpack[TableOptions]
    ) -> "Cohort":
        """Make a cohort from a DataFrame.

        The DataFrame is left as it is. Levels of its index that have a name or hold text become
        columns. Numbers, dates and categories are written as text where they are fields or
        tags: whole numbers without ``.0``, dates and times in ISO 8601.

        Parameters
        ----------
        df
            One row per recording: a DataFrame of pandas, polars, DuckDB (a relation), pyarrow or
            any other library with Arrow's interface.
        **table_options
            The options of `read_cohort`; without ``root``, relative paths are taken from the working
            folder.
        """
        return cls(read_cohort(df, **table_options)._tables)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Cohort":
        """Load a saved cohort, with its issues as they were found.

        Parameters
        ----------
        path
            A file written by `Cohort.save`.

        Raises
        ------
        CohortError
            The file does not exist or is not a saved cohort.
        """
        return cls(storage.read(Path(path)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the cohort as one Parquet file, without loss.

        Parameters
        ----------
        path
            The file; one that is there is replaced.

        Raises
        ------
        StudyStorageError
            The file cannot be written there.
        """
        storage.write(self._tables, Path(path))

    @property
    def frame(self) -> pd.DataFrame:
        """The table's own columns, untouched but for what is declared of its shape."""
        return self._tables.frame.copy(deep=False)

    @property
    def fields(self) -> pd.DataFrame:
        """The standard fields as text, missing where blank, ``recording`` made absolute."""
        return self._tables.fields.copy(deep=False)

    @property
    def given_recordings(self) -> "pd.Series[str]":
        """The recordings as the table has them: mostly paths from its own folder."""
        tables = self._tables
        own = tables.frame.get(tables.mapping.name_of("recording"), tables.fields["recording"])
        return text_column(map(cell_text, own.tolist()), own.index)

    @property
    def has_ids(self) -> bool:
        """Whether the table gives each row a ``recording_id``; else it is made up."""
        return RECORDING_ID.name in self._tables.mapping.columns

    @property
    def own_columns(self) -> pd.DataFrame:
        """The table's columns that are none of the standard fields, untouched."""
        return self.frame.drop(columns=list(self._tables.mapping.columns.values()))

    @property
    def tags(self) -> tuple[str, ...]:
        """The columns that are sent as tags."""
        return self._tables.mapping.tags

    @property
    def tag_values(self) -> pd.DataFrame:
        """The tags as text; what is missing is not sent."""
        return self._tables.tag_values.copy(deep=False)

    @property
    def declared(self) -> dict[str, Any]:
        """What was declared of the table's shape, values, dates and order, by argument."""
        return self._tables.mapping.declared()

    @property
    def declared_fields(self) -> frozenset[str]:
        """The fields whose values or dates were declared."""
        return frozenset({*self._tables.mapping.meanings, *self._tables.mapping.date_format})

    @property
    def row_numbers(self) -> "pd.Series[int]":
        """Row as a person counts: a DataFrame, SPSS and Stata begin with 1, below other headers 2."""
        return self._tables.row_numbers.copy(deep=False)

    @property
    def issues(self) -> CohortIssues:
        """Every problem: displayed by cause, with ``causes`` and ``rows`` as tables."""
        tables, found = self._tables, self._tables.issues
        rows = tables.row_numbers.reindex(found["position"], fill_value=tables.header_row)
        keys = tables.fields[RECORDING_ID.name].reindex(found["position"])
        found = found.assign(row=rows.to_numpy(), recording_id=keys.array)[_ISSUE_COLUMNS]
        first = int(tables.row_numbers.min()) if len(self) else 1
        return CohortIssues(found, tables.mapping.meanings, first)

    @property
    def is_valid(self) -> NDArray[np.bool_]:
        """For each row, whether it has no error and can be sent; shape (rows,)."""
        valid = np.ones(len(self), dtype=bool)
        valid[self._errors()["position"]] = False
        return valid

    def rejections(self) -> pd.DataFrame:
        """List why rows are not sent.

        Returns
        -------
        pandas.DataFrame
            One row per invalid row, indexed by its position from 0: ``error_code`` of its first
            error, and ``error_reason``, all its errors in words.
        """
        errors = self._errors()
        # Last, so that it comes first only where the row has no other error.
        is_recording = errors["error_code"] == code_of("recording")
        errors = pd.concat([errors[~is_recording], errors[is_recording]])
        facts = (
            errors[name].tolist() for name in ("position", "column", "value", "problem", "remedy")
        )
        reasons: dict[int, list[str]] = {}
        for position, column, value, problem, remedy in zip(*facts, strict=True):
            what = f"{column} {shortened(value)!r}" if isinstance(value, str) else column
            reasons.setdefault(position, []).append(f"{what}: {problem} {remedy}")
        codes = errors.drop_duplicates("position").set_index("position")["error_code"].sort_index()
        words = [" ".join(reasons[position]) for position in codes.index]
        return pd.DataFrame({"error_code": codes, "error_reason": text_column(words, codes.index)})

    def with_issues(self, extra: pd.DataFrame) -> "Cohort":
        """Give a new cohort with problems that were found later, as in the audio itself.

        Parameters
        ----------
        extra
            A table as of `duplicate_audio_issues`. What this cohort has already is not added twice.
        """
        found = pd.concat([self._tables.issues, extra], ignore_index=True)
        found = found.drop_duplicates([name for name in found if name != "error_code"])
        found = found.sort_values("position", kind="stable", ignore_index=True)
        return Cohort(replace(self._tables, issues=found))

    def without(self, gone: NDArray[np.bool_]) -> "Cohort":
        """Give a new cohort with only some of the rows, and their issues.

        Parameters
        ----------
        gone
            Which rows to take out; shape (rows,).
        """
        return Cohort(remove_rows(self._tables, gone))

    def __len__(self) -> int:
        return len(self._tables.frame)

    def __repr__(self) -> str:
        listed = ", ".join(f"{name}: {value}" for name, value in self._facts().items())
        return f"<Cohort from {self._source()} ({listed})>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
            for name, value in self._facts().items()
        )
        caption = f"<caption>Cohort from {escape(self._source())}</caption>"
        problems = "" if self._tables.issues.empty else "The problems are in <code>.issues</code>. "
        return (
            f"<table>{caption}<tbody>{rows}</tbody></table><p>{problems}Next: check the recordings "
            "with <code>hr.preflight(cohort)</code>, or send them with "
            "<code>hr.Study(folder).submit(cohort)</code>.</p>"
        )

    def _facts(self) -> dict[str, str]:
        tables, valid = self._tables, int(self.is_valid.sum())
        return {
            "recordings": f"{len(self):,}",
            "participants": f"{tables.fields['user_label'].nunique():,}",
            "tags": ", ".join(self.tags) or "none",
            "can be sent": f"{valid:,}",
            "cannot be sent": f"{len(self) - valid:,}",
            "warnings": f"{int((tables.issues['severity'] == 'warning').sum()):,}",
        }

    def _source(self) -> str:
        """Write "The DataFrame", which begins other sentences, for the middle of one."""
        return re.sub("^The ", "the ", self._tables.source)

    def _errors(self) -> pd.DataFrame:
        found = self._tables.issues
        return found[(found["severity"] == "error") & (found["position"] != HEADER)]


Table = Cohort | pd.DataFrame | ArrowFrame | str | os.PathLike[str]
"""What is accepted as a cohort: it, a DataFrame of any library, or the path of a table."""


def read_cohort(  # noqa: PLR0913 - each says one thing about the table
    path: str | os.PathLike[str] | pd.DataFrame | ArrowFrame,
    *,
    columns: Mapping[str, Hashable] | None = None,
    values: Mapping[str, Mapping[Any, Any]] | None = None,
    date_format: str | Mapping[str, str] | None = None,
    order: Mapping[Hashable, Iterable[Any]] | None = None,
    wide: Wide | None = None,
    fill_within: FillWithin | None = None,
    constants: Mapping[str, Any] | None = None,
    tags: Iterable[Hashable] | str | None = None,
    root: str | os.PathLike[str] | None = None,
    sheet: str | None = None,
) -> Cohort:
    """Read a cohort from a CSV, TSV, Excel, OpenDocument, Parquet, SPSS or Stata file.

    All text is read as text: ``007``, ``NA``, ``1e5`` and ``TRUE`` stay what they are. Rows that
    are wholly blank are left out of text files and workbooks, but counted in row numbers. Of SPSS
    and Stata (``pip install 'helios-research[spss]'``), value labels are read in place of their
    codes, as in ``{"birth_sex": {"männlich": "MALE"}}``, and declared missing values are blank.
    ``.xls``, ``.xlsb`` and ``.ods`` need ``pip install 'helios-research[spreadsheets]'``.

    Parameters
    ----------
    path
        The table, one row per recording; a DataFrame is read as by `Cohort.from_frame`.
    columns
        The table's own column for each standard field that is named otherwise there.
    values
        What the table's own values of a field mean, as in
        ``{"birth_sex": {"1": "MALE", "2": "FEMALE"}}``; blank cells where it is ``""``. Numbers
        are compared as text. Results then have the meaning.
    date_format
        How dates and times are written that are not in ISO 8601: ``"day first"``, ``"month
        first"``, as in ``"%d.%m.%Y"``, or as the number of days of ``"excel"`` or ``"excel
        1904"``; one for all, or a mapping by field. A year of two digits, ``%y``, is the last
        that is not in the future.
    order
        The order of the values of other columns, as in ``{"visit": ["pre", "post", "follow-up"]}``,
        for results, figures and reports; they become ordered categories of text.
    wide
        Where a row has several recordings, their columns in the order of the visits, as in
        ``["recording_t1", "recording_t2"]``. The cohort has one row for each, and a column
        ``visit`` with what differs between the names (t1, t2). Other columns of each visit are
        named with the recordings: ``{"recording": ["recording_t1", "recording_t2"], "phq9":
        ["phq9_t1", "phq9_t2"]}``. A recording that is blank is left out with a warning.
    fill_within
        ``"user_label"`` fills blank dates of birth, sexes and languages from other rows of the
        same participant, where all of these are the same, and leaves out rows without a
        recording with a warning. ``{"user_label": ["arm"]}`` fills other columns too.
    constants
        Values of standard fields that are the same in all rows.
    tags
        Columns to be sent as tags, at most 20. All other columns stay on this machine.
    root
        Folder or URL from which relative paths are taken; by default the table's own folder.
    sheet
        Sheet of a workbook; needed where several sheets hold something.

    Returns
    -------
    Cohort
        As many rows as the table, unless ``wide`` or ``fill_within`` is declared.

    Raises
    ------
    CohortError
        The table as a whole cannot be a cohort; problems of rows are in ``issues``.

    Examples
    --------
    >>> cohort = read_cohort("manifest.csv", tags=["arm", "visit"])  # doctest: +SKIP
    """
    mapping = ColumnMapping.of(
        columns=columns,
        values=values,
        date_format=date_format,
        order=order,
        wide=wide,
        fill_within=fill_within,
        constants=constants,
        tags=tags,
        root=root,
    )
    several = chain.from_iterable(mapping.wide.values())
    raw = raw_table(path, sheet, [*mapping.columns.values(), *mapping.tags, *several])
    folder = Path.cwd()
    if isinstance(path, str | os.PathLike):
        folder = Path(path).expanduser().absolute().parent
    return Cohort(build(raw, mapping, resolve_root(mapping.root, folder)))


def cohort_of(table: Table | None, options: TableOptions) -> Cohort | None:
    """Read the table that a call is given, unless it is a cohort already."""
    if table is not None and not isinstance(table, Cohort):
        return read_cohort(table, **options)
    if given := [name for name, option in options.items() if option is not None]:
        raise CohortError.superfluous(*given)
    return table


def duplicate_audio_issues(cohort: Cohort, sha256: "pd.Series[str]") -> pd.DataFrame:
    """Find rows that have the same audio, by position from 0; for `Cohort.with_issues`."""
    if len(sha256) != len(cohort):
        message = f"There are {len(sha256)} hashes for {len(cohort)} recordings."
        raise ValueError(message)
    tables = cohort._tables
    given = cohort.given_recordings.reset_index(drop=True)
    issues, _ = check_shared_audio(tables, text_column(sha256.tolist()), given)
    return issues.table()


def build(raw: RawTable, mapping: ColumnMapping, root: str) -> CohortTables:
    """Check a table and make the tables of a cohort from it."""
    raw = reshaped(raw, mapping)
    try:
        mapping = mapping.resolve(raw.source, raw.frame.columns)
    except ColumnsError as error:
        raise (names_further_down(raw) or error) from None
    raw = completed(raw, mapping)
    draft = Draft.of(raw, mapping, root)
    issues = draft.issues
    check_header(draft, list(raw.frame.columns))
    check_values(draft)
    identities = check_files(draft)
    tables = _tables_of(raw, draft)
    check_lookalikes(tables, issues)
    check_people(tables, draft.good, issues)
    shared, repeats = check_shared_audio(tables, identities, draft.given["recording"])
    check_ids(tables, draft.fields[RECORDING_ID.name].where(~repeats), issues)
    check_strays(draft)
    issues.rows += shared.rows
    frame = put_in_order(raw.frame, mapping.order, issues)
    return replace(tables, frame=frame, issues=issues.table())


def _tables_of(raw: RawTable, draft: Draft) -> CohortTables:
    """Write the fields as they are sent, and give each row a key of its own."""
    fields, good = draft.fields, draft.good
    sexes = fields["birth_sex"].str.upper().map(BIRTH_SEX_SPELLINGS).astype("str")
    # A space for the T is common and leaves no doubt.
    sent = {name: fields[name].str.replace(" ", "T") for name in TIMES} | {"birth_sex": sexes}
    canonical = {name: cells.where(good[name], fields[name]) for name, cells in sent.items()}
    given = stripped_text(draft.given["recording"])
    # A cell may hold a whole recording.
    is_name = given.isna() | (given.str.len() <= LONGEST_PATH)
    names = given.fillna(fields["user_label"]).where(is_name)
    canonical[RECORDING_ID.name] = unique_ids(fields[RECORDING_ID.name], names)
    return CohortTables(
        source=raw.source,
        mapping=draft.mapping,
        frame=raw.frame,
        fields=fields.assign(**canonical),
        tag_values=draft.tag_values,
        row_numbers=pd.Series(raw.row_numbers, index=raw.frame.index, name="row"),
        header_row=raw.header_row,
        issues=Issues().table(),
    )
