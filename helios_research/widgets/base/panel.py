"""What all widgets share: controls, HTML, the status line, and how a notebook shows and remembers them."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import wraps
from html import escape
from threading import RLock, Timer
from typing import Any
from weakref import WeakSet

import ipywidgets

from helios_research._util.notebook import ipython_shell
from helios_research.errors import HeliosResearchError

_log = logging.getLogger(__name__)

# Colours come from the front end's theme (Lab, Notebook 7 and Voilà define --jp-…, VS Code
# --vscode-…), with fallbacks for a page that has neither.
STYLE = """
<style>
.helios {
  --helios-ink: var(--jp-ui-font-color1, var(--vscode-editor-foreground, #212121));
  --helios-muted: var(--jp-ui-font-color2, var(--vscode-descriptionForeground, #5f5f5f));
  --helios-line: var(--jp-border-color1, var(--vscode-widget-border, #bdbdbd));
  --helios-paper: var(--jp-layout-color1, var(--vscode-editor-background, #ffffff));
  --helios-shade: var(--jp-layout-color2, var(--vscode-editorWidget-background, #eeeeee));
  --helios-mark: color-mix(in srgb, var(--jp-brand-color1, #1976d2) 30%, var(--helios-paper));
  --helios-error: var(--jp-error-color1, var(--vscode-errorForeground, #c62828));
  color: var(--helios-ink); max-width: 100%;
}
/* Not hidden, which would make it scroll by itself, so that nothing in it could stay in view. */
.helios, .helios.widget-vbox { overflow-x: clip; overflow-y: visible; }
.jp-CodeCell:not(.jp-mod-outputsScrolled)
  :is(.jp-OutputArea, .jp-OutputArea-child, .jp-OutputArea-output):has(.helios.widget-vbox) {
  overflow: visible; min-width: 0; }
.helios > .helios-in-view { position: sticky; top: 0; z-index: 2; background: var(--helios-paper); }
.helios .widget-html, .helios .widget-html-content { overflow: visible; line-height: 1.45;
  min-width: 0; max-width: 100%; }
/* ipywidgets takes the outline away with !important. */
.helios :is(button, select, input):focus-visible, .helios [tabindex]:focus-visible {
  outline: 2px solid var(--jp-brand-color1, #1976d2) !important; outline-offset: 1px; }
/* A kernel that was restarted marks its widgets; of one that was shut down only the toolbars of
   JupyterLab and Notebook 7 know. */
.helios.widget-vbox.jupyter-widgets-disconnected::before,
.jp-NotebookPanel:has(.jp-Notebook-ExecutionIndicator:is([data-status="dead"],
  [data-status="disconnected"], [data-status="terminating"], [data-status="unknown"]))
  .helios.widget-vbox::before {
  content: "The kernel behind this is gone, so its controls do nothing: run the cell again.";
  position: sticky; top: 0; z-index: 3; padding: 0.3em 0; background: var(--helios-paper);
  color: var(--helios-error); font: 600 13px/1.45 var(--jp-ui-font-family, sans-serif); }
/* The sentence says it once; a broken chain at each control would only push things about. */
.helios .jupyter-widgets-disconnected::before { content: none; }
.helios-muted { color: var(--helios-muted); }
.helios-cut { display: inline-block; max-width: 100%; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; vertical-align: bottom; }
.helios-status { min-height: 1.45em; }
.helios-status.helios-failed { color: var(--helios-error); font-weight: 600; }
.helios-title { font-weight: 600; margin: 0; }
.helios-scroll { overflow: auto; max-width: 100%; }
.helios table.helios-table { border-collapse: separate; border-spacing: 0; margin: 0;
  font-size: 0.92em; font-variant-numeric: tabular-nums; color: var(--helios-ink); }
/* Rows of one height, known beforehand, so that a table's place can be as high as its rows. */
.helios table.helios-table :is(th, td) { box-sizing: border-box; height: 1.9em; line-height: 1.4;
  padding: 0.15em 0.6em; text-align: left; vertical-align: middle; max-width: 22em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  border-bottom: 1px solid var(--helios-line); background: var(--helios-paper); }
.helios table.helios-table thead th { background: var(--helios-shade); position: sticky; top: 0; }
.helios table.helios-table .helios-number { text-align: right; }
.helios table.helios-table tr.helios-marked td { background: var(--helios-mark); }
.helios .helios-page { height: calc(var(--helios-rows) * 1.9 * 0.92em + 1.2em); }
.helios table.helios-table.helios-wrapped { width: 100%; }
.helios table.helios-table.helios-wrapped td { white-space: normal; overflow-wrap: break-word;
  vertical-align: top; height: auto; max-width: none; }
/* Sentences and values, which may hold paths, come last. */
.helios table.helios-table.helios-wrapped td:nth-last-child(-n + 2) { overflow-wrap: anywhere;
  min-width: 8em; }
</style>
"""


def cut(text: object, longest: int = 40) -> str:
    """Write text as HTML, shortened where it is long, the whole of it at hand."""
    whole = str(text)
    if len(whole) <= longest:
        return escape(whole)
    return f'<span title="{escape(whole)}">{escape(whole[: longest - 1].rstrip())}…</span>'


def markup(html: str = "") -> Any:
    """Make a place for HTML that the widgets wrote themselves."""
    return ipywidgets.HTML(html, layout=ipywidgets.Layout(margin="0", max_width="100%"))


class StatusLine:
    """One line that says what happened last, to eyes and to screen readers."""

    def __init__(self) -> None:
        self.widget = markup()
        self.text = ""
        self.clear()

    def tell(self, text: str) -> None:
        """Say something."""
        self._set(text, "helios-status")

    def fail(self, text: str) -> None:
        """Say what went wrong."""
        self._set(text, "helios-status helios-failed")

    def clear(self) -> None:
        """Say nothing; the line keeps its place."""
        self._set("", "helios-status")

    def _set(self, text: str, classes: str) -> None:
        self.text = text
        self.widget.value = f'<div role="status" class="{classes}">{escape(text)}</div>'


class Guard:
    """Lets one callback run at a time, and says in a status line what went wrong in it.

    An exception in a widget's callback appears in no cell, and since ipykernel 7 callbacks may
    run on any thread.
    """

    def __init__(self, status: StatusLine) -> None:
        self._status = status
        self.lock = RLock()

    def __call__(self, act: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback."""

        @wraps(act)
        def guarded(*event: Any) -> None:
            with self.lock:
                try:
                    act(*event)
                except HeliosResearchError as error:
                    self._status.fail(str(error))
                # Whatever it is, the person who clicked has to learn of it.
                except Exception as error:  # noqa: BLE001
                    _log.debug("A widget's callback failed", exc_info=True)
                    self._status.fail(f"This did not work: {in_words(error)}.")

        return guarded


def in_words(error: Exception) -> str:
    """Name an error that nobody expected, for use in a sentence."""
    words = str(error).strip().rstrip(".")
    return f"{words} ({type(error).__name__})" if words else type(error).__name__


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
        from IPython.display import display

        _SHOWN.take_place(self)
        # VS Code keeps outputs apart, so that one cannot hide the other; there they are one.
        if "__vsc_ipynb_file__" in ipython_shell().user_ns:
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
    shell = ipython_shell()
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
