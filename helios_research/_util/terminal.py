"""What a terminal can show: colours, and a bar of how far work has come."""

import os
from collections.abc import Sequence
from enum import StrEnum
from typing import TextIO


class Colour(StrEnum):
    """A colour, as the number by which terminals know it."""

    RED = "31"
    GREEN = "32"
    YELLOW = "33"


Share = tuple[float, Colour | None]
"""A part of all work, from 0 to 1, and its colour."""


def has_colours(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal with colours; NO_COLOR (no-color.org) switches them off."""
    is_terminal = stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    return is_terminal and not os.environ.get("NO_COLOR")


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
