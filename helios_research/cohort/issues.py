"""What is wrong with a table: collected row by row, and shown by cause."""

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from itertools import repeat
from typing import Any

import pandas as pd

from helios_research._util.text import counted, literal, reveal
from helios_research.columns import CAUSES, Severity

HEADER = -1
"""Position of a problem that concerns the whole table."""

COLUMNS = ("position", "severity", "column", "value", "problem", "remedy", "error_code")

_LONGEST_VALUE = 200
"""Characters of a value that an issue shows."""

_EXAMPLES = 3
_MOST_SHOWN = 20
_MOST_CODES = 50

# What differs between rows with the same cause: lists, what is quoted, numbers, paths.
_OWN_TO_A_ROW = re.compile(r": .*|(?:(?:and )?(?:'[^']*'|\S*[0-9/\\]\S*)(?: more)?\s?)+")
_PASTED = re.compile(r"(values=|replace\()(\{.*\}\})")

_LOOKS = {
    Severity.ERROR: "; font-weight: bold; color: var(--jp-error-color1, var(--vscode-errorForeground, #c62828))",
    Severity.WARNING: "; font-weight: bold; color: var(--jp-warn-color0, var(--vscode-editorWarning-foreground, #b35900))",
}
_CELL = "text-align: left; vertical-align: top"
# Only texts may be broken within a word, so that they do not make the other columns narrow.
_TEXT = "; white-space: pre-wrap; overflow-wrap: anywhere; min-width: 10em"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one value, in words."""

    problem: str
    remedy: str
    severity: Severity = Severity.ERROR


Validator = Callable[[str], Problem | None]
"""Returns what is wrong with a value, or None."""


@dataclass(slots=True)
class Issues:
    """Problems found so far."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def add(
        self,
        positions: Iterable[int],
        column: str,
        values: Iterable[Any],
        problems: Iterable[Problem] | Problem,
        error_code: str = "INVALID_ROW",
    ) -> None:
        """Note one problem per position."""
        each = repeat(problems) if isinstance(problems, Problem) else problems
        self.rows += [
            (position, str(one.severity), column, value, one.problem, one.remedy, error_code)
            for position, value, one in zip(positions, values, each, strict=False)
        ]

    def warn(self, column: str, problem: str, remedy: str, value: str | None = None) -> None:
        """Note what may be wrong with the table as a whole."""
        self.add([HEADER], column, [value], Problem(problem, remedy, Severity.WARNING))

    def check(
        self,
        values: "pd.Series[str]",
        column: str,
        error_code: str,
        validator: Validator,
        shown: "pd.Series[str] | None" = None,
    ) -> "pd.Series[bool]":
        """Check every different value of a column once; return which values have no error.

        Issues show a value as it is in the table, where that is another column.
        """
        distinct = values.dropna().unique().tolist()
        problem_of = {value: problem for value in distinct if (problem := validator(value))}
        found = values[values.isin(list(problem_of))]
        cells = found if shown is None else shown[found.index]
        self.add(found.index, column, cells, [problem_of[value] for value in found], error_code)
        wrong = [value for value, one in problem_of.items() if one.severity is Severity.ERROR]
        return values.notna() & ~values.isin(wrong)

    def table(self) -> pd.DataFrame:
        """Put all problems into one table."""
        table = typed(pd.DataFrame(self.rows, columns=list(COLUMNS)))
        return table.sort_values("position", kind="stable", ignore_index=True)


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """Give a table of issues its dtypes, and shorten long values."""
    severity = pd.CategoricalDtype([str(level) for level in Severity])
    table = table.astype(
        dict.fromkeys(COLUMNS, "str") | {"position": "int64", "severity": severity}
    )
    shown = table["value"].map(shortened, na_action="ignore").map(reveal, na_action="ignore")
    return table.assign(value=shown.astype("str"))[list(COLUMNS)]


def code_of(field: str) -> str:
    """Name the error code of a row with an error in a field."""
    return f"INVALID_{field.upper()}"


def shortened(value: str) -> str:
    """Shorten text for a message."""
    return value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"


class CohortIssues:
    """Every problem of a cohort; displayed by cause, errors first.

    Attributes
    ----------
    rows
        One row per problem of a row; the columns are ``columns.ISSUES``.
    causes
        One row per cause; the columns are ``columns.CAUSES``.
    """

    def __init__(
        self, rows: pd.DataFrame, meanings: Mapping[str, Mapping[str, str]], first_row: int
    ) -> None:
        self.rows = rows
        self._first_row = first_row
        self._meanings = meanings

    @cached_property
    def causes(self) -> pd.DataFrame:
        """One row per cause, errors first, and then by the number of rows."""
        cause = {one: _OWN_TO_A_ROW.sub("…", one) for one in self.rows["problem"].unique()}
        keys = ["severity", "column", self.rows["problem"].map(cause)]
        groups = self.rows.groupby(keys, observed=True, sort=False)
        found = pd.DataFrame(
            [self._cause(group) for _, group in groups], columns=[one.name for one in CAUSES]
        )
        found["severity"] = found["severity"].astype(self.rows["severity"].dtype)
        order = ["severity", "rows"]
        return found.sort_values(order, ascending=[True, False], kind="stable", ignore_index=True)

    def _cause(self, group: pd.DataFrame) -> tuple[object, ...]:
        first, values = group.iloc[0], group["value"].dropna().unique().tolist()
        examples = ", ".join(values[:_EXAMPLES]) + (", …" if len(values) > _EXAMPLES else "")
        # A problem of the table as a whole has no recording.
        rows = group["recording_id"].nunique()
        remedy = self._joined(group["remedy"].unique()[:_MOST_CODES].tolist())
        return first["severity"], first["column"], rows, examples, first["problem"], remedy

    def _joined(self, remedies: list[str]) -> str:
        """Join the declarations of single values to the one that is to be pasted."""
        found = [line for line in map(_PASTED.search, remedies) if line]
        if not found:
            return remedies[0]
        declared = self._meanings if found[0][1] == "values=" else {}
        whole = {name: dict(codes) for name, codes in declared.items()}
        for line in found:
            for name, codes in ast.literal_eval(line[2]).items():
                whole[name] = whole.get(name, {}) | codes
        return remedies[0].replace(found[0][2], literal(whole))

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        lines = [
            f"  {one.severity}, {one.column}{_where(one.rows, one.examples)}: {one.problem} {one.remedy}"
            for one in self.causes.head(_MOST_SHOWN).itertuples()
        ]
        return "\n".join([self._title(), *lines])

    def _repr_html_(self) -> str:
        named = ["severity", "column", "rows", "examples"]
        shown = self.causes[named].astype("str")
        shown["problem, and what to do"] = self.causes["problem"].str.cat(
            self.causes["remedy"], " "
        )
        head = "".join(_cell("th", name) for name in shown.columns)
        body = "".join(
            f"<tr>{_cell('td', severity, _LOOKS[Severity(severity)])}{_cell('td', column)}"
            f"{_cell('td', rows)}{_cell('td', examples, _TEXT)}{_cell('td', problem, _TEXT)}</tr>"
            for severity, column, rows, examples, problem in shown.itertuples(index=False)
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<p>{self._title()}</p>{table if len(self) else ''}"

    def _title(self) -> str:
        if not len(self):
            return "There are no issues."
        errors = int((self.rows["severity"] == Severity.ERROR).sum())
        causes = counted(len(self.causes), "cause")
        more = len(self.causes) - _MOST_SHOWN
        shown = f", of which {more:,} are not shown" if more > 0 else ""
        return (
            f"{counted(errors, 'error')} and {counted(len(self) - errors, 'warning')}, with {causes}"
            f"{shown}. Each row: cohort.issues.rows, in which the first recording is row {self._first_row}"
        )


def _cell(tag: str, text: str, look: str = "") -> str:
    return f'<{tag} style="{_CELL}{look}">{escape(text)}</{tag}>'


def _where(rows: Any, examples: Any) -> str:
    if not rows:
        return ""
    return f", {counted(rows, 'row')}{f' ({examples})' if examples else ''}"
