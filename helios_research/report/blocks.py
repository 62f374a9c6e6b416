"""What a report is made of, before it is HTML: sections of text, lists, tables and pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph.

    Attributes
    ----------
    text
        Its words.
    look
        "plain", "note" for what is said in passing, or "caution" for what must not be missed.
    """

    text: str
    look: str = "plain"
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of sentences.

    Attributes
    ----------
    items
        The sentences.
    look
        "plain", or "caution" for what must not be missed.
    """

    items: tuple[str, ...]
    look: str = "plain"
    kind: str = "bullets"


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers that stand out, each with what it counts.

    Attributes
    ----------
    items
        Pairs of a number and its words.
    """

    items: tuple[tuple[str, str], ...]
    kind: str = "facts"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text.

    Attributes
    ----------
    caption
        What it shows.
    header
        Names of the columns.
    rows
        The cells; as many in each row as there are columns.
    numeric
        Whether each column holds numbers, which are set to the right.
    notes
        What stands below it.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    notes: tuple[str, ...] = ()
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure.

    Attributes
    ----------
    source
        The picture itself, as a ``data:`` URL.
    width, height
        Its size in CSS pixels.
    alt
        What it shows, for who cannot see it.
    caption
        What it shows, for who can.
    """

    source: str
    width: int
    height: int
    alt: str
    caption: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """Figures beside each other, below each other on a phone.

    Attributes
    ----------
    items
        The figures.
    wide
        Whether each takes the whole width.
    """

    items: tuple[Picture, ...]
    wide: bool = False
    kind: str = "pictures"


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a part of a section.

    Attributes
    ----------
    text
        Its words.
    """

    text: str
    kind: str = "heading"


Block = Text | Bullets | Facts | Table | Pictures | Heading


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the report.

    Attributes
    ----------
    anchor
        Its id in the page.
    title
        Its title.
    blocks
        What stands in it.
    """

    anchor: str
    title: str
    blocks: tuple[Block, ...]


def table_of(
    frame: pd.DataFrame, caption: str, *, numeric: Iterable[str] = (), notes: Sequence[str] = ()
) -> Table:
    """Make a table of a DataFrame of text.

    Parameters
    ----------
    frame
        Text; what is missing becomes a dash.
    caption
        What it shows.
    numeric
        Columns that hold numbers.
    notes
        What stands below it.

    Returns
    -------
    Table
        One row per row.
    """
    right = set(numeric)
    rows = tuple(
        tuple(NOTHING if pd.isna(cell) or cell == "" else str(cell) for cell in row)
        for row in frame.itertuples(index=False, name=None)
    )
    header = tuple(str(name) for name in frame.columns)
    return Table(caption, header, rows, tuple(name in right for name in header), tuple(notes))
