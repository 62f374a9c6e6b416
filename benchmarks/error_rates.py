"""How often intervals miss and tests find what is not there, in studies whose truth is known.

Run it with ``python benchmarks/error_rates.py [REPLICATES]``, 400 unless given. It prints tables in
Markdown, with what is out of bounds in bold, and repeats those cells at the end.

A latent score is normal with variance 1, of which ``share`` lies between people. A continuous score
is a function of it, a four-level score is it cut into four. Nothing differs and nothing changes on
average: every p below 0.05 is a false finding. At 400 replicates an honest 5 % shows 3 to 7 %.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import get_context

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri

from helios_research.analysis import (
    attrition,
    baseline,
    compare_by_tag,
    compare_change,
    missingness_by_tag,
    reliability,
    summarize_by_tag,
)
from helios_research.analysis.missingness import RECORDING_FAILED
from helios_research.columns import BIOMARKERS, BUCKET_LEVELS

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Rng = np.random.Generator
Layout = Callable[[Rng, int], tuple[Codes, Codes]]
Counts = Callable[[Rng, int], Codes]

CONTINUOUS = [marker.name for marker in BIOMARKERS if not marker.bucketed]
BUCKETED = [marker.name for marker in BIOMARKERS if marker.bucketed]

# --- who has how many recordings at which level -------------------------------------------------


def each(number: int) -> Counts:
    return lambda _, n: np.full(n, number)


def between(least: int, most: int) -> Counts:
    return lambda rng, n: rng.integers(least, most + 1, n)


def geometric(rng: Rng, n: int) -> Codes:
    return rng.geometric(0.2, n)


def one_has_500(people: int = 1) -> Counts:
    """Give the first of them 500 recordings, all others 1 to 7."""
    return lambda rng, n: np.where(np.arange(n) < people, 500, rng.integers(1, 8, n))


def arms(first: Counts, second: Counts | None = None, every: int = 2) -> Layout:
    """Put one of ``every`` so many people into the second arm."""

    def layout(rng: Rng, n: int) -> tuple[Codes, Codes]:
        arm = (np.arange(n) % every == every - 1).astype(np.intp)
        counts = np.where(arm == 0, first(rng, n), (second or first)(rng, n))
        return np.repeat(np.arange(n), counts), np.repeat(arm, counts)

    return layout


def groups(counts: Counts) -> Layout:
    """Make two arms of n people each."""
    layout = arms(counts)
    return lambda rng, n: layout(rng, 2 * n)


def visits(number: int) -> Layout:
    return lambda _, n: (np.repeat(np.arange(n), number), np.tile(np.arange(number), n))


def conditions(first: int, second: int, both: float = 1.0) -> Layout:
    """Give a share of people both conditions, the others one each."""

    def layout(_: Rng, n: int) -> tuple[Codes, Codes]:
        person = np.repeat(np.arange(n), first + second)
        level = np.tile(np.repeat([0, 1], [first, second]), n)
        kept = (person < both * n) | (person % 2 == level)
        return person[kept], level[kept]

    return layout


def sites(_: Rng, n: int) -> tuple[Codes, Codes]:
    """Record half of the people at sites 1 and 2, the others at 3, three times at each."""
    person = np.repeat(np.arange(n), 9)
    level = np.tile(np.repeat([0, 1, 2], 3), n)
    kept = (level == 2) == (person >= n / 2)
    return person[kept], level[kept]


# --- what is simulated --------------------------------------------------------------------------


@dataclass(frozen=True)
class Design:
    """A kind of study, and what is counted in it: ``measure`` gives 0 or 1 per chance to err.

    People differ by ``share`` of the variance, in their change up to the last level by
    ``change_sd`` (the total SD is 1), and in the log of how much they vary by ``people_sd``.
    """

    name: str
    layout: Layout
    measure: Callable[["Design", Rng, int], Floats]
    share: float = 0.5
    score: Callable[[Floats], Floats] = ndtr
    cuts: tuple[float, ...] = ()
    noise: str = "normal"
    change_sd: float = 0.0
    second_sd: float = 1.0
    people_sd: float = 0.0
    what: str = ""
    rate: float = 0.0
    people: tuple[int, ...] = (6, 12, 20, 60)
    at_least: float = -np.inf
    at_most: float = np.inf

    @property
    def columns(self) -> list[str]:
        """Name the biomarkers that hold a study each."""
        return BUCKETED if self.cuts else CONTINUOUS

    def scores(self, latent: Floats) -> Floats:
        """Turn latent scores into those that Helios gives."""
        if not self.cuts:
            return self.score(latent)
        return np.array(BUCKET_LEVELS)[np.searchsorted(ndtri(self.cuts), latent)]

    def latent(self, rng: Rng, person: Codes, level: Codes) -> Floats:
        """Draw independent studies with the same recordings, a column each."""
        n, k = int(person.max()) + 1, len(self.columns)
        own, change, spread = rng.normal(size=(3, n, k))
        noise = self._noise(rng, len(person), k, person) * np.exp(self.people_sd * spread)[person]
        drawn = np.sqrt(self.share) * own[person] + np.sqrt(1 - self.share) * noise
        dose = (level / max(level.max(), 1))[:, None]
        return (drawn + dose * self.change_sd * change[person]) * self.second_sd**dose

    def _noise(self, rng: Rng, rows: int, k: int, person: Codes) -> Floats:
        if self.noise == "t4":
            return rng.standard_t(4, (rows, k)) / np.sqrt(2)
        noise = rng.normal(size=(rows, k))
        if self.noise == "AR(1)":
            for row in np.flatnonzero(person[1:] == person[:-1]) + 1:
                noise[row] = 0.5 * noise[row - 1] + np.sqrt(0.75) * noise[row]
        return noise

    def table(self, rng: Rng, n: int) -> pd.DataFrame:
        """Make the results of studies with n people."""
        person, level = self.layout(rng, n)
        made = self.scores(self.latent(rng, person, level))
        return results(person, level).assign(**dict(zip(self.columns, made.T, strict=True)))

    @cached_property
    def truth(self) -> dict[str, float]:
        """Integrate over people and recordings: means, shares of levels, agreement."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(150)
        weights /= weights.sum()
        own, noise = np.sqrt(self.share) * nodes[:, None], np.sqrt(1 - self.share) * nodes
        if self.cuts:
            below = ndtr((ndtri(self.cuts) - own) / np.sqrt(1 - self.share))
            chance = np.diff(below, axis=1, prepend=0, append=1)
            level = weights @ chance
            middle = np.cumsum(level) - level / 2
            apart = (middle[:, None] - middle) ** 2
            observed = ((chance.T * weights) @ chance * apart).sum()
            return {"alpha": 1 - float(observed / (level @ apart @ level))}
        value = self.score(own + noise)
        mean, square = value @ weights, value**2 @ weights
        within = float((square - mean**2) @ weights)
        total = float(square @ weights - (mean @ weights) ** 2)
        within_sd = np.sqrt(within) * np.exp(self.people_sd**2)
        return {"mean": float(mean @ weights), "icc": 1 - within / total, "within_sd": within_sd}


def results(person: Codes, level: Codes) -> pd.DataFrame:
    text = {
        "recording_id": np.char.add("r", np.arange(len(person)).astype(str)),
        "user_label": np.char.add("p", person.astype(str)),
        "level": (level + 1).astype(str),
        "arm": np.where(person % 2, "treated", "control"),
    }
    table = pd.DataFrame(text, dtype="str")
    return table.assign(outcome="scored", error_code=pd.Series(dtype="str"), source="sandbox")


# --- what is counted ----------------------------------------------------------------------------


def within(low: "pd.Series[float]", high: "pd.Series[float]", truth: float) -> Floats:
    """Say whether intervals hold the truth; NaN where there is no interval."""
    inside = ((low <= truth) & (truth <= high)).astype(float)
    return inside.where(low.notna()).to_numpy(dtype=float)


def rejected(p: "pd.Series[float]") -> Floats:
    return (p < 0.05).astype(float).where(p.notna()).to_numpy(dtype=float)


def summary_covers(design: Design, rng: Rng, n: int) -> Floats:
    found = summarize_by_tag(design.table(rng, n), "level", biomarkers=design.columns)
    if not design.cuts:
        return within(found["mean_low"], found["mean_high"], design.truth["mean"])
    found = found[found["score"] == {"lowest": 0.0, "highest": 1.0}[design.what]]
    return within(found["proportion_low"], found["proportion_high"], design.rate)


def false_difference(design: Design, rng: Rng, n: int) -> Floats:
    """Compare the last level with the first."""
    found = compare_by_tag(design.table(rng, n), "level", reference="1", biomarkers=design.columns)
    return rejected(found.loc[found["level"] == found["level"].iloc[-1], "p"])


def false_change(design: Design, rng: Rng, n: int) -> Floats:
    """Compare how two arms change."""
    found = compare_change(design.table(rng, n), "arm", over="level", biomarkers=design.columns)
    return rejected(found.loc[found["contrast"].str.startswith(design.what), "p"])


def reliability_covers(design: Design, rng: Rng, n: int) -> Floats:
    found = reliability(design.table(rng, n), biomarkers=design.columns)
    column = "within_sd" if design.what == "within_sd" else "coefficient"
    return within(found[f"{column}_low"], found[f"{column}_high"], design.truth[design.what])


def outside_baseline(design: Design, rng: Rng, n: int) -> Floats:
    """Count later recordings of stable people: unusual ones, people with one, z beyond 1.96."""
    own = baseline(design.table(rng, n), biomarkers=design.columns, order="level", first=3)
    later = own[~own["in_baseline"]].set_index(["biomarker", "user_label"])
    odd = later["z"].abs() > 1.96 if design.what == "z" else later["outside_usual"]
    odd = odd.astype("Float64")
    if design.what == "people":
        odd = odd.groupby(level=[0, 1]).max()
    return odd.groupby(level=0).mean().to_numpy(dtype=float, na_value=np.nan)


def unequal_failures(design: Design, rng: Rng, n: int) -> Floats:
    """Let recordings fail at a rate that differs between people and is the same in both arms."""
    person, level = design.layout(rng, n)
    failed = design.latent(rng, person, level)[:, 0] < ndtri(design.rate)
    table = results(person, level).assign(mental_strain=np.where(failed, np.nan, 0.5))
    table["outcome"] = np.where(failed, "failed", "scored")
    table["error_code"] = pd.Series(np.where(failed, "ERR_SHORT_SPEECH", None), dtype="str")
    found = missingness_by_tag(table, "level", also=())
    found = found[found["reason"] == RECORDING_FAILED]
    if design.what == "rate":
        return within(found["rate_low"], found["rate_high"], design.rate)
    return rejected(found["p"])[:1]


def departures(design: Design, rng: Rng, n: int) -> Floats:
    """Let people of one arm leave after a visit, most of all those who scored high."""
    table = design.table(rng, n).rename(columns={"level": "visit"})
    score, treated = CONTINUOUS[0], table["arm"] == "treated"
    leaves = treated & (rng.random(len(table)) < 0.6 * expit(10 * (table[score] - 0.6)))
    visit = table["visit"].astype(int)
    last = visit.where(leaves).groupby(table["user_label"]).transform("min").fillna(visit.max())
    table, treated = table[visit <= last], treated[visit <= last]
    if design.what == "silence":
        found = attrition(table, "visit", by="arm", expected=int(visit.max()))
        return np.array([not found.attrs["warnings"]], dtype=float)
    if design.what == "fall":
        means = summarize_by_tag(table[treated], "visit", biomarkers=score)["mean"]
        return np.array([means.iloc[-1] - means.iloc[0]])
    compare = {"arm": compare_by_tag, "trend": compare_change}[design.what]
    return rejected(compare(table, "arm", biomarkers=score)["p"])[-1:]


# --- the designs --------------------------------------------------------------------------------


def linear(latent: Floats) -> Floats:
    return 0.5 + 0.06 * latent


def skewed(latent: Floats) -> Floats:
    return ndtr(latent) ** 3


def near_ceiling(latent: Floats) -> Floats:
    return ndtr(latent + 1.5)


QUARTERS, CEILING, RARE = (0.25, 0.5, 0.75), (0.02, 0.1, 0.3), (0.05, 0.4, 0.8)
varied, one_500, ones_500 = between(1, 14), arms(one_has_500()), groups(one_has_500(2))
few_to_many = arms(between(1, 4), between(10, 14))

mean = partial(Design, measure=summary_covers, at_least=0.91, people=(3, 6, 12, 20, 60))
share = partial(mean, cuts=RARE, what="highest", rate=0.2)
rare = partial(mean, cuts=RARE, what="lowest", rate=0.05)
points = partial(Design, measure=false_difference, at_most=0.08, score=linear)
levels = partial(Design, measure=false_difference, at_most=0.08, cuts=QUARTERS)
change = partial(Design, measure=false_change, at_most=0.08, what="level 2")
trend = partial(Design, layout=visits(14), measure=false_change, at_most=0.08, what="trend")
agree = partial(Design, measure=reliability_covers, at_least=0.87, score=linear)
icc, alpha = partial(agree, what="icc"), partial(agree, what="alpha", cuts=QUARTERS)
sd = partial(agree, layout=arms(varied), what="within_sd")
stable = partial(Design, layout=visits(14), measure=outside_baseline, people=(12, 60))
leaving = partial(Design, layout=visits(8), measure=departures, share=0.6, people=(60,))
missing = partial(Design, layout=arms(varied), measure=unequal_failures)

SECTIONS: dict[str, list[Design]] = {
    "95 % intervals of summarize_by_tag that hold the truth, n people in the group": [
        mean("mean, 5 recordings each", groups(each(5))),
        mean("mean, 1 to 14 each", groups(varied)),
        mean("mean, skewed, geometric numbers", groups(geometric), score=skewed),
        mean("mean, near the ceiling, 1 each", groups(each(1)), score=near_ceiling),
        mean("mean, one person has 500", ones_500),
        share("share .20, 1 to 14 each", groups(varied)),
        rare("share .05, 1 to 14 each", groups(varied)),
        share("share .20, one person has 500", ones_500),
        rare("share .05, one person has 500", ones_500, at_least=0.86),
    ],
    "False findings of compare_by_tag, continuous scores, n people in all": [
        points("arm, 1 recording", arms(each(1))),
        points("arm, 5 recordings", arms(each(5))),
        points("arm, 1 to 14 recordings", arms(varied)),
        points("arm, one person has 500", one_500),
        points("arm, noise with heavy tails (t4)", arms(varied), noise="t4"),
        points("arm, near the ceiling", arms(varied), score=near_ceiling),
        points("arm 1:2, smaller arm 4 x variance", arms(varied, every=3), second_sd=2.0),
        points("visit 2 against 1", visits(2)),
        points("visit 14 against 1, all change alike", visits(14)),
        points("visit 14 against 1, people differ, SD .5", visits(14), change_sd=0.5),
        points("visit 14 against 1, people differ, SD 1", visits(14), change_sd=1.0),
        points("visit 14 against 1, AR(1) .5", visits(14), noise="AR(1)"),
        points("two conditions, 7 + 7 recordings, alike", conditions(7, 7)),
        points("two conditions, people differ, SD .5", conditions(7, 7), change_sd=0.5),
        points("two conditions, people differ, SD 1", conditions(7, 7), change_sd=1.0),
        points("30 % have both conditions, SD .5", conditions(7, 7, 0.3), change_sd=0.5),
        points("60 % have both, SD .5", conditions(7, 7, 0.6), change_sd=0.5),
        points("half at sites 1 and 2, half at 3; 3 against 1", sites),
    ],
    "False findings of compare_by_tag, four-level scores, n people in all": [
        levels("arm, 1 recording", arms(each(1))),
        levels("arm, 5 recordings", arms(each(5))),
        levels("arm, 5, ceiling", arms(each(5)), cuts=CEILING),
        levels("arm, 2 against 3 recordings", arms(each(2), each(3))),
        levels("arm, 4 against 5", arms(each(4), each(5))),
        levels("arm, 1-4 against 10-14, ceiling", few_to_many, cuts=CEILING),
        levels("arm, one person has 500", one_500),
        levels("paired, 1 + 1", conditions(1, 1)),
        levels("paired, 3 + 3", conditions(3, 3)),
        levels("paired, 2 before, 1 after", conditions(2, 1)),
        levels("paired, 2 before, 3 after", conditions(2, 3)),
    ],
    "False findings of compare_change, arm by time, n people in all": [
        change("visit 2 against 1", visits(2)),
        change("visit 2 against 1, people differ, SD 1", visits(2), change_sd=1.0),
        change("visit 2 against 1, four levels", visits(2), cuts=QUARTERS),
        trend("trend over 14 visits, people differ, SD 1", change_sd=1.0),
        trend("trend over 14 visits, AR(1) .5", noise="AR(1)"),
        trend("trend over 14 visits, four levels, ceiling", cuts=CEILING),
    ],
    "95 % intervals of reliability that hold the truth, n people in all": [
        icc("ICC .5, 3 each", arms(each(3))),
        icc("ICC .5, 1 to 14 each", arms(varied)),
        icc("ICC, near the ceiling, 1 to 14 each", arms(varied), score=near_ceiling),
        icc("ICC .8, one person has 500", one_500, share=0.8),
        sd("within-person SD, people vary alike"),
        sd("within-person SD, people differ (log-SD .3)", people_sd=0.3),
        sd("within-person SD, people differ (log-SD .5)", people_sd=0.5),
        sd("within-person SD, near the ceiling", score=near_ceiling),
        alpha("alpha, share .5, 1 to 14 each", arms(varied)),
        alpha("alpha, one person has 500", one_500),
    ],
    "Later recordings of stable people, after 3 of 14 visits as baseline, n people in all": [
        stable("outside usual", what="recordings"),
        stable("people with at least one", what="people"),
        stable("z beyond 1.96", what="z"),
        stable("outside usual, ceiling", what="recordings", score=near_ceiling),
        stable("people with at least one, ceiling", what="people", score=near_ceiling),
        stable("outside usual, AR(1) .5", what="recordings", noise="AR(1)"),
        stable("people with at least one, AR(1) .5", what="people", noise="AR(1)"),
        stable("outside usual, four levels", what="recordings", cuts=QUARTERS),
    ],
    "missingness_by_tag, arms that fail equally, n people in all": [
        missing("false findings, rate .20", rate=0.2, at_most=0.08),
        missing("false findings, rate .05", rate=0.05, at_most=0.08),
        missing("95 % interval holds the rate, .20", rate=0.2, what="rate", at_least=0.91),
        missing("95 % interval holds the rate, .05", rate=0.05, what="rate", at_least=0.91),
    ],
    "High scorers leave one arm of 30 people over 8 visits; nothing changes, n people in all": [
        leaving("studies without a warning of it", what="silence", at_most=0.0),
        leaving("mean at visit 8 less visit 1 in that arm", what="fall"),
        leaving("false findings, arm", what="arm"),
        leaving("false findings, trend by arm", what="trend", at_most=0.08),
    ],
}


# --- the run ------------------------------------------------------------------------------------


def rate(design: Design, n: int, replicates: int) -> tuple[float, float]:
    """Count until there are as many chances to err; also give the share that had a result."""
    rng = np.random.default_rng([n, *design.name.encode()])
    values: list[float] = []
    while len(values) < replicates:
        values += list(design.measure(design, rng, n))
    given = ~np.isnan(values)
    return float(np.array(values)[given].mean()) if given.any() else np.nan, float(given.mean())


def cell(task: tuple[str, int, int, int]) -> tuple[str, str]:
    """Write one cell of a table; and a line for the end where it is out of bounds."""
    section, place, n, replicates = task
    design = SECTIONS[section][place]
    found, given = rate(design, n, replicates)
    if np.isnan(found):
        return "none", ""
    written = f"{found:.2f}".replace("0.", ".") + (f" ({given:.0%})" if given < 0.99 else "")
    if design.at_least <= round(found, 2) <= design.at_most:
        return written, ""
    return f"**{written}**", f"{section}: {design.name}, n = {n}: {found:.3f}"


def main(replicates: int = 400) -> None:
    """Print a table per section, then every cell that is out of bounds."""
    beyond = []
    with get_context("fork").Pool(2) as pool:
        for section, designs in SECTIONS.items():
            people = designs[0].people
            print(f"\n{section}\n\n| design | {' | '.join(map(str, people))} |")
            print("| --- " * (len(people) + 1) + "|")
            tasks = [
                (section, place, n, replicates) for place in range(len(designs)) for n in people
            ]
            found = pool.imap(cell, tasks)
            for design in designs:
                cells = [next(found) for _ in people]
                print(f"| {design.name} | {' | '.join(text for text, _ in cells)} |", flush=True)
                beyond += [line for _, line in cells if line]
    print("\nOut of bounds:", *(beyond or ["nothing"]), sep="\n- ")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
