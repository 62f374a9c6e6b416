"""What models need of the results: one typed row per score, and facts such as age and hours awake."""

from typing import Any

import numpy as np
import pandas as pd

from helios_research.analysis.levels import as_text, canonical_sex, distinct, with_points
from helios_research.analysis.prepared import (
    EXCLUDED,
    Floats,
    PreparedResults,
    Results,
    bucket_steps,
    column_of,
    days_of,
    has_warning,
    prepare,
)
from helios_research.columns import OUTCOME, RESULTS_BY_NAME, RUN, SECTION, STANDARD_FIELDS

DAYS_PER_YEAR = 365.2425

# Local times carry no zone, so a clock change in the night moves hours awake by one.
MOST_HOURS_AWAKE = 48.0

# Columns about how a recording was sent, and texts and lists that no model takes.
_LEFT_OUT = {
    *(column.name for column in (*OUTCOME, *SECTION, *RUN)),
    EXCLUDED,
    "sha256",
    "predicted_error_code",
}

_METHOD = (
    "One row per scored recording of a known participant. A level from 0 to 3 stands for each score "
    "of a four-level biomarker. The person mean is over the participant's rows in this table, and "
    "the deviation is from it."
)


def model_frame(
    results: Results, *, visit: str | None = None, warned: str = "keep"
) -> pd.DataFrame:
    """Give a typed table for models with covariates, to fit in statsmodels, R or elsewhere.

    Your own columns, which are text in a manifest, are numbers where all given values are numbers
    without leading zeros, and else text; blanks are missing. A column of your own that is called
    like one of those below remains as it is. In a formula the reference of a text column is the
    alphabet's first; choose it with ``C(arm, Treatment("day_shift"))``.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    visit
        The column that orders the recordings; without it "visit", where there is one.
    warned
        "drop" leaves out scores with a warning from Helios.

    Returns
    -------
    DataFrame
        A row per scored recording of a known participant: ids, the manifest's and your own columns,
        scores and audio, and then ``visit`` as an ordered category and ``visit_number`` (under the
        name of the column given; the number in each level, or its place from 0), ``age`` (years at
        the recording, or else at submission), ``hours_awake``, ``days_since_first`` (since the
        participant's first recording, scored or not), ``warned``, ``<biomarker>_level`` (0 to 3) of
        each four-level score, and ``<biomarker>_person_mean`` and ``<biomarker>_deviation`` of each
        continuous one. Null where it is not known.

    Raises
    ------
    ResultsError
        If a column is missing, or the visits have more than 500 levels.

    Examples
    --------
    >>> frame = model_frame("datasets/shift_study_results.parquet")

    Is a four-level score higher on night shifts? Proportional odds, as log odds ratio:

    >>> from statsmodels.genmod.generalized_estimating_equations import OrdinalGEE
    >>> formula = 'sleep_propensity_level ~ 0 + I(1 * (arm == "night_shift")) + visit_number'
    >>> fit = OrdinalGEE.from_formula(formula, "user_label", data=frame).fit()
    >>> fit.params.filter(like="night").round(2).item()
    1.74
    """
    prepared = prepare(results, warned=warned)
    ordering = visit or ("visit" if "visit" in prepared.frame.columns else None)
    prepared = prepare(prepared, [ordering])
    rows, days = prepared.has_score, pd.Series(prepared.recorded)
    since_first = days - days.groupby(prepared.people).transform("min")
    scored = prepared.subset(rows)
    kept = [name for name in scored.frame.columns if name not in _LEFT_OUT]
    frame = pd.DataFrame({name: _typed_own(scored.frame[name]) for name in kept})
    added: dict[str, Any] = {}
    if ordering is not None:
        levels = scored.levels[ordering]
        frame[ordering] = levels.categories()
        added[f"{ordering}_number"] = levels.steps()[levels.codes]
    added |= {
        "age": ages(scored),
        "hours_awake": hours_awake(scored.frame),
        "days_since_first": since_first[rows].to_numpy(),
        "warned": has_warning(scored.frame),
        **_score_columns(scored),
    }
    frame = frame.assign(**{name: made for name, made in added.items() if name not in kept})
    return prepared.finish(frame, _METHOD)


def _typed_own(values: "pd.Series[Any]") -> "pd.Series[Any]":
    name = str(values.name)
    if name == "birth_sex":
        return canonical_sex(values).mask(as_text(values).isna())
    return values if name in RESULTS_BY_NAME or name in STANDARD_FIELDS else typed(values)


def typed(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Give numbers where all values are numbers without leading zeros ("007" is a name), else text."""
    if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype.kind in "bMm":
        return values
    if values.dtype.kind in "iuf":
        # Formulas cannot read pandas' own type for whole numbers with missing ones.
        return values if isinstance(values.dtype, np.dtype) else values.astype("float64")
    each, different = distinct(values)
    text = as_text(different)
    given = text.dropna()
    numbers = pd.to_numeric(with_points(given), errors="coerce").astype("float64")
    names = given.str.match(r"[+-]?0\d").any() or not np.isfinite(numbers).all()
    made = text if names or given.empty else numbers
    return made.reindex(each).set_axis(values.index)


def moments(results: PreparedResults) -> Floats:
    """Give the days since 2000 to each recording, or where its time is not known, to its submission."""
    return np.where(np.isnan(results.recorded), results.days("created_at"), results.recorded)


def ages(results: PreparedResults) -> Floats:
    """Give the age at each recording in years; NaN where a time is missing or before birth."""
    years = (moments(results) - results.days("date_of_birth")) / DAYS_PER_YEAR
    return np.where(years >= 0, years, np.nan)


def hours_awake(table: pd.DataFrame) -> Floats:
    """Count the hours from waking to recording; NaN where a time is missing or cannot be right."""
    recorded, woken = (days_of(column_of(table, name)) for name in ("recording_time", "wake_time"))
    hours = 24 * (recorded - woken)
    return np.where((hours >= 0) & (hours <= MOST_HOURS_AWAKE), hours, np.nan)


def _score_columns(results: PreparedResults) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for marker in results.biomarkers:
        scores = results.scores[marker.name]
        if marker.bucketed:
            steps, unknown = bucket_steps(scores), np.isnan(scores)
            level = np.where(unknown, np.nan, steps) if unknown.any() else steps
            made[f"{marker.name}_level"] = level
        else:
            mean = pd.Series(scores).groupby(results.people).transform("mean").to_numpy()
            made[f"{marker.name}_person_mean"] = mean
            made[f"{marker.name}_deviation"] = scores - mean
    return made
