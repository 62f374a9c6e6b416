"""Scores at each level of a tag: recordings or participants, where they lie, means, differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy.typing import NDArray

from helios_research._util.text import counted
from helios_research.analysis import compare_by_tag, summarize_by_tag
from helios_research.analysis.intervals import cell_means
from helios_research.analysis.levels import NOT_GIVEN
from helios_research.analysis.prepared import Codes, Flags, Floats, PreparedResults, Results
from helios_research.columns import BUCKET_LEVELS, Biomarker
from helios_research.plots import canvas, looks, marks
from helios_research.plots.canvas import NO_SCORE, Target, keep_levels, select, size_in
from helios_research.plots.looks import PAGE, Labels, Look, Style, about_fonts, shown, shown_column
from helios_research.plots.rows import FOR_NAMES, RowLayout, beside_row, lay_out_rows, write_rows

# With more biomarkers, all of them fit on one page of a paper without their differences.
_MOST_COMPARED = 4
# Sentences about single rows that a caption has room for.
_MOST_NAMED = 3
# Title, key, ticks and label of the axis, in lines of type.
_AROUND = 6.2
# In lines of type, from the axis of the rows downwards: its ticks and label, then each difference.
_TO_DIFFERENCES, _PER_DIFFERENCE = 3.6, 2.0
# In rows: a bar, from its middle to its interval, and from participants' points to their mean.
_BAR, _BELOW_BAR, _ASIDE = 0.6, 0.4, 0.28


@dataclass(frozen=True, slots=True)
class _TagFigure:
    """What all panels are made from; ``same`` says how many participants are in several rows."""

    results: PreparedResults
    layout: RowLayout
    summary: pd.DataFrame
    compared: pd.DataFrame
    same: str | None
    labels: Labels
    style: Style

    @property
    def most_points(self) -> int:
        """How many points there may be in a panel."""
        return marks.MOST_POINTS // max(1, len(self.results.continuous)) // (2 if self.same else 1)


def scores_by_tag(  # noqa: PLR0913 - each is a setting
    results: Results,
    tag: str,
    *,
    biomarkers: str | Sequence[str] | None = "mental_strain",
    hue: str | None = None,
    order: Sequence[str] | None = None,
    reference: str | None = None,
    labels: Mapping[str, str] | None = None,
    palette: Sequence[str] | None = None,
    caption: bool = True,
    ax: Target = None,
    style: Style = PAGE,
) -> Axes | NDArray[np.object_]:
    """Draw the scores at each level of a tag.

    For a continuous biomarker each recording is a point, the hill shows where they lie, and the
    black dot is the mean of participants' means with its 95 % interval. Where most participants
    are at several levels (before and after), points are their means, joined by a line each. A
    bucketed biomarker is ordinal: a bar shows the shares of its four levels (means of participants'
    shares), the line below it the 95 % interval of the two highest together. Numbers are those of
    ``analysis.summarize_by_tag``; the differences below are those of ``analysis.compare_by_tag``.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    tag
        The column whose levels are the rows; any column, sent as a tag or not.
    biomarkers
        One, several, or None for all.
    hue
        A second column that divides the rows; or the tag itself, to colour its levels.
    order
        Levels of the tag and of hue in the order wanted; levels that are not named follow.
    reference
        The level that the others are compared with below the rows. None compares only where the
        tag has two levels, with the first. Rows that hue divides are not compared.
    labels, palette
        The text to show for a level or a column, and the colours of groups; None means seven that
        people with any colour vision distinguish.
    caption
        Whether to write the caption below; ``get_label()`` of the Axes gives it in any case.
    ax, style
        An Axes (for one biomarker) or an empty Figure to draw into, None for a new one; and its
        sizes: ``COLUMN``, ``PAGE`` or ``SLIDE``.

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
    >>> ax = scores_by_tag("datasets/shift_study_results.parquet", "arm")
    >>> ax.get_title(loc="left")
    'Mental strain'
    """
    colours = looks.colours_of(palette)
    found = select(results, biomarkers, [tag, hue], order=order, caption=caption)
    chosen = keep_levels(found, tag, within=hue)
    rows = chosen.rows()
    if not chosen.recordings:
        empty = canvas.empty_figure(ax, len(rows.biomarkers), NO_SCORE, chosen.notes(), style)
        return canvas.as_asked(empty, biomarkers)
    by = None if hue == tag else hue
    layout = lay_out_rows(rows, tag, hue, labels, colours)
    summary = summarize_by_tag(rows, tag, by=by)
    compared = _compare(rows, tag, by, reference, labels)
    same = same_people(rows.people, layout)
    drawn = _TagFigure(rows, layout, summary, compared, same, labels, style)
    count = compared["biomarker"].value_counts()
    lines = [_AROUND + difference_lines(count.get(name, 0)) for name in rows.names]
    heights = [layout.height_in(style) + own * style.line_in for own in lines]
    axes = canvas.open_canvas(ax, heights, chosen.notes(*_how_to_read(drawn)), style)
    for own, marker in zip(axes, rows.biomarkers, strict=True):
        _draw(own, drawn, marker)
    return canvas.as_asked(axes, biomarkers)


def _compare(
    rows: PreparedResults, tag: str, by: str | None, reference: str | None, labels: Labels
) -> pd.DataFrame:
    """Compare the levels where there are two, or with the reference asked for; else give no rows."""
    levels = [label for label in rows.levels[tag].labels if label != NOT_GIVEN]
    wanted = len(levels) == 2 or (reference is not None and len(levels) > 2)
    if by or not wanted or len(rows.biomarkers) > _MOST_COMPARED:
        return pd.DataFrame({"biomarker": []})
    found = compare_by_tag(rows, tag, reference=reference)
    for end in ("", "_low", "_high"):
        points = found[f"difference{end}"]
        found[f"value{end}"] = points.mask(found["bucketed"], found[f"effect{end}"])
    for side, name in (("level", "end"), ("reference", "start")):
        names = [shown(level, labels) for level in found[side]]
        # A bare number has its tag before it, so that the minus is no sign.
        column = shown_column(tag, labels).lower()
        found[name] = [f"{column} {own}" if own[:1].isdigit() else own for own in names]
    return found.dropna(subset="value")


def _joined(cells: pd.DataFrame, layout: RowLayout) -> Flags:
    """Mark the cells (by participant and row) that the next cell continues below the same header."""
    person, row = cells["person"].to_numpy(), cells["group"].to_numpy()
    headers = np.array([own.level if layout.headers else "" for own in layout.rows])
    below = (np.diff(row) == 1) & (headers[row[1:]] == headers[row[:-1]])
    joined: Flags = (np.diff(person) == 0) & below
    return joined


def same_people(people: Codes, layout: RowLayout) -> str | None:
    """Count the participants who are in several rows; None where most are in one, or rows are many."""
    cells = cell_means(np.zeros(len(people)), people, layout.codes)
    cells = cells.sort_values(["person", "group"], kind="stable")
    everyone = cells["person"].nunique()
    same = cells["person"][:-1][_joined(cells, layout)].nunique()
    if not layout.tall or not same or 2 * same < everyone:
        return None
    return ("" if same == everyone else f"{same:,} of ") + counted(everyone, "participant")


def _how_to_read(drawn: _TagFigure) -> list[str | None]:
    rows, same, compared = drawn.results, drawn.same, drawn.compared
    points = marks.about_points(len(rows.frame), "recording", drawn.most_points)
    if same:
        who = marks.about_points(rows.n_people, "participant", drawn.most_points)
        points = f"means of {who}; lines: the same {same}"
    known = drawn.summary["mean_low"].notna().any()
    mean = "Dot and line: mean with 95 % interval" if known else f"Dot: mean ({marks.NO_INTERVAL})"
    below = None
    if len(compared):
        below = f"Below: difference from {compared['start'].iloc[0]} with its 95 % interval."
    return [
        f"Points: {points}. {mean}; participants weigh equally." if rows.continuous else None,
        marks.about_bars(drawn.summary),
        f"Rows have the same {same}." if same and not rows.continuous else None,
        below,
        _cautions(drawn),
        about_fonts(drawn.layout.names),
    ]


def _cautions(drawn: _TagFigure) -> str:
    """Write what to be careful about and cannot be seen."""
    said = [*drawn.summary.attrs["warnings"], *drawn.compared.attrs.get("warnings", ())]
    seen = ("no interval.", "No scores.", str(drawn.results.flagged_note))
    cautions = [text for text in dict.fromkeys(said) if not text.endswith(seen)]
    others = [text for text in cautions if "One participant has" not in text]
    if len(cautions) - len(others) > _MOST_NAMED:
        several = "In several rows, one participant has more than a fifth of the recordings."
        cautions = [several, *others]
    return " ".join(cautions)


def _draw(ax: Axes, drawn: _TagFigure, marker: Biomarker) -> None:
    style, layout, scores = drawn.style, drawn.layout, drawn.results.scores[marker.name]
    if not marks.open_panel(ax, marker, scores, drawn.labels, style, grid_y=False):
        return
    tables = drawn.summary, drawn.compared
    summary, compared = (table[table["biomarker"] == marker.name] for table in tables)
    ax.set_ylim(layout.depth + difference_lines(len(compared)) / layout.lines, 0)
    # Before the ticks: moving an axis makes new ones.
    ax.spines["bottom"].set_position(("data", layout.depth))
    origin = None
    if marker.bucketed:
        upper = marks.upper_halves(scores, drawn.results.people, layout.codes, len(layout.rows))
        bars = marks.Bars(layout.places, marks.shares(summary), upper, _BAR, aside=_BELOW_BAR)
        marks.draw_bars(ax, bars, style)
        marks.share_axis(ax, style)
    else:
        means = marks.estimates(summary, "mean")
        _draw_scores(ax, drawn, scores, means)
        if len(compared):
            place = [row.level for row in layout.rows].index(compared["reference"].iloc[0])
            origin = means[0, place], layout.rows[place].y
            scores = np.append(scores, origin[0] + marks.estimates(compared, "value"))
        marks.score_axis(ax, "x", scores, style)
    each = summary[["scored", "participants_scored"]].to_numpy()
    numbers = each[:: len(BUCKET_LEVELS) if marker.bucketed else 1]
    write_rows(ax, layout, [f"{scored:,} ({people:,})" for scored, people in numbers], style)
    if len(compared):
        draw_differences(ax, layout, compared, origin, style)


def point_heights(layout: RowLayout) -> Floats:
    """Give where each recording's point is, in its row: at random, but always the same."""
    middle, reach = (0.24, 0.15) if layout.tall else (0.0, 0.3)
    shift = np.random.default_rng(1).uniform(-reach, reach, len(layout.codes)) + middle
    heights: Floats = layout.places[layout.codes] + shift
    return heights


def _draw_scores(ax: Axes, drawn: _TagFigure, scores: Floats, means: Floats) -> None:
    style, layout, places = drawn.style, drawn.layout, drawn.layout.places
    if drawn.same:
        _join_means(ax, drawn, scores)
        # Beside the lines of participants, which end at the first and the last row.
        places = places + np.where(places == places[-1], _ASIDE, -_ASIDE)
    else:
        colours = np.array([row.colour for row in layout.rows])
        has_score = np.flatnonzero(~np.isnan(scores))
        points = has_score[marks.sample(len(has_score), drawn.most_points)]
        heights = point_heights(layout)
        for colour in dict.fromkeys(colours):
            own = points[colours[layout.codes[points]] == colour]
            rows = int((colours == colour).sum())
            marks.draw_points(ax, scores[own], heights[own], str(colour), style, rows=rows)
        if layout.tall:
            people, codes = drawn.results.people[has_score], layout.codes[has_score]
            shapes = list(zip(places, colours, strict=True))
            marks.draw_shapes(ax, scores[has_score], people, codes, shapes)
    marks.draw_estimates(ax, places, means, style, thin=layout.lines < 2)


def _join_means(ax: Axes, drawn: _TagFigure, scores: Floats) -> None:
    """Draw the mean of each participant in each row, and a line through those of a participant."""
    cells = cell_means(scores, drawn.results.people, drawn.layout.codes)
    people = cells["person"].unique()
    cells = cells[cells["person"].isin(people[marks.sample(len(people), drawn.most_points)])]
    cells = cells.sort_values(["person", "group"], kind="stable")
    row, means = cells["group"].to_numpy(), cells[0].to_numpy()
    points = np.column_stack([means, drawn.layout.places[row]])
    joined = np.flatnonzero(_joined(cells, drawn.layout))
    lines = list(np.stack([points[joined], points[joined + 1]], axis=1))
    opacity = float(np.clip(4 / np.sqrt(len(people)), 0.08, 0.6))
    look: Look = {"alpha": opacity, "linewidths": 0.1 * drawn.style.font_pt, "zorder": 1.5}
    look |= {"colors": looks.MUTED, "rasterized": len(lines) > 500}
    ax.add_collection(LineCollection(lines, **look))
    for place, own in enumerate(drawn.layout.rows):
        x, y = points[row == place].T
        marks.draw_points(ax, x, y, own.colour, drawn.style)


def difference_lines(count: int) -> float:
    """Give the height of so many differences below the rows, in lines of type."""
    return _TO_DIFFERENCES + _PER_DIFFERENCE * count if count else 0.0


def draw_differences(
    ax: Axes,
    layout: RowLayout,
    found: pd.DataFrame,
    origin: tuple[float, float] | None,
    style: Style,
) -> None:
    """Draw differences (``value``, from ``start`` to ``end``) on an axis of their own below the rows.

    Its zero is below the mean that they start from, the ``origin`` (x and y; Gardner & Altman
    1986). Without an origin they are P(higher) - P(lower).
    """
    numbers, count, small = marks.estimates(found, "value"), len(found), style.small
    own = ax.inset_axes((0, 0, 1, _PER_DIFFERENCE * count / layout.lines / ax.get_ylim()[0]))
    looks.style_axes(own, "", style)
    own.patch.set_visible(False)
    places = np.arange(0.5, count)
    marks.draw_estimates(own, places, numbers, style)
    dotted: Look = {"color": looks.MUTED, "lw": 0.1 * style.font_pt, "ls": ":", "zorder": 3}
    own.axvline(0, **dotted)
    if origin is None:
        own.set_xlabel(f"P(higher) {looks.MINUS} P(lower)", **style.text())
        furthest = np.nanmax(np.abs(numbers))
        half = 1.02 * next(part for part in (0.2, 0.4, 0.6, 1.0) if furthest <= part or part == 1)
        ends = -half, half
    else:
        own.set_xlabel("Difference", **style.text())
        ax.plot([origin[0]] * 2, [origin[1], layout.depth], **dotted)
        ends = ax.get_xlim()[0] - origin[0], ax.get_xlim()[1] - origin[0]
    own.set(xlim=ends, ylim=(count, 0))
    marks.mark_differences(own.xaxis, *ends, small, size_in(ax)[0])
    sides = zip(found["end"], found["start"], strict=True)
    own.set_yticks(places, [_difference_name(ax, *pair, small) for pair in sides], **small.text())
    own.tick_params(axis="y", length=0)
    for y, (value, low, high) in zip(places, numbers.T, strict=True):
        interval = "" if np.isnan(low) else f" [{marks.signed(low)}, {marks.signed(high)}]"
        beside_row(own, y, marks.signed(value) + interval, style)


def _difference_name(ax: Axes, end: str, start: str, small: Style) -> str:
    """Name a difference in one line, or in two with the minus in the first, so that it is no sign."""
    limit = FOR_NAMES * size_in(ax)[0]
    name = f"{end} {looks.MINUS} {start}"
    if looks.width_in(name, small.font_pt) <= limit:
        return name
    return f" {looks.MINUS}\n".join(looks.fit_names([end, start], 0.9 * limit, small.font_pt))
