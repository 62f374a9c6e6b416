"""Map the columns of a table to the fields of a cohort, and see its issues at once."""

from dataclasses import replace
from html import escape
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Unpack

import ipywidgets
import pandas as pd

from helios_research.cohort import Cohort
from helios_research.cohort.cells import ArrowFrame, RawTable
from helios_research.cohort.mapping import ColumnMapping, TableOptions, with_table_options
from helios_research.cohort.reading import raw_table
from helios_research.cohort.recordings import resolve_root
from helios_research.cohort.shape import reshaped
from helios_research.cohort.table import build
from helios_research.columns import REQUIRED_FIELDS, STANDARD_FIELDS, Column
from helios_research.errors import CohortError, ColumnsError, HeliosResearchError
from helios_research.state.rows import rows_of
from helios_research.widgets.base import (
    Guard,
    Panel,
    StatusLine,
    button,
    code_html,
    control,
    cut,
    markup,
    region_html,
)
from helios_research.widgets.base.table import table_html
from helios_research.widgets.mapper.controls import FIELDS, SAME_FOR_ALL, MapperControls

EXAMPLES = 3

_NOT_CHOSEN = (
    f"Not chosen yet: {{}}. Choose the column for it, or {SAME_FOR_ALL} and then the value."
)


class CohortMapper(Panel):
    """Choose the column of a table for each field, and see at once the cohort and its issues.

    Nothing is submitted and nothing leaves the machine. Columns whose names are clear are chosen
    from the start. Where values or dates of a column have to be declared, there are controls for it.

    Parameters
    ----------
    table
        A DataFrame (pandas, polars, DuckDB or Arrow) or the path of a file; not changed.
    **table_options
        The options of `read_cohort` that are known already; ``columns`` takes the place of guesses.

    Examples
    --------
    >>> mapper = CohortMapper("manifest.csv")  # doctest: +SKIP
    >>> mapper.cohort  # doctest: +SKIP
    """

    @with_table_options
    def __init__(
        self,
        table: pd.DataFrame | ArrowFrame | str | PathLike[str],
        **table_options: Unpack[TableOptions],
    ) -> None:
        self._status = StatusLine()
        self._guard = Guard(self._status)
        self._cohort: Cohort | None = None
        self._problem, self._cells = "", pd.DataFrame()
        given = ColumnMapping.of(**table_options)
        sheet = table_options.get("sheet")
        self._path = str(fspath(table)) if isinstance(table, str | PathLike) else None
        self._sheet = sheet
        try:
            self._raw = _read(table, sheet, given)
            self._cells = reshaped(self._raw, given).cells
        except CohortError as error:
            self._problem = str(error)
            self._status.show(self._problem, failed=True)
            super().__init__([self._status.widget])
            return
        home = "the working folder" if self._path is None else "the folder of the table"
        self.controls = MapperControls(self._cells, given, home)
        self._make_views()
        super().__init__(self._layout())
        self.controls.follow(self._guard, self.refresh)
        self.row_control.observe(self._guard(lambda _: self._show_sent()), "value")
        self.refresh()

    # --- what a researcher uses ------------------------------------------------------------------

    @property
    def mapping(self) -> ColumnMapping:
        """The current choices."""
        if self._cells.empty:
            raise CohortError(self._problem)
        return self.controls.mapping()

    @property
    def cohort(self) -> Cohort:
        """The cohort that the choices make.

        Raises
        ------
        CohortError
            If the choices make no cohort yet; the sentence says why.
        """
        if self._cohort is None:
            raise CohortError(self._problem)
        return self._cohort

    def code(self, table: str = "df") -> str:
        """Write the lines of Python that make the same cohort.

        Parameters
        ----------
        table
            The name of the DataFrame in those lines; a file is read by its path.

        Returns
        -------
        str
            Python, to be kept with the study.
        """
        mapping = self.mapping
        return mapping.code(table, path=self._path, sheet=self._sheet)

    def __repr__(self) -> str:
        return f"<CohortMapper: {self._status.text}>"

    def static_html(self) -> str:
        """Draw the choices and their result."""
        summary = f"<p>{escape(self._status.text)}</p>"
        return summary if self._cells.empty else f"{self._title()}{summary}{self._code.value}"

    # --- building --------------------------------------------------------------------------------

    def _make_views(self) -> None:
        rows = self._raw.row_numbers
        ends = {"min": rows[0], "max": rows[-1], "value": rows[0]}
        look = {"width": "12em", "label_width": "4em"}
        self.row_control = control(ipywidgets.BoundedIntText, "Row", **look, **ends)
        find = self._go_to_next_issue
        self.next_issue = button(self._guard, "Next row with an issue", find)
        self._samples = {column.name: markup() for column in FIELDS}
        self._issues, self._sent, self._code = markup(), markup(), markup()

    def _layout(self) -> list[Any]:
        rows = [part for column in FIELDS for part in self._field_rows(column.name)]
        tags = ipywidgets.Box(
            list(self.controls.tags.values()),
            layout=ipywidgets.Layout(flex_flow="row wrap", max_height="9em", overflow="auto"),
        )
        sent = [ipywidgets.HBox([self.row_control, self.next_issue]), self._sent]
        pair = ipywidgets.Box(
            [
                ipywidgets.VBox([_heading("Issues"), self._issues]),
                ipywidgets.VBox([_heading("What would be sent"), *sent]),
            ]
        )
        pair.add_class("helios-pair")
        return [
            markup(self._title()),
            *rows,
            self.controls.root,
            _heading("Tags: columns that are also sent, at most 20"),
            tags,
            self._status.widget,
            pair,
            _heading("The same in Python"),
            self._code,
        ]

    def _field_rows(self, name: str) -> list[Any]:
        sample = self._samples[name]
        sample.layout = ipywidgets.Layout(flex="1 1 10em", margin="0 0 0 0.8em", min_width="0")
        # A typed value takes the place of the examples; both have the same height.
        constant = [self.controls.constants[name]] if name in self.controls.constants else []
        row = ipywidgets.HBox(
            [self.controls.fields[name], *constant, sample],
            layout=ipywidgets.Layout(flex_flow="row wrap"),
        )
        declared = self.controls.declared.get(name)
        return [row, declared.widget] if declared else [row]

    def _title(self) -> str:
        rows, columns = self._cells.shape
        return (
            '<p class="helios-title">Map the columns of your table '
            f'<span class="helios-muted">({rows:,} rows, {columns:,} columns; fields with * are '
            "required)</span></p>"
        )

    # --- following the choices -------------------------------------------------------------------

    def refresh(self) -> None:
        """Make the cohort again and show its issues; this also happens at every choice."""
        mapping = self.mapping
        for field in FIELDS:
            sample = self._samples[field.name]
            sample.value = self._sample(field, mapping.columns.get(field.name))
            is_typed = self.controls.fields[field.name].value == SAME_FOR_ALL
            sample.layout.display = "none" if is_typed else ""
        self._code.value = code_html(self.code(), "helios-code helios-whole")
        self._cohort, self._problem = None, ""
        chosen = {*mapping.columns, *mapping.constants}
        if missing := [name for name in REQUIRED_FIELDS if name not in chosen]:
            self._problem = _NOT_CHOSEN.format(", ".join(missing))
        if not self._problem:
            try:
                self._cohort = self._make_cohort(mapping)
            except HeliosResearchError as error:
                self._problem = str(error)
        self._show_result()
        self._show_sent()
        self.render_static_soon()

    def _make_cohort(self, mapping: ColumnMapping) -> Cohort:
        """Make the cohort that the code makes."""
        for name in self._cells.columns:
            if name in STANDARD_FIELDS and mapping.columns.get(name) != name:
                what = f"has a column {name!r} that is not to be the field"
                remedy = f"Choose it, or rename it to 'my_{name}'."
                raise ColumnsError.names(self._raw.source, what, remedy)
        home = Path.cwd() if self._path is None else Path(self._path).expanduser().absolute().parent
        # As in the code, which names no column that is named like its field.
        named = {field: name for field, name in mapping.columns.items() if field != name}
        root = resolve_root(mapping.root, home)
        return Cohort(build(self._raw, replace(mapping, columns=named), root))

    def _show_result(self) -> None:
        cohort = self._cohort
        if cohort is None:
            self._status.show(self._problem, failed=True)
            issues = "<p>Issues are shown once all required fields are chosen.</p>"
        else:
            valid = int(cohort.is_valid.sum())
            self._status.show(f"{valid:,} of {len(cohort):,} rows can be sent.")
            issues = cohort.issues._repr_html_()
        self._issues.value = region_html("Issues", issues)

    def _sample(self, field: Column, column: str | None) -> str:
        text = field.meaning
        if column is not None:
            values = self._cells[column].dropna().drop_duplicates().head(EXAMPLES)
            text = "e.g. " + ", ".join(map(str, values)) if len(values) else "empty in all rows"
        return (
            f'<div class="helios-sample helios-muted" title="{escape(text)}">{escape(text)}</div>'
        )

    def _show_sent(self) -> None:
        self._sent.value = region_html("What would be sent", self._sent_html())

    def _sent_html(self) -> str:
        if self._cohort is None:
            return '<p class="helios-muted">Nothing yet.</p>'
        others = self._cohort.row_numbers != self.row_control.value
        if others.all():
            return '<p class="helios-muted">There is no recording in this row.</p>'
        row = rows_of(self._cohort.without(others.to_numpy()))[0]
        if row.rejection is not None:
            reason = escape(row.rejection.error_reason)
            return f'<p class="helios-status helios-failed">Not sent. {reason}</p>'
        record = {} if row.request is None else row.request.to_record()
        tags = {tag["name"]: tag["value"] for tag in record.get("tags", ())}
        # As user.birthSex, tags.arm.
        pairs = pd.json_normalize({**record, "tags": tags}).astype("str").T.reset_index()
        pairs.columns = pd.Index(["Field", "Value"])
        staying = ", ".join(self.mapping.staying(self._cells.columns)) or "none"
        return (
            '<p class="helios-status">This and the recording would be sent.</p>'
            f"{table_html(pairs, caption='What would be sent')}"
            f'<p class="helios-muted">These columns are not sent: {cut(staying, 120)}</p>'
        )

    def _go_to_next_issue(self) -> None:
        rows = sorted(set(self.cohort.issues.rows["row"]) & set(self.cohort.row_numbers))
        if not rows:
            self._status.show("There are no rows with issues.")
            return
        later = [row for row in rows if row > self.row_control.value]
        self.row_control.value = (later or rows)[0]


def _read(table: Any, sheet: str | None, given: ColumnMapping) -> RawTable:
    raw = raw_table(table, sheet, given.columns.values())
    if raw.frame.empty:
        message = "The table has no rows, so there is nothing to map."
        raise CohortError(message)
    return raw


# --- drawing --------------------------------------------------------------------------------------


def _heading(text: str) -> Any:
    return markup(f'<h2 class="helios-heading">{escape(text)}</h2>')
