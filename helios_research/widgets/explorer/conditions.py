"""Conditions on recordings, each of them a mask, words for a chip, and code, all in one."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

import numpy as np
import pandas as pd

from helios_research._util.text import literal
from helios_research.analysis.prepared import Flags
from helios_research.columns import BIOMARKERS_BY_NAME
from helios_research.widgets.explorer.source import is_text, texts_of

MISSING_WORDS = "not given"
_NAMED_IN_A_CHIP = 3


class Condition(ABC):
    """Something that a recording has to fulfil in order to be shown."""

    __slots__ = ()

    @property
    @abstractmethod
    def key(self) -> str:
        """What it is about; a second condition about the same replaces it."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What it asks for, short enough for a chip."""

    def holds(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Mark the rows that fulfil it."""
        return self._marks(table)

    def code(self, table: pd.DataFrame) -> str:
        """Give an expression of pandas that marks the same rows of ``results``."""
        return self._expression(table)

    @abstractmethod
    def _marks(self, table: pd.DataFrame) -> "pd.Series[bool]": ...

    @abstractmethod
    def _expression(self, table: pd.DataFrame) -> str: ...


@dataclass(frozen=True, slots=True)
class OneOf(Condition):
    """A column has one of some values."""

    column: str
    values: tuple[str | None, ...]

    @property
    def key(self) -> str:
        """The column."""
        return self.column

    @property
    def words(self) -> str:
        """The column and its values, the first few of them by name."""
        names = [MISSING_WORDS if value is None else value for value in self.values]
        more = len(names) - _NAMED_IN_A_CHIP
        shown = ", ".join(names[:_NAMED_IN_A_CHIP])
        return f"{label_of(self.column)}: {shown}{f' and {more:,} more' if more > 0 else ''}"

    def _marks(self, table: pd.DataFrame) -> "pd.Series[bool]":
        values = table[self.column]
        marked = texts_of(values).isin(self._named)
        return marked | values.isna() if None in self.values else marked

    def _expression(self, table: pd.DataFrame) -> str:
        column = _column(self.column)
        text = column if is_text(table[self.column]) else f'{column}.astype("str")'
        listed = ", ".join(literal(value) for value in self._named)
        named = f"{text}.isin([{listed}])"
        if None not in self.values:
            return named
        return f"({named} | {column}.isna())" if self._named else f"{column}.isna()"

    @property
    def _named(self) -> list[str]:
        return [value for value in self.values if value is not None]


@dataclass(frozen=True, slots=True)
class ScoreBetween(Condition):
    """A score lies in a range, both ends included."""

    column: str
    low: float | None
    high: float | None

    @property
    def key(self) -> str:
        """The biomarker."""
        return self.column

    @property
    def words(self) -> str:
        """The biomarker and its range."""
        return f"{label_of(self.column)} {_range_words(self.low, self.high)}"

    def _marks(self, table: pd.DataFrame) -> "pd.Series[bool]":
        scores = table[self.column].astype("float64")
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        return scores.between(low, high)

    def _expression(self, table: pd.DataFrame) -> str:  # noqa: ARG002 - scores are always numbers
        column = f'{_column(self.column)}.astype("float64")'
        if self.high is None:
            return f"{column}.ge({self.low!r})"
        if self.low is None:
            return f"{column}.le({self.high!r})"
        return f"{column}.between({self.low!r}, {self.high!r})"


@dataclass(frozen=True, slots=True)
class NoScore(Condition):
    """A biomarker has no score."""

    column: str

    @property
    def key(self) -> str:
        """The biomarker, so that it excludes a range of its scores."""
        return self.column

    @property
    def words(self) -> str:
        """That there is no score."""
        return f"no {label_of(self.column)}"

    def _marks(self, table: pd.DataFrame) -> "pd.Series[bool]":
        return table[self.column].isna()

    def _expression(self, table: pd.DataFrame) -> str:  # noqa: ARG002 - the same for every type
        return f"{_column(self.column)}.isna()"


@dataclass(frozen=True, slots=True)
class HasWarning(Condition):
    """Helios gave a warning with the scores."""

    @property
    def key(self) -> str:
        """The column."""
        return "warnings"

    @property
    def words(self) -> str:
        """That there is a warning."""
        return "with a warning"

    def _marks(self, table: pd.DataFrame) -> "pd.Series[bool]":
        has_some: pd.Series[bool] = table[self.key].str.len().gt(0)
        return has_some

    def _expression(self, table: pd.DataFrame) -> str:  # noqa: ARG002 - the same for every type
        return f"{_column(self.key)}.str.len().gt(0)"


@dataclass(frozen=True, slots=True)
class DayBetween(Condition):
    """A recording is of certain days, the first and the last included."""

    column: str
    first: date | None
    last: date | None

    @property
    def key(self) -> str:
        """The column."""
        return self.column

    @property
    def words(self) -> str:
        """The days."""
        return f"{label_of(self.column)} {_range_words(self.first, self.last)}"

    def _marks(self, table: pd.DataFrame) -> "pd.Series[bool]":
        values = table[self.column]
        if pd.api.types.is_datetime64_any_dtype(values):
            days = values.dt.tz_localize(None).dt.normalize()
        else:
            days = pd.to_datetime(texts_of(values).str[:10], format="%Y-%m-%d", errors="coerce")
        first, last = self._bounds
        between: pd.Series[bool] = days.between(pd.Timestamp(first), pd.Timestamp(last))
        return between

    def _expression(self, table: pd.DataFrame) -> str:
        values, column = table[self.column], _column(self.column)
        if pd.api.types.is_datetime64_any_dtype(values):
            days = f"{column}.dt.tz_localize(None).dt.normalize()"
        else:
            text = column if is_text(values) else f'{column}.astype("str")'
            days = f'pd.to_datetime({text}.str[:10], format="%Y-%m-%d", errors="coerce")'
        first, last = (literal(day.isoformat()) for day in self._bounds)
        return f"{days}.between({first}, {last})"

    @property
    def _bounds(self) -> tuple[date, date]:
        # Years that pandas' nanoseconds reach.
        return self.first or date(1700, 1, 1), self.last or date(2200, 1, 1)


def label_of(column: str) -> str:
    """Name a column for people."""
    marker = BIOMARKERS_BY_NAME.get(column)
    return column if marker is None else marker.label


def _column(name: str) -> str:
    return f"results[{literal(name)}]"


def _range_words(low: object, high: object) -> str:
    if high is None:
        return f"from {low}"
    if low is None:
        return f"up to {high}"
    return f"{low} to {high}"


@dataclass(frozen=True, slots=True)
class Filters:
    """All conditions at once; a recording is shown where every one holds."""

    conditions: Mapping[str, Condition] = field(default_factory=lambda: MappingProxyType({}))

    def __iter__(self) -> Iterator[Condition]:
        """Go through the conditions in the order in which they were set."""
        return iter(self.conditions.values())

    def __len__(self) -> int:
        """Count the conditions."""
        return len(self.conditions)

    def get(self, key: str) -> Condition | None:
        """Find the condition about something."""
        return self.conditions.get(key)

    def having(self, condition: Condition) -> "Filters":
        """Set a condition, in place of one about the same."""
        return Filters(MappingProxyType({**self.conditions, condition.key: condition}))

    def without(self, key: str) -> "Filters":
        """Take a condition away."""
        kept = {name: each for name, each in self.conditions.items() if name != key}
        return Filters(MappingProxyType(kept))

    def mask(self, table: pd.DataFrame) -> Flags:
        """Mark the recordings that are shown."""
        shown = np.ones(len(table), dtype=bool)
        for condition in self:
            shown &= condition.holds(table).to_numpy(dtype=bool, na_value=False)
        return shown

    def code(self, table: pd.DataFrame) -> str:
        """Give the line that makes ``selection`` from ``results``."""
        if not len(self):
            return "selection = results"
        lines = "\n    & ".join(condition.code(table) for condition in self)
        return f"selection = results[\n    {lines}\n]"
