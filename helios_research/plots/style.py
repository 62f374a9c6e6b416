"""How every figure looks: sizes, fonts and colours, for a paper's column, its page, or a slide."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from matplotlib.axes import Axes

from helios_research.columns import BUCKET_LEVELS, Outcome
from helios_research.plots.text import font_families

INK = "#1a1a1a"
MUTED = "#595959"
FAINT = "#d9d9d9"
BAND = "#ebebeb"
PAPER = "#ffffff"

# Properties of an artist, by the names of its keyword arguments.
Look = dict[str, Any]

# Okabe & Ito 2008, "Color Universal Design": told apart with any kind of colour vision. Ordered so
# that neighbours differ in lightness too; their yellow is too pale for points on white paper.
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")

# What tells as many groups apart where colour does not, such as on a grey print.
MARKS = ("o", "s", "^", "D", "v", "<", ">")

# One hue from light to dark, so that the order of the four levels survives a black and white print.
ORDINAL_RAMP = dict(zip(BUCKET_LEVELS, ("#dbe9f6", "#94c4df", "#3a83b8", "#08306b"), strict=True))
TEXT_ON_RAMP = dict(zip(BUCKET_LEVELS, (INK, INK, PAPER, PAPER), strict=True))

# Hatches tell neighbours apart without colour.
OUTCOME_LOOKS = {
    Outcome.FAILED: ("#D55E00", ""),
    Outcome.SKIPPED: ("#F0C36D", "////"),
    Outcome.REJECTED: ("#56B4E9", "...."),
    Outcome.INVALID: ("#CC79A7", r"\\\\"),
    Outcome.LOST: ("#000000", ""),
}


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
        How many biomarkers stand beside each other where there are several.
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
        """The style for what stands beside the main thing, such as counts and notes."""
        return replace(self, font_pt=0.875 * self.font_pt)

    def text(self, **more: Any) -> Look:
        """Give the properties of a text, in which ``$`` and ``_`` are only characters."""
        plain: Look = {"parse_math": False, "usetex": False}
        type_: Look = {"fontsize": self.font_pt, "fontfamily": list(font_families()), "color": INK}
        return {**plain, **type_, **more}


COLUMN = Style(width_in=3.5, font_pt=7.0, panels_per_row=1, dpi=200.0)
PAGE = Style()
SLIDE = Style(width_in=12.0, font_pt=17.0, panels_per_row=2, dpi=110.0)


def dress(ax: Axes, style: Style, *, grid: str = "x") -> None:
    """Take from an Axes what carries no information, and set its lines and type."""
    ax.set_facecolor(PAPER)
    for side, spine in ax.spines.items():
        spine.set_visible(side == ("left" if grid == "y" else "bottom"))
        spine.set(color=MUTED, linewidth=0.09 * style.font_pt)
    ax.tick_params(
        which="both",
        color=MUTED,
        labelcolor=INK,
        labelsize=style.font_pt,
        length=0.3 * style.font_pt,
        width=0.09 * style.font_pt,
        left=grid == "y",
        bottom=True,
    )
    ax.grid(visible=False)
    if grid in ("x", "y"):
        direction: Literal["x", "y"] = "x" if grid == "x" else "y"
        ax.grid(visible=True, axis=direction, color=FAINT, linewidth=0.06 * style.font_pt)
    ax.set_axisbelow(True)


def entitle(ax: Axes, title: str, style: Style, *, pad: float | None = None) -> None:
    """Write the title of a panel above its left edge."""
    # Where its place is said, matplotlib need not measure what might be in its way.
    ax.set_title(title, loc="left", y=1.0, pad=pad, **style.text(fontweight="bold"))
