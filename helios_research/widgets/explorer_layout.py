"""Where the parts of an explorer stand, and how they look."""

from collections.abc import Hashable
from html import escape
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from helios_research.widgets.explorer_figure import picture_html
from helios_research.widgets.parts import markup

# Wide screens have the filters beside the figure, narrow ones above it.
EXPLORER_STYLE = """
<style>
.helios-main { display: flex; flex-flow: row wrap; gap: 0.5em 1.2em; align-items: flex-start;
  overflow: visible; width: 100%; }
.helios-filters { max-width: 22em; min-width: 0; overflow: visible;
  border: 1px solid var(--helios-line); border-radius: 6px; padding: 0.3em 0.7em 0.5em; }
.helios-column { flex: 1 1 30em; min-width: 0; overflow: visible; }
.helios-column.helios-filters { flex: 1 1 17em; }
.helios-below > .helios-column { flex: 2 1 44em; }
.helios-below > .helios-column:first-child { flex: 3 1 58em; }
.helios-choices { display: flex; flex-flow: row wrap; overflow: visible; gap: 0 1.2em;
  max-width: 672px; }
.helios-choices > * { flex: 1 1 16em; min-width: 0; }
.helios :is(.helios-filters, .helios-choices) .widget-label { text-align: left; }
.helios h2, .helios h3 { margin: 0.3em 0; border: 0; padding: 0; font-size: 1.05em; font-weight: 600;
  color: var(--helios-ink); }
.helios-headline { font-size: 1.15em; font-weight: 600; font-variant-numeric: tabular-nums;
  padding: 0.2em 0; }
.helios-chips { display: flex; flex-flow: row wrap; align-items: center; min-height: 34px;
  overflow: visible; gap: 0 2px; }
.helios .helios-chips .widget-label { color: var(--helios-muted); margin-right: 0.4em;
  width: auto; min-width: 0; }
.helios button.helios-chip { border-radius: 999px; padding: 0 0.8em; height: 26px;
  line-height: 24px; max-width: 24em; overflow: hidden; text-overflow: ellipsis;
  border: 1px solid var(--helios-line); background: var(--helios-paper);
  color: var(--helios-ink); }
.helios button.helios-chip-on { background: var(--helios-mark); border-color: var(--helios-ink);
  font-weight: 600; }
.helios-figure img { background: #fff; border-radius: 4px; display: block; }
.helios-histogram { display: block; width: calc(100% - 6.4em); margin-left: 6.4em; height: 34px; }
.helios-bar { fill: var(--jp-brand-color1, #1976d2); }
.helios-bar.helios-all { fill: var(--helios-line); }
.helios-columns { display: flex; flex-flow: row wrap; gap: 0.4em 2em; align-items: flex-start; }
.helios-columns > div { flex: 2 1 22em; min-width: 0; }
.helios-columns > div:first-child { flex: 3 1 40em; overflow-x: auto; }
.helios .helios-columns > div:first-child table.helios-table :is(th, td) { white-space: nowrap; }
.helios-fate p { margin: 0.15em 0; }
.helios-transcript { margin: 0.3em 0; padding-left: 0.8em; max-width: 60em;
  border-left: 3px solid var(--helios-line); white-space: pre-wrap; }
.helios-code { margin: 0.3em 0; padding: 0.6em; overflow-x: auto; background: var(--helios-shade);
  color: var(--helios-ink); border-radius: 4px; font-family: var(--jp-code-font-family, monospace);
  font-size: 0.92em; line-height: 1.4; }
.helios audio { width: min(100%, 28em); }
/* As high as a player, which comes after the rest. */
.helios-audio { min-height: 60px; }
</style>
"""

_EMPTY_IN = (7.0, 3.0)
_CSS_DPI = 96


class FigurePlace:
    """Where the figure is seen; it keeps its height, so that nothing below it jumps."""

    def __init__(self) -> None:
        self.widget = markup()
        self.widget.add_class("helios-figure")
        self.html = ""
        self._kind: Hashable = None
        self._width, self._height = _EMPTY_IN

    def show(self, figure: Figure, words: str, kind: Hashable) -> None:
        """Show a figure."""
        width, height = (float(inches) for inches in figure.get_size_inches())
        self._height = max(height, self._height) if kind == self._kind else height
        self._width = width
        self._kind = kind
        self._set(picture_html(figure, words))

    def say(self, sentence: str) -> None:
        """Say why there is no figure."""
        self._set(f'<p role="status">{escape(sentence)}</p>')

    def _set(self, content: str) -> None:
        self.html = content
        # On a narrow page the picture shrinks, and its place with it.
        shape = f"aspect-ratio: {self._width:g} / {self._height:.3f}"
        width = f"width: min(100%, {_CSS_DPI * self._width:.0f}px)"
        self.widget.value = f'<div style="{shape}; {width}">{content}</div>'


def beside(*columns: list[Any]) -> Any:
    """Put columns beside each other, or one above the other where the page is narrow."""
    parts = []
    for column in columns:
        part = column[0] if len(column) == 1 else ipywidgets.VBox(column)
        part.add_class("helios-column")
        parts.append(part)
    together = ipywidgets.Box(parts)
    together.add_class("helios-main")
    return together
