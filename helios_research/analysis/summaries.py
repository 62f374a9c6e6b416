"""Describe each group: how many, what is missing and why, and where the scores lie."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from helios_research.analysis import intervals
from helios_research.analysis.comparisons import marker_cells
from helios_research.analysis.levels import MOST_LEVELS
from helios_research.analysis.prepared import (
    Codes,
    Flags,
    Floats,
    PreparedResults,
    Results,
    prepare,
)
from helios_research.columns import BUCKET_LEVELS
from helios_research.errors import ResultsError

SUMMARY_COLUMNS = (
    *("tag", "level", "by", "by_level", "biomarker", "bucketed", "score"),
    *("recordings", "scored", "missing", "missing_why", "participants", "participants_scored"),
    *("mean", "mean_low", "mean_high", "sd", "median", "q1", "q3"),
    *("proportion", "proportion_low", "proportion_high", "note"),
)
_TEXTS = ("tag", "level", "by", "by_level", "biomarker", "missing_why", "note")


def summarize_by_tag(  # noqa: PLR0913 - each is a setting
    results: Results,
    tag: str,
    *,
    by: str | None = None,
    biomarkers: str | Sequence[str] | None = None,
    order: Sequence[str] | None = None,
    warned: str = "keep",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Describe the scores at each level of a tag, participants weighing equally.

    A continuous biomarker has one row per group with mean, standard deviation, median and
    quartiles of the participants' means. A bucketed biomarker is ordinal, is never averaged and has
    four rows per group, one for each score, with the mean of the participants' shares of recordings
    there. Intervals of means are t intervals on the logit scale, those of shares are Korn &
    Graubard's (1998, Survey Methodology 24:193). Checked against pandas and ``scipy.stats``.

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
    order
        Levels in the order wanted; levels that are not named follow.
    warned
        "keep" or "drop" scores with a warning of Helios.
    confidence
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        A row per group, biomarker and, where bucketed, score. ``note`` says why there is no
        interval, or that one participant has a large part of the recordings.

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
    intervals.check_confidence(confidence)
    prepared = prepare(results, [tag, by], biomarkers=biomarkers, order=order, warned=warned)
    groups, codes = _group(prepared, tag, by)
    groups["participants"] = prepared.people_at(codes, len(groups))
    why = _missing_why(prepared, codes, len(groups))
    parts = []
    for marker in prepared.biomarkers:
        cells = marker_cells(prepared, marker, codes)
        describe = _shares if marker.bucketed else _means
        labels = {"tag": tag, "by": by, "biomarker": marker.name, "bucketed": marker.bucketed}
        counts = _counts(prepared.scores[marker.name], codes, cells, len(groups))
        rows = groups.assign(**counts, missing_why=why[marker.name])
        parts.append(rows.join(describe(cells, len(groups), confidence)).assign(**labels))
    columns = [name for name in SUMMARY_COLUMNS if by or name not in ("by", "by_level")]
    summary = pd.concat(parts, ignore_index=True).reindex(columns=columns)
    texts = [name for name in _TEXTS if name in columns]
    summary = summary.astype(dict.fromkeys(texts, "str") | {"score": np.float64})
    return prepared.finish(summary, _METHOD.format(coverage=100 * confidence), _cautions(summary))


_METHOD = (
    "Participants weigh equally: means, standard deviations and quartiles are those of participants' "
    "means; bucketed biomarkers are given as means of participants' shares of recordings. "
    "{coverage:g} % intervals are t intervals on the logit scale for means and Korn-Graubard intervals "
    "for shares, over participants."
)


def _group(prepared: PreparedResults, tag: str, by: str | None) -> tuple[pd.DataFrame, Codes]:
    """Give a row for every group that is described, and the group of each recording."""
    outer = prepared.levels[tag]
    if by is None:
        return pd.DataFrame({"level": outer.labels}, dtype="str"), outer.codes
    inner = prepared.levels[by]
    found, codes = np.unique(outer.codes * max(len(inner), 1) + inner.codes, return_inverse=True)
    if len(found) > MOST_LEVELS:
        message = (
            f"{tag!r} and {by!r} together make {len(found):,} groups, more than {MOST_LEVELS}: "
            "leave one of them out, or choose columns with fewer values."
        )
        raise ResultsError(message)
    level, by_level = divmod(found, max(len(inner), 1))
    names = {"level": np.array(outer.labels)[level], "by_level": np.array(inner.labels)[by_level]}
    return pd.DataFrame(names, dtype="str"), codes.astype(np.intp)


def _means(cells: pd.DataFrame, n_groups: int, confidence: float) -> pd.DataFrame:
    own = cells.groupby("group")[0]
    columns = {"mean": own.mean(), "sd": own.std(), "median": own.median()}
    columns |= {name: own.quantile(at) for name, at in (("q1", 0.25), ("q3", 0.75))}
    rows = pd.DataFrame(columns).reindex(range(n_groups))
    n = own.size().reindex(range(n_groups), fill_value=0)
    low, high = intervals.mean_interval(rows["mean"], rows["sd"], n, confidence)
    return rows.assign(mean_low=low, mean_high=high)


def _shares(cells: pd.DataFrame, n_groups: int, confidence: float) -> pd.DataFrame:
    own = cells.groupby("group")[[*range(len(BUCKET_LEVELS))]]
    share, variance = (
        table.reindex(range(n_groups)).to_numpy(np.float64) for table in (own.mean(), own.var())
    )
    n = own.size().reindex(range(n_groups), fill_value=0).to_numpy(np.float64)[:, None]
    inverse = (1 / cells["n"]).groupby(cells["group"]).sum().reindex(range(n_groups))
    with np.errstate(divide="ignore"):
        # So many recordings of equal weight would tell as much, were all independent (Kish 1965).
        most = n**2 / inverse.to_numpy(np.float64)[:, None]
        low, high = intervals.share_interval(share, variance / n, n, confidence, most)
    columns = intervals.with_ends(
        "proportion", *(numbers.ravel() for numbers in (share, low, high))
    )
    columns["score"] = np.tile(BUCKET_LEVELS, n_groups)
    return pd.DataFrame(columns, index=np.repeat(np.arange(n_groups), len(BUCKET_LEVELS)))


def _counts(scores: Floats, groups: Codes, cells: pd.DataFrame, n_groups: int) -> dict[str, Any]:
    recordings = np.bincount(groups, minlength=n_groups)
    scored = np.bincount(groups[~np.isnan(scores)], minlength=n_groups)
    people = np.bincount(cells["group"], minlength=n_groups)
    of_one = cells.groupby("group")["n"].max().reindex(range(n_groups), fill_value=0).to_numpy()
    return {
        "recordings": recordings,
        "scored": scored,
        "missing": recordings - scored,
        "participants_scored": people,
        "note": list(map(intervals.part_note, people, of_one / np.maximum(scored, 1))),
    }


def _missing_why(prepared: PreparedResults, groups: Codes, n_groups: int) -> dict[str, list[str]]:
    """Count for each biomarker the reasons of missing scores in each group, the most frequent first."""
    missing = np.column_stack([np.isnan(values) for values in prepared.scores.values()])
    rows: Flags = np.array(missing.any(axis=1), dtype=bool)
    codes, names = pd.factorize(prepared.missing_reasons(rows)[rows], sort=True)
    place, why = groups[rows] * len(names) + codes, {}
    for biomarker, own in zip(prepared.names, missing[rows].T, strict=True):
        counts = np.bincount(place[own], minlength=n_groups * len(names))
        why[biomarker] = [
            "; ".join(
                f"{each[at]} {names[at]}" for at in np.argsort(-each, kind="stable") if each[at]
            )
            for each in counts.reshape(n_groups, len(names))
        ]
    return why


def _cautions(summary: pd.DataFrame) -> list[str]:
    cautions = []
    for note, rows in summary.dropna(subset="note").groupby("note", sort=False):
        named = rows[[name for name in ("level", "by_level") if name in rows]].drop_duplicates()
        cautions.append(f"{', '.join(named.agg(' '.join, axis='columns'))}: {note}")
    return cautions
