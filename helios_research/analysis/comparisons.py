"""Compare the levels of a tag, with participants as the unit."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from helios_research.analysis.bootstrap import check_choice, check_confidence
from helios_research.analysis.effects import (
    TOO_FEW,
    EffectEstimate,
    MixedFit,
    compare_means,
    compare_paired_means,
    compare_paired_ranks,
    compare_ranks,
    fit_random_intercept,
    no_test,
)
from helios_research.analysis.levels import NOT_GIVEN, Levels
from helios_research.analysis.prepared import (
    Codes,
    Flags,
    Floats,
    Results,
    bucket_steps,
    prepare,
)
from helios_research.columns import Biomarker
from helios_research.errors import ResultsError

MOST_COMPARED = 60
NOT_ALL_COMPARED = "Some levels could not be compared"


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
    warnings = [f"{n:,} recordings without a value of {tag!r} are left out."] if n else []
    return Levels(codes, tuple(names), levels.ordered_by), warnings


def compare_by_tag(
    results: Results,
    tag: str,
    *,
    reference: str | None = None,
    biomarkers: str | Sequence[str] | None = None,
    confidence: float = 0.95,
    repeated: Literal["mixed model", "participant means"] = "mixed model",
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
    participants' means a tenth of a second: see ``repeated``.

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
    confidence
        Coverage of the intervals, between 0 and 1.
    repeated
        What to do with several recordings of a participant: "mixed model" uses all of them with
        a random intercept per participant; "participant means" averages them first (quicker;
        participants with one recording then weigh as much as those with many).

    Returns
    -------
    DataFrame
        A row per biomarker and level other than the reference. ``converged`` is null where no
        mixed model was fitted; ``sentence`` says what was done.

    Raises
    ------
    ResultsError
        If a column or the reference is missing, there are not two to 60 levels, or a setting is
        not valid.

    Examples
    --------
    >>> found = compare_by_tag("datasets/shift_study_results.parquet", "arm")
    >>> found.set_index("biomarker").loc["uniform_sleep_propensity", "test"]
    'linear mixed model'
    """
    check_confidence(confidence)
    ways = ("mixed model", "participant means")
    check_choice("way to treat repeated recordings", repeated, ways)
    prepared = prepare(results, [tag], biomarkers=biomarkers)
    levels, warnings = levels_against(prepared.levels[tag], tag, reference)
    by_model = repeated == "mixed model"
    rows = []
    for marker in prepared.biomarkers:
        values = prepared.scores[marker.name]
        took_part = ~np.isnan(values) & (levels.codes >= 0)
        scores = _Scores(values, levels.codes, prepared.people).of(took_part)
        found = _compare(scores, marker, len(levels), confidence, by_model=by_model)
        for level, estimate in enumerate(found, start=1):
            row = {"tag": tag, "reference": levels.labels[0], "level": levels.labels[level]}
            rows.append({**row, **_counts(scores, marker, level), **asdict(estimate)})
    compared = pd.DataFrame(rows).astype({"converged": "boolean"})
    compared.insert(list(compared).index("converged"), "p_holm", _holm(compared["p"]))
    return prepared.finish(compared, _method(confidence), [*warnings, *_cautions(compared)])


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
    scores: _Scores, marker: Biomarker, n_levels: int, confidence: float, *, by_model: bool
) -> list[EffectEstimate]:
    if by_model and not marker.bucketed and len(np.unique(scores.people)) < len(scores.people):
        return _compare_by_model(scores, n_levels, confidence)
    own, tests = (_medians(scores), _RANK_TESTS) if marker.bucketed else (_means(scores), _T_TESTS)
    return [_by_design(own, level, tests, confidence) for level in range(1, n_levels)]


# --- participants' own numbers --------------------------------------------------------------------

# Between participants, then within them.
_Tests = tuple[Callable[[Floats, Floats, float], EffectEstimate], ...]
_T_TESTS: _Tests = (compare_means, compare_paired_means)
_RANK_TESTS: _Tests = (compare_ranks, compare_paired_ranks)


def _means(scores: _Scores) -> "pd.Series[float]":
    """Average the scores of each participant at each level."""
    return pd.Series(scores.score).groupby([scores.levels, scores.people]).mean()


def _medians(scores: _Scores) -> "pd.Series[float]":
    """Take the median step of each participant at each level."""
    steps = pd.Series(bucket_steps(scores.score), dtype=np.float64)
    # The lower of two middle levels: halfway between two ordered levels is not a level.
    return steps.groupby([scores.levels, scores.people]).quantile(0.5, interpolation="lower")


def _by_design(
    own: "pd.Series[float]", level: int, tests: _Tests, confidence: float
) -> EffectEstimate:
    """Test within participants where at least half have both levels, else between them."""
    here, there = (own[own.index.get_level_values(0) == side].droplevel(0) for side in (level, 0))
    both = here.index.intersection(there.index)
    everyone = here.index.union(there.index)
    if len(both) and 2 * len(both) >= len(everyone):
        test, sides = tests[1], (there[both], here[both])
        left_out, why = len(everyone) - len(both), "who have only one of them"
    else:
        test, sides = tests[0], (there.drop(both), here.drop(both))
        left_out, why = len(both), "who have both"
    reference, compared = (np.asarray(side, dtype=np.float64) for side in sides)
    found = test(reference, compared, confidence)
    left = f" {left_out} {why} are left out." if left_out else ""
    return replace(found, sentence=f"{found.sentence}{left}")


# --- the mixed model ------------------------------------------------------------------------------


def _compare_by_model(scores: _Scores, n_levels: int, confidence: float) -> list[EffectEstimate]:
    """Fit all levels that at least two participants have in one model."""
    usable = [level for level in range(n_levels) if len(scores.people_at(level)) >= 2]
    if usable[:1] != [0] or len(usable) < 2:
        return [no_test(TOO_FEW)] * (n_levels - 1)
    kept = scores.of(np.isin(scores.levels, usable))
    numbered = replace(kept, levels=np.searchsorted(usable, kept.levels))
    if np.ptp(kept.score) < 1e-12:
        return [no_test("All scores are the same: no test.", 0.0)] * (n_levels - 1)
    fit = fit_random_intercept(numbered.score, numbered.levels, numbered.people)
    estimates = []
    for level in range(1, n_levels):
        if level not in usable:
            estimates.append(no_test(TOO_FEW))
        elif fit.converged:
            estimates.append(_from_model(fit, usable.index(level), numbered, confidence))
        else:
            found = _by_design(_means(scores), level, _T_TESTS, confidence)
            sentence = f"{found.sentence} The mixed model did not converge ({fit.problem})."
            estimates.append(replace(found, sentence=sentence, converged=False))
    return estimates


def _from_model(fit: MixedFit, level: int, scores: _Scores, confidence: float) -> EffectEstimate:
    difference = float(fit.differences[level - 1])
    error = float(fit.standard_errors[level - 1])
    df, wording = _freedom(scores)
    if df < 1:
        return no_test("Too few participants for the number of levels: not compared.", difference)
    margin = float(stats.t.ppf((1 + confidence) / 2, df)) * error
    total = float(np.sqrt(fit.person_variance + fit.residual_variance))
    low, high = difference - margin, difference + margin
    boundary = " The variance between participants came out as zero." if fit.on_boundary else ""
    return EffectEstimate(
        test="linear mixed model",
        sentence="Linear mixed model (REML) with a random intercept per participant on "
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


def _holm(p: "pd.Series[float]") -> "pd.Series[float]":
    """Correct p-values for their number (Holm 1979), leaving out those that are missing."""
    known = p.dropna().sort_values(kind="stable")
    return (known * np.arange(len(known), 0, -1)).cummax().clip(upper=1)


def _method(confidence: float) -> str:
    return (
        f"Levels are compared with participants as the unit, with {100 * confidence:g} % "
        "intervals; bucketed biomarkers by rank tests. p_holm is corrected by Holm's method over "
        "all tests of this table. What was done in each row is in its sentence."
    )


def _cautions(compared: pd.DataFrame) -> list[str]:
    cautions = []
    if compared["converged"].eq(other=False).any():
        cautions.append("A mixed model did not converge; participants' means were compared.")
    if (compared["test"] == "").any():
        cautions.append(f"{NOT_ALL_COMPARED}: see the column sentence.")
    return cautions
