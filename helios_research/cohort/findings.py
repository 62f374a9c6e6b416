"""Problems of a table, collected while it is checked and shown as one table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helios_research import columns
from helios_research.cohort.text import LONGEST_SHOWN

HEADER = -1
"""Position of a problem that concerns the whole table."""

Positions = NDArray[np.int64]

COLUMNS = ("position", "severity", "column", "value", "problem", "remedy", "error_code")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one value, in words."""

    problem: str
    remedy: str
    severity: columns.Severity = columns.Severity.ERROR


Judge = Callable[[str], Problem | None]


@dataclass(slots=True)
class Findings:
    """Problems found so far."""

    parts: list[pd.DataFrame] = field(default_factory=list)

    def add(
        self,
        positions: Positions | Sequence[int],
        column: str,
        values: "pd.Series[Any] | Sequence[Any]",
        problems: Sequence[Problem] | Problem,
        error_code: str,
    ) -> None:
        """Note one problem per position."""
        if len(positions) == 0:
            return
        each = [problems] * len(positions) if isinstance(problems, Problem) else problems
        self.parts.append(
            pd.DataFrame(
                {
                    "position": np.asarray(positions, dtype=np.int64),
                    "severity": [str(one.severity) for one in each],
                    "column": column,
                    "value": list(values),
                    "problem": [one.problem for one in each],
                    "remedy": [one.remedy for one in each],
                    "error_code": error_code,
                }
            )
        )

    def judge(
        self, values: "pd.Series[str]", column: str, error_code: str, judge: Judge
    ) -> "pd.Series[bool]":
        """Judge every value of a column, each different value once."""
        labels, distinct = pd.factorize(values)
        verdicts = [judge(value) for value in distinct.tolist()]
        flagged = np.array([verdict is not None for verdict in verdicts] + [False], dtype=bool)
        wrong = np.array([_is_error(verdict) for verdict in verdicts] + [True], dtype=bool)
        # A missing value has the label -1, which picks the entry appended at the end.
        positions = np.flatnonzero(flagged[labels])
        chosen = [verdicts[label] for label in labels[positions]]
        found = [verdict for verdict in chosen if verdict is not None]
        self.add(positions, column, values.iloc[positions], found, error_code)
        return pd.Series(~wrong[labels], index=values.index)

    def table(self) -> pd.DataFrame:
        """Put all problems into one table."""
        if not self.parts:
            return empty()
        table = typed(pd.concat(self.parts, ignore_index=True))
        return table.sort_values("position", kind="stable", ignore_index=True)


def empty() -> pd.DataFrame:
    """Make a table of no problems."""
    return typed(pd.DataFrame(columns=list(COLUMNS)))


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """Give a table of problems its dtypes, and shorten what stands in huge cells."""
    table = table.astype(
        {
            "position": "int64",
            "severity": pd.CategoricalDtype([str(level) for level in columns.Severity]),
            **dict.fromkeys(("column", "value", "problem", "remedy", "error_code"), "str"),
        }
    )
    long = table["value"].str.len() > LONGEST_SHOWN
    if long.any():
        table.loc[long, "value"] = table.loc[long, "value"].str.slice(0, LONGEST_SHOWN - 1) + "…"
    return table.loc[:, list(COLUMNS)]


def _is_error(verdict: Problem | None) -> bool:
    return verdict is not None and verdict.severity is columns.Severity.ERROR
