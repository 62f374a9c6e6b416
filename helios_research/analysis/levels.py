"""The levels of a grouping column, in the order in which a study would list them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helios_research.columns import BIRTH_SEX_SPELLINGS
from helios_research.errors import ResultsError

NOT_GIVEN = "not given"
EVERYONE = "all participants"
MOST_LEVELS = 500


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of one grouping column, in an order that a reader expects.

    ``codes`` has the place in ``labels`` of each recording's level. ``ordered_by`` says what the
    order is taken from: "as given", "its categories", "known words", "numbers", "recording time"
    or "first appearance".
    """

    codes: NDArray[np.intp]
    labels: tuple[str, ...]
    ordered_by: str

    def __len__(self) -> int:
        """Count the levels."""
        return len(self.labels)

    @property
    def given(self) -> NDArray[np.bool_]:
        """Which recordings have a level."""
        return np.array([label != NOT_GIVEN for label in self.labels], dtype=bool)[self.codes]

    def numbers(self) -> NDArray[np.float64]:
        """Give the number that each level is; NaN where it is none."""
        texts = pd.Series(self.labels, dtype="str")
        return np.asarray(pd.to_numeric(texts, errors="coerce"), dtype=np.float64)

    def subset(self, rows: NDArray[np.bool_]) -> "Levels":
        """Keep the levels that occur in some rows."""
        kept, codes = np.unique(self.codes[rows], return_inverse=True)
        return Levels(codes, tuple(self.labels[place] for place in kept), self.ordered_by)

    def reordered(self, order: Sequence[str]) -> "Levels":
        """Put the levels that are named first, as they are named; the others follow."""
        first = [label for label in dict.fromkeys(order) if label in self.labels]
        if not first:
            return self
        labels = (*first, *(label for label in self.labels if label not in first))
        place = np.array([labels.index(label) for label in self.labels], dtype=np.intp)
        return Levels(place[self.codes], labels, "as given")

    def steps(self) -> NDArray[np.float64]:
        """Give the number in each level where numbers of one unit rise, else its place from 0."""
        named = [label for label in self.labels if label != NOT_GIVEN]
        numbers = [_numbers(label)[:1] for label in named]
        steps = np.arange(len(named), dtype=np.float64)
        if all(numbers) and len({_letters(label) for label in named}) == 1:
            read = np.ravel(numbers)
            steps = read if (np.diff(read) > 0).all() else steps
        by_level = pd.Series(steps, index=named).reindex(self.labels)
        return np.asarray(by_level, dtype=np.float64)

    def categories(self) -> "pd.Categorical[str]":
        """Give the level of each recording as an ordered category, missing where not given."""
        every = pd.Categorical.from_codes(self.codes, pd.Index(self.labels), ordered=True)
        return every.remove_categories([NOT_GIVEN]) if NOT_GIVEN in self.labels else every

    def lookalikes(self) -> list[list[str]]:
        """Find levels that differ only in capitals or spaces."""
        alike: dict[str, list[str]] = {}
        for label in self.labels:
            alike.setdefault("".join(label.casefold().split()), []).append(label)
        return [labels for labels in alike.values() if len(labels) > 1]


def levels_of(
    values: "pd.Series[Any]", people: NDArray[np.intp], days: Callable[[], NDArray[np.float64]]
) -> Levels:
    """Sort the values of a grouping column into levels.

    Blank and missing values, and any spelled so, are the last level, "not given". ``days`` gives
    the time of each recording, and is called only where nothing else orders the levels.
    """
    each, different = distinct(values)
    ordered = isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered
    # Ordered categories are in words already, such as those of groups that were pooled.
    is_spelled = values.name == "birth_sex" and not ordered
    text = as_text(canonical_sex(different) if is_spelled else different)
    found = list(text.dropna().unique())
    if len(found) > MOST_LEVELS:
        message = (
            f"The column {str(values.name)!r} has {len(found):,} different values, more than "
            f"{MOST_LEVELS}: group by a column with fewer, such as the arm or the visit."
        )
        raise ResultsError(message)
    # The last place is for rows without a value, whose number is -1.
    places = np.append(pd.Categorical(text, categories=found).codes, -1).astype(np.intp)
    codes = places[each]
    if ordered:
        named = as_text(pd.Series(values.cat.categories)).dropna().unique()
        labels, ordered_by = [level for level in named if level in found], "its categories"
    else:
        each_level = pd.Categorical.from_codes(codes, pd.Index(found))
        in_time = cache(lambda: _times(each_level, people, days()))
        labels, ordered_by = _in_order(found, in_time)
    place = np.array([*map(labels.index, found), len(labels)], dtype=np.intp)
    given = (*labels, NOT_GIVEN) if (codes < 0).any() else tuple(labels)
    return Levels(place[codes], given, ordered_by)


def distinct(values: "pd.Series[str]") -> "tuple[NDArray[np.intp], pd.Series[str]]":
    """Give the different values numbers, to put each into words once and not in every row."""
    # Among objects 1 equals True, and a list has no hash; as texts they are what they look like.
    hashable = values.astype("str") if values.dtype == object else values
    each, different = pd.factorize(hashable)
    return each, pd.Series(different)


def with_points(text: "pd.Series[str]") -> "pd.Series[str]":
    """Write decimal commas as points, where the column shows that no comma separates thousands."""
    given = text.dropna()
    are_numbers = given.str.fullmatch(r"[+-]?\d+(,\d+)?").all()
    is_plain = are_numbers and given.str.contains(r",(?!\d{3}$)|^[+-]?\d{4,},|^[+-]?0,").any()
    return text.str.replace(",", ".") if is_plain else text


def as_text(values: "pd.Series[str]") -> "pd.Series[str]":
    """Give values as they were written, without spaces around them; blank ones are missing."""
    if pd.api.types.is_float_dtype(values):
        # A blank cell makes floats of whole numbers; 15 digits leave them as they were written.
        return values.map(lambda value: f"{value:.15g}", na_action="ignore").astype("str")
    text = values.astype("str").str.strip()
    return text.mask(values.isna() | text.isin(["", NOT_GIVEN]))


def canonical_sex(values: "pd.Series[str]") -> "pd.Series[str]":
    """Bring the spellings of a manifest ("f", "Female") to the words of Helios, others to capitals."""
    text = values.astype("str").str.strip().str.upper()
    return text.replace(dict(BIRTH_SEX_SPELLINGS))


# --- the order of levels --------------------------------------------------------------------------

# Stages of a study, in the order of time, as whole words: "pre" is none in "pregnant".
_STAGES = [
    re.compile(rf"(?<![^\W\d])(?:{words})(?:test|training|treatment|intervention)?(?![^\W\d])")
    for words in (
        "screen(?:ing)?",
        "baseline|pre|before|admission",
        "mid(?:point|way)?|during",
        "post|after|discharge",
        "follow[ -]?ups?|fu",
    )
]
_BETWEEN, _AFTER = 2, 3

_CONTROL = re.compile(
    r"\b(?:placebo|sham|(?:care|treatment) as usual|usual care|tau|wait(?:ing)?[ -]?list)\b"
    r"|^controls?\b|\bcontrols?(?: group| arm| condition)?$|^(?:no treatment|no|none|false)$"
)
_NUMBER = re.compile(r"(?:(?:^|(?<=\s))-)?\d+(?:\.\d+)?")


def _in_order(found: list[str], times: Callable[[], pd.DataFrame]) -> tuple[list[str], str]:
    """Put levels into an order, and say what it is taken from."""
    if len(found) > 1:
        if known := _by_words(found):
            return known
        first = [label for label in found if _CONTROL.search(_spoken(label))]
        others = [label for label in found if label not in first]
        if first and others:
            then, ordered_by = _in_order(others, times)
            also = "" if len(others) == 1 else f", then {ordered_by}"
            return [*_in_order(first, times)[0], *then], f"known words{also}"
        if order := _by_time(found, times()):
            return order, "recording time"
    return found, "first appearance"


def _by_words(found: list[str]) -> tuple[list[str], str] | None:
    """Order numbers with the same words around them, and stages of a study; None for others."""
    stages = {label: _stage(label) for label in found}
    numbers = {label: _numbers(label) for label in found}
    unstaged = [label for label in found if stages[label] is None]
    around = {_letters(label) for label in unstaged}
    if len(around) > 1 or not all(numbers[label] for label in unstaged):
        return None
    if len(unstaged) == len(found):
        return sorted(found, key=numbers.__getitem__), "numbers"
    if unstaged and _AFTER in stages.values():
        return None  # "month 3" may be before or after "post"
    places = {label: _BETWEEN if stage is None else stage for label, stage in stages.items()}
    return sorted(found, key=lambda label: (places[label], numbers[label])), "known words"


def _stage(label: str) -> int | None:
    """Find the stage of a study that a level names first, as a place in ``_STAGES``."""
    matches = [(words.search(_spoken(label)), stage) for stage, words in enumerate(_STAGES)]
    return min(((match.start(), stage) for match, stage in matches if match), default=(0, None))[1]


def _spoken(label: str) -> str:
    return label.casefold().replace("_", " ")


def _numbers(label: str) -> tuple[float, ...]:
    """Give the numbers in a level as a sort key, in which "<18" is before "18-30"."""
    numbers = [label] if _is_number(label) else _NUMBER.findall(label)
    finite = [number for number in map(float, numbers) if isfinite(number)]
    is_below = label.startswith(("<", "\N{LESS-THAN OR EQUAL TO}"))
    return (finite[0], not is_below, *finite[1:]) if finite else ()


def _letters(label: str) -> str:
    """Give the words around the numbers of a level, the same for "1 week" and "Week 10" as for "weeks"."""
    return "" if _is_number(label) else re.sub(r"[\W\d_]", "", label).casefold().removesuffix("s")


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _times(
    levels: pd.Categorical, people: NDArray[np.intp], days: NDArray[np.float64]
) -> pd.DataFrame:
    """Collect when each level was recorded, also in days since its participant's first recording."""
    rows = pd.DataFrame({"level": levels, "person": people, "day": days})
    rows = rows[rows["person"] >= 0].dropna()
    return rows.assign(since_first=rows["day"] - rows.groupby("person")["day"].transform("min"))


def _by_time(found: list[str], times: pd.DataFrame) -> list[str]:
    """Order levels by when they were recorded; none where the middle halves of two overlap."""
    rows = times[times["level"].isin(found)]
    each = rows.drop_duplicates(["person", "level"])["person"].value_counts()
    column = "since_first" if (each > 1).mean() > 0.5 else "day"
    by_level = rows[column].groupby(rows["level"], observed=True)
    when = pd.DataFrame({"low": by_level.quantile(0.25), "high": by_level.quantile(0.75)})
    order = by_level.median().sort_values().index
    when = when.loc[order]
    overlap = when["high"].to_numpy()[:-1] >= when["low"].to_numpy()[1:]
    return [] if len(order) < len(found) or overlap.any() else list(order)
