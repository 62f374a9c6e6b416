"""Describe each group: how many, what is missing and why, and where the scores lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helios_research.analysis.bootstrap import (
    Bootstrap,
    Ratios,
    bound_certainty,
    ratio_intervals,
    sum_clusters,
)
from helios_research.analysis.prepared import (
    MOST_LEVELS,
    REASON_COLUMNS,
    Codes,
    Flags,
    Floats,
    Results,
    all_scores_of,
    choose_biomarkers,
    count_people_by_level,
    finished,
    levels_of,
    load_results,
    missing_reasons,
    people_of,
)
from helios_research.columns import BIOMARKERS_BY_NAME, BUCKET_LEVELS
from helios_research.errors import ResultsError

FEW_PARTICIPANTS = 10

SUMMARY_COLUMNS = (
    *("tag", "level", "by", "by_level", "biomarker", "bucketed", "score"),
    *("recordings", "scored", "missing", "missing_why", "participants", "participants_scored"),
    *("mean", "mean_low", "mean_high", "sd", "median", "q1", "q3"),
    *("proportion", "proportion_low", "proportion_high", "note"),
)
_TEXTS = ("tag", "level", "by", "by_level", "biomarker", "missing_why", "note")


@dataclass(frozen=True, slots=True)
class _Groups:
    """Every group that the summary describes, with its recordings."""

    names: tuple[tuple[str, str | None], ...]
    codes: Codes
    people: Codes

    def participants(self, counted: Flags) -> Codes:
        return count_people_by_level(self.people[counted], self.codes[counted], len(self.names))


def summarize_by_tag(
    results: Results,
    tag: str,
    *,
    by: str | None = None,
    biomarkers: str | Sequence[str] | None = None,
    bootstrap: Bootstrap | None = None,
) -> pd.DataFrame:
    """Describe the scores at each level of a tag.

    A continuous biomarker has one row per group with mean, standard deviation, median and
    quartiles over its recordings. A bucketed biomarker is ordinal and has four rows per group,
    one for each score it can take, with the proportion of recordings there; it is never averaged.
    Intervals come from a bootstrap over participants (see ``bootstrap.ratio_intervals``); for a
    proportion of exactly 0 or 1 they are exact binomial ones over participants. Checked against
    ``scipy.stats.bootstrap`` and pandas.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    tag
        The column to group by.
    by
        A second column, within which the first is described again.
    biomarkers
        One or several; None means all.
    bootstrap
        Resamples, confidence and seed; None means 2,000 resamples and 95 %.

    Returns
    -------
    DataFrame
        A row per group, biomarker and, where bucketed, score. ``missing_why`` counts the reasons
        of missing scores; ``note`` says where an interval should not be relied on. ``attrs`` has
        "method", "warnings", "sources" and "source_note".

    Raises
    ------
    ResultsError
        If a column is missing or the tags have more than 500 groups.

    Examples
    --------
    >>> summary = summarize_by_tag("datasets/shift_study_results.parquet", "arm")
    >>> summary.query("biomarker == 'mental_strain'")["level"].tolist()
    ['day_shift', 'night_shift']
    """
    bootstrap = bootstrap or Bootstrap()
    table = load_results(results, [tag] if by is None else [tag, by])
    markers = choose_biomarkers(table, biomarkers)
    groups = _group(table, tag, by)
    scores = all_scores_of(table, [marker.name for marker in markers])
    intervals = _intervals(scores, groups, bootstrap)
    why = _missing_why(table, scores, groups)
    parts = []
    for marker in markers:
        values, interval = scores[marker.name], intervals[marker.name]
        numbers = (
            _bucketed_rows(values, groups, interval, bootstrap.confidence)
            if marker.bucketed
            else _continuous_rows(values, groups, interval)
        )
        labels = {"tag": tag, "by": by, "biomarker": marker.name, "bucketed": marker.bucketed}
        counts = _counts(values, groups).assign(missing_why=why[marker.name])
        parts.append(counts.join(numbers).assign(**labels))
    summary = _tidied(parts, without=() if by else ("by", "by_level"))
    return finished(summary, table, _method(bootstrap), _cautions(summary))


def _tidied(parts: list[pd.DataFrame], *, without: tuple[str, ...]) -> pd.DataFrame:
    columns = [name for name in SUMMARY_COLUMNS if name not in without]
    summary = pd.concat(parts, ignore_index=True).reindex(columns=columns)
    texts = [name for name in _TEXTS if name in columns]
    return summary.astype(dict.fromkeys(texts, "str") | {"score": np.float64})


def _group(table: pd.DataFrame, tag: str, by: str | None) -> _Groups:
    outer = levels_of(table, tag)
    people, _ = people_of(table)
    if by is None:
        return _Groups(tuple((label, None) for label in outer.labels), outer.codes, people)
    inner = levels_of(table, by)
    found, codes = np.unique(outer.codes * max(len(inner), 1) + inner.codes, return_inverse=True)
    if len(found) > MOST_LEVELS:
        message = (
            f"{tag!r} and {by!r} together make {len(found):,} groups, more than {MOST_LEVELS}: "
            "leave one of them out, or choose columns with fewer values."
        )
        raise ResultsError(message)
    names = [divmod(int(code), len(inner)) for code in found]
    labels = tuple((outer.labels[first], inner.labels[second]) for first, second in names)
    return _Groups(labels, codes.astype(np.intp), people)


def _continuous_rows(
    scores: Floats, groups: _Groups, interval: tuple[Floats, Floats]
) -> pd.DataFrame:
    low, high = interval
    return _moments(scores, groups).assign(mean_low=low[:, 0], mean_high=high[:, 0])


def _bucketed_rows(
    scores: Floats, groups: _Groups, interval: tuple[Floats, Floats], confidence: float
) -> pd.DataFrame:
    share = _proportions(scores, groups)
    people = groups.participants(~np.isnan(scores))[:, None].astype(np.float64)
    low, high = bound_certainty(share, *interval, people, confidence)
    n_groups, n_scores = share.shape
    return pd.DataFrame(
        {
            "score": np.tile(BUCKET_LEVELS, n_groups),
            "proportion": share.ravel(),
            "proportion_low": low.ravel(),
            "proportion_high": high.ravel(),
        },
        index=np.repeat(np.arange(n_groups), n_scores),
    )


def _counts(scores: Floats, groups: _Groups) -> pd.DataFrame:
    n = len(groups.names)
    has_score = ~np.isnan(scores)
    recordings = np.bincount(groups.codes, minlength=n)
    scored = np.bincount(groups.codes[has_score], minlength=n)
    participants_scored = groups.participants(has_score)
    return pd.DataFrame(
        {
            "level": pd.Series([level for level, _ in groups.names], dtype="str"),
            "by_level": pd.Series([by_level for _, by_level in groups.names], dtype="str"),
            "recordings": recordings,
            "scored": scored,
            "missing": recordings - scored,
            "participants": groups.participants(np.ones(len(scores), dtype=bool)),
            "participants_scored": participants_scored,
            "note": [_note(int(people)) for people in participants_scored],
        }
    )


def _missing_why(
    table: pd.DataFrame, scores: Mapping[str, Floats], groups: _Groups
) -> dict[str, list[str]]:
    """Count for each biomarker the reasons of missing scores in each group."""
    missing = np.column_stack([np.isnan(values) for values in scores.values()])
    rows: Flags = np.array(missing.any(axis=1), dtype=bool)
    needed = [name for name in REASON_COLUMNS if name in table.columns]
    reasons = missing_reasons(table[needed][rows], np.full(int(rows.sum()), np.nan))
    codes, found = pd.factorize(reasons, sort=True)
    names = [str(name) for name in found]
    place = groups.codes[rows] * len(names) + codes
    why = {}
    for name, own in zip(scores, missing[rows].T, strict=True):
        counts = np.bincount(place[own], minlength=len(groups.names) * len(names))
        each = counts.reshape(len(groups.names), len(names))
        why[name] = [_most_first(group, names) for group in each]
    return why


def _most_first(counts: Codes, names: Sequence[str]) -> str:
    order = np.argsort(-counts, kind="stable")
    return "; ".join(f"{counts[place]} {names[place]}" for place in order if counts[place])


def _note(people: int) -> str | None:
    if people == 0:
        return "No scores."
    if people == 1:
        return "One participant: no interval."
    if people < FEW_PARTICIPANTS:
        # Percentile intervals are too narrow in small samples: Hesterberg 2015,
        # The American Statistician 69(4), section 4.
        return f"Fewer than {FEW_PARTICIPANTS} participants: the interval is too narrow."
    return None


def _moments(scores: Floats, groups: _Groups) -> pd.DataFrame:
    grouped = pd.Series(scores).groupby(groups.codes)
    numbers = {
        "mean": grouped.mean(),
        "sd": grouped.std(),
        "q1": grouped.quantile(0.25),
        "median": grouped.median(),
        "q3": grouped.quantile(0.75),
    }
    return pd.DataFrame(numbers).reindex(range(len(groups.names)))


def _proportions(scores: Floats, groups: _Groups) -> Floats:
    n = len(groups.names)
    counts = np.column_stack(
        [np.bincount(groups.codes[scores == level], minlength=n) for level in BUCKET_LEVELS]
    ).astype(np.float64)
    with np.errstate(invalid="ignore"):
        share: Floats = counts / counts.sum(axis=1, keepdims=True)
    return share


def _intervals(
    scores: Mapping[str, Floats], groups: _Groups, bootstrap: Bootstrap
) -> dict[str, tuple[Floats, Floats]]:
    """Bootstrap all biomarkers at once: the draws, which cost most, are the same for all."""
    present = {name: ~np.isnan(values) for name, values in scores.items()}
    tops = [
        (values[:, None] == np.array(BUCKET_LEVELS)).astype(np.float64)
        if BIOMARKERS_BY_NAME[name].bucketed
        else np.where(present[name], values, 0.0)[:, None]
        for name, values in scores.items()
    ]
    bottom = np.column_stack(list(present.values())).astype(np.float64)
    divisor = np.repeat(np.arange(len(tops)), [top.shape[1] for top in tops])
    sums = sum_clusters(groups.people, groups.codes, Ratios(np.hstack(tops), bottom, divisor))
    low, high = ratio_intervals(sums, len(groups.names), bootstrap)
    return {
        name: (low[:, divisor == place], high[:, divisor == place])
        for place, name in enumerate(scores)
    }


def _method(bootstrap: Bootstrap) -> str:
    return (
        "Means, standard deviations and quartiles are over recordings; bucketed biomarkers are "
        f"given as proportions of recordings. {100 * bootstrap.confidence:g} % intervals are "
        f"percentiles of {bootstrap.resamples:,} bootstrap resamples of participants with all "
        "their recordings; a proportion of 0 or 1 has an exact binomial interval over participants."
    )


def _cautions(summary: pd.DataFrame) -> list[str]:
    few = summary.loc[summary["note"].notna(), "level"].drop_duplicates()
    return [f"Few or no participants at {', '.join(few)}: see the column note."] if len(few) else []
