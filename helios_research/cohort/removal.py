"""Taking rows out of a cohort, so that nothing of them stays behind."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helios_research.cohort.content import Content
from helios_research.cohort.findings import HEADER
from helios_research.cohort.text import shown


def remove_rows(content: Content, gone: NDArray[np.bool_]) -> Content:
    """Take rows out of a cohort.

    What was found out about the rows that stay is kept as it is, so that they are judged as
    before; row numbers are still those of the table. Categories that only the removed rows had, and
    sentences about other rows that name a label which is gone, are removed too.
    """
    labels = content.fields["user_label"]
    lost = set(labels[gone].dropna()) - set(labels[~gone].dropna())
    return replace(
        content,
        # What was said of all rows was said of those that stay, if any do.
        layout=replace(content.layout, constants={} if gone.all() else content.layout.constants),
        frame=_without(content.frame, gone),
        fields=_kept(content.fields, gone),
        tag_values=_kept(content.tag_values, gone),
        row_numbers=content.row_numbers[~gone].reset_index(drop=True),
        findings=_findings(content.findings, gone, lost),
    )


def _kept(table: pd.DataFrame, gone: NDArray[np.bool_]) -> pd.DataFrame:
    return table[~gone].reset_index(drop=True)


def _without(frame: pd.DataFrame, gone: NDArray[np.bool_]) -> pd.DataFrame:
    kept = _kept(frame, gone)
    for place, name in enumerate(frame.columns):
        values = frame.iloc[:, place]
        if isinstance(values.dtype, pd.CategoricalDtype):
            lost = set(values[gone].dropna()) - set(values[~gone].dropna())
            kept[name] = kept[name].cat.remove_categories(list(lost))
    return kept


def _findings(findings: pd.DataFrame, gone: NDArray[np.bool_], lost: set[str]) -> pd.DataFrame:
    positions = findings["position"].to_numpy()
    header = positions == HEADER
    stays = header | ~gone[np.where(header, 0, positions)] if len(gone) else header
    for label in lost:
        stays &= ~findings["problem"].str.contains(repr(shown(label)), regex=False).to_numpy()
    new_positions = np.cumsum(~gone) - 1
    moved = [HEADER if place == HEADER else new_positions[place] for place in positions[stays]]
    kept: pd.DataFrame = findings[stays].reset_index(drop=True)
    return kept.assign(position=np.array(moved, dtype=np.int64))
