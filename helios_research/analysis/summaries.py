"""Describe each group: how many, what is missing and why, and where the scores lie."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helios_research.analysis.bootstrap import (
    Bootstrap,
    bound_certainty,
    difference_intervals,
    ratio_intervals,
    score_ratios,
    sum_clusters,
)
from helios_research.analysis.comparisons import levels_against
from helios_research.analysis.levels import MOST_LEVELS
from helios_research.analysis.prepared import (
    Codes,
    Flags,
    Floats,
    PreparedResults,
    Results,
    count_people_by_level,
    prepare,
)
from helios_research.columns import BUCKET_LEVELS
from helios_research.errors import ResultsError

FEW_PARTICIPANTS = 10

SUMMARY_COLUMNS = (
    *("tag", "level", "by", "by_level", "biomarker", "bucketed", "score"),
    *("recordings", "scored", "missing", "missing_why", "participants", "participants_scored"),
    *("mean", "mean_low", "mean_high", "sd", "median", "q1", "q3"),
    *("proportion", "proportion_low", "proportion_high", "note"),
)
DIFFERENCE_COLUMNS = (
    *("tag", "reference", "level", "biomarker", "bucketed", "score"),
    *("participants_reference", "participants_level", "participants_both"),
    *("difference", "difference_low", "difference_high", "note"),
)
_ONE_SIDED = "Fewer than two participants on one side."
_TEXTS = ("tag", "level", "by", "by_level", "biomarker", "missing_why", "note")


@dataclass(frozen=True, slots=True)
class _Groups:
    """Every group that the summary describes, with its recordings."""

    names: tuple[tuple[str, str | None], ...]
    codes: Codes
    people: Codes

    def participants(self, counted: Flags) -> Codes:
        return count_people_by_level(self.people[counted], self.codes[counted], len(self.names))


def summarize_by_tag(  # noqa: PLR0913 - each is a setting
    results: Results,
    tag: str,
    *,
    by: str | None = None,
    biomarkers: str | Sequence[str] | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Describe the scores at each level of a tag.

    A continuous biomarker has one row per group with mean, standard deviation, median and
    quartiles over its recordings. A bucketed biomarker is ordinal and has four rows per group,
    one for each score it can take, with the proportion of recordings there; it is never averaged.
    Intervals come from a bootstrap over participants (see ``bootstrap.ratio_intervals``); for a
    proportion of exactly 0 or 1 they are exact binomial intervals over participants. Checked
    against ``scipy.stats.bootstrap`` and pandas.

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
    resamples, confidence, seed
        Number of bootstrap resamples of participants, coverage of the intervals (between
        0 and 1), and seed of the draws.

    Returns
    -------
    DataFrame
        A row per group, biomarker and, where bucketed, score. ``missing_why`` counts the reasons
        of missing scores; ``note`` says where an interval should not be relied on.

    Raises
    ------
    ResultsError
        If a column is missing, the columns make more than 500 groups, or a setting is not valid.

    Examples
    --------
    >>> summary = summarize_by_tag("datasets/shift_study_results.parquet", "arm")
    >>> summary.query("biomarker == 'mental_strain'")["level"].tolist()
    ['night_shift', 'day_shift']
    """
    bootstrap = Bootstrap(resamples, confidence, seed)
    prepared = prepare(results, [tag, by], biomarkers=biomarkers)
    groups = _group(prepared, tag, by)
    intervals = _intervals(prepared, groups, bootstrap)
    why = _missing_why(prepared, groups)
    parts = []
    for marker in prepared.biomarkers:
        values, interval = prepared.scores[marker.name], intervals[marker.name]
        numbers = (
            _bucketed_rows(values, groups, interval, confidence)
            if marker.bucketed
            else _continuous_rows(values, groups, interval)
        )
        labels = {"tag": tag, "by": by, "biomarker": marker.name, "bucketed": marker.bucketed}
        counts = _counts(values, groups).assign(missing_why=why[marker.name])
        parts.append(counts.join(numbers).assign(**labels))
    columns = [name for name in SUMMARY_COLUMNS if by or name not in ("by", "by_level")]
    summary = pd.concat(parts, ignore_index=True).reindex(columns=columns)
    texts = [name for name in _TEXTS if name in columns]
    summary = summary.astype(dict.fromkeys(texts, "str") | {"score": np.float64})
    return prepared.finish(summary, _method(bootstrap), _cautions(summary))


def _group(prepared: PreparedResults, tag: str, by: str | None) -> _Groups:
    outer, people = prepared.levels[tag], prepared.people
    if by is None:
        return _Groups(tuple((label, None) for label in outer.labels), outer.codes, people)
    inner = prepared.levels[by]
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
    grouped = pd.Series(scores).groupby(groups.codes)
    numbers = {
        "mean": grouped.mean(),
        "sd": grouped.std(),
        "q1": grouped.quantile(0.25),
        "median": grouped.median(),
        "q3": grouped.quantile(0.75),
    }
    low, high = interval
    rows = pd.DataFrame(numbers).reindex(range(len(groups.names)))
    return rows.assign(mean_low=low[:, 0], mean_high=high[:, 0])


def _bucketed_rows(
    scores: Floats, groups: _Groups, interval: tuple[Floats, Floats], confidence: float
) -> pd.DataFrame:
    n_groups, n_scores = len(groups.names), len(BUCKET_LEVELS)
    each = [
        np.bincount(groups.codes[scores == level], minlength=n_groups) for level in BUCKET_LEVELS
    ]
    counts = np.column_stack(each).astype(np.float64)
    with np.errstate(invalid="ignore"):
        share = counts / counts.sum(axis=1, keepdims=True)
    people = groups.participants(~np.isnan(scores))[:, None]
    low, high = bound_certainty(share, *interval, people, confidence)
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


def _missing_why(prepared: PreparedResults, groups: _Groups) -> dict[str, list[str]]:
    """Count for each biomarker the reasons of missing scores in each group."""
    missing = np.column_stack([np.isnan(values) for values in prepared.scores.values()])
    rows: Flags = np.array(missing.any(axis=1), dtype=bool)
    reasons = prepared.missing_reasons(rows)[rows]
    codes, found = pd.factorize(reasons, sort=True)
    names = [str(name) for name in found]
    place = groups.codes[rows] * len(names) + codes
    why = {}
    for name, own in zip(prepared.names, missing[rows].T, strict=True):
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


def _intervals(
    prepared: PreparedResults, groups: _Groups, bootstrap: Bootstrap
) -> dict[str, tuple[Floats, Floats]]:
    """Bootstrap all biomarkers at once: the draws, which cost most, are the same for all."""
    sums = sum_clusters(groups.people, groups.codes, score_ratios(prepared.scores))
    low, high = ratio_intervals(sums, len(groups.names), bootstrap)
    return {
        name: (low[:, sums.divisor == place], high[:, sums.divisor == place])
        for place, name in enumerate(prepared.names)
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


# --- differences ----------------------------------------------------------------------------------


def differences_by_tag(  # noqa: PLR0913 - each is a setting
    results: Results,
    tag: str,
    *,
    biomarkers: str | Sequence[str] | None = None,
    reference: str | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimate how far each level of a tag differs from a reference level, without a test.

    A continuous biomarker has one row per level: the level's mean less the reference's, over
    recordings. A bucketed biomarker is ordinal and has four rows per level, one for each score it
    can take, with the difference of the proportions of recordings there. Intervals come from a
    bootstrap over participants, who are drawn with all their recordings at both levels, so that
    they hold for tags between participants (arm) and within them (visit). Checked against
    ``scipy.stats.bootstrap`` of independent samples.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    tag
        The column whose levels are compared.
    biomarkers
        One or several; None means all.
    reference
        The level that is subtracted from the others; None means the first.
    resamples, confidence, seed
        Number of bootstrap resamples of participants, coverage of the intervals (between
        0 and 1), and seed of the draws.

    Returns
    -------
    DataFrame
        A row per biomarker, level other than the reference and, where bucketed, score.
        Differences are in points of the score (0 to 1), or of the proportion (0 to 1); null, with
        a ``note``, where a level or the reference has scores of fewer than two participants.

    Raises
    ------
    ResultsError
        If a column or the reference is missing, there are not two to 60 levels, or a setting is
        not valid.

    Examples
    --------
    >>> found = differences_by_tag("datasets/shift_study_results.parquet", "arm")
    >>> found.set_index("biomarker").loc["mental_strain", "level"]
    'day_shift'
    """
    bootstrap = Bootstrap(resamples, confidence, seed)
    prepared = prepare(results, [tag], biomarkers=biomarkers)
    levels, warnings = levels_against(prepared.levels[tag], tag, reference)
    parts = []
    for place in range(1, len(levels)):
        sides = np.select([levels.codes == 0, levels.codes == place], [0, 1], -1)
        parts.append(_differ(prepared, sides, bootstrap).assign(level=levels.labels[place]))
    found = pd.concat(parts).sort_values("place", kind="stable", ignore_index=True)
    found = found.assign(tag=tag, reference=levels.labels[0])[list(DIFFERENCE_COLUMNS)]
    found = found.astype({"note": "str"})
    method = (
        "Differences of means, for bucketed biomarkers of proportions, are those of the level less "
        f"the reference. {100 * confidence:g} % intervals are percentiles of {resamples:,} "
        "bootstrap resamples of participants with all their recordings at both levels."
    )
    return prepared.finish(found, method, warnings)


def _differ(prepared: PreparedResults, sides: Codes, bootstrap: Bootstrap) -> pd.DataFrame:
    """Compare side 1 with side 0; ``place`` is that of the biomarker."""
    sums = sum_clusters(prepared.people, sides, score_ratios(prepared.scores))
    value, low, high = difference_intervals(sums, bootstrap)
    has_score = sums.bottom > 0
    reference, level = (has_score[sums.group == side].sum(axis=0) for side in (0, 1))
    both = (pd.DataFrame(has_score).groupby(sums.person).sum() == 2).sum().to_numpy()
    markers = prepared.biomarkers
    scores = [BUCKET_LEVELS if marker.bucketed else (np.nan,) for marker in markers]
    return pd.DataFrame(
        {
            "place": sums.divisor,
            "biomarker": [markers[place].name for place in sums.divisor],
            "bucketed": [markers[place].bucketed for place in sums.divisor],
            "score": np.concatenate(scores),
            "participants_reference": reference[sums.divisor],
            "participants_level": level[sums.divisor],
            "participants_both": both[sums.divisor],
            "difference": value,
            "difference_low": low,
            "difference_high": high,
            "note": [_ONE_SIDED if np.isnan(number) else None for number in value],
        }
    )
