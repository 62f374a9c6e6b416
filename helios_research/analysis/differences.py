"""Differences of figures, until they draw what compare_by_tag gives."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from helios_research.analysis.bootstrap import (
    Bootstrap,
    difference_intervals,
    score_ratios,
    sum_clusters,
)
from helios_research.analysis.comparisons import levels_against
from helios_research.analysis.prepared import Codes, PreparedResults, Results, prepare
from helios_research.columns import BUCKET_LEVELS

DIFFERENCE_COLUMNS = (
    *("tag", "reference", "level", "biomarker", "bucketed", "score"),
    *("participants_reference", "participants_level", "participants_both"),
    *("difference", "difference_low", "difference_high", "note"),
)
_ONE_SIDED = "Fewer than two participants on one side."


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
