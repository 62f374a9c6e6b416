"""Whether this runs in a notebook, and one line of text that is rewritten as work proceeds."""

import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

_LOG = logging.getLogger(__name__)

REWRITTEN_EVERY_S = 0.1
PLAIN_EVERY_S = 10.0
"""Seconds between two lines where lines cannot be rewritten, as in a log file."""


def ipython_shell() -> Any:
    """Give IPython's shell; None outside of IPython. Imports nothing: a notebook has loaded IPython."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def notebook_kernel() -> Any:
    """Give the kernel of the notebook that this runs in; None elsewhere."""
    return getattr(ipython_shell(), "kernel", None)


def in_notebook() -> bool:
    """Whether this runs in a notebook's kernel."""
    return notebook_kernel() is not None


class ProgressLine:
    """Shows the current text: in one line of a notebook or terminal, as plain lines elsewhere.

    Call it with each new text. Texts that follow each other too quickly are left out; the last one
    (``is_last``) is always shown, once.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._show, self._pause_s = _way_to_show(sys.stderr if stream is None else stream)
        self._shown = ("", False)
        self._shown_at = float("-inf")

    def __call__(self, text: str, *, is_last: bool = False) -> None:
        """Show a text."""
        now = time.monotonic()
        is_too_soon = now - self._shown_at < self._pause_s and not is_last
        if is_too_soon or self._shown == (text, is_last):
            return
        self._shown, self._shown_at = (text, is_last), now
        self._show(text, is_last)


_Show = Callable[[str, bool], None]


def _way_to_show(stream: TextIO | None) -> tuple[_Show, float]:
    if in_notebook():
        return _NotebookLine().show, REWRITTEN_EVERY_S
    # Python has no stderr where there is no console, as under pythonw or in a service.
    if stream is None:
        return lambda _text, _is_last: None, PLAIN_EVERY_S
    if stream.isatty():
        return _TerminalLine(stream).show, REWRITTEN_EVERY_S
    return _PlainLines(stream).show, PLAIN_EVERY_S


class _NotebookLine:
    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, text: str, _is_last: bool) -> None:  # noqa: FBT001 - as `_Show`
        content = {"text/plain": text}
        if self._handle is None:
            # Only a notebook is sure to have IPython.
            from IPython.display import display

            self._handle = display(content, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(content, raw=True)


class _LineWriter:
    """Writes to a stream for as long as it takes text: the work continues without it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_gone = False

    def write(self, text: str) -> None:
        if self._is_gone:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        # Its reader has ended (`| head`), or the terminal was closed.
        except OSError as error:
            self._is_gone = True
            _LOG.info("The progress can no longer be shown: %s", error)


class _TerminalLine(_LineWriter):
    def show(self, text: str, is_last: bool) -> None:  # noqa: FBT001 - as `_Show`
        width = self._columns()
        if len(text) >= width:
            text = text[: width - 2] + "…"
        # Return to the line's start and clear it, so that a shorter line leaves nothing behind.
        self.write(f"\r\x1b[K{text}" + ("\n" if is_last else ""))

    def _columns(self) -> int:
        # This stream's own: stdout, which shutil asks, may be a file. A terminal that does not
        # know its width says 0.
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except OSError:
            columns = 0
        return columns or 80


class _PlainLines(_LineWriter):
    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._written = ""

    def show(self, text: str, _is_last: bool) -> None:  # noqa: FBT001 - as `_Show`
        if text != self._written:
            self._written = text
            self.write(f"{text}\n")
