"""Which recordings an explorer shows: conditions, filters, and all that is shown at one moment."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd

from helios_research._util.text import literal
from helios_research.analysis.prepared import Flags, count_people, count_reasons, has_warning
from helios_research.columns import BIOMARKERS_BY_NAME, Outcome
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
        if self.values == (None,) and self.column in BIOMARKERS_BY_NAME:
            return f"no {label_of(self.column)}"
        names = [MISSING_WORDS if value is None else value for value in self.values]
        more = len(names) - _NAMED_IN_A_CHIP
        shown = ", ".join(names[:_NAMED_IN_A_CHIP])
        return f"{label_of(self.column)}: {shown}{f' and {more:,} more' if more > 0 else ''}"

    def holds(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Mark the rows that match."""
        values = table[self.column]
        missing = values.isna() & (None in self.values)
        # As texts only where they are compared, since this takes time in columns of numbers.
        return texts_of(values).isin(self._named) | missing if self._named else missing

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
    """A score is in a range, both ends included."""

    low: float
    high: float

    @property
    def words(self) -> str:
        """The biomarker and its range."""
        return f"{label_of(self.column)} {self.low:g} to {self.high:g}"

    def holds(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Mark the rows that match."""
        return table[self.column].astype("float64").between(self.low, self.high)

    def code(self, table: pd.DataFrame) -> str:  # noqa: ARG002 - scores are always numbers
        """Give an expression of pandas that marks them."""
        return f'{_column(self.column)}.astype("float64").between({self.low!r}, {self.high!r})'


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
        if self.last is None:
            return f"{self.column} from {self.first}"
        if self.first is None:
            return f"{self.column} up to {self.last}"
        return f"{self.column} {self.first} to {self.last}"

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
    # By column, in the order in which they were set; a recording must match every one.
    filters: Mapping[str, Condition] = field(default_factory=dict)

    @cached_property
    def mask(self) -> Flags:
        """Which rows of the results are shown."""
        shown = np.ones(len(self.source.table), dtype=bool)
        for condition in self.filters.values():
            shown &= condition.holds(self.source.table).to_numpy(dtype=bool, na_value=False)
        return shown

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

    def filtered(self, column: str, condition: Condition | None) -> "ExplorerState":
        """Set the condition about a column, in place of an earlier one; None takes it away."""
        conditions = {**self.filters, column: condition}
        return replace(
            self, filters={name: each for name, each in conditions.items() if each is not None}
        )

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
        labels = {name: label_of(name) for name in view.biomarkers}
        free = {name: label for name, label in labels.items() if label not in names}
        rows = table[names][self.mask].reset_index(drop=True).rename(columns=free)
        if "no." not in names:
            rows.insert(0, "no.", range(1, len(rows) + 1))
        return rows

    def code(self) -> str:
        """Give the lines that reproduce selection and figure."""
        conditions = [each.code(self.source.table) for each in self.filters.values()]
        rows = "[\n    " + "\n    & ".join(conditions) + "\n]" if conditions else ""
        return "\n".join(
            [
                "import pandas as pd",
                "",
                "import helios_research as hr",
                "",
                self.source.code,
                f"selection = results{rows}",
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
        found.append(Reason(OneOf(main, (None,)), missing, f"no {label_of(main)}"))
    warned = int(has_warning(table).sum())
    if warned:
        found.append(Reason(HasWarning(), warned, HasWarning().words))
    return found


def _column(name: str) -> str:
    return f"results[{literal(name)}]"
