"""The shape of a table: one row for several recordings, cells to be filled, rows that are none."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, takewhile
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helios_research.cohort.cells import RawTable, as_text, cell_text, storable, stripped_text
from helios_research.cohort.guessing import guess_columns
from helios_research.cohort.issues import HEADER, Issues, Problem
from helios_research.cohort.mapping import OF_A_PERSON, ColumnMapping
from helios_research.cohort.recordings import listed_rows
from helios_research.cohort.validation import Draft
from helios_research.columns import BIRTH_SEX_SPELLINGS, RECORDING_ID, REQUIRED_FIELDS
from helios_research.errors import ColumnsError

LEVEL = "visit"
"""The column that says which of several recordings a row of a wide table has become."""

_IMPORT_ID = re.compile(r'\s*\{\s*"ImportId"')
_LOOKED_AT_FIRST = 5
"""Rows at the beginning in which names of columns are looked for (our choice)."""

_AS_WIDE = 'Write it as in wide=["recording_t1", "recording_t2"].'

Positions = NDArray[np.int64]


def reshaped(raw: RawTable, mapping: ColumnMapping) -> RawTable:
    """Make a table with one row for each recording."""
    raw = _without_import_ids(raw)
    return _long(raw, mapping) if mapping.wide else raw


def completed(raw: RawTable, mapping: ColumnMapping) -> RawTable:
    """Fill blank cells within participants, and leave out rows without a recording, as declared."""
    if mapping.fill_within is not None:
        raw = _filled(raw, mapping, mapping.fill_within)
    is_declared = mapping.wide or mapping.fill_within is not None
    return _with_recordings(raw, mapping) if is_declared else raw


def _taken(raw: RawTable, positions: Positions) -> RawTable:
    """Take rows, which may be the same ones several times, with their issues."""
    new_of: dict[int, list[int]] = {HEADER: [HEADER]}
    for new, old in enumerate(positions.tolist()):
        new_of.setdefault(old, []).append(new)
    issues = [(new, *rest) for old, *rest in raw.issues.rows for new in new_of.get(old, [])]
    return replace(
        raw,
        frame=raw.frame.iloc[positions].reset_index(drop=True),
        cells=raw.cells.iloc[positions].reset_index(drop=True),
        row_numbers=raw.row_numbers[positions],
        issues=Issues(issues),
    )


# --- rows that are names --------------------------------------------------------------------------


def _without_import_ids(raw: RawTable) -> RawTable:
    """Leave out the rows that Qualtrics writes below the names; their mark leaves no doubt."""
    head = raw.cells.head(2)
    marked = [place for place in range(len(head)) if _are_import_ids(head.iloc[place])]
    if not marked:
        return raw
    gone = marked[-1] + 1
    rows = f"row{'s' * (gone - 1)} {' and '.join(map(str, raw.row_numbers[:gone]))}"
    kept = _taken(raw, np.arange(gone, len(raw.cells)))
    what = f"Below the names are questions and import ids of Qualtrics, which are left out: {rows}."
    kept.issues.warn("row", what, "Check that nothing else is in it.")
    return kept


def _are_import_ids(cells: "pd.Series[Any]") -> bool:
    filled = [text for text in map(cell_text, cells) if text and text.strip()]
    return bool(filled) and all(map(_IMPORT_ID.match, filled))


def names_further_down(raw: RawTable) -> ColumnsError | None:
    """Say in which row the names of the columns are, where it is not the first."""
    # Below a title, the delimiter may be unknown, and cells beyond the title's are in the issues.
    beyond = {row[0]: row[3] for row in raw.issues.rows}
    for place in range(min(_LOOKED_AT_FIRST, len(raw.cells))):
        cells = [cell_text(cell) or "" for cell in (*raw.cells.iloc[place], beyond.get(place))]
        names = re.split(r"[;,|\t]", ",".join(cells))
        if len(guess_columns(names)) > max(2, len(guess_columns(raw.cells.columns))):
            what = f"has the names of its columns in row {raw.row_numbers[place]}"
            return ColumnsError.names(raw.source, what, "Remove the rows above it.")
    return None


# --- wide tables ----------------------------------------------------------------------------------


def _long(raw: RawTable, mapping: ColumnMapping) -> RawTable:
    """Make one row for each recording of a row, in this order."""
    _check_wide(raw, mapping)
    levels = level_names(mapping.wide["recording"])
    repeated = _taken(raw, np.repeat(np.arange(len(raw.cells)), len(levels)))
    used = [*chain.from_iterable(mapping.wide.values())]
    level = pd.Categorical(levels * len(raw.cells), categories=levels, ordered=True)
    frames = [
        whole.drop(columns=used).assign(
            **{LEVEL: level}, **{name: _in_turn(own, names) for name, names in mapping.wide.items()}
        )
        for whole, own in ((repeated.frame, raw.frame), (repeated.cells, raw.cells))
    ]
    frame, cells = frames
    frame = frame.assign(**{name: storable(frame[name]) for name in mapping.wide})
    key = mapping.name_of(RECORDING_ID.name)
    if key in cells and key not in mapping.wide:
        cells[key] = stripped_text(as_text(cells[key])) + "_" + cells[LEVEL].astype("str")
    return replace(repeated, frame=frame, cells=cells)


def _check_wide(raw: RawTable, mapping: ColumnMapping) -> None:
    names = [*chain.from_iterable(mapping.wide.values())]
    lengths = {len(columns) for columns in mapping.wide.values()}
    lacking = [name for name in names if name not in raw.cells]
    made = sorted({LEVEL, *mapping.wide} & {*raw.cells.columns} - {*names})
    is_unclear = "recording" not in mapping.wide or "recording" in mapping.columns
    is_uneven = len(lengths) > 1 or len({*names}) < len(names) or min(lengths) < 2
    for is_wrong, what in (
        (is_unclear, "wide= has to name the columns of 'recording', and columns= none"),
        (lacking, f"wide= names {lacking}, which the table does not have"),
        (is_uneven, "wide= has to name two or more different columns, as many for each field"),
        (made, f"wide= makes columns that are there already, {made}: rename them"),
    ):
        if is_wrong:
            raise ColumnsError.mapping(raw.source, what, _AS_WIDE)


def _in_turn(frame: pd.DataFrame, names: Sequence[str]) -> "pd.Series[Any]":
    """Put columns into one, row by row."""
    whole: pd.Series[Any] = pd.concat([frame[name] for name in names])
    in_turn: pd.Series[Any] = whole.sort_index(kind="stable").reset_index(drop=True)
    return in_turn


def level_names(names: Sequence[str]) -> list[str]:
    """Name each of several columns by what differs: whole words, or the number at the end."""
    begin, end = (_shared_words(each) for each in (names, [name[::-1] for name in names]))
    levels = [name[begin : len(name) - end] for name in names]
    numbered = [re.fullmatch(r"(\D+)(\d+)", name) for name in names]
    if not begin + end and len({found and found[1] for found in numbered}) == 1:
        levels = [found[2] if found else "" for found in numbered]
    return levels if all(levels) else list(names)


def _shared_words(names: Sequence[str]) -> int:
    words = zip(*(re.findall(r"[^\W_]*[\W_]+", name) for name in names), strict=False)
    return sum(len(same[0]) for same in takewhile(lambda each: len({*each}) == 1, words))


# --- blank cells ----------------------------------------------------------------------------------


def _filled(raw: RawTable, mapping: ColumnMapping, more: Sequence[str]) -> RawTable:
    """Fill the blank cells of a participant where all others in the column are the same."""
    field_of = {name: field for field, name in mapping.columns.items()}
    names = [mapping.columns[field] for field in OF_A_PERSON if field in mapping.columns]
    further = [mapping.name_of(name) for name in more]
    lacking = [name for name in further if name not in raw.cells]
    if lacking or "user_label" not in mapping.columns:
        what = f"fill_within= needs the columns {', '.join(lacking) or 'user_label'}"
        raise ColumnsError.mapping(raw.source, what, "Check the spelling, also of columns=.")
    people = stripped_text(as_text(raw.cells[mapping.columns["user_label"]]))
    frame, cells = raw.frame.copy(deep=False), raw.cells.copy(deep=False)
    for name in dict.fromkeys([*names, *further]):
        # As declared, so that a code for a missing value is blank.
        values = mapping.read(stripped_text(as_text(cells[name])), field_of.get(name, name))
        if field_of.get(name) == "birth_sex":
            values = values.str.upper().replace(dict(BIRTH_SEX_SPELLINGS))
        source = _sources(people, values)
        for table in (frame, cells):
            table[name] = table[name].iloc[source].set_axis(table.index)
    return replace(raw, frame=frame, cells=cells)


def _sources(people: "pd.Series[str]", values: "pd.Series[str]") -> Positions:
    """Find for each row the row that its cell comes from: itself where there is no other one."""
    own = np.arange(len(values))
    known = pd.DataFrame({"person": people, "value": values}).dropna().drop_duplicates()
    known = known[~known["person"].duplicated(keep=False)]
    other = people.map(pd.Series(known.index, index=known["person"]))
    fillable = (values.isna() & other.notna()).to_numpy()
    own[fillable] = other[fillable].astype("int64")
    return own


def _with_recordings(raw: RawTable, mapping: ColumnMapping) -> RawTable:
    """Leave out the rows without a recording; one that may be damaged stays, with its issue."""
    column = mapping.columns["recording"]
    gone = stripped_text(as_text(raw.cells[column])).isna().to_numpy(copy=True)
    gone[[row[0] for row in raw.issues.rows if row[0] != HEADER]] = False
    if not gone.any() or gone.all():
        return raw
    kept = _taken(raw, np.flatnonzero(~gone))
    rows = [str(row) for row in raw.row_numbers[gone]]
    if mapping.wide:
        rows = [f"{row} ({level})" for row, level in zip(rows, raw.cells[LEVEL][gone], strict=True)]
    what = f"{gone.sum():,} of {len(gone):,} rows have no recording and are left out: {listed_rows(rows)}."
    kept.issues.warn(column, what, "Check that no recording is missing there.")
    return kept


# --- rows that are no recordings ------------------------------------------------------------------


def check_strays(draft: Draft) -> None:
    """Name the cause, in place of its effects, where a row is none of a recording."""
    names = [field for field in REQUIRED_FIELDS if field in draft.mapping.columns]
    cells, labels, issues = draft.stripped[names], draft.fields["user_label"], draft.issues
    few = cells.notna().sum(axis=1) <= 1
    problem_of: dict[int, Problem] = {}
    if len(names) > 2 and few.any() and not few.all():
        known, places = {*labels[~few].dropna()}, np.flatnonzero(few).tolist()
        problem_of = {place: _STRAY for place in places if labels.iloc[place] not in known}
    if _is_second_header(cells, draft.good):
        problem_of[0] = _SECOND_HEADER
    issues.rows = [row for row in issues.rows if row[0] not in problem_of or row[2] == "row"]
    values = [next(iter(cells.iloc[place].dropna()), None) for place in problem_of]
    issues.add(problem_of, "row", values, problem_of.values())


_STRAY = Problem(
    "The row has at most one of the cells that a recording needs, as a total or a note has.",
    "Remove it from the table, or fill in its cells.",
)
_SECOND_HEADER = Problem("The row looks like a second row of names.", "Remove it from the table.")


def _is_second_header(cells: pd.DataFrame, good: pd.DataFrame) -> bool:
    names = [name for name in ("date_of_birth", "birth_sex") if name in cells]
    if len(names) < 2 or len(cells) < 2 or cells.iloc[0].isna().any() or good.iloc[0][names].any():
        return False
    first = cells.iloc[0][names]
    return not re.search(r"\d", first["date_of_birth"]) and bool(
        (cells[names].iloc[1:] != first).all(axis=None)
    )
