"""Which recordings an explorer shows: conditions, filters, and all that is shown at one moment."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from helios_research._util.text import literal
from helios_research.analysis.prepared import Codes, Flags
from helios_research.codes import short_name
from helios_research.columns import BIOMARKERS_BY_NAME
from helios_research.widgets.explorer.figure import SIDES, FigureKind, FigureView
from helios_research.widgets.explorer.source import (
    ResultsSource,
    is_text,
    label_of,
    texts_of,
    value_words,
)

NO_MATCH = "No recordings match all filters: remove a filter to see recordings again."

_NAMED_IN_A_CHIP = 3
_MOST_TAGS_IN_TABLE = 4


@dataclass(frozen=True, slots=True)
class Condition(ABC):
    """What a recording must match to be shown: a mask, words for a chip, and code in one."""

    # A later condition about the same column replaces it.
    column: str

    @property
    @abstractmethod
    def words(self) -> str:
        """What it asks for, short enough for a chip."""

    @property
    def crossing(self) -> str:
        """Why no recording can match, where it asks for a range that ends before it begins."""
        return ""

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
        names = [value_words(self.column, value) for value in self.values]
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
class NumberBetween(Condition):
    """A number is in a range; both ends are included, or only the lower (``inclusive="left"``)."""

    low: float
    high: float
    inclusive: Literal["both", "left"] = "both"

    @property
    def words(self) -> str:
        """The column and its range."""
        return f"{label_of(self.column)} {self.low:g} to {self.high:g}"

    @property
    def crossing(self) -> str:
        """Why no recording can match."""
        if self.low <= self.high:
            return ""
        return f"No {label_of(self.column)} is at least {self.low:g} and at most {self.high:g}: change one of them."

    def holds(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Mark the rows that match."""
        numbers = table[self.column].astype("float64")
        return numbers.between(self.low, self.high, inclusive=self.inclusive)

    def code(self, table: pd.DataFrame) -> str:  # noqa: ARG002 - they are always numbers
        """Give an expression of pandas that marks them."""
        ends = f"{self.low!r}, {self.high!r}"
        ends += "" if self.inclusive == "both" else f", inclusive={literal(self.inclusive)}"
        return f'{_column(self.column)}.astype("float64").between({ends})'


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
        label = label_of(self.column)
        if self.last is None:
            return f"{label} from {self.first}"
        if self.first is None:
            return f"{label} up to {self.last}"
        return f"{label} {self.first} to {self.last}"

    @property
    def crossing(self) -> str:
        """Why no recording can match."""
        first, last = self._bounds
        if first <= last:
            return ""
        return f"No day is from {first} and up to {last}: change one of them."

    def holds(self, table: pd.DataFrame) -> "pd.Series[bool]":
        """Mark the rows that match."""
        first, last = map(pd.Timestamp, self._bounds)
        between: pd.Series[bool] = days_of(table[self.column]).between(first, last)
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


def days_of(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Give the day of each time, or of each text that begins with one as ISO 8601."""
    if pd.api.types.is_datetime64_any_dtype(values):
        days: pd.Series[Any] = values.dt.tz_localize(None).dt.normalize()
        return days
    return pd.to_datetime(texts_of(values).str[:10], format="%Y-%m-%d", errors="coerce")


@dataclass(frozen=True)
class ExplorerState:
    """What an explorer shows at one moment, without any widget."""

    source: ResultsSource
    view: FigureView
    # By column, in the order in which they were set; a recording must match every one.
    filters: Mapping[str, Condition] = field(default_factory=dict)
    # The filters of the selection that the one shown is compared with; None without one.
    kept: Mapping[str, Condition] | None = None

    @cached_property
    def mask(self) -> Flags:
        """Which rows of the results are shown."""
        return self._matching(self.filters.values())

    def without(self, column: str) -> Flags:
        """Mark the rows that the filters of all other columns leave."""
        if column not in self.filters:
            return self.mask
        return self._matching(each for name, each in self.filters.items() if name != column)

    def _matching(self, conditions: Iterable[Condition]) -> Flags:
        rows = np.ones(len(self.source.table), dtype=bool)
        for condition in conditions:
            rows &= condition.holds(self.source.compact).to_numpy(dtype=bool, na_value=False)
        return rows

    @cached_property
    def count(self) -> int:
        """Recordings shown."""
        return int(self.mask.sum())

    @property
    def selection(self) -> pd.DataFrame:
        """The rows shown, in the results' order, with all columns."""
        return self.source.table[self.mask]

    @property
    def figure(self) -> FigureView:
        """What the figure shows: the view, or with a kept selection that one beside this."""
        if self.kept is None:
            return self.view
        kind = FigureKind.BY_TAG if self.view.kind.has_scores else FigureKind.OUTCOMES
        return replace(self.view, kind=kind, tag=SIDES, colour=None)

    @property
    def drawn(self) -> pd.DataFrame:
        """The rows and columns that the figure needs."""
        rows = self.source.compact[self.figure.needs(self.source.table)]
        if self.kept is None:
            return rows[self.mask]
        sides = {"A": self._matching(self.kept.values()), "B": self.mask}
        return pd.concat([rows[mask].assign(**{SIDES: side}) for side, mask in sides.items()])

    @property
    def why_empty(self) -> str:
        """Why no recording is shown."""
        crossing = (each.crossing for each in self.filters.values())
        return next(filter(None, crossing), NO_MATCH)

    @property
    def words(self) -> str:
        """How many recordings and participants are shown, and of how many."""
        people, everyone = self.source.people
        shown = len(np.unique(people[self.mask & (people >= 0)]))
        return (
            f"{self.count:,} of {len(self.mask):,} recordings shown, "
            f"{shown:,} of {everyone:,} participants"
        )

    @property
    def file_name(self) -> str:
        """A name for files of this selection, without an ending, from its figure and filters."""
        view, sides = self.figure, [self.filters, self.kept or {}]
        filters = [each.words for side in sides for each in side.values()]
        name = "-".join(["helios", *view.biomarkers[:2], view.tag, *filters])
        return re.sub(r"[^\w.-]+", "_", name)[:100].rstrip("_.")

    def filtered(self, column: str, condition: Condition | None) -> "ExplorerState":
        """Set the condition about a column, in place of an earlier one; None takes it away."""
        conditions = {**self.filters, column: condition}
        return replace(
            self, filters={name: each for name, each in conditions.items() if each is not None}
        )

    def shared(self, rows: Codes, columns: Iterable[str]) -> list[Condition]:
        """Give the conditions of which some of the rows shown are examples, one for each column."""
        table, conditions = self.selection.iloc[rows], list[Condition]()
        for name in columns:
            if name == self.source.day_column:
                days = days_of(table[name]).dt.date
                conditions.append(DayBetween(name, days.min(), days.max()))
            else:
                texts = texts_of(table[name])
                values: tuple[str | None, ...] = tuple(texts.dropna().unique())
                conditions.append(OneOf(name, (*values, None) if texts.isna().any() else values))
        return conditions

    def rows(self) -> pd.DataFrame:
        """Give the selection as its table shows it, in words and numbered from 1."""
        table, view = self.source.compact, self.view
        tags = [view.tag, view.colour, *self.source.tags]
        wanted = [
            *("user_label", *view.biomarkers, "recording_id"),
            *[tag for tag in dict.fromkeys(tags) if tag is not None][:_MOST_TAGS_IN_TABLE],
            *("outcome", "error_code"),
        ]
        names = [name for name in dict.fromkeys(wanted) if name in table.columns]
        labels = {name: label_of(name) for name in names if label_of(name) not in table.columns}
        rows = table[names][self.mask].reset_index(drop=True)
        if "error_code" in names:
            codes = rows["error_code"].astype("category")
            rows["error_code"] = codes.map(short_name, na_action="ignore")
        rows = rows.rename(columns=labels)
        if "no." not in names:
            rows.insert(0, "no.", range(1, len(rows) + 1))
        return rows

    def code(self) -> str:
        """Give the lines that reproduce selection and figure."""
        lines = ["import pandas as pd", "", "import helios_research as hr", "", self.source.code]
        if self.kept is None:
            lines += [f"selection = {self._rows_code(self.filters)}"]
        else:
            lines += [f"a = {self._rows_code(self.kept)}", f"b = {self._rows_code(self.filters)}"]
            both = ", ".join(f'{side.lower()}.assign({SIDES}="{side}")' for side in "AB")
            lines += [f"selection = pd.concat([{both}])"]
            if self.view.kind.has_scores:
                scores = literal(self.view.biomarkers)
                lines += [f'hr.analysis.compare_by_tag(selection, "{SIDES}", biomarkers={scores})']
        return "\n".join([*lines, self.figure.code(), ""])

    def _rows_code(self, filters: Mapping[str, Condition]) -> str:
        conditions = [each.code(self.source.table) for each in filters.values()]
        return "results" + ("[\n    " + "\n    & ".join(conditions) + "\n]" if conditions else "")


def initial_state(source: ResultsSource) -> ExplorerState:
    """Show all recordings, their first biomarker by their first tag."""
    return ExplorerState(
        source, FigureView(FigureKind.BY_TAG, source.biomarkers[:1], source.tags[0], None)
    )


def _column(name: str) -> str:
    return f"results[{literal(name)}]"
