"""Scores against how long the participant had been awake."""

from collections.abc import Sequence
from typing import overload

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from helios_research.analysis.tables import Results, choose_biomarkers, load_results
from helios_research.columns import Biomarker
from helios_research.plots.canvas import Target, say_instead
from helios_research.plots.courses import by_hours, hours_awake
from helios_research.plots.groups import keep_levels
from helios_research.plots.marks import about_points
from helios_research.plots.selection import select
from helios_research.plots.style import PAGE, Style
from helios_research.plots.trends import MOST_COLOURS, Trend, draw_trends

UNUSABLE = "without a usable wake_time (or more than 48 h before the recording)"


# A str is a sequence of str too; the first signature that fits counts.
@overload
def awake_hours(  # type: ignore[overload-overlap]  # numpydoc ignore=GL08
    results: Results,
    biomarkers: str = ...,
    *,
    colour: str | None = None,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes: ...


@overload
def awake_hours(  # numpydoc ignore=GL08
    results: Results,
    biomarkers: Sequence[str] | None,
    *,
    colour: str | None = None,
    ax: Target = None,
    style: Style = PAGE,
) -> NDArray[np.object_]: ...


def awake_hours(
    results: Results,
    biomarkers: str | Sequence[str] | None = "mental_strain",
    *,
    colour: str | None = None,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes | NDArray[np.object_]:
    """Draw scores against the hours from ``wake_time`` to ``recording_time``.

    For a continuous biomarker each recording is a point and the line joins the means of bins of
    two hours (four, where anybody was awake for more than a day) with 95 % intervals, by a
    bootstrap over participants (1,000 resamples). A bucketed biomarker is ordinal: bars show
    the share of recordings at each of its four levels. Times are local and without a zone, so that
    hours across a change of the clock are off by one.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    biomarkers
        One, several, or None for all.
    colour
        A column that divides the recordings.
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
    >>> ax = awake_hours("datasets/shift_study_results.parquet", "uniform_sleep_propensity")
    >>> ax.get_xlabel().split(" \N{MIDDLE DOT}")[0]
    'Hours since waking'
    """
    needs = ["recording_time", "wake_time", *([colour] if colour else [])]
    table = load_results(results, needs)
    markers = choose_biomarkers(table, biomarkers)
    hours = hours_awake(table)
    chosen = select(table, markers, [colour]).without(np.isnan(hours), UNUSABLE)
    chosen = keep_levels(chosen, colour, MOST_COLOURS) if colour else chosen
    rows = chosen.rows()
    if rows.empty:
        sentence = "There is no recording with a score and hours awake."
        canvas = say_instead(ax, len(markers), sentence, chosen.notes(), style)
        return canvas.as_asked(biomarkers)
    course = by_hours(hours[chosen.shown])
    trends = [Trend(marker, rows, course, colour, None, style) for marker in markers]
    about = _about_points(rows, markers)
    return draw_trends(ax, trends, chosen, about).as_asked(biomarkers)


def _about_points(rows: pd.DataFrame, markers: Sequence[Biomarker]) -> str | None:
    if all(marker.bucketed for marker in markers):
        return None
    return f"Points: {about_points(len(rows), 'recording')}."
