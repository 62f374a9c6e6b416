"""How the biomarkers correlate between participants."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.patches import Rectangle
from scipy import stats

from helios_research._util.text import counted
from helios_research.analysis.prepared import Codes, Floats, PreparedResults, Results
from helios_research.plots import canvas, looks
from helios_research.plots.canvas import Target, select
from helios_research.plots.looks import INK, MINUS, MUTED, PAGE, PAPER, Look, Style, shown, width_in

FEWEST = 20
"""Participants from which on a correlation is shown."""

# From brown to violet, distinct with any kind of colour vision; the numbers say the same in
# black and white.
_COLOURS = colormaps["PuOr"].reversed()
# Below this luminance (from 0 to 1), text is white.
_DARK = 0.5


class Correlations(NamedTuple):
    """Rank correlations with their intervals, and participants, of each pair (the lower triangle)."""

    value: Floats
    low: Floats
    high: Floats
    people: Codes


def biomarker_correlations(  # noqa: PLR0913 - each is a setting
    results: Results,
    *,
    biomarkers: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    palette: Sequence[str] | None = None,
    caption: bool = True,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes:
    """Draw Spearman's rank correlation of each pair of biomarkers between participants.

    Each participant counts once, with the mean of their scores or, of an ordinal biomarker, of
    their scores' ranks among all (ridits). Below each number is its 95 % interval by Fisher's z
    with the standard error of Bonett & Wright (2000, Psychometrika 65:23). Pairs that fewer than 20
    participants have scores of are left out. No p-values: a biomarker and its uniform form come
    from the same voice.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    biomarkers
        At least two; None means all.
    labels
        The text to show for a biomarker's column.
    palette
        Two or more colours, from -1 to 1; None means from brown over white to violet.
    caption, ax, style
        As for ``scores_by_tag``.

    Returns
    -------
    Axes
        With a square for each pair.

    Raises
    ------
    ResultsError
        If a biomarker is missing, or a setting is not valid.

    Examples
    --------
    >>> pair = ["stress", "exhaustion"]
    >>> ax = biomarker_correlations("datasets/shift_study_results.parquet", biomarkers=pair)
    >>> [text.get_text() for text in ax.texts]
    ['.40', '.23, .54']
    """
    chosen = select(results, biomarkers, caption=caption)
    found = correlate(chosen.rows())
    names = [shown(own.name, labels, own.label) for own in chosen.results.biomarkers]
    if not np.isfinite(found.value).any():
        sentence = f"No two biomarkers have scores that vary in {FEWEST} participants or more."
        return canvas.empty_figure(ax, 1, sentence, chosen.notes(), style)[0]
    height = (2.2 * len(names) + 11) * style.line_in
    (axes,) = canvas.open_canvas(ax, [height], chosen.notes(_about(found)), style)
    colours = _COLOURS
    if palette:
        colours = LinearSegmentedColormap.from_list("own", looks.colours_of(palette))
    _draw(axes, found, names, colours, style)
    return axes


def correlate(results: PreparedResults) -> Correlations:
    """Correlate participants' means, of ordinal scores their mean ridits."""
    scores = pd.DataFrame(results.scores)
    ordinal = [own.name for own in results.biomarkers if own.bucketed]
    scores[ordinal] = scores[ordinal].rank(pct=True)
    means = scores.groupby(results.people).mean()
    value = np.array(means.corr(method="spearman", min_periods=FEWEST))
    value[np.triu_indices_from(value)] = np.nan
    known = means.notna().to_numpy(dtype=np.intp)
    people = known.T @ known
    error = np.sqrt((1 + value**2 / 2) / np.maximum(people - 3, 1))
    z, margin = np.arctanh(np.clip(value, -1, 1)), stats.norm.ppf(0.975) * error
    return Correlations(value, np.tanh(z - margin), np.tanh(z + margin), people)


def _about(found: Correlations) -> str:
    below = np.tril_indices_from(found.people, -1)
    people, unknown = found.people[below], np.isnan(found.value[below])
    least, most = people[~unknown].min(), people[~unknown].max()
    who = counted(most, "participant") if least == most else f"{least:,} to {most:,} participants"
    low, high = found.low[below], found.high[below]
    widest = np.nanargmax(high - low)
    about = (
        f"Spearman's rank correlation over {who}, each with the mean of their scores (of ordinal "
        "ones: of their ranks). The widest 95 % interval is "
        f"{_number(low[widest])} to {_number(high[widest])}."
    )
    if (unknown & (people >= FEWEST)).any():
        about += " Struck out: one of the two scores does not vary."
    if (people < FEWEST).any():
        about += f" Empty: fewer than {FEWEST} participants with both."
    return about


def _draw(
    ax: Axes, found: Correlations, names: Sequence[str], colours: Colormap, style: Style
) -> None:
    ax.set_facecolor(PAPER)
    looks.set_title(ax, "Rank correlation of biomarkers", style)
    ax.spines[:].set_visible(False)
    size = len(names)
    ax.set(xlim=(-0.5, size - 1.5), ylim=(size - 0.5, 0.5))
    # Estimated, because the names do not have their room yet.
    width, widest = canvas.size_in(ax)[0], max(width_in(name, style.font_pt) for name in names)
    cell_in = min(width, 1.25 * width - widest) / (size - 1)
    for row in range(size):
        for column in range(row):
            if not np.isnan(found.value[row, column]):
                _draw_pair(ax, found, (row, column), cell_in, colours, style)
            elif found.people[row, column] >= FEWEST:
                ends = [column - 0.3, column + 0.3], [row + 0.3, row - 0.3]
                ax.plot(*ends, color=MUTED, linewidth=0.1 * style.font_pt)
    ax.set_yticks(range(1, size), names[1:], **style.text())
    turned = style.text(rotation=45, ha="right", rotation_mode="anchor")
    ax.set_xticks(range(size - 1), names[:-1], **turned)
    ax.tick_params(length=0)


def _draw_pair(
    ax: Axes,
    found: Correlations,
    place: tuple[int, int],
    cell_in: float,
    colours: Colormap,
    style: Style,
) -> None:
    """Draw a square with the correlation and, where they fit, the ends of its interval."""
    row, column = place
    colour = colours((found.value[place] + 1) / 2)
    look: Look = {"facecolor": colour, "edgecolor": PAPER, "linewidth": 1}
    ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **look))
    ink = PAPER if np.dot(colour[:3], (0.299, 0.587, 0.114)) < _DARK else INK
    ends = f"{_number(found.low[place])}, {_number(found.high[place])}"
    small, smaller = style.small, style.small.small
    fits = width_in(ends, smaller.font_pt) < 0.95 * cell_in
    centred: Look = {"ha": "center", "va": "center", "color": ink}
    ax.text(column, row - 0.15 * fits, _number(found.value[place]), **small.text(**centred))
    if fits:
        ax.text(column, row + 0.23, ends, **smaller.text(**centred))


def _number(value: float) -> str:
    """Write a correlation without the zero before its point, as psychologists do."""
    return f"{value:.2f}".replace("0.", ".").replace("-", MINUS)
