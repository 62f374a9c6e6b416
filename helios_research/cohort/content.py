"""What a cohort consists of."""

from dataclasses import dataclass

import pandas as pd

from helios_research.cohort.layout import Layout
from helios_research.columns import STANDARD_FIELDS


@dataclass(frozen=True, slots=True)
class Content:
    """The tables of a cohort, with the same rows in the same order.

    Attributes
    ----------
    source
        What messages call the table from which it was read.
    layout
        Which of the table's columns feeds which field.
    frame
        The table's own columns.
    fields
        The standard fields as text.
    tag_values
        The tags as text.
    row_numbers
        Row of each position as a person counts.
    header_row
        Row number of the header.
    findings
        Every problem, with the columns of `findings.COLUMNS`.
    """

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
