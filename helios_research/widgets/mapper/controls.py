"""The controls of a mapper: a column or a value for each field, what its cells mean, the tags, the folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import ipywidgets
import pandas as pd

from helios_research.cohort.declarations import DATE_FIELDS, date_readings, not_iso, understood
from helios_research.cohort.guessing import guess_columns
from helios_research.cohort.mapping import ColumnMapping
from helios_research.cohort.validation import cells_of
from helios_research.columns import BIRTH_SEXES, MANIFEST, RECORDING_ID, REQUIRED_FIELDS, Column
from helios_research.widgets import base
from helios_research.widgets.base import ControlGroup, Guard

FIELDS = (*MANIFEST, RECORDING_ID)
"""The fields, in the order of their controls."""

NOT_GIVEN = "(not in the table)"
SAME_FOR_ALL = "(the same for all rows)"

MOST_VALUES = 12
"""Values that get a control each; a column with more of them is hardly one of codes."""

_NEEDS_A_COLUMN = ("recording", RECORDING_ID.name)
_DECLARABLE = ("birth_sex", "language", *DATE_FIELDS)
_EXAMPLES = 3


class MapperControls(ControlGroup):
    """The controls, filled in with what is given and what the names of the columns suggest.

    ``cells`` is the table; ``home`` names where relative paths begin.
    """

    def __init__(self, cells: pd.DataFrame, given: ColumnMapping, home: str) -> None:
        super().__init__()
        self._cells = cells
        self._given = given
        self._follow_also: Callable[[Any], None] = lambda _: None
        self.fields = {column.name: self._field(column) for column in FIELDS}
        self.constants = {
            column.name: _constant(column, given)
            for column in FIELDS
            if column.name not in _NEEDS_A_COLUMN
        }
        self.declared = {name: DeclarationControls(name, given) for name in _DECLARABLE}
        # One layout for all: a table may have hundreds of columns.
        layout = ipywidgets.Layout(width="14em")
        self.tags = {name: self._tag(name, layout) for name in cells.columns}
        about = {"tooltip": "Folder or URL from which relative paths are taken"}
        about |= {"placeholder": home, "value": given.root or ""}
        look = {"width": "41em", "label_width": "12em"}
        self.root = base.control(ipywidgets.Text, "Folder of the recordings", **look, **about)
        self._fill_in(given)
        self._adjust()

    def mapping(self) -> ColumnMapping:
        """Give the choices; a constant without a value is not chosen yet."""
        meanings, forms = dict(self._given.meanings), dict(self._given.date_format)
        for name, control in self.declared.items():
            meanings[name], forms[name] = control.meanings(), control.form()
        return replace(
            self._sources(),
            meanings={name: given for name, given in meanings.items() if given},
            date_format={name: form for name, form in forms.items() if form},
            tags=tuple(name for name, box in self.tags.items() if box.value),
            root=self.root.value.strip() or None,
        )

    def _sources(self) -> ColumnMapping:
        """Give where each field comes from."""
        columns = {
            name: control.value
            for name, control in self.fields.items()
            if control.value not in (NOT_GIVEN, SAME_FOR_ALL)
        }
        constants = {
            name: control.value.strip()
            for name, control in self.constants.items()
            if self.fields[name].value == SAME_FOR_ALL and control.value.strip()
        }
        return replace(self._given, columns=columns, constants=constants)

    def follow(self, guard: Guard, act: Callable[[], None]) -> None:
        """Call something after each change by a person, once the other choices fit it."""

        def adjust_and_act() -> None:
            self._adjust()
            act()

        self._follow_also = lambda control: self._follow(guard, control, adjust_and_act)
        groups = (self.fields, self.constants, self.tags, {"root": self.root})
        declared = chain.from_iterable(one.widget.children for one in self.declared.values())
        for control in chain(*(group.values() for group in groups), declared):
            self._follow_also(control)

    def _field(self, column: Column) -> Any:
        same = () if column.name in _NEEDS_A_COLUMN else (SAME_FOR_ALL,)
        name = f"{column.name} *" if column.name in REQUIRED_FIELDS else column.name
        options = [NOT_GIVEN, *same, *self._cells.columns]
        look = {"width": "25em", "label_width": "12em", "tooltip": column.meaning}
        return base.control(ipywidgets.Dropdown, name, options=options, **look)

    def _tag(self, name: str, layout: Any) -> Any:
        about: dict[str, Any] = {
            "tooltip": name,
            "value": name in self._given.tags,
            "indent": False,
        }
        return base.control(ipywidgets.Checkbox, name, layout=layout, **about)

    def _fill_in(self, given: ColumnMapping) -> None:
        taken = {*given.columns.values(), *given.tags}
        guessed = {
            name: column
            for name, column in guess_columns(self._cells.columns).items()
            if column not in taken and name not in given.constants
        }
        choices = dict.fromkeys(given.constants, SAME_FOR_ALL) | guessed | dict(given.columns)
        for name, choice in choices.items():
            if name in self.fields and choice in self.fields[name].options:
                self.fields[name].value = choice

    def _adjust(self) -> None:
        """Show and enable only the controls that make sense with the other choices."""
        with self._setting():
            for name, control in self.constants.items():
                is_constant = self.fields[name].value == SAME_FOR_ALL
                control.layout.display = "" if is_constant else "none"
            used = {control.value for control in self.fields.values()}
            for name, box in self.tags.items():
                box.disabled = name in used
                box.value = box.value and name not in used
            sources = self._sources()
            for name, declared in self.declared.items():
                for control in declared.show(cells_of(self._cells, sources, name)):
                    self._follow_also(control)


def _constant(column: Column, given: ColumnMapping) -> Any:
    about = {"tooltip": f"{column.name}, the same for all rows", "width": "16em"}
    value = str(given.constants.get(column.name, ""))
    return base.control(ipywidgets.Text, "for all rows", value=value, **about)


class DeclarationControls:
    """The controls that declare the cells of one field: there only where a cell needs it."""

    def __init__(self, field: str, given: ColumnMapping) -> None:
        self.widget = ipywidgets.Box()
        self.widget.add_class("helios-declared")
        self._field = field
        self._given = given.meanings.get(field, {})
        self._form = given.date_format.get(field, "")
        self._cells: list[str] = []
        self._controls: dict[str, Any] = {}

    def meanings(self) -> dict[str, str]:
        """Give what the cells mean that do not say it themselves."""
        if self._field in DATE_FIELDS:
            return dict(self._given)
        known = {cell: meaning for cell, meaning in self._given.items() if cell in self._cells}
        chosen = {cell: control.value.strip() for cell, control in self._controls.items()}
        both = (known | chosen).items()
        return {cell: meaning for cell, meaning in both if meaning not in ("", cell)}

    def form(self) -> str:
        """Give the form of the dates, if there is one."""
        return self._controls["form"].value if "form" in self._controls else self._form

    def show(self, cells: "pd.Series[str]") -> Sequence[Any]:
        """Show what the cells need, and give the controls that are new."""
        distinct = cells.dropna().unique().tolist()
        if distinct == self._cells:
            return ()
        self._cells, self._form = distinct, self.form()
        for control in self.widget.children:
            base.close_tree(control)
        is_date = self._field in DATE_FIELDS
        self._controls = self._date_control(not_iso(cells)) if is_date else self._value_controls()
        self.widget.children = [*self._controls.values()]
        return [*self._controls.values()]

    def _value_controls(self) -> dict[str, Any]:
        known = understood(self._field, self._cells)
        if len(known) == len(self._cells) and not known.keys() & self._given.keys():
            return {}
        # What is not understood comes first.
        first = sorted(self._cells, key=known.__contains__)[:MOST_VALUES]
        meanings = known | dict(self._given)
        return {cell: self._value_control(cell, meanings.get(cell, "")) for cell in first}

    def _value_control(self, cell: str, meaning: str) -> Any:
        name = f"{base.shortened(cell, 20)} means"
        about = {"tooltip": f"{cell}, as {self._field}", "value": meaning, "label_width": "auto"}
        if self._field == "birth_sex":
            options = [("?", ""), *((sex, sex) for sex in BIRTH_SEXES)]
            return base.control(ipywidgets.Dropdown, name, options=options, **about)
        return base.control(ipywidgets.Text, name, placeholder="such as en-GB", **about)

    def _date_control(self, cells: list[str]) -> dict[str, Any]:
        found = date_readings(self._field, cells)
        if not found:
            return {}
        forms = found if self._form in ("", *found) else {self._form: {}, **found}
        options = [("? (not year-month-day)", "")]
        options += [(_in_words(form, read, cells), form) for form, read in forms.items()]
        about = {"tooltip": f"How the dates of {self._field} are written", "value": self._form}
        look: dict[str, Any] = {"options": options, "label_width": "auto"}
        return {"form": base.control(ipywidgets.Dropdown, f"{self._field} is", **look, **about)}


def _in_words(form: str, read: Mapping[str, str], cells: list[str]) -> str:
    """Word a form of dates with some of the column's own cells as it reads them."""
    examples = ", ".join(read.get(cell, "?") for cell in cells[:_EXAMPLES])
    fit = "all" if len(read) == len(cells) else f"{len(read):,} of {len(cells):,}"
    return f"{form}: {examples} ({fit} fit)"
