"""The controls of a mapper: a column or a value for each field, the tags, and the folder."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

import ipywidgets

from helios_research.cohort.guessing import guess_columns
from helios_research.cohort.mapping import ColumnMapping
from helios_research.columns import MANIFEST, RECORDING_ID, REQUIRED_FIELDS, Column
from helios_research.widgets.base import Checkbox, ControlGroup, Dropdown, Guard, Text

FIELDS = (*MANIFEST, RECORDING_ID)
"""The fields, in the order of their controls."""

NOT_GIVEN = "(not in the table)"
SAME_FOR_ALL = "(the same for all rows)"

_NEEDS_A_COLUMN = ("recording", RECORDING_ID.name)


class MapperControls(ControlGroup):
    """The controls, filled in with what is given and what the names of the columns suggest."""

    def __init__(self, names: Iterable[str], given: ColumnMapping) -> None:
        super().__init__()
        self._names = list(names)
        self._given = given
        self.fields = {column.name: self._field(column) for column in FIELDS}
        self.constants = {
            column.name: _constant(column, given)
            for column in FIELDS
            if column.name not in _NEEDS_A_COLUMN
        }
        self.tags = self._tag_boxes(set(given.tags))
        self.root = Text(
            description="Folder of the recordings",
            tooltip="Folder or URL from which relative paths are taken",
            placeholder="the working folder",
            value=given.root or "",
            continuous_update=False,
            style={"description_width": "12em"},
            layout=ipywidgets.Layout(width="41em", max_width="100%"),
        )
        self._fill_in(given)
        self._adjust()

    def mapping(self) -> ColumnMapping:
        """Give the choices; a constant without a value is not chosen yet."""
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
        tags = tuple(name for name, box in self.tags.items() if box.value)
        root = self.root.value.strip() or None
        return replace(self._given, columns=columns, constants=constants, tags=tags, root=root)

    def follow(self, guard: Guard, act: Callable[[], None]) -> None:
        """Call something after each change by a person, once the other choices fit it."""

        def adjust_and_act() -> None:
            self._adjust()
            act()

        groups = (self.fields, self.constants, self.tags, {"root": self.root})
        for control in chain.from_iterable(group.values() for group in groups):
            self._follow(guard, control, adjust_and_act)

    def _field(self, column: Column) -> Any:
        same = () if column.name in _NEEDS_A_COLUMN else (SAME_FOR_ALL,)
        return Dropdown(
            description=f"{column.name} *" if column.name in REQUIRED_FIELDS else column.name,
            tooltip=column.meaning,
            options=[NOT_GIVEN, *same, *self._names],
            style={"description_width": "12em"},
            layout=ipywidgets.Layout(width="25em"),
        )

    def _tag_boxes(self, given: set[str]) -> dict[str, Any]:
        # One layout for all: a table may have hundreds of columns.
        layout = ipywidgets.Layout(width="14em")
        return {
            name: Checkbox(
                description=name, tooltip=name, value=name in given, indent=False, layout=layout
            )
            for name in self._names
        }

    def _fill_in(self, given: ColumnMapping) -> None:
        taken = {*given.columns.values(), *given.tags}
        guessed = {
            name: column
            for name, column in guess_columns(self._names).items()
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


def _constant(column: Column, given: ColumnMapping) -> Any:
    return Text(
        description="for all rows",
        tooltip=f"{column.name}, the same for all rows",
        value=str(given.constants.get(column.name, "")),
        continuous_update=False,
        layout=ipywidgets.Layout(width="16em"),
    )
