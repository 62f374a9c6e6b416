"""A widget as a researcher has it: shown in a cell, remembered by the notebook, closed at the end."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from threading import Timer
from typing import Any
from weakref import WeakSet

import ipywidgets

from helios_research.widgets.parts import STYLE, markup

SETTLED_S = 0.4
"""Seconds without a change after which the still picture is renewed: long enough that the browser
has painted what was changed, and that quick changes cost one picture; shorter than a way to the
menu that saves the notebook."""

_PLAIN = "text/plain"
_HTML = "text/html"

# The widget hides the picture below it. Where the widget is no more, its place is not needed: it
# would only say that there was one.
_HIDING = """
<style>
.jp-OutputArea-child:has(.helios:not(.helios-still)) + .jp-OutputArea-child:has(.helios-still),
.jp-OutputArea-child:not(:has(.helios)):has(+ .jp-OutputArea-child .helios-still) { display: none; }
</style>
"""


class Panel(ABC):
    """What the widgets of this package have in common.

    A notebook is saved without the state of its widgets, and JupyterLab shows an error in their
    place when it is opened again. So a panel leaves a second output below itself: a still picture
    in HTML, hidden while the widget lives, and renewed soon after each change.
    """

    def __init__(self, children: Iterable[Any]) -> None:
        self.widget = ipywidgets.VBox(
            [markup(STYLE), *children], layout=ipywidgets.Layout(width="100%")
        )
        self.widget.add_class("helios")
        self._handles: list[Any] = []
        self._is_closed = False
        self._renewal: Timer | None = None

    @abstractmethod
    def static_html(self) -> str:
        """Draw how things stand, for a notebook that is opened again."""

    @abstractmethod
    def __repr__(self) -> str: ...

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    def show(self) -> None:
        """Show the panel below the running cell, as if it were the cell's last value."""
        self._ipython_display_()

    def freeze_soon(self) -> None:
        """Renew the still picture once nothing has changed for a moment."""
        if self._renewal is not None:
            self._renewal.cancel()
        if self._handles:
            self._renewal = Timer(SETTLED_S, self.freeze)
            self._renewal.daemon = True
            self._renewal.start()

    def freeze(self) -> None:
        """Renew the still picture in every cell that shows this panel, now."""
        if self._renewal is not None:
            self._renewal.cancel()
        for handle in self._handles:
            handle.update(self._still(), raw=True)

    def close(self) -> None:
        """Let go of everything: the widgets, and the tables that they hold. Safe to call twice."""
        if self._is_closed:
            return
        self._is_closed = True
        self.freeze()
        close_tree(self.widget)

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        return self._live() | self._still()

    def _live(self) -> dict[str, Any]:
        if self._is_closed:
            return {}
        bundle: dict[str, Any] = self.widget._repr_mimebundle_()
        return bundle | {_PLAIN: repr(self)}

    def _still(self) -> dict[str, Any]:
        still = f'<div class="helios helios-still">{self.static_html()}</div>'
        return {_PLAIN: repr(self), _HTML: f"{STYLE}{_HIDING}{still}"}

    def _ipython_display_(self) -> None:
        # Only called by IPython, which therefore is there.
        from IPython import get_ipython
        from IPython.display import display

        _SHOWN.take_place(self)
        # VS Code keeps outputs apart, so that one cannot hide the other; there they are one.
        if "__vsc_ipynb_file__" in get_ipython().user_ns:
            display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]  # IPython's own gap
            return
        if not self._is_closed:
            display(self._live(), raw=True)  # type: ignore[no-untyped-call]  # IPython's own gap
        handle = display(self._still(), raw=True, display_id=True)  # type: ignore[no-untyped-call]  # as above
        if handle is not None:
            self._handles.append(handle)


class _Shown:
    """Which panel is shown by which cell, so that running a cell again closes what it had shown.

    Without this every run of a cell would leave another set of widgets, with their tables, in
    memory until the kernel ends.
    """

    def __init__(self) -> None:
        self._panels: dict[str, tuple[int, WeakSet[Panel]]] = {}

    def take_place(self, panel: Panel) -> None:
        cell, run = _running_cell()
        if cell is None:
            return
        before, panels = self._panels.get(cell, (run, WeakSet[Panel]()))
        if before != run:
            for old in panels - {panel}:
                # Shown in a second cell, it is still looked at there.
                if len(old._handles) == 1:
                    old.close()
            panels = WeakSet[Panel]()
        panels.add(panel)
        self._panels[cell] = (run, panels)


# One kernel has one notebook, whatever the number of panels.
_SHOWN = _Shown()


def _running_cell() -> tuple[str | None, int]:
    """Name the cell that is being run and count its run; front ends send the name along."""
    shell = sys.modules["IPython"].get_ipython()
    if shell is None or not hasattr(shell, "get_parent"):
        return None, 0
    metadata = (shell.get_parent() or {}).get("metadata", {})
    return metadata.get("cellId"), shell.execution_count


def close_tree(widget: Any) -> None:
    """Close a widget, everything in it, and their layouts and styles."""
    for child in getattr(widget, "children", ()):
        close_tree(child)
    for name in ("layout", "style"):
        part = getattr(widget, name, None)
        if part is not None:
            part.close()
    widget.close()
