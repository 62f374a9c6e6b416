"""Which recordings are shown: those for which all conditions hold at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pandas as pd

from helios_research.analysis.tables import Flags
from helios_research.widgets.explorer_conditions import Condition


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
