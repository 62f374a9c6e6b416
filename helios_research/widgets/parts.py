"""What all widgets share: how text becomes HTML, the status line, callbacks that cannot fail mutely."""

import logging
from collections.abc import Callable
from functools import wraps
from html import escape
from threading import RLock
from typing import Any

import ipywidgets

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
