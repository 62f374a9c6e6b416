"""Showing progress as one line: rewritten in a terminal and in a notebook, plain lines elsewhere."""

import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from helios_research.submission.progress import Progress

_log = logging.getLogger(__name__)

PLAIN_EVERY_S = 10.0
"""Seconds between two lines where lines cannot be rewritten, as in a log file."""


def progress_line(stream: TextIO | None = None) -> Callable[[Progress], None]:
    """Choose how to show progress here."""
    stream = sys.stderr if stream is None else stream
    if in_notebook():
        return _NotebookLine()
    # Python has no stderr where there is no console, as under pythonw or in a service.
    if stream is None:
        return _say_nothing
    if stream.isatty():
        return _TerminalLine(stream)
    return _PlainLines(stream)


def in_notebook() -> bool:
    """Tell whether this runs in a notebook's kernel."""
    # A notebook has loaded IPython itself; nothing needs to be imported to find out.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _say_nothing(progress: Progress) -> None:
    """Show nothing."""


class _Writer:
    """Writes to a stream for as long as that takes it: the submission goes on without."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_gone = False

    def __call__(self, text: str) -> None:
        if self._is_gone:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        # Whoever read it has gone (`| head`), or the terminal was closed.
        except OSError as error:
            self._is_gone = True
            _log.info("The progress cannot be shown any more: %s", error)


class _NotebookLine:
    def __init__(self) -> None:
        self._handle: Any = None
        self._shown = ""

    def __call__(self, progress: Progress) -> None:
        line = str(progress)
        if line == self._shown:
            return
        self._shown = line
        content = {"text/plain": line}
        if self._handle is None:
            # Only a notebook is sure to have IPython.
            from IPython.display import display

            self._handle = display(content, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(content, raw=True)


class _TerminalLine:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._write = _Writer(stream)
        self._shown = ""

    def __call__(self, progress: Progress) -> None:
        line = str(progress)
        width = self._columns()
        if len(line) >= width:
            line = line[: width - 2] + "…"
        # Return to the line's start and clear it, so that a shorter line leaves nothing behind.
        shown = f"\r\x1b[K{line}" + ("\n" if progress.is_over else "")
        if shown != self._shown:
            self._shown = shown
            self._write(shown)

    def _columns(self) -> int:
        # This stream's own: stdout, which shutil asks, may be a file. A terminal that does not
        # know its width says 0.
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except OSError:
            columns = 0
        return columns or 80


class _PlainLines:
    def __init__(self, stream: TextIO) -> None:
        self._write = _Writer(stream)
        self._written_at = float("-inf")
        self._shown = ""

    def __call__(self, progress: Progress) -> None:
        due = time.monotonic() - self._written_at >= PLAIN_EVERY_S
        line = str(progress)
        if line != self._shown and (due or progress.is_over):
            self._written_at = time.monotonic()
            self._shown = line
            self._write(f"{line}\n")
