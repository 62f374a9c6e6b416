"""Scores at each level of a tag: every recording, where they lie, means and differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from helios_research.analysis import differences_by_tag, summarize_by_tag
from helios_research.analysis.levels import NOT_GIVEN
from helios_research.analysis.prepared import Floats, PreparedResults, Results
from helios_research.analysis.summaries import FEW_PARTICIPANTS
from helios_research.columns import BUCKET_LEVELS, Biomarker
from helios_research.plots.canvas import (
    PAGE,
    Style,
    Target,
    as_asked,
    empty_figure,
    open_canvas,
    style_axes,
    write_sentence,
)
from helios_research.plots.marks import (
    MOST_POINTS,
    NO_INTERVAL,
    RESAMPLES,
    about_bars,
    about_points,
    draw_estimates,
    draw_points,
    draw_shape,
    draw_shares,
    sample,
    score_axis,
)
from helios_research.plots.rows import (
    DIFFERENCE_LINES,
    RowLayout,
    draw_difference_axis,
    lay_out_rows,
    write_rows,
)
from helios_research.plots.selection import NO_SCORE, Selection, keep_largest, select
from helios_research.plots.text import about_fonts, plain, shown

# With more biomarkers, all of them fit on one page of a paper without their differences.
_MOST_COMPARED = 4

# Title, key, ticks and label of the axis, in lines of type.
_AROUND = 6.2


@dataclass(frozen=True, slots=True)
class _TagPanel:
    """What one biomarker's panel is made from."""

    marker: Biomarker
    title: str
    layout: RowLayout
    scores: Floats
    summary: pd.DataFrame
    difference: pd.DataFrame
    style: Style
    most_points: int

    @property
    def below(self) -> float:
        """Height of the difference in lines of type."""
        return 0.0 if self.difference.empty else DIFFERENCE_LINES


def scores_by_tag(  # noqa: PLR0913 - each is a setting
    results: Results,
    tag: str,
    *,
    biomarkers: str | Sequence[str] | None = "mental_strain",
    hue: str | None = None,
    order: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    caption: bool = True,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes | NDArray[np.object_]:
    """Draw the scores at each level of a tag.

    For a continuous biomarker each recording is a point; the hill shows where they lie, the black
    dot is the mean with its 95 % interval. A bucketed biomarker is ordinal: a bar shows the share
    of recordings at each of its four levels. Where the tag has two levels, their difference
    (``analysis.differences_by_tag``) is below on the same scale. Intervals are those of
    ``analysis.summarize_by_tag``, by a bootstrap over participants (1,000 resamples).

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    tag
        The column whose levels are the rows.
    biomarkers
        One, several, or None for all.
    hue
        A second column that divides the rows; or the tag itself, to colour its levels.
    order
        Levels of the tag and of hue in the order wanted; levels that are not named follow. The
        first level is the one that the difference subtracts.
    labels
        The text to show for a level or for a biomarker's column.
    caption
        Whether to write below the figure how to read it and which recordings it shows. A warning
        of synthetic scores always stays.
    ax
        Where to draw: an Axes for one biomarker, an empty Figure for any number; None makes a
        new figure.
    style
        Sizes: ``COLUMN``, ``PAGE`` or ``SLIDE``.

    Returns
    -------
    Axes or ndarray of Axes
        One Axes for a biomarker given by its name; else an array, in the order asked for.

    Raises
    ------
    UnknownColumnError
        If a column is not in the results.
    ResultsError
        If a column has more than 500 values, or the panels do not fit into ``ax``.

    Examples
    --------
    >>> ax = scores_by_tag("datasets/shift_study_results.parquet", "arm")
    >>> ax.get_title(loc="left")
    'Mental strain'
    """
    found = select(results, biomarkers, [tag, hue], order=order, caption=caption)
    chosen = keep_largest(found, tag, hue)
    rows = chosen.rows()
    if not chosen.recordings:
        empty = empty_figure(ax, len(rows.biomarkers), NO_SCORE, chosen.notes(), style)
        return as_asked(empty, biomarkers)
    by = None if hue == tag else hue
    summary = summarize_by_tag(rows, tag, by=by)
    differences = _differences(rows, tag, by)
    layout = lay_out_rows(rows, tag, hue, labels)
    most_points = MOST_POINTS // max(1, sum(not marker.bucketed for marker in rows.biomarkers))
    panels = [
        _TagPanel(
            marker,
            shown(marker.name, labels, marker.label),
            layout,
            rows.scores[marker.name],
            summary[summary["biomarker"] == marker.name],
            differences[differences["biomarker"] == marker.name],
            style,
            most_points,
        )
        for marker in rows.biomarkers
    ]
    notes = chosen.notes(*_how_to_read(panels, chosen))
    heights = [
        layout.height_in(style) + (_AROUND + panel.below) * style.line_in for panel in panels
    ]
    axes = open_canvas(ax, heights, notes, style)
    for own, panel in zip(axes, panels, strict=True):
        _draw(own, panel)
    return as_asked(axes, biomarkers)


def _differences(rows: PreparedResults, tag: str, by: str | None) -> pd.DataFrame:
    """Compare the levels where there are two, and room to show it; else give no rows."""
    levels = [label for label in rows.levels[tag].labels if label != NOT_GIVEN]
    if by or len(levels) != 2 or len(rows.biomarkers) > _MOST_COMPARED:
        return pd.DataFrame({"biomarker": []})
    return differences_by_tag(rows, tag, resamples=RESAMPLES).dropna(subset="difference")


def _how_to_read(panels: Sequence[_TagPanel], chosen: Selection) -> list[str | None]:
    continuous = any(not panel.marker.bucketed for panel in panels)
    drawn = about_points(chosen.recordings, "recording", panels[0].most_points)
    known = any(panel.summary["mean_low"].notna().any() for panel in panels)
    mean = "Dot and line: mean with 95 % interval" if known else f"Dot: mean ({NO_INTERVAL})"
    means = f"Points: {drawn}. {mean}." if continuous else None
    few = any((panel.summary["participants_scored"] < FEW_PARTICIPANTS).any() for panel in panels)
    bars = about_bars([panel.marker for panel in panels])
    compared = any(panel.below for panel in panels)
    below = "Below: the difference with its 95 % interval." if compared else None
    how = "Intervals: bootstrap over participants." if (continuous and known) or compared else None
    about_few = f"Hollow dots: fewer than {FEW_PARTICIPANTS} participants."
    hollow = about_few if few and continuous else None
    return [means, hollow, bars, below, how, about_fonts(panels[0].layout.names)]


def _draw(ax: Axes, panel: _TagPanel) -> None:
    style, layout, bucketed = panel.style, panel.layout, panel.marker.bucketed
    style_axes(ax, plain(panel.title), style)
    if np.isnan(panel.scores).all():
        write_sentence(ax, f"No recording has a score of {panel.title}.", style)
        return
    ax.set_ylim(layout.depth + panel.below / layout.lines, 0)
    # Before the ticks: moving an axis makes new ones.
    ax.spines["bottom"].set_position(("data", layout.depth))
    if bucketed:
        shares = np.nan_to_num(panel.summary["proportion"].to_numpy()).reshape(-1, 4)
        draw_shares(ax, shares, np.array([row.y for row in layout.rows]), style)
    else:
        _draw_scores(ax, panel)
    each = panel.summary.iloc[:: len(BUCKET_LEVELS) if bucketed else 1]
    numbers = zip(each["scored"], each["participants_scored"], strict=True)
    write_rows(ax, layout, [f"{scored:,} ({people:,})" for scored, people in numbers], style)
    if panel.below:
        places = [n for n, row in enumerate(layout.rows) if row.level != NOT_GIVEN]
        pair = [layout.rows[place] for place in places]
        means = [] if bucketed else each["mean"].iloc[places].tolist()
        draw_difference_axis(ax, layout, pair, means, panel.difference, style)


def _draw_scores(ax: Axes, panel: _TagPanel) -> None:
    style, layout = panel.style, panel.layout
    has_score = np.flatnonzero(~np.isnan(panel.scores))
    drawn = has_score[sample(len(has_score), panel.most_points)]
    places = np.array([row.y for row in layout.rows])
    colours = np.array([row.colour for row in layout.rows])
    middle, reach = (0.24, 0.15) if layout.tall else (0.0, 0.3)
    shift = np.random.default_rng(1).uniform(-reach, reach, len(panel.scores)) + middle
    for colour in dict.fromkeys(colours):
        own = drawn[colours[layout.codes[drawn]] == colour]
        y = places[layout.codes[own]] + shift[own]
        rows = int((colours == colour).sum())
        draw_points(ax, panel.scores[own], y, str(colour), style, rows=rows)
    for place, row in enumerate(layout.rows if layout.tall else ()):
        own = has_score[layout.codes[has_score] == place]
        draw_shape(ax, panel.scores[own], row.y, 0.44, row.colour)
    means = panel.summary[["mean", "mean_low", "mean_high"]].to_numpy(dtype=np.float64).T
    few = (panel.summary["participants_scored"] < FEW_PARTICIPANTS).to_numpy(dtype=bool)
    draw_estimates(ax, places, means, few, style, thin=layout.lines < 2)
    score_axis(ax, "x", panel.scores[has_score], style)
