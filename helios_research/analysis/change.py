"""How participants change over visits, and whether the levels of a tag change differently."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from helios_research._util.text import counted
from helios_research.analysis import comparisons, effects
from helios_research.analysis.effects import NOTHING, Contrast
from helios_research.analysis.intervals import FEWEST_FOR_INTERVAL, check_confidence
from helios_research.analysis.levels import EVERYONE, Levels
from helios_research.analysis.prepared import Floats, Results, prepare
from helios_research.columns import Biomarker

MINUS = "\N{MINUS SIGN}"
CHANGE_OF_RANKS = f"change in {effects.RANKS_EFFECT}"


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
    of the tag (without one, with zero) as ``compare_by_tag`` does. The trend (dose-response) is the
    slope of a line over all visits, in visits' own numbers where they are numbers, else in steps of
    one, by a linear mixed model for each level of the tag (REML, random intercept per participant,
    CR2 errors; checked against R's lme4 and clubSandwich).

    Only participants who have both visits take part in a change. All take part in the trend: a
    line for each alone would be too steep where people leave after a high score, and the model's is
    not, as long as those who leave are like those with the same scores who stay. For a bucketed
    biomarker the change is one of mean ridits, given as that of P(higher) less P(lower).

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
    biomarkers, primary, family, warned, confidence
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
    visits, warnings = comparisons.levels_against(prepared.levels[over], over, None)
    arms = Levels(np.zeros_like(visits.codes), (EVERYONE,), visits.ordered_by)
    if tag is not None:
        arms, more = comparisons.levels_against(prepared.levels[tag], tag, reference)
        warnings += more
    known = (arms.codes >= 0) & (visits.codes >= 0)
    groups = np.where(known, arms.codes * len(visits) + visits.codes, -1)
    rows = []
    for marker in prepared.biomarkers:
        cells = comparisons.marker_cells(prepared, marker, groups)
        cells["group"], cells["visit"] = divmod(cells["group"], len(visits))
        for contrast, changes, found in _changes(cells, marker, visits, over, len(arms)):
            labels = {"tag": tag, "over": over, "contrast": contrast}
            rows += [labels | own for own in _rows(changes, found, marker, arms, confidence)]
    compared = comparisons.correct(pd.DataFrame(rows), prepared, primary, family)
    return prepared.finish(compared, _method(compared, arms, over, confidence), warnings)


def _changes(
    cells: pd.DataFrame, marker: Biomarker, visits: Levels, over: str, n_arms: int
) -> Iterator[tuple[str, pd.DataFrame, list[Contrast]]]:
    """Give the name of each contrast, a row for each participant behind it in each arm, and tests."""
    first = f"{over} {visits.labels[0]}"
    for visit, label in list(enumerate(visits.labels))[1:]:
        pair = _valued(cells[cells["visit"].isin([0, visit])], marker)
        before, after = (
            pair[pair["visit"] == own].set_index(["group", "person"])["value"] for own in (0, visit)
        )
        changes = (after - before).dropna().rename("change").reset_index()
        found = effects.contrasts(changes, "change", n_arms, "changes")
        yield f"{over} {label} {MINUS} {first}", changes, found
    if len(visits) > 2:
        valued = _valued(cells, marker)
        lines = [_line(valued[valued["group"] == arm], visits.steps()) for arm in range(n_arms)]
        pairs = [[lines[0], own] for own in lines[1:]] or [lines]
        found = [_compare_lines(pair) for pair in pairs]
        yield f"trend per {over}", valued.drop_duplicates(["group", "person"]), found


def _valued(cells: pd.DataFrame, marker: Biomarker) -> pd.DataFrame:
    value = effects.mean_ridits(cells) if marker.bucketed else cells[0]
    return cells[["group", "person", "visit"]].assign(value=value)


# A line over visits in one arm, and what each participant adds to its slope.
_Trend = tuple[effects.MixedFit, "pd.Series[float]"]


def _line(cells: pd.DataFrame, steps: Floats) -> _Trend | None:
    """Fit a line to one arm; None where fewer than three participants have two visits."""
    values, visits = cells["value"].to_numpy(np.float64), cells["visit"].to_numpy(np.intp)
    people = cells["person"].to_numpy(np.intp)
    if (np.bincount(people) > 1).sum() < FEWEST_FOR_INTERVAL:
        return None
    fit = effects.fit_random_intercept(values, visits, people, steps)
    return fit, pd.Series(fit.parts[:, 0], index=np.unique(people))


def _compare_lines(lines: Sequence[_Trend | None]) -> Contrast:
    """Compare the slope of the last line with that of the first, or with zero where it is alone."""
    known = [line for line in lines if line is not None]
    if len(known) < len(lines):
        few = f"Fewer than {FEWEST_FOR_INTERVAL} participants with two visits: not compared."
        return Contrast(few)
    fits, signs = [fit for fit, _ in known], [-1.0, 1.0][-len(known) :]
    parts = pd.concat([own * sign for (_, own), sign in zip(known, signs, strict=True)])
    # Of participants who are in both, what they add to one takes away from the other.
    each = parts.groupby(level=0).sum()
    error, own = float(np.sqrt((each**2).sum())), np.array([fit.errors[0] ** 2 for fit in fits])
    df, n = np.array([fit.df[0] for fit in fits]), np.array([fit.n_people for fit in fits])
    if error < NOTHING:
        return Contrast("All participants change by the same amount: no test.")
    return Contrast(
        "Linear mixed model (REML) of a line with a random intercept per participant on "
        f"the means of {counted(len(each), 'participant')} at each visit, with standard errors "
        "robust to how differently participants change (CR2, Satterthwaite).",
        difference=float(np.dot(signs, [fit.differences[0] for fit in fits])),
        error=error,
        # Welch's, as long as both are independent.
        df=float(own.sum() ** 2 / (own**2 / df).sum() if len(each) == n.sum() else df.min()),
        sd=float(np.sqrt(np.average([fit.total_variance for fit in fits], weights=n))),
        sd_df=float((n - 1).sum()),
        test=effects.MIXED_MODEL,
    )


def _rows(
    changes: pd.DataFrame,
    found: list[Contrast],
    marker: Biomarker,
    arms: Levels,
    confidence: float,
) -> list[dict[str, object]]:
    counts = changes["group"].value_counts()
    rows = []
    for place, contrast in enumerate(found, start=len(arms) > 1):
        most = 2.0 if marker.bucketed else None
        effect = effects.effect_columns(contrast, confidence, most_by_rank=most)
        effect |= {"effect_name": CHANGE_OF_RANKS} if marker.bucketed else {}
        row: dict[str, object] = {
            "reference": arms.labels[0] if place else None,
            "level": arms.labels[place],
            "biomarker": marker.name,
            "bucketed": marker.bucketed,
            "participants_reference": int(counts.get(0, 0)) if place else 0,
            "participants_level": int(counts.get(place, 0)),
        }
        rows.append(row | effect)
    return rows


def _method(compared: pd.DataFrame, arms: Levels, over: str, confidence: float) -> str:
    against = f"the reference {arms.labels[0]}" if len(arms) > 1 else "zero"
    return (
        f"Each participant's own change over {over} was compared with {against}; only participants "
        "with both visits take part in a change. The trend is the slope of a line over all visits "
        "by a linear mixed model with a random intercept per participant (REML; CR2 standard "
        "errors, Satterthwaite's degrees of freedom). The effect of continuous biomarkers is "
        "Hedges' g over the SD of participants' changes (of a trend: of their means at one visit); "
        f"changes of bucketed biomarkers are those of mean ridits. Intervals are {100 * confidence:g} % intervals. "
        f"{comparisons.about_correction(compared)}"
    ).strip()
