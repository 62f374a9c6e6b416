"""Keeping groups of a few participants out of sight, so that nobody is recognized by their group.

Small groups are pooled before anything is computed, so that every table and figure shows the same
groups. A pool holds at least two groups and five participants: what is in it cannot be found by
taking the other groups from the total.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from helios_research.analysis import flow, format_table_one, missingness_by_tag, table_one
from helios_research.analysis.missingness import ANY_REASON, BIOMARKER_FAILED
from helios_research.analysis.table_one import OVERALL
from helios_research.errors import ResultsError
from helios_research.plots import COLUMN, flow_diagram, outcomes_by_tag
from helios_research.report.blocks import (
    Block,
    Bullets,
    Picture,
    Pictures,
    ReportSection,
    Table,
    Text,
    count,
    p_value,
    percent,
    picture_of,
    table_of,
)
from helios_research.report.data import FEWEST, HIDDEN, ReportData, hide_small_counts

_EVERYONE = "__everyone__"
_MOST_ROWS = 40
_WHAT_IS_COUNTED = (
    "Without scores are all recordings that ended, but not as scored. The biomarker failed where "
    "they were failed or skipped; it did not where they were rejected, invalid or lost, for which "
    "the recording was not the reason."
)
_NOTHING_TO_TEST = "No test: too few participants or levels, or no failures to compare."


def participants(data: ReportData) -> ReportSection:
    """Describe the participants by the first tag that can be the arm."""
    title = "Who took part"
    if not data.n_people:
        return ReportSection("participants", title, (Text("There is no participant yet."),))
    tag = data.dividing_tag or next(iter(data.small_tags), None)
    by = tag or _EVERYONE
    described = table_one(data.table.assign(**({} if tag else {by: "all"})), by)
    printed = format_table_one(described)
    if data.hides_small_cells:
        printed = hide_small_counts(described, printed)
    if tag is None:
        printed = printed.drop(columns=["all"])
    printed = printed.rename(columns={OVERALL: "all participants"})
    printed["SMD"] = printed["SMD"].str.replace("-", "\N{MINUS SIGN}")
    printed["characteristic"] = printed["characteristic"].mask(
        printed["characteristic"].duplicated(), " "
    )
    caption = f"Participants by {tag}" if tag else "Participants"
    numeric = [name for name in printed.columns if name not in ("characteristic", "level")]
    # How many scores are flagged is no matter of who took part.
    about_all = data.prepared.flagged_note
    warnings = [said for said in described.attrs["warnings"] if said != about_all]
    notes = [described.attrs["method"], *warnings]
    if HIDDEN in printed.to_numpy():
        notes.append(
            f"Cells of fewer than {FEWEST} participants are hidden, and others that would give "
            "them away."
        )
    table = table_of(printed, caption, numeric=numeric, notes=notes)
    return ReportSection("participants", title, (table,))


def recording_flow(data: ReportData) -> ReportSection:
    """Follow the recordings from the manifest to scores without warning."""
    title = "From the manifest to scores"
    if data.table.empty:
        return ReportSection("flow", title, (Text("There is no recording yet."),))
    found = flow(data.table)
    remaining = found[found["kind"] == "remaining"]
    steps = ", ".join(f"{row.step} {row.recordings:,}" for row in remaining.itertuples(index=False))
    drawn = picture_of(
        lambda: flow_diagram(data.table, style=COLUMN),
        alt=f"Flow of recordings: {steps}. The table below has the reasons of each loss.",
        caption="What became of the recordings",
    )
    frame = pd.DataFrame(
        {
            "step": [
                row.step if row.kind == "remaining" else f"lost before “{row.step}”"
                for row in found.itertuples(index=False)
            ],
            "reason": found["reason"],
            "recordings": found["recordings"].map(count),
            "participants": found["participants"].map(count),
        }
    )
    table = table_of(
        frame,
        "Recordings and participants at each step, and the reason of each loss",
        numeric=("recordings", "participants"),
        notes=(found.attrs["method"], *found.attrs["warnings"]),
    )
    return ReportSection("flow", title, (Pictures((drawn,), wide=True), table))


def missing(data: ReportData) -> tuple[ReportSection, list[str]]:
    """Say where scores are missing, and whether they are missing unequally."""
    title = "Missing scores"
    grouping, blocks = _countable(data)
    if data.table.empty or not grouping:
        blocks.append(Text("There is nothing to compare: no tag, sex or language is known."))
        return ReportSection("missing", title, tuple(blocks)), []
    found = missingness_by_tag(data.table, grouping, also=())
    warnings = list(found.attrs["warnings"])
    unequal = [sentence for sentence in warnings if sentence.startswith("Recordings fail")]
    if unequal:
        blocks.append(Bullets(tuple(unequal), look="caution"))
    elif found["p"].notna().any():
        blocks.append(
            Text(
                "Recordings do not fail measurably more often in one of these groups than another."
            )
        )
    elif len(found):
        blocks.append(Text(_NOTHING_TO_TEST))
    drawn = [_outcomes_picture(data, tag) for tag in data.tags if tag in grouping]
    if drawn:
        blocks.append(Pictures(tuple(drawn)))
    blocks += _missing_tables(found)
    return ReportSection("missing", title, tuple(blocks)), unequal


def _countable(data: ReportData) -> tuple[list[str], list[Block]]:
    """Choose the columns by which losses are counted, and say which have too many levels."""
    names, sentences = [], []
    demographics = [name for name in ("birth_sex", "language") if name in data.table.columns]
    for name in dict.fromkeys([*data.tags, *demographics]):
        try:
            data.levels_of(name)
        except ResultsError as error:
            sentences.append(Text(str(error), look="note"))
        else:
            names.append(name)
    return names, [*sentences]


def _outcomes_picture(data: ReportData, tag: str) -> Picture:
    return picture_of(
        lambda: outcomes_by_tag(data.table, tag, style=COLUMN),
        alt=f"Share of recordings without scores at each level of {tag}, divided by outcome. The "
        "table below has the numbers.",
        caption=f"Recordings without scores by {tag}",
    )


def _missing_tables(found: pd.DataFrame) -> list[Block]:
    blocks: list[Block] = []
    shares = found[found["reason"].isin([ANY_REASON, BIOMARKER_FAILED])]
    for variable, part in shares.groupby("variable", sort=False):
        blocks.append(_missing_table(str(variable), part))
    if blocks:
        blocks.append(Text(f"{_WHAT_IS_COUNTED} {found.attrs['method']}", look="note"))
    return blocks


def _missing_table(variable: str, part: pd.DataFrame) -> Table:
    cells = {(row["level"], row["reason"]): row for row in part.to_dict("records")}
    failed = part[part["reason"] == BIOMARKER_FAILED]
    worst = failed.sort_values("rate", ascending=False, kind="stable")["level"].head(_MOST_ROWS)
    levels = [level for level in failed["level"] if level in set(worst)]
    rows = [
        (
            level,
            count(cells[level, ANY_REASON]["recordings"]),
            count(cells[level, ANY_REASON]["participants"]),
            _share(cells[level, ANY_REASON]),
            _share(cells[level, BIOMARKER_FAILED]),
        )
        for level in levels
    ]
    header = [variable, "recordings", "participants", "without scores", "biomarker failed"]
    notes = [_tested(part)]
    if len(levels) < len(failed):
        notes.append(f"The {_MOST_ROWS} of {len(failed)} levels where most failed.")
    return table_of(
        pd.DataFrame(rows, columns=header),
        f"Recordings that ended without scores, by {variable}",
        numeric=header[1:],
        notes=notes,
    )


def _tested(part: pd.DataFrame) -> str:
    p = part.drop_duplicates("reason").set_index("reason")["p"]
    if p.isna().all():
        return _NOTHING_TO_TEST
    words = ((ANY_REASON, "without scores"), (BIOMARKER_FAILED, "for failures of the biomarker"))
    told = ", ".join(f"p {_equals(p[reason])} {name}" for reason, name in words)
    return f"Equal rates at all levels: {told}."


def _share(row: Mapping[Any, Any]) -> str:
    ends = f"{percent(row['rate_low']).removesuffix(' %')} to {percent(row['rate_high'])}"
    interval = "" if pd.isna(row["rate_low"]) else f" ({ends})"
    return f"{count(row['missing'])}: {percent(row['rate'])}{interval}"


def _equals(p: float) -> str:
    worded = p_value(p)
    return worded if worded.startswith("<") else f"= {worded}"
