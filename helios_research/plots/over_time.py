"""Scores over visits or dates, and against the hours awake."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from helios_research._util.text import counted
from helios_research.analysis import baseline
from helios_research.analysis.frames import hours_awake
from helios_research.analysis.levels import NOT_GIVEN
from helios_research.analysis.prepared import PreparedResults, Results, prepare
from helios_research.plots.canvas import PAGE, Style, Target, as_asked, empty_figure
from helios_research.plots.marks import about_points
from helios_research.plots.selection import MOST_ROWS, NO_SCORE, Selection, keep_levels, select
from helios_research.plots.text import shown_column
from helios_research.plots.trends import MOST_COLOURS, Band, Trends, draw_trends, drawn_people
from helios_research.plots.x_axis import by_hours, by_level, by_time

UNUSABLE = "without a usable wake_time (or more than 48 h before the recording)"


def scores_by_hours_awake(  # noqa: PLR0913 - each is a setting
    results: Results,
    *,
    biomarkers: str | Sequence[str] | None = "mental_strain",
    hue: str | None = None,
    order: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    caption: bool = True,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes | NDArray[np.object_]:
    """Draw scores against the hours from ``wake_time`` to ``recording_time``.

    For a continuous biomarker each recording is a point and the line joins the means of bins of
    two hours (four, where a participant was awake for more than a day) with 95 % intervals, by a
    bootstrap over participants (1,000 resamples). A bucketed biomarker is ordinal: bars show
    the share of recordings at each of its four levels. Times are local and without a zone, so that
    hours across a clock change are off by one.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    biomarkers
        One, several, or None for all.
    hue
        A column that divides the recordings.
    order
        Levels of hue in the order wanted; levels that are not named follow.
    labels
        The text to show for a level or a column.
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
    >>> ax = scores_by_hours_awake(
    ...     "datasets/shift_study_results.parquet", "uniform_sleep_propensity"
    ... )
    >>> ax.get_xlabel().split(" \N{MIDDLE DOT}")[0]
    'Hours since waking'
    """
    times = ["recording_time", "wake_time"]
    found = select(results, biomarkers, [hue], needs=times, order=order, caption=caption)
    hours = hours_awake(found.results.frame)
    chosen = found.without(np.isnan(hours), UNUSABLE)
    chosen = keep_levels(chosen, hue, MOST_COLOURS) if hue else chosen
    rows = chosen.rows()
    if not chosen.recordings:
        sentence = "No recording has both a score and hours awake."
        empty = empty_figure(ax, len(rows.biomarkers), sentence, chosen.notes(), style)
        return as_asked(empty, biomarkers)
    trends = Trends(rows, by_hours(hours[chosen.shown]), hue, labels, style)
    points = f"Points: {about_points(chosen.recordings, 'recording')}."
    about = points if _continuous(rows) else None
    return as_asked(draw_trends(ax, trends, chosen, about), biomarkers)


def _continuous(rows: PreparedResults) -> list[str]:
    return [marker.name for marker in rows.biomarkers if not marker.bucketed]


def score_over_time(  # noqa: PLR0913 - each is a setting
    results: Results,
    *,
    biomarkers: str | Sequence[str] | None = "mental_strain",
    by: str = "recording_time",
    hue: str | None = None,
    order: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    usual: int | None = None,
    usual_unit: Literal["recordings", "days"] = "recordings",
    caption: bool = True,
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
    order
        Levels of hue, and of ``by`` where it is a tag, in the order wanted; levels that are not
        named follow.
    labels
        The text to show for a level or a column.
    usual
        How many of a participant's first recordings or days by ``by`` make the baseline that
        continuous scores are compared with. A band shows the mean of the participants' usual
        ranges, dark points the recordings outside their participant's own (``analysis.baseline``,
        pooled SD, 95 %). None draws no band.
    usual_unit
        Whether ``usual`` counts recordings or days.
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
        If a column has more than 500 values, days are asked for and ``by`` is not a time, or the
        panels do not fit into ``ax``.

    Examples
    --------
    >>> ax = score_over_time("datasets/shift_study_results.parquet", by="visit")
    >>> ax.get_xlabel().split(" ")[0]
    'Visit'
    """
    prepared = prepare(results, needs=[by])
    days = prepared.days(by)
    timed = bool(np.isfinite(days).any())
    groups = [hue] if timed else [by, hue]
    found = select(prepared, biomarkers, groups, needs=[by], order=order, caption=caption)
    placed = found.without(np.isnan(days), f"without a usable {by}") if timed else _at(found, by)
    chosen = keep_levels(placed, hue, MOST_COLOURS) if hue else placed
    rows = chosen.rows()
    if not chosen.recordings:
        empty = empty_figure(ax, len(rows.biomarkers), NO_SCORE, chosen.notes(), style)
        return as_asked(empty, biomarkers)
    label = shown_column(by, labels)
    axis = by_time(days[chosen.shown], label) if timed else by_level(rows.levels[by], label, labels)
    bands = {} if usual is None else _bands(rows, by, usual, usual_unit)
    trends = Trends(rows, axis, hue, labels, style, bands, lines=True)
    drawn = about_points(rows.n_people, "participant", len(drawn_people(rows.people)))
    lines = f"Thin lines: {drawn}." if _continuous(rows) else None
    band = _about_band(bands, counted(usual or 0, usual_unit.removesuffix("s")))
    return as_asked(draw_trends(ax, trends, chosen, lines, band), biomarkers)


def _at(selection: Selection, by: str) -> Selection:
    """Take recordings with a level; all levels that are numbers, else the largest."""
    levels = selection.results.levels[by]
    blank = np.array([label == NOT_GIVEN for label in levels.labels], dtype=bool)
    chosen = selection.without(blank[levels.codes], f"without a value of {by}")
    occurring = pd.Series(levels.subset(chosen.shown).labels, dtype="str")
    numeric = pd.to_numeric(occurring, errors="coerce").notna().all()
    return chosen if numeric else keep_levels(chosen, by, MOST_ROWS)


def _bands(
    rows: PreparedResults, by: str, first: int, unit: Literal["recordings", "days"]
) -> dict[str, Band]:
    names = _continuous(rows)
    if not names:
        return {}
    # Its own key, because a table may lack recording_id or repeat it.
    numbered = rows.with_columns(recording_id=np.arange(len(rows.frame)))
    found = baseline(numbered, biomarkers=names, first=first, unit=unit, order=by)
    bands = {}
    for name, own in found.groupby("biomarker"):
        each = own.drop_duplicates("user_label")
        outside = own.loc[own["outside_usual"].eq(other=True).fillna(value=False), "recording_id"]
        ends = each[["usual_low", "usual_high"]].mean()
        bands[str(name)] = Band(
            float(ends["usual_low"]),
            float(ends["usual_high"]),
            outside.to_numpy(dtype=np.intp),
            int(own["outside_usual"].notna().sum()),
        )
    return bands


def _about_band(bands: dict[str, Band], first: str) -> str | None:
    if not bands:
        return None
    if all(np.isnan(band.low) for band in bands.values()):
        return "No usual range: the baselines are too short."
    if not any(band.later for band in bands.values()):
        return f"No usual range: no participant has a score after the first {first}."
    outside = sum(len(band.outside) for band in bands.values())
    later = sum(band.later for band in bands.values())
    return (
        f"Band: usual range after the first {first}, "
        f"mean of all participants (95 % prediction interval). Dark "
        f"points: the {outside:,} of {later:,} later scores outside their participant's own."
    )
