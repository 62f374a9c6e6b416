"""Scores at each level of a tag: every recording, where they lie, means and differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from helios_research.analysis import summarize_by_tag
from helios_research.analysis.bootstrap import Bootstrap
from helios_research.analysis.prepared import (
    NOT_GIVEN,
    Codes,
    Results,
    all_scores_of,
    choose_biomarkers,
    load_results,
    people_of,
)
from helios_research.analysis.summaries import FEW_PARTICIPANTS
from helios_research.columns import BUCKET_LEVELS, Biomarker
from helios_research.plots.canvas import (
    PAGE,
    Style,
    Target,
    dress,
    entitle,
    open_canvas,
    say_instead,
    write_sentence,
)
from helios_research.plots.difference_axis import (
    DEPTH_LINES,
    Difference,
    differences,
    draw_mean_difference,
    draw_share_differences,
)
from helios_research.plots.groups import (
    NO_SCORE,
    Groups,
    Selection,
    arrange,
    count_rows,
    keep_largest,
    name_rows,
    rule_rows,
    select,
)
from helios_research.plots.marks import (
    ABOUT_FEW,
    MOST_POINTS,
    NO_INTERVAL,
    about_bars,
    about_points,
    draw_estimates,
    draw_points,
    draw_shape,
    draw_shares,
    level_key,
    means_of,
    sample,
    score_axis,
    share_axis,
)
from helios_research.plots.text import about_fonts

# In a figure 1,000 resamples cannot be told from more.
_RESAMPLES = 1000

# With more biomarkers, all of them fit on one page of a paper without their differences.
_MOST_COMPARED = 4

# Title, key, ticks and label of the axis, in lines of type.
_AROUND = 6.2


@dataclass(frozen=True, slots=True)
class _Panel:
    """What one biomarker's panel is made from."""

    marker: Biomarker
    groups: Groups
    scores: NDArray[np.float64]
    rows: Codes
    summary: pd.DataFrame
    difference: Difference | None
    style: Style
    most_points: int

    @property
    def below(self) -> float:
        """Height of the difference, in heights of a row."""
        return DEPTH_LINES / self.groups.lines if self.difference else 0.0

    @property
    def height_in(self) -> float:
        around = (_AROUND + self.below * self.groups.lines) * self.style.line_in
        return self.groups.height_in(self.style) + around


# A str is a sequence of str too; the first signature that fits counts.
@overload
def scores_by_tag(  # type: ignore[overload-overlap]  # numpydoc ignore=GL08
    results: Results,
    tag: str,
    *,
    biomarkers: str = ...,
    hue: str | None = None,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes: ...


@overload
def scores_by_tag(  # numpydoc ignore=GL08
    results: Results,
    tag: str,
    *,
    biomarkers: Sequence[str] | None,
    hue: str | None = None,
    ax: Target = None,
    style: Style = PAGE,
) -> NDArray[np.object_]: ...


def scores_by_tag(
    results: Results,
    tag: str,
    *,
    biomarkers: str | Sequence[str] | None = "mental_strain",
    hue: str | None = None,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes | NDArray[np.object_]:
    """Draw the scores at each level of a tag.

    For a continuous biomarker each recording is a point; the hill shows where they lie, the black
    dot is the mean with its 95 % interval. A bucketed biomarker is ordinal: a bar shows the share
    of recordings at each of its four levels. Where the tag has two levels, their difference
    stands below on the same scale. Intervals are those of ``analysis.summarize_by_tag``, by a
    bootstrap over participants (1,000 resamples).

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
    table = load_results(results, [tag] if hue is None else [tag, hue])
    markers = choose_biomarkers(table, biomarkers)
    chosen = keep_largest(select(table, markers, [tag, hue]), tag, hue)
    if not chosen.recordings:
        canvas = say_instead(ax, len(markers), NO_SCORE, chosen.notes(), style)
        return canvas.as_asked(biomarkers)
    panels = _prepare(chosen, markers, tag, hue, style)
    notes = chosen.notes(*_how_to_read(panels, chosen))
    canvas = open_canvas(ax, [panel.height_in for panel in panels], notes, style)
    for panel, axes in zip(panels, canvas.axes, strict=True):
        _draw(axes, panel)
    return canvas.as_asked(biomarkers)


def _prepare(
    chosen: Selection, markers: Sequence[Biomarker], tag: str, colour: str | None, style: Style
) -> list[_Panel]:
    table = chosen.rows()
    groups = arrange(table, tag, colour)
    names = [marker.name for marker in markers]
    by = None if colour == tag else colour
    summary = summarize_by_tag(table, tag, by=by, biomarkers=names, resamples=_RESAMPLES)
    scores = all_scores_of(table, names)
    rows = groups.code_rows(table, tag, colour)
    found = _two_levels(groups, rows)
    compared = scores if len(names) <= _MOST_COMPARED else {}
    apart = differences(compared, found, people_of(table)[0], Bootstrap(_RESAMPLES))
    return [
        _Panel(
            marker,
            groups,
            scores[marker.name],
            rows,
            summary[summary["biomarker"] == marker.name],
            apart.get(marker.name),
            style,
            points_each(markers),
        )
        for marker in markers
    ]


def points_each(markers: Sequence[Biomarker]) -> int:
    """Share the points of a figure out to its panels."""
    return MOST_POINTS // max(1, sum(not marker.bucketed for marker in markers))


def _two_levels(groups: Groups, rows: Codes) -> Codes:
    """Give recordings 0 or 1 where just two levels can be compared; -1 to all others."""
    named = [place for place, row in enumerate(groups.rows) if row.level != NOT_GIVEN]
    if groups.headers or len(named) != 2:
        return np.full(len(rows), -1)
    return np.select([rows == named[0], rows == named[1]], [0, 1], -1).astype(np.intp)


def _how_to_read(panels: Sequence[_Panel], chosen: Selection) -> list[str | None]:
    continuous = any(not panel.marker.bucketed for panel in panels)
    drawn = about_points(
        chosen.recordings, "recording", points_each([panel.marker for panel in panels])
    )
    known = any(panel.summary["mean_low"].notna().any() for panel in panels)
    mean = "Dot and line: mean with 95 % interval" if known else f"Dot: mean ({NO_INTERVAL})"
    means = f"Points: {drawn}. {mean}." if continuous else None
    few = any((panel.summary["participants_scored"] < FEW_PARTICIPANTS).any() for panel in panels)
    bars = about_bars([panel.marker for panel in panels])
    apart = any(panel.difference for panel in panels)
    below = "Below: the difference with its 95 % interval." if apart else None
    how = "Intervals: bootstrap over participants." if (continuous and known) or apart else None
    names = {
        str(name)
        for panel in panels
        for row in panel.groups.rows
        for name in (row.level, row.by_level)
    }
    hollow = ABOUT_FEW if few and continuous else None
    return [means, hollow, bars, below, how, about_fonts(names)]


def _draw(ax: Axes, panel: _Panel) -> None:
    style, groups = panel.style, panel.groups
    dress(ax, style, grid="")
    bucketed = panel.marker.bucketed
    entitle(ax, panel.marker.label, style)
    if np.isnan(panel.scores).all():
        write_sentence(ax, f"No recording has a score of {panel.marker.label}.", style)
        return
    ax.set_ylim(groups.depth + panel.below, 0)
    # Before the ticks: moving an axis makes new ones.
    ax.spines["bottom"].set_position(("data", groups.depth))
    if bucketed:
        _draw_bars(ax, panel)
    else:
        _draw_scores(ax, panel)
    name_rows(ax, groups, style)
    each = panel.summary.iloc[:: len(BUCKET_LEVELS) if bucketed else 1]
    numbers = zip(each["scored"], each["participants_scored"], strict=True)
    count_rows(ax, groups, [f"{scored:,} ({people:,})" for scored, people in numbers], style)
    rule_rows(ax, groups, ax.get_xticks(), style)
    if panel.difference is not None:
        if bucketed:
            draw_share_differences(ax, groups, panel.difference, style)
        else:
            draw_mean_difference(ax, groups, list(each["mean"]), panel.difference, style)


def _draw_scores(ax: Axes, panel: _Panel) -> None:
    style, groups = panel.style, panel.groups
    has_score = np.flatnonzero(~np.isnan(panel.scores))
    drawn = has_score[sample(len(has_score), panel.most_points)]
    places = np.array([row.y for row in groups.rows])
    colours = np.array([row.colour for row in groups.rows])
    middle, reach = (0.24, 0.15) if groups.tall else (0.0, 0.3)
    shift = np.random.default_rng(1).uniform(-reach, reach, len(panel.scores)) + middle
    for colour in dict.fromkeys(colours):
        own = drawn[colours[panel.rows[drawn]] == colour]
        y = places[panel.rows[own]] + shift[own]
        rows = int((colours == colour).sum())
        draw_points(ax, panel.scores[own], y, str(colour), style, rows=rows)
    for place, row in enumerate(groups.rows if groups.tall else ()):
        own = has_score[panel.rows[has_score] == place]
        draw_shape(ax, panel.scores[own], row.y, 0.44, row.colour)
    draw_estimates(ax, places, means_of(panel.summary), style, thin=groups.lines < 2)
    score_axis(ax, "x", panel.scores[has_score], style, "Score (0 to 1)")


def _draw_bars(ax: Axes, panel: _Panel) -> None:
    shares = np.nan_to_num(panel.summary["proportion"].to_numpy()).reshape(-1, 4)
    draw_shares(ax, shares, np.array([row.y for row in panel.groups.rows]), panel.style)
    share_axis(ax, "x", panel.style)
    level_key(ax, panel.style)
