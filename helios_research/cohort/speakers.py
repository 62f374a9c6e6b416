"""Checks across the rows of one participant: scores are benchmarked against demographics."""

import pandas as pd

from helios_research.cohort.findings import Findings, Problem
from helios_research.cohort.layout import Layout
from helios_research.cohort.text import shown
from helios_research.columns import Severity

_WORDS = {"date_of_birth": "dates of birth", "birth_sex": "birth sexes"}
_UNKNOWN = "UNKNOWN"


def check_speakers(
    fields: pd.DataFrame,
    good: pd.DataFrame,
    layout: Layout,
    row_numbers: "pd.Series[int]",
    findings: Findings,
) -> None:
    """Check that each participant is one person throughout."""
    for field in _WORDS:
        usable = fields.loc[good["user_label"] & good[field], ["user_label", field]]
        problem_of = _conflicts(field, usable, row_numbers)
        verdicts = [problem_of.get(label) for label in usable["user_label"]] if problem_of else []
        kept = [
            (position, value, verdict)
            for position, value, verdict in zip(usable.index, usable[field], verdicts, strict=False)
            if verdict is not None and (verdict.severity is Severity.ERROR or value == _UNKNOWN)
        ]
        positions, values, problems = zip(*kept, strict=True) if kept else ((), (), ())
        findings.add(positions, layout.name_of(field), values, problems, f"INVALID_{field.upper()}")
    _check_case(fields["user_label"], layout.name_of("user_label"), row_numbers, findings)


def check_birth_in_label(fields: pd.DataFrame, findings: Findings, column: str) -> None:
    """Warn where a participant's label contains the participant's own date of birth."""
    pairs = fields[["user_label", "date_of_birth"]].dropna().drop_duplicates()
    telling = {
        (label, born)
        for label, born in zip(pairs["user_label"], pairs["date_of_birth"], strict=True)
        if _tells(label, born)
    }
    if not telling:
        return
    rows = zip(fields["user_label"], fields["date_of_birth"], strict=True)
    positions = [position for position, row in enumerate(rows) if row in telling]
    problem = Problem(
        "The label contains the date of birth, and it would be sent.",
        "Use a pseudonym that cannot be traced to the person.",
        Severity.WARNING,
    )
    values = fields["user_label"].iloc[positions]
    findings.add(positions, column, values, problem, "INVALID_USER_LABEL")


def _tells(label: str, date_of_birth: str) -> bool:
    digits = "".join(filter(str.isdecimal, label))
    born = date_of_birth.replace("-", "")
    if len(born) != len("YYYYMMDD") or len(digits) < len("YYMMDD"):
        return False
    return any(spelling in digits for spelling in _spellings(born))


def _spellings(born: str) -> tuple[str, ...]:
    year, month, day = born[:4], born[4:6], born[6:]
    return (
        year + month + day,
        day + month + year,
        month + day + year,
        year[2:] + month + day,
        day + month + year[2:],
    )


def _conflicts(
    field: str, usable: pd.DataFrame, row_numbers: "pd.Series[int]"
) -> dict[str, Problem]:
    first = usable.drop_duplicates()
    contested = first[first["user_label"].duplicated(keep=False)]
    rows_of: dict[str, dict[str, int]] = {}
    for row, label, value in zip(
        row_numbers[contested.index], contested["user_label"], contested[field], strict=True
    ):
        rows_of.setdefault(label, {})[value] = row
    return {label: _conflict(field, rows) for label, rows in rows_of.items()}


def _conflict(field: str, rows: dict[str, int]) -> Problem:
    listed = ", ".join(f"{value} (row {row})" for value, row in rows.items())
    if len(rows.keys() - {_UNKNOWN}) > 1:
        return Problem(
            f"This participant has {len(rows)} {_WORDS[field]}: {listed}.",
            "Correct the wrong rows, or give different people different labels.",
        )
    return Problem(
        f"Elsewhere this participant's sex is known: {listed}.",
        "Write the same sex in all rows, so that all scores have the same benchmark.",
        Severity.WARNING,
    )


def _check_case(
    labels: "pd.Series[str]", column: str, row_numbers: "pd.Series[int]", findings: Findings
) -> None:
    first_of: dict[str, tuple[str, int]] = {}
    first = ~labels.duplicated() & labels.notna()
    for label, row in zip(labels[first].tolist(), row_numbers[first].tolist(), strict=True):
        first_of.setdefault(label.casefold(), (label, row))

    def judge(label: str) -> Problem | None:
        earlier, row = first_of[label.casefold()]
        if earlier == label:
            return None
        return Problem(
            f"It differs only in upper and lower case from {shown(earlier)!r} (row {row}), "
            "but counts as another participant.",
            "Write both alike if they are the same person.",
            Severity.WARNING,
        )

    findings.judge(labels, column, "INVALID_USER_LABEL", judge)
