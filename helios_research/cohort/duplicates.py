"""Rows that share a key or a recording: each recording belongs to one participant, once."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from helios_research import codes
from helios_research.cohort.content import Content
from helios_research.cohort.findings import Findings, Problem
from helios_research.cohort.layout import Layout
from helios_research.columns import RECORDING_ID, Severity

_MOST_NAMED = 5


def unique_ids(given: "pd.Series[str]", recordings: "pd.Series[str]") -> "pd.Series[str]":
    """Give every row a key of its own."""
    wanted = given.fillna(recordings).fillna("row").tolist()
    taken = set(wanted)
    seen: dict[str, int] = {}
    keys = []
    for key in wanted:
        number = seen.get(key, 0) + 1
        unique = key if number == 1 else f"{key}#{number}"
        while number > 1 and unique in taken:
            number += 1
            unique = f"{key}#{number}"
        seen[key] = number
        taken.add(unique)
        keys.append(unique)
    return pd.Series(keys, index=given.index, dtype="str")


def check_ids(
    keys: "pd.Series[str]",
    repeats: "pd.Series[bool]",
    layout: Layout,
    row_numbers: "pd.Series[int]",
    findings: Findings,
) -> None:
    """Check that no key stands in two rows."""
    keys = keys.where(~repeats)
    positions: list[int] = []
    problems: list[Problem] = []
    for members in _groups(keys):
        rows = row_numbers.iloc[members].tolist()
        problem = Problem(
            f"The same recording_id stands in rows {_listed(rows)}.",
            "Give every recording an id of its own.",
        )
        positions += members
        problems += [problem] * len(members)
    column = layout.name_of(RECORDING_ID.name)
    findings.add(positions, column, keys.iloc[positions], problems, "INVALID_RECORDING_ID")


def check_shared_audio(
    content: Content, identities: "pd.Series[str]", shown_as: "pd.Series[str]"
) -> tuple[Findings, "pd.Series[bool]"]:
    """Check rows that have the same audio."""
    repeats = np.zeros(len(identities), dtype=bool)
    positions: list[int] = []
    problems: list[Problem] = []
    rows = content.row_numbers.to_numpy()
    groups = _groups(identities)
    for members, differing in zip(groups, _differing(groups, content.sent), strict=True):
        concerned = members if differing else members[1:]
        repeats[concerned] = not differing
        listed = _listed(rows[members].tolist())
        problem = _conflicting(listed, differing) if differing else _repeating(listed)
        positions += concerned
        problems += [problem] * len(concerned)
    findings = Findings()
    values = shown_as.iloc[positions]
    column = content.layout.name_of("recording")
    findings.add(positions, column, values, problems, codes.DUPLICATE_AUDIO)
    return findings, pd.Series(repeats, index=identities.index, dtype=bool)


def _differing(groups: list[list[int]], sent: pd.DataFrame) -> list[list[str]]:
    """Name the columns in which the members of each group differ, for all groups at once."""
    sizes = [len(members) for members in groups]
    positions = [position for members in groups for position in members]
    group_of = np.repeat(np.arange(len(groups)), sizes)
    firsts = np.repeat([members[0] for members in groups], sizes).astype(np.int64)
    differing: list[list[str]] = [[] for _ in groups]
    for name in sent.columns:
        labels = pd.factorize(sent[name])[0]
        unlike = labels[positions] != labels[firsts]
        for group in np.unique(group_of[unlike]).tolist():
            differing[group].append(str(name))
    return differing


def _conflicting(rows: str, differing: Sequence[str]) -> Problem:
    return Problem(
        f"The same audio stands in rows {rows} with different {', '.join(differing)}.",
        "Find out whose recording it is, and remove it from the other rows.",
    )


def _repeating(rows: str) -> Problem:
    return Problem(
        f"The same audio stands in rows {rows} with the same metadata.",
        "Nothing needs to be done: the rows share one run. Remove those that are not meant.",
        Severity.WARNING,
    )


def _groups(keys: "pd.Series[str]") -> list[list[int]]:
    labels = pd.factorize(keys)[0]
    alike = pd.Series(labels).duplicated(keep=False).to_numpy() & (labels >= 0)
    members: dict[int, list[int]] = {}
    for position in np.flatnonzero(alike).tolist():
        members.setdefault(int(labels[position]), []).append(position)
    return list(members.values())


def _listed(rows: Sequence[int]) -> str:
    named = ", ".join(map(str, rows[:_MOST_NAMED]))
    rest = len(rows) - _MOST_NAMED
    return f"{named} and {rest} more" if rest > 0 else named
