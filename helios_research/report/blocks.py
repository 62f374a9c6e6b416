"""What a report is made of, before it is HTML: sections of text, lists, tables and pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str
    look: str = "plain"
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]
    look: str = "plain"
    kind: str = "bullets"


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers that stand out, each with what it counts."""

    items: tuple[tuple[str, str], ...]
    kind: str = "facts"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    notes: tuple[str, ...] = ()
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure."""

    source: str
    width: int
    height: int
    alt: str
    caption: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """Figures beside each other, below each other on a phone."""

    items: tuple[Picture, ...]
    wide: bool = False
    kind: str = "pictures"


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a part of a section."""

    text: str
    kind: str = "heading"


Block = Text | Bullets | Facts | Table | Pictures | Heading


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the report."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


def table_of(
    frame: pd.DataFrame, caption: str, *, numeric: Iterable[str] = (), notes: Sequence[str] = ()
) -> Table:
    """Make a table of a DataFrame of text."""
    right = set(numeric)
    rows = tuple(
        tuple(NOTHING if pd.isna(cell) or cell == "" else str(cell) for cell in row)
        for row in frame.itertuples(index=False, name=None)
    )
    header = tuple(str(name) for name in frame.columns)
    return Table(caption, header, rows, tuple(name in right for name in header), tuple(notes))
