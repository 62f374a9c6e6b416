"""How text is compared, ordered and written, wherever the package does it."""

import os
import re
import unicodedata
from contextlib import suppress
from datetime import datetime
from math import isnan
from typing import Any


def counted(number: int, thing: str) -> str:
    """Word a number of things, as in ``1 recording`` and ``2,000 recordings``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Write a length of time the way people say it."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def composed(text: str) -> str:
    """Give a text in Unicode's form NFC: how a letter with an accent is encoded cannot be seen."""
    return unicodedata.normalize("NFC", text)


# Hyphens and dashes that a word processor writes for the one on the keyboard.
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212"), "-")


def as_seen(text: str) -> str:
    """Write a text as a person sees it: accents composed, one kind of space and dash, nothing unseen."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    letters = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return " ".join(composed(letters).translate(_DASHES).split())


def reveal(text: str) -> str:
    """Name each letter that `as_seen` changes, as in ``P01⟨U+200B⟩``."""
    # An accent shows itself by what it does to the letters that take most of them.
    tried = ((letter, f"e{letter}u{letter}e") for letter in text)
    return "".join(
        letter if letter.isascii() or as_seen(trial) == trial else f"⟨U+{ord(letter):04X}⟩"
        for letter, trial in tried
    )


def natural_key(text: str) -> list[tuple[int, float, str]]:
    """Give the sort key under which numbers inside a text count as numbers."""
    with suppress(ValueError):
        if not isnan(number := float(text)):
            return [(0, number, "")]
    parts = re.split(r"(\d+)", text)
    return [(0, float(part), "") if part.isdecimal() else (1, 0.0, part.lower()) for part in parts]


def literal(value: Any) -> str:
    """Write a value as Python, text in double quotes where that needs no more escapes."""
    if isinstance(value, dict):
        entries = (f"{literal(key)}: {literal(part)}" for key, part in value.items())
        return f"{{{', '.join(entries)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    # Pasted, a decomposed accent may become a composed one.
    is_plain = not isinstance(value, str) or composed(value) == value
    written = repr(value) if is_plain else ascii(value)
    if isinstance(value, str) and written.startswith("'") and '"' not in written:
        return f'"{written[1:-1]}"'
    return written


def in_local_time(moment: datetime) -> str:
    """Word a moment as the reader's own wall clock shows it, for use in a sentence."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def system_reason(error: OSError) -> str:
    """Word what the operating system refused, for use in a sentence."""
    words = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
    return words[:1].lower() + words[1:]
