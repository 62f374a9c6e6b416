"""Table 1: who took part, by arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from helios_research._util.text import counted
from helios_research.analysis.frames import ages, typed
from helios_research.analysis.levels import NOT_GIVEN, Levels
from helios_research.analysis.prepared import Floats, PreparedResults, Results, prepare
from helios_research.columns import OPEN_OUTCOMES, Outcome
from helios_research.errors import ResultsError

OVERALL = "overall"
MOST_GROUPS = 20

TABLE_ONE_COLUMNS = (
    *("characteristic", "level", "group", "statistic", "participants", "count", "percent"),
    *("mean", "sd", "median", "q1", "q3", "missing", "smd", "smd_by_chance"),
)

_AGE, _BORN = "age", "date_of_birth"
_AGE_IN_WORDS = "age at recording, years"
_COUNT, _MEAN, _MEDIAN = "count", "mean (SD)", "median [q1, q3]"

# Where most participants are in several groups, groups are not drawn by chance.
_MOST_SHARED = 0.5

# Random divisions behind a difference by chance, for one degree of freedom: an error of 0.5 %.
_DRAWS = 20_000

# The columns of the table from left to right, ``OVERALL`` last: a participant per row.
_Groups = dict[str, pd.DataFrame]


@dataclass(frozen=True, slots=True)
class _Characteristic:
    """What is described: its column in ``_Groups``, and its levels where it is not a number."""

    name: str
    column: str | int
    statistic: str = _MEAN
    labels: tuple[str, ...] = ()


def table_one(
    results: Results,
    by: str,
    *,
    columns: str | Sequence[str] | None = None,
    nonnormal: str | Sequence[str] = (),
    order: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """Describe the participants of each arm.

    The standardized mean difference (SMD) is the difference over the root of the mean variance, and
    for categories the multinomial one of Yang & Dalton (2012); with more than two groups it is the
    largest of all pairs (absolute). Checked against pingouin. ``smd_by_chance`` is the mean of the
    absolute SMD where participants are divided at random, as in large groups; checked against
    shuffled labels. It is null where most participants are in several groups.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or a Parquet file.
    by
        The arm, or another column. A participant with recordings in several of its levels is
        counted in each, and once overall.
    columns
        What to describe: "age" (in years at the first recording, or else at submission, where there
        are dates of birth) and any column. Columns of numbers without leading zeros are numbers,
        all others categories. Without it age, ``birth_sex`` and ``language``.
    nonnormal
        Those of the columns that are printed as median [q1, q3].
    order
        Levels that come first, of ``by`` or of categories.

    Returns
    -------
    DataFrame
        A row per characteristic, level and group (the levels of ``by``, then "overall").
        ``statistic`` says what ``format_table_one`` prints. ``percent`` is of participants, for
        recordings of recordings; ``missing`` counts those without the value, who are not in it.

    Raises
    ------
    ResultsError
        If a column is missing, ``by`` has more than 20 levels or a category more than 500, or
        ``nonnormal`` names something without numbers.

    Examples
    --------
    >>> described = table_one("datasets/shift_study_results.parquet", "arm", nonnormal="age")
    >>> described.query("characteristic == 'participants'")["count"].tolist()
    [60.0, 60.0, 120.0]
    """
    values = _values(results, columns)
    categories = [name for name, found in values.items() if not _is_number(found)]
    prepared = prepare(results, [by, *categories], biomarkers=(), order=order)
    levels = prepared.levels[by]
    if len(levels) > MOST_GROUPS:
        message = (
            f"{by!r} has {len(levels)} levels, more than the {MOST_GROUPS} that a table can hold: "
            "choose the arm or another column with few levels."
        )
        raise ResultsError(message)
    facts = _facts(prepared, values, levels)
    groups = _groups(facts, levels, by)
    several = facts.drop_duplicates(["person", "group"])["person"].value_counts() > 1
    rows = _totals(groups)
    for characteristic in _characteristics(prepared, values, nonnormal):
        rows += _describe(characteristic, groups, by_chance=several.mean() <= _MOST_SHARED)
    made = pd.DataFrame(rows).reindex(columns=list(TABLE_ONE_COLUMNS))
    warnings = _contradictions(prepared, facts, list(values))
    if shared := int(several.sum()):
        are = "is" if shared == 1 else "are"
        warnings.insert(0, f"{counted(shared, 'participant')} {are} in more than one {by}.")
    return prepared.finish(made, _METHOD, warnings)


_METHOD = (
    "Participants are counted once per group, with the first value recorded in it (of the first row, "
    "where no time is known). Ages are those at "
    "the first recording (where its time is not known, at submission). SMD: standardized mean "
    "difference, the largest between any two groups. Chance: the SMD expected where participants are "
    "divided at random, about sqrt(2/n) for n in each of two groups and more with more groups or "
    "categories. In a randomized trial baseline differences are due to chance, and CONSORT advises "
    "against testing them."
)


def _values(results: Results, columns: str | Sequence[str] | None) -> "dict[str, pd.Series[Any]]":
    """Give what is described of each recording, typed, in the order asked for."""
    asked = [columns] if isinstance(columns, str) else list(dict.fromkeys(columns or ()))
    prepared = prepare(results, biomarkers=(), needs=[name for name in asked if name != _AGE])
    frame = prepared.frame
    if columns is None:
        asked = [_AGE, *(name for name in ("birth_sex", "language") if name in frame.columns)]
    values = {name: typed(frame[name]) for name in asked if name in frame.columns}
    if _AGE in asked and (_AGE not in values or _BORN in frame.columns):
        values[_AGE] = pd.Series(ages(prepared))
    return {name: values[name] for name in asked}


def _is_number(values: "pd.Series[Any]") -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _characteristics(
    prepared: PreparedResults, values: "dict[str, pd.Series[Any]]", nonnormal: str | Sequence[str]
) -> list[_Characteristic]:
    skewed = [nonnormal] if isinstance(nonnormal, str) else list(nonnormal)
    made = [_Characteristic("scored recordings per participant", "scored")]
    for place, (name, found) in enumerate(values.items()):
        labels = () if _is_number(found) else tuple(prepared.levels[name].categories().categories)
        statistic = _COUNT if labels else _MEDIAN if name in skewed else _MEAN
        words = _AGE_IN_WORDS if name == _AGE else name
        made.append(_Characteristic(words, place, statistic, labels))
    numbers = [name for name, one in zip(values, made[1:], strict=True) if not one.labels]
    if unknown := [name for name in skewed if name not in numbers]:
        message = f"{unknown[0]!r} in nonnormal is no column of numbers in this table"
        raise ResultsError(f"{message}: choose of {', '.join(numbers) or 'none'}.")
    return made


def _facts(
    prepared: PreparedResults, values: "dict[str, pd.Series[Any]]", levels: Levels
) -> pd.DataFrame:
    """Give what is described of each recording of a known participant, in the order of time."""
    outcome = prepared.frame["outcome"]
    facts: dict[str | int, Any] = {
        "person": prepared.people,
        "group": levels.codes,
        "recordings": 1.0,
        "scored": (outcome == Outcome.SCORED).astype(float),
        "missing": ~outcome.isin([Outcome.SCORED, *OPEN_OUTCOMES]),
    }
    for place, (name, found) in enumerate(values.items()):
        # The place of a category's level.
        codes = None if _is_number(found) else prepared.levels[name].categories().codes
        facts[place] = found if codes is None else np.where(codes < 0, np.nan, codes)
    # Not by when runs were created: recordings are sent side by side. Unknown times come last.
    table = pd.DataFrame(facts).iloc[np.argsort(prepared.recorded, kind="stable")]
    return table[table["person"] >= 0]


def _groups(facts: pd.DataFrame, levels: Levels, by: str) -> _Groups:
    ways = {name: "first" for name in facts.columns if name not in ("person", "group")}
    ways |= dict.fromkeys(("recordings", "scored", "missing"), "sum")
    names = [f"{by}: {label}" if label == OVERALL else label for label in levels.labels]
    parts = {name: facts[facts["group"] == level] for level, name in enumerate(names)}
    parts[OVERALL] = facts
    return {name: part.groupby("person").agg(ways) for name, part in parts.items()}


def _contradictions(
    prepared: PreparedResults, facts: pd.DataFrame, names: Sequence[str]
) -> list[str]:
    """Say where a participant has several values of what is described."""
    found = []
    is_timed = not np.isnan(prepared.recorded).all()
    used = "first recorded one" if is_timed else "one in the first row, since no time is known,"
    born = _BORN in prepared.frame.columns
    for place, name in enumerate(_BORN if born and name == _AGE else name for name in names):
        values = pd.Series(prepared.days(_BORN))[facts.index] if name == _BORN else facts[place]
        given = pd.DataFrame({"person": facts["person"], "value": values}).dropna()
        n = int((given.drop_duplicates()["person"].value_counts() > 1).sum())
        has = f"{counted(n, 'participant')} {'has' if n == 1 else 'have'}"
        if n:
            found.append(f"{has} several values of {name}: the {used} is used.")
    return found


def _totals(groups: _Groups) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name, column, of in (
        ("participants", None, None),
        ("recordings", "recordings", None),
        ("recordings scored", "scored", "recordings"),
        ("recordings ended without scores", "missing", "recordings"),
    ):
        for group, people in groups.items():
            count = float(people[column].sum()) if column else float(len(people))
            row: dict[str, object] = {"characteristic": name, "level": "", "group": group}
            row |= {"statistic": _COUNT, "participants": len(people), "count": count}
            if of and people[of].sum():
                row["percent"] = 100 * count / people[of].sum()
            rows.append(row)
    return rows


def _describe(
    what: _Characteristic, groups: _Groups, *, by_chance: bool
) -> list[dict[str, object]]:
    known = {group: people[what.column].dropna() for group, people in groups.items()}
    compared = [each for group, each in known.items() if group not in (OVERALL, NOT_GIVEN)]
    smd, chance = _differences(compared, len(what.labels), by_chance=by_chance)
    rows: list[dict[str, object]] = []
    for place, level in enumerate(what.labels or ("",)):
        for group, each in known.items():
            row: dict[str, object] = {"characteristic": what.name, "level": level, "group": group}
            row |= {"statistic": what.statistic, "participants": len(groups[group])}
            if what.labels:
                hits = each == place
                row |= {"count": float(hits.sum()), "percent": 100 * hits.mean()}
            else:
                q1, median, q3 = each.quantile([0.25, 0.5, 0.75])
                row |= {"mean": each.mean(), "sd": each.std(), "q1": q1, "median": median, "q3": q3}
            missing = len(groups[group]) - len(each)
            rows.append({**row, "missing": missing, "smd": smd, "smd_by_chance": chance})
    return rows


def _differences(
    groups: "list[pd.Series[float]]", n_levels: int, *, by_chance: bool
) -> tuple[float, float]:
    """Give the standardized difference, and the one to be expected by chance."""
    values: list[Floats] = [np.asarray(each, dtype=np.float64) for each in groups]
    sizes = [len(each) for each in values if len(each) > 1]
    difference, degrees = mean_difference, 1
    if n_levels:
        every = range(n_levels)
        values = [np.array([(each == level).sum() for level in every], float) for each in values]
        difference, degrees = proportion_difference, int((sum(values, np.zeros(1)) > 0).sum()) - 1
    found = [difference(*pair) for pair in combinations(values, 2)]
    known = [abs(each) for each in found if not np.isnan(each)]
    smd = found[0] if len(found) == 1 else max(known, default=np.nan)
    return smd, difference_by_chance(sizes, degrees) if by_chance and known else np.nan


def difference_by_chance(sizes: Sequence[int], degrees: int) -> float:
    """Give the mean of the largest standardized difference of groups that are drawn at random."""
    if degrees < 1 or len(sizes) < 2:
        return 0.0
    # In large groups the root of a group's size times its distance from all is normal, in as many
    # dimensions as a characteristic has degrees of freedom (levels less one).
    rng = np.random.default_rng(0)
    shape = (_DRAWS // degrees + 100, degrees)
    drawn = [rng.normal(size=shape) / np.sqrt(size) for size in sizes]
    apart = [np.linalg.norm(one - two, axis=1) for one, two in combinations(drawn, 2)]
    return float(np.max(apart, axis=0).mean())


def mean_difference(first: Floats, second: Floats) -> float:
    """Give the standardized difference of two means."""
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    if min(len(first), len(second)) < 2:
        return np.nan
    spread = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    return float((second.mean() - first.mean()) / spread) if spread > 0 else np.nan


def proportion_difference(first: Floats, second: Floats) -> float:
    """Give the standardized difference of two distributions over categories."""
    if first.sum() == 0 or second.sum() == 0:
        return np.nan
    one, two = first / first.sum(), second / second.sum()
    # The last category follows from the others.
    difference = (two - one)[:-1]
    spread = (np.diag(one) - np.outer(one, one) + np.diag(two) - np.outer(two, two)) / 2
    if not difference.any():
        return 0.0
    inverse = np.linalg.pinv(spread[:-1, :-1], hermitian=True)
    return float(np.sqrt(difference @ inverse @ difference))


def format_table_one(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out Table 1 for print.

    Parameters
    ----------
    table
        What ``table_one`` gave.

    Returns
    -------
    DataFrame
        A row per characteristic and level, a column of text per group ("34.1 (9.8)" for mean and
        SD, "33.0 [27.5, 40.2]" for median and quartiles, "31 (52 %)" for counts), and "SMD":
        "0.12 (chance 0.21)" where participants divided at random would differ by 0.21.
    """
    rows: list[dict[str, Any]] = []
    for (name, level), part in table.groupby(["characteristic", "level"], sort=False):
        first = part.iloc[0]
        # Numbers that hardly reach 1, such as scores, have a digit more.
        digits = 2 if part["sd"].iloc[-1] < 1 else 1
        row = {"characteristic": name, "level": level}
        if first["statistic"] != _COUNT:
            row["characteristic"] = f"{name}, {first['statistic']}"
        row |= {own["group"]: _cell(own, digits) for _, own in part.iterrows()}
        again = bool(rows) and rows[-1]["characteristic"] == name
        smd, chance = first["smd"], first["smd_by_chance"]
        by_chance = "" if np.isnan(chance) else f" (chance {chance:.2f})"
        row["SMD"] = "" if again or np.isnan(smd) else f"{smd:.2f}{by_chance}"
        rows.append(row)
    columns = ["characteristic", "level", *table["group"].unique(), "SMD"]
    printed = pd.DataFrame(rows, columns=columns, dtype="str")
    printed.attrs = dict(table.attrs)
    return printed


def _cell(row: "pd.Series[Any]", digits: int) -> str:
    missing = f"; {row['missing']:.0f} missing" if row["missing"] > 0 else ""
    if row["statistic"] == _COUNT:
        percent = "" if np.isnan(row["percent"]) else f" ({row['percent']:.0f} %)"
        return f"{row['count']:,.0f}{percent}{missing}"
    if np.isnan(row["mean"]):
        return NOT_GIVEN
    if row["statistic"] == _MEDIAN:
        low, middle, high = (f"{row[name]:.{digits}f}" for name in ("q1", "median", "q3"))
        return f"{middle} [{low}, {high}]{missing}"
    spread = "" if np.isnan(row["sd"]) else f" ({row['sd']:.{digits}f})"
    return f"{row['mean']:.{digits}f}{spread}{missing}"
