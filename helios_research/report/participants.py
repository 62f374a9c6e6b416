"""Who took part, how many recordings have scores, and whether scores are missing unequally."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from helios_research.analysis import flow, format_table_one, missingness_by_tag, table_one
from helios_research.analysis.missingness import ANY_REASON, RECORDING_FAILED
from helios_research.analysis.table_one import OVERALL
from helios_research.errors import ResultsError
from helios_research.plots import COLUMN, flow_diagram, outcomes_by_tag
from helios_research.report.blocks import (
    Block,
    Bullets,
    Picture,
    Pictures,
    Table,
    Text,
    count,
    p_value,
    percent,
    picture_of,
    table_of,
)
from helios_research.report.data import DEMOGRAPHICS, FEWEST, HIDDEN, ReportData, hide_small_counts

_EVERYONE = "__everyone__"
_MOST_ROWS = 40
_WHAT_IS_COUNTED = (
    "“Without scores” counts every finished recording that has none. “Recording failed” counts those "
    "that Helios or the preflight could not use; the others had other causes, such as an invalid row "
    "or an error of the service."
)
_NOTHING_TO_TEST = "No test: too few participants or levels, or no failures to compare."


def participants(data: ReportData) -> Sequence[Block]:
    """Describe the participants by the first tag that can be the arm."""
    if not data.prepared.n_people:
        return [Text("There are no participants yet.")]
    tag = data.dividing_tag or next(iter(data.small_tags), None)
    by = tag or _EVERYONE
    described = table_one(data.table if tag else data.table.assign(**{by: "all"}), by)
    printed = format_table_one(described)
    if data.hide_small_cells:
        printed = hide_small_counts(described, printed)
    if tag is None:
        printed = printed.drop(columns=["all"])
    printed = printed.rename(columns={OVERALL: "all participants"})
    printed["SMD"] = printed["SMD"].str.replace("-", "\N{MINUS SIGN}")
    repeated = printed["characteristic"].duplicated()
    printed["characteristic"] = printed["characteristic"].mask(repeated, " ")
    notes = [described.attrs["method"], *data.without_flagged_note(described.attrs["warnings"])]
    if HIDDEN in printed.to_numpy():
        notes.append(
            f"Cells of fewer than {FEWEST} participants are hidden, and others that would reveal "
            "them."
        )
    caption = f"Participants by {tag}" if tag else "Participants"
    numeric = [name for name in printed.columns if name not in ("characteristic", "level")]
    return [table_of(printed, caption, numeric=numeric, notes=notes)]


def recording_flow(data: ReportData) -> Sequence[Block]:
    """Follow the recordings from the manifest to scores without warning."""
    if data.table.empty:
        return [Text("There are no recordings yet.")]
    found = flow(data.table)
    is_step = found["kind"] == "remaining"
    steps = ", ".join(
        f"{row.step} {row.recordings:,}" for row in found[is_step].itertuples(index=False)
    )
    drawn = picture_of(
        lambda: flow_diagram(data.table, style=COLUMN),
        alt=f"Flow of recordings: {steps}. The table below has the reason for each loss.",
        caption="What happened to the recordings",
    )
    frame = pd.DataFrame(
        {
            "step": found["step"].mask(~is_step, "lost before “" + found["step"] + "”"),
            "reason": found["reason"],
            "recordings": found["recordings"].map(count),
            "participants": found["participants"].map(count),
        }
    )
    table = table_of(
        frame,
        "Recordings and participants at each step, and the reason for each loss",
        numeric=("recordings", "participants"),
        notes=(found.attrs["method"], *found.attrs["warnings"]),
    )
    return [Pictures((drawn,), wide=True), table]


def missing(data: ReportData) -> tuple[Sequence[Block], list[str]]:
    """Show where scores are missing; also list the groups in which recordings fail more often."""
    grouping, blocks = _countable(data)
    if data.table.empty or not grouping:
        blocks.append(Text("There is nothing to compare: no tag, sex or language is known."))
        return blocks, []
    found = missingness_by_tag(data.table, grouping, also=())
    warnings = list(found.attrs["warnings"])
    unequal = [sentence for sentence in warnings if sentence.startswith("Recordings fail")]
    if unequal:
        blocks.append(Bullets(tuple(unequal), look="caution"))
    elif found["p"].notna().any():
        blocks.append(
            Text(
                "No difference in failure rates was detected. Below each table stands how large "
                "one may be all the same."
            )
        )
    elif len(found):
        blocks.append(Text(_NOTHING_TO_TEST))
    if drawn := tuple(_outcomes_picture(data, tag) for tag in data.tags if tag in grouping):
        blocks.append(Pictures(drawn))
    shares = found[found["reason"].isin([ANY_REASON, RECORDING_FAILED])]
    for variable, part in shares.groupby("variable", sort=False):
        blocks.append(_missing_table(str(variable), part))
    if len(shares):
        blocks.append(Text(f"{_WHAT_IS_COUNTED} {found.attrs['method']}", look="note"))
    return blocks, unequal


def _countable(data: ReportData) -> tuple[list[str], list[Block]]:
    """Choose the columns by which losses are counted; a sentence for each with too many levels."""
    names: list[str] = []
    sentences: list[Block] = []
    demographics = [name for name in DEMOGRAPHICS if name in data.table.columns]
    for name in dict.fromkeys([*data.tags, *demographics]):
        try:
            data.levels_of(name)
        except ResultsError as error:
            sentences.append(Text(str(error), look="note"))
        else:
            names.append(name)
    return names, sentences


def _outcomes_picture(data: ReportData, tag: str) -> Picture:
    return picture_of(
        lambda: outcomes_by_tag(data.table, tag, style=COLUMN),
        alt=f"Share of recordings without scores at each level of {tag}, divided by outcome. The "
        "table below has the numbers.",
        caption=f"Recordings without scores by {tag}",
    )


def _missing_table(variable: str, part: pd.DataFrame) -> Table:
    cells = {(row["level"], row["reason"]): row for row in part.to_dict("records")}
    failed = part[part["reason"] == RECORDING_FAILED]
    worst = failed.sort_values("rate", ascending=False, kind="stable")["level"].head(_MOST_ROWS)
    levels = [level for level in failed["level"] if level in set(worst)]
    rows = [
        (
            level,
            count(cells[level, ANY_REASON]["recordings"]),
            count(cells[level, ANY_REASON]["participants"]),
            _share(cells[level, ANY_REASON]),
            _share(cells[level, RECORDING_FAILED]),
        )
        for level in levels
    ]
    header = [variable, "recordings", "participants", "without scores", "recording failed"]
    notes = [_tested(part)]
    if len(levels) < len(failed):
        notes.append(f"Only the {_MOST_ROWS} of {len(failed)} levels with the most failures.")
    return table_of(
        pd.DataFrame(rows, columns=header),
        f"Recordings that ended without scores, by {variable}",
        numeric=header[1:],
        notes=notes,
    )


def _tested(part: pd.DataFrame) -> str:
    p = part.drop_duplicates("reason").set_index("reason")["p_holm"]
    if p.isna().all():
        return _NOTHING_TO_TEST
    names = {ANY_REASON: "without scores", RECORDING_FAILED: "recording failed"}
    values = {name: p_value(p[reason]) for reason, name in names.items()}
    tests = "; ".join(
        f"{name} p {value if value.startswith('<') else f'= {value}'}"
        for name, value in values.items()
    )
    found = part.loc[part["reason"] == RECORDING_FAILED, "sentence"].iloc[0]
    return f"Test of equal rates at all levels (score test): {tests}. {found}"


def _share(row: Mapping[Any, Any]) -> str:
    ends = f"{percent(row['rate_low']).removesuffix(' %')} to {percent(row['rate_high'])}"
    interval = "" if pd.isna(row["rate_low"]) else f" ({ends})"
    return f"{count(row['missing'])}: {percent(row['rate'])}{interval}"
