"""Whether this runs in a notebook, and one line of text that is rewritten as work proceeds."""

import logging
import os
import sys
import time
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
        # Python has no stderr where there is no console, as under pythonw or in a service.
        self._stream = sys.stderr if stream is None else stream
        self._in_notebook = in_notebook()
        self._on_terminal = bool(self._stream and self._stream.isatty())
        is_rewritten = self._in_notebook or self._on_terminal
        self._pause_s = REWRITTEN_EVERY_S if is_rewritten else PLAIN_EVERY_S
        self._shown = ("", False)
        self._shown_at = float("-inf")
        self._handle: Any = None

    def __call__(self, text: str, *, is_last: bool = False) -> None:
        """Show a text."""
        now = time.monotonic()
        is_too_soon = now - self._shown_at < self._pause_s and not is_last
        if is_too_soon or self._shown == (text, is_last):
            return
        is_new = text != self._shown[0]
        self._shown, self._shown_at = (text, is_last), now
        if self._in_notebook:
            self._display(text)
        elif self._stream and self._on_terminal:
            # Return to the line's start and clear it, so that a shorter line leaves nothing behind.
            self._write(f"\r\x1b[K{_shortened(text, self._stream)}" + ("\n" if is_last else ""))
        elif is_new:
            self._write(f"{text}\n")

    def _display(self, text: str) -> None:
        content = {"text/plain": text}
        if self._handle is None:
            # Only a notebook is sure to have IPython.
            from IPython.display import display

            self._handle = display(content, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(content, raw=True)

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        # Its reader has ended (`| head`), or the terminal was closed: the work continues without it.
        except OSError as error:
            self._stream = None
            _LOG.info("The progress can no longer be shown: %s", error)


def _shortened(text: str, stream: TextIO) -> str:
    # This stream's own width: stdout, which shutil asks, may be a file. A terminal that does
    # not know its width says 0.
    try:
        width = os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        width = 80
    return text if len(text) < width else text[: width - 2] + "…"
