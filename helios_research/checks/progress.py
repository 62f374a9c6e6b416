"""How far a check has come: a line that moves on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

from helios_research.wording import counted

Progress = Callable[[int, int], None]
"""Called with the number of recordings done and the number of all."""

_ON_TERMINAL_S = 0.2
_ELSEWHERE_S = 10.0


class ProgressLine:
    """Writes how many recordings are done, to standard error by default."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._began = time.monotonic()
        self._written = self._began

    def __call__(self, done: int, total: int) -> None:
        """Write the line, if the last one is not too recent."""
        now = time.monotonic()
        pause_s = _ON_TERMINAL_S if self._is_terminal else _ELSEWHERE_S
        is_last = done >= total
        if now - self._written < pause_s and not is_last:
            return
        self._written = now
        per_minute = 60 * done / max(now - self._began, 1e-3)
        words = f"checked {done:,} of {counted(total, 'recording')}, {per_minute:,.0f} a minute"
        if not self._is_terminal:
            self._stream.write(f"{words}\n")
        else:
            self._stream.write(f"\r\x1b[K{words}" + ("\n" if is_last else ""))
        self._stream.flush()


def chosen(progress: bool | Progress) -> Progress:  # noqa: FBT001 - the public argument
    """Turn what the caller asked for into something to call."""
    if callable(progress):
        return progress
    return ProgressLine() if progress else lambda _done, _total: None
