"""Scores over visits or dates, and against the hours awake."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import overload

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from helios_research._util.text import counted
from helios_research.analysis import baseline
from helios_research.analysis.prepared import (
    Results,
    choose_biomarkers,
    days_of,
    levels_of,
    load_results,
    people_of,
)
from helios_research.analysis.repeated import Baseline
from helios_research.columns import Biomarker
from helios_research.plots.canvas import PAGE, Style, Target, say_instead
from helios_research.plots.groups import MOST_ROWS, NO_SCORE, Selection, keep_levels, select
from helios_research.plots.marks import about_points
from helios_research.plots.trends import (
    MOST_COLOURS,
    Band,
    Trend,
    draw_trends,
    drawn_people,
)
from helios_research.plots.x_axis import by_hours, by_level, by_time, hours_awake

UNUSABLE = "without a usable wake_time (or more than 48 h before the recording)"


# A str is a sequence of str too; the first signature that fits counts.
@overload
def scores_by_hours_awake(  # type: ignore[overload-overlap]  # numpydoc ignore=GL08
    results: Results,
    *,
    biomarkers: str = ...,
    hue: str | None = None,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes: ...


@overload
def scores_by_hours_awake(  # numpydoc ignore=GL08
    results: Results,
    *,
    biomarkers: Sequence[str] | None,
    hue: str | None = None,
    ax: Target = None,
    style: Style = PAGE,
) -> NDArray[np.object_]: ...


def scores_by_hours_awake(
    results: Results,
    *,
    biomarkers: str | Sequence[str] | None = "mental_strain",
    hue: str | None = None,
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
    hue
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
    >>> ax = scores_by_hours_awake(
    ...     "datasets/shift_study_results.parquet", "uniform_sleep_propensity"
    ... )
    >>> ax.get_xlabel().split(" \N{MIDDLE DOT}")[0]
    'Hours since waking'
    """
    needs = ["recording_time", "wake_time", *([hue] if hue else [])]
    table = load_results(results, needs)
    markers = choose_biomarkers(table, biomarkers)
    hours = hours_awake(table)
    chosen = select(table, markers, [hue]).without(np.isnan(hours), UNUSABLE)
    chosen = keep_levels(chosen, hue, MOST_COLOURS) if hue else chosen
    rows = chosen.rows()
    if rows.empty:
        sentence = "There is no recording with a score and hours awake."
        canvas = say_instead(ax, len(markers), sentence, chosen.notes(), style)
        return canvas.as_asked(biomarkers)
    course = by_hours(hours[chosen.shown])
    trends = [Trend(marker, rows, course, hue, None, style) for marker in markers]
    about = _about_points(rows, markers)
    return draw_trends(ax, trends, chosen, about).as_asked(biomarkers)


def _about_points(rows: pd.DataFrame, markers: Sequence[Biomarker]) -> str | None:
    if all(marker.bucketed for marker in markers):
        return None
    return f"Points: {about_points(len(rows), 'recording')}."


# A str is a sequence of str too; the first signature that fits counts.
@overload
def score_over_time(  # type: ignore[overload-overlap]  # numpydoc ignore=GL08
    results: Results,
    *,
    biomarkers: str = ...,
    by: str = "recording_time",
    hue: str | None = None,
    usual: Baseline | None = None,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes: ...


@overload
def score_over_time(  # numpydoc ignore=GL08
    results: Results,
    *,
    biomarkers: Sequence[str] | None,
    by: str = "recording_time",
    hue: str | None = None,
    usual: Baseline | None = None,
    ax: Target = None,
    style: Style = PAGE,
) -> NDArray[np.object_]: ...


def score_over_time(  # noqa: PLR0913 - each says one thing about the figure
    results: Results,
    *,
    biomarkers: str | Sequence[str] | None = "mental_strain",
    by: str = "recording_time",
    hue: str | None = None,
    usual: Baseline | None = None,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes | NDArray[np.object_]:
    """Draw how scores change over dates or visits.

    For a continuous biomarker each participant is a thin line; the thick line joins the means,
    with 95 % intervals. A bucketed biomarker is ordinal: bars show the share of recordings at each
    of its four levels. Intervals are those of ``analysis.summarize_by_tag``, by a bootstrap over
    participants (1,000 resamples).

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    biomarkers
        One, several, or None for all.
    by
        What runs along the figure: a column of times, in days, weeks or months as they fit, or a
        tag such as the visit.
    hue
        A column that divides the participants or recordings.
    usual
        The baseline that continuous scores are held against (its order is ``by``). A band shows
        the mean of the participants' usual ranges, dark points the recordings outside
        their participant's own (``analysis.baseline``). None draws no band.
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
        If a column has more than 500 values, days are asked for and ``by`` is not a time, or the
        panels do not fit into ``ax``.

    Examples
    --------
    >>> ax = score_over_time("datasets/shift_study_results.parquet", by="visit")
    >>> ax.get_xlabel().split(" ")[0]
    'Visit'
    """
    table = load_results(results, [by] if hue is None else [by, hue])
    markers = choose_biomarkers(table, biomarkers)
    chosen = select(table, markers, [by, hue])
    timed = bool(np.isfinite(days_of(table[by])).any())
    chosen = _placed(chosen, by, timed=timed)
    chosen = keep_levels(chosen, hue, MOST_COLOURS) if hue else chosen
    rows = chosen.rows()
    bands = _bands(rows, markers, by, usual)
    if rows.empty:
        canvas = say_instead(ax, len(markers), NO_SCORE, chosen.notes(), style)
        return canvas.as_asked(biomarkers)
    course = by_time(rows, by) if timed else by_level(rows, by)
    trends = [
        Trend(marker, rows, course, hue, bands.get(marker.name), style, lines=True)
        for marker in markers
    ]
    about = _about_lines(rows, markers), _about_band(bands, usual)
    return draw_trends(ax, trends, chosen, *about).as_asked(biomarkers)


def _placed(chosen: Selection, by: str, *, timed: bool) -> Selection:
    if timed:
        return chosen.without(np.isnan(days_of(chosen.table[by])), f"without a usable {by}")
    blank = chosen.table[by].isna() | (chosen.table[by].astype("str").str.strip() == "")
    without = chosen.without(blank.to_numpy(dtype=bool), f"without a {by}")
    return without if len(levels_of(chosen.table, by)) <= MOST_ROWS else keep_numbers(without, by)


def keep_numbers(chosen: Selection, by: str) -> Selection:
    """Keep all levels that are numbers, which can be binned, and else the largest."""
    levels = pd.Series(levels_of(chosen.rows(), by).labels, dtype="str")
    numeric = pd.to_numeric(levels, errors="coerce").notna().all()
    return chosen if numeric else keep_levels(chosen, by, MOST_ROWS)


def _bands(
    rows: pd.DataFrame, markers: Sequence[Biomarker], by: str, usual: Baseline | None
) -> dict[str, Band]:
    names = [marker.name for marker in markers if not marker.bucketed]
    if usual is None or not names or rows.empty:
        return {}
    # Its own key, since a table may lack recording_id or repeat it.
    numbered = rows.assign(recording_id=np.arange(len(rows)))
    found = baseline(numbered, biomarkers=names, **asdict(replace(usual, order=by)))
    bands = {}
    for name, own in found.groupby("biomarker"):
        first = own.drop_duplicates("user_label")
        outside = own.loc[own["outside_usual"].eq(other=True).fillna(value=False), "recording_id"]
        ends = first[["usual_low", "usual_high"]].mean()
        bands[str(name)] = Band(
            float(ends["usual_low"]),
            float(ends["usual_high"]),
            outside.to_numpy(dtype=np.intp),
            int(own["outside_usual"].notna().sum()),
        )
    return bands


def _about_lines(rows: pd.DataFrame, markers: Sequence[Biomarker]) -> str | None:
    if all(marker.bucketed for marker in markers):
        return None
    people = people_of(rows)[0]
    return (
        "Thin lines: "
        f"{about_points(len(np.unique(people)), 'participant', len(drawn_people(people)))}."
    )


def _about_band(bands: dict[str, Band], usual: Baseline | None) -> str | None:
    if usual is None or not bands:
        return None
    if all(np.isnan(band.low) for band in bands.values()):
        return "No usual range: the baselines are too short."
    first = counted(usual.first, usual.unit.removesuffix("s"))
    if not any(band.later for band in bands.values()):
        return f"No usual range: no participant has a score after the first {first}."
    outside = sum(len(band.outside) for band in bands.values())
    later = sum(band.later for band in bands.values())
    return (
        f"Band: usual range after the first {first}, "
        f"mean of all participants ({100 * usual.confidence:g} % prediction interval). Dark "
        f"points: the {outside:,} of {later:,} later scores outside their participant's own."
    )
