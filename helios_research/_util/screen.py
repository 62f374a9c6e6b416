"""What a terminal or a notebook shows: colours, a bar, and one line that is rewritten as work proceeds."""

import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from html import escape
from typing import Any, TextIO

_LOG = logging.getLogger(__name__)

REWRITTEN_EVERY_S = 0.1
PLAIN_EVERY_S = 10.0
"""Seconds between two lines where lines cannot be rewritten, as in a log file."""
_BAR_WIDTH = 20
_LEAST_WIDTH_FOR_BAR = 60


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


def summary_html(title: str, sentences: Sequence[str], *, done: int = 0, total: int = 0) -> str:
    """Draw a title, how much is done, and sentences for a notebook: all text, but for `code`."""
    lines = [f"<b>{escape(title)}</b>"]
    if total:
        words = f"{done:,} of {total:,} done"
        lines.append(
            f'<progress max="{total}" value="{done}" style="width: 20em" title="{words}">{words}'
            f"</progress> {words}"
        )
    lines += [re.sub("`(.+?)`", r"<code>\1</code>", escape(sentence)) for sentence in sentences]
    return f"<div>{'<br>'.join(lines)}</div>"


class Colour(StrEnum):
    """A colour, as the number by which terminals know it."""

    RED = "31"
    GREEN = "32"
    YELLOW = "33"


Share = tuple[float, Colour | None]
"""A part of all work, from 0 to 1, and its colour."""


def has_colours(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal with colours; NO_COLOR (no-color.org) switches them off."""
    return _is_terminal(stream) and not os.environ.get("NO_COLOR")


def _is_terminal(stream: TextIO | None) -> bool:
    # An editor's window may call itself a terminal and know no more than lines.
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def painted(text: str, colour: Colour | None, *, has_colours: bool) -> str:
    """Put a text into a colour, where there are colours."""
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and has_colours and text else text


def bar(shares: Sequence[Share], width: int, *, has_colours: bool) -> str:
    """Draw shares of all work beside one another, as ``[####----]``; full where nothing is left."""
    drawn, at, ends = "", 0, 0.0
    for share, colour in shares:
        ends += share
        # Not rounded: a bar that is full says that nothing is left.
        upto = int(width * ends + 1e-9)
        drawn += painted("#" * (upto - at), colour, has_colours=has_colours)
        at = upto
    return f"[{drawn}{'-' * (width - at)}]"


class ProgressLine:
    """Shows the current text: with a bar in one line of a notebook or terminal, plain elsewhere.

    Call it with each new text. Texts that follow each other too quickly are left out; the last one
    (``is_last``) is always shown, once. A bar needs the shares of all work that are done.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        # Python has no stderr where there is no console, as under pythonw or in a service.
        self._stream = sys.stderr if stream is None else stream
        self._in_notebook = in_notebook()
        self._on_terminal = _is_terminal(self._stream)
        self._has_colours = has_colours(self._stream)
        is_rewritten = self._in_notebook or self._on_terminal
        self._pause_s = REWRITTEN_EVERY_S if is_rewritten else PLAIN_EVERY_S
        self._shown = ("", False)
        self._shown_at = float("-inf")
        self._handle: Any = None

    def __call__(
        self,
        text: str,
        *,
        shares: Sequence[Share] = (),
        is_error: bool = False,
        is_last: bool = False,
    ) -> None:
        """Show a text; one about an error is red where there are colours."""
        now = time.monotonic()
        is_too_soon = now - self._shown_at < self._pause_s and not is_last
        if is_too_soon or self._shown == (text, is_last):
            return
        is_new = text != self._shown[0]
        self._shown, self._shown_at = (text, is_last), now
        if self._in_notebook:
            drawn = f"{bar(shares, _BAR_WIDTH, has_colours=False)} " if shares else ""
            self._display(f"{drawn}{text}")
        elif self._stream and self._on_terminal:
            line = self._line(text, shares, Colour.RED if is_error else None, self._stream)
            # Return to the line's start and clear it, so that a shorter line leaves nothing behind.
            self._write(f"\r\x1b[K{line}" + ("\n" if is_last else ""))
        elif is_new:
            self._write(f"{text}\n")

    def _line(
        self, text: str, shares: Sequence[Share], colour: Colour | None, stream: TextIO
    ) -> str:
        # This stream's own width: stdout, which shutil asks, may be a file. A terminal that does
        # not know its width says 0.
        try:
            width = os.get_terminal_size(stream.fileno()).columns or 80
        except OSError:
            width = 80
        drawn = ""
        if shares and width >= _LEAST_WIDTH_FOR_BAR:
            drawn = f"{bar(shares, _BAR_WIDTH, has_colours=self._has_colours)} "
            width -= _BAR_WIDTH + len("[] ")
        kept = text if len(text) < width else text[: width - 2] + "…"
        return drawn + painted(kept, colour, has_colours=self._has_colours)

    def _display(self, text: str) -> None:
        content = {"text/plain": text}
        if self._handle is not None:
            self._handle.update(content, raw=True)
            return
        # Only a notebook is sure to have IPython.
        from IPython.display import display

        self._handle = display(content, raw=True, display_id=True)  # type: ignore[no-untyped-call]

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
