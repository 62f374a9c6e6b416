"""Which recordings an explorer shows: conditions, filters, and all that is shown at one moment."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd

from helios_research._util.text import literal
from helios_research.analysis.prepared import Flags, count_people, count_reasons, has_warning
from helios_research.columns import Outcome
from helios_research.widgets.explorer.figure import FigureKind, FigureView
from helios_research.widgets.explorer.source import ResultsSource, is_text, label_of, texts_of

NO_MATCH = "No recordings match all filters: remove a filter to see recordings again."
MISSING_WORDS = "not given"

_NAMED_IN_A_CHIP = 3
_MOST_TAGS_IN_TABLE = 4
_MOST_REASONS = 12


@dataclass(frozen=True, slots=True)
class Condition(ABC):
    """What a recording must match to be shown: a mask, words for a chip, and code in one."""

    # A later condition about the same column replaces it.
    column: str

    @property
    @abstractmethod
    def words(self) -> str:
        """What it asks for, short enough for a chip."""

    @abstractmethod
    def holds(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Mark the rows that match; a missing value matches only where it is asked for."""

    @abstractmethod
    def code(self, table: pd.DataFrame) -> str:
        """Give an expression of pandas that marks the same rows of ``results``."""


@dataclass(frozen=True, slots=True)
class OneOf(Condition):
    """A column has one of some values, compared as text; None among them is a missing value."""

    values: tuple[str | None, ...]

    @property
    def words(self) -> str:
        """The column and its values, the first few of them by name."""
        names = [MISSING_WORDS if value is None else value for value in self.values]
        more = len(names) - _NAMED_IN_A_CHIP
        shown = ", ".join(names[:_NAMED_IN_A_CHIP])
        return f"{label_of(self.column)}: {shown}{f' and {more:,} more' if more > 0 else ''}"

    def holds(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Mark the rows that match."""
        values = table[self.column]
        marked = texts_of(values).isin(self._named)
        return marked | values.isna() if None in self.values else marked

    def code(self, table: pd.DataFrame) -> str:
        """Give an expression of pandas that marks them."""
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
    """A score is in a range, both ends included; an end is None where the range is open."""

    low: float | None
    high: float | None

    @property
    def words(self) -> str:
        """The biomarker and its range."""
        return f"{label_of(self.column)} {_range_words(self.low, self.high)}"

    def holds(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Mark the rows that match."""
        scores = table[self.column].astype("float64")
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        return scores.between(low, high)

    def code(self, table: pd.DataFrame) -> str:  # noqa: ARG002 - scores are always numbers
        """Give an expression of pandas that marks them."""
        column = f'{_column(self.column)}.astype("float64")'
        if self.high is None:
            return f"{column}.ge({self.low!r})"
        if self.low is None:
            return f"{column}.le({self.high!r})"
        return f"{column}.between({self.low!r}, {self.high!r})"


@dataclass(frozen=True, slots=True)
class NoScore(Condition):
    """A biomarker has no score."""

    @property
    def words(self) -> str:
        """That there is no score."""
        return f"no {label_of(self.column)}"

    def holds(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Mark the rows that match."""
        return table[self.column].isna()

    def code(self, table: pd.DataFrame) -> str:  # noqa: ARG002 - the same for every type
        """Give an expression of pandas that marks them."""
        return f"{_column(self.column)}.isna()"


@dataclass(frozen=True, slots=True)
class HasWarning(Condition):
    """Helios gave a warning with the scores."""

    column: str = "warnings"

    @property
    def words(self) -> str:
        """That there is a warning."""
        return "with a warning"

    def holds(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Mark the rows that match."""
        has_some: pd.Series[bool] = table[self.column].str.len().gt(0)
        return has_some

    def code(self, table: pd.DataFrame) -> str:  # noqa: ARG002 - the same for every type
        """Give an expression of pandas that marks them."""
        return f"{_column(self.column)}.str.len().gt(0)"


@dataclass(frozen=True, slots=True)
class DayBetween(Condition):
    """A recording is of certain days, first and last included; None where the range is open."""

    first: date | None
    last: date | None

    @property
    def words(self) -> str:
        """The days."""
        return f"{label_of(self.column)} {_range_words(self.first, self.last)}"

    def holds(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Mark the rows that match."""
        values = table[self.column]
        if pd.api.types.is_datetime64_any_dtype(values):
            days = values.dt.tz_localize(None).dt.normalize()
        else:
            days = pd.to_datetime(texts_of(values).str[:10], format="%Y-%m-%d", errors="coerce")
        first, last = self._bounds
        between: pd.Series[bool] = days.between(pd.Timestamp(first), pd.Timestamp(last))
        return between

    def code(self, table: pd.DataFrame) -> str:
        """Give an expression of pandas that marks them."""
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


@dataclass(frozen=True, slots=True)
class Filters:
    """All conditions, in the order in which they were set; a recording must match every one."""

    conditions: Mapping[str, Condition] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Condition]:
        """Go through the conditions in the order in which they were set."""
        return iter(self.conditions.values())

    def get(self, column: str) -> Condition | None:
        """Find the condition about a column; None where there is none."""
        return self.conditions.get(column)

    def having(self, condition: Condition) -> "Filters":
        """Set a condition, in place of one about the same column."""
        return Filters({**self.conditions, condition.column: condition})

    def without(self, column: str) -> "Filters":
        """Take a condition away."""
        return Filters({name: each for name, each in self.conditions.items() if name != column})

    def mask(self, table: pd.DataFrame) -> Flags:
        """Mark the recordings that are shown."""
        shown = np.ones(len(table), dtype=bool)
        for condition in self:
            shown &= condition.holds(table).to_numpy(dtype=bool, na_value=False)
        return shown

    def code(self, table: pd.DataFrame) -> str:
        """Give the line that makes ``selection`` from ``results``."""
        if not self.conditions:
            return "selection = results"
        lines = "\n    & ".join(condition.code(table) for condition in self)
        return f"selection = results[\n    {lines}\n]"


@dataclass(frozen=True, slots=True)
class Reason:
    """Something wrong with recordings, whose condition shows them at one click."""

    condition: Condition
    count: int
    words: str


@dataclass(frozen=True)
class ExplorerState:
    """What an explorer shows at one moment, without any widget."""

    source: ResultsSource
    view: FigureView
    filters: Filters = field(default_factory=Filters)

    @cached_property
    def mask(self) -> Flags:
        """Which rows of the results are shown."""
        return self.filters.mask(self.source.table)

    @cached_property
    def count(self) -> int:
        """Recordings shown."""
        return int(self.mask.sum())

    @property
    def selection(self) -> pd.DataFrame:
        """The rows shown, in the results' order, with all columns."""
        return self.source.table[self.mask]

    @property
    def drawn(self) -> pd.DataFrame:
        """The columns of the selection that the figure needs."""
        return self.source.compact[self.view.needs(self.source.table)][self.mask]

    @property
    def words(self) -> str:
        """How many recordings and participants are shown, and of how many."""
        people, everyone = self.source.people
        shown = count_people(people, self.mask)
        return (
            f"{self.count:,} of {len(self.mask):,} recordings shown, "
            f"{shown:,} of {everyone:,} participants"
        )

    def having(self, condition: Condition) -> "ExplorerState":
        """Set a filter."""
        return replace(self, filters=self.filters.having(condition))

    def without(self, column: str) -> "ExplorerState":
        """Take a filter away."""
        return replace(self, filters=self.filters.without(column))

    def rows(self) -> pd.DataFrame:
        """Give the selection as its table shows it, numbered from 1."""
        table, view = self.source.table, self.view
        tags = [view.tag, view.colour, *self.source.tags]
        wanted = [
            *("recording_id", "user_label"),
            *[tag for tag in dict.fromkeys(tags) if tag is not None][:_MOST_TAGS_IN_TABLE],
            *("outcome", "error_code", *view.biomarkers),
        ]
        names = [name for name in dict.fromkeys(wanted) if name in table.columns]
        rows = table[names][self.mask].reset_index(drop=True)
        if "no." not in names:
            rows.insert(0, "no.", range(1, len(rows) + 1))
        return rows

    def code(self) -> str:
        """Give the lines that reproduce selection and figure."""
        return "\n".join(
            [
                "import pandas as pd",
                "",
                "import helios_research as hr",
                "",
                self.source.code,
                self.filters.code(self.source.table),
                self.view.code(),
                "",
            ]
        )


def initial_state(source: ResultsSource) -> ExplorerState:
    """Show all recordings, their first biomarker by their first tag."""
    return ExplorerState(
        source, FigureView(FigureKind.BY_TAG, source.biomarkers[:1], source.tags[0], None)
    )


def reasons_of(source: ResultsSource) -> Sequence[Reason]:
    """List what is wrong with recordings: error codes, outcomes without one, no score, warnings."""
    table = source.table
    lost = table["outcome"] != Outcome.SCORED.value
    found = []
    if "error_code" in table.columns:
        counted = count_reasons(table["error_code"].astype("str").dropna())
        found += [Reason(OneOf("error_code", (code,)), n, code) for code, n in counted.items()]
        lost &= table["error_code"].isna()
    without_code = count_reasons(table["outcome"].astype("str")[lost])
    found += [Reason(OneOf("outcome", (name,)), n, name) for name, n in without_code.items()]
    found = found[:_MOST_REASONS]
    main = source.biomarkers[0]
    missing = int(table[main].isna().sum())
    if missing:
        found.append(Reason(NoScore(main), missing, NoScore(main).words))
    warned = int(has_warning(table).sum())
    if warned:
        found.append(Reason(HasWarning(), warned, HasWarning().words))
    return found


def _column(name: str) -> str:
    return f"results[{literal(name)}]"


def _range_words(low: object, high: object) -> str:
    if high is None:
        return f"from {low}"
    if low is None:
        return f"up to {high}"
    return f"{low} to {high}"
