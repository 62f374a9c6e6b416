"""How participants change over visits, and whether the levels of a tag change differently."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import numpy as np
import pandas as pd

from helios_research.analysis.comparisons import (
    about_correction,
    cell_ridits,
    correct,
    levels_against,
    marker_cells,
)
from helios_research.analysis.effects import (
    RANKS_EFFECT,
    against_zero,
    contrasts,
    estimate_means,
    estimate_ranks,
)
from helios_research.analysis.intervals import check_confidence
from helios_research.analysis.levels import Levels
from helios_research.analysis.prepared import Floats, Results, prepare
from helios_research.columns import Biomarker

EVERYONE = "all participants"
MINUS = "\N{MINUS SIGN}"
CHANGE_OF_RANKS = f"change in {RANKS_EFFECT}"


def compare_change(  # noqa: PLR0913 - each is a setting
    results: Results,
    tag: str | None = None,
    *,
    over: str = "visit",
    reference: str | None = None,
    order: Sequence[str] | None = None,
    biomarkers: str | Sequence[str] | None = None,
    primary: str | Sequence[str] | None = None,
    family: Sequence[str] | None = None,
    warned: str = "keep",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare how participants of each level of a tag change over visits (arm by time).

    Each participant's change from the first visit to each later one is compared between the levels
    of the tag, and so is their trend: the slope of their means over all visits, in visits' own
    numbers where they are numbers, else in steps of one (dose-response). Comparisons are those of
    ``compare_by_tag``: Welch's t-test on participants' changes, or the mixed model with robust
    errors where participants are at several levels of the tag. Without a tag, changes and trend
    are compared with zero. Only participants who have both visits take part in a change, so that
    those who left do not move it.

    For a bucketed biomarker the change is one of mean ridits, given as that of P(higher) less
    P(lower).

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    tag
        The column whose levels are compared, such as the arm; None compares with zero.
    over
        The column that runs with time, such as the visit.
    reference
        The level of the tag that the others are compared with; None means the first.
    order
        Levels of the tag and of ``over`` in the order wanted; levels that are not named follow.
    biomarkers
        One or several; None means all.
    primary, family, warned, confidence
        As for ``compare_by_tag``.

    Returns
    -------
    DataFrame
        A row per biomarker, level other than the reference (without a tag: "all participants"),
        and ``contrast`` ("visit 6" less "visit 1", or "trend per visit"). Differences are those of
        changes in points of the score, level less reference.

    Raises
    ------
    ResultsError
        If a column or the reference is missing, there are not two to 60 levels, or a setting is
        not valid.

    Examples
    --------
    >>> path = "datasets/shift_study_results.parquet"
    >>> found = compare_change(path, "arm", biomarkers="mental_strain")
    >>> found["contrast"].iloc[-1]
    'trend per visit'
    """
    check_confidence(confidence)
    prepared = prepare(results, [tag, over], biomarkers=biomarkers, order=order, warned=warned)
    visits, warnings = levels_against(prepared.levels[over], over, None)
    arms = Levels(np.zeros_like(visits.codes), (EVERYONE,), visits.ordered_by)
    if tag is not None:
        arms, more = levels_against(prepared.levels[tag], tag, reference)
        warnings += more
    known = (arms.codes >= 0) & (visits.codes >= 0)
    groups = np.where(known, arms.codes * len(visits) + visits.codes, -1)
    rows = []
    for marker in prepared.biomarkers:
        cells = marker_cells(prepared, marker, groups)
        cells["group"], cells["visit"] = divmod(cells["group"], len(visits))
        for contrast, changes in _changes(cells, marker, visits, over):
            labels = {"tag": tag, "over": over, "contrast": contrast}
            found = _compare(changes, marker, arms, confidence)
            rows += [{**labels, **own} for own in found]
    compared = correct(pd.DataFrame(rows), prepared, primary, family)
    return prepared.finish(compared, _method(compared, arms, over, confidence), warnings)


def _changes(
    cells: pd.DataFrame, marker: Biomarker, visits: Levels, over: str
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Give the name of each contrast, and the change of each participant in each arm."""
    first = f"{over} {visits.labels[0]}"
    for visit, label in list(enumerate(visits.labels))[1:]:
        pair = _valued(cells[cells["visit"].isin([0, visit])], marker)
        before, after = (
            pair[pair["visit"] == own].set_index(["group", "person"])["value"] for own in (0, visit)
        )
        changes = (after - before).dropna().rename("change").reset_index()
        yield f"{over} {label} {MINUS} {first}", changes
    if len(visits) > 2:
        yield f"trend per {over}", _slopes(_valued(cells, marker), visits.steps())


def _valued(cells: pd.DataFrame, marker: Biomarker) -> pd.DataFrame:
    value = cell_ridits(cells) if marker.bucketed else cells[0]
    return cells[["group", "person", "visit"]].assign(value=value)


def _slopes(cells: pd.DataFrame, steps: Floats) -> pd.DataFrame:
    """Fit a line through the means of each participant who has two visits or more."""
    who = [cells["group"], cells["person"]]
    x = pd.Series(steps[cells["visit"]], index=cells.index)
    x -= x.groupby(who).transform("mean")
    sums = pd.DataFrame({"xy": x * cells["value"], "xx": x**2}).groupby(who).sum()
    sums = sums[sums["xx"] > 0]
    return (sums["xy"] / sums["xx"]).rename("change").reset_index()


def _compare(
    changes: pd.DataFrame, marker: Biomarker, arms: Levels, confidence: float
) -> list[dict[str, object]]:
    counts = changes["group"].value_counts()
    found = (
        [against_zero(changes["change"].to_numpy(np.float64))]
        if len(arms) == 1
        else contrasts(changes, "change", len(arms))
    )
    rows = []
    for place, contrast in enumerate(found, start=len(arms) > 1):
        estimate = (
            replace(estimate_ranks(contrast, confidence, most=2.0), effect_name=CHANGE_OF_RANKS)
            if marker.bucketed
            else estimate_means(contrast, confidence)
        )
        row = {
            "reference": arms.labels[0] if place else None,
            "level": arms.labels[place],
            "biomarker": marker.name,
            "bucketed": marker.bucketed,
            "participants_reference": int(counts.get(0, 0)) if place else 0,
            "participants_level": int(counts.get(place, 0)),
        }
        rows.append({**row, **asdict(estimate)})
    return rows


def _method(compared: pd.DataFrame, arms: Levels, over: str, confidence: float) -> str:
    against = f"the reference {arms.labels[0]}" if len(arms) > 1 else "zero"
    return (
        f"Each participant's own change over {over} was compared with {against}; only participants "
        "with both visits take part in a change, and all with two visits or more in the trend (the "
        "slope of a least-squares line per participant). The effect of continuous biomarkers is "
        "Hedges' g over the SD of participants' changes; changes of bucketed biomarkers are those "
        f"of mean ridits. Intervals are {100 * confidence:g} % intervals. "
        f"{about_correction(compared)}"
    ).strip()
