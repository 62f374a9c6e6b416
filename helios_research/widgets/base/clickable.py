"""HTML that can be clicked: drawn here, with what a click means beside each button."""

import time
from collections.abc import Callable
from html import escape
from importlib import resources

import anywidget
from traitlets import Unicode

from helios_research.widgets.base import Guard, cut

# A Jupyter server drops messages beyond 1 MB a second, over 3 seconds (its default
# iopub_data_rate_limit).
_PART_BYTES = 900_000


class Clickable(anywidget.AnyWidget):
    """HTML in which ``data-click="NAME:VALUE"`` calls ``actions[NAME](VALUE)``.

    A value comes from the browser, so an action takes it as it takes what a person types.
    """

    _esm = resources.files(__package__).joinpath("clickable.js").read_text(encoding="utf-8")
    value = Unicode("").tag(sync=True)

    def __init__(self, guard: Guard, **actions: Callable[[str], None]) -> None:
        super().__init__()
        self._actions = actions
        self.on_msg(guard(lambda _, content, __: self.click(content["click"])))

    def click(self, what: str) -> None:
        """Do what a click says."""
        name, _, value = what.partition(":")
        self._actions[name](value)

    def give(self, name: str, content: bytes, *, copy: bool = False) -> None:
        """Let the browser save a file, or take a picture into its clipboard."""
        for start in range(0, len(content), _PART_BYTES):
            end = start + _PART_BYTES
            head = {"name": name, "copy": copy, "is_last": end >= len(content)}
            self.send(head, [content[start:end]])
            if not head["is_last"]:
                time.sleep(1)


def button_html(  # noqa: PLR0913 - each is a part of a button
    click: str,
    text: str,
    *,
    tip: str = "",
    after: str = "",
    pressed: bool | None = None,
    disabled: bool = False,
    classes: str = "helios-chip",
    longest: int = 44,
) -> str:
    """Draw a button; a long text loses its middle, and ``after``, which is HTML, never does."""
    state = "" if pressed is None else f' aria-pressed="{str(pressed).lower()}"'
    state += " disabled" if disabled else ""
    title = f' title="{escape(tip)}"' if tip else ""
    return (
        f'<button type="button" class="{classes}" data-click="{escape(click)}"{state}{title}>'
        f"<span>{cut(text, longest)}</span>{after and ' '}{after}</button>"
    )
