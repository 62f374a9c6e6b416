"""Compare the levels of a tag, with participants as the unit."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from helios_research._util.text import counted
from helios_research.analysis import effects
from helios_research.analysis.intervals import cell_means, check_confidence, holm
from helios_research.analysis.levels import NOT_GIVEN, Levels
from helios_research.analysis.prepared import Codes, PreparedResults, Results, bucket_steps, prepare
from helios_research.columns import BIOMARKERS_BY_NAME, BUCKET_LEVELS, Biomarker
from helios_research.errors import ResultsError, UnknownColumnError

MOST_COMPARED = 60
NOT_ALL_COMPARED = "Some levels could not be compared"
PRIMARY, FAMILY, OUTSIDE = "primary", "family", ""

# Up to this share of the participants may be at several levels by mistake.
_FEW_AT_SEVERAL = 0.1


def compare_by_tag(  # noqa: PLR0913 - each is a setting
    results: Results,
    tag: str,
    *,
    reference: str | None = None,
    order: Sequence[str] | None = None,
    biomarkers: str | Sequence[str] | None = None,
    primary: str | Sequence[str] | None = None,
    family: Sequence[str] | None = None,
    warned: str = "keep",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare each level of a tag with a reference level.

    Participants weigh equally: everything starts from each participant's mean at each level.
    Where no participant is at several levels (arm), it is Welch's t-test. Else (visit, condition)
    it is a linear mixed model with a random intercept per participant (REML), whose standard
    errors are robust to participants' changing differently (CR2 with Satterthwaite's degrees of
    freedom; Pustejovsky & Tipton 2018, JBES 36:672); with two levels that all participants have,
    it is the paired t-test.

    The effect of a continuous biomarker is Hedges' g, the difference over the SD of participants'
    means at one level. Bucketed biomarkers are ordinal: their recordings become ridits (Bross
    1958), and the effect is the probability that a score at the level is higher than one at the
    reference less the probability that it is lower, from -1 to 1. Checked against R's lme4 and
    clubSandwich, pingouin and ``scipy.stats``.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    tag
        The column whose levels are compared; any column, sent as a tag or not.
    reference
        The level that the others are compared with; None means the first.
    order, biomarkers
        As for ``summarize_by_tag``.
    primary
        The primary outcome or outcomes, corrected among themselves only.
    family
        The biomarkers whose p-values are corrected together; None means one per construct: the
        four-level score where it is there, not its uniform form.
    warned, confidence
        As for ``summarize_by_tag``.

    Returns
    -------
    DataFrame
        A row per biomarker and level other than the reference. ``difference`` is in points of the
        score (null for bucketed ones), ``p_holm`` is corrected by Holm's method (1979) over the
        rows with the same ``role`` ("primary" or "family"; null elsewhere), ``sentence`` says what
        was done.

    Raises
    ------
    ResultsError
        If a column or the reference is missing, there are not two to 60 levels, or a setting is
        not valid.

    Examples
    --------
    >>> found = compare_by_tag("datasets/shift_study_results.parquet", "arm")
    >>> found.set_index("biomarker").loc["mental_strain", "test"]
    "Welch's t"
    """
    check_confidence(confidence)
    prepared = prepare(results, [tag], biomarkers=biomarkers, order=order, warned=warned)
    levels, warnings = levels_against(prepared.levels[tag], tag, reference)
    rows = []
    for marker in prepared.biomarkers:
        cells = marker_cells(prepared, marker, levels.codes)
        found = _compare(cells, marker, len(levels), confidence)
        for level, effect in enumerate(found, start=1):
            row = {"tag": tag, "reference": levels.labels[0], "level": levels.labels[level]}
            rows.append({**row, **_counts(cells, marker, level), **effect})
    compared = correct(pd.DataFrame(rows), prepared, primary, family)
    warnings += _cautions(compared, prepared, levels, tag)
    return prepared.finish(compared, _method(compared, levels, confidence), warnings)


def levels_against(levels: Levels, tag: str, reference: str | None) -> tuple[Levels, list[str]]:
    """Put the reference first, and warn of recordings without a level, whose number becomes -1."""
    names = [label for label in levels.labels if label != NOT_GIVEN]
    first = names[0] if reference is None and names else str(reference)
    if not 2 <= len(names) <= MOST_COMPARED:
        message = (
            f"Comparing needs 2 to {MOST_COMPARED} levels, but {tag!r} has {len(names)}"
            f"{f' ({names[0]!r})' if len(names) == 1 else ''}: choose another tag."
        )
        raise ResultsError(message)
    if first not in names:
        message = f"The tag {tag!r} has no level {first!r}: choose one of {', '.join(names)}."
        raise ResultsError(message)
    names = [first, *(name for name in names if name != first)]
    place = np.array([names.index(label) if label in names else -1 for label in levels.labels])
    codes = place[levels.codes].astype(np.intp)
    n = int((codes < 0).sum())
    warnings = [f"{counted(n, 'recording')} without a value of {tag!r} left out."] if n else []
    return Levels(codes, tuple(names), levels.ordered_by), warnings


def marker_cells(prepared: PreparedResults, marker: Biomarker, codes: Codes) -> pd.DataFrame:
    """Average a biomarker of each participant at each level: the score, or the share of each step."""
    values = prepared.scores[marker.name]
    if marker.bucketed:
        steps = bucket_steps(values)[:, None] == np.arange(len(BUCKET_LEVELS))
        values = np.where(np.isnan(values)[:, None], np.nan, steps)
    return cell_means(values, prepared.people, codes)


def _compare(
    cells: pd.DataFrame, marker: Biomarker, n_levels: int, confidence: float
) -> list[dict[str, object]]:
    if not marker.bucketed:
        return [
            effects.effect_columns(each, confidence)
            for each in effects.contrasts(cells, 0, n_levels)
        ]
    found = []
    for level in range(1, n_levels):
        # Ridits are relative to the two levels alone, so that the effect is a probability.
        pair = cells[cells["group"].isin([0, level])]
        pair = pair.assign(group=(pair["group"] > 0).astype(int), ridit=effects.mean_ridits(pair))
        found += effects.contrasts(pair, "ridit", 2)
    return [effects.effect_columns(each, confidence, most_by_rank=1) for each in found]


def _counts(cells: pd.DataFrame, marker: Biomarker, level: int) -> dict[str, object]:
    here, there = (cells[cells["group"] == side] for side in (level, 0))
    return {
        "biomarker": marker.name,
        "bucketed": marker.bucketed,
        "recordings_reference": int(there["n"].sum()),
        "recordings_level": int(here["n"].sum()),
        "participants_reference": len(there),
        "participants_level": len(here),
        "participants_both": int(here["person"].isin(there["person"]).sum()),
    }


def correct(
    compared: pd.DataFrame,
    prepared: PreparedResults,
    primary: str | Sequence[str] | None,
    family: Sequence[str] | None,
) -> pd.DataFrame:
    """Add each row's role, and its p-value corrected over the rows of that role."""
    first, others = (
        [names] if isinstance(names, str) else list(names or ()) for names in (primary, family)
    )
    for name in (*first, *others):
        if name not in prepared.names:
            raise UnknownColumnError(name, prepared.names, what="biomarkers")
    if family is None:
        # The four-level score of a construct, where it is there, is before its uniform form.
        construct = {name: BIOMARKERS_BY_NAME[name].construct for name in prepared.names}
        one_each = {construct[name]: name for name in reversed(prepared.names)}
        others = [one_each[own] for own in one_each.keys() - {construct[name] for name in first}]
    roles = dict.fromkeys(prepared.names, OUTSIDE) | dict.fromkeys(others, FAMILY)
    role = compared["biomarker"].map(roles | dict.fromkeys(first, PRIMARY))
    known = compared["p"].where(role != OUTSIDE)
    corrected = known.groupby(role, group_keys=False).apply(holm)
    place = list(compared).index("p") + 1
    compared.insert(place, "p_holm", corrected.reindex(compared.index))
    compared.insert(place + 1, "role", role)
    return compared


def about_correction(compared: pd.DataFrame) -> str:
    """Write over which tests p-values were corrected."""
    tests = compared.dropna(subset="p_holm").groupby("role")["biomarker"]
    listing = " and, separately, over ".join(
        f"{counted(len(own), f'{role} test')} ({', '.join(own.unique())})"
        for role, own in sorted(tests, reverse=True)
    )
    return f"p_holm: Holm's correction over {listing}." if listing else ""


def _method(compared: pd.DataFrame, levels: Levels, confidence: float) -> str:
    return (
        "Participants weigh equally: each participant's mean at each level was compared, by "
        "Welch's t-test where no participant is at several levels, else by a linear mixed model "
        "with a random intercept per participant (REML; CR2 standard errors, Satterthwaite's "
        f"degrees of freedom). The reference is {levels.labels[0]} (levels in order of "
        f"{levels.ordered_by}). Effects: {effects.MEANS_EFFECT} over the SD of participants' means for "
        f"continuous biomarkers; {effects.RANKS_EFFECT} from mean ridits for bucketed ones. Intervals are "
        f"{100 * confidence:g} % intervals. {about_correction(compared)}"
    ).strip()


def _cautions(
    compared: pd.DataFrame, prepared: PreparedResults, levels: Levels, tag: str
) -> list[str]:
    cautions = []
    if (compared["test"] == "").any():
        cautions.append(f"{NOT_ALL_COMPARED}: see the column sentence.")
    each = prepared.levels_each(levels.codes)
    several = int((each > 1).sum())
    if 0 < several <= _FEW_AT_SEVERAL * len(each):
        of = f"{several:,} of {counted(len(each), 'participant')}"
        are, errors = "are", "these are typing errors"
        if several == 1:
            are, errors = "is", "this is a typing error"
        cautions.append(f"{of} {are} at several levels of {tag!r}: check whether {errors}.")
    return cautions
