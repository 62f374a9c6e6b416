"""Scores over visits or dates, and against the hours awake."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy import special

from helios_research._util.text import counted
from helios_research.analysis import attrition, baseline
from helios_research.analysis.attrition import Expected
from helios_research.analysis.frames import hours_awake
from helios_research.analysis.levels import Levels
from helios_research.analysis.prepared import Floats, PreparedResults, Results, prepare, times_from
from helios_research.errors import ResultsError
from helios_research.plots import canvas
from helios_research.plots.canvas import Selection, Target, keep_levels, select
from helios_research.plots.looks import MINUS, PAGE, Labels, Style, colours_of, shown, shown_column
from helios_research.plots.marks import about_points
from helios_research.plots.trends import MOST_COLOURS, BinnedAxis, Change, Trends, draw_trends

MOST_BINS = 40
IN_BASELINE = "in the baseline"
UNUSABLE = "without a usable wake_time (or more than 48 h before the recording)"


def scores_by_hours_awake(  # noqa: PLR0913 - each is a setting
    results: Results,
    *,
    biomarkers: str | Sequence[str] | None = "mental_strain",
    hue: str | None = None,
    order: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    palette: Sequence[str] | None = None,
    caption: bool = True,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes | NDArray[np.object_]:
    """Draw scores against the hours from ``wake_time`` to ``recording_time``.

    For a continuous biomarker each recording is a point and the line joins the means of bins of
    two hours (four, where a participant was awake for more than a day) with 95 % intervals. A
    bucketed biomarker is ordinal: bars show the shares of its four levels. Numbers are those of
    ``analysis.summarize_by_tag``. Times are local and without a zone, so that hours across a clock
    change are off by one.

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
    labels, palette, caption, ax, style
        As for ``scores_by_tag``.

    Returns
    -------
    Axes or ndarray of Axes
        One Axes for a biomarker given by its name; else an array, in the order asked for.

    Raises
    ------
    ResultsError
        If a column is missing or has more than 500 values, or a setting is not valid.

    Examples
    --------
    >>> ax = scores_by_hours_awake("datasets/shift_study_results.parquet", hue="arm")
    >>> ax.get_xlabel()
    'Hours since waking'
    """
    colours = colours_of(palette)
    times = ["recording_time", "wake_time"]
    found = select(results, biomarkers, [hue], needs=times, order=order, caption=caption)
    hours = hours_awake(found.results.frame)
    chosen = found.without(np.isnan(hours), UNUSABLE)
    chosen = keep_levels(chosen, hue, MOST_COLOURS) if hue else chosen
    rows = chosen.rows()
    if not chosen.recordings:
        sentence = "No recording has both a score and hours awake."
        empty = canvas.empty_figure(ax, len(rows.biomarkers), sentence, chosen.notes(), style)
        return canvas.as_asked(empty, biomarkers)
    trends = Trends(rows, by_hours(hours[chosen.shown]), hue, labels, colours, style)
    points = f"Points: {about_points(chosen.recordings, 'recording')}."
    about = points if rows.continuous else None
    return canvas.as_asked(draw_trends(ax, trends, chosen, about), biomarkers)


def score_over_time(  # noqa: PLR0913 - each is a setting
    results: Results,
    *,
    biomarkers: str | Sequence[str] | None = "mental_strain",
    by: str = "recording_time",
    hue: str | None = None,
    order: Sequence[str] | None = None,
    expected: Expected = None,
    change_from: int | None = None,
    change_unit: Literal["recordings", "days"] = "recordings",
    labels: Mapping[str, str] | None = None,
    palette: Sequence[str] | None = None,
    caption: bool = True,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes | NDArray[np.object_]:
    """Draw how scores change over dates or visits.

    For a continuous biomarker each participant is a thin line; the thick line joins the means of
    participants' means, with 95 % intervals. A bucketed biomarker is ordinal: bars show the shares
    of its four levels. Numbers are those of ``analysis.summarize_by_tag``. Below are the
    participants with scores; where some left, the caption says so (``analysis.attrition``).

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
    expected
        How many levels of ``by`` each participant was to reach, or a table of them: see
        ``analysis.attrition``. Only where ``by`` is a tag.
    change_from
        Draw the change of continuous scores from each participant's baseline, the mean of so many
        first recordings or days by ``by``, which are not drawn themselves. Dark points are outside
        their participant's usual range (``analysis.baseline``, pooled SD, 95 %), and the band is
        where this range is around 0. None draws the scores.
    change_unit
        Whether ``change_from`` counts recordings or days.
    labels, palette, caption, ax, style
        As for ``scores_by_tag``.

    Returns
    -------
    Axes or ndarray of Axes
        One Axes for a biomarker given by its name; else an array, in the order asked for.

    Raises
    ------
    ResultsError
        If a column is missing or has more than 500 values, or a setting is not valid.

    Examples
    --------
    >>> ax = score_over_time("datasets/shift_study_results.parquet", by="visit")
    >>> ax.get_xlabel().split(" ")[0]
    'Visit'
    """
    colours = colours_of(palette)
    prepared = prepare(results, needs=[by])
    days = prepared.days(by)
    timed = bool(np.isfinite(days).any())
    groups = [hue] if timed else [by, hue]
    found = select(prepared, biomarkers, groups, needs=[by], order=order, caption=caption)
    placed = found.without(np.isnan(days), f"without a usable {by}") if timed else _at(found, by)
    chosen = keep_levels(placed, hue, MOST_COLOURS) if hue else placed
    left = _who_left(found, by, hue, expected, timed=timed)
    changes: dict[str, Change] = {}
    if change_from is not None:
        chosen, changes = _from_baseline(chosen, by, change_from, change_unit)
    rows = chosen.rows()
    if not chosen.recordings:
        empty = canvas.empty_figure(
            ax, len(rows.biomarkers), canvas.NO_SCORE, chosen.notes(), style
        )
        return canvas.as_asked(empty, biomarkers)
    label = shown_column(by, labels)
    axis = by_time(days[chosen.shown], label) if timed else by_level(rows.levels[by], label, labels)
    trends = Trends(rows, axis, hue, labels, colours, style, changes, lines=True)
    drawn = about_points(rows.n_people, "participant", len(trends.drawn_people))
    lines = f"Thin lines: {drawn}." if rows.continuous else None
    band = _about_change(changes, counted(change_from or 0, change_unit.removesuffix("s")))
    return canvas.as_asked(draw_trends(ax, trends, chosen, lines, band, left), biomarkers)


def _who_left(
    found: Selection, by: str, hue: str | None, expected: Expected, *, timed: bool
) -> str | None:
    """Write how many participants left before the last visit."""
    if not timed:
        arm = hue if hue and _divides_people(found.results, hue) else None
        warnings = attrition(found.results, by, by=arm, expected=expected).attrs["warnings"]
        return " ".join(text for text in warnings if text != found.results.flagged_note)
    if expected is not None:
        message = f"expected needs visits, but {by!r} holds times: give a tag such as by='visit'."
        raise ResultsError(message)
    return None


def _divides_people(results: PreparedResults, column: str) -> bool:
    """Check that most participants are at one level, as ``analysis.attrition`` needs it."""
    levels = results.levels[column]
    each = results.levels_each(np.where(levels.given, levels.codes, -1))
    return int((each > 1).sum()) * 2 <= len(each)


def _at(selection: Selection, by: str) -> Selection:
    """Take recordings with a level; all levels that are numbers, else the largest."""
    levels = selection.results.levels[by]
    chosen = selection.without(~levels.given, f"without a value of {by}")
    are_numbers = not np.isnan(levels.subset(chosen.shown).numbers()).any()
    return chosen if are_numbers else keep_levels(chosen, by)


def _from_baseline(
    chosen: Selection, by: str, first: int, unit: Literal["recordings", "days"]
) -> tuple[Selection, dict[str, Change]]:
    """Put in the place of each continuous score half its change plus 0.5, which is from 0 to 1."""
    names = chosen.results.continuous
    if not names or not chosen.recordings:
        return chosen, {}
    # Its own key, because a table may lack recording_id or repeat it.
    numbered = chosen.rows().with_columns(recording_id=np.flatnonzero(chosen.shown))
    found = baseline(numbered, biomarkers=names, first=first, unit=unit, order=by)
    found["outside_usual"] = found["outside_usual"].fillna(value=False)
    found = found.set_index("recording_id")
    each = {name: found[found["biomarker"] == name] for name in found["biomarker"].unique()}
    everyone = chosen.results.frame.index
    scores = {name: (1 + own["change"].reindex(everyone)) / 2 for name, own in each.items()}
    results = chosen.results.with_columns(**scores)
    later = replace(chosen, results=results).without(~results.has_score, IN_BASELINE)
    changes = {}
    for name, own in each.items():
        # Half of the usual range, as most participants have it: t times the SD of a prediction.
        half = special.stdtrit(own["df"], 0.975) * own["change"] / own["z"]
        outside = own["outside_usual"].reindex(everyone[later.shown], fill_value=False)
        changes[name] = Change(float(half.median()), outside.to_numpy(dtype=bool))
    return later, changes


def _about_change(changes: Mapping[str, Change], first: str) -> str | None:
    if not changes:
        return None
    zero = f"Zero: the mean of a participant's first {first}."
    if all(np.isnan(change.half) for change in changes.values()):
        return f"{zero} No usual range: the baselines are too short."
    outside = sum(int(change.outside.sum()) for change in changes.values())
    dark = f"Dark points: the {outside:,} outside" if outside else "None is outside"
    band = "Band: where 95 % of later scores are if nothing changes."
    return f"{zero} {band} {dark} their participant's own range."


# --- where recordings are along the axis --------------------------------------------------------


def by_hours(hours: Floats) -> BinnedAxis:
    """Divide hours into bins of two, or of four where they reach beyond a day."""
    width = 2 if hours.max(initial=0) <= 24 else 4
    found, bins = np.unique((hours // width).astype(np.intp), return_inverse=True)
    names = tuple(f"{width * start}\N{EN DASH}{width * (start + 1)}" for start in found)
    centres = width * (found.astype(np.float64) + 0.5)
    return BinnedAxis(hours, bins, centres, names, "Hours since waking")


def by_time(days: Floats, label: str) -> BinnedAxis:
    """Divide dates into days, weeks or months, the first of them that makes at most 40 bins."""
    first = np.floor(days.min())
    span = days.max() - first
    width, unit = next(
        (width, unit)
        for width, unit in ((1, "day"), (7, "week"), (30, "30 days"), (365, "year"), (1e9, "all"))
        if span / width < MOST_BINS
    )
    found, bins = np.unique(np.floor((days - first) / width), return_inverse=True)
    starts = times_from(first + width * found)
    with_year = "%d %b %Y" if starts[0].year != starts[-1].year else "%d %b"
    names = tuple(start.strftime(with_year).lstrip("0") for start in starts)
    middle = first + width * (found + 0.5)
    return BinnedAxis(days, bins, middle, names, f"{label} (by {unit})")


def by_level(levels: Levels, label: str, labels: Labels = None) -> BinnedAxis:
    """Place levels at their numbers, or one after another where they are words."""
    numbers = levels.numbers()
    names = tuple(shown(level, labels) for level in levels.labels)
    # Levels that are not in the order of their numbers are in an order of the user's.
    if not np.isfinite(numbers).all() or not (np.diff(numbers) > 0).all():
        x = levels.codes.astype(np.float64)
        centres = np.arange(len(levels), dtype=float)
        return BinnedAxis(x, levels.codes, centres, names, label, words=True)
    x = numbers[levels.codes]
    if len(levels) <= MOST_BINS:
        return BinnedAxis(x, levels.codes, numbers, names, label, words=names != levels.labels)
    edges = np.linspace(numbers.min(), numbers.max(), 31)
    found, bins = np.unique(np.digitize(x, edges[1:-1]), return_inverse=True)
    centres = (edges[found] + edges[found + 1]) / 2
    names = tuple(f"{centre:.3g}".replace("-", MINUS) for centre in centres)
    return BinnedAxis(x, bins, centres, names, label)
