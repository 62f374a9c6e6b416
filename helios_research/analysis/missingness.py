"""Where scores are missing, in which group, and at which step recordings were lost."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from helios_research.analysis.bootstrap import (
    Bootstrap,
    Ratios,
    bound_certainty,
    ratio_intervals,
    sum_clusters,
)
from helios_research.analysis.levels import NOT_GIVEN, Levels
from helios_research.analysis.prepared import (
    Codes,
    Flags,
    Floats,
    PreparedResults,
    Results,
    count_people,
    count_people_by_level,
    count_reasons,
    has_warning,
    not_ended,
    prepare,
)
from helios_research.columns import Outcome

_STEPS = ("listed", "valid", "passed preflight", "sent", "scored", "without warning")
WITH_WARNING = "scored with a warning"

_METHOD = (
    "Each recording is lost at the first step that it did not reach; a participant is lost where "
    "none of their recordings goes on. A recording counts as sent once Helios had its audio."
)


def flow(results: Results) -> pd.DataFrame:
    """Follow recordings and participants from the manifest to scores without warning.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.

    Returns
    -------
    DataFrame
        For each step a row of kind "remaining", before it a row of kind "lost" for each reason of
        a loss (an error code, or the outcome where there is none). ``participants`` of a
        "lost" row are those none of whose recordings reached the step and who lost one for that
        reason, so that one may be counted under several reasons.

    Raises
    ------
    ResultsError
        If the outcome or the participants are missing.

    Examples
    --------
    >>> flow("datasets/shift_study_results.parquet").query("kind == 'remaining'")["step"].tolist()
    ['listed', 'valid', 'passed preflight', 'sent', 'scored', 'without warning']
    """
    prepared = prepare(results, biomarkers=())
    table, people = prepared.frame, prepared.people
    reached = _steps_reached(table)
    reasons = prepared.missing_reasons(np.ones(len(table), dtype=bool))
    reasons = reasons.mask(table["outcome"] == Outcome.SCORED, WITH_WARNING)
    rows: list[tuple[str, str, str | None, int, int]] = []
    before = np.ones(len(table), dtype=bool)
    for place, step in enumerate(_STEPS):
        remaining = reached >= place
        lost = before & ~remaining
        left = np.isin(people, people[remaining])
        for reason, count in count_reasons(reasons[lost]).items():
            gone = lost & (reasons == reason).to_numpy() & ~left
            rows.append((step, "lost", reason, count, count_people(people, gone)))
        n_people = count_people(people, remaining)
        rows.append((step, "remaining", None, int(remaining.sum()), n_people))
        before = remaining
    columns = ["step", "kind", "reason", "recordings", "participants"]
    made = pd.DataFrame(rows, columns=columns).astype({"reason": "str"})
    pending = int((table["outcome"] == Outcome.PENDING).sum())
    return prepared.finish(made, _METHOD, [f"{not_ended(pending)}."] if pending else [])


def _steps_reached(table: pd.DataFrame) -> Codes:
    """Find the last step that each recording reached, as its place in ``_STEPS``."""
    outcome = table["outcome"].astype("str")
    scored = (outcome == Outcome.SCORED).to_numpy(dtype=bool)
    reached = np.full(len(table), _STEPS.index("passed preflight"))
    for step, own in (
        ("sent", _had_audio(table)),
        ("listed", outcome == Outcome.INVALID),
        ("valid", outcome == Outcome.SKIPPED),
        ("scored", scored),
        ("without warning", scored & ~has_warning(table)),
    ):
        reached[own] = _STEPS.index(step)
    return reached


def _had_audio(table: pd.DataFrame) -> Flags:
    """Mark the recordings whose audio Helios had."""
    if "uploaded_at" in table.columns:
        had = table["uploaded_at"].notna() | (table["outcome"] == Outcome.LOST)
    else:
        had = table["outcome"].isin([Outcome.FAILED, Outcome.LOST])
    return had.to_numpy(dtype=bool)


# --- missing scores -------------------------------------------------------------------------------

ANY_REASON = "any reason"
BIOMARKER_FAILED = "biomarker failed"
UNEQUAL_BELOW = 0.05


def missingness_by_tag(
    results: Results,
    tag: str | Sequence[str],
    *,
    also: Sequence[str] = ("birth_sex", "language"),
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Count missing scores by tag, sex and language, and test whether they are missing equally.

    A recording counts as missing where it ended without scores, whatever the reason; those still
    pending are left out. "biomarker failed" counts only the recordings themselves: Helios ended
    in an error, or the preflight expected one.

    The test compares rates by a score test with a covariance that is robust to several recordings
    per participant, within or between levels (Rotnitzky & Jewell 1990; Boos 1992). Checked against
    the score test of ``statsmodels`` GEE. Intervals come from a bootstrap over participants.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    tag
        One tag or several.
    also
        Further columns, taken where the table has them.
    resamples, confidence, seed
        Number of bootstrap resamples of participants, coverage of the intervals (between
        0 and 1), and seed of the draws.

    Returns
    -------
    DataFrame
        A row per variable, level and reason: "any reason", "biomarker failed", and each error
        code or outcome. The test is in the rows of the first two, the same for all levels of a
        variable; ``sentence`` says what it did or why there is none. ``attrs`` has "method",
        "warnings" (a sentence where the biomarker fails more in one group), "sources" and
        "source_note".

    Raises
    ------
    ResultsError
        If a tag is missing or a setting is not valid.

    Examples
    --------
    >>> missing = missingness_by_tag("datasets/shift_study_results.parquet", "site")
    >>> missing.attrs["warnings"][0].split(":")[0]
    'Recordings fail more often where site is Girona than where it is Leeds'
    """
    bootstrap = Bootstrap(resamples, confidence, seed)
    tags = [tag] if isinstance(tag, str) else list(tag)
    listed = prepare(results, needs=tags)
    ended = listed.subset((listed.frame["outcome"] != Outcome.PENDING).to_numpy(dtype=bool))
    variables = dict.fromkeys([*tags, *(name for name in also if name in ended.frame.columns)])
    ended = prepare(ended, variables)
    events = _events(ended)
    parts, warnings = [], []
    for variable in variables:
        levels = ended.levels[variable]
        rows = _rates(levels, events, ended.people, bootstrap)
        rows.insert(0, "variable", variable)
        tested = [
            {"reason": name, **_tested(levels, events[name], ended.people)}
            for name in (ANY_REASON, BIOMARKER_FAILED)
        ]
        rows = rows.merge(pd.DataFrame(tested), on="reason", how="left")
        warnings += _warn(rows, levels, events)
        parts.append(rows)
    counted = pd.concat(parts, ignore_index=True)
    pending = len(listed.frame) - len(ended.frame)
    if pending:
        warnings.append(f"{not_ended(pending)} and {'is' if pending == 1 else 'are'} left out.")
    return listed.finish(counted, _method(bootstrap), warnings)


def _events(prepared: PreparedResults) -> pd.DataFrame:
    """Mark what went wrong with each recording, a column of 0 and 1 per reason."""
    reasons = prepared.missing_reasons(~prepared.has_score)
    failed = prepared.frame["outcome"].isin([Outcome.FAILED, Outcome.SKIPPED])
    each = {name: reasons == name for name in count_reasons(reasons)}
    events = {ANY_REASON: reasons.notna(), BIOMARKER_FAILED: failed, **each}
    return pd.DataFrame(events).astype(np.float64)


def _rates(
    levels: Levels, events: pd.DataFrame, people: Codes, bootstrap: Bootstrap
) -> pd.DataFrame:
    n_levels, n_events = len(levels), len(events.columns)
    ratios = Ratios(events.to_numpy(), np.ones((len(events), 1)), np.zeros(n_events, dtype=np.intp))
    interval = ratio_intervals(sum_clusters(people, levels.codes, ratios), n_levels, bootstrap)
    recordings = np.bincount(levels.codes, minlength=n_levels)
    missing = events.groupby(levels.codes).sum().to_numpy()
    rate = missing / recordings[:, None]
    n_people = count_people_by_level(people, levels.codes, n_levels)
    low, high = bound_certainty(rate, *interval, n_people[:, None], bootstrap.confidence)
    return pd.DataFrame(
        {
            "level": pd.Series(np.repeat(levels.labels, n_events), dtype="str"),
            "reason": pd.Series(np.tile(events.columns, n_levels), dtype="str"),
            "recordings": np.repeat(recordings, n_events),
            "participants": np.repeat(n_people, n_events),
            "missing": missing.ravel().astype(np.int64),
            "rate": rate.ravel(),
            "rate_low": low.ravel(),
            "rate_high": high.ravel(),
        }
    )


def _tested(levels: Levels, event: "pd.Series[float]", people: Codes) -> dict[str, object]:
    # One participant says nothing about how a level varies.
    usable = count_people_by_level(people, levels.codes, len(levels)) >= 2
    usable &= np.array(levels.labels) != NOT_GIVEN
    rows = (people >= 0) & usable[levels.codes]
    happened = np.asarray(event, dtype=np.float64)[rows]
    statistic, df = equal_rates_test(happened, levels.codes[rows], people[rows])
    sentence = (
        "Score test of equal rates between levels of two participants or more, robust to several "
        "recordings per participant."
        if df
        else "No test: fewer than two levels with two participants, or no rate to compare."
    )
    p = float(stats.chi2.sf(statistic, df)) if df else np.nan
    return {"statistic": statistic, "df": df, "p": p, "sentence": sentence}


def equal_rates_test(happened: Floats, levels: Codes, people: Codes) -> tuple[float, int]:
    """Test whether an event is equally frequent at every level, participants being clusters."""
    found, level = np.unique(levels, return_inverse=True)
    who = np.unique(people, return_inverse=True)[1]
    n_people = int(who.max(initial=-1)) + 1
    if len(found) < 2 or n_people < 2:
        return np.nan, 0
    residual = happened - happened.mean()
    shape = (n_people, len(found))
    pair = who * len(found) + level
    each = np.bincount(pair, residual, n_people * len(found)).reshape(shape)
    share = np.bincount(level) / len(level)
    # The common rate is itself estimated, which takes each person's part of it away again.
    parts = each - np.outer(each.sum(axis=1), share)
    score = each.sum(axis=0)
    covariance = parts.T @ parts
    df = int(np.linalg.matrix_rank(covariance, tol=1e-9 * max(np.trace(covariance), 1e-300)))
    if df == 0 or np.ptp(happened) == 0:
        return np.nan, 0
    return float(score @ np.linalg.pinv(covariance, rcond=1e-9, hermitian=True) @ score), df


def _warn(rows: pd.DataFrame, levels: Levels, events: pd.DataFrame) -> list[str]:
    """Warn where failures are unequal, naming the extremes and the main reason."""
    failed = rows[(rows["reason"] == BIOMARKER_FAILED) & (rows["level"] != NOT_GIVEN)]
    if failed.empty or not failed["p"].iloc[0] < UNEQUAL_BELOW:
        return []
    by_rate = failed.sort_values("rate", kind="stable").to_dict("records")
    least, most = by_rate[0], by_rate[-1]
    rates = [
        f"{100 * row['rate']:.1f} % ({row['missing']:,} of {row['recordings']:,})"
        for row in (most, least)
    ]
    variable, p = most["variable"], most["p"]
    here = levels.codes == levels.labels.index(most["level"])
    main = events[here & (events[BIOMARKER_FAILED] == 1)].iloc[:, 2:].sum().idxmax()
    # A word is between the level and the numbers: a level in Arabic or Hebrew would draw them into
    # its own direction.
    return [
        f"Recordings fail more often where {variable} is {most['level']} than where it is "
        f"{least['level']}: failed or skipped were {' against '.join(rates)}, "
        f"{'p < 0.001' if p < 0.001 else f'p = {p:.3f}'}, most of all for {main}. Scores of these "
        "groups may differ because of which recordings are missing."
    ]


def _method(bootstrap: Bootstrap) -> str:
    return (
        "Rates are shares of recordings that have ended. "
        f"{100 * bootstrap.confidence:g} % intervals come from {bootstrap.resamples:,} bootstrap "
        "resamples of participants (exact binomial over participants where a rate is 0 or 1). "
        "Levels are compared by a score test that is robust to several recordings per participant; "
        "its p-values are not corrected for the number of variables."
    )
