"""What an explorer explores and shows at one moment, without any widget."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from helios_research.analysis.prepared import (
    Flags,
    count_people,
    count_reasons,
    has_warning,
)
from helios_research.columns import (
    Outcome,
)
from helios_research.widgets.explorer.conditions import (
    Condition,
    Filters,
    HasWarning,
    NoScore,
    OneOf,
    label_of,
)
from helios_research.widgets.explorer.figure import Kind, View
from helios_research.widgets.explorer.source import Source

NOTHING_LEFT = "No recording fulfils all filters: remove one of them to see some again."

_MOST_TAGS_IN_TABLE = 4
_MOST_REASONS = 12


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that is wrong with recordings, to be looked at with one click."""

    condition: Condition
    count: int
    words: str


@dataclass(frozen=True)
class State:
    """What is shown: results, filters, figure."""

    source: Source
    view: View
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
        """What the figure is drawn from: the selection's columns that it needs."""
        return self.source.compact[self.view.needs(self.source.table)][self.mask]

    @property
    def words(self) -> str:
        """How many recordings and participants are shown, of how many."""
        people, everyone = self.source.people
        shown = count_people(people, self.mask)
        return (
            f"{self.count:,} of {len(self.mask):,} recordings shown, "
            f"{shown:,} of {everyone:,} participants"
        )

    def having(self, condition: Condition) -> "State":
        """Set a filter."""
        return replace(self, filters=self.filters.having(condition))

    def without(self, key: str) -> "State":
        """Take a filter away."""
        return replace(self, filters=self.filters.without(key))

    def rows(self) -> pd.DataFrame:
        """Give the columns of the selection that its table shows."""
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


def begin(source: Source) -> State:
    """Show everything, its first biomarker by its first tag."""
    return State(source, View(Kind.BY_TAG, source.biomarkers[:1], source.tags[0], None))


def reasons_of(source: Source) -> Sequence[Reason]:
    """List what is wrong with recordings, most frequent first."""
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
        found.append(Reason(NoScore(main), missing, f"no {label_of(main)}"))
    warned = int(has_warning(table).sum())
    if warned:
        found.append(Reason(HasWarning(), warned, "with a warning"))
    return found
