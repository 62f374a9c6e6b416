"""How every figure looks: its sizes, fonts and colours, and texts that fit."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import LoadFlags

from helios_research.codes import short_name
from helios_research.columns import BUCKET_LEVELS
from helios_research.errors import ResultsError

INK, MUTED, FAINT, BAND, PAPER = "#1a1a1a", "#595959", "#d9d9d9", "#ebebeb", "#ffffff"

# Properties of an artist, by the names of its keyword arguments.
Look = dict[str, Any]

# Okabe & Ito 2008, "Color Universal Design": distinct with any kind of colour vision. Ordered so
# that neighbours differ in lightness too; their yellow is too pale for points on white paper.
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")

# They distinguish as many groups where colour does not, such as on a grey print.
MARKS = ("o", "s", "^", "D", "v", "<", ">")

# One hue from light to dark, so that the order of the four levels survives a black and white print.
ORDINAL_RAMP = dict(zip(BUCKET_LEVELS, ("#dbe9f6", "#94c4df", "#3a83b8", "#08306b"), strict=True))
TEXT_ON_RAMP = dict(zip(BUCKET_LEVELS, (INK, INK, PAPER, PAPER), strict=True))


@dataclass(frozen=True, slots=True)
class Style:
    """The size of a figure and of its type.

    Attributes
    ----------
    width_in
        Width of the whole figure in inches.
    font_pt
        Size of labels in points.
    panels_per_row
        How many biomarkers are beside each other where there are several.
    dpi
        Dots per inch on the screen and in files that are made of dots.
    """

    width_in: float = 7.0
    font_pt: float = 8.0
    panels_per_row: int = 2
    dpi: float = 150.0

    @property
    def line_in(self) -> float:
        """Height of a line of type in inches."""
        return 1.3 * self.font_pt / 72

    @property
    def small(self) -> "Style":
        """The style for what is beside the main thing, such as counts and notes."""
        return replace(self, font_pt=0.875 * self.font_pt)

    def text(self, **more: Any) -> Look:
        """Give the properties of a text, in which ``$`` and ``_`` are only characters.

        Parameters
        ----------
        **more
            Further properties of ``matplotlib.text.Text``.

        Returns
        -------
        dict
            Keyword arguments for matplotlib.
        """
        type_: Look = {"fontsize": self.font_pt, "fontfamily": list(font_families()), "color": INK}
        return {"parse_math": False, "usetex": False, **type_, **more}


COLUMN = Style(width_in=3.5, font_pt=7.0, panels_per_row=1, dpi=200.0)
PAGE = Style()
SLIDE = Style(width_in=12.0, font_pt=17.0, panels_per_row=2, dpi=110.0)


def colours_of(palette: Sequence[str] | None) -> tuple[str, ...]:
    """Check the colours that were asked for."""
    given = (palette,) if isinstance(palette, str) else tuple(palette or OKABE_ITO)
    wrong = [colour for colour in given if not is_color_like(colour)]
    if wrong:
        message = (
            f"The palette has {wrong[0]!r}, which is no colour: use names such as 'teal' or codes "
            "such as '#0072B2'."
        )
        raise ResultsError(message)
    return given


def style_axes(ax: Axes, title: str, style: Style, *, grid_y: bool = False) -> None:
    """Remove from an Axes what carries no information; set its title, lines and type."""
    ax.set_facecolor(PAPER)
    for side, spine in ax.spines.items():
        spine.set_visible(side == ("left" if grid_y else "bottom"))
        spine.set(color=MUTED, linewidth=0.09 * style.font_pt)
    size: Look = {"length": 0.3 * style.font_pt, "width": 0.09 * style.font_pt}
    ink: Look = {"color": MUTED, "labelcolor": INK, "labelsize": style.font_pt}
    ax.tick_params(which="both", left=grid_y, bottom=True, **size, **ink)
    ax.grid(visible=False)
    if grid_y:
        ax.grid(visible=True, axis="y", color=FAINT, linewidth=0.06 * style.font_pt)
    ax.set_axisbelow(True)
    set_title(ax, title, style)


def set_title(ax: Axes, title: str, style: Style, *, pad: float | None = None) -> None:
    """Write the title of a panel above its left edge."""
    # With a fixed place, matplotlib need not measure what might be in its way.
    ax.set_title(title, loc="left", y=1.0, pad=pad, **style.text(fontweight="bold"))


# --- texts ----------------------------------------------------------------------------------------

MINUS = "\N{MINUS SIGN}"
UNDRAWABLE = "\N{REPLACEMENT CHARACTER}"

# Matplotlib's own font, which is always there, then those with more scripts that systems come with.
_BASE = "DejaVu Sans"
_WITH_MORE_SCRIPTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Noto Sans JP", "Noto Sans SC"),
    *("Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei"),
    *("Malgun Gothic", "WenQuanYi Zen Hei", "Arial Unicode MS", "Noto Sans Devanagari"),
    *("Nirmala UI", "Noto Sans Thai", "Leelawadee UI", "Noto Sans Ethiopic"),
)

Labels = Mapping[str, str] | None
"""The texts to show for levels and columns."""


@cache
def font_families() -> tuple[str, ...]:
    """List the fonts to draw with: the first, then where it lacks a character, the next."""
    there = {font.name for font in font_manager.fontManager.ttflist}
    return (_BASE, *(name for name in _WITH_MORE_SCRIPTS if name in there))


@cache
def _characters() -> frozenset[int]:
    paths = [font_manager.findfont(name) for name in font_families()]
    return frozenset().union(*(font_manager.get_font(path).get_charmap() for path in paths))


def plain(text: object) -> str:
    """Make any text drawable, in one line."""
    line = " ".join(str(text).split())
    shown = (char for char in line if not unicodedata.category(char).startswith("C"))
    return "".join(char if ord(char) in _characters() else UNDRAWABLE for char in shown)


def shown(name: str, labels: Labels, otherwise: str | None = None) -> str:
    """Give the text to show for a level or column: its label, or else its name."""
    return plain((labels or {}).get(name, otherwise or name))


def shown_column(column: str, labels: Labels) -> str:
    """Give the text to show for a column on an axis: its label, or its name as words."""
    words = plain(column).replace("_", " ")
    return shown(column, labels, words[:1].upper() + words[1:])


@lru_cache(16384)
def width_in(text: str, font_pt: float) -> float:
    """Measure a line of text in inches, at a size of the font in points."""
    paths = [font_manager.findfont(FontProperties(family=name)) for name in font_families()]
    font = font_manager.get_font(paths)
    font.set_size(font_pt, 72.0)
    # Hinted, letters are rounded to whole pixels, which is a tenth of their width at small sizes.
    font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    width, _ = font.get_width_height()
    return float(width) / 64 / 72


def shorten(text: str, limit_in: float, font_pt: float) -> str:
    """Leave out the middle of a line that is too long, since names often differ at their ends."""
    text = text[:400]
    width = width_in(text, font_pt)
    if width <= limit_in:
        return text
    kept = max(1, int(len(text) * limit_in / width))
    while kept > 1 and width_in(_without_middle(text, kept), font_pt) > limit_in:
        kept -= 1
    return _without_middle(text, kept)


def _without_middle(text: str, kept: int) -> str:
    end = kept // 2
    return f"{text[: kept - end].rstrip()}…{text[len(text) - end :].lstrip()}"


def wrap(text: str, limit_in: float, font_pt: float, most: int | None = None) -> str:
    """Break a text into lines that fit."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip(" ")
        if width_in(longer, font_pt) <= limit_in or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if most is not None and len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return "\n".join(shorten(line, limit_in, font_pt) for line in lines)


def fit_names(names: Sequence[str], limit_in: float, font_pt: float, most: int = 1) -> list[str]:
    """Fit names into so many lines; different names stay different.

    What is left out of a long name is its middle. Where names differ just there, the end that they
    share is left out in its place and, if that is not enough, their shared beginning too.
    """
    fitted = [wrap(name, limit_in, font_pt, most) for name in names]
    start = _shared(names)
    end = _shared([name[start:][::-1] for name in names])
    for first in (0, start):
        if len(set(fitted)) == len(set(names)):
            break
        head, tail = "…" if first else "", "…" if end else ""
        kept = [f"{head}{name[first : len(name) - end].strip()}{tail}" for name in names]
        fitted = [wrap(name, limit_in, font_pt, most) for name in kept]
    return fitted


def _shared(names: Sequence[str]) -> int:
    """Count the letters that all names begin with, in whole words if there are any."""
    differ = (n for n, own in enumerate(zip(*names, strict=False)) if len(set(own)) > 1)
    letters = next(differ, min(map(len, names), default=0))
    return names[0].rfind(" ", 0, letters) + 1 or letters if names else 0


def name_of(reason: str) -> str:
    """Write an error code or outcome in small letters."""
    return plain(short_name(reason))


def about_fonts(names: Iterable[str]) -> str | None:
    """Explain the sign that replaces what no font of this machine can draw."""
    if any(UNDRAWABLE in plain(name) for name in names):
        return (
            f"{UNDRAWABLE}: a character that no font here can draw. Install a font such as Noto Sans "
            "CJK."
        )
    return None


def listed(reasons: Mapping[str, int]) -> str:
    """List the five most frequent reasons, which come first, with their numbers."""
    named = [f"{number:,} {name_of(reason)}" for reason, number in list(reasons.items())[:5]]
    others = sum(list(reasons.values())[5:])
    return ", ".join([*named, f"{others:,} for other reasons"] if others else named)
