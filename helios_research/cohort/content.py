"""What a cohort consists of."""

from dataclasses import dataclass

import pandas as pd

from helios_research.cohort.layout import Layout
from helios_research.columns import STANDARD_FIELDS


@dataclass(frozen=True, slots=True)
class Content:
    """The tables of a cohort, with the same rows in the same order."""

    source: str
    layout: Layout
    frame: pd.DataFrame
    fields: pd.DataFrame
    tag_values: pd.DataFrame
    row_numbers: "pd.Series[int]"
    header_row: int
    findings: pd.DataFrame

    @property
    def sent(self) -> pd.DataFrame:
        """The metadata that are sent with each recording, under the table's own names."""
        names = [name for name in STANDARD_FIELDS if name not in {"recording_id", "recording"}]
        own = {name: self.layout.name_of(name) for name in names}
        return pd.concat([self.fields[names].rename(columns=own), self.tag_values], axis=1)
