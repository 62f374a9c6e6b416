"""What a mapper shows, as HTML: headings, one row's request, and why a row is not sent."""

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd

from helios_research.cohort import Cohort
from helios_research.cohort.mapping import ColumnMapping, guess_columns
from helios_research.columns import MANIFEST, RECORDING_ID, REQUIRED_FIELDS, Column
from helios_research.widgets.base.controls import Checkbox, Dropdown, Text
from helios_research.widgets.base.table import table_html

# Issues and request stand beside each other where there is room, each in a place of its own
# height, so that nothing moves when they change.
MAPPER_STYLE = """
<style>
.helios-sample { line-height: 2em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.helios-pair { display: flex; flex-flow: row wrap; gap: 0 1.5em; overflow: visible; }
.helios-pair > * { flex: 2 1 22em; min-width: 0; overflow: visible; }
.helios-pair > *:first-child { flex: 3 1 34em; }
.helios-pair .helios-scroll { height: 20em; border: 1px solid var(--helios-line);
  border-radius: 4px; box-sizing: border-box; }
.helios-pair .helios-scroll > p { margin: 0.5em 0.6em; }
.helios pre.helios-code { margin: 0; padding: 0.5em 0.8em; background: var(--helios-shade);
  color: var(--helios-ink); overflow: auto; user-select: all; }
.helios h2.helios-heading { margin: 0.9em 0 0.2em; border: 0; padding: 0; font-size: 1em;
  font-weight: 600; color: var(--helios-ink); }
</style>
"""


def heading_html(text: str) -> str:
    """Head a part of the mapper."""
    return f'<h2 class="helios-heading">{escape(text)}</h2>'


def verdict_html(cohort: Cohort, position: int) -> str:
    """Say whether a row would be sent, and why not."""
    if cohort.is_valid[position]:
        return '<p class="helios-status">This and the recording would be sent.</p>'
    # Reasons are worded for a whole cohort at a time.
    alone = cohort.without(np.arange(len(cohort)) != position)
    reason = alone.rejections()["error_reason"].iloc[0]
    return f'<p class="helios-status helios-failed">Not sent. {escape(str(reason))}</p>'


def sent_html(content: str) -> str:
    """Put what would be sent into its place."""
    return (
        '<div class="helios-scroll helios-sent" tabindex="0" role="region" '
        f'aria-label="What would be sent">{content}</div>'
    )


def request_html(request: Mapping[str, Any] | None) -> str:
    """Lay out a request's JSON."""
    if request is None:
        return ""
    rows = pd.DataFrame(_flat(request), columns=["Field", "Value"])
    return table_html(rows, caption="What would be sent")


def _flat(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Write a request's JSON as pairs: ``user.birthSex``, ``tags.arm``."""
    pairs: list[tuple[str, str]] = []
    for name, value in request.items():
        if isinstance(value, Mapping):
            pairs += [(f"{name}.{inner}", str(part)) for inner, part in value.items()]
        elif isinstance(value, list):
            pairs += [(f"{name}.{tag['name']}", str(tag["value"])) for tag in value]
        else:
            pairs.append((name, str(value)))
    return pairs


FIELDS = (*MANIFEST, RECORDING_ID)
"""The fields in the order in which they are asked for."""

NOT_GIVEN = "(not in the table)"
SAME_FOR_ALL = "(the same for all rows)"

_NEEDS_A_COLUMN = ("recording", RECORDING_ID.name)


class MapperControls:
    """The controls, filled in by what is known and what the names suggest."""

    def __init__(self, names: Iterable[str], wished: ColumnMapping) -> None:
        self._names = list(names)
        self._is_settling = False
        self.fields = {column.name: self._field(column) for column in FIELDS}
        self.constants = {
            column.name: _constant(column, wished)
            for column in FIELDS
            if column.name not in _NEEDS_A_COLUMN
        }
        self.tags = self._tag_boxes(set(wished.tags))
        self.root = Text(
            description="Folder of the recordings",
            tooltip="Folder or URL from which relative paths are taken",
            placeholder="the working folder",
            value=wished.root or "",
            continuous_update=False,
            style={"description_width": "12em"},
            layout=ipywidgets.Layout(width="41em", max_width="100%"),
        )
        self._fill_in(wished)
        self._settle()

    def mapping(self) -> ColumnMapping:
        """Read the choices."""
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
        return ColumnMapping(columns, constants, tags, self.root.value.strip() or None)

    def observe(self, changed: Callable[..., None]) -> None:
        """Call something after each change that a person makes."""

        def settled(change: object) -> None:
            if not self._is_settling:
                self._settle()
                changed(change)

        for group in (self.fields, self.constants, self.tags):
            for control in group.values():
                control.observe(settled, "value")
        self.root.observe(settled, "value")

    def _field(self, column: Column) -> Any:
        same = () if column.name in _NEEDS_A_COLUMN else (SAME_FOR_ALL,)
        return Dropdown(
            description=f"{column.name} *" if column.name in REQUIRED_FIELDS else column.name,
            tooltip=column.meaning,
            options=[NOT_GIVEN, *same, *self._names],
            style={"description_width": "12em"},
            layout=ipywidgets.Layout(width="25em"),
        )

    def _tag_boxes(self, wished: set[str]) -> dict[str, Any]:
        # One layout for all: a table may have hundreds of columns.
        layout = ipywidgets.Layout(width="14em")
        return {
            name: Checkbox(
                description=name, tooltip=name, value=name in wished, indent=False, layout=layout
            )
            for name in self._names
        }

    def _fill_in(self, wished: ColumnMapping) -> None:
        taken = {*wished.columns.values(), *wished.tags}
        guessed = {
            name: column
            for name, column in guess_columns(self._names).items()
            if column not in taken and name not in wished.constants
        }
        choices = dict.fromkeys(wished.constants, SAME_FOR_ALL) | guessed | dict(wished.columns)
        for name, choice in choices.items():
            if name in self.fields and choice in self.fields[name].options:
                self.fields[name].value = choice

    def _settle(self) -> None:
        """Let each control offer only what makes sense beside the others."""
        self._is_settling = True
        try:
            for name, control in self.constants.items():
                is_constant = self.fields[name].value == SAME_FOR_ALL
                control.layout.display = "" if is_constant else "none"
            used = {control.value for control in self.fields.values()}
            for name, box in self.tags.items():
                box.disabled = name in used
                box.value = box.value and name not in used
        finally:
            self._is_settling = False


def _constant(column: Column, wished: ColumnMapping) -> Any:
    return Text(
        description="for all rows",
        tooltip=f"{column.name}, the same for all rows",
        value=str(wished.constants.get(column.name, "")),
        continuous_update=False,
        layout=ipywidgets.Layout(width="16em"),
    )
