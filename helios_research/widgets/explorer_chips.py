"""Rows of small buttons: the filters that are on, and what is wrong with recordings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ipywidgets

from helios_research.widgets.controls import Button
from helios_research.widgets.parts import Guard

_LONGEST = 44


@dataclass(frozen=True, slots=True)
class Chip:
    """One of the buttons."""

    words: str
    tip: str
    is_on: bool = False


class ChipRow:
    """A row of chips that can be clicked; it wraps where it is too long."""

    def __init__(self, label: str, guard: Guard, act: Callable[[int], None]) -> None:
        self._guard = guard
        self._act = act
        self._buttons: list[Button] = []
        self._label = ipywidgets.Label(label)
        self.widget = ipywidgets.HBox([self._label])
        self.widget.add_class("helios-chips")

    @property
    def buttons(self) -> list[Button]:
        """The chips that are to be seen."""
        return [button for button in self._buttons if button.layout.display != "none"]

    def show(self, chips: Sequence[Chip], label: str | None = None) -> None:
        """Show other chips."""
        if label is not None:
            self._label.value = label
        self._grow(len(chips))
        for place, button in enumerate(self._buttons):
            if place < len(chips):
                _dress(button, chips[place])
            else:
                button.layout.display = "none"

    def _grow(self, count: int) -> None:
        """Make buttons that are missing; those that are too many wait, hidden, to be used again."""
        if count <= len(self._buttons):
            return
        for place in range(len(self._buttons), count):
            button = Button(layout=ipywidgets.Layout(width="auto", display="none"))
            button.add_class("helios-chip")
            button.on_click(self._guard(lambda _, place=place: self._act(place)))
            self._buttons.append(button)
        self.widget.children = (self._label, *self._buttons)


def _dress(button: Button, chip: Chip) -> None:
    words = chip.words
    button.description = words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"
    button.tooltip = chip.tip
    (button.add_class if chip.is_on else button.remove_class)("helios-chip-on")
    button.layout.display = ""
