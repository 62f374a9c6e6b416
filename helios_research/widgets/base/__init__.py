"""What all widgets share: controls, HTML, the status line, and their place in a notebook."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from html import escape
from importlib import resources
from threading import RLock, Timer
from typing import Any
from weakref import WeakSet

import anywidget
import ipywidgets
from traitlets import HasTraits, Unicode

from helios_research._util.screen import ipython_shell
from helios_research.errors import HeliosResearchError

_log = logging.getLogger(__name__)

# --- controls and HTML ---------------------------------------------------------------------------


@cache
def no_echo(kind: Any) -> Any:
    """Make a kind of control that does not send a person's changes back to the front end.

    With ipykernel 7 the echo of ipywidgets can erase a figure that the researcher's own pyplot is
    drawing in another cell (jupyterlab/jupyterlab#19719, ipython/ipykernel#1564).
    """

    def trait_metadata(self: Any, name: str, key: str, default: Any = None) -> Any:
        # ipywidgets asks this before it echoes. A tag on the trait itself would change the
        # behaviour of the researcher's own widgets too.
        return False if key == "echo_update" else kind.trait_metadata(self, name, key, default)

    return type(kind.__name__, (kind,), {"trait_metadata": trait_metadata})


def control(
    kind: Any, label: str, *, width: str = "auto", label_width: str = "", **settings: Any
) -> Any:
    """Make a control with a label; what is typed is sent once it is complete."""
    if issubclass(kind, ipywidgets.Text):
        settings["continuous_update"] = False
    settings.setdefault("layout", ipywidgets.Layout(width=width))
    settings["style"] = {"description_width": label_width}
    return no_echo(kind)(description=label, **settings)


def markup(html: str = "") -> Any:
    """Make a place for HTML that the widgets wrote; text from elsewhere is escaped in it."""
    return ipywidgets.HTML(html, layout=ipywidgets.Layout(margin="0", max_width="100%"))


def shortened(text: str, longest: int) -> str:
    """Leave out the middle of a text that is too long, since names often differ at their ends."""
    if len(text) <= longest:
        return text
    end = (longest - 1) // 2
    return f"{text[: longest - 1 - end].rstrip()}…{text[len(text) - end :].lstrip()}"


def cut(text: object, longest: int = 40, tip: str = "") -> str:
    """Write text as HTML, with a ``title``: the ``tip``, or where it is shortened the whole text."""
    whole, short = escape(str(text)), escape(shortened(str(text), longest))
    title = escape(tip) or (whole if whole != short else "")
    return f'<span title="{title}">{short}</span>' if title else short


def code_html(code: str, classes: str = "helios-code") -> str:
    """Draw lines of Python."""
    return f'<pre class="{classes}" tabindex="0" aria-label="Code">{escape(code)}</pre>'


def region_html(label: str, html: str, classes: str = "", more: str = "") -> str:
    """Draw a place that scrolls by itself, also by keyboard; ``more`` are other attributes."""
    return (
        f'<div class="helios-scroll {classes}" tabindex="0" role="region" '
        f'aria-label="{escape(label)}"{more}>{html}</div>'
    )


def in_words(error: Exception, failure: str) -> str:
    """Give the sentence of an error; ``failure`` begins that of one which is not ours."""
    if isinstance(error, HeliosResearchError):
        return str(error)
    words, kind = str(error).strip().rstrip("."), type(error).__name__
    return f"{failure}: {words} ({kind})." if words else f"{failure}: {kind}."


# --- callbacks -----------------------------------------------------------------------------------

BUSY_S = 0.2
"""Seconds after which an answer no longer seems immediate (Nielsen 1993 has 0.1 to 1)."""


class StatusLine:
    """One line that shows what happened last, also to screen readers."""

    def __init__(self) -> None:
        self.widget = markup()
        self.show("")

    def show(self, text: str, *, failed: bool = False) -> None:
        """Show a sentence, as text and never as markup; empty, the line keeps its place."""
        self.text = text
        classes = "helios-status helios-failed" if failed else "helios-status"
        self.widget.value = f'<div role="status" class="{classes}">{escape(text)}</div>'


class Guard:
    """Lets one callback run at a time, and shows in a status line what went wrong in it.

    An exception in a widget's callback appears in no cell, and since ipykernel 7 callbacks may
    run on any thread. Code that changes what callbacks use holds ``lock`` too.
    """

    def __init__(self, status: StatusLine) -> None:
        self._status = status
        self._is_busy = False
        self.lock = RLock()

    def __call__(self, act: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback; the wrapped one never raises."""

        @wraps(act)
        def guarded(*event: Any) -> None:
            with self.lock, self._busy():
                try:
                    act(*event)
                # Whatever the error is, the person who clicked has to see it.
                except Exception as error:  # noqa: BLE001
                    _log.debug("A widget's callback failed", exc_info=True)
                    self._status.show(in_words(error, "This did not work"), failed=True)

        return guarded

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Mark the panel as busy meanwhile, unless this is over before a person notices."""
        if self._is_busy:
            yield
            return
        mark = Timer(BUSY_S, self._status.widget.add_class, ["helios-busy"])
        mark.daemon = self._is_busy = True
        mark.start()
        try:
            yield
        finally:
            mark.cancel()
            mark.join()
            self._status.widget.remove_class("helios-busy")
            self._is_busy = False


def button(guard: Guard, name: str, act: Callable[[], None], **settings: Any) -> Any:
    """Make a button, as wide as its name."""
    layout = ipywidgets.Layout(width="auto")
    made = no_echo(ipywidgets.Button)(description=name, layout=layout, **settings)
    made.on_click(guard(lambda _: act()))
    return made


class ControlGroup:
    """Controls that can be set without calling back."""

    def __init__(self) -> None:
        self._is_setting = False

    @contextmanager
    def _setting(self) -> Iterator[None]:
        before, self._is_setting = self._is_setting, True
        try:
            yield
        finally:
            self._is_setting = before

    def _follow(self, guard: Guard, control: Any, act: Callable[[], None]) -> None:
        def unless_setting(_: Any) -> None:
            if not self._is_setting:
                act()

        control.observe(guard(unless_setting), "value")


# --- HTML that can be clicked ---------------------------------------------------------------------

# A Jupyter server drops messages beyond 1 MB a second, over 3 seconds (its default
# iopub_data_rate_limit).
_PART_BYTES = 900_000


def _resource(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


class Clickable(anywidget.AnyWidget):
    """HTML in which ``data-click="NAME:VALUE"`` calls ``actions[NAME](VALUE)``.

    A value comes from the browser, so an action takes it as it takes what a person types.
    """

    _esm = _resource("clickable.js")
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


# --- panels --------------------------------------------------------------------------------------

SETTLED_S = 0.4
"""Seconds without a change after which the static picture is renewed: long enough that the browser
has painted the change, and that quick changes cost one picture; shorter than it takes to save the
notebook by its menu."""


_STYLE = f"<style>\n{_resource('style.css')}</style>"


class Panel(HasTraits):
    """What the widgets of this package have in common.

    A notebook is saved without the state of its widgets, and JupyterLab shows an error in their
    place when it is opened again. So a panel leaves a second output below itself: a static picture
    in HTML, hidden while the widget lives, and renewed soon after each change.
    """

    def __init__(self, children: Iterable[Any]) -> None:
        super().__init__()
        self.widget = ipywidgets.VBox(
            [markup(_STYLE), *children], layout=ipywidgets.Layout(width="100%")
        )
        self.widget.add_class("helios")
        self._handles: list[Any] = []
        self.is_closed = False
        self._renewal: Timer | None = None

    def static_html(self) -> str:
        """Draw what the panel shows now, for a notebook that is opened again."""
        raise NotImplementedError

    def render_static_soon(self) -> None:
        """Renew the static picture once nothing has changed for a moment."""
        if self._renewal is not None:
            self._renewal.cancel()
        if self._handles:
            self._renewal = Timer(SETTLED_S, self.render_static)
            self._renewal.daemon = True
            self._renewal.start()

    def render_static(self) -> None:
        """Renew the static picture in every cell that shows this panel, now."""
        if self._renewal is not None:
            self._renewal.cancel()
        for handle in self._handles:
            handle.update(self._static(), raw=True)

    def close(self) -> None:
        """Release the widgets and the tables that they hold. Safe to call twice."""
        if self.is_closed:
            return
        self.is_closed = True
        self.render_static()
        close_tree(self.widget)

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        return self._live() | self._static()

    def _live(self) -> dict[str, Any]:
        if self.is_closed:
            return {}
        bundle: dict[str, Any] = self.widget._repr_mimebundle_()
        return bundle | {"text/plain": repr(self)}

    def _static(self) -> dict[str, Any]:
        picture = f'<div class="helios helios-static">{self.static_html()}</div>'
        return {"text/plain": repr(self), "text/html": f"{_STYLE}{picture}"}

    def show(self) -> None:
        """Show the panel below the running cell, as if it were the cell's last value."""
        from IPython.display import display

        _take_place(self)
        # VS Code keeps outputs apart, so that one cannot hide the other; there they are one.
        if "__vsc_ipynb_file__" in ipython_shell().user_ns:
            display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]  # IPython's own gap
            return
        if not self.is_closed:
            display(self._live(), raw=True)  # type: ignore[no-untyped-call]  # IPython's own gap
        handle = display(self._static(), raw=True, display_id=True)  # type: ignore[no-untyped-call]  # as above
        if handle is not None:
            self._handles.append(handle)

    _ipython_display_ = show


# By cell, the count of its latest run and what that showed. One kernel has one notebook.
_SHOWN: dict[str, tuple[int, WeakSet[Panel]]] = {}


def _take_place(panel: Panel) -> None:
    """Close what an earlier run of the cell showed, which would be in memory until the kernel ends."""
    cell, run = _running_cell()
    if cell is None:
        return
    before, panels = _SHOWN.get(cell, (run, WeakSet[Panel]()))
    if before != run:
        for old in panels - {panel}:
            # A panel that a second cell shows too is still in use there.
            if len(old._handles) == 1:
                old.close()
        panels = WeakSet[Panel]()
    panels.add(panel)
    _SHOWN[cell] = (run, panels)


def _running_cell() -> tuple[str | None, int]:
    """Give the running cell's name, which front ends send along, and the count of its run."""
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
