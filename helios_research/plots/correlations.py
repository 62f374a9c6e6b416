"""How the biomarkers correlate."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from helios_research._util.text import counted
from helios_research.analysis.prepared import Codes, Floats, PreparedResults, Results
from helios_research.plots.canvas import (
    INK,
    MUTED,
    PAGE,
    PAPER,
    Style,
    Target,
    open_canvas,
    set_title,
    size_in,
    write_sentence,
)
from helios_research.plots.selection import select
from helios_research.plots.text import MINUS, plain, shown, width_in

FEWEST = 3

# From brown to violet, distinct with any kind of colour vision; the numbers say the same in
# black and white.
_COLOURS = colormaps["PuOr"].reversed()


def biomarker_correlations(
    results: Results,
    *,
    biomarkers: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    caption: bool = True,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes:
    """Draw Spearman's rank correlation of each pair of biomarkers over participants.

    Each participant counts once, with the (lower) median of their recordings, so that those with
    many recordings do not weigh more and ordinal scores are never averaged. No p-values: a
    biomarker and its uniform form come from the same voice.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    biomarkers
        At least two; None means all.
    labels
        The text to show for a biomarker's column.
    caption
        Whether to write below the figure how to read it and which recordings it shows. A warning
        of synthetic scores always stays.
    ax
        Where to draw: an Axes or an empty Figure; None makes a new figure.
    style
        Sizes: ``COLUMN``, ``PAGE`` or ``SLIDE``.

    Returns
    -------
    Axes
        With a square for each pair.

    Raises
    ------
    UnknownColumnError
        If a biomarker is not in the results.

    Examples
    --------
    >>> pair = ["stress", "uniform_stress"]
    >>> ax = biomarker_correlations("datasets/shift_study_results.parquet", biomarkers=pair)
    >>> float(ax.texts[0].get_text()) > 0.9
    True
    """
    chosen = select(results, biomarkers, caption=caption)
    found, people = correlate(chosen.rows())
    names = [plain(shown(own.name, labels, own.label)) for own in chosen.results.biomarkers]
    able = np.isfinite(found).any()
    height = (2.2 * len(names) + 11) * style.line_in if able else 1.5
    notes = chosen.notes(_about(found, people) if able else None)
    # The names below the squares are turned by 45 degrees.
    widest = max((width_in(name, style.font_pt) for name in names[:-1]), default=0.0)
    ticks_in = widest * 0.75 + 1.5 * style.line_in
    (axes,) = open_canvas(ax, [height], notes, style, ticks_in=ticks_in)
    if able:
        _draw(axes, found, names, style)
    else:
        sentence = f"No two biomarkers have scores that vary in {FEWEST} participants or more."
        write_sentence(axes, sentence, style)
    return axes


def correlate(results: PreparedResults) -> tuple[Floats, Codes]:
    """Correlate the participants' medians; give the numbers of participants too."""
    scores = pd.DataFrame(results.scores)
    medians = scores.groupby(results.people).quantile(0.5, interpolation="lower").astype(float)
    found = np.array(medians.corr(method="spearman", min_periods=FEWEST))
    found[np.triu_indices_from(found)] = np.nan
    known = medians.notna().to_numpy(dtype=np.intp)
    return found, known.T @ known


def _about(found: Floats, people: Codes) -> str:
    pairs = people[np.tril_indices_from(people, -1)]
    unknown = np.isnan(found[np.tril_indices_from(found, -1)]).any()
    low, high = int(pairs.min()), int(pairs.max())
    who = counted(high, "participant") if low == high else f"{low:,} to {high:,} participants"
    return (
        f"Spearman's rank correlation over {who}, each with the median of their recordings. "
        f"{'A stroke: one of the two does not vary.' if unknown else ''}"
    )


def _draw(ax: Axes, found: Floats, names: Sequence[str], style: Style) -> None:
    ax.set_facecolor(PAPER)
    set_title(ax, "Rank correlation of biomarkers", style)
    for spine in ax.spines.values():
        spine.set_visible(False)
    size = len(names)
    ax.set(xlim=(-0.5, size - 1.5), ylim=(size - 0.5, 0.5))
    small = style.small
    # Estimated, because the names do not have their room yet.
    width, widest = size_in(ax)[0], max(width_in(name, style.font_pt) for name in names)
    cell_in = min(width, 1.25 * width - widest) / (size - 1)
    fits = width_in(f"{MINUS}0.00", small.font_pt) < cell_in
    for row in range(size):
        for column in range(row):
            value = found[row, column]
            if np.isnan(value):
                ends = [column - 0.3, column + 0.3], [row + 0.3, row - 0.3]
                ax.plot(*ends, color=MUTED, linewidth=0.1 * style.font_pt)
                continue
            look = {"facecolor": _COLOURS((value + 1) / 2), "edgecolor": PAPER, "linewidth": 1}
            ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **look))
            number = f"{value:.2f}" if fits else f"{value:.1f}"
            text = small.text(ha="center", va="center", color=PAPER if abs(value) > 0.8 else INK)
            ax.text(column, row, number.replace("-", MINUS), **text)
    ax.set_yticks(range(1, size), names[1:], **style.text())
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(range(size - 1), names[:-1], **style.text(**turned))
    ax.tick_params(length=0)
