"""Compare the levels of a tag, with participants as the unit."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from helios_research.analysis.bootstrap import check_confidence
from helios_research.analysis.effects import (
    Estimate,
    MixedFit,
    compare_means,
    compare_paired_means,
    compare_paired_ranks,
    compare_ranks,
    fit_random_intercept,
    nothing,
)
from helios_research.analysis.prepared import (
    NOT_GIVEN,
    Codes,
    Flags,
    Floats,
    Results,
    bucket_steps,
    choose_biomarkers,
    finished,
    levels_of,
    load_results,
    people_of,
    scores_of,
)
from helios_research.columns import Biomarker
from helios_research.errors import ResultsError

MOST_COMPARED = 60
NOT_ALL_COMPARED = "Some levels could not be compared"

COMPARISON_COLUMNS = (
    *("tag", "reference", "level", "biomarker", "bucketed"),
    *("recordings_reference", "recordings_level"),
    *("participants_reference", "participants_level", "participants_both"),
    *("difference", "difference_low", "difference_high"),
    *("effect_name", "effect", "effect_low", "effect_high"),
    *("test", "statistic", "df", "p", "p_holm", "converged", "sentence"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How levels are compared.

    Attributes
    ----------
    confidence
        Coverage of the intervals, between 0 and 1.
    repeated
        What to do with several recordings of a participant: "mixed model" uses all of them with
        a random intercept per participant; "participant means" averages them first (quicker;
        participants with one recording then weigh as much as those with many).
    """

    confidence: float = 0.95
    repeated: Literal["mixed model", "participant means"] = "mixed model"

    def __post_init__(self) -> None:
        """Refuse settings that have no meaning."""
        check_confidence(self.confidence)
        if self.repeated not in ("mixed model", "participant means"):
            message = (
                f"Unknown way {self.repeated!r} to treat repeated recordings: "
                "choose 'mixed model' or 'participant means'."
            )
            raise ResultsError(message)


@dataclass(frozen=True, slots=True)
class _Scores:
    """The scores of one biomarker that take part; ``levels`` counts from 0, the reference."""

    score: Floats
    levels: Codes
    people: Codes

    def of(self, rows: Flags) -> "_Scores":
        return _Scores(self.score[rows], self.levels[rows], self.people[rows])

    def people_at(self, level: int) -> Codes:
        return np.unique(self.people[self.levels == level])


def compare_by_tag(
    results: Results,
    tag: str,
    *,
    reference: str | None = None,
    biomarkers: str | Sequence[str] | None = None,
    settings: Comparison | None = None,
) -> pd.DataFrame:
    """Compare each level of a tag with a reference level.

    Continuous biomarkers, with several recordings of a participant: a linear mixed model (REML,
    statsmodels) with the tag as fixed effect and a random intercept per participant, so that it
    holds for tags between participants (arm) and within them (visit). Intervals use t with
    degrees of freedom between participants (participants less levels) or, where most participants
    have several levels, within them (Schluchter & Elashoff 1990). The effect is the difference
    over the total SD, the root of the sum of both variances (Westfall, Kenny & Judd 2014); its
    interval takes that SD as known. With one recording each, or where the model does not
    converge: Welch's t-test, or a paired one, on participants' means.

    Bucketed biomarkers are ordinal and get rank tests on each participant's (lower) median:
    Brunner-Munzel between participants, Wilcoxon's signed-rank test where at least half of them
    have both levels. No differences of means are given.

    A mixed model of 100,000 recordings and two levels takes four to nine seconds per biomarker,
    participants' means a tenth of a second: see ``Comparison.repeated``.

    p-values are corrected with Holm's method (1979) over all tests of the table. Checked against
    pingouin, the closed form of balanced data, and published examples.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    tag
        The column whose levels are compared.
    reference
        The level that the others are compared with; None means the first.
    biomarkers
        One or several; None means all.
    settings
        Confidence and the treatment of repeated recordings; None means the defaults.

    Returns
    -------
    DataFrame
        A row per biomarker and level other than the reference. ``converged`` is null where no
        mixed model was fitted; ``sentence`` says what was done. ``attrs`` has "method",
        "warnings", "sources" and "source_note".

    Raises
    ------
    ResultsError
        If a column or the reference is missing, or there are not two to 60 levels.

    Examples
    --------
    >>> found = compare_by_tag("datasets/shift_study_results.parquet", "arm")
    >>> found.set_index("biomarker").loc["uniform_sleep_propensity", "test"]
    'linear mixed model'
    """
    settings = settings or Comparison()
    table = load_results(results, [tag])
    markers = choose_biomarkers(table, biomarkers)
    codes, names = _ordered_levels(table, tag, reference)
    people, _ = people_of(table)
    rows = []
    for marker in markers:
        values = scores_of(table, marker.name)
        took_part = ~np.isnan(values) & (codes >= 0)
        scores = _Scores(values, codes, people).of(took_part)
        found = _compare(scores, marker, len(names), settings)
        for level, estimate in enumerate(found, start=1):
            row = {"tag": tag, "reference": names[0], "level": names[level]}
            rows.append({**row, **_counts(scores, marker, level), **asdict(estimate)})
    compared = pd.DataFrame(rows).reindex(columns=list(COMPARISON_COLUMNS))
    compared["p_holm"] = _holm(compared["p"].to_numpy(dtype=np.float64))
    compared["converged"] = compared["converged"].astype("boolean")
    return finished(compared, table, _method(settings), _cautions(compared, codes))


def _ordered_levels(
    table: pd.DataFrame, tag: str, reference: str | None
) -> tuple[Codes, list[str]]:
    """Give the levels numbers, with the reference as 0 and rows without a level as -1."""
    levels = levels_of(table, tag)
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
    return place[levels.codes].astype(np.intp), names


def _counts(scores: _Scores, marker: Biomarker, level: int) -> dict[str, object]:
    here, there = scores.people_at(level), scores.people_at(0)
    return {
        "biomarker": marker.name,
        "bucketed": marker.bucketed,
        "recordings_reference": int((scores.levels == 0).sum()),
        "recordings_level": int((scores.levels == level).sum()),
        "participants_reference": len(there),
        "participants_level": len(here),
        "participants_both": len(np.intersect1d(here, there)),
    }


def _compare(
    scores: _Scores, marker: Biomarker, n_levels: int, settings: Comparison
) -> list[Estimate]:
    if marker.bucketed:
        return [_compare_ordinal(scores, level, settings) for level in range(1, n_levels)]
    repeated = len(np.unique(scores.people)) < len(scores.people)
    if repeated and settings.repeated == "mixed model":
        return _compare_by_model(scores, n_levels, settings)
    return [_compare_by_means(scores, level, settings) for level in range(1, n_levels)]


# --- participants' own numbers --------------------------------------------------------------------


def _compare_ordinal(scores: _Scores, level: int, settings: Comparison) -> Estimate:
    in_steps = replace(scores, score=bucket_steps(scores.score).astype(np.float64))
    return _by_design(
        in_steps, level, _lower_median, (compare_ranks, compare_paired_ranks), settings
    )


def _compare_by_means(scores: _Scores, level: int, settings: Comparison) -> Estimate:
    return _by_design(scores, level, _mean, (compare_means, compare_paired_means), settings)


def _by_design(
    scores: _Scores,
    level: int,
    reduce: "Callable[[pd.Series[float]], pd.Series[float]]",
    tests: tuple[Callable[[Floats, Floats, float], Estimate], ...],
    settings: Comparison,
) -> Estimate:
    """Test within participants where at least half have both levels, else between them."""
    here, there = (
        reduce(pd.Series(own.score, index=own.people))
        for own in (scores.of(scores.levels == level), scores.of(scores.levels == 0))
    )
    both = here.index.intersection(there.index)
    anyone = here.index.union(there.index)
    between, within = tests
    if len(both) and 2 * len(both) >= len(anyone):
        found = within(_floats(there[both]), _floats(here[both]), settings.confidence)
        left_out, why = len(anyone) - len(both), "who have only one of them"
    else:
        there, here = there.drop(both), here.drop(both)
        found = between(_floats(there), _floats(here), settings.confidence)
        left_out, why = len(both), "who have both"
    return _with_sentence(found, f"{left_out} {why} are left out." if left_out else "")


def _with_sentence(estimate: Estimate, sentence: str) -> Estimate:
    return replace(estimate, sentence=f"{estimate.sentence} {sentence}".strip())


def _floats(values: "pd.Series[float]") -> Floats:
    return np.asarray(values, dtype=np.float64)


def _mean(values: "pd.Series[float]") -> "pd.Series[float]":
    return values.groupby(level=0).mean()


def _lower_median(values: "pd.Series[float]") -> "pd.Series[float]":
    # The lower of two middle levels: halfway between two ordered levels is not a level.
    return values.groupby(level=0).quantile(0.5, interpolation="lower")


# --- the mixed model ------------------------------------------------------------------------------


def _compare_by_model(scores: _Scores, n_levels: int, settings: Comparison) -> list[Estimate]:
    """Fit all levels that at least two participants have in one model."""
    usable = [level for level in range(n_levels) if len(scores.people_at(level)) >= 2]
    if usable[:1] != [0] or len(usable) < 2:
        return [nothing("Fewer than two participants on one side: not compared.")] * (n_levels - 1)
    kept = scores.of(np.isin(scores.levels, usable))
    numbered = replace(kept, levels=np.searchsorted(usable, kept.levels))
    if np.ptp(kept.score) < 1e-12:
        return [nothing("All scores are the same: no test.", 0.0)] * (n_levels - 1)
    fit = fit_random_intercept(numbered.score, numbered.levels, numbered.people)
    estimates = []
    for level in range(1, n_levels):
        if level not in usable:
            estimates.append(nothing("Fewer than two participants on one side: not compared."))
        elif fit.converged:
            estimates.append(_from_model(fit, usable.index(level), numbered, settings))
        else:
            estimates.append(_instead_of_model(fit, scores, level, settings))
    return estimates


def _from_model(fit: MixedFit, level: int, scores: _Scores, settings: Comparison) -> Estimate:
    difference = float(fit.differences[level - 1])
    error = float(fit.standard_errors[level - 1])
    df, wording = _freedom(scores)
    if df < 1:
        return nothing("Too few participants for the number of levels: not compared.", difference)
    margin = float(stats.t.ppf((1 + settings.confidence) / 2, df)) * error
    total = float(np.sqrt(fit.person_variance + fit.residual_variance))
    low, high = difference - margin, difference + margin
    boundary = " The variance between participants came out as zero." if fit.on_boundary else ""
    return Estimate(
        "linear mixed model",
        f"Linear mixed model (REML) with a random intercept per participant on "
        f"{len(scores.score):,} recordings of {len(np.unique(scores.people)):,} participants; it "
        f"converged; t with {df:,} degrees of freedom ({wording}); the effect is the difference "
        f"over the total SD.{boundary}",
        statistic=difference / error,
        df=float(df),
        p=float(2 * stats.t.sf(abs(difference / error), df)),
        difference=difference,
        difference_low=low,
        difference_high=high,
        effect_name="difference / total SD",
        effect=difference / total,
        effect_low=low / total,
        effect_high=high / total,
        converged=True,
    )


def _instead_of_model(fit: MixedFit, scores: _Scores, level: int, settings: Comparison) -> Estimate:
    found = _compare_by_means(scores, level, settings)
    found = _with_sentence(found, f"The mixed model did not converge ({fit.problem}).")
    return replace(found, converged=False)


def _freedom(scores: _Scores) -> tuple[int, str]:
    """Count the degrees of freedom that the comparison has.

    Where only a few participants change level, what is known comes from comparing people, so
    the smaller number is used until half of them do.
    """
    pairs = np.unique(np.column_stack([scores.people, scores.levels]), axis=0)
    levels_each = np.unique(pairs[:, 0], return_counts=True)[1]
    n_people, n_levels = len(levels_each), int(scores.levels.max()) + 1
    if 2 * (levels_each > 1).sum() >= n_people:
        within = "within participants, who are taken to change alike"
        return len(scores.score) - n_people - (n_levels - 1), within
    return n_people - n_levels, "between participants"


# --- the table as a whole -------------------------------------------------------------------------


def _holm(p: Floats) -> Floats:
    """Correct p-values for their number (Holm 1979), leaving out those that are missing."""
    corrected = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return corrected


def _method(settings: Comparison) -> str:
    return (
        f"Levels are compared with participants as the unit, with {100 * settings.confidence:g} % "
        "intervals; bucketed biomarkers by rank tests. p_holm is corrected by Holm's method over "
        "all tests of this table. What was done in each row stands in its sentence."
    )


def _cautions(compared: pd.DataFrame, codes: Codes) -> list[str]:
    cautions = []
    if (codes < 0).any():
        tag = compared["tag"].iloc[0]
        cautions.append(
            f"{(codes < 0).sum():,} recordings without a value of {tag!r} are left out."
        )
    if compared["converged"].eq(other=False).any():
        cautions.append("A mixed model did not converge; participants' means were compared.")
    if (compared["test"] == "").any():
        cautions.append(f"{NOT_ALL_COMPARED}: see the column sentence.")
    return cautions
