"""In which groups scores are missing, why, and whether they are missing equally."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from helios_research.analysis.intervals import check_confidence, holm, share_interval, with_ends
from helios_research.analysis.levels import NOT_GIVEN
from helios_research.analysis.prepared import (
    Codes,
    Floats,
    PreparedResults,
    Results,
    count_reasons,
    prepare,
)
from helios_research.codes import HeliosCode, explain
from helios_research.columns import OPEN_OUTCOMES, Outcome

ANY_REASON = "any reason"
RECORDING_FAILED = "recording failed"
UNEQUAL_BELOW = 0.05


def missingness_by_tag(
    results: Results,
    tag: str | Sequence[str],
    *,
    also: Sequence[str] = ("birth_sex", "language"),
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Count missing scores by tag, sex and language, and test whether they are missing equally.

    "any reason" counts every finished recording without a score that counts, those excluded by
    ``exclude`` too. "recording failed" counts those that Helios or the preflight could not use,
    without errors of the service itself (``ERR_INTERNAL``).

    Rates are shares of recordings. The test compares them by a score test with a covariance that
    is robust to several recordings per participant, within or between levels (Rotnitzky & Jewell
    1990; Boos 1992). Checked against the score test of ``statsmodels`` GEE.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    tag
        One tag or several.
    also
        Further columns, taken where the table has them.
    confidence
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        A row per variable, level and reason: "any reason", "recording failed", and each error
        code, outcome or exclusion. The test is in the rows of the first two, the same for all
        levels of a variable: ``p``, ``p_holm`` (corrected for the number of variables) and
        ``sentence``, which says what was found, or which difference cannot be excluded.
        ``attrs["warnings"]`` says where recordings failed more often in one group.

    Raises
    ------
    ResultsError
        If a tag is missing or a setting is not valid.

    Examples
    --------
    >>> missing = missingness_by_tag("datasets/shift_study_results.parquet", "site")
    >>> missing.attrs["warnings"][0].partition(",")[0]
    'Recordings failed more often in site Girona'
    """
    check_confidence(confidence)
    tags = [tag] if isinstance(tag, str) else list(tag)
    listed = prepare(results, needs=tags)
    ended = listed.subset((~listed.frame["outcome"].isin(OPEN_OUTCOMES)).to_numpy(dtype=bool))
    variables = dict.fromkeys([*tags, *(name for name in also if name in ended.frame.columns)])
    ended = prepare(ended, variables)
    events = _events(ended)
    parts = [_rates(name, ended, events, confidence) for name in variables]
    counted = _with_tests(pd.concat(parts, ignore_index=True), list(variables), ended, events)
    warnings = _warn(counted, ended, events)
    if unfinished := listed.not_ended:
        are = "is" if unfinished.startswith("1 ") else "are"
        warnings.append(f"{unfinished} and {are} left out.")
    method = (
        f"Rates are shares of the recordings that have ended. {100 * confidence:g} % intervals are "
        "exact binomial ones with the effective number of recordings (Korn & Graubard 1998), whose "
        "variance is that of the jackknife over participants. Levels of two participants "
        "or more are compared by a score test that is robust to several recordings per "
        f"participant; p_holm corrects it for the number of variables ({len(variables)})."
    )
    return listed.finish(counted, method, warnings)


def _events(prepared: PreparedResults) -> pd.DataFrame:
    """Mark what went wrong with each recording, a column of 0 and 1 per reason."""
    reasons = prepared.missing_reasons(~prepared.has_score)
    failed = prepared.frame["outcome"].isin([Outcome.FAILED, Outcome.SKIPPED])
    failed &= reasons != HeliosCode.INTERNAL
    each = {name: reasons == name for name in count_reasons(reasons)}
    marks = pd.DataFrame({ANY_REASON: reasons.notna(), RECORDING_FAILED: failed} | each)
    return marks.astype(np.float64)


def _rates(
    name: str, prepared: PreparedResults, events: pd.DataFrame, confidence: float
) -> pd.DataFrame:
    levels, people = prepared.levels[name], prepared.people
    recordings = np.bincount(levels.codes, minlength=len(levels))
    missing = events.groupby(levels.codes).sum().to_numpy()
    rate = missing / recordings[:, None]
    n_people = prepared.people_at(levels.codes, len(levels))
    variance = _jackknife(levels.codes, events, people).reindex(range(len(levels))).to_numpy()
    ends = share_interval(rate, variance, n_people[:, None], confidence, most=recordings[:, None])
    pairs = [(name, level, reason) for level in levels.labels for reason in events.columns]
    return pd.DataFrame(pairs, columns=["variable", "level", "reason"], dtype="str").assign(
        recordings=np.repeat(recordings, events.shape[1]),
        participants=np.repeat(n_people, events.shape[1]),
        missing=missing.ravel().astype(np.int64),
        **with_ends("rate", *(numbers.ravel() for numbers in (rate, *ends))),
    )


def _jackknife(codes: Codes, events: pd.DataFrame, people: Codes) -> pd.DataFrame:
    """Give the variance of each rate at each level, by leaving out one participant at a time."""
    known = people >= 0
    keys = [codes[known], people[known]]
    each = events[known].assign(recordings=1.0).groupby(keys).sum()
    by_level = each.groupby(level=0)
    # Where all are one participant's, nothing is left.
    without = (by_level.transform("sum") - each).replace({"recordings": {0.0: np.nan}})
    rates = without.drop(columns="recordings").div(without["recordings"], axis="index")
    n_people = by_level.size()
    return rates.groupby(level=0).var(ddof=0).mul(n_people - 1, axis="index")


def equal_rates_test(happened: Floats, levels: Codes, people: Codes) -> tuple[float, int]:
    """Test whether an event is equally frequent at every level, participants being clusters."""
    found, level = np.unique(levels, return_inverse=True)
    who = np.unique(people, return_inverse=True)[1]
    n_people = int(who.max(initial=-1)) + 1
    if len(found) < 2 or n_people < 2:
        return np.nan, 0
    residual = happened - happened.mean()
    pair = who * len(found) + level
    each = np.bincount(pair, residual, n_people * len(found)).reshape(n_people, len(found))
    share = np.bincount(level) / len(level)
    # The common rate is itself estimated, which takes each person's part of it away again.
    parts = each - np.outer(each.sum(axis=1), share)
    score = each.sum(axis=0)
    covariance = parts.T @ parts
    df = int(np.linalg.matrix_rank(covariance, tol=1e-9 * max(np.trace(covariance), 1e-300)))
    if df == 0 or np.ptp(happened) == 0:
        return np.nan, 0
    return float(score @ np.linalg.pinv(covariance, rcond=1e-9, hermitian=True) @ score), df


def _with_tests(
    counted: pd.DataFrame, variables: list[str], ended: PreparedResults, events: pd.DataFrame
) -> pd.DataFrame:
    """Compare levels, correct for the number of variables, and say what each test found."""
    tests = []
    for name in variables:
        levels = ended.levels[name]
        # One participant says nothing about how a level varies.
        usable = ended.people_at(levels.codes, len(levels)) >= 2
        rows = (ended.people >= 0) & usable[levels.codes] & levels.given
        for reason in (ANY_REASON, RECORDING_FAILED):
            happened = events[reason].to_numpy()[rows]
            statistic, df = equal_rates_test(happened, levels.codes[rows], ended.people[rows])
            p = float(stats.chi2.sf(statistic, df)) if df else np.nan
            tests.append((name, reason, statistic, df, p))
    table = pd.DataFrame(tests, columns=["variable", "reason", "statistic", "df", "p"])
    table["p_holm"] = table.groupby("reason", group_keys=False)["p"].apply(holm)
    keys = ["variable", "reason"]
    rows_of = dict(list(counted.groupby(keys)))
    each = zip(zip(table["variable"], table["reason"], strict=True), table["p_holm"], strict=True)
    found = [_finding(rows_of.get(pair, counted[:0]), p) for pair, p in each]
    table["sentence"] = pd.Series(found, dtype="str")
    return counted.merge(table, on=keys, how="left")


def _finding(rows: pd.DataFrame, p: float) -> str:
    if np.isnan(p):
        return "No test: fewer than two levels with two participants, or no rate to compare."
    if p < UNEQUAL_BELOW:
        return "The rates differ."
    most = _largest_difference(rows[rows["level"] != NOT_GIVEN].dropna(subset="rate_low"))
    excluded = f"differences of up to {100 * most:.0f} points cannot be excluded."
    few = "with so few participants, a large one may be there."
    return f"No difference was detected; {few if np.isnan(most) else excluded}"


def _largest_difference(rows: pd.DataFrame) -> float:
    """Give the most that two levels' rates may differ (Newcombe 1998, Stat Med 17:873, method 10)."""
    rate, low, high = rows[["rate", "rate_low", "rate_high"]].to_numpy(dtype=np.float64).T
    if len(rate) < 2:
        return np.nan
    margin = np.hypot((high - rate)[:, None], rate - low)
    differences = rate[:, None] - rate + margin
    return float(differences[~np.eye(len(rate), dtype=bool)].max())


def _warn(counted: pd.DataFrame, ended: PreparedResults, events: pd.DataFrame) -> list[str]:
    """Warn where failures are unequal, naming the extremes and the main reason."""
    failed = counted[(counted["reason"] == RECORDING_FAILED) & (counted["level"] != NOT_GIVEN)]
    # The levels that the test compares.
    failed = failed[failed["p_holm"].lt(UNEQUAL_BELOW) & (failed["participants"] >= 2)]
    sentences = []
    for name, own in failed.groupby("variable", sort=False):
        least, *_, most = own.sort_values("rate", kind="stable").to_dict("records")
        levels = ended.levels[str(name)]
        here = levels.codes == levels.labels.index(most["level"])
        main = str(events[here & (events[RECORDING_FAILED] == 1)].iloc[:, 2:].sum().idxmax())
        why = explain(main).meaning if main in set(HeliosCode) else f"{main}."
        # A word is between each level and its numbers: a level in Arabic or Hebrew would draw them
        # into its own direction.
        more, less = (
            f"in {start}{row['level']}, where {row['missing']:,} of {row['recordings']:,} did "
            f"({100 * row['rate']:.1f} %"
            for row, start in ((most, f"{name} "), (least, ""))
        )
        sentences.append(
            f"Recordings failed more often {more}), than {less}; test over all levels, "
            f"{p_in_words(most['p_holm'])}). Main reason: {why} If failing depends on how people "
            "feel, the scores of these groups cannot be compared as they are."
        )
    return sentences


def p_in_words(p: float) -> str:
    """Write a p-value for a sentence."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
